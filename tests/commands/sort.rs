//! SORT among other commands: in transactions, for clients that wait, and with large lists.

use super::on_each_server;
use crate::support::wait_for;
use outrigger::resp::RespValue;
use std::time::Duration;

#[test]
fn in_a_transaction_it_reads_keys_that_it_does_not_name() {
    on_each_server(|server| {
        let mut client = server.client();
        client.cmd("RPUSH l 1 2 3");
        client.ok("MSET w_1 9 w_2 8 w_3 7 v_3 three");
        client.ok("MULTI");
        client.cmd("SORT l BY w_* GET v_*");
        client.cmd("SORT l STORE d");
        client.cmd("SORT_RO d DESC LIMIT 0 1");
        let shown = format!("{:?}", client.cmd("EXEC"));
        let expected = RespValue::Array(vec![
            RespValue::Array(vec![RespValue::Bulk(b"three".to_vec()), RespValue::Null, RespValue::Null]),
            RespValue::Int(3),
            RespValue::Array(vec![RespValue::Bulk(b"3".to_vec())]),
        ]);
        assert_eq!(shown, format!("{expected:?}"));
    });
}

#[test]
fn what_is_stored_wakes_those_who_wait_and_fails_watches() {
    on_each_server(|server| {
        let (mut waiting, mut watching, mut client) = (server.client(), server.client(), server.client());
        watching.ok("WATCH d");
        waiting.send(&["BLPOP", "d", "0"]).expect("send");
        wait_for("it to wait", Duration::from_secs(10), || {
            client.info("blocked_clients").as_deref() == Some("1")
        });
        client.cmd("RPUSH l 2 1");
        assert_eq!(client.int("SORT l STORE d"), 2);
        let reply = waiting.read().expect("a reply");
        assert_eq!(reply.as_slice().map(<[_]>::len), Some(2));
        watching.ok("MULTI");
        watching.cmd("PING");
        assert!(watching.cmd("EXEC").is_null());
        assert_eq!(client.int("SORT none STORE d"), 0);
        assert_eq!(client.int("EXISTS d"), 0);
    });
}

/// Long results are put into order in slices: in the same order on every server.
#[test]
fn long_lists() {
    on_each_server(|server| {
        let mut client = server.client();
        let elements: Vec<String> = (0..30_000u64).map(|n| (n * 48_271 % 65_537).to_string()).collect();
        for part in elements.chunks(5_000) {
            let mut args = vec!["RPUSH".to_string(), "l".into()];
            args.extend_from_slice(part);
            client.command(&args);
        }
        let reply = client.cmd("SORT l ALPHA DESC GET #");
        let texts = reply.as_slice().expect("elements").iter().filter_map(RespValue::as_bytes);
        let mut sorted = elements.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        assert!(texts.eq(sorted.iter().map(String::as_bytes)));
        assert_eq!(client.int("SORT l STORE l"), 30_000);
        assert_eq!(
            client.text("LINDEX l 0"),
            elements.iter().min_by_key(|n| n.parse::<u64>().ok()).expect("one").as_str()
        );
    });
}
