//! The log: the one stream of write effects of a node, in memory.
//!
//! On a primary it is the backlog that replicas read; on a replica it holds the primary's bytes as they
//! came, for its own replicas and for the writer of the append-only file. Every reader has a position; the
//! log keeps what its slowest reader still needs (up to a limit) and, beyond that, the last
//! `backlog_bytes` for replicas that come back. As long as nobody can come back, as nobody was ever told of this history,
//! it keeps nothing and only counts ([`Log::keep`]).
//!
//! Offsets are those of the replication protocol: the first byte ever appended to a lineage has offset 1,
//! and [`Log::end`] is the offset of the last byte. A position `p` means "everything up to `p` is had".
//! Invariant: `start <= every position served <= end`, and each append ends at a command boundary.

use super::{Epoch, Lineage, epoch};
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use thiserror::Error;

/// Bytes of one block of the log.
const BLOCK_BYTES: usize = 64 * 1024;

/// Why the log could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LogError {
    /// The bytes after this position are no longer held.
    #[error("the log starts at offset {start}, after the position {position} asked for")]
    Trimmed {
        /// The position asked for.
        position: u64,
        /// The first position the log can serve.
        start: u64,
    },
    /// The log began another history; its earlier readers are cut off.
    #[error("the log began another history")]
    Restarted,
    /// The history goes on under another lineage, of which the replica that reads must be told.
    #[error("the history goes on under another lineage")]
    Renamed,
    /// The position lies ahead of the log.
    #[error("the log ends at offset {end}, before the position {position} asked for")]
    Ahead {
        /// The position asked for.
        position: u64,
        /// The log's end.
        end: u64,
    },
}

/// Names a reader of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReaderId(u64);

struct Reader {
    id: ReaderId,
    position: u64,
    /// Bytes this reader may be behind before the log stops waiting for it.
    limit_bytes: u64,
    /// Of a replica: the lineage by which it knows what it reads.
    lineage: Option<Lineage>,
}

/// What names the log's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The lineage written now.
    pub lineage: Lineage,
    /// The lineage that a promotion left.
    pub previous: Lineage,
    /// Positions up to this one are common to both; -1 without a previous lineage.
    pub previous_end: i64,
    /// How often it was taken over.
    pub epoch: Epoch,
}

impl History {
    /// A history of which no past is known.
    pub fn without_past(lineage: Lineage, epoch: Epoch) -> History {
        History { lineage, previous: Lineage::NONE, previous_end: -1, epoch }
    }
}

struct Inner {
    blocks: VecDeque<Vec<u8>>,
    /// The position before the first held byte.
    start: u64,
    end: u64,
    backlog_bytes: u64,
    /// Somebody may want what is appended; else nothing is held, and `start` is `end`.
    kept: bool,
    readers: Vec<Reader>,
    next_reader: u64,
    history: History,
    /// The database that the log's last SELECT chose; `None` forces one before the next effect.
    db: Option<u32>,
    /// Beginnings of commands here and there, with the database selected before them, oldest first.
    marks: VecDeque<Mark>,
    /// From here on the next beginning is noted.
    next_mark: u64,
}

/// A place in the log where a command begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Everything up to here lies before it.
    pub position: u64,
    /// The database selected there; `None`: the next effect selects one.
    pub db: Option<u32>,
}

type Wake = Box<dyn Fn() + Send + Sync>;

/// The log of a node. Appends happen under the shard locks of the command, which makes the log a valid
/// serial order.
pub struct Log {
    inner: Mutex<Inner>,
    end: AtomicU64,
    unwoken: AtomicBool,
    wakes: Mutex<Vec<(ReaderId, Wake)>>,
}

impl Log {
    /// An empty log of this lineage that goes on from `offset`.
    pub fn new(lineage: Lineage, offset: u64, backlog_bytes: u64) -> Log {
        let history = History::without_past(lineage, Epoch::FIRST);
        let inner = Inner {
            blocks: VecDeque::new(),
            start: offset,
            end: offset,
            backlog_bytes,
            kept: false,
            readers: Vec::new(),
            next_reader: 1,
            history,
            db: None,
            marks: VecDeque::new(),
            next_mark: offset,
        };
        Log {
            inner: Mutex::new(inner),
            end: AtomicU64::new(offset),
            unwoken: AtomicBool::new(false),
            wakes: Mutex::new(Vec::new()),
        }
    }

