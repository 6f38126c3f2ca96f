//! Clients that read and write a few keys, and the record of what they were told.

use super::proxy::Proxy;
use crate::support::Client;
use crate::support::rng::Pick;
use outrigger::base::random::Rng;
use outrigger::resp::RespValue;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Keys that are read and written.
pub const KEYS: usize = 8;
/// Longest that a client waits for a reply; then it does not know.
const PATIENCE: Duration = Duration::from_millis(700);

/// What an operation does with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SET to a value that nobody else sets.
    Set(i64),
    /// GET.
    Get,
    /// INCR.
    Incr,
}

impl Action {
    /// Values that are set are multiples of this; what increments made of them stays below the next.
    pub const STEP: i64 = 100_000;
}

/// An operation whose effect, or whose answer, counts.
#[derive(Debug, Clone)]
pub struct Op {
    /// Its key.
    pub key: usize,
    /// The node that was asked.
    pub node: usize,
    /// What it does.
    pub action: Action,
    /// When it was called, since the start.
    pub called_ns: u64,
    /// When it was answered; [`Op::NEVER`] if nobody knows whether it happened.
    pub returned_ns: u64,
    /// What GET and INCR were answered.
    pub answer: Option<i64>,
}

impl Op {
    /// No answer came.
    pub const NEVER: u64 = u64::MAX;

    /// Nobody knows whether it happened.
    pub fn is_unknown(&self) -> bool {
        self.returned_ns == Op::NEVER
    }
}

/// A time in which a node was the acting primary: a read of it counts if it lies within.
#[derive(Debug, Clone, Copy)]
pub struct Reign {
    /// The node.
    pub node: usize,
    /// From when on.
    pub from_ns: u64,
    /// Up to when.
    pub to_ns: u64,
}

/// What the clients, and whoever commands the nodes, share.
pub struct Record {
    start: Instant,
    /// The node that clients are to ask.
    pub acting: AtomicUsize,
    /// The clients are to end.
    pub over: AtomicBool,
    next_value: AtomicI64,
    ops: Mutex<Vec<Op>>,
    reigns: Mutex<Vec<Reign>>,
}

impl Record {
    /// An empty record; `node` acts from now on.
    pub fn new(node: usize) -> Record {
        let first = Reign { node, from_ns: 0, to_ns: Op::NEVER };
        Record {
            start: Instant::now(),
            acting: AtomicUsize::new(node),
            over: AtomicBool::new(false),
            next_value: AtomicI64::new(1),
            ops: Mutex::new(Vec::new()),
            reigns: Mutex::new(vec![first]),
        }
    }

    /// Nanoseconds since the start.
    pub fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// The acting primary is about to lose its place.
    pub fn reign_ends(&self) {
        let now_ns = self.now_ns();
        let mut reigns = self.reigns.lock().expect("the reigns");
        if let Some(last) = reigns.last_mut().filter(|last| last.to_ns == Op::NEVER) {
            last.to_ns = now_ns;
        }
    }

    /// This node acts from now on.
    pub fn reign_begins(&self, node: usize) {
        let from_ns = self.now_ns();
        self.acting.store(node, Ordering::Release);
        self.reigns.lock().expect("the reigns").push(Reign { node, from_ns, to_ns: Op::NEVER });
    }

    /// Notes an operation.
    pub fn add(&self, op: Op) {
        self.ops.lock().expect("the operations").push(op);
    }

    /// What counts, by key: everything but reads of nodes that did not act at the time.
    pub fn by_key(&self) -> Vec<Vec<Op>> {
        let reigns = self.reigns.lock().expect("the reigns");
        let within = |op: &Op| {
            reigns.iter().any(|reign| {
                reign.node == op.node && reign.from_ns <= op.called_ns && op.returned_ns <= reign.to_ns
            })
        };
        let mut keys = vec![Vec::new(); KEYS];
        for op in self.ops.lock().expect("the operations").iter() {
            if op.action != Action::Get || within(op) {
                keys[op.key].push(op.clone());
            }
        }
        keys
    }

