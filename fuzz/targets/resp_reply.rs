//! A reply stream in pieces must give the same replies, and the same error, as in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::resp::{DecodeError, Decoded, ReplyDecoder};

/// Replies as debug text, so that NaN equals itself.
fn run(stream: &[u8], piece: usize) -> (Vec<String>, Option<DecodeError>) {
    let (mut decoder, mut replies) = (ReplyDecoder::default(), Vec::new());
    let (mut start, mut end) = (0, 0);
    while end < stream.len() {
        end = (end + piece).min(stream.len());
        loop {
            match decoder.decode(&stream[start..end]) {
                Ok(Decoded::Complete { consumed, value }) => {
                    assert!(consumed > 0);
                    replies.push(format!("{value:?}"));
                    start += consumed;
                }
                Ok(Decoded::Incomplete { consumed, needed }) => {
                    assert!(needed > 0);
                    start += consumed;
                    break;
                }
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, stream)) = data.split_first() else { return };
    assert_eq!(run(stream, usize::from(first) + 1), run(stream, stream.len().max(1)));
});
