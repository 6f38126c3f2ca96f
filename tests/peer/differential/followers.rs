//! What must come to the same data by other ways: a replica, fed by the stream, and servers that load its files.

use crate::support::{Client, Server, wait_for};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for the replica to have received and fsynced everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A replica of ours that appends.
pub struct Followers {
    replica: Server,
    client: Client,
    /// What ours and the stock server are started with to serve a copy of the files alone: what a HyperLogLog becomes
    /// depends on its limits.
    ours_alone: Vec<&'static str>,
    stock_alone: Vec<&'static str>,
    /// The stock server is a newer one.
    newer: bool,
}

impl Followers {
    /// Starts a replica of `primary` with the primary's arguments, those that a stock server knows and those of ours.
    pub fn start(primary: &Server, both: &[&'static str], ours: &[&'static str], newer: bool) -> Followers {
        let port = primary.port().to_string();
        let own = ["--replicaof", "127.0.0.1", &port, "--appendonly", "yes", "--appendfsync", "everysec"];
        let replica = Server::ours(&[both, ours, &own].concat());
        let client = replica.client();
        let alone = [both, &["--appendonly", "yes"]].concat();
        let ours_alone = [&alone, ours].concat();
        let mut followers = Followers { replica, client, ours_alone, stock_alone: alone, newer };
        followers.wait_link();
        followers
    }

    fn wait_link(&mut self) {
        let client = &mut self.client;
        wait_for("the replica's link", PATIENCE, || {
            client.info("master_link_status").as_deref() == Some("up")
        });
    }

    /// The replica's digest, once it has received everything that `primary` has logged.
    pub fn digest(&mut self, primary: &mut Client) -> String {
        self.catch_up(primary, "slave_repl_offset");
        self.client.digest()
    }

    fn catch_up(&mut self, primary: &mut Client, field: &str) {
        let end = primary.info("master_repl_offset").expect("an offset");
        let end: u64 = end.parse().expect("a number");
        let client = &mut self.client;
        wait_for(field, PATIENCE, || {
            let at = client.info(field).and_then(|text| text.parse::<u64>().ok());
            at.is_some_and(|at| at >= end)
        });
    }

    /// Digests of servers that load a copy of the replica's files: ours, and the stock one.
    pub fn digests_of_files(&mut self, primary: &mut Client) -> Vec<(&'static str, String)> {
        self.catch_up(primary, "outrigger_durable_offset");
        let mut found = Vec::new();
        let copy = copy_of(self.replica.dir());
        found.push(("ours over its files", digest_loaded(&Server::ours_in(copy.path(), &self.ours_alone))));
        let copy = copy_of(self.replica.dir());
        let stock = match self.newer {
            true => Server::newer_redis_in(copy.path(), &self.stock_alone),
            false => Server::redis_in(copy.path(), &self.stock_alone),
        };
        if let Some(stock) = stock {
            found.push(("the stock server over its files", digest_loaded(&stock)));
        }
        found
    }
}

fn digest_loaded(server: &Server) -> String {
    let mut client = server.client();
    wait_for("the files to be loaded", PATIENCE, || client.info("loading").as_deref() == Some("0"));
    client.digest()
}

/// A copy of the append-only folder while nothing is written to it; a rewrite that comes between is waited for.
fn copy_of(dir: &Path) -> TempDir {
    let from = dir.join("appendonlydir");
    let manifest = || std::fs::read(from.join("appendonly.aof.manifest")).expect("the manifest");
    loop {
        let before = manifest();
        let copy = TempDir::with_prefix("outrigger-copy-").expect("make a temporary folder");
        let to = copy.path().join("appendonlydir");
        std::fs::create_dir(&to).expect("make the copy's folder");
        let files = std::fs::read_dir(&from).expect("the append-only folder").flatten();
        let copied: std::io::Result<Vec<u64>> = files
            .filter(|entry| entry.path().is_file())
            .map(|entry| std::fs::copy(entry.path(), to.join(entry.file_name())))
            .collect();
        if manifest() == before {
            copied.expect("copy the files");
            return copy;
        }
    }
}
