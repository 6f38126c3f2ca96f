//! Replicas that come and go all the time, or are too slow: what they cost the primary is bounded, and once there is calm all of
//! them have everything.

use super::{DEBUG, primary};
use crate::support::nodes::{LIMIT, address, equal_digests, figure, in_step, is_linked, wait_linked};
use crate::support::{Client, Server, scale, scaled, wait_for};
use nix::sys::signal::Signal;
use outrigger::base::random::Rng;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// At full size (`OUTRIGGER_TEST_SCALE=10`): replicas, and seconds for which they flap.
const FULL_REPLICAS: usize = 20;
const FULL_SECONDS: usize = 60;
/// The data set: so many values of so many bytes.
const KEYS: u64 = 12_000;
const VALUE_BYTES: usize = 1_000;
/// What the allocator's total may move by besides what replicas cost: connections, buffers, threads of the runtime.
const SLACK_BYTES: i64 = 24 << 20;

/// Sets random keys to random values of the same length, `at_once` of them every `pause`, until told to stop.
fn write(server: &Server, seed: u64, at_once: usize, pause: Duration, stop: &AtomicBool) {
    let mut client = server.client();
    let mut rng = Rng::from_seed(seed);
    while !stop.load(Ordering::Relaxed) {
        let mut set = || vec!["SET".into(), format!("key:{}", rng.below(KEYS)), rng.hex(VALUE_BYTES)];
        let commands: Vec<Vec<String>> = (0..at_once).map(|_| set()).collect();
        client.pipeline(&commands);
        std::thread::sleep(pause);
    }
}

fn fill(server: &Server) {
    let mut client = server.client();
    let mut rng = Rng::from_seed(1);
    for from in (0..KEYS).step_by(1_000) {
        let commands: Vec<Vec<String>> = (from..from + 1_000)
            .map(|key| vec!["SET".into(), format!("key:{key}"), rng.hex(VALUE_BYTES)])
            .collect();
        client.pipeline(&commands);
    }
}

/// What was seen of a primary meanwhile.
#[derive(Debug, Default)]
struct Seen {
    looks: u64,
    most_at_once: i64,
    most_bytes: i64,
    most_used: i64,
}

impl Seen {
    /// Looks once more, and fails where something is beyond its bound. `used` was allocated before the first replica came.
    fn look(&mut self, client: &mut Client, used: i64) {
        let info = client.text("INFO everything");
        let figure = |field: &str| -> i64 {
            let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| panic!("{field} in {info}"))
        };
        let bytes = figure("outrigger_replica_memory_bytes");
        let limit = figure("outrigger_replica_memory_limit_bytes");
        let at_once = figure("outrigger_sync_snapshot_running");
        let more = figure("used_memory") - used;
        assert!(bytes <= limit, "{bytes} bytes for replicas, of {limit}");
        assert!(more <= limit + SLACK_BYTES, "{more} bytes more than without replicas; limit {limit}");
        assert!(at_once <= 1, "{at_once} snapshots at once");
        self.looks += 1;
        self.most_at_once = self.most_at_once.max(at_once);
        self.most_bytes = self.most_bytes.max(bytes);
        self.most_used = self.most_used.max(more);
    }
}

/// Cuts every link, and kills and restarts some of the processes, about once a second.
fn flap(primary: &Server, replicas: &mut [Server], seconds: usize) {
    let mut client = primary.client();
    for second in 0..seconds {
        let begun = Instant::now();
        client.int("CLIENT KILL TYPE replica");
        for (at, replica) in replicas.iter_mut().enumerate() {
            if (at + second).is_multiple_of(4) {
                replica.spawn_again();
            }
        }
        // Half a second later, too: in the middle of syncs.
        std::thread::sleep(Duration::from_millis(500).saturating_sub(begun.elapsed()));
        client.int("CLIENT KILL TYPE replica");
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }
}

