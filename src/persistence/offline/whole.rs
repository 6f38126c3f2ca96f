//! A state that is one snapshot and nothing else: it can be passed on as it lies there.

use super::{Identity, Offline, OfflineError, Origin, RestoreTo, Wanted};
use crate::base::crc::crc64;
use crate::format::rdb::{CHECKSUM_BYTES, MAGIC, RdbReader, ReadOptions, Record};
use crate::persistence::load::Gathered;
use crate::persistence::recovery::{Base, Chain, Checked, start_of};
use crate::sys::MappedFile;

/// A snapshot that is all of a state. Its checksum has not been held against its bytes.
#[derive(Debug)]
pub struct Snapshot {
    file: MappedFile,
    identity: Identity,
    written: u64,
    functions: usize,
}

impl Snapshot {
    /// The file.
    pub fn file(&self) -> &MappedFile {
        &self.file
    }

    /// The state's name.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Function libraries that it holds.
    pub fn functions(&self) -> usize {
        self.functions
    }

    /// Whether its bytes have the checksum that stands at its end.
    pub fn is_sound(&self) -> bool {
        let end = self.file.len().saturating_sub(CHECKSUM_BYTES);
        self.file.windows(0..end).fold(0, crc64) == self.written
    }
}

impl Offline<'_> {
    /// The snapshot that is all of what is wanted, if it is one with a checksum; `None` if there is more to it, or something is
    /// wrong, which a load tells.
    pub(in crate::persistence) fn whole_snapshot(
        &self,
        from: &Origin,
        wanted: &Wanted,
    ) -> Result<Option<Snapshot>, OfflineError> {
        let is_all = wanted.to == RestoreTo::End && wanted.before.is_none() && wanted.part.is_all();
        if !is_all {
            return Ok(None);
        }
        let (chain, _) = self.files(from, wanted)?;
        let is_sound = chain.problems(false).is_empty() && chain.incr.iter().all(holds_nothing);
        let Some(base) = chain.base.as_ref().filter(|_| is_sound) else { return Ok(None) };
        let Some(functions) = functions_of(base) else { return Ok(None) };
        let written = base.bytes.last_chunk::<CHECKSUM_BYTES>().map_or(0, |sum| u64::from_le_bytes(*sum));
        if written == 0 || base.len != base.bytes.len() || !base.bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let identity = Identity::of(&chain, None, wanted);
        let Chain { base, .. } = chain;
        Ok(base.map(|base| Snapshot { file: base.bytes, identity, written, functions }))
    }
}

/// Whether no write stands in a log file.
fn holds_nothing(file: &Checked) -> bool {
    let extent = file.verdict.extent();
    match extent.history {
        // Its first line may have a SELECT of its own, which is no history.
        Some(end) => Some(end) == start_of(&file.entry),
        None => extent.commands == 0,
    }
}

/// How many function libraries stand before the keys; `None` if the snapshot is not of the place in history that the manifest
/// names, or cannot be read.
fn functions_of(base: &Base) -> Option<usize> {
    let mut reader = RdbReader::new(&base.bytes[..], ReadOptions::default());
    let (mut gathered, mut functions) = (Gathered::default(), 0);
    while let Some(record) = reader.next_record().ok()? {
        match record {
            Record::Aux { key, value } => gathered.aux(key, value),
            Record::FunctionCode(_) => functions += 1,
            Record::SelectDb(_) | Record::ResizeDb { .. } | Record::Entry(_) | Record::End { .. } => break,
        }
    }
    let named = start_of(&base.entry);
    let found = gathered.done(0, 0).point.map(|point| point.history());
    (named.is_none() || named == found).then_some(functions)
}
