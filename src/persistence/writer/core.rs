//! The writer without its thread: what each look at the log and each request does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fsyncer::{Fsyncer, InFlight, Outcome};
use super::source::{LogPosition, LogSource, SourceError};
use super::status::{FsyncPolicy, Phase, Status};
use super::{Finished, Rotation, Work, WriterConfig, WriterError, WriterEvent};
use crate::base::time::Clock;
use crate::format::aof::seal::Epoch;
use crate::format::aof::verify::HistoryPoint;
use crate::persistence::Point;
use crate::persistence::generation::{Generation, IncrFile, Kept};

/// Read from the log and written to the file at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// The longest pause between two requests for a new generation.
const MAX_PROBE_PAUSE: Duration = Duration::from_secs(60);
/// Bytes of the file by which a disk is tried.
const PROBE_BYTES: usize = 4096;

/// What failed while the log was being written down.
pub(super) enum Failure {
    Writer(WriterError),
    /// The old file is good; only what was asked could not be done.
    Request(WriterError),
}

pub(super) struct Core {
    generation: Generation,
    source: Option<Box<dyn LogSource>>,
    incr: Option<IncrFile>,
    /// Number of the first log file since which nothing was lost.
    run_start: i64,
    named: bool,
    broken: bool,
    /// Offset up to which the current run is fsynced.
    synced: u64,
    written: u64,
    /// When the first byte that no fsync was asked for yet was written.
    unsynced_since: Option<Instant>,
    fsyncer: Fsyncer,
    in_flight: Option<InFlight>,
    last_write: Option<Instant>,
    /// Bytes of named log files other than the current one, and of the base.
    closed_bytes: u64,
    buffer: Vec<u8>,
    probe_pause: Duration,
    probe_at: Option<Instant>,
    status: Arc<Status>,
    config: WriterConfig,
    clock: Arc<dyn Clock>,
    on_event: Arc<dyn Fn(WriterEvent) + Send + Sync>,
}

impl Core {
    pub(super) fn new(
        generation: Generation,
        status: Arc<Status>,
        config: WriterConfig,
        clock: Arc<dyn Clock>,
        on_event: Arc<dyn Fn(WriterEvent) + Send + Sync>,
        fsyncer: Fsyncer,
    ) -> Core {
        let probe_pause = config.probe_interval;
        Core {
            generation,
            source: None,
            incr: None,
            run_start: 0,
            named: false,
            broken: false,
            synced: 0,
            written: 0,
            unsynced_since: None,
            fsyncer,
            in_flight: None,
            last_write: None,
            closed_bytes: 0,
            buffer: Vec::new(),
            probe_pause,
            probe_at: None,
            status,
            config,
            clock,
            on_event,
        }
    }

    /// Goes on with a file that the manifest names and whose bytes are durable, from `source`.
    pub(super) fn attach(&mut self, incr: IncrFile, source: Box<dyn LogSource>) {
        self.run_start = self.generation.manifest().and_then(|m| m.incr.first()).map_or(incr.seq, |e| e.seq);
        self.written = incr.sealer.offset();
        self.synced = self.written;
        self.named = true;
        self.broken = false;
        self.incr = Some(incr);
        self.source = Some(source);
        self.measure();
        self.publish_phase();
        self.status.written.store(self.written, Ordering::Release);
        self.publish_durable();
    }

    /// Takes a source without a file to write to: what it has is passed over until a rotation. With a file its own
    /// source stays: whoever offers another did not know yet that an installation was on its way.
    pub(super) fn attach_source(&mut self, source: Box<dyn LogSource>) {
        if self.incr.is_none() {
            self.source = Some(source);
        }
    }

    /// Where the log stands. `None` without a source, or when it cannot tell.
    pub(super) fn look(&mut self) -> Option<LogPosition> {
        match self.source.as_mut()?.position() {
            Ok(position) => Some(position),
            Err(error) => {
                // It will never serve this history again.
                self.source = None;
                if self.incr.is_some() {
                    self.broke(WriterError::Source(error));
                }
                None
            }
        }
    }

    /// Writes everything up to `position` and makes it durable if the policy wants that now.
    pub(super) fn advance(&mut self, position: &LogPosition) {
        if self.incr.is_none() {
            if let Some(source) = &mut self.source {
                // Nothing is kept now; a source that cannot even skip is judged when a rotation needs it.
                let _ = source.skip_to(position.end);
            }
            return;
        }
        let outcome = self
            .wait_for_delayed()
            .and_then(|()| self.write_up_to(position))
            .and_then(|()| self.sync_if_due());
        if let Err(error) = outcome {
            self.broke(error);
        }
    }

