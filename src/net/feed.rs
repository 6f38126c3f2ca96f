//! The primary's side of replication: a connection that turned out to be a replica's.

use super::connection::Connection;
use crate::server::Node;
use crate::server::replication::feed::Feed;
use crate::server::replication::sync::SyncSnapshot;
use crate::server::replication::{FeedStart, ReplicaStage};
use crate::server::stats::add;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Bytes taken from the log at a time.
const CHUNK_BYTES: usize = 256 * 1024;
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
    let turn = wait_turn(connection, &node).await?;
    let mut snapshot = SyncSnapshot::start(&node).map_err(io::Error::other)?;
    fed.read_from(snapshot.place.offset, snapshot.place.lineage)?;
    fed.replica.set_stage(ReplicaStage::SendSnapshot);
    add(&node.stats.sync_full, 1);
    let place = snapshot.place;
    tracing::info!(replica = %fed.replica.ip, port = fed.replica.port, offset = place.offset, "full sync");
    if answer {
        connection
            .output()
            .extend_from_slice(format!("+FULLRESYNC {} {}\r\n", place.lineage, place.offset).as_bytes());
    }
    let marked = connection.session().peer.capa_eof;
    if marked {
        let mark = snapshot.mark.clone();
        connection.output().extend_from_slice(format!("$EOF:{mark}\r\n").as_bytes());
        relay(connection, &mut snapshot).await?;
        snapshot.finish().await.map_err(io::Error::other)?;
        connection.output().extend_from_slice(mark.as_bytes());
    } else {
        let whole = collect(connection, &mut snapshot).await?;
        snapshot.finish().await.map_err(io::Error::other)?;
        connection.output().extend_from_slice(format!("${}\r\n", whole.len()).as_bytes());
        connection.flush().await?;
        connection.output().extend_from_slice(&whole);
    }
    connection.flush().await?;
    drop(turn);
    if marked {
        // Nothing may follow the mark until the replica has seen it: it reads in large pieces.
        wait_for_ack(connection, fed).await?;
    }
    fed.online();
    Ok(())
}

/// Waits until no other snapshot for a sync is being made, telling the replica now and then that we live.
async fn wait_turn<'n>(
    connection: &mut Connection,
    node: &'n Arc<Node>,
) -> io::Result<tokio::sync::MutexGuard<'n, ()>> {
    let mut turn = std::pin::pin!(node.replicas.snapshot_turn.lock());
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE, &mut turn).await {
            Ok(turn) => return Ok(turn),
            Err(_) => {
                connection.output().push(b'\n');
                connection.flush().await?;
            }
        }
    }
}

async fn relay(connection: &mut Connection, snapshot: &mut SyncSnapshot) -> io::Result<()> {
    loop {
        let output = connection.output();
        let got = snapshot.pipe.read_buf(output).await?;
        if got == 0 {
            return Ok(());
        }
        add(&connection.node().stats.replication_output_bytes, got as u64);
        connection.flush().await?;
    }
}

async fn collect(connection: &mut Connection, snapshot: &mut SyncSnapshot) -> io::Result<Vec<u8>> {
    connection.flush().await?;
    let mut whole = Vec::new();
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE, snapshot.pipe.read_buf(&mut whole)).await {
            Ok(Ok(0)) => return Ok(whole),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                connection.output().push(b'\n');
                connection.flush().await?;
            }
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
