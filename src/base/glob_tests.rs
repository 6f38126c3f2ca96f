use super::*;
use proptest::prelude::*;

fn m(pattern: &str, text: &str) -> bool {
    glob_match(pattern.as_bytes(), text.as_bytes())
}

#[test]
fn plain_forms() {
    for (pattern, text, expected) in [
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*", "anything", true),
        ("a*", "a", true),
        ("a*c", "abbbc", true),
        ("a*c", "abbbcd", false),
        ("*a*b*", "xxaxxbxx", true),
        ("**a", "ba", true),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-c]llo", "hbllo", true),
        ("h[c-a]llo", "hbllo", true),
        ("h[a-c]llo", "hdllo", false),
        ("a\\*c", "a*c", true),
        ("a\\*c", "abc", false),
        ("[\\]]", "]", true),
        ("[\\a-]", "-", true),
        ("", "", true),
        ("*", "", false),
        ("**", "", false),
        ("a**", "a", true),
        ("", "a", false),
        ("a", "", false),
        ("[a-", "a", true),
        ("[abc", "c", true),
        ("[", "a", false),
        ("[^", "a", true),
        ("[]", "]", false),
        ("a\\", "a\\", true),
        ("*[ab]?x", "zzzbyx", true),
        ("*aab", "aaaab", true),
    ] {
        assert_eq!(m(pattern, text), expected, "{pattern:?} on {text:?}");
    }
}

#[test]
fn case_can_be_ignored() {
    let n = |p: &str, t: &str| glob_match_nocase(p.as_bytes(), t.as_bytes());
    assert!(n("MaxMem*", "maxmemory") && n("[A-C]x", "bX") && n("a\\Bc", "ABC") && n("[xY]", "y"));
    assert!(!m("MaxMem*", "maxmemory") && !n("[\\B]", "b") && !n("[Z-a]", "z"));
}

#[test]
fn ends_of_a_range_are_signed_bytes() {
    for (pattern, byte, expected) in [
        // From 0x80, which is the least, to 'a'.
        (&b"[a-\x80]"[..], b'b', false),
        (b"[a-\x80]", b'A', true),
        (b"[a-\x80]", 0xff, true),
        (b"[\x80-\xff]", 0x90, true),
        (b"[\x80-\xff]", b'a', false),
    ] {
        assert_eq!(glob_match(pattern, &[byte]), expected, "{pattern:x?} on {byte:x}");
        assert_eq!(glob_match_nocase(pattern, &[byte]), expected, "{pattern:x?} on {byte:x}");
    }
}

#[test]
fn a_star_alone_is_no_filter() {
    assert!(glob_admits(b"*", b"") && glob_admits(b"*", b"a") && glob_admits(b"a*", b"ab"));
    assert!(!glob_admits(b"**", b"") && !glob_admits(b"a*", b"b"));
}

#[test]
fn literals_are_told() {
    assert!(is_literal(b"user:1") && is_literal(b"") && !is_literal(b"a*") && !is_literal(b"a\\b"));
}

#[test]
fn many_stars_stay_quick() {
    let pattern = "*a".repeat(200) + "*b";
    let text = "a".repeat(20_000);
    let started = std::time::Instant::now();
    assert!(!m(&pattern, &text));
    assert!(started.elapsed().as_millis() < 1_500);
}

#[test]
fn a_thousand_runs_of_stars_are_the_most() {
    let text = "a".repeat(3_000);
    for element in ["*?", "*a", "***a"] {
        assert!(m(&element.repeat(1_000), &text) && m(&(element.repeat(1_000) + "*"), &text));
        assert!(!m(&element.repeat(1_001), &text) && !m(&(element.repeat(1_001) + "*"), &text));
    }
}

/// The plain recursive definition, exponential but obviously right; of text that is not empty.
fn model(p: &[u8], t: &[u8]) -> bool {
    match p.first() {
        None => t.is_empty(),
        Some(b'*') => (0..=t.len()).any(|i| model(&p[1..], &t[i..])),
        Some(_) => t
            .first()
            .is_some_and(|&b| match_one::<false>(p, b).is_some_and(|used| model(&p[used..], &t[1..]))),
    }
}

proptest! {
    #[test]
    fn agrees_with_the_recursive_definition(p in "[ab*?\\[\\]^\\\\-]{0,9}", t in "[ab\\-\\]]{1,8}") {
        prop_assert_eq!(glob_match(p.as_bytes(), t.as_bytes()), model(p.as_bytes(), t.as_bytes()));
    }

    #[test]
    fn any_bytes_do_not_panic(p in proptest::collection::vec(any::<u8>(), 0..40),
                              t in proptest::collection::vec(any::<u8>(), 0..40)) {
        glob_match(&p, &t);
        glob_match_nocase(&p, &t);
    }
}
