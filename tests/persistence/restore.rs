//! Point-in-time restore: the digest that the primary had then, in a folder that a server starts from.

use super::nodes::{Nodes, wait_jobs, wait_loaded};
use super::traffic::Traffic;
use crate::support::rng::Seeded;
use crate::support::{Server, scaled};
use outrigger::persistence::offline::{OfflineError, RestoreTo};
use outrigger::persistence::recovery::LoadedFrom;
use outrigger::persistence::toolbox::{ToolError, check_log, restore, rewrite};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// What the primary was at one moment of the run.
struct Moment {
    offset: u64,
    time_ms: u64,
    digest: String,
    keys: u64,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis() as u64
}

/// Writes, waits until all of it is on the replica's disk, and notes where the primary is.
fn moment(nodes: &Nodes, traffic: &mut Traffic, count: usize) -> Moment {
    let mut client = nodes.primary.client();
    traffic.send(&mut client, count);
    let (digest, offset) = nodes.settle();
    let keys = client.text("INFO keyspace");
    let keys =
        keys.split("keys=").skip(1).filter_map(|rest| rest.split(',').next()?.parse::<u64>().ok()).sum();
    let moment = Moment { offset, time_ms: now_ms(), digest, keys };
    // The next batch is of a later time, by the clock that both processes read.
    std::thread::sleep(Duration::from_millis(20));
    moment
}

/// Restores, and starts a server from what came of it.
fn restored(from: &Path, to: RestoreTo, moment: &Moment) {
    let home = TempDir::new().expect("make a temporary folder");
    let into = home.path().join("new");
    let done =
        restore(from, &into, &to.into(), 16, &|_, _| ()).unwrap_or_else(|error| panic!("{to:?}: {error}"));
    assert_eq!(done.fingerprint.digest.to_string(), moment.digest, "{to:?}");
    assert_eq!((done.fingerprint.keys, done.point.offset), (moment.keys, moment.offset), "{to:?}");
    let report = check_log(&into).expect("a report");
    assert!(
        report.is_sound() && report.end.map(|end| end.offset) == Some(moment.offset),
        "{to:?}: {report:?}"
    );
    let server = Server::ours_in(&into, &["--appendonly", "yes"]);
    let mut client = server.client();
    wait_loaded(&mut client);
    assert_eq!(client.digest(), moment.digest, "{to:?}: the server");
}

fn previous(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir).expect("read the folder").flatten().map(|entry| entry.path());
    let is = |path: &PathBuf| path.to_string_lossy().contains("appendonlydir.previous-");
    entries.filter(is).max().expect("an earlier generation")
}

#[test]
fn every_recorded_moment_can_be_restored() {
    let seeded = Seeded::new(7_200);
    let mut nodes = Nodes::start_silent(&["--appendfsync", "always", "--keep-generations", "2"]);
    let mut traffic = Traffic::new(seeded.seed);
    traffic.brief = false;
    traffic.only_what_is_known_to(&mut nodes.primary.client());
    let mut run = |nodes: &Nodes, count| -> Vec<Moment> {
        (0..count).map(|_| moment(nodes, &mut traffic, scaled(150))).collect()
    };
    let early = run(&nodes, 3);
    let mut replica = nodes.replica.client();
    replica.cmd("BGREWRITEAOF");
    wait_jobs(&mut replica);
    let late = run(&nodes, 4);
    let dir = nodes.replica.dir().to_owned();
    let before = previous(&dir);
    // While the replica runs, and after its end.
    for stopped in [false, true] {
        if stopped {
            assert!(nodes.replica.stop().success());
        }
        for (moments, from) in [(&early, &before), (&late, &dir)] {
            for moment in moments.iter().skip(usize::from(stopped)).step_by(2) {
                restored(from, RestoreTo::Offset(moment.offset), moment);
                restored(from, RestoreTo::TimeMs(moment.time_ms), moment);
            }
        }
    }
    let last = late.last().expect("a moment");
    restored(&dir, RestoreTo::End, last);
    restored(&dir.join("appendonlydir"), RestoreTo::TimeMs(now_ms() + 86_400_000), last);
    let home = TempDir::new().expect("make a temporary folder");
    let refused = |to| restore(&dir, &home.path().join("none"), &RestoreTo::into(to), 16, &|_, _| ());
    let too_early = refused(RestoreTo::Offset(early[0].offset));
    assert!(matches!(too_early, Err(ToolError::Offline(OfflineError::TooEarly { .. }))), "{too_early:?}");
    let too_early = refused(RestoreTo::TimeMs(early[0].time_ms - 60_000));
    assert!(matches!(too_early, Err(ToolError::Offline(OfflineError::TooEarly { .. }))), "{too_early:?}");
    let too_late = refused(RestoreTo::Offset(last.offset + 1_000_000));
    assert!(matches!(too_late, Err(ToolError::Offline(OfflineError::TooLate { .. }))), "{too_late:?}");
    assert!(!home.path().join("none").exists(), "a refused restore leaves nothing");
}

#[test]
fn a_rewrite_offline_holds_the_same() {
    let seeded = Seeded::new(7_201);
    let mut nodes = Nodes::start(&[]);
    let mut traffic = Traffic::new(seeded.seed);
    traffic.brief = false;
    traffic.only_what_is_known_to(&mut nodes.primary.client());
    let moment = moment(&nodes, &mut traffic, scaled(1_000));
    assert!(nodes.replica.stop().success());
    let home = TempDir::new().expect("make a temporary folder");
    let into = home.path().join("new");
    let done = rewrite(nodes.replica.dir(), &into, 16, &|_, _| ()).expect("rewritten");
    assert_eq!(done.fingerprint.digest.to_string(), moment.digest);
    assert!(matches!(done.source.source, LoadedFrom::Folder(_)));
    // It stands where the old one stood, so a replica goes on from it as if nothing had happened.
    let port = nodes.primary.port().to_string();
    let args = ["--replicaof", "127.0.0.1", &port];
    let replica = Server::ours_in(&into, &args);
    let mut client = replica.client();
    crate::support::wait_for("the link", super::nodes::LIMIT, || {
        client.info("master_link_status").as_deref() == Some("up")
    });
    assert_eq!(client.info("outrigger_partial_syncs").as_deref(), Some("1"));
    assert_eq!(client.info("outrigger_full_syncs").as_deref(), Some("0"));
    traffic.send(&mut nodes.primary.client(), 200);
    let nodes = Nodes { primary: nodes.primary, replica };
    nodes.settle();
}
