//! Snapshots as commands or as JSON.

use super::ToolError;
use super::values::{Stopped, open_snapshot, walk};
use crate::format::export::{Exported, jsonl, resp};
use crate::format::rdb::Record;
use crate::persistence::load::LoadError;
use crate::resp::write_command;
use std::io::{self, Write};
use std::path::Path;

/// What a snapshot is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line: see [`jsonl`].
    Jsonl,
    /// Commands: see [`resp`].
    Resp,
}

/// What an export gave.
#[derive(Debug)]
pub struct ExportReport {
    /// Keys that were written out.
    pub keys: u64,
    /// Bytes that were written out.
    pub bytes: u64,
    /// Why it stopped before the snapshot's end.
    pub fault: Option<LoadError>,
    /// Why the output could not be written.
    pub failed: Option<io::Error>,
}

#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    keys: u64,
    db: Option<u32>,
}

/// Writes the keys of a snapshot file out, in the order of the file. Whether a checksum holds and no key occurs twice is for
/// [`super::check_snapshot`] to say.
///
/// # Errors
/// There is no such file, or it is something else than a snapshot.
pub fn export_snapshot(
    path: &Path,
    format: ExportFormat,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ExportReport, ToolError> {
    let file = open_snapshot(path)?;
    let mut report = ExportReport { keys: 0, bytes: 0, fault: None, failed: None };
    let see = |piece: &mut Piece, record: Record<'_>| put(piece, &record, format);
    let walked = walk(&file, see, |piece: Piece, at| {
        if report.failed.is_none() {
            match out.write_all(&piece.bytes) {
                Ok(()) => {
                    report.keys += piece.keys;
                    report.bytes += piece.bytes.len() as u64;
                }
                Err(error) => report.failed = Some(error),
            }
        }
        progress(at, file.len() as u64);
    });
    if let Err(Stopped(error)) = walked {
        report.fault = Some(error);
    }
    if report.failed.is_none() {
        report.failed = out.flush().err();
    }
    Ok(report)
}

fn put(piece: &mut Piece, record: &Record<'_>, format: ExportFormat) {
    match record {
        Record::Entry(entry) => {
            let (db, key) = (entry.db, entry.key);
            let exported = Exported { db, key, value: &entry.value, expire_at_ms: entry.expire_at_ms };
            match format {
                ExportFormat::Jsonl => jsonl::key(&mut piece.bytes, &exported),
                ExportFormat::Resp => {
                    // A piece does not know what the one before has selected.
                    if piece.db != Some(db) {
                        resp::select(&mut piece.bytes, db);
                        piece.db = Some(db);
                    }
                    resp::key(&mut piece.bytes, &exported);
                }
            }
            piece.keys += 1;
        }
        Record::FunctionCode(code) if format == ExportFormat::Resp => {
            write_command(&mut piece.bytes, &[&b"FUNCTION"[..], b"LOAD", b"REPLACE", code]);
        }
        _ => {}
    }
}
