//! Replies that wait until what they tell of is durable: on replicas, or in this node's own append-only file.

use super::connection::Connection;
use crate::server::durability::appended::Ended;
use crate::server::replication::acks::Need;
use crate::server::stats::add;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Connection {
    /// Holds the output back until no reply in it has to wait any more, but writes what stands before the first that has
    /// to. While it waits, the client's disconnect is watched for and its input is read ahead.
    pub(super) async fn hold(&mut self) -> io::Result<()> {
        let node = self.node().clone();
        let acks = &node.acks;
        add(&node.stats.durable_acks_held, self.held.len() as u64);
        let timeout_ms = acks.timeout_ms();
        let mut time_out = pin!(async {
            match timeout_ms {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        });
        let mut timed_out = false;
        loop {
            let settled = self.settle(timed_out);
            let Some(most) = settled.wait_for else { return Ok(()) };
            self.write_front(settled.ready).await?;
            acks.ask(&node);
            timed_out = self.wait_durable(most, time_out.as_mut()).await?;
        }
    }

    /// Holds the output back until the node's own append-only file has what it tells of. What failed under
    /// `appendfsync always` is answered by the connection's end: nobody can say what became of it.
    #[cold]
    pub(super) async fn hold_for_file(&mut self) -> io::Result<()> {
        let node = self.node().clone();
        let appended = &node.durability.appended;
        let Some(position) = appended.need(&node, self.session()) else { return Ok(()) };
        self.session().info.replies_held.store(true, Ordering::Relaxed);
        let ended = self.wait_for(appended.wait(&node, position)).await?;
        self.session().info.replies_held.store(false, Ordering::Relaxed);
        match ended {
            Ended::Reached | Ended::NotAsked => Ok(()),
            Ended::Lost => Err(io::Error::other("the append-only file failed before the reply")),
        }
    }

    /// Waits until this need not wait any more; true when the time is over before that.
    async fn wait_durable(
        &mut self,
        need: Need,
        mut time_out: Pin<&mut impl Future<Output = ()>>,
    ) -> io::Result<bool> {
        let node = self.node().clone();
        let waiting = async {
            tokio::select! {
                biased;
                () = node.acks.wait(need) => false,
                () = &mut time_out => true,
            }
        };
        self.session().info.replies_held.store(true, Ordering::Relaxed);
        let timed_out = self.wait_for(waiting).await?;
        self.session().info.replies_held.store(false, Ordering::Relaxed);
        Ok(timed_out)
    }
}
