//! `restore … --into URL`.

use super::servers::{Kind, Server, Source, keys_of, wait_for_keys};
use super::{RESTORE, ends_with, fill, json, shown};
use serde_json::Value;
use std::path::PathBuf;

const BOTH: [Kind; 2] = [Kind::Ours, Kind::Stock];

/// Both kinds of servers, each with the source as it is, which is loaded first, and as one snapshot, which is passed on.
fn of_both(source: &Source) -> Vec<(Kind, PathBuf)> {
    let dirs = [source.dir(), source.rewritten()];
    BOTH.into_iter().flat_map(|kind| dirs.clone().map(|dir| (kind, dir))).collect()
}

#[test]
fn a_state_is_loaded_and_proven() {
    let source = Source::filled(|client| fill(client, 3000));
    for (kind, debug) in [(Kind::Ours, "yes"), (Kind::Stock, "yes"), (Kind::Stock, "no")] {
        let Some(server) = Server::start(kind, &["--enable-debug-command", debug]) else { continue };
        let args = ["--into", &server.url()];
        let rewritten = source.rewritten();
        let quick = [&[shown(&rewritten)][..], &args, &["--no-verify"]].concat();
        let done = json(0, RESTORE, &quick);
        assert_eq!((&done["made"], &done["digest"]), (&source.keys.into(), &Value::Null), "{done}");
        if debug == "yes" {
            assert_eq!(server.client().digest(), source.digest, "{kind:?}");
        }
        server.client().ok("FLUSHALL");
        let dir = source.dir();
        let done = json(0, RESTORE, &[&[shown(&dir)][..], &args].concat());
        assert_eq!((&done["keys"], &done["made"]), (&source.keys.into(), &source.keys.into()), "{done}");
        let proof = if debug == "yes" { "digest" } else { "read-back" };
        assert_eq!(
            (&done["verified"], &done["digest"]),
            (&proof.into(), &source.digest.clone().into()),
            "{done}"
        );
        let mut client = server.client();
        assert_eq!(keys_of(&mut client), source.keys);
        if debug == "yes" {
            assert_eq!(client.digest(), source.digest, "{kind:?}");
        }
        client.ok("SELECT 1");
        assert_eq!(client.int("PEXPIRETIME key:7"), 4_000_000_000_007, "{kind:?}");
        let pending = format!("{:?}", client.cmd("XPENDING key:9 g - + 1"));
        assert!(pending.starts_with("[[\"10-1\", \"c\", "), "{kind:?}: {pending}");
        assert!(source.resume_files().is_empty(), "{:?}", source.resume_files());
        // The same again changes nothing, and finds all there.
        let again = json(0, RESTORE, &[shown(&source.dir()), "--into", &server.url()]);
        assert_eq!((&again["made"], &again["same"]), (&0.into(), &source.keys.into()), "{again}");
    }
}

