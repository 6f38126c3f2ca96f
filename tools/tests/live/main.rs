//! The tools that talk to running servers, against ours and a stock one.

#[path = "../../../tests/support/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
mod diff;
mod interrupted;
mod into;
#[path = "../../../tests/support/scale.rs"]
mod scale;
mod servers;
mod single_file;
mod sources;
mod wrong_use;

use outrigger::base::random::Rng;
use scale::scaled;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const BACKUP: &str = env!("CARGO_BIN_EXE_outrigger-backup");
const REWRITE: &str = env!("CARGO_BIN_EXE_aof-rewrite");
const RESTORE: &str = env!("CARGO_BIN_EXE_restore");
const DIFF: &str = env!("CARGO_BIN_EXE_outrigger-diff");

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).env_remove("REDISCLI_AUTH").output().expect("run a tool")
}

/// Runs a tool that must end with `code`; what it wrote.
fn ends_with(code: i32, program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    assert_eq!(output.status.code(), Some(code), "{program} {args:?}:\n{text}");
    assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
    text
}

fn json(code: i32, program: &str, args: &[&str]) -> Value {
    let text = ends_with(code, program, &[args, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII")
}

/// The commands that make one of many keys of all types, in two databases; some expire, far in the future.
fn key(rng: &mut Rng, number: usize) -> Vec<Vec<String>> {
    let mut commands = vec![vec!["SELECT".to_owned(), (number % 2).to_string()]];
    let mut add = |words: Vec<String>| commands.push(words);
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let name = format!("key:{number}");
    match number % 10 {
        0..4 => add(vec!["SET".into(), name.clone(), rng.hex(rng_len(number))]),
        4 => add(words(format!("SET {name} {}", rng.below(1 << 40)))),
        5 => add(words(format!("HSET {name} name n{number} age {} city Lisbon", rng.below(99)))),
        6 => add(words(format!("RPUSH {name} {} {} 3", rng.hex(20), rng.hex(7)))),
        7 => add(words(format!("SADD {name} {} {} b", rng.below(1000), rng.hex(9)))),
        8 => add(words(format!("ZADD {name} {} a {} b", rng.below(1000), rng.below(9)))),
        _ => {
            add(words(format!("XADD {name} {}-1 f {}", number + 1, rng.hex(12))));
            add(words(format!("XGROUP CREATE {name} g 0")));
            add(words(format!("XREADGROUP GROUP g c COUNT 1 STREAMS {name} >")));
        }
    }
    if number.is_multiple_of(7) {
        add(words(format!("PEXPIREAT {name} {}", 4_000_000_000_000u64 + number as u64)));
    }
    commands
}

fn rng_len(number: usize) -> usize {
    if number.is_multiple_of(1000) { 20_000 } else { 8 + number % 90 }
}

/// Makes so many keys.
fn fill(client: &mut client::Client, count: usize) {
    let mut rng = Rng::from_seed(41);
    for first in (0..count).step_by(500) {
        let commands: Vec<Vec<String>> =
            (first..count.min(first + 500)).flat_map(|number| key(&mut rng, number)).collect();
        let bad = client.pipeline(&commands).into_iter().find(|reply| reply.as_error().is_some());
        assert!(bad.is_none(), "{bad:?}");
    }
    client.ok("SELECT 0");
}
