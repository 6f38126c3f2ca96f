//! The annotation lines by which an incremental file proves itself.
//!
//! ```text
//! #OUTRIGGER-LOG v1 t=<ms> id=<lineage> off=<n>[ select=<db>][ <epoch>] crc=<crc>\r\n   first line of the file
//! #OUTRIGGER-SEAL v1 t=<ms> id=<lineage> off=<n>[ <epoch>] crc=<crc>\r\n     after each batch of commands
//! #OUTRIGGER-LINEAGE v1 t=<ms> id=<lineage> off=<n>[ <epoch>] crc=<crc>\r\n  the same history goes on under another id
//! <epoch>: epoch=<n> since=<n>
//! ```
//!
//! `t` is Unix time in milliseconds, `id` the lineage (40 lower-case hexadecimal digits), `off` the replication offset:
//! how many bytes of history end where the line stands, annotations not counted. `crc` is the CRC64 of every byte of the
//! file before the sixteen digits themselves, so each line vouches for all that stands above it, earlier lines included.
//! Stock servers begin each file in database 0. Where the history stands in another one, the first line says so
//! (`select`), and right after it stands that very SELECT command, which is no part of the history: it moves no offset.
//! `epoch` is the history's epoch and `since` the offset at which it began; a line without them was written where none was
//! known.
//! There is one way to write each number (no sign, no leading zeros), so no byte of a line can change unnoticed.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::base::crc::crc64;
use crate::base::random::Rng;
use crate::resp::write_command;

/// What every line of ours begins with.
pub const MARK: &[u8] = b"#OUTRIGGER-";
const LINEAGE_LEN: usize = 40;
const CRC_LEN: usize = 16;
const SELECT_FIELD: &[u8] = b" select=";
/// Bytes that are looked through at once for lines of ours.
const LOOK_AT_ONCE_BYTES: usize = 4 << 20;
/// The fixed beginning of a line is not longer.
const OPENING_MAX_BYTES: usize = 32;
const EPOCH_FIELD: &[u8] = b" epoch=";
const SINCE_FIELD: &[u8] = b" since=";

/// The 40-digit name of one history of writes (a replication id).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lineage([u8; LINEAGE_LEN]);

/// A lineage that is not 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a lineage is 40 lower-case hexadecimal digits")]
pub struct BadLineage;

impl Lineage {
    /// No lineage: forty zeros, as Redis shows an unset `master_replid2`.
    pub const NONE: Lineage = Lineage([b'0'; LINEAGE_LEN]);

    /// A new random lineage.
    pub fn random(rng: &mut Rng) -> Lineage {
        Lineage::from_bytes(rng.hex(LINEAGE_LEN).as_bytes()).unwrap_or(Lineage::NONE)
    }

    /// Reads forty hex digits in either case; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Lineage> {
        Lineage::from_bytes(&text.to_ascii_lowercase()).ok()
    }

    /// False for [`Lineage::NONE`].
    pub fn is_some(&self) -> bool {
        *self != Lineage::NONE
    }

    /// The lineage these 40 digits name.
    pub fn from_bytes(digits: &[u8]) -> Result<Self, BadLineage> {
        let digits: [u8; LINEAGE_LEN] = digits.try_into().map_err(|_| BadLineage)?;
        if digits.iter().all(|&b| is_hex(b)) { Ok(Lineage(digits)) } else { Err(BadLineage) }
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8; LINEAGE_LEN] {
        &self.0
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Lineage {
    type Err = BadLineage;

    fn from_str(digits: &str) -> Result<Self, BadLineage> {
        Lineage::from_bytes(digits.as_bytes())
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lineage({self})")
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// How often a history has been taken over: it rises at every promotion, and of two nodes that serve one history the one with
/// the higher epoch is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    /// The number; 0 where nothing is known of it.
    pub number: u64,
    /// The offset at which it began.
    pub since: u64,
}

impl Epoch {
    /// Nothing is known.
    pub const UNKNOWN: Epoch = Epoch { number: 0, since: 0 };
    /// A history that begins.
    pub const FIRST: Epoch = Epoch { number: 1, since: 0 };

    /// False for [`Epoch::UNKNOWN`].
    pub fn is_known(&self) -> bool {
        self.number > 0
    }
}

/// Which of our lines it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// The file's first line.
    Log,
    /// The end of a batch.
    Seal,
    /// The end of a batch too, and a new name for the history from here on.
    Lineage,
}

impl SealKind {
    const ALL: [SealKind; 3] = [SealKind::Log, SealKind::Seal, SealKind::Lineage];

    fn opening(self) -> &'static [u8] {
        match self {
            SealKind::Log => b"#OUTRIGGER-LOG v1 t=",
            SealKind::Seal => b"#OUTRIGGER-SEAL v1 t=",
            SealKind::Lineage => b"#OUTRIGGER-LINEAGE v1 t=",
        }
    }
}

