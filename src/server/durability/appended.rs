//! Replies that wait until the node's own append-only file has what they tell of.
//!
//! A primary whose role decides writes nothing, and no reply of it waits for a disk. One that was told to append by hand
//! (`appendonly yes`) keeps the promises of a stock server that does: a reply goes out when the file has been handed what it
//! tells of, so that the end of the process loses nothing that was acknowledged; and with `appendfsync always` when
//! that is fsynced, so that the end of the machine loses nothing either, and nobody, whoever reads, sees what could vanish.
//!
//! All replies of a batch wait together, for one position. The writer is prompt meanwhile: it writes as soon as it can,
//! and what arrived during one write shares the next.

use super::role_of;
use crate::persistence::writer::{AofWriter, Phase};
use crate::server::config::{AppendFsync, Role};
use crate::server::gate::bits;
use crate::server::{Node, Session};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The file has it.
    Reached,
    /// The node does not append by order any more, or `appendfsync` asks for less: the replies need not wait.
    NotAsked,
    /// The disk failed under `appendfsync always`: what the replies tell of may vanish, so they must not be given.
    Lost,
}

/// Who waits.
#[derive(Default)]
pub struct Appended {
    writer: OnceLock<Arc<AofWriter>>,
    moved: Notify,
}

impl Appended {
    /// There is a writer now, which stays.
    pub(super) fn take_writer(&self, writer: &Arc<AofWriter>) {
        let _ = self.writer.set(writer.clone());
    }

    /// The file has got more.
    pub(super) fn moved(&self) {
        self.moved.notify_waiters();
    }

    /// The disk failed. Called by the writer's own thread, which must not wait for anybody.
    pub(super) fn broke(&self, node: &Node) {
        node.gate.set(bits::FILE_BROKEN, asked(node));
        node.gate.set(bits::APPENDED, false);
        self.moved();
    }

    /// Takes over what role, configuration and writer say.
    pub(super) fn follow(&self, node: &Node) {
        let asked = asked(node);
        let durability = &node.durability;
        node.gate.set(bits::FILE_BROKEN, asked && durability.is_broken());
        let on = asked && durability.phase() == Phase::Writing;
        if on != node.gate.has(bits::APPENDED) {
            if let Some(writer) = self.writer.get() {
                writer.set_prompt(on);
            }
            node.gate.set(bits::APPENDED, on);
            self.moved();
        }
    }

    /// Up to where the node's file must have the log before the replies of the batch may go; `None`: it has, or nobody asks.
    pub fn need(&self, node: &Node, session: &Session) -> Option<u64> {
        if !node.gate.has(bits::APPENDED) {
            // It may have failed since the batch was run. What is only read is given: it is what there is.
            let failed = node.gate.has(bits::FILE_BROKEN) && node.config().appendfsync == AppendFsync::Always;
            return (failed && self.reached(node) < session.last_write).then_some(session.last_write);
        }
        let position = match node.config().appendfsync {
            // Readers wait, too: for all that was written before they read.
            AppendFsync::Always => node.log.end(),
            AppendFsync::EverySec | AppendFsync::No => session.last_write,
        };
        (self.reached(node) < position).then_some(position)
    }

    /// Waits until the file has the log up to `position`.
    pub async fn wait(&self, node: &Node, position: u64) -> Ended {
        loop {
            let moved = self.moved.notified();
            if self.reached(node) >= position {
                return Ended::Reached;
            }
            if !node.gate.has(bits::APPENDED) {
                let is_strict = node.config().appendfsync == AppendFsync::Always;
                let lost = is_strict && node.durability.is_broken();
                return if lost { Ended::Lost } else { Ended::NotAsked };
            }
            moved.await;
        }
    }

    /// Up to where the file has the log, in the sense of `appendfsync`.
    fn reached(&self, node: &Node) -> u64 {
        match node.config().appendfsync {
            AppendFsync::Always => node.durable_offset().unwrap_or(0),
            AppendFsync::EverySec | AppendFsync::No => {
                self.writer.get().map_or(0, |writer| writer.written_offset())
            }
        }
    }
}

/// Was this node told to append although it is a primary?
fn asked(node: &Node) -> bool {
    role_of(node) == Role::Primary && node.config().effective_appendonly(Role::Primary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::clients::ClientInfo;
    use crate::server::config::Config;
    use crate::server::endpoint::Endpoint;

    fn session(node: &Node) -> Session {
        let nowhere = || Endpoint::Tcp(([127, 0, 0, 1], 1).into());
        let info = ClientInfo::new(1, nowhere(), nowhere(), 0, 0, Box::new(|| ()));
        Session::new(Arc::new(info), node.settings(), true)
    }

    fn node(appendfsync: AppendFsync) -> Node {
        let mut config = Config::default();
        (config.appendonly, config.appendfsync) = (Some(true), appendfsync);
        let node = Node::new(config);
        node.gate.set(bits::APPENDED, true);
        node.log.append_effects(1, [(0, &b"*1\r\n$4\r\nPING\r\n"[..])].into_iter());
        node
    }

    #[test]
    fn who_reads_waits_only_where_every_batch_is_fsynced() {
        let appended = Appended::default();
        let (strict, lax) = (node(AppendFsync::Always), node(AppendFsync::EverySec));
        let (end, mut writer) = (strict.log.end(), session(&strict));
        assert_eq!(appended.need(&strict, &session(&strict)), Some(end));
        assert_eq!(appended.need(&lax, &session(&lax)), None);
        writer.last_write = end;
        assert_eq!(appended.need(&lax, &writer), Some(end));
        strict.set_durable_offset(Some(end));
        assert_eq!(appended.need(&strict, &writer), None);
    }

    #[test]
    fn a_write_whose_fsync_failed_before_the_look_is_not_answered() {
        let (appended, node) = (Appended::default(), node(AppendFsync::Always));
        let mut writer = session(&node);
        writer.last_write = node.log.end();
        node.durability.broken.store(true, std::sync::atomic::Ordering::Release);
        appended.broke(&node);
        assert_eq!(appended.need(&node, &session(&node)), None, "who only reads is served");
        let position = appended.need(&node, &writer).expect("a wait");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(appended.wait(&node, position)), Ended::Lost);
    }
}
