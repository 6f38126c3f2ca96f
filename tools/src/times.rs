//! Times as people and scripts write them.

use jiff::Timestamp;

/// Numbers from here on are milliseconds: as seconds this is the year 5138, as milliseconds 1973.
const FIRST_MS: u64 = 100_000_000_000;

/// Unix milliseconds of a time given as Unix seconds, Unix milliseconds, or RFC 3339 (`2026-11-23T10:00:00Z`). A whole
/// second means its beginning.
pub fn parse_ms(text: &str) -> Result<u64, String> {
    if let Ok(number) = text.parse::<u64>() {
        return match number {
            0..FIRST_MS => Ok(number * 1000),
            _ => Ok(number),
        };
    }
    let time: Timestamp = text.parse().map_err(|error| {
        format!(
            "not Unix seconds, Unix milliseconds or RFC 3339 with a zone, as in 2026-11-23T10:00:00Z: {error}"
        )
    })?;
    u64::try_from(time.as_millisecond()).map_err(|_| "a time before 1970".to_owned())
}

/// Unix milliseconds as RFC 3339.
pub fn text_of(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("millisecond {ms}"), |time| time.to_string())
}

/// Unix milliseconds as part of a file's name: `20261123T100000.000Z`. Names of later times sort behind.
pub fn name_of(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let second = time.map(|time| time.strftime("%Y%m%dT%H%M%S").to_string());
    format!("{}.{:03}Z", second.unwrap_or_else(|| (ms / 1000).to_string()), ms % 1000)
}

/// The time now in Unix milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_spellings() {
        let ms = 1_795_428_000_000;
        assert_eq!(text_of(ms), "2026-11-23T10:00:00Z");
        for text in ["1795428000", "1795428000000", "2026-11-23T10:00:00Z", "2026-11-23T12:00:00+02:00"] {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
        assert_eq!(parse_ms("2026-11-23T10:00:00.25Z"), Ok(ms + 250));
        for text in ["", "yesterday", "-5", "2026-11-23", "1969-12-31T23:59:59Z"] {
            assert!(parse_ms(text).is_err(), "{text}");
        }
        assert_eq!(name_of(ms + 7), "20261123T100000.007Z");
        assert_eq!(text_of(u64::MAX), format!("millisecond {}", u64::MAX));
    }
}