/// What one of our lines says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealLine {
    /// Which line it is.
    pub kind: SealKind,
    /// When it was written, in milliseconds of Unix time.
    pub time_ms: u64,
    /// The history this is (for [`SealKind::Lineage`]: from here on).
    pub lineage: Lineage,
    /// Bytes of history that end at this line.
    pub offset: u64,
    /// [`SealKind::Log`] only: the database (above 0) that the SELECT command right behind the line selects.
    pub select: Option<u32>,
    /// The history's epoch; [`Epoch::UNKNOWN`] if the line does not tell it.
    pub epoch: Epoch,
    /// CRC64 of the file up to [`SealLine::crc_at`].
    pub crc: u64,
    /// Where in the line the digits of the crc begin.
    pub crc_at: usize,
}

impl SealLine {
    /// Bytes of the line, its line end included.
    pub fn line_len(&self) -> usize {
        self.crc_at + CRC_LEN + 2
    }
}

/// How the beginning of some bytes compares with the grammar of our lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A whole line; what follows it does not matter.
    Whole(SealLine),
    /// The bytes end before the line does, and nothing in them is wrong.
    Cut,
    /// They begin differently, or go on differently from some byte on.
    Other,
}

impl Shape {
    /// Compares the beginning of `bytes` with the grammar.
    pub fn of(bytes: &[u8]) -> Shape {
        let mut outcome = Shape::Other;
        for kind in SealKind::ALL {
            match parse(kind, bytes) {
                Shape::Other => {}
                found => outcome = found,
            }
        }
        outcome
    }
}

/// Reads through bytes against a grammar. Each method returns `Err` with the shape when the grammar is left.
struct Matcher<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Matcher<'_> {
    fn literal(&mut self, text: &[u8]) -> Result<(), Shape> {
        let there = self.bytes.get(self.at..).unwrap_or_default();
        let shared = there.len().min(text.len());
        if there[..shared] != text[..shared] {
            return Err(Shape::Other);
        }
        self.at += shared;
        if shared == text.len() { Ok(()) } else { Err(Shape::Cut) }
    }

    fn decimal(&mut self) -> Result<u64, Shape> {
        let from = self.at;
        let mut value = 0u64;
        while let Some(&digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            if self.at > from && value == 0 {
                return Err(Shape::Other);
            }
            let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
            value = next.ok_or(Shape::Other)?;
            self.at += 1;
        }
        match self.at {
            end if end == self.bytes.len() => Err(Shape::Cut),
            end if end == from => Err(Shape::Other),
            _ => Ok(value),
        }
    }

    fn hex<const N: usize>(&mut self) -> Result<[u8; N], Shape> {
        let there = self.bytes.get(self.at..).unwrap_or_default();
        if !there.iter().take(N).all(|&b| is_hex(b)) {
            return Err(Shape::Other);
        }
        let digits = there.first_chunk::<N>().ok_or(Shape::Cut)?;
        self.at += N;
        Ok(*digits)
    }
}

fn parse(kind: SealKind, bytes: &[u8]) -> Shape {
    parse_from(kind, &mut Matcher { bytes, at: 0 }).unwrap_or_else(|shape| shape)
}