#[test]
fn keys_that_are_there_are_refused_skipped_or_replaced() {
    let source = Source::filled(|client| fill(client, 600));
    for (kind, dir) in of_both(&source) {
        let Some(server) = Server::start(kind, &["--enable-debug-command", "yes"]) else { continue };
        let mut client = server.client();
        client.ok("SET key:0 mine");
        client.ok("SET other 1");
        client.cmd("RPUSH key:6 mine");
        let url = server.url();
        let args = |more: &'static str| -> Vec<String> {
            [shown(&dir), "--into", &url, more]
                .map(str::to_owned)
                .into_iter()
                .filter(|arg| !arg.is_empty())
                .collect()
        };
        let run = |code, more| {
            let args = args(more);
            json(code, RESTORE, &args.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let refused = run(2, "")["error"].as_str().unwrap().to_owned();
        for told in
            ["2 of the keys", "\"key:0\"", "\"key:6\"", "Nothing was written", "--replace", "--skip-existing"]
        {
            assert!(refused.contains(told), "{told}: {refused}");
        }
        assert_eq!(keys_of(&mut client), 3);
        let skipped = run(0, "--skip-existing");
        assert_eq!(
            (&skipped["skipped"], &skipped["made"]),
            (&2.into(), &(source.keys - 2).into()),
            "{skipped}"
        );
        assert_eq!((client.text("GET key:0"), keys_of(&mut client)), ("mine".to_owned(), source.keys + 1));
        let replaced = run(0, "--replace");
        assert_eq!((&replaced["made"], &replaced["verified"]), (&source.keys.into(), &"read-back".into()));
        client.cmd("DEL other");
        assert_eq!(client.digest(), source.digest, "{kind:?}");
        assert!(source.resume_files().is_empty());
    }
}

#[test]
fn one_database_goes_where_the_url_says() {
    let source = Source::filled(|client| {
        client.ok("SELECT 5");
        client.ok("SET a 1");
        client.cmd("SADD s x y");
    });
    let server = Server::ours(&[]);
    for dir in [source.dir(), source.rewritten()] {
        server.client().ok("FLUSHALL");
        let done = json(0, RESTORE, &[shown(&dir), "--into", &format!("{}/3", server.url())]);
        assert_eq!((&done["made"], &done["verified"]), (&2.into(), &"read-back".into()), "{done}");
    }
    let mut client = server.client();
    client.ok("SELECT 3");
    assert_eq!((client.text("GET a"), client.int("SCARD s")), ("1".to_owned(), 2));
    let two = Source::filled(|client| fill(client, 20));
    let refused = ends_with(2, RESTORE, &[shown(&two.dir()), "--into", &format!("{}/3", server.url())]);
    assert!(
        refused.contains("the source has keys in 0, 1") && refused.contains("leave the database out"),
        "{refused}"
    );
    let none = ends_with(2, RESTORE, &[shown(&source.dir()), "--into", &format!("{}/999", server.url())]);
    assert!(none.contains("it has no database 999"), "{none}");
}

#[test]
fn a_huge_value_goes_in_pieces_and_is_never_seen_in_parts() {
    let element = "x".repeat(4000);
    let source = Source::filled(|client| {
        for first in (0..1200).step_by(100) {
            let numbers = first..first + 100;
            let mut list = vec!["RPUSH".to_owned(), "list".to_owned()];
            let mut hash = vec!["HSET".to_owned(), "hash".to_owned()];
            let mut zset = vec!["ZADD".to_owned(), "zset".to_owned()];
            let mut set = vec!["SADD".to_owned(), "set".to_owned()];
            for number in numbers {
                list.push(format!("{number}:{element}"));
                set.push(format!("{number}:{element}"));
                hash.extend([number.to_string(), format!("{number}:{element}")]);
                zset.extend([format!("{number}.5"), format!("{number}:{element}")]);
            }
            client.pipeline(&[list, hash, zset, set]);
        }
        client.cmd("PEXPIREAT list 4000000000000");
    });
    for (kind, dir) in of_both(&source) {
        let Some(server) = Server::start(kind, &["--enable-debug-command", "yes"]) else { continue };
        let mut client = server.client();
        json(0, RESTORE, &[shown(&dir), "--into", &server.url()]);
        assert_eq!((client.digest(), keys_of(&mut client)), (source.digest.clone(), 4), "{kind:?}");
        assert_eq!(client.int("PEXPIRETIME list"), 4_000_000_000_000);
        let stats = client.text("INFO commandstats");
        let restores = stats.lines().find(|line| line.starts_with("cmdstat_restore:"));
        assert!(restores.is_none() && stats.contains("cmdstat_renamenx"), "{kind:?}: {restores:?}");
        // One that is there is refused as others are, and nothing is left beside it.
        client.cmd("LPOP list");
        let error = ends_with(2, RESTORE, &[shown(&dir), "--into", &server.url()]);
        assert!(error.contains("1 of the keys") && error.contains("\"list\""), "{error}");
        json(0, RESTORE, &[shown(&dir), "--into", &server.url(), "--skip-existing"]);
        assert_eq!(client.int("LLEN list"), 1199);
        json(0, RESTORE, &[shown(&dir), "--into", &server.url(), "--replace"]);
        assert_eq!((client.digest(), keys_of(&mut client)), (source.digest.clone(), 4), "{kind:?}");
    }
}

#[test]
fn times_of_fields_go_only_to_who_knows_them() {
    let source = Source::filled(|client| {
        client.cmd("HSET timed f v g w");
        client.cmd("HPEXPIREAT timed 4000000000000 FIELDS 1 f");
    });
    for dir in [source.dir(), source.rewritten()] {
        let server = Server::ours(&[]);
        json(0, RESTORE, &[shown(&dir), "--into", &server.url()]);
        let times = format!("{:?}", server.client().cmd("HPEXPIRETIME timed FIELDS 1 f"));
        assert_eq!(times, "[:4000000000000]");
        let Some(stock) = Server::start(Kind::Stock, &[]) else { return };
        let refused = ends_with(2, RESTORE, &[shown(&dir), "--into", &stock.url()]);
        assert!(refused.contains("\"timed\"") && refused.contains("7.4"), "{refused}");
        assert_eq!(keys_of(&mut stock.client()), 0);
    }
}

#[test]
fn what_has_expired_is_not_made_and_nobody_misses_it() {
    // A snapshot, because a log would tell of the end of these keys.
    let from = Server::ours(&[]);
    let mut client = from.client();
    fill(&mut client, 50);
    client.cmd("PEXPIRE key:0 3000");
    client.cmd("PEXPIRE key:6 3000");
    client.ok("SAVE");
    wait_for_keys(&mut client, 48);
    for kind in BOTH {
        let Some(server) = Server::start(kind, &[]) else { continue };
        let done = json(0, RESTORE, &[shown(&from.dir().join("dump.rdb")), "--into", &server.url()]);
        assert_eq!((&done["expired"], &done["verified"]), (&2.into(), &"read-back".into()), "{done}");
        assert_eq!(keys_of(&mut server.client()), 48, "{kind:?}");
    }
}

#[test]
fn a_snapshot_file_is_a_source_and_a_socket_a_target() {
    let from = Server::ours(&[]);
    fill(&mut from.client(), 100);
    from.client().ok("SAVE");
    let home = tempfile::TempDir::new().unwrap();
    let socket = home.path().join("o.sock");
    for kind in BOTH {
        let args =
            ["--unixsocket", shown(&socket), "--requirepass", "se:cr@t", "--enable-debug-command", "yes"];
        let Some(server) = Server::start(kind, &args) else { continue };
        let url = format!("redis+unix://:se%3Acr%40t@{}", socket.display());
        let done = json(0, RESTORE, &[shown(&from.dir().join("dump.rdb")), "--into", &url]);
        assert_eq!(done["verified"], "digest", "{done}");
        assert!(!done.to_string().contains("cr@t") && !done.to_string().contains("%40t"), "{done}");
        let mut client = server.client();
        client.ok("AUTH se:cr@t");
        assert_eq!(client.digest(), from.client().digest());
    }
}

#[test]
fn nothing_of_a_damaged_snapshot_is_passed_on() {
    let source = Source::filled(|client| fill(client, 500));
    let folder = source.rewritten().join("appendonlydir");
    let entries = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    let base =
        entries.into_iter().find(|path| path.to_string_lossy().ends_with(".base.rdb")).expect("a base");
    let bytes = std::fs::read(&base).unwrap();
    let server = Server::ours(&[]);
    for at in [bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let path = source.home.path().join("dump.rdb");
        std::fs::write(&path, &damaged).unwrap();
        let text = ends_with(1, RESTORE, &[shown(&path), "--into", &server.url(), "--no-verify"]);
        assert!(text.contains("dump.rdb, byte"), "{text}");
        assert_eq!(keys_of(&mut server.client()), 0);
    }
    std::fs::write(source.home.path().join("dump.rdb"), &bytes).unwrap();
    let path = source.home.path().join("dump.rdb");
    let done = json(0, RESTORE, &[shown(&path), "--into", &server.url(), "--replace"]);
    assert_eq!((server.client().digest(), &done["verified"]), (source.digest.clone(), &"digest".into()));
    // And again, over what is there by now.
    let done = json(0, RESTORE, &[shown(&path), "--into", &server.url(), "--replace", "--no-verify"]);
    assert_eq!((&done["made"], server.client().digest()), (&source.keys.into(), source.digest.clone()));
    let done = json(0, RESTORE, &[shown(&path), "--into", &server.url(), "--skip-existing"]);
    assert_eq!((&done["same"], &done["made"]), (&source.keys.into(), &0.into()), "{done}");
    assert!(source.resume_files().iter().all(|file| file == &path), "{:?}", source.resume_files());
}
