//! Loading keys into a running server: several connections, each with commands under way, every reply looked at.
//!
//! **Why it may be interrupted anywhere.** A unit is noted in the journal once all its keys are acknowledged. One that was under
//! way is sent again, as a whole. With `Replace` that makes the same keys again. Otherwise a key that is there already is
//! read back: if it is what would have been sent, it counts as loaded, whoever made it. So nothing has to be known of
//! what the server got before the interruption, and a stranger's key is never overwritten.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::client::{Connection, Patience};
use super::commands::{Answer, Existing, beside, is_huge, make};
use super::error::{NAMED_KEYS, RemoteError};
use super::fetch::{ServerClock, fetch};
use super::journal::Journal;
use super::parts::{Parts, Place};
use super::plan::{Item, Plan};
use super::state::{KeyState, key_text};
use super::url::Target;
use crate::format::rdb::dump::Encoder;
use crate::resp::RespValue;

mod passing;

use passing::Room;

/// A batch is sent when it has so many commands or bytes. Its replies must fit into the sockets' buffers while the next
/// one is written.
const BATCH_COMMANDS: usize = 4000;
const BATCH_BYTES: usize = 256 << 10;
/// Batches whose replies are not read yet.
const UNDER_WAY: usize = 2;
/// How often the journal is written to.
const NOTED_EVERY: Duration = Duration::from_millis(100);

/// What all connections share.
pub struct Push<'a> {
    /// The server.
    pub target: &'a Target,
    /// How long to wait.
    pub patience: Patience,
    /// What about keys that are there.
    pub existing: Existing,
    /// The server's time.
    pub clock: ServerClock,
    /// What to load.
    pub work: Work<'a>,
    /// Units to load, in order.
    pub units: Vec<usize>,
    /// Is told keys done and keys in all.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What is to be sent, by units.
#[derive(Clone, Copy)]
pub enum Work<'a> {
    /// Keys that are in memory.
    Plan(&'a Plan<'a>),
    /// A snapshot, as it lies there.
    Parts(&'a Parts<'a>),
}

impl Work<'_> {
    /// Keys of a unit.
    pub fn keys(&self, unit: usize) -> u64 {
        match self {
            Work::Plan(plan) => plan.unit(unit).len() as u64,
            Work::Parts(parts) => parts.keys(unit),
        }
    }

    /// All keys.
    pub fn all_keys(&self) -> u64 {
        match self {
            Work::Plan(plan) => plan.items().len() as u64,
            Work::Parts(parts) => parts.all_keys(),
        }
    }

    /// How many units there are.
    pub fn units(&self) -> usize {
        match self {
            Work::Plan(plan) => plan.units(),
            Work::Parts(parts) => parts.count(),
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Keys made.
    pub made: u64,
    /// Keys that were there, just so.
    pub same: u64,
    /// Keys left as they were, with other values.
    pub skipped: u64,
    /// Keys that had expired before they were sent.
    pub expired: u64,
}

/// What is to be written down, and what came of all so far.
struct Notes {
    units: Vec<usize>,
    /// Keys left as they were, by unit.
    skipped: HashMap<usize, u64>,
    total: Counts,
    noted_at: Instant,
    clashes: (u64, Vec<String>),
}

impl Push<'_> {
    /// Loads the units over so many connections. Gives the journal back with what was done, also if not all could be.
    pub fn run(&self, connections: usize, journal: Journal) -> Result<(Journal, Counts), RemoteError> {
        let journal = Mutex::new(journal);
        let notes = Mutex::new(Notes {
            units: Vec::new(),
            skipped: HashMap::new(),
            total: Counts::default(),
            noted_at: Instant::now(),
            clashes: (0, Vec::new()),
        });
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let to_do = self.units.iter().map(|unit| self.work.keys(*unit)).sum::<u64>();
        let done_before = self.work.all_keys() - to_do;
        let results: Vec<Result<(), RemoteError>> = std::thread::scope(|scope| {
            let work = || {
                let worked = Worker::open(self, (&notes, &journal), done_before)
                    .and_then(|worker| worker.run(&next, &stop));
                stop.fetch_or(worked.is_err(), Ordering::Relaxed);
                worked
            };
            let threads: Vec<_> = (0..connections.max(1)).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut notes = notes.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut journal = journal.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let noted = notes.take().write(&mut journal);
        if notes.clashes.0 > 0 {
            return Err(RemoteError::Exists {
                server: self.target.to_string(),
                count: notes.clashes.0,
                keys: notes.clashes.1,
                what_is_written: "They came while the load was under way: part of the rest has been written, and is noted",
            });
        }
        results.into_iter().collect::<Result<(), _>>()?;
        noted?;
        Ok((journal, notes.total))
    }
}

impl Notes {
    /// Takes what is to be written down.
    fn take(&mut self) -> Note {
        let units = std::mem::take(&mut self.units);
        let skipped = units.iter().filter_map(|unit| self.skipped.remove(unit)).sum();
        self.noted_at = Instant::now();
        Note { units, skipped }
    }
}

/// Units that have been acknowledged, and keys of them that were left as they were.
struct Note {
    units: Vec<usize>,
    skipped: u64,
}

impl Note {
    fn write(self, journal: &mut Journal) -> Result<(), RemoteError> {
        if self.units.is_empty() { Ok(()) } else { journal.note(&self.units, self.skipped) }
    }
}

impl Counts {
    fn add(&mut self, more: Counts) {
        self.made += more.made;
        self.same += more.same;
        self.skipped += more.skipped;
        self.expired += more.expired;
    }

    /// All keys that are done with.
    pub fn all(&self) -> u64 {
        self.made + self.same + self.skipped + self.expired
    }
}

/// A command under way.
struct Sent<'a> {
    answer: Answer,
    subject: Subject<'a>,
}

/// What a command is about.
enum Subject<'a> {
    /// No key.
    None,
    /// This key.
    Item(Item<'a>),
    /// The key that lies there, passed on as it is.
    Passed(Place),
}

#[derive(Default)]
struct Batch<'a> {
    sent: Vec<Sent<'a>>,
    /// Units of which nothing is left to send behind this batch.
    ends: Vec<usize>,
    expired: u64,
}

