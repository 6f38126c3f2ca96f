//! Frees big values off the serving threads.

use std::any::Any;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

/// Above this many allocations a value is freed by the freeing thread.
pub const LAZY_FREE_EFFORT: usize = 64;

static SENDER: OnceLock<Sender<Box<dyn Any + Send>>> = OnceLock::new();
static PENDING: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

fn start() -> Sender<Box<dyn Any + Send>> {
    let (sender, receiver) = channel::<Box<dyn Any + Send>>();
    // Without the thread (out of resources) the receiver is gone and senders free in place.
    let _ = std::thread::Builder::new().name("lazy-free".into()).spawn(move || {
        for garbage in receiver {
            drop(garbage);
            PENDING.fetch_sub(1, Ordering::Relaxed);
            FREED.fetch_add(1, Ordering::Relaxed);
        }
    });
    sender
}

/// Drops `garbage` on the freeing thread.
pub fn free_later<T: Any + Send>(garbage: T) {
    PENDING.fetch_add(1, Ordering::Relaxed);
    if SENDER.get_or_init(start).send(Box::new(garbage)).is_err() {
        PENDING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Objects that wait to be freed, and those freed so far (INFO `lazyfree_pending_objects`,
/// `lazyfreed_objects`).
pub fn figures() -> (usize, usize) {
    (PENDING.load(Ordering::Relaxed), FREED.load(Ordering::Relaxed))
}

/// Waits until nothing is pending; for tests and `FLUSHALL SYNC` figures.
pub fn reset_freed() {
    FREED.store(0, Ordering::Relaxed);
}
