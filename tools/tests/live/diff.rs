//! `outrigger diff A B`.

use super::servers::{Kind, Server, Source, keys_of};
use super::{DIFF, RESTORE, ends_with, fill, json, scaled, shown};
use std::path::PathBuf;

/// The same data in servers of both kinds (as far as there are), in a folder and in both kinds of dump files.
struct Everywhere {
    servers: Vec<Server>,
    source: Source,
    dumps: Vec<PathBuf>,
}

impl Everywhere {
    fn filled(count: usize) -> Everywhere {
        let source = Source::filled(|client| fill(client, count));
        let (mut servers, mut dumps) = (Vec::new(), Vec::new());
        for kind in [Kind::Ours, Kind::Stock] {
            let Some(server) = Server::start(kind, &[]) else { continue };
            json(0, RESTORE, &[shown(&source.dir()), "--into", &server.url()]);
            server.client().ok("SAVE");
            dumps.push(server.dir().join("dump.rdb"));
            servers.push(server);
        }
        Everywhere { servers, source, dumps }
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![self.source.dir().display().to_string()];
        names.extend(self.servers.iter().map(Server::url));
        names.extend(self.dumps.iter().map(|path| path.display().to_string()));
        names
    }
}

#[test]
fn what_is_the_same_is_the_same_wherever_it_is() {
    let all = Everywhere::filled(scaled(2000));
    let names = all.names();
    for a in &names {
        for b in names.iter().filter(|b| *b != a) {
            let view = json(0, DIFF, &[a, b]);
            let keys = &all.source.keys.into();
            assert_eq!(
                (&view["same"], &view["a"]["keys"], &view["b"]["keys"]),
                (&true.into(), keys, keys),
                "{view}"
            );
            assert_eq!(view["slots_compared"], 0, "{view}");
        }
    }
    let text = ends_with(0, DIFF, &[&names[0], &names[1]]);
    assert!(text.starts_with("SAME\n") && text.contains("no snapshot"), "{text}");
    let text = ends_with(0, DIFF, &[&names[0], shown(&all.dumps[0])]);
    assert!(!text.contains("no snapshot"), "{text}");
}

#[test]
fn every_kind_of_difference_is_named() {
    let all = Everywhere::filled(1000);
    for server in &all.servers {
        let mut client = server.client();
        client.cmd("DEL key:0");
        client.cmd("SET more 1");
        client.cmd("DEL key:4");
        client.cmd("SADD key:4 x");
        client.cmd("RPUSH key:6 x");
        client.cmd("PEXPIREAT key:14 4000000000017");
        client.cmd("PERSIST key:28");
        client.ok("SELECT 1");
        client.cmd("XGROUP CREATE key:9 another 0");
        let folder = all.source.dir();
        let found = json(1, DIFF, &[shown(&folder), &server.url()]);
        let keys = found["keys"].as_array().unwrap();
        let named: Vec<String> = keys
            .iter()
            .map(|key| {
                format!("{} {} {}", key["db"], key["key"].as_str().unwrap(), key["what"].as_str().unwrap())
            })
            .collect();
        let wanted = [
            "0 key:0 missing-in-b",
            "0 key:14 ttl",
            "0 key:28 ttl",
            "0 key:4 type",
            "0 key:6 value",
            "0 more missing-in-a",
            "1 key:9 value",
        ];
        assert_eq!(named, wanted, "{found}");
        let counts = &found["counts"];
        assert_eq!(
            ["missing_in_a", "missing_in_b", "type", "value", "ttl"]
                .map(|name| counts[name].as_u64().unwrap()),
            [1, 1, 1, 2, 2]
        );
        let other = json(1, DIFF, &[&server.url(), shown(&folder), "--ttl-tolerance", "5", "--limit", "2"]);
        assert_eq!(
            (&other["counts"]["ttl"], &other["counts"]["missing_in_b"]),
            (&1.into(), &1.into()),
            "{other}"
        );
        assert_eq!(other["keys"].as_array().unwrap().len(), 2);
        let text = ends_with(1, DIFF, &[shown(&folder), &server.url(), "--limit", "3"]);
        assert!(text.starts_with("DIFFERENT: 7 keys") && text.contains("and 4 more (--limit"), "{text}");
        // One database alone.
        let url = format!("{}/1", server.url());
        let one = json(1, DIFF, &[&url, shown(&folder)]);
        assert_eq!(one["keys"].as_array().unwrap().len(), 1, "{one}");
    }
}

#[test]
fn expired_keys_that_a_file_still_holds_do_not_count() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    fill(&mut client, 30);
    client.cmd("PEXPIRE key:0 1500");
    client.ok("SAVE");
    super::servers::wait_for_keys(&mut client, 29);
    let view = json(0, DIFF, &[shown(&server.dir().join("dump.rdb")), &server.url()]);
    assert_eq!((&view["a"]["keys"], &view["b"]["keys"]), (&29.into(), &29.into()), "{view}");
}

#[test]
fn a_server_that_is_written_to_is_read_again() {
    let all = Everywhere::filled(scaled(3000));
    for server in &all.servers {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Changes that are undone at once: what differs when it is seen is mostly the same when it is seen again.
            let writer = scope.spawn(|| {
                let mut client = server.client();
                let mut rounds = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for number in (6..3000).step_by(10) {
                        client.cmd(&format!("RPUSH list:{number} x"));
                        client.cmd(&format!("DEL list:{number}"));
                    }
                    rounds += 1;
                }
                rounds
            });
            for _ in 0..3 {
                let output = super::run(DIFF, &[shown(&all.source.dir()), &server.url(), "--json"]);
                let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                assert!(matches!(output.status.code(), Some(0 | 1)), "{view}");
                assert_eq!(view["counts"]["missing_in_b"], 0, "{view}");
                let strange = view["keys"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|key| !key["key"].as_str().unwrap().starts_with("list:"));
                assert!(strange.is_none(), "{view}");
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(writer.join().unwrap() > 0);
        });
        assert_eq!(keys_of(&mut server.client()), all.source.keys);
        json(0, DIFF, &[shown(&all.source.dir()), &server.url()]);
    }
}
