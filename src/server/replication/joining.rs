//! A joiner's side of a full sync of which another replica gives the snapshot ([`super::refer`]).

use super::Target;
use super::follow::{ask_again_later, refuse};
use super::incoming::{Received, replace_history};
use crate::replication::guard::{self, Verdict};
use crate::replication::handshake::{PsyncReply, history_told, info_fields, offer_of, read_psync_reply};
pub use crate::replication::referral::Referral;
use crate::replication::referral::{
    GIVES_SNAPSHOTS, MAY_REFER, ONLY_SNAPSHOT, STILL_JOINING, TAKES_LZ4, judge_giver,
};
use crate::replication::{Offer, Place};
use crate::server::Node;
use crate::server::config::{Address, SyncSource};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How the full syncs of a replica went, and where their snapshots came from.
#[derive(Debug, Default)]
pub struct Joining {
    /// The next full sync is to be the primary's own: the last one from another replica failed.
    plainly: AtomicBool,
    /// Who gave the last snapshot that was loaded.
    source: Mutex<Option<Address>>,
    /// Snapshots that other replicas gave.
    pub fetched: AtomicU64,
    /// Tries that came to nothing.
    pub failed: AtomicU64,
    /// Why the last one did.
    reason: Mutex<Option<String>>,
}

impl Joining {
    /// Another primary, or another order: any of its replicas may do.
    pub fn forget(&self) {
        self.plainly.store(false, Ordering::Release);
    }

    /// Is the next full sync to be the primary's own?
    pub fn is_plain(&self) -> bool {
        self.plainly.load(Ordering::Acquire)
    }

    /// A full sync was loaded that the primary itself gave.
    pub fn took_from_primary(&self, primary: &Address) {
        self.plainly.store(false, Ordering::Release);
        *self.source.lock() = Some(primary.clone());
    }

    /// One was loaded that another replica gave.
    fn took_from_giver(&self, giver: Address) {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        *self.source.lock() = Some(giver);
        *self.reason.lock() = None;
    }

    /// The giver failed: the primary is asked itself next.
    pub fn giver_failed(&self, giver: &Referral, why: &str) {
        self.plainly.store(true, Ordering::Release);
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.reason.lock() = Some(format!("{}:{}: {why}", giver.host, giver.port));
        tracing::warn!(
            giver = %giver.host,
            port = giver.port,
            %why,
            "full sync: nothing came of the snapshot of the replica that the primary named; the primary is asked for its own"
        );
    }

    /// Who gave the last snapshot.
    pub fn source(&self) -> Option<Address> {
        self.source.lock().clone()
    }

    /// Why the last try at another replica failed.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }
}

/// Whether this node takes part in snapshots from replica to replica, under a primary whose INFO this is. Stock ones are told
/// nothing of it.
pub fn takes_part(node: &Node, info: &str) -> bool {
    node.config().replica_sync_source == SyncSource::Replica && history_told(info).is_some()
}

/// What this node can that stock nodes know nothing of: words of REPLCONF capa for a node whose INFO this is.
pub fn capabilities(node: &Node, info: &str) -> Vec<&'static str> {
    let mut words = Vec::new();
    if takes_part(node, info) {
        words.push(GIVES_SNAPSHOTS);
    }
    if node.config().replica_sync_lz4 && history_told(info).is_some() {
        words.push(TAKES_LZ4);
    }
    words
}

/// PSYNC's last word, if it needs one.
pub fn last_word(node: &Node, target: &Target, info: &str) -> Option<&'static str> {
    if node.failover.asks(target.order) {
        return Some("FAILOVER");
    }
    (takes_part(node, info) && !node.role.joining.is_plain()).then_some(MAY_REFER)
}

/// Judges where the primary sends this node, before anything is fetched; false: its history is refused, as it would be if
/// the primary gave it.
pub fn judge_referral(
    node: &Node,
    target: &Target,
    own: Option<Place>,
    referral: &Referral,
    info: &str,
) -> io::Result<bool> {
    let told = history_told(info);
    let same = told
        .is_some_and(|told| told.lineage == referral.place.lineage && told.epoch.number == referral.epoch);
    if !same {
        return Err(ask_again_later("the primary's history has changed since it told of it"));
    }
    let end = info_fields(info).get("master_repl_offset").and_then(|text| text.parse().ok());
    // Where the primary stands: a giver that is a little behind is no reason to refuse what the primary has.
    let place = Place { offset: referral.place.offset.max(end.unwrap_or(0)), ..referral.place };
    let own = own.map(|place| (place, node.log.history().epoch));
    match guard::judge(own, &offer_of(place, info), target.ordered) {
        Verdict::Accept(_) => Ok(true),
        Verdict::Refuse(refusal) => {
            refuse(node, target, refusal.to_string());
            Ok(false)
        }
    }
}

/// What is asked of a giver whose INFO this is: PSYNC's arguments.
///
/// # Errors
/// It is not what the primary said.
pub fn snapshot_request(referral: &Referral, info: &str) -> io::Result<[String; 3]> {
    judge_giver(referral, info).map_err(io::Error::other)?;
    let place = referral.place;
    Ok([place.lineage.to_string(), place.offset.to_string(), ONLY_SNAPSHOT.into()])
}

/// Judges a giver's answer to that. `info` is the primary's, whose word on the history's past counts.
pub fn judge_snapshot(
    node: &Node,
    target: &Target,
    referral: &Referral,
    answer: &str,
    info: &str,
) -> io::Result<Offer> {
    let place = match read_psync_reply(answer) {
        PsyncReply::FullResync(place) => place,
        PsyncReply::TryAgain(text) | PsyncReply::Refused(text) => return Err(io::Error::other(text)),
        other => return Err(io::Error::other(format!("instead of a snapshot it offers {other:?}"))),
    };
    if place.lineage != referral.place.lineage || place.offset < referral.place.offset {
        return Err(io::Error::other(format!(
            "its snapshot is of {} at {}, and not of what the primary named",
            place.lineage, place.offset
        )));
    }
    let offer = offer_of(place, info);
    let own = super::own_place(node).map(|own| (own, node.log.history().epoch));
    match guard::judge(own, &offer, target.ordered) {
        Verdict::Accept(_) => Ok(offer),
        // The primary may have more than its replica.
        Verdict::Refuse(refusal) => Err(io::Error::other(refusal.to_string())),
    }
}

/// Puts the giver's snapshot in place of what this node has. False: what this node has cannot be given up, and the sync
/// is refused.
pub async fn take(
    node: &Arc<Node>,
    target: &Target,
    referral: &Referral,
    received: Received,
    offer: &Offer,
) -> io::Result<bool> {
    if let Err(text) = node.durability.archive_tail(node, &offer.history()).await {
        refuse(node, target, text);
        return Ok(false);
    }
    replace_history(node, received, offer, target.order).await?;
    node.role.joining.took_from_giver(Address { host: referral.host.clone(), port: referral.port });
    Ok(true)
}

/// What a joiner tells its primary meanwhile: arguments of REPLCONF.
pub fn sign_of_life(node: &Node) -> [String; 2] {
    [STILL_JOINING.into(), node.role.sync_bytes.load(Ordering::Relaxed).to_string()]
}
