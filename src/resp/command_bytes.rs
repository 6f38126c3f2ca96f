//! A command in canonical multibulk form, as the replication log and the AOF hold it.

/// Longest `*` or `$` header: a type byte, 20 digits, CR LF.
const HEADER_MAX_BYTES: usize = 23;

/// Appends `args` as `*<n>\r\n` and one `$<len>\r\n<bytes>\r\n` each.
pub fn write_command<T: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[T]) {
    write_command_iter(out, args.iter().map(AsRef::as_ref));
}

/// The same for arguments that do not lie in one slice.
pub fn write_command_iter<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]> + Clone) {
    out.reserve(args.clone().map(|arg| arg.len() + HEADER_MAX_BYTES + 2).sum::<usize>() + HEADER_MAX_BYTES);
    write_header(out, b'*', args.len());
    for arg in args {
        write_bulk(out, arg);
    }
}

/// The exact number of bytes [`write_command`] appends.
pub fn command_len<T: AsRef<[u8]>>(args: &[T]) -> usize {
    let bulks: usize = args.iter().map(AsRef::as_ref).map(|a| header_len(a.len()) + a.len() + 2).sum();
    header_len(args.len()) + bulks
}

/// Appends one length-prefixed argument.
#[inline]
pub(crate) fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + HEADER_MAX_BYTES + 2);
    write_header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a type byte, a length and CR LF.
#[inline]
pub(crate) fn write_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    match len {
        0..=9 => out.extend_from_slice(&[kind, b'0' + len as u8, b'\r', b'\n']),
        10..=99 => {
            out.extend_from_slice(&[kind, b'0' + (len / 10) as u8, b'0' + (len % 10) as u8, b'\r', b'\n'])
        }
        _ => {
            out.push(kind);
            out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn header_len(len: usize) -> usize {
    let digits = len.checked_ilog10().map_or(1, |d| d as usize + 1);
    digits + 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_and_length() {
        let mut out = b"before".to_vec();
        write_command(&mut out, &[b"SET".as_slice(), b"k", b""]);
        assert_eq!(out, b"before*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
        for len in [0, 1, 9, 10, 99, 100, 999, 1000, 70_000] {
            let args = vec![vec![b'x'; len]; 1 + len % 12];
            let mut out = Vec::new();
            write_command(&mut out, &args);
            assert_eq!(out.len(), command_len(&args), "length {len}");
        }
    }
}
