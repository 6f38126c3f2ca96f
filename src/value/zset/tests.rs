//! Sorted sets in both encodings against a sorted vector.

use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::base::Rng;

const CASES: u32 = if cfg!(miri) { 1 } else { 150 };
const STEPS: usize = if cfg!(miri) { 20 } else { 120 };

/// Pairs in order.
type Model = Vec<(Vec<u8>, f64)>;

fn limits(entries: usize) -> Limits {
    Limits { zset_max_listpack_entries: entries, zset_max_listpack_value: 16, ..Limits::default() }
}

fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Model {
    let mut pairs: Model = model.iter().map(|(m, &s)| (m.clone(), s)).collect();
    pairs.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
    pairs
}

fn collect<'a>(pairs: impl Iterator<Item = (Element<'a>, f64)>) -> Model {
    pairs.map(|(member, score)| (member.to_vec(), score)).collect()
}

fn check(set: &ZSet, model: &BTreeMap<Vec<u8>, f64>) -> Model {
    let pairs = sorted(model);
    assert_eq!(set.len(), model.len());
    assert_eq!(collect(set.iter()), pairs);
    if let Repr::Indexed(set) = &set.0 {
        set.check();
    }
    pairs
}

fn any_score() -> impl Strategy<Value = f64> {
    prop_oneof![
        5 => (-4i8..4).prop_map(f64::from),
        2 => any::<f64>().prop_filter("a number", |f| !f.is_nan()),
        1 => any::<i64>().prop_map(|i| i as f64),
        1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 0.1, 1e17, 5e-324]),
    ]
}

fn any_member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-20i64..40).prop_map(|n| n.to_string().into_bytes()),
        4 => (0..60u32).prop_map(|n| format!("m{n}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        // Too long for a listpack, see `limits`; one in many, so that both encodings get their share.
        1 => Just(b"a member of more than sixteen bytes".to_vec()),
    ]
}

#[derive(Debug, Clone)]
enum Op {
    Insert(Vec<u8>, f64),
    Increment(Vec<u8>, f64),
    Remove(Vec<u8>),
    PopMin,
    PopMax,
    RemoveRanks(usize, usize),
    Clone,
    Reload,
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (any_member(), any_score()).prop_map(|(m, s)| Op::Insert(m, s)),
        2 => (any_member(), any_score()).prop_map(|(m, s)| Op::Increment(m, s)),
        3 => any_member().prop_map(Op::Remove),
        1 => Just(Op::PopMin),
        1 => Just(Op::PopMax),
        1 => (0..40usize, 0..6usize).prop_map(|(a, n)| Op::RemoveRanks(a, a + n)),
        1 => Just(Op::Clone),
        1 => Just(Op::Reload),
    ]
}

fn insert(set: &mut ZSet, model: &mut BTreeMap<Vec<u8>, f64>, limits: &Limits, member: Vec<u8>, score: f64) {
    let want = match model.get(&member) {
        None => Inserted::Added,
        Some(&old) if old == score => Inserted::Unchanged,
        Some(&old) => Inserted::Updated(old),
    };
    assert_eq!(set.insert(&member, score, limits), want);
    model.insert(member, score);
}

fn reload(set: &ZSet, limits: &Limits) -> ZSet {
    if let Some(bytes) = set.as_listpack_bytes() {
        return ZSet::from_listpack(Listpack::from_bytes(bytes).unwrap(), limits).unwrap();
    }
    let mut builder = ZSetBuilder::new();
    for (member, score) in set.iter_range(set.len().saturating_sub(1), usize::MAX, true) {
        builder.push(&member.to_vec(), score).unwrap();
    }
    builder.finish(limits).unwrap()
}

