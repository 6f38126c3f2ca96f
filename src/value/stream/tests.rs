use super::*;
use crate::base::random::Rng;
use crate::value::{Limits, Listpack};
use std::collections::BTreeMap;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

fn flat(fields: &Fields) -> Vec<&[u8]> {
    fields.iter().flat_map(|(name, value)| [&name[..], value]).collect()
}

fn shown(entry: &Entry<'_>) -> (StreamId, Fields) {
    let fields: Fields = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    assert_eq!(fields.len(), entry.len());
    (entry.id, fields)
}

fn small_nodes() -> [Limits; 4] {
    let limits = |stream_node_max_bytes, stream_node_max_entries| Limits {
        stream_node_max_bytes,
        stream_node_max_entries,
        ..Limits::default()
    };
    [limits(4096, 100), limits(200, 0), limits(0, 3), limits(0, 1)]
}

/// What a stream's entries are, kept plainly.
#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Fields>,
    last_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

impl Model {
    fn check(&self, entries: &Entries) {
        assert_eq!(entries.len(), self.entries.len() as u64);
        assert_eq!(entries.last_id, self.last_id);
        assert_eq!(entries.max_deleted_id, self.max_deleted_id);
        assert_eq!(entries.added, self.added);
        assert_eq!(entries.first_id, self.entries.keys().next().copied().unwrap_or_default());
        assert_eq!(entries.last_live_id(), self.entries.keys().next_back().copied());
    }

    fn check_range(&self, entries: &Entries, start: StreamId, end: StreamId) {
        let mut expected: Vec<(StreamId, Fields)> = match start <= end {
            true => self.entries.range(start..=end).map(|(id, fields)| (*id, fields.clone())).collect(),
            false => Vec::new(),
        };
        let up: Vec<_> = entries.range(start, end).map(|entry| shown(&entry)).collect();
        assert_eq!(up, expected, "{start} to {end}");
        expected.reverse();
        let down: Vec<_> = entries.range_down(start, end).map(|entry| shown(&entry)).collect();
        assert_eq!(down, expected, "{end} down to {start}");
    }

    /// What is gone after trimming must be the oldest, and no more than asked for.
    fn follow_trim(&mut self, entries: &Entries, trim: Trim, exact: bool, gone: u64) {
        let wanted = match trim {
            Trim::MaxLen(len) => (self.entries.len() as u64).saturating_sub(len),
            Trim::MinId(id) => self.entries.range(..id).count() as u64,
        };
        assert!(if exact { gone == wanted } else { gone <= wanted }, "{trim:?} removed {gone} of {wanted}");
        for _ in 0..gone {
            self.entries.pop_first();
        }
        self.check(entries);
    }
}

fn some_fields(rng: &mut Rng) -> Fields {
    let names: &[&str] = match rng.below(4) {
        0 | 1 => &["name", "surname"],
        2 => &["12", ""],
        _ => &["a", "b", "c", "a"],
    };
    let value = |rng: &mut Rng| match rng.below(4) {
        0 => rng.next_u64().to_string().into_bytes(),
        1 => (rng.below(300) as i64 - 150).to_string().into_bytes(),
        _ => vec![b'v'; rng.below(60) as usize],
    };
    let mut fields: Fields = names.iter().map(|name| (name.as_bytes().to_vec(), value(rng))).collect();
    fields.truncate(1 + rng.below(4) as usize);
    fields
}

