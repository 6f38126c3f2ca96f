//! Comparing two replies, by the mode of the command.

use super::events::Listeners;
use super::grammar::Arg;
use super::table::Mode;
use crate::support::client::{Client, RawReply};
use crate::support::without_pairs;
use outrigger::resp::RespValue;
use std::collections::BTreeMap;
use std::io;

/// Both servers' connections of one protocol.
pub struct Pair {
    /// To ours.
    pub ours: Client,
    /// To the stock server.
    pub theirs: Client,
    /// Who hears of both servers' events.
    pub listeners: Option<Listeners>,
}

/// Two replies that should have been equal.
#[derive(Debug, Clone)]
pub struct Replies {
    /// What ours said.
    pub ours: RawReply,
    /// What the stock server said.
    pub theirs: RawReply,
}

/// The end of one comparison.
pub enum Verdict {
    /// Equal by the command's measure.
    Equal,
    /// Not equal, and why.
    Differs(Replies, &'static str),
}

const TEMPORARY_KEY: &[u8] = b"\0differential";

impl Pair {
    /// Sends the command to both and compares by `mode`.
    pub fn run(&mut self, mode: Mode, args: &[Arg]) -> io::Result<Verdict> {
        match mode {
            Mode::Scan(cursor) if args.get(cursor).is_some_and(|arg| arg == b"0") => self.scan(args, cursor),
            Mode::Spop if args.len() >= 2 => self.spop(args),
            Mode::Dump if args.len() == 2 => self.exchange(args),
            _ if args.len() >= 2 && args[0].to_ascii_uppercase().starts_with(b"SORT") => {
                self.sort(mode, args)
            }
            _ => {
                let replies = self.both(args)?;
                self.align_consumers(args, &replies)?;
                self.align_restored(args, &replies)?;
                self.judge(mode, args, replies)
            }
        }
    }

    /// Makes consumers on the stock server that only ours made, as they asked in vain: 7.0 makes those that get something.
    fn align_consumers(&mut self, args: &[Arg], replies: &Replies) -> io::Result<()> {
        if replies.ours.value.as_error().is_some() {
            return Ok(());
        }
        for creation in consumers_asking(args) {
            self.theirs.try_command(&creation)?;
        }
        Ok(())
    }

    /// Restores a key on the stock server that only ours has: a time to live that reaches beyond the clock ends with the clock,
    /// where 7.0 overflows and takes it for one of the past.
    fn align_restored(&mut self, args: &[Arg], replies: &Replies) -> io::Result<()> {
        let is_restore = args.len() > 3 && args[0].eq_ignore_ascii_case(b"restore");
        if !is_restore || replies.ours.value != RespValue::Simple(b"OK".to_vec()) {
            return Ok(());
        }
        let time: Option<i64> = std::str::from_utf8(&args[2]).ok().and_then(|text| text.parse().ok());
        let is_absolute = args[4..].iter().any(|arg| arg.eq_ignore_ascii_case(b"absttl"));
        let now_ms = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64);
        if !is_absolute && time.is_some_and(|time| time.checked_add(now_ms).is_none()) {
            let mut again = args.to_vec();
            again[2] = i64::MAX.to_string().into_bytes();
            again.extend([b"ABSTTL".to_vec(), b"REPLACE".to_vec()]);
            self.theirs.try_command(&again)?;
        }
        Ok(())
    }

    /// Sends the command to both at once and reads both replies.
    pub fn both(&mut self, args: &[Arg]) -> io::Result<Replies> {
        if let Some(listeners) = &mut self.listeners {
            listeners.begin()?;
        }
        self.ours.send(args)?;
        self.theirs.send(args)?;
        let replies = Replies { theirs: self.theirs.read_raw_reply()?, ours: self.ours.read_raw_reply()? };
        if let Some(listeners) = &mut self.listeners {
            listeners.end()?;
        }
        Ok(replies)
    }

