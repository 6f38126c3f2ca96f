//! The thread that writes the log down.
//!
//! It takes what the log has, appends it to the current file with a seal behind, and fsyncs by policy; what is durable
//! it publishes as an offset. No client waits for it, except those that ask for durability.
//!
//! Under `everysec` another thread fsyncs, so that what is written meanwhile need not wait for the disk, and neither need whoever
//! waits for the file to have it. Once the fsync takes longer than two seconds nothing more is written before it has ended:
//! what the end of the machine could take does not grow without bound.
//!
//! Batches end at command boundaries, as the log's end always is one. Unless every batch is fsynced, or waited for, small
//! ones wait some milliseconds for company, so that a trickle of writes does not cost a seal each.
//!
//! When a write or an fsync fails, or the log cannot wait for it, the writer stops publishing, says so, and passes over
//! what arrives, so that the log need not hold it. It tries the disk now and then and asks for a new generation once
//! that answers: a snapshot and a fresh log file ([`AofWriter::rotate_at`], [`AofWriter::finish`]). Only when both are
//! on disk and named does the durable offset move again. An fsync that failed is never repeated.

mod core;
mod fsyncer;
mod source;
mod status;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use thiserror::Error;

use self::core::Core;
use self::fsyncer::Fsyncer;
use self::status::Status;
use super::Point;
use super::generation::{Generation, GenerationError, IncrFile, Kept};
use crate::base::time::Clock;
use crate::format::aof::seal::Epoch;
use crate::sys::DiskError;

pub use self::source::{LogPosition, LogSource, SourceError};
pub use self::status::{FsyncPolicy, Phase, WriterFigures};

/// Settings of the writer.
#[derive(Debug, Clone, Copy)]
pub struct WriterConfig {
    /// When to fsync.
    pub policy: FsyncPolicy,
    /// The second of [`FsyncPolicy::EverySec`].
    pub fsync_interval: Duration,
    /// An fsync that ends this long after its first byte was written counts as delayed, and one that has taken so long holds
    /// up what is to be written next.
    pub delayed_after: Duration,
    /// How long small batches wait for company, except under [`FsyncPolicy::Always`].
    pub batch_pause: Duration,
    /// The first pause before a disk that failed is tried; it doubles from there, up to a minute.
    pub probe_interval: Duration,
}

impl Default for WriterConfig {
    fn default() -> Self {
        WriterConfig {
            policy: FsyncPolicy::EverySec,
            fsync_interval: Duration::from_secs(1),
            delayed_after: Duration::from_secs(2),
            batch_pause: Duration::from_millis(10),
            probe_interval: Duration::from_secs(1),
        }
    }
}

/// Why the writer failed, or would not do what it was asked.
#[derive(Debug, Clone, Error)]
pub enum WriterError {
    /// The disk failed.
    #[error("{text}")]
    Disk {
        /// Operation, path and reason.
        text: String,
        /// Whether the disk is full.
        full: bool,
    },
    /// The log cannot be read on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Something of the history was lost since the rotation, so its files cannot follow a base.
    #[error("the log was not kept without a gap since the rewrite began; it must begin anew")]
    Interrupted,
    /// The rewrite that was to put a base under the log came to nothing.
    #[error("the rewrite failed: {0}")]
    NoBase(String),
    /// Nothing is being written, or nothing that could be loaded.
    #[error("the append-only file is not being written")]
    NotWriting,
    /// There is no log to write from.
    #[error("the writer has no log to write from")]
    NoSource,
    /// The thread is gone.
    #[error("the writer has ended")]
    Ended,
}

impl From<DiskError> for WriterError {
    fn from(error: DiskError) -> Self {
        WriterError::Disk { full: error.is_full(), text: error.to_string() }
    }
}

impl From<GenerationError> for WriterError {
    fn from(error: GenerationError) -> Self {
        WriterError::Disk { full: error.is_full(), text: error.to_string() }
    }
}

