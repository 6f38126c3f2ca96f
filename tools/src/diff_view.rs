//! What a comparison found, in the shape of its JSON, and as text.

use crate::times;
use outrigger::remote::diff::{ALL, Difference, What};
use outrigger::remote::state::{KeyState, key_text};
use outrigger::remote::toolbox::Compared;
use serde::Serialize;
use std::fmt::Write as _;

/// One side.
#[derive(Debug, Serialize)]
pub struct SideView {
    /// Path or URL, without a password.
    pub name: String,
    /// Keys that were walked.
    pub keys: u64,
    /// Whether it is a running server, and so no snapshot.
    pub live: bool,
}

/// A key of one side.
#[derive(Debug, Serialize)]
pub struct KeyView {
    /// What TYPE says.
    pub kind: &'static str,
    /// The digest of its value alone.
    pub digest: String,
    /// When it expires, in ms of Unix time.
    pub expire_at_ms: Option<i64>,
}

impl KeyView {
    fn of(state: &KeyState) -> KeyView {
        KeyView { kind: state.kind, digest: state.digest.to_string(), expire_at_ms: state.expire_at_ms }
    }

    fn time(&self) -> String {
        match self.expire_at_ms.map(|at| u64::try_from(at).unwrap_or(0)) {
            Some(at) => format!("expires {} ({at})", times::text_of(at)),
            None => "never expires".to_owned(),
        }
    }
}

/// A key that differs.
#[derive(Debug, Serialize)]
pub struct DifferenceView {
    /// The database.
    pub db: u32,
    /// The key, with escapes.
    pub key: String,
    /// `missing-in-a`, `missing-in-b`, `type`, `value` or `ttl`.
    pub what: &'static str,
    /// What the first side has.
    pub a: Option<KeyView>,
    /// What the second side has.
    pub b: Option<KeyView>,
}

/// How many keys differ, and in what.
#[derive(Debug, Serialize)]
pub struct CountsView {
    /// The first side does not have them.
    pub missing_in_a: u64,
    /// The second side does not have them.
    pub missing_in_b: u64,
    /// Other types.
    pub r#type: u64,
    /// Other values.
    pub value: u64,
    /// Other times.
    pub ttl: u64,
}

/// A comparison.
#[derive(Debug, Serialize)]
pub struct DiffView {
    /// Whether there is no difference.
    pub same: bool,
    /// The first side.
    pub a: SideView,
    /// The second side.
    pub b: SideView,
    /// How many keys differ.
    pub counts: CountsView,
    /// Slots, of 16384 a database, whose keys were compared one by one.
    pub slots_compared: u64,
    /// Keys that differed at first, and no more when they were read again.
    pub settled: u64,
    /// Keys that differ, as many as were to be listed.
    pub keys: Vec<DifferenceView>,
}

fn word(what: What) -> &'static str {
    match what {
        What::MissingInA => "missing-in-a",
        What::MissingInB => "missing-in-b",
        What::Type => "type",
        What::Value => "value",
        What::Ttl => "ttl",
    }
}

impl DiffView {
    /// Of a report, with at most `limit` keys.
    pub fn new(names: &[String; 2], compared: &Compared, limit: usize) -> DiffView {
        let report = &compared.report;
        let side = |index: usize| SideView {
            name: names[index].clone(),
            keys: report.keys[index],
            live: compared.live[index],
        };
        let count = |what| report.counts.get(&what).copied().unwrap_or(0);
        let key = |difference: &Difference| DifferenceView {
            db: difference.db,
            key: key_text(&difference.key),
            what: word(difference.what),
            a: difference.a.as_ref().map(KeyView::of),
            b: difference.b.as_ref().map(KeyView::of),
        };
        DiffView {
            same: report.is_same(),
            a: side(0),
            b: side(1),
            counts: CountsView {
                missing_in_a: count(What::MissingInA),
                missing_in_b: count(What::MissingInB),
                r#type: count(What::Type),
                value: count(What::Value),
                ttl: count(What::Ttl),
            },
            slots_compared: report.slots,
            settled: report.settled,
            keys: report.differences.iter().take(limit).map(key).collect(),
        }
    }

    fn all(&self) -> u64 {
        let CountsView { missing_in_a, missing_in_b, r#type, value, ttl } = self.counts;
        missing_in_a + missing_in_b + r#type + value + ttl
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = match self.same {
            true => "SAME".to_owned(),
            false => format!("DIFFERENT: {} keys", self.all()),
        };
        let _ = writeln!(
            text,
            "\n  A: {}: {} keys\n  B: {}: {} keys",
            self.a.name, self.a.keys, self.b.name, self.b.keys
        );
        let counts = [
            self.counts.missing_in_a,
            self.counts.missing_in_b,
            self.counts.r#type,
            self.counts.value,
            self.counts.ttl,
        ];
        let said = [
            "are missing in A",
            "are missing in B",
            "are of another type",
            "have another value",
            "expire at another time",
        ];
        for ((count, said), what) in counts.into_iter().zip(said).zip(ALL) {
            if count > 0 {
                let _ = writeln!(text, "  {count} {said} ({})", word(what));
            }
        }
        for key in &self.keys {
            let _ = writeln!(text, "  db {} \"{}\": {}", key.db, key.key, key.sentence());
        }
        if self.all() > self.keys.len() as u64 && !self.keys.is_empty() {
            let _ =
                writeln!(text, "  … and {} more (--limit N lists more)", self.all() - self.keys.len() as u64);
        }
        if self.settled > 0 {
            let _ = writeln!(
                text,
                "  {} keys differed at first and were the same when they were read again",
                self.settled
            );
        }
        if self.a.live || self.b.live {
            let _ = writeln!(
                text,
                "  note: a running server is no snapshot; what was written meanwhile may be in this or not"
            );
        }
        text
    }
}

impl DifferenceView {
    fn sentence(&self) -> String {
        match (&self.a, &self.b) {
            (Some(a), Some(b)) if a.kind != b.kind => format!("a {} in A, a {} in B", a.kind, b.kind),
            (Some(a), Some(b)) if a.digest != b.digest => format!("another {} in A than in B", a.kind),
            (Some(a), Some(b)) if a.expire_at_ms != b.expire_at_ms => {
                format!("the same {}, {} in A, {} in B", a.kind, a.time(), b.time())
            }
            (Some(a), Some(_)) if a.kind == "stream" => "the same entries, other ids or groups".to_owned(),
            (Some(_), Some(_)) => "the same hash, fields expire at other times".to_owned(),
            (Some(a), None) => format!("a {} in A, missing in B", a.kind),
            (None, Some(b)) => format!("missing in A, a {} in B", b.kind),
            (None, None) => "gone".to_owned(),
        }
    }
}
