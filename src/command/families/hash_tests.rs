use crate::command::testing::Harness;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn setting_and_getting() {
    let mut h = Harness::new();
    h.check_effects("HSET h a 1 b two a 3", ":2", &["HSET h a 1 b two a 3"]);
    assert_eq!(h.dirty, 3);
    h.check("HMGET h a none b", r#"["3", nil, "two"]"#);
    h.check("HGET h a", r#""3""#);
    h.check("HGET none a", "nil");
    h.check("HMGET none a b", "[nil, nil]");
    h.check("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command");
    h.check("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command");
    h.check("HMSET h c 4", "+OK");
    h.check_effects("HSETNX h c 5", ":0", &[]);
    h.check_effects("HSETNX h d 5", ":1", &["HSETNX h d 5"]);
    h.check("HLEN h", ":4");
    h.check("HEXISTS h d", ":1");
    h.check("HEXISTS h e", ":0");
    h.check("HSTRLEN h b", ":3");
    h.check("HSTRLEN h e", ":0");
    h.check("HGETALL h", r#"["a", "3", "b", "two", "c", "4", "d", "5"]"#);
    h.check("HKEYS h", r#"["a", "b", "c", "d"]"#);
    h.check("HVALS h", r#"["3", "two", "4", "5"]"#);
    h.resp3 = true;
    h.check("HGETALL h", r#"{"a": "3", "b": "two", "c": "4", "d": "5"}"#);
    h.check("HGETALL none", "{}");
    h.check("HKEYS none", "[]");
}

#[test]
fn deleting_the_last_field_deletes_the_key() {
    let mut h = Harness::new();
    h.run("HSET h a 1 b 2");
    h.check_effects("HDEL h a x a", ":1", &["HDEL h a x a"]);
    h.check_effects("HDEL h x", ":0", &[]);
    h.check_effects("HDEL none x", ":0", &[]);
    h.check_effects("HDEL h b", ":1", &["HDEL h b"]);
    h.check("SET h now-a-string", "+OK");
    h.check("HDEL h b", WRONG);
    h.check("HSET h b 1", WRONG);
    h.check("HGET h b", WRONG);
    h.check("HSCAN h 0", WRONG);
}

#[test]
fn incrementing() {
    let mut h = Harness::new();
    h.check_effects("HINCRBY h n 5", ":5", &["HINCRBY h n 5"]);
    h.check("HINCRBY h n -7", ":-2");
    h.check("HINCRBY h n 9223372036854775807", ":9223372036854775805");
    h.check_effects("HINCRBY h n 3", "-ERR increment or decrement would overflow", &[]);
    h.check("HINCRBY h n 1.5", "-ERR value is not an integer or out of range");
    h.check_effects("HINCRBYFLOAT h f 0.1", r#""0.1""#, &["HSET h f 0.1"]);
    h.check_effects("HINCRBYFLOAT h f 0.2", r#""0.3""#, &["HSET h f 0.3"]);
    h.check("HINCRBY h f 1", "-ERR hash value is not an integer");
    h.run("HSET h t text");
    h.check("HINCRBYFLOAT h t 1", "-ERR hash value is not a float");
    h.check("HINCRBYFLOAT h f x", "-ERR value is not a valid float");
    h.check("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity");
    h.run("HSET h big 1e4932");
    h.check("HINCRBYFLOAT h big 1e4932", "-ERR increment would produce NaN or Infinity");
}

#[test]
fn random_fields() {
    let mut h = Harness::new();
    h.check("HRANDFIELD none", "nil");
    h.check("HRANDFIELD none 3 WITHVALUES", "[]");
    for n in [3, 300] {
        let pairs: String = (0..n).map(|i| format!(" f{i} v{i}")).collect();
        h.run(&format!("HSET h{n}{pairs}"));
        for count in [1, 2, 3, 50, 1000] {
            let reply = h.run(&format!("HRANDFIELD h{n} {count}"));
            let mut fields: Vec<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
            assert_eq!(fields.len(), count.min(n), "{reply}");
            fields.sort_unstable();
            fields.dedup();
            assert_eq!(fields.len(), count.min(n), "{reply}");
            let reply = h.run(&format!("HRANDFIELD h{n} -{count} withvalues"));
            assert_eq!(reply.split(", ").count(), 2 * count);
        }
    }
    h.run("HSET one f v");
    h.check("HRANDFIELD one", r#""f""#);
    h.check("HRANDFIELD one -2", r#"["f", "f"]"#);
    h.check("HRANDFIELD one 0", "[]");
    h.check("HRANDFIELD one 1 x", "-ERR syntax error");
    h.check("HRANDFIELD one 4611686018427387904 withvalues", "-ERR value is out of range");
    h.resp3 = true;
    h.check("HRANDFIELD one -2 WITHVALUES", r#"[["f", "v"], ["f", "v"]]"#);
    h.settings.max_bulk_bytes = 1000;
    h.check(
        "HRANDFIELD one -9223372036854775807",
        "-ERR reply exceeds maximum allowed size (proto-max-bulk-len)",
    );
}

#[test]
fn scanning() {
    let mut h = Harness::new();
    h.check("HSCAN none 0 BOGUS", r#"["0", []]"#);
    h.check("HSCAN none x", "-ERR invalid cursor");
    h.run("HSET h ab 1 cd 2");
    h.check("HSCAN h 0 MATCH a*", r#"["0", ["ab", "1"]]"#);
    h.check("HSCAN h 0 COUNT 1 NOVALUES", r#"["0", ["ab", "cd"]]"#);
    h.check("HSCAN h 0 COUNT 0", "-ERR syntax error");
    let pairs: String = (0..1000).map(|i| format!(" field{i} value")).collect();
    h.run(&format!("HSET big{pairs}"));
    let (mut cursor, mut seen, mut calls) = ("0".to_string(), std::collections::HashSet::new(), 0);
    loop {
        let reply = h.run(&format!("HSCAN big {cursor} COUNT 20 NOVALUES"));
        let mut words = reply.split('"').skip(1).step_by(2).map(str::to_string);
        cursor = words.next().unwrap();
        seen.extend(words);
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!((10..=100).contains(&calls), "{calls}");
}
