//! Writes of every kind for tests of what ends up in files: each type, small and large, several databases,
//! transactions, expiries near and far.

use crate::support::rng::Pick;
use crate::support::{Client, show, wait_for};
use outrigger::base::random::Rng;
use outrigger::resp::RespValue;
use std::time::Duration;

/// Databases that are written to.
pub const DATABASES: u64 = 4;
/// What the names of keys that expire within a second begin with.
const BRIEF: &str = "brief:";
/// Commands in one round trip.
const PIPELINED: usize = 200;
/// Commands that our server may not know.
const MAY_BE_MISSING: &[&str] = &["SORT", "SETBIT", "BITOP", "PFADD", "GEOADD", "XADD", "XTRIM", "XGROUP"];

/// A command's arguments.
pub type Words = Vec<Vec<u8>>;

/// Words parted by blanks.
pub fn words(text: &str) -> Words {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Words with any bytes in them.
pub fn raw(parts: &[&[u8]]) -> Words {
    parts.iter().map(|part| part.to_vec()).collect()
}

/// Makes writes, the same ones for the same seed.
pub struct Traffic {
    rng: Rng,
    /// Bytes that a value has at most, most of the time.
    pub value_bytes: usize,
    /// Keys of a type.
    pub keys: u64,
    /// Whether some keys live for less than a second.
    pub brief: bool,
    /// Commands that are not sent.
    missing: Vec<&'static str>,
}

impl Traffic {
    /// From a seed.
    pub fn new(seed: u64) -> Traffic {
        Traffic { rng: Rng::from_seed(seed), value_bytes: 60, keys: 40, brief: true, missing: Vec::new() }
    }

    /// Leaves out what this server (one of ours) does not know.
    pub fn only_what_is_known_to(&mut self, client: &mut Client) {
        let unknown = |name: &&str| match client.cmd(&format!("COMMAND INFO {name}")) {
            RespValue::Array(found) => matches!(found[0], RespValue::Null | RespValue::NullArray),
            other => panic!("COMMAND INFO {name}: {other:?}"),
        };
        self.missing = MAY_BE_MISSING.iter().copied().filter(unknown).collect();
    }

    /// At least so many commands, transactions whole. The database that is selected at the end is any.
    pub fn commands(&mut self, count: usize) -> Vec<Words> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.rng.below(100) {
                0..4 => all.push(words(&format!("SELECT {}", self.rng.below(DATABASES)))),
                4..7 => {
                    all.push(words("MULTI"));
                    (0..=self.rng.below(6)).for_each(|_| all.push(self.write()));
                    all.push(words(if self.rng.percent(90) { "EXEC" } else { "DISCARD" }));
                }
                7 => all.push(self.whole_database()),
                _ => all.push(self.write()),
            }
        }
        all
    }

    /// Sends at least so many commands.
    pub fn send(&mut self, client: &mut Client, count: usize) {
        for batch in self.commands(count).chunks(PIPELINED) {
            for (command, reply) in batch.iter().zip(client.pipeline(batch)) {
                let refused = reply.as_error().is_some_and(|text| {
                    [&b"ERR unknown"[..], b"ERR wrong number", b"ERR syntax", b"EXECABORT"]
                        .iter()
                        .any(|start| text.starts_with(start))
                });
                let shown: Vec<String> = command.iter().map(|word| show(word)).collect();
                assert!(!refused, "{shown:?}: {reply:?}");
            }
        }
    }

    fn key(&mut self, kind: &str) -> Vec<u8> {
        format!("{kind}:{}", self.rng.below(self.keys)).into_bytes()
    }

    /// A value: a number, a short text, bytes of all kinds, sometimes a long one.
    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0 | 1 => self.rng.between(-1000, 1000).to_string().into_bytes(),
            2 => (self.rng.next_u64() as i64).to_string().into_bytes(),
            3 => (0..self.rng.below(20)).map(|_| self.rng.below(256) as u8).collect(),
            4 => vec![b'a' + self.rng.below(26) as u8; self.rng.index(self.value_bytes * 8 + 1)],
            _ => {
                let len = self.rng.index(self.value_bytes + 1);
                (0..len).map(|_| b'a' + self.rng.below(26) as u8).collect()
            }
        }
    }

    fn member(&mut self) -> Vec<u8> {
        match self.rng.percent(50) {
            true => self.rng.below(300).to_string().into_bytes(),
            false => format!("m{}", self.rng.below(300)).into_bytes(),
        }
    }

    fn float(&mut self) -> Vec<u8> {
        format!("{}.{}", self.rng.between(-100, 100), self.rng.below(1000)).into_bytes()
    }

    fn number(&mut self, low: i64, high: i64) -> Vec<u8> {
        self.rng.between(low, high).to_string().into_bytes()
    }

    /// `NAME key` and as many more words.
    fn many(&mut self, name: &str, key: Vec<u8>, mut one: impl FnMut(&mut Traffic) -> Vec<Vec<u8>>) -> Words {
        // Now and then enough for a large encoding.
        let count = if self.rng.percent(3) { 200 } else { 1 + self.rng.below(5) };
        let mut command = vec![name.as_bytes().to_vec(), key];
        (0..count).for_each(|_| command.extend(one(self)));
        command
    }

    /// One write of any kind.
    pub fn write(&mut self) -> Words {
        loop {
            let command = self.any_write();
            let known = !self.missing.iter().any(|name| name.as_bytes() == command[0]);
            if known && (self.brief || !command[1].starts_with(BRIEF.as_bytes())) {
                return command;
            }
        }
    }

    fn any_write(&mut self) -> Words {
        match self.rng.below(12) {
            0..3 => self.string(),
            3 => self.counter(),
            4 | 5 => self.list(),
            6 => self.set(),
            7 | 8 => self.hash(),
            9 => self.sorted_set(),
            10 => self.expiry(),
            _ => self.other(),
        }
    }

    fn string(&mut self) -> Words {
        let (key, value) = (self.key("str"), self.value());
        match self.rng.below(8) {
            0 => raw(&[b"APPEND", &key, &value]),
            1 => raw(&[b"SETRANGE", &key, &self.number(0, 50), &value]),
            2 => raw(&[b"SETEX", &key, &self.number(1000, 9000), &value]),
            3 => raw(&[b"GETSET", &key, &value]),
            4 => raw(&[b"MSET", &key, &value, &self.key("str"), &self.value()]),
            5 => raw(&[b"SET", &key, &value, b"KEEPTTL", b"XX"]),
            6 => raw(&[b"GETDEL", &key]),
            _ => raw(&[b"SET", &key, &value]),
        }
    }

    fn counter(&mut self) -> Words {
        let key = self.key("num");
        match self.rng.below(4) {
            0 => raw(&[b"INCRBYFLOAT", &key, &self.float()]),
            1 => raw(&[b"DECRBY", &key, &self.number(-50, 50)]),
            2 => raw(&[b"SET", &key, &self.number(-50, 50)]),
            _ => raw(&[b"INCR", &key]),
        }
    }

    fn list(&mut self) -> Words {
        let key = self.key("list");
        match self.rng.below(10) {
            0..4 => {
                let name = ["RPUSH", "LPUSH", "RPUSHX"][self.rng.index(3)];
                self.many(name, key, |t| vec![t.value()])
            }
            4 => raw(&[b"LPOP", &key, &self.number(0, 3)]),
            5 => raw(&[b"LMOVE", &key, &self.key("list"), b"LEFT", b"RIGHT"]),
            6 => raw(&[b"LSET", &key, &self.number(-3, 3), &self.value()]),
            7 => raw(&[b"LINSERT", &key, b"BEFORE", b"a", &self.value()]),
            8 => raw(&[b"LTRIM", &key, &self.number(0, 2), b"-2"]),
            _ => raw(&[b"LREM", &key, &self.number(-2, 2), &self.value()]),
        }
    }

    fn set(&mut self) -> Words {
        let key = self.key("set");
        match self.rng.below(10) {
            0..3 => self.many("SADD", key, |t| vec![t.member()]),
            3 | 4 => {
                let key = self.key("ints");
                self.many("SADD", key, |t| vec![t.number(-100_000, 100_000)])
            }
            5 => raw(&[b"SPOP", &key, &self.number(0, 3)]),
            6 => raw(&[b"SMOVE", &key, &self.key("set"), &self.member()]),
            7 => raw(&[b"SUNIONSTORE", &key, &self.key("set"), &self.key("ints")]),
            8 => raw(&[b"SDIFFSTORE", &key, &self.key("set"), &self.key("set")]),
            _ => self.many("SREM", key, |t| vec![t.member()]),
        }
    }

    fn hash(&mut self) -> Words {
        let key = self.key("hash");
        match self.rng.below(8) {
            0..4 => self.many("HSET", key, |t| vec![t.member(), t.value()]),
            4 => raw(&[b"HINCRBY", &key, b"count", &self.number(-9, 9)]),
            5 => raw(&[b"HINCRBYFLOAT", &key, b"sum", &self.float()]),
            6 => raw(&[b"HSETNX", &key, &self.member(), &self.value()]),
            _ => self.many("HDEL", key, |t| vec![t.member()]),
        }
    }

    fn sorted_set(&mut self) -> Words {
        let key = self.key("zset");
        match self.rng.below(10) {
            0..4 => self.many("ZADD", key, |t| vec![t.float(), t.member()]),
            4 => raw(&[b"ZINCRBY", &key, &self.float(), &self.member()]),
            5 => raw(&[b"ZPOPMIN", &key, &self.number(0, 3)]),
            6 => raw(&[b"ZUNIONSTORE", &key, b"2", &self.key("zset"), &self.key("set")]),
            7 => raw(&[b"ZRANGESTORE", &key, &self.key("zset"), b"0", b"20"]),
            8 => raw(&[b"ZREMRANGEBYSCORE", &key, b"-5", b"5"]),
            _ => self.many("ZREM", key, |t| vec![t.member()]),
        }
    }

    /// A key of any type.
    fn any_key(&mut self) -> Vec<u8> {
        let kind = self.rng.pick(&["str", "num", "list", "set", "ints", "hash", "zset"]).to_owned();
        self.key(&kind)
    }

    fn expiry(&mut self) -> Words {
        let key = self.any_key();
        let brief = format!("{BRIEF}{}", self.rng.below(self.keys)).into_bytes();
        match self.rng.below(6) {
            0 => raw(&[b"EXPIRE", &key, &self.number(1000, 9000)]),
            1 => raw(&[b"PEXPIRE", &key, &self.number(1_000_000, 9_000_000), b"NX"]),
            2 => raw(&[b"PERSIST", &key]),
            3 => raw(&[b"GETEX", &self.key("str"), b"EX", &self.number(1000, 9000)]),
            4 => raw(&[b"SET", &brief, &self.value(), b"PX", &self.number(1, 300)]),
            _ => raw(&[b"SET", &brief, b"more", b"XX", b"KEEPTTL"]),
        }
    }

    fn other(&mut self) -> Words {
        let (key, to) = (self.any_key(), self.any_key());
        match self.rng.below(14) {
            0 => raw(&[b"DEL", &key, &to]),
            1 => raw(&[b"UNLINK", &key]),
            2 => raw(&[b"RENAME", &self.key("list"), &self.key("list")]),
            3 => raw(&[b"COPY", &self.key("hash"), &self.key("hash"), b"REPLACE"]),
            4 => raw(&[b"MOVE", &key, &self.number(0, DATABASES as i64 - 1)]),
            5 => raw(&[b"SORT", &self.key("ints"), b"STORE", &self.key("list")]),
            6 => raw(&[b"SETBIT", &self.key("bits"), &self.number(0, 500), b"1"]),
            7 => raw(&[b"BITOP", b"XOR", &self.key("bits"), &self.key("bits"), &self.key("bits")]),
            8 => raw(&[b"PFADD", &self.key("hll"), &self.member(), &self.member()]),
            9 => raw(&[b"GEOADD", &self.key("geo"), b"13.361", b"38.115", &self.member()]),
            10 => raw(&[b"XADD", &self.key("stream"), b"*", b"field", &self.value()]),
            11 => raw(&[b"XGROUP", b"CREATE", &self.key("stream"), &self.member(), b"$"]),
            12 => raw(&[b"XTRIM", &self.key("stream"), b"MAXLEN", b"5"]),
            _ => raw(&[b"LMPOP", b"2", &self.key("list"), &self.key("list"), b"RIGHT", b"COUNT", b"2"]),
        }
    }

    fn whole_database(&mut self) -> Words {
        match self.rng.below(12) {
            0 => words("FLUSHDB"),
            1..4 => words("SWAPDB 0 1"),
            _ => self.write(),
        }
    }
}

/// Waits until every key that was to live for less than a second is gone, so that digests stand still. (EXISTS removes
/// what is overdue; KEYS would only leave it out.)
pub fn wait_for_the_brief(client: &mut Client, traffic: &Traffic) {
    let names: Vec<String> = (0..traffic.keys).map(|n| format!("{BRIEF}{n}")).collect();
    let exists = format!("EXISTS {}", names.join(" "));
    for db in 0..DATABASES {
        client.ok(&format!("SELECT {db}"));
        wait_for("brief keys to expire", Duration::from_secs(30), || client.int(&exists) == 0);
    }
}
