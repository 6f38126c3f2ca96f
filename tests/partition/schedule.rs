//! Random schedules of faults, and what must hold after each.

use super::checker::{Verdict, check};
use super::cluster::{Cluster, NODES};
use super::history::{Op, Record, read_value, run_client};
use super::proxy::Road;
use super::watch::Watch;
use crate::support::nodes::{LIMIT, equal_digests, figure};
use crate::support::rng::Pick;
use crate::support::{Client, wait_for};
use outrigger::base::random::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Clients of a schedule.
const CLIENTS: usize = 5;
/// How long the faults of a schedule go on.
const LENGTH_MS: u64 = 4_000;

/// Something that is done to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Kill(usize),
    Restart(usize),
    Pause(usize),
    Resume(usize),
    Roads(usize, usize, Road),
    Door(usize, Road),
    Disk(usize, u64),
    Promote,
}

/// Faults at random times, each with its end.
fn plan(rng: &mut Rng) -> Vec<(u64, Deed)> {
    let mut deeds = Vec::new();
    for _ in 0..rng.between(5, 11) {
        let at = rng.between(100, LENGTH_MS as i64) as u64;
        let end = at + rng.between(50, 1_500) as u64;
        let node = rng.index(NODES);
        let other = (node + 1 + rng.index(NODES - 1)) % NODES;
        let road = if rng.percent(50) { Road::Cut } else { Road::Silent };
        match rng.below(12) {
            0..3 => deeds.extend([(at, Deed::Kill(node)), (end, Deed::Restart(node))]),
            3 => deeds.extend((0..NODES).flat_map(|n| [(at, Deed::Kill(n)), (end, Deed::Restart(n))])),
            4..6 => deeds.extend([(at, Deed::Pause(node)), (end, Deed::Resume(node))]),
            6 => deeds
                .extend([(at, Deed::Roads(node, other, road)), (end, Deed::Roads(node, other, Road::Open))]),
            7 => {
                // A node that nobody reaches.
                let all = (0..NODES).filter(|n| *n != node);
                deeds.extend(all.clone().map(|n| (at, Deed::Roads(node, n, road))));
                deeds.extend(all.map(|n| (end, Deed::Roads(node, n, Road::Open))));
                if rng.percent(50) {
                    deeds.extend([(at, Deed::Door(node, road)), (end, Deed::Door(node, Road::Open))]);
                }
            }
            8 => {
                let delay_ms = rng.between(5, 400) as u64;
                deeds.extend([(at, Deed::Disk(node, delay_ms)), (end, Deed::Disk(node, 0))]);
            }
            _ => deeds.push((at, Deed::Promote)),
        }
    }
    deeds.sort_by_key(|(at, _)| *at);
    deeds
}

fn perform(cluster: &mut Cluster, deed: Deed) {
    match deed {
        Deed::Kill(node) => cluster.kill(node),
        Deed::Restart(node) => cluster.restart(node),
        Deed::Pause(node) => cluster.pause(node),
        Deed::Resume(node) => cluster.resume(node),
        Deed::Roads(a, b, road) => cluster.set_roads(a, b, road),
        Deed::Door(node, road) => cluster.set_door(node, road),
        Deed::Disk(node, delay_ms) => cluster.slow_disk(node, delay_ms),
        Deed::Promote => cluster.promote(),
    }
}

/// What a schedule came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Operations with an answer.
    pub answered: usize,
    /// Operations that may have happened.
    pub unknown: usize,
    /// Promotions.
    pub promotions: usize,
}

/// Runs the schedule of a seed.
pub fn run(seed: u64) -> Figures {
    let mut rng = Rng::from_seed(seed);
    let deeds = plan(&mut rng);
    let on_loss = if rng.percent(50) { "block" } else { "error" };
    let fsync = if rng.percent(50) { "always" } else { "everysec" };
    let mut cluster = Cluster::start(on_loss, &["--appendfsync", fsync]);
    let watch = Watch::start((0..NODES).map(|node| cluster.server(node).port()).collect());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let figures = drive(&mut cluster, deeds, seed);
        watch.check();
        figures
    }));
    outcome.unwrap_or_else(|panic| {
        eprintln!(
            "seed {seed}, durable-acks-on-loss {on_loss}, appendfsync {fsync}:\n{}",
            cluster.diary.join("\n")
        );
        resume_unwind(panic)
    })
}

fn drive(cluster: &mut Cluster, deeds: Vec<(u64, Deed)>, seed: u64) -> Figures {
    let record = Arc::clone(&cluster.record);
    let clients: Vec<_> = (0..CLIENTS as u64)
        .map(|client| {
            let (record, doors) = (Arc::clone(&record), Arc::clone(&cluster.doors));
            std::thread::spawn(move || run_client(&record, &doors, seed.wrapping_mul(1_000) + client))
        })
        .collect();
    let faults = catch_unwind(AssertUnwindSafe(|| {
        let start = Instant::now();
        for (at, deed) in deeds {
            let at = Duration::from_millis(at);
            while start.elapsed() < at {
                std::thread::sleep(at.saturating_sub(start.elapsed()).min(Duration::from_millis(50)));
                cluster.give_orders();
            }
            perform(cluster, deed);
        }
        cluster.calm();
        // Something is written and read in peace, too.
        std::thread::sleep(Duration::from_millis(200));
    }));
    record.over.store(true, Ordering::Release);
    let clients: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
    if let Err(panic) = faults {
        resume_unwind(panic);
    }
    clients.into_iter().for_each(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic)));
    look_at_the_end(cluster);
    judge(&record, cluster)
}

/// Reads every key of the acting primary, and compares the nodes.
fn look_at_the_end(cluster: &Cluster) {
    let record = &cluster.record;
    let mut primary = cluster.server(cluster.acting).client();
    for key in 0..super::history::KEYS {
        let called_ns = record.now_ns();
        let reply = primary.command(&["GET", &Record::name(key)]);
        assert!(reply.as_error().is_none(), "{reply:?}");
        let answer = read_value(&reply);
        let (node, action) = (cluster.acting, super::history::Action::Get);
        record.add(Op { key, node, action, called_ns, returned_ns: record.now_ns(), answer });
    }
    for node in (0..NODES).filter(|node| *node != cluster.acting) {
        let mut replica: Client = cluster.server(node).client();
        equal_digests(&mut primary, &mut replica);
        wait_for("what it has to be on its disk", LIMIT, || {
            figure(&mut replica, "outrigger_durable_offset") >= 0
        });
    }
}

fn judge(record: &Record, cluster: &Cluster) -> Figures {
    let promotions = cluster.diary.iter().filter(|line| line.contains("is promoted")).count();
    let mut figures = Figures { promotions, ..Figures::default() };
    for (key, ops) in record.by_key().into_iter().enumerate() {
        figures.unknown += ops.iter().filter(|op| op.is_unknown()).count();
        figures.answered += ops.iter().filter(|op| !op.is_unknown()).count();
        let verdict = check(&ops);
        if verdict != Verdict::Explained {
            let mut ops = ops;
            ops.sort_by_key(|op| op.called_ns);
            let lines: Vec<String> = ops.iter().map(|op| format!("{op:?}")).collect();
            panic!("key {key}: {verdict:#?} of\n{}", lines.join("\n"));
        }
    }
    figures
}
