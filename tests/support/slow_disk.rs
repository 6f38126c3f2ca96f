//! A disk whose fsyncs take long: a library that is loaded before the server and waits in front of each. It is compiled when
//! a test first asks for it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// What the library is made of.
const SOURCE: &str = include_str!("slow_disk.c");

/// A delay that can be changed while the server runs.
pub struct SlowDisk {
    dir: TempDir,
}

impl SlowDisk {
    /// No delay at first.
    pub fn new() -> SlowDisk {
        SlowDisk { dir: TempDir::with_prefix("outrigger-test-").expect("make a temporary folder") }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("delay_ms")
    }

    /// What a server's environment needs.
    pub fn env(&self) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_str().expect("a path of plain text").to_owned();
        vec![("LD_PRELOAD".to_owned(), text(library())), ("SLOW_DISK_FILE".to_owned(), text(self.file()))]
    }

    /// How long each fsync waits from now on.
    pub fn set_delay_ms(&self, delay_ms: u64) {
        std::fs::write(self.file(), delay_ms.to_string()).expect("write the delay");
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
