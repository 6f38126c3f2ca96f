//! How large a compact encoding may grow before it becomes a full one.

/// The encoding thresholds of the configuration, with Redis 7.2's defaults. Entries count members or pairs; values
/// are bytes of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `hash-max-listpack-entries`: pairs a hash keeps in a listpack.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`: bytes of the longest field or value of such a hash.
    pub hash_max_listpack_value: usize,
    /// `set-max-intset-entries`: members a set of integers keeps in an intset.
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`: members a set keeps in a listpack.
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`: bytes of the longest member of such a set.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`: members a sorted set keeps in a listpack.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`: bytes of the longest member of such a sorted set.
    pub zset_max_listpack_value: usize,
    /// `list-max-listpack-size`: elements of a list node if positive; -1 to -5 mean 4, 8, 16, 32 or 64 KiB a node.
    pub list_max_listpack_size: i64,
    /// Bytes from which on an element of a list that is no single listpack has a node of its own, as DEBUG
    /// QUICKLIST-PACKED-THRESHOLD sets it for tests; 0 leaves that to the size of nodes.
    pub list_packed_threshold: usize,
    /// `list-compress-depth`: kept for CONFIG; nodes are not compressed.
    pub list_compress_depth: u64,
    /// `stream-node-max-bytes`: bytes of a node that another entry is added to; 0 is no limit.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`: entries of a node, deleted ones too; 0 is no limit.
    pub stream_node_max_entries: usize,
    /// `hll-sparse-max-bytes`: longest sparse form of a HyperLogLog, its header included.
    pub hll_sparse_max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hash_max_listpack_entries: 128,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_packed_threshold: 0,
            list_compress_depth: 0,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
        }
    }
}

/// A node limited by a number of elements is limited to this many bytes as well.
const COUNT_LIMITED_NODE_BYTES: usize = 8192;
/// What an element is assumed to take in a node besides its text.
const ELEMENT_OVERHEAD_BYTES: usize = 8;

/// What `list-max-listpack-size` allows one node to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeLimit {
    size: NodeSize,
    /// Longer elements get nodes of their own: bytes.
    element_max_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeSize {
    Bytes(usize),
    Count(usize),
}

impl Limits {
    pub(super) fn list_node(&self) -> NodeLimit {
        let size = match self.list_max_listpack_size {
            ..=-5 => NodeSize::Bytes(65_536),
            -4 => NodeSize::Bytes(32_768),
            -3 => NodeSize::Bytes(16_384),
            -2 => NodeSize::Bytes(8192),
            -1 => NodeSize::Bytes(4096),
            count => NodeSize::Count(usize::try_from(count).unwrap_or(1).max(1)),
        };
        let element_max_bytes = match (self.list_packed_threshold, size) {
            (0, NodeSize::Bytes(max)) => max,
            (0, NodeSize::Count(_)) => COUNT_LIMITED_NODE_BYTES,
            (threshold, _) => threshold - 1,
        };
        NodeLimit { size, element_max_bytes }
    }
}

impl NodeLimit {
    /// Nodes of up to `max` bytes, where no element has a node of another kind.
    pub(super) const fn of_bytes(max: usize) -> Self {
        Self { size: NodeSize::Bytes(max), element_max_bytes: usize::MAX }
    }

    /// Whether a node of this size is too large.
    pub(super) fn exceeded_by(self, bytes: usize, count: usize) -> bool {
        match self.size {
            NodeSize::Bytes(max) => bytes > max,
            NodeSize::Count(max) => bytes > COUNT_LIMITED_NODE_BYTES || count > max,
        }
    }

    /// Whether a node of this size may take an element of `len` bytes more.
    pub(super) fn admits(self, node_bytes: usize, node_count: usize, len: usize) -> bool {
        !self.is_large(len) && !self.exceeded_by(node_bytes + len + ELEMENT_OVERHEAD_BYTES, node_count + 1)
    }

    /// Whether an element of `len` bytes gets a node of its own.
    pub(super) fn is_large(self, len: usize) -> bool {
        len > self.element_max_bytes
    }

    /// Whether a list of a single node of this size becomes a listpack again. While elements are being removed,
    /// only at half the limit, so that a list near the limit does not flip at every command.
    pub(super) fn fits_listpack(self, bytes: usize, count: usize, shrinking: bool) -> bool {
        let part = if shrinking { 2 } else { 1 };
        match self.size {
            NodeSize::Bytes(max) => bytes <= max / part,
            NodeSize::Count(max) => count <= max / part,
        }
    }
}
