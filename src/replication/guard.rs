//! What keeps a history from being replaced by a lesser one.
//!
//! The guard compares lineage and offset, never sizes: an empty data set after FLUSHALL is legitimate, an
//! empty primary after a crash is not.

use super::log::History;
use super::{Epoch, Lineage};
use std::fmt;

/// A place in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The history.
    pub lineage: Lineage,
    /// How far it goes.
    pub offset: u64,
}

/// What is known of the node that offers a full sync, from its INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Where the snapshot stands.
    pub place: Place,
    /// The lineage that the offering node left at a promotion, if it left one.
    pub previous: Lineage,
    /// Up to this offset the previous lineage is part of its history; -1 for none.
    pub previous_end: i64,
    /// The epoch of its history; a stock node tells none.
    pub epoch: Epoch,
}

impl Offer {
    /// The names of the history that is offered.
    pub fn history(&self) -> History {
        let Offer { place, previous, previous_end, epoch } = *self;
        History { lineage: place.lineage, previous, previous_end, epoch }
    }
}

/// Whether a full sync may replace what a replica has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may, for this reason.
    Accept(Reason),
    /// It would lose history.
    Refuse(Refusal),
}

/// Why a full sync is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This node has no history.
    Empty,
    /// An operator ordered this node to follow that primary.
    Ordered,
    /// The same lineage, and not less of it.
    Ahead,
    /// Our lineage is the beginning of theirs.
    Successor,
}

/// Why a full sync is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The same lineage, but it ends before ours.
    Regressed {
        /// What we have.
        own: Place,
        /// What is offered.
        offered: Place,
    },
    /// The same lineage, which another node has taken over before ours ends: what follows there is other bytes.
    Diverged {
        /// What we have.
        own: Place,
        /// What is offered.
        offered: Place,
    },
    /// Another lineage, with no sign that it contains ours.
    Unrelated {
        /// What we have.
        own: Place,
        /// What is offered.
        offered: Place,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, own, offered) = match self {
            Refusal::Regressed { own, offered } => ("it ends before what this replica has", own, offered),
            Refusal::Diverged { own, offered } => {
                ("another node has taken the history over before what this replica has ends", own, offered)
            }
            Refusal::Unrelated { own, offered } => {
                ("it is another history than this replica's", own, offered)
            }
        };
        write!(
            f,
            "full sync refused: {what} (offered {} at {}, have {} at {}); if it is right to drop this \
             replica's history, order it with REPLICAOF",
            offered.lineage, offered.offset, own.lineage, own.offset
        )
    }
}

/// Judges a full sync. `own` is `None` for a node without history, else its place and epoch; `ordered` is set when an
/// operator gave REPLICAOF and it has not been fulfilled yet.
pub fn judge(own: Option<(Place, Epoch)>, offer: &Offer, ordered: bool) -> Verdict {
    let Some((own, epoch)) = own else { return Verdict::Accept(Reason::Empty) };
    if ordered {
        return Verdict::Accept(Reason::Ordered);
    }
    let offered = offer.place;
    if own.lineage == offered.lineage {
        return match own.offset <= offered.offset {
            _ if offer.epoch.number > epoch.number && own.offset > offer.epoch.since => {
                Verdict::Refuse(Refusal::Diverged { own, offered })
            }
            true => Verdict::Accept(Reason::Ahead),
            false => Verdict::Refuse(Refusal::Regressed { own, offered }),
        };
    }
    if own.lineage.is_some() && own.lineage == offer.previous && own.offset as i64 <= offer.previous_end {
        return Verdict::Accept(Reason::Successor);
    }
    Verdict::Refuse(Refusal::Unrelated { own, offered })
}

/// Whether a peer's history is still growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A replica whose link is down: it has applied all that it received, and nothing more comes.
    Still,
    /// A replica whose link is up. Either what a dead primary sent last is still being applied, or another primary
    /// lives that goes on with this history.
    Following,
    /// It takes writes of its own, or is fenced and has files of its own that it may go on with.
    Primary,
}

