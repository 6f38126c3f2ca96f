//! The primary's stream on a replica: each command applied to the data and appended to the log.

use crate::command::Event;
use crate::command::apply::{Applied, Applier, ApplyError};
use crate::replication::acks::FSYNC_WORD;
use crate::replication::{Epoch, epoch};
use crate::resp::args::ArgSpans;
use crate::resp::command_bytes::write_command;
use crate::resp::request::{Parsed, RequestLimits, RequestParser};
use crate::server::Node;
use crate::server::blocked::serve_ready_of_node;
use crate::server::pubsub::Heard;
use crate::server::stats::add;
use bytes::{Buf, BytesMut};
use smallvec::SmallVec;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long each batch is fsynced at once after the primary has asked for that. Longer than it lets pass before it asks
/// again.
const HURRY: Duration = Duration::from_secs(3);

/// The durable offset to acknowledge. While the disk fails none is: the primary must know that this replica does not get
/// any further.
fn tells_durable(node: &Node) -> Option<u64> {
    node.durable_offset().filter(|_| !node.durability.is_broken())
}

/// The stream of effects, being applied.
pub struct Stream {
    /// The order by which this primary is followed.
    order: u64,
    parser: RequestParser,
    args: ArgSpans,
    applier: Applier,
    /// Bytes at the start of the input that belong to a transaction not yet ended.
    held: usize,
    ack_wanted: bool,
    fsync_wanted: bool,
    /// Messages to subscribers that are not delivered yet.
    heard: Heard,
    /// The durable offset last told to the primary.
    told_durable: Option<u64>,
}

impl Stream {
    /// Goes on where the node's log ends, while `order` is in force.
    pub fn new(node: &Node, order: u64) -> Stream {
        let (_, _, db) = node.log.position();
        let applier = Applier::new((*node.settings()).clone(), db.unwrap_or(0));
        let limits = RequestLimits { max_bulk_bytes: i64::MAX, authenticated: true };
        Stream {
            order,
            parser: RequestParser::new(limits),
            args: ArgSpans::new(),
            applier,
            held: 0,
            // The first acknowledgement tells the primary that the snapshot is loaded.
            ack_wanted: true,
            fsync_wanted: false,
            heard: Heard::default(),
            told_durable: None,
        }
    }

    /// An error when the primary has been silent for longer than `repl-timeout`: it PINGs more often than that.
    pub fn check_silence(&self, node: &Node) -> io::Result<()> {
        let silent_ms = node.now_ms() - node.role.last_io_ms.load(Ordering::Relaxed);
        let timeout_ms = i64::from(node.config().repl_timeout_seconds) * 1000;
        if timeout_ms > 0 && silent_ms > timeout_ms {
            let text = format!("the primary was silent for {silent_ms} ms");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    /// Asks for an acknowledgement at the next look.
    pub fn want_ack(&mut self) {
        self.ack_wanted = true;
    }

    /// True, once, when the primary should be told where this node is: it asked, or the durable offset moved.
    pub fn ack_is_due(&mut self, node: &Node) -> bool {
        std::mem::take(&mut self.ack_wanted) || tells_durable(node) != self.told_durable
    }

    /// The acknowledgement to send: the offset received and, where this node appends, the one fsynced.
    pub fn ack(&mut self, node: &Node) -> Vec<u8> {
        let received = node.log.end().to_string();
        let mut out = Vec::new();
        self.told_durable = tells_durable(node);
        match self.told_durable {
            Some(durable) => {
                let durable = durable.to_string();
                write_command(&mut out, &["REPLCONF", "ACK", &received, "FACK", &durable]);
            }
            None => write_command(&mut out, &["REPLCONF", "ACK", &received]),
        }
        out
    }

    /// Applies the whole commands of `input` and takes them from it. Each one's bytes go to the log as they
    /// came, under the locks of its keys; a transaction's go as one piece at its end.
    ///
    /// An error ends the link: the stream is not readable, does not fit this node's data (then INFO says so), or the
    /// node was given another role.
    pub fn apply(&mut self, node: &Node, input: &mut BytesMut) -> io::Result<()> {
        let applied = self.apply_whole(node, input);
        node.tell_of_changes();
        if std::mem::take(&mut self.fsync_wanted) {
            node.durability.hurry(HURRY);
        }
        applied
    }

    fn apply_whole(&mut self, node: &Node, input: &mut BytesMut) -> io::Result<()> {
        let (now_ms, wanted) = (node.now_ms(), node.settings().events);
        self.applier.want_events(wanted);
        loop {
            let rest = input.get(self.held..).unwrap_or_default();
            let consumed = match self.parser.parse(rest, &mut self.args) {
                Ok(Parsed::Complete { consumed }) => consumed,
                Ok(Parsed::Empty { consumed }) => {
                    // A bare line end is a sign of life; it is part of no history.
                    if self.held == 0 {
                        input.advance(consumed);
                        continue;
                    }
                    return Err(io::Error::other("an empty line within a transaction of the stream"));
                }
                Ok(Parsed::Incomplete { .. }) => return Ok(()),
                Err(error) => return Err(io::Error::other(format!("the stream is not readable: {error}"))),
            };
            let view = self.args.view(rest);
            let args: SmallVec<[&[u8]; 8]> = view.iter().collect();
            let whole = self.held + consumed;
            let bytes = &input[..whole];
            if args.len() == 3
                && args[0].eq_ignore_ascii_case(b"replconf")
                && args[1].eq_ignore_ascii_case(b"getack")
            {
                self.ack_wanted = true;
                self.fsync_wanted |= args[2].eq_ignore_ascii_case(FSYNC_WORD.as_bytes());
            }
            let begins = epoch::read_record(&args);
            let may = || node.role.order() == self.order;
            let mut told = false;
            let then = |db, events: Vec<Event>| {
                let since = node.log.end();
                node.log.append_raw(bytes, db);
                if let Some(number) = begins {
                    node.log.learn_epoch(Epoch { number, since });
                }
                told = !events.is_empty() && node.pubsub.line_up_events(wanted, events);
            };
            let applied = self.applier.apply_if(&node.keyspace, &args, now_ms, may, then);
            if applied.is_ok() {
                self.heard.note(node, &args);
            }
            drop(args);
            match applied {
                Ok(Applied::Done) => {
                    input.advance(whole);
                    self.held = 0;
                    if told {
                        node.pubsub.deliver_events(node);
                    }
                    self.heard.deliver(node);
                }
                Ok(Applied::Queued) => self.held = whole,
                Err(error @ ApplyError::Stopped) => return Err(io::Error::other(error)),
                Err(error) => {
                    let text = format!("replication stopped at offset {}: {error}", node.log.end());
                    if node.role.refusal().as_deref() != Some(&text) {
                        tracing::error!("{text}");
                        node.role.set_refusal(Some(text.clone()));
                    }
                    return Err(io::Error::other(text));
                }
            }
            serve_ready_of_node(node, self.applier.take_ready());
            add(&node.changes, self.applier.take_changes());
            add(&node.stats.commands, 1);
        }
    }
}
