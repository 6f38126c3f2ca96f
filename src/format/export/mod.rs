//! Keys and values as others read them: commands that rebuild them, and lines of JSON.

pub mod jsonl;
pub mod resp;

/// A key and its value on the way out.
#[derive(Debug, Clone, Copy)]
pub struct Exported<'e> {
    /// The database.
    pub db: u32,
    /// The key.
    pub key: &'e [u8],
    /// The value.
    pub value: &'e crate::value::Value,
    /// When it expires, in milliseconds of Unix time.
    pub expire_at_ms: Option<i64>,
}
