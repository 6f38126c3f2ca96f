use super::*;
use crate::server::config::Config;

fn node(policy: MaxmemoryPolicy) -> Node {
    let mut config = Config::default();
    config.maxmemory_policy = policy;
    // Nothing goes where there is no limit.
    config.maxmemory_bytes = 1;
    Node::new(config)
}

fn put(node: &Node, key: &str, access: u32, expire_at_ms: Option<i64>) {
    let (_, hash) = locate(key.as_bytes());
    let mut entry = Entry::new_string(key.as_bytes(), &[b'x'; 500], expire_at_ms);
    entry.set_access(access);
    node.keyspace.lock_one(hash).shard_mut(hash).db_mut(0).insert(hash, entry);
}

fn has(node: &Node, key: &str) -> bool {
    let (_, hash) = locate(key.as_bytes());
    node.keyspace.lock_one(hash).shard_mut(hash).db(0).get(hash, key.as_bytes()).is_some()
}

/// Evicts `count` keys; how many of those that are left begin with `prefix`.
fn left_after(node: &Node, policy: MaxmemoryPolicy, count: usize, keys: usize) -> (usize, usize) {
    let mut work = Work { pool: Vec::new(), rng: Rng::from_seed(1) };
    for _ in 0..count {
        assert!(evict_one(node, policy, 5, &mut work).is_some_and(|freed| freed > 500));
    }
    let count = |prefix: &str| (0..keys).filter(|n| has(node, &format!("{prefix}:{n}"))).count();
    (count("go"), count("stay"))
}

/// 500 keys that should go and 500 that should stay; half are evicted.
fn judge(policy: MaxmemoryPolicy, go: (u32, Option<i64>), stay: (u32, Option<i64>)) {
    let node = node(policy);
    for n in 0..500 {
        put(&node, &format!("go:{n}"), go.0, go.1);
        put(&node, &format!("stay:{n}"), stay.0, stay.1);
    }
    let (gone_left, stayed) = left_after(&node, policy, 400, 500);
    assert_eq!(gone_left + stayed, 600, "{policy:?}");
    // Keys are drawn by hashes that are seeded anew each time: some 485 stay, where blind choice would leave 300.
    assert!(stayed >= 440, "{policy:?}: {stayed} of those that should stay are left");
    assert_eq!(node.stats.evicted_keys.load(Ordering::Relaxed), 400);
    assert_eq!(node.keyspace.len(0), 600);
    assert!(node.log.end() > 400 * 20, "each removal is logged");
}

#[test]
fn each_policy_evicts_what_it_should() {
    use MaxmemoryPolicy::*;
    let now_ms = node(NoEviction).now_ms();
    let (old, new) = ((now_ms / 1000 - 1000) as u32 & 0xff_ffff, (now_ms / 1000) as u32 & 0xff_ffff);
    let minutes = (now_ms / 60_000) as u32 & 0xffff;
    let (rare, frequent) = (minutes << 8 | 3, minutes << 8 | 200);
    let (soon, late) = (Some(now_ms + 1_000_000), Some(now_ms + 2_000_000));
    judge(AllkeysLru, (old, None), (new, None));
    judge(AllkeysLfu, (rare, None), (frequent, None));
    judge(VolatileLru, (old, soon), (new, soon));
    judge(VolatileLfu, (rare, soon), (frequent, soon));
    judge(VolatileTtl, (new, soon), (new, late));
    judge(VolatileRandom, (new, soon), (old, None));
}

#[test]
fn random_eviction_takes_from_everywhere() {
    let node = node(MaxmemoryPolicy::AllkeysRandom);
    (0..1000).for_each(|n| put(&node, &format!("go:{n}"), 0, None));
    let (left, _) = left_after(&node, MaxmemoryPolicy::AllkeysRandom, 500, 1000);
    assert_eq!(left, 500);
}

#[test]
fn few_that_qualify_are_found_among_many() {
    let node = node(MaxmemoryPolicy::VolatileTtl);
    (0..20_000).for_each(|n| put(&node, &format!("stay:{n}"), 0, None));
    let far = Some(node.now_ms() + 1_000_000);
    (0..3).for_each(|n| put(&node, &format!("go:{n}"), 0, far));
    assert_eq!(left_after(&node, MaxmemoryPolicy::VolatileTtl, 3, 20_000), (0, 20_000));
    let mut work = Work { pool: Vec::new(), rng: Rng::from_seed(1) };
    assert!(evict_one(&node, MaxmemoryPolicy::VolatileTtl, 5, &mut work).is_none());
}

