//! The replica's side of replication: the link to the primary.

use super::peer::Peer;
use crate::command::apply::{Applied, Applier};
use crate::persistence::load::{Inserting, Staged};
use crate::replication::guard::{self, Verdict};
use crate::replication::handshake::{
    BulkFrame, MarkFinder, PsyncReply, info_fields, read_bulk_frame, read_psync_reply,
};
use crate::replication::{Lineage, Offer, Place};
use crate::resp::args::ArgSpans;
use crate::resp::request::{Parsed, RequestLimits, RequestParser};
use crate::server::Node;
use crate::server::replication::intake::{BaseFile, Intake, install};
use crate::server::replication::{LinkPhase, Target, own_place};
use crate::server::stats::add;
use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Pauses between attempts, ms; the last one is repeated.
const RETRY_PAUSES_MS: [u64; 5] = [50, 200, 500, 1_000, 1_000];
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
    match follow(node, target, attempt).await {
        Ok(()) => REFUSED_PAUSE_MS,
        Err(error) => {
            let pause_ms = RETRY_PAUSES_MS[(*attempt).min(RETRY_PAUSES_MS.len() - 1)];
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

/// Connects, syncs and applies the stream; `Ok` only when the guard refused the sync.
async fn follow(node: &Arc<Node>, target: &Target, attempt: &mut usize) -> io::Result<()> {
    node.role.set_phase(LinkPhase::Connecting, node.now_ms());
    let config = node.config();
    let patience = Duration::from_secs(u64::from(config.repl_timeout_seconds).max(1));
    let mut peer = Peer::connect(node, &target.address, patience).await?;
    peer.expect_ok(&[b"PING"]).await?;
    let info = peer.replication_info().await?;
    introduce(node, &mut peer).await?;
    let own = own_place(node);
    let (lineage, next) = match own {
        Some(place) => (place.lineage.to_string(), (place.offset + 1).to_string()),
        None => ("?".into(), "-1".into()),
    };
    peer.send(&[b"PSYNC", lineage.as_bytes(), next.as_bytes()]).await?;
    match read_psync_reply(&peer.line().await?) {
        PsyncReply::Continue(renamed) => {
            if let Some(lineage) = renamed {
                node.log.rename_lineage(lineage);
            }
            node.role.partial_syncs.fetch_add(1, Ordering::Relaxed);
            tracing::info!(primary = %target.address, offset = node.log.end(), "partial sync: going on");
        }
        PsyncReply::FullResync(place) => {
            let offer = offer_of(place, &info);
            if let Verdict::Refuse(refusal) = guard::judge(own, &offer, target.ordered) {
                refuse(node, target, refusal.to_string());
                return Ok(());
            }
            full_sync(node, target, &mut peer, &offer).await?;
        }
        PsyncReply::TryAgain(text) | PsyncReply::Refused(text) => return Err(io::Error::other(text)),
    }
    node.role.order_fulfilled();
    node.role.set_refusal(None);
    node.role.set_phase(LinkPhase::Connected, node.now_ms());
    link_state_changed(node, true);
    *attempt = 0;
    Stream::new(node, peer).run().await
}

async fn introduce(node: &Node, peer: &mut Peer) -> io::Result<()> {
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

/// The offer of a full sync, with what the primary's INFO says of its past.
pub(super) fn offer_of(place: Place, info: &str) -> Offer {
    let fields = info_fields(info);
    let previous = fields.get("master_replid2").and_then(|id| Lineage::parse(id.as_bytes()));
    let second = fields.get("second_repl_offset").and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
    Offer {
        place,
        previous: previous.unwrap_or(Lineage::NONE),
        previous_end: if second > 0 { second - 1 } else { -1 },
    }
}

fn refuse(node: &Node, target: &Target, text: String) {
    add(&node.stats.refused_syncs, 1);
    if node.role.refusal().as_deref() != Some(&text) {
        tracing::error!(primary = %target.address, "{text}");
        node.role.set_refusal(Some(text));
    }
}

async fn full_sync(node: &Arc<Node>, target: &Target, peer: &mut Peer, offer: &Offer) -> io::Result<()> {
    node.role.set_phase(LinkPhase::Sync, node.now_ms());
    tracing::info!(primary = %target.address, offset = offer.place.offset, "full sync: receiving a snapshot");
    let base = node.durability.base_for_sync(node).map_err(io::Error::other)?;
    let staged = receive_snapshot(node, peer, base).await?;
    let keys = staged.facts.keys;
    node.durability.leave_history().await;
    let (point, base) = install(node, staged, offer.place, Some((offer.previous, offer.previous_end)));
    node.durability.synced(node, point, base);
    node.role.full_syncs.fetch_add(1, Ordering::Relaxed);
    tracing::info!(keys, offset = offer.place.offset, "full sync: loaded");
    Ok(())
}

/// Receives a snapshot into a staging area.
pub(super) async fn receive_snapshot(
    node: &Node,
    peer: &mut Peer,
    base: Option<BaseFile>,
) -> io::Result<Staged> {
    let line = peer.line().await?;
    let frame = read_bulk_frame(&line)
        .ok_or_else(|| io::Error::other(format!("a snapshot should follow, not '{line}'")))?;
    let how = Inserting::new(&node.settings(), node.now_ms());
    let mut intake = Intake::start(node.keyspace.databases(), how, base)?;
    node.role.sync_bytes.store(0, Ordering::Relaxed);
    let total = if let BulkFrame::Length(bytes) = frame { bytes } else { 0 };
    node.role.sync_total_bytes.store(total, Ordering::Relaxed);
    let whole = match frame {
        BulkFrame::Length(bytes) => receive_counted(node, peer, &mut intake, bytes).await?,
        BulkFrame::Mark(mark) => receive_marked(node, peer, &mut intake, mark).await?,
    };
    let verdict = intake.finish().await.map_err(io::Error::other);
    if !whole && verdict.is_ok() {
        return Err(io::Error::other("the decoder ended before the snapshot did"));
    }
    verdict
}

fn note_progress(node: &Node, bytes: usize) {
    node.role.sync_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    node.role.last_io_ms.store(node.now_ms(), Ordering::Relaxed);
    add(&node.stats.replication_input_bytes, bytes as u64);
}

async fn receive_counted(node: &Node, peer: &mut Peer, intake: &mut Intake, bytes: u64) -> io::Result<bool> {
    let mut left = bytes;
    while left > 0 {
        if peer.input.is_empty() {
            peer.read_more().await?;
        }
        let now = peer.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let piece = peer.input.split_to(now).freeze();
        left -= now as u64;
        note_progress(node, now);
        if !intake.feed(piece).await {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn receive_marked(
    node: &Node,
    peer: &mut Peer,
    intake: &mut Intake,
    mark: [u8; 40],
) -> io::Result<bool> {
    let mut finder = MarkFinder::new(mark);
    loop {
        let piece = peer.take_some().await?;
        note_progress(node, piece.len());
        let mut content = Vec::with_capacity(piece.len());
        let ended = finder.feed(&piece, |bytes| content.extend_from_slice(bytes));
        if !content.is_empty() && !intake.feed(Bytes::from(content)).await {
            return Ok(false);
        }
        if ended {
            return Ok(true);
        }
    }
}

/// The stream of effects, being applied.
struct Stream<'n> {
    node: &'n Arc<Node>,
    peer: Peer,
    parser: RequestParser,
    args: ArgSpans,
    applier: Applier,
    /// Bytes at the start of the input that belong to a transaction not yet ended.
    held: usize,
    ack_wanted: bool,
    /// The durable offset last told to the primary.
    told_durable: Option<u64>,
}

impl<'n> Stream<'n> {
    fn new(node: &'n Arc<Node>, peer: Peer) -> Stream<'n> {
        let (_, _, db) = node.log.position();
        let applier = Applier::new((*node.settings()).clone(), db.unwrap_or(0));
        let limits = RequestLimits { max_bulk_bytes: i64::MAX, authenticated: true };
        Stream {
            node,
            peer,
            parser: RequestParser::new(limits),
            args: ArgSpans::new(),
            applier,
            held: 0,
            // The first acknowledgement tells the primary that the snapshot is loaded.
            ack_wanted: true,
            told_durable: None,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        let node = self.node;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let applied = self.apply_input();
            node.log.wake_readers();
            applied?;
            // Made before the look at the offset, so that no move of it is missed.
            let moved = node.durable_moved.notified();
            if std::mem::take(&mut self.ack_wanted) || node.durable_offset() != self.told_durable {
                self.acknowledge().await?;
            }
            tokio::select! {
                read = self.peer.read_more() => {
                    add(&node.stats.replication_input_bytes, read? as u64);
                    node.role.last_io_ms.store(node.now_ms(), Ordering::Relaxed);
                }
                _ = tick.tick() => self.ack_wanted = true,
                () = moved => {}
            }
        }
    }

    async fn acknowledge(&mut self) -> io::Result<()> {
        let received = self.node.log.end().to_string();
        let mut out = Vec::new();
        self.told_durable = self.node.durable_offset();
        match self.told_durable {
            Some(durable) => {
                let durable = durable.to_string();
                let words = ["REPLCONF", "ACK", &received, "FACK", &durable];
                crate::resp::command_bytes::write_command(&mut out, &words);
            }
            None => crate::resp::command_bytes::write_command(&mut out, &["REPLCONF", "ACK", &received]),
        }
        self.peer.stream.write_all(&out).await
    }

    /// Applies the whole commands of the input. Each one's bytes go to the log as they came, under the
    /// locks of its keys; a transaction's go as one piece at its end.
    fn apply_input(&mut self) -> io::Result<()> {
        let now_ms = self.node.now_ms();
        loop {
            let rest = self.peer.input.get(self.held..).unwrap_or_default();
            let consumed = match self.parser.parse(rest, &mut self.args) {
                Ok(Parsed::Complete { consumed }) => consumed,
                Ok(Parsed::Empty { consumed }) => {
                    // A bare line end is a sign of life; it is part of no history.
                    if self.held == 0 {
                        self.peer.input.advance(consumed);
                        continue;
                    }
                    return Err(io::Error::other("an empty line within a transaction of the stream"));
                }
                Ok(Parsed::Incomplete { .. }) => return Ok(()),
                Err(error) => return Err(io::Error::other(format!("the stream is not readable: {error}"))),
            };
            let view = self.args.view(rest);
            let args: SmallVec<[&[u8]; 8]> = view.iter().collect();
            let whole = self.held + consumed;
            let bytes = &self.peer.input[..whole];
            self.ack_wanted |= args.len() == 3
                && args[0].eq_ignore_ascii_case(b"replconf")
                && args[1].eq_ignore_ascii_case(b"getack");
            let log = &self.node.log;
            let applied = self.applier.apply(&self.node.keyspace, &args, now_ms, |db| {
                log.append_raw(bytes, db);
            });
            drop(args);
            match applied {
                Ok(Applied::Done) => {
                    self.peer.input.advance(whole);
                    self.held = 0;
                }
                Ok(Applied::Queued) => self.held = whole,
                Err(error) => {
                    let text = format!("replication stopped at offset {}: {error}", log.end());
                    if self.node.role.refusal().as_deref() != Some(&text) {
                        tracing::error!("{text}");
                        self.node.role.set_refusal(Some(text.clone()));
                    }
                    return Err(io::Error::other(text));
                }
            }
            let changes = self.applier.take_changes();
            add(&self.node.changes, changes);
            add(&self.node.stats.commands, 1);
        }
    }
}
