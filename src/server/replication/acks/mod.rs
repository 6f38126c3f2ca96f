//! Durable acks on the primary: replies that wait until replicas have fsynced what they depend on.
//!
//! A reply to a write depends on the write's position in the log. A reply that tells of a key depends on the last write
//! to it, whoever made that: nobody who asks for durability sees what could vanish. So while anybody asks, each write
//! notes its position under the hash of its keys, in a fixed table; keys that share a place there only make each other
//! wait longer than they must. A place belongs to one shard and is written under its lock, so positions there only rise.
//!
//! The connection holds the replies back ([`crate::replication::held`]) and waits here; acknowledgements wake those whose
//! position is reached, and nobody else.

mod session;

pub use session::{
    SessionAcks, choose, hold_later, later_need, note, note_removed, note_transaction, note_written, refuse,
};

pub use crate::replication::acks::Need;
pub use crate::replication::held::{HeldReplies, Settled};

use super::Replicas;
use crate::base::time::Clock;
use crate::replication::acks::{ACKS_MAX, Failure, OnLoss, Standing, Ticket, Verdict, View, WaitList, judge};
use crate::server::Node;
use crate::server::config::Config;
use crate::server::gate::bits;
use crate::server::stats::add;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// log2 of the places in the table of positions: half a megabyte.
const MARK_BITS: u32 = 16;
/// How often replicas are asked to fsync at once, while somebody waits, ms. They go on doing so for longer than that
/// ([`super::stream`]).
const ASK_EVERY_MS: i64 = 1_000;
/// As [`ASK_EVERY_MS`], of those who still wait when the cron looks: a replica that attached since has not been asked, and
/// a stock one must be asked for each acknowledgement.
const ASK_AGAIN_MS: i64 = 150;

/// Who asks for durable acks.
#[derive(Debug, Default)]
struct Users {
    connections: usize,
    by_default: bool,
}

impl Users {
    fn any(&self) -> bool {
        self.connections > 0 || self.by_default
    }
}

#[derive(Default)]
struct State {
    standing: Standing,
    waiters: WaitList<Waker>,
}

/// What the node knows of durable acks.
pub struct DurableAcks {
    // Copies of the standing, to be read without its lock.
    reached: [AtomicU64; ACKS_MAX],
    attached: AtomicUsize,
    term: AtomicU32,
    state: Mutex<State>,
    /// The last write of the keys whose hashes begin with a place's number.
    marks: OnceLock<Box<[AtomicU64]>>,
    /// The least that any key depends on: what was written while nobody asked, and what concerns all keys.
    floor: AtomicU64,
    users: Mutex<Users>,
    by_default: AtomicU8,
    on_loss: AtomicU8,
    timeout_ms: AtomicU64,
    asked_at_ms: AtomicI64,
}

impl Default for DurableAcks {
    fn default() -> Self {
        DurableAcks {
            reached: std::array::from_fn(|_| AtomicU64::new(0)),
            attached: AtomicUsize::new(0),
            term: AtomicU32::new(0),
            state: Mutex::default(),
            marks: OnceLock::new(),
            floor: AtomicU64::new(0),
            users: Mutex::default(),
            by_default: AtomicU8::new(0),
            on_loss: AtomicU8::new(OnLoss::Block as u8),
            timeout_ms: AtomicU64::new(0),
            asked_at_ms: AtomicI64::new(0),
        }
    }
}

#[inline]
fn place_of(hash: u64) -> usize {
    (hash >> (64 - MARK_BITS)) as usize
}

// A place must not belong to two shards.
const _: () = assert!(MARK_BITS >= crate::keyspace::SHARD_BITS);

impl DurableAcks {
    /// Takes over the settings, but for whether positions are noted ([`DurableAcks::follow_config`]).
    pub fn configure(&self, config: &Config) {
        self.by_default.store(config.durable_acks, Ordering::Release);
        self.timeout_ms.store(config.durable_acks_timeout_ms, Ordering::Relaxed);
        let on_loss = OnLoss::from(config.durable_acks_on_loss);
        if self.on_loss.swap(on_loss as u8, Ordering::AcqRel) != on_loss as u8 {
            self.wake_all();
        }
    }

    /// On how many replicas connections wait that do not choose for themselves.
    pub fn by_default(&self) -> u8 {
        self.by_default.load(Ordering::Acquire)
    }