/// What the writer does that may take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Handing a part of the log to the system.
    Write,
    /// The same, while an fsync was under way; or waiting for one that took too long.
    WritePendingFsync,
    /// An fsync because of [`FsyncPolicy::Always`].
    FsyncAlways,
    /// Putting the files of a new generation in their place.
    Rename,
}

impl Work {
    fn write(pending_fsync: bool) -> Work {
        if pending_fsync { Work::WritePendingFsync } else { Work::Write }
    }
}

/// What the writer tells, from its own thread: whoever is told must be brief and must not wait for the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriterEvent {
    /// A batch was handed to the system, of a writer that is prompt ([`AofWriter::set_prompt`]).
    Written,
    /// Everything up to this offset is durable now.
    Durable {
        /// The offset.
        offset: u64,
    },
    /// Writing has failed; nothing past the durable offset is or becomes durable until a new generation is whole.
    Broken {
        /// What failed.
        error: String,
        /// The last durable offset.
        durable_offset: u64,
    },
    /// The disk answers again: begin a rewrite, please.
    NeedsGeneration,
    /// Something took long ([`AofWriter::tell_of_work`]).
    Worked {
        /// What.
        work: Work,
        /// How long.
        took: Duration,
    },
    /// A new generation is whole, and durability is published again.
    Whole {
        /// The durable offset.
        durable_offset: u64,
    },
}

/// Where a rewrite splits the log: the base is a snapshot at `point`, the files from `first_incr` on follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Number of the log file that begins at `point`.
    pub first_incr: i64,
    /// The place in the history.
    pub point: Point,
}

/// A generation that has just become whole.
#[derive(Debug)]
pub struct Finished {
    /// What became of the one before.
    pub kept: Kept,
    /// What is durable.
    pub durable_offset: u64,
    /// Length of the base, in bytes.
    pub base_bytes: u64,
}

/// The answer to a request, when it comes.
#[derive(Debug)]
pub struct Pending<T>(mpsc::Receiver<Result<T, WriterError>>);

impl<T> Pending<T> {
    /// Waits for the answer.
    pub fn wait(self) -> Result<T, WriterError> {
        self.0.recv().unwrap_or(Err(WriterError::Ended))
    }

    /// The answer, if it has come.
    pub fn poll(&self) -> Option<Result<T, WriterError>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => Some(Err(WriterError::Ended)),
        }
    }
}

type Answer<T> = mpsc::Sender<Result<T, WriterError>>;

enum Request {
    Rotate(Point, Answer<Rotation>),
    Finish(PathBuf, Rotation, Answer<Finished>),
    Abandon(String),
    Install(PathBuf, Point, Box<dyn LogSource>, Answer<Finished>),
    AttachSource(Box<dyn LogSource>),
    Flush(Answer<u64>),
    Detach(Answer<u64>),
    SetKeep(usize),
    Stop,
}

#[derive(Default)]
struct Inbox {
    requests: VecDeque<Request>,
}

struct Shared {
    inbox: Mutex<Inbox>,
    woken: Condvar,
    /// Set by whoever has something; taken by the thread before it looks.
    signal: AtomicBool,
    status: Arc<Status>,
}

impl Shared {
    fn wake(&self) {
        if !self.signal.swap(true, Ordering::AcqRel) {
            // The lock makes sure that the thread is either before its look at the signal or asleep.
            drop(self.inbox.lock());
            self.woken.notify_one();
        }
    }
}

/// Tells the writer that the log has more. Cheap when it knows already.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Wakes the writer.
    pub fn wake(&self) {
        self.0.wake();
    }
}

