//! Commands over real connections. What both servers must do alike runs against a stock server, too: so a wrong
//! expectation is found out.

mod acl;
mod blocking;
mod clients;
mod command_info;
mod connections;
mod debug;
mod evicted_clients;
mod keyspace_events;
mod latency;
mod listeners;
mod maxmemory;
mod migrate;
mod monitor;
mod proc_title;
mod protocol;
mod pubsub;
mod pubsub_limits;
mod slow_readers;
mod sort;
mod streams;
mod their_tools;
mod tools_beside;
mod tracking;
mod transactions;
mod waiting;

use crate::support::Server;

/// Runs a test against our server with one and with three I/O threads, and against a stock one (that one alone
/// with `OUTRIGGER_ON=stock`, while a test is being written).
fn on_each_server(test: impl Fn(&Server)) {
    let debug = ["--enable-debug-command", "yes"];
    if let Some(stock) = Server::redis(&[]) {
        test(&stock);
    }
    if std::env::var("OUTRIGGER_ON").is_ok_and(|which| which == "stock") {
        return;
    }
    test(&Server::ours(&debug));
    test(&Server::ours(&["--enable-debug-command", "yes", "--io-threads", "3"]));
}
