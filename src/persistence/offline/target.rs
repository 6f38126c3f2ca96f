//! Finding the place in a chain of files that a restore goes to.

use std::ops::{ControlFlow, Range};

use super::{OfflineError, StopAt};
use crate::base::time::utc_text;
use crate::format::aof::verify::{LogVisitor, LoggedCommand, Mark, Verdict};
use crate::persistence::recovery::{Chain, start_of};

/// A chain up to the file to stop in, and the place there.
pub(super) type Stopped = (Chain, Option<StopAt>);

/// Finds the file and byte of the last command that ends at or before `wanted`, and leaves the files behind it out.
pub(super) fn stop_at_offset(mut chain: Chain, wanted: u64) -> Result<Stopped, OfflineError> {
    let say = |offset: u64| format!("offset {offset}");
    let begins = chain.base.as_ref().and_then(|base| start_of(&base.entry));
    if let Some(begins) = begins.filter(|begins| begins.offset > wanted) {
        let (begins, wanted) = (say(begins.offset), say(wanted));
        return Err(OfflineError::TooEarly { begins, wanted });
    }
    let starts: Option<Vec<u64>> =
        chain.incr.iter().map(|file| start_of(&file.entry).map(|start| start.offset)).collect();
    let starts = starts.ok_or(OfflineError::NoOffsets)?;
    let file = starts.iter().rposition(|start| *start <= wanted).ok_or(OfflineError::NoOffsets)?;
    chain.incr.truncate(file + 1);
    let Some(last) = chain.incr.last() else { return Err(OfflineError::NoOffsets) };
    let ends = last.verdict.extent().history.map_or(0, |end| end.offset);
    if ends < wanted {
        // Torn is where the history ends; damage is where the rest of it cannot be read.
        if let Some(damage) = last.problem(true) {
            return Err(damage.into());
        }
        return Err(OfflineError::TooLate { ends: say(ends), wanted: say(wanted) });
    }
    let mut byte = 0;
    let mut find = |command: &LoggedCommand<'_, '_>| match command.offset {
        Some(offset) if offset + command.history_bytes <= wanted => {
            byte = command.bytes.end;
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Break(()),
    };
    last.verifier.walk(last.log(), &mut find);
    Ok(forgive(chain, StopAt { file, byte }))
}

/// What lies behind the place to stop at does not matter, good or not.
pub(super) fn forgive(mut chain: Chain, stop: StopAt) -> Stopped {
    if let Some(last) = chain.incr.last_mut() {
        last.verdict = Verdict::Sound(*last.verdict.extent());
    }
    (chain, Some(stop))
}

/// Finds the last batch that was written at or before `wanted`.
pub(super) fn stop_at_time(mut chain: Chain, wanted: u64) -> Result<Stopped, OfflineError> {
    let mut stop = StopAt { file: 0, byte: 0 };
    let (mut told, mut over) = (false, false);
    for (index, file) in chain.incr.iter().enumerate() {
        let mut times = Times { wanted, good: 0, ended: 0, told: false, over: false };
        file.verifier.walk(file.log(), &mut times);
        told |= times.told;
        // A stock file without timestamps belongs to the last time told before it.
        let good = if times.over { times.good } else { times.ended.max(times.good) };
        stop = StopAt { file: index, byte: good };
        over = times.over;
        if over {
            break;
        }
        // The time asked for may lie behind the damage.
        if let Some(damage) = file.problem(true) {
            return Err(damage.into());
        }
    }
    if !told && !chain.incr.is_empty() {
        let wanted = utc_text(wanted);
        return Err(OfflineError::TooLate { ends: "no time that the log files tell".to_owned(), wanted });
    }
    chain.incr.truncate(stop.file + 1);
    // At the very end a torn tail is left out like any, and told.
    Ok(if over { forgive(chain, stop) } else { (chain, Some(stop)) })
}

/// Looks for the first mark of a later time.
struct Times {
    wanted: u64,
    /// End of the last batch that is not too late.
    good: usize,
    /// End of the last command seen.
    ended: usize,
    told: bool,
    over: bool,
}

impl LogVisitor<'_> for Times {
    fn command(&mut self, command: &LoggedCommand<'_, '_>) -> ControlFlow<()> {
        self.ended = command.bytes.end;
        ControlFlow::Continue(())
    }

    fn mark(&mut self, mark: &Mark, _bytes: Range<usize>) -> ControlFlow<()> {
        self.told = true;
        let (time_ms, closes_batch) = match mark {
            Mark::Seal(seal) => (seal.time_ms, true),
            Mark::Timestamp(seconds) => (seconds.saturating_mul(1000), false),
        };
        if time_ms > self.wanted {
            // A seal's batch is too late with it; what stands before a timestamp is not.
            if !closes_batch {
                self.good = self.ended;
            }
            self.over = true;
            return ControlFlow::Break(());
        }
        self.good = self.ended;
        ControlFlow::Continue(())
    }
}
