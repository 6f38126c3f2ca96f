use crate::command::testing::Harness;

fn sicily() -> Harness {
    let mut h = Harness::new();
    h.check_effects(
        "GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        ":2",
        &["ZADD k 3479099956230698 Palermo 3479447370796909 Catania"],
    );
    h
}

#[test]
fn adding() {
    let mut h = sicily();
    h.check_effects("GEOADD k NX 1 1 Palermo", ":0", &[]);
    h.check_effects(
        "GEOADD k xx CH 1 1 Palermo 2 2 New",
        ":1",
        &["ZADD k xx CH 3377822707026402 Palermo 3378191666521995 New"],
    );
    h.check("GEOADD k NX XX 1 1 a", "-ERR syntax error");
    h.check("GEOADD k 1 1 a 2", "-ERR syntax error");
    h.check("GEOADD k nx ch ch", "-ERR syntax error");
    h.check("GEOADD k 1 x a", "-ERR value is not a valid float");
    h.check("GEOADD k 1 1 a 181 1 b", "-ERR invalid longitude,latitude pair 181.000000,1.000000");
    h.check("ZCARD k", ":2");
}

#[test]
fn looking_up() {
    let mut h = sicily();
    h.check("GEODIST k Palermo Catania", "\"166274.1516\"");
    h.check("GEODIST k Palermo Catania KM", "\"166.2742\"");
    h.check("GEODIST k Palermo Palermo", "\"0.0000\"");
    h.check("GEODIST k Palermo Rome", "nil");
    h.check("GEODIST none a b", "nil");
    h.check("GEODIST k a b parsec", "-ERR unsupported unit provided. please use M, KM, FT, MI");
    h.check("GEOHASH k Palermo Rome", "[\"sqc8b49rny0\", nil]");
    h.check("GEOPOS k Palermo Rome", "[[\"13.36138933897018433\", \"38.11555639549629859\"], nil[]]");
    h.check("GEOPOS none a", "[nil[]]");
    h.resp3 = true;
    h.check("GEOPOS k Rome", "[nil]");
}

#[test]
fn searching() {
    let mut h = sicily();
    h.check("GEORADIUS k 15 37 200 km", "[\"Palermo\", \"Catania\"]");
    h.check(
        "GEORADIUS k 15 37 200 km DESC WITHDIST",
        "[[\"Palermo\", \"190.4424\"], [\"Catania\", \"56.4413\"]]",
    );
    h.check("GEORADIUS_RO k 15 37 200 km COUNT 1", "[\"Catania\"]");
    h.check(
        "GEORADIUSBYMEMBER k Catania 1 m WITHHASH WITHCOORD",
        "[[\"Catania\", :3479447370796909, [\"15.08726745843887329\", \"37.50266842333162032\"]]]",
    );
    h.check("GEOSEARCH k FROMLONLAT 15 37 BYBOX 400 400 km ASC", "[\"Catania\", \"Palermo\"]");
    h.check("GEOSEARCH k FROMMEMBER Catania BYRADIUS 100 mi COUNT 5 ANY", "[\"Catania\"]");
    h.check("GEOSEARCH none FROMMEMBER x BYRADIUS 1 m", "[]");
    h.check("GEORADIUSBYMEMBER none x y z", "[]");
}

#[test]
fn storing_logs_what_was_found() {
    let mut h = sicily();
    h.check_effects(
        "GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km",
        ":2",
        &["DEL d", "ZADD d 3479099956230698 Palermo 3479447370796909 Catania"],
    );
    h.check("GEORADIUS k 15 37 100 km STOREDIST d", ":1");
    h.check("ZRANGE d 0 -1 WITHSCORES", "[\"Catania\", \"56.441257870158204\"]");
    h.check_effects("GEORADIUSBYMEMBER none x 1 km STORE d", ":0", &["DEL d"]);
    h.check_effects("GEORADIUSBYMEMBER none x 1 km STORE d", ":0", &[]);
    h.check_effects("GEORADIUS k 0 0 1 km STORE k", ":0", &["DEL k"]);
}

#[test]
fn searches_are_checked() {
    let mut h = sicily();
    for (line, reply) in [
        ("GEORADIUS k 15 37 x km", "-ERR need numeric radius"),
        ("GEORADIUS k 15 37 -1 km", "-ERR radius cannot be negative"),
        (
            "GEORADIUS k 15 37 1 km STORE d WITHDIST",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        ("GEORADIUS k 15 37 1 km STORE d STORE e", "-ERR syntax error"),
        ("GEORADIUS_RO k 15 37 1 km STORE d", "-ERR syntax error"),
        ("GEORADIUS k 15 37 1 km COUNT 0", "-ERR COUNT must be > 0"),
        ("GEORADIUS k 15 37 1 km ANY", "-ERR the ANY argument requires COUNT argument"),
        ("GEORADIUSBYMEMBER k Rome 1 km", "-ERR could not decode requested zset member"),
        (
            "geosearch k BYRADIUS 1 km ASC DESC",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch",
        ),
        (
            "GEOSEARCH k FROMLONLAT 1 1 ASC ASC ASC",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        ),
        ("GEOSEARCH k FROMLONLAT 1 1 FROMMEMBER Palermo BYRADIUS 1 km", "-ERR syntax error"),
        ("GEOSEARCH k FROMLONLAT 1 1 BYBOX 1 1 km BYRADIUS 1 km", "-ERR syntax error"),
        ("GEOSEARCH k FROMLONLAT 1 1 BYBOX 1 -1 km", "-ERR height or width cannot be negative"),
        ("GEOSEARCH k FROMLONLAT 1 1 BYBOX 1 x km", "-ERR need numeric height"),
        ("GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1 km STOREDIST", "-ERR syntax error"),
        (
            "GEOSEARCHSTORE d k FROMLONLAT 1 1 BYRADIUS 1 km WITHDIST",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
    ] {
        h.check(line, reply);
    }
    h.put_list("l", &["a"]);
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for line in ["GEORADIUS l x x x x", "GEOPOS l", "GEOADD l 1 1 a", "GEODIST l a b", "GEOHASH l"] {
        h.check(line, wrong);
    }
}