/// One connection and what it has under way.
struct Worker<'w> {
    push: &'w Push<'w>,
    notes: &'w Mutex<Notes>,
    journal: &'w Mutex<Journal>,
    done_before: u64,
    connection: Connection,
    encoder: Encoder,
    room: Room,
    db: u32,
    batch: Batch<'w>,
    under_way: VecDeque<Batch<'w>>,
    /// Keys that were there already, to be looked at.
    clashing: Vec<Item<'w>>,
}

impl<'w> Worker<'w> {
    fn open(
        push: &'w Push<'w>,
        (notes, journal): (&'w Mutex<Notes>, &'w Mutex<Journal>),
        done_before: u64,
    ) -> Result<Worker<'w>, RemoteError> {
        let connection = Connection::open(push.target, push.patience)?;
        let (batch, under_way, clashing) = (Batch::default(), VecDeque::new(), Vec::new());
        let (encoder, room) = (Encoder::default(), Room::default());
        Ok(Worker {
            push,
            notes,
            journal,
            done_before,
            connection,
            encoder,
            room,
            db: 0,
            batch,
            under_way,
            clashing,
        })
    }

    fn run(mut self, next: &AtomicUsize, stop: &AtomicBool) -> Result<(), RemoteError> {
        while !stop.load(Ordering::Relaxed) {
            let Some(unit) = self.push.units.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            match self.push.work {
                Work::Plan(plan) => plan.unit(*unit).iter().try_for_each(|item| self.send(item.clone()))?,
                Work::Parts(parts) => self.pass_part(parts, *unit)?,
            }
            self.batch.ends.push(*unit);
        }
        self.ship()?;
        while self.settle()? {}
        Ok(())
    }

    fn send(&mut self, item: Item<'w>) -> Result<(), RemoteError> {
        if item.entry.expire_at_ms().is_some_and(|at| at <= self.push.clock.now_ms()) {
            self.batch.expired += 1;
            return Ok(());
        }
        self.choose(item.db);
        if is_huge(&item.entry) {
            return self.send_alone(item);
        }
        let batch = &mut self.batch.sent;
        make(&mut self.connection, &mut self.encoder, &item.entry, self.push.existing, &mut |_, answer| {
            batch.push(Sent { answer, subject: Subject::Item(item.clone()) });
            Ok(())
        })?;
        if self.batch.sent.len() >= BATCH_COMMANDS || self.connection.waiting_bytes() >= BATCH_BYTES {
            self.ship()?;
        }
        Ok(())
    }

    /// What follows is of this database.
    fn choose(&mut self, db: u32) {
        if self.db != db {
            self.connection.push(&["SELECT", &db.to_string()]);
            self.batch.sent.push(Sent { answer: Answer::Accepted, subject: Subject::None });
            self.db = db;
        }
    }

    /// Sends the batch, and reads the replies to the oldest one if enough are under way.
    fn ship(&mut self) -> Result<(), RemoteError> {
        self.connection.flush()?;
        self.under_way.push_back(std::mem::take(&mut self.batch));
        while self.under_way.len() >= UNDER_WAY {
            self.settle()?;
        }
        Ok(())
    }

    /// Reads the replies to the oldest batch; `false` if there is none.
    fn settle(&mut self) -> Result<bool, RemoteError> {
        let Some(batch) = self.under_way.pop_front() else { return Ok(false) };
        let mut counts = Counts { expired: batch.expired, ..Counts::default() };
        self.read_batch(&batch, &mut counts)?;
        let mut ends = batch.ends;
        if !self.clashing.is_empty() {
            // The connection is needed for other replies.
            while let Some(batch) = self.under_way.pop_front() {
                counts.expired += batch.expired;
                self.read_batch(&batch, &mut counts)?;
                ends.extend(batch.ends);
            }
            self.resolve(&mut counts)?;
        }
        let mut notes = self.notes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        notes.units.extend(ends);
        notes.total.add(counts);
        (self.push.progress)(self.done_before + notes.total.all(), self.push.work.all_keys());
        // The disk takes its time: the others go on meanwhile.
        if notes.noted_at.elapsed() >= NOTED_EVERY
            && let Ok(mut journal) = self.journal.try_lock()
        {
            let note = notes.take();
            drop(notes);
            note.write(&mut journal)?;
        }
        Ok(true)
    }

    fn read_batch(&mut self, batch: &Batch<'w>, counts: &mut Counts) -> Result<(), RemoteError> {
        for sent in &batch.sent {
            let is_made = sent.answer == Answer::Made && !matches!(sent.subject, Subject::None);
            if is_made && self.connection.pass_ok() {
                counts.made += 1;
                continue;
            }
            let reply = self.connection.read()?;
            if !is_made {
                self.connection.accepted("a part of a value", reply)?;
                continue;
            }
            let judged = judge(&reply);
            if let Judged::Made = judged {
                counts.made += 1;
                continue;
            }
            // What is not taken as it is may be taken when it is written anew.
            let may_retry = matches!(sent.subject, Subject::Passed(_)) && is_about_the_payload(&reply);
            let Some(item) = self.item_of(&sent.subject)? else { continue };
            match judged {
                Judged::Wrong if !may_retry => return Err(self.wrong(&item, &reply)),
                _ => self.clashing.push(item),
            }
        }
        Ok(())
    }

    /// The key that a command was about.
    fn item_of(&self, subject: &Subject<'w>) -> Result<Option<Item<'w>>, RemoteError> {
        match (subject, self.push.work) {
            (Subject::Item(item), _) => Ok(Some(item.clone())),
            (Subject::Passed(place), Work::Parts(parts)) => self.item_at(parts, place),
            _ => Ok(None),
        }
    }

    fn wrong(&self, item: &Item<'_>, reply: &RespValue) -> RemoteError {
        let command = format!("making the {} \"{}\"", item.kind(), key_text(item.entry.key()));
        match reply.as_error() {
            Some(text) => self.connection.refused(&command, text),
            None => self.connection.unexpected(&command, reply),
        }
    }

    /// Looks at keys that were there already. Only with replies to nothing else under way.
    fn resolve(&mut self, counts: &mut Counts) -> Result<(), RemoteError> {
        let items = std::mem::take(&mut self.clashing);
        let (mut differing, mut gone) = (Vec::new(), Vec::new());
        for group in items.chunk_by(|one, other| one.db == other.db) {
            let db = group[0].db;
            self.connection.select(db)?;
            for found in compare(&mut self.connection, db, group, &self.push.clock)? {
                match found {
                    (_, Found::Same) => counts.same += 1,
                    (item, Found::Differs) => differing.push(item),
                    (item, Found::Missing) => gone.push(item),
                }
            }
        }
        for item in gone {
            // It was there a moment ago.
            self.connection.select(item.db)?;
            match self.make_now(&item)? {
                true => counts.made += 1,
                false => differing.push(item),
            }
        }
        for item in &differing {
            // What a huge value's pieces were put into.
            self.connection.select(item.db)?;
            self.connection.call(&[b"DEL".as_slice(), &beside(item.entry.key())])?;
        }
        self.connection.select(self.db)?;
        let mut notes = self.notes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.push.existing != Existing::Refuse || differing.is_empty() {
            counts.skipped += differing.len() as u64;
            for item in differing {
                *notes.skipped.entry(item.unit()).or_default() += 1;
            }
            return Ok(());
        }
        notes.clashes.0 += differing.len() as u64;
        for item in differing.iter().take(NAMED_KEYS.saturating_sub(notes.clashes.1.len())) {
            notes.clashes.1.push(format!("\"{}\"", key_text(item.entry.key())));
        }
        Err(self.connection.unfit("a key is there already"))
    }

    /// Sends a huge value, with nothing else under way.
    fn send_alone(&mut self, item: Item<'w>) -> Result<(), RemoteError> {
        self.ship()?;
        while self.settle()? {}
        let mut counts = Counts::default();
        match self.make_now(&item)? {
            true => counts.made += 1,
            false => {
                self.clashing.push(item);
                self.resolve(&mut counts)?;
            }
        }
        let mut notes = self.notes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        notes.total.add(counts);
        Ok(())
    }

    /// Makes a key of the selected database and waits for all replies; `false` if it is there already.
    fn make_now(&mut self, item: &Item<'_>) -> Result<bool, RemoteError> {
        let mut answers = Vec::new();
        let mut pieces = |connection: &mut Connection, answer| {
            answers.push(answer);
            if answer == Answer::Made || connection.waiting_bytes() < BATCH_BYTES {
                return Ok(());
            }
            connection.flush()?;
            for _ in answers.drain(..) {
                let reply = connection.read()?;
                connection.accepted("a part of a value", reply)?;
            }
            Ok(())
        };
        make(&mut self.connection, &mut self.encoder, &item.entry, self.push.existing, &mut pieces)?;
        self.connection.flush()?;
        let mut is_made = true;
        for answer in answers {
            let reply = self.connection.read()?;
            match (answer, judge(&reply)) {
                (Answer::Accepted, _) => drop(self.connection.accepted("a part of a value", reply)?),
                (Answer::Made, Judged::Made) => {}
                (Answer::Made, Judged::Clash) => is_made = false,
                (Answer::Made, Judged::Wrong) => return Err(self.wrong(item, &reply)),
            }
        }
        Ok(is_made)
    }
}

