//! Durable acks: how far how many replicas have fsynced, what that means for a reply that waits for it, and who waits.

use std::collections::BTreeMap;

/// Most replicas whose fsync a reply can be made to wait for.
pub const ACKS_MAX: usize = 16;
/// The third word of a GETACK that also asks for an fsync. Stock replicas look at the first two only, and acknowledge.
pub const FSYNC_WORD: &str = "FSYNC";

/// What a reply depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The log up to here must be durable …
    pub position: u64,
    /// … on so many replicas, from 1 to [`ACKS_MAX`].
    pub wanted: u8,
    /// The term in which the command ran: offsets of another may mean other bytes.
    pub term: u32,
}

/// What becomes of replies while fewer replicas than wanted are attached that tell what they fsync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OnLoss {
    /// They wait.
    Block = 0,
    /// They are given at once.
    Degrade = 1,
    /// Writes are refused, and replies that wait become errors.
    Error = 2,
}

/// Why a reply that was held is replaced by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its time is over.
    TimedOut,
    /// Too few replicas are left.
    Lost,
    /// The node was given another role.
    Demoted,
}

impl Failure {
    /// The error, code first.
    pub fn text(self, wanted: u8) -> String {
        let replicas = if wanted == 1 { "1 replica".to_owned() } else { format!("{wanted} replicas") };
        match self {
            Failure::TimedOut => format!(
                "NOTDURABLE not fsynced by {replicas} in time; the write behind this reply may still become durable"
            ),
            Failure::Lost => format!(
                "NOTDURABLE too few replicas that fsync are attached, {wanted} wanted; the write behind this reply may \
                 still become durable"
            ),
            Failure::Demoted => format!(
                "NOTDURABLE the role of this node changed before {replicas} had fsynced; the write behind this reply \
                 may be lost, or may still become durable"
            ),
        }
    }
}

/// What becomes of a reply now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may go: what it depends on is durable.
    Durable,
    /// It may go, although that is not durable.
    Degraded,
    /// It must wait.
    Wait,
    /// It becomes an error.
    Failed(Failure),
}

/// What there is to judge by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The present term.
    pub term: u32,
    /// Up to here the log is durable on as many replicas as are wanted.
    pub reached: u64,
    /// Replicas attached that tell what they fsync.
    pub attached: usize,
    /// What is done when they are too few.
    pub on_loss: OnLoss,
}

/// Judges a reply.
pub fn judge(need: &Need, view: &View) -> Verdict {
    if view.term != need.term {
        return Verdict::Failed(Failure::Demoted);
    }
    if view.reached >= need.position {
        return Verdict::Durable;
    }
    match view.on_loss {
        _ if view.attached >= usize::from(need.wanted) => Verdict::Wait,
        OnLoss::Block => Verdict::Wait,
        OnLoss::Degrade => Verdict::Degraded,
        OnLoss::Error => Verdict::Failed(Failure::Lost),
    }
}

/// How far the history is durable, by number of replicas. It only ever grows within a term: what two replicas have
/// fsynced stays on two disks when one of them leaves.
#[derive(Debug, Default)]
pub struct Standing {
    term: u32,
    attached: usize,
    reached: [u64; ACKS_MAX],
    /// Up to here the node's own fsync is good enough: it received this as a replica.
    inherited: u64,
}

impl Standing {
    /// The offsets of another history, or of another role, count from now on. What the node has got as a replica, up to
    /// `inherited`, counts as durable as soon as it has fsynced that itself.
    pub fn begin_term(&mut self, inherited: u64) {
        *self = Standing { term: self.term.wrapping_add(1), inherited, ..Standing::default() };
    }

    /// Takes in what each attached replica has fsynced, in any order. The log ends at `end`: nobody has more.
    pub fn take(&mut self, durable: &mut [u64], end: u64) {
        durable.sort_unstable_by(|a, b| b.cmp(a));
        self.attached = durable.len();
        for (reached, durable) in self.reached.iter_mut().zip(durable) {
            *reached = (*reached).max((*durable).min(end));
        }
    }

    /// Takes in what the node itself has fsynced.
    pub fn take_own(&mut self, durable: u64) {
        let own = durable.min(self.inherited);
        self.reached.iter_mut().for_each(|reached| *reached = (*reached).max(own));
    }

    /// The present term.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// Replicas attached that tell what they fsync.
    pub fn attached(&self) -> usize {
        self.attached
    }

    /// Up to where the log is durable, on one replica, on two, ….
    pub fn reached(&self) -> &[u64; ACKS_MAX] {
        &self.reached
    }
}

/// A place in a [`WaitList`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    wanted: u8,
    position: u64,
    number: u64,
}

/// Who waits for which position on how many replicas.
#[derive(Debug)]
pub struct WaitList<T> {
    waiting: [BTreeMap<(u64, u64), T>; ACKS_MAX],
    numbers: u64,
}

impl<T> Default for WaitList<T> {
    fn default() -> Self {
        WaitList { waiting: std::array::from_fn(|_| BTreeMap::new()), numbers: 0 }
    }
}

