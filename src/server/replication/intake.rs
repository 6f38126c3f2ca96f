//! Takes a snapshot in while it arrives, beside the data that is being served; only when it is whole and
//! sound does it take the data's place.

use crate::format::rdb::{FeedReader, ReadOptions, Record};
use crate::keyspace::freeing::free_later;
use crate::keyspace::{Entry, Keyspace, SHARD_COUNT};
use crate::replication::Place;
use crate::replication::log::History;
use crate::server::Node;
use crate::value::Limits;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Pieces of a snapshot that may wait between the socket and the decoder.
const PIECES_WAITING: usize = 64;

/// Who else gets the bytes of a snapshot as they come (a file that will be the base of a log).
pub trait SnapshotTee: Send {
    /// Takes a piece.
    fn write(&mut self, bytes: &[u8]) -> Result<(), String>;
}

/// A snapshot that has been read whole.
pub struct Staged {
    keyspace: Keyspace,
    /// Keys in it.
    pub keys: u64,
    /// The database selected after it, if it told.
    pub stream_db: Option<u32>,
    /// Where the bytes also went.
    pub tee: Option<Box<dyn SnapshotTee>>,
}

/// A decoder on a thread of its own, fed through a channel.
pub struct Intake {
    pieces: Option<mpsc::Sender<Bytes>>,
    result: oneshot::Receiver<Result<Staged, String>>,
}

impl Intake {
    /// Starts the decoder.
    pub fn start(databases: u32, limits: Limits, tee: Option<Box<dyn SnapshotTee>>) -> std::io::Result<Intake> {
        let (pieces, receiver) = mpsc::channel(PIECES_WAITING);
        let (sender, result) = oneshot::channel();
        std::thread::Builder::new().name("sync-load".into()).spawn(move || {
            // Nobody listens any more when the link was cut: the staged data is dropped.
            let _ = sender.send(decode(receiver, databases, limits, tee));
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

fn decode(
    mut pieces: mpsc::Receiver<Bytes>,
    databases: u32,
    limits: Limits,
    mut tee: Option<Box<dyn SnapshotTee>>,
) -> Result<Staged, String> {
    let mut reader = FeedReader::new(ReadOptions { limits, ..ReadOptions::default() });
    let mut staged = Staged { keyspace: Keyspace::new(databases), keys: 0, stream_db: None, tee: None };
    let mut ended = false;
    while let Some(bytes) = pieces.blocking_recv() {
        if let Some(tee) = &mut tee {
            tee.write(&bytes)?;
        }
        reader.feed(&bytes);
        ended |= take_records(&mut reader, false, &mut staged)?;
    }
    ended |= take_records(&mut reader, true, &mut staged)?;
    if !ended {
        return Err("the snapshot ends before its end mark".into());
    }
    if !reader.rest().is_empty() {
        return Err(format!("{} bytes follow the snapshot's end", reader.rest().len()));
    }
    staged.tee = tee;
    Ok(staged)
}

/// Stages the records that are whole; true at the snapshot's end.
fn take_records(reader: &mut FeedReader, all_arrived: bool, staged: &mut Staged) -> Result<bool, String> {
    while let Some(record) = reader.next_record(all_arrived).map_err(|error| error.to_string())? {
        match record {
            Record::Aux { key: b"repl-stream-db", value } => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                staged.stream_db = text.parse().ok();
            }
            Record::Entry(entry) => {
                if entry.db >= staged.keyspace.databases() {
                    return Err(format!("the snapshot has a database {} (see 'databases')", entry.db));
                }
                let (shard, hash) = crate::keyspace::db::locate(entry.key);
                let mut shard = staged.keyspace.lock_shard(shard);
                let db = shard.db_mut(entry.db);
                if db.get(hash, entry.key).is_some() {
                    let key = String::from_utf8_lossy(entry.key).into_owned();
                    return Err(format!("the snapshot has the key '{key}' twice"));
                }
                db.insert(hash, Entry::new(entry.key, entry.value, entry.expire_at_ms));
                staged.keys += 1;
            }
            Record::End { .. } => return Ok(true),
            Record::FunctionCode(_) => {
                tracing::warn!("the snapshot holds a function library, which this server does not run");
            }
            _ => {}
        }
    }
    Ok(false)
}

impl Staged {
    /// Puts the snapshot in place of the node's data and the log at `place`, in one step that nobody sees
    /// half done. Gives back the tee.
    pub fn install(self, node: &Node, place: Place, previous: Option<(crate::replication::Lineage, i64)>) -> Option<Box<dyn SnapshotTee>> {
        let mut locked = node.keyspace.lock_all();
        let mut old = Vec::new();
        for index in 0..SHARD_COUNT {
            let mut fresh = self.keyspace.lock_shard(index);
            let start = crate::keyspace::db::shard_start(index);
            for db in 0..node.keyspace.databases() {
                let shard = locked.shard_mut(start);
                shard.touched_all(db, |_, _| true);
                old.push(shard.put_db(db, fresh.take_db(db)));
            }
        }
        let (previous, previous_end) = previous.unwrap_or((crate::replication::Lineage::NONE, -1));
        let history = History { lineage: place.lineage, previous, previous_end };
        node.log.restart(history, place.offset, self.stream_db);
        drop(locked);
        free_later(old);
        node.role.set_has_history(true);
        self.tee
    }
}
