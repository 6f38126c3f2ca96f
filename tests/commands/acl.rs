//! Users and what they may do.

use super::on_each_server;
use crate::support::{Client, Server, free_port, wait_for};
use outrigger::resp::RespValue;
use std::time::Duration;

const NO_COMMAND: &str = "NOPERM this user has no permissions to run the 'get' command";
const NO_KEY: &str = "NOPERM this user has no permissions to access one of the keys used as arguments";

/// A new connection of a user whose password is its name.
fn as_user(server: &Server, name: &str) -> Client {
    let mut client = server.client();
    client.ok(&format!("AUTH {name} {name}"));
    client
}

fn lines(client: &mut Client, command: &str) -> Vec<String> {
    let reply = client.cmd(command);
    let items = reply.as_slice().unwrap_or_else(|| panic!("{command}: {reply:?}"));
    items.iter().map(|it| String::from_utf8_lossy(it.as_bytes().expect("a text")).into_owned()).collect()
}

fn assert_closed(client: &mut Client, why: &str) {
    client.set_read_timeout(Duration::from_secs(10));
    assert!(client.is_closed_by_server(), "{why}");
}

#[test]
fn users_come_and_go() {
    on_each_server(|server| {
        let mut admin = server.client();
        assert_eq!(lines(&mut admin, "ACL LIST"), ["user default on nopass ~* &* +@all"]);
        admin.ok("ACL SETUSER eve on >eve ~k* +get");
        assert_eq!(lines(&mut admin, "ACL USERS"), ["default", "eve"]);
        assert_eq!(admin.text("ACL WHOAMI"), "default");
        let mut eve = as_user(server, "eve");
        assert_eq!(
            eve.error("ACL WHOAMI"),
            "NOPERM this user has no permissions to run the 'acl|whoami' command"
        );
        assert!(eve.cmd("GET k").is_null());
        assert_eq!(eve.error("GET a"), NO_KEY);
        assert_eq!(eve.error("SET k v"), "NOPERM this user has no permissions to run the 'set' command");
        assert_eq!(eve.error("FOO"), "ERR unknown command 'FOO', with args beginning with: ");
        assert!(eve.error("AUTH eve wrong").starts_with("WRONGPASS"));
        assert!(eve.cmd("GET k").is_null(), "a wrong password changes nothing");
        admin.ok("ACL SETUSER eve off");
        assert!(eve.cmd("GET k").is_null(), "who is in stays in");
        assert!(server.client().error("AUTH eve eve").starts_with("WRONGPASS"));
        assert_eq!(admin.int("ACL DELUSER eve nosuch"), 1);
        assert_closed(&mut eve, "its user is gone");
        assert_eq!(admin.error("ACL DELUSER default"), "ERR The 'default' user cannot be removed");
    });
}

#[test]
fn who_may_not_hear_a_channel_any_more_is_disconnected() {
    on_each_server(|server| {
        let mut admin = server.client();
        for name in ["ann", "bob", "cid", "dan"] {
            admin.ok(&format!("ACL SETUSER {name} on >{name} +@all ~* resetchannels &news.* &n*"));
        }
        let heard = |name, command: &str| {
            let mut client = as_user(server, name);
            client.cmd(command);
            client
        };
        let mut stays = heard("ann", "SUBSCRIBE news.a");
        let (mut channel, mut pattern) = (heard("bob", "SUBSCRIBE note"), heard("cid", "PSUBSCRIBE n*"));
        let mut shard = heard("dan", "SSUBSCRIBE note");
        for name in ["ann", "bob", "cid", "dan"] {
            admin.ok(&format!("ACL SETUSER {name} resetchannels &news.*"));
        }
        for client in [&mut channel, &mut pattern, &mut shard] {
            assert_closed(client, "its channel was taken away");
        }
        wait_for("those that are gone to be forgotten", Duration::from_secs(30), || {
            admin.int("PUBSUB NUMPAT") == 0
        });
        assert_eq!(admin.int("PUBLISH news.a 1"), 1);
        assert_eq!(stays.read().expect("a message").as_slice().map(<[_]>::len), Some(3));
        assert_eq!(
            stays.error("SUBSCRIBE note"),
            "NOPERM this user has no permissions to access one of the channels used as arguments"
        );
    });
}

