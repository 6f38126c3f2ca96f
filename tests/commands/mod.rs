//! Commands over real connections.

mod protocol;
