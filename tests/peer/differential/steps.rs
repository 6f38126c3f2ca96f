//! What a run does, a step at a time: a command, one that meets an expired key, a transaction.

use super::compare::{Replies, Verdict, consumers_asking};
use super::grammar::{self, Arg};
use super::table::Mode;
use super::{Run, atoms, differences, history, newer, shown};
use crate::support::rng::Pick;
use outrigger::resp::RespValue;
use std::time::Duration;

/// After so long a key that was to live for a millisecond is gone, by every clock.
const PAST_EXPIRY: Duration = Duration::from_millis(4);
/// The time to live of what is to be met expired.
pub(super) const SOON_MS: &[u8] = b"1";

impl Run {
    /// A random command, now and then a spoilt one.
    fn command(&mut self, rare: bool) -> (Mode, Vec<Arg>) {
        let entries = if rare { &self.rare } else { &self.entries };
        let entry = &entries[self.rng.index(entries.len())];
        let mut args = Vec::new();
        grammar::generate(&entry.part, &mut self.rng, &mut args);
        // A spoilt timeout could be for ever, and an id by the clock is not the same on both.
        let is_left_alone = args
            .iter()
            .any(|arg| arg.eq_ignore_ascii_case(b"block") || (entry.name == "XADD" && arg == b"*"));
        if self.rng.percent(3) && entry.spoils && !is_left_alone {
            grammar::spoil(&mut args, &mut self.rng);
            if expires(&entry.name) {
                args.iter_mut().filter(|arg| is_soon(arg)).for_each(|arg| *arg = b"x".to_vec());
            }
        }
        if matches!(entry.name.as_str(), "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER") {
            args.iter_mut().skip(2).filter(|arg| is_endless(arg)).for_each(|arg| *arg = b"-20".to_vec());
        }
        (entry.mode, args)
    }

    /// One command.
    pub(super) fn step(&mut self, which: usize, rare: bool) {
        let (mode, args) = self.command(rare);
        if !newer::is_told_apart(self.options, &args) {
            self.run(which, mode, &args);
        }
    }

    fn run(&mut self, which: usize, mode: Mode, args: &[Arg]) {
        self.sent += 1;
        self.history.push(args.to_vec());
        let verdict = self.setup.pairs[which].run(mode, args);
        self.judge_verdict(which, args, verdict);
        self.compare_events(which, args);
    }

    /// A command that finds one of its keys expired.
    pub(super) fn expired(&mut self, which: usize) {
        let (mode, args) = self.command(false);
        // DEBUG looks at what has expired, too, if it is still there.
        if args[0].eq_ignore_ascii_case(b"debug") {
            return;
        }
        let keys: Vec<&Arg> = args.iter().skip(1).filter(|arg| history::is_key(arg)).collect();
        let Some(key) = (!keys.is_empty()).then(|| keys[self.rng.index(keys.len())].clone()) else { return };
        self.run(which, Mode::Exact, &[b"PEXPIRE".to_vec(), key.clone(), SOON_MS.to_vec()]);
        std::thread::sleep(PAST_EXPIRY);
        self.run(which, mode, &args);
        // Whoever did not notice does so now.
        self.run(which, Mode::Exact, &[b"EXISTS".to_vec(), key]);
        self.compare_expired(which, &args);
    }

    fn judge_verdict(&mut self, which: usize, args: &[Arg], verdict: std::io::Result<Verdict>) {
        match verdict {
            Ok(Verdict::Equal) => {}
            Ok(Verdict::Differs(replies, why)) => {
                if differences::intended(&mut self.setup.pairs[which], args, &replies).is_none() {
                    self.differs(args, &replies, why, which);
                }
            }
            Err(error) => panic!("connection lost at {}: {error}\n{}", shown(args), self.history.about(args)),
        }
    }

    /// A few commands in MULTI and EXEC, now and then with keys that are watched and perhaps written to by others.
    pub(super) fn transaction(&mut self, which: usize) {
        if self.rng.percent(40) {
            self.watch(which);
        }
        let mut queued = Vec::new();
        let mut sent = vec![(Mode::Exact, vec![b"MULTI".to_vec()])];
        for _ in 0..1 + self.rng.index(5) {
            let (mode, args) = self.command(false);
            if fits_transaction(mode, &args) && !newer::is_told_apart(self.options, &args) {
                // Consumers that ask in vain come to be on ours alone.
                sent.extend(consumers_asking(&args).into_iter().map(|creation| (Mode::Exact, creation)));
                sent.push((mode, args));
            }
        }
        for (mode, args) in &sent {
            self.history.push(args.clone());
            let replies = self.setup.pairs[which].both(args).expect("replies in a transaction");
            if replies.ours.value == RespValue::Simple(b"QUEUED".to_vec()) {
                queued.push((*mode, args.clone()));
            }
            if replies.ours.raw != replies.theirs.raw {
                self.differs(args, &replies, "not the same bytes while queueing", which);
            }
        }
        let end = if self.rng.percent(10) { b"DISCARD".to_vec() } else { b"EXEC".to_vec() };
        let end = vec![end];
        self.history.push(end.clone());
        self.sent += 1;
        let replies = self.setup.pairs[which].both(&end).expect("the reply to EXEC");
        self.judge_exec(which, &queued, &end, replies);
        self.compare_events(which, &end);
    }

