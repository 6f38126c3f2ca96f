//! The two things an append-only file is made of: commands and annotation lines.
//!
//! A command is `*<args>\r\n` and then, for each argument, `$<bytes>\r\n<data>\r\n`. An annotation is a line that opens
//! with `#`, ends with `\n` and is at most [`MAX_LINE_BYTES`] long with it. Numbers are plain decimals without sign or
//! leading zero, as every writer of these files prints them.

use std::ops::Range;

use thiserror::Error;

use crate::base::limits::ARG_MOST_BYTES;

/// The longest annotation line, its newline included, that stock servers read in one piece.
pub const MAX_LINE_BYTES: usize = 1023;
/// Digits that are read of a length before it is called too long: enough for any 32-bit count.
const MAX_DIGITS: usize = 10;

/// What a scanner accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arguments of one command.
    pub max_args: usize,
    /// Bytes of one argument.
    pub max_arg_bytes: usize,
}

impl Default for Limits {
    /// 2^31 - 1 arguments, as in the protocol, of as many bytes as a server can be told to take.
    fn default() -> Self {
        Limits { max_args: i32::MAX as usize, max_arg_bytes: ARG_MOST_BYTES as usize }
    }
}

/// Why bytes are neither a command nor an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SyntaxKind {
    /// Neither `*` nor `#` where a command or an annotation should begin.
    #[error("byte 0x{0:02x} where a command or an annotation should begin")]
    NotAnItem(u8),
    /// Something other than `$` where an argument should begin.
    #[error("byte 0x{0:02x} where an argument should begin")]
    NotAnArgument(u8),
    /// A count or length that is no plain decimal number followed by CR LF.
    #[error("a count or length that is not a plain decimal number")]
    BadNumber,
    /// A command of no arguments, or of more than the limit.
    #[error("a command of {0} arguments")]
    BadArgCount(u64),
    /// An argument longer than the limit.
    #[error("an argument of {0} bytes")]
    ArgTooLong(u64),
    /// An argument's data is not followed by CR LF.
    #[error("no line end after an argument's data")]
    MissingLineEnd,
    /// An annotation line longer than [`MAX_LINE_BYTES`].
    #[error("an annotation line longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong,
}

/// A [`SyntaxKind`] and where it was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind}, {at} bytes into the item")]
pub struct SyntaxError {
    /// Byte position, counted from the first byte of the item.
    pub at: usize,
    /// What is wrong there.
    pub kind: SyntaxKind,
}

/// What kind of item was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A command, whose arguments [`Scanner::args`] holds.
    Command,
    /// An annotation line.
    Annotation,
}

/// The outcome of one [`Scanner::scan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// A whole item of `len` bytes, its line ends included.
    Item {
        /// Command or annotation.
        kind: ItemKind,
        /// Bytes of the item.
        len: usize,
    },
    /// The bytes end inside an item, which is at least this long in all.
    NeedMore {
        /// Bytes, counted from the first of the item.
        at_least: usize,
    },
}

/// Scans one item after another, and goes on where it stopped when an item arrives in pieces.
///
/// It keeps positions only, and one for each argument that has arrived, so its memory is bounded by its input.
#[derive(Debug, Default)]
pub struct Scanner {
    limits: Limits,
    args: Vec<Range<usize>>,
    /// Arguments of the current command that have been read; of these so many are kept at most.
    seen: usize,
    kept_max: Option<usize>,
    /// Arguments the current command announced; `None` between items.
    announced: Option<usize>,
    /// Bytes of the current item that are done with.
    done: usize,
    finished: bool,
}

impl Scanner {
    /// A scanner with limits of its own.
    pub fn with_limits(limits: Limits) -> Self {
        Scanner { limits, ..Scanner::default() }
    }

    /// A scanner that keeps no more than so many arguments of a command, so that one of very many takes no more memory.
    pub fn keeping(args: usize) -> Self {
        Scanner { kept_max: Some(args), ..Scanner::default() }
    }

    /// How many arguments the command scanned last has.
    pub fn arg_count(&self) -> usize {
        self.seen
    }

    /// The arguments of the command scanned last, as positions counted from its first byte.
    pub fn args(&self) -> &[Range<usize>] {
        &self.args
    }

    /// Forgets the item it is in.
    pub fn reset(&mut self) {
        self.args.clear();
        self.seen = 0;
        self.announced = None;
        self.done = 0;
        self.finished = false;
    }

