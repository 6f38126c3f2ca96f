//! What a connection is sent without having asked for it: messages, monitored commands.
//!
//! Anybody may push, from any thread: a push takes a small lock, never waits, and wakes the connection's task. The connection
//! takes what there is between its commands and while it waits, and puts it behind what it has to say by then, so pushes keep
//! their order among themselves and towards replies. A connection that nobody pushes to pays for an empty queue and a look
//! at one flag a batch.

use super::Node;
use super::client_eviction;
use super::clients::ClientInfo;
use super::config::BufferLimit;
use super::stats::add;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

/// What a queued push takes beside its bytes.
const PUSH_OVERHEAD_BYTES: usize = size_of::<Bytes>();
/// An empty queue with room for more than this is given back.
const KEPT_PUSHES: usize = 64;

/// Pushes that wait for their connection. Bytes may be shared with other mailboxes; each counts them in full, as each will
/// have to send them.
#[derive(Default)]
struct Queue {
    pushes: VecDeque<Bytes>,
    bytes: usize,
    /// Since when there has been more than the soft limit, unix ms.
    above_soft_since_ms: Option<i64>,
    /// The connection is at its end, or too slow: nothing is taken in any more.
    closed: bool,
}

impl Queue {
    fn add(&mut self, push: Bytes) {
        self.bytes += push.len() + PUSH_OVERHEAD_BYTES;
        self.pushes.push_back(push);
    }

    fn close(&mut self) {
        *self = Queue { closed: true, ..Queue::default() };
    }