#[test]
fn entries_are_those_of_a_plain_map() {
    const STEPS: u64 = 25_000;
    for (seed, limits) in small_nodes().iter().enumerate() {
        let mut rng = Rng::from_seed(seed as u64);
        let (mut entries, mut model) = (Entries::default(), Model::default());
        for _ in 0..STEPS {
            let near = |rng: &mut Rng| {
                let back = rng.below(200);
                id(entries.last_id.ms.saturating_sub(back), rng.below(4))
            };
            match rng.below(20) {
                0..=9 => {
                    let next = match rng.below(3) {
                        0 => entries.last_id.next().unwrap(),
                        _ => id(entries.last_id.ms + rng.below(9), rng.below(4)),
                    };
                    let fields = some_fields(&mut rng);
                    let expected = if next > model.last_id { Ok(()) } else { Err(AppendError::NotAbove) };
                    assert_eq!(entries.append(next, &flat(&fields), limits), expected);
                    if expected.is_ok() {
                        model.entries.insert(next, fields);
                        (model.last_id, model.added) = (next, model.added + 1);
                    }
                }
                10..=14 => {
                    let victim = match model.entries.keys().nth(rng.below(30) as usize) {
                        Some(there) if rng.below(2) == 0 => *there,
                        _ => near(&mut rng),
                    };
                    let was_there = model.entries.remove(&victim).is_some();
                    assert_eq!(entries.delete(victim), was_there);
                    if was_there {
                        model.max_deleted_id = model.max_deleted_id.max(victim);
                    }
                }
                15 => {
                    let trim = match rng.below(2) {
                        0 => Trim::MaxLen((entries.len() + 3).saturating_sub(rng.below(12))),
                        _ => Trim::MinId(near(&mut rng)),
                    };
                    let whole = rng.below(2) == 0;
                    let limit = if whole { rng.below(30) } else { 0 };
                    let gone = entries.trim(trim, whole, limit);
                    model.follow_trim(&entries, trim, !whole, gone);
                }
                16 => {
                    let (start, end) = (near(&mut rng), near(&mut rng));
                    model.check_range(&entries, start, end);
                }
                17 => {
                    let wanted = near(&mut rng);
                    let got = entries.get(wanted).map(|entry| shown(&entry).1);
                    assert_eq!(got, model.entries.get(&wanted).cloned());
                }
                _ => model.check(&entries),
            }
        }
        model.check_range(&entries, StreamId::MIN, StreamId::MAX);
        reloaded(&entries, &model);
    }
}

/// Nodes that are read again are let in, and hold the same.
fn reloaded(entries: &Entries, model: &Model) {
    let mut again = Entries::default();
    for (id, pack) in entries.nodes() {
        let pack = Listpack::from_bytes(pack.as_bytes()).expect("a sound listpack");
        assert_eq!(again.load_node(id, pack), Ok(true));
    }
    again.load_first_id();
    assert_eq!((again.len(), again.first_id), (entries.len(), entries.first_id));
    model.check_range(&again, StreamId::MIN, StreamId::MAX);
}

#[test]
fn nodes_share_names_and_fill_to_their_limits() {
    let [_, bytes, three, one] = small_nodes();
    let count = |limits: &Limits, len: usize| {
        let mut entries = Entries::default();
        let value = vec![b'v'; len];
        (1..=12).for_each(|n| entries.append(id(n, 0), &[b"name", &value], limits).unwrap());
        let sizes: Vec<usize> = entries.nodes().map(|(_, pack)| pack.byte_len()).collect();
        (entries.node_count(), sizes[0])
    };
    assert_eq!(count(&three, 1).0, 4);
    assert_eq!(count(&one, 1).0, 12);
    // An entry goes into a node as long as the node and its text stay under 200 bytes; names are stored once.
    let (nodes, size) = count(&bytes, 60);
    assert!(nodes == 6 && (150..200).contains(&size), "{nodes} {size}");
    // Of a listpack's 7 bytes, 4 of counts, 2 and 6 of names, and 12 entries of 2 and 10 bytes.
    assert_eq!(count(&Limits::default(), 1), (1, 6 + 1 + 3 * 2 + 6 + 2 + 12 * (4 * 2 + 3)));
}

#[test]
fn entries_too_large_are_refused() {
    let mut entries = Entries::default();
    let big = vec![b'x'; 600 << 20];
    let refused = entries.append(id(1, 0), &[b"a", &big, b"b", &big], &Limits::default());
    assert_eq!((refused, entries.len(), entries.last_id), (Err(AppendError::TooLarge), 0, StreamId::MIN));
}

