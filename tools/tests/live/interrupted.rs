//! Loads that are interrupted, and go on.

use super::servers::{Kind, Server, Source, keys_of};
use super::{RESTORE, ends_with, fill, json, scaled, shown};
use outrigger::base::random::Rng;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often the program is killed.
const KILLS: i64 = 10;

/// Starts a load and kills the program (SIGKILL) once the server has so many keys. `false` if it ended before.
pub fn kill_at(source: &Path, server: &Server, keys: i64) -> bool {
    let mut command = Command::new(RESTORE);
    command.arg(source).args(["--into", &server.url()]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("start the program");
    let mut client = server.client();
    let began = Instant::now();
    while keys_of(&mut client) < keys {
        if let Some(status) = child.try_wait().expect("ask for the child") {
            assert!(status.success(), "it ended by itself, with {status}");
            return false;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "the load makes no progress");
    }
    let alive = child.try_wait().expect("ask for the child").is_none();
    child.kill().expect("kill it");
    child.wait().expect("wait for it");
    alive
}

/// Has a load noted some of what was acknowledged? It does so every 100 ms, so that a quick one may be killed before.
fn has_notes(source: &Source) -> bool {
    source.resume_files().iter().any(|file| has_noted(file))
}

/// Does this resume file note anything?
pub fn has_noted(resume_file: &Path) -> bool {
    std::fs::read_to_string(resume_file).is_ok_and(|text| text.contains("\ndone\t"))
}

#[test]
fn killed_ten_times_at_random_it_still_ends_with_all_of_it() {
    let source = Source::filled(|client| fill(client, scaled(10_000)));
    let seed = Rng::from_os().next_u64();
    eprintln!("seed {seed}");
    let mut rng = Rng::from_seed(seed);
    for kind in [Kind::Ours, Kind::Stock] {
        // Of a long log, which is loaded first; and of one snapshot, which is passed on.
        for dir in [source.dir(), source.rewritten()] {
            let Some(server) = Server::start(kind, &["--enable-debug-command", "yes"]) else { continue };
            ten_kills(&source, &dir, &server, &mut rng);
        }
    }
}

fn ten_kills(source: &Source, dir: &Path, server: &Server, rng: &mut Rng) {
    let mut killed = 0;
    for round in 0..KILLS {
        let (from, step) = (source.keys * round / (KILLS + 1), source.keys / (KILLS + 1));
        let keys = from + rng.below(step as u64) as i64;
        killed += i64::from(kill_at(dir, server, keys));
    }
    assert!(killed >= KILLS / 2, "{dir:?}: it ended before it could be killed, {killed} kills");
    let files = source.resume_files();
    assert_eq!(files.len(), 1, "{dir:?}");
    let note = std::fs::read_to_string(&files[0]).expect("read the resume file");
    assert_eq!(note.contains("in parts of"), dir.ends_with("rewritten"), "{note}");
    let has_notes = has_notes(source);
    let began = Instant::now();
    let done = json(0, RESTORE, &[shown(dir), "--into", &server.url()]);
    eprintln!("{killed} kills, then {:?}: {done}", began.elapsed());
    assert_eq!(
        (server.client().digest(), &done["verified"]),
        (source.digest.clone(), &"digest".into()),
        "{done}"
    );
    assert_eq!(keys_of(&mut server.client()), source.keys, "{dir:?}: {done}");
    let figure = |name: &str| done[name].as_i64().unwrap();
    assert_eq!(figure("made") + figure("same") + figure("resumed"), source.keys, "{done}");
    assert_eq!(figure("resumed") > 0, has_notes, "what was acknowledged is not sent again: {done}");
    assert!(source.resume_files().is_empty());
}

#[test]
fn a_server_that_went_away_empty_gets_all_of_it_again() {
    let source = Source::filled(|client| fill(client, scaled(10_000)));
    for kind in [Kind::Ours, Kind::Stock] {
        let Some(mut server) = Server::start(kind, &["--enable-debug-command", "yes"]) else { continue };
        let mut command = Command::new(RESTORE);
        command.arg(source.dir()).args(["--into", &server.url(), "--connections", "1"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start the program");
        let mut client = server.client();
        while keys_of(&mut client) < source.keys / 3 {}
        server.kill();
        let output = child.wait_with_output().expect("wait for it");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("the server went away") || text.contains("does it run"), "{text}");
        let refused = ends_with(2, RESTORE, &[shown(&source.dir()), "--into", &server.url()]);
        assert!(refused.contains("does it run"), "{refused}");
        server.restart();
        assert_eq!(keys_of(&mut server.client()), 0);
        let done = json(0, RESTORE, &[shown(&source.dir()), "--into", &server.url()]);
        assert_eq!((&done["restarted"], &done["made"]), (&true.into(), &source.keys.into()), "{done}");
        assert_eq!(server.client().digest(), source.digest, "{kind:?}");
    }
}

#[test]
fn what_others_took_away_meanwhile_is_noticed() {
    let source = Source::filled(|client| fill(client, scaled(10_000)));
    let server = Server::ours(&[]);
    let mut tries = 0;
    while !kill_at(&source.dir(), &server, source.keys * 9 / 10) || !has_notes(&source) {
        server.client().ok("FLUSHALL");
        tries += 1;
        assert!(tries < 100, "each load was too quick to be killed behind a note");
    }
    server.client().ok("FLUSHALL");
    let refused = ends_with(1, RESTORE, &[shown(&source.dir()), "--into", &server.url()]);
    assert!(refused.contains("are missing") && refused.contains("call again"), "{refused}");
    let done = json(0, RESTORE, &[shown(&source.dir()), "--into", &server.url()]);
    assert_eq!((server.client().digest(), &done["resumed"]), (source.digest.clone(), &0.into()), "{done}");
}
