//! A primary without files that is restarted again and again, in every state that its folder and its replicas can be in: no key
//! that was acknowledged is lost on any replica, and whatever the primary serves has them all.
//!
//! `OUTRIGGER_TEST_SCALE=84` makes 1,008 restarts.

use crate::support::nodes::{LIMIT, figure, wait_linked};
use crate::support::rng::{Pick, Seeded};
use crate::support::server::free_port;
use crate::support::{Server, scaled, wait_for};
use std::path::Path;

/// Restarts at scale 1.
const RESTARTS: usize = 12;
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// What a restart finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Replicas that have lost their primary.
    Plain,
    /// No replica; they come up later.
    ReplicasDown,
    /// A snapshot of an earlier time in the folder.
    StaleDump,
    /// Such a snapshot, and nobody told the primary to ask its peers: it serves what is stale.
    StaleDumpAndNoPeers,
}

struct Rig {
    primary: Server,
    replicas: Vec<Server>,
    peers: String,
    /// Keys that were acknowledged: `key:1` to this one.
    keys: i64,
}

impl Rig {
    fn start() -> Rig {
        let ports = [free_port(), free_port(), free_port()];
        let peers = format!("127.0.0.1:{} 127.0.0.1:{}", ports[1], ports[2]);
        let with_peers = ["--recover-from-peers", &peers];
        let primary =
            Server::ours_on(ports[0], &[&DEBUG[..], &with_peers, &["--start-new-history", "yes"]].concat());
        let target = format!("127.0.0.1 {}", ports[0]);
        let own = ["--replicaof", &target, "--appendfsync", "always"];
        let replicas: Vec<_> =
            ports[1..].iter().map(|port| Server::ours_on(*port, &[&DEBUG[..], &own].concat())).collect();
        replicas.iter().for_each(wait_linked);
        Rig { primary, replicas, peers, keys: 0 }
    }

    /// Writes a key and waits until both replicas have it on disk.
    fn write(&mut self) {
        self.keys += 1;
        let mut client = self.primary.client();
        client.ok(&format!("SET key:{} {}", self.keys, self.keys));
        wait_for("both replicas to have fsynced", LIMIT, || {
            let reply = client.cmd("WAITAOF 0 2 1000");
            reply.as_slice().and_then(|counts| counts[1].as_int()) == Some(2)
        });
    }

    fn has_all(&self, node: &Server, who: &str) {
        let mut client = node.client();
        assert_eq!(client.int("DBSIZE"), self.keys, "{who}");
        for key in [1, self.keys / 2 + 1, self.keys] {
            assert_eq!(client.text(&format!("GET key:{key}")), key.to_string(), "{who}");
        }
    }

    fn use_peers(&mut self, yes: bool) {
        let peers = self.peers.clone();
        let args =
            if yes { [&DEBUG[..], &["--recover-from-peers", &peers]].concat() } else { DEBUG.to_vec() };
        self.primary.set_args(&args);
    }

    fn wait_open(&self) {
        wait_for("the fence to fall", LIMIT, || figure(&mut self.primary.client(), "outrigger_fenced") == 0);
    }

    fn restart(&mut self, kind: Kind, stale: &Path) {
        let leftover = self.primary.dir().join("dump.rdb");
        self.primary.kill();
        self.use_peers(kind != Kind::StaleDumpAndNoPeers);
        match kind {
            Kind::Plain => self.primary.restart(),
            Kind::ReplicasDown => {
                self.replicas.iter_mut().for_each(Server::kill);
                self.primary.restart();
                let error = self.primary.client().error("SET key:0 0");
                assert!(error.starts_with("FENCED waiting for the history"), "{error}");
                self.replicas.iter_mut().for_each(Server::restart);
            }
            Kind::StaleDump => {
                std::fs::copy(stale, &leftover).expect("leave a dump");
                self.primary.restart();
            }
            Kind::StaleDumpAndNoPeers => {
                std::fs::copy(stale, &leftover).expect("leave a dump");
                self.primary.restart();
                self.refused();
                self.primary.kill();
                self.use_peers(true);
                self.primary.restart();
            }
        }
        self.wait_open();
        let _ = std::fs::remove_file(&leftover);
    }

    /// A primary that serves what is stale: replicas do not follow it, and lose nothing.
    fn refused(&self) {
        for replica in &self.replicas {
            wait_for("the refusal", LIMIT, || {
                replica.client().info("outrigger_refused_sync_reason").is_some()
            });
            self.has_all(replica, "a replica that refuses");
        }
    }
}

#[test]
fn restarts_of_an_empty_primary_lose_no_key_on_any_replica() {
    let mut seeded = Seeded::new(45);
    let mut rig = Rig::start();
    rig.write();
    let home = tempfile::tempdir().expect("make a temporary folder");
    let stale = home.path().join("stale.rdb");
    rig.replicas[0].client().ok("SAVE");
    std::fs::copy(rig.replicas[0].dir().join("dump.rdb"), &stale).expect("keep a dump");
    std::fs::remove_file(rig.replicas[0].dir().join("dump.rdb")).expect("remove the dump");
    rig.write();
    let kinds = [Kind::Plain, Kind::Plain, Kind::ReplicasDown, Kind::StaleDump, Kind::StaleDumpAndNoPeers];
    let count = scaled(RESTARTS);
    let mut done = [0; 5];
    for round in 0..count {
        // Each kind occurs, however few restarts there are.
        let at = if round < kinds.len() { round } else { seeded.rng.between(0, 4) as usize };
        done[at] += 1;
        rig.restart(kinds[at], &stale);
        rig.has_all(&rig.primary, &format!("round {round}, the primary after {:?}", kinds[at]));
        rig.replicas.iter().for_each(wait_linked);
        rig.write();
        for replica in &rig.replicas {
            rig.has_all(replica, &format!("round {round}, a replica after {:?}", kinds[at]));
        }
    }
    let full_syncs: i64 =
        rig.replicas.iter().map(|replica| figure(&mut replica.client(), "outrigger_full_syncs")).sum();
    eprintln!("{count} restarts ({done:?} of {kinds:?}), {} keys, {full_syncs} full syncs", rig.keys);
    assert!(full_syncs <= 2, "{full_syncs} full syncs beside those of the start");
}
