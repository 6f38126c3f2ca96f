use crate::command::context::ExpiryMode;
use crate::command::testing::Harness;

#[test]
fn bits_are_set_and_read() {
    let mut h = Harness::new();
    h.check_effects("SETBIT k 7 1", ":0", &["SETBIT k 7 1"]);
    h.check("GET k", "\"\\x01\"");
    h.check("OBJECT ENCODING k", "\"raw\"");
    h.check_effects("SETBIT k 7 1", ":1", &[]);
    h.check_effects("SETBIT k 20 0", ":0", &["SETBIT k 20 0"]);
    h.check("GET k", "\"\\x01\\x00\\x00\"");
    h.check("GETBIT k 7", ":1");
    h.check("GETBIT k 4000", ":0");
    h.check("GETBIT none 4000", ":0");
    h.check("SET n 12", "+OK");
    h.check("GETBIT n 2", ":1");
    h.check("SETBIT n 15 1", ":0");
    h.check("GET n", "\"13\"");
    h.check("OBJECT ENCODING n", "\"raw\"");
}

#[test]
fn long_strings_are_changed_where_they_lie() {
    let mut h = Harness::new();
    h.check("SETBIT k 400000 1", ":0");
    h.check("SETBIT k 1 1", ":0");
    h.check("BITCOUNT k", ":2");
    h.check("BITPOS k 1 1", ":400000");
    h.check("STRLEN k", ":50001");
    h.check("SETBIT k 400000 0", ":1");
    h.check("BITPOS k 1 1", ":-1");
}

