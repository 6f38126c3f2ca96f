//! What the system refuses: files of others, disks that are full.

use super::support::{
    BACKUP, CHECK, DIFF, RDB_CHECK, RESTORE, REWRITE, command, ends_with, shown, stock_folder, text_of,
};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The user who owns nothing.
const NOBODY: u32 = 65_534;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("change who may what");
}

/// A program where everybody may run it. Root can become somebody else; anybody else is that already.
struct Stranger {
    home: TempDir,
}

impl Stranger {
    fn new() -> Stranger {
        let home = TempDir::new().expect("make a temporary folder");
        chmod(home.path(), 0o777);
        Stranger { home }
    }

    /// Runs a tool that must end with `code`; what it wrote.
    fn ends_with(&self, code: i32, program: &str, args: &[&str]) -> String {
        let copy = self.home.path().join(Path::new(program).file_name().expect("a name"));
        if !copy.exists() {
            fs::copy(program, &copy).expect("copy a program");
        }
        let mut run = Command::new(copy);
        run.args(args).current_dir("/");
        if nothing_is_refused(self.home.path()) {
            run.uid(NOBODY).gid(NOBODY);
        }
        // Whoever is being forked by another test's thread has the copy open for writing until it runs something else.
        let output = loop {
            match run.output() {
                Err(busy) if busy.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                output => break output.expect("run a tool"),
            }
        };
        text_of(code, output, &format!("{program} {args:?}"))
    }
}

/// Whether we may read what nobody may.
fn nothing_is_refused(home: &Path) -> bool {
    let path = home.join("closed");
    if !path.exists() {
        fs::write(&path, "x").expect("write a file");
        chmod(&path, 0o000);
    }
    File::open(path).is_ok()
}

