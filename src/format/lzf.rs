//! LZF, the byte-oriented compression RDB uses for strings.
//!
//! A stream is a row of chunks, each opened by a control byte `c`:
//!
//! | control | meaning |
//! | --- | --- |
//! | `c < 32` | `c + 1` literal bytes follow |
//! | `32 <= c < 224` | copy `(c >> 5) + 2` bytes (3 to 8); the distance is `((c & 31) << 8 \| next) + 1` |
//! | `c >= 224` | as above, but a length byte stands before the distance byte: copy `7 + length + 2` bytes (9 to 264) |
//!
//! A copy may overlap what it writes. The stream does not name its own length: RDB stores both lengths beside it.

use thiserror::Error;

/// The longest copy one chunk can ask for, in bytes.
const MAX_MATCH: usize = 7 + 255 + 2;
/// The farthest back a copy can reach, in bytes.
const MAX_DISTANCE: usize = 1 << 13;
/// The longest literal run one control byte can open.
const MAX_LITERAL: usize = 32;
const TABLE_BITS: u32 = 14;
/// The largest input [`Compressor::compress`] accepts: positions are kept in 32 bits.
const MAX_INPUT: usize = 1 << 30;

/// Why a compressed stream was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LzfError {
    /// The stream ends inside a chunk.
    #[error("the compressed stream ends inside a chunk, at byte {at} of it")]
    Truncated {
        /// Byte position in the compressed stream.
        at: usize,
    },
    /// A copy reaches back before the first byte of output.
    #[error("a copy reaches {distance} bytes back with only {written} written, at byte {at} of the stream")]
    BadDistance {
        /// Byte position in the compressed stream.
        at: usize,
        /// How far back the copy asked to reach, in bytes.
        distance: usize,
        /// Bytes of output that existed then.
        written: usize,
    },
    /// The stream makes more or fewer bytes than it was said to make.
    #[error("the compressed stream does not expand to the {declared} bytes declared for it")]
    WrongLength {
        /// The length declared beside the stream, in bytes.
        declared: usize,
    },
}

/// A compressor with a match table that is reused from call to call.
///
/// Entries of earlier inputs are told apart by their position, which only ever grows, so the table needs no clearing
/// between the small strings that make up most of a snapshot.
pub struct Compressor {
    table: Box<[u32]>,
    /// Position that the first byte of the next input gets; every entry below it belongs to an earlier input.
    base: u32,
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressor {
    /// A compressor with an empty table (64 KiB).
    pub fn new() -> Self {
        Compressor { table: vec![0; 1 << TABLE_BITS].into_boxed_slice(), base: 1 }
    }

    /// Appends the compressed form of `input` to `out` and returns its length in bytes, or leaves `out` as it was and
    /// returns `None` when that form would be longer than `max_len` bytes.
    pub fn compress(&mut self, input: &[u8], max_len: usize, out: &mut Vec<u8>) -> Option<usize> {
        if input.len() < 4 || input.len() > MAX_INPUT || max_len == 0 {
            return None;
        }
        if self.base > u32::MAX - MAX_INPUT as u32 - 1 {
            self.table.fill(0);
            self.base = 1;
        }
        let start = out.len();
        out.resize(start + max_len.min(worst_case(input.len())), 0);
        let mut writer = ChunkWriter { out: &mut out[start..], at: 0 };
        let written = self.run(input, &mut writer).map(|()| writer.at);
        self.base += input.len() as u32;
        out.truncate(start + written.unwrap_or(0));
        written
    }

    /// The greedy match loop; `None` when the output is full.
    fn run(&mut self, input: &[u8], writer: &mut ChunkWriter<'_>) -> Option<()> {
        // Four bytes are read at a time, of which three are hashed and compared.
        let last = input.len() - 4;
        let mut at = 0;
        let mut literal_start = 0;
        let mut misses = 0usize;
        while at <= last {
            let word = load_u32(input, at)?;
            let slot = self.table.get_mut(hash(word))?;
            let seen = std::mem::replace(slot, self.base + at as u32);
            let candidate = seen.wrapping_sub(self.base) as usize;
            if seen < self.base
                || at - candidate > MAX_DISTANCE
                || (load_u32(input, candidate)? ^ word) & 0x00ff_ffff != 0
            {
                // Data that does not compress is stepped over faster and faster.
                at += 1 + (misses >> 6);
                misses += 1;
                continue;
            }
            misses = 0;
            writer.literals(input, literal_start, at)?;
            let len = match_len(input, candidate, at);
            writer.copy(at - candidate, len)?;
            let end = at + len;
            // One entry in the middle of the match keeps later matches findable at little cost.
            if len > 3 && end <= last + 1 {
                let inner = end - 1;
                if inner <= last {
                    let slot = self.table.get_mut(hash(load_u32(input, inner)?))?;
                    *slot = self.base + inner as u32;
                }
            }
            at = end;
            literal_start = end;
        }
        writer.literals(input, literal_start, input.len())
    }
}

/// Bytes that `len` bytes of input take at most: literals only.
fn worst_case(len: usize) -> usize {
    len + len / MAX_LITERAL + 1
}

#[inline(always)]
fn load_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

#[inline(always)]
fn load_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
}

