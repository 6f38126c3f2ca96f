//! Keyspace events: what each server tells of the same commands, in the same order.

use super::compare::Pair;
use super::differences;
use super::grammar::Arg;
use super::{Options, Run, run, shown};
use crate::support::{Client, show};
use outrigger::resp::RespValue;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events of what is removed by the clock, at a moment of each server's own.
const EXPIRED: &[u8] = b"expired";

/// What a server told: the channel and the payload.
type Told = Vec<(Vec<u8>, Vec<u8>)>;

/// Somebody who hears of all events of a server.
struct Listener {
    hears: Client,
    marks: Client,
    /// The channel of what tells that all events before it have come; others have their own.
    marker: String,
    /// What expired since the two servers were last compared.
    expired: Told,
}

impl Listener {
    fn new(port: u16) -> io::Result<Listener> {
        let (mut hears, marks) = (Client::connect(port)?, Client::connect(port)?);
        static LISTENERS: AtomicU64 = AtomicU64::new(0);
        let marker = format!("marker:{}", LISTENERS.fetch_add(1, Ordering::Relaxed));
        hears.send(&["PSUBSCRIBE", "__key*", &marker])?;
        hears.read()?;
        hears.read()?;
        Ok(Listener { hears, marks, marker, expired: Told::new() })
    }

    /// What has been told since the last look, without what expired.
    fn take(&mut self) -> io::Result<Told> {
        self.marks.try_command(&["PUBLISH", &self.marker, ""])?;
        let mut told = Told::new();
        loop {
            let message = self.hears.read()?;
            let parts: Vec<&[u8]> =
                message.as_slice().into_iter().flatten().filter_map(RespValue::as_bytes).collect();
            let [_, _, channel, payload] = parts[..] else {
                return Err(io::Error::other(format!("not a message: {message:?}")));
            };
            if channel == self.marker.as_bytes() {
                return Ok(told);
            }
            let event = (channel.to_vec(), payload.to_vec());
            let is_expiry = payload == EXPIRED || channel.ends_with(b"__:expired");
            if is_expiry { self.expired.push(event) } else { told.push(event) }
        }
    }
}

/// Listeners to both servers, and what they heard of the last command.
pub struct Listeners {
    ours: Listener,
    theirs: Listener,
    last: Option<(Told, Told)>,
}

impl Listeners {
    /// Subscribes at both.
    pub fn new(ours: u16, theirs: u16) -> io::Result<Listeners> {
        Ok(Listeners { ours: Listener::new(ours)?, theirs: Listener::new(theirs)?, last: None })
    }

    /// Has both remove what expires only when somebody comes upon it: so events are told in one order.
    pub fn expire_by_access(ours: &mut Client, theirs: &mut Client) {
        [ours, theirs].into_iter().for_each(|client| client.ok("DEBUG SET-ACTIVE-EXPIRE 0"));
    }

    /// Before a command that is sent to both: what was told meanwhile is nobody's concern.
    pub fn begin(&mut self) -> io::Result<()> {
        self.ours.take()?;
        self.theirs.take()?;
        self.last = None;
        Ok(())
    }

    /// After it.
    pub fn end(&mut self) -> io::Result<()> {
        self.last = Some((self.ours.take()?, self.theirs.take()?));
        Ok(())
    }

    /// Forgets the last command, which the two servers did not do alike.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

/// What a deletion would have been as an expiry.
fn as_expired((channel, payload): &(Vec<u8>, Vec<u8>)) -> Option<(Vec<u8>, Vec<u8>)> {
    match channel.strip_suffix(b"__:del") {
        Some(start) => Some(([start, b"__:", EXPIRED].concat(), payload.clone())),
        None => (payload == b"del").then(|| (channel.clone(), EXPIRED.to_vec())),
    }
}

fn listed(told: &Told) -> String {
    let each = told.iter().map(|(channel, payload)| format!("{} = {}", show(channel), show(payload)));
    each.collect::<Vec<_>>().join(", ")
}

impl Run {
    /// Compares what the two told of the last command.
    pub(super) fn compare_events(&mut self, which: usize, args: &[Arg]) {
        let Some(listeners) = &mut self.setup.pairs[which].listeners else { return };
        let Some((ours, theirs)) = listeners.last.take() else { return };
        if let [name, _, ms] = args
            && name == b"PEXPIRE"
            && ms == super::steps::SOON_MS
        {
            // Where that time passes before the command is through the key is deleted, which is left to chance.
            listeners.ours.expired.extend(ours.iter().filter_map(as_expired));
            listeners.theirs.expired.extend(theirs.iter().filter_map(as_expired));
            return;
        }
        if ours != theirs && !differences::is_told_otherwise(args, &ours, &theirs) {
            self.events_differ(args, &ours, &theirs, "events");
        }
    }

    /// Compares what has expired, once both must have noticed.
    pub(super) fn compare_expired(&mut self, which: usize, args: &[Arg]) {
        // Those of the other pair have heard the same.
        let both = self.setup.pairs.each_mut().map(|pair| {
            let Some(listeners) = &mut pair.listeners else { return Default::default() };
            listeners.begin().expect("the events so far");
            [&mut listeners.ours, &mut listeners.theirs].map(|it| {
                let mut expired = std::mem::take(&mut it.expired);
                expired.sort();
                expired
            })
        });
        let [ours, theirs] = &both[which];
        if ours != theirs {
            self.events_differ(args, ours, theirs, "events of expiry");
        }
    }

    fn events_differ(&mut self, args: &[Arg], ours: &Told, theirs: &Told, what: &str) {
        let name = String::from_utf8_lossy(&args[0]).to_uppercase();
        let text = format!(
            "{}\n    ours:   {}\n    theirs: {}\n{}",
            shown(args),
            listed(ours),
            listed(theirs),
            self.history.about(args)
        );
        self.differences.entry(format!("{name}: {what}")).or_insert(text);
        self.start_over();
    }
}

impl Pair {
    /// The two connections, and listeners if `options` want events.
    pub fn new(ours: Client, theirs: Client, options: Options) -> Pair {
        let (mut ours, mut theirs) = (ours, theirs);
        let listeners = options.events.then(|| {
            Listeners::expire_by_access(&mut ours, &mut theirs);
            let port = |client: &Client| client.port().expect("a port");
            Listeners::new(port(&ours), port(&theirs)).expect("listeners")
        });
        Pair { ours, theirs, listeners }
    }
}

#[test]
fn same_events_as_redis() {
    let both = &["--notify-keyspace-events", "KEAmn"];
    run(5, Options { both, ours: &[], newer: false, events: true });
}
