//! A disk that is slow, full or broken: a library that is loaded before the server and stands between it and its files. It is
//! compiled when a test first asks for it. The benchmarks use it, too.

use nix::errno::Errno;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// What the library is made of.
const SOURCE: &str = include_str!("slow_disk.c");

/// How the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// As it really is.
    Well,
    /// Each fsync waits for so many ms first.
    Slow(u64),
    /// Nothing can be written to a file.
    Full,
    /// Each fsync fails.
    Broken,
}

/// A disk whose state can be changed while the server runs.
pub struct SlowDisk {
    dir: TempDir,
}

impl SlowDisk {
    /// One that is well at first.
    pub fn new() -> SlowDisk {
        SlowDisk { dir: TempDir::with_prefix("outrigger-test-").expect("make a temporary folder") }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// What a server's environment needs.
    pub fn env(&self) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_str().expect("a path of plain text").to_owned();
        vec![("LD_PRELOAD".to_owned(), text(library())), ("SLOW_DISK_FILE".to_owned(), text(self.file()))]
    }

    /// Changes its state.
    pub fn set(&self, state: DiskState) {
        let error = |errno: Errno| errno as i32;
        let (delay_ms, of_fsync, of_write) = match state {
            DiskState::Well => (0, 0, 0),
            DiskState::Slow(delay_ms) => (delay_ms, 0, 0),
            DiskState::Full => (0, 0, error(Errno::ENOSPC)),
            DiskState::Broken => (0, error(Errno::EIO), 0),
        };
        // By a rename: whoever reads it meanwhile reads one or the other.
        let fresh = self.dir.path().join("state.new");
        std::fs::write(&fresh, format!("{delay_ms} {of_fsync} {of_write}")).expect("write the disk's state");
        std::fs::rename(&fresh, self.file()).expect("put the disk's state in its place");
    }
}

/// The compiled library, among what the build of the tests leaves.
fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let work = TempDir::with_prefix_in("slow_disk-", &dir).expect("make a temporary folder");
        let (source, made) = (work.path().join("slow_disk.c"), work.path().join("slow_disk.so"));
        std::fs::write(&source, SOURCE).expect("write the source");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made).arg(&source).arg("-ldl");
        let status = compiler.status().expect("run the C compiler");
        assert!(status.success(), "the C compiler failed");
        let path = dir.join("slow_disk.so");
        std::fs::rename(&made, &path).expect("put the library in its place");
        path
    });
    built.clone()
}