    /// The offset of the last byte appended.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The first position that can be served.
    pub fn start(&self) -> u64 {
        self.inner.lock().start
    }

    /// Lineages of this log.
    pub fn history(&self) -> History {
        self.inner.lock().history
    }

    /// History, end and selected database, as of one moment.
    pub fn position(&self) -> (History, u64, Option<u32>) {
        let inner = self.inner.lock();
        (inner.history, inner.end, inner.db)
    }

    /// Appends effects of one command or transaction: SELECTs are put in where the database changes, and
    /// several effects become one MULTI … EXEC, so that they are applied together or not at all.
    pub fn append_effects<'e>(&self, count: usize, effects: impl Iterator<Item = (u32, &'e [u8])>) -> u64 {
        let mut inner = self.inner.lock();
        inner.mark();
        let mut open = false;
        for (db, bytes) in effects {
            if count > 1 && !open {
                inner.append(b"*1\r\n$5\r\nMULTI\r\n");
                open = true;
            }
            // Within a transaction, too, as in the stream of a stock server.
            if inner.db != Some(db) {
                inner.append_select(db);
            }
            inner.append(bytes);
        }
        if open {
            inner.append(b"*1\r\n$4\r\nEXEC\r\n");
        }
        self.finish(inner)
    }

    /// Appends bytes as they came from the primary; they must end at a command boundary. `db` is the
    /// database selected after them.
    pub fn append_raw(&self, bytes: &[u8], db: u32) -> u64 {
        let mut inner = self.inner.lock();
        // The history is its primary's, who tells others of it.
        inner.kept = true;
        inner.mark();
        inner.append(bytes);
        inner.db = Some(db);
        self.finish(inner)
    }

    /// Appends bytes that select nothing and change nothing (PING, REPLCONF GETACK).
    pub fn append_neutral(&self, bytes: &[u8]) -> u64 {
        let mut inner = self.inner.lock();
        inner.mark();
        inner.append(bytes);
        self.finish(inner)
    }

    fn finish(&self, mut inner: MutexGuard<'_, Inner>) -> u64 {
        inner.trim();
        let end = inner.end;
        self.end.store(end, Ordering::Release);
        drop(inner);
        self.unwoken.store(true, Ordering::Release);
        end
    }

    /// Makes the next effect start with a SELECT: a new replica begins there.
    pub fn forget_db(&self) {
        self.inner.lock().db = None;
    }

    /// Keeps what is appended from now on: somebody is about to be told where the history stands, and may come for what
    /// follows. So does every reader, and [`Log::restart`].
    pub fn keep(&self) {
        self.inner.lock().kept = true;
    }

    /// Gives up everything, and keeps nothing until somebody is told of the history again; not while it has readers.
    pub fn let_go(&self) {
        let mut inner = self.inner.lock();
        if inner.readers.is_empty() {
            inner.kept = false;
            inner.blocks = VecDeque::new();
            inner.marks = VecDeque::new();
            inner.next_mark = inner.end;
            inner.start = inner.end;
        }
    }

    /// Whether it keeps what is appended.
    pub fn is_kept(&self) -> bool {
        self.inner.lock().kept
    }

    /// Starts another history at `offset`: everything held is dropped, and readers are cut off.
    pub fn restart(&self, history: History, offset: u64, db: Option<u32>) {
        let mut inner = self.inner.lock();
        inner.blocks.clear();
        inner.readers.clear();
        inner.start = offset;
        inner.end = offset;
        inner.kept = true;
        inner.history = history;
        inner.db = db;
        inner.marks.clear();
        inner.next_mark = offset;
        self.end.store(offset, Ordering::Release);
        drop(inner);
        // They wake up and find that they are cut off.
        self.wakes.lock().drain(..).for_each(|(_, wake)| wake());
    }

    /// Takes another lineage for what follows; what was written so far stays known by the old one.
    pub fn change_lineage(&self, lineage: Lineage) {
        let mut inner = self.inner.lock();
        inner.rename(lineage);
        inner.db = None;
        drop(inner);
        self.renamed();
    }

    /// Begins a higher epoch, and with `lineage` another lineage: the history has been taken over. What follows begins with a
    /// record of the epoch, so that whoever follows, directly or not, learns of it.
    pub fn begin_epoch(&self, number: u64, lineage: Option<Lineage>) {
        let mut inner = self.inner.lock();
        if let Some(lineage) = lineage {
            inner.rename(lineage);
            inner.db = None;
        }
        let number = number.max(inner.history.epoch.number + 1);
        inner.history.epoch = Epoch { number, since: inner.end };
        inner.kept = true;
        inner.mark();
        inner.append(&epoch::record(number));
        self.finish(inner);
        self.renamed();
    }

    /// Takes note that the primary's history is in this epoch; one that is not higher tells nothing new.
    pub fn learn_epoch(&self, epoch: Epoch) {
        let mut inner = self.inner.lock();
        if epoch.number > inner.history.epoch.number {
            inner.history.epoch = epoch;
        }
    }

    /// Follows the primary's new name for the same history (`+CONTINUE <lineage>`).
    pub fn rename_lineage(&self, lineage: Lineage) {
        let mut inner = self.inner.lock();
        if inner.history.lineage != lineage {
            inner.rename(lineage);
            drop(inner);
            self.renamed();
        }
    }

    /// Replicas' readers must notice, although nothing was appended.
    fn renamed(&self) {
        self.unwoken.store(true, Ordering::Release);
        self.wake_readers();
    }

    /// Sets `repl-backlog-size`.
    pub fn set_backlog_bytes(&self, bytes: u64) {
        let mut inner = self.inner.lock();
        inner.backlog_bytes = bytes;
        inner.trim();
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> u64 {
        let inner = self.inner.lock();
        inner.end - inner.start
    }

    /// Bytes of the blocks that hold them, and of what leads to those.
    pub fn allocated_bytes(&self) -> u64 {
        let inner = self.inner.lock();
        let lists =
            inner.blocks.capacity() * size_of::<Vec<u8>>() + inner.marks.capacity() * size_of::<Mark>();
        (inner.blocks.len() * BLOCK_BYTES + lists) as u64
    }

    /// True when a replica of `lineage` that has everything up to `position` can go on from this log.
    pub fn can_continue(&self, lineage: Lineage, position: u64) -> bool {
        self.lineage_after(lineage, position, None).is_some()
    }

    /// The lineage under which such a replica goes on; `None` when it cannot. Where it told an epoch that has ended, what it has
    /// beyond that end is not what this log has.
    pub fn lineage_after(&self, lineage: Lineage, position: u64, told_epoch: Option<u64>) -> Option<Lineage> {
        let inner = self.inner.lock();
        let history = &inner.history;
        let is_past = |epoch| epoch < history.epoch.number && position > history.epoch.since;
        if told_epoch.is_some_and(is_past) {
            return None;
        }
        let known = lineage == history.lineage
            || (lineage == history.previous && lineage.is_some() && position as i64 <= history.previous_end);
        (known && position >= inner.start && position <= inner.end).then_some(history.lineage)
    }

    /// The last noted beginning of a command at or before `position`, if the log still has it.
    pub fn mark_before(&self, position: u64) -> Option<Mark> {
        self.inner.lock().marks.iter().rev().find(|mark| mark.position <= position).copied()
    }

    /// Adds a reader at `position`; `wake` is called (from any thread, briefly) when there may be more.
    pub fn add_reader(&self, position: u64, limit_bytes: u64, wake: Wake) -> Result<ReaderId, LogError> {
        self.add(position, limit_bytes, None, wake)
    }

    /// As [`Log::add_reader`], for a replica that knows the history by the name `lineage`. Where it goes on under another
    /// one, the reader ends with [`LogError::Renamed`]: a replica that went on unaware would stand at offsets which its lineage
    /// does not have.
    pub fn add_replica(
        &self,
        position: u64,
        limit_bytes: u64,
        lineage: Lineage,
        wake: Wake,
    ) -> Result<ReaderId, LogError> {
        self.add(position, limit_bytes, Some(lineage), wake)
    }

    fn add(
        &self,
        position: u64,
        limit_bytes: u64,
        lineage: Option<Lineage>,
        wake: Wake,
    ) -> Result<ReaderId, LogError> {
        let mut inner = self.inner.lock();
        inner.check(position)?;
        let id = ReaderId(inner.next_reader);
        inner.next_reader += 1;
        inner.kept = true;
        if lineage.is_some() && inner.blocks.is_empty() {
            // The backlog is there from the first replica on, as `maxmemory` is best set with it in view.
            inner.blocks.push_back(Vec::with_capacity(BLOCK_BYTES));
        }
        inner.readers.push(Reader { id, position, limit_bytes, lineage });
        drop(inner);
        self.wakes.lock().push((id, wake));
        Ok(id)
    }

    /// Removes a reader.
    pub fn remove_reader(&self, id: ReaderId) {
        self.wakes.lock().retain(|(other, _)| *other != id);
        let mut inner = self.inner.lock();
        inner.readers.retain(|reader| reader.id != id);
        inner.trim();
    }

    /// Copies up to `max` bytes that follow the reader's position to `out`, and advances it. 0 bytes: it
    /// has caught up. On [`LogError::Trimmed`] the reader has been too slow; on [`LogError::Restarted`] it must
    /// begin anew.
    pub fn read(&self, id: ReaderId, out: &mut Vec<u8>, max: usize) -> Result<usize, LogError> {
        let mut inner = self.inner.lock();
        let Some(at) = inner.readers.iter().position(|reader| reader.id == id) else {
            return Err(LogError::Restarted);
        };
        let position = inner.readers[at].position;
        inner.check(position)?;
        let left = inner.left_of_lineage(&inner.readers[at]);
        if left == Some(0) {
            return Err(LogError::Renamed);
        }
        let max = left.and_then(|left| usize::try_from(left).ok()).map_or(max, |left| max.min(left));
        let count = inner.copy(position, out, max);
        inner.readers[at].position = position + count as u64;
        Ok(count)
    }

    /// Moves a reader forward to `position`, giving up what lies before it.
    pub fn seek_reader(&self, id: ReaderId, position: u64) -> Result<(), LogError> {
        let mut inner = self.inner.lock();
        inner.check(position)?;
        match inner.readers.iter_mut().find(|reader| reader.id == id) {
            Some(reader) => reader.position = position,
            None => return Err(LogError::Restarted),
        }
        Ok(())
    }

    /// How far the reader has read; `None` when it was cut off.
    pub fn reader_position(&self, id: ReaderId) -> Option<u64> {
        self.inner.lock().readers.iter().find(|reader| reader.id == id).map(|reader| reader.position)
    }

    /// Tells readers that there is more, if there is; called once after a batch of commands.
    #[inline]
    pub fn wake_readers(&self) {
        if self.unwoken.load(Ordering::Relaxed) && self.unwoken.swap(false, Ordering::AcqRel) {
            self.wakes.lock().iter().for_each(|(_, wake)| wake());
        }
    }
}

