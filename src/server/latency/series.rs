//! What was noted of one event: a sample a second, as many as are kept.

/// Samples that are kept of an event.
const SAMPLES_MAX: usize = 160;

/// The longest time that an event took within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The second, unix time.
    pub at_s: i64,
    /// How long it took, ms.
    pub ms: u32,
}

/// The samples of one event; there is always one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// A ring once it is full.
    samples: Vec<Sample>,
    /// Where the latest is.
    latest: usize,
    /// The longest time ever, ms.
    all_time_max_ms: u32,
}

/// What can be said of a series at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Number of samples.
    pub samples: usize,
    /// Their mean, ms.
    pub mean_ms: u64,
    /// The mean of their distances from it, ms.
    pub deviation_ms: u64,
    /// Time since the oldest, seconds, at least one.
    pub period_s: i64,
}

impl Series {
    /// One that begins with this sample.
    pub fn new(first: Sample) -> Series {
        Series { samples: vec![first], latest: 0, all_time_max_ms: first.ms }
    }

    /// Takes a sample in; of those of one second the longest stays.
    pub fn add(&mut self, sample: Sample) {
        self.all_time_max_ms = self.all_time_max_ms.max(sample.ms);
        if let Some(latest) = self.samples.get_mut(self.latest)
            && latest.at_s == sample.at_s
        {
            latest.ms = latest.ms.max(sample.ms);
            return;
        }
        self.latest = (self.latest + 1) % SAMPLES_MAX;
        match self.samples.get_mut(self.latest) {
            Some(oldest) => *oldest = sample,
            None => self.samples.push(sample),
        }
    }

    /// The samples, the oldest first.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        let (newer, older) = self.samples.split_at(self.latest + 1);
        older.iter().chain(newer).copied()
    }

    /// The latest sample.
    pub fn latest(&self) -> Sample {
        self.samples[self.latest]
    }

    /// The longest time ever, ms.
    pub fn all_time_max_ms(&self) -> u32 {
        self.all_time_max_ms
    }

    /// The whole at a glance, at this second of unix time.
    pub fn summary(&self, now_s: i64) -> Summary {
        let count = self.samples.len() as u64;
        let mean_ms = self.samples.iter().map(|sample| u64::from(sample.ms)).sum::<u64>() / count;
        let distances = self.samples.iter().map(|sample| u64::from(sample.ms).abs_diff(mean_ms));
        let oldest_s = self.samples.iter().map(|sample| sample.at_s).min().unwrap_or(now_s);
        Summary {
            samples: self.samples.len(),
            mean_ms,
            deviation_ms: distances.sum::<u64>() / count,
            period_s: (now_s - oldest_s).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_longest_of_each_second_and_the_newest_seconds() {
        let mut series = Series::new(Sample { at_s: 100, ms: 7 });
        series.add(Sample { at_s: 100, ms: 900 });
        series.add(Sample { at_s: 100, ms: 8 });
        assert_eq!(series.samples().collect::<Vec<_>>(), [Sample { at_s: 100, ms: 900 }]);
        for at_s in 101..400 {
            series.add(Sample { at_s, ms: at_s as u32 });
            assert_eq!(series.latest(), Sample { at_s, ms: at_s as u32 });
        }
        let samples: Vec<i64> = series.samples().map(|sample| sample.at_s).collect();
        assert_eq!(samples, (240..400).collect::<Vec<i64>>());
        assert_eq!(series.all_time_max_ms(), 900);
    }

    #[test]
    fn a_summary_has_whole_numbers() {
        let mut series = Series::new(Sample { at_s: 100, ms: 10 });
        let summary = |series: &Series, now_s| {
            let it = series.summary(now_s);
            (it.samples, it.mean_ms, it.deviation_ms, it.period_s)
        };
        assert_eq!(summary(&series, 100), (1, 10, 0, 1));
        series.add(Sample { at_s: 103, ms: 20 });
        series.add(Sample { at_s: 104, ms: 31 });
        assert_eq!(summary(&series, 110), (3, 20, 7, 10));
    }
}
