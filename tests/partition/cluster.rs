//! Three nodes, the roads between them, and who commands them: what a coordinator in production does, done by the test.

use super::history::Record;
use super::proxy::{Proxy, Road};
use crate::support::server::free_port;
use crate::support::slow_disk::{DiskState, SlowDisk};
use crate::support::{Client, Server, wait_for};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Nodes of a cluster.
pub const NODES: usize = 3;
/// A command of the coordinator is answered within this, or the node counts as out of reach.
const REACH: Duration = Duration::from_millis(1_500);
/// Longest that nodes may take to be one again once everything is well.
const CALM_LIMIT: Duration = Duration::from_secs(60);

/// Whether a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It does.
    Up,
    /// It was killed.
    Down,
    /// It was stopped (SIGSTOP).
    Paused,
}

/// A node, and what leads to it.
pub struct Node {
    server: Server,
    disk: SlowDisk,
    /// Whether it runs.
    pub life: Life,
    /// It is to be told whom to follow.
    owes_order: bool,
}

/// Three nodes of which one acts as primary.
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// `roads[a][b]`: by which `a` reaches `b`.
    roads: Vec<Vec<Option<Proxy>>>,
    /// By which clients reach each.
    pub doors: Arc<Vec<Proxy>>,
    /// What clients did.
    pub record: Arc<Record>,
    /// The node that acts as primary.
    pub acting: usize,
    /// The lineages under which it has acted since it was promoted.
    lineages: Vec<String>,
    /// A port on which nobody listens: who follows it follows nobody.
    nowhere: u16,
    /// What was done, for whoever must find out.
    pub diary: Vec<String>,
    on_loss: &'static str,
    more: Vec<String>,
}

/// Where a node stands, as INFO tells it.
#[derive(Debug, Clone)]
struct Place {
    lineage: String,
    previous: String,
    offset: i64,
    has_history: bool,
}

fn reach(server: &Server) -> Option<Client> {
    let client = Client::connect(server.port()).ok()?;
    client.set_read_timeout(REACH);
    Some(client)
}

/// What INFO tells of a node that is in reach.
fn info(server: &Server) -> Option<HashMap<String, String>> {
    reach(server)?.try_info()
}

fn place(server: &Server) -> Option<Place> {
    let fields = info(server)?;
    Some(Place {
        lineage: fields.get("master_replid")?.clone(),
        previous: fields.get("master_replid2")?.clone(),
        offset: fields.get("master_repl_offset")?.parse().ok()?,
        has_history: fields.get("outrigger_history").map(String::as_str) != Some("no"),
    })
}

impl Cluster {
    /// Starts a primary and two replicas, and waits until they are one. Acks are durable on one.
    pub fn start(on_loss: &'static str, more: &[&str]) -> Cluster {
        let ports: Vec<u16> = (0..NODES).map(|_| free_port()).collect();
        let road = |from: usize, to: usize| (from != to).then(|| Proxy::to(ports[to]));
        let roads: Vec<Vec<Option<Proxy>>> =
            (0..NODES).map(|from| (0..NODES).map(|to| road(from, to)).collect()).collect();
        let doors = Arc::new(ports.iter().map(|port| Proxy::to(*port)).collect::<Vec<_>>());
        let mut cluster = Cluster {
            nodes: Vec::new(),
            roads,
            doors,
            record: Arc::new(Record::new(0)),
            acting: 0,
            lineages: Vec::new(),
            nowhere: free_port(),
            diary: Vec::new(),
            on_loss,
            more: more.iter().map(ToString::to_string).collect(),
        };
        for (index, port) in ports.into_iter().enumerate() {
            let disk = SlowDisk::new();
            let mut args = cluster.args(index, (index > 0).then_some(0));
            if index == 0 {
                args.extend(["--start-new-history".to_owned(), "yes".to_owned()]);
            }
            let server = Server::ours_with_env(port, &words(&args), disk.env());
            cluster.nodes.push(Node { server, disk, life: Life::Up, owes_order: false });
        }
        let plain = cluster.args(0, None);
        cluster.nodes[0].server.set_args(&words(&plain));
        cluster.wait_calm();
        cluster
    }

