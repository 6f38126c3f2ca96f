//! What the tests of this module share: a log to write from, and a reader of what is on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Point;
use super::generation::read_manifest;
use super::names::Names;
use super::writer::{LogPosition, LogSource, SourceError};
use crate::command::Settings;
use crate::command::apply::Applier;
use crate::format::aof::manifest::Manifest;
use crate::format::aof::seal::{Epoch, Lineage};
use crate::format::aof::verify::{Expected, HistoryPoint, LogVerifier, LoggedCommand, Verdict};
use crate::keyspace::{Keyspace, ValueRef};
use crate::resp::write_command;
use crate::sys::Disk;

pub const ID: &str = "0123456789abcdef0123456789abcdef01234567";
pub const NEW_ID: &str = "fedcba9876543210fedcba9876543210fedcba98";

pub fn lineage(id: &str) -> Lineage {
    id.parse().unwrap()
}

pub fn point(offset: u64) -> Point {
    Point { lineage: lineage(ID), offset, db: 0 }
}

pub fn names() -> Names {
    Names::new("/data", "appendonlydir", "appendonly.aof").unwrap()
}

pub fn command(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_command(&mut bytes, &text.split(' ').collect::<Vec<_>>());
    bytes
}

/// Puts a base in place as a snapshot writer leaves it; its bytes say at which offset it stands.
pub fn put_base(disk: &dyn Disk, names: &Names, offset: u64) -> PathBuf {
    let path = names.temporary_base(&offset.to_string());
    let text = format!("base at {offset}");
    disk.write_whole(&path, &mut |out| out.write_all(text.as_bytes())).unwrap();
    path
}

/// What a folder holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Chain {
    pub base_offset: u64,
    /// Proven commands, in order.
    pub commands: Vec<String>,
    pub end: HistoryPoint,
    pub torn: bool,
}

/// Reads a folder as recovery does, for bases of [`put_base`]. `None` if there is no manifest.
pub fn read_chain(disk: &dyn Disk, names: &Names) -> Option<Chain> {
    let manifest = read_manifest(disk, names).unwrap()?;
    Some(read_files(disk, &names.folder(), &manifest))
}

pub fn read_files(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Chain {
    let file = |name: &[u8]| disk.read_sealed(&folder.join(std::str::from_utf8(name).unwrap())).unwrap();
    let base = manifest.base.as_ref().unwrap();
    let base_offset = base.start_offset.unwrap();
    assert_eq!(&file(&base.name)[..], format!("base at {base_offset}").as_bytes());
    let mut end = HistoryPoint { lineage: base.lineage.unwrap(), offset: base_offset };
    let (mut commands, mut torn) = (Vec::new(), false);
    for incr in &manifest.incr {
        assert!(!torn, "only the last file may be torn");
        assert_eq!((incr.lineage, incr.start_offset), (Some(end.lineage), Some(end.offset)), "a gap");
        let bytes = file(&incr.name);
        let expected = Expected { lineage: end.lineage, start_offset: end.offset };
        let mut see = |command: &LoggedCommand<'_, '_>| {
            let words: Vec<_> = command.args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            commands.push(words.join(" "));
            std::ops::ControlFlow::Continue(())
        };
        let verdict = LogVerifier::expecting(expected).walk(&bytes, &mut see);
        torn = match verdict {
            Verdict::Sound(_) => false,
            Verdict::TornTail { .. } => true,
            other => panic!("{incr:?}: {other:?}"),
        };
        end = verdict.extent().history.unwrap_or(end);
    }
    Chain { base_offset, commands, end, torn }
}

/// A log that never forgets, unless told to.
#[derive(Clone)]
pub struct TestLog(Arc<Mutex<TestLogInner>>);

struct TestLogInner {
    begin: u64,
    bytes: Vec<u8>,
    lineage: Lineage,
    previous: Option<(Lineage, u64)>,
    epoch: Epoch,
    trimmed_to: u64,
    restarted: bool,
}

impl TestLog {
    pub fn new(begin: u64) -> TestLog {
        TestLog(Arc::new(Mutex::new(TestLogInner {
            begin,
            bytes: Vec::new(),
            lineage: lineage(ID),
            previous: None,
            epoch: Epoch::UNKNOWN,
            trimmed_to: begin,
            restarted: false,
        })))
    }

    /// Appends one command; returns the end.
    pub fn append(&self, text: &str) -> u64 {
        let mut inner = self.0.lock();
        inner.bytes.extend_from_slice(&command(text));
        inner.begin + inner.bytes.len() as u64
    }

    pub fn end(&self) -> u64 {
        let inner = self.0.lock();
        inner.begin + inner.bytes.len() as u64
    }

    pub fn rename(&self, id: &str) {
        let end = self.end();
        let mut inner = self.0.lock();
        inner.previous = Some((inner.lineage, end));
        inner.lineage = lineage(id);
    }

    pub fn set_epoch(&self, epoch: Epoch) {
        self.0.lock().epoch = epoch;
    }

    /// Forgets everything up to `offset`.
    pub fn trim(&self, offset: u64) {
        self.0.lock().trimmed_to = offset;
    }

    pub fn restart(&self) {
        self.0.lock().restarted = true;
    }

    pub fn source(&self, at: u64) -> Box<dyn LogSource> {
        Box::new(TestSource { log: self.clone(), at })
    }
}

struct TestSource {
    log: TestLog,
    at: u64,
}

impl LogSource for TestSource {
    fn position(&mut self) -> Result<LogPosition, SourceError> {
        let end = self.log.end();
        let inner = self.log.0.lock();
        if inner.restarted {
            return Err(SourceError::Restarted);
        }
        Ok(LogPosition { lineage: inner.lineage, previous: inner.previous, epoch: inner.epoch, end })
    }

    fn read(&mut self, out: &mut Vec<u8>, max: usize) -> Result<usize, SourceError> {
        let inner = self.log.0.lock();
        if self.at < inner.trimmed_to {
            return Err(SourceError::Trimmed { wanted: self.at, start: inner.trimmed_to });
        }
        let rest = &inner.bytes[(self.at - inner.begin) as usize..];
        let part = &rest[..rest.len().min(max)];
        out.extend_from_slice(part);
        self.at += part.len() as u64;
        Ok(part.len())
    }

    fn skip_to(&mut self, offset: u64) -> Result<(), SourceError> {
        self.at = self.at.max(offset);
        Ok(())
    }
}

/// Everything in a keyspace: database, key, text of the value, expiry; sorted.
pub type Contents = Vec<(u32, String, String, Option<i64>)>;

pub fn contents(keyspace: &Keyspace) -> Contents {
    let mut all = Vec::new();
    for (_, shard) in keyspace.lock_all().iter() {
        for db in 0..keyspace.databases() {
            for entry in shard.db(db).iter() {
                let text = match entry.value() {
                    ValueRef::Int(int) => int.to_string(),
                    ValueRef::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    ValueRef::Object(value) => format!("{value:?}"),
                };
                let key = String::from_utf8_lossy(entry.key()).into_owned();
                all.push((db, key, text, entry.expire_at_ms()));
            }
        }
    }
    all.sort();
    all
}

/// A keyspace of 16 databases after these commands.
pub fn keyspace_after<'t>(commands: impl IntoIterator<Item = &'t str>) -> Keyspace {
    let keyspace = Keyspace::new(16);
    let mut applier = Applier::new(Settings::default(), 0);
    for text in commands {
        let args: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        applier.apply(&keyspace, &args, NOW_MS, |_, _| ()).unwrap();
    }
    keyspace
}

pub const NOW_MS: i64 = 1_700_000_000_000;
