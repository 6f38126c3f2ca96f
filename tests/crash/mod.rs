//! A primary without files and a replica with them, killed again and again under load.
//!
//! `OUTRIGGER_TEST_SCALE=25` makes 200 cycles of each kind, and 50 of both killed at once.

mod restarts;
mod rig;
mod watch;
mod writers;

use crate::support::nodes::{LIMIT, figure, in_step};
use crate::support::rng::{Pick, Seeded};
use crate::support::{Client, scaled, wait_for};
use nix::sys::signal::Signal;
use outrigger::resp::RespValue;
use rig::Rig;
use std::time::Duration;
use writers::Kill;

/// Cycles at scale 1 in which one of the two is killed.
const CYCLES: usize = 8;
/// … and in which both are.
const CYCLES_OF_BOTH: usize = 2;

/// Pauses for up to so many ms.
fn pause(seeded: &mut Seeded, most_ms: i64) {
    let ms = seeded.rng.between(0, most_ms) as u64;
    std::thread::sleep(Duration::from_millis(ms));
}

/// Runs cycles of one kind; what must hold is in [`Rig::settle`].
fn cycles(kind: Kill, count: usize, seed: u64) {
    let mut seeded = Seeded::new(seed);
    let mut rig = Rig::start(seeded.seed);
    for cycle in 0..count {
        rig.choose_fsync(["always", "everysec"][cycle % 2]);
        rig.writers.run();
        pause(&mut seeded, 120);
        rig.primary_writes_nothing();
        rig.writers.expect(kind);
        let first = seeded.rng.percent(50);
        match kind {
            Kill::Primary => rig.primary.kill(),
            Kill::Replica => rig.replica.kill(),
            Kill::Both if first => {
                rig.primary.kill();
                rig.replica.kill();
            }
            Kill::Both => {
                rig.replica.kill();
                rig.primary.kill();
            }
        }
        let down_ms = if seeded.rng.percent(50) { 100 } else { 1 };
        pause(&mut seeded, down_ms);
        rig.restart(kind, seeded.rng.percent(50));
        pause(&mut seeded, 60);
        rig.settle(cycle, kind);
    }
    rig.say_figures(kind, count);
}

/// A replica that is behind when its primary dies still has the last of the stream to apply. A primary that took the history
/// before that was done would give other bytes the same offsets.
#[test]
fn the_last_of_a_dead_primarys_stream_is_applied_before_its_history_is_taken() {
    let mut rig = Rig::start(44);
    for _ in 0..scaled(4) {
        let mut client = rig.primary.client();
        rig.replica.signal(Signal::SIGSTOP);
        // As much as the sockets between the two hold.
        let value = "v".repeat(1_000);
        let commands: Vec<_> =
            (0..4_000).map(|i| vec!["SET".into(), format!("k:{i}"), value.clone()]).collect();
        client.pipeline(&commands);
        rig.primary.kill();
        rig.primary.spawn_again();
        rig.replica.signal(Signal::SIGCONT);
        wait_for("the primary to serve again", LIMIT, || {
            let set = || Client::connect(rig.primary.port())?.try_command(&["SET", "after", "1"]);
            set().is_ok_and(|reply| reply == RespValue::Simple(b"OK".to_vec()))
        });
        in_step(&rig.primary, &rig.replica);
        assert_eq!(figure(&mut rig.replica.client(), "outrigger_full_syncs"), 1);
    }
}

#[test]
fn the_primary_killed_under_load() {
    cycles(Kill::Primary, scaled(CYCLES), 41);
}

#[test]
fn the_replica_killed_under_load() {
    cycles(Kill::Replica, scaled(CYCLES), 42);
}

#[test]
fn both_killed_at_once_under_load() {
    cycles(Kill::Both, scaled(CYCLES_OF_BOTH), 43);
}
