//! Commands that destroy data, as a log has them.

use std::collections::BTreeMap;

/// From so many keys, fields or members on a removal is worth a line of its own.
pub const MANY: u64 = 100;

/// What a command destroys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destroying {
    /// What it is called in lists: `FLUSHALL`, `DEL`, `RESTORE … REPLACE`.
    pub name: &'static str,
    /// Keys that it removes at most, if it names them one by one.
    pub keys: u64,
    /// Whether it is worth a line of its own: all but removals of a few keys or parts of a key.
    pub is_grave: bool,
}

/// Whether a command of this name may be one; quick, and most are not.
pub fn may_destroy(name: &[u8]) -> bool {
    let mut lower = [0; NAME_BYTES];
    lowered(name, &mut lower).is_some_and(|lower| NAMES.contains(&lower))
}

/// The longest name in question is not longer.
const NAME_BYTES: usize = 16;

const NAMES: &[&[u8]] = &[
    b"del",
    b"unlink",
    b"flushall",
    b"flushdb",
    b"swapdb",
    b"script",
    b"function",
    b"rename",
    b"move",
    b"restore",
    b"copy",
    b"sort",
    b"sdiffstore",
    b"sinterstore",
    b"sunionstore",
    b"zdiffstore",
    b"zinterstore",
    b"zunionstore",
    b"zrangestore",
    b"geosearchstore",
    b"bitop",
    b"srem",
    b"zrem",
    b"hdel",
];

fn lowered<'l>(name: &[u8], lower: &'l mut [u8; NAME_BYTES]) -> Option<&'l [u8]> {
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Some(lower)
}

/// Looks at a command; `None` if it destroys nothing that anybody would look for.
pub fn destroying(args: &[&[u8]]) -> Option<Destroying> {
    destroying_head(args, args.len())
}

/// As [`destroying`], where only the first arguments of so many are at hand.
pub fn destroying_head(args: &[&[u8]], count: usize) -> Option<Destroying> {
    let (name, rest) = args.split_first()?;
    let more = count - 1;
    let mut lower = [0; NAME_BYTES];
    let lower = lowered(name, &mut lower)?;
    let grave = |name| Some(Destroying { name, keys: 0, is_grave: true });
    let keys = |name| Some(Destroying { name, keys: more as u64, is_grave: more as u64 >= MANY });
    // Its first argument is the key.
    let parts = |name| (more as u64 > MANY).then_some(Destroying { name, keys: 0, is_grave: true });
    let says = |word: &[u8]| rest.iter().any(|arg| arg.eq_ignore_ascii_case(word));
    let first_is = |word: &[u8]| rest.first().is_some_and(|arg| arg.eq_ignore_ascii_case(word));
    match lower {
        b"del" => keys("DEL"),
        b"unlink" => keys("UNLINK"),
        b"flushall" => grave("FLUSHALL"),
        b"flushdb" => grave("FLUSHDB"),
        b"swapdb" => grave("SWAPDB"),
        b"script" if first_is(b"flush") => grave("SCRIPT FLUSH"),
        b"function" if first_is(b"flush") => grave("FUNCTION FLUSH"),
        b"function" if first_is(b"delete") => grave("FUNCTION DELETE"),
        b"function" if first_is(b"restore") && (says(b"flush") || says(b"replace")) => {
            grave("FUNCTION RESTORE")
        }
        b"rename" => grave("RENAME"),
        b"move" => grave("MOVE"),
        b"restore" if says(b"replace") => grave("RESTORE … REPLACE"),
        b"copy" if says(b"replace") => grave("COPY … REPLACE"),
        b"sort" if says(b"store") => grave("SORT … STORE"),
        b"sdiffstore" => grave("SDIFFSTORE"),
        b"sinterstore" => grave("SINTERSTORE"),
        b"sunionstore" => grave("SUNIONSTORE"),
        b"zdiffstore" => grave("ZDIFFSTORE"),
        b"zinterstore" => grave("ZINTERSTORE"),
        b"zunionstore" => grave("ZUNIONSTORE"),
        b"zrangestore" => grave("ZRANGESTORE"),
        b"geosearchstore" => grave("GEOSEARCHSTORE"),
        b"bitop" => grave("BITOP"),
        b"srem" => parts("SREM"),
        b"zrem" => parts("ZREM"),
        b"hdel" => parts("HDEL"),
        _ => None,
    }
}

/// How often a kind of command was met, and where last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// Commands.
    pub count: u64,
    /// Offset of the history before the last of them, where the log tells it.
    pub last_offset: Option<u64>,
    /// When the last of them was written, in milliseconds of Unix time, where the log tells it.
    pub last_ms: Option<u64>,
}

/// Kinds of commands that destroy, by name.
pub type ByName = BTreeMap<&'static str, Met>;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Destroying> {
        destroying(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn what_destroys_is_known_by_its_words() {
        for (text, name) in [
            ("flushall async", "FLUSHALL"),
            ("FlushDB", "FLUSHDB"),
            ("SWAPDB 0 1", "SWAPDB"),
            ("RENAME a b", "RENAME"),
            ("RESTORE k 0 x REPLACE ABSTTL", "RESTORE … REPLACE"),
            ("SCRIPT flush", "SCRIPT FLUSH"),
            ("FUNCTION RESTORE x FLUSH", "FUNCTION RESTORE"),
            ("SORT a BY nosort STORE b", "SORT … STORE"),
        ] {
            assert_eq!(of(text).map(|found| (found.name, found.is_grave)), Some((name, true)), "{text}");
            assert!(may_destroy(text.split(' ').next().unwrap_or_default().as_bytes()), "{text}");
        }
        for text in [
            "SET flushall 1",
            "RESTORE k 0 x",
            "SCRIPT LOAD x",
            "RENAMENX a b",
            "SREM a b",
            "SORT a",
            "verylongcommandname x",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of("DEL a b").map(|found| (found.keys, found.is_grave)), Some((2, false)));
        let many = format!("UNLINK{}", " k".repeat(100));
        assert_eq!(of(&many).map(|found| (found.keys, found.is_grave)), Some((100, true)));
        let many = format!("HDEL{}", " k".repeat(101));
        assert_eq!(of(&many).map(|found| (found.keys, found.is_grave)), Some((0, true)));
    }
}
