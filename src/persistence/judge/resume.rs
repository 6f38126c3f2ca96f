//! What can be read behind a damaged record.

use super::{Judging, Part};
use crate::format::rdb::cut::Cutter;
use crate::format::rdb::examine::{Buffers, Examiner, Seen};
use crate::persistence::parts::Follower;
use std::collections::HashSet;

/// Records in a row that must be sound where bytes were passed over to find them.
const ENOUGH_RECORDS: usize = 12;
/// The same where the damaged record's lengths lead.
const ENOUGH_BY_LENGTHS: usize = 2;
/// Places at which reading on is tried.
const MOST_TRIES: usize = 4 << 20;
/// Bytes that all tries together may read.
const MOST_TRIED_BYTES: usize = 256 << 20;
/// Damaged records behind which reading goes on.
const MOST_DAMAGED: u64 = 100;

/// What can be read behind a damaged record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct After {
    /// Where reading can go on; `None` if nowhere, or not found with reasonable effort.
    pub resumes_at: Option<u64>,
    /// Whether the damaged record's own lengths lead there. Otherwise bytes were passed over until sound records followed,
    /// and the database that these are of is a guess.
    pub by_its_lengths: bool,
    /// Keys that can be read from there on.
    pub keys: u64,
    /// Further damaged records among them.
    pub damaged: u64,
    /// Whether that leads to the snapshot's end.
    pub reaches_end: bool,
}

/// Looks for what can be read behind the record at `at`, which is damaged.
pub(super) fn after(bytes: &[u8], version: u16, at: usize, db: u32, judging: &mut Judging<'_>) -> After {
    let mut after = After::default();
    let mut search =
        Search { bytes, version, judging, tries: 0, tried_bytes: 0, buffers: Buffers::default() };
    let (mut at, mut db) = (at, db);
    while let Some(found) = search.next_sound(at, db) {
        if after.resumes_at.is_none() {
            (after.resumes_at, after.by_its_lengths) = (Some(found.at as u64), found.by_lengths);
        } else {
            after.damaged += 1;
        }
        let run = search.run(found.at, found.db, usize::MAX);
        after.keys += run.keys;
        after.reaches_end = run.is_end;
        if run.is_end || after.damaged >= MOST_DAMAGED {
            break;
        }
        (at, db) = (run.stopped_at, run.db);
    }
    after
}

struct Found {
    at: usize,
    db: u32,
    by_lengths: bool,
}

/// Sound records in a row.
struct Run {
    records: usize,
    keys: u64,
    /// Whether they led to the end.
    is_end: bool,
    /// The first that is not sound.
    stopped_at: usize,
    db: u32,
    /// Whether it looks like records rather than like bytes that happen to read as some.
    is_likely: bool,
}

struct Search<'b, 'j, 'p> {
    bytes: &'b [u8],
    version: u16,
    judging: &'j mut Judging<'p>,
    tries: usize,
    tried_bytes: usize,
    buffers: Buffers,
}

impl Search<'_, '_, '_> {
    /// Where records are sound again behind the one at `at`.
    fn next_sound(&mut self, at: usize, db: u32) -> Option<Found> {
        let here = Part { bytes: at..self.bytes.len(), db, version: self.version };
        let mut cutter = Cutter::at(self.bytes, &here, &self.judging.read);
        if cutter.pass_record().is_ok() {
            let (next, db) = (cutter.offset(), cutter.db());
            // The end has no successor, and is not damaged by itself.
            if cutter.end().is_none() && self.is_sound(next, db, ENOUGH_BY_LENGTHS) {
                return Some(Found { at: next, db, by_lengths: true });
            }
        }
        for next in at + 1..self.bytes.len() {
            self.tries += 1;
            if self.tries > MOST_TRIES || self.tried_bytes > MOST_TRIED_BYTES {
                return None;
            }
            if may_begin(self.bytes[next]) && self.is_sound(next, db, ENOUGH_RECORDS) {
                return Some(Found { at: next, db, by_lengths: false });
            }
        }
        None
    }

    fn is_sound(&mut self, at: usize, db: u32, enough: usize) -> bool {
        let run = self.run(at, db, enough);
        self.tried_bytes += run.stopped_at.saturating_sub(at);
        (run.records >= enough || run.is_end) && run.is_likely
    }

    /// Reads records from `at` on, `most` at most.
    fn run(&mut self, at: usize, db: u32, most: usize) -> Run {
        let rest = Part { bytes: at..self.bytes.len(), db, version: self.version };
        let follower = Follower::new(self.judging.passed, at);
        let tell = |at| follower.at(at);
        let buffers = std::mem::take(&mut self.buffers);
        let mut examiner = Examiner::new(self.bytes, &rest, &self.judging.read, buffers).telling(&tell);
        let mut run = Run { records: 0, keys: 0, is_end: false, stopped_at: at, db, is_likely: true };
        let mut keys = HashSet::new();
        while run.records < most {
            match examiner.next_record() {
                Ok(Some(Seen::End(_))) => {
                    // In the middle of other bytes the mark of the end means nothing.
                    run.is_end = examiner.offset() == self.bytes.len();
                    run.stopped_at = examiner.offset();
                    break;
                }
                Ok(Some(seen)) => {
                    run.keys += u64::from(matches!(seen, Seen::Entry { .. }));
                    if run.records < ENOUGH_RECORDS && matches!(seen, Seen::Entry { .. }) {
                        // Rows of equal bytes read as rows of equal keys.
                        run.is_likely &= !examiner.key().is_empty() && keys.insert(examiner.key().to_vec());
                    }
                    run.is_likely &=
                        matches!(seen, Seen::Entry { .. } | Seen::SelectDb(0..=1024) | Seen::ResizeDb);
                }
                Ok(None) | Err(_) => break,
            }
            run.records += 1;
            run.stopped_at = examiner.offset();
            run.db = examiner.db();
        }
        self.buffers = examiner.into_buffers();
        run
    }
}

/// Whether a record may begin with this byte.
fn may_begin(byte: u8) -> bool {
    byte <= 25 || byte >= 248
}
