//! CONFIG: settings read, changed and written to their file.

use super::{Call, Handler};
use crate::command::CommandError;
use crate::server::config::{self, Caller, ChangedSet, Config, ConfigError, rewrite};
use crate::server::dispatch::Next;
use crate::server::eviction;
use crate::server::gate::bits;
use crate::server::{Node, acl, durability, logging, proc_title};
use crate::sys::Disk;
use std::path::Path;

/// Longest configuration file that is rewritten, in bytes.
const FILE_MAX_BYTES: usize = 16 << 20;

/// Settings that take effect at the start only, although Redis can change them while it runs.
const ONLY_AT_START: &[&str] = &["port", "bind"];

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    if name != "config" {
        return None;
    }
    Some(match sub {
        "get" => get,
        "set" => set,
        "rewrite" => rewrite_file,
        "resetstat" => reset_stat,
        _ => return None,
    })
}

fn get(call: &mut Call<'_, '_>) -> Next {
    let found = call.node.config().get(&call.args[2..], durability::role_of(call.node));
    let mut reply = call.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name);
        reply.bulk(value);
    }
    Next::Continue
}

fn set(call: &mut Call<'_, '_>) -> Next {
    let words = &call.args[2..];
    if !words.len().is_multiple_of(2) {
        return call.error(CommandError::Syntax.to_string());
    }
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let caller = if call.session.info.addr.is_local() { Caller::Local } else { Caller::Remote };
    match change(call.node, caller, call.held.is_some(), &pairs) {
        Ok(()) => {
            if call.node.acks.lags_config() {
                let node = call.node;
                call.with_all_shards(|_| node.acks.follow_config(node));
            }
            // What the client sends with this command is subject to it, too.
            call.session.settings = call.node.settings();
            call.ok()
        }
        Err(error) => call.error(error.to_reply()),
    }
}

/// Changes settings and puts them into effect, or changes nothing. `holds_locks`: the caller is in a transaction.
pub fn change(
    node: &Node,
    caller: Caller,
    holds_locks: bool,
    pairs: &[(&[u8], &[u8])],
) -> Result<(), ConfigError> {
    let mut changed = ChangedSet::default();
    node.change_config(|config| {
        changed = config.set_pairs_as(caller, pairs)?;
        check_effects(config, &changed)
    })?;
    put_into_effect(node, holds_locks, &changed);
    Ok(())
}

/// Refuses what would be taken and then have no effect.
fn check_effects(config: &Config, changed: &ChangedSet) -> Result<(), ConfigError> {
    if let Some(name) = ONLY_AT_START.iter().find(|name| changed.contains(name)) {
        return Err(ConfigError::apply_failed(name, "it can be set at the start only"));
    }
    if changed.contains("loglevel") && !logging::can_change_level() {
        return Err(ConfigError::apply_failed("loglevel", "the log of this process is not the server's"));
    }
    if changed.contains("dir") && !config.dir.is_dir() {
        return Err(ConfigError::apply_failed("dir", "No such file or directory"));
    }
    Ok(())
}

/// What the settings' readers do not find out by themselves.
fn put_into_effect(node: &Node, holds_locks: bool, changed: &ChangedSet) {
    let config = node.config();
    if changed.contains("loglevel") {
        logging::set_level(config.loglevel);
    }
    if changed.contains("proc-title-template") {
        proc_title::show(node);
    }
    if changed.contains("requirepass") {
        acl::set_default_password(node, &config.requirepass.0);
    }
    if changed.contains("maxmemory") || changed.contains("maxmemory-policy") {
        match holds_locks {
            // Keys go as soon as the transaction has let go of them.
            true => node.gate.set(bits::MEMORY_DUE, true),
            false => _ = eviction::make_room(node),
        }
    }
    if changed.contains("appendonly") {
        match config.effective_appendonly(durability::role_of(node)) {
            true => node.durability.turned_on(node),
            false => node.durability.turned_off(),
        }
    }
    if changed.contains("replica-read-only") {
        node.gate.set(bits::READ_ONLY, node.is_replica() && config.replica_read_only);
    }
    if changed.contains("min-replicas-to-write") || changed.contains("min-replicas-max-lag") {
        let wanted = config.min_replicas_to_write as usize;
        let lag_ms = i64::from(config.min_replicas_max_lag_seconds) * 1000;
        let few = wanted > 0 && lag_ms > 0 && node.replicas.count_good(node.now_ms(), lag_ms) < wanted;
        node.gate.set(bits::FEW_REPLICAS, few && !node.is_replica());
    }
}

