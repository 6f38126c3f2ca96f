//! Keeps both processes running, and ends them in order.

use super::hull::{Hull, HullEvent, Side};
use super::probe::Probe;
use super::record::Record;
use super::screen::{Lines, Screen};
use super::setup::Plan;
use super::status::{Reading, StatusLine};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// How often both are asked how they are, once they serve.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often until then, and at the end.
const ASK_SOON: Duration = Duration::from_millis(50);
/// How long a stop waits for a replica to be attached before it gives up on it.
const ATTACH_PATIENCE: Duration = Duration::from_secs(60);
/// How long the replica may take to fsync once the primary is gone.
const DURABLE_PATIENCE: Duration = Duration::from_secs(20);
/// How often a stop says what it waits for.
const REMIND_EVERY: Duration = Duration::from_secs(10);
/// How long the last log lines of a process that has ended may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How a pair ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All that was written is fsynced.
    Durable,
    /// Somebody forced the end, or the replica could not be seen to have fsynced everything.
    Unsure,
}

/// Runs the pair until a signal ends it.
pub fn run(plan: Plan) -> io::Result<Ending> {
    // One thread: the processes must be made by the one that lives as long as the supervisor (see `hull`).
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let screen = Screen::start()?;
    let lines = screen.lines();
    let ending = runtime.block_on(async move {
        let mut pair = Pair::new(plan, lines)?;
        pair.serve().await;
        let ending = pair.stop().await;
        io::Result::Ok(ending)
    });
    // Ends the tasks that hold a way to the screen.
    drop(runtime);
    screen.finish();
    ending
}

enum Event {
    Hull(Side, HullEvent),
    News,
    Signal,
    /// Time is up.
    Late,
}

/// Signals that ask for the end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
            _ = self.hang_up.recv() => (),
        }
    }
}

struct Pair {
    primary: Hull,
    replica: Hull,
    signals: Signals,
    news: watch::Receiver<Reading>,
    /// How long the asking task pauses.
    pace: watch::Sender<Duration>,
    status: StatusLine,
    record: Record,
    lines: Lines,
    ports: (u16, u16),
    ready: bool,
    /// Where the primary's history ended when it last served.
    offset: Option<u64>,
    /// Held until the end.
    _lock: crate::sys::lock::FolderLock,
}

impl Pair {
    fn new(plan: Plan, lines: Lines) -> io::Result<Pair> {
        let ports = (plan.primary_port, plan.replica_port);
        let (sender, news) = watch::channel(Reading::default());
        let (pace, paced) = watch::channel(ASK_SOON);
        let probes = (Probe::new(ports.0, plan.password.clone()), Probe::new(ports.1, plan.password));
        tokio::spawn(ask_both(probes, sender, paced));
        lines.say(&format!("data in {}", plan.dir.display()));
        let (program, other) = (plan.program.clone(), lines.clone());
        Ok(Pair {
            primary: Hull::new(Side::Primary, program, plan.primary_args, ports.0, other.clone()),
            replica: Hull::new(Side::Replica, plan.program, plan.replica_args, ports.1, other),
            signals: Signals::new()?,
            news,
            pace,
            status: StatusLine::default(),
            record: Record::new(&plan.dir),
            lines,
            ports,
            ready: false,
            offset: None,
            _lock: plan.lock,
        })
    }

