//! Limits of the wire protocol and of values, with their units.

/// Longest inline command, and longest `*` or `$` header line, in bytes.
pub const INLINE_MAX_BYTES: usize = 64 * 1024;

/// Most arguments one command may announce (`i32::MAX`, as Redis 7.0 has it). Nothing is allocated from the
/// announced number, so memory is bounded by the bytes that arrive.
pub const MULTIBULK_MAX_ARGS: i64 = i32::MAX as i64;

/// Default of `proto-max-bulk-len`: the longest single argument, in bytes.
pub const BULK_MAX_BYTES: i64 = 512 * 1024 * 1024;

/// The most that `proto-max-bulk-len` can be: the longest argument of a command, in a log and a stream, too, and the longest
/// string of a snapshot. In bytes. So whatever a server takes it also loads again.
pub const ARG_MOST_BYTES: u64 = u32::MAX as u64;

/// Most arguments of a command sent before authentication.
pub const UNAUTHENTICATED_MAX_ARGS: i64 = 10;

/// Longest argument sent before authentication, in bytes.
pub const UNAUTHENTICATED_MAX_BULK_BYTES: i64 = 16 * 1024;

/// Longest key, in bytes.
pub const KEY_MAX_BYTES: usize = 512 * 1024 * 1024;

/// Longest string value (SETRANGE, APPEND, SETBIT grow no further), in bytes.
pub const STRING_MAX_BYTES: usize = 512 * 1024 * 1024;

/// Longest AOF annotation line (`#…`) the stock loader reads, newline included, in bytes.
pub const AOF_ANNOTATION_MAX_BYTES: usize = 1024;

/// Deepest nesting of a decoded reply.
pub const REPLY_MAX_DEPTH: usize = 128;
