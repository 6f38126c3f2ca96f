use super::*;
use proptest::prelude::*;

fn bytes_of(lp: &Listpack) -> &[u8] {
    &lp.as_bytes()[HEADER..lp.byte_len() - 1]
}

fn texts(lp: &Listpack) -> Vec<Vec<u8>> {
    lp.iter().map(|element| element.to_vec()).collect()
}

fn one(element: Element<'_>) -> Listpack {
    Listpack::from_elements([element])
}

/// Validates and compares with the model, in both directions and by index.
fn check(lp: &Listpack, model: &[Vec<u8>]) {
    assert_eq!(validate(lp.as_bytes(), true), Ok(()));
    assert_eq!(lp.len(), model.len());
    assert_eq!(texts(lp), model);
    let mut backward: Vec<_> = lp.iter().rev().map(|element| element.to_vec()).collect();
    backward.reverse();
    assert_eq!(backward, model);
    for (i, expected) in model.iter().enumerate() {
        assert!(lp.view().get_index(i).unwrap().eq_bytes(expected));
        let from_end = i as i64 - model.len() as i64;
        assert_eq!(lp.view().seek_signed(from_end), lp.view().seek(i));
    }
    assert_eq!(lp.view().seek(model.len()), None);
    assert_eq!(lp.view().seek_signed(-(model.len() as i64) - 1), None);
}

#[test]
fn header_and_end() {
    let mut lp = Listpack::new();
    assert_eq!(lp.as_bytes(), [7, 0, 0, 0, 0, 0, 0xFF]);
    lp.push_back(Element::Int(1));
    lp.push_back(Element::Bytes(b"a"));
    let expected = [
        12, 0, 0, 0, // total bytes
        2, 0, // entries
        0x01, 1, // 7-bit number 1, one byte back
        0x81, b'a', 2, // string of one byte, two bytes back
        0xFF,
    ];
    assert_eq!(lp.as_bytes(), expected);
    assert_eq!(std::mem::size_of::<Listpack>(), 8);
    assert_eq!(std::mem::size_of::<Option<Listpack>>(), 8);
}

