//! The two nodes, and what must hold of them after each cycle.

use super::watch::{SENTINEL, Watch};
use super::writers::{KEPT_DB, Kill, Writers};
use crate::support::nodes::{LIMIT, equal_digests, figure};
use crate::support::server::free_port;
use crate::support::{Client, Server, wait_for};
use std::os::unix::fs::FileTypeExt;

/// What both nodes are started with.
const BOTH: [&str; 4] = ["--enable-debug-command", "yes", "--repl-backlog-size", "64mb"];

/// A primary that takes its history from its replica, a replica that writes, and load.
pub struct Rig {
    /// The connections that write.
    pub writers: Writers,
    /// The primary.
    pub primary: Server,
    /// The replica.
    pub replica: Server,
    watches: [Watch; 2],
    replica_args: Vec<String>,
    lineage: String,
}

impl Rig {
    /// Starts both, and the writers, paused.
    pub fn start(seed: u64) -> Rig {
        let (primary_port, replica_port) = (free_port(), free_port());
        let peer = format!("127.0.0.1:{replica_port}");
        let primary = Server::ours_on(primary_port, &[&BOTH[..], &["--recover-from-peers", &peer]].concat());
        // Rewrites and snapshots fall among the kills, too.
        let own = ["--auto-aof-rewrite-min-size", "1mb", "--save", "1 1000", "--appendonly", "yes"];
        let target = format!("127.0.0.1 {primary_port}");
        let replica_args = [&BOTH[..], &own, &["--replicaof", &target]].concat();
        let replica_args: Vec<String> = replica_args.into_iter().map(String::from).collect();
        let replica = Server::ours_on(replica_port, &words(&replica_args));
        wait_for("the replica to follow", LIMIT, || {
            replica.client().info("master_link_status").as_deref() == Some("up")
        });
        let mut client = primary.client();
        client.ok(&format!("SELECT {KEPT_DB}"));
        client.ok(&format!("SET {SENTINEL} 1"));
        assert_eq!(client.int("WAIT 1 0"), 1);
        wait_for("the replica's files", LIMIT, || {
            figure(&mut replica.client(), "outrigger_durable_offset") > 0
        });
        let lineage = client.info("master_replid").expect("a lineage");
        let watches = [Watch::start(primary_port), Watch::start(replica_port)];
        let writers = Writers::start(primary_port, seed);
        Rig { writers, primary, replica, watches, replica_args, lineage }
    }

    /// Sets the replica's `appendfsync`, now and for its next start.
    pub fn choose_fsync(&mut self, policy: &str) {
        self.replica.client().ok(&format!("CONFIG SET appendfsync {policy}"));
        let mut args = self.replica_args.clone();
        args.extend(["--appendfsync".to_string(), policy.to_string()]);
        self.replica.set_args(&words(&args));
    }

    /// Fails if the primary holds a regular file open for writing, has a child, or ever had one since its last start (but
    /// for the one of the first full sync).
    pub fn primary_writes_nothing(&self) {
        let process = format!("/proc/{}", self.primary.pid());
        for entry in std::fs::read_dir(format!("{process}/fd")).expect("list the primary's files").flatten() {
            let Ok(target) = std::fs::metadata(entry.path()) else { continue };
            let name = std::fs::read_link(entry.path()).unwrap_or_default();
            // The standard outputs lead to the test's log; the server did not open them.
            let inherited = entry.file_name() == "1" || entry.file_name() == "2";
            let kind = target.file_type();
            let special = kind.is_socket() || kind.is_fifo() || kind.is_char_device();
            if special || inherited || kind.is_dir() || !target.is_file() {
                continue;
            }
            let path = format!("{process}/fdinfo/{}", entry.file_name().display());
            let info = std::fs::read_to_string(path).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("0");
            let flags = u32::from_str_radix(flags.trim(), 8).expect("octal flags");
            assert_eq!(flags & 0o3, 0, "the primary holds {} open for writing", name.display());
        }
        let children = std::fs::read_dir(format!("{process}/task")).expect("list the primary's threads");
        for task in children.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            assert_eq!(children.trim(), "", "the primary has children");
        }
        assert_eq!(figure(&mut self.primary.client(), "total_forks"), 0, "the primary has forked");
        let data = std::fs::read_dir(self.primary.dir()).expect("list the primary's folder").count();
        assert_eq!(data, 0, "the primary's folder is not empty");
    }

    /// Starts again what was killed.
    pub fn restart(&mut self, kind: Kill, replica_first: bool) {
        match kind {
            Kill::Primary => self.primary.restart(),
            Kill::Replica => self.replica.restart(),
            Kill::Both if replica_first => {
                self.replica.restart();
                self.primary.restart();
            }
            Kill::Both => {
                self.primary.restart();
                self.replica.restart();
            }
        }
    }

    /// Waits until nothing moves any more, and checks that nothing is lost.
    pub fn settle(&mut self, cycle: usize, kind: Kill) {
        let mut replica = self.replica.client();
        wait_for("the replica to follow again", LIMIT, || {
            let refused = figure(&mut replica, "outrigger_refused_syncs");
            let why = replica.info("outrigger_refused_sync_reason");
            assert_eq!((refused, why), (0, None), "cycle {cycle}: the replica refused");
            replica.info("master_link_status").as_deref() == Some("up")
        });
        self.writers.pause();
        let mut primary = self.primary.client();
        // What is told from here on may lie behind the place that is looked at: keys expire, the primary pings.
        let durable = self.watches[1].durable();
        let at = equal_digests(&mut primary, &mut replica);
        self.writers.check(&mut primary, "primary");
        self.writers.check(&mut replica, "replica");
        let [of_primary, of_replica] = &self.watches;
        of_primary.check("primary");
        of_replica.check("replica");
        assert!(at >= durable, "cycle {cycle}: {durable} was durable, the history ends at {at}");
        assert_eq!(primary.info("master_replid").as_deref(), Some(&self.lineage[..]), "cycle {cycle}");
        assert_eq!(replica.info("master_replid").as_deref(), Some(&self.lineage[..]), "cycle {cycle}");
        self.check_resumed(&mut primary, &mut replica, cycle, kind);
        self.writers.begin_anew(&mut primary);
    }

    /// The replica went on with a partial sync, and nobody took a full one.
    fn check_resumed(&self, primary: &mut Client, replica: &mut Client, cycle: usize, kind: Kill) {
        let full = figure(replica, "outrigger_full_syncs");
        let partial = figure(replica, "outrigger_partial_syncs");
        let given = figure(primary, "sync_full");
        // Counters begin with each process; the first full sync is the one of the start.
        let wanted = match kind {
            Kill::Primary => (1, cycle as i64 + 1, 0),
            Kill::Replica => (0, 1, 1),
            Kill::Both => (0, 1, 0),
        };
        assert_eq!((full, partial, given), wanted, "cycle {cycle}: full, partial, given by the primary");
        assert!(figure(primary, "sync_partial_ok") >= 1);
        assert_eq!(figure(primary, "sync_partial_err"), 0);
    }

    /// Prints what was done.
    pub fn say_figures(&self, kind: Kill, cycles: usize) {
        let (commands, acknowledged) = self.writers.figures();
        let looks: u64 = self.watches.iter().map(Watch::looks).sum();
        eprintln!(
            "{kind:?}: {cycles} cycles, {commands} commands, {acknowledged} acknowledgements of the replica kept, \
             {looks} looks at the data"
        );
    }
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}