    /// Scans the item that begins at the first byte of `bytes`.
    ///
    /// After [`Scan::NeedMore`] call it again with the same bytes and more behind them; after [`Scan::Item`] with what
    /// follows the item. After an error the scanner begins afresh.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Scan, SyntaxError> {
        if self.finished {
            self.reset();
        }
        let scanned = match bytes.first() {
            None => Ok(None),
            Some(b'*') => self.command(bytes),
            Some(b'#') => self.annotation(bytes),
            Some(&other) => Err(SyntaxError { at: 0, kind: SyntaxKind::NotAnItem(other) }),
        };
        match scanned {
            Ok(Some((kind, len))) => {
                self.finished = true;
                Ok(Scan::Item { kind, len })
            }
            Ok(None) => Ok(Scan::NeedMore { at_least: self.done.max(bytes.len()) + 1 }),
            Err(error) => {
                self.finished = true;
                Err(error)
            }
        }
    }

    fn annotation(&mut self, bytes: &[u8]) -> Result<Option<(ItemKind, usize)>, SyntaxError> {
        let window = bytes.get(..MAX_LINE_BYTES).unwrap_or(bytes);
        match memchr::memchr(b'\n', window) {
            Some(at) => Ok(Some((ItemKind::Annotation, at + 1))),
            None if window.len() == MAX_LINE_BYTES => {
                Err(SyntaxError { at: MAX_LINE_BYTES, kind: SyntaxKind::LineTooLong })
            }
            None => Ok(None),
        }
    }

    fn command(&mut self, bytes: &[u8]) -> Result<Option<(ItemKind, usize)>, SyntaxError> {
        let announced = match self.announced {
            Some(announced) => announced,
            None => {
                let Some((count, next)) = number(bytes, 1)? else { return Ok(None) };
                let fits = usize::try_from(count).ok().filter(|&n| n > 0 && n <= self.limits.max_args);
                let Some(announced) = fits else {
                    return Err(SyntaxError { at: 1, kind: SyntaxKind::BadArgCount(count) });
                };
                self.announced = Some(announced);
                self.done = next;
                announced
            }
        };
        while self.seen < announced {
            // An argument's header is read again when its data was not all there: a few bytes.
            let at = self.done;
            match bytes.get(at) {
                None => return Ok(None),
                Some(b'$') => {}
                Some(&other) => return Err(SyntaxError { at, kind: SyntaxKind::NotAnArgument(other) }),
            }
            let Some((len, data_at)) = number(bytes, at + 1)? else { return Ok(None) };
            let fits = usize::try_from(len).ok().filter(|&n| n <= self.limits.max_arg_bytes);
            let Some(len) = fits else {
                return Err(SyntaxError { at: at + 1, kind: SyntaxKind::ArgTooLong(len) });
            };
            let end = data_at + len;
            match (bytes.get(end), bytes.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => {}
                (None, _) | (Some(b'\r'), None) => return Ok(None),
                _ => return Err(SyntaxError { at: end, kind: SyntaxKind::MissingLineEnd }),
            }
            if self.kept_max.is_none_or(|max| self.seen < max) {
                self.args.push(data_at..end);
            }
            self.seen += 1;
            self.done = end + 2;
        }
        Ok(Some((ItemKind::Command, self.done)))
    }
}

