//! Unit tests of what replies depend on and who is woken; `tests/replication/durable_acks.rs` runs whole nodes.

use super::*;
use crate::server::Session;
use crate::server::clients::ClientInfo;
use crate::server::config::{Address, Config};
use crate::server::dispatch::{self, Next};
use crate::server::replication::{Replica, ReplicaStage};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Wake;

fn node(durable_acks: u8) -> Arc<Node> {
    let mut config = Config::default();
    config.durable_acks = durable_acks;
    let node = Arc::new(Node::new(config));
    node.role.set_has_history(true);
    node
}

fn info() -> Arc<ClientInfo> {
    let nowhere = crate::server::endpoint::Endpoint::Unix("".into());
    Arc::new(ClientInfo::new(0, nowhere.clone(), nowhere, -1, 0, Box::new(|| ())))
}

fn session(node: &Node) -> Session {
    let mut session = Session::new(info(), node.settings(), true);
    session.acks.set_default(node.acks.by_default());
    session
}

/// Runs a command; its reply, and the position that the reply depends on.
fn run(node: &Arc<Node>, session: &mut Session, words: &str) -> (String, Option<u64>) {
    let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    let need = match dispatch::execute(node, session, &args, &mut out) {
        Next::Later(later) => {
            out = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(later);
            later_need(node, session)
        }
        _ => session.acks.need.take(),
    };
    (String::from_utf8(out).unwrap(), need.map(|need| need.position))
}

fn need(node: &Arc<Node>, session: &mut Session, words: &str) -> Option<u64> {
    run(node, session, words).1
}

fn replica(node: &Node) -> Arc<Replica> {
    replica_at(node, node.replicas.len() as u16)
}

fn replica_at(node: &Node, port: u16) -> Arc<Replica> {
    let replica = Arc::new(Replica::new(info(), "r".into(), port, 0, node.acks.term()));
    replica.set_stage(ReplicaStage::Online);
    node.replicas.add(replica.clone());
    replica
}

fn fsynced(node: &Node, replica: &Arc<Replica>, offset: u64) {
    node.replicas.acknowledge(replica, offset, Some(offset), 0);
    node.replicas_changed();
}

#[test]
fn replies_depend_on_the_last_write_to_their_keys() {
    let node = node(1);
    let (mut one, mut other) = (session(&node), session(&node));
    assert_eq!(need(&node, &mut one, "GET a"), None);
    let first = need(&node, &mut one, "SET a 1").unwrap();
    assert_eq!(first, node.log.end());
    let second = need(&node, &mut one, "SET b 1").unwrap();
    // Whoever asks, and in whatever database.
    assert_eq!(need(&node, &mut other, "GET a"), Some(first));
    assert_eq!(need(&node, &mut other, "STRLEN a"), Some(first));
    assert_eq!(need(&node, &mut other, "MGET a c b"), Some(second));
    assert_eq!(need(&node, &mut other, "SET a 2 NX"), Some(first));
    assert_eq!(need(&node, &mut other, "GET c"), None);
    assert_eq!(need(&node, &mut other, "PING"), None);
    assert_eq!(need(&node, &mut other, "DBSIZE"), Some(second));
    assert_eq!(need(&node, &mut other, "RANDOMKEY"), Some(second));
    let replica = replica(&node);
    fsynced(&node, &replica, first);
    assert_eq!(need(&node, &mut other, "GET a"), None);
    assert_eq!(need(&node, &mut other, "GET b"), Some(second));
    fsynced(&node, &replica, second);
    assert_eq!(need(&node, &mut other, "MGET a b"), None);
    let flushed = need(&node, &mut one, "FLUSHALL").unwrap();
    assert_eq!(need(&node, &mut other, "GET never"), Some(flushed));
}

#[test]
fn transactions_depend_on_all_their_keys() {
    let node = node(1);
    let mut one = session(&node);
    let first = need(&node, &mut one, "SET a 1").unwrap();
    for words in ["MULTI", "GET a", "GET b", "PING"] {
        assert_eq!(need(&node, &mut one, words), None, "{words}");
    }
    assert_eq!(need(&node, &mut one, "EXEC"), Some(first));
    for words in ["MULTI", "INCR x", "INCR y"] {
        need(&node, &mut one, words);
    }
    let end = need(&node, &mut one, "EXEC");
    assert_eq!(end, Some(node.log.end()));
    assert_eq!((need(&node, &mut one, "GET x"), need(&node, &mut one, "GET y")), (end, end));
}