/// Whether a value was refused for how it is written.
fn is_about_the_payload(reply: &RespValue) -> bool {
    let told: [&[u8]; 2] = [b"ERR Bad data format", b"ERR DUMP payload version"];
    reply.as_error().is_some_and(|text| told.iter().any(|told| text.starts_with(told)))
}

enum Judged {
    Made,
    Clash,
    Wrong,
}

fn judge(reply: &RespValue) -> Judged {
    match reply {
        RespValue::Simple(text) if text == b"OK" => Judged::Made,
        RespValue::Int(1) => Judged::Made,
        // SET NX, RENAMENX.
        RespValue::Null | RespValue::Int(0) => Judged::Clash,
        RespValue::Error(text) if text.starts_with(b"BUSYKEY") => Judged::Clash,
        _ => Judged::Wrong,
    }
}

/// How a key of the server compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is the same, or has expired here and there.
    Same,
    /// It is another.
    Differs,
    /// It is not there.
    Missing,
}

/// Reads keys of the selected database back and holds them against what they should be.
pub fn compare<'i>(
    connection: &mut Connection,
    db: u32,
    items: &[Item<'i>],
    clock: &ServerClock,
) -> Result<Vec<(Item<'i>, Found)>, RemoteError> {
    /// What expires so soon may be seen on one side and not on the other.
    const SOON_MS: i64 = 1000;
    let keys: Vec<&[u8]> = items.iter().map(|item| item.entry.key()).collect();
    let mut found = Vec::with_capacity(items.len());
    let began_ms = clock.now_ms();
    fetch(connection, db, &keys, &mut |index, fetched| {
        let item = items[index].clone();
        let wanted = |now_ms| KeyState::of(item.entry.value(), item.entry.expire_at_ms(), now_ms);
        let got = |now_ms| fetched.as_ref().and_then(|fetched| fetched.state(now_ms));
        let same =
            [began_ms, clock.now_ms() + SOON_MS].into_iter().any(|now_ms| wanted(now_ms) == got(now_ms));
        found.push((
            item,
            match (&fetched, same) {
                (_, true) => Found::Same,
                (None, false) => Found::Missing,
                (Some(_), false) => Found::Differs,
            },
        ));
    })?;
    Ok(found)
}
