//! The verdict on a log file, and the walk over what of it is proven.
//!
//! A file that begins with our `#OUTRIGGER-LOG` line is judged by its seals: nothing is handed to the visitor before a
//! seal has vouched for it. Any other file is judged by its structure alone, as stock servers do. In both, a
//! MULTI … EXEC group is handed on whole or not at all.

use std::ops::{ControlFlow, Range};

use super::command::{ItemKind, MAX_LINE_BYTES, Scan, Scanner, SyntaxKind};
use super::seal::{
    Epoch, Lineage, MARK, SealKind, SealLine, Sealer, Shape, holds_seal, holds_seal_in, select_command,
};
use crate::base::crc::crc64;

/// Bytes that are taken into a checksum at once: little enough to give back what has been read meanwhile.
const READ_AT_ONCE_BYTES: usize = 4 << 20;

/// Arguments of a command that are shown to who watches.
const KEPT_ARGS: usize = 1 << 16;

/// What the manifest, or the file before, says about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The lineage its first line must name.
    pub lineage: Lineage,
    /// The replication offset its first line must name: bytes of history before the file.
    pub start_offset: u64,
}

/// A place in a history of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPoint {
    /// Which history.
    pub lineage: Lineage,
    /// Bytes of it that end here. The byte a replica asks for next is the one after.
    pub offset: u64,
}

/// How far a file is good, and what that part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Bytes of the file.
    pub len: usize,
    /// Commands in them, MULTI and EXEC included.
    pub commands: u64,
    /// Lines of ours in them.
    pub seals: u64,
    /// The place in the history they end at; `None` for a file without our first line.
    pub history: Option<HistoryPoint>,
    /// Where the lineage before that one ends, if the file holds the change of name.
    pub previous: Option<HistoryPoint>,
    /// The history's epoch there, as the last of our lines tells it.
    pub epoch: Epoch,
    /// The time the last of our lines names, in milliseconds of Unix time.
    pub time_ms: Option<u64>,
    /// CRC64 of these bytes; 0 for a file without our first line.
    pub crc: u64,
}

impl Extent {
    /// A sealer that goes on where this extent ends, once the file has been cut to [`Extent::len`].
    pub fn sealer(&self) -> Option<Sealer> {
        let resume =
            |point: HistoryPoint| Sealer::resume(self.len as u64, self.crc, point.lineage, point.offset);
        self.history.map(|point| resume(point).in_epoch(self.epoch))
    }
}

/// How the end of a file was torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TornWhy {
    /// The first line of a file of ours is not all there.
    #[error("the file's first line is incomplete")]
    IncompleteHeader,
    /// The last command is not all there.
    #[error("the last command is incomplete")]
    IncompleteCommand,
    /// The last annotation line is not all there.
    #[error("the last annotation line is incomplete")]
    IncompleteLine,
    /// A transaction is open at the end.
    #[error("the last MULTI has no EXEC")]
    OpenTransaction,
    /// Whole commands stand behind the last seal, and no seal vouches for them.
    #[error("whole commands without a seal behind them")]
    Unsealed,
    /// Bytes behind the last seal are no commands at all.
    #[error("unreadable bytes behind the last seal: {0}")]
    Unreadable(SyntaxKind),
    /// A line that looks like one of ours but is not, behind the last seal.
    #[error("an annotation that is nearly one of ours behind the last seal")]
    UnreadableLine,
    /// MULTI inside MULTI, or EXEC without MULTI, behind the last seal.
    #[error("an unpaired MULTI or EXEC behind the last seal")]
    Unpaired,
}

