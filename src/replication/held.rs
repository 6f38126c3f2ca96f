//! Replies that are held back in a connection's output until what they depend on is durable.
//!
//! Replies leave in the order of their commands, so one that must wait holds up all behind it, and none before it. One
//! that must not be given any more is replaced by an error in its place.

use super::acks::{Failure, Need, Verdict};
use crate::resp::reply::Reply;

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    need: Need,
}

/// Which replies of an output are held, and for what.
#[derive(Debug, Default)]
pub struct HeldReplies {
    spans: Vec<Span>,
}

/// What [`HeldReplies::settle`] came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Bytes at the front of the output that may be written.
    pub ready: usize,
    /// What the reply that waits for most is waiting for; `None`: none is held any more. The others are durable by then as a
    /// rule, and all of them leave in one write.
    pub wait_for: Option<Need>,
    /// Replies given although what they depend on is not durable.
    pub degraded: u64,
    /// Replies that became errors.
    pub failed: u64,
}

impl HeldReplies {
    /// Holds the reply that lies at `start..end`, behind all that are held already.
    pub fn push(&mut self, start: usize, end: usize, need: Need) {
        debug_assert!(start < end && self.spans.last().is_none_or(|last| last.end <= start));
        self.spans.push(Span { start, end, need });
    }

    /// True when no reply is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Number of replies held.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Forgets all: their output is gone.
    pub fn clear(&mut self) {
        self.spans.clear();
    }

    /// `count` bytes at the front of the output were written and taken from it.
    pub fn written(&mut self, count: usize) {
        for span in &mut self.spans {
            debug_assert!(span.start >= count, "a held reply was written");
            (span.start, span.end) = (span.start.saturating_sub(count), span.end.saturating_sub(count));
        }
    }

    /// Judges the replies in order up to the first that must wait, and puts errors in place of those that failed.
    pub fn settle(&mut self, output: &mut Vec<u8>, mut judge: impl FnMut(&Need) -> Verdict) -> Settled {
        let mut settled = Settled::default();
        let mut failed: Vec<(Span, Failure)> = Vec::new();
        let mut done = 0;
        for span in &self.spans {
            match judge(&span.need) {
                Verdict::Durable => {}
                Verdict::Degraded => settled.degraded += 1,
                Verdict::Failed(failure) => failed.push((*span, failure)),
                Verdict::Wait => break,
            }
            done += 1;
        }
        let needs = self.spans[done..].iter().map(|span| span.need);
        settled.wait_for = needs.filter(|need| judge(need) == Verdict::Wait).max_by_key(|need| need.position);
        self.spans.drain(..done);
        settled.failed = failed.len() as u64;
        if !failed.is_empty() {
            self.replace(output, &failed);
        }
        settled.ready = self.spans.first().map_or(output.len(), |span| span.start);
        settled
    }

    /// Writes the output anew with these replies, all before the held ones, as errors.
    fn replace(&mut self, output: &mut Vec<u8>, failed: &[(Span, Failure)]) {
        let old = std::mem::take(output);
        let mut from = 0;
        for (span, failure) in failed {
            output.extend_from_slice(old.get(from..span.start).unwrap_or_default());
            Reply::new(output, false).error(failure.text(span.need.wanted));
            from = span.end;
        }
        let moved = output.len();
        output.extend_from_slice(old.get(from..).unwrap_or_default());
        for span in &mut self.spans {
            (span.start, span.end) = (span.start - from + moved, span.end - from + moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(position: u64) -> Need {
        Need { position, wanted: 1, term: 0 }
    }

    /// An output of replies of which those with a position are held.
    fn output(replies: &[(&str, u64)]) -> (Vec<u8>, HeldReplies) {
        let (mut output, mut held) = (Vec::new(), HeldReplies::default());
        for (text, position) in replies {
            let start = output.len();
            output.extend_from_slice(text.as_bytes());
            if *position > 0 {
                held.push(start, output.len(), need(*position));
            }
        }
        (output, held)
    }

    fn up_to(durable: u64) -> impl FnMut(&Need) -> Verdict {
        move |need| if need.position <= durable { Verdict::Durable } else { Verdict::Wait }
    }

    #[test]
    fn what_stands_before_the_first_held_reply_may_go() {
        let (mut out, mut held) = output(&[("+A\r\n", 0), ("+B\r\n", 5), ("+C\r\n", 0), ("+D\r\n", 3)]);
        assert_eq!(
            held.settle(&mut out, up_to(4)),
            Settled { ready: 4, wait_for: Some(need(5)), ..Settled::default() }
        );
        out.drain(..4);
        held.written(4);
        // A reply that could go, behind one that cannot, waits for its turn.
        assert_eq!(
            held.settle(&mut out, up_to(4)),
            Settled { ready: 0, wait_for: Some(need(5)), ..Settled::default() }
        );
        let settled = held.settle(&mut out, up_to(5));
        assert_eq!((settled.ready, settled.wait_for, held.is_empty()), (12, None, true));
        assert_eq!(out, b"+B\r\n+C\r\n+D\r\n");
    }

    #[test]
    fn a_pipeline_waits_for_its_last_reply() {
        let (mut out, mut held) = output(&[("+A\r\n", 2), ("+B\r\n", 5), ("+C\r\n", 9), ("+D\r\n", 3)]);
        let wait_for = |need| Settled { ready: 0, wait_for: Some(need), ..Settled::default() };
        assert_eq!(held.settle(&mut out, up_to(1)), wait_for(need(9)));
        // What is durable by now may go all the same, when something else ends the wait.
        assert_eq!(held.settle(&mut out, up_to(5)), Settled { ready: 8, ..wait_for(need(9)) });
    }

    #[test]
    fn failed_replies_become_errors_in_their_place() {
        let replies = [("+A\r\n", 1), ("$5\r\nhello\r\n", 2), ("+C\r\n", 0), ("+D\r\n", 3), ("+E\r\n", 9)];
        let (mut out, mut held) = output(&replies);
        let judge = |need: &Need| match need.position {
            2 => Verdict::Failed(Failure::Demoted),
            3 => Verdict::Failed(Failure::Lost),
            9 => Verdict::Wait,
            _ => Verdict::Degraded,
        };
        let settled = held.settle(&mut out, judge);
        let errors = [Failure::Demoted, Failure::Lost].map(|failure| format!("-{}\r\n", failure.text(1)));
        let front = format!("+A\r\n{}+C\r\n{}", errors[0], errors[1]);
        assert_eq!(String::from_utf8_lossy(&out), format!("{front}+E\r\n"));
        assert_eq!((settled.ready, settled.degraded, settled.failed), (front.len(), 1, 2));
        out.drain(..settled.ready);
        held.written(settled.ready);
        let settled = held.settle(&mut out, |_| Verdict::Failed(Failure::TimedOut));
        assert_eq!(String::from_utf8_lossy(&out), format!("-{}\r\n", Failure::TimedOut.text(1)));
        assert_eq!((settled.ready, settled.wait_for, held.len()), (out.len(), None, 0));
    }
}
