use crate::command::ExpiryMode;
use crate::command::testing::{Harness, START_MS};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";

/// A harness with a list at `list`.
fn harness() -> Harness {
    let mut harness = Harness::new();
    harness.put_list("list", &["a"]);
    harness
}

#[test]
fn set_options() {
    let mut h = harness();
    h.check_effects("SET k v NX GET", "nil", &["SET k v"]);
    h.check_effects("SET k w NX", "nil", &[]);
    h.check_effects("SET k w NX GET", "\"v\"", &[]);
    h.check_effects("SET k w XX GET EX 10", "\"v\"", &[&format!("SET k w PXAT {}", START_MS + 10_000)]);
    h.check_effects("SET k x KEEPTTL", "+OK", &["SET k x KEEPTTL"]);
    h.check("PEXPIRETIME k", &format!(":{}", START_MS + 10_000));
    h.check_effects("SET k x", "+OK", &["SET k x"]);
    h.check("TTL k", ":-1");
    h.check("SET none x XX", "nil");
    // What is absolute already is logged as the client wrote it, without the conditions.
    h.check_effects("set k w xx pxat 1800000000001", "+OK", &["set k w pxat 1800000000001"]);
    h.check_effects("SET k x EXAT 1800000000", "+OK", &["SET k x PXAT 1800000000000"]);
    h.check("SET list x GET", WRONG_TYPE);
    h.check("SET k v EX 10 EX 20", "+OK");
    h.check("TTL k", ":20");
    for line in ["NX XX", "EX", "EX 1 PX 1", "KEEPTTL EX 1", "EX 1 KEEPTTL", "PERSIST", "FOO"] {
        h.check(&format!("SET k v {line}"), SYNTAX);
    }
    for amount in ["0", "-1", "9223372036854775807", "9223372036854776"] {
        h.check(&format!("SET k v EX {amount}"), "-ERR invalid expire time in 'set' command");
    }
    h.check("SET k v EX 1.5", NOT_INTEGER);
    h.check("SET k v EX x FOO", SYNTAX);
}

#[test]
fn a_time_in_the_past_is_stored_and_the_next_look_removes_the_key() {
    let mut h = harness();
    h.check("SET k v PXAT 1", "+OK");
    h.check_effects("GET k", "nil", &["DEL k"]);
    h.check("SET k v PXAT 1", "+OK");
    h.settings.lazy_expire = true;
    h.check_effects("EXISTS k", ":0", &["UNLINK k"]);
}

#[test]
fn kin_of_set() {
    let mut h = harness();
    h.check_effects("SETNX k 1", ":1", &["SETNX k 1"]);
    h.check_effects("SETNX k 2", ":0", &[]);
    h.check_effects("SETEX k 10 v", "+OK", &[&format!("SET k v PXAT {}", START_MS + 10_000)]);
    h.check_effects("PSETEX k 10 v", "+OK", &[&format!("SET k v PXAT {}", START_MS + 10)]);
    h.check("SETEX k 0 v", "-ERR invalid expire time in 'setex' command");
    h.check("PSETEX k -5 v", "-ERR invalid expire time in 'psetex' command");
    h.check("SETEX k x v", NOT_INTEGER);
    h.check_effects("GETSET k w", "\"v\"", &["SET k w"]);
    h.check("TTL k", ":-1");
    h.check("GETSET list w", WRONG_TYPE);
    h.check_effects("GETDEL k", "\"w\"", &["DEL k"]);
    h.check_effects("GETDEL k", "nil", &[]);
    h.check("GETDEL list", WRONG_TYPE);
}

#[test]
fn getex() {
    let mut h = harness();
    h.check("SET k 5", "+OK");
    h.check_effects("GETEX k", "\"5\"", &[]);
    h.check_effects("GETEX k EX 10", "\"5\"", &[&format!("PEXPIREAT k {}", START_MS + 10_000)]);
    h.check_effects("GETEX k PERSIST", "\"5\"", &["PERSIST k"]);
    h.check_effects("GETEX k PERSIST", "\"5\"", &[]);
    h.check("GETEX none EX 0", "nil");
    h.check("GETEX k EX 0", "-ERR invalid expire time in 'getex' command");
    h.check("GETEX list EX 0", WRONG_TYPE);
    for line in ["KEEPTTL", "NX", "EX", "PERSIST EX 1", "EX 1 PERSIST", "EX 1 PX 1"] {
        h.check(&format!("GETEX k {line}"), SYNTAX);
    }
    h.check_effects("GETEX k PXAT 1", "\"5\"", &["DEL k"]);
    h.check("EXISTS k", ":0");
    h.expiry = ExpiryMode::Ignore;
    h.check("SET k 5", "+OK");
    h.check_effects("GETEX k PXAT 1", "\"5\"", &["PEXPIREAT k 1"]);
    h.check("EXISTS k", ":1");
}

#[test]
fn several_keys() {
    let mut h = harness();
    h.check_effects("MSET a 1 b x a 2", "+OK", &["MSET a 1 b x a 2"]);
    assert_eq!(h.dirty, 3);
    h.check("MGET a none b list", "[\"2\", nil, \"x\", nil]");
    h.check_effects("MSETNX c 1 a 3", ":0", &[]);
    h.check("EXISTS c", ":0");
    h.check("MSETNX c 1 d 3", ":1");
    h.check("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command");
    h.check("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command");
}