/// What is wrong with a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The file should begin with our first line and does not.
    #[error("the first line of a sealed log is missing")]
    MissingHeader,
    /// The first line of a sealed log does not read as one.
    #[error("the first line of a sealed log is malformed")]
    BadHeader,
    /// The first line names a database, and the SELECT of it does not follow.
    #[error("the SELECT that the first line announces does not follow it")]
    MissingSelect,
    /// A line of ours in a file that does not begin with our first line.
    #[error("a seal in a file that does not begin as a sealed log")]
    StraySeal,
    /// A second first line.
    #[error("a log's first line in the middle of a file")]
    SecondHeader,
    /// A line of ours, with more of them or its own remains behind, does not read as one.
    #[error("a malformed seal")]
    BadSeal,
    /// The bytes since the seal before do not have the CRC this line names.
    #[error(
        "the CRC64 of the bytes up to here is {found:016x} and the seal says {sealed:016x}; the last good seal ends at byte {since}"
    )]
    Crc {
        /// End of the last good line, in bytes.
        since: usize,
        /// The CRC the line names.
        sealed: u64,
        /// The CRC the bytes have.
        found: u64,
    },
    /// A line names another offset than the commands before it lead to.
    #[error("the seal says offset {sealed} where the commands lead to {found}")]
    Offset {
        /// The offset the line names.
        sealed: u64,
        /// The offset the commands lead to.
        found: u64,
    },
    /// A line names another lineage than the lines before it, or than expected.
    #[error("the seal names lineage {sealed} where {found} is expected")]
    OtherLineage {
        /// The lineage the line names.
        sealed: Lineage,
        /// The lineage that holds there.
        found: Lineage,
    },
    /// Bytes that are no commands, with a seal somewhere behind them (or in a file without seals).
    #[error("{0}")]
    Syntax(SyntaxKind),
    /// A command or line runs over the end of the file, over seals that stand behind its beginning.
    #[error("an item that runs past seals and over the end of the file")]
    Overrun,
    /// MULTI inside MULTI.
    #[error("MULTI inside a transaction")]
    NestedMulti,
    /// EXEC without MULTI.
    #[error("EXEC without MULTI")]
    StrayExec,
    /// Commands without a seal behind them, and the remains of one.
    #[error("a seal is no longer recognizable as one")]
    LostSeal,
}

/// The verdict on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is good.
    Sound(Extent),
    /// It ends as an interrupted write ends: good up to `sealed`, and no seal stands behind that.
    TornTail {
        /// What is good. Cut the file to its length and go on with [`Extent::sealer`].
        sealed: Extent,
        /// Bytes behind it.
        cut_bytes: usize,
        /// What the end looks like.
        why: TornWhy,
        /// How far whole commands (and whole transactions) can be read, proven or not: at least `sealed.len`. In a
        /// file without seals they are the same.
        readable_len: usize,
    },
    /// Bytes have changed or gone missing. Nothing behind `sealed` may be believed, and nothing may be cut unasked.
    Damaged {
        /// What is good: the part before the damage that seals (or, without seals, the structure) vouch for.
        sealed: Extent,
        /// Where the damage shows, in bytes. For [`DamageKind::Crc`] it lies somewhere before.
        offset: usize,
        /// What shows there.
        kind: DamageKind,
    },
    /// The visitor ended the walk; the extent ends before the item it stopped at, or behind the last batch it saw whole.
    Stopped {
        /// What had been proven when the walk ended (the visitor may have stopped before its end).
        proven: Extent,
        /// First byte of the item the visitor stopped at.
        at: usize,
    },
}

impl Verdict {
    /// The part of the file that is good.
    pub fn extent(&self) -> &Extent {
        match self {
            Verdict::Sound(extent) => extent,
            Verdict::TornTail { sealed, .. } | Verdict::Damaged { sealed, .. } => sealed,
            Verdict::Stopped { proven, .. } => proven,
        }
    }

    /// Whether every byte of the file is good.
    pub fn is_sound(&self) -> bool {
        matches!(self, Verdict::Sound(_))
    }
}

/// One command of a log.
#[derive(Debug)]
pub struct LoggedCommand<'a, 'b> {
    /// Its arguments, name first; there is at least one.
    pub args: &'a [&'b [u8]],
    /// Where it stands in the file.
    pub bytes: Range<usize>,
    /// Bytes of history before its first byte, where the file says so.
    pub offset: Option<u64>,
    /// Bytes of history it is: the length of `bytes`, or 0 for the SELECT that belongs to the file's first line.
    pub history_bytes: u64,
    /// Whether it stands in a transaction: MULTI, EXEC and all between.
    pub in_transaction: bool,
}

/// An annotation that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// One of our lines.
    Seal(SealLine),
    /// Stock Redis's `#TS:<seconds>`: what follows was written at or after this Unix time, in seconds.
    Timestamp(u64),
}

