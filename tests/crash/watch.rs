//! Looks at both nodes all the time: neither may ever serve a data set from which what must be there has vanished.

use super::writers::KEPT_DB;
use crate::support::Client;
use outrigger::resp::RespValue;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A key that is set once and must always be there.
pub const SENTINEL: &str = "sentinel";

/// What was seen of one node.
#[derive(Default)]
struct Seen {
    ended: AtomicBool,
    looks: AtomicU64,
    durable: AtomicU64,
    violations: Mutex<Vec<String>>,
}

/// A thread that looks at one node.
pub struct Watch {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks at the node on this port.
    pub fn start(port: u16) -> Watch {
        let seen = Arc::new(Seen::default());
        let shared = seen.clone();
        let look = move || {
            while !shared.ended.load(Ordering::Acquire) {
                // The node may be down; that is not what is watched.
                let _ = look_on(&shared, port);
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        Watch { seen, thread: Some(std::thread::spawn(look)) }
    }

    /// The highest durable offset that the node has told.
    pub fn durable(&self) -> u64 {
        self.seen.durable.load(Ordering::Acquire)
    }

    /// How often the data set was looked at.
    pub fn looks(&self) -> u64 {
        self.seen.looks.load(Ordering::Relaxed)
    }

    /// Fails if something had vanished.
    pub fn check(&self, node: &str) {
        let violations = self.seen.violations.lock().unwrap();
        assert!(violations.is_empty(), "{node}: {violations:#?}");
    }
}

fn look_on(seen: &Seen, port: u16) -> io::Result<()> {
    let mut client = Client::connect(port)?;
    client.set_read_timeout(Duration::from_secs(5));
    client.try_command(&["SELECT", KEPT_DB])?;
    while !seen.ended.load(Ordering::Acquire) {
        let reply = client.try_command(&["EXISTS", SENTINEL])?;
        let refused = |code: &&[u8]| reply.as_error().is_some_and(|error| error.starts_with(code));
        let refusals: [&[u8]; 2] = [b"FENCED ", b"LOADING "];
        if reply != RespValue::Int(1) && !refusals.iter().any(refused) {
            seen.violations.lock().unwrap().push(format!("EXISTS {SENTINEL}: {reply:?}"));
        }
        seen.looks.fetch_add(1, Ordering::Relaxed);
        let info = client.try_command(&["INFO", "replication"])?;
        let text = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
        let durable = text.lines().find_map(|line| line.strip_prefix("outrigger_durable_offset:"));
        if let Some(offset) = durable.and_then(|text| text.trim().parse().ok()) {
            seen.durable.fetch_max(offset, Ordering::AcqRel);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.seen.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
