//! Looks at all nodes the whole time: no two of them ever act as primary of one lineage, or in one epoch.

use crate::support::Client;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(20);

/// A thread that looks.
pub struct Watch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<HashMap<String, Vec<usize>>>>,
}

impl Watch {
    /// Looks at these ports from now on.
    pub fn start(ports: Vec<u16>) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
            while !ended.load(Ordering::Acquire) {
                for (node, port) in ports.iter().enumerate() {
                    for name in acts_under(*port) {
                        let nodes = seen.entry(name).or_default();
                        if !nodes.contains(&node) {
                            nodes.push(node);
                        }
                    }
                }
                std::thread::sleep(PERIOD);
            }
            seen
        });
        Watch { over, thread: Some(thread) }
    }

    /// Fails if two nodes were seen to act under one lineage or in one epoch.
    pub fn check(mut self) {
        self.over.store(true, Ordering::Release);
        let seen = self.thread.take().expect("it runs").join().expect("the watch");
        assert!(!seen.is_empty(), "nobody was ever seen to act");
        for (name, nodes) in seen {
            assert!(nodes.len() == 1, "nodes {nodes:?} acted under {name}");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The lineage and the epoch under which a node acts as primary, if it does.
fn acts_under(port: u16) -> Vec<String> {
    let info = || -> Option<String> {
        let mut client = Client::connect(port).ok()?;
        client.set_read_timeout(Duration::from_millis(100));
        let reply = client.try_command(&["INFO", "replication"]).ok()?;
        Some(String::from_utf8_lossy(reply.as_bytes()?).into_owned())
    };
    let text = info().unwrap_or_default();
    let acts = text.contains("role:master\r\n") && text.contains("outrigger_fenced:0\r\n");
    let names = text
        .lines()
        .filter(|line| ["master_replid:", "outrigger_epoch:"].iter().any(|name| line.starts_with(name)));
    if acts { names.map(|line| line.trim().to_owned()).collect() } else { Vec::new() }
}
