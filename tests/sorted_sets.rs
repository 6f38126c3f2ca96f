//! Sorted sets of the size that ships (unit tests run smaller tree nodes) against two ordered collections.

use std::collections::{BTreeMap, BTreeSet};

use outrigger::base::random::Rng;
use outrigger::value::zset::{LexBound, ScoreBound, ZSet, ZSetBuilder};
use outrigger::value::{Element, Limits};

#[derive(Default)]
struct Model {
    scores: BTreeMap<Vec<u8>, i64>,
    order: BTreeSet<(i64, Vec<u8>)>,
}

impl Model {
    fn insert(&mut self, member: Vec<u8>, score: i64) {
        if let Some(old) = self.scores.insert(member.clone(), score) {
            self.order.remove(&(old, member.clone()));
        }
        self.order.insert((score, member));
    }

    fn remove(&mut self, member: &[u8]) -> Option<i64> {
        let score = self.scores.remove(member)?;
        self.order.remove(&(score, member.to_vec()));
        Some(score)
    }
}

fn member(n: u64) -> Vec<u8> {
    format!("member:{n:014}").into_bytes()
}

fn owned((member, score): (Element<'_>, f64)) -> (i64, Vec<u8>) {
    (score as i64, member.to_vec())
}

fn compare(set: &ZSet, model: &Model, rng: &mut Rng) {
    assert_eq!(set.len(), model.order.len());
    assert!(set.iter().map(owned).eq(model.order.iter().cloned()), "ascending");
    let down = set.iter_range(set.len().saturating_sub(1), usize::MAX, true);
    assert!(down.map(owned).eq(model.order.iter().rev().cloned()), "descending");
    let step = (set.len() / 500).max(1);
    for (rank, (score, member)) in model.order.iter().enumerate().step_by(step) {
        assert_eq!(set.rank(member, false), Some((rank, *score as f64)));
        assert_eq!(set.get(rank).map(owned).as_ref(), Some(&(*score, member.clone())));
    }
    for _ in 0..20 {
        let (min, max) = (rng.below(1_000) as i64, rng.below(1_000) as i64);
        let range = set.score_range(ScoreBound::inclusive(min as f64), ScoreBound::exclusive(max as f64));
        let want = model.order.iter().filter(|it| (min..max).contains(&it.0)).count();
        assert_eq!(range.len(), want);
    }
}

fn churn(set: &mut ZSet, model: &mut Model, rng: &mut Rng, names: u64, inserts: u64, of: u64) {
    let limits = Limits::default();
    for _ in 0..20_000 {
        let name = member(rng.below(names));
        if rng.below(of) < inserts {
            let score = rng.below(1_000) as i64;
            set.insert(&name, score as f64, &limits);
            model.insert(name, score);
        } else {
            assert_eq!(set.remove(&name), model.remove(&name).map(|score| score as f64));
        }
    }
}

#[test]
fn growth_churn_and_shrinkage_keep_order_and_ranks() {
    let mut rng = Rng::from_seed(42);
    let (mut set, mut model) = (ZSet::new(), Model::default());
    for (inserts, of) in [(1, 1), (3, 4), (1, 2), (1, 5)] {
        churn(&mut set, &mut model, &mut rng, 30_000, inserts, of);
        compare(&set, &model, &mut rng);
    }
    while set.len() > 10 {
        let (from, to) = (rng.below(set.len() as u64) as usize, rng.below(set.len() as u64) as usize);
        let mut seen = Vec::new();
        set.remove_range(from..to.min(from + 3_000), |member, score| seen.push(owned((member, score))));
        for (score, member) in seen {
            assert_eq!(model.remove(&member), Some(score));
        }
        compare(&set, &model, &mut rng);
    }
    while let Some((name, score)) = set.pop_max() {
        assert_eq!(model.order.pop_last(), Some((score as i64, name)));
    }
    assert!(model.order.is_empty());
}

#[test]
fn appends_prepends_and_builds_agree_and_stay_compact() {
    const COUNT: u64 = 20_000;
    let limits = Limits::default();
    let build = |score: &dyn Fn(u64) -> i64| {
        let (mut set, mut model, mut builder) = (ZSet::new(), Model::default(), ZSetBuilder::new());
        for n in 0..COUNT {
            set.insert(&member(n), score(n) as f64, &limits);
            model.insert(member(n), score(n));
            builder.push(&member(n), score(n) as f64).unwrap();
        }
        let built = builder.finish(&limits).unwrap();
        compare(&set, &model, &mut Rng::from_seed(1));
        compare(&built, &model, &mut Rng::from_seed(1));
        compare(&built.clone(), &model, &mut Rng::from_seed(1));
        set.memory_bytes(100) / COUNT as usize
    };
    assert!(build(&|n| n as i64) < 75);
    assert!(build(&|n| -(n as i64)) < 75);
    assert!(build(&|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as i64) < 75);
}

#[test]
fn ranges_by_member_over_many_equal_scores() {
    let mut set = ZSet::new();
    (0..5_000).for_each(|n| {
        set.insert(&member(n * 2), 0.0, &Limits::default());
    });
    for n in [0u64, 1, 777, 5_000, 9_998, 9_999] {
        let name = member(n);
        let up_to = set.lex_range(LexBound::Min, LexBound::Inclusive(&name));
        assert_eq!(up_to, 0..(n / 2 + 1) as usize);
        let behind = set.lex_range(LexBound::Exclusive(&name), LexBound::Max);
        assert_eq!(behind, (n / 2 + 1) as usize..5_000);
    }
}
