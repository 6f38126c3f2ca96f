//! A large hash whose fields may carry times: a table of pairs, each with its time in its slot.
//!
//! The table's hints say by segment when the soonest field is due, so what is due is found without a walk over all.

use super::NEVER;
use crate::base::Rng;
use crate::value::blob::{Pair, clone_table, scan_table, table_bytes};
use crate::value::table::{Hashed, Table};
use crate::value::{Element, hash_bytes};

#[derive(Clone)]
struct TimedPair {
    /// [`NEVER`] without a time.
    due_ms: i64,
    pair: Pair,
}

impl TimedPair {
    fn triple(&self) -> (Element<'_>, Element<'_>, i64) {
        (Element::Bytes(self.pair.field()), Element::Bytes(self.pair.value()), self.due_ms)
    }
}

impl Hashed for TimedPair {
    fn table_hash(&self) -> u64 {
        self.pair.table_hash()
    }
    fn due_ms(&self) -> i64 {
        self.due_ms
    }
}

pub(super) struct TimedTable {
    table: Table<TimedPair>,
    /// Fields that carry a time.
    timed: usize,
    /// No field is due before this.
    soonest_ms: i64,
}

impl TimedTable {
    /// A table of these fields, each of which comes once.
    pub(super) fn from_triples<'a>(triples: impl Iterator<Item = (Element<'a>, Element<'a>, i64)>) -> Self {
        let mut all = Self { table: Table::default(), timed: 0, soonest_ms: NEVER };
        let (mut field_buf, mut value_buf) = (itoa::Buffer::new(), itoa::Buffer::new());
        for (field, value, due_ms) in triples {
            all.insert(field.as_bytes(&mut field_buf), value.as_bytes(&mut value_buf), due_ms);
        }
        all
    }

    fn insert(&mut self, field: &[u8], value: &[u8], due_ms: i64) {
        let item = TimedPair { due_ms, pair: Pair::new(field, value) };
        self.table.insert(item.table_hash(), item);
        self.timed += usize::from(due_ms != NEVER);
        self.soonest_ms = self.soonest_ms.min(due_ms);
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn segment_count(&self) -> usize {
        self.table.segment_count()
    }

    pub(super) fn segment(&self, index: usize) -> impl Iterator<Item = (Element<'_>, Element<'_>, i64)> {
        self.table.segment_items(index).map(TimedPair::triple)
    }

    /// Whether a field carries a time.
    pub(super) fn has_times(&self) -> bool {
        self.timed > 0
    }

    /// When the soonest field is due, or sooner.
    pub(super) fn soonest_ms(&self) -> i64 {
        if self.timed == 0 { NEVER } else { self.soonest_ms }
    }

    /// A field's value, and when it is due.
    pub(super) fn get(&self, field: &[u8]) -> Option<(Element<'_>, i64)> {
        let item = self.table.find(hash_bytes(field), |item| item.pair.field() == field)?;
        Some((Element::Bytes(item.pair.value()), item.due_ms))
    }

    /// Sets a field's value; its time stays only with `keep`. True if the field is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], keep: bool) -> bool {
        let hash = hash_bytes(field);
        let Some(item) = self.table.find_mut(hash, |item| item.pair.field() == field) else {
            self.insert(field, value, NEVER);
            return true;
        };
        item.pair.set_value(value);
        if !keep {
            let was_ms = std::mem::replace(&mut item.due_ms, NEVER);
            self.lost(hash, was_ms);
        }
        false
    }

    /// Sets a field's time; false if there is no such field.
    pub(super) fn set_due(&mut self, field: &[u8], due_ms: i64) -> bool {
        let hash = hash_bytes(field);
        let Some(item) = self.table.find_mut(hash, |item| item.pair.field() == field) else { return false };
        let was_ms = std::mem::replace(&mut item.due_ms, due_ms);
        self.lost(hash, was_ms);
        if due_ms != NEVER {
            self.timed += 1;
            self.table.note_hint(hash, due_ms);
            self.soonest_ms = self.soonest_ms.min(due_ms);
        }
        true
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let hash = hash_bytes(field);
        match self.table.remove(hash, |item| item.pair.field() == field) {
            Some(item) => {
                self.lost(hash, item.due_ms);
                true
            }
            None => false,
        }
    }

    /// A field with this hash was due then, and is so no more.
    fn lost(&mut self, hash: u64, was_ms: i64) {
        if was_ms != NEVER {
            self.timed -= 1;
            self.table.renew_hint(hash, was_ms);
            if self.timed == 0 {
                self.soonest_ms = NEVER;
            }
        }
    }

    pub(super) fn count_due(&self, now_ms: i64) -> usize {
        if self.soonest_ms() >= now_ms { 0 } else { self.table.count_due(now_ms) }
    }

    /// Removes up to `limit` fields that are due, and shows each. Fewer may come although more are due: segments that
    /// merge change places. [`TimedTable::soonest_ms`] says so then.
    pub(super) fn take_due(&mut self, now_ms: i64, limit: usize, mut gone: impl FnMut(&[u8])) -> usize {
        let (mut taken, mut index) = (0, 0);
        while taken < limit && index < self.table.segment_count() {
            if self.table.hint(index) < now_ms {
                let is_due = |item: &mut TimedPair| item.due_ms < now_ms;
                let take = |item: TimedPair| gone(item.pair.field());
                taken += self.table.extract_from_segment(index, limit - taken, is_due, take);
            }
            index += 1;
        }
        self.timed -= taken;
        self.soonest_ms = self.table.soonest_hint();
        taken
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, i64)> {
        self.table.iter().map(TimedPair::triple)
    }

    pub(super) fn random(&self, rng: &mut Rng) -> Option<(Element<'_>, Element<'_>, i64)> {
        self.table.random(|| rng.next_u64()).map(TimedPair::triple)
    }

    pub(super) fn scan(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Element<'_>, Element<'_>, i64),
    ) -> u64 {
        scan_table(&self.table, cursor, count, |item| {
            let (field, value, due_ms) = item.triple();
            visit(field, value, due_ms);
        })
    }

    pub(super) fn memory_bytes(&self, samples: usize) -> usize {
        table_bytes(&self.table, samples, |item| item.pair.byte_len()) + size_of::<Self>()
            - size_of::<Table<TimedPair>>()
    }

    /// Checks what the fields of this structure say against the table's items; for tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.table.check_hints();
        assert_eq!(self.timed, self.table.iter().filter(|item| item.due_ms != NEVER).count());
        assert!(self.table.iter().all(|item| item.due_ms >= self.soonest_ms()));
    }
}

impl Clone for TimedTable {
    fn clone(&self) -> Self {
        Self { table: clone_table(&self.table), timed: self.timed, soonest_ms: self.soonest_ms }
    }
}