#[test]
fn rules_change_under_a_connected_client() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("ACL SETUSER eve on >eve ~* +@all");
        let mut eve = as_user(server, "eve");
        eve.ok("SET k v");
        admin.ok("ACL SETUSER eve -get");
        assert_eq!(eve.error("GET k"), NO_COMMAND);
        admin.ok("ACL SETUSER eve +get resetkeys ~a");
        assert_eq!(eve.error("GET k"), NO_KEY);
        // Its own rules, in the middle of a pipeline.
        let commands =
            ["ACL SETUSER eve ~k", "GET k", "ACL SETUSER eve -get", "GET k", "ACL SETUSER eve allkeys"];
        let commands: Vec<Vec<&str>> = commands.iter().map(|line| line.split(' ').collect()).collect();
        let replies = eve.pipeline(&commands);
        assert_eq!(replies[1], RespValue::Bulk(b"v".to_vec()));
        assert_eq!(replies[3], RespValue::Error(NO_COMMAND.into()));
        assert_eq!(eve.int("DEL k"), 1);
        // One who ends its own user hears the answer first.
        assert_eq!(eve.int("ACL DELUSER eve"), 1);
        assert_closed(&mut eve, "it has removed itself");
    });
}

#[test]
fn a_user_made_anew_is_another_one() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("ACL SETUSER eve on >eve ~* +@all");
        let mut eve = as_user(server, "eve");
        eve.ok("SET k v");
        let commands: Vec<Vec<&str>> = ["ACL DELUSER eve", "ACL SETUSER eve on >eve ~* +@all"]
            .iter()
            .map(|line| line.split(' ').collect())
            .collect();
        admin.pipeline(&commands);
        assert_closed(&mut eve, "its user is gone");
        as_user(server, "eve").ok("SET k v");
    });
}

#[test]
fn transactions_are_checked_twice() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("ACL SETUSER eve on >eve ~k* +@all");
        let mut eve = as_user(server, "eve");
        eve.ok("MULTI");
        assert_eq!(eve.error("GET a"), NO_KEY);
        assert!(eve.error("EXEC").starts_with("EXECABORT"), "one that was refused breaks it");
        eve.ok("MULTI");
        for line in ["SET k v", "GET k", "SET ka v"] {
            assert_eq!(eve.text(line), "QUEUED");
        }
        admin.ok("ACL SETUSER eve -get resetkeys ~k");
        let reply = eve.cmd("EXEC");
        let replies = reply.as_slice().expect("replies");
        let error =
            |at: usize| String::from_utf8_lossy(replies[at].as_error().expect("an error")).into_owned();
        let start = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                     command is no longer allowed for the following reason: ";
        assert_eq!(replies[0], RespValue::Simple(b"OK".to_vec()));
        assert_eq!(error(1), format!("{start}no permission to execute the command or subcommand"));
        assert_eq!(error(2), format!("{start}no permission to touch the specified keys"));
        assert_eq!(admin.int("EXISTS k ka"), 1);
        // One of the queue takes a permission away from those behind it.
        eve.ok("MULTI");
        for line in ["ACL SETUSER eve -set", "SET k other"] {
            assert_eq!(eve.text(line), "QUEUED");
        }
        assert!(eve.cmd("EXEC").as_slice().expect("replies")[1].as_error().is_some());
        assert_eq!(admin.text("GET k"), "v");
        admin.ok("ACL SETUSER eve -exec");
        eve.ok("MULTI");
        assert_eq!(
            eve.error("EXEC"),
            "EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'exec' command"
        );
        admin.ok("ACL SETUSER eve +exec");
        assert_eq!(eve.error("EXEC"), "ERR EXEC without MULTI");
        eve.ok("MULTI");
        assert_eq!(
            eve.error("EXEC x"),
            "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
        );
        assert_eq!(eve.error("EXEC"), "ERR EXEC without MULTI");
    });
}

