//! A full sync as it comes off the wire: what frames the snapshot, and the decoder behind it.

use super::follow::another_role;
use super::intake::{BaseFile, Intake, install};
use super::recovery::Taking;
use super::takeover::{own_history, take_recovered};
use crate::persistence::load::{Inserting, Staged};
use crate::replication::Offer;
use crate::replication::epoch::are_related;
use crate::replication::handshake::{BulkFrame, MarkFinder, read_bulk_frame};
use crate::replication::log::History;
use crate::server::Node;
use crate::server::stats::add;
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

enum Framing {
    /// So many bytes are still to come.
    Counted { left: u64 },
    /// Until the mark.
    Marked(MarkFinder),
    /// The last byte was taken.
    Ended,
}

/// A snapshot being received, beside the data that is being served.
pub struct Incoming {
    framing: Framing,
    intake: Intake,
    /// The decoder gave up before the end.
    broken: bool,
}

/// A snapshot that is whole and sound, and not yet installed.
pub struct Received(Staged);

impl Received {
    /// Number of its keys.
    pub fn keys(&self) -> u64 {
        self.0.facts.keys
    }
}

impl Incoming {
    /// Reads the line before a snapshot. With `base` its bytes also go to that new file.
    pub fn start(node: &Node, line: &str, base: Option<BaseFile>) -> io::Result<Incoming> {
        let frame = read_bulk_frame(line)
            .ok_or_else(|| io::Error::other(format!("a snapshot should follow, not '{line}'")))?;
        let how = Inserting::new(&node.settings(), node.now_ms());
        let is_packed = matches!(frame, BulkFrame::Packed(_));
        let intake = Intake::start(node.keyspace.databases(), how, base, is_packed)?;
        let (total, framing) = match frame {
            BulkFrame::Length(0) => (0, Framing::Ended),
            BulkFrame::Length(bytes) => (bytes, Framing::Counted { left: bytes }),
            BulkFrame::Mark(mark) | BulkFrame::Packed(mark) => (0, Framing::Marked(MarkFinder::new(mark))),
        };
        node.role.sync_bytes.store(0, Ordering::Relaxed);
        node.role.sync_total_bytes.store(total, Ordering::Relaxed);
        Ok(Incoming { framing, intake, broken: false })
    }

    /// True while bytes of the snapshot are to come.
    pub fn wants_more(&self) -> bool {
        !self.broken && !matches!(self.framing, Framing::Ended)
    }

    /// Takes what belongs to the snapshot from `input`; waits while the decoder is behind.
    pub async fn take(&mut self, node: &Node, input: &mut BytesMut) {
        let before = input.len();
        let piece = match &mut self.framing {
            Framing::Counted { left } => {
                let now = before.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= now as u64;
                if *left == 0 {
                    self.framing = Framing::Ended;
                }
                input.split_to(now).freeze()
            }
            Framing::Marked(finder) => {
                let mut content = Vec::with_capacity(before);
                if finder.feed(&input.split(), |bytes| content.extend_from_slice(bytes)) {
                    self.framing = Framing::Ended;
                }
                Bytes::from(content)
            }
            Framing::Ended => return,
        };
        let bytes = (before - input.len()) as u64;
        node.role.sync_bytes.fetch_add(bytes, Ordering::Relaxed);
        node.role.last_io_ms.store(node.now_ms(), Ordering::Relaxed);
        add(&node.stats.replication_input_bytes, bytes);
        if !piece.is_empty() && !self.intake.feed(piece).await {
            self.broken = true;
        }
    }

    /// The decoder's verdict.
    pub async fn finish(self) -> io::Result<Received> {
        let verdict = self.intake.finish().await.map_err(io::Error::other)?;
        if self.broken {
            return Err(io::Error::other("the decoder ended before the snapshot did"));
        }
        Ok(Received(verdict))
    }
}

/// Puts a received snapshot in place of the replica's data, and its bytes under the log that follows. An error when
/// `order` is no longer in force; then nothing has changed.
pub async fn replace_history(
    node: &Arc<Node>,
    received: Received,
    offer: &Offer,
    order: u64,
) -> io::Result<()> {
    let keys = received.keys();
    node.durability.leave_history().await;
    let installed = install(node, received.0, offer.place, history_of(node, offer), order);
    let (point, base) = installed.ok_or_else(another_role)?;
    node.durability.synced(node, point, base);
    node.role.full_syncs.fetch_add(1, Ordering::Relaxed);
    tracing::info!(keys, offset = offer.place.offset, "full sync: loaded");
    Ok(())
}

/// What this node knows of the history that it is given. A stock node tells no epoch; then the one that this node has seen of
/// the same history counts.
fn history_of(node: &Node, offer: &Offer) -> History {
    let mut history = offer.history();
    if let Some(own) = own_history(node)
        && !history.epoch.is_known()
        && are_related(&own, &history)
    {
        history.epoch = own.epoch;
    }
    history
}

/// Gives a node without a history the one it received, and takes it over: a higher epoch begins. An error when `order` is no longer in force; then nothing has changed.
pub fn begin_history(
    node: &Arc<Node>,
    received: Received,
    offer: &Offer,
    taking: &Taking,
    order: u64,
) -> io::Result<()> {
    node.durability.leave_own_files(node).map_err(io::Error::other)?;
    let installed = install(node, received.0, offer.place, offer.history(), order);
    let (point, _) = installed.ok_or_else(another_role)?;
    take_recovered(node, &taking.taken);
    node.durability.synced(node, point, None);
    node.gate.change_fences(|fences| fences.no_history = None);
    Ok(())
}
