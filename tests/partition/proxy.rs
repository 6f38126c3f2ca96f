//! A road between two ends that the test can close, or on which it can hold up all that travels.

use crate::support::server::free_port;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// How often a quiet road is looked at again.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes that travel at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The state of a road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Road {
    /// Bytes pass.
    Open = 0,
    /// Connections are ended, and new ones too.
    Cut = 1,
    /// Connections stay and nothing passes, as in a network that loses every packet. What was sent arrives later.
    Silent = 2,
    /// The test is over.
    Gone = 3,
}

#[derive(Debug)]
struct State(AtomicU8);

impl State {
    fn road(&self) -> Road {
        match self.0.load(Ordering::Acquire) {
            0 => Road::Open,
            1 => Road::Cut,
            2 => Road::Silent,
            _ => Road::Gone,
        }
    }
}

/// A port of this machine that leads to another one.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// Opens a road to `target`.
    pub fn to(target: u16) -> Proxy {
        let (listener, port) = loop {
            let port = free_port();
            // Somebody else may have come between.
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                break (listener, port);
            }
        };
        let state = Arc::new(State(AtomicU8::new(Road::Open as u8)));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for incoming in listener.incoming() {
                match (incoming, shared.road()) {
                    (_, Road::Gone) => return,
                    (Ok(near), Road::Open | Road::Silent) => {
                        let shared = Arc::clone(&shared);
                        thread::spawn(move || join(near, target, &shared));
                    }
                    (Ok(_), Road::Cut) | (Err(_), _) => {}
                }
            }
        });
        Proxy { port, state }
    }

    /// The port that leads there.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the state of the road.
    pub fn set(&self, road: Road) {
        self.state.0.store(road as u8, Ordering::Release);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Road::Gone);
        // The listener looks at the state when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Carries bytes both ways until one end closes, or the road is cut.
fn join(near: TcpStream, target: u16, state: &Arc<State>) {
    while state.road() == Road::Silent {
        thread::sleep(LOOK);
    }
    if state.road() != Road::Open {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { return };
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    let back = Arc::clone(state);
    thread::spawn(move || carry(far_too, near_too, &back));
    carry(near, far, state);
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let _ = (from.set_read_timeout(Some(LOOK)), to.set_nodelay(true));
    let _ = to.set_write_timeout(Some(Duration::from_secs(2)));
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match state.road() {
            Road::Open => {}
            Road::Silent => {
                thread::sleep(LOOK);
                continue;
            }
            Road::Cut | Road::Gone => break,
        }
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        // What was on its way when the network fell silent arrives when it is back.
        while state.road() == Road::Silent {
            thread::sleep(LOOK);
        }
        if state.road() != Road::Open || to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
