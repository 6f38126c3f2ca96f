//! CLIENT and what else concerns a connection.

use super::on_each_server;
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::time::Duration;

/// A field of CLIENT INFO or of a line of CLIENT LIST.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let found = line.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {line}"))
}

#[test]
fn names_and_numbers() {
    on_each_server(|server| {
        let mut client = server.client();
        assert!(client.cmd("CLIENT GETNAME").is_null());
        client.ok("CLIENT SETNAME teller");
        assert_eq!(client.text("CLIENT GETNAME"), "teller");
        client.error("CLIENT SETNAME bad\u{7f}name\u{1}");
        let id = client.int("CLIENT ID");
        let info = client.text("CLIENT INFO");
        assert_eq!(field(&info, "id"), id.to_string());
        assert_eq!(field(&info, "name"), "teller");
        assert_eq!(field(&info, "cmd"), "client|info");
        assert_eq!(field(&info, "db"), "0");
        assert!(server.client().int("CLIENT ID") > id, "ids rise");
        let list = server.client().text(&format!("CLIENT LIST ID {id}"));
        assert_eq!(field(&list, "name"), "teller");
        assert_eq!(list.lines().count(), 1);
    });
}

#[test]
fn list_and_stock_list_have_the_same_fields() {
    let names = |server: &Server| -> Vec<String> {
        let line = server.client().text("CLIENT INFO");
        line.split_whitespace().filter_map(|pair| Some(pair.split_once('=')?.0.to_string())).collect()
    };
    let Some(stock) = Server::redis(&[]) else { return };
    let ours = names(&Server::ours(&[]));
    for name in names(&stock) {
        assert!(ours.contains(&name), "CLIENT INFO lacks {name}: {ours:?}");
    }
}

fn assert_closed(mut client: Client, why: &str) {
    client.set_read_timeout(Duration::from_secs(10));
    assert!(client.is_closed_by_server(), "{why}");
}

#[test]
fn kill_by_id_address_and_type() {
    on_each_server(|server| {
        let mut killer = server.client();
        let mut by_id = server.client();
        let id = by_id.int("CLIENT ID");
        assert_eq!(killer.int(&format!("CLIENT KILL ID {id}")), 1);
        assert_closed(by_id, "killed by id");
        assert_eq!(killer.int(&format!("CLIENT KILL ID {id}")), 0);

        let mut by_addr = server.client();
        let info = by_addr.text("CLIENT INFO");
        killer.ok(&format!("CLIENT KILL {}", field(&info, "addr")));
        assert_closed(by_addr, "killed by address");
        assert_eq!(killer.error("CLIENT KILL 1.2.3.4:5"), "ERR No such client");

        let (mut one, two) = (server.client(), server.client());
        one.text("PING");
        drop(two);
        wait_for("the dropped connection to go", Duration::from_secs(10), || {
            killer.text("CLIENT LIST").lines().count() == 2
        });
        assert_eq!(killer.int("CLIENT KILL TYPE normal SKIPME yes"), 1);
        assert_closed(one, "killed by type");
        assert_eq!(killer.text("PING"), "PONG");
        let id = killer.int("CLIENT ID");
        assert_eq!(killer.int(&format!("CLIENT KILL ID {id} SKIPME no")), 1);
        assert_closed(killer, "one may kill oneself");
    });
}

#[test]
fn a_killed_client_that_waits_takes_nothing() {
    on_each_server(|server| {
        let mut waiting = server.client();
        let id = waiting.int("CLIENT ID");
        waiting.send(&["BLPOP", "q", "0"]).expect("send");
        let mut killer = server.client();
        wait_for("it to wait", Duration::from_secs(10), || {
            killer.info("blocked_clients").as_deref() == Some("1")
        });
        assert_eq!(killer.int(&format!("CLIENT KILL ID {id}")), 1);
        assert_closed(waiting, "killed while waiting");
        wait_for("it to be forgotten", Duration::from_secs(10), || {
            killer.info("blocked_clients").as_deref() == Some("0")
        });
        assert_eq!(killer.int("RPUSH q x"), 1);
        assert_eq!(killer.int("LLEN q"), 1);
    });
}

