//! MEMORY USAGE.

use crate::base::num::parse_i64;
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::keyspace::{Entry, ValueRef};

/// Members of a large collection that are looked at, unless the caller says otherwise.
pub const DEFAULT_SAMPLES: usize = 5;
/// What a key's slot in the table takes, with the room that the table keeps free: bytes.
const SLOT_BYTES: usize = 12;

/// MEMORY USAGE key [SAMPLES count]; 0 samples looks at all members.
pub fn memory_usage(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let mut samples = DEFAULT_SAMPLES;
    for pair in args[3..].chunks(2) {
        let [word, count] = pair else { return Err(CommandError::Syntax) };
        if !word.eq_ignore_ascii_case(b"samples") {
            return Err(CommandError::Syntax);
        }
        let count = parse_i64(count).ok_or(CommandError::NotInteger)?;
        samples = usize::try_from(count).map_err(|_| CommandError::Syntax)?;
    }
    let key = args[2];
    ctx.expire_if_due(key);
    match ctx.peek(key).map(|entry| entry_bytes(entry, samples)) {
        Some(bytes) => ctx.reply.int(bytes as i64),
        None => ctx.reply.null(),
    }
    DONE
}

/// About how many bytes a key and its value take; `samples` as for MEMORY USAGE.
pub fn entry_bytes(entry: &Entry, samples: usize) -> usize {
    let heap = match entry.value() {
        ValueRef::Object(value) => value.memory_bytes(samples),
        // A long string lies outside of the entry's block.
        ValueRef::Bytes(bytes) if bytes.len() > crate::keyspace::entry::INLINE_MAX_BYTES => bytes.len(),
        _ => 0,
    };
    entry.block_bytes() + heap + SLOT_BYTES
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Harness;

    #[test]
    fn sizes_follow_the_value() {
        let mut harness = Harness::new();
        harness.check("MEMORY USAGE none", "nil");
        harness.check("MEMORY USAGE none SAMPLES -1", "-ERR syntax error");
        harness.check("MEMORY USAGE none SAMPLES x", "-ERR value is not an integer or out of range");
        harness.check("MEMORY USAGE none FOO 1", "-ERR syntax error");
        harness.check("MEMORY USAGE none SAMPLES", "-ERR syntax error");
        let mut usage = |value: &str| -> usize {
            harness.run(&format!("SET k {value}"));
            harness.run("MEMORY USAGE k").trim_start_matches(':').parse().unwrap()
        };
        assert!((16..100).contains(&usage("v")));
        assert!((500..600).contains(&usage(&"x".repeat(500))));
        assert!((5000..5200).contains(&usage(&"x".repeat(5000))));
    }
}
