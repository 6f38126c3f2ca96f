//! What `rdb-check --analyze` prints.

use crate::output;
use crate::snapshots::ADVICE;
use crate::views::Damage;
use outrigger::persistence::toolbox::{Analysis, BigKey, Sum, TTL_CLASSES};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Prefixes that a person is shown.
const SHOWN_PREFIXES: usize = 25;
/// Bytes of a key that a person is shown.
const SHOWN_KEY_BYTES: usize = 60;

/// What takes the memory.
#[derive(Debug, Serialize)]
pub struct AnalysisView {
    /// The file.
    #[serde(serialize_with = "output::path")]
    pub path: PathBuf,
    /// Whether all of it could be read.
    pub complete: bool,
    /// Keys.
    pub keys: u64,
    /// Bytes that they take in memory, as MEMORY USAGE with SAMPLES 0 tells.
    pub bytes: u64,
    /// The biggest keys.
    pub top: Vec<BigKeyView>,
    /// By type and encoding.
    pub types: Vec<TypeSum>,
    /// By prefix, the most memory first.
    pub prefixes: Vec<NamedSum>,
    /// By the time that keys have left.
    pub ttls: Vec<NamedSum>,
    /// Why it stopped before the end.
    pub damage: Option<Damage>,
}

/// A big key.
#[derive(Debug, Serialize)]
pub struct BigKeyView {
    /// Its database.
    pub db: u32,
    /// The key; what is not printable ASCII is escaped (`\xff`).
    pub key: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How a server keeps it.
    pub encoding: &'static str,
    /// Elements; bytes of a string.
    pub elements: u64,
    /// What it takes.
    pub bytes: u64,
    /// When it expires, unix ms.
    pub expire_at_ms: Option<i64>,
}

/// Keys of a type and encoding.
#[derive(Debug, Serialize)]
pub struct TypeSum {
    /// The type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How a server keeps it.
    pub encoding: &'static str,
    /// Keys.
    pub keys: u64,
    /// What they take.
    pub bytes: u64,
}

/// Keys of a class.
#[derive(Debug, Serialize)]
pub struct NamedSum {
    /// The class; `null` for keys without a prefix.
    pub name: Option<String>,
    /// Keys.
    pub keys: u64,
    /// What they take.
    pub bytes: u64,
}

impl NamedSum {
    fn new(name: Option<String>, sum: Sum) -> NamedSum {
        NamedSum { name, keys: sum.keys, bytes: sum.bytes }
    }
}

impl From<&BigKey> for BigKeyView {
    fn from(big: &BigKey) -> Self {
        BigKeyView {
            db: big.db,
            key: big.key.escape_ascii().to_string(),
            kind: big.kind,
            encoding: big.encoding,
            elements: big.elements,
            bytes: big.bytes,
            expire_at_ms: big.expire_at_ms,
        }
    }
}

impl AnalysisView {
    /// Of what was found.
    pub fn new(path: &Path, analysis: &Analysis) -> AnalysisView {
        let type_of = |(&(kind, encoding), sum): (&(&'static str, &'static str), &Sum)| TypeSum {
            kind,
            encoding,
            keys: sum.keys,
            bytes: sum.bytes,
        };
        let mut prefixes: Vec<NamedSum> = analysis
            .prefixes
            .iter()
            .map(|(prefix, sum)| {
                NamedSum::new(prefix.as_ref().map(|prefix| prefix.escape_ascii().to_string()), *sum)
            })
            .collect();
        if analysis.other_prefixes.keys > 0 {
            prefixes.push(NamedSum::new(Some("(all others)".to_owned()), analysis.other_prefixes));
        }
        let ttls = TTL_CLASSES.iter().zip(analysis.ttls);
        AnalysisView {
            path: path.to_owned(),
            complete: analysis.fault.is_none(),
            keys: analysis.all.keys,
            bytes: analysis.all.bytes,
            top: analysis.top.iter().map(BigKeyView::from).collect(),
            types: analysis.types.iter().map(type_of).collect(),
            prefixes,
            ttls: ttls.map(|(name, sum)| NamedSum::new(Some((*name).to_owned()), sum)).collect(),
            damage: analysis.fault.as_ref().map(|error| Damage {
                file: path.to_owned(),
                byte: Some(error.offset()),
                what: error.to_string(),
                advice: ADVICE.to_owned(),
            }),
        }
    }

    /// For a person. Writing to a String cannot fail.
    pub fn text(&self) -> String {
        let mut text =
            format!("{}: {} keys take {} bytes in memory\n", self.path.display(), self.keys, self.bytes);
        let _ = writeln!(text, "\n{:>14} {:>10}  type, encoding", "bytes", "keys");
        for TypeSum { kind, encoding, keys, bytes } in &self.types {
            let _ = writeln!(text, "{bytes:>14} {keys:>10}  {kind}, {encoding}");
        }
        let _ = writeln!(text, "\n{:>14} {:>10}  time left", "bytes", "keys");
        self.ttls.iter().filter(|sum| sum.keys > 0).for_each(|sum| sum.line(&mut text));
        let _ = writeln!(text, "\n{:>14} {:>10}  prefix", "bytes", "keys");
        self.prefixes.iter().take(SHOWN_PREFIXES).for_each(|sum| sum.line(&mut text));
        if self.prefixes.len() > SHOWN_PREFIXES {
            let _ =
                writeln!(text, "{:>27} {} more (--json or --csv)", "", self.prefixes.len() - SHOWN_PREFIXES);
        }
        let _ = writeln!(text, "\n{:>14} {:>10}  the biggest keys", "bytes", "elements");
        for BigKeyView { db, key, kind, encoding, elements, bytes, .. } in &self.top {
            let shown = key.get(..SHOWN_KEY_BYTES).map_or_else(|| key.clone(), |head| format!("{head}…"));
            let _ = writeln!(text, "{bytes:>14} {elements:>10}  {shown} (database {db}, {kind}, {encoding})");
        }
        if let Some(damage) = &self.damage {
            text.push_str(&damage.text());
        }
        text
    }

    /// A table of all that was found: a section, a name, and figures.
    pub fn csv(&self) -> String {
        let mut text = "section,db,name,type,encoding,keys,elements,bytes,expire_at_ms\n".to_owned();
        let _ = writeln!(text, "all,,,,,{},,{},", self.keys, self.bytes);
        for TypeSum { kind, encoding, keys, bytes } in &self.types {
            let _ = writeln!(text, "type,,,{kind},{encoding},{keys},,{bytes},");
        }
        for (section, sums) in [("ttl", &self.ttls), ("prefix", &self.prefixes)] {
            for NamedSum { name, keys, bytes } in sums {
                let name = quoted(name.as_deref().unwrap_or("(none)"));
                let _ = writeln!(text, "{section},,{name},,,{keys},,{bytes},");
            }
        }
        for BigKeyView { db, key, kind, encoding, elements, bytes, expire_at_ms } in &self.top {
            let at = expire_at_ms.map_or_else(String::new, |at_ms| at_ms.to_string());
            let _ = writeln!(text, "key,{db},{},{kind},{encoding},1,{elements},{bytes},{at}", quoted(key));
        }
        text
    }
}

impl NamedSum {
    fn line(&self, text: &mut String) {
        let name = self.name.as_deref().unwrap_or("(none)");
        let _ = writeln!(text, "{:>14} {:>10}  {name}", self.bytes, self.keys);
    }
}

/// A field of RFC 4180.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
