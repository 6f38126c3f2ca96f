use super::*;
use crate::base::random::Rng;
use crate::replication::Epoch;

fn lineage(seed: u64) -> Lineage {
    Lineage::random(&mut Rng::from_seed(seed))
}

/// A history of this lineage that goes on from `previous` (0: from none) since offset 500.
fn history(seed: u64, previous: u64, epoch: u64) -> History {
    let (previous, previous_end) = if previous == 0 { (Lineage::NONE, -1) } else { (lineage(previous), 500) };
    History { lineage: lineage(seed), previous, previous_end, epoch: Epoch { number: epoch, since: 500 } }
}

#[test]
fn the_record_reads_back_and_nothing_else_does() {
    let text = String::from_utf8(record(42)).unwrap();
    assert_eq!(text, "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$8\r\nEPOCH:42\r\n");
    let read = |words: &str| read_record(&words.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    assert_eq!(read("replconf getack EPOCH:42"), Some(42));
    for other in
        ["REPLCONF GETACK *", "REPLCONF GETACK EPOCH:", "REPLCONF GETACK EPOCH:x", "REPLCONF ACK EPOCH:1"]
    {
        assert_eq!(read(other), None, "{other}");
    }
}

#[test]
fn a_lower_epoch_is_not_followed() {
    let own = history(2, 1, 3);
    let old = history(1, 0, 2);
    let refused = Meeting::Refuse(LowerEpoch { own: 3, theirs: 2 });
    assert_eq!(meet(Some(&own), &old, false, 0), refused);
    assert_eq!(
        meet(Some(&own), &history(7, 0, 1), false, 0),
        Meeting::Refuse(LowerEpoch { own: 3, theirs: 1 })
    );
    // An order does not change that, unless it goes to the node that was promoted itself, or to another history.
    assert_eq!(meet(Some(&own), &old, true, 0), refused);
    assert_eq!(meet(Some(&own), &old, true, 2), refused);
    assert_eq!(meet(Some(&own), &old, true, 3), Meeting::Yield);
    assert_eq!(meet(Some(&own), &old, false, 3), refused);
    assert_eq!(meet(Some(&own), &history(7, 0, 1), true, 0), Meeting::Follow);
    for (own, theirs) in [
        (Some(&own), history(2, 1, 3)),
        (Some(&own), history(3, 2, 4)),
        (Some(&own), history(1, 0, 0)),
        (None, old),
    ] {
        assert_eq!(meet(own, &theirs, false, 0), Meeting::Follow, "{theirs:?}");
    }
}

#[test]
fn only_a_higher_epoch_of_the_same_history_supersedes() {
    let own = history(1, 0, 2);
    assert!(is_superseded(&own, &history(2, 1, 3), false));
    assert!(!is_superseded(&own, &history(2, 1, 2), false), "somebody who follows is no rival");
    assert!(!is_superseded(&own, &history(2, 1, 1), true));
    assert!(!is_superseded(&own, &history(7, 8, 9), true), "another history");
    // A node that restarted from its files goes by another name.
    assert!(is_superseded(&history(4, 1, 2), &history(2, 1, 3), false));
    // Of two that were promoted to one epoch exactly one is right.
    let (one, other) = (history(5, 1, 3), history(6, 1, 3));
    assert_ne!(is_superseded(&one, &other, true), is_superseded(&other, &one, true));
    let successor = history(5, 1, 2);
    assert!(is_superseded(&own, &successor, true) && !is_superseded(&successor, &own, true));
    assert!(!is_superseded(&own, &own, true));
}

#[test]
fn where_histories_part() {
    let promoted = history(2, 1, 3);
    assert_eq!(fork(&history(1, 0, 2), 600, &promoted), Some(500));
    assert_eq!(fork(&history(1, 0, 2), 500, &promoted), None);
    assert_eq!(fork(&history(9, 0, 2), 600, &promoted), None);
    // A restart from files in between.
    let restarted = History { previous_end: 450, ..history(3, 1, 2) };
    assert_eq!(fork(&restarted, 600, &promoted), Some(450));
    assert_eq!(fork(&restarted, 600, &history(1, 0, 3)), Some(450));
    // A recovery that kept the lineage.
    assert_eq!(fork(&history(1, 0, 2), 600, &history(1, 0, 3)), Some(500));
    assert_eq!(fork(&history(1, 0, 3), 600, &history(1, 0, 3)), None);
}

#[test]
fn what_is_told_reads_back() {
    let own = history(2, 1, 7);
    let mut told = Told::default();
    assert_eq!(told.history(), None);
    for (word, value) in tell(&own) {
        assert!(told.take(word.as_bytes(), value.as_bytes()), "{word}");
    }
    let read = told.history().expect("a history");
    assert_eq!((read.lineage, read.previous, read.epoch.number), (own.lineage, own.previous, 7));
    assert!(!told.take(b"outrigger-epoch", b"x") && !told.take(b"outrigger-lineage", b"12"));
    assert!(!Told::default().take(b"capa", b"eof"));
}

/// A node of the model: what it holds, and whether it serves it.
#[derive(Clone)]
struct Node {
    history: History,
    end: u64,
    is_primary: bool,
    fenced: bool,
    held: u64,
}

/// Some nodes of one history that are promoted, restarted, ordered about and told of each other in any order.
struct Model {
    nodes: Vec<Node>,
    rng: Rng,
    lineages: u64,
}

impl Model {
    fn new(seed: u64) -> Model {
        let first = Node { history: history(1, 0, 1), end: 500, is_primary: true, fenced: false, held: 0 };
        let follower = Node { is_primary: false, ..first.clone() };
        let nodes = vec![first, follower.clone(), follower.clone(), follower];
        Model { nodes, rng: Rng::from_seed(seed), lineages: 100 * seed + 10 }
    }

    fn pick(&mut self) -> usize {
        self.rng.below(self.nodes.len() as u64) as usize
    }

    fn serves(&self, index: usize) -> bool {
        self.nodes[index].is_primary && !self.nodes[index].fenced
    }

    /// As `Log::begin_epoch` with a new lineage.
    fn promote(&mut self, index: usize, at_least: u64) {
        self.lineages += 1;
        let lineage = lineage(self.lineages);
        let node = &mut self.nodes[index];
        let number = (node.history.epoch.number + 1).max(at_least);
        let (previous, previous_end) = (node.history.lineage, node.end as i64);
        let epoch = Epoch { number, since: node.end };
        node.history = History { lineage, previous, previous_end, epoch };
        node.end += 50;
        (node.is_primary, node.fenced, node.held) = (true, false, number);
    }

    /// A replica connects, perhaps by an order, and takes what it is given.
    fn connect(&mut self, replica: usize, primary: usize, ordered: bool) {
        let (own, theirs) = (self.nodes[replica].clone(), self.nodes[primary].clone());
        match meet(Some(&own.history), &theirs.history, ordered, own.held) {
            Meeting::Refuse(_) => self.tell(replica, primary),
            Meeting::Yield => {
                self.promote(primary, own.history.epoch.number + 1);
                self.follow(replica, primary);
            }
            Meeting::Follow if self.serves(primary) => self.follow(replica, primary),
            Meeting::Follow => {}
        }
    }

    fn follow(&mut self, replica: usize, primary: usize) {
        let theirs = self.nodes[primary].clone();
        self.nodes[replica] = Node { is_primary: false, fenced: false, held: 0, ..theirs };
    }

    /// One node tells another of its history; a primary's word is a claim.
    fn tell(&mut self, from: usize, to: usize) {
        let told = &self.nodes[from];
        if self.serves(to) && is_superseded(&self.nodes[to].history, &told.history, told.is_primary) {
            self.nodes[to].fenced = true;
        }
    }

    fn step(&mut self) {
        let (one, other) = (self.pick(), self.pick());
        if one == other {
            return;
        }
        match self.rng.below(10) {
            0 if !self.nodes[one].is_primary => self.promote(one, 0),
            1 if self.nodes[one].is_primary && !self.nodes[one].fenced => {
                // A restart from files: another name, the same epoch.
                self.lineages += 1;
                let lineage = lineage(self.lineages);
                let node = &mut self.nodes[one];
                let (previous, previous_end) = (node.history.lineage, node.end as i64);
                node.history = History { lineage, previous, previous_end, ..node.history };
                node.held = 0;
            }
            2 if self.nodes[other].is_primary => self.connect(one, other, true),
            3 | 4 if !self.nodes[one].is_primary && self.nodes[other].is_primary => {
                self.connect(one, other, false);
            }
            5 | 6 if self.serves(one) => self.nodes[one].end += 10,
            _ => {
                self.tell(one, other);
                self.tell(other, one);
            }
        }
    }
}

/// Whatever happens: a node's epoch never falls while it stays with its history, and two nodes that have told each other of what
/// they hold never both serve it, be it in one epoch or in two.
#[test]
fn no_two_nodes_that_have_met_serve_one_history() {
    let mut met_rivals = 0;
    for seed in 1..400 {
        let mut model = Model::new(seed);
        for _ in 0..200 {
            let before = model.nodes.clone();
            model.step();
            for (old, new) in before.iter().zip(&model.nodes) {
                let left = !are_related(&old.history, &new.history);
                assert!(left || new.history.epoch.number >= old.history.epoch.number, "seed {seed}: it fell");
            }
            for one in 0..model.nodes.len() {
                for other in 0..one {
                    let both = model.serves(one) && model.serves(other);
                    let (a, b) = (&model.nodes[one].history, &model.nodes[other].history);
                    if !both || !are_related(a, b) {
                        continue;
                    }
                    assert_ne!(a.lineage, b.lineage, "seed {seed}: two serve under one name");
                    // They have not met since: let them, and one gives way.
                    let mut after =
                        Model { nodes: model.nodes.clone(), rng: Rng::from_seed(seed), lineages: 0 };
                    after.tell(one, other);
                    after.tell(other, one);
                    assert!(!(after.serves(one) && after.serves(other)), "seed {seed}: {a:?} and {b:?}");
                    assert!(after.serves(one) || after.serves(other), "seed {seed}: neither serves");
                    met_rivals += 1;
                }
            }
        }
    }
    assert!(met_rivals > 1_000, "{met_rivals}");
}
