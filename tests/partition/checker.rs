//! Is there an order of the operations on one key, each at some moment between its call and its return, that explains what
//! was answered? The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), with the memory of
//! configurations that Lowe added ("Testing for Linearizability", 2017).

use super::history::{Action, Op};
use std::collections::HashSet;

/// Configurations after which the search gives up.
const MOST_CONFIGURATIONS: usize = 2_000_000;

/// What came of the search.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Explained,
    /// There is none. The longest that could be explained, and what could not follow.
    Contradiction {
        /// Operations of the longest order found.
        explained: usize,
        /// Those that were to come next, and the value before them.
        stuck: Vec<String>,
    },
    /// The search was given up.
    Undecided,
}

/// A set of operations, by index.
type Done = Vec<u64>;

fn has(done: &Done, index: usize) -> bool {
    done[index / 64] >> (index % 64) & 1 == 1
}

fn with(done: &Done, index: usize) -> Done {
    let mut done = done.clone();
    done[index / 64] |= 1 << (index % 64);
    done
}

/// The value after `op`, if `op` may happen when the key holds `value`.
fn apply(op: &Op, value: Option<i64>) -> Option<Option<i64>> {
    match (op.action, op.answer) {
        (Action::Set(new), _) => Some(Some(new)),
        (Action::Get, answer) => (answer == value).then_some(value),
        (Action::Incr, answer) => {
            let new = value.unwrap_or(0) + 1;
            (op.is_unknown() || answer == Some(new)).then_some(Some(new))
        }
    }
}

/// Leaves out writes without an answer of which nobody has ever seen a trace: they need not have happened.
fn relevant(ops: &[Op]) -> Vec<Op> {
    let family = |value: i64| value / Action::STEP;
    let seen: HashSet<i64> = ops.iter().filter_map(|op| op.answer).map(family).collect();
    let keep = |op: &&Op| match op.action {
        Action::Set(value) if op.is_unknown() => seen.contains(&family(value)),
        _ => true,
    };
    let mut ops: Vec<Op> = ops.iter().filter(keep).cloned().collect();
    ops.sort_by_key(|op| op.called_ns);
    ops
}

/// Judges all operations on one key, which holds nothing at first.
pub fn check(ops: &[Op]) -> Verdict {
    let ops = relevant(ops);
    let wanted = ops.iter().filter(|op| !op.is_unknown()).count();
    let mut seen: HashSet<(Done, Option<i64>)> = HashSet::new();
    // A configuration, its value, and how many of those that must happen have.
    let mut open = vec![(vec![0u64; ops.len() / 64 + 1], None, 0usize)];
    let mut best = (0, Vec::new());
    while let Some((done, value, count)) = open.pop() {
        if count == wanted {
            return Verdict::Explained;
        }
        if seen.len() > MOST_CONFIGURATIONS {
            return Verdict::Undecided;
        }
        let next = candidates(&ops, &done);
        if count >= best.0 {
            let tell = |index: &usize| format!("{:?} on {value:?}", ops[*index]);
            best = (count, next.iter().map(tell).collect());
        }
        // The last that is pushed is tried first: the one that returned first.
        for index in next.into_iter().rev() {
            let Some(after) = apply(&ops[index], value) else { continue };
            let done = with(&done, index);
            if seen.insert((done.clone(), after)) {
                open.push((done, after, count + usize::from(!ops[index].is_unknown())));
            }
        }
    }
    Verdict::Contradiction { explained: best.0, stuck: best.1 }
}

/// Operations that may be next: called before any that is left has returned. Those that returned first stand first.
fn candidates(ops: &[Op], done: &Done) -> Vec<usize> {
    let mut found = Vec::new();
    let mut first_return = u64::MAX;
    for (index, op) in ops.iter().enumerate() {
        if op.called_ns > first_return {
            break;
        }
        if !has(done, index) {
            first_return = first_return.min(op.returned_ns);
            found.push(index);
        }
    }
    found.retain(|index| ops[*index].called_ns <= first_return);
    found.sort_by_key(|index| ops[*index].returned_ns);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(action: Action, called_ns: u64, returned_ns: u64, answer: Option<i64>) -> Op {
        Op { key: 0, node: 0, action, called_ns, returned_ns, answer }
    }

    fn set(value: i64, called: u64, returned: u64) -> Op {
        op(Action::Set(value), called, returned, None)
    }

    fn get(value: Option<i64>, called: u64, returned: u64) -> Op {
        op(Action::Get, called, returned, value)
    }

    fn refused(ops: &[Op]) -> bool {
        matches!(check(ops), Verdict::Contradiction { .. })
    }

    const NEVER: u64 = Op::NEVER;

    #[test]
    fn a_lost_write_is_found() {
        assert_eq!(check(&[set(1000, 0, 10), get(Some(1000), 11, 12)]), Verdict::Explained);
        assert!(refused(&[set(1000, 0, 10), get(None, 11, 12)]));
        assert!(refused(&[set(1000, 0, 10), set(2000, 11, 12), get(Some(1000), 13, 14)]));
    }

    #[test]
    fn a_stale_read_is_found() {
        // Whoever reads later must not see what is older.
        let ops = [set(1000, 0, 10), set(2000, 20, 60), get(Some(2000), 30, 35), get(Some(1000), 40, 45)];
        assert!(refused(&ops));
        let ops = [set(1000, 0, 10), set(2000, 20, 60), get(Some(1000), 30, 35), get(Some(2000), 40, 45)];
        assert_eq!(check(&ops), Verdict::Explained);
    }

    #[test]
    fn writes_at_once_may_come_in_either_order() {
        for last in [1000, 2000] {
            let ops = [set(1000, 0, 50), set(2000, 5, 40), get(Some(last), 60, 70)];
            assert_eq!(check(&ops), Verdict::Explained);
        }
        assert!(refused(&[
            set(1000, 0, 50),
            set(2000, 5, 40),
            get(Some(1000), 60, 70),
            get(Some(2000), 71, 80)
        ]));
    }

    #[test]
    fn a_write_without_an_answer_may_happen_late_or_never() {
        let unknown = set(2000, 5, NEVER);
        for seen in [1000, 2000] {
            let ops = [set(1000, 0, 4), unknown.clone(), get(Some(1000), 10, 20), get(Some(seen), 30, 40)];
            assert_eq!(check(&ops), Verdict::Explained);
        }
        // But not twice, and not before it was called.
        let again = [
            set(1000, 0, 4),
            unknown.clone(),
            get(Some(2000), 10, 20),
            set(3000, 21, 22),
            get(Some(2000), 30, 40),
        ];
        assert!(refused(&again));
        assert!(refused(&[get(Some(2000), 1, 3), unknown]));
    }

    #[test]
    fn increments_count_each_once() {
        let incr = |n, called, returned| op(Action::Incr, called, returned, Some(n));
        assert_eq!(check(&[incr(1, 0, 5), incr(2, 1, 4), incr(3, 10, 11)]), Verdict::Explained);
        assert!(refused(&[incr(1, 0, 5), incr(1, 6, 7)]));
        assert!(refused(&[incr(1, 0, 5), incr(3, 6, 7)]));
        let unknown = op(Action::Incr, 2, NEVER, None);
        assert_eq!(check(&[incr(1, 0, 1), unknown, incr(3, 6, 7)]), Verdict::Explained);
    }
}