fn parse_from(kind: SealKind, matcher: &mut Matcher<'_>) -> Result<Shape, Shape> {
    matcher.literal(kind.opening())?;
    let time_ms = matcher.decimal()?;
    matcher.literal(b" id=")?;
    let lineage = Lineage(matcher.hex::<LINEAGE_LEN>()?);
    matcher.literal(b" off=")?;
    let offset = matcher.decimal()?;
    let select = if kind == SealKind::Log { parse_select(matcher)? } else { None };
    let epoch = parse_epoch(matcher)?;
    matcher.literal(b" crc=")?;
    let crc_at = matcher.at;
    let crc = parse_crc(&matcher.hex::<CRC_LEN>()?).ok_or(Shape::Other)?;
    matcher.literal(b"\r\n")?;
    Ok(Shape::Whole(SealLine { kind, time_ms, lineage, offset, select, epoch, crc, crc_at }))
}

/// The optional field ` select=<db>`.
fn parse_select(matcher: &mut Matcher<'_>) -> Result<Option<u32>, Shape> {
    if matcher.bytes.get(matcher.at + 1) != SELECT_FIELD.get(1) {
        return Ok(None);
    }
    matcher.literal(SELECT_FIELD)?;
    let db = u32::try_from(matcher.decimal()?).ok().filter(|db| *db > 0);
    db.map(Some).ok_or(Shape::Other)
}

/// The optional fields ` epoch=<n> since=<n>`.
fn parse_epoch(matcher: &mut Matcher<'_>) -> Result<Epoch, Shape> {
    if matcher.bytes.get(matcher.at + 1) != EPOCH_FIELD.get(1) {
        return Ok(Epoch::UNKNOWN);
    }
    matcher.literal(EPOCH_FIELD)?;
    let number = matcher.decimal()?;
    if number == 0 {
        return Err(Shape::Other);
    }
    matcher.literal(SINCE_FIELD)?;
    Ok(Epoch { number, since: matcher.decimal()? })
}

/// The SELECT command as it stands behind a first line that names a database.
pub fn select_command(db: u32) -> Vec<u8> {
    let mut digits = itoa::Buffer::new();
    let mut command = Vec::new();
    write_command(&mut command, &[b"SELECT", digits.format(db).as_bytes()]);
    command
}

