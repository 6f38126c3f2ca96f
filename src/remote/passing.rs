//! A state that is one snapshot, into a running server without loading it first.
//!
//! It is done where it comes to the same as loading the state and sending it, and not otherwise: of all of a sound snapshot with
//! a checksum, for a server that holds nothing in these databases (unless it is said what happens to keys that are there). Nothing is
//! sent before every byte was held against the checksum. For the proof the snapshot is loaded here, too, while it is sent.

use std::path::Path;

use super::client::Connection;
use super::commands::Existing;
use super::error::RemoteError;
use super::facts::Facts;
use super::fetch::ServerClock;
use super::journal::{Journal, Terms};
use super::parts::{PART_BYTES, Parts};
use super::plan::Plan;
use super::push::{Counts, Push, Work};
use super::restore::{IntoOptions, Loaded, Proving, fits, meanwhile};
use super::toolbox::{FromFiles, RestoredInto};
use super::url::Target;
use super::verify::Proof;
use crate::command::digest::{Digest, of_locked_by_all};
use crate::keyspace::Keyspace;
use crate::persistence::offline::Snapshot;
use crate::persistence::state::{load_state, whole_snapshot};

/// The proof's part of the work: the state, and its digest.
type Held = Result<(Keyspace, Digest), RemoteError>;

/// What a restore by parts goes by.
struct Passing<'p> {
    from: &'p FromFiles<'p>,
    target: &'p Target,
    resume_file: &'p Path,
    options: &'p IntoOptions,
    parts: &'p Parts<'p>,
    snapshot: &'p Snapshot,
    progress: &'p (dyn Fn(u64, u64) + Sync),
}

/// Passes a state on, if it is one that can be; `None` if it must be loaded first, and nothing was sent.
pub fn pass_on(
    from: &FromFiles<'_>,
    target: &Target,
    resume_file: &Path,
    options: &IntoOptions,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Option<RestoredInto>, RemoteError> {
    let terms_of_file = Journal::terms(resume_file);
    let begun = terms_of_file.as_ref().map(|terms| terms.mode == mode(options, target));
    // A note of the other way to do it, or of something else: who looks into it says what is wrong, or goes on.
    if begun == Some(false) {
        return Ok(None);
    }
    let Some(snapshot) = whole_snapshot(from.path, from.wanted, from.databases)? else { return Ok(None) };
    let Some(parts) = Parts::of(&snapshot, target.db) else { return Ok(None) };
    let is_one_too_many = target.db.is_some() && parts.used.len() > 1;
    if is_one_too_many || parts.used.last().is_some_and(|db| *db >= from.databases) {
        return Ok(None);
    }
    let mut connection = Connection::open(target, options.patience)?;
    let facts = Facts::of(&mut connection)?;
    let is_occupied = parts.targets().iter().any(|db| facts.keys.contains_key(db));
    if begun.is_none() && is_occupied && options.existing == Existing::Refuse {
        return Ok(None);
    }
    let (parts, snapshot) = (&parts, &snapshot);
    let passing = Passing { from, target, resume_file, options, parts, snapshot, progress };
    passing.run(connection, facts).map(Some)
}

fn mode(options: &IntoOptions, target: &Target) -> String {
    format!("{:?} {:?} in parts of {PART_BYTES}", options.existing, target.db)
}

impl Passing<'_> {
    fn run(&self, mut connection: Connection, facts: Facts) -> Result<RestoredInto, RemoteError> {
        let Passing { target, options, parts, progress, .. } = *self;
        let clock = ServerClock::of(&mut connection)?;
        fits(&mut connection, &facts, &parts.timed, parts.targets().last().copied())?;
        let keys = parts.all_keys();
        let source = format!("{keys} keys, {}", self.snapshot.identity());
        let (run_id, units) = (facts.run_id.clone(), parts.count());
        let terms = Terms { source, mode: mode(options, target), run_id, units };
        let (journal, done, restarted) = Journal::open(self.resume_file, &terms)?;
        let (noted, units): (Vec<usize>, Vec<usize>) = (0..units).partition(|unit| done.units[*unit]);
        let resumed = noted.into_iter().map(|unit| parts.keys(unit)).sum();
        let (patience, existing, work) = (options.patience, options.existing, Work::Parts(parts));
        let push = Push { target, patience, existing, clock, work, units, progress };
        let connections = options.connections();
        let (sent, held) = meanwhile(options.verify, || self.held(), || push.run(connections, journal));
        let (journal, counts) = sent?;
        let skipped = done.skipped + counts.skipped;
        let (proof, held) = match held {
            None => (Ok(Proof::Nothing), None),
            Some(held) => {
                let (keyspace, digest) = held?;
                let proof = self.prove(&mut connection, &keyspace, &digest, (&clock, counts, skipped));
                (proof, Some((keyspace, digest)))
            }
        };
        // What is missing was lost behind the note: all is to be sent anew.
        if !proof.as_ref().is_err_and(|error| !matches!(error, RemoteError::Differs { .. })) {
            journal.remove()?;
        }
        let proof = proof?;
        let Counts { made, same, expired, .. } = counts;
        let (keyspace, digest) = held.unzip();
        let server = facts.name;
        let loaded = Loaded { server, keys, digest, made, same, skipped, expired, resumed, restarted, proof };
        let functions_left_out = self.snapshot.functions();
        Ok(RestoredInto { cut_bytes: 0, before: None, left_out: None, loaded, functions_left_out, keyspace })
    }

    /// Loads the state, for the proof.
    fn held(&self) -> Held {
        let FromFiles { path, wanted, databases, .. } = *self.from;
        let state = load_state(path, wanted, databases, &|_, _| ())?;
        let digest = of_locked_by_all(&state.keyspace.lock_all(), databases);
        Ok((state.keyspace, digest))
    }

    fn prove(
        &self,
        connection: &mut Connection,
        keyspace: &Keyspace,
        digest: &Digest,
        (clock, counts, skipped): (&ServerClock, Counts, u64),
    ) -> Result<Proof, RemoteError> {
        let locked = keyspace.lock_all();
        let plan = Plan::new(&locked, keyspace.databases(), self.target.db)?;
        let proving = Proving {
            target: self.target,
            options: self.options,
            plan: &plan,
            clock,
            connections: self.options.connections(),
            keys: plan.items().len() as u64,
            skipped,
            is_whole: skipped + counts.expired == 0,
            progress: self.progress,
        };
        proving.prove(connection, digest)
    }
}
