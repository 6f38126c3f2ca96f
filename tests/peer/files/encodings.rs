//! A key in each encoding that there is.

use crate::persistence::traffic::{Words, raw, words};
use crate::support::Client;

/// Elements of the large collections: above every limit on small encodings.
const MANY: usize = 700;

/// The encodings that a kind of server has names of its own for.
pub struct Names {
    small_list: &'static str,
    small_set: &'static str,
}

/// What OBJECT ENCODING says on a stock server of version 7.0.
pub const STOCK: Names = Names { small_list: "quicklist", small_set: "hashtable" };
/// … and on ours.
pub const OURS: Names = Names { small_list: "listpack", small_set: "listpack" };

fn many(name: &str, key: &str, one: &dyn Fn(usize) -> Vec<String>) -> Words {
    let mut command = words(&format!("{name} {key}"));
    command.extend((0..MANY).flat_map(one).map(String::into_bytes));
    command
}

/// Commands that make the keys, with what OBJECT ENCODING must say then, so that none is missed.
fn keys(names: &Names) -> Vec<(Words, &'static str)> {
    let long = vec![b'x'; 100_000];
    let mixed: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        (words("SET s:int 1234567"), "int"),
        (words("SET s:min -9223372036854775808"), "int"),
        (words("SET s:embstr text"), "embstr"),
        (raw(&[b"SET", b"s:empty", b""]), "embstr"),
        (raw(&[b"SET", b"s:raw", &long]), "raw"),
        (raw(&[b"SET", b"s:mixed", &mixed]), "raw"),
        (raw(&[b"SET", b"\x00\xff key \r\n", &mixed[..300]]), "raw"),
        (words("RPUSH l:small a 1 -70000 text 12345678901"), names.small_list),
        (many("RPUSH", "l:large", &|n| vec![format!("element no. {n}")]), "quicklist"),
        (raw(&[b"RPUSH", b"l:long", b"a", &long, b"b", &mixed, b"c"]), "quicklist"),
        (words("SADD i:16 1 2 -3"), "intset"),
        (words("SADD i:32 1 2 -3000000"), "intset"),
        (words("SADD i:64 1 2 -3000000000000"), "intset"),
        (words("SADD set:small a b 3"), names.small_set),
        (many("SADD", "set:large", &|n| vec![format!("m{n}")]), "hashtable"),
        (many("SADD", "set:numbers", &|n| vec![(n * 3).to_string()]), "hashtable"),
        (words("HSET h:small f v n 12 neg -1"), "listpack"),
        (many("HSET", "h:large", &|n| vec![format!("f{n}"), n.to_string()]), "hashtable"),
        (raw(&[b"HSET", b"h:long", b"f", &long]), "hashtable"),
        (words("ZADD z:small 1 a -2.5 b inf c -inf d 0.1 e 3 7"), "listpack"),
        (many("ZADD", "z:large", &|n| vec![format!("{}e-3", n * 7 % 101), format!("m{n}")]), "skiplist"),
        (raw(&[b"ZADD", b"z:long", b"17179869184.0625", &mixed[..100]]), "skiplist"),
        (words("GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"), "listpack"),
        (words("PFADD hll:sparse a b c"), "raw"),
        (many("PFADD", "hll:dense", &|n| (0..9).map(|i| format!("element {n} {i}")).collect()), "raw"),
        (words("SETBIT bits 70000 1"), "raw"),
        (words("XADD x:plain 5-5 f v"), "stream"),
        (words("XADD x:groups 1-1 name alice age 30"), "stream"),
        (words("XADD x:empty 7-1 f v"), "stream"),
        (words("XADD x:large 1-1 f v"), "stream"),
    ]
}

/// What is done to the streams, and to what expires.
fn changes() -> Vec<Words> {
    let mut changes: Vec<Words> =
        (2..MANY).map(|n| words(&format!("XADD x:large {n}-{n} f{} value-{n}", n % 3))).collect();
    let lines = [
        "XADD x:groups 1-2 name bob age x",
        "XADD x:groups 2-0 other -70000 more 12345678901",
        "XADD x:groups 300-7 name eve age 99",
        "XGROUP CREATE x:groups readers 0",
        "XGROUP CREATE x:groups late $",
        "XGROUP CREATE x:groups known 1-2 ENTRIESREAD 2",
        "XREADGROUP GROUP readers alice COUNT 2 STREAMS x:groups >",
        "XREADGROUP GROUP readers bob COUNT 1 STREAMS x:groups >",
        "XCLAIM x:groups readers carol 0 1-2 TIME 1700000000000 RETRYCOUNT 300",
        "XGROUP CREATECONSUMER x:groups readers idle",
        "XDEL x:groups 1-2",
        "XACK x:groups readers 1-1",
        "XDEL x:empty 7-1",
        "XGROUP CREATE x:empty g 0",
        "XGROUP CREATE x:made g 0 MKSTREAM",
        "XTRIM x:large MAXLEN 500",
        "XDEL x:large 400-400 401-401",
        "EXPIRE l:large 100000",
        "PEXPIREAT h:small 4102444800123",
        "PEXPIREAT x:plain 4102444800123",
        "SELECT 9",
        "SET elsewhere 1 EX 100000",
        "SELECT 15",
        "SET last 1",
        "SELECT 0",
    ];
    changes.extend(lines.iter().map(|line| words(line)));
    changes
}

/// Makes a key in each encoding; the names tell which server's.
pub fn every_encoding(client: &mut Client, names: &Names) {
    for (command, encoding) in keys(names) {
        let reply = client.command(&command);
        assert!(reply.as_error().is_none(), "{reply:?}");
        let found = client.command(&[b"OBJECT", b"ENCODING".as_slice(), &command[1]]);
        assert_eq!(found.as_bytes(), Some(encoding.as_bytes()), "{}", String::from_utf8_lossy(&command[1]));
    }
    for command in changes() {
        let reply = client.command(&command);
        assert!(reply.as_error().is_none(), "{}: {reply:?}", String::from_utf8_lossy(&command.join(&b' ')));
    }
    let dense = client.command(&["PFDEBUG", "ENCODING", "hll:dense"]);
    let sparse = client.command(&["PFDEBUG", "ENCODING", "hll:sparse"]);
    assert_eq!((dense.as_bytes(), sparse.as_bytes()), (Some(&b"dense"[..]), Some(&b"sparse"[..])));
}
