//! Takes a snapshot in while it arrives, beside the data that is being served; only when it is whole and
//! sound does it take the data's place.

use crate::format::wire::{Unpacker, WireError};
use crate::keyspace::SHARD_COUNT;
use crate::keyspace::freeing::free_later;
use crate::persistence::Point;
use crate::persistence::load::{Inserting, LoadError, Staged, Staging};
use crate::replication::Place;
use crate::replication::log::History;
use crate::server::Node;
use crate::sys::Disk;
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pieces of a snapshot that may wait between the socket and the decoder.
const PIECES_WAITING: usize = 64;

/// A new file that takes a snapshot's bytes as they arrive.
pub struct BaseFile {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Its path.
    pub path: PathBuf,
}

/// A decoder on a thread of its own, fed through a channel.
pub struct Intake {
    pieces: Option<mpsc::Sender<Bytes>>,
    result: oneshot::Receiver<Result<Staged, String>>,
}

impl Intake {
    /// Starts the decoder. With `base` the bytes also go to that new file, which can become the base of a
    /// log; as they are once they are unpacked, if they come packed.
    pub fn start(
        databases: u32,
        how: Inserting,
        base: Option<BaseFile>,
        is_packed: bool,
    ) -> std::io::Result<Intake> {
        let (pieces, receiver) = mpsc::channel(PIECES_WAITING);
        let (sender, result) = oneshot::channel();
        std::thread::Builder::new().name("sync-load".into()).spawn(move || {
            let tee = base.as_ref().map(|base| (base.disk.clone(), base.path.as_path()));
            let staging = Staging::new(databases, how, tee);
            // Nobody listens any more when the link was cut: the staged data is dropped.
            let unpacker = is_packed.then(Unpacker::default);
            let _ = sender.send(decode(receiver, staging, unpacker).map_err(|error| error.to_string()));
        })?;
        Ok(Intake { pieces: Some(pieces), result })
    }

    /// Hands in the next bytes; waits while the decoder is behind. False when the decoder has given up
    /// (then [`Intake::finish`] says why).
    pub async fn feed(&mut self, bytes: Bytes) -> bool {
        match &self.pieces {
            Some(pieces) => pieces.send(bytes).await.is_ok(),
            None => false,
        }
    }

    /// Says that everything has arrived, and waits for the verdict.
    pub async fn finish(mut self) -> Result<Staged, String> {
        self.pieces = None;
        self.result.await.unwrap_or_else(|_| Err("the decoder ended without a word".into()))
    }
}

/// Why a snapshot could not be taken in.
#[derive(Debug, thiserror::Error)]
enum Unsound {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

fn decode(
    mut pieces: mpsc::Receiver<Bytes>,
    mut staging: Staging,
    mut unpacker: Option<Unpacker>,
) -> Result<Staged, Unsound> {
    while let Some(bytes) = pieces.blocking_recv() {
        match &mut unpacker {
            None => staging.feed(&bytes)?,
            Some(unpacker) => unpacker.feed(&bytes, |raw| staging.feed(raw).map_err(Unsound::from))?,
        }
    }
    if let Some(unpacker) = unpacker {
        unpacker.finish()?;
    }
    Ok(staging.finish()?)
}

/// Puts a staged snapshot in place of the node's data, and the log at `place`, in one step that nobody sees
/// half done. `history` tells the past of that lineage, where one is known. Gives back the place with its
/// database and the base file, if there is one; or nothing, when `order` is no longer in force: then nothing
/// has changed.
pub fn install(
    node: &Node,
    staged: Staged,
    place: Place,
    history: History,
    order: u64,
) -> Option<(Point, Option<PathBuf>)> {
    let db = staged.facts.point.map_or(0, |point| point.db);
    let mut locked = node.keyspace.lock_all();
    if node.role.order() != order {
        if let Some(Ok(path)) = &staged.base {
            let _ = node.durability.disk().remove_file(path);
        }
        return None;
    }
    let mut old = Vec::new();
    for index in 0..SHARD_COUNT {
        let mut fresh = staged.keyspace.lock_shard(index);
        let shard = locked.shard_mut(crate::keyspace::db::shard_start(index));
        for db in 0..node.keyspace.databases() {
            shard.touched_all(db, |_, _| true);
            old.push(shard.put_db(db, fresh.take_db(db)));
        }
    }
    locked.everything_changed();
    node.log.restart(history, place.offset, Some(db));
    node.acks.begin_term(place.offset, false, None);
    node.role.set_has_history(true);
    drop(locked);
    free_later(old);
    let base = match staged.base {
        Some(Ok(path)) => Some(path),
        Some(Err(error)) => {
            tracing::error!(%error, "the snapshot could not be kept as a file");
            None
        }
        None => None,
    };
    Some((Point { lineage: place.lineage, offset: place.offset, db }, base))
}
