//! Backups in S3-compatible storage, against moto: an independent server that keeps buckets in memory.

#[path = "../../../tests/support/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
mod faults;
mod interrupted;
mod kept;
mod load;
mod moto;
mod proxy;
#[path = "../../../tests/support/scale.rs"]
mod scale;
#[path = "../live/servers.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod servers;
mod wrong_use;

use moto::Bucket;
use outrigger::base::random::Rng;
use scale::scaled;
use serde_json::Value;
use servers::Server;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const BACKUP: &str = env!("CARGO_BIN_EXE_outrigger-backup");
const RESTORE: &str = env!("CARGO_BIN_EXE_restore");
/// A secret that must never be seen.
const SECRET: &str = "never-to-be-seen";

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII")
}

/// A primary, and the replica whose files are backed up.
struct Pair {
    primary: Server,
    replica: Server,
}

impl Pair {
    /// Starts both; the files are there, and hold `keys` keys of 40 kB that cannot be made smaller.
    fn start(keys: usize) -> Pair {
        let primary = Server::ours(&[]);
        let port = primary.port.to_string();
        let replica = Server::ours(&["--replicaof", "127.0.0.1", &port, "--appendfsync", "always"]);
        let pair = Pair { primary, replica };
        pair.add(keys);
        pair
    }

    /// More keys, durable on the replica when it returns.
    fn add(&self, keys: usize) {
        const VALUE_BYTES: usize = 40_000;
        let mut rng = Rng::from_os();
        let mut client = self.primary.client();
        let text = rng.hex(1 << 20);
        for _ in 0..keys {
            // What repeats is too far apart for a compressor to see it.
            let at = rng.below((text.len() - VALUE_BYTES) as u64) as usize;
            client.ok(&format!("SET key:{:x} {}", rng.next_u64(), &text[at..at + VALUE_BYTES]));
        }
        let offset = number(&mut client, "master_repl_offset");
        let mut replica = self.replica.client();
        wait_for("the replica's files", || number(&mut replica, "outrigger_durable_offset") >= offset);
    }

    fn dir(&self) -> &Path {
        self.replica.dir()
    }
}

/// A number in INFO; less than 0 if it is not there.
fn number(client: &mut client::Client, field: &str) -> i64 {
    client.info(field).and_then(|text| text.parse().ok()).unwrap_or(-1)
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A place in a bucket, reached through an endpoint, with a folder to work in.
struct Place {
    to: String,
    endpoint: String,
    work: TempDir,
}

impl Place {
    fn new(bucket: &Bucket, prefix: &str) -> Place {
        let (to, endpoint) = (format!("s3://{}/{prefix}", bucket.name), bucket.endpoint());
        Place { to, endpoint, work: TempDir::with_prefix("outrigger-s3-").expect("make a folder") }
    }

    /// The same one, by another way.
    fn through(&self, port: u16) -> Place {
        let work = TempDir::with_prefix("outrigger-s3-").expect("make a folder");
        Place { to: self.to.clone(), endpoint: format!("http://127.0.0.1:{port}"), work }
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command.args(args).stdin(Stdio::null());
        if !args.contains(&"--patience") {
            command.args(["--patience", "5"]);
        }
        command.env("AWS_ACCESS_KEY_ID", "tester").env("AWS_SECRET_ACCESS_KEY", SECRET);
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_REGION", "us-east-1").env("TMPDIR", self.work.path());
        // A proxy of this machine's is none of the test's.
        command.env("NO_PROXY", "127.0.0.1,localhost");
        command
    }

    /// Runs a program that must end with `code`; what it wrote.
    fn ends_with(&self, code: i32, program: &str, args: &[&str]) -> String {
        let output = self.command(program, args).output().expect("run a program");
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
        assert_eq!(output.status.code(), Some(code), "{program} {args:?}:\n{text}");
        assert!(!text.contains("panicked") && !text.contains(SECRET), "{text}");
        text
    }

    fn json(&self, code: i32, program: &str, args: &[&str]) -> Value {
        let text = self.ends_with(code, program, &[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Takes a backup.
    fn take(&self, dir: &Path, more: &[&str]) -> Value {
        self.json(0, BACKUP, &[&[shown(dir), "--to", &self.to], more].concat())
    }

    /// The published backups.
    fn list(&self) -> Vec<Value> {
        let view = self.json(0, BACKUP, &["--to", &self.to, "--list"]);
        view["backups"].as_array().expect("backups").clone()
    }

    /// Restores a backup, and holds what comes of it against what its record says.
    fn restores(&self, backup: &Value) {
        let home = TempDir::with_prefix("outrigger-s3-").expect("make a folder");
        let into = home.path().join("new");
        let done = self.json(0, RESTORE, &[backup["path"].as_str().unwrap(), "--into", shown(&into)]);
        assert_eq!((&done["digest"], &done["place"]), (&backup["digest"], &backup["place"]), "{done}");
        let left: Vec<PathBuf> =
            std::fs::read_dir(home.path()).unwrap().flatten().map(|e| e.path()).collect();
        assert_eq!(left, [into], "nothing else is left beside it");
    }

    /// Is there a file in the folder to work in that belongs to a backup?
    fn is_working(&self) -> bool {
        let folders = std::fs::read_dir(self.work.path()).expect("read the folder").flatten();
        folders.into_iter().any(|entry| entry.path().join("shelf").exists())
    }
}
