//! A node that was promoted because its primary was lost tells that one so, as soon as it is there again: it must not go on
//! as a primary.

use super::link::{introduce, replconf};
use super::peer::Peer;
use crate::server::Node;
use crate::server::replication::Claim;
use crate::server::replication::takeover::{Claimed, claim_words, judge_rival};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Pause between attempts.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long the other may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Brings claims to whom they concern; never ends.
pub async fn run(node: Arc<Node>) {
    let mut claims = node.role.watch_claim();
    loop {
        let claim = claims.borrow_and_update().clone();
        let Some(claim) = claim else {
            let _ = claims.changed().await;
            continue;
        };
        let told = tokio::select! {
            _ = claims.changed() => continue,
            told = tell(&node, &claim) => told,
        };
        match told {
            Ok(()) => {
                tracing::info!(to = %claim.address, epoch = claim.epoch, "the old primary knows of the promotion");
                node.role.claimed(&claim);
            }
            Err(error) => {
                tracing::debug!(to = %claim.address, %error, "the old primary cannot be told of the promotion yet");
                tokio::select! {
                    _ = claims.changed() => {}
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
        }
    }
}

/// Tells it once; an error if it is to be told again.
async fn tell(node: &Arc<Node>, claim: &Claim) -> io::Result<()> {
    let mut peer = Peer::connect(node, &claim.address, PATIENCE).await?;
    let info = peer.replication_info().await?;
    match judge_rival(node, &info) {
        Claimed::Heard => return Ok(()),
        Claimed::Later(why) => return Err(io::Error::other(why)),
        Claimed::Tell => {}
    }
    introduce(node, &mut peer).await?;
    replconf(&mut peer, &claim_words(node)).await?;
    Ok(())
}
