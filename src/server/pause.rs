//! Pauses: commands wait, for a time or until CLIENT UNPAUSE, or writes do, while FAILOVER hands over.

use super::gate::{Gate, bits};
use crate::command::registry;
use crate::command::table::{Command, flags};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A pause, and who waits for its end.
#[derive(Default)]
pub struct Pause {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// Unix ms.
    until_ms: i64,
    all: bool,
    /// A failover holds writes back until it ends.
    failover: bool,
}

impl Pause {
    /// Begins a pause of all commands or of writes, or makes the present one longer or wider; never shorter or
    /// narrower. Where no write may end after it, the caller holds all shards.
    pub fn begin(&self, gate: &Gate, until_ms: i64, all: bool) {
        let mut state = self.state.lock();
        let going_on = gate.has(bits::PAUSED) && state.until_ms > 0;
        state.until_ms = if going_on { state.until_ms.max(until_ms) } else { until_ms };
        state.all = all || going_on && state.all;
        gate.set(bits::PAUSED, true);
    }

    /// Ends the pause; a failover's goes on.
    pub fn end(&self, gate: &Gate) {
        let mut state = self.state.lock();
        (state.until_ms, state.all) = (0, false);
        gate.set(bits::PAUSED, state.failover);
        drop(state);
        self.ended.notify_waiters();
    }

    /// Holds writes back until [`Pause::end_failover`].
    pub fn begin_failover(&self, gate: &Gate) {
        let mut state = self.state.lock();
        state.failover = true;
        gate.set(bits::PAUSED, true);
    }

    /// Ends a failover's pause; one of CLIENT PAUSE goes on.
    pub fn end_failover(&self, gate: &Gate) {
        let mut state = self.state.lock();
        state.failover = false;
        gate.set(bits::PAUSED, state.until_ms > 0);
        drop(state);
        self.ended.notify_waiters();
    }

    /// Ends the pause if its time has come.
    pub fn end_if_due(&self, gate: &Gate, now_ms: i64) {
        let is_due = |state: &State| state.until_ms > 0 && state.until_ms <= now_ms;
        if gate.has(bits::PAUSED) && is_due(&self.state.lock()) {
            self.end(gate);
        }
    }

    /// How long the pause still goes on, in ms.
    pub fn left_ms(&self, now_ms: i64) -> u64 {
        u64::try_from(self.state.lock().until_ms.saturating_sub(now_ms)).unwrap_or(0)
    }

    /// Must this command wait, while a pause goes on? `queued` are the commands of its client's transaction.
    pub fn holds(&self, args: &[&[u8]], queued: Option<&[crate::command::apply::OwnedCommand]>) -> bool {
        let writes = |command: &Command| command.has(flags::WRITE) || command.has(flags::MAY_REPLICATE);
        // What no pause lets run is refused at once.
        let Some((command, sub)) = registry::resolve(args) else { return false };
        if !sub.unwrap_or(command).arity_fits(args.len()) {
            return false;
        }
        if self.state.lock().all {
            return true;
        }
        let runs = command.name == "exec" && queued.into_iter().flatten().any(|(queued, _)| writes(queued));
        runs || writes(sub.unwrap_or(command))
    }

    /// Waits until the pause is over.
    pub async fn wait(&self, gate: &Gate, now_ms: impl Fn() -> i64) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before the look, so that an end right after it is not missed.
            ended.as_mut().enable();
            self.end_if_due(gate, now_ms());
            if !gate.has(bits::PAUSED) {
                return;
            }
            // Nothing is left of a failover's pause: it ends when it ends.
            let left_ms = self.left_ms(now_ms());
            let time_is_up = async {
                match left_ms {
                    0 => std::future::pending().await,
                    left_ms => tokio::time::sleep(std::time::Duration::from_millis(left_ms)).await,
                }
            };
            tokio::select! {
                () = ended => {}
                () = time_is_up => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::clients::ClientInfo;
    use crate::server::config::Config;
    use crate::server::dispatch::{Next, execute};
    use crate::server::endpoint::Endpoint;
    use crate::server::{Node, Session};
    use std::sync::Arc;

    /// What a command comes to, and how far it brings the log.
    fn run(node: &Arc<Node>, session: &mut Session, words: &str) -> (bool, u64) {
        let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let next = execute(node, session, &args, &mut Vec::new());
        (matches!(next, Next::Paused), node.log.end())
    }

    #[test]
    fn a_write_that_passed_the_look_before_the_pause_began_waits_all_the_same() {
        let node = Arc::new(Node::new(Config::default()));
        node.role.set_has_history(true);
        let nowhere = Endpoint::Unix("".into());
        let info = Arc::new(ClientInfo::new(0, nowhere.clone(), nowhere, -1, 0, Box::new(|| ())));
        let mut session = Session::new(info, node.settings(), true);
        node.pause.begin(&node.gate, i64::MAX, false);
        assert_eq!(run(&node, &mut session, "SET a 1"), (true, 0));
        assert_eq!(run(&node, &mut session, "GET a"), (false, 0));
        for words in ["MULTI", "GET a", "SET a 1"] {
            assert_eq!(run(&node, &mut session, words), (false, 0));
        }
        assert_eq!(run(&node, &mut session, "EXEC"), (true, 0));
        assert_eq!(run(&node, &mut session, "EXEC"), (true, 0), "it is there to be run again");
        node.pause.end(&node.gate);
        let (is_paused, end) = run(&node, &mut session, "EXEC");
        assert!(!is_paused && end > 0);
        assert_eq!(session.batch_commands, 7, "what was put off does not count");
    }

    #[test]
    fn a_pause_grows_and_ends() {
        let (gate, pause) = (Gate::default(), Pause::default());
        pause.begin(&gate, 100, false);
        assert!(pause.holds(&[b"SET", b"k", b"v"], None) && !pause.holds(&[b"GET", b"k"], None));
        let set = registry::find(b"set").unwrap();
        assert!(pause.holds(&[b"EXEC"], Some(&[(set, vec![])])) && !pause.holds(&[b"EXEC"], Some(&[])));
        assert!(!pause.holds(&[b"SET", b"k"], None) && !pause.holds(&[b"NONSENSE"], None));
        pause.begin(&gate, 50, true);
        assert!(!pause.holds(&[b"SET", b"k"], None) && !pause.holds(&[b"NONSENSE"], None));
        assert_eq!(pause.left_ms(40), 60);
        pause.begin(&gate, 70, false);
        assert!(pause.holds(&[b"GET", b"k"], None));
        pause.end_if_due(&gate, 99);
        assert!(gate.has(bits::PAUSED));
        pause.end_if_due(&gate, 100);
        assert!(!gate.has(bits::PAUSED));
        pause.begin(&gate, 10, false);
        assert!(!pause.holds(&[b"GET", b"k"], None));
    }

    #[test]
    fn waiting_ends_with_the_pause_or_its_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (gate, pause) = (Gate::default(), Pause::default());
        let begun = std::time::Instant::now();
        let now_ms = || begun.elapsed().as_millis() as i64;
        runtime.block_on(async {
            pause.begin(&gate, 20, true);
            pause.wait(&gate, now_ms).await;
            assert!(now_ms() >= 20);
            pause.begin(&gate, now_ms() + 100_000, true);
            let end = async { pause.end(&gate) };
            tokio::join!(pause.wait(&gate, now_ms), end);
        });
        assert!(now_ms() < 10_000);
    }
}
