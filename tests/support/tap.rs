//! A port that leads to a server, and lets no more of what it says through than the test allows.

use super::server::free_port;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How often a closed tap is looked at again.
const LOOK: Duration = Duration::from_millis(2);
/// Bytes that travel at once, at most.
const CHUNK_BYTES: usize = 16 << 10;

#[derive(Debug)]
struct State {
    /// Bytes that the server's side may still say, over all connections.
    left: AtomicU64,
    over: AtomicBool,
}

/// The port.
#[derive(Debug)]
pub struct Tap {
    port: u16,
    state: Arc<State>,
}

impl Tap {
    /// A tap in front of `target`, that lets `bytes` through and then nothing.
    pub fn to(target: u16, bytes: u64) -> Tap {
        let (listener, port) = loop {
            let port = free_port();
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                break (listener, port);
            }
        };
        let state = Arc::new(State { left: AtomicU64::new(bytes), over: AtomicBool::new(false) });
        let shared = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if shared.over.load(Ordering::Acquire) {
                    return;
                }
                let state = shared.clone();
                thread::spawn(move || join(near, target, &state));
            }
        });
        Tap { port, state }
    }

    /// Where to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.state.left.store(u64::MAX, Ordering::Release);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Release);
        // The listener looks when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn join(near: TcpStream, target: u16, state: &Arc<State>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { return };
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    let back = state.clone();
    thread::spawn(move || carry(far_too, near_too, &back, true));
    carry(near, far, state, false);
}

/// Carries one way until an end closes; what is `counted` only as far as it is allowed.
fn carry(mut from: TcpStream, mut to: TcpStream, state: &State, counted: bool) {
    let _ = (from.set_read_timeout(Some(LOOK)), to.set_nodelay(true));
    let mut chunk = vec![0; CHUNK_BYTES];
    while !state.over.load(Ordering::Acquire) {
        let left = if counted { state.left.load(Ordering::Acquire) } else { u64::MAX };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        if most == 0 {
            thread::sleep(LOOK);
            continue;
        }
        let count = match from.read(&mut chunk[..most]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        if counted {
            let less = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(count as u64));
            let _ = state.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        }
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
