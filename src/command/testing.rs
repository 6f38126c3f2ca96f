//! Runs commands over a keyspace of its own, without a server: the harness of the families' unit tests.
//!
//! Replies are shown compactly: `+OK`, `:5`, `"text"`, `nil`, `-ERR …`, `[a, b]`, maps as `{k: v}`, sets as `~[…]`,
//! doubles as `,1.5`, booleans `#t`, big numbers `(12`, verbatim text `=txt:…`, a blocked command as `blocked 100 [k]`.

use super::access::lru_now;
use super::context::{Context, Counts, ExpiryMode, PastDue, ReadyKey, Settings};
use super::effect::Effects;
use super::locking::lock_for;
use super::registry;
use super::table::{Block, Outcome, Run, flags};
use crate::base::num::format_score;
use crate::base::random::Rng;
use crate::keyspace::{Keyspace, Locked};
use crate::resp::reply::Reply;
use crate::resp::value::{RespValue, decode_reply};
use crate::value::{Direction, List, Value, hash_bytes};

/// The time at which a harness starts, unix ms.
pub const START_MS: i64 = 1_700_000_000_000;

/// A keyspace of 16 databases with a client of its own.
pub struct Harness {
    /// The keyspace.
    pub keyspace: Keyspace,
    /// The clock, unix ms; move it at will.
    pub now_ms: i64,
    /// The selected database.
    pub db: u32,
    /// The client speaks RESP3.
    pub resp3: bool,
    /// Settings.
    pub settings: Settings,
    /// How expired keys are seen.
    pub expiry: ExpiryMode,
    /// Whether commands may block (then the reply is shown as `blocked …`).
    pub may_block: bool,
    /// Figures.
    pub counts: Counts,
    /// Awaited keys that became ready, since it was last emptied.
    pub ready: Vec<ReadyKey>,
    /// Keys that were met past their time, since it was last emptied.
    pub past_due: Vec<PastDue>,
    /// What the last command added to its `dirty` count.
    pub dirty: u64,
    effects: Effects,
    rng: Rng,
}

impl Default for Harness {
    fn default() -> Self {
        Harness::new()
    }
}

impl Harness {
    /// An empty keyspace, RESP2, a primary's client.
    pub fn new() -> Harness {
        Harness {
            keyspace: Keyspace::new(16),
            now_ms: START_MS,
            db: 0,
            resp3: false,
            settings: Settings::default(),
            expiry: ExpiryMode::Delete,
            may_block: true,
            counts: Counts::default(),
            ready: Vec::new(),
            past_due: Vec::new(),
            dirty: 0,
            effects: Effects::default(),
            rng: Rng::from_seed(7),
        }
    }

    /// Runs a command line (words may be quoted with `"`, with `\n`, `\\`, `\"` and `\x41` inside) and shows its reply.
    pub fn run(&mut self, line: &str) -> String {
        let words = words(line);
        let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.run_args(&args)
    }

    /// As [`Harness::run`], from arguments as they are.
    pub fn run_args(&mut self, args: &[&[u8]]) -> String {
        let bytes = self.run_raw(args);
        if bytes.starts_with(b"blocked ") {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        match decode_reply(&bytes) {
            Ok(Some((value, len))) if len == bytes.len() => show(&value),
            other => panic!("not one whole reply: {:?} {other:?}", bytes.escape_ascii().to_string()),
        }
    }

    /// As [`Harness::run_args`], with the reply's bytes. Effects of earlier commands are forgotten.
    pub fn run_raw(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let (command, sub) = registry::resolve(args).expect("a known command");
        let command = sub.unwrap_or(command);
        assert!(command.arity_fits(args.len()), "arity of {}", command.name);
        let Run::Keyspace(handler) = command.run else { panic!("{} is no keyspace command", command.name) };
        let mut out = Vec::new();
        self.effects.clear();
        let (mut locked, first_hash) = lock_for(&self.keyspace, command, args);
        let mut context = Context {
            db: self.db,
            now_ms: self.now_ms,
            keyspace: &self.keyspace,
            keys: &mut locked,
            reply: Reply::new(&mut out, self.resp3),
            effects: &mut self.effects,
            settings: &self.settings,
            rng: &mut self.rng,
            counts: &mut self.counts,
            no_touch: false,
            ready: &mut self.ready,
            past_due: &mut self.past_due,
            expiry: self.expiry,
            may_block: self.may_block,
            first_hash,
            dirty: 0,
            logged: false,
        };
        let outcome = handler(&mut context, args);
        let (dirty, logged) = (context.dirty, context.logged);
        self.dirty = dirty;
        if dirty > 0 && !logged && command.has(flags::WRITE) {
            self.effects.push(self.db, args);
        }
        match outcome {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Block(block)) => out = shown_block(&block).into_bytes(),
            Ok(Outcome::Walk(mut walk)) => {
                drop(locked);
                let mut nothing = Locked::none();
                let mut context = Context {
                    db: self.db,
                    now_ms: self.now_ms,
                    keyspace: &self.keyspace,
                    keys: &mut nothing,
                    reply: Reply::new(&mut out, self.resp3),
                    effects: &mut self.effects,
                    settings: &self.settings,
                    rng: &mut self.rng,
                    counts: &mut self.counts,
                    no_touch: false,
                    ready: &mut self.ready,
                    past_due: &mut self.past_due,
                    expiry: self.expiry,
                    may_block: false,
                    first_hash: super::locking::NO_HASH,
                    dirty: 0,
                    logged: true,
                };
                while !walk.step(&mut context) {}
                walk.finish(&mut context);
            }
            Err(error) => {
                out.clear();
                Reply::new(&mut out, self.resp3).error(error.reply());
            }
        }
        out
    }

