use crate::command::ExpiryMode;
use crate::command::testing::{Harness, START_MS};

#[test]
fn effects_are_absolute() {
    let mut h = Harness::new();
    h.check("SET k v", "+OK");
    let at = |ms: i64| format!("PEXPIREAT k {ms}");
    h.check_effects("EXPIRE k 10", ":1", &[&at(START_MS + 10_000)]);
    h.check_effects("PEXPIRE k 10 GT", ":0", &[]);
    h.check_effects("PEXPIRE k 10 LT", ":1", &[&at(START_MS + 10)]);
    h.check_effects(&format!("EXPIREAT k {}", START_MS / 1000 + 5), ":1", &[&at(START_MS + 5_000)]);
    h.check_effects(&format!("PEXPIREAT k {}", START_MS + 5), ":1", &[&at(START_MS + 5)]);
    h.check_effects("EXPIRE none 10", ":0", &[]);
    assert_eq!(h.dirty, 0);
}

#[test]
fn a_time_in_the_past_removes_the_key() {
    let mut h = Harness::new();
    for line in ["EXPIRE k 0", "PEXPIRE k -1", "EXPIREAT k 5", "PEXPIREAT k -7"] {
        h.check("SET k v", "+OK");
        h.check_effects(line, ":1", &["DEL k"]);
        h.check("EXISTS k", ":0");
    }
    h.settings.lazy_expire = true;
    h.check("SET k v", "+OK");
    h.check_effects("EXPIRE k 0", ":1", &["UNLINK k"]);
    // What a log says is done to the letter: the removal has its own place in it.
    h.expiry = ExpiryMode::Ignore;
    h.check("SET k v", "+OK");
    h.check("PEXPIREAT k 1", ":1");
    h.check("EXISTS k", ":1");
}

#[test]
fn conditions() {
    let mut h = Harness::new();
    h.check("SET k v", "+OK");
    h.check("EXPIRE k 10 XX", ":0");
    h.check("EXPIRE k 10 GT", ":0");
    h.check("EXPIRE k 10 nx", ":1");
    h.check("EXPIRE k 10 NX", ":0");
    h.check("EXPIRE k 10 GT", ":0");
    h.check("EXPIRE k 10 LT", ":0");
    h.check("EXPIRE k 11 XX GT", ":1");
    h.check("EXPIRE k 9 LT XX", ":1");
    h.check("PERSIST k", ":1");
    h.check("EXPIRE k 100 LT", ":1");
    h.check("EXPIRE k 10 FOO", "-ERR Unsupported option FOO");
    h.check("EXPIRE k 1 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible");
    h.check("EXPIRE k 1 LT GT", "-ERR GT and LT options at the same time are not compatible");
    h.check("EXPIRE k x", "-ERR value is not an integer or out of range");
    h.check("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command");
    h.check("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command");
    h.check("EXPIREAT k -9223372036854775808", "-ERR invalid expire time in 'expireat' command");
    h.check("PEXPIREAT k 9223372036854775807", ":1");
    h.check("TTL k", ":9223370336854776");
}

#[test]
fn what_is_left() {
    let mut h = Harness::new();
    h.check("TTL k", ":-2");
    h.check("SET k v", "+OK");
    for command in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
        h.check(&format!("{command} k"), ":-1");
    }
    h.check("PEXPIRE k 1500", ":1");
    h.check("TTL k", ":2");
    h.check("PTTL k", ":1500");
    h.check("EXPIRETIME k", &format!(":{}", START_MS / 1000 + 2));
    h.check("PEXPIRETIME k", &format!(":{}", START_MS + 1500));
    h.now_ms += 1500;
    h.check("PTTL k", ":0");
    h.check_effects("PERSIST k", ":1", &["PERSIST k"]);
    h.check_effects("PERSIST k", ":0", &[]);
    h.check("PEXPIRE k 1", ":1");
    h.now_ms += 2;
    h.check_effects("PERSIST k", ":0", &["DEL k"]);
}
