//! Reading and printing single values, with the refusals Redis gives.

use super::error::Refusal;
use super::settings::{Address, BufferLimit, ClientsLimit, OutputBufferLimits, SaveRule, ShutdownOptions};
use crate::base::num::{parse_f64, parse_i64, parse_u64};

/// Most addresses `bind` takes, as in Redis.
const BIND_MAX_ADDRESSES: usize = 16;

/// `yes` or `no`.
pub fn yes_no(text: &[u8]) -> Result<bool, Refusal> {
    match text {
        t if t.eq_ignore_ascii_case(b"yes") => Ok(true),
        t if t.eq_ignore_ascii_case(b"no") => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".into()),
    }
}

/// The word for a boolean.
pub fn yes_no_word(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A decimal integer within bounds.
pub fn integer(text: &[u8], min: i64, max: i64) -> Result<i64, Refusal> {
    let value = parse_i64(text).ok_or("argument couldn't be parsed into an integer")?;
    match (min..=max).contains(&value) {
        true => Ok(value),
        false => Err(out_of_bounds(min, max)),
    }
}

/// An octal mode within bounds, printed in octal.
pub fn octal(text: &[u8], max: u32) -> Result<u32, Refusal> {
    let digits = std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    let value = digits
        .and_then(|t| u32::from_str_radix(t, 8).ok())
        .ok_or("argument couldn't be parsed as an octal number")?;
    match value <= max {
        true => Ok(value),
        false => Err(format!("argument must be between 0 and {max:o} inclusive").into()),
    }
}

/// An amount of memory in bytes: digits and an optional unit (`k` is 1000, `kb` is 1024, and so on).
pub fn memory(text: &[u8], min: u64, max: u64) -> Result<u64, Refusal> {
    let value = memory_amount(text).ok_or("argument must be a memory value")?;
    match (min..=max).contains(&value) {
        true => Ok(value),
        false => Err(out_of_bounds(min, max)),
    }
}

fn memory_amount(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let unit: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?.checked_mul(unit)
}

/// `maxmemory-clients`: an amount of memory, or percent of `maxmemory`.
pub fn clients_limit(text: &[u8]) -> Result<ClientsLimit, Refusal> {
    const WRONG: &str = "argument must be a memory or percent value";
    match text.strip_suffix(b"%") {
        None => memory_amount(text).map(ClientsLimit::Bytes).ok_or_else(|| WRONG.into()),
        Some(number) => match parse_u64(number).ok_or(WRONG)? {
            percent @ 0..=100 => Ok(ClientsLimit::Percent(percent as u8)),
            _ => Err("percentage argument must be less or equal to 100".into()),
        },
    }
}

/// The shortest exact spelling of an amount of memory, for files.
pub fn memory_spelled(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn out_of_bounds(min: impl std::fmt::Display, max: impl std::fmt::Display) -> Refusal {
    format!("argument must be between {min} and {max} inclusive").into()
}

/// The position of a word in a list, case ignored.
pub fn word_index(text: &[u8], words: &[&str]) -> Result<usize, Refusal> {
    words.iter().position(|w| text.eq_ignore_ascii_case(w.as_bytes())).ok_or_else(|| one_of(words))
}

fn one_of(words: &[&str]) -> Refusal {
    format!("argument(s) must be one of the following: {}", words.join(", ")).into()
}

/// Text that must be UTF-8: names, addresses, paths.
pub fn text(bytes: &[u8]) -> Result<String, Refusal> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "argument is not valid UTF-8".into())
}

/// A bare file name: not empty, no folder in it.
pub fn file_name(bytes: &[u8], directive: &str) -> Result<String, Refusal> {
    let name = text(bytes)?;
    if name.is_empty() {
        return Err(format!("{directive} can't be empty").into());
    }
    match name.contains('/') || name == "." || name == ".." {
        true => Err(format!("{directive} can't be a path, just a filename").into()),
        false => Ok(name),
    }
}