    /// Puts a list at a key of the selected database, without a command: something of another type.
    pub fn put_list(&mut self, key: &str, elements: &[&str]) {
        let mut list = List::new();
        for element in elements {
            list.push(Direction::Backward, element.as_bytes(), &self.settings.limits);
        }
        let hash = hash_bytes(key.as_bytes());
        let mut locked = self.keyspace.lock_one(hash);
        let db = locked.shard_mut(hash).db_mut(self.db);
        db.set_value(hash, key.as_bytes(), Value::List(list), None, lru_now(self.now_ms));
    }

    /// Runs a line and asserts its reply, as shown.
    #[track_caller]
    pub fn check(&mut self, line: &str, reply: &str) {
        assert_eq!(self.run(line), reply, "{line}");
    }

    /// Runs a line and asserts its reply and its effects.
    #[track_caller]
    pub fn check_effects(&mut self, line: &str, reply: &str, effects: &[&str]) {
        self.check(line, reply);
        assert_eq!(self.effects(), effects, "effects of {line}");
    }

    /// What the last command logs, each effect as words joined by spaces, with `db:` before it where that is not the
    /// selected database.
    pub fn effects(&self) -> Vec<String> {
        let shown = self.effects.iter().map(|(db, bytes)| {
            let Ok(Some((RespValue::Array(words), _))) = decode_reply(bytes) else {
                panic!("an effect that is no command: {}", bytes.escape_ascii())
            };
            let words: Vec<String> = words
                .iter()
                .map(|word| word.as_bytes().unwrap_or_default().escape_ascii().to_string())
                .collect();
            let prefix = if db == self.db { String::new() } else { format!("{db}:") };
            prefix + &words.join(" ")
        });
        shown.collect()
    }
}

fn shown_block(block: &Block) -> String {
    let keys: Vec<_> = block.keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
    format!("blocked {} [{}]", block.timeout_ms.unwrap_or(0), keys.join(", "))
}

/// Splits a line into words.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b' ' {
            continue;
        }
        let mut word = Vec::new();
        if byte == b'"' {
            while let Some(byte) = bytes.next().filter(|b| *b != b'"') {
                word.push(if byte == b'\\' { escaped(&mut bytes) } else { byte });
            }
        } else {
            word.push(byte);
            while let Some(byte) = bytes.next_if(|b| *b != b' ') {
                word.push(byte);
            }
        }
        words.push(word);
    }
    words
}

fn escaped(bytes: &mut impl Iterator<Item = u8>) -> u8 {
    match bytes.next().expect("something after a backslash") {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => {
            let digits = [bytes.next(), bytes.next()].map(|d| d.expect("two hex digits"));
            let text = std::str::from_utf8(&digits).expect("hex digits");
            u8::from_str_radix(text, 16).expect("hex digits")
        }
        other => other,
    }
}

/// A reply in the harness's notation.
pub fn show(value: &RespValue) -> String {
    let list = |items: &[RespValue]| items.iter().map(show).collect::<Vec<_>>().join(", ");
    match value {
        RespValue::Simple(text) => format!("+{}", String::from_utf8_lossy(text)),
        RespValue::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        RespValue::Int(n) => format!(":{n}"),
        RespValue::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        RespValue::Null => "nil".into(),
        RespValue::NullArray => "nil[]".into(),
        RespValue::Array(items) => format!("[{}]", list(items)),
        RespValue::Double(value) => {
            let mut text = Vec::new();
            format_score(&mut text, *value);
            format!(",{}", String::from_utf8_lossy(&text))
        }
        RespValue::Bool(value) => if *value { "#t" } else { "#f" }.into(),
        RespValue::BigNumber(digits) => format!("({}", String::from_utf8_lossy(digits)),
        RespValue::Verbatim { format, text } => {
            format!("={}:{}", String::from_utf8_lossy(format), String::from_utf8_lossy(text))
        }
        RespValue::Map(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{}: {}", show(k), show(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        RespValue::Set(items) => format!("~[{}]", list(items)),
        RespValue::Push(items) => format!(">[{}]", list(items)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_replies_and_effects() {
        let mut harness = Harness::new();
        harness.check_effects("SET k \"a b\\x00\"", "+OK", &["SET k a b\\x00"]);
        harness.check_effects("GET k", "\"a b\\x00\"", &[]);
        harness.check("GET none", "nil");
        harness.check("SET k v EX x", "-ERR value is not an integer or out of range");
        harness.check_effects("SET k v PX 1", "+OK", &[&format!("SET k v PXAT {}", START_MS + 1)]);
        harness.now_ms += 2;
        harness.check_effects("GET k", "nil", &["DEL k"]);
        assert_eq!((harness.counts.hits, harness.counts.misses, harness.counts.expired), (1, 2, 1));
    }
}
