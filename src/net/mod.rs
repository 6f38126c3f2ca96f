//! Listeners, connections and their buffers.
