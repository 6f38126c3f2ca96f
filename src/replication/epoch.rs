//! Epochs: which of two nodes that hold one history may serve it.
//!
//! A history's epoch rises each time a node takes it over: at a promotion, and when a primary that lost its memory takes it
//! back from a peer. It travels in the log, as a record that begins the epoch ([`record`]), in the seals of files, and in
//! what nodes tell each other when they meet. A replica does not follow a primary of a lower epoch, and a primary that hears
//! of a higher one fences itself.
//!
//! All of it is about one history: nodes that hold others ([`are_related`]) have nothing to say to each other.

use super::Lineage;
use super::log::History;
use crate::resp::command_bytes::write_command;
use std::fmt;

/// What the third word of the record begins with. Stock replicas look at the first two only, and acknowledge.
const RECORD_WORD: &str = "EPOCH:";

/// The command that begins an epoch in the log.
pub fn record(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_command(&mut out, &["REPLCONF", "GETACK", &format!("{RECORD_WORD}{number}")]);
    out
}

/// The epoch that begins with this command, if one does.
pub fn read_record(args: &[&[u8]]) -> Option<u64> {
    let [name, word, epoch] = args else { return None };
    if !name.eq_ignore_ascii_case(b"replconf") || !word.eq_ignore_ascii_case(b"getack") {
        return None;
    }
    let digits = epoch.strip_prefix(RECORD_WORD.as_bytes())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Are these one history, as far as their names tell? They know their own name and the one before it.
pub fn are_related(a: &History, b: &History) -> bool {
    let names = |of: &History| [of.lineage, of.previous];
    names(a).iter().any(|name| name.is_some() && names(b).contains(name))
}

/// What a replica does about a primary that it meets, before it asks it to sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// Follow it; the guard still looks at what it offers.
    Follow,
    /// Give the own epoch up to it first: this node held that epoch, and an operator ordered it to follow.
    Yield,
    /// Do not.
    Refuse(LowerEpoch),
}

/// Why a primary is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowerEpoch {
    /// The highest epoch this node has seen of the history.
    pub own: u64,
    /// The primary's.
    pub theirs: u64,
}

impl fmt::Display for LowerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the primary is refused: its epoch {} is lower than {}, which this replica has seen, so another node was \
             promoted since; follow that one with REPLICAOF, or run OUTRIGGER UNFENCE FORCE or OUTRIGGER PROMOTE FORCE \
             at the one that is to be the primary",
            self.theirs, self.own
        )
    }
}

/// Judges a primary. `ordered`: an operator gave REPLICAOF, and it has not been fulfilled yet. `held` is the epoch that this
/// node was itself promoted to, 0 for none.
pub fn meet(own: Option<&History>, theirs: &History, ordered: bool, held: u64) -> Meeting {
    let Some(own) = own else { return Meeting::Follow };
    let (mine, its) = (own.epoch.number, theirs.epoch.number);
    if !theirs.epoch.is_known() || its >= mine {
        return Meeting::Follow;
    }
    match (ordered, are_related(own, theirs)) {
        // An operator may have this node leave its history for another one.
        (true, false) => Meeting::Follow,
        (true, true) if held == mine => Meeting::Yield,
        _ => Meeting::Refuse(LowerEpoch { own: mine, theirs: its }),
    }
}

/// Whether a node that serves must stop because of what another one tells of the history it holds. A `claim` is made by a
/// node that serves it, too: of two that were promoted to one epoch the greater lineage is right.
pub fn is_superseded(own: &History, told: &History, claim: bool) -> bool {
    if !are_related(own, told) {
        return false;
    }
    match told.epoch.number.cmp(&own.epoch.number) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => claim && outranks(told, own),
    }
}

/// Of two histories in one epoch: does `a` go before `b`? Who goes on from the other does.
fn outranks(a: &History, b: &History) -> bool {
    let goes_on = |one: &History, from: &History| one.previous == from.lineage;
    match () {
        () if a.lineage == b.lineage || goes_on(b, a) => false,
        () => goes_on(a, b) || a.lineage > b.lineage,
    }
}

/// Where what a node has parts from what it is to follow; `None` if it does not, or if nothing tells.
pub fn fork(own: &History, own_end: u64, theirs: &History) -> Option<u64> {
    let from = if own.lineage == theirs.lineage {
        // A primary that recovered goes on under the same name.
        if theirs.epoch.number <= own.epoch.number {
            return None;
        }
        theirs.epoch.since
    } else if own.lineage == theirs.previous {
        u64::try_from(theirs.previous_end).ok()?
    } else if own.previous.is_some() && [theirs.lineage, theirs.previous].contains(&own.previous) {
        // This node had gone on by itself where the other did, too, or has since.
        let own_fork = u64::try_from(own.previous_end).ok()?;
        match own.previous == theirs.previous {
            true => own_fork.min(u64::try_from(theirs.previous_end).ok()?),
            false => own_fork,
        }
    } else {
        return None;
    };
    (own_end > from).then_some(from)
}

/// The words by which a node tells another of the history it holds.
pub fn tell(history: &History) -> Vec<(&'static str, String)> {
    vec![
        ("outrigger-epoch", history.epoch.number.to_string()),
        ("outrigger-lineage", history.lineage.to_string()),
        ("outrigger-previous", history.previous.to_string()),
    ]
}

/// What a node has told so far of the history it holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    epoch: Option<u64>,
    lineage: Option<Lineage>,
    previous: Option<Lineage>,
}

impl Told {
    /// Takes one of the words in; false if it is none of them, or its value makes no sense.
    pub fn take(&mut self, word: &[u8], value: &[u8]) -> bool {
        match word {
            b"outrigger-epoch" => {
                self.epoch = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.epoch.is_some()
            }
            b"outrigger-lineage" => {
                self.lineage = Lineage::parse(value);
                self.lineage.is_some()
            }
            b"outrigger-previous" => {
                self.previous = Lineage::parse(value);
                self.previous.is_some()
            }
            _ => false,
        }
    }

    /// The epoch, if it was told.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// The history as far as it was told: without the offsets.
    pub fn history(&self) -> Option<History> {
        let epoch = super::Epoch { number: self.epoch?, since: 0 };
        let previous = self.previous.unwrap_or(Lineage::NONE);
        Some(History { lineage: self.lineage?, previous, previous_end: -1, epoch })
    }
}

#[cfg(test)]
#[path = "epoch_tests.rs"]
mod tests;
