//! The keeper: one thread that starts children for snapshots and rewrites, looks after them, and reconciles
//! what is written with what the role asks for. It lives as long as the node, as a child's parent must.

use super::{names_of, role_of, snapshot_path};
use crate::persistence::Point;
use crate::persistence::snapshot::{SnapshotJob, SnapshotOptions, SnapshotStatus, Target, UsageKind};
use crate::persistence::writer::{Pending, Phase, Rotation};
use crate::server::Node;
use crate::server::gate::bits;
use crate::server::replication::LinkPhase;
use crate::server::stats::{add, get};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often the keeper looks.
const TICK: Duration = Duration::from_millis(50);
/// Pause after a failed child before a rule starts another.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

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
    /// What a child is at work on.
    pub running: Option<JobKind>,
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
    kind: JobKind,
    job: SnapshotJob,
    since: Instant,
    /// Of a rewrite: where it splits the log, and its file.
    rewrite: Option<(Pending<Rotation>, PathBuf)>,
    /// Changes counted when a snapshot began.
    changes: u64,
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

    /// Figures of snapshots and rewrites.
    pub fn save_status(&self) -> SaveStatus {
        self.status.lock().clone()
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

/// Where the log stands; call it with all shards locked.
pub(super) fn point_of(node: &Node) -> Point {
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
    }
}

struct Keeper {
    running: Option<Running>,
    retry_at: Option<Instant>,
}

impl Keeper {
    fn tick(&mut self, node: &Arc<Node>) {
        self.look_after(node);
        if self.running.is_some() {
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
        let config = node.config();
        let durability = &node.durability;
        let appends = config.effective_appendonly(role_of(node));
        let phase = durability.phase();
        if phase != Phase::Off && !appends && config.appendonly == Some(false) {
            let detached = durability.inner.lock().writer.as_ref().map(|writer| writer.detach());
            if let Some(Err(error)) = detached.map(Pending::wait) {
                tracing::error!(%error, "the append-only file was not closed cleanly");
            }
            node.set_durable_offset(None);
        }
        let settled = match node.role.target() {
            Some(_) => node.role.phase() == LinkPhase::Connected,
            None => node.role.has_history() && !node.gate.has(bits::FENCED),
        };
        if phase == Phase::Off && appends && settled {
            durability.generation_wanted.store(true, Ordering::Release);
        }
    }

    /// What should be started now.
    fn wanted(&mut self, node: &Arc<Node>) -> Option<JobKind> {
        let durability = &node.durability;
        let asked = {
            let mut inner = durability.inner.lock();
            (!inner.requests.is_empty()).then(|| inner.requests.remove(0))
        };
        if asked.is_some() {
            return asked;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        if durability.generation_wanted.swap(false, Ordering::AcqRel) || self.log_has_grown(node) {
            return Some(JobKind::Rewrite);
        }
        self.save_rule_met(node).then_some(JobKind::Snapshot)
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
        let config = node.config();
        let durability = &node.durability;
        durability.lock_folder(&config)?;
        let (target, temporary) = match kind {
            JobKind::Snapshot => {
                let temporary = config.dir.join(format!("temp-{}.rdb", crate::sys::process::pid()));
                let _ = durability.disk.remove_file(&temporary);
                let rename_to = Some(snapshot_path(&config));
                (
                    Target::File { disk: durability.disk.clone(), temporary: temporary.clone(), rename_to },
                    temporary,
                )
            }
            JobKind::Rewrite => {
                durability.ensure_writer(node)?;
                let names = names_of(&config)?;
                durability.disk.create_dir_all(&names.folder()).map_err(|error| error.to_string())?;
                let temporary = names.temporary_base("rewrite");
                let _ = durability.disk.remove_file(&temporary);
                let disk = durability.disk.clone();
                (Target::File { disk, temporary: temporary.clone(), rename_to: None }, temporary)
            }
        };
        let mut rotation = None;
        let at = || {
            let point = point_of(node);
            if kind == JobKind::Rewrite {
                rotation = Some(rotate(node, point));
            }
            Some(point)
        };
        let options = snapshot_options(node, kind == JobKind::Rewrite);
        let name = if kind == JobKind::Rewrite { "rewrite" } else { "snapshot" };
        let job =
            SnapshotJob::start(name, &node.keyspace, at, target, node.clock(), &options, node.fork_options())
                .map_err(|error| error.to_string())?;
        add(&node.stats.forks, 1);
        node.stats.last_fork_us.store(job.child().fork_us(), Ordering::Relaxed);
        let mut status = durability.status.lock();
        status.running = Some(kind);
        status.started_at_ms = node.now_ms();
        drop(status);
        tracing::info!(pid = %job.child().pid(), fork_us = job.child().fork_us(), "{name} started");
        let rewrite = match rotation {
            Some(pending) => Some((pending?, temporary)),
            None => None,
        };
        let changes = get(&node.changes);
        self.running = Some(Running { kind, job, since: Instant::now(), rewrite, changes });
        Ok(())
    }

    fn look_after(&mut self, node: &Arc<Node>) {
        let Some(running) = &mut self.running else { return };
        match running.job.check() {
            SnapshotStatus::Running(progress) => {
                node.durability.status.lock().keys_done = progress.keys_done;
            }
            SnapshotStatus::Done { progress, .. } => {
                if let Some(running) = self.running.take() {
                    self.done(node, running, progress.copied_bytes);
                }
            }
            SnapshotStatus::Failed(reason) => {
                if let Some(running) = self.running.take() {
                    if let Some((pending, _)) = running.rewrite {
                        abandon(node, pending, &reason);
                    }
                    self.failed(node, running.kind, &reason);
                }
            }
        }
    }

    fn done(&mut self, node: &Arc<Node>, running: Running, cow_bytes: u64) {
        let took_s = running.since.elapsed().as_secs() as i64;
        if let Some((pending, temporary)) = running.rewrite
            && let Err(error) = finish_rewrite(node, pending, temporary)
        {
            return self.failed(node, JobKind::Rewrite, &error);
        }
        self.retry_at = None;
        let mut status = node.durability.status.lock();
        status.running = None;
        match running.kind {
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

/// Has the writer begin a new file at `point`; call it with all shards locked.
fn rotate(node: &Arc<Node>, point: Point) -> Result<Pending<Rotation>, String> {
    let inner = node.durability.inner.lock();
    let writer = inner.writer.as_ref().ok_or("there is no writer")?;
    if writer.phase() == Phase::Off {
        let source = super::NodeLog::new(&node.log, point.offset, &inner.waker);
        writer.attach_source(Box::new(source.map_err(|error| error.to_string())?));
    }
    Ok(writer.rotate_at(point))
}

fn finish_rewrite(node: &Arc<Node>, pending: Pending<Rotation>, temporary: PathBuf) -> Result<(), String> {
    let rotation = pending.wait().map_err(|error| error.to_string())?;
    let finishing = {
        let inner = node.durability.inner.lock();
        let writer = inner.writer.as_ref().ok_or("there is no writer")?;
        writer.finish(temporary, rotation)
    };
    let finished = finishing.wait().map_err(|error| error.to_string())?;
    node.durability.publishing.store(true, Ordering::Release);
    node.set_durable_offset(Some(finished.durable_offset.max(node.durability.written_durable())));
    Ok(())
}

fn abandon(node: &Arc<Node>, pending: Pending<Rotation>, reason: &str) {
    // The writer serves requests in order, so it knows of the rotation when it hears that nothing comes of it.
    drop(pending);
    if let Some(writer) = &node.durability.inner.lock().writer {
        writer.abandon(reason);
    }
}