#[test]
fn nothing_is_evicted_where_it_must_not() {
    for bit in [bits::REPLICA, bits::FENCED, bits::LOADING, bits::PAUSED] {
        let node = node(MaxmemoryPolicy::AllkeysRandom);
        put(&node, "k", 0, None);
        node.gate.set(bit, true);
        let candidate = Candidate { score: 0, db: 0, key: (*b"k").into() };
        assert_eq!(evict(&node, MaxmemoryPolicy::AllkeysRandom, &candidate), None);
        node.gate.set(bit, false);
        assert!(evict(&node, MaxmemoryPolicy::AllkeysRandom, &candidate).is_some());
    }
}

#[test]
fn the_limit_closes_the_gate() {
    let node = node(MaxmemoryPolicy::NoEviction);
    let look = |bytes: u64| {
        let _ = node.change_config(|config| {
            config.maxmemory_bytes = bytes;
            Ok::<(), ()>(())
        });
        (make_room(&node), node.gate.has(bits::MEMORY), node.gate.has(bits::MEMORY_DUE))
    };
    assert_eq!(look(0), (Room::Enough, false, false));
    assert_eq!(look(1), (Room::None, true, true));
    assert_eq!(look(1 << 50), (Room::Enough, false, false));
    assert_eq!(look(1), (Room::None, true, true));
    node.gate.set(bits::REPLICA, true);
    assert_eq!(look(1), (Room::Enough, false, false), "a replica takes what its primary sends");
}

#[test]
fn all_keys_go_for_a_limit_that_cannot_be_met() {
    let node = node(MaxmemoryPolicy::AllkeysLru);
    (0..200).for_each(|n| put(&node, &format!("go:{n}"), 0, None));
    let _ = node.change_config(|config| {
        config.maxmemory_bytes = 1;
        Ok::<(), ()>(())
    });
    assert_eq!(make_room(&node), Room::Making);
    assert_eq!(node.keyspace.len(0), 200 - KEYS_AT_ONCE);
    while make_room(&node) == Room::Making {}
    assert_eq!((node.keyspace.len(0), make_room(&node)), (0, Room::None));
    assert!(node.gate.has(bits::MEMORY));
}

#[test]
fn what_a_slow_reader_holds_does_not_count() {
    let node = node(MaxmemoryPolicy::AllkeysLru);
    let backlog = node.config().repl_backlog_size_bytes;
    assert_eq!(held_for_readers(&node, backlog), 0);
    let _reader = node.log.add_reader(node.log.end(), 1 << 30, Box::new(|| ())).unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..8 {
        node.log.append_neutral(&piece);
    }
    let of_lists = held_for_readers(&node, backlog) - ((8 << 20) - backlog);
    assert!((1..16 << 10).contains(&of_lists), "{of_lists}");
}

#[test]
fn the_pool_keeps_the_best() {
    let mut pool = Vec::new();
    for score in [5, 1, 9, 3, 9] {
        offer(&mut pool, score, 0, format!("k{score}").as_bytes());
    }
    assert_eq!(pool.iter().map(|it| it.score).collect::<Vec<_>>(), [1, 3, 5, 9]);
    (10..40).for_each(|score| offer(&mut pool, score, 0, format!("k{score}").as_bytes()));
    offer(&mut pool, 0, 0, b"worst");
    let scores: Vec<u64> = pool.iter().map(|it| it.score).collect();
    assert_eq!(scores, (24..40).collect::<Vec<_>>());
}

#[test]
fn tenacity_says_how_many_go_at_once() {
    assert_eq!([0, 1, 10, 20, 99, 100].map(keys_at_once), [1, 6, 64, 258, 16_154_285, usize::MAX]);
    let node = node(MaxmemoryPolicy::AllkeysLru);
    (0..200).for_each(|n| put(&node, &format!("go:{n}"), 0, None));
    let _ = node.change_config(|config| {
        (config.maxmemory_bytes, config.maxmemory_eviction_tenacity) = (1, 100);
        Ok::<(), ()>(())
    });
    assert_eq!((make_room(&node), node.keyspace.len(0)), (Room::None, 0));
}