/// A data folder that everybody may read, with a snapshot in it.
fn folder(home: &Path) -> PathBuf {
    let dir = home.join("node");
    // What does not compress.
    let mut draws = (0..).map(|n: u64| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut value = || draws.by_ref().take(12).collect::<String>();
    let log: String = (0..300).map(|n| command(&["SET", &format!("key:{n}"), &value()])).collect();
    stock_folder(&dir, &[command(&["SELECT", "0"]), log].concat());
    ends_with(0, REWRITE, &[shown(&dir), "--into", shown(&home.join("new"))]);
    let base = fs::read_dir(home.join("new/appendonlydir"))
        .expect("read the folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".base.rdb"));
    fs::copy(base.expect("a base"), dir.join("dump.rdb")).expect("copy the snapshot");
    dir
}

#[test]
fn a_stranger_is_told_whose_files_they_are() {
    let home = TempDir::new().expect("make a temporary folder");
    chmod(home.path(), 0o755);
    let dir = folder(home.path());
    let stranger = Stranger::new();
    let (dump, log) = (dir.join("dump.rdb"), dir.join("appendonlydir/appendonly.aof.1.incr.aof"));
    let calls: [(&str, Vec<&str>); 7] = [
        (CHECK, vec![shown(&dir)]),
        (CHECK, vec![shown(&log)]),
        (RDB_CHECK, vec![shown(&dump)]),
        (RESTORE, vec![shown(&dir), "--into", "/tmp/outrigger-never-made"]),
        (REWRITE, vec![shown(&dir), "--into", "/tmp/outrigger-never-made"]),
        (BACKUP, vec![shown(&dir), "--to", shown(stranger.home.path())]),
        (DIFF, vec![shown(&dump), shown(&dir)]),
    ];
    // Who may read, may check.
    for (program, args) in &calls[..3] {
        stranger.ends_with(0, program, args);
    }
    // New things go to folders of one's own.
    let closed = home.path().join("closed-folder");
    fs::create_dir(&closed).expect("make a folder");
    for (program, option) in [(RESTORE, "--into"), (REWRITE, "--into"), (BACKUP, "--to")] {
        let target = closed.join("new");
        let text = stranger.ends_with(2, program, &[shown(&dir), option, shown(&target)]);
        assert!(text.contains("Permission denied") && text.contains("next: "), "{program}: {text}");
        assert!(!text.contains("panicked") && !target.exists(), "{text}");
    }
    for path in [&dump, &log] {
        chmod(path, 0o600);
    }
    for (program, args) in &calls {
        let text = stranger.ends_with(2, program, args);
        assert!(text.contains("Permission denied"), "{program}: {text}");
        let advice = "next: run this as the user that the server runs as";
        assert!(text.contains(advice), "{program}: {text}");
    }
    assert!(!Path::new("/tmp/outrigger-never-made").exists());
}

/// A source whose end comes to light only when it is read through.
#[test]
fn a_place_that_cannot_be_written_to_is_told_before_the_source_is_read() {
    let home = TempDir::new().expect("make a temporary folder");
    chmod(home.path(), 0o755);
    let dir = folder(home.path());
    let shelf = home.path().join("shelf");
    ends_with(0, BACKUP, &[shown(&dir), "--to", shown(&shelf)]);
    let archive = fs::read_dir(&shelf).expect("read the shelf").flatten().map(|entry| entry.path());
    let is_archive = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "oar");
    let archive = archive.into_iter().find(is_archive).expect("an archive");
    let log = dir.join("appendonlydir/appendonly.aof.1.incr.aof");
    for (path, at) in [(&archive, 40), (&log, 0)] {
        let mut bytes = fs::read(path).expect("read a file");
        bytes[at] ^= 0x55;
        fs::write(path, bytes).expect("damage it");
    }
    let stranger = Stranger::new();
    let (work, open) = (stranger.home.path().join("work"), stranger.home.path().join("new"));
    fs::create_dir(&work).expect("make a folder");
    chmod(&work, 0o777);
    let closed = home.path().join("closed");
    fs::create_dir(&closed).expect("make a folder");
    for source in [&archive, &dir] {
        for target in [&closed, &closed.join("new"), &closed.join("deep/new")] {
            let args = [shown(source), "--into", shown(target), "--work", shown(&work)];
            let text = stranger.ends_with(2, RESTORE, &args);
            let said =
                ["Permission denied", shown(&closed), "next: name a folder that this user may write to"];
            assert!(said.iter().all(|words| text.contains(words)), "{text}");
        }
        // What is wrong with the source is told where the place is right.
        stranger.ends_with(1, RESTORE, &[shown(source), "--into", shown(&open), "--work", shown(&work)]);
    }
    assert!(!open.exists());
    for folder in [&work, &closed] {
        assert_eq!(fs::read_dir(folder).expect("read the folder").count(), 0);
    }
}

/// Runs a tool with `into` on a disk of its own that has 16 KiB, which goes away with the tool; what it wrote, and what it
/// left on the disk. None where no disk can be made.
fn on_a_small_disk(program: &str, args: &[&str], into: &Path) -> Option<(String, String)> {
    const NO_DISK: i32 = 77;
    let script = "mount -t tmpfs -o size=16k none \"$1\" || exit 77; disk=\"$1\"; shift
        \"$@\"; code=$?; echo; echo left:; ls -A \"$disk\"; exit $code";
    fs::create_dir_all(into).expect("make a folder");
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", shown(into), program]).args(args);
    let output = shell.output().ok().filter(|output| {
        let is_refused = output.stderr.starts_with(b"unshare:");
        output.status.code() != Some(NO_DISK) && !is_refused
    });
    let Some(output) = output else {
        eprintln!("SKIPPED: no small file system can be mounted here");
        return None;
    };
    let text = text_of(2, output, &format!("{program} {args:?}"));
    let (before, after) = text.split_once("left:\n").expect("what is left");
    let left = after.lines().take_while(|line| !line.is_empty() && !line.contains(' ')).collect();
    Some((format!("{before}{after}"), left))
}

#[test]
fn a_full_disk_leaves_nothing_half_done() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let disk = home.path().join("disk");
    let (new, shelf) = (disk.join("restored"), disk.join("shelf"));
    let calls = [(RESTORE, "--into", &new), (REWRITE, "--into", &new), (BACKUP, "--to", &shelf)];
    for (program, option, target) in calls {
        let Some((text, left)) = on_a_small_disk(program, &[shown(&dir), option, shown(target)], &disk)
        else {
            return;
        };
        let what_to_do = ["more room", "make room", "another folder"];
        assert!(what_to_do.iter().any(|advice| text.contains(advice)), "{program}: {text}");
        assert!(!text.contains("panicked"), "{text}");
        let lock = if program == BACKUP { "shelf" } else { "" };
        assert_eq!(left, lock, "{program}: {text}");
    }
    // With room, all of it works.
    for (program, option, target) in [calls[0], calls[2]] {
        ends_with(0, program, &[shown(&dir), option, shown(target)]);
    }
}

#[test]
fn an_export_says_that_its_output_takes_no_more() {
    let home = TempDir::new().expect("make a temporary folder");
    let dump = folder(home.path()).join("dump.rdb");
    for format in ["resp", "jsonl"] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("open the device that is full");
        let output = Command::new(RDB_CHECK).args([shown(&dump), "--export", format]).stdout(full).output();
        let text = text_of(2, output.expect("run a tool"), format);
        assert!(text.contains("No space left on device"), "{text}");
    }
}
