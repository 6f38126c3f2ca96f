use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::*;
use crate::sys::fault::FaultDisk;

/// Files in memory and a given standard input.
struct Source {
    disk: FaultDisk,
    stdin: &'static str,
}

impl ConfigSource for Source {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        DiskSource(&self.disk).read(path)
    }
    fn list(&self, folder: &Path) -> std::io::Result<Vec<OsString>> {
        DiskSource(&self.disk).list(folder)
    }
    fn read_stdin(&self) -> std::io::Result<Vec<u8>> {
        Ok(self.stdin.into())
    }
}

fn source(files: &[(&str, &str)]) -> Source {
    use crate::sys::disk::Disk;
    let disk = FaultDisk::new(1);
    for (path, text) in files {
        let path = Path::new(path);
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        disk.put(path, text.as_bytes());
    }
    Source { disk, stdin: "" }
}

fn parsed(text: &str) -> Result<Config, FileError> {
    let mut config = Config::default();
    parse_file(&mut config, text.as_bytes(), Path::new("/etc/o.conf"), Path::new("/w"), &source(&[]))?;
    Ok(config)
}

fn run_with(source: &Source, args: &[&str]) -> Result<CommandLine, FileError> {
    match CommandLine::parse(args.iter().map(OsString::from), Path::new("/w"), source)? {
        Invocation::Run(run) => Ok(*run),
        other => panic!("{other:?}"),
    }
}

fn run(args: &[&str]) -> Result<CommandLine, FileError> {
    run_with(&source(&[]), args)
}

fn show(config: &Config, name: &str) -> String {
    show_as(config, name, Role::Primary)
}

fn show_as(config: &Config, name: &str, role: Role) -> String {
    let found = config.get(&[name], role);
    assert_eq!(found.len(), 1, "{name}");
    String::from_utf8(found[0].1.clone()).unwrap()
}

/// Every setting as text, for comparing.
fn everything(config: &Config, role: Role) -> Vec<String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    config.get(&["*"], role).into_iter().map(|(name, value)| text(name) + "=" + &text(value)).collect()
}

fn reply(config: &mut Config, pairs: &[(&str, &str)]) -> String {
    match config.set_pairs(pairs) {
        Ok(_) => "OK".to_owned(),
        Err(error) => error.to_reply(),
    }
}

fn failed(name: &str, reason: &str) -> String {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
}

#[test]
fn table_is_sound() {
    let mut seen = BTreeSet::new();
    let defaults = Config::default();
    for d in directives() {
        for name in table::names(d) {
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(name, name.to_ascii_lowercase());
            assert_eq!(find(name.to_uppercase().as_bytes()).unwrap().name, d.name);
        }
        let fixed = matches!(d.kind, Kind::Fixed { .. });
        assert_eq!(d.summary.is_empty(), fixed, "{}", d.name);
        // Each default is a value its own directive takes, and taking it changes nothing.
        let mut config = Config::default();
        for args in d.lines(&defaults) {
            d.take(&mut config, &args, table::Origin::File).unwrap_or_else(|e| panic!("{}: {e}", d.name));
        }
        for role in [Role::Primary, Role::Replica] {
            assert_eq!(d.show(&config, role), d.show(&defaults, role), "{}", d.name);
        }
    }
    assert!(seen.len() > 180);
}