    /// Compares two replies; modes that need more than one exchange fall back to their shapes.
    pub fn judge(&mut self, mode: Mode, args: &[Arg], replies: Replies) -> io::Result<Verdict> {
        let Replies { ours, theirs } = &replies;
        if ours.raw == theirs.raw && !matches!(mode, Mode::Random(_) | Mode::Spop | Mode::RandomKey) {
            return Ok(Verdict::Equal);
        }
        let differs = match mode {
            Mode::Exact | Mode::Encoding | Mode::Dump => Some("not the same bytes"),
            Mode::Unordered => {
                (sorted(&ours.value) != sorted(&theirs.value)).then_some("not the same elements")
            }
            Mode::Pairs => (pairs(&ours.value) != pairs(&theirs.value)).then_some("not the same pairs"),
            // MEMORY USAGE: stock shows a key whose time has come until it is removed.
            Mode::Near(_) if args.len() > 2 && matches!(&ours.raw[..], b"_\r\n" | b"$-1\r\n") => {
                let known = self.theirs.try_command(&[b"EXISTS", &args[2][..]])?;
                (known != RespValue::Int(0)).then_some("not near")
            }
            Mode::Near(tolerance) | Mode::Idle(tolerance) => {
                (!near(&ours.value, &theirs.value, tolerance)).then_some("not near")
            }
            Mode::Scan(_) if ours.value.as_error().is_some() => Some("not the same error"),
            Mode::Scan(_) => {
                (kind(&ours.value) != kind(&theirs.value)).then_some("not the same kind of reply")
            }
            Mode::Random(list) => self.misfit(list, args, &replies)?,
            Mode::RandomKey => match ours.value.as_bytes() {
                None => (ours.raw != theirs.raw).then_some("not the same bytes"),
                Some(key) => {
                    let known = self.theirs.try_command(&[b"EXISTS", key])?;
                    (known != RespValue::Int(1)).then_some("no such key")
                }
            },
            Mode::Times => {
                // When consumers were last active 7.0 does not know.
                let ours = without_pairs(&ours.value, &["inactive", "active-time"]);
                (!same_but_for_times(&ours, &theirs.value)).then_some("not the same but for times")
            }
            Mode::Spop => (kind(&ours.value) != kind(&theirs.value)).then_some("not the same kind of reply"),
        };
        Ok(match differs {
            None => Verdict::Equal,
            Some(why) => Verdict::Differs(replies, why),
        })
    }

