use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const HEAD: Direction = Direction::Forward;
const TAIL: Direction = Direction::Backward;

fn sized(list_max_listpack_size: i64) -> Limits {
    Limits { list_max_listpack_size, ..Limits::default() }
}

fn texts(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(|element| element.to_vec()).collect()
}

#[test]
fn leaves_the_listpack_where_redis_does() {
    let limits = Limits::default();
    let mut list = List::new();
    // 7 bytes of header and end; 4 + 98 + 2 bytes... each element of 98 bytes takes 101.
    let element = [b'x'; 98];
    for _ in 0..80 {
        list.push(TAIL, &element, &limits);
    }
    assert_eq!((list.encoding(), list.len()), ("listpack", 80));
    // 7 + 80 * 101 = 8087: 105 bytes of text still fit the check, 106 do not.
    let mut larger = list.clone();
    larger.push(TAIL, &[b'x'; 106], &limits);
    assert_eq!((larger.encoding(), larger.node_count()), ("quicklist", 2));
    list.push(TAIL, &[b'x'; 105], &limits);
    assert_eq!(list.encoding(), "listpack");
    let mut counted = List::new();
    (0..4).for_each(|_| counted.push(HEAD, b"a", &sized(4)));
    assert_eq!(counted.encoding(), "listpack");
    counted.push(HEAD, b"a", &sized(4));
    assert_eq!(counted.encoding(), "quicklist");
    // One command with many elements is judged as a whole.
    let mut at_once = List::new();
    at_once.push_all(TAIL, std::iter::repeat_n(&b"x"[..], 5), &sized(4));
    assert_eq!((at_once.encoding(), at_once.len(), at_once.node_count()), ("quicklist", 5, 2));
}

#[test]
fn returns_to_the_listpack_at_half_the_limit() {
    let limits = sized(8);
    let mut list = List::new();
    (0..9).for_each(|n| list.push(TAIL, n.to_string().as_bytes(), &limits));
    assert_eq!(list.encoding(), "quicklist");
    for left in (5..9).rev() {
        list.pop(TAIL, &limits);
        assert_eq!((list.encoding(), list.len()), ("quicklist", left));
    }
    list.pop(HEAD, &limits);
    assert_eq!((list.encoding(), list.len()), ("listpack", 4));
    // A loaded list converts up to the whole limit.
    let mut loaded = List::new();
    loaded.push_packed_node(Listpack::from_elements((0..8).map(Element::Int)));
    assert_eq!(loaded.encoding(), "quicklist");
    loaded.finish_load(&limits);
    assert_eq!((loaded.encoding(), loaded.len()), ("listpack", 8));
}

#[test]
fn a_long_listpack_is_in_pieces_and_nobody_sees_it() {
    let limits = Limits::default();
    let element = |n: usize| format!("{n:024}").into_bytes();
    let mut list = List::new();
    (0..100).for_each(|n| list.push(TAIL, &element(n), &limits));
    // 26 bytes each: 78 of them in 2048 bytes, the rest in another piece.
    assert_eq!((list.encoding(), list.node_count()), ("listpack", 2));
    assert_eq!(list.nodes().map(NodeRef::byte_len).collect::<Vec<_>>(), [7 + 78 * 26, 7 + 22 * 26]);
    let whole = list.merged().unwrap();
    assert_eq!(whole.byte_len(), 7 + 100 * 26);

    // What a file gave as one listpack is cut when it is loaded.
    let mut loaded = List::new();
    loaded.push_packed_node(whole.clone());
    loaded.finish_load(&limits);
    assert_eq!((loaded.encoding(), loaded.node_count()), ("listpack", 2));
    assert_eq!(loaded.merged().unwrap().as_bytes(), whole.as_bytes());

    // An element larger than a piece has one for itself; the limit is that of the whole.
    list.insert(50, &[b'x'; 5000], &limits);
    // What followed it in its piece has joined the next one.
    assert_eq!((list.encoding(), list.node_count()), ("listpack", 3));
    assert!(list.get(50).unwrap().eq_bytes(&[b'x'; 5000]) && list.get(51).unwrap().eq_bytes(&element(50)));
    assert!(list.set(50, b"small", &limits));
    (0..300).for_each(|n| list.push(HEAD, &element(n), &limits));
    assert_eq!((list.encoding(), list.node_count()), ("quicklist", 2));
    list.trim(0..80, &limits);
    assert_eq!(list.encoding(), "listpack");

    // Whole again once one piece is left.
    loaded.trim(90..100, &limits);
    assert!(loaded.merged().is_none());
    assert_eq!((loaded.len(), loaded.node_count()), (10, 1));
}

