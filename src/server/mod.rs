//! Dispatch, transactions, blocking, configuration.