#[test]
fn deleted_ids_may_come_behind_lower_ones() {
    // The last entry goes, XSETID goes back behind it, and a lower id is added to the same node.
    let limits = Limits::default();
    let mut entries = Entries::default();
    entries.append(id(5, 0), &[b"a", b"1"], &limits).unwrap();
    entries.append(id(10, 0), &[b"a", b"2"], &limits).unwrap();
    assert!(entries.delete(id(10, 0)));
    entries.last_id = id(6, 0);
    entries.append(id(7, 0), &[b"a", b"3"], &limits).unwrap();
    let ids = |range: Iter<'_>| range.map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(entries.range(StreamId::MIN, StreamId::MAX)), [id(5, 0), id(7, 0)]);
    assert_eq!(ids(entries.range_down(id(6, 0), id(20, 0))), [id(7, 0)]);
    assert_eq!(entries.trim(Trim::MinId(id(7, 0)), false, 0), 1);
    assert_eq!((entries.len(), entries.first_id), (1, id(7, 0)));
    // A node may be left without an entry, if its last was deleted and lies beyond.
    let mut entries = Entries::default();
    entries.append(id(5, 0), &[b"a", b"1"], &limits).unwrap();
    entries.append(id(10, 0), &[b"a", b"2"], &limits).unwrap();
    assert!(entries.delete(id(10, 0)));
    assert_eq!(entries.trim(Trim::MinId(id(7, 0)), false, 0), 1);
    assert_eq!((entries.len(), entries.node_count(), entries.first_id), (0, 1, StreamId::MIN));
    assert_eq!((entries.first_kept_id(), entries.last_live_id()), (id(5, 0), None));
    reloaded(&entries, &Model::default());
}

#[test]
fn what_was_read_is_counted_where_it_can_be_told() {
    let limits = Limits::default();
    let mut stream = Stream::new();
    let entries = stream.entries_mut();
    assert_eq!(entries.added_up_to(id(3, 0)), Some(0));
    (1..=5).for_each(|n| entries.append(id(n, 0), &[b"a", b"1"], &limits).unwrap());
    let counts = |entries: &Entries| [0, 1, 2, 5, 6].map(|n| entries.added_up_to(id(n, 0)));
    assert_eq!(counts(entries), [Some(0), Some(1), None, Some(5), None]);
    entries.delete(id(3, 0));
    assert_eq!(counts(entries), [None, None, None, Some(5), None]);
    let group = |ms, read| Group::new(id(ms, 0), read);
    assert_eq!(stream.lag(&group(2, Some(2))), None, "an entry is missing from those still to come");
    assert_eq!(stream.lag(&group(4, Some(4))), Some(1));
    assert_eq!(stream.lag(&group(5, None)), Some(0));
    stream.entries_mut().trim(Trim::MaxLen(0), false, 0);
    assert_eq!(stream.lag(&group(2, None)), Some(0));
}

#[test]
fn malformed_nodes_are_refused() {
    let limits = Limits::default();
    let mut entries = Entries::default();
    entries.append(id(1, 0), &[b"name", b"1", b"b", b"2"], &limits).unwrap();
    entries.append(id(2, 0), &[b"other", b"text"], &limits).unwrap();
    entries.append(id(3, 0), &[b"other", b"text"], &limits).unwrap();
    entries.delete(id(2, 0));
    let (node_id, sound) = entries.nodes().next().map(|(id, pack)| (id, pack.clone())).unwrap();
    let with = |index: usize, element: crate::value::Element<'_>| {
        let mut pack = sound.clone();
        let at = pack.view().seek(index).unwrap();
        pack.replace(at, element);
        Entries::default().load_node(node_id, pack)
    };
    use crate::value::Element::{Bytes, Int};
    assert_eq!(with(0, Bytes(b"2")), Ok(true), "a number may be stored as text");
    // live, deleted, 2, name, b, 0 | flags, ms, seq, value, value, 5 | flags, ms, seq, 1, name, value, 6 | …
    for (index, element, error) in [
        (0, Int(3), NodeError::EntryCount),
        (0, Bytes(b"x"), NodeError::NotANumber),
        (0, Int(-1), NodeError::NotANumber),
        (1, Int(0), NodeError::EntryCount),
        (2, Int(1), NodeError::NotANumber),
        (2, Int(i64::MAX), NodeError::Truncated),
        (5, Int(1), NodeError::MasterEnd),
        (6, Int(4), NodeError::Flags),
        (6, Int(3), NodeError::EntryCount),
        (7, Bytes(b""), NodeError::NotANumber),
        (11, Int(6), NodeError::ElementCount),
        (15, Int(i64::MAX), NodeError::Truncated),
        (15, Int(-2), NodeError::NotANumber),
        (15, Int(2), NodeError::ElementCount),
    ] {
        assert_eq!(with(index, element), Err(error), "{index}: {element:?}");
    }
    let mut cut = sound.clone();
    cut.remove_range(20, 10);
    assert_eq!(Entries::default().load_node(node_id, cut), Err(NodeError::Truncated));
    assert_eq!(Entries::default().load_node(node_id, Listpack::new()), Err(NodeError::Truncated));
}

