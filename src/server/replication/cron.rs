//! The periodic work of replication.

use super::{budget, failover, refer, slow};
use crate::server::Node;
use crate::server::gate::bits;
use std::sync::Arc;
use std::time::Duration;

/// How often it is done.
const EVERY: Duration = Duration::from_millis(200);

/// Runs for ever: PINGs replicas, cuts off those that are too slow, watches over `min-replicas-to-write` and the backlog, and
/// takes a failover on.
pub async fn run(node: Arc<Node>) {
    let mut last_ping_ms = node.now_ms();
    let mut followed_ms = last_ping_ms;
    loop {
        tokio::time::sleep(EVERY).await;
        let config = node.config();
        let now_ms = node.now_ms();
        let period_ms = i64::from(config.repl_ping_replica_period_seconds) * 1000;
        failover::step(&node);
        slow::look(&node, now_ms);
        refer::sweep(&node, now_ms);
        budget::note(&node);
        // A PING is a part of the history, and would keep a replica from having all of it.
        if now_ms - last_ping_ms >= period_ms && !node.failover.is_on() {
            last_ping_ms = now_ms;
            node.tell_replicas(&["PING"]);
        }
        node.acks.ask_again(&node);
        let wanted = config.min_replicas_to_write as usize;
        let lag_ms = i64::from(config.min_replicas_max_lag_seconds) * 1000;
        let few = wanted > 0 && lag_ms > 0 && node.replicas.count_good(now_ms, lag_ms) < wanted;
        node.gate.set(bits::FEW_REPLICAS, few && !node.is_replica());
        if node.is_replica() || !node.replicas.is_empty() {
            followed_ms = now_ms;
        }
        let ttl_s = config.repl_backlog_ttl_seconds;
        if ttl_s > 0 && now_ms.saturating_sub(followed_ms) / 1000 >= i64::try_from(ttl_s).unwrap_or(i64::MAX)
        {
            let_go_of_log(&node);
        }
    }
}

/// Frees the backlog of a primary that nobody has followed for long. Its offset goes on counting, so its lineage stays
/// true, and a replica that has everything may still go on from it.
fn let_go_of_log(node: &Node) {
    // A change of role takes all shards: a replica's log must stay.
    let _shard = node.keyspace.lock_shard(0);
    if !node.is_replica() && node.replicas.is_empty() {
        node.log.let_go();
    }
}
