//! Sorting as much of a slice as is wanted.

use std::cmp::Ordering;

/// Below so many items they are sorted by insertion.
const INSERTION_MAX: usize = 7;
/// From so many items on the pivot is taken of nine candidates instead of three.
const NINTHER_MIN: usize = 41;

/// Sorts `items` so far that the first `wanted` are those that would come first, in order.
///
/// This is the quicksort of Bentley and McIlroy ("Engineering a Sort Function", 1993), which leaves out parts behind what is
/// wanted. Equal items end in the order in which just this algorithm leaves them: clients of Redis see it.
pub fn sort_first<T>(items: &mut [T], wanted: usize, compare: impl Fn(&T, &T) -> Ordering) {
    sort_part(items, wanted, &compare);
}

fn sort_part<T>(mut items: &mut [T], mut wanted: usize, compare: &impl Fn(&T, &T) -> Ordering) {
    loop {
        if items.len() < INSERTION_MAX {
            return sort_by_insertion(items, compare);
        }
        let pivot = choose_pivot(items, compare);
        items.swap(0, pivot);
        let (smaller, larger) = partition(items, compare);
        let len = items.len();
        if smaller > 1 && wanted > 0 {
            sort_part(&mut items[..smaller], wanted, compare);
        }
        if larger <= 1 || wanted <= len - larger {
            return;
        }
        wanted -= len - larger;
        items = &mut items[len - larger..];
    }
}

fn sort_by_insertion<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for next in 1..items.len() {
        let mut at = next;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

fn choose_pivot<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let len = items.len();
    let (mut low, mut middle, mut high) = (0, len / 2, len - 1);
    if len == INSERTION_MAX {
        return middle;
    }
    let median = |a: usize, b: usize, c: usize| median(items, [a, b, c], compare);
    if len >= NINTHER_MIN {
        let apart = len / 8;
        low = median(low, low + apart, low + 2 * apart);
        middle = median(middle - apart, middle, middle + apart);
        high = median(high - 2 * apart, high - apart, high);
    }
    median(low, middle, high)
}

fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let order = |x: usize, y: usize| compare(&items[x], &items[y]);
    if order(a, b).is_lt() {
        match (order(b, c), order(a, c)) {
            (Ordering::Less, _) => b,
            (_, Ordering::Less) => c,
            _ => a,
        }
    } else {
        match (order(b, c), order(a, c)) {
            (Ordering::Greater, _) => b,
            (_, Ordering::Less) => a,
            _ => c,
        }
    }
}

/// Moves what is smaller than the first item to the front, what is larger to the end and what is equal in between; returns the
/// numbers of smaller and of larger ones.
fn partition<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    // Equal ones gather at both ends: before `equal_left` and from `equal_right` on. The rest lies before `left` (smaller) and
    // from `right` on (larger).
    let (mut equal_left, mut left, mut right, mut equal_right) = (1, 1, len, len);
    loop {
        while left < right {
            let order = compare(&items[left], &items[0]);
            if order.is_gt() {
                break;
            }
            if order.is_eq() {
                items.swap(equal_left, left);
                equal_left += 1;
            }
            left += 1;
        }
        while left < right {
            let order = compare(&items[right - 1], &items[0]);
            if order.is_lt() {
                break;
            }
            if order.is_eq() {
                equal_right -= 1;
                items.swap(right - 1, equal_right);
            }
            right -= 1;
        }
        if left >= right {
            break;
        }
        right -= 1;
        items.swap(left, right);
        left += 1;
    }
    let (smaller, larger) = (left - equal_left, equal_right - right);
    let moved = equal_left.min(smaller);
    (0..moved).for_each(|at| items.swap(at, left - moved + at));
    let moved = larger.min(len - equal_right);
    (0..moved).for_each(|at| items.swap(left + at, len - moved + at));
    (smaller, larger)
}
