//! What the system refuses: files of others, disks that are full.

use super::support::{
    BACKUP, CHECK, DIFF, RDB_CHECK, RESTORE, REWRITE, command, ends_with, shown, stock_folder, text_of,
};
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
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
        chmod(home.path(), 0o755);
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
        text_of(code, run.output().expect("run a tool"), &format!("{program} {args:?}"))
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
    let log: String = (0..300).map(|n| command(&["SET", &format!("key:{n}"), &"v".repeat(200)])).collect();
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
        assert!(text.contains("next: run this as the user that the server runs as"), "{program}: {text}");
    }
    assert!(!Path::new("/tmp/outrigger-never-made").exists());
}

/// Runs a tool as on a disk that takes no file of more than 8 KiB.
fn on_a_small_disk(code: i32, program: &str, args: &[&str]) -> String {
    // The limit's signal is ignored, so that writing fails as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
    let output = Command::new("sh").args(["-c", script, program]).args(args).output().expect("run a shell");
    text_of(code, output, &format!("{program} {args:?}"))
}

#[test]
fn a_full_disk_leaves_nothing_half_done() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let (new, shelf) = (home.path().join("restored"), home.path().join("shelf"));
    for (program, args) in [
        (RESTORE, [shown(&dir), "--into", shown(&new)]),
        (REWRITE, [shown(&dir), "--into", shown(&new)]),
        (BACKUP, [shown(&dir), "--to", shown(&shelf)]),
    ] {
        let text = on_a_small_disk(2, program, &args);
        assert!(text.contains("File too large") && text.contains("next: "), "{program}: {text}");
        assert!(!text.contains("panicked"), "{text}");
        assert!(!new.join("appendonlydir").exists(), "{program} left something behind");
    }
    let left = |path: &Path| {
        let names = fs::read_dir(path).expect("read a folder").flatten().map(|entry| entry.file_name());
        names.filter(|name| name != "outrigger.lock").collect::<Vec<_>>()
    };
    assert!(left(&shelf).is_empty(), "{:?}", left(&shelf));
    // With room, all of it works.
    ends_with(0, RESTORE, &[shown(&dir), "--into", shown(&new)]);
    ends_with(0, BACKUP, &[shown(&dir), "--to", shown(&shelf)]);
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
