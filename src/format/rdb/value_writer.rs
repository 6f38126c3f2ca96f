//! Writing lengths, strings and values, in the encodings Redis 7.0 loads.

use super::{node_container, value_type};
use crate::base::crc::crc64;
use crate::format::lzf::Compressor;
use crate::value::list::NodeRef;
use crate::value::set::SetForm;
use crate::value::{Element, Hash, Listpack, Set, Value};

/// Bytes that are gathered before the sink gets them.
const CHUNK_BYTES: usize = 64 * 1024;
/// The longest text that can be a 32-bit number: `-2147483648`.
const MAX_INT_TEXT: usize = 11;
/// Up to this length compression cannot pay.
const MAX_UNCOMPRESSED: usize = 20;
/// Bytes that compression must save at least.
const MIN_SAVED: usize = 4;

/// Where encoded bytes go: into a buffer, and from there in chunks to the sink.
pub(super) struct Output<S> {
    buffer: Vec<u8>,
    sink: S,
    crc: u64,
    flushed: u64,
    checksum: bool,
    compressor: Option<Compressor>,
    packed: Vec<u8>,
    /// Bytes that are gathered before the sink gets them.
    chunk_bytes: usize,
}

impl<E, S: FnMut(&[u8]) -> Result<(), E>> Output<S> {
    pub(super) fn new(sink: S, compress: bool, checksum: bool) -> Self {
        Output {
            buffer: Vec::with_capacity(CHUNK_BYTES),
            sink,
            crc: 0,
            flushed: 0,
            checksum,
            compressor: compress.then(Compressor::new),
            packed: Vec::new(),
            chunk_bytes: CHUNK_BYTES,
        }
    }

    /// As [`Output::new`], but all bytes stay in the buffer until they are taken; nothing is compressed.
    pub(super) fn gathering(sink: S, checksum: bool) -> Self {
        Output {
            buffer: Vec::new(),
            sink,
            crc: 0,
            flushed: 0,
            checksum,
            compressor: None,
            packed: Vec::new(),
            chunk_bytes: usize::MAX,
        }
    }

    /// As [`Output::gathering`], but compressing as [`Output::new`], and the sink is given what is gathered when it would come
    /// to more than `most_bytes`.
    pub(super) fn bounded(sink: S, compress: bool, most_bytes: usize) -> Self {
        let compressor = compress.then(Compressor::new);
        Output { compressor, chunk_bytes: most_bytes, ..Output::gathering(sink, false) }
    }

    /// Takes everything gathered.
    pub(super) fn take(&mut self) -> Vec<u8> {
        if self.checksum {
            self.crc = crc64(self.crc, &self.buffer);
        }
        self.flushed += self.buffer.len() as u64;
        std::mem::take(&mut self.buffer)
    }

    /// Forgets what was gathered behind the first so many bytes.
    pub(super) fn cut_to(&mut self, bytes: usize) {
        self.buffer.truncate(bytes);
    }

    /// What is gathered.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets what was gathered, and gives room beyond so many bytes back.
    pub(super) fn empty(&mut self, kept_bytes: usize) {
        self.buffer.clear();
        self.buffer.shrink_to(kept_bytes);
    }

    /// The checksum of all that was taken.
    pub(super) fn taken_crc(&self) -> u64 {
        self.crc
    }

    /// Bytes that are gathered.
    pub(super) fn gathered(&self) -> usize {
        self.buffer.len()
    }