/// What a peer said of its history when a fenced primary asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAnswer {
    /// It could not be reached, or could not tell.
    Silent,
    /// It has no history.
    Nothing,
    /// It stands here.
    At(Offer, Standing),
}

/// The history that a fenced primary takes over, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Where it stands.
    pub place: Place,
    /// The highest epoch that anybody told.
    pub epoch: u64,
    /// Every peer answered, so that nobody is ahead or will be: the lineage may be gone on with. Otherwise the node goes on
    /// under a new one that names this as its past.
    pub keep_lineage: bool,
}

/// What a fenced primary does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Stay fenced and ask again.
    Wait,
    /// The most advanced history is still growing: ask again until it stands still.
    WaitForEnd,
    /// Every peer answered and none has a history: begin one.
    StartNew,
    /// Go on with what this node's own files hold: no peer has more.
    Own(Taken),
    /// Take the history of the peer with this index.
    Take {
        /// Its index among the answers.
        peer: usize,
        /// How.
        taken: Taken,
    },
    /// The peer with this index serves the most advanced history as its primary: this node is to follow it.
    Serving(usize),
    /// Peers have histories of which none contains the other: an operator must choose.
    Conflict,
}

/// Whether `a` contains `b`, or was told to go on in its place: of two epochs the higher one is of the node that was promoted
/// later, and what the other has beyond that was written beside it.
fn contains(a: &Offer, b: &Offer) -> bool {
    if a.epoch.number != b.epoch.number {
        return a.epoch.number > b.epoch.number;
    }
    if a.place.lineage == b.place.lineage {
        return a.place.offset >= b.place.offset;
    }
    b.place.lineage == a.previous && b.place.offset as i64 <= a.previous_end
}

/// The peers that have a history: the index of each, where it stands, and how.
fn offers(answers: &[PeerAnswer]) -> impl Iterator<Item = (usize, &Offer, Standing)> {
    answers.iter().enumerate().filter_map(|(index, answer)| match answer {
        PeerAnswer::At(offer, standing) => Some((index, offer, *standing)),
        _ => None,
    })
}

/// Chooses the most advanced history among the peers' and the one that this node's `own` files hold; of equal ones the own, then
/// that of the peer that stands stillest.
///
/// What was promised with `durable_acks` N is on N of the peers at least: with so many silent it may be on those alone, and
/// they are waited for.
pub fn choose(own: Option<&Offer>, answers: &[PeerAnswer], durable_acks: usize) -> Choice {
    let silent = answers.iter().filter(|answer| **answer == PeerAnswer::Silent).count();
    let all_answered = silent == 0;
    if silent == answers.len() || durable_acks > 0 && silent >= durable_acks {
        return Choice::Wait;
    }
    let taken =
        |offer: &Offer| Taken { place: offer.place, epoch: offer.epoch.number, keep_lineage: all_answered };
    let holds_all = |one: &Offer| {
        own.is_none_or(|own| contains(one, own)) && offers(answers).all(|(_, other, _)| contains(one, other))
    };
    if let Some(own) = own.filter(|own| holds_all(own)) {
        return choose_own(own, answers).unwrap_or(Choice::Own(taken(own)));
    }
    if offers(answers).next().is_none() {
        return if all_answered && own.is_none() { Choice::StartNew } else { Choice::Wait };
    }
    let best = |wanted: Standing| {
        let mut those = offers(answers).filter(|(_, _, standing)| *standing == wanted);
        those.find(|(_, offer, _)| holds_all(offer))
    };
    if let Some((peer, offer, _)) = best(Standing::Still) {
        return Choice::Take { peer, taken: taken(offer) };
    }
    if let Some((peer, ..)) = best(Standing::Primary) {
        return Choice::Serving(peer);
    }
    if best(Standing::Following).is_some() { Choice::WaitForEnd } else { Choice::Conflict }
}

