//! The same random rules on a stock server and on ours: replies, what users are told as, what they may do.

use crate::support::rng::{Pick, Seeded};
use crate::support::{Client, Server, scaled};
use outrigger::base::random::Rng;
use outrigger::resp::RespValue;
use std::collections::BTreeSet;

const USERS: &[&str] = &["alice", "bob", "(odd", "\"q"];
const KEYS: &[&str] = &["a", "ab", "b", "c:1", "z", "*"];
const PATTERNS: &[&str] = &["a", "a*", "*b", "?", "c:*", "[ab]", "*", "", "c:[0-9]", "x\\*"];
const WORDS: &[&str] = &[
    "on",
    "OFF",
    "nopass",
    "resetpass",
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
    "clearselectors",
    "sanitize-payload",
    "skip-sanitize-payload",
    "reset",
    "",
    "foo",
    "%",
    "%X~a",
    "+",
    "+@",
    "+@nosuch",
    "-nosuch",
    "+config|",
    "+config|nosuch",
    "+config|get|x",
    "-select|0",
    "#12",
    "!x",
    "<nosuch",
    "()",
];
/// Lines for DRYRUN, in which `K` is a key and `C` a channel.
const LINES: &[&str] = &[
    "GET K",
    "SET K v",
    "SET K v GET",
    "MGET K K K",
    "MSET K v K v",
    "DEL K K",
    "COPY K K",
    "RENAME K K",
    "EXISTS K",
    "LMOVE K K LEFT RIGHT",
    "BLPOP K K 0",
    "SINTERSTORE K K K",
    "ZUNIONSTORE K 2 K K",
    "ZINTERCARD 2 K K",
    "XREAD STREAMS K K 0 0",
    "XREADGROUP GROUP g c STREAMS K >",
    "SORT K",
    "SORT K STORE K",
    "SORT K BY x GET y STORE K",
    "BITFIELD K GET u8 0",
    "BITFIELD K SET u8 0 1",
    "BITOP AND K K K",
    "PFMERGE K K K",
    "PFCOUNT K K",
    "GETDEL K",
    "GEORADIUS K 1 1 1 m STORE K",
    "OBJECT ENCODING K",
    "MEMORY USAGE K",
    "WATCH K K",
    "MIGRATE h 1 K 0 5",
    "TOUCH K",
    "CONFIG GET a",
    "CONFIG SET a b",
    "CLIENT LIST",
    "CLIENT ID",
    "SELECT 0",
    "SELECT 1",
    "DEBUG sleep 0",
    "DEBUG x",
    "AUTH x",
    "PING",
    "HELLO",
    "FLUSHALL",
    "KEYS *",
    "MULTI",
    "GETSET K v",
    "EXPIRE K 1",
    "TTL K",
    "LLEN K",
    "HGETALL K",
    "GET",
    "NOSUCH",
    "CONFIG NOSUCH",
    "CONFIG",
    "XADD K * f v",
    "APPEND K v",
    "STRLEN K",
    "SMOVE K K m",
    "RPOPLPUSH K K",
];

struct Both {
    ours: Client,
    stock: Client,
    /// Names of commands that both know.
    common: BTreeSet<String>,
    categories: Vec<String>,
    /// The commands of `common` with arguments enough to ask for each.
    lines: Vec<Vec<String>>,
    _servers: [Server; 2],
}

