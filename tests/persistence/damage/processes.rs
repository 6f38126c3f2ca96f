//! A few of the cuts and changes, with real servers and on a real disk.

use super::super::nodes::{copy_folder, wait_loaded};
use super::{Written, only_file};
use crate::support::rng::{Pick, Seeded};
use crate::support::server::{free_port, our_program};
use crate::support::{Server, scaled, wait_for};
use outrigger::persistence::toolbox::check_log;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Starts a server that must not come up; what it says.
fn refuses(dir: &Path) -> String {
    let mut command = Command::new(our_program());
    command.args(["--port", &free_port().to_string(), "--bind", "127.0.0.1", "--appendonly", "yes", "--dir"]);
    command.arg(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start a server");
    let mut ended = false;
    let limit = Duration::from_secs(60);
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the refusal", limit, || {
            ended = matches!(child.try_wait(), Ok(Some(_)));
            ended
        });
    }));
    if waited.is_err() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("its output");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(ended && !output.status.success(), "it came up, or ended well: {}", text.concat());
    text.concat()
}

#[test]
fn servers_start_from_what_is_good_and_stop_at_damage() {
    let mut seeded = Seeded::new(7_103);
    let written = Written::new(seeded.seed);
    let log = written.bytes(&written.log);
    let name = written.log.file_name().expect("a name");
    for turn in 0..scaled(4) {
        let home = TempDir::new().expect("make a temporary folder");
        copy_folder(written.home.path(), home.path());
        let path = home.path().join("appendonlydir").join(name);
        let len = log.len() - 1 - seeded.rng.index(if turn == 0 { 60 } else { 30_000 });
        std::fs::write(&path, &log[..len]).expect("cut the log");
        let sealed = written.sealed_before(len).expect("a seal before");
        let report = check_log(home.path()).expect("a report");
        let mut server = Server::ours_in(home.path(), &["--appendonly", "yes"]);
        let mut client = server.client();
        wait_loaded(&mut client);
        assert_eq!(client.digest(), sealed.digest, "cut at {len}");
        let said = server.log().contains("a torn end was cut");
        assert_eq!((said, report.cut.is_some()), (len > sealed.len, len > sealed.len), "{}", server.log());
        // It goes on from there, and what was cut is put aside.
        client.ok("SET goes-on 1");
        let digest = client.digest();
        assert!(server.stop().success());
        let torn = home.path().join("appendonlydir").join(format!("{}.torn", name.to_string_lossy()));
        let kept = only_file_or_none(&torn);
        assert_eq!(
            kept.as_deref(),
            (len > sealed.len).then_some(&log[..len]),
            "what was torn is kept as it was"
        );
        server.restart();
        assert_eq!(server.client().digest(), digest);
        drop(server);
        assert!(check_log(home.path()).expect("a report").is_sound());
    }
    for path in [&written.log, &written.base, &written.manifest] {
        let home = TempDir::new().expect("make a temporary folder");
        copy_folder(written.home.path(), home.path());
        let path = home.path().join("appendonlydir").join(path.file_name().expect("a name"));
        let mut bytes = std::fs::read(&path).expect("read a file");
        let at = seeded.rng.index(bytes.len() / 2);
        bytes[at] ^= 0x20;
        std::fs::write(&path, &bytes).expect("change a byte");
        let told = refuses(home.path());
        assert!(told.contains(&*path.to_string_lossy()) && told.contains(", byte "), "{told}");
        let checked = match check_log(home.path()) {
            Ok(report) => report.problems[0].to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(&checked), "the server says {told}\nand aof-check {checked}");
        assert_eq!(std::fs::read(&path).expect("read it again"), bytes, "a refused start changes nothing");
    }
    assert_eq!(only_file(&written.home.path().join("appendonlydir"), ".incr.aof"), written.log);
}

fn only_file_or_none(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}
