//! A primary that boots without history: it stays fenced until a peer gives it one.

use super::link::{offer_of, receive_snapshot};
use super::peer::Peer;
use crate::base::random::Rng;
use crate::replication::guard::{Choice, PeerAnswer, choose};
use crate::replication::handshake::{PsyncReply, read_history, read_psync_reply};
use crate::replication::{Lineage, Offer};
use crate::server::Node;
use crate::server::config::Address;
use crate::server::replication::intake::install;
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
    while node.gate.has(crate::server::gate::bits::FENCED) && !node.is_replica() {
        let mut answers = Vec::new();
        for peer in &peers {
            answers.push(ask(&node, peer).await);
        }
        let reason = match choose(&answers) {
            Choice::StartNew => {
                tracing::info!("no peer has a history: starting a new one");
                node.role.set_has_history(true);
                node.gate.unfence();
                return;
            }
            Choice::Take { peer, keep_lineage } => match take(&node, &peers[peer], keep_lineage).await {
                Ok(()) => return,
                Err(error) => format!("taking the history of {} failed: {error}", peers[peer]),
            },
            Choice::Wait => format!("waiting for the history of {}", names(&peers)),
            Choice::Conflict => format!(
                "the peers {} have histories that contradict each other; choose one with REPLICAOF",
                names(&peers)
            ),
        };
        if reason != told {
            tracing::warn!("fenced: {reason}");
            node.gate.fence(reason.clone());
            told = reason;
        }
        tokio::time::sleep(Duration::from_millis(ROUND_PAUSE_MS)).await;
    }
}

fn names(peers: &[Address]) -> String {
    peers.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}

async fn ask(node: &Node, address: &Address) -> PeerAnswer {
    let answer = async {
        let mut peer = Peer::connect(node, address, ANSWER_PATIENCE).await?;
        let info = peer.replication_info().await?;
        io::Result::Ok(read_history(&info))
    };
    match answer.await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(peer = %address, %error, "a peer did not tell its history");
            PeerAnswer::Silent
        }
    }
}

async fn take(node: &Arc<Node>, address: &Address, keep_lineage: bool) -> io::Result<()> {
    let patience = Duration::from_secs(u64::from(node.config().repl_timeout_seconds).max(1));
    let mut peer = Peer::connect(node, address, patience).await?;
    let info = peer.replication_info().await?;
    peer.command(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]).await?;
    peer.send(&[b"PSYNC", b"?", b"-1"]).await?;
    let place = match read_psync_reply(&peer.line().await?) {
        PsyncReply::FullResync(place) => place,
        other => return Err(io::Error::other(format!("instead of a full sync the peer offers {other:?}"))),
    };
    node.gate.fence(format!("loading the history of {address}"));
    let staged = receive_snapshot(node, &mut peer, None).await?;
    let keys = staged.facts.keys;
    let Offer { previous, previous_end, .. } = offer_of(place, &info);
    let (point, _) = install(node, staged, place, Some((previous, previous_end)));
    if !keep_lineage {
        // Somebody who did not answer may have more of this lineage: what we write must not be taken for it.
        node.log.change_lineage(Lineage::random(&mut Rng::from_os()));
    }
    node.log.forget_db();
    node.durability.synced(node, point, None);
    tracing::info!(peer = %address, keys, offset = place.offset, keep_lineage, "history recovered from a peer");
    node.gate.unfence();
    Ok(())
}