impl Inner {
    fn check(&self, position: u64) -> Result<(), LogError> {
        if position < self.start {
            return Err(LogError::Trimmed { position, start: self.start });
        }
        if position > self.end {
            return Err(LogError::Ahead { position, end: self.end });
        }
        Ok(())
    }

    /// Bytes that a reader may still have before its history takes another name; `None` when it has not.
    fn left_of_lineage(&self, reader: &Reader) -> Option<u64> {
        let history = &self.history;
        match reader.lineage {
            None => None,
            Some(lineage) if lineage == history.lineage => None,
            Some(lineage) if lineage == history.previous => {
                Some(u64::try_from(history.previous_end).unwrap_or(0).saturating_sub(reader.position))
            }
            Some(_) => Some(0),
        }
    }

    /// What follows goes by another name; what was written so far stays known by the old one.
    fn rename(&mut self, lineage: Lineage) {
        let (previous, previous_end) = (self.history.lineage, self.end as i64);
        self.history = History { lineage, previous, previous_end, ..self.history };
    }

    /// Notes that a command begins here, unless another one that is near was noted.
    #[inline]
    fn mark(&mut self) {
        if self.kept && self.end >= self.next_mark {
            self.marks.push_back(Mark { position: self.end, db: self.db });
            self.next_mark = self.end + BLOCK_BYTES as u64;
        }
    }