#[test]
fn a_connection_chooses_for_itself() {
    let node = node(0);
    let (mut one, mut other) = (session(&node), session(&node));
    assert_eq!(need(&node, &mut one, "SET a 1"), None);
    assert!(!node.gate.has(bits::TRACKED));
    let before = node.log.end();
    assert_eq!(run(&node, &mut other, "CLIENT DURABILITY 2").0, "+OK\r\n");
    assert!(node.gate.has(bits::TRACKED));
    // What was written before anybody asked could be anywhere.
    assert_eq!(need(&node, &mut other, "GET b"), Some(before));
    assert_eq!(need(&node, &mut one, "SET b 1"), None);
    let after = node.log.end();
    assert_eq!(need(&node, &mut other, "GET b"), Some(after));
    assert_eq!(need(&node, &mut one, "GET b"), None);
    let replicas = [replica(&node), replica(&node)];
    fsynced(&node, &replicas[0], after);
    assert_eq!(need(&node, &mut other, "GET b"), Some(after));
    fsynced(&node, &replicas[1], before);
    assert_eq!((need(&node, &mut other, "GET c"), need(&node, &mut other, "GET b")), (None, Some(after)));
    assert_eq!(run(&node, &mut one, "CLIENT DURABILITY 1").0, "+OK\r\n");
    assert_eq!(need(&node, &mut one, "GET b"), None);
    for (words, wanted) in [("ASYNC", 0), ("16", 16), ("default", 0), ("0", 0)] {
        run(&node, &mut one, &format!("CLIENT DURABILITY {words}"));
        assert_eq!(one.acks.wanted, wanted, "{words}");
    }
    for words in ["17", "-1", "some", ""] {
        let reply = run(&node, &mut one, &format!("CLIENT DURABILITY {words}")).0;
        assert!(reply.starts_with("-ERR CLIENT DURABILITY takes"), "{words}: {reply}");
    }
    assert!(node.gate.has(bits::TRACKED));
    assert_eq!(run(&node, &mut other, "RESET").0, "+RESET\r\n");
    assert!(!node.gate.has(bits::TRACKED) && other.acks.wanted == 0);
    run(&node, &mut other, "CLIENT DURABILITY 1");
    drop(other);
    assert!(!node.gate.has(bits::TRACKED));
}

#[test]
fn with_too_few_replicas_writes_may_be_refused() {
    let node = node(1);
    let set = |policy| {
        let change = |config: &mut Config| {
            config.durable_acks_on_loss = policy;
            Ok::<(), ()>(())
        };
        node.change_config(change).unwrap();
    };
    use crate::server::config::DurableAcksOnLoss::{Block, Degrade, Error};
    let mut one = session(&node);
    assert_eq!(node.acks.word(&node), "blocked");
    set(Degrade);
    assert!(need(&node, &mut one, "SET a 1").is_some());
    assert_eq!(node.acks.word(&node), "degraded");
    set(Error);
    assert_eq!(node.acks.word(&node), "refusing");
    let refused = "-NOTDURABLE too few replicas that fsync are attached (0 of 1); nothing was written\r\n";
    assert_eq!(run(&node, &mut one, "SET a 2").0, refused);
    assert_eq!(run(&node, &mut one, "GET a").0, "$1\r\n1\r\n");
    for (words, reply) in [
        ("MULTI", "+OK\r\n"),
        ("GET a", "+QUEUED\r\n"),
        ("SET a 3", refused),
        ("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"),
        ("CLIENT DURABILITY ASYNC", "+OK\r\n"),
        ("SET a 4", "+OK\r\n"),
        ("CLIENT DURABILITY DEFAULT", "+OK\r\n"),
    ] {
        assert_eq!(run(&node, &mut one, words).0, reply, "{words}");
    }
    // One that has not told what it fsynced does not count, nor one whose disk has failed.
    let replica = replica(&node);
    node.replicas.acknowledge(&replica, 1, None, 0);
    node.replicas_changed();
    assert_eq!(run(&node, &mut one, "SET a 5").0, refused);
    fsynced(&node, &replica, 1);
    assert_eq!((run(&node, &mut one, "SET a 5").0.as_str(), node.acks.word(&node)), ("+OK\r\n", "ok"));
    node.replicas.acknowledge(&replica, 2, None, 0);
    node.replicas_changed();
    assert_eq!(run(&node, &mut one, "SET a 6").0, refused);
    set(Block);
    assert_eq!(run(&node, &mut one, "SET a 6").0, "+OK\r\n");
}

