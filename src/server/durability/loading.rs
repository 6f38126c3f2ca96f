//! How far the load at the start is, for INFO and the log.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Figures of the load. The writer is the loading thread, readers are whoever asks for INFO.
#[derive(Debug, Default)]
pub struct Loading {
    started_at_ms: AtomicI64,
    total_bytes: AtomicU64,
    loaded_bytes: AtomicU64,
}

/// Takes word of the load's progress.
pub struct Teller<'l> {
    loading: &'l Loading,
    told_at: Instant,
}

impl Loading {
    /// A load begins.
    pub fn begin(&self, now_ms: i64) -> Teller<'_> {
        self.started_at_ms.store(now_ms, Ordering::Relaxed);
        Teller { loading: self, told_at: Instant::now() }
    }

    /// The lines that INFO has while a load is under way, as stock servers have them. Times are in seconds.
    pub fn write_info(&self, text: &mut String, now_ms: i64) {
        let started_at_ms = self.started_at_ms.load(Ordering::Relaxed);
        let total = self.total_bytes.load(Ordering::Relaxed);
        let loaded = self.loaded_bytes.load(Ordering::Relaxed);
        let elapsed_s = now_ms.saturating_sub(started_at_ms).max(0) / 1000;
        let eta_s = match loaded {
            0 => 1,
            _ => (elapsed_s as f64 * total.saturating_sub(loaded) as f64 / loaded as f64) as i64,
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "loading_start_time:{}\r\nloading_total_bytes:{total}\r\nloading_loaded_bytes:{loaded}\r\n\
             loading_loaded_perc:{:.2}\r\nloading_eta_seconds:{eta_s}\r\n",
            started_at_ms / 1000,
            percent(loaded, total),
        );
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

impl Teller<'_> {
    /// So many bytes of so many are loaded.
    pub fn tell(&mut self, loaded_bytes: u64, total_bytes: u64) {
        self.loading.total_bytes.store(total_bytes, Ordering::Relaxed);
        self.loading.loaded_bytes.store(loaded_bytes, Ordering::Relaxed);
        if self.told_at.elapsed() >= TELL_EVERY {
            self.told_at = Instant::now();
            let percent = format!("{:.0}", percent(loaded_bytes, total_bytes));
            tracing::info!(loaded_bytes, total_bytes, percent, "loading");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_estimated_by_what_is_done() {
        let loading = Loading::default();
        let mut text = String::new();
        let mut teller = loading.begin(5_000);
        loading.write_info(&mut text, 6_000);
        assert!(text.contains("loading_loaded_perc:0.00\r\nloading_eta_seconds:1\r\n"), "{text}");
        teller.tell(25, 100);
        text.clear();
        loading.write_info(&mut text, 15_000);
        let wanted = "loading_start_time:5\r\nloading_total_bytes:100\r\nloading_loaded_bytes:25\r\n\
                      loading_loaded_perc:25.00\r\nloading_eta_seconds:30\r\n";
        assert_eq!(text, wanted);
    }
}
