//! Full syncs served from memory: one snapshot at a time, which all replicas share that asked before it began.
//!
//! The snapshot ([`LiveSnapshot`]) is walked by a task of an I/O thread, a slice at a time, and goes to each replica
//! through a short queue; the slowest sets the pace. A replica that asks meanwhile waits for the next one. The log is
//! held from the snapshot's place on until every replica has a reader of its own; when it cannot reach back so far any more,
//! the snapshot is of no use, and is given up.
//!
//! After several snapshots that nobody took to the end the next one waits a while, so that replicas that come and go all the
//! time gather for it.

use crate::base::random::Rng;
use crate::base::time::Clock;
use crate::command::locking::each_key;
use crate::command::registry;
use crate::command::table::{Command, flags};
use crate::format::wire::pack;
use crate::keyspace::db::locate;
use crate::persistence::Point;
use crate::persistence::live::{LiveSnapshot, Step, Waiting};
use crate::persistence::snapshot::SnapshotOptions;
use crate::replication::backoff::Backoff;
use crate::replication::{Place, ReaderId};
use crate::server::gate::bits;
use crate::server::stats::add;
use crate::server::{Node, Session};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::task::yield_now;
use tokio::time::Instant;

/// Bytes that are gathered before they are sent.
const CHUNK_BYTES: usize = 128 * 1024;
/// How long steps may be taken before the thread's other connections are served, in microseconds.
const TURN_US: u64 = 300;
/// Chunks that wait for one replica.
const QUEUED_CHUNKS: usize = 4;
/// What may wait in memory to be sent, at least, in bytes.
const WAITING_MIN_BYTES: u64 = 64 << 20;
/// And as a part of the memory in use.
const WAITING_SHARE: u64 = 16;
/// The longest pause after the second snapshot in a row that was given up, ms; it doubles from there.
const FIRST_PAUSE_MS: u64 = 200;
/// The longest pause, ms: replicas that do nothing wrong wait for the next snapshot, too.
const LONGEST_PAUSE_MS: u64 = 5_000;

/// What a replica that waits for a snapshot gets: the beginning, bytes, the end. If the end does not come, it was given up.
#[derive(Debug, Clone)]
pub enum Piece {
    /// It is the snapshot of this place.
    Begin(Place),
    /// Some of it.
    Bytes(Chunk),
    /// It is whole.
    End,
}

/// Some of a snapshot, which all who get it share.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// As it is.
    pub raw: Bytes,
    packed: Arc<OnceLock<Bytes>>,
}

impl Chunk {
    fn new(raw: Bytes) -> Chunk {
        Chunk { raw, packed: Arc::default() }
    }

    /// Packed, for the first who asks; the others get the same.
    ///
    /// # Errors
    /// It cannot be packed.
    pub fn packed(&self) -> io::Result<Bytes> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed.clone());
        }
        let packed = Bytes::from(pack(&self.raw)?);
        Ok(self.packed.get_or_init(|| packed).clone())
    }
}

/// What may wait of a snapshot in memory, in bytes.
pub(super) fn limit_bytes(node: &Node) -> u64 {
    WAITING_MIN_BYTES.max(node.memory.last_figures().allocator.allocated / WAITING_SHARE)
}

/// The full syncs that a node serves.
pub struct Syncs {
    hub: Mutex<Hub>,
    /// Snapshots that are on their way, or of which there are traces left.
    running: AtomicU64,
    /// The most there ever were at once.
    pub at_once_peak: AtomicU64,
    /// What waits of the one that is on its way.
    waiting: Mutex<Option<Waiting>>,
    /// Snapshots that were given up in a row.
    pace: Mutex<Backoff>,
    /// Until when none is begun, on the monotonic clock.
    not_before_us: AtomicU64,
    /// Who holds it may gather a whole snapshot in memory.
    gathering: Semaphore,
    /// Bytes that are gathered.
    gathered_bytes: AtomicU64,
    /// There is something to do for the task, although its replicas are slow.
    work: Arc<Notify>,
    /// Rises when commands that were held back are to look again.
    version: AtomicU64,
    moved: Notify,
    /// Snapshots that were begun.
    pub taken: AtomicU64,
    /// Snapshots that were given up.
    pub given_up: AtomicU64,
    /// The most bytes that the last snapshot had waiting.
    pub peak_bytes: AtomicU64,
    /// Bytes of snapshots that were sent packed, as they were before.
    pub lz4_raw_bytes: AtomicU64,
    /// What they became.
    pub lz4_sent_bytes: AtomicU64,
}