#[test]
fn large_elements_get_their_own_node() {
    let limits = Limits::default();
    let large = vec![b'x'; 8193];
    let mut list = List::new();
    list.push(TAIL, b"a", &limits);
    list.push(TAIL, &large, &limits);
    list.push(TAIL, b"b", &limits);
    let kinds: Vec<bool> = list.nodes().map(|node| matches!(node, NodeRef::Plain(_))).collect();
    assert_eq!(kinds, [false, true, false]);
    assert!(list.get(1).unwrap().eq_bytes(&large));
    assert!(list.set(1, b"small", &limits));
    assert!(list.set(0, &large, &limits));
    assert_eq!(texts(&list), [large.clone(), b"small".to_vec(), b"b".to_vec()]);
    list.insert(1, &large, &limits);
    assert_eq!(list.remove_matching(&large, 5, TAIL, &limits), 2);
    assert_eq!(texts(&list), [b"small".to_vec(), b"b".to_vec()]);
}

#[test]
fn nodes_round_trip() {
    let limits = sized(3);
    let mut list = List::new();
    (0..10).for_each(|n| list.push(TAIL, n.to_string().as_bytes(), &limits));
    list.push(TAIL, &[b'y'; 9000], &limits);
    let mut loaded = List::new();
    for node in list.nodes() {
        match node {
            NodeRef::Packed(view) => loaded.push_packed_node(Listpack::from_bytes(view.as_bytes()).unwrap()),
            NodeRef::Plain(bytes) => loaded.push_plain_node(bytes),
        }
    }
    loaded.push_packed_node(Listpack::new());
    loaded.finish_load(&limits);
    assert_eq!(loaded.node_count(), list.node_count());
    assert_eq!(texts(&loaded), texts(&list));
    assert_eq!(list.estimated_free_effort(), 5);
}

#[test]
fn ranges_as_lrange_means_them() {
    let cases = [
        ((0, -1), 0..5),
        ((1, 2), 1..3),
        ((-2, -1), 3..5),
        ((-100, 100), 0..5),
        ((3, 1), 0..0),
        ((5, 9), 0..0),
        ((-1, -2), 0..0),
        ((0, -6), 0..0),
        ((i64::MIN, i64::MAX), 0..5),
    ];
    for ((start, stop), expected) in cases {
        assert_eq!(resolve_range(start, stop, 5), expected, "{start} {stop}");
    }
    assert_eq!(resolve_range(0, -1, 0), 0..0);
}

#[test]
fn positions_as_lpos_finds_them() {
    let limits = sized(2);
    let mut list = List::new();
    for text in ["a", "b", "c", "1", "2", "3", "c", "c"] {
        list.push(TAIL, text.as_bytes(), &limits);
    }
    let all = usize::MAX;
    assert_eq!(list.positions(b"c", HEAD, 0, all, all), [2, 6, 7]);
    assert_eq!(list.positions(b"c", HEAD, 1, 1, all), [6]);
    assert_eq!(list.positions(b"c", TAIL, 0, 2, all), [7, 6]);
    assert_eq!(list.positions(b"c", HEAD, 0, all, 6), [2]);
    assert_eq!(list.positions(b"2", TAIL, 0, 1, all), [4]);
    assert!(List::new().positions(b"c", TAIL, 0, all, all).is_empty());
}