/// `save`'s pairs of seconds and changes.
pub fn save_rules(args: &[Vec<u8>]) -> Result<Vec<SaveRule>, Refusal> {
    const WRONG: &str = "Invalid save parameters";
    if matches!(args, [only] if only.is_empty()) {
        return Ok(Vec::new());
    }
    let mut rules = Vec::with_capacity(args.len() / 2);
    for pair in args.chunks(2) {
        let [seconds, changes] = pair else { return Err(WRONG.into()) };
        let seconds = parse_u64(seconds).filter(|s| (1..=i64::MAX as u64).contains(s)).ok_or(WRONG)?;
        let changes = parse_u64(changes).filter(|c| *c <= i32::MAX as u64).ok_or(WRONG)?;
        rules.push(SaveRule { seconds, changes });
    }
    Ok(rules)
}

/// The rules as CONFIG GET prints them.
pub fn save_text(rules: &[SaveRule]) -> String {
    let pairs: Vec<String> = rules.iter().map(|r| format!("{} {}", r.seconds, r.changes)).collect();
    pairs.join(" ")
}

/// The addresses of `bind`. A single empty argument binds to nothing.
pub fn bind_addresses(args: &[Vec<u8>]) -> Result<Vec<String>, Refusal> {
    if args.len() > BIND_MAX_ADDRESSES {
        return Err("Too many bind addresses specified.".into());
    }
    args.iter().filter(|a| !a.is_empty()).map(|a| text(a)).collect()
}

/// Groups of class, hard limit, soft limit and soft seconds; classes not named keep their limits.
pub fn buffer_limits(
    args: &[Vec<u8>],
    mut limits: OutputBufferLimits,
) -> Result<OutputBufferLimits, Refusal> {
    const WRONG_NUMBER: &str = "Wrong number of arguments in buffer limit configuration.";
    const WRONG_CLASS: &str = "Invalid client class specified in buffer limit configuration.";
    const WRONG_VALUE: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    if args.is_empty() {
        return Err(WRONG_NUMBER.into());
    }
    for group in args.chunks(4) {
        let [class, hard, soft, seconds] = group else { return Err(WRONG_NUMBER.into()) };
        let limit = BufferLimit {
            hard_bytes: memory_amount(hard).ok_or(WRONG_VALUE)?,
            soft_bytes: memory_amount(soft).ok_or(WRONG_VALUE)?,
            soft_seconds: parse_u64(seconds).filter(|s| *s <= i64::MAX as u64).ok_or(WRONG_VALUE)?,
        };
        *match class.to_ascii_lowercase().as_slice() {
            b"normal" => &mut limits.normal,
            b"slave" | b"replica" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => return Err(WRONG_CLASS.into()),
        } = limit;
    }
    Ok(limits)
}

/// The limits as CONFIG GET prints them; replicas go by the name Redis prints.
pub fn buffer_limits_text(limits: &OutputBufferLimits) -> String {
    let class =
        |name, l: &BufferLimit| format!("{name} {} {} {}", l.hard_bytes, l.soft_bytes, l.soft_seconds);
    [class("normal", &limits.normal), class("slave", &limits.replica), class("pubsub", &limits.pubsub)]
        .join(" ")
}

/// The words of [`ShutdownOptions`], in Redis's order.
pub const SHUTDOWN_WORDS: &[&str] = &["default", "save", "nosave", "now", "force"];

/// The options of `shutdown-on-sigint` and `shutdown-on-sigterm`.
pub fn shutdown_options(args: &[Vec<u8>]) -> Result<ShutdownOptions, Refusal> {
    let mut options = ShutdownOptions::default();
    if args.is_empty() {
        return Err(one_of(SHUTDOWN_WORDS));
    }
    for arg in args {
        match word_index(arg, SHUTDOWN_WORDS)? {
            1 => options.save = true,
            2 => options.nosave = true,
            3 => options.now = true,
            4 => options.force = true,
            _ => {}
        }
    }
    match options.save && options.nosave {
        true => Err("argument(s) save and nosave exclude each other".into()),
        false => Ok(options),
    }
}

/// The options as CONFIG GET prints them.
pub fn shutdown_text(options: ShutdownOptions) -> String {
    let set = [options.save, options.nosave, options.now, options.force];
    let words: Vec<&str> =
        SHUTDOWN_WORDS.iter().skip(1).zip(set).filter(|(_, set)| *set).map(|(word, _)| *word).collect();
    if words.is_empty() { "default".to_owned() } else { words.join(" ") }
}