#[test]
fn every_integer_encoding_at_its_limits() {
    let cases: &[(i64, &[u8])] = &[
        (0, &[0x00, 1]),
        (127, &[0x7F, 1]),
        (128, &[0xC0, 0x80, 2]),
        (-1, &[0xDF, 0xFF, 2]),
        (4095, &[0xCF, 0xFF, 2]),
        (-4096, &[0xD0, 0x00, 2]),
        (4096, &[0xF1, 0x00, 0x10, 3]),
        (-4097, &[0xF1, 0xFF, 0xEF, 3]),
        (32767, &[0xF1, 0xFF, 0x7F, 3]),
        (-32768, &[0xF1, 0x00, 0x80, 3]),
        (32768, &[0xF2, 0x00, 0x80, 0x00, 4]),
        (8_388_607, &[0xF2, 0xFF, 0xFF, 0x7F, 4]),
        (-8_388_608, &[0xF2, 0x00, 0x00, 0x80, 4]),
        (8_388_608, &[0xF3, 0x00, 0x00, 0x80, 0x00, 5]),
        (-2_147_483_648, &[0xF3, 0x00, 0x00, 0x00, 0x80, 5]),
        (2_147_483_648, &[0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
        (i64::MAX, &[0xF4, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 9]),
        (i64::MIN, &[0xF4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9]),
    ];
    for (int, expected) in cases {
        let lp = one(Element::Int(*int));
        assert_eq!(bytes_of(&lp), *expected, "{int}");
        assert_eq!(lp.view().get_index(0), Some(Element::Int(*int)));
        assert_eq!(entry_bytes(Element::Int(*int)), expected.len());
    }
}

#[test]
fn every_string_encoding_at_its_limits() {
    // (length, head, back length as stored); the back lengths are those a stock server dumps.
    let cases: &[(usize, &[u8], &[u8])] = &[
        (0, &[0x80], &[1]),
        (63, &[0xBF], &[64]),
        (64, &[0xE0, 64], &[66]),
        (125, &[0xE0, 125], &[0x7F]),
        (126, &[0xE0, 126], &[0x01, 0x80]),
        (4095, &[0xEF, 0xFF], &[0x20, 0x81]),
        (4096, &[0xF0, 0x00, 0x10, 0, 0], &[0x20, 0x85]),
        (16_377, &[0xF0, 0xF9, 0x3F, 0, 0], &[0x7F, 0xFE]),
        (16_378, &[0xF0, 0xFA, 0x3F, 0, 0], &[0x00, 0xFF, 0xFF]),
        (2_097_145, &[0xF0, 0xF9, 0xFF, 0x1F, 0], &[0x7F, 0xFF, 0xFE]),
        (2_097_146, &[0xF0, 0xFA, 0xFF, 0x1F, 0], &[0x00, 0xFF, 0xFF, 0xFF]),
    ];
    for (len, head, back) in cases {
        if cfg!(miri) && *len > 5000 {
            continue;
        }
        let data = vec![b'x'; *len];
        let lp = one(Element::Bytes(&data));
        let entry = bytes_of(&lp);
        assert!(entry.starts_with(head), "{len}");
        assert!(entry.ends_with(back), "{len}");
        assert_eq!(entry.len(), head.len() + len + back.len());
        check(&lp, &[data]);
    }
}

#[test]
fn numbers_stored_as_text_are_found() {
    let view = Listpack::from_bytes(&[12, 0, 0, 0, 2, 0, 0x81, b'7', 2, 7, 1, 0xFF]).unwrap();
    let needle = Needle::new(b"7");
    let first = view.view().find(view.view().first().unwrap(), &needle, 0).unwrap();
    assert_eq!(view.view().get(first), Some(Element::Bytes(b"7")));
    let next = view.view().next(first).unwrap();
    assert_eq!(view.view().find(next, &needle, 0), Some(next));
}

#[test]
fn find_skips_values() {
    let lp = Listpack::from_elements(["a", "b", "b", "c"].map(|s| Element::parse(s.as_bytes())));
    let first = lp.view().first().unwrap();
    assert_eq!(lp.view().find(first, &Needle::new(b"b"), 1), lp.view().seek(2));
    assert_eq!(lp.view().find(first, &Needle::new(b"b"), 0), lp.view().seek(1));
    assert_eq!(lp.view().find(first, &Needle::new(b"c"), 1), None);
}

#[test]
fn count_past_what_the_header_holds() {
    if cfg!(miri) {
        return;
    }
    let mut lp = Listpack::from_elements((0..65_534).map(|_| Element::Int(1)));
    assert_eq!(lp.view().header_count(), 65_534);
    lp.push_back(Element::Int(2));
    lp.push_back(Element::Int(3));
    assert_eq!(lp.view().header_count(), COUNT_UNKNOWN);
    assert_eq!(lp.len(), 65_536);
    assert_eq!(validate(lp.as_bytes(), true), Ok(()));
    assert_eq!(lp.view().get_index(65_535), Some(Element::Int(3)));
    assert_eq!(lp.view().seek(65_536), None);
    assert_eq!(lp.remove_range(0, 10), 10);
    assert_eq!(lp.remove_range(0, 10), 10);
    assert_eq!(lp.len(), 65_516);
    assert_eq!(lp.view().header_count(), 65_516);
}

#[test]
fn damage_is_named_with_its_place() {
    use ListpackErrorKind::*;
    let good = [12, 0, 0, 0, 2, 0, 0x01, 1, 0x81, b'a', 2, 0xFF];
    let broken = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        validate(&bytes, true).unwrap_err()
    };
    assert_eq!(validate(&good, true), Ok(()));
    assert_eq!(validate(&good[..6], true).unwrap_err().kind, TooShort);
    assert_eq!(broken(0, 13), ListpackError { offset: 0, kind: TotalBytes });
    assert_eq!(broken(4, 3), ListpackError { offset: 4, kind: Count });
    assert_eq!(broken(6, 0xFF), ListpackError { offset: 6, kind: Encoding });
    assert_eq!(broken(6, 0xF7), ListpackError { offset: 6, kind: Encoding });
    assert_eq!(broken(7, 2), ListpackError { offset: 7, kind: BackLength });
    assert_eq!(broken(8, 0x85), ListpackError { offset: 8, kind: EntryOverflow });
    assert_eq!(broken(11, 0), ListpackError { offset: 11, kind: NoEndMarker });
    assert_eq!(broken(8, 0x85).to_string(), "listpack: entry longer than what is left at byte 8");
    // A length of almost 4 GiB is refused, not allocated or added up wrongly.
    let huge = [14, 0, 0, 0, 1, 0, 0xF0, 0xFF, 0xFF, 0xFF, 0xFF, b'a', 2, 0xFF];
    assert_eq!(validate(&huge, true).unwrap_err().kind, EntryOverflow);
}

/// Found by fuzzing: the back length of the empty string goes on into the string's own head and the header, and comes to 1
/// there. Once the header moves it leads elsewhere.
#[test]
fn a_back_length_must_not_reach_out_of_its_entry() {
    let bytes = [17, 0, 0, 0, 4, 0, 0x80, 0x81, 3, 1, 0xC0, 0, 2, 0xC0, 0, 2, 0xFF];
    let error = ListpackError { offset: 7, kind: ListpackErrorKind::BackLength };
    assert_eq!(validate(&bytes, true), Err(error));
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    Insert(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    RemoveRange(usize, usize),
    RemoveMatching(Vec<u8>, usize, bool),
    SplitAndJoin(usize),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ab]{0,2}".prop_map(String::into_bytes),
        4 => any::<(i64, u8)>().prop_map(|(int, shift)| (int >> (shift % 64)).to_string().into_bytes()),
        1 => (0usize..6000).prop_map(|len| vec![b'x'; len]),
        1 => prop::collection::vec(any::<u8>(), 0..100),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        text().prop_map(Op::PushBack),
        text().prop_map(Op::PushFront),
        (any::<usize>(), text()).prop_map(|(i, t)| Op::Insert(i, t)),
        (any::<usize>(), text()).prop_map(|(i, t)| Op::InsertAfter(i, t)),
        (any::<usize>(), text()).prop_map(|(i, t)| Op::Replace(i, t)),
        (any::<usize>(), 0usize..4).prop_map(|(i, n)| Op::RemoveRange(i, n)),
        (text(), 0usize..3, any::<bool>()).prop_map(|(t, n, back)| Op::RemoveMatching(t, n, back)),
        any::<usize>().prop_map(Op::SplitAndJoin),
    ]
}

