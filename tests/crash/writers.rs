//! Connections that write under load, and know what they were told is safe.
//!
//! Each keeps a ledger on the primary: a list to which it appends 1, 2, 3, … among random commands of every type. The list
//! must always be a run without a hole, and never end before a number that the killed nodes had to keep.

use crate::support::traffic::Traffic;
use crate::support::{Client, wait_for};
use outrigger::base::random::Rng;
use outrigger::resp::RespValue;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The database of ledgers and of what else must never vanish.
pub const KEPT_DB: &str = "15";
/// Connections that write.
const WRITERS: usize = 4;
/// Connections that only make the stream broad, so that the replica is behind when something is killed.
const FLOODS: usize = 2;
/// The database that they fill.
const FLOOD_DB: &str = "4";
/// Most random commands between two entries of a ledger.
const BATCH: usize = 60;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// The primary: what the replica received must be there.
    Primary = 0,
    /// The replica: everything that was answered must be there.
    Replica = 1,
    /// Both: what the replica fsynced must be there.
    Both = 2,
}

/// How far a writer is, in entries of its ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Sent.
    pub sent: u64,
    /// Answered by the primary.
    pub answered: u64,
    /// Received by the replica, as WAIT said.
    pub received: u64,
    /// Fsynced by the replica, as WAITAOF said.
    pub durable: u64,
}

/// What all writers share.
#[derive(Default)]
struct Shared {
    running: AtomicBool,
    ended: AtomicBool,
    paused: AtomicUsize,
    kill: AtomicUsize,
    /// Figures for the report.
    commands: AtomicU64,
    acknowledged: AtomicU64,
    violations: Mutex<Vec<String>>,
}

