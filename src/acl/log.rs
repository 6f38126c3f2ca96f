//! The log of what was refused: the newest first, what is the same within a minute counted together.

use std::collections::VecDeque;
use std::sync::Arc;

/// Entries among which one of the same kind is looked for.
const LOOKED_AT: usize = 10;
/// What is kept of an object or a name, in bytes.
const KEPT_BYTES: usize = 1024;
/// How long after the last of its kind one is counted with it, in ms.
const TOGETHER_MS: i64 = 60_000;

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A password.
    Auth,
}

impl Reason {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// Where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By itself.
    TopLevel,
    /// In a transaction.
    Multi,
}

impl Place {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Place::TopLevel => "toplevel",
            Place::Multi => "multi",
        }
    }
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was refused.
    pub reason: Reason,
    /// Where.
    pub place: Place,
    /// The command, key or channel; of a password, the command that it came with.
    pub object: Vec<u8>,
    /// Who.
    pub user: Arc<[u8]>,
    /// The client, as CLIENT LIST shows it.
    pub client: String,
}

/// Refusals of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unique and rising.
    pub id: u64,
    /// The last of them.
    pub refused: Refused,
    /// How many.
    pub count: u64,
    /// When the first was, unix ms.
    pub first_ms: i64,
    /// When the last was, unix ms.
    pub last_ms: i64,
}

/// The log.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl AclLog {
    /// Adds a refusal, and keeps no more than `max` entries.
    pub fn add(&mut self, mut refused: Refused, now_ms: i64, max: usize) {
        refused.object.truncate(KEPT_BYTES);
        refused.object.shrink_to_fit();
        if let Some(start) = refused.user.get(..KEPT_BYTES) {
            refused.user = start.into();
        }
        let same = |entry: &Entry| {
            let it = &entry.refused;
            (it.reason, it.place, &it.object, &it.user)
                == (refused.reason, refused.place, &refused.object, &refused.user)
                && now_ms - entry.last_ms <= TOGETHER_MS
        };
        let entry = match self.entries.iter().take(LOOKED_AT).position(same) {
            Some(at) => self.entries.remove(at).map(|known| Entry {
                refused,
                count: known.count + 1,
                last_ms: now_ms,
                ..known
            }),
            None => {
                self.next_id += 1;
                let id = self.next_id - 1;
                Some(Entry { id, refused, count: 1, first_ms: now_ms, last_ms: now_ms })
            }
        };
        self.entries.extend(entry);
        self.entries.rotate_right(1);
        self.entries.truncate(max);
    }

    /// The newest entries, at most `count`.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        self.entries.iter().take(count).cloned().collect()
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(object: &str) -> Refused {
        Refused {
            reason: Reason::Key,
            place: Place::TopLevel,
            object: object.into(),
            user: b"u".as_slice().into(),
            client: String::new(),
        }
    }

    fn shown(log: &AclLog) -> Vec<(String, u64, u64)> {
        let entries = log.newest(100);
        entries.iter().map(|it| (it.refused.object.escape_ascii().to_string(), it.count, it.id)).collect()
    }

    #[test]
    fn the_same_within_a_minute_is_one_entry() {
        let mut log = AclLog::default();
        for (object, at_ms) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 60_001)] {
            log.add(refused(object), at_ms, 10);
        }
        assert_eq!(shown(&log), [("a".into(), 3, 0), ("b".into(), 1, 1)]);
        let entry = log.newest(1).remove(0);
        assert_eq!((entry.first_ms, entry.last_ms), (0, 60_001));
        log.add(refused("a"), 120_002, 10);
        assert_eq!(shown(&log)[0], ("a".into(), 1, 2));
        log.add(Refused { place: Place::Multi, ..refused("a") }, 120_002, 10);
        assert_eq!(shown(&log)[0], ("a".into(), 1, 3));
    }

    #[test]
    fn long_names_are_cut() {
        let mut log = AclLog::default();
        let user: Arc<[u8]> = vec![b'u'; 5_000].into();
        log.add(Refused { user, ..refused(&"k".repeat(5_000)) }, 0, 10);
        let entry = log.newest(1).remove(0).refused;
        assert_eq!((entry.object.len(), entry.user.len()), (KEPT_BYTES, KEPT_BYTES));
    }

    #[test]
    fn the_oldest_go_and_few_are_looked_at() {
        let mut log = AclLog::default();
        for at in 0..12 {
            log.add(refused(&at.to_string()), 0, 100);
        }
        log.add(refused("0"), 0, 100);
        assert_eq!(shown(&log)[0], ("0".into(), 1, 12));
        log.add(refused("x"), 0, 2);
        assert_eq!(shown(&log), [("x".into(), 1, 13), ("0".into(), 1, 12)]);
        log.add(refused("y"), 0, 0);
        assert!(shown(&log).is_empty());
    }
}
