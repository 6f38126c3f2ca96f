//! Judging one log file, by several threads if it is worth it.
//!
//! The file is cut at seals (see [`crate::format::aof::parts`]); the verdict is the one that a single walk would give. What
//! has been read is given back as it goes, so that a file of any length takes little memory.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::format::aof::parts::{LogCutter, LogPart, join_verdict};
use crate::format::aof::verify::{Extent, LogVerifier, Mark, MetCommand, Verdict, Watcher};
use crate::sys::{Behind, MappedFile};

/// Bytes of a part, about.
const PART_BYTES: usize = 8 << 20;
/// Below this a log is judged by the calling thread alone.
const WORTH_BYTES: usize = 4 << 20;
/// Most threads that judge.
const MOST_THREADS: usize = 8;

/// How a log is judged in parts.
#[derive(Debug, Clone, Copy)]
pub struct JudgePlan {
    /// Threads that judge; with one there are no parts.
    pub threads: usize,
    /// Bytes of a part, about.
    pub part_bytes: usize,
}

impl JudgePlan {
    /// For a log of so many bytes on this machine.
    pub fn of(bytes: usize) -> JudgePlan {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        JudgePlan { threads: if bytes < WORTH_BYTES { 1 } else { threads }, part_bytes: PART_BYTES }
    }
}

/// Who looks on while a log is judged, and who is told how far that has come.
pub struct Looking<'l, W> {
    /// Makes one that looks at a part.
    pub watcher: &'l (dyn Fn() -> W + Sync),
    /// Is told of bytes that have just been judged.
    pub progress: &'l (dyn Fn(u64) + Sync),
}

/// Judges the log that begins at byte `from` of a file. Positions in the verdict count from there. Also those who looked on, in
/// the order of the parts that they saw, which are the whole of what the verdict is about.
pub fn judge<W: Watcher + Send>(
    verifier: &LogVerifier,
    file: &MappedFile,
    from: usize,
    plan: JudgePlan,
    looking: &Looking<'_, W>,
) -> (Verdict, Vec<W>) {
    let judging = Judging { verifier, file, from, bytes: file.get(from..).unwrap_or_default(), looking };
    if plan.threads < 2 {
        let (verdict, watcher) = judging.part(&LogPart { start: None, end: judging.bytes.len() });
        return (verdict, vec![watcher]);
    }
    let cutter = Mutex::new((LogCutter::new(judging.bytes), 0));
    let (first_bad, done) = (AtomicUsize::new(usize::MAX), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..plan.threads {
            scope.spawn(|| {
                while let Some((index, part)) = judging.next_part(&cutter, plan.part_bytes) {
                    if index > first_bad.load(Ordering::Relaxed) {
                        return;
                    }
                    let (verdict, watcher) = judging.part(&part);
                    if !is_sound_to_its_end(&verdict, &part) {
                        first_bad.fetch_min(index, Ordering::Relaxed);
                    }
                    if let Ok(mut done) = done.lock() {
                        done.push(Judged { index, part, verdict, watcher });
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_unstable_by_key(|judged| judged.index);
    judging.join(done)
}

/// A part and what came of it.
struct Judged<W> {
    index: usize,
    part: LogPart,
    verdict: Verdict,
    watcher: W,
}

fn is_sound_to_its_end(verdict: &Verdict, part: &LogPart) -> bool {
    matches!(verdict, Verdict::Sound(extent) if extent.len == part.end)
}

struct Judging<'j, W> {
    verifier: &'j LogVerifier,
    file: &'j MappedFile,
    from: usize,
    bytes: &'j [u8],
    looking: &'j Looking<'j, W>,
}

impl<W: Watcher + Send> Judging<'_, W> {
    fn next_part(&self, cutter: &Mutex<(LogCutter<'_>, usize)>, len: usize) -> Option<(usize, LogPart)> {
        let mut cutter = cutter.lock().ok()?;
        let mut behind: Option<Behind<'_>> = None;
        let part = cutter.0.next_part(len, &mut |at| {
            // It is only looked through: whoever judges it comes back.
            behind.get_or_insert_with(|| self.file.behind(self.from + at)).at(self.from + at);
        })?;
        cutter.1 += 1;
        Some((cutter.1 - 1, part))
    }

    fn part(&self, part: &LogPart) -> (Verdict, W) {
        let begins = part.start.map_or(0, |start| start.len);
        let mut releasing = Releasing {
            inner: (self.looking.watcher)(),
            behind: self.file.behind(self.from + begins),
            from: self.from,
        };
        let bytes = self.bytes.get(..part.end).unwrap_or(self.bytes);
        let verdict = match &part.start {
            None => self.verifier.check_watched(bytes, &mut releasing),
            Some(start) => self.verifier.check_from(bytes, start, &mut releasing),
        };
        self.file.release(self.from + begins..self.from + part.end);
        (self.looking.progress)((part.end - begins) as u64);
        (verdict, releasing.inner)
    }

    /// Makes one verdict of those on the parts.
    fn join(&self, done: Vec<Judged<W>>) -> (Verdict, Vec<W>) {
        let mut good: Option<Extent> = None;
        let mut watchers = Vec::new();
        let mut done = done.into_iter().enumerate().peekable();
        while let Some((place, judged)) = done.next() {
            let Judged { index, part, verdict, watcher } = judged;
            let is_last = part.end == self.bytes.len();
            // Where one is missing, somebody met a fault before it.
            if place == index && (is_last || is_sound_to_its_end(&verdict, &part)) {
                let joined = good.map_or(verdict, |good| join_verdict(&good, verdict));
                watchers.push(watcher);
                if is_last {
                    return (joined, watchers);
                }
                good = Some(*joined.extent());
                continue;
            }
            // Perhaps it was only cut at a bad place, within a transaction.
            if let Some(next) =
                done.next_if(|(_, next)| next.index == index + 1 && next.part.end < self.bytes.len())
            {
                let both = LogPart { start: rest_of(good), end: next.1.part.end };
                let (verdict, watcher) = self.part(&both);
                if is_sound_to_its_end(&verdict, &both) {
                    let joined = good.map_or(verdict, |good| join_verdict(&good, verdict));
                    watchers.push(watcher);
                    good = Some(*joined.extent());
                    continue;
                }
            }
            break;
        }
        let (verdict, watcher) = self.part(&LogPart { start: rest_of(good), end: self.bytes.len() });
        watchers.push(watcher);
        (good.map_or(verdict, |good| join_verdict(&good, verdict)), watchers)
    }
}

/// Where a part begins behind what is good.
fn rest_of(good: Option<Extent>) -> Option<Extent> {
    let start =
        |good: Extent| Extent { len: good.len, history: good.history, crc: good.crc, ..Extent::default() };
    good.map(start)
}

/// Gives back what lies behind a walk.
struct Releasing<'f, W> {
    inner: W,
    behind: Behind<'f>,
    from: usize,
}

impl<W: Watcher> Watcher for Releasing<'_, W> {
    fn command(&mut self, met: &MetCommand<'_>) {
        self.inner.command(met);
    }

    fn mark(&mut self, mark: &Mark, at: usize) {
        self.inner.mark(mark, at);
    }

    fn read_to(&mut self, at: usize) {
        self.behind.at(self.from + at);
        self.inner.read_to(at);
    }
}

#[cfg(test)]
#[path = "judging_tests.rs"]
mod tests;
