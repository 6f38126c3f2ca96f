//! A replica's patience: full syncs that come to nothing, one after the other, are asked for less and less often.
//!
//! A full sync is dear to the primary, and to all who wait for the next snapshot. A replica that is too slow for what is
//! written, or whose link drops all the time, would ask for one again and again. So one that breaks off, or is followed by the
//! end of the link before that has lasted, counts as fruitless. After several the next is put off. Partial syncs never are.

use crate::base::random::Rng;
use crate::base::time::Clock;
use crate::replication::Place;
use crate::replication::backoff::Backoff;
use crate::replication::handshake::info_fields;
use crate::server::Node;
use parking_lot::Mutex;

/// The longest pause after the second fruitless full sync, ms; it doubles from there.
const FIRST_PAUSE_MS: u64 = 500;
/// The longest pause, ms.
const LONGEST_PAUSE_MS: u64 = 30_000;
/// A link that has lasted so long after a full sync has been worth it, ms.
const LASTING_MS: u64 = 10_000;
/// Or so many times as long as the sync took, if that is more.
const LASTING_TIMES: u64 = 2;

/// The full syncs that a replica has asked for.
#[derive(Debug)]
pub struct Resync {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    backoff: Backoff,
    course: Course,
    /// Until when none is asked for, on the monotonic clock.
    not_before_ms: u64,
    /// Why the last one was fruitless.
    reason: Option<String>,
}

/// Where the present full sync is, with moments on the monotonic clock.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// There is none that could turn out to be fruitless.
    None,
    /// It began then.
    Receiving { since_ms: u64 },
    /// It was loaded then, and took so long.
    Following { since_ms: u64, took_ms: u64 },
}

/// How the full syncs of a replica stand, for INFO.
pub struct Standing {
    /// Fruitless ones in a row.
    pub fruitless: u32,
    /// Until the next may be asked for, ms.
    pub wait_ms: u64,
    /// Why the last one was fruitless.
    pub reason: Option<String>,
}

impl Default for Resync {
    fn default() -> Self {
        Resync::with(Rng::from_os())
    }
}

impl Resync {
    fn with(rng: Rng) -> Resync {
        let backoff = Backoff::new(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, rng);
        Resync { state: Mutex::new(State { backoff, course: Course::None, not_before_ms: 0, reason: None }) }
    }

    /// Another primary, or another order: nothing that was counts.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        state.backoff.succeeded();
        (state.course, state.not_before_ms, state.reason) = (Course::None, 0, None);
    }

    /// A full sync begins.
    pub fn begins(&self, now_ms: u64) {
        self.state.lock().course = Course::Receiving { since_ms: now_ms };
    }

    /// It is loaded, and the stream follows.
    pub fn follows(&self, now_ms: u64) {
        let mut state = self.state.lock();
        if let Course::Receiving { since_ms } = state.course {
            state.course = Course::Following { since_ms: now_ms, took_ms: now_ms.saturating_sub(since_ms) };
        }
    }

    /// Call now and then while the stream is followed: a link that lasts ends the row of fruitless syncs.
    pub fn look(&self, now_ms: u64) {
        let mut state = self.state.lock();
        if let Course::Following { since_ms, took_ms } = state.course
            && now_ms.saturating_sub(since_ms) >= LASTING_MS.max(took_ms.saturating_mul(LASTING_TIMES))
        {
            state.backoff.succeeded();
            (state.course, state.reason) = (Course::None, None);
        }
    }

    /// The link has ended for this reason. If that made a full sync fruitless: how many there were in a row, and how long to
    /// wait before the next, ms.
    pub fn link_ended(&self, now_ms: u64, why: &str) -> Option<(u32, u64)> {
        self.look(now_ms);
        let mut state = self.state.lock();
        let when = match std::mem::replace(&mut state.course, Course::None) {
            Course::None => return None,
            Course::Receiving { .. } => "during a full sync".to_owned(),
            Course::Following { since_ms, .. } => {
                format!("{} ms after a full sync", now_ms.saturating_sub(since_ms))
            }
        };
        let pause_ms = state.backoff.failed();
        state.not_before_ms = now_ms.saturating_add(pause_ms);
        state.reason = Some(format!("the link ended {when}: {why}"));
        Some((state.backoff.failures(), pause_ms))
    }

    /// How long no full sync is to be asked for yet, ms; 0: it may be.
    pub fn wait_ms(&self, now_ms: u64) -> u64 {
        self.state.lock().not_before_ms.saturating_sub(now_ms)
    }

    /// Adds what the primary says of the syncs it gave up to the reason for the last one's end.
    pub fn hear(&self, word: &str) {
        if let Some(reason) = &mut self.state.lock().reason
            && !reason.ends_with(word)
        {
            reason.push_str("; its primary's last word on that: ");
            reason.push_str(word);
        }
    }

    /// How things stand.
    pub fn standing(&self, now_ms: u64) -> Standing {
        let state = self.state.lock();
        Standing {
            fruitless: state.backoff.failures(),
            wait_ms: state.not_before_ms.saturating_sub(now_ms),
            reason: state.reason.clone(),
        }
    }
}