#[test]
fn sort_needs_all_keys_to_look_others_up() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.int("RPUSH k 2 1");
        admin.ok("ACL SETUSER eve on >eve ~k* +@all");
        let mut eve = as_user(server, "eve");
        let by = "ERR BY option of SORT denied due to insufficient ACL permissions.";
        let get = "ERR GET option of SORT denied due to insufficient ACL permissions.";
        assert_eq!(lines(&mut eve, "SORT k"), ["1", "2"]);
        assert_eq!(lines(&mut eve, "SORT k BY nosort"), ["2", "1"]);
        assert_eq!(eve.error("SORT k BY w*"), by);
        assert_eq!(eve.error("SORT_RO k LIMIT 0 1 GET #"), get);
        assert_eq!(eve.error("SORT k STORE other"), NO_KEY);
        eve.ok("MULTI");
        assert_eq!(eve.text("SORT k GET w*"), "QUEUED");
        assert_eq!(eve.cmd("EXEC").as_slice().expect("replies")[0], RespValue::Error(get.into()));
        admin.ok("ACL SETUSER eve %R~*");
        assert_eq!(lines(&mut eve, "SORT k BY w* GET #"), ["1", "2"]);
    });
}

#[test]
fn no_word_hides_a_key_of_migrate_from_the_check() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("MSET secret 1 KEYS 1 b 1");
        admin.ok("ACL SETUSER eve on >eve +migrate ~b ~keys ~KEYS");
        let mut eve = as_user(server, "eve");
        for keys in
            ["KEYS secret KEYS b", "KEYS secret keys b", "AUTH keys KEYS secret KEYS b", "KEYS b KEYS secret"]
        {
            let words = format!("MIGRATE 127.0.0.1 1  0 5 {keys}");
            let args: Vec<&str> = words.split(' ').collect();
            let reply = eve.command(&args);
            assert_eq!(reply.as_error(), Some(NO_KEY.as_bytes()), "{words}: {reply:?}");
        }
        let reply =
            eve.command(&["MIGRATE", "127.0.0.1", "1", "", "0", "5", "AUTH", "keys", "KEYS", "none", "KEYS"]);
        assert_eq!(reply.as_error(), Some(NO_KEY.as_bytes()), "{reply:?}");
    });
}

#[test]
fn selectors_allow_each_by_itself() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("ACL SETUSER eve on >eve %R~a +get (%W~b +set) (+@all ~c)");
        let mut eve = as_user(server, "eve");
        assert!(eve.cmd("GET a").is_null());
        eve.ok("SET b v");
        assert_eq!(eve.error("SET a v"), NO_KEY);
        assert_eq!(eve.error("GET b"), NO_KEY);
        assert_eq!(eve.int("DEL c"), 0);
        assert_eq!(admin.text("ACL DRYRUN eve GET b"), "This user has no permissions to access the 'b' key");
        admin.ok("ACL DRYRUN eve GET a");
        admin.ok("ACL SETUSER eve clearselectors");
        assert_eq!(eve.error("SET b v"), "NOPERM this user has no permissions to run the 'set' command");
    });
}

#[test]
fn reset_and_hello_choose_who_one_is() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("ACL SETUSER eve on >eve +acl|whoami +client|info");
        let mut client = server.client();
        assert!(matches!(client.cmd("HELLO 3 AUTH eve eve"), RespValue::Map(_)));
        assert_eq!(client.text("ACL WHOAMI"), "eve");
        assert!(client.text("CLIENT INFO").contains(" user=eve "));
        assert!(admin.text("CLIENT LIST").contains(" user=eve "));
        assert_eq!(client.text("RESET"), "RESET");
        assert_eq!(client.text("ACL WHOAMI"), "default");
        let mut eve = as_user(server, "eve");
        assert_eq!(admin.error("CLIENT KILL USER nosuch"), "ERR No such user 'nosuch'");
        assert_eq!(admin.int("CLIENT KILL USER eve"), 1);
        assert_closed(&mut eve, "killed by its user");
        assert_eq!(client.text("ACL WHOAMI"), "default");
    });
}

