use super::*;
use crate::base::Rng;
use crate::keyspace::db::locate;
use crate::keyspace::{Expired, Keyspace};
use crate::value::{Limits, Set, Str};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Database and key, with value and expiry.
type State = BTreeMap<(u32, Vec<u8>), (Vec<u8>, Option<i64>)>;

/// Remembers what it is shown.
#[derive(Default)]
struct Recorder {
    seen: Mutex<State>,
    hurried: Mutex<Vec<Vec<u8>>>,
    over: AtomicBool,
}

impl Recorder {
    fn note(&self, db: u32, entry: &Entry) {
        let value = match entry.value() {
            ValueRef::Int(int) => int.to_string().into_bytes(),
            ValueRef::Bytes(bytes) => bytes.to_vec(),
            ValueRef::Object(_) => b"object".to_vec(),
        };
        let known = self.seen.lock().insert((db, entry.key().to_vec()), (value, entry.expire_at_ms()));
        assert!(known.is_none(), "{db} {} was shown twice", entry.key().escape_ascii());
    }
}

impl Keeper for Recorder {
    fn keep(&self, db: u32, hash: u64, entry: &Entry) {
        assert_eq!(hash, locate(entry.key()).1);
        if !self.is_over() {
            self.note(db, entry);
        }
    }

    fn hurry(&self, _: u32, _: u64, key: &[u8]) {
        self.hurried.lock().push(key.to_vec());
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

const DATABASES: u32 = 3;

fn state_of(keyspace: &Keyspace) -> State {
    let recorder = Recorder::default();
    for (_, shard) in keyspace.lock_all().iter() {
        for db in 0..DATABASES {
            shard.db(db).iter().for_each(|entry| recorder.note(db, entry));
        }
    }
    recorder.seen.into_inner()
}

fn begin(keyspace: &Keyspace) -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::default());
    let keeper: Arc<dyn Keeper> = recorder.clone();
    for (index, shard) in keyspace.lock_all().iter_mut() {
        shard.begin_capture(index, DATABASES, &keeper);
    }
    recorder
}

/// The keys of one shard only, so that its segments split and merge although there are few.
fn keys() -> Vec<Vec<u8>> {
    (0..).map(|n| format!("key {n}").into_bytes()).filter(|key| locate(key).0 == 5).take(2_500).collect()
}

/// Changes something at random; where `grows`, rather more than less is there afterwards.
fn change(keyspace: &Keyspace, keys: &[Vec<u8>], rng: &mut Rng, grows: bool) {
    let key = &keys[rng.below(keys.len() as u64) as usize];
    let (index, hash) = locate(key);
    let mut shard = keyspace.lock_shard(index);
    let db = rng.below(DATABASES.into()) as u32;
    let expiry = (rng.below(3) == 0).then_some(rng.below(1_000) as i64);
    let text = "x".repeat(rng.below(40) as usize);
    let slice = shard.db_mut(db);
    match rng.below(if grows { 12 } else { 30 }) {
        0..=5 => drop(slice.set_string(hash, key, text.as_bytes(), expiry, 1)),
        6 => drop(slice.set_value(hash, key, Value::Str(Str::Int(12)), expiry, 1)),
        7 => drop(slice.set_expiry(hash, key, expiry)),
        8 => {
            if let Some(entry) = slice.get_mut(hash, key) {
                entry.set_edited(text.into_bytes());
            }
        }
        9 => {
            // Into another database, as MOVE does.
            if let Some(entry) = slice.remove(hash, key) {
                let other = shard.db_mut((db + 1) % DATABASES);
                if other.get(hash, key).is_none() {
                    other.insert(hash, entry);
                }
            }
        }
        10 => {
            let mut expired = Expired::default();
            let segment = rng.below(1 + slice.segment_count() as u64) as usize;
            slice.expire_segment(segment, rng.below(1_000) as i64, 20, &mut expired);
        }
        11 if rng.below(40) == 0 => shard.swap_dbs(db, (db + 1) % DATABASES),
        11 if rng.below(40) == 0 => drop(shard.take_db(db)),
        _ => drop(slice.remove(hash, key)),
    }
}

