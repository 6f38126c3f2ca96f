//! INFO replication.

use super::role::LinkPhase;
use super::takeover::own_history;
use super::{budget, resync};
use crate::replication::{Epoch, Offer};
use crate::server::Node;
use crate::server::stats::get;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// The section's lines (with line ends, without the heading).
pub fn section(node: &Node, now_ms: i64) -> String {
    let mut text = String::new();
    let (history, offset, _) = node.log.position();
    // Writing to a String cannot fail.
    let _ = match node.role.target() {
        None => write!(text, "role:master\r\n"),
        Some(target) => {
            text.push_str("role:slave\r\n");
            let _ = write!(
                text,
                "master_host:{}\r\nmaster_port:{}\r\n",
                target.address.host, target.address.port
            );
            resync_lines(node, &mut text);
            joining_lines(node, &mut text);
            replica_lines(node, now_ms, offset, &mut text)
        }
    };
    let replicas = node.replicas.list();
    let _ = write!(text, "connected_slaves:{}\r\n", replicas.len());
    let config = node.config();
    if config.min_replicas_to_write > 0 && config.min_replicas_max_lag_seconds > 0 {
        let lag_ms = i64::from(config.min_replicas_max_lag_seconds) * 1000;
        let _ = write!(text, "min_slaves_good_slaves:{}\r\n", node.replicas.count_good(now_ms, lag_ms));
    }
    for (index, replica) in replicas.iter().enumerate() {
        let lag_s = (now_ms - replica.ack_at_ms.load(Ordering::Relaxed)) / 1000;
        let durable = match replica.acks_durable.load(Ordering::Relaxed) {
            true => format!(",durable_offset={}", replica.durable()),
            false => String::new(),
        };
        let _ = write!(
            text,
            "slave{index}:ip={},port={},state={},offset={},lag={lag_s}{durable}\r\n",
            replica.ip,
            replica.port,
            replica.stage().word(),
            replica.received(),
        );
    }
    let second = if history.previous_end >= 0 { history.previous_end + 1 } else { -1 };
    let (held, is_kept) = (node.log.held_bytes(), node.log.is_kept());
    let first = if is_kept { node.log.start() + 1 } else { 0 };
    let _ = write!(
        text,
        "master_failover_state:{}\r\nmaster_replid:{}\r\nmaster_replid2:{}\r\n\
         master_repl_offset:{offset}\r\nsecond_repl_offset:{second}\r\nrepl_backlog_active:{}\r\n\
         repl_backlog_size:{}\r\nrepl_backlog_first_byte_offset:{first}\r\nrepl_backlog_histlen:{held}\r\n",
        node.failover.word(),
        history.lineage,
        history.previous,
        u8::from(is_kept),
        config.repl_backlog_size_bytes,
    );
    own_lines(node, &mut text);
    durable_acks_lines(node, &mut text);
    text
}

fn replica_lines(node: &Node, now_ms: i64, offset: u64, text: &mut String) -> std::fmt::Result {
    let role = &node.role;
    let phase = role.phase();
    let up = if phase == LinkPhase::Connected { "up" } else { "down" };
    let last_io = role.last_io_ms.load(Ordering::Relaxed);
    let last_io_s = if last_io > 0 { (now_ms - last_io) / 1000 } else { -1 };
    let syncing = u8::from(phase == LinkPhase::Sync);
    let own = if role.has_history() { offset as i64 } else { -1 };
    write!(
        text,
        "master_link_status:{up}\r\nmaster_last_io_seconds_ago:{last_io_s}\r\n\
         master_sync_in_progress:{syncing}\r\nslave_read_repl_offset:{own}\r\nslave_repl_offset:{own}\r\n"
    )?;
    if phase == LinkPhase::Sync {
        let done = get(&role.sync_bytes);
        let total = get(&role.sync_total_bytes);
        write!(text, "master_sync_total_bytes:{total}\r\nmaster_sync_read_bytes:{done}\r\n")?;
        write!(text, "master_sync_left_bytes:{}\r\n", total as i64 - done as i64)?;
    }
    if phase != LinkPhase::Connected {
        let since = role.down_since_ms.load(Ordering::Relaxed);
        let seconds = if since > 0 { (now_ms - since) / 1000 } else { -1 };
        write!(text, "master_link_down_since_seconds:{seconds}\r\n")?;
    }
    let config = node.config();
    write!(
        text,
        "slave_priority:{}\r\nslave_read_only:{}\r\nreplica_announced:1\r\n",
        config.replica_priority,
        u8::from(config.replica_read_only)
    )
}

/// What replicas cost this node, and what became of those that cost too much.
fn memory_lines(node: &Node, text: &mut String) {
    let replicas = &node.replicas;
    let budget = budget::note(node);
    let _ = write!(
        text,
        "outrigger_replica_memory_bytes:{}\r\noutrigger_replica_memory_peak_bytes:{}\r\n\
         outrigger_replica_memory_limit_bytes:{}\r\noutrigger_replicas_cut_off:{}\r\n",
        budget.used,
        get(&replicas.memory_peak_bytes),
        budget.limit,
        get(&replicas.cut_off),
    );
    if let Some(trouble) = replicas.trouble() {
        let _ = write!(text, "outrigger_sync_trouble:{trouble}\r\n");
    }
}

