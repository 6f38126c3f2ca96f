use crate::command::context::ExpiryMode;
use crate::command::testing::Harness;

const FOREIGN: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPTED: &str = "-INVALIDOBJ Corrupted HLL object detected";

#[test]
fn adding_and_counting() {
    let mut h = Harness::new();
    h.check_effects("PFADD k a b c a", ":1", &["PFADD k a b c a"]);
    assert_eq!(h.dirty, 4, "three elements and the key");
    h.check_effects("PFADD k a b", ":0", &[]);
    h.check_effects("PFCOUNT k", ":3", &["PFCOUNT k"]);
    h.check_effects("PFCOUNT k", ":3", &[]);
    h.check("PFADD k d", ":1");
    h.check_effects("PFADD empty", ":1", &["PFADD empty"]);
    h.check_effects("PFADD empty", ":0", &[]);
    h.check("PFCOUNT k empty none", ":4");
    h.check("PFCOUNT none", ":0");
    h.check("OBJECT ENCODING empty", "\"raw\"");
}

#[test]
fn a_replica_leaves_the_cache_to_its_primary() {
    let mut h = Harness::new();
    h.check("PFADD k a", ":1");
    let before = h.run("GET k");
    h.expiry = ExpiryMode::Hide;
    h.check_effects("PFCOUNT k", ":1", &[]);
    assert_eq!(h.run("GET k"), before);
    h.expiry = ExpiryMode::Ignore;
    h.check("PFCOUNT k", ":1");
    assert_ne!(h.run("GET k"), before);
}

#[test]
fn merging() {
    let mut h = Harness::new();
    h.check("PFADD a 1 2 3", ":1");
    h.check("PFADD b 3 4", ":1");
    h.check_effects("PFMERGE d a b none", "+OK", &["PFMERGE d a b none"]);
    h.check("PFCOUNT d", ":4");
    h.check("PFDEBUG ENCODING d", "+sparse");
    h.check_effects("PFDEBUG TODENSE b", ":1", &["PFDEBUG TODENSE b"]);
    h.check_effects("PFDEBUG todense b", ":0", &[]);
    h.check("EXPIRE d 1000", ":1");
    h.check("PFMERGE d b", "+OK");
    h.check("PFDEBUG ENCODING d", "+dense");
    h.check("PFCOUNT d", ":4");
    h.check("TTL d", ":1000");
    h.check("PFMERGE new", "+OK");
    h.check("PFCOUNT new", ":0");
}

#[test]
fn many_elements_make_it_dense() {
    let mut h = Harness::new();
    h.settings.limits.hll_sparse_max_bytes = 40;
    h.check("PFADD k a b c", ":1");
    h.check("PFDEBUG ENCODING k", "+sparse");
    h.check("PFADD k d e f g h i j k l m", ":1");
    h.check("PFDEBUG ENCODING k", "+dense");
    h.check("STRLEN k", ":12304");
    h.check("PFDEBUG DECODE k", "-ERR HLL encoding is not sparse");
    h.check("PFADD k d e f g h i j k l m", ":0");
    h.check("PFCOUNT k", ":13");
}

#[test]
fn looking_inside() {
    let mut h = Harness::new();
    h.check("PFADD k a b c d e f g h i", ":1");
    h.check(
        "PFDEBUG DECODE k",
        "\"Z:1646 v:1,1 Z:2537 v:1,1 Z:3107 v:1,1 Z:1085 v:2,1 z:57 v:1,1 Z:3523 v:1,1 Z:750 v:2,1 Z:2445 v:1,1 \
         Z:622 v:1,1 Z:603\"",
    );
    let registers = h.run("PFDEBUG GETREG k");
    assert_eq!(registers.matches(":1").count(), 7);
    assert_eq!(registers.matches(":2").count(), 2);
    h.check("PFDEBUG ENCODING k", "+dense");
    h.check("PFDEBUG WHAT k", "-ERR Unknown PFDEBUG subcommand 'WHAT'");
    let cut_at_nul = h.run_args(&[b"PFDEBUG", b"a\0b\r\n", b"k"]);
    assert_eq!(cut_at_nul, "-ERR Unknown PFDEBUG subcommand 'a'");
    h.check("PFDEBUG ENCODING none", "-ERR The specified key does not exist");
    h.check("PFSELFTEST", "+OK");
}

#[test]
fn what_is_none_is_refused() {
    let mut h = Harness::new();
    h.check("SET s word", "+OK");
    h.check("SET n 12", "+OK");
    h.put_list("l", &["a"]);
    for command in ["PFADD", "PFCOUNT", "PFMERGE d", "PFCOUNT none", "PFDEBUG ENCODING"] {
        h.check(&format!("{command} s"), FOREIGN);
        h.check(&format!("{command} n"), FOREIGN);
        h.check(
            &format!("{command} l"),
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
    h.check("EXISTS d", ":0");
}

#[test]
fn what_is_corrupted_stays_as_it_is() {
    let mut h = Harness::new();
    // Registers 0 to 8191 only, and no valid cache.
    let half = "\"HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80_\\xff\"";
    h.check(&format!("SET k {half}"), "+OK");
    for command in ["PFCOUNT k", "PFCOUNT k none", "PFMERGE d k", "PFDEBUG TODENSE k"] {
        h.check_effects(command, CORRUPTED, &[]);
    }
    h.check_effects("PFADD k a b c d e f g h i j", CORRUPTED, &[]);
    assert_eq!(h.run("GET k"), half, "the elements before the one that failed are taken back");
    h.check("EXISTS d", ":0");
}
