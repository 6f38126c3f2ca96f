//! A request stream in pieces must give the same commands, and the same error, as in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::resp::{ArgSpans, Parsed, ProtocolError, RequestLimits, RequestParser};

type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn run(stream: &[u8], piece: usize, limits: RequestLimits) -> Outcome {
    let mut parser = RequestParser::new(limits);
    let (mut args, mut commands) = (ArgSpans::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    while end < stream.len() {
        end = (end + piece).min(stream.len());
        loop {
            match parser.parse(&stream[start..end], &mut args) {
                Ok(Parsed::Complete { consumed }) => {
                    commands.push(args.view(&stream[start..end]).to_vecs());
                    assert!(consumed > 0);
                    start += consumed;
                }
                Ok(Parsed::Empty { consumed }) => {
                    assert!(consumed > 0);
                    start += consumed;
                }
                Ok(Parsed::Incomplete { needed }) => {
                    assert!(needed > 0);
                    break;
                }
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, stream)) = data.split_first() else { return };
    let limits = RequestLimits { authenticated: first & 128 == 0, ..RequestLimits::default() };
    let piece = usize::from(first & 127) + 1;
    assert_eq!(run(stream, piece, limits), run(stream, stream.len().max(1), limits));
});
