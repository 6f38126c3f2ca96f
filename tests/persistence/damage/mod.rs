//! Logs that were cut or changed: what is served then is what was there, or nothing.

mod cuts;
mod flips;
mod mutations;
mod processes;

use super::nodes::{Nodes, copy_folder, wait_jobs, wait_loaded};
use super::traffic::Traffic;
use crate::support::{Client, Server, scaled};
use outrigger::command::Settings;
use outrigger::command::digest::of_keyspace;
use outrigger::keyspace::Keyspace;
use outrigger::persistence::names::Names;
use outrigger::persistence::recovery::{
    LoadFrom, RecoverOptions, Recovered, RecoveryError, Report, recover, verify_directory,
};
use outrigger::sys::Disk;
use outrigger::sys::fault::FaultDisk;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Bytes that the log has at least: more than the 64 KiB in which it is cut.
const LOG_BYTES: u64 = 80 << 10;
/// Commands sent at once, that is to say about so many to a seal.
const COMMANDS_A_SEAL: usize = 4;

/// The end of what one seal vouches for, in the log file.
struct Sealed {
    /// Bytes of the file up to behind the seal.
    len: usize,
    /// The offset it names.
    offset: u64,
    /// DEBUG DIGEST of a server that was given what stands before it, command by command.
    digest: String,
}

/// A folder that a replica has written: manifest, base, one log file.
struct Written {
    home: TempDir,
    base: PathBuf,
    log: PathBuf,
    manifest: PathBuf,
    /// Of the base alone.
    base_digest: String,
    /// In the order of the log; the first line's is the first.
    seals: Vec<Sealed>,
}

impl Written {
    /// Lets a replica write under traffic, with a rewrite meanwhile.
    fn new(seed: u64) -> Written {
        let mut nodes = Nodes::start(&["--appendfsync", "always"]);
        let mut traffic = Traffic::new(seed);
        (traffic.keys, traffic.brief) = (8, false);
        let mut client = nodes.primary.client();
        traffic.only_what_is_known_to(&mut client);
        traffic.send(&mut client, 300);
        nodes.settle();
        let mut replica = nodes.replica.client();
        replica.cmd("BGREWRITEAOF");
        wait_jobs(&mut replica);
        let folder = nodes.replica.dir().join("appendonlydir");
        let log = only_file(&folder, ".incr.aof");
        for turn in 0.. {
            if std::fs::metadata(&log).expect("the log").len() >= LOG_BYTES {
                break;
            }
            assert!(turn < 10_000, "{} does not grow", log.display());
            traffic.send(&mut client, COMMANDS_A_SEAL);
            // One seal after the other, rather than a few large ones.
            client.cmd("WAITAOF 0 1 0");
        }
        let (digest, offset) = nodes.settle();
        assert!(nodes.replica.stop().success());
        let home = TempDir::new().expect("make a temporary folder");
        copy_folder(&folder, &home.path().join("appendonlydir"));
        drop(nodes);
        let written = Written::read(home);
        let last = written.seals.last().expect("a seal");
        assert!(last.offset >= offset, "the log ends at {}, behind {offset}", last.offset);
        assert_eq!(last.digest, digest, "the log, command by command, gives what the primary had");
        written
    }

    fn read(home: TempDir) -> Written {
        let folder = home.path().join("appendonlydir");
        let (base, log) = (only_file(&folder, ".base.rdb"), only_file(&folder, ".incr.aof"));
        let manifest = only_file(&folder, ".manifest");
        // The base alone is a snapshot file like any other.
        let scratch = TempDir::new().expect("make a temporary folder");
        std::fs::copy(&base, scratch.path().join("dump.rdb")).expect("copy the base");
        let server = Server::ours_in(scratch.path(), &["--save", ""]);
        let mut client = server.client();
        wait_loaded(&mut client);
        let base_digest = client.digest();
        let bytes = std::fs::read(&log).expect("read the log");
        let seals = replay(&bytes, &mut client);
        Written { home, base, log, manifest, base_digest, seals }
    }

    fn bytes(&self, path: &Path) -> Vec<u8> {
        std::fs::read(path).expect("read a file")
    }

    /// The last seal whose line lies whole in the first `len` bytes of the log.
    fn sealed_before(&self, len: usize) -> Option<&Sealed> {
        self.seals.iter().rfind(|sealed| sealed.len <= len)
    }