/// What a walk through bytes that live for `'b` hands its findings to, in the order of the file. `Break` ends the walk.
pub trait LogVisitor<'b> {
    /// A command that is proven.
    fn command(&mut self, command: &LoggedCommand<'_, 'b>) -> ControlFlow<()>;

    /// An annotation, with the place where it stands.
    fn mark(&mut self, _mark: &Mark, _bytes: Range<usize>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A command as a [`Watcher`] meets it.
#[derive(Debug)]
pub struct MetCommand<'a> {
    /// Its bytes.
    pub item: &'a [u8],
    /// The places in these of its arguments, name first; of very many only the first.
    pub args: &'a [Range<usize>],
    /// How many arguments it has.
    pub arg_count: usize,
    /// Where it begins in the file.
    pub at: usize,
    /// Bytes of history before it, where the file says so.
    pub offset: Option<u64>,
}

impl<'a> MetCommand<'a> {
    /// An argument, if it is among those at hand.
    pub fn arg(&self, index: usize) -> Option<&'a [u8]> {
        self.args.get(index).and_then(|range| self.item.get(range.clone()))
    }
}

/// Looks on while a file is judged. Unlike a [`LogVisitor`] it sees each item as it is met, before anything vouches for it;
/// what lies behind the verdict's extent was not there.
pub trait Watcher {
    /// A command.
    fn command(&mut self, _met: &MetCommand<'_>) {}

    /// An annotation; one of our lines after it was verified.
    fn mark(&mut self, _mark: &Mark, _at: usize) {}

    /// What lies before this byte has been read, and will hardly be again.
    fn read_to(&mut self, _at: usize) {}
}

/// Looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWatcher;

impl Watcher for NoWatcher {}

impl<'b, F: FnMut(&LoggedCommand<'_, 'b>) -> ControlFlow<()>> LogVisitor<'b> for F {
    fn command(&mut self, command: &LoggedCommand<'_, 'b>) -> ControlFlow<()> {
        self(command)
    }
}

/// Judges log files.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogVerifier {
    expected: Option<Expected>,
}

impl LogVerifier {
    /// A verifier that takes files with and without our first line.
    pub fn new() -> Self {
        LogVerifier::default()
    }

    /// A verifier for a file that must begin with our first line, and this lineage and offset in it.
    pub fn expecting(expected: Expected) -> Self {
        LogVerifier { expected: Some(expected) }
    }

    /// Judges a file without looking at what its commands are.
    pub fn check(&self, bytes: &[u8]) -> Verdict {
        self.check_watched(bytes, &mut NoWatcher)
    }

    /// As [`LogVerifier::check`], with somebody looking on.
    pub fn check_watched(&self, bytes: &[u8], watcher: &mut dyn Watcher) -> Verdict {
        let mut walk = Walk::new(bytes, None);
        walk.watcher = Some(watcher);
        walk.run(self.expected)
    }

    /// Judges what follows a place where a part begins, as if all before it had been judged. The extents of the verdict count
    /// commands and seals from there.
    pub fn check_from(&self, bytes: &[u8], start: &Extent, watcher: &mut dyn Watcher) -> Verdict {
        let mut walk = Walk::new(bytes, None);
        walk.watcher = Some(watcher);
        walk.ours = start.history.is_some();
        (walk.now, walk.proven) = (*start, *start);
        (walk.crc_pos, walk.readable_len) = (start.len, start.len);
        (walk.read_pos, walk.read_crc) = (start.len, start.crc);
        walk.items().unwrap_or_else(|verdict| *verdict)
    }

    /// Judges a file and hands each proven command to `visitor` as soon as its seal has been checked.
    ///
    /// When the verdict is not [`Verdict::Sound`], the visitor has seen exactly the commands of [`Verdict::extent`]
    /// (or fewer, if it stopped).
    pub fn walk<'b>(&self, bytes: &'b [u8], visitor: &mut dyn LogVisitor<'b>) -> Verdict {
        Walk::new(bytes, Some(visitor)).run(self.expected)
    }

    /// Hands the commands of an extent to `visitor` that [`LogVerifier::check`] has found good in these very bytes: as
    /// [`LogVerifier::walk`] does, but nothing is verified again.
    pub fn hand_on<'b>(&self, bytes: &'b [u8], good: &Extent, visitor: &mut dyn LogVisitor<'b>) {
        let mut walk = Walk::new(bytes, Some(visitor));
        if let (Some(_), Shape::Whole(line)) = (good.history, Shape::of(bytes)) {
            walk.served_offset = Some(self.expected.map_or(line.offset, |expected| expected.start_offset));
            walk.head_end = line.line_len() + line.select.map_or(0, |db| select_command(db).len());
        }
        // The visitor may end it: that it knows itself.
        let _ = walk.serve(good.len.min(bytes.len()));
    }
}