/// A slot for the low three bytes of `word`.
#[inline(always)]
fn hash(word: u32) -> usize {
    ((word << 8).wrapping_mul(0x9E37_79B1) >> (32 - TABLE_BITS)) as usize
}

/// How many bytes agree from `candidate` and `at` on, at most [`MAX_MATCH`]; three are known to.
#[inline]
fn match_len(input: &[u8], candidate: usize, at: usize) -> usize {
    let limit = MAX_MATCH.min(input.len() - at);
    let mut len = 3;
    while len + 8 <= limit {
        let (Some(a), Some(b)) = (load_u64(input, candidate + len), load_u64(input, at + len)) else { break };
        let differing = a ^ b;
        if differing != 0 {
            return len + (differing.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    while len < limit && input.get(candidate + len) == input.get(at + len) {
        len += 1;
    }
    len
}

/// Writes chunks into a slice of fixed size; each method returns `None` once the slice is full.
struct ChunkWriter<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl ChunkWriter<'_> {
    /// The bytes from `from` to `to` as they are.
    #[inline]
    fn literals(&mut self, input: &[u8], mut from: usize, to: usize) -> Option<()> {
        while from < to {
            let len = (to - from).min(MAX_LITERAL);
            let (control, body) = self.out.get_mut(self.at..)?.split_first_mut()?;
            *control = (len - 1) as u8;
            // A copy of fixed length is much the faster, and what it writes too much is written over.
            match (input.get(from..).and_then(<[u8]>::first_chunk), body.first_chunk_mut()) {
                (Some(run), Some(room)) => *room = *(run as &[u8; MAX_LITERAL]),
                _ => body.get_mut(..len)?.copy_from_slice(input.get(from..from + len)?),
            }
            self.at += 1 + len;
            from += len;
        }
        Some(())
    }

    #[inline]
    fn copy(&mut self, distance: usize, len: usize) -> Option<()> {
        let distance = distance - 1;
        let len = len - 2;
        let high = (distance >> 8) as u8;
        if len < 7 {
            let room = self.out.get_mut(self.at..self.at + 2)?;
            room.copy_from_slice(&[(len as u8) << 5 | high, distance as u8]);
            self.at += 2;
        } else {
            let room = self.out.get_mut(self.at..self.at + 3)?;
            room.copy_from_slice(&[7 << 5 | high, (len - 7) as u8, distance as u8]);
            self.at += 3;
        }
        Some(())
    }
}

/// Appends to `out` the `declared_len` bytes that `input` expands to.
///
/// What the stream expands to is counted before anything is allocated, so a false length costs nothing. On an error
/// `out` is as it was.
pub fn decompress(input: &[u8], declared_len: usize, out: &mut Vec<u8>) -> Result<(), LzfError> {
    if expanded_len(input)? != declared_len {
        return Err(LzfError::WrongLength { declared: declared_len });
    }
    let start = out.len();
    out.resize(start + declared_len, 0);
    let result = expand(input, &mut out[start..]);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Bytes that are copied at once when less is wanted: what is too much is written over.
const STRIDE: usize = 16;
/// The most that is expanded without having been counted before.
const UNCOUNTED_BYTES: usize = 64 * 1024;

/// Where strings are expanded one after another.
#[derive(Default)]
pub struct Room {
    /// Longer than what is in it, so that copies may be.
    room: Vec<u8>,
    len: usize,
}

impl Room {
    /// What was expanded last.
    pub fn bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    /// Expands the first `packed_len` of these bytes to `declared_len`, as [`decompress`] does, in place of what was there.
    /// That there are bytes behind them, whatever they are, makes it quicker.
    ///
    /// # Errors
    /// As [`decompress`].
    #[inline]
    pub fn expand(&mut self, input: &[u8], packed_len: usize, declared_len: usize) -> Result<(), LzfError> {
        self.len = declared_len;
        if declared_len <= UNCOUNTED_BYTES {
            if self.room.len() < declared_len + MAX_LITERAL {
                self.room.resize((declared_len + MAX_LITERAL).next_power_of_two(), 0);
            }
            if expand_roomy(input, packed_len, &mut self.room, declared_len).is_some() {
                return Ok(());
            }
        }
        self.expand_counted(input.get(..packed_len).unwrap_or(input), declared_len)
    }

    /// What is long, and what is unsound, the slow way, which knows what is wrong.
    #[cold]
    fn expand_counted(&mut self, input: &[u8], declared_len: usize) -> Result<(), LzfError> {
        self.room.clear();
        self.len = 0;
        decompress(input, declared_len, &mut self.room)?;
        self.len = declared_len;
        Ok(())
    }
}

/// As [`expand`], in one go, into room that is longer than what comes. `None` if it cannot be done, for whatever reason.
fn expand_roomy(input: &[u8], packed_len: usize, room: &mut [u8], declared_len: usize) -> Option<()> {
    let (mut at, mut written) = (0, 0);
    while at < packed_len {
        let control = usize::from(*input.get(at)?);
        if control < MAX_LITERAL {
            let len = control + 1;
            let from = input.get(at + 1..)?;
            at += 1 + len;
            if at > packed_len || written + len > declared_len {
                return None;
            }
            match from.first_chunk::<MAX_LITERAL>() {
                Some(run) => *room.get_mut(written..)?.first_chunk_mut()? = *run,
                None => room.get_mut(written..written + len)?.copy_from_slice(from.get(..len)?),
            }
            written += len;
            continue;
        }
        let mut len = (control >> 5) + 2;
        at += 1;
        if control >= 224 {
            len += usize::from(*input.get(at)?);
            at += 1;
        }
        let distance = ((control & 31) << 8 | usize::from(*input.get(at)?)) + 1;
        at += 1;
        // A stream that ends within a copy is told from one that goes on behind it by `at`.
        if distance > written || written + len > declared_len || at > packed_len {
            return None;
        }
        if distance < STRIDE {
            copy_back(room.get_mut(..declared_len)?, written, distance, len);
        } else {
            let mut done = 0;
            while done < len {
                let from = written + done - distance;
                let run: [u8; STRIDE] = *room.get(from..)?.first_chunk()?;
                *room.get_mut(written + done..)?.first_chunk_mut()? = run;
                done += STRIDE;
            }
        }
        written += len;
    }
    (written == declared_len).then_some(())
}

/// Checks that [`decompress`] would expand `input` to `declared_len` bytes, without a place to put them.
pub fn verify(input: &[u8], declared_len: usize) -> Result<(), LzfError> {
    if expanded_len(input)? != declared_len {
        return Err(LzfError::WrongLength { declared: declared_len });
    }
    let (mut at, mut written) = (0, 0);
    while let Some(&control) = input.get(at) {
        if control < 32 {
            written += control as usize + 1;
            at += control as usize + 2;
            continue;
        }
        // No stream whose length could be told ends within a copy.
        let (len, low_at) = match control {
            224.. => (9 + input.get(at + 1).copied().unwrap_or(0) as usize, at + 2),
            _ => ((control >> 5) as usize + 2, at + 1),
        };
        let low = input.get(low_at).copied().unwrap_or(0) as usize;
        let distance = ((control as usize & 31) << 8 | low) + 1;
        if distance > written {
            return Err(LzfError::BadDistance { at, distance, written });
        }
        written += len;
        at = low_at + 1;
    }
    Ok(())
}

/// How many bytes a stream expands to, by its control bytes alone.
fn expanded_len(input: &[u8]) -> Result<usize, LzfError> {
    let mut at = 0;
    let mut len = 0;
    while let Some(&control) = input.get(at) {
        let (from, makes) = match control {
            0..32 => (2 + control as usize, control as usize + 1),
            32..224 => (2, (control >> 5) as usize + 2),
            224.. => (3, 9 + input.get(at + 1).copied().unwrap_or(0) as usize),
        };
        if input.len() - at < from {
            return Err(LzfError::Truncated { at });
        }
        at += from;
        len += makes;
    }
    Ok(len)
}

fn expand(input: &[u8], out: &mut [u8]) -> Result<(), LzfError> {
    let declared = out.len();
    let wrong_length = LzfError::WrongLength { declared };
    let mut at = 0;
    let mut written = 0;
    while let Some(&control) = input.get(at) {
        let truncated = LzfError::Truncated { at };
        if control < 32 {
            let len = control as usize + 1;
            let from = input.get(at + 1..).unwrap_or_default();
            let room = out.get_mut(written..).unwrap_or_default();
            // A copy of fixed length is much the faster, and what it writes too much is written over.
            match (from.first_chunk(), room.first_chunk_mut()) {
                (Some(from), Some(room)) => *room = *(from as &[u8; MAX_LITERAL]),
                _ => {
                    let from = from.get(..len).ok_or(truncated)?;
                    room.get_mut(..len).ok_or(wrong_length)?.copy_from_slice(from);
                }
            }
            at += 1 + len;
            written += len;
            continue;
        }
        let mut len = (control >> 5) as usize + 2;
        let mut low_at = at + 1;
        if control >= 224 {
            len += *input.get(low_at).ok_or(truncated)? as usize;
            low_at += 1;
        }
        let low = *input.get(low_at).ok_or(truncated)? as usize;
        let distance = ((control as usize & 31) << 8 | low) + 1;
        if distance > written {
            return Err(LzfError::BadDistance { at, distance, written });
        }
        if len > declared - written {
            return Err(wrong_length);
        }
        copy_back(out, written, distance, len);
        at = low_at + 1;
        written += len;
    }
    if written == declared { Ok(()) } else { Err(wrong_length) }
}

/// Copies `len` bytes from `distance` before `at` to `at`; the caller has checked both ends.
#[inline]
fn copy_back(out: &mut [u8], at: usize, distance: usize, len: usize) {
    const STEP: usize = 16;
    let (head, tail) = out.split_at_mut(at);
    let from = at - distance;
    if distance >= len {
        // Short copies, which most are, in steps of fixed length: what they write too much is written over.
        if len <= 2 * STEP
            && let (Some(from), Some(room)) = (head[from..].first_chunk(), tail.first_chunk_mut())
        {
            *room = *(from as &[u8; 2 * STEP]);
            return;
        }
        if len <= STEP
            && let (Some(from), Some(room)) = (head[from..].first_chunk(), tail.first_chunk_mut())
        {
            *room = *(from as &[u8; STEP]);
            return;
        }
        tail[..len].copy_from_slice(&head[from..from + len]);
        return;
    }
    if distance == 1 {
        let byte = head[from];
        tail[..len].fill(byte);
        return;
    }
    // An overlapping copy repeats the last `distance` bytes: each round doubles what can be copied at once.
    let mut done = 0;
    while done < len {
        let step = (distance + done).min(len - done);
        out.copy_within(from..from + step, at + done);
        done += step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn squeeze(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        Compressor::new().compress(input, input.len() + 64, &mut out)?;
        Some(out)
    }

    fn expanded(input: &[u8], len: usize) -> Result<Vec<u8>, LzfError> {
        let mut out = b"kept".to_vec();
        decompress(input, len, &mut out)?;
        assert_eq!(&out[..4], b"kept");
        Ok(out[4..].to_vec())
    }

    #[test]
    fn expands_a_stream_written_by_hand() {
        // Two literals "ab", then distance 2 and length 9 (7 + 0 + 2): overlapping.
        assert_eq!(expanded(&[1, b'a', b'b', 0xe0, 0, 1], 11).unwrap(), b"abababababa");
        // One literal, then distance 1 and length 3.
        assert_eq!(expanded(&[0, b'x', 0x20, 0], 4).unwrap(), b"xxxx");
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert_eq!(expanded(&[3, b'a'], 4), Err(LzfError::Truncated { at: 0 }));
        assert_eq!(
            expanded(&[0, b'a', 0x20, 1], 4),
            Err(LzfError::BadDistance { at: 2, distance: 2, written: 1 })
        );
        assert_eq!(expanded(&[0, b'a', 0x20, 0], 3), Err(LzfError::WrongLength { declared: 3 }));
        assert_eq!(expanded(&[0, b'a'], 2), Err(LzfError::WrongLength { declared: 2 }));
        assert_eq!(expanded(&[0, b'a', 0xe0], 10), Err(LzfError::Truncated { at: 2 }));
        assert_eq!(expanded(&[0, b'a', 0xe0, 1], 11), Err(LzfError::Truncated { at: 2 }));
    }

    #[test]
    fn a_huge_declared_length_allocates_nothing() {
        let mut out = Vec::new();
        assert!(decompress(&[0, b'a'], usize::MAX / 2, &mut out).is_err());
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn a_room_takes_long_strings_and_refuses_false_lengths() {
        let mut room = Room::default();
        let zeros = vec![0; 3 * UNCOUNTED_BYTES];
        let packed = squeeze(&zeros).unwrap();
        assert_eq!(room.expand(&packed, packed.len(), zeros.len()), Ok(()));
        assert_eq!(room.bytes(), zeros);
        assert!(room.expand(&packed, packed.len(), usize::MAX / 2).is_err());
        assert!(room.room.capacity() <= 2 * zeros.len() && room.bytes().is_empty());
        assert_eq!(room.expand(&[0, b'x', 0x20, 0], 4, 4), Ok(()));
        assert_eq!(room.bytes(), b"xxxx");
    }

    #[test]
    fn respects_the_output_bound() {
        let mut out = b"kept".to_vec();
        let noise: Vec<u8> = (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(Compressor::new().compress(&noise, noise.len() - 4, &mut out), None);
        assert_eq!(out, b"kept");
        let zeros = vec![0; 5000];
        let len = Compressor::new().compress(&zeros, 100, &mut out).unwrap();
        assert_eq!(out.len(), 4 + len);
        assert_eq!(expanded(&out[4..], 5000).unwrap(), zeros);
    }

    #[test]
    fn a_reused_table_does_not_reach_into_earlier_inputs() {
        let mut compressor = Compressor::new();
        for round in 0..200usize {
            let input = format!("session:{round:04} and again session:{round:04}; the same words every time")
                .into_bytes();
            let mut out = Vec::new();
            compressor.compress(&input, input.len(), &mut out).unwrap();
            assert_eq!(expanded(&out, input.len()).unwrap(), input);
        }
    }

    #[test]
    fn a_table_near_its_last_position_starts_afresh() {
        let mut compressor = Compressor { base: u32::MAX - 10, ..Compressor::new() };
        let input = b"abcabcabcabcabcabcabc";
        let mut out = Vec::new();
        compressor.compress(input, 100, &mut out).unwrap();
        assert_eq!(expanded(&out, input.len()).unwrap(), input);
        assert!(compressor.base < 100);
    }

    fn compressible() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(0u8..3, 0..3000),
            (prop::collection::vec(any::<u8>(), 1..80), 1usize..200).prop_map(|(part, n)| part.repeat(n)),
        ]
    }

    proptest! {
        #[test]
        fn round_trips_and_agrees_with_the_crate(input in compressible()) {
            if let Some(out) = squeeze(&input) {
                prop_assert_eq!(&expanded(&out, input.len()).unwrap(), &input);
                prop_assert_eq!(verify(&out, input.len()), Ok(()));
                prop_assert_eq!(&lzf::decompress(&out, input.len()).unwrap(), &input);
            } else {
                prop_assert!(input.len() < 4);
            }
            if let Ok(theirs) = lzf::compress(&input) {
                prop_assert_eq!(&expanded(&theirs, input.len()).unwrap(), &input);
            }
        }

        #[test]
        fn a_room_says_what_decompress_says(
            input in compressible(),
            noise in prop::collection::vec(any::<u8>(), 0..200),
            len in 0usize..20_000,
            behind in 0usize..40,
        ) {
            let mut room = Room::default();
            let noisy = noise.len();
            let packed = squeeze(&input).map(|packed| (packed, input.len()));
            // What was expanded before leaves no trace, and what follows in the input changes nothing.
            for (mut packed, len) in packed.clone().into_iter().chain([(noise, len)]).chain(packed) {
                let packed_len = packed.len();
                for len in [len, expanded_len(&packed).unwrap_or(len), len.saturating_sub(1)] {
                    packed.truncate(packed_len);
                    let wanted = expanded(&packed, len);
                    packed.extend((0..behind + noisy % 7).map(|at| at as u8));
                    let got = room.expand(&packed, packed_len, len).map(|()| room.bytes().to_vec());
                    prop_assert_eq!(got, wanted);
                }
            }
        }

        #[test]
        fn never_panics(input in prop::collection::vec(any::<u8>(), 0..200), len in 0usize..20_000) {
            // By a length that was made up it never gets far.
            let len = if len % 4 == 0 { len } else { expanded_len(&input).unwrap_or(len) };
            let expands = expanded(&input, len);
            prop_assert_eq!(verify(&input, len), expands.clone().map(|_| ()));
            if let Ok(out) = expands {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