    /// The name of a key.
    pub fn name(key: usize) -> String {
        format!("register:{key}")
    }
}

/// What a reply says of an operation.
enum Told {
    /// It happened, and this is the answer.
    Done(Option<i64>),
    /// It did not happen, or nothing was to be learnt.
    Nothing,
    /// It may have happened.
    MaybeDone,
}

/// Errors that are answered before anything is done.
const REFUSALS: [&str; 5] = ["READONLY ", "FENCED ", "LOADING ", "MASTERDOWN ", "NOREPLICAS "];

/// Does an error say that nothing was done?
fn is_refusal(text: &str) -> bool {
    let refused = REFUSALS.iter().any(|refusal| text.starts_with(refusal));
    refused || text.starts_with("NOTDURABLE ") && text.ends_with("nothing was written")
}

/// The number that a GET was answered with.
pub fn read_value(reply: &RespValue) -> Option<i64> {
    reply.as_bytes().map(|text| String::from_utf8_lossy(text).parse().expect("a number"))
}

fn judge(action: Action, reply: std::io::Result<RespValue>) -> Told {
    let reply = match reply {
        Ok(reply) => reply,
        Err(_) if action == Action::Get => return Told::Nothing,
        Err(_) => return Told::MaybeDone,
    };
    if let Some(error) = reply.as_error() {
        let text = String::from_utf8_lossy(error).into_owned();
        return match action {
            Action::Get => Told::Nothing,
            _ if is_refusal(&text) => Told::Nothing,
            _ if text.starts_with("NOTDURABLE ") => Told::MaybeDone,
            _ => panic!("{action:?}: {text}"),
        };
    }
    match action {
        Action::Set(_) => {
            assert_eq!(reply, RespValue::Simple(b"OK".to_vec()));
            Told::Done(None)
        }
        Action::Incr => Told::Done(Some(reply.as_int().expect("an integer"))),
        Action::Get => Told::Done(read_value(&reply)),
    }
}

/// Runs one client until the record says that it is over.
pub fn run_client(record: &Record, doors: &[Proxy], seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let mut connections: Vec<Option<Client>> = doors.iter().map(|_| None).collect();
    while !record.over.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_micros(rng.between(2_000, 20_000) as u64));
        // Some have not heard yet who acts, or have heard wrong.
        let acting = record.acting.load(Ordering::Acquire);
        let node = if rng.percent(88) { acting } else { rng.index(doors.len()) };
        let connection = &mut connections[node];
        if connection.is_none() {
            *connection = greet(&doors[node]);
        }
        let Some(client) = connection else { continue };
        if !ask(record, client, node, &mut rng) {
            *connection = None;
        }
    }
}

/// A connection on which somebody answers.
fn greet(door: &Proxy) -> Option<Client> {
    let mut client = Client::connect(door.port()).ok()?;
    client.set_read_timeout(PATIENCE);
    client.try_command(&["PING"]).ok()?;
    Some(client)
}

/// Sends one operation and notes what came of it; false if the connection is of no more use.
fn ask(record: &Record, client: &mut Client, node: usize, rng: &mut Rng) -> bool {
    let key = rng.index(KEYS);
    let action = match rng.below(10) {
        0..4 => Action::Set(record.next_value.fetch_add(1, Ordering::Relaxed) * Action::STEP),
        4 => Action::Incr,
        _ => Action::Get,
    };
    let name = Record::name(key);
    let words = match action {
        Action::Set(value) => vec!["SET".into(), name, value.to_string()],
        Action::Get => vec!["GET".into(), name],
        Action::Incr => vec!["INCR".into(), name],
    };
    let called_ns = record.now_ns();
    let reply = client.try_command(&words);
    let usable = reply.is_ok();
    let op = |returned_ns, answer| Op { key, node, action, called_ns, returned_ns, answer };
    match judge(action, reply) {
        Told::Done(answer) => record.add(op(record.now_ns(), answer)),
        Told::MaybeDone => record.add(op(Op::NEVER, None)),
        Told::Nothing => {}
    }
    usable
}
