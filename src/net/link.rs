//! The replica's side of replication: the link to the primary.

use super::fetch::fetch;
use super::peer::Peer;
use crate::resp::RespValue;
use crate::server::Node;
use crate::server::replication::follow::{
    Hello, Next, Offer, established, hello, judge_answer, psync_request, refuse, refuse_lower,
};
use crate::server::replication::incoming::{Incoming, Received, replace_history};
use crate::server::replication::intake::BaseFile;
use crate::server::replication::joining;
use crate::server::replication::resync;
use crate::server::replication::stream::Stream;
use crate::server::replication::{LinkPhase, Target, own_place};
use crate::server::stats::add;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Pauses between attempts, ms; the last one is repeated.
const RETRY_PAUSES_MS: [u64; 8] = [50, 100, 200, 200, 200, 200, 500, 1_000];
/// Pause when the primary is there and says that it cannot serve us yet, ms. Short: a fenced primary that has just
/// recovered takes writes at once, and its backlog must still reach back to us.
const NOT_YET_PAUSE_MS: u64 = 50;
/// Pause after a sync that the guard refused, ms: asking again at once would not help.
const REFUSED_PAUSE_MS: u64 = 3_000;

/// Keeps the link that the node's role asks for; never ends.
pub async fn run(node: Arc<Node>) {
    let mut targets = node.role.watch_target();
    let mut attempt = 0;
    loop {
        let target = targets.borrow_and_update().clone();
        let Some(target) = target else {
            attempt = 0;
            let _ = targets.changed().await;
            continue;
        };
        let pause_ms = tokio::select! {
            _ = targets.changed() => { attempt = 0; continue }
            pause_ms = follow_once(&node, &target, &mut attempt) => pause_ms,
        };
        node.role.set_phase(LinkPhase::Connect, node.now_ms());
        link_state_changed(&node, false);
        tokio::select! {
            _ = targets.changed() => attempt = 0,
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
        }
    }
}

/// One life of the link; returns the pause before the next, ms.
async fn follow_once(node: &Arc<Node>, target: &Target, attempt: &mut usize) -> u64 {
    let end = follow(node, target, attempt).await;
    let why = end.as_ref().err().map_or_else(|| "refused".to_owned(), io::Error::to_string);
    let now_ms = resync::now_ms(node);
    if let Some((in_a_row, pause_ms)) = node.role.resync.link_ended(now_ms, &why)
        && in_a_row > 1
    {
        tracing::warn!(%why, in_a_row, pause_ms, "full syncs come to nothing; the next is put off");
    }
    match end {
        Ok(pause_ms) => pause_ms,
        Err(error) => {
            let pause_ms = match error.kind() {
                io::ErrorKind::ResourceBusy => NOT_YET_PAUSE_MS,
                _ => RETRY_PAUSES_MS[(*attempt).min(RETRY_PAUSES_MS.len() - 1)],
            };
            match *attempt {
                0 => tracing::warn!(primary = %target.address, %error, "the link to the primary is down"),
                _ => tracing::debug!(primary = %target.address, %error, "the primary cannot be followed yet"),
            }
            *attempt += 1;
            pause_ms
        }
    }
}

/// With the link down a replica may have to refuse what could be stale.
fn link_state_changed(node: &Node, up: bool) {
    let stale = !up && node.is_replica() && !node.config().replica_serve_stale_data;
    node.gate.set(crate::server::gate::bits::STALE, stale);
}

/// Connects, syncs and applies the stream. `Ok` only when there is no use in coming back at once, as the guard refused the
/// sync or it is put off: then the pause, ms.
async fn follow(node: &Arc<Node>, target: &Target, attempt: &mut usize) -> io::Result<u64> {
    node.role.set_phase(LinkPhase::Connecting, node.now_ms());
    let config = node.config();
    let patience = Duration::from_secs(u64::from(config.repl_timeout_seconds).max(1));
    let mut peer = Peer::connect(node, &target.address, patience).await?;
    peer.expect_ok(&[b"PING"]).await?;
    introduce(node, &mut peer).await?;
    let Some(mut info) = meet(node, &mut peer, target).await? else { return Ok(REFUSED_PAUSE_MS) };
    let own = own_place(node);
    if let Some(wait_ms) = resync::put_off(node, own, &info) {
        return Ok(wait_ms);
    }
    tell_capabilities(node, &mut peer, &info).await?;
    let mut next = ask(node, &mut peer, target, &info, joining::last_word(node, target, &info)).await?;
    if let Next::Elsewhere(referral) = next {
        begin_full_sync(node);
        if !fetch(node, &mut peer, target, &referral, &info).await? {
            return Ok(REFUSED_PAUSE_MS);
        }
        node.role.resync.follows(resync::now_ms(node));
        // What was told of this node's history is past.
        let Some(met) = meet(node, &mut peer, target).await? else { return Ok(REFUSED_PAUSE_MS) };
        info = met;
        next = ask(node, &mut peer, target, &info, None).await?;
    }
    match next {
        Next::Stream => {}
        Next::Refused => return Ok(REFUSED_PAUSE_MS),
        Next::Elsewhere(_) => return Err(io::Error::other("sent elsewhere although that was not asked for")),
        Next::Snapshot(offer) => {
            if !take_snapshot(node, &mut peer, target, &offer).await? {
                return Ok(REFUSED_PAUSE_MS);
            }
        }
    }
    established(node, target.order)?;
    node.role.last_io_ms.store(node.now_ms(), Ordering::Relaxed);
    node.role.set_phase(LinkPhase::Connected, node.now_ms());
    link_state_changed(node, true);
    *attempt = 0;
    apply_stream(node, peer, target.order).await.map(|()| 0)
}

