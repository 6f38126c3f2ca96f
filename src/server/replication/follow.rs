//! What a replica asks of its primary, and what it makes of the answer.

use super::takeover::own_history;
use super::{Target, failover, joining};
pub use crate::replication::Offer;
use crate::replication::epoch::{self, LowerEpoch, Meeting};
use crate::replication::guard::{self, Verdict};
use crate::replication::handshake::{PsyncReply, history_told, offer_of, read_psync_reply};
use crate::replication::log::History;
use crate::replication::referral::Referral;
use crate::replication::{Lineage, Place};
use crate::server::Node;
use crate::server::stats::add;
use std::io;
use std::sync::atomic::Ordering;

/// What a replica has to tell a primary, or to do about it, before it asks it to sync. Words are arguments of REPLCONF.
pub enum Hello {
    /// Nothing: it is a stock node, or this one has no history.
    Nothing,
    /// Tell it of the history that this node holds.
    Tell(Vec<String>),
    /// Tell it that this node gives its epoch up to it; go on if it agrees.
    Yield(Vec<String>),
    /// Tell it, and do not follow it.
    Refuse(LowerEpoch, Vec<String>),
}

/// Judges a primary by its INFO.
pub fn hello(node: &Node, target: &Target, info: &str) -> Hello {
    let own = own_history(node).filter(|own| own.epoch.is_known());
    let (Some(own), Some(theirs)) = (own, history_told(info)) else { return Hello::Nothing };
    let mut words = words_of(&own);
    match epoch::meet(Some(&own), &theirs, target.ordered, node.role.held_epoch()) {
        Meeting::Follow => Hello::Tell(words),
        Meeting::Refuse(why) => Hello::Refuse(why, words),
        Meeting::Yield => {
            words.extend(["outrigger-yield", "yes"].map(String::from));
            Hello::Yield(words)
        }
    }
}

/// A history as arguments of REPLCONF.
pub fn words_of(history: &History) -> Vec<String> {
    epoch::tell(history).into_iter().flat_map(|(word, value)| [word.to_owned(), value]).collect()
}

/// The node has what its primary has, and follows it from now on; an error when `order` is no longer in force.
pub fn established(node: &Node, order: u64) -> io::Result<()> {
    let _all = node.keyspace.lock_all();
    if node.role.order() != order {
        return Err(another_role());
    }
    node.role.order_fulfilled(order);
    node.role.set_refusal(None);
    node.role.set_sync_unfinished(false);
    node.role.set_held_epoch(0);
    // Whatever it waited for, or was no longer to serve, it has and serves as a replica now.
    node.gate.change_fences(|fences| (fences.no_history, fences.superseded) = (None, None));
    Ok(())
}

/// Takes note that a primary is refused for its epoch.
pub fn refuse_lower(node: &Node, target: &Target, why: LowerEpoch) {
    refuse(node, target, why.to_string());
}

/// What the answer to PSYNC comes to.
pub enum Next {
    /// The stream goes on where this node's log ends.
    Stream,
    /// A snapshot follows, and may take the place of what this node has.
    Snapshot(Offer),
    /// Another replica has a snapshot, and it may take the place of what this node has.
    Elsewhere(Referral),
    /// The guard refuses what is offered.
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
            learn_epoch(node, info);
            node.role.partial_syncs.fetch_add(1, Ordering::Relaxed);
            tracing::info!(primary = %target.address, offset = node.log.end(), "partial sync: going on");
            Ok(Next::Stream)
        }
        PsyncReply::FullResync(place) => {
            let offer = offer_of(place, info);
            if history_told(info).is_some_and(|told| told.lineage != place.lineage) {
                return Err(ask_again_later("the primary's history has changed since it told of it"));
            }
            let own = own.map(|place| (place, node.log.history().epoch));
            match guard::judge(own, &offer, target.ordered) {
                Verdict::Accept(_) => Ok(Next::Snapshot(offer)),
                Verdict::Refuse(refusal) => {
                    refuse(node, target, refusal.to_string());
                    Ok(Next::Refused)
                }
            }
        }
        PsyncReply::Referred(referral) => {
            match joining::judge_referral(node, target, own, &referral, info)? {
                true => Ok(Next::Elsewhere(referral)),
                false => Ok(Next::Refused),
            }
        }
        PsyncReply::TryAgain(text) => Err(ask_again_later(text)),
        PsyncReply::Refused(text) => Err(io::Error::other(text)),
    }
}

/// The primary only cannot serve us yet.
pub(super) fn ask_again_later(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, text.into())
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

/// Takes note of the epoch of a primary whose history this node has, where its beginning lies before this node's end. One that
/// begins later comes with the stream.
fn learn_epoch(node: &Node, info: &str) {
    let told = history_told(info).filter(|told| told.lineage == node.log.history().lineage);
    if let Some(told) = told.filter(|told| told.epoch.since <= node.log.end()) {
        node.log.learn_epoch(told.epoch);
    }
}

/// Why what was under way came to nothing.
pub(super) fn another_role() -> io::Error {
    io::Error::other("this node was given another role meanwhile")
}

/// Takes note that this primary, or what it offers, is refused.
pub fn refuse(node: &Node, target: &Target, text: String) {
    add(&node.stats.refused_syncs, 1);
    if node.role.refusal().as_deref() != Some(&text) {
        tracing::error!(primary = %target.address, "{text}");
        node.role.set_refusal(Some(text));
    }
}
