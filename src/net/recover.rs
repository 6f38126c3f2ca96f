//! A primary that boots without history: it stays fenced until a peer gives it one.

use super::link::receive_snapshot;
use super::peer::Peer;
use crate::server::Node;
use crate::server::config::Address;
use crate::server::replication::incoming::begin_history;
use crate::server::replication::recovery::{Round, Taking, judge_round, read_offer, start_new};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Pause between rounds of asking, ms.
const ROUND_PAUSE_MS: u64 = 200;
/// How long a peer may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Asks the peers until the node has a history (or an operator gave it one, or a primary to follow).
pub async fn run(node: Arc<Node>, peers: Vec<Address>) {
    let mut told = String::new();
    let order = node.role.order();
    while node.gate.has(crate::server::gate::bits::FENCED) && node.role.order() == order {
        let mut infos = Vec::new();
        for peer in &peers {
            infos.push(ask(&node, peer).await);
        }
        let reason = match judge_round(&peers, &infos) {
            Round::StartNew => return start_new(&node, order),
            Round::Take(taking) => match take(&node, &peers[taking.peer], &taking, order).await {
                Ok(()) => return,
                Err(error) => format!("taking the history of {} failed: {error}", peers[taking.peer]),
            },
            Round::Wait(reason) => reason,
        };
        if reason != told {
            tracing::warn!("fenced: {reason}");
            node.gate.fence(reason.clone());
            told = reason;
        }
        tokio::time::sleep(Duration::from_millis(ROUND_PAUSE_MS)).await;
    }
}

/// What a peer says of its replication; `None` if it does not.
async fn ask(node: &Node, address: &Address) -> Option<String> {
    let answer = async {
        let mut peer = Peer::connect(node, address, ANSWER_PATIENCE).await?;
        peer.replication_info().await
    };
    match answer.await {
        Ok(info) => Some(info),
        Err(error) => {
            tracing::debug!(peer = %address, %error, "a peer did not tell its history");
            None
        }
    }
}

async fn take(node: &Arc<Node>, address: &Address, taking: &Taking, order: u64) -> io::Result<()> {
    let keep_lineage = taking.keep_lineage;
    let patience = Duration::from_secs(u64::from(node.config().repl_timeout_seconds).max(1));
    let mut peer = Peer::connect(node, address, patience).await?;
    let info = peer.replication_info().await?;
    peer.command(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]).await?;
    peer.send(&[b"PSYNC", b"?", b"-1"]).await?;
    let offer = read_offer(&peer.line().await?, &info, taking)?;
    node.gate.fence(format!("loading the history of {address}"));
    let received = receive_snapshot(node, &mut peer, None).await?;
    let keys = received.keys();
    begin_history(node, received, &offer, keep_lineage, order)?;
    tracing::info!(peer = %address, keys, offset = offer.place.offset, keep_lineage, "history recovered from a peer");
    Ok(())
}