    /// What is done when too few replicas are attached.
    pub fn on_loss(&self) -> OnLoss {
        match self.on_loss.load(Ordering::Acquire) {
            0 => OnLoss::Block,
            1 => OnLoss::Degrade,
            _ => OnLoss::Error,
        }
    }

    /// How long a reply may be held, in ms; 0: for ever.
    pub fn timeout_ms(&self) -> u64 {
        self.timeout_ms.load(Ordering::Relaxed)
    }

    /// Replicas attached that tell what they fsync.
    pub fn attached(&self) -> usize {
        self.attached.load(Ordering::Acquire)
    }

    /// Connections whose replies are being held.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiters.len()
    }

    /// The state in a word, for INFO and the pair's status line.
    pub fn word(&self, node: &Node) -> &'static str {
        if !node.gate.has(bits::TRACKED) {
            return "off";
        }
        match self.on_loss() {
            _ if self.attached() >= usize::from(self.by_default().max(1)) => "ok",
            OnLoss::Block => "blocked",
            OnLoss::Degrade => "degraded",
            OnLoss::Error => "refusing",
        }
    }

    fn view(&self, wanted: u8) -> View {
        let index = usize::from(wanted.max(1)).min(ACKS_MAX) - 1;
        // The position before the term, which is written first: one of another term is not taken for one of this.
        let reached = self.reached[index].load(Ordering::Acquire);
        View {
            reached,
            term: self.term.load(Ordering::Acquire),
            attached: self.attached(),
            on_loss: self.on_loss(),
        }
    }

    /// Judges a reply by what is known now.
    pub fn judge(&self, need: &Need) -> Verdict {
        judge(need, &self.view(need.wanted))
    }

    /// Settles which of a connection's replies may go now, and counts what became of those that are not durable. With
    /// `timed_out` none waits any longer.
    pub fn settle(
        &self,
        node: &Node,
        held: &mut HeldReplies,
        output: &mut Vec<u8>,
        timed_out: bool,
    ) -> Settled {
        let settled = held.settle(output, |need| match self.judge(need) {
            Verdict::Wait if timed_out => Verdict::Failed(Failure::TimedOut),
            verdict => verdict,
        });
        add(&node.stats.durable_acks_degraded, settled.degraded);
        add(&node.stats.durable_acks_failed, settled.failed);
        add(&node.stats.error_replies, settled.failed);
        (0..settled.failed).for_each(|_| node.command_stats.count_error(b"NOTDURABLE"));
        settled
    }

    /// Waits until a reply need not wait any more.
    pub fn wait(&self, need: Need) -> Waiting<'_> {
        Waiting { acks: self, need, ticket: None }
    }

    /// Takes in what replicas have told, or that one has come or gone. The log ends at `end`.
    pub fn update(&self, replicas: &Replicas, end: u64) {
        let mut state = self.state.lock();
        let before = state.standing.attached();
        // Looked at under the lock, so that an older look does not come after a newer one.
        let mut durable = replicas.durable_offsets(state.standing.term());
        state.standing.take(&mut durable, end);
        self.publish(&state.standing);
        let woken = match state.standing.attached() < before {
            true => state.waiters.take_all(),
            false => {
                let State { standing, waiters } = &mut *state;
                waiters.take_due(standing.reached())
            }
        };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Takes in what this node has fsynced itself.
    pub fn update_own(&self, durable: u64) {
        let mut state = self.state.lock();
        state.standing.take_own(durable);
        self.publish(&state.standing);
        let State { standing, waiters } = &mut *state;
        let woken = waiters.take_due(standing.reached());
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// The node's role or history has changed, and its log ends at `end`; all shards are locked. `inherited`: what the node
    /// has is its primary's, and durable as soon as the node has fsynced it, which it has up to `own`.
    pub fn begin_term(&self, end: u64, inherited: bool, own: Option<u64>) {
        self.marks.get().into_iter().flatten().for_each(|mark| mark.store(0, Ordering::Relaxed));
        self.floor.store(end, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.standing.begin_term(if inherited { end } else { 0 });
        if let Some(own) = own {
            state.standing.take_own(own);
        }
        self.publish(&state.standing);
        let woken = state.waiters.take_all();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    fn publish(&self, standing: &Standing) {
        self.term.store(standing.term(), Ordering::Release);
        self.attached.store(standing.attached(), Ordering::Release);
        for (copy, reached) in self.reached.iter().zip(standing.reached()) {
            copy.store(*reached, Ordering::Release);
        }
    }

    fn wake_all(&self) {
        let woken = self.state.lock().waiters.take_all();
        woken.into_iter().for_each(Waker::wake);
    }

    /// The present term. Whoever holds a shard finds it unchanged until it lets go.
    pub fn term(&self) -> u32 {
        self.term.load(Ordering::Acquire)
    }

    /// Notes that these keys (`None`: all) were written up to `position`. The caller holds their shards.
    fn mark(&self, hashes: Option<&[u64]>, position: u64) {
        match (hashes, self.marks.get()) {
            (Some(hashes), Some(marks)) => {
                for hash in hashes {
                    marks[place_of(*hash)].store(position, Ordering::Relaxed);
                }
            }
            _ => {
                self.floor.fetch_max(position, Ordering::Relaxed);
            }
        }
    }

    /// What a reply that tells of these keys depends on. A later answer than when the shards were held is no smaller.
    fn position_of(&self, hashes: &[u64]) -> u64 {
        let marks = self.marks.get();
        let mark = |hash: &u64| marks.map_or(0, |marks| marks[place_of(*hash)].load(Ordering::Relaxed));
        hashes.iter().map(mark).fold(self.floor.load(Ordering::Relaxed), u64::max)
    }

    /// A further connection asks for durable acks; false if nobody did before: then [`DurableAcks::begin_use`] is due.
    fn use_again(&self) -> bool {
        let mut users = self.users.lock();
        let any = users.any();
        users.connections += usize::from(any);
        any
    }

    /// The first connection asks. All shards are locked.
    fn begin_use(&self, node: &Node) {
        let mut users = self.users.lock();
        if !users.any() {
            self.track(node);
        }
        users.connections += 1;
    }

    fn end_use(&self, node: &Node) {
        let mut users = self.users.lock();
        users.connections = users.connections.saturating_sub(1);
        node.gate.set(bits::TRACKED, users.any());
    }

    /// True when [`DurableAcks::follow_config`] has something to do.
    pub fn lags_config(&self) -> bool {
        self.users.lock().by_default != (self.by_default() > 0)
    }

    /// Begins or ends to note positions as `durable-acks` wants it. All shards are locked, unless nobody is served yet.
    pub fn follow_config(&self, node: &Node) {
        let mut users = self.users.lock();
        let by_default = self.by_default() > 0;
        if by_default && !users.any() {
            self.track(node);
        }
        users.by_default = by_default;
        node.gate.set(bits::TRACKED, users.any());
    }

    /// Begins to note positions. What was written before may have been anywhere.
    fn track(&self, node: &Node) {
        self.marks.get_or_init(|| (0..1 << MARK_BITS).map(|_| AtomicU64::new(0)).collect());
        self.floor.fetch_max(node.log.end(), Ordering::Relaxed);
        node.gate.set(bits::TRACKED, true);
    }

    /// Asks the replicas to fsync at once from now on, unless they were asked a moment ago.
    pub fn ask(&self, node: &Node) {
        self.ask_every(node, ASK_EVERY_MS);
    }

    /// As [`DurableAcks::ask`], if somebody waits still.
    pub fn ask_again(&self, node: &Node) {
        if self.waiting() > 0 {
            self.ask_every(node, ASK_AGAIN_MS);
        }
    }

    fn ask_every(&self, node: &Node, every_ms: i64) {
        // The clock that does not jump.
        let now_ms = (node.clock().monotonic_us() / 1000) as i64 + 1;
        let asked = self.asked_at_ms.load(Ordering::Relaxed);
        let due = asked == 0 || now_ms - asked >= every_ms;
        let order = Ordering::Relaxed;
        if due && self.asked_at_ms.compare_exchange(asked, now_ms, order, order).is_ok() {
            node.ask_for_fsync();
        }
    }
}

/// A wait for a reply's turn.
pub struct Waiting<'a> {
    acks: &'a DurableAcks,
    need: Need,
    ticket: Option<Ticket>,
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let acks = self.acks;
        let mut state = acks.state.lock();
        // Judged under the lock: what changes from now on finds this waiter on the list.
        if acks.judge(&self.need) != Verdict::Wait {
            return Poll::Ready(());
        }
        match self.ticket.as_ref().and_then(|ticket| state.waiters.get_mut(ticket)) {
            Some(waker) => waker.clone_from(task.waker()),
            None => self.ticket = Some(state.waiters.add(&self.need, task.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.acks.state.lock().waiters.remove(&ticket);
        }
    }
}

#[cfg(test)]
mod tests;
