//! Backups in S3-compatible storage: `s3://BUCKET/PREFIX`.
//!
//! * [`address`]: what is named.
//! * [`bucket`]: requests, tried again for a while, and what their failures mean.
//! * [`upload`], [`download`]: archives in pieces, in bounded memory.
//! * [`work`]: the local folder where an archive is made and proven before it is sent.
//! * [`shelf`]: the backups: taken, listed, verified, removed.
//!
//! docs/formats/archive.md says what lies in a bucket, and what makes a backup count.

mod address;
mod bucket;
mod download;
mod error;
mod shelf;
mod upload;
mod work;

pub use download::fetch;
pub use error::S3Error;
pub use shelf::Shelf;

use outrigger::backup::ARCHIVE_SUFFIX;

/// What the name of a record ends in.
const RECORD_SUFFIX: &str = ".record";

/// The object of an archive.
fn archive_of(name: &str) -> String {
    format!("{name}{ARCHIVE_SUFFIX}")
}

/// The object that makes it count.
fn record_of(name: &str) -> String {
    format!("{name}{RECORD_SUFFIX}")
}
