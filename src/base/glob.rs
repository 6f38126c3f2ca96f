//! Glob patterns as KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL take them.
//!
//! `*` any run, `?` any byte, `[abc]`, `[a-z]`, `[^…]` classes, `\x` the byte itself. Malformed patterns are not
//! errors: a class without its `]` ends with the pattern, a final backslash stands for itself. As in stock servers,
//! empty text matches nothing but an empty pattern, not even a star, and the ends of a range are compared as signed bytes. Time is at
//! worst the product of the lengths, because only the last `*` is ever reconsidered. A pattern with more runs of stars than
//! [`STARS_MAX`], before its last element, matches nothing: stock servers give up there.

/// Runs of stars that a match may pass; one that ends the pattern is not counted.
const STARS_MAX: usize = 1_000;

/// Does `text` match `pattern` as a whole?
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    matches::<false>(pattern, text)
}

/// The same, without regard to ASCII case.
pub fn glob_match_nocase(pattern: &[u8], text: &[u8]) -> bool {
    matches::<true>(pattern, text)
}

/// Does a name pass a filter that a user gave? As [`glob_match`], but that a star alone lets everything pass.
pub fn glob_admits(pattern: &[u8], name: &[u8]) -> bool {
    pattern == b"*" || glob_match(pattern, name)
}

/// Is `pattern` free of special bytes, so that it matches only itself?
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'))
}

fn matches<const NOCASE: bool>(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t, mut stars) = (0, 0, 0);
    // Where to resume after a mismatch: behind the last star, one byte of text further each time.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((p, t));
            continue;
        }
        let step = match (p < pattern.len(), text.get(t)) {
            (false, None) => return true,
            (true, Some(&byte)) => match_one::<NOCASE>(&pattern[p..], byte),
            // Text is used up but the pattern wants more: a later start leaves even less text.
            (true, None) => return false,
            (false, Some(_)) => None,
        };
        match (step, &mut retry) {
            (Some(used), _) => {
                p += used;
                t += 1;
            }
            (None, Some((after_star, from))) => {
                *from += 1;
                (p, t) = (*after_star, *from);
            }
            (None, None) => return false,
        }
    }
}

/// Matches the first element of a non-empty pattern (not `*`) against one byte: its length in the pattern, or
/// `None` when it does not match.
fn match_one<const NOCASE: bool>(pattern: &[u8], byte: u8) -> Option<usize> {
    let (first, rest) = pattern.split_first()?;
    match (*first, rest.first()) {
        (b'?', _) => Some(1),
        (b'[', _) => {
            let (hit, used) = match_class::<NOCASE>(rest, byte);
            hit.then_some(1 + used)
        }
        (b'\\', Some(&escaped)) => (fold::<NOCASE>(escaped) == fold::<NOCASE>(byte)).then_some(2),
        (literal, _) => (fold::<NOCASE>(literal) == fold::<NOCASE>(byte)).then_some(1),
    }
}

/// Matches the inside of a class; returns whether it hit and how many pattern bytes it took, `]` included.
fn match_class<const NOCASE: bool>(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut i = usize::from(negated);
    let mut hit = false;
    loop {
        match class.get(i..) {
            None | Some([]) => break,
            Some([b'\\', escaped, ..]) => {
                hit |= *escaped == byte; // exact even when case is ignored, as Redis has it
                i += 2;
            }
            Some([b']', ..]) => {
                i += 1;
                break;
            }
            Some([low, b'-', high, ..]) => {
                // The ends are put in order before folding, so `[Z-a]` holds nothing when case is ignored.
                let signed = |byte: u8| byte.cast_signed();
                let ends =
                    [signed(*low), signed(*high)].map(|end| (end, fold::<NOCASE>(end.cast_unsigned())));
                let [low, high] =
                    [ends[0].min(ends[1]), ends[0].max(ends[1])].map(|(_, folded)| signed(folded));
                hit |= (low..=high).contains(&signed(fold::<NOCASE>(byte)));
                i += 3;
            }
            Some([literal, ..]) => {
                hit |= fold::<NOCASE>(*literal) == fold::<NOCASE>(byte);
                i += 1;
            }
        }
    }
    (hit != negated, i)
}

#[inline]
fn fold<const NOCASE: bool>(byte: u8) -> u8 {
    if NOCASE { byte.to_ascii_lowercase() } else { byte }
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;