    /// What is wrong with random elements, if anything.
    fn misfit(&mut self, list: &str, args: &[Arg], replies: &Replies) -> io::Result<Option<&'static str>> {
        let Replies { ours, theirs } = replies;
        if kind(&ours.value) != kind(&theirs.value) {
            return Ok(Some("not the same kind of reply"));
        }
        let (mut got, width) = match (&ours.value, &theirs.value) {
            (RespValue::Bulk(_), _) => (vec![vec![ours.value.clone()]], 1),
            (a, b) => match (a.as_slice(), b.as_slice()) {
                (Some(a), Some(b)) if a.len() != b.len() => return Ok(Some("not as many elements")),
                (Some(_), _) => {
                    let width = if args.len() > 3 { 2 } else { 1 };
                    (units(a, width), width)
                }
                _ => return Ok((ours.raw != theirs.raw).then_some("not the same bytes")),
            },
        };
        let key = args.get(1).map_or(&b""[..], Vec::as_slice);
        let all = match (list, width) {
            ("ZRANGE", 2) => self.theirs.try_command(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])?,
            ("ZRANGE", _) => self.theirs.try_command(&[b"ZRANGE", key, b"0", b"-1"])?,
            ("HGETALL", 1) => self.theirs.try_command(&[b"HKEYS", key])?,
            _ => self.theirs.try_command(&[list.as_bytes(), key])?,
        };
        let all: Vec<String> = units(&all, width).iter().map(|unit| format!("{unit:?}")).collect();
        if got.iter().any(|unit| !all.contains(&format!("{unit:?}"))) {
            return Ok(Some("an element that does not exist"));
        }
        let count = got.len();
        let repeats = args.get(2).is_some_and(|count| count.starts_with(b"-"));
        got.sort_by_key(|unit| format!("{unit:?}"));
        got.dedup();
        Ok((!repeats && got.len() != count).then_some("an element twice"))
    }

    /// DUMP: each server is given the value as the other dumps it.
    fn exchange(&mut self, args: &[Arg]) -> io::Result<Verdict> {
        let replies = self.both(args)?;
        let (Some(ours), Some(theirs)) = (replies.ours.value.as_bytes(), replies.theirs.value.as_bytes())
        else {
            return self.judge(Mode::Exact, args, replies);
        };
        let key = args[1].as_slice();
        let value = [b"DEBUG".as_slice(), b"DIGEST-VALUE", key];
        let before = self.ours.try_command(&value)?;
        let expiry = self.expiry_of_theirs(key)?;
        let restore = |payload: &[u8]| -> Vec<Arg> {
            [b"RESTORE", key, expiry.as_bytes(), payload, b"REPLACE", b"ABSTTL"].map(<[u8]>::to_vec).into()
        };
        let done = (self.ours.try_command(&restore(theirs))?, self.theirs.try_command(&restore(ours))?);
        let ok = RespValue::Simple(b"OK".to_vec());
        if done != (ok.clone(), ok) {
            return Ok(Verdict::Differs(replies, "a payload that the other does not take"));
        }
        let after = (self.ours.try_command(&value)?, self.theirs.try_command(&value)?);
        Ok(match after == (before.clone(), before) {
            true => Verdict::Equal,
            false => Verdict::Differs(replies, "the value is another one after it went through a payload"),
        })
    }

    /// SORT and SORT_RO: what Redis leaves to chance is not compared, and what it does to a packed sorted set is undone.
    fn sort(&mut self, mode: Mode, args: &[Arg]) -> io::Result<Verdict> {
        let key = args[1].as_slice();
        let encoding = [b"OBJECT".as_slice(), b"ENCODING", key];
        let was_packed = self.theirs.try_command(&encoding)?.as_bytes() == Some(b"listpack");
        let kind = self.theirs.try_command(&[b"TYPE", key])?;
        let has = |word: &str| args.iter().any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        let is = |name: &[u8]| kind == RespValue::Simple(name.to_vec());
        let in_no_order = is(b"set") || is(b"zset");
        if in_no_order && has("alpha") && has("by") && has("store") {
            // Weights may be equal: the two would go on with different lists.
            return Ok(Verdict::Equal);
        }
        // So may texts, up to a NUL.
        let by_chance = (in_no_order && has("alpha")) || (is(b"set") && has("nosort"));
        let mut replies = self.both(args)?;
        if by_chance {
            // What is fetched is looked up in the order of the elements.
            self.listeners.iter_mut().for_each(Listeners::forget);
        }
        let is_refused =
            |reply: &RawReply| reply.value.as_error().is_some_and(|it| it.starts_with(b"ERR One or more"));
        if is_refused(&replies.theirs) && !is_refused(&replies.ours) {
            // It takes an errno that an earlier command left behind for its own; a new connection resets that.
            Client::connect(self.theirs.port()?)?.try_command(&[b"PING"])?;
            self.theirs.send(args)?;
            replies.theirs = self.theirs.read_raw_reply()?;
            self.listeners.iter_mut().for_each(Listeners::forget);
        }
        let verdict = match (by_chance && !has("store"), has("limit")) {
            (false, _) => self.judge(mode, args, replies)?,
            (true, false) => self.judge(Mode::Unordered, args, replies)?,
            (true, true) => self.judge(Mode::Scan(0), args, replies)?,
        };
        if was_packed && self.theirs.try_command(&encoding)?.as_bytes() == Some(b"skiplist") {
            let dump = self.theirs.try_command(&[b"DUMP", key])?;
            let expiry = self.expiry_of_theirs(key)?;
            let payload = dump.as_bytes().unwrap_or_default();
            let restore = [b"RESTORE", key, expiry.as_bytes(), payload, b"REPLACE", b"ABSTTL"];
            self.theirs.try_command(&restore)?;
        }
        Ok(verdict)
    }

    /// When a key expires, for RESTORE with ABSTTL.
    fn expiry_of_theirs(&mut self, key: &[u8]) -> io::Result<String> {
        let at_ms = self.theirs.try_command(&[b"PEXPIRETIME", key])?;
        Ok(at_ms.as_int().unwrap_or(0).max(0).to_string())
    }

    /// Iterates to the end on both.
    fn scan(&mut self, args: &[Arg], cursor: usize) -> io::Result<Verdict> {
        let first = self.both(args)?;
        if first.ours.value.as_error().is_some() || first.theirs.value.as_error().is_some() {
            return self.judge(Mode::Exact, args, first);
        }
        let width =
            if matches!(args[0].to_ascii_uppercase().as_slice(), b"HSCAN" | b"ZSCAN") { 2 } else { 1 };
        let ours = iterate(&mut self.ours, args, cursor, &first.ours.value)?;
        let theirs = iterate(&mut self.theirs, args, cursor, &first.theirs.value)?;
        let by_score = args[0].eq_ignore_ascii_case(b"ZSCAN");
        let distinct = |elements: &[RespValue]| -> BTreeMap<String, usize> {
            let unit = |unit: &[RespValue]| match unit {
                // A small sorted set shows a score there as whoever dumped it wrote it.
                [member, text] if by_score && score(text).is_some() => {
                    format!("{member:?} {:?}", score(text))
                }
                unit => format!("{unit:?}"),
            };
            elements.chunks(width).map(|elements| (unit(elements), 1)).collect()
        };
        Ok(match (ours, theirs) {
            (Some(a), Some(b)) if distinct(&a) == distinct(&b) => Verdict::Equal,
            (None, _) => Verdict::Differs(first, "an iteration without end, or not a cursor and an array"),
            _ => Verdict::Differs(first, "iterations yield different elements"),
        })
    }

    /// SPOP: the stock server pops from a copy, and loses the members that ours popped.
    fn spop(&mut self, args: &[Arg]) -> io::Result<Verdict> {
        let key = args[1].clone();
        self.theirs.try_command(&[b"COPY".as_slice(), &key, TEMPORARY_KEY, b"REPLACE"])?;
        let mut on_copy = args.to_vec();
        on_copy[1] = TEMPORARY_KEY.to_vec();
        self.theirs.send(&on_copy)?;
        let theirs = self.theirs.read_raw_reply()?;
        self.theirs.try_command(&[b"DEL", TEMPORARY_KEY])?;
        let before = self.theirs.try_command(&[b"SMEMBERS".to_vec(), key.clone()])?;
        self.ours.send(args)?;
        let replies = Replies { ours: self.ours.read_raw_reply()?, theirs };
        let popped: Vec<RespValue> = match &replies.ours.value {
            RespValue::Bulk(_) => vec![replies.ours.value.clone()],
            value => value.as_slice().map(<[_]>::to_vec).unwrap_or_default(),
        };
        let sizes = |reply: &RawReply| (kind(&reply.value), reply.value.as_slice().map(<[_]>::len));
        if sizes(&replies.ours) != sizes(&replies.theirs)
            || (popped.is_empty() && replies.ours.raw != replies.theirs.raw)
        {
            return Ok(Verdict::Differs(replies, "not the same kind or number"));
        }
        let members = before.as_slice().unwrap_or_default();
        let mut remove = vec![b"SREM".to_vec(), key.clone()];
        for member in &popped {
            if !members.contains(member) || remove[2..].iter().any(|m| Some(&m[..]) == member.as_bytes()) {
                return Ok(Verdict::Differs(replies, "a member that does not exist, or one twice"));
            }
            remove.extend(member.as_bytes().map(<[u8]>::to_vec));
        }
        if !popped.is_empty() {
            self.theirs.try_command(&remove)?;
        }
        if args.len() > 2 && !popped.is_empty() {
            // How a set is encoded after many were popped depends on which ones were.
            self.both(&[b"DEL".to_vec(), key])?;
        }
        Ok(Verdict::Equal)
    }
}