impl Default for Syncs {
    fn default() -> Self {
        Syncs {
            hub: Mutex::default(),
            running: AtomicU64::new(0),
            at_once_peak: AtomicU64::new(0),
            waiting: Mutex::default(),
            pace: Mutex::new(Backoff::new(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, Rng::from_os())),
            not_before_us: AtomicU64::new(0),
            gathering: Semaphore::new(1),
            gathered_bytes: AtomicU64::new(0),
            work: Arc::default(),
            version: AtomicU64::new(0),
            moved: Notify::new(),
            taken: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            lz4_raw_bytes: AtomicU64::new(0),
            lz4_sent_bytes: AtomicU64::new(0),
        }
    }
}

/// The right to gather a whole snapshot.
pub struct Gathering<'s> {
    syncs: &'s Syncs,
    _permit: SemaphorePermit<'s>,
}

impl Gathering<'_> {
    /// Tells how many bytes are gathered.
    pub fn note(&self, bytes: usize) {
        self.syncs.gathered_bytes.store(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        self.note(0);
    }
}

/// Who gets a snapshot.
struct Guest {
    pieces: Sender<Piece>,
    /// It goes on from this node's log, which must reach back to the snapshot.
    goes_on: bool,
}

#[derive(Default)]
struct Hub {
    waiting: Vec<Guest>,
    /// There is a task.
    running: bool,
}

/// Asks for a snapshot; whoever `goes_on` from there reads this node's log then. Must be called on an I/O thread.
pub fn join(node: &Arc<Node>, goes_on: bool) -> Receiver<Piece> {
    let (pieces, receiver) = channel(QUEUED_CHUNKS);
    let mut hub = node.replicas.syncs.hub.lock();
    hub.waiting.push(Guest { pieces, goes_on });
    if !std::mem::replace(&mut hub.running, true) {
        tokio::task::spawn_local(serve_all(node.clone()));
    }
    receiver
}

async fn serve_all(node: Arc<Node>) {
    loop {
        let delay_s = node.config().repl_diskless_sync_delay_seconds;
        if delay_s > 0 {
            tokio::time::sleep(Duration::from_secs(delay_s.into())).await;
        }
        node.replicas.syncs.rest(&node).await;
        let guests = {
            let mut hub = node.replicas.syncs.hub.lock();
            hub.waiting.retain(|guest| !guest.pieces.is_closed());
            if hub.waiting.is_empty() {
                hub.running = false;
                return;
            }
            std::mem::take(&mut hub.waiting)
        };
        serve(&node, guests).await;
    }
}

/// Why a snapshot was not finished.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("every replica that waited for it is gone")]
    Alone,
    #[error("more had to be kept for it than may wait in memory ({0} bytes): the replicas are too slow")]
    TooMuch(u64),
    #[error(
        "the log no longer reaches back to it: client-output-buffer-limit replica allows less than what was written meanwhile"
    )]
    Outrun,
}

async fn serve(node: &Arc<Node>, guests: Vec<Guest>) {
    let mut course = Course::begin(node, guests);
    let outcome = course.run().await;
    let syncs = &node.replicas.syncs;
    syncs.peak_bytes.store(course.live.peak_bytes() as u64, Ordering::Relaxed);
    syncs.note_outcome(node, outcome.as_ref().err());
    if outcome.is_err() {
        course.guests.clear();
        course.queue.clear();
        course.live.give_up();
        syncs.moved();
        while !course.live.sweep(&node.keyspace) {
            yield_now().await;
        }
    }
    *syncs.waiting.lock() = None;
    syncs.running.fetch_sub(1, Ordering::AcqRel);
    node.gate.set(bits::SYNCING, false);
    syncs.moved();
    if let Some(reader) = course.holder {
        node.log.remove_reader(reader);
    }
}

/// One snapshot and those who get it.
struct Course<'n> {
    node: &'n Arc<Node>,
    live: LiveSnapshot,
    guests: Vec<Guest>,
    /// Chunks that were written while a replica was slow, to be sent next.
    queue: VecDeque<Bytes>,
    /// Holds the log until the replicas read it themselves.
    holder: Option<ReaderId>,
    limit_bytes: u64,
    heavy_done: u64,
}