#[test]
fn offsets_and_bits_are_checked() {
    let mut h = Harness::new();
    let offset = "-ERR bit offset is not an integer or out of range";
    for text in ["-1", "4294967296", "x", "#1"] {
        h.check(&format!("SETBIT k {text} 1"), offset);
        h.check(&format!("GETBIT k {text}"), offset);
    }
    h.check("SETBIT k 0 2", "-ERR bit is not an integer or out of range");
    h.check("GETBIT k 4294967295", ":0");
    h.settings.max_bulk_bytes = 1024;
    h.check("SETBIT k 8192 1", offset);
    h.check("SETBIT k 8191 1", ":0");
    // A primary may have allowed more.
    h.expiry = ExpiryMode::Ignore;
    h.check("SETBIT k 8192 1", ":0");
    h.put_list("l", &["a"]);
    h.check("SETBIT l 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

#[test]
fn counting_in_ranges() {
    let mut h = Harness::new();
    h.check("SET k foobar", "+OK");
    h.check("BITCOUNT k", ":26");
    h.check("BITCOUNT k 0 0", ":4");
    h.check("BITCOUNT k 1 1 BYTE", ":6");
    h.check("BITCOUNT k 5 30 BIT", ":17");
    h.check("BITCOUNT k -2 -1", ":7");
    h.check("BITCOUNT k -1 -2 nonsense", ":0");
    h.check("BITCOUNT k -60 -79", ":0");
    h.check("BITCOUNT k -79 -60", ":4");
    h.check("BITCOUNT k 1 2 nonsense", "-ERR syntax error");
    h.check("BITCOUNT k 1", "-ERR syntax error");
    h.check("BITCOUNT none 1", ":0");
}

#[test]
fn searching() {
    let mut h = Harness::new();
    h.check("SET k \"\\xff\\xf0\\x00\"", "+OK");
    h.check("BITPOS k 0", ":12");
    h.check("BITPOS k 1 2", ":-1");
    h.check("BITPOS k 0 0 0", ":-1");
    h.check("BITPOS k 1 -13 -1 BIT", ":11");
    h.check("SET ones \"\\xff\\xff\"", "+OK");
    h.check("BITPOS ones 0", ":16");
    h.check("BITPOS ones 0 1", ":16");
    h.check("BITPOS ones 0 0 -1", ":-1");
    h.check("BITPOS ones 0 5", ":-1");
    h.check("BITPOS none 0", ":0");
    h.check("BITPOS none 1", ":-1");
    h.check("BITPOS none 2", "-ERR The bit argument must be 1 or 0.");
}

#[test]
fn combining() {
    let mut h = Harness::new();
    h.check("SET a abc", "+OK");
    h.check("SET b \"\\xff\"", "+OK");
    h.check_effects("BITOP AND d a b", ":3", &["BITOP AND d a b"]);
    h.check("GET d", "\"a\\x00\\x00\"");
    h.check("BITOP or d a b none", ":3");
    h.check("GET d", "\"\\xffbc\"");
    h.check("BITOP XOR d a a", ":3");
    h.check("GET d", "\"\\x00\\x00\\x00\"");
    h.check("BITOP NOT d b", ":1");
    h.check("GET d", "\"\\x00\"");
    h.check("SET n 12", "+OK");
    h.check("BITOP OR d n n", ":2");
    h.check("OBJECT ENCODING d", "\"raw\"");
    h.check_effects("BITOP NOT d none", ":0", &["BITOP NOT d none"]);
    h.check("EXISTS d", ":0");
    h.check_effects("BITOP NOT d none", ":0", &[]);
    h.check("BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key.");
    h.check("BITOP NAND d a b", "-ERR syntax error");
    h.put_list("l", &["a"]);
    h.check("BITOP AND d a l", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

#[test]
fn fields() {
    let mut h = Harness::new();
    h.check_effects("BITFIELD k SET i8 0 -1 GET u8 0", "[:0, :255]", &["BITFIELD k SET i8 0 -1 GET u8 0"]);
    h.check("BITFIELD k INCRBY u4 #1 3", "[:2]");
    h.check("BITFIELD k OVERFLOW SAT INCRBY u4 #1 30 INCRBY i4 0 -30", "[:15, :-8]");
    h.check_effects("BITFIELD k OVERFLOW FAIL INCRBY u4 #1 1", "[nil]", &[]);
    h.check("BITFIELD k SET u63 1 -1", "[:1080863910568919040]");
    h.check(
        "BITFIELD k GET u63 1 GET i64 0 GET i64 60",
        "[:9223372036854775807, :-1, :-1152921504606846976]",
    );
    h.check("BITFIELD k INCRBY i64 0 9223372036854775807", "[:9223372036854775806]");
    h.check("BITFIELD k INCRBY i64 0 9223372036854775807", "[:-3]");
    h.check("BITFIELD far OVERFLOW SAT SET i8 0 -9223372036854775000 GET i8 0", "[:0, :-128]");
    h.check("BITFIELD far OVERFLOW SAT SET i8 0 -9223372036854775800 GET i8 0", "[:-128, :127]");
    h.check("BITFIELD far SET i8 0 -9223372036854775801 GET i8 0", "[:127, :7]");
    h.check("BITFIELD far OVERFLOW SAT INCRBY i8 0 -9223372036854775808", "[:-128]");
    h.check("BITFIELD none GET u8 0 OVERFLOW SAT", "[:0]");
    h.check("EXISTS none", ":0");
    h.check("BITFIELD none", "[]");
    // The step fails, but the string is there now, and replicas must have it, too.
    let failing = "BITFIELD new OVERFLOW FAIL SET u1 9 5";
    h.check_effects(failing, "[nil]", &[failing]);
    h.check("STRLEN new", ":2");
}

#[test]
fn fields_are_checked() {
    let mut h = Harness::new();
    let encoding =
        "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    for text in ["u64", "i65", "i0", "x8", "i", "I8", "u8x"] {
        h.check(&format!("BITFIELD k GET {text} 0"), encoding);
    }
    h.check("BITFIELD k GET u8 #x", "-ERR bit offset is not an integer or out of range");
    h.check("BITFIELD k GET u8", "-ERR syntax error");
    h.check("BITFIELD k SET u8 0 x", "-ERR value is not an integer or out of range");
    h.check("BITFIELD k OVERFLOW WRAPPED GET u8 0", "-ERR Invalid OVERFLOW type specified");
    h.check("BITFIELD_RO k GET u8 0 SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand");
    h.check("EXISTS k", ":0");
}