fn apply(set: &mut ZSet, model: &mut BTreeMap<Vec<u8>, f64>, limits: &Limits, op: Op) {
    let pairs = sorted(model);
    match op {
        Op::Insert(member, score) => insert(set, model, limits, member, score),
        Op::Increment(member, by) => {
            let old = model.get(&member).copied();
            let new = old.map(|score| score + by).filter(|sum| !sum.is_nan());
            assert_eq!(set.upsert(&member, limits, |seen| seen.and(new)), old);
            new.map(|score| model.insert(member, score));
        }
        Op::Remove(member) => assert_eq!(set.remove(&member), model.remove(&member)),
        Op::PopMin => {
            assert_eq!(set.pop_min(), pairs.first().cloned());
            pairs.first().map(|(member, _)| model.remove(member));
        }
        Op::PopMax => {
            assert_eq!(set.pop_max(), pairs.last().cloned());
            pairs.last().map(|(member, _)| model.remove(member));
        }
        Op::RemoveRanks(from, to) => {
            let mut seen = Model::new();
            let count = set.remove_range(from..to, |member, score| seen.push((member.to_vec(), score)));
            let want: Model = pairs.into_iter().take(to).skip(from).collect();
            want.iter().for_each(|(member, _)| {
                let _ = model.remove(member);
            });
            assert_eq!((count, seen), (want.len(), want));
        }
        Op::Clone => *set = set.clone(),
        Op::Reload => *set = reload(set, limits),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() })]
    #[test]
    fn set_agrees_with_a_model(
        entries in prop::sample::select(vec![0usize, 4, 12, 1_000]),
        ops in prop::collection::vec(any_op(), 1..STEPS),
        probes in prop::collection::vec(any_member(), 4),
    ) {
        let limits = limits(entries);
        let (mut set, mut model) = (ZSet::new(), BTreeMap::new());
        for op in ops {
            apply(&mut set, &mut model, &limits, op);
            check(&set, &model);
            prop_assert!(set.encoding() == "skiplist" || set.len() <= entries);
        }
        let pairs = check(&set, &model);
        for member in probes.iter().chain(pairs.iter().map(|(member, _)| member)) {
            let at = pairs.iter().position(|(m, _)| m == member);
            prop_assert_eq!(set.score(member), at.map(|i| pairs[i].1));
            prop_assert_eq!(set.rank(member, false), at.map(|i| (i, pairs[i].1)));
            prop_assert_eq!(set.rank(member, true), at.map(|i| (pairs.len() - 1 - i, pairs[i].1)));
        }
        for start in 0..=pairs.len() {
            prop_assert_eq!(set.get(start).map(|(m, s)| (m.to_vec(), s)), pairs.get(start).cloned());
            let up: Model = pairs.iter().skip(start).take(5).cloned().collect();
            prop_assert_eq!(collect(set.iter_range(start, 5, false)), up);
            let down: Model = pairs.iter().take(start + 1).rev().take(5).cloned().collect();
            let down = if start < pairs.len() { down } else { Model::new() };
            prop_assert_eq!(collect(set.iter_range(start, 5, true)), down);
        }
    }

    #[test]
    fn ranges_by_score_agree_with_a_filter(
        entries in prop::sample::select(vec![0usize, 1_000]),
        pairs in prop::collection::btree_map(any_member(), any_score(), 0..60),
        bounds in prop::collection::vec((any_score(), any::<bool>(), any_score(), any::<bool>()), 8),
    ) {
        let mut builder = ZSetBuilder::new();
        pairs.iter().for_each(|(member, &score)| builder.push(member, score).unwrap());
        let set = builder.finish(&limits(entries)).unwrap();
        let pairs = check(&set, &pairs);
        for (min, min_exclusive, max, max_exclusive) in bounds {
            let above = |s: f64| if min_exclusive { s > min } else { s >= min };
            let below = |s: f64| if max_exclusive { s < max } else { s <= max };
            let want: Model = pairs.iter().filter(|(_, s)| above(*s) && below(*s)).cloned().collect();
            let range = set.score_range(
                ScoreBound { value: min, exclusive: min_exclusive },
                ScoreBound { value: max, exclusive: max_exclusive },
            );
            prop_assert_eq!(range.len(), want.len());
            prop_assert_eq!(collect(set.iter_range(range.start, range.len(), false)), want);
        }
    }

    #[test]
    fn ranges_by_member_agree_with_a_filter(
        entries in prop::sample::select(vec![0usize, 1_000]),
        members in prop::collection::btree_set(any_member(), 0..60),
        ends in prop::collection::vec((any_member(), 0..4u8, any_member(), 0..4u8), 8),
    ) {
        fn bound(member: &[u8], kind: u8) -> LexBound<'_> {
            match kind {
                0 => LexBound::Min,
                1 => LexBound::Max,
                2 => LexBound::Inclusive(member),
                _ => LexBound::Exclusive(member),
            }
        }
        let mut set = ZSet::new();
        members.iter().for_each(|member| { let _ = set.insert(member, 0.0, &limits(entries)); });
        for (min, min_kind, max, max_kind) in ends {
            let above = |m: &Vec<u8>| match min_kind { 0 => true, 1 => false, 2 => *m >= min, _ => *m > min };
            let below = |m: &Vec<u8>| match max_kind { 0 => false, 1 => true, 2 => *m <= max, _ => *m < max };
            let want: Vec<&Vec<u8>> = members.iter().filter(|m| above(m) && below(m)).collect();
            let range = set.lex_range(bound(&min, min_kind), bound(&max, max_kind));
            prop_assert_eq!(range.len(), want.len());
            let got = collect(set.iter_range(range.start, range.len(), false));
            prop_assert!(got.iter().map(|(m, _)| m).eq(want));
        }
    }

    #[test]
    fn scores_come_back_from_a_listpack_bit_for_bit(score in any_score()) {
        let mut set = ZSet::new();
        set.insert(b"m", score, &limits(8));
        prop_assert_eq!(set.encoding(), "listpack");
        // But for the sign of -0, which is lost on purpose.
        prop_assert_eq!(set.score(b"m").unwrap().to_bits(), (score + 0.0).to_bits());
    }
}