#[test]
fn every_field_is_reached() {
    // Set each directive to something else and see it shown: a row wired to the wrong field shows up twice.
    for d in directives() {
        let value: String = match &d.kind {
            Kind::YesNo { get, .. } => values::yes_no_word(!get(&Config::default())).into(),
            Kind::Integer { get, max, .. } if get(&Config::default()) == *max => continue,
            Kind::Integer { get, .. } => (get(&Config::default()) + 1).to_string(),
            Kind::Memory { get, .. } => (get(&Config::default()) + 1).to_string(),
            Kind::Octal { .. } => "640".into(),
            Kind::Word { words, .. } => {
                let default = show(&Config::default(), d.name);
                match words.iter().find(|w| **w != default) {
                    Some(word) => (*word).into(),
                    None => continue,
                }
            }
            Kind::Text { .. } if d.name == "maxmemory-clients" => "5%".into(),
            Kind::Text { .. } if d.name == "notify-keyspace-events" => "AE".into(),
            Kind::Text { .. } => "other".into(),
            Kind::Special { .. } | Kind::Fixed { .. } => continue,
        };
        let mut config = Config::default();
        d.take(&mut config, &[value.clone().into()], table::Origin::File).unwrap();
        for other in directives() {
            let differs = other.show(&config, Role::Primary) != other.show(&Config::default(), Role::Primary);
            let by_role = d.name == "role-persistence" && other.name == "save";
            assert_eq!(differs, other.name == d.name || by_role, "{} moved {}", d.name, other.name);
        }
        assert_eq!(show(&config, d.name), value);
    }
}

