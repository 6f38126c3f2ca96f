//! The primary's side of replication: a connection that turned out to be a replica's, or of one that wants a snapshot only.

use super::connection::Connection;
use crate::base::random::Rng;
use crate::server::replication::feed::Feed;
use crate::server::replication::sync::{self, Gathering, Piece};
use crate::server::replication::{FeedStart, ReplicaStage};
use crate::server::stats::add;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// Bytes taken from the log at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Length of the mark that ends a snapshot on the wire.
const MARK_DIGITS: usize = 40;
/// How often a replica that waits for its snapshot is told that we live.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Feeds a replica until it goes away.
pub(super) async fn feed(connection: &mut Connection, start: FeedStart) -> io::Result<()> {
    let mut fed;
    match start {
        FeedStart::OnlySnapshot => return give_snapshot(connection).await,
        FeedStart::Partial { position, lineage } => {
            fed = Feed::new(connection.node(), connection.session());
            fed.read_from(position, lineage)?;
            fed.online();
            connection.flush().await?;
            tracing::info!(replica = %fed.replica.ip, port = fed.replica.port, position, "partial sync");
        }
        FeedStart::Full { answer } => {
            fed = Feed::new(connection.node(), connection.session());
            full_sync(connection, &mut fed, answer).await?;
        }
    }
    stream(connection, &fed).await
}

async fn full_sync(connection: &mut Connection, fed: &mut Feed, answer: bool) -> io::Result<()> {
    let node = fed.node.clone();
    let marked = connection.session().peer.capa_eof;
    // A snapshot whose length must be told first is gathered in memory: for one replica at a time.
    let gathering = match marked {
        true => None,
        false => Some(alive(connection, node.replicas.syncs.gather()).await??),
    };
    let mut snapshot = sync::join(&node, true);
    let Piece::Begin(place) = next_piece(connection, &mut snapshot).await? else {
        return Err(io::Error::other("the snapshot has no beginning"));
    };
    if missed_epoch(connection, place.offset) {
        return Err(io::Error::other(
            "the epoch has risen since the replica was told of it; it is to ask again",
        ));
    }
    fed.read_from(place.offset, place.lineage)?;
    fed.replica.set_stage(ReplicaStage::SendSnapshot);
    add(&node.stats.sync_full, 1);
    tracing::info!(replica = %fed.replica.ip, port = fed.replica.port, offset = place.offset, "full sync");
    if answer {
        connection
            .output()
            .extend_from_slice(format!("+FULLRESYNC {} {}\r\n", place.lineage, place.offset).as_bytes());
    }
    match gathering {
        None => send_marked(connection, &mut snapshot).await?,
        Some(gathering) => {
            let whole = collect(connection, &mut snapshot, &gathering).await?;
            connection.output().extend_from_slice(format!("${}\r\n", whole.len()).as_bytes());
            connection.flush().await?;
            write_patiently(connection, &whole).await?;
        }
    }
    connection.flush().await?;
    if marked {
        // Nothing may follow the mark until the replica has seen it: it reads in large pieces.
        wait_for_ack(connection, fed).await?;
    }
    fed.online();
    Ok(())
}

/// Has an epoch begun before this place of which the replica was not told? It stands in the log in front of what the replica
/// will get, who would never hear of it, and whose history would be taken for one that was outrun.
fn missed_epoch(connection: &Connection, offset: u64) -> bool {
    let epoch = connection.node().log.history().epoch;
    let told = connection.session().told_epoch;
    told.is_some_and(|told| epoch.number > told && epoch.since <= offset)
}

/// Gives a snapshot to one who goes on from another node's log: it is none of this node's replicas.
async fn give_snapshot(connection: &mut Connection) -> io::Result<()> {
    let node = connection.node().clone();
    let joiner = connection.session().info.addr.clone();
    let mut snapshot = sync::join(&node, false);
    let Piece::Begin(place) = next_piece(connection, &mut snapshot).await? else {
        return Err(io::Error::other("the snapshot has no beginning"));
    };
    tracing::info!(%joiner, offset = place.offset, "giving a snapshot to a replica of this node's primary");
    connection
        .output()
        .extend_from_slice(format!("+FULLRESYNC {} {}\r\n", place.lineage, place.offset).as_bytes());
    let given = async {
        send_marked(connection, &mut snapshot).await?;
        connection.flush().await
    };
    match given.await {
        Ok(()) => {
            add(&node.replicas.referrals.given, 1);
            tracing::info!(%joiner, offset = place.offset, "the snapshot was sent");
            wait_for_end(connection).await
        }
        Err(error) => {
            tracing::warn!(%joiner, %error, "the snapshot was not sent to its end");
            Err(error)
        }
    }
}

