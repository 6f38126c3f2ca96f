//! Pattern and text, separated by NUL.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::base::glob::{glob_match, glob_match_nocase, is_literal};

fuzz_target!(|data: &[u8]| {
    let split = data.iter().position(|&b| b == 0).unwrap_or(data.len());
    let (pattern, text) = (&data[..split], data.get(split + 1..).unwrap_or_default());
    let matched = glob_match(pattern, text);
    if is_literal(pattern) {
        assert_eq!(matched, pattern == text);
        assert_eq!(glob_match_nocase(pattern, text), pattern.eq_ignore_ascii_case(text));
    }
    if matched {
        // A star matches no empty text.
        assert!(text.is_empty() || glob_match(&[b"*", pattern].concat(), text));
        assert!(glob_match(&[b"*", pattern].concat(), &[b"left of ", text].concat()));
    }
    let escaped: Vec<u8> = text.iter().flat_map(|&b| [b'\\', b]).collect();
    assert!(glob_match(&escaped, text));
});
