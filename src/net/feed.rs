//! The primary's side of replication: a connection that turned out to be a replica's.

use super::connection::Connection;
use crate::base::random::Rng;
use crate::server::replication::feed::Feed;
use crate::server::replication::sync::{self, Piece};
use crate::server::replication::{FeedStart, ReplicaStage};
use crate::server::stats::add;
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
    let mut fed = Feed::new(connection.node(), connection.session());
    match start {
        FeedStart::Partial { position, lineage } => {
            fed.read_from(position, lineage)?;
            fed.online();
            connection.flush().await?;
            tracing::info!(replica = %fed.replica.ip, port = fed.replica.port, position, "partial sync");
        }
        FeedStart::Full { answer } => full_sync(connection, &mut fed, answer).await?,
    }
    stream(connection, &fed).await
}

async fn full_sync(connection: &mut Connection, fed: &mut Feed, answer: bool) -> io::Result<()> {
    let node = fed.node.clone();
    let mut snapshot = sync::join(&node);
    let Piece::Begin(place) = next_piece(connection, &mut snapshot).await? else {
        return Err(io::Error::other("the snapshot has no beginning"));
    };
    fed.read_from(place.offset, place.lineage)?;
    fed.replica.set_stage(ReplicaStage::SendSnapshot);
    add(&node.stats.sync_full, 1);
    tracing::info!(replica = %fed.replica.ip, port = fed.replica.port, offset = place.offset, "full sync");
    if answer {
        connection
            .output()
            .extend_from_slice(format!("+FULLRESYNC {} {}\r\n", place.lineage, place.offset).as_bytes());
    }
    let marked = connection.session().peer.capa_eof;
    if marked {
        let mark = Rng::from_os().hex(MARK_DIGITS);
        connection.output().extend_from_slice(format!("$EOF:{mark}\r\n").as_bytes());
        relay(connection, &mut snapshot).await?;
        connection.output().extend_from_slice(mark.as_bytes());
    } else {
        let whole = collect(connection, &mut snapshot).await?;
        connection.output().extend_from_slice(format!("${}\r\n", whole.len()).as_bytes());
        connection.flush().await?;
        connection.output().extend_from_slice(&whole);
    }
    connection.flush().await?;
    if marked {
        // Nothing may follow the mark until the replica has seen it: it reads in large pieces.
        wait_for_ack(connection, fed).await?;
    }
    fed.online();
    Ok(())
}

/// What comes next of a snapshot.
async fn piece(snapshot: &mut Receiver<Piece>) -> io::Result<Piece> {
    snapshot.recv().await.ok_or_else(|| io::Error::other("the snapshot was given up"))
}

/// As [`piece`], telling the replica now and then that we live.
async fn next_piece(connection: &mut Connection, snapshot: &mut Receiver<Piece>) -> io::Result<Piece> {
    loop {
        connection.flush().await?;
        match tokio::time::timeout(SIGN_OF_LIFE, piece(snapshot)).await {
            Ok(piece) => return piece,
            Err(_) => connection.output().push(b'\n'),
        }
    }
}

async fn relay(connection: &mut Connection, snapshot: &mut Receiver<Piece>) -> io::Result<()> {
    loop {
        connection.flush().await?;
        match piece(snapshot).await? {
            Piece::Bytes(bytes) => {
                add(&connection.node().stats.replication_output_bytes, bytes.len() as u64);
                connection.output().extend_from_slice(&bytes);
            }
            Piece::End => return Ok(()),
            Piece::Begin(_) => return Err(io::Error::other("the snapshot began twice")),
        }
    }
}

/// Gathers a snapshot for a replica that must be told its length first.
async fn collect(connection: &mut Connection, snapshot: &mut Receiver<Piece>) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        match next_piece(connection, snapshot).await? {
            Piece::Bytes(bytes) => whole.extend_from_slice(&bytes),
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
    let mut tick = tokio::time::interval(SIGN_OF_LIFE);
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
            _ = tick.tick() => fed.check_silence()?,
        }
    }
}