#[test]
fn pending_entries_belong_to_one_consumer() {
    let mut group = Group::new(id(0, 0), None);
    let (alice, is_new) = group.consumer_or_new(b"alice", 10);
    let (bob, _) = group.consumer_or_new(b"bob", 20);
    assert!(is_new && !group.create_consumer(b"bob", 30) && group.consumer(bob).seen_ms == 20);
    assert_eq!(group.consumer(bob).active_ms, None);
    group.active(bob, Some(25));
    assert_eq!((group.consumer(bob).active_ms, group.consumer(alice).active_ms), (Some(25), None));
    let pending = |consumer, deliveries| Pending { delivered_ms: 5, deliveries, consumer };
    (1..=4).for_each(|n| group.assign(id(n, 0), pending(alice, 1)));
    group.assign(id(2, 0), pending(bob, 2));
    group.assign(id(2, 0), pending(bob, 3));
    let ids = |group: &Group, consumer| {
        let all = group.pending_range(consumer, StreamId::MIN..=StreamId::MAX);
        all.map(|(id, pending)| (id.ms, pending.deliveries)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&group, None), [(1, 1), (2, 3), (3, 1), (4, 1)]);
    assert_eq!((ids(&group, Some(alice)).len(), ids(&group, Some(bob))), (3, vec![(2, 3)]));
    assert_eq!(group.pending_range(None, id(3, 0)..=id(1, 0)).count(), 0);
    assert!(group.acknowledge(id(2, 0)) && !group.acknowledge(id(2, 0)));
    assert_eq!(ids(&group, Some(bob)), []);
    assert_eq!((group.delete_consumer(b"alice"), group.delete_consumer(b"alice")), (Some(3), None));
    assert!(group.pending().is_empty() && group.find_consumer(b"alice").is_none());
    // A number is used again, and names stay apart.
    let (carol, _) = group.consumer_or_new(b"carol", 40);
    assert_eq!((carol, group.consumer(carol).name()), (alice, &b"carol"[..]));
    assert_eq!(
        group.consumers().map(|consumer| consumer.name().to_vec()).collect::<Vec<_>>(),
        [&b"bob"[..], b"carol"]
    );
}

#[test]
fn loaded_groups_are_checked() {
    let mut group = Group::new(id(0, 0), None);
    assert!(group.load_pending(id(1, 0), 7, 2) && !group.load_pending(id(1, 0), 7, 2));
    let (alice, _) = group.consumer_or_new(b"alice", 0);
    let (bob, _) = group.consumer_or_new(b"bob", 0);
    assert!(!group.is_loaded() && !group.load_owner(id(2, 0), alice));
    assert!(group.load_owner(id(1, 0), alice) && group.is_loaded());
    assert!(!group.load_owner(id(1, 0), alice) && !group.load_owner(id(1, 0), bob));
}

#[test]
fn figures() {
    let limits = Limits::default();
    let mut stream = Stream::new();
    assert_eq!((stream.estimated_free_effort(), stream.encoding()), (2, "stream"));
    (1..=1000).for_each(|n| stream.entries_mut().append(id(n, 0), &[b"name", b"a value"], &limits).unwrap());
    assert_eq!(stream.entries().node_count(), 10);
    let (few, all) = (stream.memory_bytes(2), stream.memory_bytes(0));
    assert!((17_000..20_000).contains(&all) && few.abs_diff(all) < 500, "{few} {all}");
    let mut group = Group::new(id(0, 0), None);
    let (consumer, _) = group.consumer_or_new(b"c", 0);
    (1..=100).for_each(|n| group.assign(id(n, 0), Pending { delivered_ms: 0, deliveries: 1, consumer }));
    assert!(stream.create_group(b"g", group.clone()) && !stream.create_group(b"g", group));
    assert_eq!(stream.estimated_free_effort(), 2 + 10 + 1 + 100);
    assert!(stream.memory_bytes(0) - all > 6_400);
    let copy = stream.clone();
    stream.remove_group(b"g").unwrap();
    stream.entries_mut().delete(id(1, 0));
    assert_eq!((copy.entries().len(), copy.groups().len(), stream.groups().len()), (1000, 1, 0));
}
