//! FAILOVER: a primary hands its role to a replica of its own. Writes wait; once a replica has everything, this node follows
//! it and asks with PSYNC that it take over (the protocol of Redis 6.2's FAILOVER).
//!
//! The step from primary to replica is taken under all shard locks, after a look there at what the replica has: no write
//! comes between. A write that had passed the gate by then finds the role changed when it has its locks, and is refused.

use super::replicas::{Replica, ReplicaStage};
use crate::keyspace::Locked;
use crate::replication::handshake::PsyncReply;
use crate::server::Node;
use crate::server::config::Address;
use crate::server::gate::bits;
use parking_lot::Mutex;
use std::sync::Arc;

/// The failover that is going on, if one is.
#[derive(Default)]
pub struct Failover {
    state: Mutex<State>,
}

#[derive(Default, Clone)]
enum State {
    #[default]
    None,
    /// Writes are held back until a replica has them all.
    Waiting(Plan),
    /// This node follows the new primary, or tries to, by this order.
    InProgress { order: u64 },
}

/// What an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The replica to hand over to; `None` for the first that has everything.
    pub target: Option<Address>,
    /// Hand over to the target when the time is up, whatever it lacks.
    pub force: bool,
    /// Unix ms when the time is up.
    pub until_ms: Option<i64>,
}

impl Failover {
    /// INFO's word.
    pub fn word(&self) -> &'static str {
        match *self.state.lock() {
            State::None => "no-failover",
            State::Waiting(_) => "waiting-for-sync",
            State::InProgress { .. } => "failover-in-progress",
        }
    }

    /// Is a failover going on?
    pub fn is_on(&self) -> bool {
        !matches!(*self.state.lock(), State::None)
    }

    /// Must PSYNC ask the target of this order to take over?
    pub fn asks(&self, order: u64) -> bool {
        matches!(*self.state.lock(), State::InProgress { order: own } if own == order)
    }
}

/// Checks a plan against the replicas there are and begins to wait.
///
/// # Errors
/// The text of the reply, when this cannot be.
pub fn begin(node: &Node, plan: Plan) -> Result<(), &'static str> {
    let mut state = node.failover.state.lock();
    if !matches!(*state, State::None) {
        return Err("ERR FAILOVER already in progress.");
    }
    if node.is_replica() {
        return Err("ERR FAILOVER is not valid when server is a replica.");
    }
    let replicas = node.replicas.list();
    if replicas.is_empty() {
        return Err("ERR FAILOVER requires connected replicas.");
    }
    if plan.force && (plan.target.is_none() || plan.until_ms.is_none()) {
        return Err("ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
    }
    if let Some(target) = &plan.target {
        let Some(replica) = replicas.iter().find(|replica| is_at(replica, target)) else {
            return Err("ERR FAILOVER target HOST and PORT is not a replica.");
        };
        if replica.stage() != ReplicaStage::Online {
            return Err("ERR FAILOVER target replica is not online.");
        }
    }
    tracing::info!(?plan, "failover: waiting until a replica has everything");
    node.pause.begin_failover(&node.gate);
    *state = State::Waiting(plan);
    Ok(())
}

fn is_at(replica: &Replica, address: &Address) -> bool {
    replica.port == address.port && replica.ip.eq_ignore_ascii_case(&address.host)
}

/// Gives the failover up: this node goes on as the primary. `all` holds all shards.
///
/// # Errors
/// The text of the reply, when there is none.
pub fn abort(node: &Node, all: &Locked<'_>, why: &str) -> Result<(), &'static str> {
    let before = std::mem::take(&mut *node.failover.state.lock());
    match before {
        State::None => return Err("ERR No failover in progress."),
        State::Waiting(_) => {}
        // An order that came meanwhile stands.
        State::InProgress { order } if node.role.order() != order => {}
        State::InProgress { .. } => node.follow_locked(all, None, true),
    }
    tracing::warn!(why, "failover: given up");
    node.pause.end_failover(&node.gate);
    Ok(())
}

/// Goes on with the failover, if one is waiting; called a few times a second.
pub fn step(node: &Node) {
    let State::Waiting(plan) = node.failover.state.lock().clone() else { return };
    let is_late = plan.until_ms.is_some_and(|until_ms| node.now_ms() > until_ms);
    if is_late && !plan.force {
        let _ = abort(node, &node.keyspace.lock_all(), "no replica had everything in time");
        return;
    }
    let ready = node.replicas.list().into_iter().find(|replica| {
        plan.target.as_ref().is_none_or(|target| is_at(replica, target)) && has_everything(node, replica)
    });
    match (ready, plan.target.filter(|_| is_late)) {
        (Some(replica), _) => hand_over(node, Some(&replica), address_of(&replica)),
        (None, Some(target)) => hand_over(node, None, target),
        (None, None) => {}
    }
}

fn address_of(replica: &Arc<Replica>) -> Address {
    Address { host: replica.ip.clone(), port: replica.port }
}

/// Where replies wait for durability, the new primary must have on its disk what was promised.
fn has_everything(node: &Node, replica: &Replica) -> bool {
    let end = node.log.end();
    let durable = !node.gate.has(bits::TRACKED) || replica.durable() >= end;
    replica.stage() == ReplicaStage::Online && replica.has_acked() && replica.received() >= end && durable
}

/// Follows the replica, which PSYNC will ask to take over. With `checked` only if that one still has everything.
fn hand_over(node: &Node, checked: Option<&Replica>, address: Address) {
    let all = node.keyspace.lock_all();
    let mut state = node.failover.state.lock();
    // Given up meanwhile, or a write got in before the pause did: the next step looks again.
    if !matches!(*state, State::Waiting(_)) || checked.is_some_and(|replica| !has_everything(node, replica)) {
        return;
    }
    tracing::info!(to = %address, forced = checked.is_none(), "failover: handing over");
    // What a forced target lacks is given up: its history may replace this node's.
    node.follow_locked(&all, Some(address), checked.is_none());
    *state = State::InProgress { order: node.role.order() };
}

/// Takes the target's answer to PSYNC: with it the failover has succeeded or failed.
pub fn answered(node: &Node, order: u64, answer: &PsyncReply) {
    if !node.failover.asks(order) {
        return;
    }
    match answer {
        PsyncReply::Continue(_) | PsyncReply::FullResync(_) => {
            *node.failover.state.lock() = State::None;
            tracing::info!("failover: the new primary has taken over");
            node.pause.end_failover(&node.gate);
        }
        PsyncReply::TryAgain(text) | PsyncReply::Refused(text) => {
            let _ = abort(node, &node.keyspace.lock_all(), text);
        }
        PsyncReply::Referred(_) => {
            let _ = abort(node, &node.keyspace.lock_all(), "the target sent this node to another replica");
        }
    }
}
