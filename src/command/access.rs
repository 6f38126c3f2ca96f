//! The 24-bit access field of an entry: seconds (LRU), or minutes and a logarithmic counter (LFU), as
//! Redis defines them (`OBJECT IDLETIME`, `OBJECT FREQ`).

use super::context::Settings;
use crate::base::random::Rng;

/// What a new key's counter starts with, so that it is not evicted at once.
const LFU_INITIAL: u32 = 5;

/// The LRU clock: unix seconds, 24 bits (it wraps after 194 days).
#[inline]
pub fn lru_now(now_ms: i64) -> u32 {
    (now_ms / 1000) as u32 & 0x00ff_ffff
}

/// Seconds since a key with this LRU field was touched.
pub fn lru_idle_s(access: u32, now_ms: i64) -> u64 {
    u64::from(lru_now(now_ms).wrapping_sub(access) & 0x00ff_ffff)
}

fn minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}

/// The LFU field of a new key: 16 bits of minutes, 8 bits of counter.
pub fn lfu_fresh(now_ms: i64) -> u32 {
    minutes(now_ms) << 8 | LFU_INITIAL
}

/// The LFU field of a key whose counter is given.
pub fn lfu_with_count(now_ms: i64, count: u8) -> u32 {
    minutes(now_ms) << 8 | u32::from(count)
}

/// The counter, decayed by the minutes that have passed.
pub fn lfu_count(access: u32, now_ms: i64, settings: &Settings) -> u32 {
    let elapsed = minutes(now_ms).wrapping_sub(access >> 8) & 0xffff;
    let periods = elapsed.checked_div(settings.lfu_decay_time_min).unwrap_or(0);
    (access & 0xff).saturating_sub(periods)
}

/// The field after one more access: the counter rises with a probability that falls as it grows.
pub fn lfu_touch(access: u32, now_ms: i64, settings: &Settings, rng: &mut Rng) -> u32 {
    let mut count = lfu_count(access, now_ms, settings);
    if count < 255 {
        let base = f64::from(count.saturating_sub(LFU_INITIAL));
        let chance = 1.0 / (base * f64::from(settings.lfu_log_factor) + 1.0);
        let draw = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        count += u32::from(draw < chance);
    }
    minutes(now_ms) << 8 | count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_survives_the_wrap() {
        let wrap_ms = 0x0100_0000 * 1000;
        assert_eq!(lru_idle_s(lru_now(wrap_ms - 5_000), wrap_ms + 2_000), 7);
    }

    #[test]
    fn frequency_decays_by_the_minute() {
        let settings = Settings::default();
        let hour = 60 * 60_000;
        let field = minutes(hour) << 8 | 20;
        assert_eq!(lfu_count(field, hour + 3 * 60_000, &settings), 17);
        assert_eq!(lfu_count(field, hour + 90 * 60_000, &settings), 0);
    }
}