/// Ends a walk early. Boxed, so that the common path carries a pointer only.
type Ended = Box<Verdict>;

/// An open transaction.
struct OpenMulti {
    /// The extent before its MULTI; exact but for the crc.
    before: Extent,
    /// Whether the crc of `before` has been worked out: at the first seal inside the transaction.
    crc_known: bool,
}

struct Walk<'a, 'v> {
    bytes: &'a [u8],
    visitor: Option<&'v mut dyn LogVisitor<'a>>,
    watcher: Option<&'v mut dyn Watcher>,
    scanner: Scanner,
    /// Whether the file has our first line.
    ours: bool,
    /// Everything up to the item being looked at, but for `crc`, which is that of the bytes up to `crc_pos`.
    now: Extent,
    crc_pos: usize,
    /// Up to where the bytes have been taken into a crc, and that crc: at `crc_pos` or behind.
    read_pos: usize,
    read_crc: u64,
    multi: Option<OpenMulti>,
    /// What is proven and not inside a transaction.
    proven: Extent,
    /// Up to where whole groups could be read.
    readable_len: usize,
    /// Up to where the visitor has been served, and the history offset there.
    served: usize,
    served_offset: Option<u64>,
    /// End of the first line and the SELECT that belongs to it.
    head_end: usize,
}

impl<'a, 'v> Walk<'a, 'v> {
    fn new(bytes: &'a [u8], visitor: Option<&'v mut dyn LogVisitor<'a>>) -> Self {
        Walk {
            bytes,
            visitor,
            watcher: None,
            // Only names are looked at here; who serves scans again.
            scanner: Scanner::keeping(KEPT_ARGS),
            ours: false,
            now: Extent::default(),
            crc_pos: 0,
            read_pos: 0,
            read_crc: 0,
            multi: None,
            proven: Extent::default(),
            readable_len: 0,
            served: 0,
            served_offset: None,
            head_end: 0,
        }
    }

    fn run(mut self, expected: Option<Expected>) -> Verdict {
        self.header(expected).and_then(|()| self.items()).unwrap_or_else(|verdict| *verdict)
    }

    /// Decides whether the file is ours, and reads its first line.
    fn header(&mut self, expected: Option<Expected>) -> Result<(), Ended> {
        let line = match Shape::of(self.bytes) {
            Shape::Whole(line) if line.kind == SealKind::Log => line,
            Shape::Whole(_) => return Err(self.damaged(0, DamageKind::MissingHeader)),
            Shape::Cut if !self.bytes.is_empty() || expected.is_some() => {
                return Err(Box::new(Verdict::TornTail {
                    sealed: Extent::default(),
                    cut_bytes: self.bytes.len(),
                    why: TornWhy::IncompleteHeader,
                    readable_len: 0,
                }));
            }
            _ if self.bytes.starts_with(MARK) || holds_seal(first_line(self.bytes)) => {
                return Err(self.damaged(0, DamageKind::BadHeader));
            }
            _ if expected.is_some() => return Err(self.damaged(0, DamageKind::MissingHeader)),
            _ => return Ok(()),
        };
        self.ours = true;
        let mut point = HistoryPoint { lineage: line.lineage, offset: line.offset };
        if let Some(expected) = expected {
            point = HistoryPoint { lineage: expected.lineage, offset: expected.start_offset };
        }
        self.now.history = Some(point);
        self.served_offset = Some(point.offset);
        let Some(db) = line.select else { return self.seal(line, line.line_len()) };
        // Head and SELECT are one: neither is handed on without the other.
        let visitor = self.visitor.take();
        let sealed = self.seal(line, line.line_len());
        self.visitor = visitor;
        sealed?;
        self.head_select(db)
    }

