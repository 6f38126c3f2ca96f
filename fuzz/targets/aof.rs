//! A log file, sealed or not.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use outrigger::format::aof::verify::{LogVerifier, LoggedCommand, Verdict};

fuzz_target!(|bytes: &[u8]| {
    let verifier = LogVerifier::new();
    let verdict = verifier.check(bytes);
    let (mut commands, mut end) = (0, 0);
    let walked = verifier.walk(bytes, &mut |command: &LoggedCommand<'_, '_>| {
        assert!(!command.args.is_empty());
        assert!(command.bytes.start >= end);
        commands += 1;
        end = command.bytes.end;
        ControlFlow::Continue(())
    });
    assert_eq!(walked, verdict, "a visitor changes no verdict");
    let good = *verdict.extent();
    assert_eq!(good.commands, commands, "what is proven is what was seen");
    assert!(end <= good.len && good.len <= bytes.len());
    match verdict {
        Verdict::Sound(_) => assert_eq!(good.len, bytes.len()),
        Verdict::TornTail { cut_bytes, readable_len, .. } => {
            assert_eq!(good.len + cut_bytes, bytes.len());
            assert!((good.len..=bytes.len()).contains(&readable_len));
            // Cut and sealed where it was cut, the file is sound.
            let mut mended = bytes[..good.len].to_vec();
            if let Some(mut sealer) = good.sealer() {
                sealer.seal(1, &mut mended);
            }
            assert!(verifier.check(&mended).is_sound());
        }
        Verdict::Damaged { .. } => {}
        Verdict::Stopped { .. } => panic!("nobody stopped it"),
    }
});