/// The number that 16 lower-case hexadecimal digits print.
pub(super) fn parse_crc(digits: &[u8]) -> Option<u64> {
    if digits.len() != CRC_LEN || !digits.iter().all(|&b| is_hex(b)) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Appends 16 lower-case hexadecimal digits.
pub(super) fn push_crc(crc: u64, out: &mut Vec<u8>) {
    out.extend((0..CRC_LEN).rev().map(|i| b"0123456789abcdef"[(crc >> (4 * i)) as usize & 15]));
}

/// Whether `bytes` hold one of our lines, or what is left of one that was once whole, at any place.
///
/// A line that is merely cut off by the end of the bytes does not count: that is how an interrupted write ends. A line
/// with some byte of it changed does count. One change spares either the line's opening or its closing fields, so
/// either of them is taken for a line.
pub fn holds_seal(bytes: &[u8]) -> bool {
    holds_seal_in(bytes, &mut |_| ())
}

/// As [`holds_seal`]; `read_to` is told how far the bytes have been looked through.
pub(super) fn holds_seal_in(bytes: &[u8], read_to: &mut dyn FnMut(usize)) -> bool {
    let mut start = 0;
    while start < bytes.len() {
        let end = bytes.len().min(start + LOOK_AT_ONCE_BYTES);
        // What is looked for may begin in one piece and end in the next.
        let piece = &bytes[start..bytes.len().min(end + OPENING_MAX_BYTES)];
        let opened = SealKind::ALL.iter().any(|kind| {
            memchr::memmem::find_iter(piece, kind.opening())
                .any(|at| parse(*kind, &bytes[start + at..]) != Shape::Cut)
        });
        if opened || memchr::memmem::find_iter(piece, b" crc=").any(|at| closes_line(bytes, start + at)) {
            return true;
        }
        read_to(end);
        start = end;
    }
    false
}

/// The first of our ordinary seals at or behind `from` that reads as one; whether it is one only the bytes before it tell.
/// `read_to` is told how far the bytes have been looked through.
pub fn next_seal(bytes: &[u8], from: usize, read_to: &mut dyn FnMut(usize)) -> Option<(usize, SealLine)> {
    let mut start = from;
    while start < bytes.len() {
        let end = bytes.len().min(start + LOOK_AT_ONCE_BYTES);
        let piece = &bytes[start..bytes.len().min(end + OPENING_MAX_BYTES)];
        for at in memchr::memmem::find_iter(piece, SealKind::Seal.opening()) {
            if let Shape::Whole(line) = parse(SealKind::Seal, &bytes[start + at..]) {
                return Some((start + at, line));
            }
        }
        read_to(end);
        start = end;
    }
    None
}

/// Whether ` id=<40 hex> off=<n>[ select=<n>][ epoch=<n> since=<n>]` ends at `at` and ` crc=<16 hex>\r\n` begins there.
fn closes_line(bytes: &[u8], at: usize) -> bool {
    let mut after = Matcher { bytes, at: at + b" crc=".len() };
    if after.hex::<CRC_LEN>().is_err() || after.literal(b"\r\n").is_err() {
        return false;
    }
    let before = &bytes[..at];
    let without_epoch = strip_number(before, SINCE_FIELD).and_then(|rest| strip_number(rest, EPOCH_FIELD));
    let before = without_epoch.unwrap_or(before);
    let before = strip_number(before, SELECT_FIELD).unwrap_or(before);
    let Some(before) = strip_number(before, b" off=") else { return false };
    let Some((before, lineage)) = before.split_last_chunk::<LINEAGE_LEN>() else { return false };
    lineage.iter().all(|&b| is_hex(b)) && before.ends_with(b" id=")
}

/// Takes `<field><digits>` off the end.
fn strip_number<'a>(bytes: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let digits = bytes.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 { None } else { bytes[..bytes.len() - digits].strip_suffix(field) }
}

/// The running state of a file being written, and the writer of its lines.
///
/// Everything that goes into the file goes through here in order: [`Sealer::start`] makes the first line,
/// [`Sealer::feed`] is shown the commands of a batch, [`Sealer::seal`] makes the line that closes it. Seal between
/// commands, and not inside MULTI: a seal there is legal, but proves the transaction only together with its EXEC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealer {
    crc: u64,
    file_len: u64,
    lineage: Lineage,
    offset: u64,
    epoch: Epoch,
}

impl Sealer {
    /// Begins a file whose first command byte follows `offset` bytes of history; appends its first line to `out`.
    pub fn start(lineage: Lineage, offset: u64, time_ms: u64, out: &mut Vec<u8>) -> Sealer {
        Sealer::start_in(lineage, offset, 0, Epoch::UNKNOWN, time_ms, out)
    }

    /// As [`Sealer::start`], in an epoch, where the history has database `db` selected: unless that is 0, appends the SELECT
    /// command as well, which moves no offset.
    pub fn start_in(
        lineage: Lineage,
        offset: u64,
        db: u32,
        epoch: Epoch,
        time_ms: u64,
        out: &mut Vec<u8>,
    ) -> Sealer {
        let mut sealer = Sealer { crc: 0, file_len: 0, lineage, offset, epoch };
        sealer.write_line(SealKind::Log, time_ms, (db > 0).then_some(db), out);
        if db > 0 {
            let command = select_command(db);
            sealer.crc = crc64(sealer.crc, &command);
            sealer.file_len += command.len() as u64;
            out.extend_from_slice(&command);
        }
        sealer
    }

    /// Goes on with a file of which `file_len` bytes stand, with `crc` the CRC64 of them all.
    pub fn resume(file_len: u64, crc: u64, lineage: Lineage, offset: u64) -> Sealer {
        Sealer { crc, file_len, lineage, offset, epoch: Epoch::UNKNOWN }
    }

