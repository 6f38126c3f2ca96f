//! What happens at `maxmemory-clients`: the clients whose buffers take most are disconnected, until the rest is within it.
//!
//! Each connection tells what its buffers take once a batch and while it writes, as long as there is a limit; the sum is
//! kept. What a client that was told to go still takes is not held against the keys: it is about to be freed.

use super::clients::{ClientInfo, ClientKind};
use super::config::{ClientsLimit, Config};
use super::node::Node;
use super::stats::add;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A change of a connection's buffers that is not worth telling, in bytes.
const UNTOLD_BYTES: usize = 1024;

/// The limit, and what is in use.
#[derive(Default)]
pub struct ClientMemory {
    /// What the limit is; 0: there is none.
    limit_bytes: AtomicUsize,
    /// What ordinary clients have told.
    used_bytes: AtomicUsize,
    /// What those take that were told to go and are not gone yet.
    leaving_bytes: AtomicUsize,
}

impl ClientMemory {
    /// Is there a limit?
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limit_bytes.load(Ordering::Relaxed) > 0
    }

    /// What clients take that were told to go.
    pub fn leaving_bytes(&self) -> u64 {
        self.leaving_bytes.load(Ordering::Relaxed) as u64
    }

    /// Takes over the limit: bytes, or a part of `maxmemory`, where 0 is none.
    pub fn configure(&self, config: &Config) {
        let limit = match config.maxmemory_clients {
            ClientsLimit::Bytes(bytes) => bytes,
            ClientsLimit::Percent(percent) => {
                (u128::from(config.maxmemory_bytes) * u128::from(percent) / 100) as u64
            }
        };
        self.limit_bytes.store(usize::try_from(limit).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Takes in what a connection's buffers take now; true if all together take too much.
    pub fn tell(&self, client: &ClientInfo) -> bool {
        // Whoever was told to go may still read what had arrived.
        let counts = client.kind() == ClientKind::Normal && client.leaving_bytes.load(Ordering::Relaxed) == 0;
        let now = if counts { client.memory_bytes() } else { 0 };
        let told = client.told_bytes.load(Ordering::Relaxed);
        if now.abs_diff(told) >= UNTOLD_BYTES {
            // Whoever else tells of the same client meanwhile tells the difference to this.
            let told = client.told_bytes.swap(now, Ordering::Relaxed);
            self.used_bytes.fetch_add(now.wrapping_sub(told), Ordering::Relaxed);
        }
        self.is_too_much()
    }

    fn is_too_much(&self) -> bool {
        let limit = self.limit_bytes.load(Ordering::Relaxed);
        limit > 0 && self.used_bytes.load(Ordering::Relaxed) > limit
    }

    /// A connection has been told to go, for this or any other reason, or is gone: it counts no more.
    fn forget(&self, client: &ClientInfo) -> usize {
        let told = client.told_bytes.swap(0, Ordering::Relaxed);
        self.used_bytes.fetch_sub(told, Ordering::Relaxed);
        told
    }

    /// A connection is gone, and its buffers with it.
    pub fn gone(&self, client: &ClientInfo) {
        self.forget(client);
        self.leaving_bytes.fetch_sub(client.leaving_bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Disconnects those whose buffers take most until the rest is within the limit; true if anybody was.
pub fn make_room(node: &Node) -> bool {
    let memory = &node.client_memory;
    if !memory.is_limited() {
        return false;
    }
    let mut clients = node.clients.list();
    clients.retain(|client| client.kind() == ClientKind::Normal && !client.no_evict.load(Ordering::Relaxed));
    for client in &clients {
        memory.tell(client);
    }
    clients.sort_by_cached_key(|client| client.told_bytes.load(Ordering::Relaxed));
    let mut any = false;
    while memory.is_too_much()
        && let Some(client) = clients.pop()
    {
        evict(node, &client);
        any = true;
    }
    any
}

fn evict(node: &Node, client: &Arc<ClientInfo>) {
    let bytes = node.client_memory.forget(client);
    client.leaving_bytes.fetch_add(bytes, Ordering::Relaxed);
    node.client_memory.leaving_bytes.fetch_add(bytes, Ordering::Relaxed);
    tracing::info!(addr = %client.addr, id = client.id, bytes, "client evicted: its buffers took the most");
    add(&node.stats.evicted_clients, 1);
    node.clients.kill(client);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::endpoint::Endpoint;

    fn connect(node: &Node, bytes: usize) -> Arc<ClientInfo> {
        let nowhere = || Endpoint::Tcp(([127, 0, 0, 1], 1).into());
        let id = node.clients.next_id();
        let info = Arc::new(ClientInfo::new(id, nowhere(), nowhere(), 0, 0, Box::new(|| ())));
        info.output_bytes.store(bytes, Ordering::Relaxed);
        node.clients.add(info.clone(), 100);
        node.client_memory.tell(&info);
        info
    }

    fn limited(limit: ClientsLimit) -> Node {
        let node = Node::new(Config::default());
        let change = |config: &mut Config| {
            (config.maxmemory_bytes, config.maxmemory_clients) = (1_000_000, limit);
            Ok::<(), ()>(())
        };
        node.change_config(change).expect("a limit");
        node
    }

    #[test]
    fn those_who_take_most_go_first() {
        let node = limited(ClientsLimit::Percent(10));
        let sizes = [10_000, 50_000, 30_000, 60_000, 5_000, 500_000];
        let clients: Vec<_> = sizes.iter().map(|bytes| connect(&node, *bytes)).collect();
        clients[1].no_evict.store(true, Ordering::Relaxed);
        clients[5].set_kind(ClientKind::Replica);
        assert!(node.client_memory.tell(&clients[5]), "155,000 bytes and more are too much");
        assert!(make_room(&node));
        let left: Vec<_> = node.clients.list().iter().map(|client| client.id).collect();
        assert_eq!(left, [1, 2, 3, 5, 6]);
        assert!(!make_room(&node));
        assert!(node.client_memory.leaving_bytes() >= 60_000);
        // It goes on reading for a moment, and others do not go for that.
        clients[3].query_bytes.store(1 << 20, Ordering::Relaxed);
        assert!(!node.client_memory.tell(&clients[3]) && !make_room(&node));
        node.client_memory.gone(&clients[3]);
        assert_eq!(node.client_memory.leaving_bytes(), 0);
        assert_eq!(node.stats.evicted_clients.load(Ordering::Relaxed), 1);
        clients.iter().for_each(|client| node.client_memory.gone(client));
        assert_eq!(node.client_memory.used_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn without_a_limit_nobody_goes() {
        let node = limited(ClientsLimit::Bytes(0));
        connect(&node, 1 << 30);
        assert!(!node.client_memory.is_limited() && !make_room(&node));
    }
}
