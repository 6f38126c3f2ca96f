//! The arguments of one command: positions in a buffer while parsing, slices while running.

use std::ops::{Index, Range};

/// Room for this many positions is kept between commands; more is given back.
const KEPT_SPANS: usize = 1024;
/// Room for this many bytes of unquoted inline text is kept between commands; more is given back.
const KEPT_SCRATCH_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    len: usize,
}

/// Where the arguments of a command lie. Reused from command to command, so parsing does not allocate.
///
/// Arguments of a multibulk command point into the caller's buffer; those of an inline command (whose quotes had
/// to be undone) and those pushed with [`ArgSpans::push_copied`] lie in a scratch buffer of its own. [`ArgSpans::view`] hides
/// the difference.
#[derive(Debug, Default)]
pub struct ArgSpans {
    spans: Vec<Span>,
    scratch: Vec<u8>,
    copied: bool,
}

impl ArgSpans {
    /// No arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies `args` in: a command that did not come from a socket.
    pub fn from_slices<T: AsRef<[u8]>>(args: &[T]) -> Self {
        let mut spans = Self::new();
        for arg in args {
            spans.push_copied(arg.as_ref());
        }
        spans
    }

    /// How many arguments there are, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Is there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn spans_capacity(&self) -> usize {
        self.spans.capacity()
    }

    /// Forgets the arguments but keeps moderate room for the next ones.
    #[inline]
    pub fn clear(&mut self) {
        self.spans.clear();
        self.scratch.clear();
        self.copied = false;
        if self.spans.capacity() > KEPT_SPANS || self.scratch.capacity() > KEPT_SCRATCH_BYTES {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.spans.shrink_to(KEPT_SPANS);
        self.scratch.shrink_to(KEPT_SCRATCH_BYTES);
    }

    /// The arguments as slices; `buf` must be the one they were parsed from (its bytes from the command's start on),
    /// and may be empty when the arguments were copied in.
    #[inline]
    pub fn view<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        Args { data: if self.copied { &self.scratch } else { buf }, spans: &self.spans }
    }

    /// Adds an argument by copying it. Arguments are either all copied or all parsed in place: this drops those
    /// parsed before.
    pub fn push_copied(&mut self, arg: &[u8]) {
        self.begin_copied();
        self.scratch.extend_from_slice(arg);
        self.end_copied(self.scratch.len() - arg.len());
    }

    #[inline]
    pub(crate) fn push_span(&mut self, start: usize, len: usize) {
        self.spans.push(Span { start, len });
    }

    pub(crate) fn begin_copied(&mut self) {
        if !self.copied {
            self.clear();
            self.copied = true;
        }
    }

    /// The scratch buffer, to write one argument into.
    pub(crate) fn scratch(&mut self) -> &mut Vec<u8> {
        &mut self.scratch
    }

    /// Makes what was written to the scratch buffer since `start` an argument.
    pub(crate) fn end_copied(&mut self, start: usize) {
        self.spans.push(Span { start, len: self.scratch.len().saturating_sub(start) });
    }
}

/// The arguments of a command as byte slices, name first. Two pointers wide per field and copied freely.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    data: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// How many arguments there are, the command's name included (`argc`).
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Is there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| self.bytes(*span))
    }

    /// The argument at `index`, empty when there is none: for positions the arity check has vouched for.
    #[inline]
    pub fn at(&self, index: usize) -> &'a [u8] {
        self.get(index).unwrap_or_default()
    }

    /// The arguments from `index` on.
    #[inline]
    pub fn from(&self, index: usize) -> Args<'a> {
        Args { data: self.data, spans: self.spans.get(index..).unwrap_or_default() }
    }

    /// The arguments in `range`, clipped to what there is.
    pub fn range(&self, range: Range<usize>) -> Args<'a> {
        let end = range.end.min(self.spans.len());
        Args { data: self.data, spans: self.spans.get(range.start..end).unwrap_or_default() }
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let data = self.data;
        self.spans.iter().map(move |span| bytes_of(data, *span))
    }

    /// Sum of the arguments' lengths, in bytes.
    pub fn total_bytes(&self) -> usize {
        self.spans.iter().map(|span| span.len).sum()
    }

    /// The arguments copied out.
    pub fn to_vecs(&self) -> Vec<Vec<u8>> {
        self.iter().map(<[u8]>::to_vec).collect()
    }

    #[inline]
    fn bytes(&self, span: Span) -> &'a [u8] {
        bytes_of(self.data, span)
    }
}

#[inline]
fn bytes_of(data: &[u8], span: Span) -> &[u8] {
    // Positions were in range when they were noted; a caller that hands another buffer sees empty arguments.
    data.get(span.start..span.start + span.len).unwrap_or_default()
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    /// As [`Args::at`]: empty when there is no such argument.
    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.at(index)
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}