/// The score that a text is.
fn score(text: &RespValue) -> Option<f64> {
    std::str::from_utf8(text.as_bytes()?).ok()?.parse().ok()
}

/// Everything an iteration yields, from its first reply on; `None` when it does not end.
fn iterate(
    client: &mut Client,
    args: &[Arg],
    cursor: usize,
    first: &RespValue,
) -> io::Result<Option<Vec<RespValue>>> {
    const MAX_STEPS: usize = 5_000;
    let mut found = Vec::new();
    let mut reply = first.clone();
    for _ in 0..MAX_STEPS {
        let Some([next, elements]) = reply.as_slice() else { return Ok(None) };
        let (Some(next), Some(elements)) = (next.as_bytes(), elements.as_slice()) else { return Ok(None) };
        found.extend_from_slice(elements);
        if next == b"0" {
            return Ok(Some(found));
        }
        let mut args = args.to_vec();
        args[cursor] = next.to_vec();
        reply = client.try_command(&args)?;
    }
    Ok(None)
}

/// The elements in an order of their own; other replies as they are.
fn sorted(value: &RespValue) -> Vec<String> {
    let mut texts: Vec<String> = match value.as_slice() {
        Some(items) => items.iter().map(|item| format!("{item:?}")).collect(),
        None => return vec![format!("{value:?}")],
    };
    texts.sort();
    texts.push(kind(value).to_string());
    texts
}

fn pairs(value: &RespValue) -> Vec<String> {
    let mut texts: Vec<String> = match value {
        RespValue::Map(_) | RespValue::Array(_) => {
            units(value, 2).iter().map(|unit| format!("{unit:?}")).collect()
        }
        _ => return vec![format!("{value:?}")],
    };
    texts.sort();
    texts.push(kind(value).to_string());
    texts
}

/// Elements in groups: nested arrays and maps as they come, flat arrays in chunks.
fn units(value: &RespValue, width: usize) -> Vec<Vec<RespValue>> {
    match value {
        RespValue::Map(pairs) => pairs.iter().map(|(k, v)| vec![k.clone(), v.clone()]).collect(),
        _ => match value.as_slice() {
            Some(items) if items.iter().all(|item| matches!(item, RespValue::Array(_))) => {
                items.iter().filter_map(|item| item.as_slice().map(<[_]>::to_vec)).collect()
            }
            Some(items) => items.chunks(width).map(<[_]>::to_vec).collect(),
            None => Vec::new(),
        },
    }
}