#[test]
fn a_default_user_that_is_locked() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("ACL SETUSER root on >root ~* &* +@all");
        admin.ok("ACL SETUSER default >secret");
        let mut client = server.client();
        assert_eq!(client.error("GET a"), "NOAUTH Authentication required.");
        client.ok("AUTH secret");
        assert!(client.cmd("GET a").is_null());
        admin.ok("CONFIG SET requirepass other");
        assert!(server.client().error("AUTH secret").starts_with("WRONGPASS"));
        server.client().ok("AUTH other");
        admin.ok("ACL SETUSER default off");
        let mut late = server.client();
        assert!(late.error("AUTH other").starts_with("WRONGPASS"));
        assert_eq!(late.error("PING"), "NOAUTH Authentication required.");
        assert_eq!(client.text("PING"), "PONG", "who is in stays in");
        late.ok("AUTH root root");
        assert_eq!(late.text("RESET"), "RESET");
        assert_eq!(late.error("PING"), "NOAUTH Authentication required.");
        late.ok("AUTH root root");
        late.ok("ACL SETUSER default on nopass");
        assert_eq!(server.client().text("PING"), "PONG");
    });
}

fn entry(reply: &RespValue, at: usize) -> Vec<(String, RespValue)> {
    let entries = reply.as_slice().expect("entries");
    let pairs = entries.get(at).and_then(RespValue::as_slice).expect("an entry");
    let name = |value: &RespValue| String::from_utf8_lossy(value.as_bytes().expect("a name")).into_owned();
    pairs.chunks(2).map(|pair| (name(&pair[0]), pair[1].clone())).collect()
}

fn has(entry: &[(String, RespValue)], name: &str, value: &str) -> bool {
    let found = entry.iter().find(|(known, _)| known == name);
    let (_, found) = found.unwrap_or_else(|| panic!("no {name} in {entry:?}"));
    found.as_bytes() == Some(value.as_bytes()) || found.as_int().is_some_and(|it| it.to_string() == value)
}

#[test]
fn what_was_refused_is_logged() {
    on_each_server(|server| {
        let mut admin = server.client();
        admin.ok("ACL SETUSER eve on >eve ~k +@all -config|set");
        let mut eve = as_user(server, "eve");
        eve.error("GET a");
        eve.error("GET a");
        eve.error("CONFIG SET maxmemory 1");
        eve.ok("MULTI");
        eve.error("GET b");
        assert_eq!(eve.text("AUTH nosuch pw"), "QUEUED");
        let log = admin.cmd("ACL LOG");
        assert_eq!(log.as_slice().expect("entries").len(), 3, "{log:?}");
        let expected = [
            [("reason", "key"), ("context", "multi"), ("object", "b"), ("count", "1")],
            [("reason", "command"), ("context", "toplevel"), ("object", "config|set"), ("count", "1")],
            [("reason", "key"), ("context", "toplevel"), ("object", "a"), ("count", "2")],
        ];
        for (at, fields) in expected.iter().enumerate() {
            let entry = entry(&log, at);
            for (name, value) in fields {
                assert!(has(&entry, name, value), "{name} is not {value} in {entry:?}");
            }
            assert!(has(&entry, "username", "eve"));
            let info = entry.iter().find(|(name, _)| name == "client-info").expect("client-info");
            assert!(String::from_utf8_lossy(info.1.as_bytes().unwrap()).contains(" user=eve "));
        }
        let mut other = server.client();
        assert!(other.error("AUTH nosuch pw").starts_with("WRONGPASS"));
        let entry = entry(&admin.cmd("ACL LOG 1"), 0);
        for (name, value) in [("reason", "auth"), ("object", "AUTH"), ("username", "nosuch")] {
            assert!(has(&entry, name, value), "{name} is not {value} in {entry:?}");
        }
        admin.ok("CONFIG SET acllog-max-len 1");
        other.error("AUTH nosuch2 pw");
        assert_eq!(admin.cmd("ACL LOG").as_slice().expect("entries").len(), 1);
        admin.ok("ACL LOG RESET");
        assert_eq!(admin.cmd("ACL LOG"), RespValue::Array(Vec::new()));
        admin.ok("CONFIG SET acllog-max-len 128");
    });
}