#[test]
fn listpack_holds_the_elements_redis_would_write() {
    let mut set = ZSet::new();
    for (member, score) in [("b", 2.0), ("7", 0.5), ("inf", f64::INFINITY), ("z", -0.0), ("a", 2.0)] {
        set.insert(member.as_bytes(), score, &limits(8));
    }
    let pack = Listpack::from_bytes(set.as_listpack_bytes().unwrap()).unwrap();
    let texts: Vec<String> = pack.iter().map(|e| String::from_utf8(e.to_vec()).unwrap()).collect();
    assert_eq!(texts[..1], ["z"]);
    assert_eq!(texts[2..], ["7", "0.5", "a", "2", "b", "2", "inf", "inf"]);
    assert!(matches!(pack.view().get_index(2), Some(Element::Int(7))));
    assert!(matches!(pack.view().get_index(5), Some(Element::Int(2))));
}

#[test]
fn each_limit_converts_and_none_converts_back() {
    let limits = limits(3);
    let mut set = ZSet::new();
    (0..3).for_each(|i| {
        let _ = set.insert(&[b'a' + i], 0.0, &limits);
    });
    assert_eq!(set.encoding(), "listpack");
    set.insert(b"d", 0.0, &limits);
    assert_eq!(set.encoding(), "skiplist");
    while set.pop_min().is_some() {}
    assert_eq!((set.encoding(), set.len()), ("skiplist", 0));
    assert_eq!(set.insert(b"a", 1.0, &limits), Inserted::Added);

    let mut set = ZSet::new();
    set.insert(&[b'x'; 16], 0.0, &limits);
    assert_eq!(set.encoding(), "listpack");
    set.insert(&[b'x'; 17], 0.0, &limits);
    assert_eq!(set.encoding(), "skiplist");
    assert_eq!(set.as_listpack_bytes(), None);
}

fn load(elements: &[&str]) -> Result<ZSet, Rejected> {
    let pack = Listpack::from_elements(elements.iter().map(|e| Element::parse(e.as_bytes())));
    ZSet::from_listpack(pack, &limits(4))
}

#[test]
fn a_listpack_with_other_content_is_rejected() {
    let fail = |pair, kind| Some(Rejected { pair, kind });
    assert_eq!(load(&["a"]).err(), fail(0, RejectedKind::NoScore));
    assert_eq!(load(&["a", "1", "b"]).err(), fail(1, RejectedKind::NoScore));
    assert_eq!(load(&["a", "one"]).err(), fail(0, RejectedKind::Score));
    assert_eq!(load(&["a", "nan"]).err(), fail(0, RejectedKind::Score));
    assert_eq!(load(&["a", "2", "b", "1"]).err(), fail(1, RejectedKind::Order));
    assert_eq!(load(&["b", "1", "a", "1"]).err(), fail(1, RejectedKind::Order));
    assert_eq!(load(&["a", "1", "a", "1"]).err(), fail(1, RejectedKind::Duplicate));
    assert_eq!(load(&["7", "1", "8", "1", "7", "2"]).err(), fail(2, RejectedKind::Duplicate));
    assert_eq!(
        load(&["a", "1", "b", "2", "c", "3", "d", "4", "a", "5"]).err(),
        fail(4, RejectedKind::Duplicate)
    );
    assert_eq!(load(&["a", "-inf", "b", "1e2", "c", "2.56e2"]).unwrap().score(b"c"), Some(256.0));
    assert_eq!(load(&["a", "1", "b", "2", "c", "3", "d", "4"]).unwrap().encoding(), "listpack");
    assert_eq!(load(&["a", "1", "b", "2", "c", "3", "d", "4", "e", "5"]).unwrap().encoding(), "skiplist");
    assert_eq!(load(&["a longer member than fits", "1"]).unwrap().encoding(), "skiplist");
    assert!(load(&[]).unwrap().is_empty());
}

