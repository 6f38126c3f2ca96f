//! INFO. Figures that this server does not have are left out rather than told as zero, but for those that programs
//! look for.

use super::Call;
use crate::keyspace::{SHARD_COUNT, Shard};
use crate::server::clients::{ClientInfo, ClientKind};
use crate::server::config::values;
use crate::server::dispatch::Next;
use crate::server::memory::human;
use crate::server::pubsub::Kind;
use crate::server::replication::takeover::own_history;
use crate::server::stats::get;
use crate::server::{Node, REDIS_VERSION, durability, eviction, replication};
use crate::sys::{cpu, process};
use crate::value::hash::shared_name_bytes;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Always, unless sections are named.
    ByDefault,
    /// With `all` and `everything`, or by name.
    WithAll,
    /// With `everything`, by default, or by name; not with `all`.
    NotWithAll,
}

/// A section: its name, when it is shown, and what writes its lines.
type Section = (&'static str, Shown, fn(&mut Call<'_, '_>, &mut String));

const SECTIONS: &[Section] = &[
    ("Server", Shown::ByDefault, server),
    ("Clients", Shown::ByDefault, clients),
    ("Memory", Shown::ByDefault, |call, out| memory(call.node, out)),
    ("Persistence", Shown::ByDefault, persistence),
    ("Stats", Shown::ByDefault, |call, out| stats(call.node, out)),
    ("Replication", Shown::ByDefault, replication),
    ("CPU", Shown::ByDefault, |_, out| cpu_times(out)),
    ("Modules", Shown::NotWithAll, |_, _| ()),
    ("Commandstats", Shown::WithAll, |call, out| command_stats(call.node, out)),
    ("Errorstats", Shown::ByDefault, |call, out| error_stats(call.node, out)),
    ("Latencystats", Shown::WithAll, |call, out| latency_stats(call.node, out)),
    ("Cluster", Shown::ByDefault, |_, out| out.push_str("cluster_enabled:0\r\n")),
    ("Keyspace", Shown::ByDefault, keyspace),
];

/// Is a section wanted by one of these words? No words ask for the default.
fn is_wanted((name, shown, _): &Section, words: &[&[u8]]) -> bool {
    let asked = |word: &&[u8]| match word.to_ascii_lowercase().as_slice() {
        b"default" => *shown != Shown::WithAll,
        b"all" => *shown != Shown::NotWithAll,
        b"everything" => true,
        word => word == name.to_ascii_lowercase().as_bytes(),
    };
    if words.is_empty() { *shown != Shown::WithAll } else { words.iter().any(asked) }
}

/// INFO [section …].
pub(super) fn info(call: &mut Call<'_, '_>) -> Next {
    let words = &call.args[1..];
    // Before the text takes some itself.
    let (node, backlog_bytes) = (call.node, call.node.config().repl_backlog_size_bytes);
    node.memory.sample_beside(|| eviction::not_counted(node, backlog_bytes));
    let mut text = String::with_capacity(8 * 1024);
    for section in SECTIONS.iter().filter(|section| is_wanted(section, words)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        line(&mut text, format_args!("# {}", section.0));
        section.2(call, &mut text);
    }
    call.text(text)
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{text}\r\n");
}

/// Writes `name:value` lines.
macro_rules! fields {
    ($out:expr, $($name:literal: $value:expr),+ $(,)?) => {
        $(line($out, format_args!(concat!($name, ":{}"), $value));)+
    };
}

fn server(call: &mut Call<'_, '_>, out: &mut String) {
    let node = call.node;
    let config = node.config();
    let shown = |path: Option<std::path::PathBuf>| path.unwrap_or_default().display().to_string();
    let up_s = (node.now_ms() - node.started_at_ms).max(0) / 1000;
    fields!(out,
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_mode": "standalone",
        "outrigger_version": env!("CARGO_PKG_VERSION"),
        "os": process::os_text(),
        "arch_bits": process::ARCH_BITS,
        "multiplexing_api": "epoll",
        "process_id": process::pid(),
        "run_id": node.run_id,
        "tcp_port": config.port,
        "server_time_usec": crate::base::time::Clock::unix_us(node.clock()),
        "uptime_in_seconds": up_s,
        "uptime_in_days": up_s / 86_400,
        "hz": config.hz,
        "configured_hz": config.hz,
        "lru_clock": crate::command::access::lru_now(node.now_ms()),
        "executable": shown(process::executable_path()),
        "config_file": shown(node.config_file.clone()),
        "io_threads_active": u8::from(config.io_threads > 1),
        "outrigger_io_threads": config.io_threads,
    );
}

fn clients(call: &mut Call<'_, '_>, out: &mut String) {
    let node = call.node;
    let (replicas, all) = (node.replicas.list().len(), node.clients.len());
    let (awaited, awaited_or_gone) = node.blocked.key_counts();
    fields!(out,
        "connected_clients": all.saturating_sub(replicas),
        "cluster_connections": 0,
        "maxclients": node.config().maxclients,
        "blocked_clients": node.clients.blocked(),
        "tracking_clients": node.tracking.figures().clients,
        "pubsub_clients": node.clients.list().iter().filter(|client| client.is_subscriber()).count(),
        "total_blocking_keys": awaited,
        "total_blocking_keys_on_nokey": awaited_or_gone,
    );
}

fn memory(node: &Node, out: &mut String) {
    let figures = node.memory.last_figures();
    let allocator = figures.allocator;
    let config = node.config();
    let (used, rss) = (allocator.allocated, figures.rss);
    let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let names = shared_name_bytes() as u64;
    let dataset = used.saturating_sub(figures.startup + names);
    let total = crate::sys::memory::total_system_bytes().unwrap_or(0);
    let (pending, freed) = crate::keyspace::freeing::figures();
    let not_counted = node.memory.last_not_counted();
    let (of_replicas, of_others) = client_bytes(node, config.repl_backlog_size_bytes);
    fields!(out,
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": rss,
        "used_memory_rss_human": human(rss),
        "used_memory_peak": figures.peak,
        "used_memory_peak_human": human(figures.peak),
        "used_memory_peak_perc": format_args!("{:.2}%", 100.0 * ratio(used, figures.peak)),
        "used_memory_overhead": used - dataset,
        "used_memory_startup": figures.startup,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": format_args!("{:.2}%", 100.0 * ratio(dataset, used)),
        "allocator_allocated": used,
        "allocator_active": allocator.active,
        "allocator_resident": allocator.resident,
        "total_system_memory": total,
        "total_system_memory_human": human(total),
        "maxmemory": config.maxmemory_bytes,
        "maxmemory_human": human(config.maxmemory_bytes),
        "maxmemory_policy": config.maxmemory_policy.word(),
        "allocator_frag_ratio": format_args!("{:.2}", ratio(allocator.active, used)),
        "allocator_frag_bytes": allocator.active.saturating_sub(used),
        "allocator_rss_ratio": format_args!("{:.2}", ratio(allocator.resident, allocator.active)),
        "allocator_rss_bytes": allocator.resident.saturating_sub(allocator.active),
        "rss_overhead_ratio": format_args!("{:.2}", ratio(rss, allocator.resident)),
        "rss_overhead_bytes": rss as i64 - allocator.resident as i64,
        "mem_fragmentation_ratio": format_args!("{:.2}", ratio(rss, used)),
        "mem_fragmentation_bytes": rss as i64 - used as i64,
        "mem_not_counted_for_evict": not_counted,
        "mem_replication_backlog": node.log.held_bytes(),
        "mem_clients_slaves": of_replicas,
        "mem_clients_normal": of_others,
        "mem_allocator": if allocator.is_jemalloc { "jemalloc" } else { "system" },
        "active_defrag_running": 0,
        "lazyfree_pending_objects": pending,
        "lazyfreed_objects": freed,
    );
}

/// What buffers of clients take: of replicas, with what the log holds for them beyond the backlog, and of the others.
fn client_bytes(node: &Node, backlog_bytes: u64) -> (u64, u64) {
    let clients = node.clients.list();
    let (replicas, others): (Vec<_>, Vec<_>) =
        clients.iter().partition(|client| client.kind() == ClientKind::Replica);
    let sum = |clients: Vec<&Arc<ClientInfo>>| {
        clients.iter().map(|client| client.memory_bytes() as u64).sum::<u64>()
    };
    let held = if replicas.is_empty() { 0 } else { eviction::beyond_backlog(node, backlog_bytes) };
    (sum(replicas) + held, sum(others))
}

fn persistence(call: &mut Call<'_, '_>, out: &mut String) {
    out.push_str(&durability::info::section(call.node, call.node.now_ms()));
}

fn replication(call: &mut Call<'_, '_>, out: &mut String) {
    // Before the text is made: it tells this epoch or a later one.
    call.session.told_epoch = Some(own_history(call.node).map_or(0, |own| own.epoch.number));
    out.push_str(&replication::info::section(call.node, call.node.now_ms()));
}

fn stats(node: &Node, out: &mut String) {
    let stats = &node.stats;
    let (commands, input, output) = node.rates.per_second();
    let tracked = node.tracking.figures();
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    fields!(out,
        "total_connections_received": get(&stats.connections),
        "total_commands_processed": get(&stats.commands),
        "instantaneous_ops_per_sec": commands,
        "total_net_input_bytes": get(&stats.input_bytes),
        "total_net_output_bytes": get(&stats.output_bytes),
        "total_net_repl_input_bytes": get(&stats.replication_input_bytes),
        "total_net_repl_output_bytes": get(&stats.replication_output_bytes),
        "instantaneous_input_kbps": kib(input),
        "instantaneous_output_kbps": kib(output),
        "rejected_connections": get(&stats.rejected_connections),
        "sync_full": get(&stats.sync_full),
        "sync_partial_ok": get(&stats.sync_partial_ok),
        "sync_partial_err": get(&stats.sync_partial_err),
        "expired_subkeys": get(&stats.expired_subkeys),
        "expired_keys": get(&stats.expired_keys),
        "evicted_keys": get(&stats.evicted_keys),
        "evicted_clients": get(&stats.evicted_clients),
        "migrate_cached_sockets": node.migrate_sockets.load(Ordering::Relaxed),
        "keyspace_hits": get(&stats.keyspace_hits),
        "keyspace_misses": get(&stats.keyspace_misses),
        "pubsub_channels": node.pubsub.count(Kind::Channel),
        "pubsub_patterns": node.pubsub.count(Kind::Pattern),
        "pubsubshard_channels": node.pubsub.count(Kind::Shard),
        "tracking_total_keys": tracked.keys,
        "tracking_total_items": tracked.items,
        "tracking_total_prefixes": tracked.prefixes,
        "latest_fork_usec": get(&stats.last_fork_us),
        "total_forks": get(&stats.forks),
        "total_error_replies": get(&stats.error_replies),
        "acl_access_denied_auth": get(&stats.acl_denied_auth),
        "acl_access_denied_cmd": get(&stats.acl_denied_command),
        "acl_access_denied_key": get(&stats.acl_denied_key),
        "acl_access_denied_channel": get(&stats.acl_denied_channel),
        "client_output_buffer_limit_disconnections": get(&stats.output_limit_disconnections),
        "outrigger_refused_commands": get(&stats.rejected_calls),
    );
}

fn cpu_times(out: &mut String) {
    let (own, children) = (cpu::of_process(), cpu::of_children());
    let seconds = |time: std::time::Duration| format!("{:.6}", time.as_secs_f64());
    fields!(out,
        "used_cpu_sys": seconds(own.system),
        "used_cpu_user": seconds(own.user),
        "used_cpu_sys_children": seconds(children.system),
        "used_cpu_user_children": seconds(children.user),
    );
}

fn command_stats(node: &Node, out: &mut String) {
    for it in node.command_stats.commands() {
        let each = if it.calls == 0 { 0.0 } else { it.us as f64 / it.calls as f64 };
        line(
            out,
            format_args!(
                "cmdstat_{}:calls={},usec={},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                it.name, it.calls, it.us, it.rejected, it.failed
            ),
        );
    }
}

fn error_stats(node: &Node, out: &mut String) {
    for (code, count) in node.command_stats.errors() {
        // A code comes from an error's text, and must not break the lines.
        let code: String = code.chars().filter(|c| !c.is_control() && *c != ':').collect();
        line(out, format_args!("errorstat_{code}:count={count}"));
    }
}

fn latency_stats(node: &Node, out: &mut String) {
    let config = node.config();
    if !config.latency_tracking {
        return;
    }
    for it in node.command_stats.commands().filter(|it| it.durations.calls() > 0) {
        let percentile = |percent: &f64| {
            let us = it.durations.percentile_ns(*percent) as f64 / 1000.0;
            format!("p{}={us:.3}", values::short_decimal(*percent))
        };
        let shown: Vec<String> = config.latency_percentiles.iter().map(percentile).collect();
        line(out, format_args!("latency_percentiles_usec_{}:{}", it.name, shown.join(",")));
    }
}

fn keyspace(call: &mut Call<'_, '_>, out: &mut String) {
    let databases = call.node.keyspace.databases();
    let mut counts = vec![(0, 0, 0); databases as usize];
    call.each_shard(|shard| {
        for (db, (keys, expires, subexpiry)) in (0..databases).zip(&mut counts) {
            *keys += shard.db(db).len();
            *expires += shard.db(db).expiring();
            *subexpiry += shard.db(db).timed();
        }
    });
    for (db, (keys, expires, subexpiry)) in counts.iter().enumerate().filter(|(_, (keys, ..))| *keys > 0) {
        line(out, format_args!("db{db}:keys={keys},expires={expires},avg_ttl=0,subexpiry={subexpiry}"));
    }
}

impl Call<'_, '_> {
    /// Shows every shard to `look`: those held for a transaction, else one lock after the other.
    pub(super) fn each_shard(&mut self, mut look: impl FnMut(&Shard)) {
        match &self.held {
            Some(held) => held.iter().for_each(|(_, shard)| look(shard)),
            None => (0..SHARD_COUNT).for_each(|index| look(&self.node.keyspace.lock_shard(index))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_by_words() {
        let names = |words: &[&str]| -> Vec<&str> {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            SECTIONS.iter().filter(|section| is_wanted(section, &words)).map(|it| it.0).collect()
        };
        let default = names(&[]);
        assert!(default.contains(&"Modules") && !default.contains(&"Commandstats"));
        assert_eq!(names(&["default"]), default);
        assert_eq!(names(&["everything"]).len(), SECTIONS.len());
        let all = names(&["ALL"]);
        assert!(all.contains(&"Commandstats") && !all.contains(&"Modules"));
        assert_eq!(names(&["cpu", "SERVER", "none"]), ["Server", "CPU"]);
        assert!(names(&["none"]).is_empty());
    }
}
