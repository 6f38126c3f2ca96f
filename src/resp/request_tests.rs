use super::*;
use crate::resp::write_command;
use proptest::prelude::*;

type Commands = Vec<Vec<Vec<u8>>>;

/// Parses a stream delivered in pieces of the given lengths (the rest in one), as a connection does.
fn run(stream: &[u8], pieces: &[usize], limits: RequestLimits) -> (Commands, Option<ProtocolError>) {
    let mut parser = RequestParser::new(limits);
    let (mut args, mut commands) = (ArgSpans::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    for &piece in pieces.iter().chain([&stream.len()]) {
        end = (end + piece).min(stream.len());
        loop {
            match parser.parse(&stream[start..end], &mut args) {
                Ok(Parsed::Complete { consumed }) => {
                    commands.push(args.view(&stream[start..end]).to_vecs());
                    start += consumed;
                }
                Ok(Parsed::Empty { consumed }) => start += consumed,
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

fn whole(stream: &[u8]) -> (Commands, Option<ProtocolError>) {
    run(stream, &[], RequestLimits::default())
}

fn words(stream: &[u8]) -> Vec<String> {
    let (commands, error) = whole(stream);
    assert_eq!(error, None, "{}", stream.escape_ascii());
    commands
        .iter()
        .map(|c| c.iter().map(|a| a.escape_ascii().to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

fn error_of(stream: &[u8]) -> String {
    match whole(stream) {
        (_, Some(error)) => error.to_string(),
        (commands, None) => panic!("no error but {commands:?}"),
    }
}

#[test]
fn pipelined_multibulk() {
    assert_eq!(
        words(
            b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\n\r\n\r\n"
        ),
        ["GET|k", "PING", "SET||\\r\\n"]
    );
}

#[test]
fn nothing_to_run() {
    assert_eq!(words(b"\r\n\n*0\r\n*-1\r\n*-500\r\n   \r\nPING\r\n"), ["PING"]);
}

#[test]
fn inline_words_and_quotes() {
    for (line, expected) in [
        (&b"  PING  \r\n"[..], "PING"),
        (b"set k  v\n", "set|k|v"),
        (b"PING \"\\x41\\n\\q\\\"\"\n", "PING|A\\nq\\\""),
        (b"PING 'a\\'b\\n'\n", "PING|a\\'b\\\\n"),
        (b"PING a\"b c\" d\r\n", "PING|ab c|d"),
        (b"PING '' \"\"\r\n", "PING||"),
        (b"PING \"a\\x4\" \"\\xzz\"\n", "PING|ax4|xzz"),
        (b"PING a\rb\r\n", "PING|a|b"),
        (b"PING \x0bx\x0cy\r\n", "PING|x\\x0cy"),
        (b"PING \xff\x00\r\n", "PING|\\xff\\x00"),
    ] {
        assert_eq!(words(line), [expected], "{}", line.escape_ascii());
    }
}

#[test]
fn errors_read_as_the_stock_ones() {
    let long = |head: &str, byte: &str| (head.to_owned() + &byte.repeat(70_000)).into_bytes();
    for (stream, text) in [
        (b"PING \"a\r\n".to_vec(), "unbalanced quotes in request"),
        (b"PING \"a\"b\r\n".to_vec(), "unbalanced quotes in request"),
        (b"PING 'a'\"b\"\r\n".to_vec(), "unbalanced quotes in request"),
        (b"PING \"a\\\"\r\n".to_vec(), "unbalanced quotes in request"),
        (long("", "a"), "too big inline request"),
        (long("*", "1"), "too big mbulk count string"),
        (long("*1\r\n$", "1"), "too big bulk count string"),
        (long("*1\r\n", "1"), "too big bulk count string"),
        (b"*2147483648\r\n".to_vec(), "invalid multibulk length"),
        (b"*99999999999999999999\r\n".to_vec(), "invalid multibulk length"),
        (b"*01\r\n".to_vec(), "invalid multibulk length"),
        (b"*00\r\n".to_vec(), "invalid multibulk length"),
        (b"*+1\r\n".to_vec(), "invalid multibulk length"),
        (b"*\r\n".to_vec(), "invalid multibulk length"),
        (b"*1x\r\n".to_vec(), "invalid multibulk length"),
        (b"*1\r\nx3\r\n".to_vec(), "expected '$', got 'x'"),
        (b"*1\r\n\r\n".to_vec(), "expected '$', got '\r'"),
        (b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$007\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n".to_vec(), "invalid bulk length"),
    ] {
        assert_eq!(error_of(&stream), format!("Protocol error: {text}"));
    }
    assert_eq!(
        ProtocolError::ExpectedBulk(0xe9).reply_text(),
        b"ERR Protocol error: expected '$', got '\xe9'"
    );
    assert_eq!(
        ProtocolError::UnbalancedQuotes.reply_text(),
        b"ERR Protocol error: unbalanced quotes in request"
    );
}

#[test]
fn strangers_have_tighter_limits() {
    let limits = RequestLimits { authenticated: false, ..RequestLimits::default() };
    let error = |s: &[u8]| run(s, &[], limits).1.map(|e| e.to_string());
    assert_eq!(error(b"*11\r\n").as_deref(), Some("Protocol error: unauthenticated multibulk length"));
    assert_eq!(error(b"*1\r\n$16385\r\n").as_deref(), Some("Protocol error: unauthenticated bulk length"));
    assert_eq!(error(b"*10\r\n$16384\r\n"), None);
    let link = RequestLimits { max_bulk_bytes: i64::MAX, authenticated: true };
    assert_eq!(run(b"*1\r\n$9223372036854775807\r\n", &[], link).1, None);
}

#[test]
fn the_hint_tells_what_is_missing() {
    let mut parser = RequestParser::default();
    let mut args = ArgSpans::new();
    let mut parse = |buf: &[u8]| parser.parse(buf, &mut args).unwrap();
    assert_eq!(parse(b""), Parsed::Incomplete { needed: 1 });
    assert_eq!(parse(b"*1\r\n"), Parsed::Incomplete { needed: 1 });
    assert_eq!(parse(b"*1\r\n$500000000\r\nab"), Parsed::Incomplete { needed: 500_000_000 });
    assert!(args.spans_capacity() < 100, "nothing may be allocated from an announced length");
    let mut parser = RequestParser::default();
    assert_eq!(parser.parse(b"*2147483647\r\n", &mut args).unwrap(), Parsed::Incomplete { needed: 1 });
    assert!(parser.is_mid_command() && args.spans_capacity() < 100);
}

#[test]
fn every_split_gives_the_same_commands() {
    let stream = b"*2\r\n$3\r\nGET\r\n$5\r\nhello\r\nPING \"a b\"\r\n\r\n*0\r\n*-1\r\n*1\r\n$12\r\nabcdefghijkl\r\n*3\r\n$1\r\na\r\n$0\r\n\r\n$1\r\nb\r\n";
    let expected = whole(stream);
    assert_eq!(expected.0.len(), 4);
    for first in 0..stream.len() {
        for second in 0..stream.len() - first {
            assert_eq!(run(stream, &[first, second], RequestLimits::default()), expected);
        }
    }
    assert_eq!(run(stream, &vec![1; stream.len()], RequestLimits::default()), expected);
}

#[test]
fn the_64_kib_window_is_the_same_in_pieces() {
    for (head, terminator) in [("", "\n"), ("*", "\r\n"), ("*1\r\n$", "\r\n")] {
        for len in [65_530, 65_534, 65_535, 65_536, 65_537, 70_000] {
            let stream = [head, &"1".repeat(len), terminator].concat().into_bytes();
            for piece in [999, 65_535, 65_536] {
                let pieces = vec![piece; stream.len() / piece + 1];
                assert_eq!(
                    run(&stream, &pieces, RequestLimits::default()),
                    whole(&stream),
                    "{head}{len}/{piece}"
                );
            }
        }
    }
    assert_eq!(whole(&["1".repeat(65_536).as_bytes(), b"\n"].concat()).0.len(), 1);
}

#[test]
fn copied_arguments_and_views() {
    let spans = ArgSpans::from_slices(&["SET", "k", ""]);
    let args = spans.view(b"");
    assert_eq!(args.iter().collect::<Vec<_>>(), [b"SET".as_slice(), b"k", b""]);
    assert_eq!((args.len(), args.total_bytes(), args.get(3), args.at(9)), (3, 4, None, &b""[..]));
    assert_eq!((&args[1], args.from(1).len(), args.from(7).len()), (&b"k"[..], 2, 0));
    assert_eq!(args.range(1..9).to_vecs(), [b"k".to_vec(), vec![]]);
    assert_eq!(args.range(5..9).len(), 0);
    assert_eq!(format!("{args:?}"), r#"["SET", "k", ""]"#);
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let command = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 1..6);
    let multibulk = command.prop_map(|args| {
        let mut out = Vec::new();
        write_command(&mut out, &args);
        out
    });
    let inline = "[a-z \"'\\\\x4]{0,20}\r?\n".prop_map(String::into_bytes);
    let noise = "[*$0-9\r\n-]{0,12}".prop_map(String::into_bytes);
    let piece = prop_oneof![6 => multibulk, 2 => inline, 1 => noise];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn splits_do_not_matter(stream in any_stream(), pieces in proptest::collection::vec(0usize..20, 0..20)) {
        prop_assert_eq!(run(&stream, &pieces, RequestLimits::default()), whole(&stream));
    }

    #[test]
    fn written_commands_come_back(commands in proptest::collection::vec(
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..15), 0..6)) {
        let mut stream = Vec::new();
        for command in &commands {
            write_command(&mut stream, command);
        }
        prop_assert_eq!(whole(&stream), (commands, None));
    }

    #[test]
    fn garbage_never_panics(stream in proptest::collection::vec(any::<u8>(), 0..300), pieces in proptest::collection::vec(0usize..50, 0..9)) {
        prop_assert_eq!(run(&stream, &pieces, RequestLimits::default()), whole(&stream));
    }
}
