//! What a node does with the files it finds when it starts.

use super::duty::may_keep_duty;
use super::{Durability, names_of, role_of, snapshot_path};
use crate::base::random::Rng;
use crate::persistence::Point;
use crate::persistence::recovery::{LoadFrom, LoadedFrom, RecoverOptions, Recovered, recover};
use crate::persistence::rewrite;
use crate::persistence::toolbox::unfinished;
use crate::replication::log::History;
use crate::replication::{Epoch, Lineage};
use crate::server::Node;
use std::path::Path;
use std::sync::Arc;

impl Durability {
    /// Loads what is on disk into the node's empty keyspace, sets its log, and starts the writer where the
    /// role asks for one. The error is what to print before giving up.
    pub fn boot(&self, node: &Arc<Node>) -> Result<(), String> {
        let config = node.config();
        let role = role_of(node);
        let appends = config.effective_appendonly(role);
        let writes = appends || !config.effective_save(role).is_empty();
        if !writes && !config.recover_from_peers.is_empty() {
            // A primary that takes its history from its peers loads nothing by itself, but what it has counts, too.
            return self.find_own_files(node);
        }
        let names = names_of(&config)?;
        let marked = self.read_mark(&config)?;
        let keeps_duty = may_keep_duty(&config, role);
        if let Some(heirs) = marked.filter(|_| keeps_duty) {
            // What is in the folder is of the past: the history is where the duty of writing went.
            tracing::warn!(
                ?heirs,
                "the files here end where this node handed its duty over: they are not loaded"
            );
            *self.heirs.lock() = heirs;
            return Ok(());
        }
        let has_folder = self.disk.file_len(&names.manifest()).map_err(|error| error.to_string())?.is_some();
        if writes || keeps_duty && has_folder {
            self.lock_folder(&config)?;
        }
        let options = RecoverOptions {
            from: if appends || config.role_decides() { LoadFrom::Either } else { LoadFrom::Snapshot },
            may_cut: config.aof_load_truncated,
            settings: (*node.settings()).clone(),
            now_ms: node.now_ms(),
        };
        let started = std::time::Instant::now();
        let path = snapshot_path(&config);
        let mut told = self.loading.begin(node.now_ms());
        let recovered = recover(&*self.disk, &names, &path, &node.keyspace, &options, &mut |done, all| {
            told.tell(done, all)
        })
        .map_err(|error| error.to_string())?;
        report(&recovered, started.elapsed());
        if recovered.source == LoadedFrom::Nothing {
            self.refuse_unfinished(&config.dir)?;
        }
        let begins = config.recover_from_peers.is_empty() || config.start_new_history;
        // A primary that starts with nothing begins a history here; a replica is given one.
        let begins = begins && !node.is_replica();
        let in_folder = matches!(recovered.source, LoadedFrom::Folder(_)) && recovered.point.is_some();
        let keeps_duty = keeps_duty && in_folder;
        let writes = appends || keeps_duty;
        let point = self.take_place(node, &recovered).filter(|_| writes);
        if let Some(point) = point.or_else(|| (begins && writes).then(|| super::keeper::point_of(node))) {
            self.go_on(node, &recovered, point)?;
            if keeps_duty {
                self.keep_duty(point.offset);
            }
        }
        self.status.lock().last_save_s = node.now_ms() / 1000;
        Ok(())
    }

    /// Whoever began a restore into this folder means to start from what it brings back, and not from nothing.
    fn refuse_unfinished(&self, dir: &Path) -> Result<(), String> {
        match unfinished(&*self.disk, dir).map_err(|error| error.to_string())? {
            Some(left) => Err(format!(
                "a restore into this folder is at work, or was ended before it was done, and there is no other data here: call \
                 `restore` again, or, to start with nothing, remove {}",
                left.display()
            )),
            None => Ok(()),
        }
    }