#[test]
fn counters() {
    let mut h = harness();
    h.check_effects("INCR n", ":1", &["INCR n"]);
    h.check("EXPIRE n 100", ":1");
    h.check("INCRBY n 41", ":42");
    h.check("DECR n", ":41");
    h.check("DECRBY n 50", ":-9");
    h.check("TTL n", ":100");
    h.check("SET n 9223372036854775807", "+OK");
    h.check_effects("INCR n", "-ERR increment or decrement would overflow", &[]);
    h.check("DECRBY n -9223372036854775808", "-ERR decrement would overflow");
    h.check("INCRBY n x", NOT_INTEGER);
    h.check("INCR list", WRONG_TYPE);
    h.check("SET n 01", "+OK");
    h.check("INCR n", NOT_INTEGER);
}

#[test]
fn floating_counters() {
    let mut h = harness();
    h.check_effects("INCRBYFLOAT f 3.0", "\"3\"", &["SET f 3 KEEPTTL"]);
    h.check("PEXPIRE f 100", ":1");
    h.check_effects("INCRBYFLOAT f 0.1", "\"3.1\"", &["SET f 3.1 KEEPTTL"]);
    h.check("PTTL f", ":100");
    h.check("INCRBYFLOAT f x", "-ERR value is not a valid float");
    h.check("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity");
    h.check("INCRBYFLOAT list x", WRONG_TYPE);
    h.check("SET f abc", "+OK");
    h.check("INCRBYFLOAT f 1", "-ERR value is not a valid float");
}

#[test]
fn parts_of_strings() {
    let mut h = harness();
    h.check_effects("APPEND k 12", ":2", &["APPEND k 12"]);
    h.check("INCR k", ":13");
    h.check("APPEND k ab", ":4");
    h.check("STRLEN k", ":4");
    h.check("STRLEN none", ":0");
    h.check("STRLEN list", WRONG_TYPE);
    h.check("GETRANGE k 1 -2", "\"3a\"");
    h.check("SUBSTR k -2 -1", "\"ab\"");
    h.check("GETRANGE none 0 -1", "\"\"");
    h.check("GETRANGE list 0 -1", WRONG_TYPE);
    h.check("GETRANGE k x 1", NOT_INTEGER);
    h.check_effects("SETRANGE k 6 Z", ":7", &["SETRANGE k 6 Z"]);
    h.check("GET k", "\"13ab\\x00\\x00Z\"");
    h.check_effects("SETRANGE k 1 \"\"", ":7", &[]);
    h.check_effects("SETRANGE none 5 \"\"", ":0", &[]);
    h.check("EXISTS none", ":0");
    h.check("SETRANGE k -1 x", "-ERR offset is out of range");
    h.check("SETRANGE list 0 x", WRONG_TYPE);
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    h.check("SETRANGE k 536870912 x", too_long);
    h.check("SETRANGE k 9223372036854775807 x", too_long);
    h.settings.max_bulk_bytes = 8;
    h.check("APPEND k yz", too_long);
    h.check("APPEND k y", ":8");
    h.expiry = ExpiryMode::Ignore;
    h.check("SETRANGE k 9223372036854775807 x", too_long);
}

#[test]
fn strings_grow_past_what_an_entry_holds_and_keep_their_expiry() {
    let mut h = harness();
    let piece = "x".repeat(300);
    let mut len = 0;
    for _ in 0..10 {
        len += piece.len();
        h.check(&format!("APPEND k {piece}"), &format!(":{len}"));
        h.check("EXPIRE k 50", ":1");
    }
    h.check("SETRANGE k 2999 ab", ":3001");
    h.check("GETRANGE k 2997 -1", "\"xxab\"");
    h.check("TTL k", ":50");
}

#[test]
fn lcs() {
    let mut h = harness();
    h.check("MSET a ohmytext b mynewtext n 12345", "+OK");
    h.check("LCS a b", "\"mytext\"");
    h.check("LCS a b LEN", ":6");
    h.check(
        "LCS a b IDX WITHMATCHLEN",
        "[\"matches\", [[[:4, :7], [:5, :8], :4], [[:2, :3], [:0, :1], :2]], \"len\", :6]",
    );
    h.resp3 = true;
    h.check("LCS a b IDX MINMATCHLEN 4", "{\"matches\": [[[:4, :7], [:5, :8]]], \"len\": :6}");
    h.check("LCS a none", "\"\"");
    h.check("LCS n n", "\"12345\"");
    h.check("LCS a list", "-ERR The specified keys must contain string values");
    h.check("LCS a b IDX LEN", "-ERR If you want both the length and indexes, please just use IDX.");
    h.check("LCS a b MINMATCHLEN", SYNTAX);
    h.settings.max_bulk_bytes = 100;
    let text = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    h.check("LCS a b", text);
}

#[test]
fn what_was_edited_is_raw_whatever_it_reads() {
    let mut h = Harness::new();
    h.check("SET k 12", "+OK");
    h.check("APPEND k 3", ":3");
    h.check("OBJECT ENCODING k", "\"raw\"");
    h.check("COPY k copy", ":1");
    h.check("RENAME copy moved", "+OK");
    h.check("OBJECT ENCODING moved", "\"raw\"");
    h.check("INCR moved", ":124");
    h.check("OBJECT ENCODING moved", "\"int\"");
    h.check("SETRANGE new 1 x", ":2");
    h.check("OBJECT ENCODING new", "\"raw\"");
    h.check("APPEND short 7", ":1");
    h.check("OBJECT ENCODING short", "\"int\"");
    h.check("INCRBYFLOAT short 1", "\"8\"");
    h.check("OBJECT ENCODING short", "\"embstr\"");
    h.check("SET k word", "+OK");
    h.check("OBJECT ENCODING k", "\"embstr\"");
}
