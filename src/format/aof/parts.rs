//! Cutting a log into parts that can be judged apart from each other.
//!
//! A seal says what the file is up to there: its crc, lineage and offset. So what follows one can be judged before what
//! goes before it has been: the part before must then end exactly there, and well. A place that merely looks like a seal,
//! inside a value, is found out by that. A log without seals is cut where a command seems to begin, in the same way.
//!
//! Whoever joins parts gives the verdict that one walk through the file would: if a part is not sound to its very end, what
//! follows the parts before it is judged in one piece.

use super::seal::{MARK, next_seal};
use super::verify::{Extent, HistoryPoint, Verdict};
use crate::base::crc::crc64;

/// A part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPart {
    /// What the file is up to where it begins; `None`: at the file's first byte.
    pub start: Option<Extent>,
    /// Where it ends.
    pub end: usize,
}

/// Cuts a log, from its beginning on.
#[derive(Debug)]
pub struct LogCutter<'b> {
    bytes: &'b [u8],
    has_seals: bool,
    /// Where the next part begins; `None` behind the last.
    next: Option<Option<Extent>>,
}

impl<'b> LogCutter<'b> {
    /// A cutter for a whole log.
    pub fn new(bytes: &'b [u8]) -> Self {
        LogCutter { bytes, has_seals: bytes.starts_with(MARK), next: Some(None) }
    }

    /// The next part, of `len` bytes or more, unless it is the last. `read_to` is told how far the bytes have been looked
    /// through to find its end.
    pub fn next_part(&mut self, len: usize, read_to: &mut dyn FnMut(usize)) -> Option<LogPart> {
        let start = self.next.take()?;
        let from = start.map_or(0, |start| start.len).saturating_add(len);
        let place = if self.has_seals {
            seal_behind(self.bytes, from, read_to)
        } else {
            command_behind(self.bytes, from)
        };
        // A part that holds nothing would be no better than the one before.
        let place = place.filter(|place| place.len < self.bytes.len());
        self.next = place.map(Some);
        Some(LogPart { start, end: place.map_or(self.bytes.len(), |place| place.len) })
    }
}

/// What the file is behind the first seal from `from` on, by that seal's word.
fn seal_behind(bytes: &[u8], from: usize, read_to: &mut dyn FnMut(usize)) -> Option<Extent> {
    let (at, line) = next_seal(bytes, from, read_to)?;
    let (crc_at, end) = (at + line.crc_at, at + line.line_len());
    let history = Some(HistoryPoint { lineage: line.lineage, offset: line.offset });
    Some(Extent { len: end, history, crc: crc64(line.crc, bytes.get(crc_at..end)?), ..Extent::default() })
}

/// Where a command seems to begin, from `from` on.
fn command_behind(bytes: &[u8], from: usize) -> Option<Extent> {
    const LOOKED_AT_BYTES: usize = 1 << 20;
    let window = bytes.get(from..)?;
    let window = window.get(..LOOKED_AT_BYTES).unwrap_or(window);
    let begins = |at: &usize| {
        let item = &window[at + 2..];
        let digits = item.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && item[1 + digits..].starts_with(b"\r\n$")
    };
    let at = memchr::memmem::find_iter(window, b"\r\n*").find(begins)?;
    Some(Extent { len: from + at + 2, ..Extent::default() })
}

/// What two parts come to, the second of which was judged from where the first ends.
pub fn join(first: &Extent, second: &Extent) -> Extent {
    let newer = second.epoch.is_known() && second.epoch.number >= first.epoch.number;
    Extent {
        commands: first.commands + second.commands,
        seals: first.seals + second.seals,
        previous: second.previous.or(first.previous),
        epoch: if newer { second.epoch } else { first.epoch },
        time_ms: second.time_ms.or(first.time_ms),
        ..*second
    }
}

/// The verdict on a file of which `first` is known to be good, by the verdict on what follows.
pub fn join_verdict(first: &Extent, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Sound(extent) => Verdict::Sound(join(first, &extent)),
        Verdict::TornTail { sealed, cut_bytes, why, readable_len } => {
            Verdict::TornTail { sealed: join(first, &sealed), cut_bytes, why, readable_len }
        }
        Verdict::Damaged { sealed, offset, kind } => {
            Verdict::Damaged { sealed: join(first, &sealed), offset, kind }
        }
        Verdict::Stopped { proven, at } => Verdict::Stopped { proven: join(first, &proven), at },
    }
}
