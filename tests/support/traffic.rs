//! Random commands of every type, for tests in which two nodes must end with the same data whatever was sent.

use super::rng::Pick;
use crate::peer::differential::grammar::{self, Arg, Part};
use crate::peer::differential::table::{FAMILIES, FIELD_TIMES, FIELD_TIMES_AND_VALUES};
use outrigger::base::random::Rng;

/// The databases that the traffic uses; others are the test's own.
pub const DATABASES: u32 = 3;

/// A source of random commands: those that are compared with a stock server, keys that expire soon, and now and then a
/// database emptied.
pub struct Traffic {
    lines: Vec<Part>,
    rng: Rng,
    /// Commands of which stock primaries tell their replicas too little are left out.
    stock: bool,
    /// Fields of hashes are told to expire, too.
    field_times: bool,
}

impl Traffic {
    /// A source that yields the same commands for the same seed.
    pub fn new(seed: u64) -> Traffic {
        let lines = FAMILIES.iter().flat_map(|(_, lines)| lines.iter());
        Traffic {
            lines: lines.map(|(_, text)| grammar::parse(text)).collect(),
            rng: Rng::from_seed(seed),
            stock: false,
            field_times: false,
        }
    }

    /// A source that also gives fields of hashes times, which stock servers know from 7.4 on.
    pub fn with_field_times(seed: u64) -> Traffic {
        let mut traffic = Traffic { field_times: true, ..Traffic::new(seed) };
        let times = || FIELD_TIMES.iter().chain(FIELD_TIMES_AND_VALUES);
        // Often enough that many hashes carry times at any moment.
        traffic.lines.extend((0..6).flat_map(|_| times()).map(|(_, text)| grammar::parse(text)));
        traffic
    }

    /// A source for a stock primary: without what leaves its own replicas behind (docs/differences.md tells of BITFIELD).
    pub fn for_stock(seed: u64) -> Traffic {
        Traffic { stock: true, ..Traffic::new(seed) }
    }

    /// The source's generator, for the test's own choices.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// One command.
    pub fn command(&mut self) -> Vec<Arg> {
        loop {
            let args = self.any_command();
            if !(is_endless(&args) || self.stock && leaves_replicas_behind(&args)) {
                return args;
            }
        }
    }

    fn any_command(&mut self) -> Vec<Arg> {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        match self.rng.below(2_000) {
            0 => words(&["FLUSHDB", self.rng.pick(&["SYNC", "ASYNC"])]),
            1..=100 => {
                let kind = self.rng.pick(&["s", "l", "e", "z", "h"]);
                let key = format!("{kind}{}", 1 + self.rng.below(4));
                let ms = self.rng.between(1, 60).to_string();
                words(&["PEXPIRE", &key, &ms])
            }
            101..=400 if self.field_times => {
                let key = format!("h{}", 1 + self.rng.below(4));
                let ms = self.rng.between(1, 60).to_string();
                let fields: Vec<String> = (0..3).map(|_| format!("{}f", self.rng.below(12))).collect();
                match self.rng.below(3) {
                    0 => words(&["HPEXPIRE", &key, &ms, "FIELDS", "3", &fields[0], &fields[1], &fields[2]]),
                    1 => words(&["HGETEX", &key, "PX", &ms, "FIELDS", "2", &fields[0], &fields[1]]),
                    _ => words(&["HSETEX", &key, "PX", &ms, "FIELDS", "2", &fields[0], "1", &fields[1], "2"]),
                }
            }
            _ => {
                let mut args = Vec::new();
                let line = self.rng.index(self.lines.len());
                grammar::generate(&self.lines[line], &mut self.rng, &mut args);
                args
            }
        }
    }

    /// Up to `most` commands, a third of the time as one transaction.
    pub fn batch(&mut self, most: usize) -> Vec<Vec<Arg>> {
        let count = 1 + self.rng.index(most);
        let mut batch: Vec<_> = (0..count).map(|_| self.command()).collect();
        if self.rng.percent(33) {
            batch.insert(0, vec![b"MULTI".to_vec()]);
            batch.push(vec![b"EXEC".to_vec()]);
        }
        batch
    }

    /// SELECT of one of the traffic's databases.
    pub fn select(&mut self) -> Vec<Arg> {
        vec![b"SELECT".to_vec(), self.rng.below(u64::from(DATABASES)).to_string().into_bytes()]
    }
}

/// What a server works on for minutes, and a test waits in vain: it answers any count of random members.
fn is_endless(args: &[Arg]) -> bool {
    let is_random =
        matches!(args[0].to_ascii_uppercase().as_slice(), b"SRANDMEMBER" | b"HRANDFIELD" | b"ZRANDMEMBER");
    let count = args.get(2).and_then(|count| std::str::from_utf8(count).ok()?.parse::<i64>().ok());
    is_random && count.is_some_and(|count| count < -1_000_000)
}

/// What a stock primary logs as it came although its outcome may be another one elsewhere, or does not log at all. And what
/// it does not answer.
fn leaves_replicas_behind(args: &[Arg]) -> bool {
    let has = |word: &str| args.iter().any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    match args[0].to_ascii_uppercase().as_slice() {
        b"BITFIELD" => has("fail"),
        // From 7.2 on a wrong password within a transaction is not answered.
        b"AUTH" => true,
        // The order of equal weights is that of a hash table.
        b"SORT" => has("by") && has("alpha") && has("store"),
        _ => false,
    }
}