    /// The same, in an epoch, which the next line will tell.
    pub fn in_epoch(self, epoch: Epoch) -> Sealer {
        Sealer { epoch, ..self }
    }

    /// The history's epoch, which the next line will tell.
    pub fn set_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Takes note of whole commands, as they are appended to the file.
    pub fn feed(&mut self, commands: &[u8]) {
        self.crc = crc64(self.crc, commands);
        self.file_len += commands.len() as u64;
        self.offset += commands.len() as u64;
    }

    /// Appends the line that seals everything fed so far.
    pub fn seal(&mut self, time_ms: u64, out: &mut Vec<u8>) {
        self.line(SealKind::Seal, time_ms, out);
    }

    /// Appends the line that seals everything fed so far and names the history anew from here on.
    pub fn change_lineage(&mut self, lineage: Lineage, time_ms: u64, out: &mut Vec<u8>) {
        self.lineage = lineage;
        self.line(SealKind::Lineage, time_ms, out);
    }

    /// Bytes of the file so far.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Bytes of history that end here.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The current name of the history.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// CRC64 of the file so far.
    pub fn crc(&self) -> u64 {
        self.crc
    }

    fn line(&mut self, kind: SealKind, time_ms: u64, out: &mut Vec<u8>) {
        self.write_line(kind, time_ms, None, out);
    }

    fn write_line(&mut self, kind: SealKind, time_ms: u64, select: Option<u32>, out: &mut Vec<u8>) {
        let start = out.len();
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(kind.opening());
        out.extend_from_slice(digits.format(time_ms).as_bytes());
        out.extend_from_slice(b" id=");
        out.extend_from_slice(self.lineage.as_bytes());
        out.extend_from_slice(b" off=");
        out.extend_from_slice(digits.format(self.offset).as_bytes());
        if let Some(db) = select {
            out.extend_from_slice(SELECT_FIELD);
            out.extend_from_slice(digits.format(db).as_bytes());
        }
        if self.epoch.is_known() {
            out.extend_from_slice(EPOCH_FIELD);
            out.extend_from_slice(digits.format(self.epoch.number).as_bytes());
            out.extend_from_slice(SINCE_FIELD);
            out.extend_from_slice(digits.format(self.epoch.since).as_bytes());
        }
        out.extend_from_slice(b" crc=");
        self.crc = crc64(self.crc, &out[start..]);
        let digits_at = out.len();
        push_crc(self.crc, out);
        out.extend_from_slice(b"\r\n");
        self.crc = crc64(self.crc, &out[digits_at..]);
        self.file_len += (out.len() - start) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn a_line(kind: SealKind) -> Vec<u8> {
        a_line_with(kind, None)
    }

    fn a_line_with(kind: SealKind, select: Option<u32>) -> Vec<u8> {
        a_line_of(kind, select, Epoch::UNKNOWN)
    }

    const EPOCH: Epoch = Epoch { number: 12, since: 1034 };

    fn a_line_of(kind: SealKind, select: Option<u32>, epoch: Epoch) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sealer = Sealer::resume(10, 77, ID.parse().unwrap(), 1234).in_epoch(epoch);
        sealer.write_line(kind, 1_700_000_000_123, select, &mut out);
        out
    }

    #[test]
    fn writes_what_it_reads() {
        for kind in SealKind::ALL {
            let line = a_line(kind);
            assert!(line.len() < 1024 && line.starts_with(MARK) && line.ends_with(b"\r\n"));
            let Shape::Whole(read) = Shape::of(&line) else { panic!("not read: {line:?}") };
            assert_eq!((read.kind, read.time_ms, read.offset), (kind, 1_700_000_000_123, 1234));
            assert_eq!(read.lineage.as_str(), ID);
            assert_eq!(read.crc, crc64(77, &line[..read.crc_at]));
        }
    }

