//! The first generation of a node that is told to append: what is written while there is none yet.

use super::nodes::wait_jobs;
use crate::support::{Server, wait_for};
use std::time::Duration;

#[test]
fn a_primary_that_appends_has_files_before_its_first_client() {
    let mut server = Server::ours(&["--appendonly", "yes"]);
    let folder = server.dir().join("appendonlydir");
    assert!(folder.join("appendonly.aof.manifest").exists());
    let mut client = server.client();
    client.ok("SET a 1");
    let waited = client.cmd("WAITAOF 1 0 30000");
    assert_eq!(waited.as_slice().and_then(|counts| counts[0].as_int()), Some(1), "{waited:?}");
    let digest = client.digest();
    server.kill();
    server.restart();
    assert_eq!(server.client().digest(), digest);
    // The rule holds for data that comes from a snapshot, too.
    let mut client = server.client();
    client.ok("SAVE");
    server.kill();
    std::fs::remove_dir_all(&folder).expect("remove the folder");
    server.restart();
    assert!(folder.join("appendonly.aof.manifest").exists());
    assert_eq!(server.client().digest(), digest);
    assert!(server.stop().success());
}

#[test]
fn the_end_waits_for_files_that_were_just_begun() {
    let mut server = Server::ours(&[]);
    let mut client = server.client();
    client.ok("CONFIG SET appendonly yes");
    client.ok("SET a 1");
    let digest = client.digest();
    assert!(server.stop().success());
    server.set_args(&["--appendonly", "yes"]);
    server.restart();
    assert_eq!(server.client().digest(), digest);
}

#[test]
fn a_job_that_was_asked_for_is_never_seen_as_done() {
    let server = Server::ours(&["--appendonly", "yes"]);
    let mut client = server.client();
    let dump = server.dir().join("dump.rdb");
    for round in 1..4 {
        assert_eq!(client.text("BGSAVE"), "Background saving started");
        wait_jobs(&mut client);
        assert_eq!(client.info("rdb_saves"), Some(round.to_string()));
        assert!(dump.exists());
        client.cmd("BGREWRITEAOF");
        wait_jobs(&mut client);
        assert_eq!(client.info("aof_rewrites"), Some(round.to_string()));
    }
}

#[test]
fn an_end_that_fails_leaves_a_server_that_appends() {
    let mut server = Server::ours(&["--appendonly", "yes", "--save", "3600 1"]);
    let mut client = server.client();
    client.ok("SET before 1");
    // In the place of the snapshot stands a folder, which no file can replace.
    let dump = server.dir().join("dump.rdb");
    std::fs::create_dir(&dump).expect("make a folder");
    std::fs::write(dump.join("something"), "").expect("fill it");
    assert_eq!(client.error("SHUTDOWN"), "ERR Errors trying to SHUTDOWN. Check logs.");
    client.ok("SET after 1");
    let waited = client.cmd("WAITAOF 1 0 30000");
    assert_eq!(waited.as_slice().and_then(|counts| counts[0].as_int()), Some(1), "{waited:?}");
    let digest = client.digest();
    server.kill();
    std::fs::remove_dir_all(&dump).expect("remove it");
    server.restart();
    assert_eq!(server.client().digest(), digest);
}

#[test]
fn nothing_is_begun_at_the_end() {
    for _ in 0..3 {
        let mut nodes = super::nodes::Nodes::start(&["--appendonly", "yes", "--save", "3600 1"]);
        nodes.primary.client().ok("SET a 1");
        nodes.settle();
        assert!(nodes.replica.stop().success());
        let folder = nodes.replica.dir().join("appendonlydir");
        let entries = std::fs::read_dir(folder).expect("read the folder").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
        names.sort();
        assert_eq!(
            names,
            ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "appendonly.aof.manifest"]
        );
    }
}

#[test]
fn what_was_flushed_does_not_come_back() {
    let mut server = Server::ours(&["--save", "3600 1000000", "--rdb-key-save-delay", "2000"]);
    let mut client = server.client();
    for number in 0..300 {
        client.ok(&format!("SET key:{number} x"));
    }
    client.ok("CONFIG SET rdb-key-save-delay 0");
    client.ok("SAVE");
    client.ok("CONFIG SET rdb-key-save-delay 2000");
    // A snapshot of what was there before is still being written.
    client.text("BGSAVE");
    client.ok("FLUSHALL");
    client.ok("SET after 1");
    wait_for("a snapshot of the emptiness", Duration::from_secs(30), || {
        let done = client.info("rdb_bgsave_in_progress").as_deref() == Some("0");
        done && client.info("rdb_saves").as_deref() == Some("3")
    });
    server.kill();
    server.restart();
    let mut client = server.client();
    assert_eq!((client.int("DBSIZE"), client.text("GET after")), (1, "1".into()));
}

#[test]
fn a_flush_is_saved_before_it_is_answered() {
    let mut server = Server::ours(&["--save", "3600 1000000"]);
    let mut client = server.client();
    client.ok("SET a 1");
    client.ok("SAVE");
    client.ok("FLUSHALL");
    assert_eq!(client.info("rdb_changes_since_last_save").as_deref(), Some("0"));
    // Nothing is under way that would be in its way.
    client.ok("SAVE");
    client.ok("SET a 1");
    client.ok("SAVE");
    client.ok("MULTI");
    client.text("FLUSHALL");
    client.cmd("EXEC");
    server.kill();
    server.restart();
    assert_eq!(server.client().int("DBSIZE"), 0);
}

#[test]
fn switching_the_log_off_ends_a_rewrite() {
    let server = Server::ours(&["--appendonly", "yes"]);
    let mut client = server.client();
    for number in 0..20 {
        client.ok(&format!("SET key:{number} x"));
    }
    client.ok("CONFIG SET rdb-key-save-delay 10000000");
    client.text("BGREWRITEAOF");
    wait_for("a rewrite", Duration::from_secs(20), || {
        client.info("aof_rewrite_in_progress").as_deref() == Some("1")
    });
    client.ok("CONFIG SET appendonly no");
    wait_for("its end", Duration::from_secs(20), || {
        client.info("aof_rewrite_in_progress").as_deref() == Some("0")
    });
    assert_eq!(client.info("aof_last_bgrewrite_status").as_deref(), Some("ok"));
    client.ok("CONFIG SET rdb-key-save-delay 0");
    client.ok("CONFIG SET appendonly yes");
    wait_jobs(&mut client);
    client.ok("SET a 1");
    let waited = client.cmd("WAITAOF 1 0 30000");
    assert_eq!(waited.as_slice().and_then(|counts| counts[0].as_int()), Some(1), "{waited:?}");
}

#[test]
fn the_first_generation_is_seen_to_be_under_way() {
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.ok("SET a 1");
    for wait_for_off in [true, false, true, false, false] {
        client.ok("CONFIG SET appendonly yes");
        wait_jobs(&mut client);
        assert_eq!(client.info("aof_enabled").as_deref(), Some("1"));
        client.ok("DEBUG LOADAOF");
        // There was one rewrite, and not another behind it.
        client.text("BGREWRITEAOF");
        wait_jobs(&mut client);
        client.ok("CONFIG SET appendonly no");
        if wait_for_off {
            wait_for("the end of the log", Duration::from_secs(20), || {
                client.info("aof_enabled").as_deref() == Some("0")
            });
        }
    }
    assert_eq!(client.text("GET a"), "1");
}