    fn write_up_to(&mut self, position: &LogPosition) -> Result<(), WriterError> {
        self.note_epoch(position.epoch);
        let Some(incr) = &self.incr else { return Ok(()) };
        let named = incr.sealer.lineage();
        if position.lineage != named {
            let (previous, ended) = position.previous.ok_or(SourceError::Restarted)?;
            let switch = ended.clamp(self.written, position.end.max(self.written));
            if previous != named {
                // Two changes since the last look. The later lineage shares the bytes of the earlier, so it may
                // as well begin here.
                self.flush_batch(Some(previous))?;
            }
            self.copy(switch)?;
            self.flush_batch(Some(position.lineage))?;
        }
        self.copy(position.end)?;
        self.flush_batch(None)?;
        self.status.pending.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// What is sealed from now on, and files that are begun, tell this epoch.
    fn note_epoch(&mut self, epoch: Epoch) {
        if epoch.is_known() {
            self.generation.set_epoch(epoch);
            if let Some(incr) = &mut self.incr {
                incr.sealer.set_epoch(epoch);
            }
        }
    }

    /// Copies the log up to `end` into the buffer, and the file when that is full.
    fn copy(&mut self, end: u64) -> Result<(), WriterError> {
        let (Some(incr), Some(source)) = (&self.incr, &mut self.source) else { return Ok(()) };
        self.status.pending.store(end.saturating_sub(self.written), Ordering::Relaxed);
        // Bytes from another place would be sealed as if they belonged here.
        source.skip_to(incr.sealer.offset())?;
        while let (Some(incr), Some(source)) = (&mut self.incr, &mut self.source)
            && incr.sealer.offset() < end
        {
            let left = end - incr.sealer.offset();
            let room = CHUNK_BYTES.saturating_sub(self.buffer.len()).max(1);
            let max = usize::try_from(left).unwrap_or(room).min(room);
            let from = self.buffer.len();
            let read = source.read(&mut self.buffer, max)?;
            if read == 0 {
                return Err(SourceError::Trimmed { wanted: incr.sealer.offset(), start: end }.into());
            }
            incr.sealer.feed(self.buffer.get(from..).unwrap_or_default());
            if self.buffer.len() >= CHUNK_BYTES {
                self.write_buffer()?;
            }
        }
        Ok(())
    }

    /// Hands what is in the buffer to the system.
    fn write_buffer(&mut self) -> Result<(), WriterError> {
        let Some(incr) = &mut self.incr else { return Ok(()) };
        let begun = self.status.begin_work();
        incr.file.write_all(&self.buffer)?;
        self.buffer.clear();
        self.unsynced_since.get_or_insert_with(Instant::now);
        self.tell_of(Work::write(self.in_flight.is_some()), begun);
        Ok(())
    }

    /// Seals what has been copied since the last seal, if anything, and hands it all to the system.
    fn flush_batch(&mut self, lineage: Option<crate::format::aof::seal::Lineage>) -> Result<(), WriterError> {
        let Some(incr) = &mut self.incr else { return Ok(()) };
        let now_ms = self.clock.unix_ms();
        match lineage {
            Some(lineage) => incr.sealer.change_lineage(lineage, now_ms, &mut self.buffer),
            None if incr.sealer.offset() > self.written => incr.sealer.seal(now_ms, &mut self.buffer),
            None => return Ok(()),
        }
        self.write_buffer()?;
        let Some(incr) = &self.incr else { return Ok(()) };
        self.last_write = Some(Instant::now());
        self.written = incr.sealer.offset();
        self.status.written.store(self.written, Ordering::Release);
        self.status.batches.fetch_add(1, Ordering::Relaxed);
        self.status.current_bytes.store(self.closed_bytes + incr.file.len(), Ordering::Relaxed);
        if self.status.is_prompt() {
            (self.on_event)(WriterEvent::Written);
        }
        Ok(())
    }

    fn sync_if_due(&mut self) -> Result<(), WriterError> {
        match (self.status.policy(), self.unsynced_since) {
            (FsyncPolicy::Always, Some(_)) => {
                let begun = self.status.begin_work();
                self.sync()?;
                self.tell_of(Work::FsyncAlways, begun);
                Ok(())
            }
            (FsyncPolicy::EverySec, Some(since)) if since.elapsed() >= self.config.fsync_interval => {
                self.begin_sync(since)
            }
            _ => Ok(()),
        }
    }

    /// Has the other thread fsync what is written, unless it is at it still.
    fn begin_sync(&mut self, since: Instant) -> Result<(), WriterError> {
        let Some(incr) = self.incr.as_ref().filter(|_| self.in_flight.is_none()) else { return Ok(()) };
        self.in_flight = self.fsyncer.begin(incr.file.sync_handle(), self.written, since);
        if self.in_flight.is_none() {
            return self.sync();
        }
        self.unsynced_since = None;
        self.status.fsyncing.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes in how the other thread's fsync has ended, if it has.
    pub(super) fn settle_sync(&mut self) {
        let Some(outcome) = self.in_flight.as_ref().and_then(InFlight::poll) else { return };
        let Some(flight) = self.in_flight.take() else { return };
        if let Err(error) = self.note_synced(outcome, flight.offset, flight.since) {
            self.broke(error);
        }
    }

    /// Waits for the other thread's fsync if it takes too long.
    fn wait_for_delayed(&mut self) -> Result<(), WriterError> {
        match &self.in_flight {
            Some(flight) if flight.begun.elapsed() >= self.config.delayed_after => {
                let begun = self.status.begin_work();
                self.join_sync()?;
                self.tell_of(Work::WritePendingFsync, begun);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells of work that began then, if somebody wants to know and it took long.
    fn tell_of(&self, work: Work, begun: Option<Instant>) {
        if let Some(took) = self.status.end_work(begun) {
            (self.on_event)(WriterEvent::Worked { work, took });
        }
    }

    /// Waits for the other thread's fsync, if there is one. Its failure must not be passed over: the system reports a
    /// lost page to one caller only.
    fn join_sync(&mut self) -> Result<(), WriterError> {
        let Some(flight) = self.in_flight.take() else { return Ok(()) };
        let (offset, since) = (flight.offset, flight.since);
        let outcome = flight.wait().ok_or(WriterError::Ended)?;
        self.note_synced(outcome, offset, since)
    }

    fn note_synced(&mut self, outcome: Outcome, offset: u64, since: Instant) -> Result<(), WriterError> {
        self.status.fsyncing.store(false, Ordering::Relaxed);
        self.status.fsynced(outcome?);
        if since.elapsed() >= self.config.delayed_after {
            self.status.delayed.fetch_add(1, Ordering::Relaxed);
        }
        self.synced = offset;
        self.publish_durable();
        Ok(())
    }

    /// Makes what is written durable, here and now.
    fn sync(&mut self) -> Result<(), WriterError> {
        self.join_sync()?;
        let Some(incr) = &mut self.incr else { return Ok(()) };
        if let Some(since) = self.unsynced_since {
            let begun = Instant::now();
            incr.file.sync_data()?;
            self.unsynced_since = None;
            self.note_synced(Ok(begun.elapsed()), self.written, since)?;
        }
        Ok(())
    }

    /// Publishes the fsynced offset, if a base and the manifest stand behind it.
    fn publish_durable(&mut self) {
        if self.named && self.status.durable.swap(self.synced, Ordering::AcqRel) != self.synced {
            (self.on_event)(WriterEvent::Durable { offset: self.synced });
        }
    }

    fn publish_phase(&self) {
        self.status.set_phase(match (self.broken, &self.incr) {
            (true, _) => Phase::Broken,
            (false, None) => Phase::Off,
            (false, Some(_)) if self.named => Phase::Writing,
            (false, Some(_)) => Phase::Building,
        });
    }

    /// A write, an fsync or the log failed: the file's tail is unknown, and what follows cannot be kept here.
    fn broke(&mut self, error: WriterError) {
        // A write to a file whose fsync has failed beside it says less than that failure.
        let error = match self.in_flight.take().and_then(|flight| flight.poll()) {
            Some(Err(fsync)) => fsync.into(),
            _ => error,
        };
        self.incr = None;
        self.status.fsyncing.store(false, Ordering::Relaxed);
        self.named = false;
        self.buffer.clear();
        self.unsynced_since = None;
        let text = error.to_string();
        self.status.set_error(Some(text.clone()));
        self.broken = true;
        self.probe_at = Some(Instant::now() + self.probe_pause);
        self.publish_phase();
        (self.on_event)(WriterEvent::Broken {
            error: text,
            durable_offset: self.status.durable.load(Ordering::Acquire),
        });
    }

    /// Ends the current file at `point` and begins the next one there.
    pub(super) fn rotate(
        &mut self,
        point: &Point,
        position: Option<&LogPosition>,
    ) -> Result<Rotation, WriterError> {
        let outcome =
            if self.incr.is_some() { self.rotate_writing(point, position) } else { self.rotate_idle(point) };
        let seq = match outcome {
            Ok(seq) => seq,
            Err(Failure::Request(error)) => return Err(error),
            Err(Failure::Writer(error)) => {
                self.broke(error.clone());
                return Err(error);
            }
        };
        self.measure();
        self.publish_phase();
        Ok(Rotation { first_incr: seq, point: *point })
    }

    fn rotate_writing(&mut self, point: &Point, position: Option<&LogPosition>) -> Result<i64, Failure> {
        let previous = position.and_then(|position| position.previous);
        let epoch = position.map_or(Epoch::UNKNOWN, |position| position.epoch);
        let upto = LogPosition { lineage: point.lineage, previous, epoch, end: point.offset };
        self.write_up_to(&upto).and_then(|()| self.sync()).map_err(Failure::Writer)?;
        let now_ms = self.clock.unix_ms();
        let fresh = self.generation.create_incr(point, now_ms).map_err(|e| Failure::Request(e.into()))?;
        if self.named
            && let Err(error) = self.generation.name_incrs()
        {
            if error.leaves_manifest_unknown() {
                return Err(Failure::Writer(error.into()));
            }
            self.generation.forget_incr(fresh);
            return Err(Failure::Request(error.into()));
        }
        let seq = fresh.seq;
        debug_assert!(self.in_flight.is_none(), "an fsync of the old file would count for the new one");
        self.incr = Some(fresh);
        Ok(seq)
    }

    /// With nothing to go on with, the new file begins a run of its own.
    fn rotate_idle(&mut self, point: &Point) -> Result<i64, Failure> {
        let source = self.source.as_mut().ok_or(Failure::Request(WriterError::NoSource))?;
        source.skip_to(point.offset).map_err(|e| Failure::Request(e.into()))?;
        let epoch = source.position().map_err(|e| Failure::Request(e.into()))?.epoch;
        self.note_epoch(epoch);
        let now_ms = self.clock.unix_ms();
        let fresh = self.generation.create_incr(point, now_ms).map_err(|e| Failure::Request(e.into()))?;
        self.begin_run(fresh);
        Ok(self.run_start)
    }

    fn begin_run(&mut self, fresh: IncrFile) {
        debug_assert!(self.in_flight.is_none(), "an fsync of another file would count for this one");
        self.run_start = fresh.seq;
        self.written = fresh.sealer.offset();
        self.synced = self.written;
        self.unsynced_since = None;
        self.buffer.clear();
        self.named = false;
        self.broken = false;
        self.probe_at = None;
        self.incr = Some(fresh);
        self.status.written.store(self.written, Ordering::Release);
    }

    /// Puts a new base under the files since `rotation`.
    pub(super) fn finish(&mut self, temporary: &Path, rotation: &Rotation) -> Result<Finished, WriterError> {
        if self.incr.is_none() || rotation.first_incr < self.run_start {
            return Err(WriterError::Interrupted);
        }
        let point = rotation.point.history();
        let begun = self.status.begin_work();
        let kept = match self.generation.finish(temporary, &point, rotation.first_incr) {
            Ok(kept) => {
                self.tell_of(Work::Rename, begun);
                kept
            }
            Err(error) => {
                let unknown = error.leaves_manifest_unknown();
                let error = WriterError::from(error);
                if unknown {
                    self.broke(error.clone());
                }
                return Err(error);
            }
        };
        Ok(self.whole(kept))
    }

    /// A new generation is named and on disk.
    fn whole(&mut self, kept: Kept) -> Finished {
        let healed = !self.named;
        self.named = true;
        self.probe_pause = self.config.probe_interval;
        self.status.set_error(None);
        self.measure();
        self.publish_phase();
        self.publish_durable();
        if healed {
            (self.on_event)(WriterEvent::Whole { durable_offset: self.synced });
        }
        Finished {
            kept,
            durable_offset: self.synced,
            base_bytes: self.status.base_bytes.load(Ordering::Relaxed),
        }
    }

    /// No base will come for the present run.
    pub(super) fn abandon(&mut self, why: String) {
        if !self.named && self.incr.is_some() {
            self.broke(WriterError::NoBase(why));
        }
    }

    /// Begins another history: a received snapshot at `point` and what `source` has from there on.
    pub(super) fn install(
        &mut self,
        temporary: &Path,
        point: &Point,
        source: Box<dyn LogSource>,
    ) -> Result<Finished, WriterError> {
        // Whatever the old file still lacked is of a history that is being left; its sealed part stays.
        let _ = self.sync();
        self.incr = None;
        self.named = false;
        self.source = Some(source);
        let installed = self.install_files(temporary, point);
        if let Err(error) = &installed {
            self.broke(error.clone());
        }
        installed
    }

    fn install_files(&mut self, temporary: &Path, point: &Point) -> Result<Finished, WriterError> {
        if let Some(source) = &mut self.source {
            source.skip_to(point.offset)?;
            let epoch = source.position()?.epoch;
            // That of another history is none of this.
            self.generation.set_epoch(epoch);
        }
        let now_ms = self.clock.unix_ms();
        let fresh = self.generation.create_incr(point, now_ms)?;
        let seq = fresh.seq;
        self.begin_run(fresh);
        let kept = self.generation.finish(temporary, &HistoryPoint::from(*point), seq)?;
        Ok(self.whole(kept))
    }

    /// Makes everything up to `position` durable, whatever the policy.
    pub(super) fn flush(&mut self, position: Option<&LogPosition>) -> Result<u64, WriterError> {
        if self.broken || self.incr.is_none() {
            return Err(WriterError::NotWriting);
        }
        let outcome =
            position.map_or(Ok(()), |position| self.write_up_to(position)).and_then(|()| self.sync());
        match outcome {
            Ok(()) if self.named => Ok(self.synced),
            Ok(()) => Err(WriterError::NotWriting),
            Err(error) => {
                self.broke(error.clone());
                Err(error)
            }
        }
    }

    /// Makes everything up to `position` durable, closes the file and lets go of the source.
    pub(super) fn detach(&mut self, position: Option<&LogPosition>) -> Result<u64, WriterError> {
        let flushed = self.flush(position);
        self.source = None;
        self.incr = None;
        self.named = false;
        self.broken = false;
        self.probe_at = None;
        self.status.pending.store(0, Ordering::Relaxed);
        self.publish_phase();
        flushed
    }

    pub(super) fn set_keep(&mut self, keep: usize) {
        self.generation.set_keep(keep);
    }

    /// While broken: tries the disk when the time has come, and asks for a new generation when it answers.
    pub(super) fn probe_if_due(&mut self) {
        if !self.broken || self.probe_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        if self.disk_answers() {
            (self.on_event)(WriterEvent::NeedsGeneration);
        }
        // A request that comes to nothing is repeated ever more rarely.
        self.probe_pause = (self.probe_pause * 2).min(MAX_PROBE_PAUSE.max(self.config.probe_interval));
        self.probe_at = Some(Instant::now() + self.probe_pause);
    }

    fn disk_answers(&self) -> bool {
        let disk = self.generation.disk();
        let path: PathBuf = self.generation.names().temporary_base("probe");
        let written = disk.write_whole(&path, &mut |out| out.write_all(&[0; PROBE_BYTES]));
        let removed = disk.remove_file(&path);
        written.is_ok() && removed.is_ok()
    }

    /// How long the thread may sleep unless woken; `None`: as long as it likes.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let everysec = self.status.policy() == FsyncPolicy::EverySec;
        // The end of an fsync wakes the thread.
        let may_begin = everysec && self.in_flight.is_none();
        let sync_at =
            self.unsynced_since.filter(|_| may_begin).map(|since| since + self.config.fsync_interval);
        [sync_at, self.probe_at.filter(|_| self.broken)].into_iter().flatten().min()
    }

    /// Until when small batches wait for company: a batch a pause, except under `always` and where somebody waits.
    pub(super) fn batch_after(&self) -> Option<Instant> {
        let at_once = self.status.is_prompt() || self.status.policy() == FsyncPolicy::Always;
        self.last_write.filter(|_| !at_once).map(|at| at + self.config.batch_pause)
    }

    fn measure(&mut self) {
        let Ok(sizes) = self.generation.sizes() else { return };
        let current = self.incr.as_ref().map_or(0, |incr| incr.file.len());
        let total = sizes.base_bytes + sizes.incr_bytes;
        self.closed_bytes = if self.named { total.saturating_sub(current) } else { total };
        self.status.base_bytes.store(sizes.base_bytes, Ordering::Relaxed);
        self.status.current_bytes.store(self.closed_bytes + current, Ordering::Relaxed);
    }
}
