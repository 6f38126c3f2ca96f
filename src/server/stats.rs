//! The server's figures. Each counter is bumped once a batch, not once a command.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters since the start (or CONFIG RESETSTAT).
        #[derive(Default)]
        pub struct Stats { $($(#[$doc])* pub $name: AtomicU64,)* }
        impl Stats {
            /// Sets every counter to zero.
            pub fn reset(&self) { $(self.$name.store(0, Ordering::Relaxed);)* }
        }
    };
}

counters! {
    /// Commands run.
    commands,
    /// Connections accepted.
    connections,
    /// Connections refused for `maxclients`.
    rejected_connections,
    /// Bytes read from clients.
    input_bytes,
    /// Bytes written to clients.
    output_bytes,
    /// Bytes read from the primary.
    replication_input_bytes,
    /// Bytes written to replicas.
    replication_output_bytes,
    /// Lookups that found a key.
    keyspace_hits,
    /// Lookups that did not.
    keyspace_misses,
    /// Keys removed because their time had come.
    expired_keys,
    /// Fields of hashes removed because their time had come.
    expired_subkeys,
    /// Keys removed to make room.
    evicted_keys,
    /// Clients disconnected because of `maxmemory-clients`.
    evicted_clients,
    /// Clients closed because they had more output waiting than they may.
    output_limit_disconnections,
    /// Full syncs served.
    sync_full,
    /// Partial syncs served.
    sync_partial_ok,
    /// Partial syncs refused.
    sync_partial_err,
    /// Error replies.
    error_replies,
    /// Forks made.
    forks,
    /// Duration of the last fork, microseconds.
    last_fork_us,
    /// Passwords that were wrong.
    acl_denied_auth,
    /// Commands that users were refused.
    acl_denied_command,
    /// Keys that users were refused.
    acl_denied_key,
    /// Channels that users were refused.
    acl_denied_channel,
    /// Commands refused before they ran.
    rejected_calls,
    /// Full syncs that this replica refused because they would have lost history.
    refused_syncs,
    /// Replies held until they were durable.
    durable_acks_held,
    /// Replies that became errors because what they told of was not durable.
    durable_acks_failed,
    /// Replies given although what they told of was not durable, for want of replicas.
    durable_acks_degraded,
    /// Writes refused for want of replicas.
    durable_acks_refused,
}

/// Adds to a counter.
#[inline]
pub fn add(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// Reads a counter.
pub fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Operations and bytes a second, sampled by the cron over the last 1.6 s (16 samples of 100 ms).
pub struct Rates {
    samples: parking_lot::Mutex<Vec<(u64, u64, u64, u64)>>,
    next: AtomicI64,
}

/// Samples a rate is averaged over.
const RATE_SAMPLES: usize = 16;

impl Default for Rates {
    fn default() -> Self {
        Rates { samples: parking_lot::Mutex::new(Vec::new()), next: AtomicI64::new(0) }
    }
}

impl Rates {
    /// Takes a sample at `now_us`.
    pub fn sample(&self, stats: &Stats, now_us: u64) {
        let mut samples = self.samples.lock();
        if samples.len() > RATE_SAMPLES {
            samples.remove(0);
        }
        samples.push((now_us, get(&stats.commands), get(&stats.input_bytes), get(&stats.output_bytes)));
        self.next.fetch_add(1, Ordering::Relaxed);
    }

    /// Commands, input bytes and output bytes a second.
    pub fn per_second(&self) -> (u64, u64, u64) {
        let samples = self.samples.lock();
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return (0, 0, 0) };
        let us = last.0.saturating_sub(first.0).max(1);
        let rate = |from: u64, to: u64| (to.saturating_sub(from) as u128 * 1_000_000 / us as u128) as u64;
        (rate(first.1, last.1), rate(first.2, last.2), rate(first.3, last.3))
    }
}