#[test]
fn replicas_that_flap_under_load_share_one_snapshot_and_a_bounded_memory_and_converge() {
    let size = |full: usize| (full as f64 * (scale() / 10.0).min(1.0)).ceil() as usize;
    let (count, seconds) = (size(FULL_REPLICAS).max(4), size(FULL_SECONDS));
    let limit = ["--client-output-buffer-limit", "replica", "32mb", "16mb", "60"];
    let primary = primary(&[&["--repl-backlog-size", "64kb"][..], &limit].concat());
    fill(&primary);
    let mut client = primary.client();
    let used = figure(&mut client, "used_memory");
    let target = address(&primary);
    let args = [&DEBUG[..], &["--replicaof", &target]].concat();
    let mut replicas: Vec<Server> = (0..count).map(|_| Server::ours(&args)).collect();
    let (calm, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&primary, 7, 20, Duration::from_millis(10), &calm));
        let watcher = scope.spawn(|| {
            let mut client = primary.client();
            let mut seen = Seen::default();
            while !over.load(Ordering::Relaxed) {
                seen.look(&mut client, used);
                std::thread::sleep(Duration::from_millis(10));
            }
            seen
        });
        flap(&primary, &mut replicas, seconds);
        calm.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
        // All of them within a minute, not each.
        let begun = Instant::now();
        for replica in &mut replicas {
            wait_for("a replica that is up", LIMIT, || Client::connect(replica.port()).is_ok());
            let left = LIMIT.saturating_sub(begun.elapsed());
            wait_for("a link that is up", left, || is_linked(replica));
        }
        println!("all linked {} ms after the end of the load", begun.elapsed().as_millis());
        over.store(true, Ordering::Relaxed);
        seen = watcher.join().expect("the watcher");
    });
    for replica in &replicas {
        equal_digests(&mut client, &mut replica.client());
    }
    let of_primary = ["sync_full", "outrigger_sync_snapshots", "outrigger_sync_snapshots_given_up"];
    let [full, snapshots, given_up] = of_primary.map(|field| figure(&mut client, field));
    println!(
        "{count} replicas, {seconds} s: {full} full syncs, {snapshots} snapshots, {given_up} given up; {seen:?}"
    );
    let [sent, back] = ["outrigger_joins_referred", "outrigger_joins_referred_back"];
    println!("{} sent to other replicas, {} back", figure(&mut client, sent), figure(&mut client, back));
    assert!(full > count as i64, "{full} full syncs of {count} replicas");
    let nodes = std::iter::once(&primary).chain(&replicas);
    let at_once = nodes.map(|node| figure(&mut node.client(), "outrigger_sync_snapshots_at_once_peak"));
    assert_eq!(at_once.max(), Some(1), "of any node that serves some");
    assert_eq!(figure(&mut client, "outrigger_joins_referred_under_way"), 0);
    assert!(seen.looks > 10 && seen.most_at_once == 1 && seen.most_bytes > 0, "{seen:?}");
}

#[test]
fn a_replica_that_no_full_sync_helps_is_patient_and_says_why() {
    // Far less may be kept than is written while a snapshot is on its way.
    let limit = ["--client-output-buffer-limit", "replica", "1mb", "0", "0"];
    let primary = primary(&[&["--repl-backlog-size", "64kb"][..], &limit].concat());
    fill(&primary);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = [1, 2].map(|seed| {
            let (primary, stop) = (&primary, &stop);
            scope.spawn(move || write(primary, seed, 50, Duration::ZERO, stop))
        });
        let replica = Server::ours(&[&DEBUG[..], &["--replicaof", &address(&primary)]].concat());
        let mut client = replica.client();
        wait_for("several full syncs in vain", LIMIT, || {
            figure(&mut client, "outrigger_fruitless_syncs") >= 4
        });
        wait_for("the next to be put off", LIMIT, || figure(&mut client, "outrigger_sync_put_off_ms") > 500);
        let mut of_primary = primary.client();
        assert!(figure(&mut of_primary, "outrigger_sync_snapshots_given_up") > 0);
        let trouble = of_primary.info("outrigger_sync_trouble").expect("the primary tells why");
        assert!(trouble.contains("client-output-buffer-limit replica"), "{trouble}");
        let mut reason = String::new();
        wait_for("the replica to have heard why", LIMIT, || {
            reason = client.info("outrigger_fruitless_sync_reason").unwrap_or_default();
            reason.contains("client-output-buffer-limit replica")
        });
        assert!(replica.log().contains("put off"), "{}", replica.log());
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        in_step(&primary, &replica);
    });
}

