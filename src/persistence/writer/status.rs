//! What the writer lets others see, without a lock where it is read often.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// When appended bytes are made durable (`appendfsync`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// After each batch, before its durable offset is published; one fsync serves all that came meanwhile.
    Always,
    /// Within a second.
    EverySec,
    /// When the system likes, and when files change.
    No,
}

impl FsyncPolicy {
    fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> FsyncPolicy {
        match code {
            0 => FsyncPolicy::Always,
            1 => FsyncPolicy::EverySec,
            _ => FsyncPolicy::No,
        }
    }
}

/// What the writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing, as it was told.
    Off,
    /// Appending to a file that the manifest names: what it fsyncs is durable.
    Writing,
    /// Appending to a file whose base is still being written. Nothing is durable before that is done.
    Building,
    /// A write or an fsync failed, or the log ran ahead. What arrives is not kept; a new generation is wanted.
    Broken,
}

impl Phase {
    fn from_code(code: u8) -> Phase {
        match code {
            0 => Phase::Off,
            1 => Phase::Writing,
            2 => Phase::Building,
            _ => Phase::Broken,
        }
    }
}

/// Figures for INFO, metrics and tests. Offsets are replication offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterFigures {
    /// What it is doing.
    pub phase: Phase,
    /// Everything up to here was handed to the system, with its seal.
    pub written_offset: u64,
    /// Everything up to here is fsynced, in files from which it can be loaded.
    pub durable_offset: u64,
    /// Bytes the log had, at the last look, that were not written yet.
    pub pending_bytes: u64,
    /// Length of the base file (`aof_base_size`).
    pub base_bytes: u64,
    /// Length of base and log files together (`aof_current_size`).
    pub current_bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Fsyncs of log files.
    pub fsyncs: u64,
    /// How long the last fsync took, in microseconds.
    pub fsync_last_us: u64,
    /// How long the longest fsync took, in microseconds.
    pub fsync_max_us: u64,
    /// How long all of them took, in microseconds.
    pub fsync_total_us: u64,
    /// An fsync is on its way while the writer goes on (`aof_pending_bio_fsync`).
    pub fsyncing: bool,
    /// Fsyncs that ended more than two seconds after their bytes were written (`aof_delayed_fsync`).
    pub delayed_fsyncs: u64,
    /// What failed last; cleared when a new generation is whole.
    pub last_error: Option<String>,
}

/// The shared side of [`WriterFigures`].
#[derive(Debug)]
pub(super) struct Status {
    policy: AtomicU8,
    /// Somebody waits for every batch: none waits for company, and each is told of.
    prompt: AtomicBool,
    /// Work that takes so long, in microseconds, is told of; the greatest number tells of none.
    told_from_us: AtomicU64,
    /// Until when each batch is fsynced whatever the policy.
    hurried: Mutex<Option<Instant>>,
    phase: AtomicU8,
    pub(super) written: AtomicU64,
    pub(super) durable: AtomicU64,
    pub(super) pending: AtomicU64,
    pub(super) base_bytes: AtomicU64,
    pub(super) current_bytes: AtomicU64,
    pub(super) batches: AtomicU64,
    fsyncs: AtomicU64,
    fsync_last_us: AtomicU64,
    fsync_max_us: AtomicU64,
    fsync_total_us: AtomicU64,
    pub(super) fsyncing: AtomicBool,
    pub(super) delayed: AtomicU64,
    error: Mutex<Option<String>>,
}

impl Status {
    pub(super) fn new(policy: FsyncPolicy) -> Self {
        let zero = || AtomicU64::new(0);
        Status {
            policy: AtomicU8::new(policy.code()),
            prompt: AtomicBool::new(false),
            told_from_us: AtomicU64::new(u64::MAX),
            hurried: Mutex::new(None),
            phase: AtomicU8::new(Phase::Off as u8),
            written: zero(),
            durable: zero(),
            pending: zero(),
            base_bytes: zero(),
            current_bytes: zero(),
            batches: zero(),
            fsyncs: zero(),
            fsync_last_us: zero(),
            fsync_max_us: zero(),
            fsync_total_us: zero(),
            fsyncing: AtomicBool::new(false),
            delayed: zero(),
            error: Mutex::new(None),
        }
    }

    /// The policy in force now.
    pub(super) fn policy(&self) -> FsyncPolicy {
        if self.hurried.lock().is_some_and(|until| Instant::now() < until) {
            return FsyncPolicy::Always;
        }
        FsyncPolicy::from_code(self.policy.load(Ordering::Relaxed))
    }

    pub(super) fn set_policy(&self, policy: FsyncPolicy) {
        self.policy.store(policy.code(), Ordering::Relaxed);
    }

    pub(super) fn is_prompt(&self) -> bool {
        self.prompt.load(Ordering::Acquire)
    }

    pub(super) fn set_prompt(&self, prompt: bool) {
        self.prompt.store(prompt, Ordering::Release);
    }

    pub(super) fn tell_of_work(&self, at_least: Option<Duration>) {
        let us = at_least.map_or(u64::MAX, |least| u64::try_from(least.as_micros()).unwrap_or(u64::MAX));
        self.told_from_us.store(us, Ordering::Relaxed);
    }

    /// When work that may be told of begins; `None` where none is.
    pub(super) fn begin_work(&self) -> Option<Instant> {
        (self.told_from_us.load(Ordering::Relaxed) < u64::MAX).then(Instant::now)
    }

    /// How long work took that began then, if it is to be told of.
    pub(super) fn end_work(&self, begun: Option<Instant>) -> Option<Duration> {
        let took = begun?.elapsed();
        (took.as_micros() >= u128::from(self.told_from_us.load(Ordering::Relaxed))).then_some(took)
    }

    pub(super) fn hurry_until(&self, until: Instant) {
        *self.hurried.lock() = Some(until);
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::from_code(self.phase.load(Ordering::Acquire))
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn set_error(&self, error: Option<String>) {
        *self.error.lock() = error;
    }

    pub(super) fn fsynced(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.fsyncs.fetch_add(1, Ordering::Relaxed);
        self.fsync_last_us.store(us, Ordering::Relaxed);
        self.fsync_max_us.fetch_max(us, Ordering::Relaxed);
        self.fsync_total_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> WriterFigures {
        let get = |value: &AtomicU64| value.load(Ordering::Acquire);
        WriterFigures {
            phase: self.phase(),
            written_offset: get(&self.written),
            durable_offset: get(&self.durable),
            pending_bytes: get(&self.pending),
            base_bytes: get(&self.base_bytes),
            current_bytes: get(&self.current_bytes),
            batches: get(&self.batches),
            fsyncs: get(&self.fsyncs),
            fsync_last_us: get(&self.fsync_last_us),
            fsync_max_us: get(&self.fsync_max_us),
            fsync_total_us: get(&self.fsync_total_us),
            fsyncing: self.fsyncing.load(Ordering::Relaxed),
            delayed_fsyncs: get(&self.delayed),
            last_error: self.error.lock().clone(),
        }
    }
}