    /// What a node is started with that follows `of`, or acts.
    fn args(&self, node: usize, of: Option<usize>) -> Vec<String> {
        let peers: Vec<String> =
            self.roads[node].iter().flatten().map(|road| format!("127.0.0.1:{}", road.port())).collect();
        let mut args: Vec<String> =
            ["--enable-debug-command", "yes", "--durable-acks", "1"].map(String::from).into();
        args.extend(
            ["--durable-acks-timeout", "400", "--durable-acks-on-loss", self.on_loss].map(String::from),
        );
        args.extend(["--repl-timeout", "5", "--recover-from-peers", &peers.join(" ")].map(String::from));
        if let Some(road) = of.and_then(|of| self.roads[node][of].as_ref()) {
            args.extend(["--replicaof".to_owned(), format!("127.0.0.1 {}", road.port())]);
        }
        args.extend(self.more.iter().cloned());
        args
    }

    fn note(&mut self, text: String) {
        let ms = self.record.now_ns() / 1_000_000;
        self.diary.push(format!("{ms:>6} ms: {text}"));
    }

    /// Kills a node outright.
    pub fn kill(&mut self, node: usize) {
        if self.nodes[node].life == Life::Down {
            return;
        }
        self.note(format!("kill {node}"));
        self.nodes[node].server.kill();
        self.nodes[node].life = Life::Down;
    }

    /// Starts a killed node again, in the role that it has now.
    pub fn restart(&mut self, node: usize) {
        if self.nodes[node].life != Life::Down {
            return;
        }
        let of = (node != self.acting).then_some(self.acting);
        self.note(format!("restart {node}, following {of:?}"));
        let args = self.args(node, of);
        self.nodes[node].server.set_args(&words(&args));
        self.nodes[node].server.restart();
        self.nodes[node].life = Life::Up;
        self.nodes[node].owes_order = false;
    }

    /// Stops a node where it stands.
    pub fn pause(&mut self, node: usize) {
        if self.nodes[node].life == Life::Up {
            self.note(format!("pause {node}"));
            self.nodes[node].server.signal(Signal::SIGSTOP);
            self.nodes[node].life = Life::Paused;
        }
    }

    /// Lets it go on.
    pub fn resume(&mut self, node: usize) {
        if self.nodes[node].life == Life::Paused {
            self.note(format!("resume {node}"));
            self.nodes[node].server.signal(Signal::SIGCONT);
            self.nodes[node].life = Life::Up;
        }
    }

    /// Sets both roads between two nodes.
    pub fn set_roads(&mut self, a: usize, b: usize, road: Road) {
        self.note(format!("between {a} and {b}: {road:?}"));
        [&self.roads[a][b], &self.roads[b][a]].into_iter().flatten().for_each(|proxy| proxy.set(road));
    }

    /// Sets the road from clients to a node.
    pub fn set_door(&mut self, node: usize, road: Road) {
        self.note(format!("to {node} from clients: {road:?}"));
        self.doors[node].set(road);
    }

    /// Makes each fsync of a node take so long.
    pub fn slow_disk(&mut self, node: usize, delay_ms: u64) {
        self.note(format!("each fsync of {node} takes {delay_ms} ms more"));
        self.nodes[node].disk.set(DiskState::Slow(delay_ms));
    }

    /// Makes another node the primary, if that can lose nothing: with acks of one replica of two, both must be asked.
    pub fn promote(&mut self) {
        let others: Vec<usize> = (0..NODES).filter(|node| *node != self.acting).collect();
        if others.iter().any(|node| self.nodes[*node].life != Life::Up) {
            return;
        }
        self.learn_lineage();
        self.note("a promotion begins".to_owned());
        self.record.reign_ends();
        let nowhere = format!("REPLICAOF 127.0.0.1 {}", self.nowhere);
        // Who has left the old primary acknowledges nothing to it any more, and stands still.
        if others.iter().any(|node| !self.order(*node, &nowhere)) {
            return self.stay("a replica could not be told to stand still");
        }
        let places: Vec<Option<Place>> = others.iter().map(|node| place(&self.nodes[*node].server)).collect();
        let Some(winner) = self.most_advanced(&others, &places) else {
            return self.stay("nobody stands in its history");
        };
        if !self.order(winner, "REPLICAOF NO ONE") {
            return self.stay("the chosen one was out of reach");
        }
        self.acting = winner;
        self.lineages.clear();
        self.record.reign_begins(winner);
        self.note(format!("{winner} is promoted; {places:?}"));
        (0..NODES).filter(|node| *node != winner).for_each(|node| self.nodes[node].owes_order = true);
        self.give_orders();
    }

