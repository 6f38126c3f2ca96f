//! RESP2 and RESP3: an incremental request parser, a reply writer, and a decoder for the client side.

pub mod args;
pub mod command_bytes;
pub mod reply;
pub mod request;
pub mod value;

pub use args::{ArgSpans, Args};
pub use command_bytes::{command_len, write_command};
pub use reply::{Deferred, Mark, Reply};
pub use request::{Parsed, ProtocolError, RequestLimits, RequestParser};
pub use value::{DecodeError, Decoded, ReplyDecoder, RespValue, decode_reply};