impl<'n> Course<'n> {
    fn begin(node: &'n Arc<Node>, guests: Vec<Guest>) -> Course<'n> {
        let options = SnapshotOptions {
            redis_version: crate::server::REDIS_VERSION.into(),
            ..SnapshotOptions::default()
        };
        node.memory.sample();
        let limit_bytes = limit_bytes(node);
        let mut holder = None;
        let goes_on = guests.iter().any(|guest| guest.goes_on);
        let at = || {
            node.log.keep();
            let (history, offset, db) = node.log.position();
            // The stream that a primary's new replica gets begins with a SELECT. A replica hands on its primary's
            // bytes, among which it can put none; there the snapshot tells the database.
            if !node.is_replica() {
                node.log.forget_db();
            }
            if goes_on {
                holder = node.log.add_reader(offset, super::feed::limit_bytes(node), Box::new(|| ())).ok();
            }
            Some(Point { lineage: history.lineage, offset, db: db.unwrap_or(0) })
        };
        let syncs = &node.replicas.syncs;
        let work = syncs.work.clone();
        let wake = Box::new(move || work.notify_one());
        let live =
            LiveSnapshot::begin(&node.keyspace, at, node.clock(), &options, limit_bytes as usize, wake);
        add(&syncs.taken, 1);
        *syncs.waiting.lock() = Some(live.waiting());
        let at_once = syncs.running.fetch_add(1, Ordering::AcqRel) + 1;
        syncs.at_once_peak.fetch_max(at_once, Ordering::Relaxed);
        node.gate.set(bits::SYNCING, true);
        Course { node, live, guests, queue: VecDeque::new(), holder, limit_bytes, heavy_done: 0 }
    }

    async fn run(&mut self) -> Result<(), Unfinished> {
        if let Some(point) = self.live.point() {
            let place = Place { lineage: point.lineage, offset: point.offset };
            self.deliver(Piece::Begin(place)).await?;
        }
        loop {
            while let Some(bytes) = self.queue.pop_front() {
                self.note_queued();
                self.deliver(Piece::Bytes(Chunk::new(bytes))).await?;
            }
            let step = self.take_turn();
            self.look_at_heavy();
            let bytes = self.live.take();
            if step == Step::Over {
                return Err(Unfinished::TooMuch(self.limit_bytes));
            }
            if self.is_outrun() {
                return Err(Unfinished::Outrun);
            }
            if !bytes.is_empty() {
                self.deliver(Piece::Bytes(Chunk::new(bytes.into()))).await?;
            }
            if step == Step::Ended {
                return self.deliver(Piece::End).await;
            }
            // First the threads that wait for this core, which the walk would hold for the whole of a time slice: clients on
            // the same machine, other I/O threads. Where nobody waits it comes back at once.
            std::thread::yield_now();
            yield_now().await;
        }
    }

    /// Does the log no longer reach back to the snapshot's place, from which somebody wants to go on?
    fn is_outrun(&self) -> bool {
        if !self.guests.iter().any(|guest| guest.goes_on) {
            return false;
        }
        let log = &self.node.log;
        let position = self.holder.and_then(|holder| log.reader_position(holder));
        position.is_none_or(|position| position < log.start())
    }

    /// Takes steps for a while.
    fn take_turn(&mut self) -> Step {
        let begun_us = self.node.clock().monotonic_us();
        loop {
            let step = self.live.step(&self.node.keyspace);
            let is_enough = self.live.gathered_bytes() >= CHUNK_BYTES
                || self.node.clock().monotonic_us().saturating_sub(begun_us) >= TURN_US;
            if step != Step::Going || is_enough {
                return step;
            }
        }
    }

    /// Lets commands look again that waited for a heavy value.
    fn look_at_heavy(&mut self) {
        let done = self.live.heavy_done();
        if std::mem::replace(&mut self.heavy_done, done) != done {
            self.node.replicas.syncs.moved();
        }
    }

    /// Gives every replica a piece. While one is slow, values that commands ask for are written nevertheless.
    async fn deliver(&mut self, piece: Piece) -> Result<(), Unfinished> {
        let work = self.node.replicas.syncs.work.clone();
        let patience = Duration::from_secs(u64::from(self.node.config().repl_timeout_seconds).max(1));
        let mut index = 0;
        let mut until = Instant::now() + patience;
        while let Some(guest) = self.guests.get(index) {
            let sent = tokio::select! {
                biased;
                permit = guest.pieces.reserve() => Some(permit.map(|permit| permit.send(piece.clone())).is_ok()),
                () = work.notified() => None,
                () = tokio::time::sleep_until(until) => {
                    tracing::warn!("a replica takes nothing more of its snapshot, and is given up");
                    Some(false)
                }
            };
            match sent {
                Some(true) => index += 1,
                Some(false) => drop(self.guests.remove(index)),
                None => {
                    self.write_asked().await?;
                    continue;
                }
            }
            until = Instant::now() + patience;
        }
        if self.guests.is_empty() { Err(Unfinished::Alone) } else { Ok(()) }
    }

    fn note_queued(&self) {
        self.live.note_queued(self.queue.iter().map(Bytes::len).sum());
    }

    async fn write_asked(&mut self) -> Result<(), Unfinished> {
        loop {
            let step = self.live.step_asked(&self.node.keyspace);
            self.look_at_heavy();
            // No long buffer, which would be moved as it grows.
            if self.live.gathered_bytes() >= CHUNK_BYTES {
                self.queue.push_back(self.live.take().into());
                self.note_queued();
            }
            match step {
                Step::Going => yield_now().await,
                Step::Ended => return Ok(()),
                Step::Over => return Err(Unfinished::TooMuch(self.limit_bytes)),
            }
        }
    }
}

impl Syncs {
    fn moved(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    /// Whether the command must wait, because it would change a heavy value that the snapshot has not got: then for what
    /// [`Syncs::past`] is to be told.
    pub fn holds(&self, node: &Node, session: &Session, args: &[&[u8]]) -> Option<u64> {
        let version = self.version.load(Ordering::Acquire);
        let (command, sub) = registry::resolve(args)?;
        let command = sub.unwrap_or(command);
        if !command.arity_fits(args.len()) {
            return None;
        }
        let holds = |command: &Command, args: &[&[u8]]| {
            let mut held = false;
            if command.has(flags::WRITE) {
                each_key(command, args, |key| {
                    let (index, hash) = locate(key);
                    held |= node.keyspace.lock_shard(index).db(session.db).is_held(hash, key);
                });
            }
            held
        };
        let held = match &session.transaction {
            None => holds(command, args),
            Some(transaction) if command.name == "exec" => transaction.queue.iter().any(|(command, args)| {
                let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
                holds(command, &args)
            }),
            Some(_) => false,
        };
        held.then_some(version)
    }

    /// Waits until there is reason to look again.
    pub async fn past(&self, version: u64) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Registered before the look, so that nothing is missed in between.
            moved.as_mut().enable();
            if self.version.load(Ordering::Acquire) != version {
                return;
            }
            moved.await;
        }
    }

