//! A manifest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::format::aof::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert!(manifest.files().count() > 0);
        // A line may grow past its limit when it is printed with quotes; then it is refused.
        if let Ok(printed) = manifest.print() {
            let again = Manifest::parse(&printed).expect("what was printed is read");
            assert_eq!(again, manifest);
            assert_eq!(again.print().expect("once more"), printed);
        }
    }
});
