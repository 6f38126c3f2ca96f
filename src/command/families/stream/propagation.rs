//! What is logged of deliveries and claims: who has what, when and how often delivered, and how far the group is.

use crate::command::Context;
use crate::value::stream::StreamId;

/// An entry that became pending for a consumer, or was delivered again.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    /// The entry.
    pub(super) id: StreamId,
    /// When it was delivered.
    pub(super) delivered_ms: i64,
    /// How often it was.
    pub(super) deliveries: u64,
    /// The group's last id then.
    pub(super) last_id: StreamId,
}

impl Claim {
    /// Logs it as an XCLAIM that gives the same result whatever was before.
    pub(super) fn log(&self, ctx: &mut Context<'_, '_>, key: &[u8], group: &[u8], consumer: &[u8]) {
        let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
        ctx.log(&[
            b"XCLAIM",
            key,
            group,
            consumer,
            b"0",
            self.id.text().as_ref(),
            b"TIME",
            digits.0.format(self.delivered_ms).as_bytes(),
            b"RETRYCOUNT",
            digits.1.format(i64::try_from(self.deliveries).unwrap_or(i64::MAX)).as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            self.last_id.text().as_ref(),
        ]);
    }
}

/// All that one delivery changed.
pub(super) struct GroupChange<'a> {
    /// The consumer, if it is new and no claim tells so.
    pub(super) new_consumer: Option<&'a [u8]>,
    /// Where the group has come to, if it moved.
    pub(super) read_to: Option<(StreamId, Option<u64>)>,
    /// What was given to the consumer.
    pub(super) claims: Vec<Claim>,
}

impl GroupChange<'_> {
    /// Logs it.
    pub(super) fn log(&self, ctx: &mut Context<'_, '_>, key: &[u8], group: &[u8], consumer: &[u8]) {
        if let Some(name) = self.new_consumer {
            log_consumer(ctx, key, group, name);
        }
        for claim in &self.claims {
            claim.log(ctx, key, group, consumer);
        }
        if let Some((last_id, entries_read)) = self.read_to {
            log_group_id(ctx, key, group, last_id, entries_read);
        }
    }
}

/// Logs that there is a consumer.
pub(super) fn log_consumer(ctx: &mut Context<'_, '_>, key: &[u8], group: &[u8], consumer: &[u8]) {
    ctx.log(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
}

/// Logs how far a group is.
pub(super) fn log_group_id(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    group: &[u8],
    last_id: StreamId,
    entries_read: Option<u64>,
) {
    let mut digits = itoa::Buffer::new();
    let read = entries_read.and_then(|read| i64::try_from(read).ok()).unwrap_or(-1);
    let read = digits.format(read).as_bytes();
    ctx.log(&[b"XGROUP", b"SETID", key, group, last_id.text().as_ref(), b"ENTRIESREAD", read]);
}