#[test]
fn figures_of_what_was_refused() {
    let server = Server::ours(&[]);
    let mut admin = server.client();
    admin.ok("ACL SETUSER eve on >eve ~k +get");
    let mut eve = as_user(&server, "eve");
    eve.error("GET a");
    eve.error("GET b");
    eve.error("SET k v");
    server.client().error("AUTH eve wrong");
    for (field, count) in [("cmd", "1"), ("key", "2"), ("auth", "1"), ("channel", "0")] {
        assert_eq!(admin.info(&format!("acl_access_denied_{field}")).as_deref(), Some(count), "{field}");
    }
    let log = admin.cmd("ACL LOG");
    let newest = entry(&log, 0);
    assert!(has(&newest, "entry-id", "3"));
    assert!(newest.iter().any(|(name, _)| name == "timestamp-created"));
    assert!(newest.iter().any(|(name, _)| name == "timestamp-last-updated"));
}

#[test]
fn a_waiting_command_is_refused_when_its_user_lost_the_permission() {
    let server = Server::ours(&["--io-threads", "2"]);
    let mut admin = server.client();
    admin.ok("ACL SETUSER eve on >eve ~q +@all");
    let mut eve = as_user(&server, "eve");
    let wait = |eve: &mut Client, admin: &mut Client| {
        eve.send(&["BLPOP", "q", "0"]).expect("send");
        wait_for("it to wait", Duration::from_secs(10), || {
            admin.info("blocked_clients").as_deref() == Some("1")
        });
    };
    wait(&mut eve, &mut admin);
    admin.ok("ACL SETUSER eve resetkeys");
    assert_eq!(admin.int("RPUSH q x"), 1);
    assert_eq!(eve.read().expect("a reply"), RespValue::Error(NO_KEY.into()));
    assert_eq!(admin.int("LLEN q"), 1, "nothing was taken for it");
    admin.ok("ACL SETUSER eve ~q");
    assert_eq!(lines(&mut eve, "BLPOP q 0"), ["q", "x"]);
    wait(&mut eve, &mut admin);
    assert_eq!(admin.int("ACL DELUSER eve"), 1);
    assert_closed(&mut eve, "its user is gone");
    assert_eq!(admin.int("RPUSH q x"), 1);
    assert_eq!(admin.int("LLEN q"), 1);
}

#[test]
fn a_replica_logs_in_as_a_user_with_few_commands() {
    let primary = Server::ours(&[]);
    let mut admin = primary.client();
    admin.ok("ACL SETUSER mirror on >pw +psync +replconf +ping +info");
    admin.ok("SET k v");
    let address = format!("127.0.0.1 {}", primary.port());
    let replica = Server::ours(&["--masteruser", "mirror", "--masterauth", "pw", "--replicaof", &address]);
    let mut reader = replica.client();
    wait_for("the replica to have it", Duration::from_secs(30), || {
        reader.cmd("GET k").as_bytes() == Some(b"v")
    });
    assert!(reader.text("CLIENT LIST").lines().all(|line| line.contains("user=")));
    assert!(admin.text("CLIENT LIST TYPE replica").contains(" user=mirror "));
    // The stream is the primary's word: what a replica's own users may do does not concern it.
    reader.ok("ACL SETUSER default -set resetkeys");
    admin.ok("SET k w");
    let mut other = replica.client();
    wait_for("the write to arrive", Duration::from_secs(30), || {
        other.cmd("DEBUG SLEEP 0");
        primary.client().info("connected_slaves").as_deref() == Some("1")
            && other.cmd("ACL SETUSER default allkeys").as_error().is_none()
            && other.cmd("GET k").as_bytes() == Some(b"w")
    });
    assert_eq!(admin.int("ACL DELUSER mirror"), 1);
    wait_for("the replica to be cut off", Duration::from_secs(30), || {
        other.info("master_link_status").as_deref() == Some("down")
    });
}

