//! The socket side of MIGRATE: what [`Migration`] decides is sent to the target, and its replies are read.

use super::migrate_sockets::{self, Target};
use super::peer::Peer;
use crate::resp::reply::Reply;
use crate::resp::value::RespValue;
use crate::server::config::Address;
use crate::server::dispatch::LaterReply;
use crate::server::migration::{Failure, Migration, Parcel};
use std::io;

/// Bytes that are sent before the replies to them are read, at least: neither side's buffers fill up with replies.
const BATCH_BYTES: usize = 256 * 1024;
/// Keys that are sent before the replies to them are read, at most.
const BATCH_KEYS: usize = 1_000;
/// How many times keys are sent that are written to meanwhile.
const ROUNDS_MAX: usize = 16;

/// Sends the keys, in a task of its own that a disconnect of the client does not end: else keys would be left on both
/// sides.
pub fn start(migration: Migration, resp3: bool) -> LaterReply {
    let task = tokio::task::spawn_local(async move {
        let mut out = Vec::new();
        let outcome = run(migration).await;
        let mut reply = Reply::new(&mut out, resp3);
        match outcome {
            Ok(()) => reply.ok(),
            Err(failure) => reply.error(failure.reply()),
        }
        out
    });
    Box::pin(async move { task.await.unwrap_or_default() })
}

async fn run(mut migration: Migration) -> Result<(), Failure> {
    let order = migration.order();
    let address = Address { host: order.host.clone(), port: order.port };
    let target = Target { address, credentials: order.credentials.clone() };
    let mut peer = open(&migration, &target).await?;
    send_all(&mut migration, &mut peer).await?;
    // Where something went wrong, replies may still be to come.
    migrate_sockets::keep(migration.node(), target, peer);
    Ok(())
}

/// A connection on which the target has accepted the password and the database: one that was kept, or a new one.
async fn open(migration: &Migration, target: &Target) -> Result<Peer, Failure> {
    let patience = migration.order().patience;
    while let Some(mut peer) = migrate_sockets::take(migration.node(), target) {
        peer.set_patience(patience);
        match greet(migration, &mut peer).await {
            Ok(()) => return Ok(peer),
            // The target may have closed it.
            Err(Failure::Writing | Failure::Reading) => {}
            Err(failure) => return Err(failure),
        }
    }
    let connected = Peer::open(&target.address, patience).await;
    let mut peer = connected.map_err(|error| {
        tracing::debug!(address = %target.address, %error, "MIGRATE cannot connect");
        // Where nobody listens, Redis finds out when it writes.
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure::Writing,
            _ => Failure::Connecting,
        }
    })?;
    greet(migration, &mut peer).await?;
    Ok(peer)
}

async fn greet(migration: &Migration, peer: &mut Peer) -> Result<(), Failure> {
    for command in migration.opening() {
        peer.send_bytes(&command).await.map_err(writing)?;
        confirmation(peer).await?;
    }
    Ok(())
}

/// Sends the keys, time and again where they are written to meanwhile.
async fn send_all(migration: &mut Migration, peer: &mut Peer) -> Result<(), Failure> {
    let mut parcels = migration.take_parcels();
    for _ in 0..ROUNDS_MAX {
        let mut again = Vec::new();
        while !parcels.is_empty() {
            let (confirmed, failure) = send_batch(peer, &mut parcels).await;
            let settled = migration.settle(confirmed);
            if let Some(failure) = failure {
                return Err(failure);
            }
            again.extend(settled?);
        }
        if again.is_empty() {
            return Ok(());
        }
        parcels = again;
    }
    Err(Failure::Own(
        b"ERR the keys are written to faster than they can be sent; they were not removed here".into(),
    ))
}

/// Sends some of the parcels and reads the replies: those that the target took, and why it did not take another.
async fn send_batch(peer: &mut Peer, parcels: &mut Vec<Parcel>) -> (Vec<Parcel>, Option<Failure>) {
    let (mut bytes, mut count) = (0, 0);
    for parcel in parcels.iter() {
        if bytes >= BATCH_BYTES || count >= BATCH_KEYS {
            break;
        }
        bytes += parcel.command.len();
        count += 1;
    }
    let mut batch: Vec<Parcel> = parcels.drain(..count).collect();
    for parcel in &mut batch {
        let command = std::mem::take(&mut parcel.command);
        if let Err(error) = peer.send_bytes(&command).await {
            return (Vec::new(), Some(writing(error)));
        }
    }
    let (mut confirmed, mut first) = (Vec::new(), None);
    for parcel in batch {
        match confirmation(peer).await {
            Ok(()) => confirmed.push(parcel),
            Err(failure) => {
                let is_broken = failure == Failure::Reading;
                first.get_or_insert(failure);
                if is_broken {
                    break;
                }
            }
        }
    }
    (confirmed, first)
}

fn writing(error: io::Error) -> Failure {
    tracing::debug!(%error, "MIGRATE cannot write");
    Failure::Writing
}

/// Reads a reply that should be no error.
async fn confirmation(peer: &mut Peer) -> Result<(), Failure> {
    match peer.read_reply().await {
        Ok(RespValue::Error(text)) => Err(Failure::Target(text)),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "MIGRATE cannot read");
            Err(Failure::Reading)
        }
    }
}
