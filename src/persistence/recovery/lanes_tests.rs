use super::*;
use crate::base::random::Rng;
use crate::command::digest::{Digest, of_keyspace};
use crate::persistence::testing::{Contents, NOW_MS, contents};

/// What the commands of a log look like. `s1` to `s9`, and so on for each type, are keys; `%` a number, `@` a time.
const SHAPES: &[&str] = &[
    "SET s# v%",
    "SET s# % PXAT @",
    "APPEND s# x%",
    "SETRANGE s# 5 y%",
    "SETBIT s# 7% 1",
    "INCRBY n# %",
    "INCRBY n# -%",
    "MSET s# a% s# b% n# %",
    "GETDEL s#",
    "BITOP OR s# s# s#",
    "DEL s# l# h#",
    "UNLINK z# e#",
    "RENAME s# s#",
    "RENAME l# l#",
    "COPY h# h# REPLACE",
    "RPUSH l# a% b% %",
    "LPUSH l# c%",
    "LPOP l#",
    "LREM l# 1 %",
    "LTRIM l# 0 20",
    "LMOVE l# l# LEFT RIGHT",
    "SADD e# % m%",
    "SREM e# %",
    "SMOVE e# e# %",
    "SINTERSTORE e# e# e#",
    "SDIFFSTORE e# e# e#",
    "HSET h# f% v% g 1",
    "HDEL h# f%",
    "HINCRBY h# n %",
    "HPEXPIREAT h# @ FIELDS 1 g",
    "ZADD z# % m% % o%",
    "ZREM z# m%",
    "ZINCRBY z# 1.5 o%",
    "ZUNIONSTORE z# 2 z# z#",
    "ZREMRANGEBYRANK z# 10 -1",
    "GEOADD g# 13.3 38.1 p%",
    "PFADD p# a% b%",
    "PFMERGE p# p# p#",
    "XADD x# 1%-1 f %",
    "XADD x# 2%-1 MAXLEN 5 f v",
    "XGROUP CREATE x# grp 0 MKSTREAM",
    "XDEL x# 1%-1",
    "XTRIM x# MAXLEN 3",
    "SORT l# ALPHA STORE l#",
    "PEXPIREAT s# @",
    "PEXPIREAT l# @",
    "PERSIST s#",
    "MOVE s# 2",
    "MOVE h# 1",
    "SELECT 0",
    "SELECT 1",
    "SELECT 2",
    "PING",
    "REPLCONF GETACK *",
    "PUBLISH channel message",
    "SPUBLISH channel message",
];
/// The same that empty or swap databases: now and then only.
const RARE: &[&str] = &["FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "SWAPDB 2 0"];
const KEYS_A_TYPE: u64 = 9;

type Words = Vec<Vec<u8>>;

fn fill(shape: &str, rng: &mut Rng) -> Words {
    let mut text = String::new();
    for letter in shape.chars() {
        match letter {
            '#' => text.push_str(&(1 + rng.below(KEYS_A_TYPE)).to_string()),
            '%' => text.push_str(&rng.below(60).to_string()),
            // Some lie in the past: a log says itself when a key goes.
            '@' => text.push_str(&(NOW_MS - 5_000 + rng.below(9_000) as i64).to_string()),
            other => text.push(other),
        }
    }
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn refs(words: &Words) -> Vec<&[u8]> {
    words.iter().map(Vec::as_slice).collect()
}

/// A log of so many commands that all can be applied, a part of them in transactions. A log with few `bridges` has few commands
/// that touch several keys.
fn random_log(rng: &mut Rng, commands: usize, bridges: bool) -> Vec<Words> {
    let keyspace = Keyspace::new(3);
    let mut applier = Applier::new(Settings::default(), 0);
    let (mut log, mut open) = (Vec::new(), 0);
    while log.len() < commands {
        let shape = match rng.below(200) {
            0 => RARE[rng.below(RARE.len() as u64) as usize],
            _ => SHAPES[rng.below(SHAPES.len() as u64) as usize],
        };
        if !bridges && shape.matches('#').count() != 1 && rng.below(100) > 0 {
            continue;
        }
        let words = fill(shape, rng);
        // A log holds what had an effect.
        if applier.apply(&keyspace, &refs(&words), NOW_MS, |_, _| ()).is_err() {
            continue;
        }
        if open == 0 && rng.below(20) == 0 {
            log.push(vec![b"MULTI".to_vec()]);
            open = 1 + rng.below(5);
        }
        log.push(words);
        if open > 0 {
            open -= 1;
            if open == 0 {
                log.push(vec![b"exec".to_vec()]);
            }
        }
    }
    if open > 0 {
        log.push(vec![b"EXEC".to_vec()]);
    }
    log
}

/// What comes of a log, whose commands are taken to be ten bytes long each.
#[derive(Debug, PartialEq)]
struct Outcome {
    end: Result<u32, Fault>,
    taken: usize,
    found: Option<(Contents, Digest)>,
}

fn outcome(lanes: usize, log: &[Words]) -> Outcome {
    let keyspace = Keyspace::new(3);
    let settings = Settings::default();
    let ground = Ground { keyspace: &keyspace, settings: &settings, now_ms: NOW_MS };
    let (taken, end) = apply_log(lanes, ground, |hands| {
        log.iter().enumerate().take_while(|(n, words)| hands.take(&refs(words), n * 10).is_ok()).count()
    });
    let digest = of_keyspace(&keyspace);
    let found = end.is_ok().then(|| (contents(&keyspace), digest));
    // How far it was dealt when a fault showed depends on how far the lanes were.
    let taken = if end.is_ok() { taken } else { 0 };
    Outcome { end, taken, found }
}

#[test]
fn lanes_make_of_a_log_what_one_thread_makes_of_it() {
    for seed in 0..12 {
        let mut rng = Rng::from_seed(seed);
        let log = random_log(&mut rng, 4_000, seed % 2 == 0);
        let in_turn = outcome(0, &log);
        assert!(in_turn.end.is_ok() && in_turn.taken == log.len(), "seed {seed}: {:?}", in_turn.end);
        for lanes in [2, 3, 8] {
            assert!(outcome(lanes, &log) == in_turn, "seed {seed}, {lanes} lanes");
        }
    }
}

#[test]
fn lanes_tell_the_first_fault_at_its_place() {
    let faults: [&[&str]; 8] = [
        &["INCRBY l# 1"],
        &["LPUSH s# 1"],
        &["NOSUCH s#"],
        &["GET s#"],
        &["SET s#"],
        &["SELECT 7"],
        &["EXEC"],
        &["MULTI", "SET s# 1", "HSET l# f v", "INCRBY l# 1", "EXEC"],
    ];
    let mut found = 0;
    for seed in 0..60 {
        let mut rng = Rng::from_seed(100 + seed);
        let mut log = random_log(&mut rng, 600, seed % 2 == 0);
        // Three, of which the first is to be told; none of them inside a transaction of the log.
        for _ in 0..3 {
            let at = rng.below(log.len() as u64) as usize;
            let is = |words: &Words, word: &[u8]| words[0].eq_ignore_ascii_case(word);
            let bound = log[..at].iter().rev().find(|words| is(words, b"MULTI") || is(words, b"EXEC"));
            if bound.is_some_and(|words| is(words, b"MULTI")) {
                continue;
            }
            let shapes = faults[rng.below(faults.len() as u64) as usize];
            log.splice(at..at, shapes.iter().map(|shape| fill(shape, &mut rng)));
        }
        let in_turn = outcome(0, &log);
        found += usize::from(in_turn.end.is_err());
        for lanes in [2, 5] {
            assert_eq!(outcome(lanes, &log), in_turn, "seed {seed}, {lanes} lanes");
        }
    }
    assert!(found > 40, "{found} logs had a fault");
}

#[test]
fn a_transaction_that_does_not_end_is_not_applied() {
    let log: Vec<Words> =
        ["SET s1 a", "MULTI", "SET s1 b"].map(|text| fill(text, &mut Rng::from_seed(1))).into();
    for lanes in [0, 2] {
        let found = outcome(lanes, &log).found.expect("no fault");
        assert_eq!(found.0, [(0, "s1".to_owned(), "a".to_owned(), None)], "{lanes} lanes");
    }
}
