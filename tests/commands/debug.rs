//! DEBUG's tools.

use super::on_each_server;
use crate::support::Server;
use outrigger::resp::RespValue;

#[test]
fn a_value_of_each_type_of_the_protocol() {
    on_each_server(|server| {
        let types =
            ["string", "integer", "null", "array", "set", "map", "attrib", "verbatim", "true", "false"];
        for kind in types.into_iter().chain(["bignum", "double", "push", "nonsense"]) {
            for mut client in [server.client(), server.client3()] {
                let got = client.cmd(&format!("DEBUG PROTOCOL {kind}"));
                // A push is followed by an ordinary reply.
                if matches!(got, RespValue::Push(_)) {
                    let reply = client.read().expect("the reply");
                    assert_eq!(reply, RespValue::Bulk(b"Some real reply following the push reply".to_vec()));
                }
                assert_eq!(client.text("PING"), "PONG", "after {kind}: {got:?}");
            }
        }
        assert_eq!(server.client().int("DEBUG PROTOCOL true"), 1);
        let third = server.client3().cmd("DEBUG PROTOCOL map");
        assert!(matches!(third, RespValue::Map(_)), "{third:?}");
        assert!(server.client().error("DEBUG PROTOCOL push").starts_with("ERR RESP2"));
    });
}

#[test]
fn populating() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("SET key:1 own");
        client.ok("DEBUG POPULATE 3");
        assert_eq!((client.text("GET key:1"), client.text("GET key:2")), ("own".into(), "value:2".into()));
        client.ok("DEBUG POPULATE 2 p 20");
        assert_eq!((client.int("DBSIZE"), client.int("STRLEN p:0")), (5, 20));
        assert_eq!(client.text("GETRANGE p:1 0 6"), "value:1");
        client.error("DEBUG POPULATE x");
    });
}

#[test]
fn what_was_populated_is_logged() {
    let server = Server::ours(&["--appendonly", "yes", "--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.ok("DEBUG POPULATE 50 p 9");
    let before = client.digest();
    client.ok("DEBUG LOADAOF");
    assert_eq!((client.int("DBSIZE"), client.digest()), (50, before));
}

#[test]
fn plain_nodes_of_lists_by_threshold() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("CONFIG SET list-max-listpack-size 2");
        client.ok("DEBUG QUICKLIST-PACKED-THRESHOLD 5b");
        client.int("RPUSH l a b c d e f");
        client.ok("LSET l 2 abcdefgh");
        client.int("LINSERT l BEFORE d 123456789");
        let range = client.cmd("LRANGE l 0 -1");
        client.ok("DEBUG RELOAD");
        assert_eq!(client.cmd("LRANGE l 0 -1"), range);
        assert_eq!(client.text("LINDEX l 2"), "abcdefgh");
        client.ok("DEBUG QUICKLIST-PACKED-THRESHOLD 0");
        client.error("DEBUG QUICKLIST-PACKED-THRESHOLD 5gb");
    });
}

#[test]
fn checksums_can_be_passed_over() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("SET a abc");
        let RespValue::Bulk(mut payload) = client.cmd("DUMP a") else { panic!("no payload") };
        let last = payload.len() - 1;
        payload[last] ^= 1;
        let restore: [&[u8]; 4] = [b"RESTORE", b"b", b"0", &payload];
        assert!(matches!(client.command(&restore), RespValue::Error(_)));
        client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
        assert_eq!(client.command(&restore), RespValue::Simple(b"OK".to_vec()));
        client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0");
        client.int("DEL b");
        assert!(matches!(client.command(&restore), RespValue::Error(_)));
    });
}

#[test]
fn words_for_the_log_and_a_pause_of_the_cron() {
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.ok("DEBUG LOG here-we-are");
    assert!(server.log().contains("here-we-are"));
    client.ok("DEBUG PAUSE-CRON 1");
    client.ok("SET a 1 PX 1");
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(client.int("DBSIZE"), 1, "nobody removes it");
    client.ok("DEBUG PAUSE-CRON 0");
    let gone = || client.int("DBSIZE") == 0;
    crate::support::wait_for("the key to go", std::time::Duration::from_secs(10), gone);
}