/// The handle of the writer's thread. Dropped, it ends the thread once what the log has is written and fsynced.
pub struct AofWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl AofWriter {
    /// Starts the thread on a folder. `going_on` is a log file that the manifest names, with all in it durable, and
    /// the source of what follows it; without it the writer is off until a rotation or an installation.
    pub fn start(
        generation: Generation,
        going_on: Option<(IncrFile, Box<dyn LogSource>)>,
        config: WriterConfig,
        clock: Arc<dyn Clock>,
        on_event: Arc<dyn Fn(WriterEvent) + Send + Sync>,
    ) -> std::io::Result<AofWriter> {
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox::default()),
            woken: Condvar::new(),
            signal: AtomicBool::new(true),
            status: Arc::new(Status::new(config.policy)),
        });
        let fsyncer = Fsyncer::new(Waker(Arc::clone(&shared)));
        let mut core = Core::new(generation, Arc::clone(&shared.status), config, clock, on_event, fsyncer);
        if let Some((incr, source)) = going_on {
            core.attach(incr, source);
        }
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("aof-writer".to_owned())
            .spawn(move || run(&for_thread, core))?;
        Ok(AofWriter { shared, thread: Some(thread) })
    }

    /// What wakes the writer after appends to the log.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// Figures as of now.
    pub fn figures(&self) -> WriterFigures {
        self.shared.status.figures()
    }

    /// The last offset that is durable, in files from which it can be loaded.
    pub fn durable_offset(&self) -> u64 {
        self.shared.status.durable.load(Ordering::Acquire)
    }

    /// The last offset that was handed to the system.
    pub fn written_offset(&self) -> u64 {
        self.shared.status.written.load(Ordering::Acquire)
    }

    /// What the writer is doing.
    pub fn phase(&self) -> Phase {
        self.shared.status.phase()
    }

    /// Changes `appendfsync`.
    pub fn set_policy(&self, policy: FsyncPolicy) {
        self.shared.status.set_policy(policy);
        self.shared.wake();
    }

    /// From now on no batch waits for company, and each that was handed to the system is told of; or no longer so.
    pub fn set_prompt(&self, prompt: bool) {
        self.shared.status.set_prompt(prompt);
    }

    /// From now on work that takes at least so long is told of; or none is.
    pub fn tell_of_work(&self, at_least: Option<Duration>) {
        self.shared.status.tell_of_work(at_least);
    }

    /// For so long each batch is fsynced at once, whatever the policy.
    pub fn hurry(&self, how_long: Duration) {
        self.shared.status.hurry_until(Instant::now() + how_long);
        self.shared.wake();
    }

    /// Changes how many earlier generations are kept.
    pub fn set_keep_generations(&self, keep: usize) {
        self.post(Request::SetKeep(keep));
    }

    /// Ends the current file at `point` and begins the next one there, for a snapshot at that point. Call it while the
    /// log cannot grow, that is with all shards locked; it does not wait.
    ///
    /// Without a current file (off or broken) a new run begins at `point`; it becomes durable when
    /// [`AofWriter::finish`] has put the base under it.
    pub fn rotate_at(&self, point: Point) -> Pending<Rotation> {
        self.ask(|answer| Request::Rotate(point, answer))
    }

    /// Puts a base under the files since `rotation`: `temporary` is in the folder (see
    /// [`super::names::Names::temporary_base`]), whole, verified, fsynced, and a snapshot at the rotation's point.
    pub fn finish(&self, temporary: PathBuf, rotation: Rotation) -> Pending<Finished> {
        self.ask(|answer| Request::Finish(temporary, rotation, answer))
    }

    /// Says that no base will come for the rotations asked for so far, and why. If the log files since the last of them
    /// have none to follow, the writer is broken (again) and asks for a new generation later, ever more rarely.
    pub fn abandon(&self, why: impl Into<String>) {
        self.post(Request::Abandon(why.into()));
    }

    /// Leaves the present history for another: a snapshot at `point` in `temporary` (as for [`AofWriter::finish`]),
    /// and `source`, which reads on from there. Unless the writer was detached, the old source may already answer
    /// [`SourceError::Restarted`], which then shows as a failure in passing.
    pub fn install(&self, temporary: PathBuf, point: Point, source: Box<dyn LogSource>) -> Pending<Finished> {
        self.ask(|answer| Request::Install(temporary, point, source, answer))
    }

    /// Gives a writer that is off the log from which a later rotation will write. One that is writing by then keeps the
    /// log it has.
    pub fn attach_source(&self, source: Box<dyn LogSource>) {
        self.post(Request::AttachSource(source));
    }

    /// Writes and fsyncs what the log has now. The answer is the durable offset.
    pub fn flush_and_sync(&self) -> Pending<u64> {
        self.ask(Request::Flush)
    }

    /// As [`AofWriter::flush_and_sync`], and then closes the file and lets go of the log. The writer is off after
    /// that, even if the answer is an error.
    pub fn detach(&self) -> Pending<u64> {
        self.ask(Request::Detach)
    }

    fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Pending<T> {
        let (answer, pending) = mpsc::channel();
        self.post(request(answer));
        Pending(pending)
    }

    fn post(&self, request: Request) {
        let mut inbox = self.shared.inbox.lock();
        inbox.requests.push_back(request);
        self.shared.signal.store(true, Ordering::Release);
        drop(inbox);
        self.shared.woken.notify_one();
    }
}

