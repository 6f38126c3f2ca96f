//! A snapshot that another replica gives, named by the primary; the connection to the primary stays open meanwhile.

use super::link::{receive_snapshot, replconf, tell_capabilities};
use super::peer::Peer;
use crate::resp::RespValue;
use crate::server::Node;
use crate::server::config::Address;
use crate::server::replication::Target;
use crate::server::replication::follow::Offer;
use crate::server::replication::incoming::Received;
use crate::server::replication::joining::{self, Referral};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a giver may take to answer at all.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How many times `repl-timeout` it may take until its snapshot begins: others may be before this node.
const BEGIN_TIMES: u32 = 10;
/// How often the primary is told that this node is still at it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Takes the snapshot of the replica that the primary named in place of this node's data. False: the sync is refused. After an
/// error the primary is to be asked for its own snapshot, unless it was the connection to it that failed.
pub(super) async fn fetch(
    node: &Arc<Node>,
    primary: &mut Peer,
    target: &Target,
    referral: &Referral,
    info: &str,
) -> io::Result<bool> {
    tracing::info!(
        primary = %target.address, giver = %referral.host, port = referral.port, offset = referral.place.offset,
        "full sync: the primary names a replica that has the snapshot"
    );
    let ended = Notify::new();
    let taking = async {
        let taken = take(node, target, referral, info).await;
        ended.notify_one();
        taken
    };
    let touching = stay_in_touch(node, primary, &ended);
    tokio::pin!(taking, touching);
    let (taken, in_touch) = tokio::select! {
        biased;
        taken = &mut taking => (taken, touching.await),
        in_touch = &mut touching => match in_touch {
            // Only what is written meanwhile could not be kept: the link itself is well.
            Ok(Touch::NotKept(why)) => (Err(io::Error::other(why)), Ok(Touch::Ended)),
            Ok(Touch::Ended) => (taking.await, Ok(Touch::Ended)),
            Err(error) => return Err(error),
        },
    };
    let taken = taken.map_err(|error| {
        node.role.joining.giver_failed(referral, &error.to_string());
        io::Error::other(format!(
            "nothing came of the snapshot of {}:{}: {error}",
            referral.host, referral.port
        ))
    })?;
    in_touch?;
    Ok(taken)
}

/// What staying in touch came to.
enum Touch {
    /// There is no need any more.
    Ended,
    /// The primary no longer keeps what follows the snapshot, in its words.
    NotKept(String),
}

/// Tells the primary time and again that this node is still at it, until `ended`. A reply is always waited for: what the primary
/// says next must be the answer to what is asked next.
async fn stay_in_touch(node: &Node, primary: &mut Peer, ended: &Notify) -> io::Result<Touch> {
    loop {
        tokio::select! {
            () = ended.notified() => return Ok(Touch::Ended),
            () = tokio::time::sleep(SIGN_OF_LIFE) => {}
        }
        if let RespValue::Error(text) = replconf(primary, &joining::sign_of_life(node)).await? {
            return Ok(Touch::NotKept(String::from_utf8_lossy(&text).into_owned()));
        }
    }
}

async fn take(node: &Arc<Node>, target: &Target, referral: &Referral, info: &str) -> io::Result<bool> {
    let (received, offer) = receive(node, target, referral, info).await?;
    joining::take(node, target, referral, received, &offer).await
}

async fn receive(
    node: &Node,
    target: &Target,
    referral: &Referral,
    info: &str,
) -> io::Result<(Received, Offer)> {
    let address = Address { host: referral.host.clone(), port: referral.port };
    let late = |text| move |error| if_late(error, text);
    let mut giver = request(node, &address, referral).await.map_err(late("it did not answer in time"))?;
    let patience = Duration::from_secs(u64::from(node.config().repl_timeout_seconds).max(1));
    giver.set_patience(patience);
    let beginning = tokio::time::timeout(patience * BEGIN_TIMES, giver.line()).await;
    let answer =
        beginning.map_err(io::Error::from).flatten().map_err(late("its snapshot did not begin in time"))?;
    let offer = joining::judge_snapshot(node, target, referral, &answer, info)?;
    tracing::info!(giver = %address, offset = offer.place.offset, "full sync: receiving a snapshot from a replica");
    let base = node.durability.base_for_sync(node).map_err(io::Error::other)?;
    let received = receive_snapshot(node, &mut giver, base).await;
    let received = received.map_err(late("it sent nothing for longer than repl-timeout"))?;
    Ok((received, offer))
}

/// Asks the giver for its snapshot, if it is what the primary said.
async fn request(node: &Node, address: &Address, referral: &Referral) -> io::Result<Peer> {
    let mut giver = Peer::connect(node, address, ANSWER_PATIENCE).await?;
    let info = giver.replication_info().await?;
    let request = joining::snapshot_request(referral, &info)?;
    giver.command(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]).await?;
    tell_capabilities(node, &mut giver, &info).await?;
    let [lineage, offset, word] = request.each_ref().map(String::as_bytes);
    giver.send(&[b"PSYNC", lineage, offset, word]).await?;
    Ok(giver)
}

/// What an operator is told where time ran out.
fn if_late(error: io::Error, text: &'static str) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => io::Error::new(io::ErrorKind::TimedOut, text),
        _ => error,
    }
}