/// Sends a snapshot up to a mark, which stays in the output.
async fn send_marked(connection: &mut Connection, snapshot: &mut Receiver<Piece>) -> io::Result<()> {
    let mark = Rng::from_os().hex(MARK_DIGITS);
    let pack = connection.session().peer.capa_lz4 && connection.node().config().replica_sync_lz4;
    let frame = if pack { "LZ4" } else { "EOF" };
    connection.output().extend_from_slice(format!("${frame}:{mark}\r\n").as_bytes());
    relay(connection, snapshot, pack).await?;
    connection.output().extend_from_slice(mark.as_bytes());
    Ok(())
}

/// Waits until the other side has what was sent, and ends the connection.
async fn wait_for_end(connection: &mut Connection) -> io::Result<()> {
    let patience = Duration::from_secs(u64::from(connection.node().config().repl_timeout_seconds).max(1));
    let gone = async { while connection.read_commands().await.is_ok() {} };
    Ok(tokio::time::timeout(patience, gone).await?)
}

/// What comes next of a snapshot.
async fn piece(snapshot: &mut Receiver<Piece>) -> io::Result<Piece> {
    snapshot.recv().await.ok_or_else(|| io::Error::other("the snapshot was given up"))
}

/// As [`piece`], telling the replica now and then that we live.
async fn next_piece(connection: &mut Connection, snapshot: &mut Receiver<Piece>) -> io::Result<Piece> {
    alive(connection, piece(snapshot)).await?
}

/// Awaits something, telling the replica now and then that we live. An error as soon as the replica is gone: nothing is to be
/// done for one that is not there.
async fn alive<T>(connection: &mut Connection, awaited: impl Future<Output = T>) -> io::Result<T> {
    tokio::pin!(awaited);
    loop {
        connection.flush().await?;
        tokio::select! {
            biased;
            done = &mut awaited => return Ok(done),
            read = connection.read_commands() => read?,
            () = tokio::time::sleep(SIGN_OF_LIFE) => connection.output().push(b'\n'),
        }
    }
}

/// Writes what belongs to a snapshot. A replica that takes too little of it within `repl-timeout` is given up.
async fn write_patiently(connection: &mut Connection, bytes: &[u8]) -> io::Result<()> {
    let patience = Duration::from_secs(u64::from(connection.node().config().repl_timeout_seconds).max(1));
    for part in bytes.chunks(CHUNK_BYTES) {
        tokio::time::timeout(patience, connection.write_to_replica(part)).await??;
    }
    Ok(())
}

async fn relay(connection: &mut Connection, snapshot: &mut Receiver<Piece>, pack: bool) -> io::Result<()> {
    let node = connection.node().clone();
    connection.flush().await?;
    loop {
        match piece(snapshot).await? {
            Piece::Bytes(chunk) => {
                let bytes = match pack {
                    true => chunk.packed()?,
                    false => chunk.raw.clone(),
                };
                if pack {
                    add(&node.replicas.syncs.lz4_raw_bytes, chunk.raw.len() as u64);
                    add(&node.replicas.syncs.lz4_sent_bytes, bytes.len() as u64);
                }
                add(&node.stats.replication_output_bytes, bytes.len() as u64);
                // From where all replicas share it.
                write_patiently(connection, &bytes).await?;
            }
            Piece::End => return Ok(()),
            Piece::Begin(_) => return Err(io::Error::other("the snapshot began twice")),
        }
    }
}

/// Gathers a snapshot for a replica that must be told its length first.
async fn collect(
    connection: &mut Connection,
    snapshot: &mut Receiver<Piece>,
    gathering: &Gathering<'_>,
) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        match next_piece(connection, snapshot).await? {
            Piece::Bytes(chunk) => {
                whole.extend_from_slice(&chunk.raw);
                gathering.note(whole.capacity());
            }
            Piece::End => return Ok(whole),
            Piece::Begin(_) => return Err(io::Error::other("the snapshot began twice")),
        }
    }
}

/// Waits for the first acknowledgement after a snapshot: the replica has loaded it.
async fn wait_for_ack(connection: &mut Connection, fed: &Feed) -> io::Result<()> {
    let patience = Duration::from_secs(u64::from(fed.node.config().repl_timeout_seconds).max(1) * 10);
    let acked = async {
        while !fed.replica.has_acked() {
            connection.read_commands().await?;
        }
        Ok(())
    };
    tokio::time::timeout(patience, acked).await?
}

async fn stream(connection: &mut Connection, fed: &Feed) -> io::Result<()> {
    let node = &fed.node;
    loop {
        loop {
            let got = fed.read(connection.output(), CHUNK_BYTES)?;
            if got == 0 {
                break;
            }
            add(&node.stats.replication_output_bytes, got as u64);
            connection.flush_to_replica().await?;
        }
        tokio::select! {
            () = fed.woken() => {}
            read = connection.read_commands() => read?,
        }
    }
}