    /// Sets the node's log to where the load ended; `None` if nothing says where that is and this node is
    /// a replica, which then knows nothing that a primary could go on from.
    fn take_place(&self, node: &Arc<Node>, recovered: &Recovered) -> Option<Point> {
        let fresh = || Lineage::random(&mut Rng::from_os());
        let found = recovered.source != LoadedFrom::Nothing;
        if node.is_replica() {
            let point = recovered.point?;
            node.log.restart(loaded_history(recovered, &point), point.offset, Some(point.db));
            node.role.set_has_history(true);
            return Some(point);
        }
        if !found {
            return None;
        }
        // What this process writes next must not be taken for what an earlier one wrote after its last
        // fsync: the history goes on under a new lineage that names the old one as its past.
        let lineage = fresh();
        let (previous, offset) = match recovered.point {
            Some(point) => (point.lineage, point.offset),
            None => (Lineage::NONE, 0),
        };
        let previous_end = if previous.is_some() { offset as i64 } else { -1 };
        // The epoch stays: whoever was promoted since this node's end has a higher one.
        let epoch = if recovered.epoch.is_known() { recovered.epoch } else { Epoch::FIRST };
        node.log.restart(History { lineage, previous, previous_end, epoch }, offset, None);
        node.role.set_has_history(true);
        Some(Point { lineage, offset, db: 0 })
    }

    /// Goes on writing where a load ended: the node's log stands at `point`.
    pub(super) fn go_on(&self, node: &Arc<Node>, recovered: &Recovered, point: Point) -> Result<(), String> {
        let config = node.config();
        let keep = config.keep_generations as usize;
        let time_ms = node.now_ms().max(0) as u64;
        let (mut generation, mut incr) = recovered
            .go_on(self.disk.clone(), names_of(&config)?, keep, &point, time_ms)
            .map_err(|error| error.to_string())?;
        if incr.is_none() && !node.is_replica() {
            // What a primary is told to append must have a generation to be appended to before the first client comes.
            // (A replica acknowledges nothing until it has one, and its primary has all that it would lose.)
            let options = super::keeper::snapshot_options(node, true);
            let begun = rewrite::begin(&node.keyspace, &mut generation, &point, node.clock(), &options);
            incr = Some(begun.map_err(|error| error.to_string())?);
        }
        let goes_on = incr.is_some();
        self.start_writer(node, generation, incr.map(|incr| (incr, point.offset)))?;
        if goes_on {
            let durable = self.written_durable().max(point.offset);
            self.stand_behind(node, self.publisher.history(), durable);
        }
        self.appended.follow(node);
        Ok(())
    }
}

/// The names of the history that was loaded up to `point`, as far as the files tell them.
pub(super) fn loaded_history(recovered: &Recovered, point: &Point) -> History {
    let mut history = History::without_past(point.lineage, recovered.epoch);
    if let Some(previous) = recovered.previous {
        (history.previous, history.previous_end) = (previous.lineage, previous.offset as i64);
    }
    history
}

pub(super) fn report(recovered: &Recovered, took: std::time::Duration) {
    let (from, bytes) = (&recovered.source, recovered.bytes);
    let ms = took.as_millis() as u64;
    match from {
        LoadedFrom::Nothing => tracing::info!("no data on disk"),
        LoadedFrom::Snapshot(path) | LoadedFrom::Folder(path) | LoadedFrom::SingleFile(path) => {
            let (keys, commands) = (recovered.snapshot_keys, recovered.commands);
            tracing::info!(from = %path.display(), bytes, keys, commands, ms, "data loaded");
        }
    }
    if let Some(cut) = &recovered.cut {
        tracing::warn!(
            file = %cut.file.display(),
            at = cut.at,
            bytes = cut.bytes,
            whole_commands_bytes = cut.whole_commands_bytes,
            why = %cut.why,
            "a torn end was cut"
        );
    }
    if !recovered.functions.is_empty() {
        tracing::warn!(
            libraries = recovered.functions.len(),
            "function libraries are not run by this server"
        );
    }
}