#[derive(Clone)]
enum Op {
    Push(bool, Vec<u8>),
    PushAll(bool, Vec<Vec<u8>>),
    Pop(bool),
    Set(i64, Vec<u8>),
    Insert(usize, Vec<u8>),
    Beside(bool, Vec<u8>, Vec<u8>),
    Remove(Vec<u8>, usize, bool),
    RemoveRange(usize, usize),
    Trim(i64, i64),
}

impl std::fmt::Debug for Op {
    /// Long elements are shown by their length.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |t: &Vec<u8>| if t.len() > 9 { t.len().to_string() } else { t.escape_ascii().to_string() };
        match self {
            Op::Push(head, t) => write!(f, "push({head}, {})", show(t)),
            Op::PushAll(head, all) => {
                write!(f, "push_all({head}, {:?})", all.iter().map(show).collect::<Vec<_>>())
            }
            Op::Pop(head) => write!(f, "pop({head})"),
            Op::Set(i, t) => write!(f, "set({i}, {})", show(t)),
            Op::Insert(i, t) => write!(f, "insert({i}, {})", show(t)),
            Op::Beside(before, p, t) => write!(f, "beside({before}, {}, {})", show(p), show(t)),
            Op::Remove(t, n, head) => write!(f, "remove({}, {n}, {head})", show(t)),
            Op::RemoveRange(i, n) => write!(f, "remove_range({i}, {n})"),
            Op::Trim(a, b) => write!(f, "trim({a}, {b})"),
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[ab]{0,2}".prop_map(String::into_bytes),
        4 => any::<i16>().prop_map(|n| n.to_string().into_bytes()),
        2 => (0usize..3000).prop_map(|len| vec![b'x'; len]),
        1 => (8000usize..9000).prop_map(|len| vec![b'y'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<bool>(), text()).prop_map(|(e, t)| Op::Push(e, t)),
        4 => (any::<bool>(), prop::collection::vec(text(), 0..12)).prop_map(|(e, t)| Op::PushAll(e, t)),
        3 => any::<bool>().prop_map(Op::Pop),
        3 => (-40i64..40, text()).prop_map(|(i, t)| Op::Set(i, t)),
        4 => (0usize..60, text()).prop_map(|(i, t)| Op::Insert(i, t)),
        2 => (any::<bool>(), text(), text()).prop_map(|(b, p, t)| Op::Beside(b, p, t)),
        2 => (text(), 0usize..4, any::<bool>()).prop_map(|(t, n, e)| Op::Remove(t, n, e)),
        2 => (0usize..50, 0usize..12).prop_map(|(i, n)| Op::RemoveRange(i, n)),
        1 => (-40i64..10, -10i64..40).prop_map(|(a, b)| Op::Trim(a, b)),
    ]
}

fn side(head: bool) -> Direction {
    if head { HEAD } else { TAIL }
}

fn push_model(model: &mut VecDeque<Vec<u8>>, head: bool, text: Vec<u8>) {
    if head { model.push_front(text) } else { model.push_back(text) }
}

fn apply(list: &mut List, model: &mut VecDeque<Vec<u8>>, op: Op, limits: &Limits) {
    let len = model.len();
    match op {
        Op::Push(head, text) => {
            list.push(side(head), &text, limits);
            push_model(model, head, text);
        }
        Op::PushAll(head, all) => {
            list.push_all(side(head), all.iter().map(Vec::as_slice), limits);
            all.into_iter().for_each(|text| push_model(model, head, text));
        }
        Op::Pop(head) => {
            let expected = if head { model.pop_front() } else { model.pop_back() };
            assert_eq!(list.pop(side(head), limits), expected);
        }
        Op::Set(i, text) => {
            let index = if i < 0 { i + len as i64 } else { i };
            let slot = usize::try_from(index).ok().and_then(|index| model.get_mut(index));
            assert_eq!(list.set(i, &text, limits), slot.is_some());
            slot.into_iter().for_each(|slot| slot.clone_from(&text));
        }
        Op::Insert(i, text) => {
            list.insert(i, &text, limits);
            model.insert(i.min(len), text);
        }
        Op::Beside(before, pivot, text) => {
            let found = model.iter().position(|t| *t == pivot);
            let done = if before {
                list.insert_before(&pivot, &text, limits)
            } else {
                list.insert_after(&pivot, &text, limits)
            };
            assert_eq!(done, found.is_some());
            found.into_iter().for_each(|i| model.insert(i + usize::from(!before), text.clone()));
        }
        Op::Remove(text, n, head) => {
            let mut hits: Vec<usize> = (0..len).filter(|&i| model[i] == text).collect();
            if !head {
                hits.reverse();
            }
            hits.truncate(n);
            assert_eq!(list.positions(&text, side(head), 0, n, usize::MAX), hits);
            assert_eq!(list.remove_matching(&text, n, side(head), limits), hits.len());
            hits.sort_unstable();
            hits.iter().rev().for_each(|&i| drop(model.remove(i)));
        }
        Op::RemoveRange(i, n) => {
            list.remove_range(i..i + n, limits);
            model.drain(i.min(len)..(i + n).min(len));
        }
        Op::Trim(start, stop) => {
            let keep = resolve_range(start, stop, len);
            list.trim(keep.clone(), limits);
            model.truncate(keep.end);
            model.drain(..keep.start);
        }
    }
}

fn check(list: &List, model: &VecDeque<Vec<u8>>, limits: &Limits) {
    assert_eq!(list.len(), model.len());
    assert!(texts(list).iter().eq(model));
    let counts = list.nodes().map(|node| node.iter().count_all());
    assert_eq!(counts.sum::<usize>(), model.len());
    for (i, expected) in model.iter().enumerate() {
        assert!(list.get(i as i64).unwrap().eq_bytes(expected));
        assert!(list.get(i as i64 - model.len() as i64).unwrap().eq_bytes(expected));
    }
    assert!(list.get(model.len() as i64).is_none() && list.get(-1 - model.len() as i64).is_none());
    for start in [0, model.len() / 3, model.len().saturating_sub(1)] {
        let forward: Vec<_> = list.iter_from(start, HEAD).map(|element| element.to_vec()).collect();
        assert!(forward.iter().eq(model.iter().skip(start)));
        let backward: Vec<_> = list.iter_from(start, TAIL).map(|element| element.to_vec()).collect();
        assert!(backward.iter().eq(model.iter().take(start + 1).rev()));
    }
    if let Some(whole) = list.merged() {
        assert_eq!((list.encoding(), list.node_count() > 1), ("listpack", true));
        let expected = Listpack::from_elements(model.iter().map(|text| Element::parse(text)));
        assert_eq!(whole.as_bytes(), expected.as_bytes());
        assert!(
            !limits.list_node().exceeded_by(whole.byte_len().saturating_sub(8 * model.len()), model.len())
        );
    }
    for node in list.nodes() {
        if let NodeRef::Packed(view) = node {
            assert_eq!(crate::value::listpack::validate(view.as_bytes(), true), Ok(()));
            assert!(!view.is_empty() || list.encoding() == "listpack");
            let overhead = 8 * view.len() + 16;
            assert!(
                !limits.list_node().exceeded_by(view.as_bytes().len().saturating_sub(overhead), view.len())
            );
        }
    }
}

impl NodeIter<'_> {
    fn count_all(mut self) -> usize {
        std::iter::from_fn(|| self.step(HEAD)).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 192 }, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agrees_with_a_deque(
        size in prop::sample::select(vec![-2i64, -1, 1, 2, 3, 7, 0]),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let limits = sized(size);
        let (mut list, mut model) = (List::new(), VecDeque::new());
        for op in ops {
            apply(&mut list, &mut model, op, &limits);
            check(&list, &model, &limits);
        }
        prop_assert_eq!(texts(&list.clone()), texts(&list));
    }
}
