//! What was pushed to a connection, on its way to the client.

use super::connection::{Connection, WriteUntil};
use crate::server::config::BufferLimit;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering;

impl Connection {
    /// Writes what was pushed, until then, or a good piece of it: the client's own commands are to get their turn. While replies are held
    /// for durable acks none is written, as pushes and replies keep their order: whoever has been told that a key has changed
    /// must not be told of its old value after that.
    pub(super) async fn deliver_pushes(&mut self, until: WriteUntil) -> io::Result<()> {
        if self.take_pushes() {
            let now_ms = self.node().now_ms();
            self.session().info.active_at_ms.store(now_ms, Ordering::Relaxed);
            self.write_output(until).await?;
        }
        Ok(())
    }

    /// Waits for something that has nothing to do with what was pushed: that is delivered meanwhile.
    pub(super) async fn wait_delivering<T>(&mut self, waited_for: impl Future<Output = T>) -> io::Result<T> {
        let mut waited_for = pin!(waited_for);
        let info = self.session().info.clone();
        loop {
            let next = async {
                tokio::select! {
                    biased;
                    outcome = &mut waited_for => Some(outcome),
                    () = info.mailbox.filled() => None,
                }
            };
            if let Some(outcome) = self.wait_for(next).await? {
                return Ok(outcome);
            }
            self.deliver_pushes(WriteUntil::Written).await?;
        }
    }

    /// Ends all that makes others push to this connection, and forgets what they have pushed.
    pub(super) fn leave_pushers(&mut self) {
        let node = self.node().clone();
        let session = self.session_mut();
        session.unsubscribe_all(&node.pubsub);
        node.monitors.remove(&node, session);
        if session.tracking.is_some() {
            session.untrack(&node, &mut node.keyspace.lock_all());
        }
        session.info.mailbox.close();
    }

    /// The limit of the output of the client's class. One that others push to may have little in its buffer and much in its
    /// mailbox, which whoever pushes looks at.
    pub(super) fn output_limit(&self) -> BufferLimit {
        let limits = self.output_limits();
        if self.session().info.is_pushed_to() { limits.pubsub } else { limits.normal }
    }
}
