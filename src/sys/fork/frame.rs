//! The messages of a fork child: frames of one size, each written by one atomic `write` to the pipe.
//!
//! Layout, little-endian: kind (1 byte), length of the text (1), zeros (6), keys (8), bytes (8), copied bytes (8),
//! check (8), text (216, padded with zeros).

use std::fmt::{self, Write};

/// Bytes of a frame; below `PIPE_BUF` (4,096), so the kernel never splits one.
pub(super) const FRAME_BYTES: usize = 256;
const TEXT_AT: usize = 40;
const TEXT_BYTES: usize = FRAME_BYTES - TEXT_AT;

const KIND_PROGRESS: u8 = 1;
const KIND_DONE: u8 = 2;
const KIND_FAILED: u8 = 3;

/// How far a child has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkProgress {
    /// Keys dealt with.
    pub keys_done: u64,
    /// Bytes produced.
    pub bytes_done: u64,
    /// Memory that is the child's own and no longer shared: what copy-on-write has cost, in bytes.
    pub copied_bytes: u64,
}

/// One message of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Progress(ForkProgress),
    Done(ForkProgress, u64),
    Failed(String),
}

/// An encoded frame.
pub(super) type FrameBytes = [u8; FRAME_BYTES];

fn put(frame: &mut FrameBytes, at: usize, value: u64) {
    if let Some(slot) = frame.get_mut(at..at + 8) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
}

fn get(frame: &FrameBytes, at: usize) -> u64 {
    frame.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn encode_numbers(kind: u8, progress: ForkProgress, check: u64) -> FrameBytes {
    let mut frame = [0; FRAME_BYTES];
    frame[0] = kind;
    put(&mut frame, 8, progress.keys_done);
    put(&mut frame, 16, progress.bytes_done);
    put(&mut frame, 24, progress.copied_bytes);
    put(&mut frame, 32, check);
    frame
}

/// A frame that says how far the child is.
pub(super) fn progress(progress: ForkProgress) -> FrameBytes {
    encode_numbers(KIND_PROGRESS, progress, 0)
}

/// A frame that says all went well.
pub(super) fn done(progress: ForkProgress, check: u64) -> FrameBytes {
    encode_numbers(KIND_DONE, progress, check)
}

/// A frame that says what went wrong; a long text is cut.
pub(super) fn failed(reason: &dyn fmt::Display) -> FrameBytes {
    let mut text = FixedText { bytes: [0; TEXT_BYTES], len: 0 };
    // The only possible error is that the text is full, and cut is what it then is.
    let _ = write!(text, "{reason}");
    let mut frame = [0; FRAME_BYTES];
    frame[0] = KIND_FAILED;
    frame[1] = u8::try_from(text.len).unwrap_or(u8::MAX);
    frame[TEXT_AT..].copy_from_slice(&text.bytes);
    frame
}

/// Reads a frame; `None` if its kind is unknown.
pub(super) fn decode(frame: &FrameBytes) -> Option<Frame> {
    let progress =
        ForkProgress { keys_done: get(frame, 8), bytes_done: get(frame, 16), copied_bytes: get(frame, 24) };
    match frame[0] {
        KIND_PROGRESS => Some(Frame::Progress(progress)),
        KIND_DONE => Some(Frame::Done(progress, get(frame, 32))),
        KIND_FAILED => {
            let text = frame.get(TEXT_AT..TEXT_AT + usize::from(frame[1]))?;
            Some(Frame::Failed(String::from_utf8_lossy(text).into_owned()))
        }
        _ => None,
    }
}

/// A text without an allocation.
struct FixedText {
    bytes: [u8; TEXT_BYTES],
    len: usize,
}

impl Write for FixedText {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = TEXT_BYTES - self.len;
        let cut = (0..=room.min(s.len())).rev().find(|at| s.is_char_boundary(*at)).unwrap_or(0);
        let (Some(slot), Some(part)) =
            (self.bytes.get_mut(self.len..self.len + cut), s.as_bytes().get(..cut))
        else {
            return Err(fmt::Error);
        };
        slot.copy_from_slice(part);
        self.len += cut;
        if cut < s.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip() {
        let p = ForkProgress { keys_done: 1, bytes_done: u64::MAX, copied_bytes: 3 };
        assert_eq!(decode(&progress(p)), Some(Frame::Progress(p)));
        assert_eq!(decode(&done(p, 77)), Some(Frame::Done(p, 77)));
        assert_eq!(decode(&failed(&"disk full")), Some(Frame::Failed("disk full".into())));
        assert_eq!(decode(&[9; FRAME_BYTES]), None);
        let mut too_long = failed(&"x");
        too_long[1] = 255;
        assert_eq!(decode(&too_long), None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(300);
        let Some(Frame::Failed(cut)) = decode(&failed(&text)) else { panic!("no text") };
        assert_eq!(cut.len(), TEXT_BYTES);
        assert!(text.starts_with(&cut));
        let Some(Frame::Failed(odd)) = decode(&failed(&format!("x{text}"))) else { panic!("no text") };
        assert_eq!(odd.len(), TEXT_BYTES - 1);
    }
}
