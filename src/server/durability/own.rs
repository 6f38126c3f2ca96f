//! A primary that is to take its history from its peers and finds append-only files of its own.
//!
//! They may hold more than any peer has: those of a node that was promoted and died before a replica had fsynced what it had,
//! or of a replica that is started as a primary. So they are one of the histories to choose from. The start only looks where
//! they end; they are loaded once they are chosen. If another history is, a mark says that they are of the past
//! ([`super::duty`]), and no later start looks at them.

use super::boot::{loaded_history, report};
use super::reload::swap;
use super::{Durability, names_of, snapshot_path};
use crate::keyspace::Keyspace;
use crate::persistence::recovery::{LoadFrom, RecoverOptions, end_of_folder, recover};
use crate::replication::{Lineage, Offer, Place};
use crate::server::Node;
use crate::server::replication::recovery::Taking;
use crate::server::replication::takeover::take_recovered;
use std::sync::Arc;

impl Durability {
    /// Looks for files of this node's own, and where their history ends. The error is what to print before giving up: the files
    /// are damaged, and what they alone may hold must not be passed over.
    pub(super) fn find_own_files(&self, node: &Node) -> Result<(), String> {
        let config = node.config();
        let names = names_of(&config)?;
        let has_folder = self.disk.file_len(&names.manifest()).map_err(|error| error.to_string())?.is_some();
        if !has_folder || !config.role_decides() || self.read_mark(&config)?.is_some() {
            return Ok(());
        }
        if let Err(error) = self.lock_folder(&config) {
            tracing::warn!(%error, "the append-only files here are another server's, and are not looked at");
            return Ok(());
        }
        if config.start_new_history {
            return self.write_mark(node, &config.recover_from_peers);
        }
        let end = end_of_folder(&*self.disk, &names, config.aof_load_truncated)
            .map_err(|error| format!("{error}. Moved away, they are not looked at"))?;
        let Some((end, epoch)) = end else { return Ok(()) };
        let place = Place { lineage: end.lineage, offset: end.offset };
        tracing::info!(
            lineage = %place.lineage,
            offset = place.offset,
            epoch = epoch.number,
            "this node's own files are one of the histories to choose from"
        );
        *self.own.lock() = Some(Offer { place, previous: Lineage::NONE, previous_end: -1, epoch });
        Ok(())
    }

    /// What this node's own files hold, while it has not been decided which history it takes.
    pub fn own_files(&self) -> Option<Offer> {
        *self.own.lock()
    }

    /// Another history than that of the node's own files is taken: from now on they are of the past.
    ///
    /// # Errors
    /// The mark could not be written.
    pub fn leave_own_files(&self, node: &Node) -> Result<(), String> {
        if self.own_files().is_none() {
            return Ok(());
        }
        self.write_mark(node, &node.config().recover_from_peers)?;
        *self.own.lock() = None;
        Ok(())
    }

    /// Loads the node's own files, takes their history over in a higher epoch, and goes on writing them: this node has the
    /// duty.
    ///
    /// # Errors
    /// Why not; then the node is as it was, but perhaps for its log. Also when `order` is no longer in force.
    pub fn take_own_files(&self, node: &Arc<Node>, taking: &Taking, order: u64) -> Result<(), String> {
        let taken = &taking.taken;
        let config = node.config();
        let options = RecoverOptions {
            from: LoadFrom::AppendOnly,
            may_cut: config.aof_load_truncated,
            settings: (*node.settings()).clone(),
            now_ms: node.now_ms(),
        };
        let started = std::time::Instant::now();
        let fresh = Keyspace::new(node.keyspace.databases());
        let (names, path) = (names_of(&config)?, snapshot_path(&config));
        let recovered = recover(&*self.disk, &names, &path, &fresh, &options, &mut |_, _| ())
            .map_err(|error| error.to_string())?;
        let place = recovered.point.map(|point| Place { lineage: point.lineage, offset: point.offset });
        let point = recovered.point.filter(|_| place == Some(taken.place));
        let point = point.ok_or("the files have changed since this node looked at them")?;
        report(&recovered, started.elapsed());
        let mut all = node.keyspace.lock_all();
        if node.role.order() != order {
            return Err("another role was ordered meanwhile".into());
        }
        swap(node, &mut all, &fresh);
        node.log.restart(loaded_history(&recovered, &point), point.offset, None);
        node.acks.begin_term(point.offset, false, None);
        self.go_on(node, &recovered, point)?;
        self.keep_duty(point.offset);
        take_recovered(node, taken);
        node.role.set_has_history(true);
        *self.own.lock() = None;
        node.gate.change_fences(|fences| fences.no_history = None);
        Ok(())
    }
}
