//! A restored state into a running server, from the first look at the server to the proof.

use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use super::client::{Connection, Patience};
use super::commands::Existing;
use super::error::{NAMED_KEYS, RemoteError};
use super::facts::Facts;
use super::fetch::ServerClock;
use super::journal::{Journal, Terms};
use super::plan::{Item, Plan, Timed};
use super::push::{Found, Push, Work, compare};
use super::state::key_text;
use super::url::{Place, Target};
use super::verify::{Proof, ReadBack, by_digest, read_back};
use crate::command::digest::{Digest, of_locked_by_all};
use crate::keyspace::Keyspace;
use crate::persistence::offline::Identity;

/// How to load.
#[derive(Debug, Clone)]
pub struct IntoOptions {
    /// How long to wait.
    pub patience: Patience,
    /// What about keys that are there.
    pub existing: Existing,
    /// Connections at once; chosen by the machine if 0.
    pub connections: usize,
    /// The file that says how far it got; beside the source if not named.
    pub resume_file: Option<PathBuf>,
    /// Whether to prove the result.
    pub verify: bool,
}

impl IntoOptions {
    /// How many connections there are at once.
    pub(super) fn connections(&self) -> usize {
        if self.connections == 0 { default_connections() } else { self.connections }
    }
}

/// What was done.
#[derive(Debug)]
pub struct Loaded {
    /// What the server is.
    pub server: String,
    /// Keys that the source holds.
    pub keys: u64,
    /// The source's digest, if it was needed for the proof.
    pub digest: Option<Digest>,
    /// Keys made now.
    pub made: u64,
    /// Keys that were there, just so.
    pub same: u64,
    /// Keys left as they were, of all calls.
    pub skipped: u64,
    /// Keys that had expired.
    pub expired: u64,
    /// Keys of units that an earlier, interrupted call had loaded.
    pub resumed: u64,
    /// Whether the server has been restarted since that call, so that all was sent again.
    pub restarted: bool,
    /// How the result was proven.
    pub proof: Proof,
}

/// The name of the file beside the source.
pub fn default_resume_file(source: &Path, target: &Target) -> PathBuf {
    let place = match &target.place {
        Place::Tcp { host, port } => format!("{host}-{port}"),
        Place::Unix(path) => path.display().to_string(),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let place: String = place.chars().map(plain).collect();
    let absolute = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    let name =
        absolute.file_name().map_or_else(|| "source".into(), |name| name.to_string_lossy().into_owned());
    absolute.with_file_name(format!("{name}.restoring-into-{place}"))
}

/// Loads a keyspace into a server.
pub fn load_into(
    keyspace: &Keyspace,
    identity: &Identity,
    target: &Target,
    resume_file: &Path,
    options: &IntoOptions,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Loaded, RemoteError> {
    let mut connection = Connection::open(target, options.patience)?;
    let facts = Facts::of(&mut connection)?;
    let clock = ServerClock::of(&mut connection)?;
    let locked = keyspace.lock_all();
    let plan = Plan::new(&locked, keyspace.databases(), target.db)?;
    fits(&mut connection, &facts, &plan.timed, plan.last_db())?;
    let mode = format!("{:?} {:?}", options.existing, target.db);
    let keys = plan.items().len() as u64;
    let source = format!("{keys} keys, {identity}");
    let terms = Terms { source, mode, run_id: facts.run_id.clone(), units: plan.units() };
    let (journal, done, restarted) = Journal::open(resume_file, &terms)?;
    let units: Vec<usize> =
        (0..plan.units()).filter(|unit| !done.units[*unit] && !plan.unit(*unit).is_empty()).collect();
    let noted = (0..plan.units()).filter(|unit| done.units[*unit]);
    let resumed = noted.map(|unit| plan.unit(unit).len() as u64).sum();
    if options.existing == Existing::Refuse
        && let Err(error) = none_is_other(&mut connection, &facts, &plan, &units, &clock)
    {
        if resumed == 0 {
            journal.remove()?;
        }
        return Err(error);
    }
    let connections = options.connections();
    let push = Push {
        target,
        patience: options.patience,
        existing: options.existing,
        clock,
        work: Work::Plan(&plan),
        units,
        progress,
    };
    let digest = || of_locked_by_all(&locked, keyspace.databases());
    let (sent, digest) = meanwhile(options.verify, digest, || push.run(connections, journal));
    let (journal, counts) = sent?;
    let skipped = done.skipped + counts.skipped;
    let proving = Proving {
        target,
        options,
        plan: &plan,
        clock: &clock,
        connections,
        keys,
        skipped,
        is_whole: skipped + counts.expired == 0,
        progress,
    };
    let proof = digest.as_ref().map_or(Ok(Proof::Nothing), |digest| proving.prove(&mut connection, digest));
    // What is missing was lost behind the note: all is to be sent anew.
    if !proof.as_ref().is_err_and(|error| !matches!(error, RemoteError::Differs { .. })) {
        journal.remove()?;
    }
    let proof = proof?;
    let server = facts.name;
    let (made, same, expired) = (counts.made, counts.same, counts.expired);
    Ok(Loaded { server, keys, digest, made, same, skipped, expired, resumed, restarted, proof })
}

/// What a server is to hold now.
pub(super) struct Proving<'p> {
    pub(super) target: &'p Target,
    pub(super) options: &'p IntoOptions,
    pub(super) plan: &'p Plan<'p>,
    pub(super) clock: &'p ServerClock,
    pub(super) connections: usize,
    /// Keys of the source.
    pub(super) keys: u64,
    /// Keys left as they were.
    pub(super) skipped: u64,
    /// Whether all of the source's keys were made.
    pub(super) is_whole: bool,
    pub(super) progress: &'p (dyn Fn(u64, u64) + Sync),
}

impl Proving<'_> {
    pub(super) fn prove(&self, connection: &mut Connection, digest: &Digest) -> Result<Proof, RemoteError> {
        // It knows neither of databases that were changed, nor of keys that others hold.
        if !self.plan.is_moved && self.is_whole && by_digest(connection, self.keys, digest)? {
            return Ok(Proof::Digest);
        }
        let Proving { target, options, plan, clock, connections, progress, .. } = *self;
        let found = read_back(target, options.patience, plan, clock, connections, progress)?;
        judged(target, found, self.skipped)?;
        Ok(Proof::ReadBack)
    }
}

