//! WAIT and WAITAOF: holding a reply until replicas have caught up.

use crate::resp::reply::Reply;
use crate::server::dispatch::{LaterReply, Unmark, mark_blocked, told_to_end, unblocked_error};
use crate::server::{Node, Session};
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

/// The reply to `session`'s question, once its last write has got far enough or `timeout_ms` (0: none) is over.
/// `may_wait` false answers with the counts as they are (in a transaction).
pub fn wait_reply(
    node: &Arc<Node>,
    session: &Session,
    what: WaitFor,
    timeout_ms: u64,
    may_wait: bool,
) -> Result<Vec<u8>, LaterReply> {
    let (offset, resp3) = (session.last_write, session.resp3);
    let (counts, enough) = what.progress(node, offset);
    if enough || !may_wait {
        return Ok(what.write(counts, resp3));
    }
    let (node, info) = (node.clone(), session.info.clone());
    mark_blocked(&node, &info);
    // Replicas acknowledge by themselves once a second, and fsync as they see fit; asked, they do it at once.
    match what {
        WaitFor::Received(_) => node.ask_for_acks(),
        WaitFor::Durable { .. } => node.ask_for_fsync(),
    }
    Err(Box::pin(async move {
        let _unblocked = Unmark { node: &node, info: &info };
        let timeout = async {
            match timeout_ms {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        };
        let forced = tokio::select! {
            biased;
            () = until_enough(&node, what, offset) => 0,
            how = told_to_end(&info) => how,
            () = timeout => 0,
        };
        match unblocked_error(forced) {
            Some(text) => {
                let mut out = Vec::new();
                Reply::new(&mut out, resp3).error(text);
                out
            }
            None => what.write(what.progress(&node, offset).0, resp3),
        }
    }))
}

async fn until_enough(node: &Node, what: WaitFor, offset: u64) {
    loop {
        let acked = node.replicas.acked.notified();
        let synced = node.durable_moved.notified();
        if what.progress(node, offset).1 {
            return;
        }
        tokio::select! { () = acked => {} () = synced => {} }
    }
}