fn apply(lp: &mut Listpack, model: &mut Vec<Vec<u8>>, op: Op) {
    let len = model.len();
    match op {
        Op::PushBack(t) => {
            lp.push_back(Element::parse(&t));
            model.push(t);
        }
        Op::PushFront(t) => {
            lp.push_front(Element::parse(&t));
            model.insert(0, t);
        }
        Op::Insert(i, t) => {
            let i = i % (len + 1);
            let at = lp.view().seek(i).unwrap_or(lp.view().end());
            lp.insert(at, Element::parse(&t));
            model.insert(i, t);
        }
        Op::InsertAfter(i, t) if len > 0 => {
            lp.insert_after(lp.view().seek(i % len).unwrap(), Element::parse(&t));
            model.insert(i % len + 1, t);
        }
        Op::Replace(i, t) if len > 0 => {
            lp.replace(lp.view().seek(i % len).unwrap(), Element::parse(&t));
            model[i % len] = t;
        }
        Op::RemoveRange(i, n) => {
            let i = i % (len + 1);
            let n = n.min(len - i);
            assert_eq!(lp.remove_range(i, n), n);
            model.drain(i..i + n);
        }
        Op::RemoveMatching(t, limit, back) => {
            let direction = if back { Direction::Backward } else { Direction::Forward };
            let removed = lp.remove_matching(&Needle::new(&t), limit, direction);
            let mut hits: Vec<usize> = (0..len).filter(|&i| model[i] == t).collect();
            if back {
                hits.reverse();
            }
            hits.truncate(limit);
            hits.sort_unstable();
            assert_eq!(removed, hits.len());
            hits.iter().rev().for_each(|&i| drop(model.remove(i)));
        }
        Op::SplitAndJoin(i) => {
            let i = i % (len + 1);
            let at = lp.view().seek(i).unwrap_or(lp.view().end());
            let tail = lp.split_off(at);
            assert_eq!((lp.len(), tail.len()), (i, len - i));
            lp.append(&tail);
        }
        Op::InsertAfter(..) | Op::Replace(..) => {}
    }
}