impl Shared {
    /// Repeats `step` while the writers run; on an error its connection is dropped.
    fn work(&self, mut step: impl FnMut(&mut Option<Client>) -> io::Result<()>) {
        let mut connection = None;
        while !self.ended.load(Ordering::Acquire) {
            if !self.running.load(Ordering::Acquire) {
                self.paused.fetch_add(1, Ordering::AcqRel);
                while !self.running.load(Ordering::Acquire) && !self.ended.load(Ordering::Acquire) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.paused.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            if step(&mut connection).is_err() {
                connection = None;
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// The writing connections.
pub struct Writers {
    shared: Arc<Shared>,
    progress: Vec<Arc<Mutex<Progress>>>,
    threads: Vec<JoinHandle<()>>,
}

/// The key of a writer's ledger.
fn ledger(writer: usize) -> String {
    format!("ledger:{writer}")
}

impl Writers {
    /// Writers to this port, paused.
    pub fn start(port: u16, seed: u64) -> Writers {
        let shared = Arc::new(Shared::default());
        let progress: Vec<_> = (0..WRITERS).map(|_| Arc::default()).collect();
        let start = |(index, progress): (usize, &Arc<Mutex<Progress>>)| {
            let mut writer = Writer {
                index,
                port,
                traffic: Traffic::new(seed * 1_000 + index as u64),
                shared: shared.clone(),
                progress: progress.clone(),
            };
            std::thread::spawn(move || writer.shared.clone().work(|connection| writer.step(connection)))
        };
        let mut threads: Vec<_> = progress.iter().enumerate().map(start).collect();
        threads.extend((0..FLOODS).map(|index| {
            let shared = shared.clone();
            let mut flood = Flood { port, rng: Rng::from_seed(seed * 1_000 + 500 + index as u64) };
            std::thread::spawn(move || shared.work(|connection| flood.step(connection)))
        }));
        let writers = Writers { shared, progress, threads };
        writers.pause();
        writers
    }

    /// Lets them write, and waits until each was acknowledged something.
    pub fn run(&self) {
        self.shared.running.store(true, Ordering::Release);
        let began = |progress: &Arc<Mutex<Progress>>| {
            let at = *progress.lock().unwrap();
            at.received > 0 && at.durable > 0
        };
        wait_for("writers to be acknowledged", Duration::from_secs(30), || {
            self.progress.iter().all(began) || self.has_violations()
        });
    }

    /// Says what is going to be killed.
    pub fn expect(&self, kill: Kill) {
        self.shared.kill.store(kill as usize, Ordering::Release);
    }

    /// Waits until nothing of theirs is under way.
    pub fn pause(&self) {
        self.shared.running.store(false, Ordering::Release);
        wait_for("writers to pause", Duration::from_secs(60), || {
            self.shared.paused.load(Ordering::Acquire) == WRITERS + FLOODS
        });
    }

    fn has_violations(&self) -> bool {
        !self.shared.violations.lock().unwrap().is_empty()
    }

    /// Commands answered, and entries acknowledged by the replica, so far.
    pub fn figures(&self) -> (u64, u64) {
        (self.shared.commands.load(Ordering::Relaxed), self.shared.acknowledged.load(Ordering::Relaxed))
    }

    /// Fails if a writer saw something that must not be, or if a ledger on the node behind `client` is not what its writer
    /// knows. Writers must be paused.
    pub fn check(&self, client: &mut Client, node: &str) {
        let violations = self.shared.violations.lock().unwrap().clone();
        assert!(violations.is_empty(), "{violations:#?}");
        client.ok(&format!("SELECT {KEPT_DB}"));
        for (index, progress) in self.progress.iter().enumerate() {
            let at = *progress.lock().unwrap();
            let reply = client.cmd(&format!("LRANGE {} 0 -1", ledger(index)));
            let RespValue::Array(items) = reply else { panic!("{node}: ledger {index}: {reply:?}") };
            for (entry, item) in items.iter().enumerate() {
                let wanted = (entry + 1).to_string();
                assert_eq!(item.as_bytes(), Some(wanted.as_bytes()), "{node}: ledger {index} has a hole");
            }
            let len = items.len() as u64;
            assert!(len >= at.answered && len <= at.sent, "{node}: ledger {index} has {len}, known: {at:?}");
        }
    }

    /// Empties the ledgers, so that the next cycle is as quick as the first. Writers must be paused.
    pub fn begin_anew(&self, primary: &mut Client) {
        primary.ok(&format!("SELECT {KEPT_DB}"));
        for (index, progress) in self.progress.iter().enumerate() {
            primary.int(&format!("DEL {}", ledger(index)));
            *progress.lock().unwrap() = Progress::default();
        }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.threads.drain(..).for_each(|thread| {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a writer panicked");
        });
    }
}

/// A connection that writes much and asks nothing.
struct Flood {
    port: u16,
    rng: Rng,
}

impl Flood {
    fn step(&mut self, connection: &mut Option<Client>) -> io::Result<()> {
        let Some(client) = connection else {
            let mut client = Client::connect(self.port)?;
            client.try_command(&["SELECT", FLOOD_DB])?;
            *connection = Some(client);
            return Ok(());
        };
        let mut bytes = Vec::new();
        const PIPELINE: usize = 200;
        for _ in 0..PIPELINE {
            let key = format!("flood:{}", self.rng.below(3_000));
            let len = 1 + self.rng.below(3_000) as usize;
            let value = self.rng.hex(len);
            outrigger::resp::write_command(&mut bytes, &["SET", &key, &value]);
        }
        client.send_raw(&bytes)?;
        for _ in 0..PIPELINE {
            if client.read()?.as_error().is_some() {
                return Err(io::Error::other("not now"));
            }
        }
        // Broad, but not so broad that the backlog cannot reach back over a restart.
        std::thread::sleep(Duration::from_millis(10));
        Ok(())
    }
}

/// A connection that keeps a ledger.
struct Writer {
    index: usize,
    port: u16,
    traffic: Traffic,
    shared: Arc<Shared>,
    progress: Arc<Mutex<Progress>>,
}

impl Writer {
    fn step(&mut self, connection: &mut Option<Client>) -> io::Result<()> {
        match connection {
            None => *connection = Some(self.connect()?),
            Some(client) => self.write_batch(client)?,
        }
        Ok(())
    }

    fn violation(&self, text: String) {
        self.shared.violations.lock().unwrap().push(format!("writer {}: {text}", self.index));
    }

    /// A new connection, and where the ledger stands now: what was under way when the old one broke may be there or not.
    fn connect(&self) -> io::Result<Client> {
        let mut client = Client::connect(self.port)?;
        client.try_command(&["SELECT", KEPT_DB])?;
        let reply = client.try_command(&["LLEN", &ledger(self.index)])?;
        let Some(len) = reply.as_int() else {
            let text = reply.as_error().map(String::from_utf8_lossy).unwrap_or_default();
            if !["FENCED ", "LOADING "].iter().any(|code| text.starts_with(code)) {
                self.violation(format!("LLEN of the ledger: {reply:?}"));
            }
            return Err(io::Error::other(text.into_owned()));
        };
        let len = len as u64;
        let mut at = self.progress.lock().unwrap();
        let kept = match self.shared.kill.load(Ordering::Acquire) {
            kind if kind == Kill::Primary as usize => at.received.max(at.durable),
            kind if kind == Kill::Replica as usize => at.answered,
            _ => at.durable,
        };
        if len < kept || len > at.sent {
            self.violation(format!("the ledger has {len} entries, must have {kept}; known: {at:?}"));
        }
        let durable = at.durable.min(len);
        *at = Progress { sent: len, answered: len, received: at.received.min(len), durable };
        Ok(client)
    }

    /// Random commands, an entry of the ledger, and perhaps the question whether it is safe.
    fn write_batch(&mut self, client: &mut Client) -> io::Result<()> {
        let number = {
            let mut at = self.progress.lock().unwrap();
            at.sent += 1;
            at.sent
        };
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut commands = vec![self.traffic.select()];
        commands.extend(self.traffic.batch(BATCH));
        commands.push(words(&["SELECT", KEPT_DB]));
        commands.push(words(&["RPUSH", &ledger(self.index), &number.to_string()]));
        let question = self.traffic.rng().below(6);
        match question {
            0 => commands.push(words(&["WAIT", "1", "100"])),
            1 => commands.push(words(&["WAITAOF", "0", "1", "100"])),
            _ => {}
        }
        let mut bytes = Vec::new();
        commands.iter().for_each(|args| outrigger::resp::write_command(&mut bytes, args));
        client.send_raw(&bytes)?;
        let entry = commands.len() - if question < 2 { 2 } else { 1 };
        for (index, _) in commands.iter().enumerate() {
            let reply = client.read()?;
            if index == entry {
                self.note_answer(number, &reply)?;
            } else if index > entry {
                self.note_acknowledgement(number, &reply);
            }
        }
        self.shared.commands.fetch_add(commands.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn note_answer(&self, number: u64, reply: &RespValue) -> io::Result<()> {
        if reply.as_int() != Some(number as i64) {
            self.violation(format!("entry {number} was answered {reply:?}"));
            return Err(io::Error::other("the entry was not taken"));
        }
        self.progress.lock().unwrap().answered = number;
        Ok(())
    }

    fn note_acknowledgement(&self, number: u64, reply: &RespValue) {
        let mut at = self.progress.lock().unwrap();
        match reply {
            RespValue::Int(replicas) if *replicas >= 1 => at.received = number,
            RespValue::Array(counts) if counts.get(1).and_then(RespValue::as_int) >= Some(1) => {
                at.durable = number
            }
            RespValue::Int(_) | RespValue::Array(_) => return,
            other => return self.violation(format!("the wait was answered {other:?}")),
        }
        self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}
