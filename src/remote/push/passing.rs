//! Passing a snapshot's parts on: strings by SET, the bytes of other values as they are, as DUMP would say them.
//!
//! Values that an old server may not know, and long ones, are decoded and sent as keys of a loaded state are; and so is what
//! turns out to be there already, to be compared, and what a server does not take as it is.

use super::{BATCH_BYTES, BATCH_COMMANDS, Sent, Subject, Worker};
use crate::format::rdb::RdbError;
use crate::format::rdb::cut::RawEntry;
use crate::remote::commands::{Answer, Existing, set};
use crate::remote::error::RemoteError;
use crate::remote::parts::{Parts, Place};
use crate::remote::plan::Item;

/// The longest value that is passed on as it is, in bytes, expanded.
const PASSED_MAX_BYTES: u64 = 256 << 10;

/// Room for what is expanded.
#[derive(Default)]
pub(super) struct Room {
    key: Vec<u8>,
    text: Vec<u8>,
    payload: Vec<u8>,
}

impl<'w> Worker<'w> {
    pub(super) fn pass_part(&mut self, parts: &'w Parts<'w>, unit: usize) -> Result<(), RemoteError> {
        let server = self.connection.server().to_owned();
        let unreadable = |error: RdbError| unreadable(&server, &error);
        parts.each(unit, unreadable, |raw| self.pass_on(parts, unit as u32, &raw))
    }

    fn pass_on(&mut self, parts: &'w Parts<'w>, unit: u32, raw: &RawEntry<'w>) -> Result<(), RemoteError> {
        if raw.expire_at_ms.is_some_and(|at| at <= self.push.clock.now_ms()) {
            self.batch.expired += 1;
            return Ok(());
        }
        let place = Place { unit, db: raw.db, bytes: raw.bytes.clone() };
        let room = std::mem::take(&mut self.room);
        let (room, passed) = self.try_pass(parts, raw, room);
        self.room = room;
        if !passed? {
            return match self.item_at(parts, &place)? {
                Some(item) => self.send(item),
                None => Ok(()),
            };
        }
        self.batch.sent.push(Sent { answer: Answer::Made, subject: Subject::Passed(place) });
        if self.batch.sent.len() >= BATCH_COMMANDS || self.connection.waiting_bytes() >= BATCH_BYTES {
            self.ship()?;
        }
        Ok(())
    }

    /// Adds the command that makes the key; `false` if it must be decoded for that.
    fn try_pass(
        &mut self,
        parts: &Parts<'_>,
        raw: &RawEntry<'_>,
        mut room: Room,
    ) -> (Room, Result<bool, RemoteError>) {
        let passed = self.add(parts, raw, &mut room);
        let passed = passed.map_err(|error| unreadable(self.connection.server(), &error));
        (room, passed)
    }

    fn add(&mut self, parts: &Parts<'_>, raw: &RawEntry<'_>, room: &mut Room) -> Result<bool, RdbError> {
        let mut digits = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
        let [key_digits, text_digits, time_digits] = &mut digits;
        let key = raw.key(&mut room.key)?;
        let key = key.as_bytes(key_digits);
        let existing = self.push.existing;
        if let Some(text) = raw.string(&mut room.text)? {
            self.choose(parts.target_db(raw.db));
            set(&mut self.connection, key, text.as_bytes(text_digits), raw.expire_at_ms, existing);
            return Ok(true);
        }
        if raw.value_bytes() > PASSED_MAX_BYTES || !raw.payload(&mut room.payload) {
            return Ok(false);
        }
        self.choose(parts.target_db(raw.db));
        let time = time_digits.format(raw.expire_at_ms.unwrap_or(0)).as_bytes();
        let args: [&[u8]; 6] = [b"RESTORE", key, time, &room.payload, b"ABSTTL", b"REPLACE"];
        self.connection.push(if existing == Existing::Replace { &args } else { &args[..5] });
        Ok(true)
    }

    /// A key that was passed on, decoded.
    pub(super) fn item_at(
        &self,
        parts: &'w Parts<'w>,
        place: &Place,
    ) -> Result<Option<Item<'w>>, RemoteError> {
        parts.item(place).map_err(|error| unreadable(self.connection.server(), &error))
    }
}

/// A snapshot that was walked over and summed up, and cannot be read now.
fn unreadable(server: &str, error: &RdbError) -> RemoteError {
    let reason = format!("the snapshot has changed, or a value of it is damaged: {error}; see `rdb-check`");
    RemoteError::Unfit { server: server.to_owned(), reason }
}
