//! The tail that a node has past the place where its history and its new primary's part: it goes into a file before the
//! primary's history takes its place. This is the one thing that a primary which writes nothing ever leaves on a disk, and it
//! does so when it has become a replica.

use super::Durability;
use super::keeper::{point_of, snapshot_options};
use crate::format::aof::seal::Sealer;
use crate::persistence::snapshot::save;
use crate::replication::epoch::fork;
use crate::replication::log::{History, Mark};
use crate::replication::tail::{changes_nothing, db_after, file_stem};
use crate::replication::{Log, LogError, ReaderId};
use crate::server::Node;
use crate::server::replication::takeover::own_history;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the log copied at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// A reader of the log that ends with this.
struct Reader<'a> {
    log: &'a Log,
    id: ReaderId,
}

impl<'a> Reader<'a> {
    fn new(log: &'a Log, position: u64) -> Result<Reader<'a>, LogError> {
        let id = log.add_reader(position, u64::MAX, Box::new(|| ()))?;
        Ok(Reader { log, id })
    }

    /// The next bytes, `count` at most.
    fn read(&self, count: u64) -> Result<Vec<u8>, LogError> {
        let mut bytes = Vec::new();
        let max = usize::try_from(count).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        self.log.read(self.id, &mut bytes, max)?;
        Ok(bytes)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.log.remove_reader(self.id);
    }
}

impl Durability {
    /// Puts what this node has beyond the place where its history and `theirs` part into a file of the data folder. Nothing
    /// happens where they do not part, or nothing tells that they ever were one.
    ///
    /// # Errors
    /// Why the new primary's history must not take the place of this node's yet.
    pub async fn archive_tail(&self, node: &Arc<Node>, theirs: &History) -> Result<(), String> {
        let Some(own) = own_history(node) else { return Ok(()) };
        let end = node.log.end();
        let Some(from) = fork(&own, end, theirs) else { return Ok(()) };
        let (node, (answer, written)) = (node.clone(), tokio::sync::oneshot::channel());
        let write = move || drop(answer.send(write_tail(&node, &own, from, end)));
        let started = std::thread::Builder::new().name("archive-tail".into()).spawn(write);
        let written = match started {
            Ok(_) => written.await.unwrap_or_else(|_| Err("the thread that writes it has ended".into())),
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(None) => Ok(()),
            Ok(Some(path)) => {
                tracing::warn!(
                    from, to = end, file = %path.display(),
                    "what this node wrote past the place where its new primary took over is in a file"
                );
                Ok(())
            }
            Err(error) => Err(format!(
                "full sync refused: what this node wrote past offset {from}, where its new primary took over, cannot be \
                 put into a file: {error}; see to the disk, or restart this node, which gives that up"
            )),
        }
    }
}

fn write_tail(node: &Node, own: &History, from: u64, end: u64) -> Result<Option<PathBuf>, String> {
    if is_idle(node, from, end) {
        return Ok(None);
    }
    let config = node.config();
    node.durability.lock_folder(&config)?;
    node.durability.disk.create_dir_all(&config.dir).map_err(|error| error.to_string())?;
    let stem = config.dir.join(file_stem(own.lineage, from, end));
    let path = match node.log.mark_before(from) {
        Some(mark) => write_log(node, own, mark, [from, end], &stem.with_extension("aof"))?,
        // The log no longer reaches back so far; all of the data does.
        None => write_snapshot(node, &stem.with_extension("rdb"))?,
    };
    Ok(Some(path))
}

/// Has nothing been written there? Only a short tail is looked at: what is long is kept in any case.
fn is_idle(node: &Node, from: u64, end: u64) -> bool {
    if end - from > CHUNK_BYTES as u64 {
        return false;
    }
    let read = Reader::new(&node.log, from).and_then(|reader| reader.read(end - from));
    read.is_ok_and(|bytes| bytes.len() as u64 == end - from && changes_nothing(&bytes))
}

/// Writes the log between two offsets, as a file that the checker reads. `mark` is a beginning of a command before them.
fn write_log(
    node: &Node,
    own: &History,
    mark: Mark,
    [from, end]: [u64; 2],
    path: &Path,
) -> Result<PathBuf, String> {
    let say = |error: LogError| error.to_string();
    let reader = Reader::new(&node.log, mark.position).map_err(say)?;
    let mut before = Vec::new();
    while (before.len() as u64) < from - mark.position {
        let bytes = reader.read(from - mark.position - before.len() as u64).map_err(say)?;
        if bytes.is_empty() {
            return Err("the log ended early".into());
        }
        before.extend_from_slice(&bytes);
    }
    // Where none is selected yet the tail itself begins with a SELECT.
    let db = db_after(&before, mark.db).unwrap_or(0);
    let now_ms = node.now_ms().max(0) as u64;
    let mut fill = |out: &mut dyn Write| {
        let mut bytes = Vec::new();
        let mut sealer = Sealer::start_in(own.lineage, from, db, own.epoch, now_ms, &mut bytes);
        out.write_all(&bytes)?;
        while sealer.offset() < end {
            let bytes = reader.read(end - sealer.offset()).map_err(io::Error::other)?;
            if bytes.is_empty() {
                return Err(io::Error::other("the log ended early"));
            }
            sealer.feed(&bytes);
            out.write_all(&bytes)?;
        }
        bytes.clear();
        sealer.seal(now_ms, &mut bytes);
        out.write_all(&bytes)
    };
    node.durability.disk.write_whole(path, &mut fill).map_err(|error| error.to_string())?;
    Ok(path.to_owned())
}

fn write_snapshot(node: &Node, path: &Path) -> Result<PathBuf, String> {
    let at = || Some(point_of(node));
    let options = snapshot_options(node, false);
    save(&node.keyspace, at, &*node.durability.disk, path, node.clock(), &options)
        .map_err(|error| error.to_string())?;
    Ok(path.to_owned())
}