    /// The SELECT that the first line announced. The line vouches for each byte of it.
    fn head_select(&mut self, db: u32) -> Result<(), Ended> {
        let command = select_command(db);
        let at = self.now.len;
        let there = self.bytes.get(at..).unwrap_or_default();
        if !there.starts_with(&command) {
            self.proven = Extent::default();
            if !command.starts_with(there) {
                return Err(self.damaged(at, DamageKind::MissingSelect));
            }
            return Err(Box::new(Verdict::TornTail {
                sealed: self.proven,
                cut_bytes: self.bytes.len(),
                why: TornWhy::IncompleteHeader,
                readable_len: 0,
            }));
        }
        self.now.len += command.len();
        self.now.commands += 1;
        if let Some(watcher) = self.watcher.as_deref_mut() {
            let digits = command.len() - 2 - db.to_string().len();
            let args = &[8..14, digits..command.len() - 2];
            let offset = self.now.history.map(|point| point.offset);
            watcher.command(&MetCommand { item: &command, args, arg_count: 2, at, offset });
        }
        self.now.crc = crc64(self.now.crc, &command);
        self.crc_pos = self.now.len;
        (self.read_pos, self.read_crc) = (self.crc_pos, self.now.crc);
        self.head_end = self.now.len;
        self.readable_len = self.now.len;
        self.proven = self.now;
        self.serve(self.proven.len)
    }

    fn items(&mut self) -> Result<Verdict, Ended> {
        while self.now.len < self.bytes.len() {
            let rest = &self.bytes[self.now.len..];
            match self.scanner.scan(rest) {
                Ok(Scan::Item { kind: ItemKind::Command, len }) => self.command(len)?,
                Ok(Scan::Item { kind: ItemKind::Annotation, len }) => self.annotation(len)?,
                Ok(Scan::NeedMore { .. }) => {
                    let line = rest.starts_with(b"#");
                    let why = if line { TornWhy::IncompleteLine } else { TornWhy::IncompleteCommand };
                    return Err(self.tail(self.now.len, why, DamageKind::Overrun));
                }
                Err(error) => {
                    let at = self.now.len + error.at;
                    return Err(self.tail(
                        at,
                        TornWhy::Unreadable(error.kind),
                        DamageKind::Syntax(error.kind),
                    ));
                }
            }
        }
        if self.multi.is_some() {
            return Err(self.tail(self.now.len, TornWhy::OpenTransaction, DamageKind::LostSeal));
        }
        if self.proven.len < self.bytes.len() {
            return Err(self.tail(self.now.len, TornWhy::Unsealed, DamageKind::LostSeal));
        }
        Ok(Verdict::Sound(self.proven))
    }

    fn command(&mut self, len: usize) -> Result<(), Ended> {
        let at = self.now.len;
        let name = self
            .scanner
            .args()
            .first()
            .and_then(|range| self.bytes[at..].get(range.clone()))
            .unwrap_or_default();
        let opens = name.eq_ignore_ascii_case(b"multi");
        let closes = name.eq_ignore_ascii_case(b"exec");
        if opens {
            if self.multi.is_some() {
                return Err(self.tail(at, TornWhy::Unpaired, DamageKind::NestedMulti));
            }
            self.multi = Some(OpenMulti { before: self.now, crc_known: false });
        } else if closes && self.multi.take().is_none() {
            return Err(self.tail(at, TornWhy::Unpaired, DamageKind::StrayExec));
        }
        if let Some(watcher) = self.watcher.as_deref_mut() {
            let offset = self.now.history.map(|point| point.offset);
            let (args, arg_count) = (self.scanner.args(), self.scanner.arg_count());
            watcher.command(&MetCommand { item: &self.bytes[at..at + len], args, arg_count, at, offset });
        }
        self.now.len += len;
        self.now.commands += 1;
        if let Some(point) = &mut self.now.history {
            point.offset = point.offset.saturating_add(len as u64);
        }
        if self.ours && self.now.len - self.read_pos >= READ_AT_ONCE_BYTES {
            self.read_up_to(self.now.len);
        }
        self.group_end()
    }