    /// Hands everything gathered to the sink.
    pub(super) fn flush(&mut self) -> Result<(), E> {
        if !self.buffer.is_empty() {
            if self.checksum {
                self.crc = crc64(self.crc, &self.buffer);
            }
            (self.sink)(&self.buffer)?;
            self.flushed += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// The checksum of all bytes so far; flushes them. 0 when none is taken.
    pub(super) fn crc(&mut self) -> Result<u64, E> {
        self.flush()?;
        Ok(self.crc)
    }

    /// Bytes put so far.
    pub(super) fn len(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), E> {
        if self.buffer.len() + bytes.len() > self.chunk_bytes {
            self.flush()?;
            if bytes.len() > self.chunk_bytes {
                if self.checksum {
                    self.crc = crc64(self.crc, bytes);
                }
                (self.sink)(bytes)?;
                self.flushed += bytes.len() as u64;
                return Ok(());
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn length(&mut self, len: u64) -> Result<(), E> {
        if len < 1 << 6 {
            self.put(&[len as u8])
        } else if len < 1 << 14 {
            self.put(&[0x40 | (len >> 8) as u8, len as u8])
        } else if let Ok(len) = u32::try_from(len) {
            let [a, b, c, d] = len.to_be_bytes();
            self.put(&[0x80, a, b, c, d])
        } else {
            self.put(&[0x81])?;
            self.put(&len.to_be_bytes())
        }
    }

    /// A string, as a number if it is one, compressed if that saves enough.
    pub(super) fn string(&mut self, bytes: &[u8]) -> Result<(), E> {
        if bytes.len() <= MAX_INT_TEXT
            && let Element::Int(int) = Element::parse(bytes)
        {
            return self.int(int);
        }
        self.blob(bytes)
    }

    pub(super) fn element(&mut self, element: Element<'_>) -> Result<(), E> {
        match element {
            Element::Bytes(bytes) => self.string(bytes),
            Element::Int(int) => self.int(int),
        }
    }

    pub(super) fn int(&mut self, int: i64) -> Result<(), E> {
        if let Ok(int) = i8::try_from(int) {
            self.put(&[0xc0, int as u8])
        } else if let Ok(int) = i16::try_from(int) {
            let [a, b] = int.to_le_bytes();
            self.put(&[0xc1, a, b])
        } else if let Ok(int) = i32::try_from(int) {
            let [a, b, c, d] = int.to_le_bytes();
            self.put(&[0xc2, a, b, c, d])
        } else {
            self.blob(itoa::Buffer::new().format(int).as_bytes())
        }
    }

    /// A string that is not to become a number.
    pub(super) fn blob(&mut self, bytes: &[u8]) -> Result<(), E> {
        if bytes.len() > MAX_UNCOMPRESSED
            && let Some(compressor) = &mut self.compressor
        {
            self.packed.clear();
            if let Some(packed_len) = compressor.compress(bytes, bytes.len() - MIN_SAVED, &mut self.packed) {
                self.put(&[0xc3])?;
                self.length(packed_len as u64)?;
                self.length(bytes.len() as u64)?;
                let packed = std::mem::take(&mut self.packed);
                let put = self.put(&packed);
                self.packed = packed;
                return put;
            }
        }
        self.length(bytes.len() as u64)?;
        self.put(bytes)
    }

    /// The content of a value, without its type.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), E> {
        match value {
            Value::Str(string) => self.element(string.element()),
            Value::List(list) => {
                if let Some(whole) = list.merged() {
                    return self.merged_list(&whole);
                }
                let mut nodes = list.nodes();
                self.length(nodes.len() as u64)?;
                nodes.try_for_each(|node| self.list_node(node))
            }
            Value::Set(set) => self.set(set),
            Value::Hash(hash) => self.hash(hash),
            Value::ZSet(zset) => {
                if let Some(listpack) = zset.as_listpack() {
                    return self.blob(listpack.as_bytes());
                }
                self.length(zset.len() as u64)?;
                // From the last on, as stock servers write them: that is the order they load fastest.
                zset.iter_range(zset.len().saturating_sub(1), zset.len(), true)
                    .try_for_each(|pair| self.scored(pair))
            }
            Value::Stream(stream) => super::stream::write(self, stream),
        }
    }
}

impl<E, S: FnMut(&[u8]) -> Result<(), E>> Output<S> {
    /// A list that is one listpack.
    pub(super) fn merged_list(&mut self, whole: &Listpack) -> Result<(), E> {
        self.length(1)?;
        self.length(node_container::PACKED)?;
        self.blob(whole.as_bytes())
    }

    pub(super) fn set(&mut self, set: &Set) -> Result<(), E> {
        if let SetForm::Intset(intset) = set.form() {
            return self.blob(intset.as_bytes());
        }
        self.length(set.len() as u64)?;
        set.iter().try_for_each(|member| self.element(member))
    }

    /// A hash. Only if a field carries a time, a form that Redis before 7.4 does not know.
    pub(super) fn hash(&mut self, hash: &Hash) -> Result<(), E> {
        if let Some(listpack) = hash.as_listpack() {
            return self.blob(listpack.as_bytes());
        }
        if hash.has_times() {
            return self.timed_hash(hash);
        }
        if hash.is_packed() {
            let pairs = hash.iter().flat_map(|(field, value)| [field, value]);
            return self.blob(Listpack::from_elements(pairs).as_bytes());
        }
        self.length(hash.len() as u64)?;
        hash.iter().try_for_each(|(field, value)| {
            self.element(field)?;
            self.element(value)
        })
    }

    /// A hash with times: the soonest, then a listpack with them, or the fields, each behind its time, which counts from
    /// the soonest on; 0 is none.
    fn timed_hash(&mut self, hash: &Hash) -> Result<(), E> {
        if let Some(listpack) = hash.as_timed_listpack() {
            self.put(&hash.soonest_ms().to_le_bytes())?;
            return self.blob(listpack.as_bytes());
        }
        // Not `soonest_ms`: that may lie before the soonest.
        let soonest_ms = hash.iter_timed().filter_map(|(_, _, time)| time).min().unwrap_or(0);
        self.put(&soonest_ms.to_le_bytes())?;
        self.length(hash.len() as u64)?;
        hash.iter_timed().try_for_each(|field| self.timed_field(soonest_ms, field))
    }

    /// A field of such a hash.
    pub(super) fn timed_field(
        &mut self,
        soonest_ms: i64,
        (field, value, time): (Element<'_>, Element<'_>, Option<i64>),
    ) -> Result<(), E> {
        self.length(time.map_or(0, |at_ms| (at_ms - soonest_ms + 1) as u64))?;
        self.element(field)?;
        self.element(value)
    }

    /// A member of a large sorted set.
    pub(super) fn scored(&mut self, (member, score): (Element<'_>, f64)) -> Result<(), E> {
        self.element(member)?;
        self.put(&score.to_le_bytes())
    }

    /// A node of a list.
    pub(super) fn list_node(&mut self, node: NodeRef<'_>) -> Result<(), E> {
        match node {
            NodeRef::Packed(listpack) => {
                self.length(node_container::PACKED)?;
                self.blob(listpack.as_bytes())
            }
            NodeRef::Plain(bytes) => {
                self.length(node_container::PLAIN)?;
                self.blob(bytes)
            }
        }
    }
}

/// The type a value is written as.
pub(super) fn type_of(value: &Value) -> u8 {
    match value {
        Value::Str(_) => value_type::STRING,
        Value::List(_) => value_type::LIST_QUICKLIST_2,
        Value::Set(set) => match set.form() {
            SetForm::Intset(_) => value_type::SET_INTSET,
            SetForm::Listpack(_) | SetForm::Table => value_type::SET,
        },
        Value::Hash(hash) => match (hash.is_packed(), hash.has_times()) {
            (true, false) => value_type::HASH_LISTPACK,
            (true, true) => value_type::HASH_TIMED_LISTPACK,
            (false, false) => value_type::HASH,
            (false, true) => value_type::HASH_TIMES,
        },
        Value::ZSet(zset) if zset.as_listpack().is_some() => value_type::ZSET_LISTPACK,
        Value::ZSet(_) => value_type::ZSET_2,
        Value::Stream(_) => value_type::STREAM_2,
    }
}