/// How the full syncs stand that a replica asks for.
fn resync_lines(node: &Node, text: &mut String) {
    let standing = node.role.resync.standing(resync::now_ms(node));
    let _ = write!(
        text,
        "outrigger_fruitless_syncs:{}\r\noutrigger_sync_put_off_ms:{}\r\n",
        standing.fruitless, standing.wait_ms
    );
    if let Some(reason) = standing.reason {
        let _ = write!(text, "outrigger_fruitless_sync_reason:{reason}\r\n");
    }
}

/// Where a replica's full syncs came from.
fn joining_lines(node: &Node, text: &mut String) {
    let joining = &node.role.joining;
    if let Some(source) = joining.source() {
        let _ = write!(text, "outrigger_full_sync_source:{source}\r\n");
    }
    let _ = write!(
        text,
        "outrigger_full_syncs_from_replicas:{}\r\noutrigger_full_syncs_from_replicas_failed:{}\r\n",
        get(&joining.fetched),
        get(&joining.failed)
    );
    if let Some(reason) = joining.reason() {
        let _ = write!(text, "outrigger_full_sync_from_replica_failure:{reason}\r\n");
    }
}

/// Joiners that this node sent to others, and snapshots that it gave to others' joiners.
fn referral_lines(node: &Node, text: &mut String) {
    let referrals = &node.replicas.referrals;
    let _ = write!(
        text,
        "outrigger_joins_referred:{}\r\noutrigger_joins_referred_under_way:{}\r\n\
         outrigger_joins_referred_back:{}\r\noutrigger_snapshots_given:{}\r\n",
        get(&referrals.sent),
        referrals.under_way(),
        get(&referrals.back),
        get(&referrals.given),
    );
}

/// How durable acks stand.
fn durable_acks_lines(node: &Node, text: &mut String) {
    let (acks, stats) = (&node.acks, &node.stats);
    let _ = write!(
        text,
        "outrigger_durable_acks:{}\r\noutrigger_durable_acks_state:{}\r\noutrigger_durable_replicas:{}\r\n\
         outrigger_durable_acks_waiting:{}\r\noutrigger_durable_acks_held:{}\r\n\
         outrigger_durable_acks_failed:{}\r\noutrigger_durable_acks_degraded:{}\r\n\
         outrigger_durable_acks_refused:{}\r\n",
        acks.by_default(),
        acks.word(node),
        acks.attached(),
        acks.waiting(),
        get(&stats.durable_acks_held),
        get(&stats.durable_acks_failed),
        get(&stats.durable_acks_degraded),
        get(&stats.durable_acks_refused),
    );
}

/// What only this server tells.
fn own_lines(node: &Node, text: &mut String) {
    let role = &node.role;
    let history = if role.has_history() { "yes" } else { "no" };
    let durable = node.durable_offset().map_or(-1, |offset| offset as i64);
    let fenced = node.gate.has(crate::server::gate::bits::FENCED);
    let epoch = own_history(node).map_or(Epoch::UNKNOWN, |own| own.epoch);
    let _ = write!(text, "outrigger_epoch:{}\r\noutrigger_epoch_since:{}\r\n", epoch.number, epoch.since);
    let _ = write!(
        text,
        "outrigger_history:{history}\r\noutrigger_durable_offset:{durable}\r\noutrigger_fenced:{}\r\n\
         outrigger_partial_syncs:{}\r\noutrigger_full_syncs:{}\r\noutrigger_refused_syncs:{}\r\n",
        u8::from(fenced),
        get(&role.partial_syncs),
        get(&role.full_syncs),
        get(&node.stats.refused_syncs),
    );
    if let Some(own) = node.durability.own_files().filter(|_| !role.has_history() && !node.is_replica()) {
        let Offer { place, epoch, .. } = own;
        let _ = write!(text, "outrigger_own_files:{}:{}:{}\r\n", place.lineage, place.offset, epoch.number);
    }
    let syncs = &node.replicas.syncs;
    let _ = write!(
        text,
        "outrigger_sync_snapshots:{}\r\noutrigger_sync_snapshot_running:{}\r\n\
         outrigger_sync_snapshots_at_once_peak:{}\r\noutrigger_sync_snapshots_given_up:{}\r\n\
         outrigger_sync_snapshot_waiting_peak_bytes:{}\r\n",
        get(&syncs.taken),
        syncs.running(),
        get(&syncs.at_once_peak),
        get(&syncs.given_up),
        get(&syncs.peak_bytes),
    );
    let _ = write!(
        text,
        "outrigger_sync_lz4_raw_bytes:{}\r\noutrigger_sync_lz4_sent_bytes:{}\r\n",
        get(&syncs.lz4_raw_bytes),
        get(&syncs.lz4_sent_bytes),
    );
    referral_lines(node, text);
    memory_lines(node, text);
    if fenced {
        let _ = write!(text, "outrigger_fence_reason:{}\r\n", node.gate.fences().reason());
    }
    if let Some(refusal) = role.refusal() {
        let _ = write!(text, "outrigger_refused_sync_reason:{refusal}\r\n");
    }
}
