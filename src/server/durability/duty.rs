//! The duty of writing, where the role decides who has it. A replica has it. When it is promoted it keeps it until a replica of
//! its own has fsynced what it had at its promotion, and what it has fsynced itself since; only then does it stop, so that there
//! is never a moment at which no disk is behind the history.
//!
//! From then on its files are of the past. A mark in the data folder says so, and who has the duty: a start as a primary does not
//! take them for the history, but asks those.

use super::{Durability, role_of};
use crate::persistence::writer::{Pending, Phase};
use crate::server::Node;
use crate::server::config::{Address, Config, Role};
use crate::server::replication::{Replica, ReplicaStage};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The mark's file name.
const MARK_NAME: &str = "outrigger.handed-over";
/// A mark is some lines; nothing longer is one.
const MARK_MAX_BYTES: usize = 64 * 1024;
/// What a line that names a replica begins with.
const TO: &str = "to ";

fn mark_path(config: &Config) -> PathBuf {
    config.dir.join(MARK_NAME)
}

impl Durability {
    /// The offset past which a replica must have fsynced before this node hands its duty over; `None` if it has none to hand over.
    pub fn duty(&self) -> Option<u64> {
        *self.duty.lock()
    }

    /// What this node does about its disk, in a word.
    pub fn writes_word(&self, node: &Node) -> &'static str {
        match (self.phase(), node.config().effective_save(role_of(node)).is_empty()) {
            (Phase::Writing, _) => "append-only file",
            (Phase::Building, _) => "a first generation, which is not whole yet",
            (Phase::Broken, _) => "nothing, as the disk failed",
            (Phase::Off, false) => "snapshots",
            (Phase::Off, true) => "nothing",
        }
    }

    /// Takes note of a change of role. All shards are locked.
    pub fn role_changed(&self, node: &Node, was_replica: bool, now_replica: bool) {
        if now_replica {
            *self.duty.lock() = None;
        } else if was_replica && node.config().role_decides() && self.phase() != Phase::Off {
            *self.duty.lock() = Some(node.log.end());
        }
    }

    /// A primary goes on with files that it found: whoever had the duty when it ended has it still.
    pub(super) fn keep_duty(&self, offset: u64) {
        *self.duty.lock() = Some(offset);
    }

    /// Stops writing if a replica has what this node has on its disk. Called by the keeper.
    pub(super) fn hand_over_if_due(&self, node: &Arc<Node>) {
        let Some(since) = self.duty() else { return };
        if node.is_replica() || !node.config().role_decides() {
            return;
        }
        let Some(own) = node.durable_offset().filter(|_| self.phase() == Phase::Writing) else { return };
        let term = node.acks.term();
        let fsynced = |replica: &Arc<Replica>| {
            let online = replica.stage() == ReplicaStage::Online && replica.term() == term;
            if online && replica.tells_durable() { replica.durable() } else { 0 }
        };
        let heirs: Vec<Arc<Replica>> =
            node.replicas.list().into_iter().filter(|replica| fsynced(replica) >= since).collect();
        let up_to_date: Vec<_> = heirs.iter().filter(|replica| fsynced(replica) >= own).collect();
        if up_to_date.is_empty() {
            if !heirs.is_empty() {
                // They fsync once a second at their own pace, and so does this node, never at one moment.
                node.acks.ask(node);
            }
            return;
        }
        let address = |replica: &&Arc<Replica>| Address { host: replica.ip.clone(), port: replica.port };
        let heirs: Vec<Address> = up_to_date.iter().map(address).collect();
        self.hand_over(node, &heirs);
    }

    fn hand_over(&self, node: &Arc<Node>, heirs: &[Address]) {
        if let Err(error) = self.write_mark(node, heirs) {
            return tracing::error!(%error, "the duty of writing cannot be handed over: the mark was not written");
        }
        // What the log has by now is fsynced before the files are closed.
        let closed = self.inner.lock().writer.as_ref().map(|writer| writer.detach());
        match closed.map(Pending::wait) {
            Some(Ok(offset)) => {
                tracing::info!(
                    offset,
                    "a replica has fsynced what this node has: it writes, and this node no longer does"
                );
            }
            Some(Err(error)) => tracing::error!(%error, "the append-only file was not closed cleanly"),
            None => {}
        }
        node.set_durable_offset(None);
        *self.duty.lock() = None;
    }

    pub(super) fn write_mark(&self, node: &Node, heirs: &[Address]) -> Result<(), String> {
        let history = node.log.history();
        let mut text = format!("history {}\n", history.lineage);
        heirs.iter().for_each(|heir| text.push_str(&format!("{TO}{heir}\n")));
        let path = mark_path(&node.config());
        let write = &mut |out: &mut dyn Write| out.write_all(text.as_bytes());
        self.disk.write_whole(&path, write).map_err(|error| error.to_string())?;
        self.marked.store(true, Ordering::Release);
        Ok(())
    }

    /// This node writes again: its files are those of the history. False if the mark that says otherwise cannot be removed.
    pub(super) fn remove_mark(&self, node: &Node) -> bool {
        if !self.marked.load(Ordering::Acquire) {
            return true;
        }
        let config = node.config();
        let removed =
            self.disk.remove_file(&mark_path(&config)).and_then(|()| self.disk.sync_dir(&config.dir));
        match removed {
            Ok(()) => self.marked.store(false, Ordering::Release),
            Err(error) => tracing::warn!(%error, "the mark of a duty that was handed over cannot be removed"),
        }
        !self.marked.load(Ordering::Acquire)
    }

    /// Its files are of the past: it has handed its duty over, and has not written since.
    pub fn has_handed_over(&self) -> bool {
        self.marked.load(Ordering::Acquire)
    }

    /// Reads the mark, if there is one: who has the duty.
    pub(super) fn read_mark(&self, config: &Config) -> Result<Option<Vec<Address>>, String> {
        let reader = match self.disk.open_read(&mark_path(config)) {
            Ok(reader) => reader,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut bytes = vec![0; MARK_MAX_BYTES];
        let read = reader.read_at(0, &mut bytes).map_err(|error| error.to_string())?;
        bytes.truncate(read);
        self.marked.store(true, Ordering::Release);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(text.lines().filter_map(|line| parse_address(line.strip_prefix(TO)?)).collect()))
    }

    /// Whom a primary without history asks for one: those it was told to, or those that it handed its duty over to.
    pub fn recovery_peers(&self, node: &Node) -> Vec<Address> {
        let config = node.config();
        match config.recover_from_peers.is_empty() {
            true => self.heirs.lock().clone(),
            false => config.recover_from_peers.clone(),
        }
    }
}

fn parse_address(text: &str) -> Option<Address> {
    let (host, port) = text.trim().rsplit_once(':')?;
    Some(Address { host: host.trim_matches(['[', ']']).to_owned(), port: port.parse().ok()? })
}

/// Does a primary of this configuration go on writing to append-only files that it finds?
pub(super) fn may_keep_duty(config: &Config, role: Role) -> bool {
    role == Role::Primary && config.role_decides() && config.recover_from_peers.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_heirs_read_back() {
        for (host, port) in [("10.0.0.7", 6379), ("::1", 1), ("replica.example", 65535)] {
            let address = Address { host: host.into(), port };
            assert_eq!(parse_address(&address.to_string()), Some(address));
        }
        assert_eq!(parse_address("nonsense"), None);
        assert_eq!(parse_address("host:99999"), None);
    }
}
