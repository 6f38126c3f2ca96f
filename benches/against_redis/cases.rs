//! The requests that `redis-benchmark` sends by default, made anew from what its documentation and wire traffic show.

use outrigger::base::random::Rng;
use outrigger::resp::write_command;

/// Payload of every value, as redis-benchmark's default `-d 3`.
const VALUE: &str = "xxx";

/// One test.
pub struct Case {
    /// Its name, as redis-benchmark prints it.
    pub name: &'static str,
    /// What `redis-benchmark -t` calls it.
    pub flag: &'static str,
    /// Fills the data set before the test; sent once.
    pub before: Option<&'static str>,
    /// The request; `@` stands for a random number of 12 digits.
    request: &'static str,
    /// Sent inline instead of as an array.
    inline: bool,
    /// How many fewer requests than the others it gets (its replies are long).
    pub weight: usize,
}

const fn case(name: &'static str, flag: &'static str, request: &'static str) -> Case {
    Case { name, flag, before: None, request, inline: false, weight: 1 }
}

const fn long(name: &'static str, flag: &'static str, request: &'static str, weight: usize) -> Case {
    Case { name, flag, before: Some("RPUSH mylist xxx *600"), request, inline: false, weight }
}

/// All tests, in redis-benchmark's order.
pub const CASES: &[Case] = &[
    Case { inline: true, ..case("PING_INLINE", "ping_inline", "PING") },
    case("PING_MBULK", "ping_mbulk", "PING"),
    case("SET", "set", "SET key:@ %"),
    Case { before: Some("keys"), ..case("GET", "get", "GET key:@") },
    case("INCR", "incr", "INCR counter:@"),
    case("LPUSH", "lpush", "LPUSH mylist %"),
    case("RPUSH", "rpush", "RPUSH mylist %"),
    Case { before: Some("list"), ..case("LPOP", "lpop", "LPOP mylist") },
    Case { before: Some("list"), ..case("RPOP", "rpop", "RPOP mylist") },
    case("SADD", "sadd", "SADD myset element:@"),
    case("HSET", "hset", "HSET myhash element:@ %"),
    Case { before: Some("set"), ..case("SPOP", "spop", "SPOP myset") },
    case("ZADD", "zadd", "ZADD myzset # element:@"),
    Case { before: Some("zset"), ..case("ZPOPMIN", "zpopmin", "ZPOPMIN myzset") },
    long("LRANGE_100", "lrange_100", "LRANGE mylist 0 99", 4),
    long("LRANGE_300", "lrange_300", "LRANGE mylist 0 299", 8),
    long("LRANGE_500", "lrange_500", "LRANGE mylist 0 499", 12),
    long("LRANGE_600", "lrange_600", "LRANGE mylist 0 599", 16),
    Case {
        weight: 3,
        ..case(
            "MSET (10 keys)",
            "mset",
            "MSET key:@ % key:@ % key:@ % key:@ % key:@ % key:@ % key:@ % key:@ % key:@ % key:@ %",
        )
    },
];

impl Case {
    /// Appends one request.
    pub fn write(&self, rng: &mut Rng, key_space: u64, out: &mut Vec<u8>) {
        if self.inline {
            out.extend_from_slice(self.request.as_bytes());
            return out.extend_from_slice(b"\r\n");
        }
        let words: Vec<String> = self.request.split(' ').map(|word| fill(word, rng, key_space)).collect();
        write_command(out, &words);
    }

    /// Appends the commands that fill the data set for a test of `requests` requests, and returns how many they are.
    pub fn write_before(&self, requests: usize, key_space: u64, out: &mut Vec<u8>) -> usize {
        let Some(what) = self.before else { return 0 };
        let numbered = |i: u64| format!("{i:012}");
        let mut sent = 0;
        let mut send = |words: &[&str]| {
            write_command(out, words);
            sent += 1;
        };
        match what {
            "keys" => (0..key_space).for_each(|i| send(&["SET", &format!("key:{}", numbered(i)), VALUE])),
            "list" => (0..requests).for_each(|_| send(&["RPUSH", "mylist", VALUE])),
            "set" => {
                (0..key_space).for_each(|i| send(&["SADD", "myset", &format!("element:{}", numbered(i))]))
            }
            "zset" => (0..key_space)
                .for_each(|i| send(&["ZADD", "myzset", "0", &format!("element:{}", numbered(i))])),
            _ => (0..600).for_each(|_| send(&["RPUSH", "mylist", VALUE])),
        }
        sent
    }
}

fn fill(word: &str, rng: &mut Rng, key_space: u64) -> String {
    match word {
        "%" => VALUE.into(),
        "#" => rng.below(key_space).to_string(),
        _ => match word.strip_suffix('@') {
            Some(prefix) => format!("{prefix}{:012}", rng.below(key_space)),
            None => word.into(),
        },
    }
}
