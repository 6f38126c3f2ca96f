//! MEMORY, but for USAGE, which is a keyspace command.

use super::{Call, Handler};
use crate::server::dispatch::Next;
use crate::server::memory::{MemoryFigures, human};
use crate::sys::memory;
use crate::value::hash::shared_name_bytes;

/// Below this much data ratios say nothing: bytes.
const SMALL_BYTES: u64 = 5 << 20;

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    if name != "memory" {
        return None;
    }
    Some(match sub {
        "doctor" => doctor,
        "malloc-stats" => malloc_stats,
        "purge" => purge,
        "stats" => stats,
        _ => return None,
    })
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

fn doctor(call: &mut Call<'_, '_>) -> Next {
    let figures = call.node.memory.figures();
    let advice = diagnose(&figures);
    call.text(advice)
}

/// What is remarkable, a sentence each.
fn diagnose(figures: &MemoryFigures) -> String {
    let used = figures.allocator.allocated;
    if used < SMALL_BYTES {
        return "There is too little data for a diagnosis.\n".into();
    }
    let mut found = Vec::new();
    if ratio(figures.peak, used) > 1.5 {
        found.push(format!(
            "Peak: at its peak memory use was {}, now it is {}. The allocator may hold on to pages; MEMORY PURGE \
             gives them back.",
            human(figures.peak),
            human(used)
        ));
    }
    let fragmentation = ratio(figures.allocator.active, used);
    if fragmentation > 1.1 && figures.allocator.active - used > 10 << 20 {
        found.push(format!("Fragmentation: pages in use are {fragmentation:.2} times the data in them."));
    }
    let overhead = ratio(figures.rss, figures.allocator.resident);
    if overhead > 1.1 && figures.rss - figures.allocator.resident > 10 << 20 {
        found.push(format!("Other memory: the process is {overhead:.2} times as big as its allocator."));
    }
    if found.is_empty() { "Nothing is remarkable.\n".into() } else { found.join("\n") + "\n" }
}

fn malloc_stats(call: &mut Call<'_, '_>) -> Next {
    let figures = call.node.memory.figures().allocator;
    let name =
        if figures.is_jemalloc { "jemalloc" } else { "system allocator (figures are the resident size)" };
    call.text(format!(
        "{name}\nallocated: {}\nactive: {}\nresident: {}\nmetadata: {}\nmapped: {}\nretained: {}\n",
        figures.allocated,
        figures.active,
        figures.resident,
        figures.metadata,
        figures.mapped,
        figures.retained
    ))
}

fn purge(call: &mut Call<'_, '_>) -> Next {
    // Without jemalloc there is nothing to give back, and nothing to complain about.
    memory::purge();
    call.ok()
}

fn stats(call: &mut Call<'_, '_>) -> Next {
    let figures = call.node.memory.figures();
    let (allocator, rss) = (figures.allocator, figures.rss);
    let used = allocator.allocated;
    let mut keys = 0u64;
    let databases = call.node.keyspace.databases();
    call.each_shard(|shard| keys += (0..databases).map(|db| shard.db(db).len() as u64).sum::<u64>());
    let names = shared_name_bytes() as u64;
    let dataset = used.saturating_sub(figures.startup + names);
    let signed = |a: u64, b: u64| a as i64 - b as i64;
    let backlog = call.node.log.held_bytes();
    let whole = [
        ("peak.allocated", figures.peak as i64),
        ("total.allocated", used as i64),
        ("startup.allocated", figures.startup as i64),
        ("replication.backlog", backlog as i64),
        ("overhead.total", (used - dataset) as i64),
        ("keys.count", keys as i64),
        ("keys.bytes-per-key", dataset.checked_div(keys).unwrap_or(0) as i64),
        ("dataset.bytes", dataset as i64),
        ("allocator.allocated", used as i64),
        ("allocator.active", allocator.active as i64),
        ("allocator.resident", allocator.resident as i64),
        ("allocator-fragmentation.bytes", signed(allocator.active, used)),
        ("allocator-rss.bytes", signed(allocator.resident, allocator.active)),
        ("rss-overhead.bytes", signed(rss, allocator.resident)),
        ("fragmentation.bytes", signed(rss, used)),
    ];
    let fractions = [
        ("dataset.percentage", 100.0 * ratio(dataset, used)),
        ("peak.percentage", 100.0 * ratio(used, figures.peak)),
        ("allocator-fragmentation.ratio", ratio(allocator.active, used)),
        ("allocator-rss.ratio", ratio(allocator.resident, allocator.active)),
        ("rss-overhead.ratio", ratio(rss, allocator.resident)),
        ("fragmentation", ratio(rss, used)),
    ];
    let mut reply = call.reply();
    reply.map(whole.len() + fractions.len());
    for (name, value) in whole {
        reply.bulk(name);
        reply.int(value);
    }
    for (name, value) in fractions {
        reply.bulk(name);
        reply.double(value);
    }
    Next::Continue
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::AllocatorFigures;

    #[test]
    fn diagnoses() {
        let figures = |mib: [u64; 5]| {
            let [allocated, active, resident, rss, peak] = mib.map(|n| n << 20);
            let allocator =
                AllocatorFigures { is_jemalloc: true, allocated, active, resident, ..Default::default() };
            MemoryFigures { allocator, peak, startup: 1 << 20, rss }
        };
        assert!(diagnose(&figures([1, 9, 99, 99, 99])).contains("too little"));
        assert_eq!(diagnose(&figures([100, 105, 108, 110, 120])), "Nothing is remarkable.\n");
        let all = diagnose(&figures([100, 150, 160, 200, 300]));
        assert!(["Peak", "Fragmentation", "Other memory"].iter().all(|word| all.contains(word)), "{all}");
    }
}