/// The percentiles of INFO latencystats; one empty word means none.
pub fn percentiles(args: &[Vec<u8>]) -> Result<Vec<f64>, Refusal> {
    if let [only] = args
        && only.is_empty()
    {
        return Ok(Vec::new());
    }
    let percentile = |arg: &Vec<u8>| {
        let percent = parse_f64(arg).ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        match (0.0..=100.0).contains(&percent) {
            true => Ok(percent),
            false => {
                Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into())
            }
        }
    };
    args.iter().map(percentile).collect()
}

/// The words of [`percentiles`].
pub fn percentiles_text(percentiles: &[f64]) -> String {
    percentiles.iter().map(|percent| short_decimal(*percent)).collect::<Vec<_>>().join(" ")
}

/// A number with up to six decimals, as many as it needs.
pub fn short_decimal(number: f64) -> String {
    format!("{number:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `replicaof HOST PORT`, where `no one` means a primary.
pub fn replica_of(args: &[Vec<u8>]) -> Result<Option<Address>, Refusal> {
    let [host, port] = args else { return Err("wrong number of arguments".into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(None);
    }
    let port = parse_i64(port).and_then(|p| u16::try_from(p).ok()).ok_or("Invalid master port")?;
    Ok(Some(Address { host: text(host)?, port }))
}

/// One `HOST:PORT`; an IPv6 address stands in brackets.
pub fn address(bytes: &[u8]) -> Result<Address, Refusal> {
    let wrong = || Refusal::from("peers are written HOST:PORT, IPv6 addresses in brackets");
    let text = text(bytes)?;
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse::<u16>().ok().filter(|p| *p != 0).ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    match host.is_empty() {
        true => Err(wrong()),
        false => Ok(Address { host: host.to_owned(), port }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|a| a.as_bytes().to_vec()).collect()
    }

    #[test]
    fn memory_units() {
        let cases = [("1", 1), ("2b", 2), ("1k", 1000), ("1Kb", 1024), ("3m", 3_000_000), ("3MB", 3 << 20)];
        for (text, bytes) in cases {
            assert_eq!(memory(text.as_bytes(), 0, u64::MAX), Ok(bytes), "{text}");
        }
        assert_eq!(memory(b"2g", 0, u64::MAX), Ok(2_000_000_000));
        assert_eq!(memory(b"2gb", 0, u64::MAX), Ok(2 << 30));
        for wrong in ["", "kb", "-1", "1 kb", "1tb", "1.5gb", "99999999999gb", "99999999999999999999"] {
            assert_eq!(
                memory(wrong.as_bytes(), 0, u64::MAX),
                Err("argument must be a memory value".into()),
                "{wrong}"
            );
        }
        assert_eq!(memory(b"5", 10, 20), Err("argument must be between 10 and 20 inclusive".into()));
    }

    #[test]
    fn memory_is_spelled_exactly() {
        for (bytes, spelled) in [(0, "0"), (1000, "1000"), (1024, "1kb"), (3 << 20, "3mb"), (1 << 30, "1gb")]
        {
            assert_eq!(memory_spelled(bytes), spelled);
            assert_eq!(memory_amount(spelled.as_bytes()), Some(bytes));
        }
    }

    #[test]
    fn octal_modes() {
        assert_eq!(octal(b"755", 0o777), Ok(0o755));
        assert_eq!(octal(b"999", 0o777), Err("argument couldn't be parsed as an octal number".into()));
        assert_eq!(octal(b"", 0o777), Err("argument couldn't be parsed as an octal number".into()));
        assert_eq!(octal(b"1000", 0o777), Err("argument must be between 0 and 777 inclusive".into()));
    }

    #[test]
    fn peers() {
        assert_eq!(address(b"[::1]:7000").map(|a| (a.host, a.port)), Ok(("::1".to_owned(), 7000)));
        assert_eq!(address(b"db-1:6379").map(|a| a.to_string()), Ok("db-1:6379".to_owned()));
        for wrong in ["", "a", "a:", ":1", "a:0", "a:70000", "::1:7000", "[::1:7000", "[]:1"] {
            assert!(address(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shutdown_words() {
        assert_eq!(shutdown_options(&args("now save")).map(shutdown_text), Ok("save now".to_owned()));
        assert_eq!(shutdown_options(&args("default")).map(shutdown_text), Ok("default".to_owned()));
        assert!(shutdown_options(&args("save nosave")).is_err());
        assert_eq!(
            shutdown_options(&args("")),
            Err("argument(s) must be one of the following: default, save, nosave, now, force".into())
        );
    }
}