    /// Snapshots that are on their way.
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Acquire)
    }

    /// Bytes of the one on its way that wait in memory.
    pub fn waiting_bytes(&self) -> u64 {
        let gathered = self.gathered_bytes.load(Ordering::Relaxed);
        gathered + self.waiting.lock().as_ref().map_or(0, |waiting| waiting.bytes() as u64)
    }

    /// Waits for the right to gather a whole snapshot in memory, which one replica at a time has.
    pub async fn gather(&self) -> io::Result<Gathering<'_>> {
        let permit = self.gathering.acquire().await.map_err(io::Error::other)?;
        Ok(Gathering { syncs: self, _permit: permit })
    }

    /// Waits as long as no snapshot is to be begun.
    async fn rest(&self, node: &Node) {
        let until_us = self.not_before_us.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_micros(until_us.saturating_sub(node.clock().monotonic_us()))).await;
    }

    /// A snapshot has come to its end, or was given up.
    fn note_outcome(&self, node: &Node, given_up: Option<&Unfinished>) {
        let mut pace = self.pace.lock();
        let Some(why) = given_up else { return pace.succeeded() };
        let pause_ms = pace.failed();
        self.not_before_us.store(node.clock().monotonic_us() + pause_ms * 1000, Ordering::Relaxed);
        add(&self.given_up, 1);
        tracing::warn!(%why, pause_ms, "a snapshot for a full sync was given up; the replicas will ask again");
        node.replicas.set_trouble(format!("a snapshot was given up: {why}"));
    }
}
