//! Looks at all nodes the whole time: no two of them ever act as primary of one lineage in one epoch. (Two that are promoted
//! at the same time, without hearing of each other, take the same number; the lineage tells those epochs apart.)

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
                    if let Some(name) = acts_under(*port) {
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

    /// Fails if two nodes were seen to act under one lineage in one epoch.
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

/// The epoch and the lineage under which a node acts as primary, if it does.
fn acts_under(port: u16) -> Option<String> {
    let mut client = Client::connect(port).ok()?;
    client.set_read_timeout(Duration::from_millis(100));
    let fields = client.try_info()?;
    let field = |name: &str| fields.get(name).map(String::as_str);
    let acts = field("role") == Some("master") && field("outrigger_fenced") == Some("0");
    let name = format!("epoch {} of lineage {}", field("outrigger_epoch")?, field("master_replid")?);
    acts.then_some(name)
}
