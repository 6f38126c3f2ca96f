//! Messages on replicas, ours and stock ones, and in the log.

use super::{primary, replica};
use crate::support::nodes::{LIMIT, address, figure, in_step, order, wait_linked};
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;

fn listener(server: &Server) -> Client {
    let mut client = server.client();
    for (words, count) in [("SUBSCRIBE c", 1), ("PSUBSCRIBE p*", 2), ("SSUBSCRIBE s", 1)] {
        let reply = client.cmd(words);
        assert_eq!(reply.as_slice().map(|parts| parts[2].clone()), Some(RespValue::Int(count)));
    }
    client
}

fn hears(client: &mut Client, words: &str) {
    let parts = words.split(' ').map(|word| RespValue::Bulk(word.as_bytes().to_vec())).collect();
    assert_eq!(client.read().expect("a message"), RespValue::Array(parts));
}

/// Publishes in every way, and looks at what each listener hears.
fn publish_and_hear(primary: &Server, listeners: &mut [Client]) {
    let mut publisher = primary.client();
    publisher.ok("SET k 1");
    publisher.cmd("PUBLISH c one");
    publisher.cmd("SPUBLISH s two");
    publisher.ok("MULTI");
    for words in ["SET k 2", "PUBLISH c three", "PUBLISH px four", "GET k"] {
        assert_eq!(publisher.text(words), "QUEUED");
    }
    publisher.cmd("EXEC");
    publisher.ok("MULTI");
    publisher.cmd("PUBLISH c five");
    publisher.cmd("EXEC");
    let batch: Vec<Vec<String>> =
        (0..200).map(|n| vec!["PUBLISH".into(), "c".into(), format!("m{n}")]).collect();
    publisher.pipeline(&batch);
    for listener in listeners {
        hears(listener, "message c one");
        hears(listener, "smessage s two");
        hears(listener, "message c three");
        hears(listener, "pmessage p* px four");
        hears(listener, "message c five");
        (0..200).for_each(|n| hears(listener, &format!("message c m{n}")));
    }
}

#[test]
fn subscribers_anywhere_in_a_chain_hear_a_message() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    let third = replica(&second, &[]);
    let stock = Server::redis(&["--replicaof", &address(&second)]);
    stock.iter().for_each(wait_linked);
    let mut nodes = vec![&first, &second, &third];
    nodes.extend(&stock);
    let mut listeners: Vec<Client> = nodes.iter().map(|node| listener(node)).collect();
    publish_and_hear(&first, &mut listeners);
    for node in &nodes[1..] {
        in_step(&first, node);
    }
    // What a replica's own client publishes stays there, and adds nothing to the history.
    let end = figure(&mut first.client(), "master_repl_offset");
    assert_eq!(second.client().int("PUBLISH c here"), 1);
    hears(&mut listeners[1], "message c here");
    assert_eq!(figure(&mut first.client(), "master_repl_offset"), end);
    assert_eq!(first.client().int("PUBLISH c last"), 1);
    listeners.iter_mut().for_each(|listener| hears(listener, "message c last"));
}

#[test]
fn a_stock_primary_is_heard() {
    let Some(stock) = Server::redis(&["--repl-diskless-sync-delay", "0"]) else { return };
    let ours = replica(&stock, &[]);
    let chained = replica(&ours, &[]);
    let mut listeners = [listener(&stock), listener(&ours), listener(&chained)];
    publish_and_hear(&stock, &mut listeners);
    in_step(&stock, &ours);
    in_step(&stock, &chained);
}

/// A replica that comes back within the backlog hears what it has missed, as of a stock primary.
#[test]
fn what_a_short_break_kept_back_is_heard() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    let mut heard = listener(&second);
    second.client().ok("REPLICAOF 127.0.0.1 1");
    assert_eq!(first.client().int("PUBLISH c missed"), 0);
    order(&second, &first);
    hears(&mut heard, "message c missed");
    assert_eq!(figure(&mut second.client(), "outrigger_full_syncs"), 1);
}

/// The log holds messages; a load makes no noise of them, and every program that reads a log knows them.
#[test]
fn a_log_with_messages_loads_silently() {
    let first = primary(&[]);
    let mut second = replica(&first, &["--appendonly", "yes"]);
    publish_and_hear(&first, &mut []);
    in_step(&first, &second);
    wait_for("its files", LIMIT, || {
        let mut client = second.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    let digest = second.client().digest();
    second.kill();
    let folder = second.dir().join("appendonlydir");
    let logged = std::fs::read_dir(&folder).expect("the log's folder").flatten().any(|file| {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        bytes.windows(7).any(|window| window == b"PUBLISH")
    });
    assert!(logged, "the log's files hold what was published");
    second.restart();
    assert_eq!(second.client().digest(), digest);
    in_step(&first, &second);
    second.kill();
    if let Some(stock) = Server::redis_in(second.dir(), &["--appendonly", "yes"]) {
        assert_eq!(stock.client().digest(), digest, "a stock server loads it");
    }
}
