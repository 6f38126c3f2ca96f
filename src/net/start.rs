//! Starts a node: threads, data, listeners, replication.

use super::threads::{IoThreads, Serving};
use super::{claim, link, recover};
use crate::server::config::{CommandLine, ShutdownOptions};
use crate::server::gate::bits;
use crate::server::replication::recovery::{Ask, Choosing};
use crate::server::shutdown::{Asked, SaveWish};
use crate::server::{Node, acl, cron, durability, proc_title, replication, shutdown};
use crate::sys::marks::{Mark, write_pid_file};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// A running server.
pub struct Running {
    /// The node.
    pub node: Arc<Node>,
    /// Its I/O threads.
    pub threads: IoThreads,
    /// Its listeners.
    pub serving: Serving,
}

/// Loads the data, and serves. `on_end` ends the process; it is called at the end of an orderly shutdown.
pub fn start(line: CommandLine, on_end: impl Fn() + Send + Sync + 'static) -> io::Result<Running> {
    let CommandLine { config, file } = line;
    let _ = crate::sys::process::raise_open_files(u64::from(config.maxclients) + 128);
    let _ = crate::sys::process::survive_file_size_limit();
    if config.disable_thp && crate::sys::process::disable_huge_pages().is_err() {
        tracing::warn!(
            "the kernel does not let huge pages be disabled for this process: snapshots may copy more memory"
        );
    }
    let primary = config.replicaof.clone();
    let starts_new = config.start_new_history;
    let count = config.io_threads;
    let mut node = Node::new(config);
    node.config_file = file;
    let node = Arc::new(node);
    acl::load_at_start(&node).map_err(io::Error::other)?;
    node.memory.sample();
    let marks: Arc<Mutex<Vec<Mark>>> = Arc::default();
    let removed = marks.clone();
    node.shutdown.on_end(move || {
        removed.lock().clear();
        on_end();
    });
    if primary.is_some() {
        node.begin_as_replica(primary);
    }
    // From here on the node answers that it is loading, and can be asked how far it is, and told to end.
    node.gate.set(bits::LOADING, true);
    let threads = IoThreads::start(count)?;
    let mut serving = Serving::start(&node, &threads)?;
    marks.lock().extend(serving.socket_file.take());
    marks.lock().extend(pid_file(&node));
    proc_title::show(&node);
    let for_signals = node.clone();
    threads.spawn_on(0, move || signals(for_signals));
    node.durability.boot(&node).map_err(io::Error::other)?;
    find_history(&node, starts_new);
    durability::keeper::start(&node)?;
    let for_link = node.clone();
    threads.spawn_on(threads.count() - 1, move || link::run(for_link));
    let for_claims = node.clone();
    threads.spawn_on(0, move || claim::run(for_claims));
    let for_replication = node.clone();
    threads.spawn_on(0, move || replication::cron::run(for_replication));
    let for_cron = node.clone();
    threads.spawn_on(0, move || cron::run(for_cron));
    let for_recovery = node.clone();
    threads.spawn_on(0, move || recover::run(for_recovery));
    node.gate.set(bits::LOADING, false);
    Ok(Running { node, threads, serving })
}

/// A primary that has loaded nothing begins a history, or is fenced until it is given one.
fn find_history(node: &Node, starts_new: bool) {
    if node.is_replica() || node.role.has_history() {
        return;
    }
    let peers = node.durability.recovery_peers(node);
    match (starts_new, peers.is_empty()) {
        (false, false) => {
            node.gate.fence_without_history("waiting for the history of the peers".into());
            node.recovery.ask(Ask { peers, choosing: Choosing::Carefully });
        }
        (false, true) if node.durability.has_handed_over() => {
            let reason = "this node's files are of the past, and nothing names who has the history";
            node.gate.fence_without_history(reason.into());
        }
        _ => node.role.set_has_history(true),
    }
}

/// Writes the pid file, where one is wanted. A server without is better than none.
fn pid_file(node: &Node) -> Option<Mark> {
    let config = node.config();
    let path = (!config.pidfile.is_empty()).then(|| config.dir.join(&config.pidfile))?;
    match write_pid_file(&path) {
        Ok(mark) => Some(mark),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the pid file could not be written");
            None
        }
    }
}

fn asked(options: &ShutdownOptions) -> Asked {
    let save = match (options.save, options.nosave) {
        (true, _) => SaveWish::Yes,
        (_, true) => SaveWish::No,
        _ => SaveWish::ByRules,
    };
    Asked { save, now: options.now, force: options.force }
}

/// Ends the node on SIGTERM and SIGINT.
async fn signals(node: Arc<Node>) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return tracing::error!("signals cannot be caught: only SHUTDOWN will end this server in order");
    };
    loop {
        let asked = tokio::select! {
            _ = term.recv() => asked(&node.config().shutdown_on_sigterm),
            _ = int.recv() => asked(&node.config().shutdown_on_sigint),
        };
        tracing::info!("a signal asks for the end");
        let reason = shutdown::run(&node, asked).await;
        tracing::error!(%reason, "the server goes on");
    }
}