/// The monotonic clock that [`Resync`] goes by, ms.
pub fn now_ms(node: &Node) -> u64 {
    node.clock().monotonic_us() / 1000
}

/// Whether a full sync is put off, because several came to nothing: then for how many ms. `info` is the primary's.
pub fn put_off(node: &Node, own: Option<Place>, info: &str) -> Option<u64> {
    let resync = &node.role.resync;
    let wait_ms = resync.wait_ms(now_ms(node));
    if wait_ms == 0 || own.is_some_and(|own| can_go_on(own, info)) {
        return None;
    }
    if let Some(word) = info_fields(info).get("outrigger_sync_trouble") {
        resync.hear(word);
    }
    tracing::info!(
        wait_ms,
        reason = resync.standing(0).reason.unwrap_or_default(),
        "a full sync is needed, and put off: the last ones came to nothing"
    );
    Some(wait_ms)
}

/// Would the primary whose INFO this is let a replica that is here go on with a partial sync?
fn can_go_on(own: Place, info: &str) -> bool {
    let fields = info_fields(info);
    let number = |field: &str| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    let named = |field: &str| fields.get(field).is_some_and(|id| *id == own.lineage.to_string());
    let Some(end) = number("master_repl_offset") else { return false };
    let is_past = || named("master_replid2") && number("second_repl_offset").is_some_and(|n| own.offset < n);
    let first = match fields.get("repl_backlog_active") {
        Some(&"1") => number("repl_backlog_first_byte_offset").unwrap_or(u64::MAX),
        // Whoever has everything needs nothing of it.
        _ => end.saturating_add(1),
    };
    (named("master_replid") || is_past()) && own.offset.saturating_add(1) >= first && own.offset <= end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::Lineage;

    #[test]
    fn fruitless_syncs_are_put_off_longer_and_longer() {
        let resync = Resync::with(Rng::from_seed(3));
        let mut now_ms = 1_000;
        let mut pauses = Vec::new();
        for row in 1..=9 {
            resync.begins(now_ms);
            if row % 2 == 0 {
                now_ms += 500;
                resync.follows(now_ms);
            }
            now_ms += 100;
            let (failures, pause_ms) = resync.link_ended(now_ms, "gone").expect("a fruitless sync");
            assert_eq!((failures, resync.wait_ms(now_ms)), (row, pause_ms));
            pauses.push(pause_ms);
            now_ms += pause_ms;
            assert_eq!(resync.wait_ms(now_ms), 0);
        }
        assert!(pauses[0] == 0 && pauses[1] <= 500 && pauses[8] >= 15_000, "{pauses:?}");
        let reason = resync.standing(now_ms).reason.expect("a reason");
        assert!(reason.contains("during a full sync: gone"), "{reason}");
    }

    #[test]
    fn only_a_link_that_lasts_ends_the_row() {
        let resync = Resync::with(Rng::from_seed(3));
        let run = |took_ms: u64, lasted_ms: u64| {
            resync.begins(0);
            resync.follows(took_ms);
            resync.look(took_ms + lasted_ms / 2);
            resync.link_ended(took_ms + lasted_ms, "gone").map(|(failures, _)| failures)
        };
        assert_eq!((run(10, 9_000), run(10, 9_999), run(10, 10_000)), (Some(1), Some(2), None));
        assert_eq!((run(20_000, 39_000), run(20_000, 40_000)), (Some(1), None));
        // A link that ends without a full sync tells nothing.
        assert!(resync.link_ended(90_000, "gone").is_none());
        resync.begins(0);
        resync.forget();
        assert!(resync.link_ended(1, "gone").is_none());
    }

    #[test]
    fn who_may_go_on_is_not_put_off() {
        let lineage = |digit: &str| Lineage::parse(digit.repeat(40).as_bytes()).expect("a lineage");
        let info = |active: u8, first: u64| {
            format!(
                "master_replid:{}\r\nmaster_replid2:{}\r\nmaster_repl_offset:100\r\nsecond_repl_offset:41\r\n\
                 repl_backlog_active:{active}\r\nrepl_backlog_first_byte_offset:{first}\r\n",
                lineage("a"),
                lineage("b")
            )
        };
        let can = |digit: &str, offset, active, first| {
            can_go_on(Place { lineage: lineage(digit), offset }, &info(active, first))
        };
        assert!(can("a", 50, 1, 51) && !can("a", 49, 1, 51) && can("a", 100, 1, 51) && !can("a", 101, 1, 51));
        assert!(can("b", 40, 1, 1) && !can("b", 41, 1, 1) && !can("c", 50, 1, 1));
        assert!(can("a", 100, 0, 0) && !can("a", 99, 0, 0));
    }
}
