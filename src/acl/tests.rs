//! Tests of users and rules.

use super::file;
use super::{Denied, NewChannels, RuleError, SetUserError, User, is_name};
use crate::command::registry;
use proptest::prelude::*;

fn made(rules: &str) -> Result<User, SetUserError> {
    let mut user = User::new(b"u", 7, NewChannels::None);
    user.apply(&rules.split(' ').collect::<Vec<_>>())?;
    Ok(user)
}

fn user(rules: &str) -> User {
    made(rules).unwrap_or_else(|error| panic!("{rules}: {error}"))
}

fn text(user: &User) -> String {
    String::from_utf8(user.describe()).expect("rules in ASCII")
}

fn error(rules: &str) -> RuleError {
    match made(rules) {
        Err(SetUserError::Rule { error, .. }) => error,
        other => panic!("{rules}: {other:?}"),
    }
}

fn check(user: &User, line: &str) -> Option<Denied> {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let (command, sub) = registry::resolve(&args).expect("a known command");
    user.check(sub.unwrap_or(command), &args)
}

#[test]
fn what_a_user_is_told_as() {
    let x = "#2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let cases = [
        ("", "off resetchannels -@all"),
        ("ON off On", "on resetchannels -@all"),
        (">x >x", &format!("off {x} resetchannels -@all")),
        (">x <x", "off resetchannels -@all"),
        (">x nopass", "off nopass resetchannels -@all"),
        ("nopass >x", &format!("off {x} resetchannels -@all")),
        ("skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"),
        ("on skip-sanitize-payload >x ~a (+get) reset", "off sanitize-payload resetchannels -@all"),
        ("~a allkeys", "off ~* resetchannels -@all"),
        ("%RW~* ~a", "off %RW~* ~a resetchannels -@all"),
        ("%R~a %W~a %R~b %W~c %RW~d", "off ~a %R~b %W~c ~d resetchannels -@all"),
        ("~a resetkeys ~b ~b", "off ~b resetchannels -@all"),
        ("&a &b &a", "off resetchannels &a &b -@all"),
        ("&a &* resetchannels &c", "off resetchannels &c -@all"),
        ("allchannels +@all", "off &* +@all"),
        ("+@all -@read +get", "off resetchannels +@all -@read +get"),
        ("+@read +get", "off resetchannels -@all +@read"),
        ("+config|get -config", "off resetchannels -@all"),
        ("+config -config|get", "off resetchannels -@all +config -config|get"),
        ("+config|get +config|set -config|get", "off resetchannels -@all +config|set"),
        ("+SELECT|A +select|a +select|0", "off resetchannels -@all +select|A +select|0"),
        ("+select|0 +@connection", "off resetchannels -@all +@connection"),
        ("+select +select|0", "off resetchannels -@all +select"),
        ("(~a +get) (%R~b", "unmatched"),
        (
            "(~a +get) (%R~b &c +@all -set) -@all",
            "off resetchannels -@all (~a resetchannels -@all +get) (%R~b resetchannels &c +@all -set)",
        ),
        ("( +get   ~a ) () clearselectors (~*)", "off resetchannels -@all (~* resetchannels -@all)"),
    ];
    for (rules, expected) in cases {
        match made(rules) {
            Ok(user) => assert_eq!(text(&user), *expected, "{rules}"),
            Err(SetUserError::Unmatched(start)) => {
                assert_eq!((&start[..], expected), (&b"(%R~b"[..], "unmatched"))
            }
            Err(other) => panic!("{rules}: {other}"),
        }
    }
}

#[test]
fn what_is_no_rule() {
    use RuleError::*;
    let hash = "2D711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let cases = [
        ("foo", Syntax),
        ("+foo", Unknown),
        ("-foo", Unknown),
        ("+", Unknown),
        ("+@foo", Unknown),
        ("+config|foo", Unknown),
        ("-select|0", Unknown),
        ("+get|", Syntax),
        ("+|get", Unknown),
        ("+config|get|x", FirstArgOfSubcommand),
        ("%", Syntax),
        ("%~a", Syntax),
        ("%RR~a", Syntax),
        ("%X~a", Syntax),
        ("allkeys ~a", AfterAllKeys),
        ("&* &a", AfterAllChannels),
        ("<x", NoSuchPassword),
        ("#x", BadHash),
        (&format!("#{hash}"), BadHash),
        ("!x", BadHash),
        ("(on)", Syntax),
        ("(reset)", Syntax),
        ("((~a))", Syntax),
        ("(~a (~b)", Syntax),
        ("(~a) x)", Syntax),
        (")", Syntax),
    ];
    for (rules, expected) in cases {
        assert_eq!(error(rules), expected, "{rules}");
    }
    for spaced in [&b"~a b"[..], b"&a\tb", b"~\0", b"+select|0 1", b"(~a\x0bb)"] {
        let refused = User::new(b"u", 0, NewChannels::None).apply(&[spaced]);
        let expected = SetUserError::Rule { rule: spaced.to_vec(), error: Syntax };
        assert_eq!(refused, Err(expected), "{}", spaced.escape_ascii());
    }
}