/// Stops a replica in the stream, writes 40 MB, and waits until the primary has cut it off; then it goes on. Why it was cut off.
fn stopped_in_the_stream(args: &[&str]) -> String {
    let primary = primary(&[&["--repl-backlog-size", "64kb"], args].concat());
    let replica = super::replica(&primary, &[]);
    primary.client().ok("SET key value");
    in_step(&primary, &replica);
    replica.signal(Signal::SIGSTOP);
    let mut client = primary.client();
    for _ in 0..scaled(40) {
        let value = "v".repeat(1_000_000);
        client.pipeline(&[vec!["SET", "key", &value]]);
    }
    wait_for("the replica to be cut off", LIMIT, || figure(&mut client, "connected_slaves") == 0);
    assert_eq!(figure(&mut client, "outrigger_replicas_cut_off"), 1);
    let why = client.info("outrigger_sync_trouble").expect("a reason");
    replica.signal(Signal::SIGCONT);
    wait_for("another full sync", LIMIT, || figure(&mut client, "sync_full") == 2);
    wait_linked(&replica);
    in_step(&primary, &replica);
    why
}

#[test]
fn a_replica_that_takes_nothing_of_the_stream_is_cut_off_by_each_limit() {
    let limits = |hard, soft, seconds| ["--client-output-buffer-limit", "replica", hard, soft, seconds];
    let why = stopped_in_the_stream(&limits("8mb", "0", "0"));
    assert!(why.contains("more than client-output-buffer-limit replica allows"), "{why}");
    let why = stopped_in_the_stream(&limits("0", "8mb", "1"));
    assert!(why.contains("more than 8388608 bytes behind for 1 seconds"), "{why}");
    // Its task waits in a write meanwhile.
    let why = stopped_in_the_stream(&[&limits("0", "0", "0")[..], &["--repl-timeout", "3"]].concat());
    assert!(why.contains("it was silent for"), "{why}");
}

/// A replica that asked for a snapshot and has gone is not waited for, nor is one made for it.
#[test]
fn no_snapshot_is_made_for_a_replica_that_is_gone_again() {
    let primary = primary(&["--repl-diskless-sync-delay", "2"]);
    let mut client = primary.client();
    let mut gone = primary.client();
    gone.cmd("REPLCONF capa eof capa psync2");
    gone.send_raw(b"PSYNC ? -1\r\n").expect("sent");
    wait_for("it to be among the replicas", LIMIT, || figure(&mut client, "connected_slaves") == 1);
    drop(gone);
    wait_for("it to be forgotten", LIMIT, || figure(&mut client, "connected_slaves") == 0);
    let replica = super::replica(&primary, &[]);
    in_step(&primary, &replica);
    assert_eq!(figure(&mut client, "outrigger_sync_snapshots"), 1);
}

/// Reads a snapshot that comes as one bulk string without a line end behind it.
fn read_whole_snapshot(old: &mut Client) {
    let mut first = old.read_bytes_until(b"\r\n");
    while first.iter().all(u8::is_ascii_whitespace) {
        first = old.read_bytes_until(b"\r\n");
    }
    let text = String::from_utf8_lossy(&first).trim().to_string();
    let len = text.strip_prefix('$').and_then(|len| len.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert!(old.read_exactly(len).starts_with(b"REDIS0"));
}

/// Whoever must be told a snapshot's length first has it gathered in memory: one at a time.
#[test]
fn whole_snapshots_are_gathered_for_one_replica_at_a_time() {
    let primary = primary(&[]);
    fill(&primary);
    let mut client = primary.client();
    let mut old: Vec<Client> = (0..3).map(|_| primary.client()).collect();
    old.iter_mut().for_each(|old| old.send_raw(b"SYNC\r\n").expect("sent"));
    // Nobody knows which of them is the first.
    std::thread::scope(|scope| {
        old.iter_mut().for_each(|old| drop(scope.spawn(|| read_whole_snapshot(old))));
    });
    assert_eq!(figure(&mut client, "outrigger_sync_snapshots"), 3, "each had its own");
    wait_for("the memory to be given back", LIMIT, || {
        figure(&mut client, "outrigger_replica_memory_bytes") < 1 << 20
    });
    let peak = figure(&mut client, "outrigger_sync_snapshots_at_once_peak");
    assert_eq!(peak, 1);
}