fn texts(reply: &RespValue) -> Vec<String> {
    let items = reply.as_slice().unwrap_or_default().iter().filter_map(RespValue::as_bytes);
    items.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

impl Both {
    fn same<T: AsRef<[u8]>>(&mut self, args: &[T]) -> RespValue {
        let (ours, stock) = (self.ours.command(args), self.stock.command(args));
        let line: Vec<_> = args.iter().map(|arg| arg.as_ref().escape_ascii().to_string()).collect();
        assert_eq!(ours, stock, "{}", line.join(" "));
        ours
    }

    /// A random rule, of a selector or of a user.
    fn rule(&self, rng: &mut Rng, in_selector: bool) -> String {
        let sign = if rng.percent(60) { "+" } else { "-" };
        let common: Vec<&str> = self.common.iter().map(String::as_str).collect();
        match rng.below(if in_selector { 85 } else { 100 }) {
            0..25 => format!("{sign}{}", rng.pick(&common)),
            25..50 => format!("{sign}@{}", self.categories[rng.index(self.categories.len())]),
            50..55 => {
                (rng.pick(&["+select|0", "+select|1", "+debug|sleep", "+SELECT|1", "+get|x"])).to_owned()
            }
            55..60 => (rng.pick(&["+@all", "-@all", "+@ALL", "allcommands"])).to_owned(),
            60..75 => {
                format!("{}{}", rng.pick(&["~", "~", "%R~", "%W~", "%rw~", "%WR~"]), rng.pick(PATTERNS))
            }
            75..80 => format!("&{}", rng.pick(PATTERNS)),
            80..85 => {
                (rng.pick(&["allkeys", "resetkeys", "allchannels", "resetchannels", "foo", "on"])).to_owned()
            }
            85..90 => format!("{}pw{}", rng.pick(&[">", ">", "<"]), rng.below(3)),
            90..94 => (rng.pick(WORDS)).to_owned(),
            _ => {
                let rules: Vec<String> = (0..rng.below(4)).map(|_| self.rule(rng, true)).collect();
                format!("({})", rules.join(" "))
            }
        }
    }

    /// One ACL SETUSER. Selectors are sometimes given word by word.
    fn set_user(&mut self, rng: &mut Rng, name: &str) {
        let mut args = vec!["ACL".to_owned(), "SETUSER".to_owned(), name.to_owned()];
        for _ in 0..=rng.below(5) {
            let rule = self.rule(rng, false);
            match rng.percent(50) {
                true => args.extend(rule.split(' ').map(str::to_owned)),
                false => args.push(rule),
            }
        }
        self.same(&args);
    }

    /// Compares what a user is told as; false where the choice of categories differs, as the tables of commands do.
    fn compare(&mut self, name: &str) -> bool {
        let args = ["ACL", "GETUSER", name];
        let (ours, stock) = (self.ours.command(&args), self.stock.command(&args));
        let mut same = true;
        let common = &self.common;
        compare_replies(&ours, &stock, &mut |ours: &str, stock: &str| {
            same &= exact(ours, common) == exact(stock, common);
        });
        same
    }

    /// May the user run each command there is? DRYRUN of the bare name tells, unless it lacks arguments.
    fn compare_all_commands(&mut self, name: &str) {
        let line = |words: &Vec<String>| {
            let start = ["ACL".to_owned(), "DRYRUN".to_owned(), name.to_owned()];
            start.into_iter().chain(words.iter().cloned()).collect::<Vec<_>>()
        };
        let lines: Vec<Vec<String>> = self.lines.iter().map(line).collect();
        let (ours, stock) = (self.ours.pipeline(&lines), self.stock.pipeline(&lines));
        for ((line, ours), stock) in lines.iter().zip(ours).zip(stock) {
            assert_eq!(may_not_run(&ours), may_not_run(&stock), "{}: {ours:?} {stock:?}", line.join(" "));
        }
    }
}

/// Is it the command, and not a key, that is refused? (Where arguments do not fit all of a command's specs a stock server
/// looks at no key.)
fn may_not_run(reply: &RespValue) -> bool {
    reply.as_bytes().is_some_and(|text| text.starts_with(b"This user has no permissions to run "))
}

/// A command with as many arguments as it takes at least.
fn line_of(client: &mut Client, command: &str) -> Vec<String> {
    let reply = client.command(&["COMMAND", "INFO", command]);
    let entry = reply.as_slice().and_then(|it| it.first()?.as_slice().map(<[_]>::to_vec));
    let arity = entry.and_then(|entry| entry.get(1)?.as_int()).expect("a command's arity");
    let mut line: Vec<String> = command.split('|').map(str::to_owned).collect();
    line.resize(line.len().max(arity.unsigned_abs() as usize), "1".to_owned());
    line
}

/// Walks two replies of ACL GETUSER: all must be equal but texts about commands, which are shown.
fn compare_replies(ours: &RespValue, stock: &RespValue, commands: &mut dyn FnMut(&str, &str)) {
    let (Some(our_items), Some(stock_items)) = (ours.as_slice(), stock.as_slice()) else {
        // The one text about keys that differs on purpose.
        let same = |text: &[u8]| String::from_utf8_lossy(text).replace("%RW~*", "~*");
        return match (ours.as_bytes(), stock.as_bytes()) {
            (Some(ours), Some(stock)) if ours != stock => assert_eq!(same(ours), same(stock)),
            _ => assert_eq!(ours, stock),
        };
    };
    assert_eq!(our_items.len(), stock_items.len(), "{ours:?} {stock:?}");
    let mut is_commands = false;
    for (ours, stock) in our_items.iter().zip(stock_items) {
        match (is_commands, ours.as_bytes(), stock.as_bytes()) {
            (true, Some(ours), Some(stock)) => {
                commands(&String::from_utf8_lossy(ours), &String::from_utf8_lossy(stock));
            }
            _ => compare_replies(ours, stock, commands),
        }
        is_commands = ours.as_bytes() == Some(b"commands");
    }
}

/// A text about commands as far as it is the same everywhere: `@all`, categories in their order, and single commands that
/// both know in any order.
fn exact(text: &str, common: &BTreeSet<String>) -> (Vec<String>, BTreeSet<String>) {
    let (categories, single): (Vec<&str>, Vec<&str>) = text.split(' ').partition(|word| word.contains('@'));
    let is_common = |word: &&str| {
        let name = &word[1..];
        common.contains(name)
            || name
                .split_once('|')
                .is_some_and(|(name, _)| name == "select" || name == "debug" || name == "get")
    };
    (
        categories.into_iter().map(str::to_owned).collect(),
        single.into_iter().filter(is_common).map(str::to_owned).collect(),
    )
}

fn both() -> Option<Both> {
    let stock = Server::redis(&[])?;
    let ours = Server::ours(&["--enable-debug-command", "yes"]);
    let (mut ours_client, mut stock_client) = (ours.client(), stock.client());
    let names = |client: &mut Client| -> BTreeSet<String> {
        texts(&client.cmd("COMMAND LIST")).into_iter().collect()
    };
    let common: BTreeSet<String> =
        names(&mut ours_client).intersection(&names(&mut stock_client)).cloned().collect();
    let lines = common.iter().map(|command| line_of(&mut stock_client, command)).collect();
    let categories = texts(&stock_client.cmd("ACL CAT"));
    Some(Both { ours: ours_client, stock: stock_client, common, categories, lines, _servers: [ours, stock] })
}

#[test]
fn random_rules_mean_the_same() {
    let Some(mut both) = both() else { return };
    let mut seeded = Seeded::new(71);
    let rng = &mut seeded.rng;
    let rounds = scaled(2_000);
    let mut told_otherwise = 0;
    for round in 0..rounds {
        let name = rng.pick(USERS);
        if rng.percent(8) {
            both.same(&["ACL", "DELUSER", name]);
        }
        both.set_user(rng, name);
        let same = both.compare(name);
        told_otherwise += usize::from(!same);
        if !same || round % 10 == 0 {
            both.compare_all_commands(name);
        }
        for _ in 0..4 {
            let line = rng.pick(LINES).split(' ').map(|word| if word == "K" { rng.pick(KEYS) } else { word });
            let args: Vec<&str> = ["ACL", "DRYRUN", name].into_iter().chain(line).collect();
            both.same(&args);
        }
    }
    // Categories are chosen by how many commands each has, and the tables differ.
    assert!(told_otherwise < rounds / 4, "{told_otherwise} of {rounds} are told by other categories");
}
