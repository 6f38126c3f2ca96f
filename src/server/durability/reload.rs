//! DEBUG RELOAD and DEBUG LOADAOF: the data set written out and read back, in one step for everybody else.

use super::keeper::snapshot_options;
use super::{Durability, names_of, snapshot_path};
use crate::base::random::Rng;
use crate::keyspace::freeing::free_later;
use crate::keyspace::{Keyspace, Locked};
use crate::persistence::load::{Inserting, load_rdb};
use crate::persistence::recovery::{LoadFrom, RecoverOptions, recover};
use crate::persistence::snapshot::encode;
use crate::replication::Lineage;
use crate::replication::log::History;
use crate::server::Node;

/// Puts the keys of `fresh` in place of those that are served, under locks that are held.
pub(super) fn swap(node: &Node, locked: &mut Locked<'_>, fresh: &Keyspace) {
    let mut old = Vec::new();
    for (index, shard) in locked.iter_mut() {
        for db in 0..node.keyspace.databases() {
            old.push(shard.put_db(db, fresh.lock_shard(index).take_db(db)));
        }
    }
    locked.everything_changed();
    free_later(old);
}

impl Durability {
    /// Encodes everything as a snapshot and reads it back in place of what was there. `locked` must be all
    /// shards. With `save` the snapshot also goes to `dump.rdb`.
    pub fn reload(&self, node: &Node, locked: &mut Locked<'_>, save: bool) -> Result<(), String> {
        let point = super::keeper::point_of(node);
        let options = snapshot_options(node, false);
        let bytes = encode(locked, node.keyspace.databases(), Some(point), node.clock(), &options);
        if save {
            let path = snapshot_path(&node.config());
            let write = &mut |out: &mut dyn std::io::Write| out.write_all(&bytes);
            self.disk.write_whole(&path, write).map_err(|error| error.to_string())?;
        }
        let fresh = Keyspace::new(node.keyspace.databases());
        let how = Inserting::new(&node.settings(), node.now_ms());
        load_rdb(&bytes, &fresh, &how, |_| ()).map_err(|error| error.to_string())?;
        swap(node, locked, &fresh);
        Ok(())
    }

    /// Fsyncs the append-only file, if it is being written, and loads the data set from it. `locked` must be all shards.
    pub fn load_aof(&self, node: &Node, locked: &mut Locked<'_>) -> Result<(), String> {
        // The files of a node that appends tell its history. Others tell one that is over, so that what is served becomes a
        // history of its own, which nobody may follow as the old one.
        let is_own = self.flush()?.is_some();
        if !is_own && (node.is_replica() || !node.replicas.is_empty()) {
            let why = "the append-only file is not being written: it tells another history than the replicas follow";
            return Err(why.into());
        }
        let config = node.config();
        self.lock_folder(&config)?;
        let names = names_of(&config)?;
        let fresh = Keyspace::new(node.keyspace.databases());
        let options = RecoverOptions {
            from: LoadFrom::AppendOnly,
            may_cut: false,
            settings: (*node.settings()).clone(),
            now_ms: node.now_ms(),
        };
        let path = snapshot_path(&config);
        recover(&*self.disk, &names, &path, &fresh, &options, &mut |_, _| ())
            .map_err(|error| error.to_string())?;
        swap(node, locked, &fresh);
        if !is_own {
            let history =
                History::without_past(Lineage::random(&mut Rng::from_os()), node.log.history().epoch);
            node.log.restart(history, node.log.end(), None);
        }
        Ok(())
    }
}
