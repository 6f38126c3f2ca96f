//! `maxmemory-clients`: those whose buffers take most are disconnected, whoever they are, and the others are served on.

use super::on_each_server;
use crate::support::{Client, Server, wait_for};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn evicted(client: &mut Client) -> u64 {
    client.info("evicted_clients").and_then(|text| text.parse().ok()).expect("a number")
}

fn setup(server: &Server) -> Client {
    let mut client = server.client();
    client.ok("CONFIG SET maxmemory-clients 2mb");
    client.ok("CLIENT NO-EVICT ON");
    client.ok("CONFIG RESETSTAT");
    client
}

#[test]
fn those_who_do_not_read_go_and_others_stay() {
    on_each_server(|server| {
        let mut client = setup(server);
        client.command(&["SET", "big", &"x".repeat(500_000)]);
        let mut small = server.client();
        small.ok("SET small 1");
        let mut hungry: Vec<Client> = (0..20).map(|_| server.client()).collect();
        wait_for("clients to be evicted", LIMIT, || {
            // Those that are gone fail to send.
            hungry.iter_mut().for_each(|one| drop(one.send(&["GET", "big"])));
            evicted(&mut client) > 2
        });
        assert_eq!(small.text("GET small"), "1");
        assert_eq!(client.int("STRLEN big"), 500_000);
    });
}

#[test]
fn a_command_that_never_ends_is_not_waited_for() {
    on_each_server(|server| {
        let mut client = setup(server);
        let mut hungry: Vec<Client> = (0..20).map(|_| server.client()).collect();
        for one in &mut hungry {
            let _ = one.send_raw(b"*250\r\n");
        }
        let piece = format!("$10000\r\n{}\r\n", "x".repeat(10_000));
        for _ in 0..40 {
            hungry.iter_mut().for_each(|one| drop(one.send_raw(piece.as_bytes())));
        }
        wait_for("clients to be evicted", LIMIT, || evicted(&mut client) > 2);
        let seen = client.text("CLIENT LIST");
        let sizes = seen.lines().filter_map(|line| line.split(" tot-mem=").nth(1)?.split(' ').next());
        let large = sizes.filter_map(|size| size.parse().ok()).filter(|size: &u64| *size > 100_000).count();
        assert!(large > 0, "some are left, and what they hold is told: {seen}");
    });
}

#[test]
fn the_limit_is_told_as_it_was_given() {
    on_each_server(|server| {
        let mut client = server.client();
        for (given, told) in [("3mb", "3145728"), ("5%", "5%"), ("0", "0")] {
            client.ok(&format!("CONFIG SET maxmemory-clients {given}"));
            let reply = client.cmd("CONFIG GET maxmemory-clients");
            let value = reply.as_slice().and_then(|pair| pair[1].as_bytes().map(<[u8]>::to_vec));
            assert_eq!(value.as_deref(), Some(told.as_bytes()));
        }
        let error = client.error("CONFIG SET maxmemory-clients 101%");
        assert!(error.ends_with("percentage argument must be less or equal to 100"), "{error}");
        assert!(
            client.error("CONFIG SET maxmemory-clients x").ends_with("must be a memory or percent value")
        );
    });
}

/// Sends what `words` makes of each number until the client is gone; false if it never is.
fn goes_by(server: &Server, first: &[&[&str]], words: impl Fn(usize) -> Vec<String>) -> bool {
    let mut client = server.client();
    for command in first {
        client.command(command);
    }
    (0..20_000).any(|number| client.try_command(&words(number)).is_err())
}

#[test]
fn what_is_kept_for_a_client_counts() {
    on_each_server(|server| {
        let mut client = setup(server);
        client.ok("CONFIG SET maxmemory-clients 150000");
        let named =
            |command: &'static str| move |number: usize| vec![command.into(), format!("{number:01000}")];
        for command in ["WATCH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"] {
            assert!(goes_by(server, &[], named(command)), "{command}");
        }
        let set = |_| vec!["SET".into(), "key".into(), "x".repeat(10_000)];
        assert!(goes_by(server, &[&["MULTI"]], set), "a transaction");
        let prefix = |number: usize| {
            let words = ["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX"].map(String::from);
            words.into_iter().chain([format!("{number:01000}")]).collect()
        };
        assert!(goes_by(server, &[&["HELLO", "3"]], prefix), "prefixes");
        // What is given up does not count any more.
        let mut careful = server.client();
        for number in 0..300 {
            let (key, value) = (format!("{number:01000}"), "x".repeat(2_000));
            for command in [&["WATCH", &key][..], &["UNWATCH"], &["SUBSCRIBE", &key], &["UNSUBSCRIBE"]] {
                careful.command(command);
            }
            for command in [&["MULTI"][..], &["SET", &key, &value], &["DISCARD"]] {
                careful.command(command);
            }
        }
        assert_eq!(careful.text("PING"), "PONG");
    });
}