#[test]
fn a_replica_that_came_back_counts_once() {
    let node = node(2);
    let mut one = session(&node);
    let position = need(&node, &mut one, "SET a 1").unwrap();
    let (old, new) = (replica_at(&node, 1), replica_at(&node, 1));
    fsynced(&node, &old, position);
    fsynced(&node, &new, position);
    assert_eq!((node.acks.attached(), need(&node, &mut one, "GET a")), (1, Some(position)));
    fsynced(&node, &replica_at(&node, 2), position);
    assert_eq!((node.acks.attached(), need(&node, &mut one, "GET a")), (2, None));
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

#[test]
fn those_whose_turn_has_come_are_woken_and_nobody_else() {
    let node = node(1);
    let replica = replica(&node);
    fsynced(&node, &replica, 0);
    let mut one = session(&node);
    let positions: Vec<u64> =
        ["SET a 1", "SET b 1"].iter().map(|words| need(&node, &mut one, words).unwrap()).collect();
    let term = node.acks.term();
    let wait = |position| Box::pin(node.acks.wait(Need { position, wanted: 1, term }));
    let (mut first, mut second) = (wait(positions[0]), wait(positions[1]));
    let wakers = [Arc::<Woken>::default(), Arc::default()];
    let poll = |waiting: &mut Pin<Box<Waiting<'_>>>, woken: &Arc<Woken>| {
        waiting.as_mut().poll(&mut Context::from_waker(&woken.clone().into())).is_ready()
    };
    assert!(!poll(&mut first, &wakers[0]) && !poll(&mut second, &wakers[1]));
    assert_eq!(node.acks.waiting(), 2);
    fsynced(&node, &replica, positions[0]);
    assert_eq!((wakers[0].take(), wakers[1].take()), (true, false));
    assert!(poll(&mut first, &wakers[0]) && !poll(&mut second, &wakers[1]));
    drop(first);
    // A replica that leaves may change what becomes of all who wait; a role that ends does.
    node.replicas.remove(&replica);
    node.replicas_changed();
    assert!(wakers[1].take() && !poll(&mut second, &wakers[1]));
    node.follow(Some(Address { host: "127.0.0.1".into(), port: 1 }), true);
    assert!(wakers[1].take() && poll(&mut second, &wakers[1]));
    let need = Need { position: positions[1], wanted: 1, term };
    assert_eq!(node.acks.judge(&need), Verdict::Failed(Failure::Demoted));
    drop(second);
    assert_eq!(node.acks.waiting(), 0);
    // On a replica nothing waits.
    assert_eq!(run(&node, &mut one, "GET b").1, None);
}

#[test]
fn a_promoted_node_vouches_for_what_it_has_fsynced_itself() {
    let node = node(1);
    let mut one = session(&node);
    run(&node, &mut one, "SET a 1");
    let end = node.log.end();
    node.follow(Some(Address { host: "127.0.0.1".into(), port: 1 }), true);
    node.set_durable_offset(Some(end - 1));
    node.follow(None, true);
    // Whatever it tells came from its primary; the end of that is not on its disk yet.
    assert_eq!(need(&node, &mut one, "GET b"), Some(end));
    node.set_durable_offset(Some(end + 100));
    assert_eq!(need(&node, &mut one, "GET a"), None);
    let own = need(&node, &mut one, "SET a 2").unwrap();
    node.set_durable_offset(Some(own));
    assert_eq!(need(&node, &mut one, "GET a"), Some(own));
}
