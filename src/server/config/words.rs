//! Lines into arguments and back: the quoting rules of redis.conf.

/// Splits a line into arguments. `None` when quotes do not balance or text touches a closing quote.
///
/// Arguments are separated by white space. Double quotes take `\n`, `\r`, `\t`, `\b`, `\a`, `\xHH` and `\` before any
/// other byte; single quotes take only `\'`. A NUL ends the line.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        while let Some((first, tail)) = rest.split_first() {
            if !is_space(*first) {
                break;
            }
            rest = tail;
        }
        if matches!(rest.first(), None | Some(0)) {
            return Some(args);
        }
        let (arg, tail) = take_arg(rest)?;
        args.push(arg);
        rest = tail;
    }
}

fn take_arg(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut arg = Vec::new();
    loop {
        match rest {
            [] | [0, ..] => return Some((arg, rest)),
            [b, ..] if is_space(*b) => return Some((arg, rest)),
            [quote @ (b'"' | b'\''), tail @ ..] => {
                let tail = take_quoted(*quote, tail, &mut arg)?;
                return match tail.first() {
                    None | Some(0) => Some((arg, tail)),
                    Some(b) if is_space(*b) => Some((arg, tail)),
                    Some(_) => None,
                };
            }
            [b, tail @ ..] => {
                arg.push(*b);
                rest = tail;
            }
        }
    }
}

/// Takes the text behind an opening quote up to its closing one; returns what follows.
fn take_quoted<'a>(quote: u8, mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match (quote, rest) {
            (_, [] | [0, ..]) => return None,
            (b'"', [b'\\', b'x', high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arg.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = tail;
            }
            (b'"', [b'\\', escaped, tail @ ..]) => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = tail;
            }
            (b'\'', [b'\\', b'\'', tail @ ..]) => {
                arg.push(b'\'');
                rest = tail;
            }
            (_, [b, tail @ ..]) => {
                if *b == quote {
                    return Some(tail);
                }
                arg.push(*b);
                rest = tail;
            }
        }
    }
}

/// Appends one argument to a line, quoted only when it must be.
pub fn push_quoted(line: &mut Vec<u8>, arg: &[u8]) {
    let plain =
        !arg.is_empty() && arg.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\'));
    // A leading hash would turn the line into a comment only at its start, but is quoted for the reader.
    if plain && arg.first() != Some(&b'#') {
        line.extend_from_slice(arg);
        return;
    }
    line.push(b'"');
    for &b in arg {
        match b {
            b'\\' | b'"' => line.extend([b'\\', b]),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            b'\t' => line.extend(b"\\t"),
            0x08 => line.extend(b"\\b"),
            0x07 => line.extend(b"\\a"),
            _ if b == b' ' || b.is_ascii_graphic() => line.push(b),
            _ => line.extend(format!("\\x{b:02x}").bytes()),
        }
    }
    line.push(b'"');
}

/// C's `isspace` in the default locale.
fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn hex_digit(b: u8) -> u8 {
    match b {
        b'0'..=b'9' => b - b'0',
        b'a'..=b'f' => b - b'a' + 10,
        _ => b.wrapping_sub(b'A') + 10,
    }
}