impl Drop for AofWriter {
    fn drop(&mut self) {
        self.post(Request::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported when it happened.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, mut core: Core) {
    loop {
        shared.signal.swap(false, Ordering::AcqRel);
        core.settle_sync();
        // The log is looked at before the inbox: a rotation is posted while the log cannot grow, so whatever this
        // look finds behind the rotation's point, the rotation itself is in the inbox by then.
        let position = core.look();
        let mut requests = std::mem::take(&mut shared.inbox.lock().requests);
        if requests.is_empty() {
            if let Some(position) = &position {
                core.advance(position);
            }
            core.probe_if_due();
            sleep(shared, &core);
        }
        while let Some(request) = requests.pop_front() {
            // No request may write past a rotation that stands behind it.
            let upto = requests.iter().find_map(rotation_point).map(|point| LogPosition {
                lineage: point.lineage,
                previous: position.and_then(|position| position.previous),
                epoch: position.map_or(Epoch::UNKNOWN, |position| position.epoch),
                end: point.offset,
            });
            if !serve(&mut core, request, upto.or(position).as_ref()) {
                return;
            }
        }
    }
}

fn rotation_point(request: &Request) -> Option<Point> {
    match request {
        Request::Rotate(point, _) => Some(*point),
        _ => None,
    }
}

/// Serves one request; false to end the thread.
fn serve(core: &mut Core, request: Request, position: Option<&LogPosition>) -> bool {
    // Whoever asked may have gone, which is no concern of the writer.
    match request {
        Request::Rotate(point, answer) => drop(answer.send(core.rotate(&point, position))),
        Request::Abandon(why) => core.abandon(why),
        Request::Finish(temporary, rotation, answer) => {
            drop(answer.send(core.finish(&temporary, &rotation)));
        }
        Request::Install(temporary, point, source, answer) => {
            drop(answer.send(core.install(&temporary, &point, source)));
        }
        Request::AttachSource(source) => core.attach_source(source),
        Request::Flush(answer) => drop(answer.send(core.flush(position))),
        Request::Detach(answer) => drop(answer.send(core.detach(position))),
        Request::SetKeep(keep) => core.set_keep(keep),
        Request::Stop => {
            let _ = core.flush(position);
            return false;
        }
    }
    true
}

fn sleep(shared: &Shared, core: &Core) {
    let deadline = core.next_deadline();
    let mut inbox = shared.inbox.lock();
    while !shared.signal.load(Ordering::Acquire) {
        match deadline {
            None => shared.woken.wait(&mut inbox),
            Some(at) => {
                if shared.woken.wait_until(&mut inbox, at).timed_out() {
                    return;
                }
            }
        }
    }
    // Woken by the log, not by a request: let a batch gather.
    if let Some(after) = core.batch_after() {
        while inbox.requests.is_empty() && Instant::now() < after {
            if shared.woken.wait_until(&mut inbox, after).timed_out() {
                return;
            }
        }
    }
}
