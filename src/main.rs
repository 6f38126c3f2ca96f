//! The `outrigger` program: the server and its `pair` supervisor.

use outrigger::net::{IoThreads, Serving};
use outrigger::server::Node;
use outrigger::server::config::Config;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(2).and_then(|p| p.parse().ok()).unwrap_or(6379);
    let node = Arc::new(Node::new(Config { port, ..Config::default() }));
    let threads = IoThreads::start(node.config().io_threads)?;
    let _serving = Serving::start(&node, &threads)?;
    loop {
        std::thread::park();
    }
}
