//! Where our replies differ on purpose; docs/differences.md tells users the same.

use super::compare::{Pair, Replies, consumers_asking};
use super::grammar::Arg;
use outrigger::resp::RespValue;

/// One intended difference.
pub struct Difference {
    /// The commands, in upper case.
    pub commands: &'static [&'static str],
    /// Does it explain these replies?
    pub explains: fn(&mut Pair, &[Arg], &Replies) -> bool,
    /// Why; the same words stand in docs/differences.md.
    pub why: &'static str,
}

/// All of them that the table of grammars can bring about.
pub const INTENDED: &[Difference] = &[
    Difference {
        commands: &["OBJECT"],
        explains: encoding,
        why: "ENCODING is `listpack` for small lists and for small sets that are no `intset` (as in 7.2), where 7.0 has `quicklist` \
              and `hashtable`. A string's is judged by its content, `int`, `embstr` or `raw`, where Redis keeps the one that APPEND, \
              SETRANGE or INCRBYFLOAT left it with; so is REFCOUNT. IDLETIME is the key's own, where keys that hold the same \
              number below 10,000 share one in Redis",
    },
    Difference {
        commands: &["LPOS"],
        explains: |_, args, replies| {
            let lowest = i64::MIN.to_string();
            let asks = args
                .windows(2)
                .any(|two| two[0].eq_ignore_ascii_case(b"rank") && two[1] == lowest.as_bytes());
            asks && replies
                .ours
                .value
                .as_error()
                .is_some_and(|text| text.starts_with(b"ERR value is out of range"))
        },
        why: "The lowest 64-bit RANK is refused (as in 7.2), where 7.0 overflows",
    },
    Difference {
        commands: &["ZRANK", "ZREVRANK"],
        explains: |_, args, replies| {
            let text = |value: &RespValue| value.as_error().map(<[u8]>::to_vec).unwrap_or_default();
            let arity = b"ERR wrong number of arguments for 'z";
            args.len() == 4
                && text(&replies.theirs.value).starts_with(arity)
                && match args[3].eq_ignore_ascii_case(b"withscore") {
                    true => !text(&replies.ours.value).starts_with(arity),
                    false => text(&replies.ours.value) == b"ERR syntax error",
                }
        },
        why: "Take WITHSCORE (as in 7.2); any other word in its place is a syntax error",
    },
    Difference {
        commands: &["XREAD", "XREADGROUP"],
        explains: |_, _, replies| {
            let starts = |value: &RespValue, with: &str| {
                value.as_error().is_some_and(|text| text.starts_with(with.as_bytes()))
            };
            starts(&replies.ours.value, "ERR Unbalanced 'xread")
                && starts(&replies.theirs.value, "ERR Unbalanced XREAD list of streams")
        },
        why: "The error about streams and ids of different numbers names the command that was given (as in 7.2)",
    },
    Difference {
        commands: &["XSETID"],
        explains: set_below_deleted,
        why: "An id below the greatest that was deleted is refused (as in 7.2)",
    },
];

/// XSETID to an id that only ours refuses; the two go on without the stream.
fn set_below_deleted(pair: &mut Pair, args: &[Arg], replies: &Replies) -> bool {
    let refusal = b"ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    let is_explained = replies.ours.value.as_error() == Some(refusal)
        && (replies.theirs.value == RespValue::Simple(b"OK".to_vec())
            || replies.theirs.value.as_error().is_some());
    if is_explained {
        let delete = [b"DEL".as_slice(), &args[1]];
        pair.ours.command(&delete);
        pair.theirs.command(&delete);
    }
    is_explained
}

