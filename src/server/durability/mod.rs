//! What this node writes to disk: the append-only file, snapshots, and who decides about them.
//!
//! A primary whose role decides writes nothing. A replica appends the primary's stream and takes snapshots.
//! One thread, the keeper ([`keeper`]), starts children, looks after them and reconciles what is written
//! with what the role and the configuration ask for.

pub mod appended;
mod archive;
pub mod boot;
pub mod duty;
pub mod info;
pub mod keeper;
pub mod loading;
pub mod own;
pub mod publisher;
pub mod reload;
pub mod source;

use super::config::{Address, AppendFsync, Config, Role};
use super::node::Node;
use super::replication::intake::BaseFile;
use crate::persistence::Point;
use crate::persistence::generation::Generation;
use crate::persistence::names::Names;
use crate::persistence::writer::{AofWriter, FsyncPolicy, Pending, Phase, Work, WriterConfig, WriterEvent};
use crate::replication::Offer;
use crate::server::latency::{self, Event};
use crate::sys::lock::FolderLock;
use crate::sys::{Disk, RealDisk};
use parking_lot::Mutex;
use publisher::Publisher;
use source::{NodeLog, WakerSlot};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

pub use keeper::{JobKind, SaveStatus};

/// How often, and how many times at most, the closing of an old history is looked at: a disk that takes
/// longer than their product does not hold the stream up.
const LEAVE_LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(5);
const LEAVE_LOOKS: usize = 400;

/// The durable side of a node.
pub struct Durability {
    disk: Arc<dyn Disk>,
    inner: Mutex<Inner>,
    status: Mutex<SaveStatus>,
    publisher: Arc<Publisher>,
    /// Replies that wait until the node's own file has what they tell of.
    pub appended: appended::Appended,
    /// The writer asked for a new generation.
    generation_wanted: Arc<AtomicBool>,
    /// A snapshot is to be taken although no rule says so yet.
    snapshot_wanted: AtomicBool,
    /// A rewrite that is at work is of no use any more.
    rewrite_unwanted: AtomicBool,
    /// Held while the log's end is being written because it was switched off.
    switching: Mutex<()>,
    /// Full syncs whose snapshot was to be kept.
    syncs: AtomicU64,
    /// Snapshots received that are being made the base of a new generation.
    installing: Arc<AtomicU32>,
    /// The disk failed, and no new generation is whole since.
    broken: Arc<AtomicBool>,
    /// A promoted node writes until a replica has fsynced past this offset.
    duty: Mutex<Option<u64>>,
    /// There is a mark that the duty was handed over.
    marked: AtomicBool,
    /// To whom, as found at the start.
    heirs: Mutex<Vec<Address>>,
    /// What this node's own files hold, while a fenced primary chooses among histories.
    own: Mutex<Option<Offer>>,
    /// How far the load at the start is.
    loading: loading::Loading,
    /// The server is about to end: what is on disk is whole, and nothing new is begun there.
    ending: AtomicBool,
}

#[derive(Default)]
struct Inner {
    writer: Option<Arc<AofWriter>>,
    waker: WakerSlot,
    lock: Option<FolderLock>,
    requests: Vec<JobKind>,
}

impl Default for Durability {
    fn default() -> Self {
        Durability {
            disk: Arc::new(RealDisk),
            inner: Mutex::default(),
            status: Mutex::default(),
            publisher: Arc::default(),
            appended: appended::Appended::default(),
            generation_wanted: Arc::new(AtomicBool::new(false)),
            snapshot_wanted: AtomicBool::new(false),
            rewrite_unwanted: AtomicBool::new(false),
            switching: Mutex::new(()),
            syncs: AtomicU64::new(0),
            installing: Arc::default(),
            broken: Arc::default(),
            duty: Mutex::default(),
            marked: AtomicBool::new(false),
            heirs: Mutex::default(),
            own: Mutex::default(),
            loading: loading::Loading::default(),
            ending: AtomicBool::new(false),
        }
    }
}

/// The role as the configuration sees it.
pub fn role_of(node: &Node) -> Role {
    if node.is_replica() { Role::Replica } else { Role::Primary }
}

