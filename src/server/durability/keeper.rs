//! The keeper: one thread that starts children for snapshots and rewrites, looks after them, and reconciles
//! what is written with what the role asks for. It lives as long as the node, as a child's parent must.

use super::{names_of, role_of, snapshot_path};
use crate::persistence::Point;
use crate::persistence::rewrite::{Rewrite, RewriteStatus, RewriteTools};
use crate::persistence::snapshot::{SnapshotJob, SnapshotOptions, SnapshotStatus, Target, UsageKind};
use crate::persistence::writer::{AofWriter, Finished, Pending, Phase};
use crate::replication::Epoch;
use crate::server::Node;
use crate::server::gate::bits;
use crate::server::latency;
use crate::server::replication::LinkPhase;
use crate::server::replication::takeover::own_history;
use crate::server::stats::{add, get};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often the keeper looks.
const TICK: Duration = Duration::from_millis(50);
/// Pause after a failed child before a rule starts another.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Tells the temporary base of a rewrite from others.
const REWRITE_TAG: &str = "rewrite";

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// `dump.rdb` (BGSAVE, `save` rules).
    Snapshot,
    /// A new generation of the append-only file (BGREWRITEAOF).
    Rewrite,
}

/// Figures of snapshots and rewrites, for INFO and LASTSAVE.
#[derive(Debug, Clone)]
pub struct SaveStatus {
    /// What a child is at work on, or will be at once.
    pub running: Option<JobKind>,
    /// A rewrite is to follow when the child at work is done.
    pub rewrite_scheduled: bool,
    /// When it started, unix ms.
    pub started_at_ms: i64,
    /// Keys it has written so far.
    pub keys_done: u64,
    /// Unix seconds of the last good snapshot (or of the start).
    pub last_save_s: i64,
    /// The last snapshot was good.
    pub save_ok: bool,
    /// Seconds the last snapshot took; -1 before.
    pub save_took_s: i64,
    /// Bytes that the last snapshot's child caused to be copied.
    pub save_cow_bytes: u64,
    /// Snapshots made.
    pub saves: u64,
    /// The last rewrite was good.
    pub rewrite_ok: bool,
    /// Seconds the last rewrite took; -1 before.
    pub rewrite_took_s: i64,
    /// Bytes that the last rewrite's child caused to be copied.
    pub rewrite_cow_bytes: u64,
    /// Rewrites made.
    pub rewrites: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Default for SaveStatus {
    fn default() -> Self {
        SaveStatus {
            running: None,
            rewrite_scheduled: false,
            started_at_ms: 0,
            keys_done: 0,
            last_save_s: 0,
            save_ok: true,
            save_took_s: -1,
            save_cow_bytes: 0,
            saves: 0,
            rewrite_ok: true,
            rewrite_took_s: -1,
            rewrite_cow_bytes: 0,
            rewrites: 0,
            last_error: None,
        }
    }
}

struct Running {
    work: Work,
    since: Instant,
    /// Changes counted when it began.
    changes: u64,
    /// Bytes that the child has caused to be copied so far.
    copied_bytes: u64,
    /// It was ended because nobody needs it any more.
    given_up: bool,
}

enum Work {
    Snapshot(Box<SnapshotJob>),
    /// With the writer whose log it splits.
    Rewrite(Box<Rewrite>, Arc<AofWriter>),
}

impl Work {
    fn kind(&self) -> JobKind {
        match self {
            Work::Snapshot(_) => JobKind::Snapshot,
            Work::Rewrite(..) => JobKind::Rewrite,
        }
    }
}

/// Starts the keeper of a node.
pub fn start(node: &Arc<Node>) -> std::io::Result<()> {
    let node = Arc::downgrade(node);
    std::thread::Builder::new().name("keeper".into()).spawn(move || {
        let mut keeper = Keeper { running: None, retry_at: None };
        while let Some(node) = node.upgrade() {
            keeper.tick(&node);
            drop(node);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}

impl super::Durability {
    /// Asks the keeper for a child; false when one of this kind is at work or asked for already.
    pub fn request(&self, kind: JobKind) -> bool {
        let mut inner = self.inner.lock();
        if self.status.lock().running == Some(kind) || inner.requests.contains(&kind) {
            return false;
        }
        inner.requests.push(kind);
        true
    }

    /// Figures of snapshots and rewrites. What was asked for counts as running from that moment on, so that who polls
    /// INFO after a BGSAVE does not find it done before it began.
    pub fn save_status(&self) -> SaveStatus {
        let inner = self.inner.lock();
        let mut status = self.status.lock().clone();
        if status.running.is_none()
            && let Some(next) = inner.requests.first()
        {
            status.running = Some(*next);
            status.started_at_ms = i64::MAX;
            status.keys_done = 0;
        }
        status.rewrite_scheduled =
            status.running != Some(JobKind::Rewrite) && inner.requests.contains(&JobKind::Rewrite);
        status
    }

    /// Writes `dump.rdb` now, in this thread (SAVE).
    pub fn save_now(&self, node: &Node) -> Result<(), String> {
        let config = node.config();
        self.disk.create_dir_all(&config.dir).map_err(|error| error.to_string())?;
        let began = get(&node.changes);
        let path = snapshot_path(&config);
        let at = || Some(point_of(node));
        let saved = crate::persistence::snapshot::save(
            &node.keyspace,
            at,
            &*self.disk,
            &path,
            node.clock(),
            &snapshot_options(node, false),
        );
        let mut status = self.status.lock();
        match saved {
            Ok(_) => {
                status.last_save_s = node.now_ms() / 1000;
                status.save_ok = true;
                status.saves += 1;
                node.changes.fetch_sub(began, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                status.save_ok = false;
                status.last_error = Some(error.to_string());
                Err(error.to_string())
            }
        }
    }
}

/// Does the node have a history that it could write down?
pub(super) fn is_settled(node: &Node) -> bool {
    match node.role.target() {
        Some(_) => node.role.phase() == LinkPhase::Connected,
        None => node.role.has_history() && !node.gate.has(bits::FENCED),
    }
}

/// Where the log stands, for files that will tell of it; call it with all shards locked.
pub(super) fn point_of(node: &Node) -> Point {
    node.log.keep();
    let (history, offset, db) = node.log.position();
    Point { lineage: history.lineage, offset, db: db.unwrap_or(0) }
}

pub(super) fn snapshot_options(node: &Node, aof_base: bool) -> SnapshotOptions {
    let config = node.config();
    SnapshotOptions {
        format: crate::format::rdb::WriteOptions {
            compress: config.rdbcompression,
            checksum: config.rdbchecksum,
        },
        redis_version: crate::server::REDIS_VERSION.into(),
        usage: if node.settings().lfu { UsageKind::Lfu } else { UsageKind::None },
        functions: Vec::new(),
        aof_base,
        epoch: own_history(node).map_or(Epoch::UNKNOWN, |own| own.epoch),
        key_delay_us: config.rdb_key_save_delay_us,
    }
}

struct Keeper {
    running: Option<Running>,
    retry_at: Option<Instant>,
}

impl Keeper {
    fn tick(&mut self, node: &Arc<Node>) {
        node.durability.appended.follow(node);
        self.look_after(node);
        if self.running.is_some() || node.durability.is_ending() {
            return;
        }
        self.reconcile(node);
        if let Some(kind) = self.wanted(node)
            && let Err(error) = self.start(node, kind)
        {
            self.failed(node, kind, &error);
        }
    }

    /// Brings the writer's state to what role and configuration ask for.
    fn reconcile(&self, node: &Arc<Node>) {
        let durability = &node.durability;
        let switching = durability.switching.lock();
        let config = node.config();
        let appends = config.effective_appendonly(role_of(node));
        let phase = durability.phase();
        if phase != Phase::Off && !appends && config.appendonly == Some(false) {
            let detached = durability.inner.lock().writer.as_ref().map(|writer| writer.detach());
            if let Some(Err(error)) = detached.map(Pending::wait) {
                tracing::error!(%error, "the append-only file was not closed cleanly");
            }
            node.set_durable_offset(None);
        }
        durability.hand_over_if_due(node);
        drop(switching);
        // A snapshot that has just been received becomes a generation without any child's help.
        let installing = durability.installing.load(Ordering::Acquire) > 0;
        if phase == Phase::Off && appends && is_settled(node) && !installing {
            durability.generation_wanted.store(true, Ordering::Release);
        }
    }

    /// What should be started now.
    fn wanted(&mut self, node: &Arc<Node>) -> Option<JobKind> {
        let durability = &node.durability;
        let asked = {
            let mut inner = durability.inner.lock();
            let asked = (!inner.requests.is_empty()).then(|| inner.requests.remove(0));
            if asked.is_some() {
                let mut status = durability.status.lock();
                (status.running, status.started_at_ms, status.keys_done) = (asked, node.now_ms(), 0);
            }
            if asked == Some(JobKind::Rewrite) {
                // It is the generation that was wanted.
                durability.generation_wanted.store(false, Ordering::Release);
            }
            asked
        };
        if asked.is_some() {
            return asked;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let generation = durability.generation_wanted.swap(false, Ordering::AcqRel);
        // Where the log was switched off by hand nobody has use for one.
        let off = node.config().appendonly == Some(false);
        if generation && !off || self.log_has_grown(node) {
            return Some(JobKind::Rewrite);
        }
        let flushed = durability.snapshot_wanted.swap(false, Ordering::AcqRel);
        (flushed || self.save_rule_met(node)).then_some(JobKind::Snapshot)
    }

    fn log_has_grown(&self, node: &Node) -> bool {
        let config = node.config();
        let inner = node.durability.inner.lock();
        let Some(writer) = &inner.writer else { return false };
        let figures = writer.figures();
        if figures.phase != Phase::Writing
            || config.auto_aof_rewrite_percentage == 0
            || figures.current_bytes < config.auto_aof_rewrite_min_size_bytes
        {
            return false;
        }
        let base = figures.base_bytes.max(1);
        let grown = figures.current_bytes.saturating_sub(base) as u128 * 100 / u128::from(base);
        grown >= u128::from(config.auto_aof_rewrite_percentage)
    }

    fn save_rule_met(&self, node: &Node) -> bool {
        let config = node.config();
        let changes = get(&node.changes);
        let age_s = node.now_ms() / 1000 - node.durability.status.lock().last_save_s;
        let rules = config.effective_save(role_of(node));
        changes > 0 && rules.iter().any(|rule| changes >= rule.changes && age_s >= rule.seconds as i64)
    }

    fn start(&mut self, node: &Arc<Node>, kind: JobKind) -> Result<(), String> {
        node.durability.lock_folder(&node.config())?;
        // Counted while nobody can write: what comes later is not in the snapshot.
        let mut changes = 0;
        let at = || {
            changes = get(&node.changes);
            point_of(node)
        };
        let work = match kind {
            JobKind::Snapshot => snapshot(node, at)?,
            JobKind::Rewrite => rewrite(node, at)?,
        };
        let child = match &work {
            Work::Snapshot(job) => Some(job.child()),
            Work::Rewrite(rewrite, _) => rewrite.child(),
        };
        let (pid, fork_us) = child.map_or((0, 0), |child| (child.pid(), child.fork_us()));
        add(&node.stats.forks, 1);
        node.stats.last_fork_us.store(fork_us, Ordering::Relaxed);
        latency::note(node, latency::Event::Fork, Duration::from_micros(fork_us));
        let mut status = node.durability.status.lock();
        (status.running, status.started_at_ms, status.keys_done) = (Some(kind), node.now_ms(), 0);
        drop(status);
        tracing::info!(pid, fork_us, "{} started", name_of(kind));
        self.running =
            Some(Running { work, since: Instant::now(), changes, copied_bytes: 0, given_up: false });
        Ok(())
    }

    fn look_after(&mut self, node: &Arc<Node>) {
        // Unless it was switched on again meanwhile.
        let unwanted = node.durability.rewrite_unwanted.swap(false, Ordering::AcqRel)
            && !node.config().effective_appendonly(role_of(node));
        let Some(running) = &mut self.running else { return };
        if let Work::Rewrite(rewrite, _) = &mut running.work
            && unwanted
        {
            rewrite.cancel();
            running.given_up = true;
        }
        let outcome = match &mut running.work {
            Work::Snapshot(job) => match job.check() {
                SnapshotStatus::Running(progress) => Err(Some(progress)),
                SnapshotStatus::Done { progress, .. } => {
                    running.copied_bytes = progress.copied_bytes;
                    Ok(Ok(None))
                }
                SnapshotStatus::Failed(reason) => Ok(Err(reason)),
            },
            Work::Rewrite(rewrite, writer) => match rewrite.check(writer) {
                RewriteStatus::Writing(progress) => Err(Some(progress)),
                RewriteStatus::Finishing => Err(None),
                RewriteStatus::Done(finished) => Ok(Ok(Some(finished))),
                RewriteStatus::Failed(reason) => Ok(Err(reason)),
                RewriteStatus::Over => Ok(Err("the rewrite was given up".to_owned())),
            },
        };
        match outcome {
            Err(progress) => {
                if let Some(progress) = progress {
                    running.copied_bytes = progress.copied_bytes;
                    node.durability.status.lock().keys_done = progress.keys_done;
                }
            }
            Ok(Ok(finished)) => {
                if let Some(running) = self.running.take() {
                    self.done(node, &running, finished);
                }
            }
            Ok(Err(reason)) => {
                if let Some(running) = self.running.take() {
                    match running.given_up {
                        true => {
                            tracing::info!("rewrite given up: the append-only file was switched off");
                            node.durability.status.lock().running = None;
                        }
                        false => self.failed(node, running.work.kind(), &reason),
                    }
                }
            }
        }
    }

    fn done(&mut self, node: &Arc<Node>, running: &Running, finished: Option<Finished>) {
        let took_s = running.since.elapsed().as_secs() as i64;
        let cow_bytes = running.copied_bytes;
        if finished.is_some() {
            node.durability.publisher.moved(node, node.durability.written_durable());
        }
        self.retry_at = None;
        let mut status = node.durability.status.lock();
        status.running = None;
        match running.work.kind() {
            JobKind::Snapshot => {
                status.last_save_s = node.now_ms() / 1000;
                status.save_ok = true;
                status.save_took_s = took_s;
                status.save_cow_bytes = cow_bytes;
                status.saves += 1;
                node.changes.fetch_sub(running.changes, Ordering::Relaxed);
                node.gate.set(bits::DISK, false);
                tracing::info!(took_s, cow_bytes, "snapshot saved");
            }
            JobKind::Rewrite => {
                status.rewrite_ok = true;
                status.rewrite_took_s = took_s;
                status.rewrite_cow_bytes = cow_bytes;
                status.rewrites += 1;
                tracing::info!(took_s, cow_bytes, "rewrite finished");
            }
        }
    }

    fn failed(&mut self, node: &Node, kind: JobKind, error: &str) {
        tracing::error!(%error, ?kind, "a child for the disk failed");
        self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        let config = node.config();
        let mut status = node.durability.status.lock();
        status.running = None;
        status.last_error = Some(error.to_string());
        match kind {
            JobKind::Snapshot => {
                status.save_ok = false;
                let rules = !config.effective_save(role_of(node)).is_empty();
                let stop = config.stop_writes_on_bgsave_error && rules && !node.is_replica();
                node.gate.set(bits::DISK, stop);
            }
            JobKind::Rewrite => status.rewrite_ok = false,
        }
    }
}

fn name_of(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Snapshot => "snapshot",
        JobKind::Rewrite => "rewrite",
    }
}

/// Has a child write `dump.rdb`.
fn snapshot(node: &Arc<Node>, at: impl FnOnce() -> Point) -> Result<Work, String> {
    let config = node.config();
    let disk = node.durability.disk.clone();
    let temporary = config.dir.join(format!("temp-{}.rdb", crate::sys::process::pid()));
    let _ = disk.remove_file(&temporary);
    let target = Target { disk, temporary, rename_to: Some(snapshot_path(&config)) };
    let options = snapshot_options(node, false);
    let at = || Some(at());
    let (keyspace, clock, fork) = (&node.keyspace, node.clock(), node.fork_options());
    let job = SnapshotJob::start(name_of(JobKind::Snapshot), keyspace, at, target, clock, &options, fork);
    job.map(|job| Work::Snapshot(Box::new(job))).map_err(|error| error.to_string())
}

/// Has a child write the base of a new generation, and the writer begin a new log file there.
fn rewrite(node: &Arc<Node>, at: impl FnOnce() -> Point) -> Result<Work, String> {
    let config = node.config();
    let durability = &node.durability;
    durability.ensure_writer(node)?;
    let writer = durability.inner.lock().writer.clone().ok_or("there is no writer")?;
    let names = names_of(&config)?;
    durability.disk.create_dir_all(&names.folder()).map_err(|error| error.to_string())?;
    let _ = durability.disk.remove_file(&names.temporary_base(REWRITE_TAG));
    let at = || {
        let point = at();
        if writer.phase() == Phase::Off {
            match super::NodeLog::new(&node.log, point.offset, &durability.inner.lock().waker) {
                Ok(source) => writer.attach_source(Box::new(source)),
                // The rotation then says that it has nothing to write from.
                Err(error) => tracing::error!(%error, "the log cannot be read for the append-only file"),
            }
        }
        point
    };
    let tools = RewriteTools {
        disk: durability.disk.clone(),
        names: &names,
        tag: REWRITE_TAG,
        clock: node.clock(),
        options: &snapshot_options(node, true),
        fork: node.fork_options(),
    };
    let rewrite = Rewrite::start(&node.keyspace, &writer, at, tools).map_err(|error| error.to_string())?;
    Ok(Work::Rewrite(Box::new(rewrite), writer))
}
