//! The pair's state in one line.

use super::probe::Facts;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Readings kept to tell the lag in time; older ones count as the oldest.
const READINGS_MAX: usize = 600;

/// A rate over less time than this is mostly noise.
const RATE_OVER: Duration = Duration::from_millis(400);

/// What both processes said last. `None`: no answer.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The primary.
    pub primary: Option<Facts>,
    /// The replica.
    pub replica: Option<Facts>,
}

impl Reading {
    /// Whether the primary answers and serves.
    pub fn primary_serves(&self) -> bool {
        self.primary
            .as_ref()
            .is_some_and(|facts| !facts.is_set("outrigger_fenced") && !facts.is_set("loading"))
    }

    /// Whether everything written reaches the replica.
    pub fn is_attached(&self) -> bool {
        self.primary.as_ref().is_some_and(Facts::has_replica_online)
    }

    /// The end of the primary's history.
    pub fn offset(&self) -> Option<u64> {
        self.primary.as_ref()?.number("master_repl_offset")
    }

    /// How much of the primary's history the replica has fsynced, as an offset; `None` if it follows another
    /// history.
    pub fn durable_offset(&self) -> Option<u64> {
        let replica = self.replica.as_ref()?;
        let same = |primary: &Facts| primary.text("master_replid") == replica.text("master_replid");
        if !self.primary.as_ref().is_none_or(same) {
            return None;
        }
        replica.number("outrigger_durable_offset")
    }

    /// Whether the replica has fsynced up to `offset`, and all that it has received.
    pub fn replica_is_durable_to(&self, offset: u64) -> bool {
        let received = self.replica.as_ref().and_then(|facts| facts.number("slave_repl_offset"));
        let needed = offset.max(received.unwrap_or(u64::MAX));
        self.durable_offset().is_some_and(|durable| durable >= needed)
    }

    fn condition(&self) -> String {
        let Some(primary) = &self.primary else { return "primary down".to_owned() };
        if primary.is_set("outrigger_fenced") {
            let reason = primary.text("outrigger_fence_reason").unwrap_or("waiting for its history");
            return format!("FENCED: {reason}");
        }
        if primary.is_set("loading") {
            return "the primary loads its files".to_owned();
        }
        let short = match primary.text("outrigger_durable_acks_state") {
            Some("blocked") => ", REPLIES WAIT FOR A REPLICA",
            Some("degraded") => ", REPLIES DO NOT WAIT FOR A REPLICA",
            Some("refusing") => ", WRITES ARE REFUSED WITHOUT A REPLICA",
            _ => "",
        };
        let Some(replica) = &self.replica else { return format!("replica down{short}") };
        if replica.is_set("loading") {
            return format!("the replica loads its files{short}");
        }
        if replica.text("outrigger_aof_phase") == Some("broken") {
            return format!("THE REPLICA CANNOT WRITE TO ITS DISK{short}");
        }
        if !primary.has_replica_online() {
            if let Some(reason) = replica.text("outrigger_refused_sync_reason") {
                return format!("THE REPLICA REFUSES THE PRIMARY: {reason}{short}");
            }
            return format!("replica not attached{short}");
        }
        match primary.number("outrigger_durable_acks") {
            Some(1..) if short.is_empty() => "link up, replies durable".to_owned(),
            _ => format!("link up{short}"),
        }
    }
}

/// Turns readings into the line.
#[derive(Debug, Default)]
pub struct StatusLine {
    /// When the primary's history ended where, oldest first.
    offsets: VecDeque<(Instant, u64)>,
    /// When how many commands had run on the primary.
    commands: Option<(Instant, u64)>,
    /// The rate last worked out.
    rate: Option<u64>,
}

impl StatusLine {
    /// The line for a reading taken at `now`.
    pub fn line(&mut self, reading: &Reading, now: Instant) -> String {
        let offset = reading.offset();
        if let Some(offset) = offset {
            // After a restart the history may end earlier than it did.
            self.offsets.retain(|&(_, earlier)| earlier <= offset);
            self.offsets.push_back((now, offset));
            if self.offsets.len() > READINGS_MAX {
                self.offsets.pop_front();
            }
        }
        let durable = reading.durable_offset();
        let lag = match offset.zip(durable) {
            Some((offset, durable)) => {
                let behind = offset.saturating_sub(durable);
                format!("lag {} / {} ms", bytes_text(behind), self.lag_ms(durable, now))
            }
            None => "lag ?".to_owned(),
        };
        let shown = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), grouped);
        let memory = |facts: &Option<Facts>| {
            let bytes = facts.as_ref().and_then(|facts| facts.number("used_memory_rss"));
            bytes.map_or_else(|| "?".to_owned(), bytes_text)
        };
        format!(
            "{}  offset {}  durable {}  {lag}  memory {} + {}  {} ops/s",
            reading.condition(),
            shown(offset),
            shown(durable),
            memory(&reading.primary),
            memory(&reading.replica),
            shown(self.ops_per_second(reading, now)),
        )
    }

    /// How old the oldest write is that is not durable, as far as readings tell: never less than the truth by more
    /// than the time between two of them.
    pub(super) fn lag_ms(&self, durable: u64, now: Instant) -> u128 {
        match self.offsets.back() {
            Some(&(_, last)) if last > durable => {
                let since = self.offsets.iter().rev().find(|&&(_, offset)| offset <= durable);
                let at = since.or(self.offsets.front()).map_or(now, |&(at, _)| at);
                now.saturating_duration_since(at).as_millis()
            }
            _ => 0,
        }
    }

    fn ops_per_second(&mut self, reading: &Reading, now: Instant) -> Option<u64> {
        let count = reading.primary.as_ref()?.number("total_commands_processed")?;
        let Some((earlier, before)) = self.commands.filter(|&(_, before)| before <= count) else {
            // The first look at this process.
            (self.commands, self.rate) = (Some((now, count)), None);
            return None;
        };
        let elapsed = now.saturating_duration_since(earlier);
        if elapsed >= RATE_OVER {
            let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.rate = Some((count - before).saturating_mul(1000) / ms.max(1));
            self.commands = Some((now, count));
        }
        self.rate
    }
}

/// 1234567 as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes with a unit, as `1.5 MiB`.
pub(super) fn bytes_text(bytes: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB"];
    let (mut amount, mut unit) = (bytes as f64, "B");
    for larger in UNITS {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}