/// The commands that make the consumers by which these arguments ask for entries of groups.
pub fn consumers_asking(args: &[Arg]) -> Vec<Vec<Arg>> {
    let creation = |key: &Arg, group: &Arg, consumer: &Arg| -> Vec<Arg> {
        [b"XGROUP", &b"CREATECONSUMER"[..], key, group, consumer].map(<[u8]>::to_vec).into()
    };
    match (args[0].to_ascii_uppercase().as_slice(), &args[1..]) {
        (b"XCLAIM" | b"XAUTOCLAIM", [key, group, consumer, ..]) => vec![creation(key, group, consumer)],
        (b"XREADGROUP", mut rest) => {
            let mut reader = None;
            loop {
                rest = match rest {
                    [word, group, consumer, rest @ ..] if word.eq_ignore_ascii_case(b"group") => {
                        reader = Some((group, consumer));
                        rest
                    }
                    [word, keys @ ..] if word.eq_ignore_ascii_case(b"streams") => {
                        let keys = keys[..keys.len() / 2].iter();
                        let creations =
                            |(group, consumer)| keys.map(|key| creation(key, group, consumer)).collect();
                        return reader.map(creations).unwrap_or_default();
                    }
                    [word, rest @ ..] if word.eq_ignore_ascii_case(b"noack") => rest,
                    [_, _, rest @ ..] => rest,
                    _ => return Vec::new(),
                }
            }
        }
        _ => Vec::new(),
    }
}

/// Times may be so far apart.
const TOLERANCE_MS: i64 = 5_000;

/// Whether two times of this name are equal enough. Ours notes each time that a consumer asks, and stock 7.0 when it gets
/// something, so ours may have seen it later.
fn is_time_alike(name: &RespValue, ours: &RespValue, theirs: &RespValue) -> bool {
    match (name.as_bytes(), ours.as_int(), theirs.as_int()) {
        (Some(b"seen-time"), Some(ours), Some(theirs)) => ours >= 0 && ours >= theirs - TOLERANCE_MS,
        (Some(b"idle"), Some(ours), Some(theirs)) => ours >= 0 && ours <= theirs + TOLERANCE_MS,
        _ => false,
    }
}

/// Equal but for numbers where a time stands: behind its name, or in the description of a pending entry.
fn same_but_for_times(a: &RespValue, b: &RespValue) -> bool {
    match (a, b) {
        (RespValue::Array(a), RespValue::Array(b)) => {
            let of_pending = |i: usize| (a.len() == 4 && i == 2) || (a.len() == 3 && i == 1);
            let same = |(i, (x, y)): (usize, (&RespValue, &RespValue))| {
                same_but_for_times(x, y)
                    || (of_pending(i) && near(x, y, TOLERANCE_MS))
                    || (i > 0 && is_time_alike(&a[i - 1], x, y))
            };
            a.len() == b.len() && a.iter().zip(b).enumerate().all(same)
        }
        (RespValue::Map(a), RespValue::Map(b)) => {
            let same = |((k, x), (l, y)): (&(RespValue, RespValue), &(RespValue, RespValue))| {
                k == l && (same_but_for_times(x, y) || is_time_alike(k, x, y))
            };
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        (a, b) => a == b,
    }
}

fn near(a: &RespValue, b: &RespValue, tolerance: i64) -> bool {
    match (a, b) {
        (RespValue::Int(a), RespValue::Int(b)) => *a >= 0 && *b >= 0 && a.abs_diff(*b) <= tolerance as u64,
        (RespValue::Array(a), RespValue::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || near(a, b, tolerance))
        }
        _ => false,
    }
}

/// The type of a reply, as a word.
fn kind(value: &RespValue) -> &'static str {
    match value {
        RespValue::Simple(_) => "simple string",
        RespValue::Error(_) => "error",
        RespValue::Int(_) => "integer",
        RespValue::Bulk(_) => "bulk string",
        RespValue::Null => "null",
        RespValue::NullArray => "null array",
        RespValue::Array(_) => "array",
        RespValue::Double(_) => "double",
        RespValue::Bool(_) => "boolean",
        RespValue::BigNumber(_) => "big number",
        RespValue::Verbatim { .. } => "verbatim string",
        RespValue::Map(_) => "map",
        RespValue::Set(_) => "set",
        RespValue::Push(_) => "push",
    }
}