    async fn event(&mut self, until: Option<Instant>) -> Event {
        let late = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.signals.next() => Event::Signal,
            event = self.replica.event() => Event::Hull(Side::Replica, event),
            event = self.primary.event() => Event::Hull(Side::Primary, event),
            Ok(()) = self.news.changed() => Event::News,
            _ = late => Event::Late,
        }
    }

    /// Runs until a signal comes.
    async fn serve(&mut self) {
        loop {
            match self.event(None).await {
                Event::Hull(side, event) => self.handle(side, event),
                Event::News => self.take_news(),
                Event::Late => {}
                Event::Signal => return,
            }
        }
    }

    fn handle(&mut self, side: Side, event: HullEvent) {
        match side {
            Side::Primary => self.primary.handle(event),
            Side::Replica => self.replica.handle(event),
        }
        self.write_record();
        self.ask(ASK_SOON);
    }

    fn write_record(&self) {
        if let Err(error) = self.record.write(self.primary.entry(), self.replica.entry()) {
            self.lines.say(&format!("pair.json was not written: {error}"));
        }
    }

    /// Sets how often both are asked; a change takes effect at once.
    fn ask(&self, every: Duration) {
        self.pace.send_if_modified(|pace| std::mem::replace(pace, every) != every);
    }

    fn take_news(&mut self) {
        let reading = self.news.borrow_and_update().clone();
        if reading.primary_serves() && self.primary.is_running() {
            self.primary.served();
        }
        if reading.replica.is_some() && self.replica.is_running() {
            self.replica.served();
        }
        if reading.primary_serves() && reading.is_attached() {
            self.ask(ASK_EVERY);
            if !self.ready {
                self.ready = true;
                let (primary, replica) = self.ports;
                self.lines.say(&format!(
                    "ready: `redis-cli -p {primary}` (port {replica} is the replica, for reads); Ctrl-C stops both"
                ));
            }
        }
        if reading.primary_serves() {
            self.offset = reading.offset().or(self.offset);
        }
        if reading.primary.is_none() && reading.replica.is_none() {
            return; // both are starting, or both are gone; the lines above the status tell
        }
        let line = self.status.line(&reading, std::time::Instant::now());
        self.lines.status(line);
    }

    /// Ends the primary, then the replica.
    async fn stop(&mut self) -> Ending {
        self.lines.say("stopping: first the primary, which waits until the replica has fsynced everything");
        self.ask(ASK_SOON);
        let mut forced = !self.attach().await;
        forced |= !self.end(Side::Primary).await;
        let durable = self.wait_durable().await;
        forced |= !self.end(Side::Replica).await;
        self.primary.drain(DRAIN_LIMIT).await;
        self.replica.drain(DRAIN_LIMIT).await;
        if let Err(error) = self.record.remove() {
            self.lines.say(&format!("pair.json was not removed: {error}"));
        }
        if durable && !forced {
            self.lines.say("stopped: everything is on the disk");
            return Ending::Durable;
        }
        self.lines.say("stopped, but the last writes may not be on the disk");
        Ending::Unsure
    }

    /// Waits until a replica follows a primary that serves; false if none came, or a signal said not to wait.
    async fn attach(&mut self) -> bool {
        let until = Instant::now() + ATTACH_PATIENCE;
        loop {
            let reading = self.news.borrow().clone();
            // A primary that is down or fenced holds nothing that could be lost. One that does not tell its state
            // (its password was changed) cannot be judged.
            let tells = reading.offset().is_some();
            let holds = self.primary.is_running() && reading.primary_serves() && tells;
            if !holds || reading.is_attached() {
                return true;
            }
            match self.event(Some(until)).await {
                // The primary's history went with it; the replica has what there is.
                Event::Hull(Side::Primary, HullEvent::Ended(_)) => return true,
                Event::Hull(side, event) => self.handle(side, event),
                Event::News => self.take_news(),
                Event::Late => {
                    self.lines.say("no replica is attached to the primary: stopping without one");
                    return false;
                }
                Event::Signal => return false,
            }
        }
    }

    /// Ends one process; false if a signal forced its end.
    async fn end(&mut self, side: Side) -> bool {
        let hull = self.hull(side);
        hull.retire();
        hull.terminate();
        let mut orderly = true;
        let mut remind = Instant::now() + REMIND_EVERY;
        while self.hull(side).is_running() {
            match self.event(Some(remind)).await {
                Event::Hull(which, event) => self.handle(which, event),
                Event::News => self.take_news(),
                Event::Late => {
                    remind = Instant::now() + REMIND_EVERY;
                    self.lines.say(&format!(
                        "still waiting for the {} to end; another Ctrl-C kills it",
                        side.name()
                    ));
                }
                Event::Signal => {
                    self.lines.say(&format!("killing the {}", side.name()));
                    self.hull(side).kill();
                    orderly = false;
                }
            }
        }
        orderly
    }

    /// Waits until the replica has fsynced all that the primary was seen to have; false if it did not in time.
    async fn wait_durable(&mut self) -> bool {
        // A primary that never served here has taken no writes.
        let Some(offset) = self.offset else { return true };
        let until = Instant::now() + DURABLE_PATIENCE;
        loop {
            if self.news.borrow().replica_is_durable_to(offset) {
                return true;
            }
            match self.event(Some(until)).await {
                Event::Hull(side, event) => self.handle(side, event),
                Event::News => self.take_news(),
                Event::Late | Event::Signal => return false,
            }
        }
    }

    fn hull(&mut self, side: Side) -> &mut Hull {
        match side {
            Side::Primary => &mut self.primary,
            Side::Replica => &mut self.replica,
        }
    }
}

/// Asks both, again and again, for as long as somebody listens.
async fn ask_both(
    (mut primary, mut replica): (Probe, Probe),
    news: watch::Sender<Reading>,
    mut pace: watch::Receiver<Duration>,
) {
    loop {
        let (primary, replica) = tokio::join!(primary.ask(), replica.ask());
        if news.send(Reading { primary, replica }).is_err() {
            return;
        }
        let pause = *pace.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep(pause) => (),
            changed = pace.changed() => if changed.is_err() { return },
        }
    }
}