/// OBJECT ENCODING, REFCOUNT and IDLETIME.
fn encoding(pair: &mut Pair, args: &[Arg], replies: &Replies) -> bool {
    let [_, what, key] = args else { return false };
    let kind = pair.ours.command(&[b"TYPE", key.as_slice()]);
    let kind = if let RespValue::Simple(kind) = &kind { kind.as_slice() } else { b"" };
    if what.eq_ignore_ascii_case(b"refcount") {
        let counts = (replies.ours.value.as_int(), replies.theirs.value.as_int());
        return kind == b"string" && counts == (Some(i64::from(i32::MAX)), Some(1));
    }
    if what.eq_ignore_ascii_case(b"idletime") {
        let value = pair.ours.command(&[b"GET", key.as_slice()]);
        let number = value.as_bytes().and_then(|text| std::str::from_utf8(text).ok()?.parse::<i64>().ok());
        return kind == b"string" && number.is_some_and(|number| (0..10_000).contains(&number));
    }
    let (Some(ours), Some(theirs)) = (replies.ours.value.as_bytes(), replies.theirs.value.as_bytes()) else {
        return false;
    };
    match kind {
        b"set" => (ours, theirs) == (b"listpack", b"hashtable"),
        b"list" => (ours, theirs) == (b"listpack", b"quicklist"),
        b"string" => {
            let value = pair.ours.command(&[b"GET", key.as_slice()]);
            let value = value.as_bytes().unwrap_or_default();
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
            let by_content: &[u8] = match number {
                Some(number) if number.to_string().as_bytes() == value => b"int",
                _ if value.len() <= 44 => b"embstr",
                _ => b"raw",
            };
            ours == by_content && (theirs == b"raw" || (theirs == b"embstr" && ours == b"int"))
        }
        _ => false,
    }
}

/// What docs/differences.md tells users of events.
const EVENTS: [(&str, &str); 2] = [
    (
        "SORT, SORT_RO",
        "Of keys named by BY and GET that are not there, `keymiss` is told in an order of its own, before the elements are sorted",
    ),
    (
        "XREADGROUP, XCLAIM, XAUTOCLAIM",
        "`xgroup-createconsumer` is told when a consumer first asks for entries, whether or not it gets some",
    ),
];

/// Do the two tell of different events on purpose?
pub fn is_told_otherwise(args: &[Arg], ours: &[(Vec<u8>, Vec<u8>)], theirs: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let word = b"xgroup-createconsumer";
    let others = |told: &[(Vec<u8>, Vec<u8>)]| -> Vec<_> {
        let is_other = |(channel, payload): &&(Vec<u8>, Vec<u8>)| !channel.ends_with(word) && payload != word;
        told.iter().filter(is_other).cloned().collect()
    };
    if args[0].to_ascii_uppercase().starts_with(b"SORT") {
        let in_order = |told: &[(Vec<u8>, Vec<u8>)]| {
            let mut told = told.to_vec();
            told.sort();
            told
        };
        let names_keys = |arg: &Arg| ["by", "get"].iter().any(|it| arg.eq_ignore_ascii_case(it.as_bytes()));
        return args.iter().any(names_keys) && in_order(ours) == in_order(theirs);
    }
    let asks = !consumers_asking(args).is_empty();
    asks && ours.len() > theirs.len() && others(ours) == others(theirs)
}

/// The difference that explains these replies.
pub fn intended(pair: &mut Pair, args: &[Arg], replies: &Replies) -> Option<&'static Difference> {
    let name = args[0].to_ascii_uppercase();
    let of_command = |it: &&Difference| it.commands.iter().any(|command| command.as_bytes() == name);
    INTENDED.iter().filter(of_command).find(|it| (it.explains)(pair, args, replies))
}

#[test]
fn users_are_told() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/differences.md"));
    for it in INTENDED {
        let row = format!("| {} | {} |", it.commands.join(", "), it.why);
        assert!(page.contains(&row), "docs/differences.md lacks {row}");
    }
    for (commands, why) in EVENTS {
        let row = format!("| Events of {commands} | {why} |");
        assert!(page.contains(&row), "docs/differences.md lacks {row}");
    }
}