    /// Takes the bytes up to `end` into the crc, and says that they have been read.
    fn read_up_to(&mut self, end: usize) {
        if let Some(multi) = &mut self.multi
            && !multi.crc_known
        {
            // Where the transaction begins the crc may be asked for.
            let piece = self.bytes.get(self.read_pos..multi.before.len).unwrap_or_default();
            self.read_crc = crc64(self.read_crc, piece);
            self.read_pos = self.read_pos.max(multi.before.len);
            (multi.before.crc, multi.crc_known) = (self.read_crc, true);
        }
        while self.read_pos < end {
            let next = end.min(self.read_pos + READ_AT_ONCE_BYTES);
            self.read_crc = crc64(self.read_crc, &self.bytes[self.read_pos..next]);
            self.read_pos = next;
            if let Some(watcher) = self.watcher.as_deref_mut() {
                watcher.read_to(next);
            }
        }
    }

    fn annotation(&mut self, len: usize) -> Result<(), Ended> {
        let at = self.now.len;
        let line = &self.bytes[at..at + len];
        if !line.starts_with(MARK) {
            if let (Some(watcher), Some(mark)) = (self.watcher.as_deref_mut(), read_mark(line)) {
                watcher.mark(&mark, at);
            }
            self.now.len += len;
            return self.group_end();
        }
        if !self.ours {
            return Err(self.damaged(at, DamageKind::StraySeal));
        }
        match Shape::of(line) {
            Shape::Whole(seal) => self.seal(seal, len),
            _ => Err(self.tail(at, TornWhy::UnreadableLine, DamageKind::BadSeal)),
        }
    }

    /// After an item: notes how far the file can be read and, without seals to wait for, hands it on.
    fn group_end(&mut self) -> Result<(), Ended> {
        if self.multi.is_none() {
            self.readable_len = self.now.len;
            if !self.ours {
                self.proven = self.now;
                if let Some(watcher) = self.watcher.as_deref_mut() {
                    watcher.read_to(self.now.len);
                }
                return self.serve(self.now.len);
            }
        }
        Ok(())
    }

    /// Holds one of our lines against the bytes before it.
    fn seal(&mut self, line: SealLine, len: usize) -> Result<(), Ended> {
        let at = self.now.len;
        let crc_at = at + line.crc_at;
        self.read_up_to(crc_at);
        let batch_crc = self.read_crc;
        if batch_crc != line.crc {
            let kind = DamageKind::Crc { since: self.crc_pos, sealed: line.crc, found: batch_crc };
            return Err(self.damaged(at, kind));
        }
        let Some(mut point) = self.now.history else {
            return Err(self.damaged(at, DamageKind::StraySeal));
        };
        match line.kind {
            SealKind::Log if at > 0 => return Err(self.damaged(at, DamageKind::SecondHeader)),
            SealKind::Lineage => {
                self.now.previous = Some(point);
                point.lineage = line.lineage;
            }
            SealKind::Log | SealKind::Seal => {}
        }
        if line.lineage != point.lineage {
            let kind = DamageKind::OtherLineage { sealed: line.lineage, found: point.lineage };
            return Err(self.damaged(at, kind));
        }
        if line.offset != point.offset {
            let kind = DamageKind::Offset { sealed: line.offset, found: point.offset };
            return Err(self.damaged(at, kind));
        }
        let end = at + len;
        self.now.crc = crc64(batch_crc, &self.bytes[crc_at..end]);
        self.crc_pos = end;
        (self.read_pos, self.read_crc) = (end, self.now.crc);
        self.now.len = end;
        self.now.seals += 1;
        self.now.history = Some(point);
        if line.epoch.number >= self.now.epoch.number {
            self.now.epoch = line.epoch;
        }
        self.now.time_ms = Some(line.time_ms);
        self.proven = self.multi.as_ref().map_or(self.now, |multi| multi.before);
        if self.multi.is_none() {
            self.readable_len = end;
        }
        if let Some(watcher) = self.watcher.as_deref_mut() {
            watcher.mark(&Mark::Seal(line), at);
        }
        self.serve(self.proven.len)
    }

