//! What the tools print: the library's findings in the shape of their JSON, and as text.

mod restored;
mod timeline;

pub use restored::{RestoredView, StoppedView};
pub use timeline::TimelineView;

use crate::output;
use crate::times;
use outrigger::format::aof::manifest::FileKind;
use outrigger::format::aof::verify::HistoryPoint;
use outrigger::persistence::recovery::{CutTail, FileReport, RecoveryError, Report};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is to be known of a log without a byte.
pub(crate) const EMPTY: &str = "EMPTY: no command was ever written here, or all were lost. A server starts from it with no keys, and does not complain\n";

/// No report.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// What was asked about.
    #[serde(serialize_with = "output::path")]
    pub path: PathBuf,
    /// Whether the files are the cause.
    pub damaged: bool,
    /// Why.
    pub error: String,
    /// What to do; empty where the error says it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub next: &'static str,
}

/// A call that was not understood.
#[derive(Debug, Serialize)]
pub struct WrongCall {
    /// Which words, and why.
    pub error: String,
    /// What to do.
    pub next: String,
}

impl WrongCall {
    /// Of what the parser of arguments says.
    pub fn new(error: &clap::Error, program: &str) -> WrongCall {
        let text = error.render().to_string();
        // Behind it stands how the program is called, which its help tells, too.
        let said = ["\nUsage:", "\nFor more information"]
            .iter()
            .fold(text.as_str(), |said, end| said.split_once(end).map_or(said, |(before, _)| before));
        let said = said.strip_prefix("error: ").unwrap_or(said);
        let error = said.split_whitespace().collect::<Vec<_>>().join(" ");
        WrongCall { error, next: format!("see `{program} --help`") }
    }
}

/// A place in a history.
#[derive(Debug, Serialize)]
pub struct Place {
    /// The lineage, 40 hex digits.
    pub lineage: String,
    /// The offset in bytes.
    pub offset: u64,
}

impl From<HistoryPoint> for Place {
    fn from(point: HistoryPoint) -> Self {
        Place { lineage: point.lineage.to_string(), offset: point.offset }
    }
}

/// A time.
#[derive(Debug, Serialize)]
pub struct Moment {
    /// Unix milliseconds.
    pub unix_ms: u64,
    /// The same as RFC 3339.
    pub rfc3339: String,
}

impl From<u64> for Moment {
    fn from(ms: u64) -> Self {
        Moment { unix_ms: ms, rfc3339: times::text_of(ms) }
    }
}

/// Damage.
#[derive(Debug, Serialize)]
pub struct Damage {
    /// The file.
    #[serde(serialize_with = "output::path")]
    pub file: PathBuf,
    /// The byte it shows at, if it is about a place.
    pub byte: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to run next.
    pub advice: String,
}

impl From<&RecoveryError> for Damage {
    fn from(error: &RecoveryError) -> Self {
        let (file, byte) = (error.file.clone(), error.offset);
        Damage { file, byte, what: error.kind.to_string(), advice: error.kind.advice().to_owned() }
    }
}

impl Damage {
    pub(crate) fn text(&self) -> String {
        let place = self.byte.map_or_else(String::new, |byte| format!(" at byte {byte}"));
        format!("DAMAGED: {}{place}: {}\n  next: {}\n", self.file.display(), self.what, self.advice)
    }
}

/// A torn end.
#[derive(Debug, Serialize)]
pub struct Torn {
    /// The file.
    #[serde(serialize_with = "output::path")]
    pub file: PathBuf,
    /// The byte behind which nothing is vouched for.
    pub byte: u64,
    /// Bytes behind it.
    pub bytes: u64,
    /// Of these, whole commands that nothing vouches for.
    pub whole_commands_bytes: u64,
    /// What the end looks like.
    pub what: String,
    /// What to run next.
    pub advice: String,
}

impl From<&CutTail> for Torn {
    fn from(tail: &CutTail) -> Self {
        let advice = "a start cuts it with `aof-load-truncated yes`; `restore DIR --into NEW` writes what is good \
                      to a new folder. (The files of a running server may look torn while it writes.)";
        Torn {
            file: tail.file.clone(),
            byte: tail.at,
            bytes: tail.bytes,
            whole_commands_bytes: tail.whole_commands_bytes,
            what: tail.why.to_string(),
            advice: advice.to_owned(),
        }
    }
}

impl Torn {
    fn text(&self) -> String {
        format!(
            "TORN: {} at byte {}: {}; {} bytes lie behind it, {} of them whole commands\n  next: {}\n",
            self.file.display(),
            self.byte,
            self.what,
            self.bytes,
            self.whole_commands_bytes,
            self.advice
        )
    }
}