/// A step of the walk; false at the end.
fn step(keyspace: &Keyspace, recorder: &Recorder, rng: &mut Rng, shard: &mut usize) -> bool {
    let mut locked = keyspace.lock_shard(*shard);
    let Some(slice) = locked.captured() else {
        locked.drain_set_aside(false);
        *shard += 1;
        return *shard < crate::keyspace::SHARD_COUNT;
    };
    let db = slice.captured_db().unwrap();
    let mut room = 1 + rng.below(200);
    slice.walk_captured(|entry| {
        recorder.note(db, entry);
        room -= 1;
        if room == 0 { Taken::WholeAndEnough } else { Taken::Whole }
    });
    true
}

#[test]
fn each_entry_of_the_first_moment_is_shown_once_as_it_was() {
    let keys = keys();
    let mut rng = Rng::from_seed(41);
    let keyspace = Keyspace::new(DATABASES);
    for round in 0..30 {
        let grows = round % 2 == 0;
        for _ in 0..rng.below(6_000) {
            change(&keyspace, &keys, &mut rng, grows);
        }
        let before = state_of(&keyspace);
        let recorder = begin(&keyspace);
        let mut shard = 0;
        let haste = rng.below(300);
        loop {
            for _ in 0..rng.below(1 + haste) {
                change(&keyspace, &keys, &mut rng, round % 3 == 0);
            }
            if !step(&keyspace, &recorder, &mut rng, &mut shard) {
                break;
            }
        }
        assert_eq!(*recorder.seen.lock(), before, "round {round}");
        let marked = |shard: &Shard| (0..DATABASES).any(|db| shard.db(db).iter().any(Entry::is_kept));
        assert!(!keyspace.lock_all().iter().any(|(_, shard)| marked(shard)), "a mark is left");
    }
}

#[test]
fn heavy_values_are_held_until_the_snapshot_has_them() {
    let keyspace = Keyspace::new(DATABASES);
    let mut set = Set::new();
    for n in 0..2 * HEAVY_PARTS {
        set.add(format!("member {n}").as_bytes(), &Limits::default());
    }
    let (index, hash) = locate(b"set");
    let put = |key: &[u8], value| {
        let (index, hash) = locate(key);
        keyspace.lock_shard(index).db_mut(0).insert(hash, Entry::new(key, value, Some(5)));
    };
    put(b"set", Value::Set(set));
    put(b"small", Value::Str(Str::Int(5)));
    put(b"long", Value::Str(Str::Bytes(vec![b'x'; HEAVY_BYTES + 1])));
    let held = |key: &[u8]| {
        let (index, hash) = locate(key);
        keyspace.lock_shard(index).db(0).is_held(hash, key)
    };
    assert!(!held(b"set"));
    let recorder = begin(&keyspace);
    assert!(held(b"set") && held(b"long") && !held(b"small") && !held(b"absent"));
    recorder.hurried.lock().clear();
    // It does not expire meanwhile; the small one does.
    let mut expired = Expired::default();
    for index in 0..crate::keyspace::SHARD_COUNT {
        let mut shard = keyspace.lock_shard(index);
        for segment in 0..shard.db(0).segment_count() {
            shard.db_mut(0).expire_segment(segment, 100, 100, &mut expired);
        }
    }
    assert_eq!(expired.keys.iter().map(Entry::key).collect::<Vec<_>>(), [b"small"]);
    assert!(expired.held && recorder.hurried.lock().contains(&b"set".to_vec()));
    assert_eq!(recorder.seen.lock().keys().cloned().collect::<Vec<_>>(), [(0, b"small".to_vec())]);
    let mut shard = keyspace.lock_shard(index);
    let slice = shard.captured_as(0).unwrap();
    assert_eq!(slice.walk_captured(|_| Taken::Begun), Walked::Part);
    assert!(slice.wanted(hash, b"set").is_some());
    slice.set_kept(hash, b"set");
    assert!(slice.wanted(hash, b"set").is_none() && !slice.is_held(hash, b"set"));
    drop(shard);
    recorder.over.store(true, Ordering::Relaxed);
    assert!(!held(b"long"), "a snapshot that was given up holds nothing");
}
