use super::*;
use std::collections::{HashMap, HashSet};

impl Registry {
    /// Number of shapes, the empty one included.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Makes the shape of these names at once.
    pub(crate) fn teach(&self, names: &[&[u8]]) -> ShapeId {
        names.iter().fold(ShapeId::EMPTY, |shape, name| {
            let hash = hash_bytes(name);
            let known = self.find_next(shape, name, key(shape, hash));
            known.or_else(|| self.add(shape, name, hash)).expect("room")
        })
    }

    fn step(&self, shape: ShapeId, name: &str) -> Option<ShapeId> {
        self.next(shape, name.as_bytes(), hash_bytes(name.as_bytes()))
    }
}

fn registry(shapes: usize, bytes: usize) -> Registry {
    Registry::new(Bounds { shapes, bytes })
}

fn texts(shape: &Shape) -> Vec<String> {
    shape.names().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
}

#[test]
fn a_name_is_admitted_once_it_came_often_enough() {
    let registry = registry(64, 1 << 20);
    for _ in 1..ADMITTED_AT {
        assert_eq!(registry.step(ShapeId::EMPTY, "user"), None);
    }
    assert_eq!(registry.len(), 1);
    let user = registry.step(ShapeId::EMPTY, "user").unwrap();
    assert_eq!(registry.step(ShapeId::EMPTY, "user"), Some(user));
    assert_eq!(registry.step(ShapeId::EMPTY, "users"), None);
    assert_eq!(registry.step(user, "7"), None, "what follows is counted by itself");
    let seven = (0..ADMITTED_AT).find_map(|_| registry.step(user, "7")).unwrap();
    let shape = registry.get(seven);
    assert_eq!((texts(shape), shape.parent(), shape.len()), (vec!["user".into(), "7".into()], user, 2));
    assert!(matches!(shape.name(0), Some(Element::Bytes(b"user"))));
    assert!(matches!(shape.name(1), Some(Element::Int(7))) && shape.name(2).is_none());
    assert_eq!(shape.packed_bytes(), 6 + 2);
    let find = |name: &[u8]| shape.find(name, hash_bytes(name));
    assert_eq!([find(b"user"), find(b"7"), find(b"07"), find(b"")], [Some(0), Some(1), None, None]);
    assert_eq!(registry.of_names(shape.names()), Some(seven));
    assert_eq!(registry.of_names([Element::Int(7), Element::Bytes(b"user")].into_iter()), None);
}

#[test]
fn names_that_come_once_leave_nothing_behind() {
    let registry = registry(64, 1 << 20);
    let before = registry.heap_bytes();
    for n in 0..100_000 {
        assert_eq!(registry.step(ShapeId::EMPTY, &format!("user:{n}")), None);
    }
    assert_eq!((registry.len(), registry.heap_bytes()), (1, before));
    // Among so many others, one that comes again and again is noticed.
    let noticed = (0..1000).find_map(|n| {
        (0..20).for_each(|k| assert_eq!(registry.step(ShapeId::EMPTY, &format!("one:{n}:{k}")), None));
        registry.step(ShapeId::EMPTY, "name")
    });
    assert!(noticed.is_some());
}

#[test]
fn what_shapes_take_is_bounded() {
    // By number; and the fewer are left, the more often a name has to come.
    let few = registry(16, 1 << 20);
    let mut times = Vec::new();
    for n in 0..15 {
        let name = format!("field{n}");
        let mut tries = 0;
        while few.step(ShapeId::EMPTY, &name).is_none() {
            tries += 1;
            assert!(tries < 1000);
        }
        times.push(tries + 1);
    }
    assert!(times.is_sorted() && times[0] == ADMITTED_AT && times[14] == 8 * ADMITTED_AT, "{times:?}");
    assert!((0..1000).all(|_| few.step(ShapeId::EMPTY, "another").is_none()));
    assert!((0..15).all(|n| few.step(ShapeId::EMPTY, &format!("field{n}")).is_some()));
    assert_eq!(few.len(), 16);

    // By bytes.
    let small = registry(64, 1000);
    let empty = small.heap_bytes();
    for n in 0..40 {
        let name = format!("{n:060}");
        let _ = (0..1000).find_map(|_| small.step(ShapeId::EMPTY, &name));
    }
    assert!((2..20).contains(&small.len()) && small.heap_bytes() - empty <= 1000);

    // By length and number of names.
    let registry = registry(64, 1 << 20);
    assert!((0..1000).all(|_| registry.step(ShapeId::EMPTY, &"x".repeat(65)).is_none()));
    assert!((0..1000).any(|_| registry.step(ShapeId::EMPTY, &"x".repeat(64)).is_some()));
    let names: Vec<String> = (0..MAX_FIELDS).map(|n| format!("f{n}")).collect();
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let longest = registry.teach(&names);
    assert_eq!(registry.get(longest).len(), MAX_FIELDS);
    assert!((0..1000).all(|_| registry.step(longest, "more").is_none()));
}

#[test]
fn a_whole_registry_takes_no_more_than_it_says() {
    // Long chains, so that bytes run out before numbers do.
    let registry = registry(4096, 4 << 20);
    'chains: for chain in 0.. {
        let mut shape = ShapeId::EMPTY;
        for n in 0..MAX_FIELDS {
            let name = format!("{chain:030}{n:030}");
            match registry.add(shape, name.as_bytes(), hash_bytes(name.as_bytes())) {
                Some(next) => shape = next,
                None => break 'chains,
            }
        }
    }
    assert!(registry.full.load(Ordering::Relaxed) && registry.heap_bytes() < 5 << 20);
}

#[test]
fn threads_agree_about_shapes() {
    let registry = registry(1024, 1 << 20);
    let walk = |seed: usize| {
        let mut found: HashMap<Vec<String>, ShapeId> = HashMap::new();
        for round in 0..if cfg!(miri) { 100 } else { 4000 } {
            let (mut shape, mut names) = (ShapeId::EMPTY, Vec::new());
            for depth in 0..6 {
                let name = format!("field{}", (round + seed + depth) % 7);
                let Some(next) = registry.step(shape, &name) else { break };
                shape = next;
                names.push(name);
                assert_eq!(texts(registry.get(shape)), names);
                assert_eq!(*found.entry(names.clone()).or_insert(shape), shape);
            }
        }
        found
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || walk(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all: HashSet<(Vec<String>, u32)> =
        found.into_iter().flatten().map(|(names, shape)| (names, shape.0)).collect();
    let paths: HashSet<&Vec<String>> = all.iter().map(|(names, _)| names).collect();
    assert_eq!(paths.len(), all.len(), "one shape for a list of names");
    assert_eq!(all.len() + 1, registry.len(), "every shape was found by its names");
}