/// What hinders a node whose `own` history has all that the peers have from going on with it.
fn choose_own(own: &Offer, answers: &[PeerAnswer]) -> Option<Choice> {
    let mut serving = offers(answers).filter(|(_, _, standing)| *standing == Standing::Primary);
    if let Some((peer, ..)) = serving.find(|(_, other, _)| contains(other, own)) {
        return Some(Choice::Serving(peer));
    }
    // It may still be applying what this node sent before its end, and was not on its own disk. Of a lower epoch nothing comes
    // that counts.
    let grows = |(_, other, standing): (usize, &Offer, Standing)| {
        standing == Standing::Following && other.epoch.number == own.epoch.number
    };
    offers(answers).any(grows).then_some(Choice::WaitForEnd)
}

/// As [`choose`], for an operator who wants no peer to be waited for: of the histories that contradict each other the one of
/// the higher epoch is taken, then the longest. With `any` the peers were named by the operator: it does not matter whether one
/// still follows a primary, or is one, and the `own` files are none of them. What is taken may go on elsewhere, so its lineage
/// is left to it.
pub fn choose_by_order(own: Option<&Offer>, answers: &[PeerAnswer], any: bool) -> Choice {
    let peers = offers(answers).filter(|(_, _, standing)| any || *standing == Standing::Still);
    let own_one = own.filter(|_| !any).map(|own| (None, own));
    let all = peers.map(|(peer, offer, _)| (Some(peer), offer)).chain(own_one);
    let epoch = offers(answers).map(|(_, offer, _)| offer.epoch.number).max().unwrap_or(0);
    match all.max_by_key(|(_, offer)| (offer.epoch.number, offer.place.offset)) {
        Some((peer, offer)) => {
            let epoch = epoch.max(offer.epoch.number);
            let taken = Taken { place: offer.place, epoch, keep_lineage: false };
            peer.map_or(Choice::Own(taken), |peer| Choice::Take { peer, taken })
        }
        None if any => Choice::Wait,
        None => choose(own, answers, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Rng;

    fn offer(lineage: u64, offset: u64) -> Offer {
        let place = Place { lineage: Lineage::random(&mut Rng::from_seed(lineage)), offset };
        Offer { place, previous: Lineage::NONE, previous_end: -1, epoch: Epoch::FIRST }
    }

    #[test]
    fn an_empty_primary_wipes_nobody() {
        let own = (offer(1, 500).place, Epoch::FIRST);
        assert!(matches!(judge(Some(own), &offer(2, 0), false), Verdict::Refuse(Refusal::Unrelated { .. })));
        assert!(matches!(judge(Some(own), &offer(2, 9_999), false), Verdict::Refuse(_)));
        assert!(matches!(
            judge(Some(own), &offer(1, 499), false),
            Verdict::Refuse(Refusal::Regressed { .. })
        ));
        assert_eq!(judge(Some(own), &offer(1, 500), false), Verdict::Accept(Reason::Ahead));
        assert_eq!(judge(Some(own), &offer(2, 0), true), Verdict::Accept(Reason::Ordered));
        assert_eq!(judge(None, &offer(2, 0), false), Verdict::Accept(Reason::Empty));
    }

    #[test]
    fn a_promoted_primary_is_a_successor_only_of_its_own_past() {
        let own = (offer(1, 500).place, Epoch::FIRST);
        let mut promoted = offer(2, 800);
        promoted.previous = own.0.lineage;
        promoted.previous_end = 500;
        assert_eq!(judge(Some(own), &promoted, false), Verdict::Accept(Reason::Successor));
        promoted.previous_end = 499;
        assert!(matches!(judge(Some(own), &promoted, false), Verdict::Refuse(_)));
    }

    #[test]
    fn what_was_written_beside_a_takeover_is_no_beginning_of_it() {
        let own = |offset| Some((offer(1, offset).place, Epoch::FIRST));
        let mut recovered = offer(1, 800);
        recovered.epoch = Epoch { number: 2, since: 500 };
        assert_eq!(judge(own(500), &recovered, false), Verdict::Accept(Reason::Ahead));
        let refused = judge(own(501), &recovered, false);
        assert!(matches!(refused, Verdict::Refuse(Refusal::Diverged { .. })), "{refused:?}");
        let knows = Some((offer(1, 700).place, recovered.epoch));
        assert_eq!(judge(knows, &recovered, false), Verdict::Accept(Reason::Ahead));
    }

    #[test]
    fn the_most_advanced_peer_is_chosen() {
        use PeerAnswer::*;
        let still = |lineage, offset| At(offer(lineage, offset), Standing::Still);
        let take = |peer, offset, keep_lineage| {
            let place = offer(1, offset).place;
            Choice::Take { peer, taken: Taken { place, epoch: 1, keep_lineage } }
        };
        assert_eq!(choose(None, &[], 0), Choice::Wait);
        assert_eq!(choose(None, &[Nothing, Silent], 0), Choice::Wait);
        assert_eq!(choose(None, &[Nothing, Nothing], 0), Choice::StartNew);
        let (a, b) = (still(1, 10), still(1, 20));
        assert_eq!(choose(None, &[a, b, Nothing], 0), take(1, 20, true));
        assert_eq!(choose(None, &[a, Silent], 0), take(0, 10, false));
        assert_eq!(choose(None, &[a, still(2, 5)], 0), Choice::Conflict);
        // The silent one may be the only one that has what was promised.
        assert_eq!(choose(None, &[a, Silent], 1), Choice::Wait);
        assert_eq!(choose(None, &[a, Silent], 2), take(0, 10, false));
        assert_eq!(choose(None, &[a, Silent, Silent], 2), Choice::Wait);
        assert_eq!(choose(None, &[a, b, Nothing], 1), take(1, 20, true));
    }

    #[test]
    fn a_history_that_still_grows_is_not_taken() {
        use PeerAnswer::*;
        let at = |offset, standing| At(offer(1, offset), standing);
        let take = |peer, keep_lineage| {
            let place = offer(1, 10).place;
            Choice::Take { peer, taken: Taken { place, epoch: 1, keep_lineage } }
        };
        // It is still applying what the dead primary sent last.
        assert_eq!(choose(None, &[at(10, Standing::Following)], 0), Choice::WaitForEnd);
        assert_eq!(
            choose(None, &[at(10, Standing::Following), at(9, Standing::Still)], 0),
            Choice::WaitForEnd
        );
        // A replica of that peer is no further than the peer itself.
        let chain = [at(10, Standing::Following), at(10, Standing::Still)];
        assert_eq!(choose(None, &chain, 0), take(1, true));
        // One that was promoted serves it: there must not be two.
        let promoted = [at(10, Standing::Still), at(20, Standing::Primary)];
        assert_eq!(choose(None, &promoted, 0), Choice::Serving(1));
        // Unless an operator says so.
        assert_eq!(choose_by_order(None, &[at(10, Standing::Primary)], true), take(0, false));
        assert_eq!(choose_by_order(None, &[at(10, Standing::Following), Silent], true), take(0, false));
        assert_eq!(choose_by_order(None, &[Nothing, Silent], true), Choice::Wait);
        assert_eq!(choose_by_order(None, &[at(10, Standing::Primary)], false), Choice::Serving(0));
        assert_eq!(choose_by_order(None, &[at(10, Standing::Following)], false), Choice::WaitForEnd);
        let contradicting = [At(offer(2, 5), Standing::Still), at(10, Standing::Still)];
        assert_eq!(choose(None, &contradicting, 0), Choice::Conflict);
        assert_eq!(choose_by_order(None, &contradicting, false), take(1, false));
    }

    #[test]
    fn of_two_epochs_the_higher_is_taken() {
        let still = |epoch, lineage, offset| {
            let mut offer = offer(lineage, offset);
            offer.epoch.number = epoch;
            PeerAnswer::At(offer, Standing::Still)
        };
        // What an old primary wrote beside its successor, and what a replica of it has that missed two promotions.
        for stale in [still(1, 1, 20), still(5, 2, 20)] {
            for answers in [[still(7, 1, 10), stale], [stale, still(7, 1, 10)]] {
                let chosen = choose(None, &answers, 1);
                let Choice::Take { taken: Taken { place, epoch: 7, keep_lineage: true }, .. } = chosen else {
                    panic!("{chosen:?}")
                };
                assert_eq!(place, offer(1, 10).place);
            }
        }
    }

    #[test]
    fn a_nodes_own_files_are_one_of_the_histories() {
        use PeerAnswer::*;
        let of = |epoch, lineage, offset| {
            let mut offer = offer(lineage, offset);
            offer.epoch.number = epoch;
            offer
        };
        let own = of(2, 2, 30);
        let still = |epoch, lineage, offset| At(of(epoch, lineage, offset), Standing::Still);
        let go_on = |keep_lineage| Choice::Own(Taken { place: own.place, epoch: 2, keep_lineage });
        let chosen = |answers: &[PeerAnswer]| choose(Some(&own), answers, 1);
        // It was promoted, and its replicas are behind it or still in the old epoch.
        assert_eq!(chosen(&[still(1, 1, 90), still(2, 2, 30)]), go_on(true));
        assert_eq!(chosen(&[Nothing, Nothing]), go_on(true));
        assert_eq!(choose(Some(&own), &[Nothing, Silent], 0), go_on(false));
        // A replica has what this node sent and had not on its own disk.
        let more = Taken { place: of(2, 2, 31).place, epoch: 2, keep_lineage: true };
        assert_eq!(chosen(&[still(2, 2, 31), Nothing]), Choice::Take { peer: 0, taken: more });
        assert_eq!(chosen(&[At(of(2, 2, 20), Standing::Following), Nothing]), Choice::WaitForEnd);
        assert_eq!(chosen(&[At(of(1, 1, 20), Standing::Following), Nothing]), go_on(true));
        // Of a later promotion it knows nothing.
        assert!(matches!(chosen(&[still(3, 3, 25), Nothing]), Choice::Take { peer: 0, .. }));
        assert_eq!(chosen(&[At(of(3, 3, 25), Standing::Primary), Nothing]), Choice::Serving(0));
        // Who serves as much goes before it; who still serves the epoch that ended does not.
        assert_eq!(chosen(&[At(own, Standing::Primary), Nothing]), Choice::Serving(0));
        assert_eq!(chosen(&[At(of(1, 1, 90), Standing::Primary), Nothing]), go_on(true));
        assert_eq!(chosen(&[still(2, 5, 10), Nothing]), Choice::Conflict);
        assert_eq!(chosen(&[Nothing, Silent]), Choice::Wait);
        assert_eq!(choose(Some(&own), &[Silent, Silent], 0), Choice::Wait);
    }

    #[test]
    fn an_order_may_choose_the_own_files_unless_it_names_peers() {
        use PeerAnswer::*;
        let own = offer(1, 30);
        let shorter = [At(offer(1, 20), Standing::Still), Silent];
        let own_taken = Choice::Own(Taken { place: own.place, epoch: 1, keep_lineage: false });
        assert_eq!(choose_by_order(Some(&own), &shorter, false), own_taken);
        assert_eq!(choose_by_order(Some(&own), &[Silent, Silent], false), own_taken);
        let taken = Taken { place: offer(1, 20).place, epoch: 1, keep_lineage: false };
        assert_eq!(choose_by_order(Some(&own), &shorter, true), Choice::Take { peer: 0, taken });
    }
}
