//! The tree against a sorted vector.

use proptest::prelude::*;

use super::entry::Entry;
use super::node::Key;
use super::tree::Tree;

type Model = Vec<(f64, Vec<u8>)>;

const CASES: u32 = if cfg!(miri) { 1 } else { 200 };
const STEPS: usize = if cfg!(miri) { 10 } else { 40 };

fn key(item: &(f64, Vec<u8>)) -> Key<'_> {
    Key { score: item.0, member: &item.1 }
}

fn find(model: &Model, score: f64, member: &[u8]) -> Result<usize, usize> {
    model.binary_search_by(|(s, m)| s.partial_cmp(&score).unwrap().then_with(|| m.as_slice().cmp(member)))
}

fn member(n: u32) -> Vec<u8> {
    format!("m{n:04}").into_bytes()
}

fn insert(tree: &mut Tree, model: &mut Model, score: f64, name: Vec<u8>) {
    if let Err(at) = find(model, score, &name) {
        tree.insert(Entry::new(score, &name));
        model.insert(at, (score, name));
    }
}

fn contents<'a>(items: impl Iterator<Item = super::entry::EntryView<'a>>) -> Model {
    items.map(|view| (view.score(), view.member().to_vec())).collect()
}

fn compare(tree: &Tree, model: &Model) {
    tree.check();
    assert_eq!(tree.len(), model.len());
    assert_eq!(&contents(tree.range(0, usize::MAX, false)), model);
}

#[derive(Debug, Clone)]
enum Op {
    Insert(i8, u32),
    Ascending(u8),
    Descending(u8),
    Within(i8, u8),
    Remove(prop::sample::Index),
    RemoveMany(prop::sample::Index, u8),
    RemoveAt(prop::sample::Index),
    RemoveRange(prop::sample::Index, prop::sample::Index),
    Update(prop::sample::Index, i8),
    Nudge(prop::sample::Index, f64),
    Rebuild,
}

fn op() -> impl Strategy<Value = Op> {
    use prop::sample::Index;
    prop_oneof![
        4 => (any::<i8>(), 0..50u32).prop_map(|(s, m)| Op::Insert(s, m)),
        2 => any::<u8>().prop_map(Op::Ascending),
        2 => any::<u8>().prop_map(Op::Descending),
        2 => (any::<i8>(), any::<u8>()).prop_map(|(s, n)| Op::Within(s, n)),
        2 => any::<Index>().prop_map(Op::Remove),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(i, n)| Op::RemoveMany(i, n)),
        2 => any::<Index>().prop_map(Op::RemoveAt),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Op::RemoveRange(a, b)),
        4 => (any::<Index>(), any::<i8>()).prop_map(|(i, s)| Op::Update(i, s)),
        2 => (any::<Index>(), -1.0..1.0).prop_map(|(i, d)| Op::Nudge(i, d)),
        1 => Just(Op::Rebuild),
    ]
}

fn update(tree: &mut Tree, model: &mut Model, at: usize, score: f64) {
    let (old, name) = model[at].clone();
    if find(model, score, &name).is_ok() {
        return;
    }
    assert!(tree.update(Key { score: old, member: &name }, score));
    model.remove(at);
    let at = find(model, score, &name).unwrap_err();
    model.insert(at, (score, name));
}

fn remove_range(tree: &mut Tree, model: &mut Model, from: usize, to: usize) {
    let mut taken = Vec::new();
    tree.remove_range(from, to, &mut |entry| {
        taken.push((entry.view().score(), entry.view().member().to_vec()))
    });
    let want: Model = model.drain(from.min(to)..to).collect();
    assert_eq!(taken, want);
}