#[test]
fn quoting() {
    let split = |text: &str| {
        words::split_args(text.as_bytes())
            .map(|args| args.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect::<Vec<_>>())
    };
    assert_eq!(split("  a\tb  "), Some(vec!["a".into(), "b".into()]));
    assert_eq!(split(r#"x "a\n\x41\"\q" 'b\'\n'"#), Some(vec!["x".into(), "a\nA\"q".into(), "b'\\n".into()]));
    assert_eq!(split(r#""" ''"#), Some(vec![String::new(), String::new()]));
    assert_eq!(split("a\0b"), Some(vec!["a".into()]));
    assert_eq!(split(r#"ab"c d""#), Some(vec!["abc d".into()]));
    assert_eq!(split(r#""\x4""#), Some(vec!["x4".into()]));
    for wrong in [r#""a"#, r#""a"b"#, "'a", "'a'b", r#""a\"#] {
        assert_eq!(split(wrong), None, "{wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn what_is_quoted_splits_back(args in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..12), 0..5)) {
        let mut line = Vec::new();
        for arg in &args {
            words::push_quoted(&mut line, arg);
            line.push(b' ');
        }
        proptest::prop_assert!(!line.contains(&b'\n'));
        proptest::prop_assert_eq!(words::split_args(&line), Some(args));
    }
}

#[test]
fn a_file() {
    let config = parsed(
        "# comment\n\n  PORT 7000\r\nbind 127.0.0.1 -::1\nsave 10 1\nsave 20 2 30 3\nrequirepass \"a b\\n\"\n\
         maxmemory 1gb\nslave-read-only no\nhash-max-ziplist-entries 7\nclient-output-buffer-limit slave 1mb 2kb 3\n\
         recover-from-peers a:1 b:2\nrecover-from-peers [::1]:3\nreplicaof 10.0.0.1 6380\nappendonly yes",
    )
    .unwrap();
    assert_eq!(config.port, 7000);
    assert_eq!(config.bind, ["127.0.0.1", "-::1"]);
    assert_eq!(show(&config, "save"), "10 1 20 2 30 3");
    assert_eq!(config.requirepass.0, b"a b\n");
    assert_eq!(format!("{:?}", config.requirepass), "Secret(set)");
    assert_eq!(config.maxmemory_bytes, 1 << 30);
    assert!(!config.replica_read_only);
    assert_eq!(config.hash_max_listpack_entries, 7);
    assert_eq!(
        show(&config, "client-output-buffer-limit"),
        "normal 0 0 0 slave 1048576 2048 3 pubsub 33554432 8388608 60"
    );
    assert_eq!(show(&config, "recover-from-peers"), "a:1 b:2 [::1]:3");
    assert_eq!(show(&config, "slaveof"), "10.0.0.1 6380");
    assert_eq!(config.appendonly, Some(true));
}

#[test]
fn errors_name_the_line() {
    let cases = [
        ("foo bar", "Bad directive or wrong number of arguments"),
        ("port abc", "argument couldn't be parsed into an integer"),
        ("port", "wrong number of arguments"),
        ("port 1 2", "wrong number of arguments"),
        ("save 1", "Invalid save parameters"),
        ("save 1 a", "Invalid save parameters"),
        ("save 0 1", "Invalid save parameters"),
        ("port \"1", "Unbalanced quotes in configuration line"),
        ("timeout -1", "argument must be between 0 and 2147483647 inclusive"),
        ("replicaof a", "wrong number of arguments"),
        ("replicaof a 99999", "Invalid master port"),
        ("appendfilename a/b", "appendfilename can't be a path, just a filename"),
        ("appendfilename \"\"", "appendfilename can't be empty"),
        (
            "loglevel foo",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        ("maxmemory 1zb", "argument must be a memory value"),
        ("unixsocketperm 999", "argument couldn't be parsed as an octal number"),
        ("databases 0", "argument must be between 1 and 2147483647 inclusive"),
        ("client-output-buffer-limit normal 1", "Wrong number of arguments in buffer limit configuration."),
        ("tls-port 6390", "directive 'tls-port' is known but not supported yet"),
        ("user", "wrong number of arguments"),
        ("user a on foo", "Error in user declaration 'a': Syntax error"),
        ("user a +nosuch", "Error in user declaration 'a': Unknown command or category name in ACL"),
        ("user \"a b\" on", "Spaces not allowed in ACL usernames"),
        (
            "user a (~x +get",
            "Error in user declaration 'a': Unmatched parenthesis in selector definition starting at '(~x'",
        ),
        ("aof-use-rdb-preamble no", "directive 'aof-use-rdb-preamble' is known but not supported yet"),
    ];
    for (line, reason) in cases {
        let error = parsed(&format!("# first\n\n {line} \nport 1\n")).unwrap_err().to_string();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            error,
            format!(
                "*** FATAL CONFIG FILE ERROR (Outrigger {version}) ***\n\
                 Reading the configuration file /etc/o.conf, at line 3\n>>> '{line}'\n{reason}"
            )
        );
    }
    let secret = parsed("requirepass hush hush").unwrap_err().to_string();
    assert!(!secret.contains("hush") && secret.contains("requirepass"), "{secret}");
}

#[test]
fn known_directives_are_taken_at_their_stock_values() {
    let config = parsed(
        "daemonize no\nsupervised no\ntls-port 0\nlua-time-limit 5000\noom-score-adj-values 0 200 800\n\
         rdb-del-sync-files no\nset-proc-title yes\ncrash-log-enabled no\n\
         latency-tracking-info-percentiles 50 99 99.9\nproc-title-template \"{title} {listen-addr} {server-mode}\"\n",
    )
    .unwrap();
    assert_eq!(show(&config, "busy-reply-threshold"), "5000");
}

#[test]
fn includes() {
    let files = [
        ("/w/main.conf", "port 1\ninclude sub/*.conf\ninclude /none/*.conf\ntimeout 9\n"),
        ("/w/sub/b.conf", "timeout 2\nport 2\n"),
        ("/w/sub/a.conf", "timeout 1\nport 3\nhz 50\n"),
        ("/w/sub/.c.conf", "nonsense\n"),
        ("/w/sub/d.txt", "nonsense\n"),
        ("/w/loop.conf", "include loop.conf\n"),
        ("/w/lost.conf", "include gone.conf\n"),
        ("/w/bad.conf", "port 1\ninclude worse.conf\n"),
        ("/w/worse.conf", "\nnonsense\n"),
    ];
    let source = source(&files);
    let run = run_with(&source, &["main.conf"]).unwrap();
    assert_eq!((run.config.port, run.config.timeout_seconds, run.config.hz), (2, 9, 50));
    assert_eq!(run.file.as_deref(), Some(Path::new("/w/main.conf")));
    let error = |file| run_with(&source, &[file]).unwrap_err().to_string();
    assert!(error("loop.conf").ends_with("include is nested too deeply"));
    assert!(error("lost.conf").starts_with("Fatal error, can't open config file '/w/gone.conf': "));
    assert!(error("/w/bad.conf").contains("file /w/worse.conf, at line 2"));
    assert!(error("missing.conf").starts_with("Fatal error, can't open config file '/w/missing.conf': "));
}

#[test]
fn command_line() {
    let run_ =
        run(&["--port", "6380", "--save", "", "--bind", "127.0.0.1", "::1", "--appendonly", "yes"]).unwrap();
    assert_eq!(run_.config.port, 6380);
    assert_eq!(run_.config.save, Some(vec![]));
    assert_eq!(run_.config.bind, ["127.0.0.1", "::1"]);
    assert_eq!(run_.config.dir, PathBuf::from("/w"));
    assert_eq!(run_.file, None);

    assert_eq!(show(&run(&["--save", "--port", "1"]).unwrap().config, "save"), "");
    assert_eq!(show(&run(&["--port", "1", "--save"]).unwrap().config, "save"), "");
    assert_eq!(show(&run(&["--save", "30 3 40 4"]).unwrap().config, "save"), "30 3 40 4");
    assert_eq!(show(&run(&["--port 6381", "--hz", "20"]).unwrap().config, "port"), "6381");
    assert_eq!(
        show(&run(&["--shutdown-on-sigint", "nosave now"]).unwrap().config, "shutdown-on-sigint"),
        "nosave now"
    );
    assert_eq!(show(&run(&["--dir", "./a"]).unwrap().config, "dir"), "/w/a");
    // A value that begins with dashes, and a list whose next argument does.
    assert_eq!(show(&run(&["--requirepass", "--x", "--hz", "9"]).unwrap().config, "requirepass"), "--x");

    let error = |args: &[&str]| run(args).unwrap_err().to_string();
    assert!(error(&["--foo", "--bar"]).contains("command line\n>>> 'foo --bar'\nBad directive"));
    assert!(error(&["--port"]).ends_with(">>> 'port'\nwrong number of arguments"));
    assert!(error(&["--port", "7", "x"]).ends_with(">>> 'port 7 x'\nwrong number of arguments"));
    assert!(error(&["--", "7"]).contains("Bad directive"));
    assert!(error(&["-x"]).contains("'-x'\nBad directive"));
    assert!(!error(&["--requirepass", "hush", "hush"]).contains("hush"));
}

#[test]
fn command_line_sources_in_order() {
    let mut source = source(&[("/w/a.conf", "port 1\nhz 20\ntimeout 1\nsave 10 1\n")]);
    source.stdin = "hz 30\ntimeout 2\n";
    let args = ["a.conf", "--timeout", "3", "--save", "20", "2", "-"];
    let config = run_with(&source, &args).unwrap().config;
    assert_eq!((config.port, config.hz, config.timeout_seconds), (1, 30, 3));
    assert_eq!(show(&config, "save"), "10 1 20 2");
    assert_eq!(run_with(&source, &["-"]).unwrap().config.hz, 30);
    source.stdin = "port xx\n";
    assert!(run_with(&source, &["-"]).unwrap_err().to_string().contains("file -, at line 1\n>>> 'port xx'"));

    let parse = |arg: &str| CommandLine::parse([OsString::from(arg)], Path::new("/w"), &source).unwrap();
    assert!(matches!(parse("-v"), Invocation::Version) && matches!(parse("--version"), Invocation::Version));
    assert!(matches!(parse("-h"), Invocation::Help) && matches!(parse("--help"), Invocation::Help));
}

#[test]
fn set_refusals_are_redis_texts() {
    let mut c = Config::default();
    let int = "argument couldn't be parsed into an integer";
    let cases = [
        ("port", "abc", int),
        ("timeout", "", int),
        ("timeout", "99999999999999999999", int),
        ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        ("set-max-intset-entries", "-1", "argument must be between 0 and 9223372036854775807 inclusive"),
        ("proto-max-bulk-len", "100", "argument must be between 1048576 and 4294967295 inclusive"),
        ("maxmemory", "-5", "argument must be a memory value"),
        ("databases", "4", "can't set immutable config"),
        ("slaveof", "a 1", "can't set immutable config"),
        ("dbfilename", "x", "can't set protected config"),
        ("appendonly", "maybe", "argument must be 'yes' or 'no'"),
        ("appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"),
        ("save", "10  1", "Invalid save parameters"),
        (
            "client-output-buffer-limit",
            "foo 1 2 3",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "pubsub x 2mb 3",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("bind", "a b c d e f g h i j k l m n o p q", "Too many bind addresses specified."),
        ("io-threads-do-reads", "maybe", "can't set immutable config"),
        ("daemonize", "yes", "can't set immutable config"),
        ("dir", "/", "can't set protected config"),
        ("activedefrag", "maybe", "directive 'activedefrag' is known but not supported yet"),
    ];
    for (name, value, reason) in cases {
        assert_eq!(reply(&mut c, &[(name, value)]), failed(name, reason));
    }
    assert_eq!(
        reply(&mut c, &[("no\nsuch", "1")]),
        "ERR Unknown option or number of arguments for CONFIG SET - 'no such'"
    );
    assert_eq!(reply(&mut c, &[("port", "1"), ("PORT", "2")]), failed("PORT", "duplicate parameter"));
    assert_eq!(
        reply(&mut c, &[("port", "1"), ("databases", "2"), ("foo", "3")]),
        failed("databases", "can't set immutable config")
    );
    assert_eq!(
        reply(&mut c, &[("include", "x")]),
        "ERR Unknown option or number of arguments for CONFIG SET - 'include'"
    );
    let apply = ConfigError::apply_failed("bind", "Failed to bind to specified addresses.");
    assert_eq!(apply.to_reply(), failed("bind", "Failed to bind to specified addresses."));
}

#[test]
fn set_is_all_or_nothing() {
    let mut config = Config::default();
    let before = format!("{config:?}");
    assert_eq!(
        reply(&mut config, &[("timeout", "7"), ("hz", "x")]),
        failed("hz", "argument couldn't be parsed into an integer")
    );
    assert_eq!(format!("{config:?}"), before);
    let changed = config
        .set_pairs(&[("timeout", "7"), ("MAXMEMORY", "10gb"), ("hz", "1000000"), ("loglevel", "NOTICE")])
        .unwrap();
    assert_eq!(changed.iter().collect::<Vec<_>>(), ["hz", "maxmemory", "timeout"]);
    assert!(changed.contains("hz") && !changed.contains("loglevel"));
    assert_eq!((config.timeout_seconds, config.maxmemory_bytes, config.hz), (7, 10 << 30, 500));
    // Two names of one directive: the later one wins.
    assert_eq!(reply(&mut config, &[("replica-read-only", "yes"), ("slave-read-only", "no")]), "OK");
    assert!(!config.replica_read_only);
    assert_eq!(reply(&mut config, &[("repl-backlog-size", "1")]), "OK");
    assert_eq!(show(&config, "repl-backlog-size"), "16384");
    assert_eq!(reply(&mut config, &[("save", "30 3 40 4")]), "OK");
    assert_eq!(reply(&mut config, &[("save", "50 5")]), "OK");
    assert_eq!(show(&config, "save"), "50 5");
    assert_eq!(reply(&mut config, &[("recover-from-peers", "a:1 b:2")]), "OK");
    assert_eq!(reply(&mut config, &[("recover-from-peers", "c:3")]), "OK");
    assert_eq!(show(&config, "recover-from-peers"), "c:3");
    assert_eq!(reply(&mut config, &[("recover-from-peers", "")]), "OK");
    assert_eq!(show(&config, "recover-from-peers"), "");
    assert_eq!(reply(&mut config, &[("bind", "")]), "OK");
    assert_eq!(show(&config, "bind"), "");
}

#[test]
fn protected_directives() {
    let pair = [("dbfilename", "x.rdb")];
    for (word, local, remote) in [("no", false, false), ("yes", true, true), ("local", true, false)] {
        let config = parsed(&format!("enable-protected-configs {word}")).unwrap();
        assert_eq!(config.clone().set_pairs_as(Caller::Local, &pair).is_ok(), local, "{word}");
        assert_eq!(config.clone().set_pairs_as(Caller::Remote, &pair).is_ok(), remote, "{word}");
    }
}

#[test]
fn get_patterns() {
    let config = Config::default();
    let names = |patterns: &[&str]| -> Vec<String> {
        let found = config.get(patterns, Role::Primary);
        found.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
    };
    assert_eq!(names(&["PORT"]), ["PORT"]);
    assert_eq!(names(&["port", "Port", "por?", "nothing"]), ["port"]);
    assert_eq!(names(&["\\port", "p\\ort"]), Vec::<String>::new(), "a backslash alone makes no pattern");
    assert_eq!(names(&["\\por?"]), ["port"]);
    assert_eq!(names(&["*ZIPLIST-entries"]), ["hash-max-ziplist-entries", "zset-max-ziplist-entries"]);
    assert_eq!(names(&["slave-read-only"]), ["slave-read-only"]);
    let shown = directives().filter(|directive| !directive.hidden && !directive.only_in_files);
    assert_eq!(names(&["*"]).len(), shown.map(|d| 1 + d.aliases.len()).sum::<usize>());
}

#[test]
fn defaults_are_redis_figures() {
    let config = Config::default();
    for (name, value) in [
        ("port", "6379"),
        ("bind", "* -::*"),
        ("maxclients", "10000"),
        ("tcp-backlog", "511"),
        ("auto-aof-rewrite-min-size", "67108864"),
        ("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
        ("client-query-buffer-limit", "1073741824"),
        ("proto-max-bulk-len", "536870912"),
        ("repl-backlog-size", "1048576"),
        ("shutdown-on-sigterm", "default"),
        ("hash-max-listpack-entries", "512"),
        ("set-max-listpack-entries", "128"),
        ("list-max-listpack-size", "-2"),
        ("hll-sparse-max-bytes", "3000"),
        ("unixsocketperm", "0"),
        ("replicaof", ""),
        ("maxmemory-policy", "noeviction"),
        ("latency-tracking", "yes"),
        ("latency-tracking-info-percentiles", "50 99 99.9"),
    ] {
        assert_eq!(show(&config, name), value, "{name}");
    }
    assert!((2..=4).contains(&config.io_threads));
}

#[test]
fn role_decides_until_told_otherwise() {
    const STOCK: &str = "3600 1 300 100 60 10000";
    let state = |config: &Config, role| (show_as(config, "appendonly", role), show_as(config, "save", role));
    let pair = |aof: &str, save: &str| (aof.to_owned(), save.to_owned());
    let config = Config::default();
    assert_eq!(state(&config, Role::Primary), pair("no", ""));
    assert_eq!(state(&config, Role::Replica), pair("yes", STOCK));
    for (text, aof, save) in [
        ("role-persistence off", "no", STOCK),
        ("appendonly no", "no", STOCK),
        ("appendonly yes", "yes", STOCK),
        ("save \"\"", "no", ""),
        ("save 5 6", "no", "5 6"),
    ] {
        let config = parsed(text).unwrap();
        for role in [Role::Primary, Role::Replica] {
            assert_eq!(state(&config, role), pair(aof, save), "{text} {role:?}");
        }
    }
    // Said at run time, it is by hand too, even if the value in force stays the same for this role.
    let mut config = Config::default();
    let changed = config.set_pairs(&[("appendonly", "no")]).unwrap();
    assert!(changed.contains("appendonly"));
    assert_eq!(config.appendonly, Some(false));
    assert!(!config.role_decides());
}

#[test]
fn some_names_may_stand_alone() {
    assert_eq!(show(&parsed("save 10 1\nsave\n").unwrap(), "save"), "");
    assert_eq!(show(&parsed("bind\n").unwrap(), "bind"), "");
}

#[test]
fn hidden_directives_are_found_by_name_only() {
    let mut config = Config::default();
    config.set_pairs(&[("rdb-key-save-delay", "500")]).unwrap();
    assert_eq!(show(&config, "rdb-key-save-delay"), "500");
    assert!(!everything(&config, Role::Primary).iter().any(|line| line.starts_with("rdb-key")));
    assert!(!docs::markdown().contains("rdb-key"));
    assert_eq!(rewrite(b"", &config), b"");
}

#[test]
fn every_directive_can_be_written() {
    let config = parsed("hz 20\n").unwrap();
    let all = String::from_utf8(rewrite_all(b"hz 20\n", &config)).unwrap();
    for line in ["hz 20", "timeout 0", "maxmemory-policy noeviction", "set-max-intset-entries 512"] {
        assert!(all.lines().any(|other| other == line), "{line} is missing");
    }
    assert_eq!(everything(&parsed(&all).unwrap(), Role::Replica), everything(&config, Role::Replica));
}

#[test]
fn rewrite_keeps_what_it_can() {
    let old = "# first comment\nport 17992\nsave 10 1\nsave 20 2\n# about hashes\nhash-max-ziplist-entries 100\n\
               hash-max-listpack-entries 101\ntimeout 5\n  TIMEOUT 6\nclient-output-buffer-limit normal 1mb 1mb 4\n\n\
               requirepass \"a b\\n\"\nappendonly no\nmaxmemory   1024mb\nstart-new-history yes\n";
    let mut config = parsed(old).unwrap();
    let same = String::from_utf8(rewrite(old.as_bytes(), &config)).unwrap();
    assert_eq!(same, old.replace("start-new-history yes\n", ""));

    config
        .set_pairs(&[
            ("save", "30 3 40 4 50 5"),
            ("timeout", "0"),
            ("hash-max-listpack-entries", "7"),
            ("client-output-buffer-limit", "pubsub 1mb 1mb 4"),
            ("loglevel", "verbose"),
            ("hz", "10"),
            ("masterauth", "x y"),
        ])
        .unwrap();
    let new = String::from_utf8(rewrite(old.as_bytes(), &config)).unwrap();
    assert_eq!(
        new,
        "# first comment\nport 17992\nsave 30 3\nsave 40 4\n# about hashes\nhash-max-listpack-entries 7\ntimeout 0\n\
         client-output-buffer-limit normal 1mb 1mb 4\n\nrequirepass \"a b\\n\"\nappendonly no\nmaxmemory   1024mb\n\n\
         # Added by CONFIG REWRITE: settings that had no line above.\n\
         client-output-buffer-limit replica 256mb 64mb 60\nclient-output-buffer-limit pubsub 1mb 1mb 4\n\
         loglevel verbose\nhz 10\nsave 50 5\nmasterauth \"x y\"\n"
    );
    // What was written brings the same settings about, and is stable; more goes under the same marker.
    let again = parsed(&new).unwrap();
    config.start_new_history = false;
    assert_eq!(everything(&again, Role::Primary), everything(&config, Role::Primary));
    assert_eq!(String::from_utf8(rewrite(new.as_bytes(), &again)).unwrap(), new);
    let mut more = again;
    more.set_pairs(&[("save", ""), ("tcp-keepalive", "77"), ("bind", "")]).unwrap();
    let new = String::from_utf8(rewrite(new.as_bytes(), &more)).unwrap();
    assert_eq!(new.matches("# Added by").count(), 1);
    assert!(
        new.contains("\nsave \"\"\n# about")
            && new.contains("tcp-keepalive 77\n")
            && new.contains("bind \"\"\n")
    );
    assert_eq!(everything(&parsed(&new).unwrap(), Role::Replica), everything(&more, Role::Replica));
}

#[test]
fn rewrite_from_nothing() {
    assert_eq!(rewrite(b"", &Config::default()), b"");
    let config =
        run(&["--port", "7", "--replicaof", "h", "9", "--recover-from-peers", "a:1", "b:2"]).unwrap().config;
    assert_eq!(
        String::from_utf8(rewrite(b"# x\n", &config)).unwrap(),
        "# x\n\n# Added by CONFIG REWRITE: settings that had no line above.\nport 7\ndir /w\n\
         recover-from-peers a:1 b:2\nreplicaof h 9\n"
    );
    // A primary again: the line goes.
    let mut config = parsed("replicaof h 9\n").unwrap();
    config.follow(None);
    assert_eq!(rewrite(b"replicaof h 9\n", &config), b"");
}

#[test]
fn rewrite_below_includes() {
    let text = "timeout 5\nhz 20\nsave 1 1\ninclude more.conf\ntcp-keepalive 9\n";
    let files = [
        ("/w/o.conf", text),
        ("/w/more.conf", "timeout 6\nsave 2 2\nrecover-from-peers a:1\nmaxclients 7\nreplicaof h 9\n"),
    ];
    let untouched = run_with(&source(&files), &["o.conf"]).unwrap().config;
    assert_eq!(rewrite(text.as_bytes(), &untouched), text.as_bytes());
    let mut config = run_with(&source(&files), &["o.conf", "--loglevel", "debug"]).unwrap().config;
    let pairs = [
        ("timeout", "0"),
        ("save", "3 3"),
        ("recover-from-peers", ""),
        ("tcp-keepalive", "8"),
        ("maxclients", "10000"),
    ];
    config.set_pairs(&pairs).unwrap();
    config.follow(None);
    let new = String::from_utf8(rewrite(text.as_bytes(), &config)).unwrap();
    assert!(new.starts_with("hz 20\ninclude more.conf\ntcp-keepalive 8\n\n# Added"), "{new}");
    let files = [("/w/o.conf", new.as_str()), files[1]];
    let again = run_with(&source(&files), &["o.conf"]).unwrap().config;
    assert_eq!(everything(&again, Role::Primary), everything(&config, Role::Primary));
}

#[test]
fn documentation_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let page = docs::markdown();
    if std::env::var_os("OUTRIGGER_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == page, "docs/configuration.md is stale: run this test with OUTRIGGER_WRITE_DOCS=1");
}

#[test]
fn percentiles() {
    const NAME: &str = "latency-tracking-info-percentiles";
    let mut config = Config::default();
    for (given, shown) in
        [("0 33.3333333 1e1 0x10 100", "0 33.333333 10 16 100"), ("-0", "-0"), ("+5", "5"), ("", "")]
    {
        config.set_pairs(&[(NAME, given)]).unwrap();
        assert_eq!(show(&config, NAME), shown);
        let line = format!("{NAME} {}\n", if shown.is_empty() { "\"\"" } else { shown });
        let written = String::from_utf8(rewrite(b"", &config)).unwrap();
        assert!(written.contains(&line), "{written}");
        assert_eq!(show(&parsed(&line).unwrap(), NAME), shown);
    }
    for (given, reason) in [
        ("nan", "Invalid latency-tracking-info-percentiles parameters"),
        ("50  99", "Invalid latency-tracking-info-percentiles parameters"),
        (" ", "Invalid latency-tracking-info-percentiles parameters"),
        ("50 100.1", "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"),
        ("-1", "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"),
    ] {
        let refused = config.set_pairs(&[(NAME, given)]).unwrap_err().to_reply();
        assert!(refused.ends_with(reason), "{refused}");
        assert_eq!(show(&config, NAME), "");
    }
}