    /// The files in a disk of memory, which is quick to change.
    fn in_memory(&self) -> Memory {
        let names = Names::new("/data", "appendonlydir", "appendonly.aof").expect("names");
        let disk = FaultDisk::new(1);
        disk.create_dir_all(&names.folder()).expect("make the folder");
        let memory = Memory { disk, names };
        for path in [&self.base, &self.log, &self.manifest] {
            memory.put(path, &self.bytes(path));
        }
        memory
    }
}

/// A copy of the files in memory.
struct Memory {
    disk: FaultDisk,
    names: Names,
}

/// What the loader made of a folder.
struct Loaded {
    recovered: Recovered,
    digest: String,
}

impl Memory {
    fn path(&self, path: &Path) -> PathBuf {
        self.names.folder().join(path.file_name().expect("a name"))
    }

    fn put(&self, path: &Path, bytes: &[u8]) {
        self.disk.put(&self.path(path), bytes);
    }

    /// Loads it as a start does.
    fn load(&self, may_cut: bool) -> Result<Loaded, RecoveryError> {
        let keyspace = Keyspace::new(16);
        let options = RecoverOptions {
            from: LoadFrom::AppendOnly,
            may_cut,
            settings: Settings::default(),
            now_ms: 1_700_000_000_000,
        };
        let nowhere = Path::new("/data/none");
        let recovered = recover(&self.disk, &self.names, nowhere, &keyspace, &options, &mut |_, _| ());
        if recovered.is_err() {
            assert!(keyspace.is_empty(), "something is left of a load that failed");
        }
        recovered.map(|recovered| Loaded { recovered, digest: of_keyspace(&keyspace).to_string() })
    }

    /// Judges it as `aof-check` does.
    fn check(&self) -> Result<Report, RecoveryError> {
        verify_directory(&self.disk, &self.names)
    }
}

fn only_file(folder: &Path, suffix: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).expect("read the folder");
    let ends = |path: &PathBuf| path.to_string_lossy().ends_with(suffix);
    let found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(ends).collect();
    if found.len() != 1 {
        let manifest = std::fs::read_to_string(folder.join("appendonly.aof.manifest"));
        panic!("not one {suffix}: {found:?}; the manifest is {manifest:?}");
    }
    found.into_iter().next().expect("one")
}

/// Reads a log by its documented format alone, gives its commands to a server, and notes the digest at each seal.
fn replay(log: &[u8], client: &mut Client) -> Vec<Sealed> {
    let (mut at, mut seals, mut in_multi) = (0, Vec::<Sealed>::new(), false);
    let mut commands: Vec<Vec<&[u8]>> = Vec::new();
    // The first line may announce a SELECT, which is then as good as a part of it.
    let mut announced = false;
    let line_end = |from: usize| from + log[from..].iter().position(|b| *b == b'\n').expect("a line end") + 1;
    let number = |from: usize, to: usize| -> usize {
        std::str::from_utf8(&log[from..to - 2]).expect("digits").parse().expect("a number")
    };
    while at < log.len() {
        let end = line_end(at);
        let line = &log[at..end];
        if line.starts_with(b"#OUTRIGGER-") {
            assert!(!in_multi, "a seal inside a transaction, which this test does not expect");
            client.pipeline(&commands);
            commands.clear();
            let text = std::str::from_utf8(line).expect("a line of text");
            announced = text.contains(" select=");
            let offset = text.split(" off=").nth(1).and_then(|rest| rest.split(' ').next());
            let offset = offset.and_then(|digits| digits.parse().ok()).expect("an offset");
            seals.push(Sealed { len: end, offset, digest: client.digest() });
            at = end;
            continue;
        }
        assert_eq!(line[0], b'*', "byte {at}");
        let count = number(at + 1, end);
        at = end;
        let args: Vec<&[u8]> = (0..count)
            .map(|_| {
                let data = line_end(at);
                let len = number(at + 1, data);
                at = data + len + 2;
                &log[data..data + len]
            })
            .collect();
        if std::mem::take(&mut announced) {
            seals.last_mut().expect("the first line").len = at;
        }
        in_multi = (in_multi || args[0].eq_ignore_ascii_case(b"multi")) && args[0] != b"EXEC";
        // A replica's business with its primary, and no data.
        if !args[0].eq_ignore_ascii_case(b"replconf") {
            commands.push(args);
        }
    }
    assert!(commands.is_empty(), "the log ends behind its last seal");
    seals
}

/// `count` scaled, or `most` if that is less.
fn sample(count: usize, most: usize) -> usize {
    scaled(count).min(most)
}