    /// WATCH of some keys, and a command or two of another client.
    fn watch(&mut self, which: usize) {
        let mut watch = vec![b"WATCH".to_vec()];
        (0..1 + self.rng.index(2)).for_each(|_| watch.push(atoms::random("key", &mut self.rng)));
        self.run(which, Mode::Exact, &watch);
        for _ in 0..self.rng.index(3) {
            if self.rng.percent(10) {
                self.expired(1 - which);
            }
            let (mode, args) = self.command(false);
            // One that removes nothing fails a WATCH of Redis's.
            let is_compared = fits_transaction(mode, &args) && !newer::is_told_apart(self.options, &args);
            if is_compared && !args[0].eq_ignore_ascii_case(b"ltrim") {
                self.run(1 - which, mode, &args);
            }
        }
        if self.rng.percent(5) {
            self.run(which, Mode::Exact, &[b"UNWATCH".to_vec()]);
        }
    }

    fn judge_exec(&mut self, which: usize, queued: &[(Mode, Vec<Arg>)], end: &[Arg], replies: Replies) {
        let items = |value: &RespValue| match value {
            RespValue::Array(items) => Some(items.clone()),
            _ => None,
        };
        let (ours, theirs) = match (items(&replies.ours.value), items(&replies.theirs.value)) {
            (Some(a), Some(b)) if a.len() == b.len() && a.len() == queued.len() => (a, b),
            (None, None) if replies.ours.raw == replies.theirs.raw => return,
            _ => return self.differs(end, &replies, "EXEC or DISCARD answers otherwise", which),
        };
        for ((mode, args), (a, b)) in queued.iter().zip(ours.into_iter().zip(theirs)) {
            let raw = |value: &RespValue| format!("{value:?}").into_bytes();
            let reply = |value: RespValue| crate::support::client::RawReply { raw: raw(&value), value };
            let one = Replies { ours: reply(a), theirs: reply(b) };
            let verdict = self.setup.pairs[which].judge(*mode, args, one).expect("a comparison");
            if let Verdict::Differs(replies, why) = verdict
                && differences::intended(&mut self.setup.pairs[which], args, &replies).is_none()
            {
                self.differs(args, &replies, why, which);
            }
        }
    }
}

/// Can the command be compared by its reply in EXEC alone?
fn fits_transaction(mode: Mode, args: &[Arg]) -> bool {
    let name = args[0].to_ascii_uppercase();
    // One that only ours queues would make the transactions differ as a whole; SORT needs a look before and after it; and an
    // XSETID that only ours refuses would make them go on with different streams.
    let is_ours_alone = args.len() == 4 && name.ends_with(b"RANK");
    !is_ours_alone
        && !name.starts_with(b"SORT")
        && name != b"XSETID"
        && matches!(mode, Mode::Exact | Mode::Unordered | Mode::Pairs | Mode::Near(_) | Mode::Times)
}

/// Commands in which a stray number could make a key expire during the run, at a moment of chance.
fn expires(name: &str) -> bool {
    const NAMES: &[&str] =
        &["SET", "SETEX", "PSETEX", "GETEX", "EXPIRE", "PEXPIRE", "HEXPIRE", "HPEXPIRE", "HGETEX", "HSETEX"];
    NAMES.contains(&name)
}

fn is_soon(arg: &[u8]) -> bool {
    let number = std::str::from_utf8(arg).ok().and_then(|text| text.trim().parse::<i64>().ok());
    number.is_some_and(|number| (1..100_000).contains(&number))
}

/// So many random elements, repetitions allowed, that 7.0 goes on until memory ends.
fn is_endless(arg: &[u8]) -> bool {
    let number = std::str::from_utf8(arg).ok().and_then(|text| text.parse::<i64>().ok());
    number.is_some_and(|number| number != i64::MIN && number < -10_000)
}