fn rewrite_file(call: &mut Call<'_, '_>) -> Next {
    rewrite_by(call, rewrite)
}

/// DEBUG CONFIG-REWRITE-FORCE-ALL.
pub(super) fn rewrite_all(call: &mut Call<'_, '_>) -> Next {
    rewrite_by(call, config::rewrite_all)
}

fn rewrite_by(call: &mut Call<'_, '_>, rewrite: fn(&[u8], &Config) -> Vec<u8>) -> Next {
    let Some(path) = &call.node.config_file else {
        return call.error("ERR The server is running without a config file");
    };
    let disk = call.node.durability.disk();
    let written = read_whole(&**disk, path).and_then(|old| {
        let mut config = (*call.node.config()).clone();
        config.set_users(call.node.acl.config_lines(&config));
        let new = rewrite(&old, &config);
        disk.write_whole(path, &mut |out| out.write_all(&new)).map_err(|error| error.to_string())
    });
    match written {
        Ok(_) => {
            tracing::info!(path = %path.display(), "configuration rewritten");
            call.ok()
        }
        Err(error) => call.error(format!("ERR Rewriting config file: {error}")),
    }
}

/// The text of the configuration file; empty when there is no file any more.
fn read_whole(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, String> {
    let file = match disk.open_read(path) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while text.len() <= FILE_MAX_BYTES {
        let count = file.read_at(text.len() as u64, &mut chunk).map_err(|error| error.to_string())?;
        match chunk.get(..count) {
            None | Some([]) => return Ok(text),
            Some(bytes) => text.extend_from_slice(bytes),
        }
    }
    Err("the file is too long".into())
}

fn reset_stat(call: &mut Call<'_, '_>) -> Next {
    let node = call.node;
    node.stats.reset();
    node.command_stats.reset();
    node.memory.reset_peak();
    crate::keyspace::freeing::reset_freed();
    call.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(node: &Node, name: &str, value: &str) -> Result<(), ConfigError> {
        change(node, Caller::Local, false, &[(name.as_bytes(), value.as_bytes())])
    }

    #[test]
    fn changes_take_effect_or_are_refused() {
        let node = Node::new(Config::default());
        set(&node, "maxmemory", "1").unwrap();
        assert!(node.gate.has(bits::MEMORY));
        set(&node, "maxmemory", "0").unwrap();
        assert!(!node.gate.has(bits::MEMORY));
        set(&node, "requirepass", "x").unwrap();
        assert!(node.gate.has(bits::PASSWORD));
        set(&node, "min-replicas-to-write", "1").unwrap();
        assert!(node.gate.has(bits::FEW_REPLICAS));
        set(&node, "min-replicas-to-write", "0").unwrap();
        assert!(!node.gate.has(bits::FEW_REPLICAS));
        set(&node, "port", "6379").unwrap();
        let refused = set(&node, "port", "7000").unwrap_err().to_reply();
        assert!(refused.starts_with("ERR CONFIG SET failed (possibly related to argument 'port')"));
        assert_eq!(node.config().port, 6379);
        let both: [(&[u8], &[u8]); 2] = [(b"timeout", b"7"), (b"port", b"7000")];
        assert!(change(&node, Caller::Local, false, &both).is_err());
        assert_eq!(node.config().timeout_seconds, 0);
    }
}
