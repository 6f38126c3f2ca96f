//! WAIT and WAITAOF: holding a reply until replicas have caught up.

use crate::resp::reply::Reply;
use crate::server::Node;
use crate::server::dispatch::LaterReply;
use std::sync::Arc;
use std::time::Duration;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// WAIT: so many replicas have received it.
    Received(usize),
    /// WAITAOF: it is fsynced here (`local` 1) and on so many replicas.
    Durable {
        /// 0 or 1.
        local: usize,
        /// Replicas.
        replicas: usize,
    },
}

impl WaitFor {
    /// The counts reached so far (local, replicas), and whether they are enough.
    fn progress(self, node: &Node, offset: u64) -> ((usize, usize), bool) {
        match self {
            WaitFor::Received(wanted) => {
                let have = node.replicas.count_received(offset);
                ((0, have), have >= wanted)
            }
            WaitFor::Durable { local, replicas } => {
                let here = usize::from(node.durable_offset().is_some_and(|durable| durable >= offset));
                let there = node.replicas.count_durable(offset);
                ((here, there), here >= local && there >= replicas)
            }
        }
    }

    fn write(self, counts: (usize, usize), resp3: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, resp3);
        if let WaitFor::Durable { .. } = self {
            reply.array(2);
            reply.int(counts.0 as i64);
        }
        reply.int(counts.1 as i64);
        out
    }
}

/// The reply, once `offset` has got far enough or `timeout_ms` (0: none) is over.
/// `may_wait` false answers with the counts as they are (in a transaction).
pub fn wait_reply(
    node: &Arc<Node>,
    what: WaitFor,
    offset: u64,
    timeout_ms: u64,
    resp3: bool,
    may_wait: bool,
) -> Result<Vec<u8>, LaterReply> {
    let (counts, enough) = what.progress(node, offset);
    if enough || !may_wait {
        return Ok(what.write(counts, resp3));
    }
    // Replicas acknowledge by themselves once a second; asked, they do it at once.
    node.ask_for_acks();
    let node = node.clone();
    Err(Box::pin(async move {
        let enough = async {
            loop {
                let acked = node.replicas.acked.notified();
                let synced = node.durable_moved.notified();
                let (counts, enough) = what.progress(&node, offset);
                if enough {
                    return counts;
                }
                tokio::select! { () = acked => {} () = synced => {} }
            }
        };
        let counts = match timeout_ms {
            0 => enough.await,
            ms => match tokio::time::timeout(Duration::from_millis(ms), enough).await {
                Ok(counts) => counts,
                Err(_) => what.progress(&node, offset).0,
            },
        };
        what.write(counts, resp3)
    }))
}