/// Asks the primary to go on where this node stands.
async fn ask(
    node: &Node,
    peer: &mut Peer,
    target: &Target,
    info: &str,
    last_word: Option<&str>,
) -> io::Result<Next> {
    let own = own_place(node);
    let (lineage, next) = psync_request(own);
    let mut psync: Vec<&[u8]> = vec![b"PSYNC", lineage.as_bytes(), next.as_bytes()];
    psync.extend(last_word.map(str::as_bytes));
    peer.send(&psync).await?;
    judge_answer(node, target, own, &peer.line().await?, info)
}

fn begin_full_sync(node: &Node) {
    node.role.set_phase(LinkPhase::Sync, node.now_ms());
    node.role.set_sync_unfinished(true);
    node.role.resync.begins(resync::now_ms(node));
}

/// Takes the primary's own snapshot; false if it is refused after all.
async fn take_snapshot(
    node: &Arc<Node>,
    peer: &mut Peer,
    target: &Target,
    offer: &Offer,
) -> io::Result<bool> {
    begin_full_sync(node);
    tracing::info!(primary = %target.address, offset = offer.place.offset, "full sync: receiving a snapshot");
    let base = node.durability.base_for_sync(node).map_err(io::Error::other)?;
    let received = receive_snapshot(node, peer, base).await?;
    if let Err(text) = node.durability.archive_tail(node, &offer.history()).await {
        refuse(node, target, text);
        return Ok(false);
    }
    replace_history(node, received, offer, target.order).await?;
    node.role.joining.took_from_primary(&target.address);
    node.role.resync.follows(resync::now_ms(node));
    Ok(true)
}

pub(super) async fn introduce(node: &Node, peer: &mut Peer) -> io::Result<()> {
    let config = node.config();
    let port = match config.replica_announce_port {
        0 => config.port,
        port => port,
    };
    // Old primaries may not know all of these; what they say to it does not matter.
    peer.command(&[b"REPLCONF", b"listening-port", port.to_string().as_bytes()]).await?;
    if !config.replica_announce_ip.is_empty() {
        peer.command(&[b"REPLCONF", b"ip-address", config.replica_announce_ip.as_bytes()]).await?;
    }
    peer.command(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]).await?;
    Ok(())
}

/// Tells another node of ours, whose INFO this is, what stock nodes know nothing of.
pub(super) async fn tell_capabilities(node: &Node, peer: &mut Peer, info: &str) -> io::Result<()> {
    let words = joining::capabilities(node, info).into_iter().flat_map(|word| ["capa".into(), word.into()]);
    let words: Vec<String> = words.collect();
    if !words.is_empty() {
        replconf(peer, &words).await?;
    }
    Ok(())
}

/// Both tell each other of the history they hold. The primary's INFO, or nothing if it is refused.
async fn meet(node: &Node, peer: &mut Peer, target: &Target) -> io::Result<Option<String>> {
    let info = peer.replication_info().await?;
    match hello(node, target, &info) {
        Hello::Nothing => Ok(Some(info)),
        Hello::Tell(words) => {
            replconf(peer, &words).await?;
            Ok(Some(info))
        }
        Hello::Yield(words) => match replconf(peer, &words).await? {
            RespValue::Error(text) => {
                refuse(node, target, String::from_utf8_lossy(&text).into_owned());
                Ok(None)
            }
            // It has taken the history over, and goes on under another name.
            _ => peer.replication_info().await.map(Some),
        },
        Hello::Refuse(why, words) => {
            // It must know, too.
            replconf(peer, &words).await?;
            refuse_lower(node, target, why);
            Ok(None)
        }
    }
}

/// Sends REPLCONF with these arguments.
pub(super) async fn replconf(peer: &mut Peer, words: &[String]) -> io::Result<RespValue> {
    let args: Vec<&[u8]> =
        std::iter::once(&b"REPLCONF"[..]).chain(words.iter().map(String::as_bytes)).collect();
    peer.command(&args).await
}

/// Receives a snapshot into a staging area.
pub(super) async fn receive_snapshot(
    node: &Node,
    peer: &mut Peer,
    base: Option<BaseFile>,
) -> io::Result<Received> {
    let mut incoming = Incoming::start(node, &peer.line().await?, base)?;
    while incoming.wants_more() {
        if peer.input.is_empty() {
            peer.read_more().await?;
        }
        incoming.take(node, &mut peer.input).await;
    }
    incoming.finish().await
}

/// Applies what comes and acknowledges it, until the connection ends.
async fn apply_stream(node: &Node, mut peer: Peer, order: u64) -> io::Result<()> {
    let mut stream = Stream::new(node, order);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        stream.apply(node, &mut peer.input)?;
        // Made before the look at the offset, so that no move of it is missed.
        let moved = node.durable_moved.notified();
        if stream.ack_is_due(node) {
            peer.stream.write_all(&stream.ack(node)).await?;
        }
        tokio::select! {
            read = peer.read_more() => {
                add(&node.stats.replication_input_bytes, read? as u64);
                node.role.last_io_ms.store(node.now_ms(), Ordering::Relaxed);
            }
            _ = tick.tick() => {
                stream.check_silence(node)?;
                node.role.resync.look(resync::now_ms(node));
                stream.want_ack();
            }
            () = moved => {}
        }
    }
}