    fn append_select(&mut self, db: u32) {
        let mut text = itoa::Buffer::new();
        let db_text = text.format(db);
        let command = format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db_text}\r\n", db_text.len());
        self.append(command.as_bytes());
        self.db = Some(db);
    }

    fn append(&mut self, mut bytes: &[u8]) {
        self.end += bytes.len() as u64;
        if !self.kept {
            self.start = self.end;
            return;
        }
        while !bytes.is_empty() {
            let room = self.blocks.back().map_or(0, |block| BLOCK_BYTES - block.len());
            if room == 0 {
                // A block that was trimmed off is used again before a new one is made.
                self.blocks.push_back(Vec::with_capacity(BLOCK_BYTES));
                continue;
            }
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            if let Some(block) = self.blocks.back_mut() {
                block.extend_from_slice(now);
            }
            bytes = rest;
        }
    }

    /// Gives up whole blocks that neither the backlog nor a reader within its limit needs.
    fn trim(&mut self) {
        let backlog_from = self.end.saturating_sub(self.backlog_bytes);
        let full = BLOCK_BYTES as u64;
        if self.blocks.len() < 2 || self.start + full > backlog_from {
            return;
        }
        let wanted = |reader: &Reader| reader.position.max(self.end.saturating_sub(reader.limit_bytes));
        let keep_from = self.readers.iter().map(wanted).min().unwrap_or(backlog_from).min(backlog_from);
        while self.blocks.len() > 1 {
            let held = self.blocks.front().map_or(0, Vec::len) as u64;
            if self.start + held > keep_from {
                break;
            }
            self.start += held;
            let freed = self.blocks.pop_front();
            // Blocks are always full but the last, so a freed one can serve as the next.
            if let Some(mut block) = freed
                && self.blocks.back().is_some_and(|last| last.len() == BLOCK_BYTES)
            {
                block.clear();
                self.blocks.push_back(block);
            }
        }
        while self.marks.front().is_some_and(|mark| mark.position < self.start) {
            self.marks.pop_front();
        }
    }

    fn copy(&self, position: u64, out: &mut Vec<u8>, max: usize) -> usize {
        let mut skip = (position - self.start) as usize;
        let mut left = max;
        // All blocks but the last are full.
        let first = skip / BLOCK_BYTES;
        skip %= BLOCK_BYTES;
        for block in self.blocks.iter().skip(first) {
            let part = &block[skip.min(block.len())..];
            let part = &part[..part.len().min(left)];
            out.extend_from_slice(part);
            left -= part.len();
            skip = 0;
            if left == 0 {
                break;
            }
        }
        max - left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Rng;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn lineage(seed: u64) -> Lineage {
        Lineage::random(&mut Rng::from_seed(seed))
    }

    fn read_all(log: &Log, id: ReaderId, step: usize) -> Result<Vec<u8>, LogError> {
        let mut out = Vec::new();
        while log.read(id, &mut out, step)? > 0 {}
        Ok(out)
    }

    #[test]
    fn effects_get_selects_and_transactions() {
        let log = Log::new(lineage(1), 0, 1 << 20);
        let id = log.add_reader(0, 1 << 20, Box::new(|| ())).unwrap();
        log.append_effects(1, [(0, &b"a"[..])].into_iter());
        log.append_effects(1, [(0, &b"b"[..])].into_iter());
        log.append_effects(2, [(11, &b"c"[..]), (11, &b"d"[..])].into_iter());
        let text = String::from_utf8(read_all(&log, id, 3).unwrap()).unwrap();
        assert_eq!(
            text,
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nab*1\r\n$5\r\nMULTI\r\n\
             *2\r\n$6\r\nSELECT\r\n$2\r\n11\r\ncd*1\r\n$4\r\nEXEC\r\n"
        );
        assert_eq!(log.end(), text.len() as u64);
    }

    #[test]
    fn keeps_nothing_before_anybody_knows_of_it() {
        let log = Log::new(lineage(1), 0, 100_000);
        let append = || log.append_effects(1, [(0, &[b'x'; 1_000][..])].into_iter());
        let end = append();
        assert_eq!((log.end(), log.start(), log.held_bytes(), log.is_kept()), (end, end, 0, false));
        log.keep();
        let told = log.end();
        append();
        let late = log.add_reader(told, 1 << 20, Box::new(|| ())).unwrap();
        assert_eq!(read_all(&log, late, 400).unwrap(), [b'x'; 1_000]);
        assert_eq!(
            log.mark_before(log.end()).map(|mark| mark.position),
            Some(told),
            "a command begins there"
        );
        // A reader has it kept; what comes after the last one is kept for those that come back.
        log.let_go();
        assert!(log.is_kept());
        log.remove_reader(late);
        append();
        assert!(log.can_continue(lineage(1), told));
        log.let_go();
        append();
        assert_eq!((log.start(), log.held_bytes(), log.mark_before(log.end())), (log.end(), 0, None));
        assert!(!log.can_continue(lineage(1), told) && log.can_continue(lineage(1), log.end()));
        let id = log.add_reader(log.end(), 1 << 20, Box::new(|| ())).unwrap();
        append();
        assert_eq!(read_all(&log, id, 1 << 20).unwrap().len(), 1_000);
    }

    #[test]
    fn keeps_the_backlog_and_what_readers_need() {
        let log = Log::new(lineage(1), 1_000, 100_000);
        let slow = log.add_reader(1_000, 1_000_000, Box::new(|| ())).unwrap();
        let bytes: Vec<u8> = (0..250_000u32).map(|i| (i % 251) as u8).collect();
        bytes.chunks(777).for_each(|chunk| {
            log.append_raw(chunk, 0);
        });
        assert_eq!((log.start(), log.end()), (1_000, 251_000));
        assert_eq!(read_all(&log, slow, 10_000).unwrap(), bytes);
        log.append_raw(b"x", 0);
        assert!(log.start() > 1_000 && log.end() - log.start() >= 100_000);
        assert!(log.can_continue(lineage(1), log.start()));
        assert!(!log.can_continue(lineage(1), log.start() - 1));
        assert!(!log.can_continue(lineage(2), log.end()));
        assert!(!log.can_continue(lineage(1), log.end() + 1));
        assert!(matches!(log.add_reader(1_000, 1, Box::new(|| ())), Err(LogError::Trimmed { .. })));
    }

    #[test]
    fn a_reader_beyond_its_limit_is_left_behind() {
        let log = Log::new(lineage(1), 0, 10);
        let id = log.add_reader(0, 200_000, Box::new(|| ())).unwrap();
        for _ in 0..100 {
            log.append_raw(&[0; 10_000], 0);
        }
        assert!(matches!(read_all(&log, id, 1_000), Err(LogError::Trimmed { position: 0, .. })));
        assert!(log.held_bytes() <= 200_000 + 2 * BLOCK_BYTES as u64);
    }

    #[test]
    fn a_promotion_keeps_the_old_name_for_the_old_bytes() {
        let log = Log::new(lineage(1), 0, 1 << 20);
        log.append_raw(b"abc", 0);
        log.change_lineage(lineage(2));
        log.append_raw(b"def", 0);
        assert!(log.can_continue(lineage(1), 3) && log.can_continue(lineage(1), 1));
        assert!(!log.can_continue(lineage(1), 4));
        assert!(log.can_continue(lineage(2), 6));
        assert!(!log.can_continue(Lineage::NONE, 0));
    }

    #[test]
    fn a_replica_is_cut_off_where_its_history_takes_another_name() {
        let log = Log::new(lineage(1), 0, 1 << 20);
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = woken.clone();
        let wake = Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let replica = log.add_replica(0, 1 << 20, lineage(1), wake).unwrap();
        let writer = log.add_reader(0, 1 << 20, Box::new(|| ())).unwrap();
        log.append_raw(b"abc", 0);
        log.wake_readers();
        for (step, change) in [Log::change_lineage, Log::rename_lineage].into_iter().enumerate() {
            let before = woken.load(Ordering::Relaxed);
            change(&log, lineage(2 + step as u64));
            assert_eq!(
                woken.load(Ordering::Relaxed),
                before + 1,
                "it is told, although nothing was appended"
            );
        }
        log.append_raw(b"def", 0);
        assert_eq!(log.read(replica, &mut Vec::new(), 9), Err(LogError::Renamed));
        assert_eq!(read_all(&log, writer, 9).unwrap(), b"abcdef");
        // What lies before the change it may still have, under the old name.
        log.change_lineage(lineage(4));
        log.append_raw(b"ghi", 0);
        let mut out = Vec::new();
        let late = log.add_replica(2, 1 << 20, lineage(3), Box::new(|| ())).unwrap();
        assert_eq!(log.read(late, &mut out, 9), Ok(4));
        assert_eq!((&out[..], log.read(late, &mut Vec::new(), 9)), (&b"cdef"[..], Err(LogError::Renamed)));
    }

    #[test]
    fn an_epoch_begins_with_a_record_of_it() {
        let log = Log::new(lineage(1), 0, 1 << 20);
        log.append_raw(b"abc", 0);
        assert_eq!(log.history().epoch, Epoch::FIRST);
        log.begin_epoch(5, Some(lineage(2)));
        let history = log.history();
        assert_eq!((history.lineage, history.previous, history.previous_end), (lineage(2), lineage(1), 3));
        assert_eq!(history.epoch, Epoch { number: 5, since: 3 });
        let reader = log.add_reader(3, 1 << 20, Box::new(|| ())).unwrap();
        assert_eq!(read_all(&log, reader, 1 << 20).unwrap(), epoch::record(5));
        // It rises, whatever is asked for, and is never unlearned.
        log.begin_epoch(2, None);
        assert_eq!((log.history().epoch.number, log.history().lineage), (6, lineage(2)));
        log.learn_epoch(Epoch { number: 6, since: 0 });
        log.learn_epoch(Epoch { number: 4, since: 0 });
        assert_eq!(log.history().epoch.number, 6);
        log.learn_epoch(Epoch { number: 7, since: 40 });
        assert_eq!(log.history().epoch, Epoch { number: 7, since: 40 });
    }

    /// The lineage stays where a primary recovers; what a replica of an epoch that has ended has beyond its end is other bytes.
    #[test]
    fn who_went_on_in_an_epoch_that_has_ended_cannot_continue() {
        let log = Log::new(lineage(1), 100, 1 << 20);
        log.begin_epoch(2, None);
        let after = |position, epoch| log.lineage_after(lineage(1), position, epoch).is_some();
        assert!(after(100, Some(1)) && !after(101, Some(1)));
        assert!(after(101, Some(2)) && after(101, None));
    }

    #[test]
    fn beginnings_of_commands_are_noted_with_their_database() {
        let log = Log::new(lineage(1), 50, 100_000);
        log.keep();
        assert_eq!(log.mark_before(50), None);
        for db in 0..8 {
            for _ in 0..100 {
                log.append_effects(1, [(db, &[b'x'; 1_000][..])].into_iter());
            }
        }
        let first = log.mark_before(log.end()).expect("a mark");
        assert!(first.position > log.end() - 2 * BLOCK_BYTES as u64 && first.db.is_some());
        // What was given up is not told of, and each mark is a beginning.
        assert_eq!(log.mark_before(log.start()), None);
        let mark = log.mark_before(log.start() + 2 * BLOCK_BYTES as u64).expect("a mark");
        let reader = log.add_reader(mark.position, 1 << 20, Box::new(|| ())).unwrap();
        let mut next = Vec::new();
        log.read(reader, &mut next, 8).unwrap();
        assert!(next.starts_with(b"xxxx") || next.starts_with(b"*2\r\n$6"), "{}", next.escape_ascii());
    }

    #[test]
    fn readers_are_woken_once_a_batch() {
        let log = Log::new(lineage(1), 0, 1 << 20);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let wake = Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let id = log.add_reader(0, 1 << 20, wake).unwrap();
        log.append_raw(b"a", 0);
        log.append_raw(b"b", 0);
        log.wake_readers();
        log.wake_readers();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        log.remove_reader(id);
        log.append_raw(b"c", 0);
        log.wake_readers();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}
