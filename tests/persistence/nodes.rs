//! A primary and a replica that writes, for tests of files.

use crate::support::{Client, Server, wait_for};
use std::path::Path;
use std::time::Duration;

/// Longest that a sync, a load or a rewrite may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A primary that writes nothing and a replica with files.
pub struct Nodes {
    /// The primary.
    pub primary: Server,
    /// The replica.
    pub replica: Server,
}

impl Nodes {
    /// Starts both and waits for the first sync.
    pub fn start(replica_args: &[&str]) -> Nodes {
        Nodes::of(Server::ours(&[]), replica_args)
    }

    /// The same, with a primary that writes nothing of itself into the history. Otherwise a PING every ten seconds moves the offset
    /// on while nobody writes, and a test that is slow enough meets one between two looks.
    pub fn start_silent(replica_args: &[&str]) -> Nodes {
        const NEVER_S: &str = "100000";
        let primary = Server::ours(&["--repl-ping-replica-period", NEVER_S, "--repl-timeout", NEVER_S]);
        Nodes::of(primary, &[&["--repl-timeout", NEVER_S][..], replica_args].concat())
    }

    fn of(primary: Server, replica_args: &[&str]) -> Nodes {
        let port = primary.port().to_string();
        let replica = Server::ours(&[&["--replicaof", "127.0.0.1", &port][..], replica_args].concat());
        let mut client = replica.client();
        wait_for("the first sync", LIMIT, || client.info("master_link_status").as_deref() == Some("up"));
        Nodes { primary, replica }
    }

    /// Waits until all that the primary has written is durable on the replica, and both hold the same. Returns the
    /// digest and the offset. Nobody may write meanwhile. Unless the primary is a silent one, the offset may be behind by a PING
    /// at once.
    pub fn settle(&self) -> (String, u64) {
        let (mut primary, mut replica) = (self.primary.client(), self.replica.client());
        let offset = number(&mut primary, "master_repl_offset");
        wait_for("the replica's files to have it all", LIMIT, || {
            // Less than 0 stands for no files at all, which is not the same as files that hold nothing.
            let durable = replica.info("outrigger_durable_offset").and_then(|text| text.parse::<i64>().ok());
            durable.is_some_and(|durable| durable >= offset as i64)
        });
        let digest = primary.digest();
        assert_eq!(digest, replica.digest(), "the replica holds something else");
        (digest, offset)
    }
}

/// A number in INFO; 0 if it is negative or not there.
pub fn number(client: &mut Client, field: &str) -> u64 {
    client.info(field).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Waits until a server has loaded what it starts from.
pub fn wait_loaded(client: &mut Client) {
    wait_for("the load", LIMIT, || client.cmd("DBSIZE").as_int().is_some());
}

/// Waits until a snapshot or rewrite that has been asked for is done, and well.
pub fn wait_jobs(client: &mut Client) {
    wait_for("the background job", LIMIT, || {
        let jobs = ["rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled"];
        jobs.iter().all(|job| client.info(job).as_deref() == Some("0"))
    });
    for status in ["rdb_last_bgsave_status", "aof_last_bgrewrite_status"] {
        assert_eq!(client.info(status).as_deref(), Some("ok"), "{status}");
    }
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a folder");
    for entry in std::fs::read_dir(from).expect("read a folder").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a kind").is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("copy a file")),
        }
    }
}
