//! What a replica asks of its primary, and what it makes of the answer.

use super::{Target, failover};
use crate::replication::guard::{self, Verdict};
use crate::replication::handshake::{PsyncReply, info_fields, read_psync_reply};
use crate::replication::{Lineage, Offer, Place};
use crate::server::Node;
use crate::server::stats::add;
use std::io;
use std::sync::atomic::Ordering;

/// What the answer to PSYNC comes to.
pub enum Next {
    /// The stream goes on where this node's log ends.
    Stream,
    /// A snapshot follows, and may take the place of what this node has.
    Snapshot(Offer),
    /// A snapshot follows, and the guard refuses it.
    Refused,
}

/// PSYNC's arguments: the lineage and the first offset that is wanted, or `?` and -1 without a history.
pub fn psync_request(own: Option<Place>) -> (String, String) {
    match own {
        Some(place) => (place.lineage.to_string(), (place.offset + 1).to_string()),
        None => ("?".into(), "-1".into()),
    }
}

/// Judges the primary's answer. `own` is what was asked with, `info` its INFO; an error ends the attempt. Its kind is
/// [`io::ErrorKind::ResourceBusy`] when the primary only cannot serve us yet.
pub fn judge_answer(
    node: &Node,
    target: &Target,
    own: Option<Place>,
    answer: &str,
    info: &str,
) -> io::Result<Next> {
    let answer = read_psync_reply(answer);
    failover::answered(node, target.order, &answer);
    match answer {
        PsyncReply::Continue(renamed) => {
            if let Some(lineage) = renamed {
                rename(node, lineage, target.order)?;
            }
            node.role.partial_syncs.fetch_add(1, Ordering::Relaxed);
            tracing::info!(primary = %target.address, offset = node.log.end(), "partial sync: going on");
            Ok(Next::Stream)
        }
        PsyncReply::FullResync(place) => {
            let offer = offer_of(place, info);
            match guard::judge(own, &offer, target.ordered) {
                Verdict::Accept(_) => Ok(Next::Snapshot(offer)),
                Verdict::Refuse(refusal) => {
                    refuse(node, target, refusal.to_string());
                    Ok(Next::Refused)
                }
            }
        }
        PsyncReply::TryAgain(text) => Err(io::Error::new(io::ErrorKind::ResourceBusy, text)),
        PsyncReply::Refused(text) => Err(io::Error::other(text)),
    }
}

/// Takes the primary's name for our history, unless `order` is no longer in force.
fn rename(node: &Node, lineage: Lineage, order: u64) -> io::Result<()> {
    if node.log.history().lineage == lineage {
        return Ok(());
    }
    let _all = node.keyspace.lock_all();
    if node.role.order() != order {
        return Err(another_role());
    }
    node.log.rename_lineage(lineage);
    Ok(())
}

/// Why what was under way came to nothing.
pub(super) fn another_role() -> io::Error {
    io::Error::other("this node was given another role meanwhile")
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