fn apply(tree: &mut Tree, model: &mut Model, op: Op) {
    let ends = (model.first().map_or(0.0, |it| it.0), model.last().map_or(0.0, |it| it.0));
    match op {
        Op::Insert(score, m) => insert(tree, model, score.into(), member(m)),
        Op::Ascending(n) => (0..n).for_each(|i| insert(tree, model, ends.1 + f64::from(i), member(i.into()))),
        Op::Descending(n) => {
            (0..n).for_each(|i| insert(tree, model, ends.0 - f64::from(i), member(i.into())))
        }
        Op::Within(s, n) => (0..n).for_each(|i| insert(tree, model, s.into(), member(100 + u32::from(i)))),
        _ if model.is_empty() => {}
        Op::Remove(i) => {
            let item = model.remove(i.index(model.len()));
            assert_eq!(tree.remove(key(&item)).unwrap().view().member(), item.1);
            assert!(tree.remove(key(&item)).is_none());
        }
        Op::RemoveMany(i, n) => {
            let at = i.index(model.len());
            for _ in 0..usize::from(n).min(model.len() - at) {
                let item = model.remove(at);
                assert!(tree.remove(key(&item)).is_some());
                tree.check();
            }
        }
        Op::RemoveAt(i) => {
            let at = i.index(model.len());
            let item = model.remove(at);
            assert_eq!(tree.remove_at(at).unwrap().view().member(), item.1);
        }
        Op::RemoveRange(a, b) => {
            let (from, to) = (a.index(model.len()), b.index(model.len() + 1));
            remove_range(tree, model, from, to.max(from));
        }
        Op::Update(i, score) => update(tree, model, i.index(model.len()), score.into()),
        Op::Nudge(i, by) => {
            let at = i.index(model.len());
            let score = model[at].0 + by;
            update(tree, model, at, score);
        }
        Op::Rebuild => *tree = Tree::from_sorted(model.iter().map(|(s, m)| Entry::new(*s, m))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() })]
    #[test]
    fn tree_agrees_with_a_sorted_vector(
        ops in prop::collection::vec(op(), 1..STEPS),
        probes in prop::collection::vec((any::<prop::sample::Index>(), 0..90usize), 3),
    ) {
        let (mut tree, mut model) = (Tree::default(), Model::new());
        for op in ops {
            apply(&mut tree, &mut model, op);
            compare(&tree, &model);
        }
        for (i, count) in probes {
            let start = i.index(model.len() + 1);
            let up: Model = model.iter().skip(start).take(count).cloned().collect();
            prop_assert_eq!(contents(tree.range(start, count, false)), up);
            let down: Model = model.iter().take(start + 1).rev().take(count).cloned().collect();
            let down = if start < model.len() { down } else { Model::new() };
            prop_assert_eq!(contents(tree.range(start, count, true)), down);
            if let Some(item) = model.get(start) {
                prop_assert_eq!(tree.rank(key(item)), Some(start));
                prop_assert_eq!(tree.get(start).unwrap().member(), &item.1[..]);
                let lower = tree.partition_rank(|score, _| score < item.0);
                prop_assert_eq!(lower, model.partition_point(|it| it.0 < item.0));
                let at = tree.partition_rank(|s, view| s < item.0 || (s == item.0 && view.member() < &item.1[..]));
                prop_assert_eq!(at, start);
            }
        }
        prop_assert!(tree.get(model.len()).is_none());
        prop_assert_eq!(tree.rank(Key { score: 0.5, member: b"absent" }), None);
    }
}

#[test]
fn appends_and_prepends_leave_full_leaves() {
    let n = if cfg!(miri) { 300 } else { 5_000 };
    for sign in [1.0, -1.0] {
        let mut tree = Tree::default();
        (0..n).for_each(|i| {
            let _ = tree.insert(Entry::new(sign * f64::from(i), b"m"));
        });
        tree.check();
        assert!(tree.fill() > 0.95, "{}", tree.fill());
    }
}

#[test]
fn random_inserts_leave_well_filled_leaves() {
    let n = if cfg!(miri) { 300 } else { 5_000 };
    let mut tree = Tree::default();
    for i in 0..n {
        let score = f64::from(u32::wrapping_mul(i, 2_654_435_761));
        tree.insert(Entry::new(score, &member(i)));
    }
    tree.check();
    assert!(tree.fill() > 0.75, "{}", tree.fill());
}

#[test]
fn equal_scores_order_by_unsigned_bytes_and_zero_has_no_sign() {
    let mut tree = Tree::default();
    let members: [&[u8]; 6] = [b"b", b"", b"\xff", b"ab", b"a", b"a\0"];
    for (i, m) in members.iter().enumerate() {
        tree.insert(Entry::new(if i % 2 == 0 { 0.0 } else { -0.0 }, m));
    }
    let order: Vec<&[u8]> = tree.range(0, 9, false).map(|v| v.member()).collect();
    assert_eq!(order, [&b""[..], b"a", b"a\0", b"ab", b"b", b"\xff"]);
}