impl<T> WaitList<T> {
    fn of(&mut self, wanted: u8) -> &mut BTreeMap<(u64, u64), T> {
        &mut self.waiting[usize::from(wanted.max(1)).min(ACKS_MAX) - 1]
    }

    /// Adds somebody.
    pub fn add(&mut self, need: &Need, who: T) -> Ticket {
        self.numbers += 1;
        let ticket = Ticket { wanted: need.wanted, position: need.position, number: self.numbers };
        self.of(ticket.wanted).insert((ticket.position, ticket.number), who);
        ticket
    }

    /// Who stands at a place; `None` once that was taken off the list.
    pub fn get_mut(&mut self, ticket: &Ticket) -> Option<&mut T> {
        self.of(ticket.wanted).get_mut(&(ticket.position, ticket.number))
    }

    /// Takes somebody off the list.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        self.of(ticket.wanted).remove(&(ticket.position, ticket.number))
    }

    /// Takes those off the list who have what they wait for.
    pub fn take_due(&mut self, reached: &[u64; ACKS_MAX]) -> Vec<T> {
        let mut due = Vec::new();
        for (waiting, reached) in self.waiting.iter_mut().zip(reached) {
            if waiting.first_key_value().is_some_and(|((position, _), _)| position <= reached) {
                let later = waiting.split_off(&(reached.saturating_add(1), 0));
                due.extend(std::mem::replace(waiting, later).into_values());
            }
        }
        due
    }

    /// Takes everybody off the list.
    pub fn take_all(&mut self) -> Vec<T> {
        self.waiting.iter_mut().flat_map(|waiting| std::mem::take(waiting).into_values()).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.iter().map(BTreeMap::len).sum()
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(position: u64, wanted: u8) -> Need {
        Need { position, wanted, term: 0 }
    }

    fn verdict(standing: &Standing, need: Need, on_loss: OnLoss) -> Verdict {
        let reached = standing.reached()[usize::from(need.wanted) - 1];
        judge(&need, &View { term: standing.term(), reached, attached: standing.attached(), on_loss })
    }

    #[test]
    fn the_nth_best_replica_decides() {
        let mut standing = Standing::default();
        standing.take(&mut [10, 30, 20], 100);
        assert_eq!(standing.reached()[..4], [30, 20, 10, 0]);
        assert_eq!(verdict(&standing, need(30, 1), OnLoss::Block), Verdict::Durable);
        assert_eq!(verdict(&standing, need(21, 2), OnLoss::Block), Verdict::Wait);
        // One leaves: what three disks hold they still hold; nobody is believed to have more than there is.
        standing.take(&mut [500, 20], 100);
        assert_eq!((standing.attached(), standing.reached()[..4].to_vec()), (2, vec![100, 20, 10, 0]));
    }

    #[test]
    fn too_few_replicas_block_degrade_or_fail() {
        let mut standing = Standing::default();
        standing.take(&mut [10], 100);
        assert_eq!(verdict(&standing, need(10, 1), OnLoss::Error), Verdict::Durable);
        assert_eq!(verdict(&standing, need(11, 1), OnLoss::Error), Verdict::Wait);
        assert_eq!(verdict(&standing, need(11, 2), OnLoss::Block), Verdict::Wait);
        assert_eq!(verdict(&standing, need(11, 2), OnLoss::Degrade), Verdict::Degraded);
        assert_eq!(verdict(&standing, need(11, 2), OnLoss::Error), Verdict::Failed(Failure::Lost));
    }

    #[test]
    fn another_term_knows_nothing_of_the_last() {
        let mut standing = Standing::default();
        standing.take(&mut [50], 100);
        standing.begin_term(80);
        assert_eq!((standing.attached(), standing.reached()[0]), (0, 0));
        assert_eq!(verdict(&standing, need(10, 1), OnLoss::Degrade), Verdict::Failed(Failure::Demoted));
        // What came from the primary before is safe once this node has it on disk; what it writes itself is not.
        standing.take_own(60);
        assert_eq!((standing.reached()[0], standing.reached()[ACKS_MAX - 1]), (60, 60));
        standing.take_own(90);
        assert_eq!(standing.reached()[0], 80);
        standing.begin_term(0);
        standing.take_own(90);
        assert_eq!(standing.reached()[0], 0);
    }

    #[test]
    fn those_are_due_whose_position_is_reached() {
        let mut list = WaitList::default();
        let first = list.add(&need(10, 1), 'a');
        let same = list.add(&need(10, 1), 'b');
        let later = list.add(&need(11, 1), 'c');
        let two = list.add(&need(5, 2), 'd');
        assert_eq!(list.remove(&same), Some('b'));
        let mut reached = [0; ACKS_MAX];
        reached[0] = 10;
        assert_eq!(list.take_due(&reached), ['a']);
        assert_eq!(list.get_mut(&first), None);
        assert_eq!(list.get_mut(&later), Some(&mut 'c'));
        (reached[0], reached[1]) = (u64::MAX, 4);
        assert_eq!(list.take_due(&reached), ['c']);
        assert_eq!((list.len(), list.take_all()), (1, vec!['d']));
        assert_eq!((list.is_empty(), list.remove(&two)), (true, None));
    }
}