#[test]
fn a_wrong_rule_changes_nothing() {
    let mut one = user("on >x ~a +get");
    let before = one.clone();
    assert!(one.apply(&["off", "resetpass", "~b", "-@all", "(~c)", "+nosuch"]).is_err());
    assert_eq!(one, before);
}

#[test]
fn names() {
    assert!(is_name(b"alice") && is_name(b"\"(") && is_name(b"\xff"));
    for wrong in [&b""[..], b"a b", b"a\0", b"a\n", b"\x0b"] {
        assert!(!is_name(wrong), "{}", wrong.escape_ascii());
    }
}

#[test]
fn who_is_let_in() {
    assert!(!user("on").lets_in(b"") && !user("on >x").lets_in(b"y") && !user(">x").lets_in(b"x"));
    assert!(user("on >x >y").lets_in(b"x") && user("on >x >y").lets_in(b"y"));
    assert!(user("on nopass").lets_in(b"any") && !user("nopass").lets_in(b"any"));
    assert!(!user("on >x resetpass").lets_in(b"x"));
}

#[test]
fn commands_and_first_arguments() {
    let one = user("~* &* +@read -get +config|get +select|1 +debug|sleep");
    for may in ["MGET a b", "CONFIG GET a", "config get a", "SELECT 1", "DEBUG Sleep 0", "AUTH x", "QUIT"] {
        assert_eq!(check(&one, may), None, "{may}");
    }
    for may_not in ["GET a", "SET a b", "CONFIG SET a b", "SELECT 0", "DEBUG segfault", "PING"] {
        assert_eq!(check(&one, may_not), Some(Denied::Command), "{may_not}");
    }
}

#[test]
fn keys_and_what_is_done_to_them() {
    let one = user("+@all %R~r* %W~w* ~b*");
    for may in ["GET r1", "SET w1 v", "GETSET b v", "COPY r w", "EXISTS w", "EXISTS r", "SET b v GET", "PING"]
    {
        assert_eq!(check(&one, may), None, "{may}");
    }
    let refused = [
        ("GET w1", 1),
        ("SET r1 v", 1),
        ("SET w v GET", 1),
        ("EXISTS x", 1),
        ("MGET r w b", 2),
        ("COPY w r", 1),
        ("COPY r r", 2),
        ("GETDEL r", 1),
        ("LMOVE b x LEFT LEFT", 2),
        ("XREAD COUNT 1 STREAMS r w 0 0", 5),
        ("XREADGROUP GROUP streams STREAMS STREAMS x >", 5),
        ("SORT b STORE r", 3),
        ("BITFIELD r SET u8 0 1", 1),
    ];
    for (line, at) in refused {
        assert_eq!(check(&one, line), Some(Denied::Key(at)), "{line}");
    }
    assert_eq!(check(&one, "BITFIELD r GET u8 0"), None);
}

#[test]
fn any_selector_may_allow_it_but_one_must_alone() {
    let one = user("+get ~a (+set %W~b) (+@all ~c)");
    for may in ["GET a", "SET b v", "GET c", "DEL c"] {
        assert_eq!(check(&one, may), None, "{may}");
    }
    // What is told is what came nearest to being allowed.
    assert_eq!(check(&one, "GET b"), Some(Denied::Key(1)));
    assert_eq!(check(&one, "MGET c c a"), Some(Denied::Key(3)));
    assert_eq!(check(&user("+get (+set)"), "DEL a"), Some(Denied::Command));
}