const LOADED: &str = "user default on nopass ~* &* +@all\nuser eve on >eve ~k +get\n";

#[test]
fn a_file_of_users_is_loaded_and_saved() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("users.acl");
    std::fs::write(&file, LOADED).expect("write");
    let mut server = Server::ours_in(dir.path(), &["--aclfile", "users.acl"]);
    let mut admin = server.client();
    let (mut eve, mut bob) = (as_user(&server, "eve"), None);
    for name in ["bob", "ann"] {
        admin.ok(&format!("ACL SETUSER {name} on >{name} +ping"));
        bob = bob.or_else(|| Some(as_user(&server, name)));
    }
    let mut bob = bob.expect("connected above");
    admin.ok("ACL SAVE");
    let saved = std::fs::read_to_string(&file).expect("read");
    assert_eq!(saved.lines().collect::<Vec<_>>(), lines(&mut admin, "ACL LIST"));
    // Loaded anew: who is in the file goes on, with its rules as they are there now.
    std::fs::write(&file, LOADED.replace("+get", "+set")).expect("write");
    admin.ok("ACL LOAD");
    assert_eq!(lines(&mut admin, "ACL USERS"), ["default", "eve"]);
    eve.ok("SET k v");
    assert_eq!(eve.error("GET k"), NO_COMMAND);
    assert_closed(&mut bob, "its user is not in the file");
    // A wrong file changes nothing, and all its faults are told.
    std::fs::write(&file, "user default off\nuser eve +nosuch\nusr x\n").expect("write");
    let path = file.display();
    assert_eq!(
        admin.error("ACL LOAD"),
        format!(
            "ERR {path}:2: Error in applying operation '+nosuch': Unknown command or category name in ACL. {path}:3 should \
             start with user keyword followed by the username. WARNING: ACL errors detected, no change to the previously \
             active ACL rules was performed"
        )
    );
    eve.ok("SET k v");
    admin.ok("ACL SAVE");
    server.kill();
    server.restart();
    assert_eq!(lines(&mut server.client(), "ACL USERS"), ["default", "eve"]);
    as_user(&server, "eve").ok("SET k v");
}