fn cases(n: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { n };
    ProptestConfig { cases, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn agrees_with_a_vec(ops in prop::collection::vec(op(), 1..60)) {
        let (mut lp, mut model) = (Listpack::new(), Vec::new());
        for op in ops {
            apply(&mut lp, &mut model, op);
            check(&lp, &model);
        }
        let again = Listpack::from_elements(model.iter().map(|t| Element::parse(t)));
        prop_assert_eq!(again.as_bytes(), lp.as_bytes());
        let (copy, loaded) = (lp.clone(), Listpack::from_bytes(lp.as_bytes()).unwrap());
        prop_assert_eq!(copy.as_bytes(), loaded.as_bytes());
    }

    #[test]
    fn pairs_keep_together(pairs in prop::collection::vec((text(), text()), 0..20)) {
        let mut lp = Listpack::new();
        for (field, value) in pairs.iter().rev() {
            let at = lp.view().first().unwrap_or(lp.view().end());
            lp.insert_pair(at, Element::parse(field), Element::parse(value));
        }
        let flat: Vec<_> = pairs.into_iter().flat_map(|(f, v)| [f, v]).collect();
        check(&lp, &flat);
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn mutated_bytes_never_panic(
        model in prop::collection::vec(text(), 0..12),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = Listpack::from_elements(model.iter().map(|t| Element::parse(t))).as_bytes().to_vec();
        for (at, byte) in hits {
            // Mostly near the front, where the structure is.
            let at = at.index(bytes.len().min(64));
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // Unvalidated reading ends early at worst.
        let view = ListpackRef::trusted(&bytes);
        let walked = view.iter().count();
        let _ = view.iter().rev().count();
        let _ = (view.seek_signed(-2), view.len(), view.last().map(|at| view.get(at)));
        if let Ok(mut lp) = Listpack::from_bytes(&bytes) {
            prop_assert_eq!(walked, lp.len());
            prop_assert_eq!(lp.iter().rev().count(), walked);
            lp.push_front(Element::Int(1));
            lp.push_back(Element::Bytes(b"end"));
            prop_assert_eq!(lp.remove_range(1, walked), walked);
            prop_assert_eq!(texts(&lp), [b"1".to_vec(), b"end".to_vec()]);
        }
    }
}

/// A back length as servers write it.
fn back_len(body: usize) -> Vec<u8> {
    let size = codec::back_len_size(body);
    let digit = |n: usize| (body >> (7 * n) & 0x7F) as u8 | if n + 1 < size { 0x80 } else { 0 };
    (0..size).rev().map(digit).collect()
}

/// The head of a string of this length, in one of the three ways, and the length that has room there.
fn text_head(len: usize, way: u8) -> (Vec<u8>, usize) {
    match way % 3 {
        0 => (vec![0x80 | (len & 0x3F) as u8], len & 0x3F),
        1 => (vec![0xE0 | (len >> 8 & 0xF) as u8, len as u8], len & 0xFFF),
        _ => ([&[0xF0][..], &(len as u32).to_le_bytes()].concat(), len),
    }
}

proptest! {
    #[test]
    fn the_shortest_entry_is_the_one_that_is_written(
        number in any::<i64>(),
        shift in 0u32..64,
        first in any::<u8>(),
        text in prop_oneof![Just(None), (0usize..100).prop_map(Some), (4000usize..4200).prop_map(Some)],
        damage in prop_oneof![3 => Just(None), 1 => any::<(prop::sample::Index, u8)>().prop_map(Some)],
    ) {
        let mut bytes = match text {
            None => [&[first][..], &(number >> shift).to_le_bytes()].concat(),
            Some(len) => {
                let (head, len) = text_head(len, first);
                [head, vec![b'x'; len]].concat()
            }
        };
        if let Some(body) = codec::body_len(&bytes, 0).filter(|body| *body <= bytes.len()) {
            bytes.truncate(body);
            bytes.extend(back_len(body));
        }
        if let Some((at, byte)) = damage {
            *at.get_mut(&mut bytes) = byte;
        }
        let written = codec::decode(&bytes, 0).map(|(element, _)| entry_of(element));
        let written = written.filter(|entry| bytes.starts_with(entry)).map(|entry| entry.len());
        prop_assert_eq!(codec::shortest_len(&bytes), written);
    }
}

#[test]
fn values_are_taken_from_between_their_names() {
    let names = [entry_of(Element::Bytes(b"name")), entry_of(Element::Int(7))];
    let pairs = [Element::Bytes(b"name"), Element::Bytes(b"x"), Element::Int(7), Element::Int(-70_000)];
    let of = |listpack: &Listpack| Listpack::of_values(listpack.as_bytes(), names.iter().map(Vec::as_slice));
    let whole = Listpack::from_elements(pairs);
    let values = of(&whole).expect("it has these names");
    assert_eq!(values.as_bytes(), Listpack::from_elements([pairs[1], pairs[3]]).as_bytes());
    for wrong in [&pairs[..2], &[pairs[2], pairs[1], pairs[0], pairs[3]], &[pairs[0]; 4], &[]] {
        assert!(of(&Listpack::from_elements(wrong.iter().copied())).is_none());
    }
    // A name that is written as no name is any more, and a count that is not right.
    let text = [pairs[0], pairs[1], Element::Bytes(b"7"), pairs[3]];
    assert!(of(&Listpack::from_elements(text)).is_none());
    for at in 0..whole.byte_len() {
        let mut bytes = whole.as_bytes().to_vec();
        bytes[at] ^= 1;
        let taken = Listpack::of_values(&bytes, names.iter().map(Vec::as_slice));
        assert_eq!(
            taken.is_some(),
            [13, 18, 19].contains(&at) && validate(&bytes, true).is_ok(),
            "byte {at}"
        );
    }
}
