use super::*;
use crate::server::Session;
use crate::server::config::Config;
use crate::server::endpoint::Endpoint;

/// A RESP3 client that tracks so.
fn client(node: &Arc<Node>, options: Options) -> Session {
    let nowhere = Endpoint::Unix("".into());
    let info = ClientInfo::new(node.clients.next_id(), nowhere.clone(), nowhere, 0, 0, Box::new(|| ()));
    info.resp.store(3, Ordering::Relaxed);
    let mut session = Session::new(Arc::new(info), node.settings(), true);
    session.track(node, &mut node.keyspace.lock_all(), options);
    session
}

fn pushed(session: &Session) -> String {
    let mut out = Vec::new();
    session.info.mailbox.take_into(&mut out, usize::MAX);
    String::from_utf8(out).unwrap().replace("\r\n", " ")
}

fn by_prefixes(prefixes: &[&[u8]]) -> Options {
    let prefixes = prefixes.iter().map(|prefix| Box::from(*prefix)).collect();
    Options { bcast: true, prefixes, ..Options::default() }
}

#[test]
fn shards_are_observed_only_while_somebody_tracks() {
    let node = Arc::new(Node::new(Config::default()));
    let observed = || (0..crate::keyspace::SHARD_COUNT).all(|at| node.keyspace.lock_shard(at).is_observed());
    assert!(!observed() && !node.gate.has(bits::KEYS_CACHED));
    let (mut one, mut other) = (client(&node, Options::default()), client(&node, by_prefixes(&[b"a"])));
    node.tracking.remember(one.info.id, b"key");
    assert!(observed() && node.gate.has(bits::KEYS_CACHED));
    assert_eq!(node.tracking.figures(), TrackingFigures { clients: 2, keys: 1, items: 1, prefixes: 1 });
    one.untrack(&node, &mut node.keyspace.lock_all());
    assert!(observed());
    other.untrack(&node, &mut node.keyspace.lock_all());
    assert!(!observed() && !node.gate.has(bits::KEYS_CACHED));
    assert_eq!(node.tracking.figures(), TrackingFigures { clients: 0, keys: 0, items: 0, prefixes: 0 });
}

#[test]
fn readers_who_have_gone_do_not_pile_up() {
    let node = Arc::new(Node::new(Config::default()));
    let one = client(&node, Options::default());
    for gone in 0..10_000 {
        node.tracking.remember(1_000_000 + gone, b"key");
    }
    node.tracking.remember(one.info.id, b"key");
    let items = node.tracking.figures().items;
    assert!(items <= MANY_READERS + 1, "{items} readers are remembered");
    node.tracking.changed(&node, b"key");
    assert_eq!(pushed(&one), ">2 $10 invalidate *1 $3 key ");
    assert_eq!(node.tracking.figures(), TrackingFigures { clients: 1, keys: 0, items: 0, prefixes: 0 });
}

#[test]
fn a_batch_is_one_push_for_each_prefix() {
    let node = Arc::new(Node::new(Config::default()));
    let one = client(&node, by_prefixes(&[b"a", b"long:"]));
    let quiet = client(&node, Options { noloop: true, ..by_prefixes(&[b""]) });
    RUNNING.set(quiet.info.id);
    node.tracking.changed(&node, b"long:2");
    RUNNING.set(0);
    ["long:1", "a1", "lon", "a", "long:2"]
        .iter()
        .for_each(|key| node.tracking.changed(&node, key.as_bytes()));
    assert!(pushed(&one).is_empty());
    node.tell_of_changes();
    assert_eq!(pushed(&one), ">2 $10 invalidate *2 $1 a $2 a1 >2 $10 invalidate *2 $6 long:1 $6 long:2 ");
    assert_eq!(pushed(&quiet), ">2 $10 invalidate *4 $1 a $2 a1 $3 lon $6 long:1 ");
    node.tell_of_changes();
    assert!(pushed(&one).is_empty());
    // What changed before everything did needs no mention.
    node.tracking.changed(&node, b"a");
    node.tracking.everything_changed(&node);
    node.tell_of_changes();
    assert_eq!(pushed(&one), ">2 $10 invalidate _ ");
}

/// Else keys that go for want of memory would make more go.
#[test]
fn what_is_told_of_evictions_does_not_count_until_it_is_taken() {
    let node = Arc::new(Node::new(Config::default()));
    let trackers = [client(&node, Options::default()), client(&node, by_prefixes(&[b"k"]))];
    let name = [b'k'; 5_000];
    node.tracking.remember(trackers[0].info.id, &name);
    node.tracking.changed(&node, &name);
    node.tell_of_changes();
    let not_counted = || crate::server::eviction::not_counted(&node, u64::MAX);
    assert!((10_000..20_000).contains(&not_counted()), "{}", not_counted());
    for (tracker, left) in trackers.iter().zip([5_000..10_000, 0..1]) {
        assert!(pushed(tracker).contains("invalidate") && left.contains(&not_counted()), "{}", not_counted());
    }
}
