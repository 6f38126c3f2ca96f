//! A primary that boots without history: it stays fenced until a peer gives it one.

use super::link::receive_snapshot;
use super::peer::Peer;
use crate::server::Node;
use crate::server::config::Address;
use crate::server::replication::incoming::begin_history;
use crate::server::replication::recovery::{Ask, Round, Taking, judge_round, read_offer, start_new};
use crate::server::replication::role::Claim;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Pause between rounds of asking, ms.
const ROUND_PAUSE_MS: u64 = 200;
/// How long a peer may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Recovers a history when that is ordered; never ends.
pub async fn run(node: Arc<Node>) {
    let mut orders = node.recovery.watch();
    loop {
        let (number, ask) = orders.borrow_and_update().clone();
        if let Some(ask) = ask {
            tokio::select! {
                _ = orders.changed() => continue,
                () = recover(&node, &ask, number) => {}
            }
        }
        let _ = orders.changed().await;
    }
}

/// Asks the peers until the node has a history (or an operator gave it one, or a primary to follow).
async fn recover(node: &Arc<Node>, ask: &Ask, number: u64) {
    let peers = &ask.peers;
    let mut told = String::new();
    let order = node.role.order();
    while node.gate.fences().no_history.is_some() && node.role.order() == order {
        let mut infos = Vec::new();
        for peer in peers {
            infos.push(inquire(node, peer).await);
        }
        let own = node.durability.own_files();
        let round = judge_round(own.as_ref(), peers, &infos, ask.choosing, node.config().durable_acks);
        let reason = match carry_out(node, peers, round, order).await {
            Ok(()) => break,
            Err(reason) => reason,
        };
        if reason != told {
            tracing::warn!("fenced: {reason}");
            told = reason;
        }
        set_reason(node, order, &told);
        node.recovery.round_ended(number, Some(told.clone()));
        tokio::time::sleep(Duration::from_millis(ROUND_PAUSE_MS)).await;
    }
    // An order to follow somebody may have come meanwhile.
    let why = node.gate.fences().no_history;
    node.recovery.round_ended(number, why);
}

/// Does what a round of asking came to. The error says why the node still has no history.
async fn carry_out(node: &Arc<Node>, peers: &[Address], round: Round, order: u64) -> Result<(), String> {
    let taking = match round {
        Round::StartNew => return start_new(node, order),
        Round::Wait(reason) => return Err(reason),
        Round::Take(taking) => taking,
    };
    match taking.peer.map(|peer| &peers[peer]) {
        Some(peer) => take(node, peer, &taking, order)
            .await
            .map_err(|error| format!("taking the history of {peer} failed: {error}"))?,
        None => load_own(node, taking, order)
            .await
            .map_err(|error| format!("loading this node's own files failed: {error}"))?,
    }
    if let Some(rival) = taking.rival {
        let claim = Claim { address: peers[rival].clone(), epoch: node.role.held_epoch() };
        node.role.set_claim(Some(claim));
    }
    Ok(())
}

async fn load_own(node: &Arc<Node>, taking: Taking, order: u64) -> Result<(), String> {
    set_reason(node, order, "loading this node's own files");
    let loading = node.clone();
    let loaded =
        tokio::task::spawn_blocking(move || loading.durability.take_own_files(&loading, &taking, order));
    loaded.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Says why the node is still without a history, if it is.
fn set_reason(node: &Node, order: u64, reason: &str) {
    node.gate.change_fences(|fences| {
        if let Some(known) = &mut fences.no_history
            && node.role.order() == order
        {
            known.replace_range(.., reason);
        }
    });
}

/// What a peer says of its replication; `None` if it does not.
async fn inquire(node: &Node, address: &Address) -> Option<String> {
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
    let keep_lineage = taking.taken.keep_lineage;
    let patience = Duration::from_secs(u64::from(node.config().repl_timeout_seconds).max(1));
    let mut peer = Peer::connect(node, address, patience).await?;
    let info = peer.replication_info().await?;
    peer.command(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]).await?;
    peer.send(&[b"PSYNC", b"?", b"-1"]).await?;
    let offer = read_offer(&peer.line().await?, &info, taking)?;
    set_reason(node, order, &format!("loading the history of {address}"));
    let received = receive_snapshot(node, &mut peer, None).await?;
    let keys = received.keys();
    begin_history(node, received, &offer, taking, order)?;
    tracing::info!(peer = %address, keys, offset = offer.place.offset, keep_lineage, "history recovered from a peer");
    Ok(())
}