    #[test]
    fn the_text_of_a_seal_is_fixed() {
        let mut out = Vec::new();
        let mut sealer = Sealer::start(ID.parse().unwrap(), 0, 5, &mut out);
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.starts_with(&format!("#OUTRIGGER-LOG v1 t=5 id={ID} off=0 crc=")));
        sealer.feed(b"*1\r\n$4\r\nPING\r\n");
        out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        sealer.seal(6, &mut out);
        assert_eq!(sealer.file_len(), out.len() as u64);
        assert_eq!(sealer.crc(), crc64(0, &out));
        assert_eq!(sealer.offset(), 14);
        assert!(
            String::from_utf8(out)
                .unwrap()
                .contains(&format!("\r\n#OUTRIGGER-SEAL v1 t=6 id={ID} off=14 crc="))
        );
    }

    #[test]
    fn every_prefix_is_cut_and_every_other_byte_is_noticed() {
        let selecting = [Epoch::UNKNOWN, EPOCH].map(|epoch| a_line_of(SealKind::Log, Some(15), epoch));
        let with_epochs = SealKind::ALL.map(|kind| a_line_of(kind, None, EPOCH));
        for line in SealKind::ALL.map(a_line).into_iter().chain(selecting).chain(with_epochs) {
            for end in 0..line.len() {
                assert_eq!(Shape::of(&line[..end]), Shape::Cut, "{end}");
                assert!(!holds_seal(&line[..end]), "{end}");
            }
            assert!(holds_seal(&line));
            let whole = Shape::of(&line);
            for at in 0..line.len() {
                for bit in 0..8 {
                    let mut changed = line.clone();
                    changed[at] ^= 1 << bit;
                    assert_ne!(Shape::of(&changed), whole, "byte {at} bit {bit}");
                    assert!(holds_seal(&changed), "byte {at} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn lines_tell_the_epoch_where_one_is_known() {
        for kind in SealKind::ALL {
            let line = a_line_of(kind, None, EPOCH);
            let text = String::from_utf8(line.clone()).unwrap();
            assert!(text.contains(" off=1234 epoch=12 since=1034 crc="), "{text}");
            let told = |bytes: &[u8]| match Shape::of(bytes) {
                Shape::Whole(line) => line.epoch,
                other => panic!("{other:?}"),
            };
            assert_eq!((told(&line), told(&a_line(kind))), (EPOCH, Epoch::UNKNOWN));
            for (from, to) in [
                ("epoch=12", "epoch=0"),
                ("epoch=12", "epoch=012"),
                ("epoch=12", "epoch=18446744073709551616"),
                (" since=1034", ""),
                ("since=1034", "since="),
                ("epoch=12 since=1034", "since=1034 epoch=12"),
            ] {
                assert_eq!(Shape::of(text.replacen(from, to, 1).as_bytes()), Shape::Other, "{to}");
            }
        }
    }

    #[test]
    fn only_a_first_line_selects() {
        let line = a_line_with(SealKind::Log, Some(15));
        assert!(matches!(Shape::of(&line), Shape::Whole(SealLine { select: Some(15), .. })));
        let text = String::from_utf8(line).unwrap();
        for (from, to) in [("=15", "=0"), ("=15", "=015"), ("=15", "=4294967296"), ("=15", "=")] {
            assert_eq!(Shape::of(text.replacen(from, to, 1).as_bytes()), Shape::Other, "{to}");
        }
        for kind in [SealKind::Seal, SealKind::Lineage] {
            assert_eq!(Shape::of(&a_line_with(kind, Some(3))), Shape::Other);
        }
    }

    #[test]
    fn odd_numbers_and_lineages_are_refused() {
        let line = String::from_utf8(a_line(SealKind::Seal)).unwrap();
        for (from, to) in [
            ("off=1234", "off=01234"),
            ("off=1234", "off="),
            ("off=1234", "off=99999999999999999999"),
            ("t=1", "t=+1"),
            ("abcdef", "ABCDEF"),
            (" v1 ", " v2 "),
        ] {
            assert_eq!(Shape::of(line.replacen(from, to, 1).as_bytes()), Shape::Other, "{to}");
        }
        assert!(ID[1..].parse::<Lineage>().is_err());
        assert!(ID.to_uppercase().parse::<Lineage>().is_err());
    }
}
