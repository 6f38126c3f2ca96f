//! The slow log: the last commands that took longer than `slowlog-log-slower-than`.

use super::config::{self, Config};
use crate::command::{Command, registry};
use crate::sys::ticks;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most arguments an entry keeps; the last then tells how many more there were.
const ARGS_MAX: usize = 32;
/// Longest argument an entry keeps, in bytes.
const ARG_MAX_BYTES: usize = 128;

/// One slow command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowEntry {
    /// Unique and rising.
    pub id: u64,
    /// When it ended, unix seconds.
    pub at_s: i64,
    /// How long it took, microseconds.
    pub us: u64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub client_name: String,
}

/// How long a command must take to be logged, in ticks; the greatest number logs none.
pub(super) fn threshold_ticks(config: &Config) -> u64 {
    match u64::try_from(config.slowlog_slower_than_us) {
        Ok(us) => ticks::from_ns(us.saturating_mul(1000)),
        Err(_) => u64::MAX,
    }
}

/// The slow log.
pub struct SlowLog {
    /// Commands that take longer, in ticks, are logged; the greatest number logs none.
    threshold_ticks: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
    max_len: usize,
}

impl SlowLog {
    /// An empty log.
    pub fn new(config: &Config) -> SlowLog {
        let inner = Inner { entries: VecDeque::new(), next_id: 0, max_len: 0 };
        let log = SlowLog { threshold_ticks: AtomicU64::new(u64::MAX), inner: Mutex::new(inner) };
        log.configure(config);
        log
    }

    /// Takes threshold and length from the configuration. Also to be called when the measure of a tick was refined.
    pub fn configure(&self, config: &Config) {
        self.threshold_ticks.store(threshold_ticks(config), Ordering::Relaxed);
        let mut inner = self.inner.lock();
        inner.max_len = config.slowlog_max_len;
        inner.trim();
    }

    /// Was a command of so many ticks slow?
    #[inline]
    pub fn is_slow(&self, ticks: u64) -> bool {
        let threshold = self.threshold_ticks.load(Ordering::Relaxed);
        ticks >= threshold && threshold != u64::MAX
    }

    /// Adds a command that took so many ticks.
    #[cold]
    pub fn add(&self, ticks: u64, now_ms: i64, args: &[&[u8]], addr: String, client_name: String) {
        let mut inner = self.inner.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let us = ticks::to_ns(ticks) / 1000;
        let entry = SlowEntry { id, at_s: now_ms / 1000, us, args: shortened(args), addr, client_name };
        inner.entries.push_front(entry);
        inner.trim();
    }

    /// The newest entries, at most `count`.
    pub fn newest(&self, count: usize) -> Vec<SlowEntry> {
        self.inner.lock().entries.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries.
    pub fn clear(&self) {
        self.inner.lock().entries.clear();
    }
}

impl Inner {
    fn trim(&mut self) {
        self.entries.truncate(self.max_len);
    }
}

/// The arguments of a command without the secrets that are among them.
pub fn redacted<'a>(command: &Command, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    const REDACTED: &[u8] = b"(redacted)";
    let mut shown = args.to_vec();
    let full_name = registry::full_name(command);
    for at in 1..args.len() {
        let secret = match full_name {
            "auth" => true,
            // Whoever reads the slow log learns nothing of users.
            "acl|setuser" | "acl|getuser" | "acl|deluser" => at >= 2,
            // AUTH password, or AUTH2 user password.
            "migrate" if at > 6 => is_auth(&args[at - 1]) || args[6..at].iter().rev().take(2).any(is_auth2),
            "hello" => args[..at].iter().rev().take(2).any(is_auth),
            "config|set" => {
                at >= 3 && at % 2 == 1 && config::find(args[at - 1]).is_some_and(|it| it.sensitive)
            }
            _ => false,
        };
        if secret {
            shown[at] = REDACTED;
        }
    }
    shown
}

fn is_auth(word: &&[u8]) -> bool {
    word.eq_ignore_ascii_case(b"auth")
}

fn is_auth2(word: &&[u8]) -> bool {
    word.eq_ignore_ascii_case(b"auth2")
}

/// The arguments as the log keeps them: no more than [`ARGS_MAX`], each cut at [`ARG_MAX_BYTES`].
fn shortened(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let shorten = |arg: &&[u8]| match arg.get(..ARG_MAX_BYTES) {
        Some(start) if arg.len() > ARG_MAX_BYTES => {
            let more = arg.len() - ARG_MAX_BYTES;
            [start, format!("... ({more} more bytes)").as_bytes()].concat()
        }
        _ => arg.to_vec(),
    };
    let mut short: Vec<Vec<u8>> = args.iter().take(kept).map(shorten).collect();
    if kept < args.len() {
        short.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_shortens() {
        let mut config = Config::default();
        (config.slowlog_slower_than_us, config.slowlog_max_len) = (1000, 2);
        let log = SlowLog::new(&config);
        assert!(log.is_slow(ticks::from_ns(2_000_000)) && !log.is_slow(ticks::from_ns(500_000)));
        let long = [b'x'; 200];
        let args: Vec<&[u8]> = std::iter::once(&b"set"[..]).chain((0..40).map(|_| &long[..])).collect();
        log.add(0, 5_000, &[b"a"], "1.2.3.4:5".into(), "me".into());
        log.add(0, 5_000, &[b"b"], String::new(), String::new());
        log.add(ticks::from_ns(7_000_500), 9_999, &args, String::new(), String::new());
        let entries = log.newest(10);
        assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((entries[0].at_s, entries[0].us, entries[0].args.len()), (9, 7_000, 32));
        assert_eq!(entries[0].args[1], [&[b'x'; 128][..], b"... (72 more bytes)"].concat());
        assert_eq!(entries[0].args[31], b"... (10 more arguments)");
        config.slowlog_max_len = 0;
        config.slowlog_slower_than_us = -1;
        log.configure(&config);
        assert!(log.is_empty() && !log.is_slow(u64::MAX));
    }

    #[test]
    fn secrets_are_kept_out() {
        let shown = |name: &str, line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let command = registry::find_full(name.as_bytes()).unwrap();
            String::from_utf8(redacted(command, &args).join(&b' ')).unwrap()
        };
        assert_eq!(shown("auth", "AUTH user pass"), "AUTH (redacted) (redacted)");
        assert_eq!(
            shown("hello", "hello 3 Auth user pass setname x"),
            "hello 3 Auth (redacted) (redacted) setname x"
        );
        assert_eq!(
            shown("config|set", "config set loglevel debug requirepass secret"),
            "config set loglevel debug requirepass (redacted)"
        );
        assert_eq!(shown("echo", "echo auth"), "echo auth");
        assert_eq!(shown("acl|setuser", "acl setuser u >secret"), "acl setuser (redacted) (redacted)");
        let head = "migrate h 1 auth 0 1";
        assert_eq!(
            shown("migrate", &format!("{head} auth secret copy")),
            format!("{head} auth (redacted) copy")
        );
        assert_eq!(
            shown("migrate", &format!("{head} auth2 user secret copy")),
            format!("{head} auth2 (redacted) (redacted) copy")
        );
    }
}