/// A file of a history.
#[derive(Debug, Serialize)]
pub struct LogFile {
    /// The file.
    #[serde(serialize_with = "output::path")]
    pub file: PathBuf,
    /// `base` or `incr`.
    pub kind: &'static str,
    /// Its length.
    pub bytes: u64,
    /// How much of it is good.
    pub good_bytes: u64,
    /// Keys of a base, commands of a log.
    pub records: u64,
    /// Seals that were verified.
    pub seals: u64,
    /// Where it begins.
    pub begins: Option<Place>,
    /// Where its good part ends.
    pub ends: Option<Place>,
    /// When it was last written to, as it says itself.
    pub time: Option<Moment>,
    /// CRC64 that was verified, hex.
    pub crc64: Option<String>,
}

impl From<&FileReport> for LogFile {
    fn from(report: &FileReport) -> Self {
        LogFile {
            file: report.path.clone(),
            kind: if report.kind == FileKind::Base { "base" } else { "incr" },
            bytes: report.bytes,
            good_bytes: report.good_bytes,
            records: report.items,
            seals: report.seals,
            begins: report.start.map(Place::from),
            ends: report.end.map(Place::from),
            time: report.time_ms.map(Moment::from),
            crc64: report.crc.map(|crc| format!("{crc:016x}")),
        }
    }
}

/// What `aof-check` found.
#[derive(Debug, Serialize)]
pub struct LogView {
    /// What was asked about.
    #[serde(serialize_with = "output::path")]
    pub path: PathBuf,
    /// Whether a start would load it whole.
    pub sound: bool,
    /// Whether there is nothing in it at all: a server starts from it, with no keys.
    pub empty: bool,
    /// The files.
    pub files: Vec<LogFile>,
    /// The lineage and the offset the good part ends at.
    pub ends: Option<Place>,
    /// The history's epoch, where the log tells it.
    pub epoch: Option<u64>,
    /// The earliest time a file tells.
    pub first_time: Option<Moment>,
    /// The latest.
    pub last_time: Option<Moment>,
    /// A torn end.
    pub torn: Option<Torn>,
    /// Damage.
    pub damage: Vec<Damage>,
    /// When what happened, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<TimelineView>,
}

impl LogView {
    /// Of a report.
    pub fn new(path: &Path, report: &Report) -> LogView {
        let times = || report.files.iter().filter_map(|file| file.time_ms);
        LogView {
            path: path.to_owned(),
            sound: report.is_sound(),
            empty: report.files.iter().all(|file| file.bytes == 0),
            files: report.files.iter().map(LogFile::from).collect(),
            ends: report.end.map(Place::from),
            epoch: report.epoch.is_known().then_some(report.epoch.number),
            first_time: times().min().map(Moment::from),
            last_time: times().max().map(Moment::from),
            torn: report.cut.as_ref().map(Torn::from),
            damage: report.problems.iter().map(Damage::from).collect(),
            timeline: report.timeline.as_ref().map(TimelineView::new),
        }
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let name = file.file.file_name().unwrap_or_default().to_string_lossy();
            let records = if file.kind == "base" && file.seals == 0 { "records" } else { "commands" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{} {name}: {} of {} bytes good", file.kind, file.good_bytes, file.bytes);
            let _ = write!(text, ", {} {records}, {} seals", file.records, file.seals);
            let offset = |place: &Option<Place>| place.as_ref().map(|place| place.offset);
            let _ = match (offset(&file.begins), offset(&file.ends)) {
                (Some(begins), Some(ends)) if begins == ends => write!(text, ", offset {ends}"),
                (Some(begins), Some(ends)) => write!(text, ", offsets {begins} to {ends}"),
                (None, Some(ends)) => write!(text, ", ends at offset {ends}"),
                (_, None) => Ok(()),
            };
            if let Some(time) = &file.time {
                let _ = write!(text, ", {}", time.rfc3339);
            }
            if let Some(crc) = &file.crc64 {
                let _ = write!(text, ", crc64 {crc}");
            }
            text.push('\n');
        }
        if let Some(timeline) = &self.timeline {
            timeline.write_to(&mut text);
        }
        if let Some(place) = &self.ends {
            let epoch = self.epoch.map_or_else(String::new, |epoch| format!(", epoch {epoch}"));
            let _ = writeln!(text, "lineage {}{epoch}, good to offset {}", place.lineage, place.offset);
        }
        if let (Some(first), Some(last)) = (&self.first_time, &self.last_time) {
            let _ = writeln!(text, "times {} to {}", first.rfc3339, last.rfc3339);
        }
        self.damage.iter().for_each(|damage| text.push_str(&damage.text()));
        if let Some(torn) = &self.torn {
            text.push_str(&torn.text());
        }
        if self.sound && self.empty {
            text.push_str(EMPTY);
            text.push_str("SOUND, as there is nothing that could be wrong\n");
        } else if self.sound {
            let _ = match self.files.iter().all(|file| file.crc64.is_some()) {
                true => writeln!(text, "SOUND: every byte is vouched for by a checksum"),
                false => writeln!(text, "SOUND in structure; not every file carries checksums"),
            };
        }
        text
    }
}