#[test]
fn no_file_of_users() {
    on_each_server(|server| {
        let mut client = server.client();
        for command in ["ACL SAVE", "ACL LOAD"] {
            assert!(
                client
                    .error(command)
                    .starts_with("ERR This Redis instance is not configured to use an ACL file.")
            );
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("u"), LOADED).expect("write");
    let server = Server::ours_in(dir.path(), &["--aclfile", "u"]);
    std::fs::remove_file(dir.path().join("u")).expect("remove");
    let error = server.client().error("ACL LOAD");
    assert!(error.contains("opening file") && error.contains("No such file or directory"), "{error}");
    std::fs::create_dir(dir.path().join("u")).expect("a folder in its place");
    assert!(server.client().error("ACL SAVE").starts_with("ERR There was an error trying to save the ACLs."));
}

#[test]
fn a_start_with_wrong_users_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let start = |args: &[&str]| {
        let mut command = std::process::Command::new(crate::support::server::our_program());
        command.args(["--port", &free_port().to_string(), "--dir", dir.path().to_str().expect("a name")]);
        let output = command.args(args).output().expect("run");
        assert!(!output.status.success());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let error = start(&["--aclfile", "nosuch"]);
    assert!(error.contains("nosuch") && error.contains("No such file or directory"), "{error}");
    std::fs::write(dir.path().join("u"), "user eve +nosuch\n").expect("write");
    let error = start(&["--aclfile", "u"]);
    assert!(error.contains("u:1: Error in applying operation '+nosuch'"), "{error}");
    let conf = dir.path().join("conf");
    std::fs::write(&conf, "user eve on\n").expect("write");
    let conf = conf.to_str().expect("a name").to_owned();
    let mut command = std::process::Command::new(crate::support::server::our_program());
    let output = command.args([&conf, "--aclfile", "u"]).output().expect("run");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("only one of the two"));
}

#[test]
fn users_in_the_configuration_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let conf = dir.path().join("conf");
    std::fs::write(&conf, "requirepass root\nuser eve on >eve ~k +get (%R~x +@all -@dangerous)\n")
        .expect("write");
    let conf_text = || std::fs::read_to_string(dir.path().join("conf")).expect("read");
    let port = free_port();
    let program = crate::support::server::our_program();
    let spawn = || {
        let mut command = std::process::Command::new(&program);
        command.arg(&conf).args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.arg("--dir").arg(dir.path()).stdout(std::process::Stdio::null());
        Spawned(command.spawn().expect("start"))
    };
    let connect = || {
        let mut client = None;
        wait_for("the server to be up", Duration::from_secs(30), || {
            client = Client::connect(port).ok().filter(|_| true);
            client.as_mut().is_some_and(|client| {
                client.try_command(&["AUTH", "root"]).is_ok_and(|reply| reply.as_error().is_none())
                    && client.try_command(&["PING"]).is_ok_and(|reply| reply.as_error().is_none())
            })
        });
        client.expect("connected")
    };
    let running = spawn();
    let mut admin = connect();
    let before = lines(&mut admin, "ACL LIST");
    assert_eq!(before.len(), 2);
    admin.ok("CONFIG REWRITE");
    assert!(conf_text().contains("user eve on"), "{}", conf_text());
    assert!(!conf_text().contains("user default"), "requirepass says it all: {}", conf_text());
    admin.ok("ACL SETUSER bob nopass +@all &news.* ~a\"b (~c &d)");
    admin.ok("ACL SETUSER default -@dangerous +acl +config");
    admin.int("ACL DELUSER eve");
    // The line of the default user begins anew, with all that a reset says.
    let wanted: Vec<String> = lines(&mut admin, "ACL LIST")
        .into_iter()
        .map(|line| line.replace("user default on", "user default on sanitize-payload"))
        .collect();
    admin.ok("CONFIG REWRITE");
    assert!(!conf_text().contains("eve"), "{}", conf_text());
    drop(running);
    let _running = spawn();
    assert_eq!(lines(&mut connect(), "ACL LIST"), wanted);
    assert_eq!(connect().cmd("CONFIG GET user"), RespValue::Array(Vec::new()));
    assert!(connect().error("CONFIG SET user x").starts_with("ERR Unknown option"));
}

/// A process that ends with its test.
struct Spawned(std::process::Child);

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_kill_while_users_are_saved_leaves_a_whole_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("users.acl");
    std::fs::write(&file, LOADED).expect("write");
    let mut server = Server::ours_in(dir.path(), &["--aclfile", "users.acl"]);
    for round in 0..5 {
        let mut admin = server.client();
        for at in 0..300 {
            admin.ok(&format!("ACL SETUSER u{round}-{at} on >{at} ~k{at} +@all (%R~{at} +get)"));
        }
        let saving = std::thread::spawn(move || {
            let mut saved = 0;
            while admin.try_command(&["ACL", "SAVE"]).is_ok_and(|reply| reply.as_error().is_none()) {
                saved += 1;
            }
            saved
        });
        std::thread::sleep(Duration::from_millis(20 + 17 * round));
        server.kill();
        let saved = saving.join().expect("no panic");
        let text = std::fs::read_to_string(&file).expect("there always is a file");
        assert!(text.ends_with('\n'));
        let count = text.lines().count() as u64;
        assert!(count == 2 + 300 * round || count == 2 + 300 * (round + 1), "{count} users");
        assert!(saved == 0 || count == 2 + 300 * (round + 1), "what was answered is there");
        if count == 2 + 300 * round {
            std::fs::write(&file, grown(&text, round)).expect("write");
        }
        server.restart();
        assert_eq!(
            server.client().cmd("ACL USERS").as_slice().expect("names").len() as u64,
            2 + 300 * (round + 1)
        );
    }
}

/// The file as it would have been, had the kill come later.
fn grown(text: &str, round: u64) -> String {
    let more = (0..300).map(|at| format!("user u{round}-{at} on ~k{at} +@all\n"));
    text.to_owned() + &more.collect::<String>()
}