#[test]
fn replies_can_be_switched_off() {
    on_each_server(|server| {
        let mut client = server.client();
        client.send(&["CLIENT", "REPLY", "OFF"]).expect("send");
        client.send(&["SET", "a", "1"]).expect("send");
        client.send(&["GET", "a"]).expect("send");
        client.ok("CLIENT REPLY ON");
        client.send(&["CLIENT", "REPLY", "SKIP"]).expect("send");
        client.send(&["INCR", "a"]).expect("send");
        assert_eq!(client.text("GET a"), "2", "only the one after SKIP is silent");
        assert!(client.error("CLIENT REPLY MAYBE").starts_with("ERR"));
    });
}

#[test]
fn hello_and_reset() {
    on_each_server(|server| {
        let mut client = server.client();
        assert!(client.error("HELLO 4").starts_with("NOPROTO"));
        assert!(client.error("HELLO x").starts_with("ERR Protocol version is not an integer"));
        let RespValue::Map(pairs) = client.cmd("HELLO 3 SETNAME me") else { panic!("HELLO 3 answers a map") };
        let value = |name: &str| {
            let found = pairs.iter().find(|(key, _)| key.as_bytes() == Some(name.as_bytes()));
            found.unwrap_or_else(|| panic!("no {name}")).1.clone()
        };
        assert_eq!(value("proto"), RespValue::Int(3));
        assert_eq!(value("mode"), RespValue::Bulk(b"standalone".to_vec()));
        assert_eq!(value("role"), RespValue::Bulk(b"master".to_vec()));
        assert_eq!(client.text("CLIENT GETNAME"), "me");
        client.ok("SELECT 2");
        client.ok("MULTI");
        assert_eq!(client.text("RESET"), "RESET");
        assert_eq!(client.error("EXEC"), "ERR EXEC without MULTI");
        assert_eq!(field(&client.text("CLIENT INFO"), "db"), "0");
        assert_eq!(client.cmd("CLIENT GETNAME"), RespValue::Null);
        client.send(&["GET", "nosuch"]).expect("send");
        assert_eq!(client.read_raw_reply().expect("reply").raw, b"$-1\r\n", "RESET goes back to RESP2");
    });
}

#[test]
fn passwords() {
    for server in [Server::redis(&["--requirepass", "open"]), Some(Server::ours(&["--requirepass", "open"]))]
    {
        let Some(server) = server else { continue };
        let mut client = server.client();
        assert!(client.error("GET a").starts_with("NOAUTH Authentication required."));
        assert!(client.error("AUTH shut").starts_with("WRONGPASS"));
        assert!(client.error("HELLO 3").starts_with("NOAUTH"));
        client.ok("AUTH open");
        assert!(client.cmd("GET a").is_null());
        let mut client = server.client();
        assert!(matches!(client.cmd("HELLO 3 AUTH default open"), RespValue::Map(_)));
        assert!(client.cmd("GET a").is_null());
        let mut client = server.client();
        client.ok("AUTH default open");
        assert!(client.error("AUTH nobody open").starts_with("WRONGPASS"));
    }
    for server in [Server::redis(&[]), Some(Server::ours(&[]))].into_iter().flatten() {
        assert!(
            server.client().error("AUTH any").starts_with("ERR AUTH <password> called without any password")
        );
    }
}

#[test]
fn quit_answers_and_closes() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("QUIT");
        assert_closed(client, "QUIT");
    });
}

#[test]
fn too_many_clients_are_turned_away() {
    for server in [Server::redis(&["--maxclients", "20"]), Some(Server::ours(&["--maxclients", "20"]))] {
        let Some(server) = server else { continue };
        let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
        let refused = clients.iter_mut().rev().filter_map(|client| client.try_command(&["PING"]).ok());
        assert!(refused.filter(|reply| reply.as_error().is_none()).count() >= 19);
        let mut late = server.client();
        let reply = late.read().expect("a word of refusal");
        assert_eq!(reply, RespValue::Error(b"ERR max number of clients reached".to_vec()));
        assert_closed(late, "turned away");
    }
}
