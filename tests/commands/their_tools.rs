//! The command-line tools and a client library made for Redis work with our server.

use crate::support::{Server, peer, wait_for};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

fn run(program: &Path, args: &[&str]) -> (Output, String) {
    let output = Command::new(program).args(args).output().expect("run the program");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

#[test]
fn redis_cli() {
    let Some(cli) = peer::on_path("redis-cli") else { return };
    let server = Server::ours(&[]);
    let port = server.port().to_string();
    let cli = |args: &[&str]| run(&cli, &[&["-p", &port], args].concat()).1;
    assert_eq!(cli(&["SET", "a", "1"]), "OK\n");
    assert_eq!(cli(&["-3", "HSET", "h", "f", "v"]), "1\n");
    assert_eq!(cli(&["-3", "--json", "HGETALL", "h"]), "{\"f\":\"v\"}\n");
    assert!(cli(&["INFO"]).contains("# Server"));
    assert!(cli(&["--scan"]).lines().count() == 2);
    assert!(cli(&["--bigkeys"]).contains("Sampled 2 keys"));
    assert!(cli(&["NOSUCH"]).starts_with("ERR unknown command"));
}

#[test]
fn redis_benchmark() {
    let Some(benchmark) = peer::on_path("redis-benchmark") else { return };
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let port = server.port().to_string();
    // As in a pair: every write goes to a replica that appends it.
    let follows = ["--replicaof", "127.0.0.1", &port, "--appendonly", "yes", "--enable-debug-command", "yes"];
    let replica = Server::ours(&follows);
    let (mut primary, mut second) = (server.client(), replica.client());
    wait_for("the replica's link", Duration::from_secs(30), || {
        second.info("master_link_status").as_deref() == Some("up")
    });
    for depth in ["1", "16"] {
        let args = ["-p", &port, "-n", "2000", "-c", "50", "-P", depth, "-r", "10000", "-q"];
        let (output, text) = run(&benchmark, &args);
        assert!(output.status.success(), "-P {depth}: {text}");
        assert!(!text.to_lowercase().contains("err"), "-P {depth}: {text}");
        for test in
            ["PING_INLINE", "SET:", "GET:", "LRANGE_600", "ZADD:", "ZPOPMIN:", "SPOP:", "MSET (10 keys)"]
        {
            assert!(text.contains(test), "{test} is missing: {text}");
        }
    }
    primary.ok("SET last write");
    assert_eq!(primary.int("WAIT 1 30000"), 1, "the replica received everything");
    assert_eq!(primary.digest(), second.digest());
}

const BASIC_USE: &str = r#"
import sys, redis
port, protocol = int(sys.argv[1]), int(sys.argv[2])
options = {"port": port, "decode_responses": True}
if int(redis.__version__.split(".")[0]) >= 5:
    options["protocol"] = protocol
r = redis.Redis(**options)
r.flushall()
assert r.ping()
assert r.set("a", 1, ex=100) and r.get("a") == "1" and 98 <= r.ttl("a") <= 100
assert r.incrby("a", 5) == 6 and r.incrbyfloat("a", 0.5) == 6.5
assert r.hset("h", mapping={"x": 1, "y": "two"}) == 2 and r.hgetall("h") == {"x": "1", "y": "two"}
assert r.rpush("l", *range(5)) == 5 and r.lrange("l", 0, -1) == ["0", "1", "2", "3", "4"]
assert r.sadd("s", "a", "b") == 2 and r.smembers("s") == {"a", "b"}
assert r.zadd("z", {"one": 1, "two": 2.5}) == 2
assert [tuple(p) for p in r.zrange("z", 0, -1, withscores=True)] == [("one", 1.0), ("two", 2.5)]
assert r.zscore("z", "two") == 2.5
assert sorted(r.scan_iter("*")) == ["a", "h", "l", "s", "z"]
with r.pipeline(transaction=True) as p:
    p.set("t", 1); p.incr("t"); p.get("t")
    assert p.execute() == [True, 2, "2"]
with r.pipeline() as p:
    p.watch("t")
    r.set("t", "other")
    p.multi(); p.set("t", "mine")
    try:
        p.execute(); raise SystemExit("the watch was not seen")
    except redis.WatchError:
        pass
try:
    r.lpush("a", 1); raise SystemExit("no error for a wrong type")
except redis.ResponseError as e:
    assert str(e).startswith("WRONGTYPE"), e
assert r.info()["redis_version"] and r.info("keyspace")["db0"]["keys"] == 6
assert r.config_get("maxmemory") == {"maxmemory": "0"}
assert r.client_setname("py") and r.client_getname() == "py"
assert r.type("z") == "zset" and r.object("encoding", "l") is not None
assert r.delete("a", "h", "l", "s", "z", "t") == 6 and r.dbsize() == 0
assert r.blpop("nothing", timeout=0.05) is None
print("done")
"#;

#[test]
fn python_client() {
    let Some(python) = peer::python_with_redis() else { return };
    let server = Server::ours(&[]);
    for protocol in ["2", "3"] {
        let (output, text) = run(&python, &["-c", BASIC_USE, &server.port().to_string(), protocol]);
        assert!(output.status.success() && text.contains("done"), "RESP{protocol}: {text}");
    }
}
