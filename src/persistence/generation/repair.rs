//! Going on after a cut: the good part of a torn log file becomes a new file, and the torn one is put aside.

use std::io::{self, Write};

use super::{Generation, GenerationError, IncrFile};
use crate::format::aof::manifest::{FileEntry, FileKind};
use crate::persistence::Point;
use crate::persistence::names::TORN_SUFFIX;

/// The last log file, and how much of it is good.
#[derive(Debug)]
pub struct Cut<'a> {
    /// The good bytes; none if not even the first line is whole.
    pub good: &'a [u8],
}

impl Generation {
    /// Goes on at `point`, where the good part of the last log file ends: that part becomes a file of its own, a new
    /// log file follows it, and the torn file is renamed so that it ends in [`TORN_SUFFIX`]. The last log file must
    /// be the one that was cut.
    pub fn continue_after_cut(
        &mut self,
        cut: &Cut<'_>,
        point: &Point,
        time_ms: u64,
    ) -> Result<IncrFile, GenerationError> {
        let mut manifest = self.manifest.clone().ok_or_else(|| self.missing())?;
        let torn = manifest.incr.pop().ok_or_else(|| self.missing())?;
        if !cut.good.is_empty() {
            self.highest_incr += 1;
            let seq = self.highest_incr;
            let name = self.names.incr_name(seq);
            let path = self.names.path(name.as_bytes());
            let good = cut.good;
            self.disk
                .write_whole(&path, &mut |out: &mut dyn Write| -> io::Result<()> { out.write_all(good) })?;
            let (lineage, start_offset) = (torn.lineage, torn.start_offset);
            let entry = FileEntry { lineage, start_offset, ..FileEntry::new(name, seq, FileKind::Incr) };
            manifest.incr.push(entry);
        }
        let incr = self.create_incr(point, time_ms)?;
        manifest.incr.append(&mut self.unnamed.clone());
        self.replace_manifest(manifest)?;
        self.unnamed.clear();
        let aside = [&torn.name, TORN_SUFFIX.as_bytes()].concat();
        // The manifest no longer names it, so under its old name it would only be a stray.
        self.disk.rename_durable(&self.names.path(&torn.name), &self.names.path(&aside))?;
        Ok(incr)
    }

    /// Goes on at `point` in a new log file behind those that are named: where the last one is of a stock server, or
    /// there is none.
    pub fn continue_in_new(&mut self, point: &Point, time_ms: u64) -> Result<IncrFile, GenerationError> {
        let incr = self.create_incr(point, time_ms)?;
        match self.name_incrs() {
            Ok(()) => Ok(incr),
            Err(error) => {
                if !error.leaves_manifest_unknown() {
                    self.forget_incr(incr);
                }
                Err(error)
            }
        }
    }
}