fn policy_of(config: &Config) -> FsyncPolicy {
    match config.appendfsync {
        AppendFsync::Always => FsyncPolicy::Always,
        AppendFsync::EverySec => FsyncPolicy::EverySec,
        AppendFsync::No => FsyncPolicy::No,
    }
}

/// How long the writer's work must take to be noted by the latency monitor; `None`: it is off.
fn told_from(config: &Config) -> Option<Duration> {
    let threshold_ms = config.latency_monitor_threshold_ms;
    (threshold_ms > 0).then(|| Duration::from_millis(threshold_ms))
}

/// Has the latency monitor note what the writer did, under the names that Redis has for it.
fn note_work(node: &Node, work: Work, took: Duration) {
    let note = |event| latency::note(node, event, took);
    match work {
        Work::Write => {
            let child = node.durability.status.lock().running.is_some();
            note(Event::AofWrite);
            note(if child { Event::AofWriteActiveChild } else { Event::AofWriteAlone });
        }
        Work::WritePendingFsync => {
            note(Event::AofWrite);
            note(Event::AofWritePendingFsync);
        }
        Work::FsyncAlways => note(Event::AofFsyncAlways),
        Work::Rename => note(Event::AofRename),
    }
}

/// Names of the append-only files.
pub fn names_of(config: &Config) -> Result<Names, String> {
    Names::new(&config.dir, &config.appenddirname, &config.appendfilename).map_err(|error| error.to_string())
}

/// The snapshot file.
pub fn snapshot_path(config: &Config) -> PathBuf {
    config.dir.join(&config.dbfilename)
}