    /// The promotion is called off: everybody follows the old primary again.
    fn stay(&mut self, why: &str) {
        self.note(format!("no promotion: {why}"));
        let acting = self.acting;
        self.record.reign_begins(acting);
        (0..NODES).filter(|node| *node != acting).for_each(|node| self.nodes[node].owes_order = true);
        self.give_orders();
    }

    /// Of those that stand in the acting primary's history, the one with most of it.
    fn most_advanced(&self, nodes: &[usize], places: &[Option<Place>]) -> Option<usize> {
        let is_current = |place: &Place| {
            let known = |lineage| self.lineages.contains(lineage);
            place.has_history && (known(&place.lineage) || known(&place.previous))
        };
        let standing = nodes.iter().zip(places).filter_map(|(node, place)| Some((*node, place.as_ref()?)));
        standing
            .filter(|(_, place)| is_current(place))
            .max_by_key(|(_, place)| place.offset)
            .map(|(node, _)| node)
    }

    /// Gives a node an order; false if it did not answer OK.
    fn order(&mut self, node: usize, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        let reply = reach(&self.nodes[node].server).and_then(|mut client| client.try_command(&words).ok());
        let done =
            reply.as_ref().and_then(|reply| reply.as_bytes()).is_some_and(|text| text.starts_with(b"OK"));
        if !done {
            self.note(format!("{node} was told {}: {reply:?}", words.join(" ")));
        }
        done
    }

    /// Orders those that run and follow another than they should to follow the acting primary.
    pub fn give_orders(&mut self) {
        self.learn_lineage();
        let acting = self.acting;
        for node in (0..NODES).filter(|node| *node != acting) {
            if self.nodes[node].life != Life::Up || !(self.nodes[node].owes_order || self.has_refused(node)) {
                continue;
            }
            let Some(port) = self.roads[node][acting].as_ref().map(Proxy::port) else { continue };
            self.nodes[node].owes_order = !self.order(node, &format!("REPLICAOF 127.0.0.1 {port}"));
            self.note(format!("{node} follows {acting}"));
        }
    }

    /// Has a replica refused what the acting primary offers? Then what it has is a tail that was never promised.
    fn has_refused(&self, node: usize) -> bool {
        let fields = info(&self.nodes[node].server);
        fields.is_some_and(|fields| fields.contains_key("outrigger_refused_sync_reason"))
    }

    /// Notes under which lineage the acting primary acts.
    fn learn_lineage(&mut self) {
        let node = &self.nodes[self.acting];
        if node.life != Life::Up {
            return;
        }
        let Some(fields) = info(&node.server) else { return };
        let (role, fenced) = (fields.get("role"), fields.get("outrigger_fenced"));
        if role.map(String::as_str) == Some("master") && fenced.map(String::as_str) != Some("1") {
            let lineage = fields.get("master_replid").cloned().unwrap_or_default();
            if !self.lineages.contains(&lineage) {
                self.lineages.push(lineage);
            }
        }
    }

    /// Ends every fault, and waits until all nodes are one.
    pub fn calm(&mut self) {
        self.note("calm".to_owned());
        self.roads.iter().flatten().flatten().chain(self.doors.iter()).for_each(|road| road.set(Road::Open));
        for node in 0..NODES {
            self.nodes[node].disk.set(DiskState::Well);
            self.resume(node);
        }
        // The replicas first: a primary without history waits for theirs.
        let order = (0..NODES).filter(|node| *node != self.acting).chain([self.acting]).collect::<Vec<_>>();
        order.into_iter().for_each(|node| self.restart(node));
        self.wait_calm();
    }

    fn wait_calm(&mut self) {
        let mut looks = 0u32;
        wait_for("the nodes to be one", CALM_LIMIT, || {
            looks += 1;
            if looks % 20 == 1 {
                self.give_orders();
            }
            (0..NODES).all(|node| self.is_well(node))
        });
    }

    fn is_well(&self, node: usize) -> bool {
        let Some(fields) = info(&self.nodes[node].server) else { return false };
        let is = |name: &str, value: &str| fields.get(name).map(String::as_str) == Some(value);
        match node == self.acting {
            true => {
                is("role", "master") && is("outrigger_fenced", "0") && is("outrigger_durable_replicas", "2")
            }
            false => is("role", "slave") && is("master_link_status", "up"),
        }
    }

    /// A node's server.
    pub fn server(&self, node: usize) -> &Server {
        &self.nodes[node].server
    }
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}