    /// Is what waits, here and in the connection's buffer, too much?
    fn exceeds(&mut self, unsent_bytes: usize, limit: &BufferLimit, now_ms: i64) -> bool {
        let all = (self.bytes + unsent_bytes) as u64;
        if limit.hard_bytes > 0 && all > limit.hard_bytes {
            return true;
        }
        if limit.soft_bytes == 0 || all <= limit.soft_bytes {
            self.above_soft_since_ms = None;
            return false;
        }
        let since = *self.above_soft_since_ms.get_or_insert(now_ms);
        let patience_ms = i64::try_from(limit.soft_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        now_ms.saturating_sub(since) > patience_ms
    }
}

/// One connection's mailbox.
#[derive(Default)]
pub struct Mailbox {
    queue: Mutex<Queue>,
    /// There is something in the queue. Changes under its lock.
    filled: AtomicBool,
    /// Wakes the connection's task.
    waker: OnceLock<Waker>,
}

impl Mailbox {
    /// Must be called once by the task that takes from the mailbox, which is one task for as long as the connection lives.
    pub async fn attach(&self) {
        poll_fn(|task| {
            let _ = self.waker.set(task.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// Is there something to take?
    #[inline]
    pub fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Waits until there is something to take; in the task that has attached itself.
    pub async fn filled(&self) {
        // The waker is in place already: who fills the mailbox after this look wakes the task.
        poll_fn(|_| if self.is_filled() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Queues what `push` makes, and wakes the connection. False when that is too much, with the `unsent_bytes` that the
    /// connection has taken and not sent yet: then all is dropped, and the caller is to end the connection.
    ///
    /// `push` runs under the mailbox's lock, see [`Mailbox::change`].
    fn add(
        &self,
        push: impl FnOnce() -> Bytes,
        unsent_bytes: usize,
        limit: &BufferLimit,
        now_ms: i64,
    ) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return true;
        }
        queue.add(push());
        if queue.exceeds(unsent_bytes, limit, now_ms) {
            queue.close();
            self.filled.store(false, Ordering::Release);
            return false;
        }
        let was_filled = self.filled.swap(true, Ordering::AcqRel);
        drop(queue);
        if !was_filled && let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
        true
    }

    /// Queues what the connection itself has to send, which no limit concerns.
    pub fn add_own(&self, push: Bytes) {
        let mut queue = self.queue.lock();
        if !queue.closed {
            queue.add(push);
            self.filled.store(true, Ordering::Release);
        }
    }

    /// Moves pushes to the end of `out`, in order, until that has grown by `most_bytes` or none are left. True if there
    /// were any.
    pub fn take_into(&self, out: &mut Vec<u8>, most_bytes: usize) -> bool {
        if !self.is_filled() {
            return false;
        }
        self.take_locked(&mut self.queue.lock(), out, most_bytes)
    }

    fn take_locked(&self, queue: &mut Queue, out: &mut Vec<u8>, most_bytes: usize) -> bool {
        let begun = out.len();
        while out.len() - begun < most_bytes
            && let Some(push) = queue.pushes.pop_front()
        {
            queue.bytes -= push.len() + PUSH_OVERHEAD_BYTES;
            out.extend_from_slice(&push);
        }
        if queue.pushes.is_empty() {
            self.filled.store(false, Ordering::Release);
            if queue.pushes.capacity() > KEPT_PUSHES {
                queue.pushes = VecDeque::new();
            }
        }
        out.len() > begun
    }

    /// Takes all there is, and makes a change before anything else can be pushed: of the protocol, which those who push
    /// look at.
    pub fn change(&self, out: &mut Vec<u8>, change: impl FnOnce()) {
        let mut queue = self.queue.lock();
        self.take_locked(&mut queue, out, usize::MAX);
        change();
    }

    /// What waits: number and bytes.
    pub fn waiting(&self) -> (usize, usize) {
        if !self.is_filled() {
            return (0, 0);
        }
        let queue = self.queue.lock();
        (queue.pushes.len(), queue.bytes)
    }

    /// Takes in nothing any more and forgets what there is.
    pub fn close(&self) {
        self.queue.lock().close();
        self.filled.store(false, Ordering::Release);
    }

    /// Has there been too much for too long?
    fn is_too_slow(&self, unsent_bytes: usize, limit: &BufferLimit, now_ms: i64) -> bool {
        self.is_filled() && self.queue.lock().exceeds(unsent_bytes, limit, now_ms)
    }
}

/// A push in either protocol (RESP3 or not), made when it is first needed and shared from then on.
pub struct Shared<F> {
    make: F,
    made: [Option<Bytes>; 2],
}

impl<F: Fn(bool) -> Bytes> Shared<F> {
    /// One that `make` makes.
    pub fn new(make: F) -> Shared<F> {
        Shared { make, made: [None, None] }
    }

    /// The push for this protocol.
    pub fn get(&mut self, resp3: bool) -> Bytes {
        self.made[usize::from(resp3)].get_or_insert_with(|| (self.make)(resp3)).clone()
    }
}

/// Pushes to many clients with one look at limits and clock.
pub struct Pusher<'a> {
    node: &'a Node,
    limit: BufferLimit,
    now_ms: i64,
}

impl<'a> Pusher<'a> {
    /// With the limits and the time of now.
    pub fn new(node: &'a Node) -> Pusher<'a> {
        Pusher { node, limit: node.config().client_output_buffer_limit.pubsub, now_ms: node.now_ms() }
    }

    /// Has a client told what `push` makes for its protocol (RESP3 or not). One that is too slow for it is closed.
    pub fn push(&self, client: &ClientInfo, push: impl FnOnce(bool) -> Bytes) {
        let made = || push(client.resp.load(Ordering::Relaxed) == 3);
        let unsent = client.output_bytes.load(Ordering::Relaxed);
        if !client.mailbox.add(made, unsent, &self.limit, self.now_ms) {
            self.close(client);
        } else if self.node.client_memory.is_limited() && self.node.client_memory.tell(client) {
            client_eviction::make_room(self.node);
        }
    }

    #[cold]
    fn close(&self, client: &ClientInfo) {
        tracing::info!(addr = %client.addr, "closing a client that does not read what it is sent");
        add(&self.node.stats.output_limit_disconnections, 1);
        client.mailbox.close();
        self.node.clients.kill(client);
    }
}

/// Closes clients that have had more waiting than the soft limit allows for longer than it allows, though nothing new
/// comes for them.
pub fn close_slow_clients(node: &Node) {
    let pusher = Pusher::new(node);
    for client in node.clients.list() {
        let unsent = client.output_bytes.load(Ordering::Relaxed);
        if client.mailbox.is_too_slow(unsent, &pusher.limit, pusher.now_ms) {
            pusher.close(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: BufferLimit = BufferLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 };

    fn add(mailbox: &Mailbox, bytes: usize, limit: &BufferLimit, now_ms: i64) -> bool {
        mailbox.add(|| Bytes::from(vec![b'x'; bytes]), 0, limit, now_ms)
    }

    #[test]
    fn pushes_come_in_order_and_in_pieces() {
        let mailbox = Mailbox::default();
        let mut out = b"reply ".to_vec();
        assert!(!mailbox.take_into(&mut out, 100) && !mailbox.is_filled());
        for text in ["one ", "two ", "three "] {
            assert!(mailbox.add(|| Bytes::from_static(text.as_bytes()), 0, &NO_LIMIT, 0));
        }
        assert_eq!(mailbox.waiting(), (3, 14 + 3 * PUSH_OVERHEAD_BYTES));
        assert!(mailbox.take_into(&mut out, 5));
        assert!(mailbox.is_filled());
        assert_eq!(out, b"reply one two ");
        mailbox.change(&mut out, || ());
        assert_eq!(out, b"reply one two three ");
        assert_eq!((mailbox.is_filled(), mailbox.waiting()), (false, (0, 0)));
    }

    #[test]
    fn limits_hold_and_a_closed_mailbox_takes_nothing() {
        let limit = BufferLimit { hard_bytes: 1_000, soft_bytes: 300, soft_seconds: 2 };
        let mailbox = Mailbox::default();
        assert!(add(&mailbox, 200, &limit, 0));
        assert!(add(&mailbox, 200, &limit, 10_000), "above the soft limit from now on");
        assert!(add(&mailbox, 1, &limit, 12_000));
        assert!(!mailbox.is_too_slow(0, &limit, 12_000) && mailbox.is_too_slow(0, &limit, 12_001));
        mailbox.take_into(&mut Vec::new(), usize::MAX);
        assert!(add(&mailbox, 1, &limit, 13_000) && !mailbox.is_too_slow(0, &limit, 20_000));
        assert!(!mailbox.is_too_slow(900, &limit, 21_000), "what is being sent counts from now on");
        assert!(mailbox.is_too_slow(900, &limit, 23_001));
        assert!(!add(&mailbox, 1_000, &limit, 30_000), "above the hard limit");
        assert_eq!(mailbox.waiting(), (0, 0));
        assert!(add(&mailbox, 5_000, &limit, 30_000), "closed: there is nobody to be told");
        assert_eq!(mailbox.waiting(), (0, 0));
    }

    #[test]
    fn who_waits_is_woken() {
        let mailbox = std::sync::Arc::new(Mailbox::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (attached, is_attached) = std::sync::mpsc::channel();
        let other = mailbox.clone();
        let pusher = std::thread::spawn(move || {
            for _ in 0..1_000 {
                is_attached.recv().unwrap();
                assert!(add(&other, 1, &NO_LIMIT, 0));
            }
        });
        let task = tokio::task::LocalSet::new();
        task.spawn_local(async move {
            mailbox.attach().await;
            let mut out = Vec::new();
            for _ in 0..1_000 {
                attached.send(()).unwrap();
                mailbox.filled().await;
                assert!(mailbox.take_into(&mut out, usize::MAX));
            }
            assert_eq!(out.len(), 1_000);
        });
        runtime.block_on(task);
        pusher.join().unwrap();
    }
}
