//! Wrong calls: a clear sentence, what to do next, and exit code 2.

use super::servers::{Kind, Server, Source};
use super::{DIFF, RESTORE, ends_with, fill, shown};
use std::net::TcpListener;

#[test]
fn calls_of_restore() {
    let source = Source::filled(|client| fill(client, 20));
    let dir = source.dir();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("redis://:hunter2@127.0.0.1:{free}");
    let secured = Server::ours(&["--requirepass", "pw"]);
    let primary = Server::ours(&[]);
    let replica = Server::ours(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let wrong_password = format!("redis://:hunter2@127.0.0.1:{}", secured.port);
    for (args, told) in [
        (vec!["--into", "http://x"], "is not a server's URL"),
        (vec!["--into", "rediss://x"], "not supported"),
        (vec!["--into", "redis://x:y"], "is not a port"),
        (vec!["--into", &nobody], "does it run"),
        (vec!["--into", "unix:/no/such.sock"], "no such socket"),
        (vec!["--into", "redis://no-such-host.invalid"], "no connection"),
        (vec!["--into", &secured.url()], "REDISCLI_AUTH"),
        (vec!["--into", &wrong_password], "WRONGPASS"),
        (vec!["--into", &replica.url()], "name its primary"),
        (vec!["--into", "/tmp/never-made", "--replace"], "--replace is for a running server"),
        (vec!["--into", "redis://x", "--replace", "--skip-existing"], "cannot be used with"),
        (vec!["--into", "redis://x", "--connections", "0"], "0 is not in 1..=64"),
        (vec!["--into", "redis://x", "--timeout", "0"], "0 is not in 1..=86400"),
        (
            vec!["--into", &primary.url(), "--resume-file", "/no/such/folder/file"],
            "name another place with --resume-file",
        ),
    ] {
        let text = ends_with(2, RESTORE, &[&[shown(&dir)], args.as_slice()].concat());
        assert!(text.contains(told) && !text.contains("hunter2"), "{args:?}: {text}");
    }
    let gone = ends_with(2, RESTORE, &["/no/such/folder", "--into", &primary.url()]);
    assert!(gone.contains("/no/such/folder"), "{gone}");
    let other = source.home.path().join("letters");
    std::fs::write(&other, "dear\n").unwrap();
    let text =
        ends_with(2, RESTORE, &[shown(&dir), "--into", &primary.url(), "--resume-file", shown(&other)]);
    assert!(text.contains("is something else"), "{text}");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "dear\n");
    let no_state = ends_with(2, RESTORE, &[shown(&other), "--into", &primary.url()]);
    assert!(no_state.contains("letters is neither a snapshot"), "{no_state}");
}

#[test]
fn a_stock_replica_and_a_node_of_a_cluster() {
    let source = Source::filled(|client| fill(client, 20));
    let Some(primary) = Server::start(Kind::Stock, &[]) else { return };
    let replica =
        Server::start(Kind::Stock, &["--replicaof", &format!("127.0.0.1 {}", primary.port)]).unwrap();
    let text = ends_with(2, RESTORE, &[shown(&source.dir()), "--into", &replica.url()]);
    assert!(text.contains("name its primary"), "{text}");
    let cluster = Server::start(Kind::Stock, &["--cluster-enabled", "yes", "--cluster-port", "0"]);
    let Some(cluster) = cluster else { return };
    let text = ends_with(2, RESTORE, &[shown(&source.dir()), "--into", &cluster.url()]);
    assert!(text.contains("node of a cluster"), "{text}");
}

#[test]
fn calls_of_diff() {
    let source = Source::filled(|client| fill(client, 20));
    let dir = source.dir();
    let dir = shown(&dir);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("redis://me:hunter2@127.0.0.1:{free}");
    let server = Server::ours(&[]);
    let damaged = source.home.path().join("damaged.rdb");
    std::fs::write(&damaged, b"REDIS0010\xfb").unwrap();
    let no_database = format!("{}/99", server.url());
    for (args, told) in [
        (vec![dir], "<B>"),
        (vec![dir, "/no/such/file.rdb"], "/no/such/file.rdb"),
        (vec![dir, shown(source.home.path())], "holds no append-only files"),
        (vec![dir, shown(&damaged)], "damaged.rdb"),
        (vec![dir, &nobody], "does it run"),
        (vec![&nobody, dir], "does it run"),
        (vec![dir, "ftp://x"], "is not a server's URL"),
        (vec![dir, &no_database], "it has no database 99"),
        (vec![dir, dir, "--limit", "x"], "invalid value 'x'"),
    ] {
        let text = ends_with(2, DIFF, &args);
        assert!(text.contains(told) && !text.contains("hunter2"), "{args:?}: {text}");
    }
    let secured = Server::start(Kind::Stock, &["--requirepass", "pw"]);
    if let Some(secured) = secured {
        let text = ends_with(2, DIFF, &[dir, &secured.url()]);
        assert!(text.contains("REDISCLI_AUTH"), "{text}");
    }
}
