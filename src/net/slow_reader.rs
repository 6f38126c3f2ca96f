//! `client-output-buffer-limit` for ordinary clients: who asks for more than it reads is not served for ever.

use crate::server::clients::ClientKind;
use crate::server::config::BufferLimit;
use std::future::Future;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

/// Watches the writing of output, from one that found no room until one that found room for all. Replicas have limits of
/// their own.
#[derive(Default)]
pub(super) struct SlowReader {
    limit: Option<BufferLimit>,
    /// Since when the output has been above the soft limit.
    since: Option<Instant>,
}

/// Why a connection was ended.
#[derive(Debug, Error)]
#[error("client output buffer limit reached")]
pub(super) struct LimitReached;

fn exceeded() -> io::Error {
    io::Error::other(LimitReached)
}

impl SlowReader {
    /// Takes the limit that holds now.
    pub(super) fn set_limit(&mut self, limit: BufferLimit, kind: ClientKind) {
        let limited = kind == ClientKind::Normal && (limit.hard_bytes > 0 || limit.soft_bytes > 0);
        self.limit = limited.then_some(limit);
    }

    /// All output is written.
    pub(super) fn has_caught_up(&mut self) {
        self.since = None;
    }

    /// Fails where so much output is too much at any time.
    pub(super) fn check_hard(&self, bytes: usize) -> io::Result<()> {
        match self.limit {
            Some(limit) if limit.hard_bytes > 0 && bytes as u64 > limit.hard_bytes => Err(exceeded()),
            _ => Ok(()),
        }
    }

    /// Waits until there is room for some of the output, of which `left` bytes are left; fails where that has been too
    /// much for too long.
    pub(super) async fn wait(
        &mut self,
        left: usize,
        room: impl Future<Output = io::Result<()>>,
    ) -> io::Result<()> {
        let soft = self.limit.filter(|limit| limit.soft_bytes > 0 && left as u64 > limit.soft_bytes);
        let Some(limit) = soft else {
            self.since = None;
            return room.await;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        let until = since.checked_add(Duration::from_secs(limit.soft_seconds));
        match until {
            None => room.await,
            Some(until) if Instant::now() > until => Err(exceeded()),
            Some(until) => timeout_at(until, room).await.map_err(|_| exceeded())?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(hard_bytes: u64, soft_bytes: u64, soft_seconds: u64) -> SlowReader {
        let mut slow = SlowReader::default();
        slow.set_limit(BufferLimit { hard_bytes, soft_bytes, soft_seconds }, ClientKind::Normal);
        slow
    }

    #[test]
    fn limits_hold() {
        assert!(watch(100, 0, 0).check_hard(100).is_ok() && watch(100, 0, 0).check_hard(101).is_err());
        assert!(watch(0, 0, 0).check_hard(usize::MAX).is_ok());
        let mut replica = watch(1, 1, 0);
        replica.set_limit(BufferLimit { hard_bytes: 1, soft_bytes: 1, soft_seconds: 0 }, ClientKind::Replica);
        assert!(replica.check_hard(5).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let after = |ms| async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(())
        };
        runtime.block_on(async {
            let mut slow = watch(0, 100, 1);
            assert!(slow.wait(100, after(1_200)).await.is_ok(), "not above the limit");
            assert!(slow.wait(101, after(600)).await.is_ok(), "not for long");
            assert!(slow.wait(50, after(0)).await.is_ok());
            assert!(slow.wait(101, after(500)).await.is_ok(), "counted anew");
            slow.has_caught_up();
            assert!(slow.wait(101, after(600)).await.is_ok(), "counted anew");
            slow.set_limit(
                BufferLimit { hard_bytes: 0, soft_bytes: 100, soft_seconds: 1 },
                ClientKind::Normal,
            );
            assert!(slow.wait(101, after(60_000)).await.is_err(), "for more than a second");
        });
    }
}
