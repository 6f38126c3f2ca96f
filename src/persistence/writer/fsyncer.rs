//! The thread that fsyncs under `everysec` while the writer's own goes on appending.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Waker;
use crate::sys::{DiskError, SyncHandle};

/// How an fsync ended: how long it took.
pub(super) type Outcome = Result<Duration, DiskError>;

struct Job {
    file: Arc<dyn SyncHandle>,
    outcome: mpsc::Sender<Outcome>,
}

/// An fsync on its way.
pub(super) struct InFlight {
    outcome: mpsc::Receiver<Outcome>,
    /// What is durable once it has succeeded: everything up to this offset.
    pub(super) offset: u64,
    /// When the first byte that it covers was written.
    pub(super) since: Instant,
    /// When it was asked for.
    pub(super) begun: Instant,
}

impl InFlight {
    /// The outcome, if it is there.
    pub(super) fn poll(&self) -> Option<Outcome> {
        self.outcome.try_recv().ok()
    }

    /// Waits for the outcome. `None`: the thread has gone without one.
    pub(super) fn wait(self) -> Option<Outcome> {
        self.outcome.recv().ok()
    }
}

/// The handle of the thread, which is begun with the first fsync and ends when this is dropped.
pub(super) struct Fsyncer {
    waker: Waker,
    thread: Option<(mpsc::Sender<Job>, JoinHandle<()>)>,
}

impl Fsyncer {
    /// `waker` is called after each fsync.
    pub(super) fn new(waker: Waker) -> Fsyncer {
        Fsyncer { waker, thread: None }
    }

    /// Begins an fsync of all that was written to `file`: up to `offset`, the first byte of it at `since`. `None` where
    /// there can be no thread; then the caller has to do it.
    pub(super) fn begin(
        &mut self,
        file: Arc<dyn SyncHandle>,
        offset: u64,
        since: Instant,
    ) -> Option<InFlight> {
        if self.thread.is_none() {
            self.thread = self.start().ok();
        }
        let (jobs, _) = self.thread.as_ref()?;
        let (outcome, receiver) = mpsc::channel();
        jobs.send(Job { file, outcome }).ok()?;
        Some(InFlight { outcome: receiver, offset, since, begun: Instant::now() })
    }

    fn start(&self) -> std::io::Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let waker = self.waker.clone();
        let run = move || {
            for Job { file, outcome } in todo {
                let begun = Instant::now();
                let ended = file.sync_data().map(|_| begun.elapsed());
                // The writer may have given the file up meanwhile.
                let _ = outcome.send(ended);
                waker.wake();
            }
        };
        let thread = std::thread::Builder::new().name("aof-fsync".to_owned()).spawn(run)?;
        Ok((jobs, thread))
    }
}

impl Drop for Fsyncer {
    fn drop(&mut self) {
        if let Some((jobs, thread)) = self.thread.take() {
            drop(jobs);
            // A panic of the thread has been reported when it happened.
            let _ = thread.join();
        }
    }
}