    /// Hands everything up to `end` to the visitor that it has not seen yet.
    fn serve(&mut self, end: usize) -> Result<(), Ended> {
        let Some(visitor) = self.visitor.as_deref_mut() else { return Ok(()) };
        let bytes = self.bytes;
        let mut scanner = Scanner::default();
        let mut args: Vec<&[u8]> = Vec::new();
        let mut in_transaction = false;
        while self.served < end {
            let at = self.served;
            let rest = &bytes[at..end];
            // These bytes have been scanned before, so anything but a whole item cannot be.
            let Ok(Scan::Item { kind, len }) = scanner.scan(rest) else { break };
            let flow = match kind {
                ItemKind::Annotation => match read_mark(&rest[..len]) {
                    Some(mark) => visitor.mark(&mark, at..at + len),
                    None => ControlFlow::Continue(()),
                },
                ItemKind::Command => {
                    args.clear();
                    args.extend(scanner.args().iter().filter_map(|range| rest.get(range.clone())));
                    let name = args.first().copied().unwrap_or_default();
                    in_transaction |= name.eq_ignore_ascii_case(b"multi");
                    let history_bytes = if at + len <= self.head_end { 0 } else { len as u64 };
                    let command = LoggedCommand {
                        args: &args,
                        bytes: at..at + len,
                        offset: self.served_offset,
                        history_bytes,
                        in_transaction,
                    };
                    let flow = visitor.command(&command);
                    in_transaction &= !name.eq_ignore_ascii_case(b"exec");
                    if let Some(offset) = &mut self.served_offset {
                        *offset = offset.saturating_add(history_bytes);
                    }
                    flow
                }
            };
            if flow.is_break() {
                return Err(Box::new(Verdict::Stopped { proven: self.proven, at }));
            }
            self.served = at + len;
        }
        Ok(())
    }

    fn damaged(&self, offset: usize, kind: DamageKind) -> Ended {
        Box::new(Verdict::Damaged { sealed: self.proven, offset, kind })
    }

    /// Something is wrong at `at`, behind the last good seal: an interrupted write if no seal follows, damage if one does.
    fn tail(&mut self, at: usize, why: TornWhy, kind: DamageKind) -> Ended {
        let torn = if self.ours {
            // Blocks that a power cut left allocated but unwritten read as zeros. A line that runs into them was cut.
            let tail = &self.bytes[self.crc_pos..];
            let (from, watcher) = (self.crc_pos, &mut self.watcher);
            let mut read_to = |at: usize| {
                if let Some(watcher) = watcher.as_deref_mut() {
                    watcher.read_to(from + at);
                }
            };
            let written = written_len(tail, &mut read_to);
            !holds_seal_in(&tail[..written], &mut read_to)
        } else {
            matches!(why, TornWhy::IncompleteCommand | TornWhy::IncompleteLine | TornWhy::OpenTransaction)
        };
        if !torn {
            return self.damaged(at, kind);
        }
        Box::new(Verdict::TornTail {
            sealed: self.proven,
            cut_bytes: self.bytes.len() - self.proven.len,
            why,
            readable_len: self.readable_len.max(self.proven.len),
        })
    }
}

/// How many bytes there are before the zeros at the end. `read_to` is told what has been read.
fn written_len(bytes: &[u8], read_to: &mut dyn FnMut(usize)) -> usize {
    let mut end = bytes.len();
    while end > 0 {
        let start = end.saturating_sub(READ_AT_ONCE_BYTES);
        if let Some(last) = bytes[start..end].iter().rposition(|&b| b != 0) {
            return start + last + 1;
        }
        read_to(end);
        end = start;
    }
    0
}

/// The bytes up to the first line end, as far as a line can reach.
fn first_line(bytes: &[u8]) -> &[u8] {
    let window = bytes.get(..MAX_LINE_BYTES).unwrap_or(bytes);
    memchr::memchr(b'\n', window).map_or(window, |at| &window[..=at])
}

/// What an annotation line means, if it means anything.
fn read_mark(line: &[u8]) -> Option<Mark> {
    if let Shape::Whole(seal) = Shape::of(line) {
        return Some(Mark::Seal(seal));
    }
    let digits = line.strip_prefix(b"#TS:")?.trim_ascii_end();
    std::str::from_utf8(digits).ok()?.parse().ok().map(Mark::Timestamp)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