#[test]
fn builder_sorts_and_rejects_what_no_set_holds() {
    for entries in [0, 100] {
        let mut builder = ZSetBuilder::new();
        assert!(builder.push(b"a", f64::NAN).is_err());
        for (member, score) in [(b"b", 1.0), (b"a", 1.0), (b"c", -1.0)] {
            builder.push(member, score).unwrap();
        }
        assert_eq!(builder.len(), 3);
        let set = builder.finish(&limits(entries)).unwrap();
        assert_eq!(collect(set.iter()), [(b"c".to_vec(), -1.0), (b"a".to_vec(), 1.0), (b"b".to_vec(), 1.0)]);
        for second in [1.0, 2.0] {
            let mut builder = ZSetBuilder::new();
            builder.push(b"a", 1.0).unwrap();
            builder.push(b"a", second).unwrap();
            let rejected = builder.finish(&limits(entries)).unwrap_err();
            assert_eq!(rejected, Rejected { pair: 1, kind: RejectedKind::Duplicate });
        }
    }
    assert!(ZSetBuilder::new().finish(&limits(4)).unwrap().is_empty());
}

#[test]
fn scan_visits_all_that_stays_while_others_come_and_go() {
    let n = if cfg!(miri) { 60 } else { 3_000 };
    let mut set = ZSet::new();
    (0..n).for_each(|i| {
        let _ = set.insert(format!("keep{i}").as_bytes(), f64::from(i), &limits(8));
    });
    let mut seen = HashSet::new();
    let mut cursor = 0;
    let mut round = 0;
    loop {
        cursor = set.scan(cursor, 10, |member, _| {
            let _ = seen.insert(member.to_vec());
        });
        assert!(cursor < 1 << 48);
        if cursor == 0 {
            break;
        }
        (0..20).for_each(|i| {
            let _ = set.insert(format!("new{round}:{i}").as_bytes(), 1.0, &limits(8));
        });
        (0..10).for_each(|i| {
            let _ = set.remove(format!("new{}:{i}", round / 2).as_bytes());
        });
        round += 1;
    }
    assert!((0..n).all(|i| seen.contains(format!("keep{i}").as_bytes())));
    assert!(round > 1);
}

#[test]
fn random_reaches_every_member_in_both_encodings() {
    for entries in [0, 100] {
        let mut set = ZSet::new();
        assert!(set.random(&mut Rng::from_seed(1)).is_none());
        (0..20u8).for_each(|i| {
            let _ = set.insert(&[i], f64::from(i), &limits(entries));
        });
        let mut rng = Rng::from_seed(7);
        let seen: HashSet<Vec<u8>> =
            (0..1_000).filter_map(|_| Some(set.random(&mut rng)?.0.to_vec())).collect();
        assert_eq!(seen.len(), 20);
    }
}

#[test]
fn ranks_beyond_the_end_find_nothing() {
    for entries in [0, 100] {
        let mut set = ZSet::new();
        set.insert(b"a", 1.0, &limits(entries));
        for rank in [1, 2, usize::MAX / 2, usize::MAX] {
            assert!(set.get(rank).is_none());
            assert_eq!(set.iter_range(rank, usize::MAX, false).count(), 0);
            assert_eq!(set.iter_range(rank, usize::MAX, true).count(), 0);
            assert_eq!(set.remove_range(rank..usize::MAX, |_, _| ()), 0);
        }
        assert_eq!(set.remove_range(0..usize::MAX, |_, _| ()), 1);
        assert!(set.pop_min().is_none() && set.pop_max().is_none());
    }
}

#[test]
fn memory_grows_with_the_members() {
    let mut set = ZSet::new();
    let empty = set.memory_bytes(5);
    (0..1_000).for_each(|i| {
        let _ = set.insert(format!("member:{i:013}").as_bytes(), f64::from(i), &limits(8));
    });
    let full = set.memory_bytes(5);
    assert!(empty < 64 && full > 1_000 * (30 + 16 + 8), "{empty} {full}");
}