impl Durability {
    /// The disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Takes the data folder for this process alone, once.
    pub fn lock_folder(&self, config: &Config) -> Result<(), String> {
        let mut inner = self.inner.lock();
        if inner.lock.is_none() {
            inner.lock = Some(FolderLock::acquire(&config.dir).map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Where a snapshot that arrives is to be kept as the base of a new generation; `None` when this node
    /// does not append.
    pub fn base_for_sync(&self, node: &Node) -> Result<Option<BaseFile>, String> {
        let config = node.config();
        if !config.effective_appendonly(Role::Replica) {
            return Ok(None);
        }
        self.lock_folder(&config)?;
        let names = names_of(&config)?;
        self.disk.create_dir_all(&names.folder()).map_err(|error| error.to_string())?;
        // A name of its own: the file of an earlier sync may still be waiting for the writer.
        let number = self.syncs.fetch_add(1, Ordering::Relaxed);
        let path = names.temporary_base(&format!("sync-{number}"));
        // A leftover of a sync that was cut.
        let _ = self.disk.remove_file(&path);
        Ok(Some(BaseFile { disk: self.disk.clone(), path }))
    }

    /// Closes the files of the present history, which is about to be replaced; waits for it a while.
    pub async fn leave_history(&self) {
        self.publisher.leave(None);
        let detached = self.inner.lock().writer.as_ref().map(|writer| writer.detach());
        let Some(detached) = detached else { return };
        for _ in 0..LEAVE_LOOKS {
            match detached.poll() {
                Some(Ok(_)) => return,
                Some(Err(error)) => return tracing::warn!(%error, "the old history was not closed cleanly"),
                None => tokio::time::sleep(LEAVE_LOOK_EVERY).await,
            }
        }
    }

    /// The node has another history now, which stands at `point`; `base` is its snapshot as a file.
    pub fn synced(&self, node: &Arc<Node>, point: Point, base: Option<PathBuf>) {
        let history = self.publisher.leave(Some(node));
        let Some(base) = base else { return };
        self.installing.fetch_add(1, Ordering::AcqRel);
        let installed = self.install(node, point, base);
        let node = node.clone();
        let waited = std::thread::Builder::new().name("aof-install".into()).spawn(move || {
            let outcome = installed.and_then(|pending| pending.wait().map_err(|error| error.to_string()));
            let durability = &node.durability;
            if outcome.is_ok() {
                durability.stand_behind(&node, history, durability.written_durable());
            }
            durability.installing.fetch_sub(1, Ordering::AcqRel);
            match outcome {
                Ok(_) => {
                    tracing::info!(offset = point.offset, "the snapshot is the base of a new generation");
                }
                Err(error) => {
                    tracing::error!(%error, "the snapshot could not become the base of a new generation");
                    durability.generation_wanted.store(true, Ordering::Release);
                }
            }
        });
        if let Err(error) = waited {
            self.installing.fetch_sub(1, Ordering::AcqRel);
            tracing::error!(%error, "no thread to wait for the new generation");
        }
    }

    /// A generation is whole that holds the history of this number up to `durable`: from now on the node may say so. Before it
    /// does, its files must not be marked as past, lest a start that loads them after a promotion pass them over.
    fn stand_behind(&self, node: &Node, history: u64, durable: u64) {
        match self.remove_mark(node) {
            true => self.publisher.begin(node, history, durable),
            // The keeper begins another one.
            false => self.generation_wanted.store(true, Ordering::Release),
        }
    }

    fn written_durable(&self) -> u64 {
        self.inner.lock().writer.as_ref().map_or(0, |writer| writer.durable_offset())
    }

    fn install(
        &self,
        node: &Arc<Node>,
        point: Point,
        base: PathBuf,
    ) -> Result<Pending<crate::persistence::writer::Finished>, String> {
        self.ensure_writer(node)?;
        let inner = self.inner.lock();
        let source =
            NodeLog::new(&node.log, point.offset, &inner.waker).map_err(|error| error.to_string())?;
        let writer = inner.writer.as_ref().ok_or("there is no writer")?;
        Ok(writer.install(base, point, Box::new(source)))
    }

    /// Starts the writer, off, on the folder as it is.
    fn ensure_writer(&self, node: &Arc<Node>) -> Result<(), String> {
        if self.inner.lock().writer.is_some() {
            return Ok(());
        }
        if self.is_ending() {
            return Err("the server is about to end".into());
        }
        let config = node.config();
        self.lock_folder(&config)?;
        let keep = config.keep_generations as usize;
        let generation = Generation::open(self.disk.clone(), names_of(&config)?, keep)
            .map_err(|error| error.to_string())?;
        self.start_writer(node, generation, None)
    }

    fn start_writer(
        &self,
        node: &Arc<Node>,
        generation: Generation,
        going_on: Option<(crate::persistence::generation::IncrFile, u64)>,
    ) -> Result<(), String> {
        let config = node.config();
        let mut inner = self.inner.lock();
        let going_on = match going_on {
            Some((incr, position)) => {
                let source =
                    NodeLog::new(&node.log, position, &inner.waker).map_err(|error| error.to_string())?;
                let source: Box<dyn crate::persistence::writer::LogSource> = Box::new(source);
                Some((incr, source))
            }
            None => None,
        };
        let writer_config = WriterConfig { policy: policy_of(&config), ..WriterConfig::default() };
        let clock = Arc::new(crate::base::time::SystemClock::new());
        let events = self.event_sink(Arc::downgrade(node));
        let writer = AofWriter::start(generation, going_on, writer_config, clock, events)
            .map_err(|error| error.to_string())?;
        writer.tell_of_work(told_from(&config));
        // Set once for the life of the node: the writer is never replaced.
        let _ = inner.waker.set(writer.waker());
        let writer = Arc::new(writer);
        self.appended.take_writer(&writer);
        inner.writer = Some(writer);
        Ok(())
    }

    fn event_sink(&self, node: Weak<Node>) -> Arc<dyn Fn(WriterEvent) + Send + Sync> {
        let (publisher, wanted) = (self.publisher.clone(), self.generation_wanted.clone());
        let (installing, broken) = (self.installing.clone(), self.broken.clone());
        Arc::new(move |event| {
            let Some(node) = node.upgrade() else { return };
            match event {
                WriterEvent::Written => node.durability.appended.moved(),
                WriterEvent::Durable { offset } => {
                    publisher.moved(&node, offset);
                    node.durability.appended.moved();
                }
                WriterEvent::Broken { error, durable_offset } => {
                    tracing::error!(%error, durable_offset, "appending failed: what follows is not durable");
                    broken.store(true, Ordering::Release);
                    node.durability.appended.broke(&node);
                    node.durable_moved.notify_waiters();
                }
                WriterEvent::Worked { work, took } => note_work(&node, work, took),
                WriterEvent::NeedsGeneration => wanted.store(true, Ordering::Release),
                WriterEvent::Whole { durable_offset } => {
                    tracing::info!(durable_offset, "a new generation is whole");
                    broken.store(false, Ordering::Release);
                    // Of an installation only who ordered it knows the history.
                    if installing.load(Ordering::Acquire) == 0 {
                        node.durability.stand_behind(&node, publisher.history(), durable_offset);
                    }
                    node.durability.appended.follow(&node);
                }
            }
        })
    }

    /// True from a failure of the disk until a new generation is whole.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// For so long each batch is fsynced at once, whatever `appendfsync` says: somebody waits for it.
    pub fn hurry(&self, how_long: std::time::Duration) {
        if let Some(writer) = &self.inner.lock().writer {
            writer.hurry(how_long);
        }
    }

    /// What the writer is doing; `Off` when there is none.
    pub fn phase(&self) -> Phase {
        self.inner.lock().writer.as_ref().map_or(Phase::Off, |writer| writer.phase())
    }

    /// Writes and fsyncs all that the log has; waits for it. The durable offset, if this node appends.
    pub fn flush(&self) -> Result<Option<u64>, String> {
        let pending = self.inner.lock().writer.as_ref().map(|writer| writer.flush_and_sync());
        match pending {
            Some(pending) if self.phase() == Phase::Writing => {
                pending.wait().map(Some).map_err(|error| error.to_string())
            }
            _ => Ok(None),
        }
    }

    /// Closes the files with everything fsynced. From then on nothing is begun on disk, until
    /// [`Durability::go_on_after_all`].
    pub fn stop(&self) -> Result<(), String> {
        self.ending.store(true, Ordering::Release);
        let phase = self.phase();
        let Some(closed) = self.inner.lock().writer.as_ref().map(|writer| writer.detach()) else {
            return Ok(());
        };
        match closed.wait() {
            Ok(_) => Ok(()),
            Err(error) if phase == Phase::Writing => {
                self.go_on_after_all();
                Err(error.to_string())
            }
            // It had no file that could be loaded; that has been said when it came to be so.
            Err(_) => Ok(()),
        }
    }

    /// The server does not end. The keeper has a new generation begun if there is to be one.
    pub fn go_on_after_all(&self) {
        self.ending.store(false, Ordering::Release);
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Everything was flushed: where snapshots are taken, the last one must not bring it back. So one is taken, at once
    /// unless a child is at one. The caller holds no lock.
    pub fn flushed(&self, node: &Node) {
        if node.config().effective_save(role_of(node)).is_empty() {
            return;
        }
        let before = self.save_status();
        let saved = before.running != Some(JobKind::Snapshot) && self.save_now(node).is_ok();
        let after = self.save_status();
        // Not if a child's may have taken its place.
        if !saved || after.running == Some(JobKind::Snapshot) || after.saves != before.saves + 1 {
            self.snapshot_wanted.store(true, Ordering::Release);
        }
    }

    /// The node is told to append: the first generation is asked for at once, so that who polls INFO for its end does
    /// not find none begun.
    pub fn turned_on(&self, node: &Node) {
        let _switching = self.switching.lock();
        if self.phase() == Phase::Off && keeper::is_settled(node) {
            self.request(JobKind::Rewrite);
        }
    }

    /// The node is told to append no more: a rewrite that is at work ends, and one that was asked for is not begun.
    pub fn turned_off(&self) {
        self.inner.lock().requests.retain(|kind| *kind != JobKind::Rewrite);
        self.rewrite_unwanted.store(true, Ordering::Release);
    }

    /// Takes settings that can change at run time.
    pub fn configure(&self, config: &Config) {
        if let Some(writer) = &self.inner.lock().writer {
            writer.set_policy(policy_of(config));
            writer.tell_of_work(told_from(config));
            writer.set_keep_generations(config.keep_generations as usize);
        }
    }
}