/// The decimal number at `at` and the position behind its CR LF; `None` when the bytes end before that.
fn number(bytes: &[u8], at: usize) -> Result<Option<(u64, usize)>, SyntaxError> {
    // One or two digits, as most numbers are, need no loop.
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(&[ones @ b'0'..=b'9', b'\r', b'\n', _]) => return Ok(Some((u64::from(ones - b'0'), at + 3))),
        Some(&[tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n']) => {
            return Ok(Some((u64::from(tens - b'0') * 10 + u64::from(ones - b'0'), at + 4)));
        }
        _ => {}
    }
    let bad = SyntaxError { at, kind: SyntaxKind::BadNumber };
    let mut value = 0u64;
    let mut pos = at;
    loop {
        match bytes.get(pos) {
            None => return Ok(None),
            Some(&digit @ b'0'..=b'9') if pos - at < MAX_DIGITS && (pos == at || value > 0) => {
                value = value * 10 + u64::from(digit - b'0');
            }
            Some(b'\r') if pos > at => break,
            Some(_) => return Err(bad),
        }
        pos += 1;
    }
    match bytes.get(pos + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((value, pos + 2))),
        Some(_) => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::write_command;
    use proptest::prelude::*;

    type Commands = Vec<Vec<Vec<u8>>>;

    fn scan_all(bytes: &[u8]) -> Result<(Commands, usize), SyntaxError> {
        let mut scanner = Scanner::default();
        let (mut commands, mut pos) = (Vec::new(), 0);
        while let Scan::Item { kind, len } = scanner.scan(&bytes[pos..])? {
            if kind == ItemKind::Command {
                commands.push(scanner.args().iter().map(|r| bytes[pos..][r.clone()].to_vec()).collect());
            }
            pos += len;
        }
        Ok((commands, pos))
    }

    #[test]
    fn reads_commands_and_annotations() {
        let bytes = b"#TS:1700000000\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n# any\n*1\r\n$4\r\nPI\r\n\r\n*1\r\n";
        let (commands, end) = scan_all(bytes).unwrap();
        assert_eq!(commands, [vec![b"GET".to_vec(), vec![]], vec![b"PI\r\n".to_vec()]]);
        assert_eq!(end, bytes.len() - 4);
    }

    #[test]
    fn refuses_malformed_items_where_they_are() {
        let cases: [(&[u8], usize, SyntaxKind); 11] = [
            (b"+OK\r\n", 0, SyntaxKind::NotAnItem(b'+')),
            (b"*0\r\n", 1, SyntaxKind::BadArgCount(0)),
            (b"*-1\r\n", 1, SyntaxKind::BadNumber),
            (b"*01\r\n", 1, SyntaxKind::BadNumber),
            (b"*\r\n", 1, SyntaxKind::BadNumber),
            (b"*1\rx", 1, SyntaxKind::BadNumber),
            (b"*99999999999\r\n", 1, SyntaxKind::BadNumber),
            (b"*1\r\n:1\r\n", 4, SyntaxKind::NotAnArgument(b':')),
            (b"*1\r\n$4294967296\r\n", 5, SyntaxKind::ArgTooLong(4_294_967_296)),
            (b"*1\r\n$1\r\nab\r\n", 9, SyntaxKind::MissingLineEnd),
            (b"*1\r\n$1\r\na\rb", 9, SyntaxKind::MissingLineEnd),
        ];
        for (bytes, at, kind) in cases {
            assert_eq!(Scanner::default().scan(bytes), Err(SyntaxError { at, kind }), "{bytes:?}");
        }
        let long = [b"#".as_slice(), &[b'x'; 1022], b"\n"].concat();
        assert_eq!(Scanner::default().scan(&long).unwrap_err().kind, SyntaxKind::LineTooLong);
        assert_eq!(
            Scanner::default()
                .scan(&long[1..].iter().rev().chain(b"\n").copied().collect::<Vec<_>>())
                .unwrap_err()
                .kind,
            SyntaxKind::NotAnItem(b'\n')
        );
    }

    #[test]
    fn the_longest_line_passes() {
        let line = [b"#".as_slice(), &[b'x'; 1021], b"\n"].concat();
        assert_eq!(
            Scanner::default().scan(&line),
            Ok(Scan::Item { kind: ItemKind::Annotation, len: MAX_LINE_BYTES })
        );
    }

    #[test]
    fn limits_hold_and_announced_sizes_allocate_nothing() {
        let mut scanner = Scanner::with_limits(Limits { max_args: 2, max_arg_bytes: 3 });
        assert_eq!(scanner.scan(b"*3\r\n").unwrap_err().kind, SyntaxKind::BadArgCount(3));
        assert_eq!(scanner.scan(b"*2\r\n$4\r\n").unwrap_err().kind, SyntaxKind::ArgTooLong(4));
        let mut scanner = Scanner::default();
        assert!(matches!(scanner.scan(b"*2147483647\r\n$2147483647\r\nabc"), Ok(Scan::NeedMore { .. })));
        assert_eq!(scanner.args.capacity(), 0);
    }

    proptest! {
        #[test]
        fn pieces_and_whole_agree(
            commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            for command in &commands {
                write_command(&mut bytes, command);
            }
            prop_assert_eq!(scan_all(&bytes).unwrap(), (commands.clone(), bytes.len()));
            // One scanner that is shown a byte more each time finds the first command at the same place.
            let mut scanner = Scanner::default();
            let first = (0..=bytes.len()).find_map(|end| match scanner.scan(&bytes[..end]).unwrap() {
                Scan::Item { len, .. } => Some(len),
                Scan::NeedMore { .. } => None,
            });
            let mut alone = Vec::new();
            write_command(&mut alone, &commands[0]);
            prop_assert_eq!(first, Some(alone.len()));
            let cut = cut.index(bytes.len());
            prop_assert!(scan_all(&bytes[..cut]).unwrap().1 <= cut);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(prop::sample::select(b"*$#0123\r\nab".to_vec()), 0..60)) {
            let _ = scan_all(&bytes);
        }
    }
}
