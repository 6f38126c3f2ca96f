//! What a primary keeps of its log for joiners that it sent elsewhere for their snapshot.
//!
//! The snapshot will be of an offset at which the giver already was, so what follows that must still be there when the joiner
//! comes back. A reservation is a reader of the log that reads nothing. It ends when the joiner comes back or is gone, when it
//! has given no sign of life for a while, or when it would hold more than it may.

use super::log::{Log, LogError, ReaderId};
use parking_lot::Mutex;

/// All reservations of a node. A joiner is known by the number of its connection.
#[derive(Debug, Default)]
pub struct Reserve {
    all: Mutex<Vec<Reservation>>,
}

/// What is kept for one joiner.
#[derive(Debug)]
struct Reservation {
    joiner: u64,
    /// Host and port.
    giver: (String, u16),
    reader: ReaderId,
    until_ms: i64,
}

/// Why a reservation is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The joiner gave no sign of life.
    Silent,
    /// More was written than may be kept.
    Outrun,
}

impl Reserve {
    /// Keeps what follows `position`, up to `limit_bytes` of it, until `until_ms` at least. It takes the place of an earlier
    /// reservation of this joiner.
    pub fn make(
        &self,
        log: &Log,
        joiner: u64,
        giver: (String, u16),
        position: u64,
        limit_bytes: u64,
        until_ms: i64,
    ) -> Result<(), LogError> {
        self.release(log, joiner);
        let reader = log.add_reader(position, limit_bytes, Box::new(|| ()))?;
        self.all.lock().push(Reservation { joiner, giver, reader, until_ms });
        Ok(())
    }

    /// The joiner lives: it is waited for until `until_ms`. False when nothing is kept for it any more.
    pub fn renew(&self, log: &Log, joiner: u64, until_ms: i64) -> bool {
        let mut all = self.all.lock();
        let Some(found) = all.iter_mut().find(|found| found.joiner == joiner) else { return false };
        found.until_ms = until_ms;
        is_whole(log, found.reader)
    }

    /// Ends the reservation of a joiner that has come back, or is gone; whether there was one.
    pub fn release(&self, log: &Log, joiner: u64) -> bool {
        let mut all = self.all.lock();
        let Some(at) = all.iter().position(|found| found.joiner == joiner) else { return false };
        log.remove_reader(all.swap_remove(at).reader);
        true
    }

    /// Ends those that are of no use any more: the joiners, and why.
    pub fn sweep(&self, log: &Log, now_ms: i64) -> Vec<(u64, Ended)> {
        let mut ended = Vec::new();
        self.all.lock().retain(|found| {
            let why = match () {
                () if !is_whole(log, found.reader) => Ended::Outrun,
                () if now_ms > found.until_ms => Ended::Silent,
                () => return true,
            };
            log.remove_reader(found.reader);
            ended.push((found.joiner, why));
            false
        });
        ended
    }

    /// Joiners that were sent to this giver.
    pub fn of_giver(&self, host: &str, port: u16) -> usize {
        self.all.lock().iter().filter(|found| found.giver.0 == host && found.giver.1 == port).count()
    }

    /// All joiners.
    pub fn len(&self) -> usize {
        self.all.lock().len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Is everything still there that this reader has not read?
fn is_whole(log: &Log, reader: ReaderId) -> bool {
    log.reader_position(reader).is_some_and(|position| position >= log.start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Rng;
    use crate::replication::{Epoch, Lineage, log::History};

    const MIB: u64 = 1 << 20;

    fn log() -> Log {
        let log = Log::new(Lineage::random(&mut Rng::from_seed(1)), 0, 64 << 10);
        log.keep();
        log
    }

    fn write(log: &Log, bytes: u64) {
        for _ in 0..bytes / 1_024 {
            log.append_neutral(&[b'x'; 1_024]);
        }
    }

    fn giver(port: u16) -> (String, u16) {
        ("host".into(), port)
    }

    #[test]
    fn what_follows_the_position_stays_until_the_joiner_is_back() {
        let (log, reserve) = (log(), Reserve::default());
        write(&log, MIB);
        let position = log.end();
        reserve.make(&log, 7, giver(1), position, 8 * MIB, 1_000).unwrap();
        write(&log, 4 * MIB);
        assert!(log.start() <= position && log.held_bytes() >= 4 * MIB);
        assert!(reserve.renew(&log, 7, 2_000) && reserve.sweep(&log, 2_000).is_empty());
        assert!(reserve.release(&log, 7) && !reserve.release(&log, 7));
        assert!(log.start() > position && log.held_bytes() < MIB, "given up with the reservation");
        assert!(!reserve.renew(&log, 7, 9_000) && reserve.is_empty());
        let error = reserve.make(&log, 7, giver(1), position, 8 * MIB, 1_000);
        assert!(matches!(error, Err(LogError::Trimmed { .. })) && reserve.is_empty());
    }

    #[test]
    fn it_ends_at_its_bounds_of_bytes_and_of_time() {
        let (log, reserve) = (log(), Reserve::default());
        reserve.make(&log, 7, giver(1), log.end(), 2 * MIB, 1_000).unwrap();
        write(&log, 3 * MIB);
        assert!(!reserve.renew(&log, 7, 1_000), "outrun, and the joiner is told so");
        assert!(log.held_bytes() <= 2 * MIB + (128 << 10));
        assert_eq!(reserve.sweep(&log, 0), [(7, Ended::Outrun)]);
        reserve.make(&log, 8, giver(1), log.end(), 2 * MIB, 1_000).unwrap();
        assert!(reserve.sweep(&log, 1_000).is_empty());
        assert_eq!(reserve.sweep(&log, 1_001), [(8, Ended::Silent)]);
        assert!(reserve.is_empty());
    }

    #[test]
    fn another_history_ends_it_and_givers_are_counted() {
        let (log, reserve) = (log(), Reserve::default());
        for (joiner, port) in [(1, 1), (2, 1), (3, 2)] {
            reserve.make(&log, joiner, giver(port), 0, MIB, 1_000).unwrap();
        }
        // Asked once more, and sent to another giver.
        reserve.make(&log, 2, giver(2), 0, MIB, 1_000).unwrap();
        assert_eq!([reserve.of_giver("host", 1), reserve.of_giver("host", 2), reserve.len()], [1, 2, 3]);
        assert_eq!(reserve.of_giver("other", 1), 0);
        let lineage = Lineage::random(&mut Rng::from_seed(2));
        log.restart(History::without_past(lineage, Epoch::FIRST), 50, None);
        assert!(!reserve.renew(&log, 1, 1_000));
        assert_eq!(reserve.sweep(&log, 0).len(), 3);
    }
}
