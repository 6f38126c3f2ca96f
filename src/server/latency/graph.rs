//! LATENCY GRAPH: the samples of an event as columns of characters, with their age below.

use super::Series;
use std::fmt::Write;

/// Samples side by side; further ones follow below.
const COLUMNS: usize = 80;
/// Lines that a column is high.
const ROWS: usize = 4;
/// A line's thirds, from the lowest.
const LEVELS: [char; 3] = ['_', 'o', '#'];
/// What stands below the end of a column.
const BODY: char = '|';

/// How long ago something was, in the greatest unit.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The character of a column, which is `level` high, in a row counted from below.
fn character(level: usize, row: usize) -> char {
    match level.checked_sub(row * LEVELS.len()) {
        None => ' ',
        Some(rest) => LEVELS.get(rest).copied().unwrap_or(BODY),
    }
}

/// The whole picture at this second of unix time.
pub(super) fn draw(name: &str, series: &Series, now_s: i64) -> String {
    let samples: Vec<(u64, String)> =
        series.samples().map(|sample| (sample.ms.into(), age(now_s - sample.at_s))).collect();
    let high = samples.iter().map(|(ms, _)| *ms).max().unwrap_or(0);
    let low = samples.iter().map(|(ms, _)| *ms).min().unwrap_or(0);
    let max = series.all_time_max_ms();
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name} - high {high} ms, low {low} ms (all time high {max} ms)");
    out.push_str(&"-".repeat(COLUMNS));
    out.push('\n');
    let levels = LEVELS.len() * ROWS;
    let level_of = |ms: u64| {
        let level = (ms - low) * levels as u64 / (high - low).max(1);
        (level as usize).min(levels - 1)
    };
    for (at, part) in samples.chunks(COLUMNS).enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for row in (0..ROWS).rev() {
            out.extend(part.iter().map(|(ms, _)| character(level_of(*ms), row)));
            out.push('\n');
        }
        out.push_str(&" ".repeat(part.len()));
        out.push('\n');
        let longest = part.iter().map(|(_, age)| age.len()).max().unwrap_or(0);
        for place in 0..longest {
            let letter = |age: &String| age.as_bytes().get(place).map_or(' ', |byte| char::from(*byte));
            out.extend(part.iter().map(|(_, age)| letter(age)));
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Sample;
    use super::*;

    #[test]
    fn columns_and_ages() {
        let mut series = Series::new(Sample { at_s: 0, ms: 300 });
        let later = [(80_000, 500), (90_000, 417), (100_000, 351), (100_003, 369), (100_006, 333)];
        later.into_iter().for_each(|(at_s, ms)| series.add(Sample { at_s, ms }));
        let picture = draw("command", &series, 100_006 + 60);
        let expected = [
            "command - high 500 ms, low 300 ms (all time high 500 ms)",
            &"-".repeat(80),
            " #    ",
            " |o   ",
            " ||_o ",
            "_||||o",
            "      ",
            "152111",
            "dhhmmm",
        ];
        assert_eq!(picture.lines().collect::<Vec<_>>(), expected);
        assert!(picture.ends_with('\n'));
    }

    #[test]
    fn what_is_alike_is_low_and_many_samples_stand_in_two_parts() {
        let mut series = Series::new(Sample { at_s: 0, ms: 30 });
        (1..100).for_each(|at_s| series.add(Sample { at_s, ms: 30 }));
        let picture = draw("fork", &series, 99);
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines[..2], ["fork - high 30 ms, low 30 ms (all time high 30 ms)", &"-".repeat(80)]);
        assert_eq!((lines[2], lines[5]), (&*" ".repeat(80), &*"_".repeat(80)));
        assert_eq!(
            (lines[7].len(), lines[8].get(..42), lines[9].len()),
            (80, Some(&*("m".repeat(40) + "98")), 80)
        );
        assert_eq!((lines[10], lines[11].len(), lines[14]), ("", 20, &*"_".repeat(20)));
        assert_eq!((lines[16], lines[17], lines.len()), ("11111111119876543210", "9876543210ssssssssss", 19));
    }
}
