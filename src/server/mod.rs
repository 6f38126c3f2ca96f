//! Dispatch, transactions, blocking, configuration.

pub mod blocked;
pub mod clients;
pub mod commands;
//pub mod config;
pub mod dispatch;
pub mod gate;
pub mod node;
pub mod replication;
pub mod session;
pub mod stats;
pub mod transaction;

pub use node::Node;
pub use session::Session;

pub mod config {
    use crate::command::Settings;
    #[derive(Clone, Debug)]
    pub struct Config {
        pub requirepass: String,
        pub repl_backlog_size: u64,
        pub databases: u32,
        pub bind: Vec<String>,
        pub port: u16,
        pub tcp_backlog: i32,
        pub tcp_keepalive: u32,
        pub maxclients: u64,
        pub client_query_buffer_limit: u64,
    }
    impl Config {
        pub fn settings(&self) -> Settings {
            Settings::default()
        }
    }
    impl Default for Config {
        fn default() -> Self {
            Config {
                requirepass: String::new(),
                repl_backlog_size: 1 << 20,
                databases: 16,
                bind: vec!["127.0.0.1".into()],
                port: 6379,
                tcp_backlog: 511,
                tcp_keepalive: 300,
                maxclients: 10000,
                client_query_buffer_limit: 1 << 30,
            }
        }
    }
}
