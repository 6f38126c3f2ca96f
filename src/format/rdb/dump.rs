//! The payload of DUMP and RESTORE: a value's type and content, the RDB version (u16 LE), and the CRC64 of all that
//! (u64 LE).

use std::convert::Infallible;

use thiserror::Error;

use super::error::{RdbError, RdbErrorKind};
use super::fields::Fields;
use super::input::Input;
use super::reader::ReadOptions;
use super::value_reader::{Scratch, read_value};
use super::value_writer::{Output, type_of};
use super::{FIELD_TIMES_VERSION, NEWEST_READ_VERSION, WRITTEN_VERSION};
use crate::base::crc::crc64;
use crate::value::Value;

/// Bytes of version and checksum.
const FOOTER_BYTES: usize = 10;

/// Why a payload was refused.
#[derive(Debug, Error)]
pub enum DumpError {
    /// It is too short, of a newer version, or its checksum does not fit: RESTORE says that version or checksum are
    /// wrong.
    #[error("DUMP payload version or checksum are wrong")]
    Footer,
    /// Its content is no value: RESTORE says that the data format is bad.
    #[error("bad data format: {0}")]
    Content(#[from] RdbError),
}

/// The payload that DUMP answers with for a value.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut payload = Vec::new();
    let sink = |bytes: &[u8]| -> Result<(), Infallible> {
        payload.extend_from_slice(bytes);
        Ok(())
    };
    let mut out = Output::new(sink, true, false);
    let Ok(()) = write(&mut out, value);
    let Ok(()) = out.flush();
    payload.extend_from_slice(&version_of(value).to_le_bytes());
    let crc = crc64(0, &payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

/// Makes one payload after another, in one buffer. Nothing is compressed: who sends many keys to a server near by has no use for
/// what takes longer, there and here, than to send.
pub struct Encoder {
    out: Output<Nowhere>,
}

/// Where nothing goes.
type Nowhere = fn(&[u8]) -> Result<(), Infallible>;

impl Default for Encoder {
    fn default() -> Self {
        // It never comes to a chunk that would have to go.
        Encoder { out: Output::gathering(|_| Ok(()), false) }
    }
}

impl Encoder {
    /// Room that is kept from one payload to the next, in bytes.
    const KEPT_BYTES: usize = 1 << 20;

    /// The payload of a value, until the next one.
    pub fn encode(&mut self, value: &Value) -> &[u8] {
        self.out.empty(Self::KEPT_BYTES);
        let Ok(()) = write(&mut self.out, value);
        let Ok(()) = self.out.put(&version_of(value).to_le_bytes());
        let crc = crc64(0, self.out.bytes());
        let Ok(()) = self.out.put(&crc.to_le_bytes());
        self.out.bytes()
    }
}

/// Writes the payload of a value that is stored so to `out`, in place of what that held.
pub(super) fn frame(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(kind);
    out.extend_from_slice(value);
    out.extend_from_slice(&WRITTEN_VERSION.to_le_bytes());
    let crc = crc64(0, out);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The version that a value's payload is of.
fn version_of(value: &Value) -> u16 {
    let has_times = matches!(value, Value::Hash(hash) if hash.has_times());
    if has_times { FIELD_TIMES_VERSION } else { WRITTEN_VERSION }
}

fn write<S: FnMut(&[u8]) -> Result<(), Infallible>>(
    out: &mut Output<S>,
    value: &Value,
) -> Result<(), Infallible> {
    out.put(&[type_of(value)])?;
    out.value(value)
}

/// Holds version and, if that is wanted, checksum of a payload against the rest; returns the rest: type and content.
///
/// Unlike in files, a checksum of 0 is a checksum like any other.
fn verify(payload: &[u8], verify_checksum: bool) -> Result<&[u8], DumpError> {
    let (content, footer) = payload.split_last_chunk::<FOOTER_BYTES>().ok_or(DumpError::Footer)?;
    let [v0, v1, crc @ ..] = *footer;
    let written = u64::from_le_bytes(crc);
    let summed = payload.get(..payload.len() - size_of::<u64>()).unwrap_or_default();
    let version_fits = u16::from_le_bytes([v0, v1]) <= NEWEST_READ_VERSION;
    let sum_fits = !verify_checksum || written == crc64(0, summed);
    if version_fits && sum_fits { Ok(content) } else { Err(DumpError::Footer) }
}

/// The value of a payload.
pub fn decode(payload: &[u8], options: &ReadOptions) -> Result<Value, DumpError> {
    let content = verify(payload, options.verify_checksum)?;
    let mut input = Input::new(content, 0, 0, options.max_string_bytes);
    let kind = input.u8()?;
    let value = read_value(&mut input, kind, &options.limits, &mut Scratch::default())?;
    let value = value.ok_or_else(|| input.error(RdbErrorKind::Empty))?;
    let behind = content.len() as u64 - input.offset();
    if behind > 0 {
        return Err(input.error(RdbErrorKind::TrailingBytes(behind)).into());
    }
    Ok(value)
}