#[test]
fn channels() {
    let (command, other) = (registry::find(b"GET").unwrap(), registry::find(b"PING").unwrap());
    let subscribe = crate::command::Command { name: "subscribe", keys: &[], ..*command };
    let by_pattern = crate::command::Command { name: "psubscribe", ..subscribe };
    let publish = crate::command::Command { name: "publish", ..subscribe };
    let mut one = user("resetchannels &news.* +@all");
    let channel = |user: &User, command: &crate::command::Command, line: &str| {
        user.check(command, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    };
    assert_eq!(channel(&one, &subscribe, "SUBSCRIBE news.a news.b"), None);
    assert_eq!(channel(&one, &subscribe, "SUBSCRIBE news.a other"), Some(Denied::Channel(2)));
    assert_eq!(channel(&one, &by_pattern, "PSUBSCRIBE news.*"), None);
    assert_eq!(channel(&one, &by_pattern, "PSUBSCRIBE news.a*"), Some(Denied::Channel(1)));
    assert_eq!(channel(&one, &publish, "PUBLISH news.a other"), None);
    assert_eq!(channel(&one, &publish, "PUBLISH other news.a"), Some(Denied::Channel(1)));
    assert_eq!(channel(&one, other, "PING other"), None);
    assert!(one.may_use_channel(b"news.a", false) && !one.may_use_channel(b"news.a", true));
    one.apply(&["allchannels"]).unwrap();
    assert_eq!(channel(&one, &subscribe, "SUBSCRIBE any"), None);
    let mut new = User::new(b"u", 0, NewChannels::All);
    new.apply(&["(+get)"]).unwrap();
    assert_eq!(text(&new), "off &* -@all (&* -@all +get)");
}

#[test]
fn who_may_do_everything() {
    assert!(User::default_user(0, NewChannels::None).is_unrestricted());
    assert!(user("+@all ~* &*").is_unrestricted() && user("(+@all ~* &*)").is_unrestricted());
    for rules in ["+@all ~*", "+@all &*", "~* &*", "+@all ~* &* -get", "+@all (~* &*)", "+@all %R~* &*"] {
        assert!(!user(rules).is_unrestricted(), "{rules}");
    }
    let sorts = |rules: &str| {
        user(rules).may_read_all_keys(registry::find(b"SORT").unwrap(), &[b"SORT", b"k", b"BY", b"*"])
    };
    assert!(sorts("+sort ~*") && sorts("+sort %R~* ~k") && sorts("(+sort ~*)"));
    assert!(!sorts("+sort ~k*") && !sorts("~* (+sort ~k)") && !sorts("+sort %W~* ~k"));
}

#[test]
fn files_are_read_as_they_were_written() {
    let users =
        [user("on >x ~a &b +@all -@dangerous (%R~c +get) (~d)"), User::default_user(0, NewChannels::None)];
    let written = file::write(users.iter());
    let read = file::read(&written, "f", NewChannels::None).expect("what was written");
    let texts =
        |users: &mut dyn Iterator<Item = &User>| users.map(text).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(texts(&mut read.values()), texts(&mut users.iter()));
    let faults = |text: &str| file::read(text.as_bytes(), "f", NewChannels::None).expect_err("faults");
    assert_eq!(faults("# a\n"), "f:1 should start with user keyword followed by the username. ");
    assert_eq!(
        faults("\nuser a +nosuch\nuser\n"),
        "f:2: Error in applying operation '+nosuch': Unknown command or category name in ACL. \
         f:3 should start with user keyword followed by the username. "
    );
    assert_eq!(faults("user a\nuser a\n"), "WARNING: Duplicate user 'a' found on line 2. ");
    assert!(faults("user a (~b\n").contains("starting at '(~b'"));
}

/// A rule that may be right or wrong.
fn any_rule() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "on",
        "off",
        "nopass",
        "resetpass",
        "reset",
        "allkeys",
        "resetkeys",
        "allchannels",
        "resetchannels",
        "allcommands",
        "nocommands",
        "clearselectors",
        "sanitize-payload",
        "skip-sanitize-payload",
        "(",
        ")",
        "()",
        "(~a +get)",
        "(+@all",
        "~b)",
        "+select|0",
        "+select|1",
        "+debug|x",
        "+config|get",
        "-config|set",
    ];
    let names = [
        "get",
        "set",
        "config",
        "client",
        "select",
        "acl",
        "command",
        "sort",
        "@read",
        "@write",
        "@all",
        "@slow",
        "@fast",
        "@admin",
        "@dangerous",
        "@keyspace",
        "@connection",
        "@string",
        "@hash",
        "@pubsub",
        "@scripting",
    ];
    let named = (prop::sample::select(vec!["+", "-"]), prop::sample::select(names.to_vec()));
    prop_oneof![
        3 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        6 => named.prop_map(|(sign, name)| [sign, name].concat().into_bytes()),
        2 => "(~|%R~|%W~|%RW~|&)[a-c*()\"]{0,3}".prop_map(String::into_bytes),
        1 => "[<>#!(][ -~]{0,4}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

/// Commands whose permissions stand for those of all.
const PROBES: &[&str] = &[
    "GET a",
    "SET b v",
    "GET abc",
    "SELECT 0",
    "CONFIG GET a",
    "CONFIG SET a b",
    "DEBUG x",
    "SORT a",
    "PING",
];

proptest! {
    /// What is told of a user makes the same user, from nothing and on top of anything.
    #[test]
    fn rules_can_be_told_and_taken_again(
        rules in prop::collection::vec(any_rule(), 0..12),
        other in prop::collection::vec(any_rule(), 0..4),
    ) {
        let mut one = User::new(b"u", 0, NewChannels::None);
        for rule in &rules {
            let before = one.clone();
            if one.apply(&[rule]).is_err() {
                prop_assert!(one == before);
            }
        }
        let described = one.describe();
        let written = file::read(&file::write(std::iter::once(&one)), "f", NewChannels::None);
        let again = written.expect("the text of a user").remove(&b"u"[..]).expect("the user");
        prop_assert_eq!(again.describe(), described.clone());
        let mut over = User::new(b"u", 0, NewChannels::None);
        for rule in &other {
            let _ = over.apply(&[rule]);
        }
        let words: Vec<&[u8]> =
            std::iter::once(&b"reset"[..]).chain(described.split(|byte| *byte == b' ')).collect();
        over.apply(&words).expect("the text of a user");
        for line in PROBES {
            prop_assert_eq!(check(&one, line), check(&again, line));
            prop_assert_eq!(check(&one, line), check(&over, line));
        }
        prop_assert_eq!(one.is_unrestricted(), one.is_unrestricted() && PROBES.iter().all(|line| check(&one, line).is_none()));
    }
}