/// Whether what was read back is what should be there. Keys that were skipped differ, and others may not.
fn judged(target: &Target, found: ReadBack, skipped: u64) -> Result<(), RemoteError> {
    if found.missing == 0 && (found.differing == 0 || found.differing == skipped) {
        return Ok(());
    }
    Err(RemoteError::Differs {
        server: target.to_string(),
        missing: found.missing,
        differing: found.differing.saturating_sub(skipped),
        keys: found.keys,
    })
}

/// Does one thing, and another if it is wanted, which the processors have time for while a server works.
pub(super) fn meanwhile<A, B: Send>(
    is_wanted: bool,
    other: impl FnOnce() -> B + Send,
    one: impl FnOnce() -> A,
) -> (A, Option<B>) {
    std::thread::scope(|scope| {
        let other = is_wanted.then(|| scope.spawn(other));
        let done = one();
        let join = |thread: ScopedJoinHandle<'_, B>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        (done, other.map(join))
    })
}

fn default_connections() -> usize {
    const MOST: usize = 4;
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST)
}

/// Whether the server takes what there is, found out before anything is sent.
pub(super) fn fits(
    connection: &mut Connection,
    facts: &Facts,
    timed: &Timed,
    last_db: Option<u32>,
) -> Result<(), RemoteError> {
    if !facts.takes_values() {
        return Err(connection.unfit(format!(
            "{} is too old: it does not take the values as they are written here, which 7.0 and later do",
            facts.name
        )));
    }
    if timed.0 > 0 && !facts.takes_field_times() {
        return Err(connection.unfit(format!(
            "{} knows no times of hash fields, which {} hashes of the source have, among them {}. Nothing was written. \
             Load into a server that knows them (Outrigger, or Redis 7.4 and later)",
            facts.name,
            timed.0,
            timed.1.join(", ")
        )));
    }
    if let Some(db) = last_db {
        connection.select(db)?;
        connection.select(0)?;
    }
    Ok(())
}

/// Makes sure that no key is there with another value, before anything is sent.
fn none_is_other(
    connection: &mut Connection,
    facts: &Facts,
    plan: &Plan<'_>,
    units: &[usize],
    clock: &ServerClock,
) -> Result<(), RemoteError> {
    const ASKED_AT_ONCE: usize = 1000;
    let (mut count, mut named) = (0u64, Vec::new());
    let occupied = |item: &&Item<'_>| facts.keys.contains_key(&item.db);
    let items: Vec<Item<'_>> =
        units.iter().flat_map(|unit| plan.unit(*unit)).filter(occupied).cloned().collect();
    for group in items.chunk_by(|one, other| one.db == other.db).flat_map(|group| group.chunks(ASKED_AT_ONCE))
    {
        let db = group[0].db;
        connection.select(db)?;
        group.iter().for_each(|item| connection.push(&[b"EXISTS".as_slice(), item.entry.key()]));
        connection.flush()?;
        let mut there = Vec::new();
        for item in group {
            let reply = connection.read()?;
            let reply = connection.accepted("EXISTS", reply)?;
            if reply.as_int() != Some(0) {
                there.push(item.clone());
            }
        }
        for (item, found) in compare(connection, db, &there, clock)? {
            if found == Found::Differs {
                count += 1;
                if named.len() < NAMED_KEYS {
                    named.push(format!("\"{}\"", key_text(item.entry.key())));
                }
            }
        }
    }
    connection.select(0)?;
    match count {
        0 => Ok(()),
        count => Err(RemoteError::Exists {
            server: connection.server().to_owned(),
            count,
            keys: named,
            what_is_written: "Nothing was written now",
        }),
    }
}
