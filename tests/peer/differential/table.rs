//! The commands that are compared, a line each: add a family by adding its lines.

/// How two replies are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Byte for byte.
    Exact,
    /// The same elements in any order.
    Unordered,
    /// The same pairs in any order (flat arrays of RESP2 and maps of RESP3).
    Pairs,
    /// Integers that may differ by so much, as time has passed between the two.
    Near(i64),
    /// An iteration from cursor 0 to its end yields the same elements; the number is the cursor's position.
    Scan(usize),
    /// Random elements, units of so many values; they must exist, and be distinct unless a negative count was asked for. The text is the
    /// command that lists all of them.
    Random(&'static str),
    /// Random members are removed: the other server is made to remove the same ones.
    Spop,
    /// A random key: it must exist.
    RandomKey,
    /// An idle time: as [`Mode::Near`], outside of transactions as [`Mode::Encoding`].
    Idle(i64),
    /// An encoding: as [`Mode::Exact`], outside of transactions, so that the key can still be asked for its type.
    Encoding,
    /// Each server takes the value from what the other says of it.
    Dump,
    /// Byte for byte but for times and idle times of streams' consumers and pending entries.
    Times,
}

use Mode::{Dump, Encoding, Exact, Idle, Near, Pairs, Random, RandomKey, Scan, Spop, Times, Unordered};

/// A line of the table: how to compare, and the grammar (see `grammar`).
pub type Line = (Mode, &'static str);

/// Everything that is compared, by family.
pub const FAMILIES: &[(&str, &[Line])] = &[
    ("connection", CONNECTION),
    ("string", STRING),
    ("generic", GENERIC),
    ("list", LIST),
    ("set", SET),
    ("sorted set", SORTED_SET),
    ("hash", HASH),
    ("bitmap", BITMAP),
    ("hyperloglog", HYPERLOGLOG),
    ("geo", GEO),
    ("stream", STREAM),
    ("sort", SORT),
];

const CONNECTION: &[Line] = &[
    (Exact, "PING [<text>]"),
    (Exact, "ECHO <text>"),
    (Exact, "SELECT <db>"),
    (Exact, "AUTH <text>"),
    (Exact, "AUTH (default|<text>) <text>"),
    (Exact, "CLIENT SETNAME <text>"),
    (Exact, "CLIENT (GETNAME|GETREDIR|TRACKINGINFO|UNPAUSE)"),
    (Exact, "CLIENT (GETNAME|GETREDIR|CACHING|NO-EVICT|SETNAME|UNBLOCK|KILL|nosuch) {<text>|(a b)}"),
    (Exact, "CLIENT NO-EVICT (ON|OFF|<text>)"),
    (Exact, "CLIENT CACHING (YES|NO|<text>)"),
    (Exact, "CLIENT UNBLOCK <absent-id> [(TIMEOUT|ERROR)]"),
    (
        Exact,
        "CLIENT KILL {ID <absent-id>|USER nosuch|ADDR 192.0.2.1:1|LADDR 192.0.2.1:1|SKIPME yes} (ID <absent-id>|TYPE pubsub|TYPE nosuch)",
    ),
    (Exact, "CLIENT LIST (ID <absent-id>|TYPE (MASTER|PUBSUB|nosuch))"),
];

const STRING: &[Line] = &[
    (Exact, "SET <str> <val>"),
    (Exact, "SET <str> <num>"),
    (Exact, "SET <str> <val> {NX|XX|GET|KEEPTTL|EX <secs>|PX <ms>|EXAT <at>|PXAT <at-ms>}"),
    (Exact, "SETNX <str> <val>"),
    (Exact, "SETEX <str> <secs> <val>"),
    (Exact, "PSETEX <str> <ms> <val>"),
    (Exact, "GET <str>"),
    (Exact, "GETSET <str> <val>"),
    (Exact, "GETDEL <str>"),
    (Exact, "GETEX <str> {PERSIST|EX <secs>|PX <ms>|EXAT <at>|PXAT <at-ms>}"),
    (Exact, "MSET (<str> <val>)+"),
    (Exact, "MSETNX (<str> <val>)+"),
    (Exact, "MGET <str>+"),
    (Exact, "APPEND <str> <val>"),
    (Exact, "STRLEN <str>"),
    (Exact, "INCR <str>"),
    (Exact, "DECR <str>"),
    (Exact, "INCRBY <str> <int>"),
    (Exact, "DECRBY <str> <int>"),
    (Exact, "INCRBYFLOAT <str> <float>"),
    (Exact, "GETRANGE <str> <idx> <idx>"),
    (Exact, "SUBSTR <str> <idx> <idx>"),
    (Exact, "SETRANGE <str> <offset> <val>"),
    (Exact, "SET <small> <letters>"),
    (Exact, "LCS <small> <small> {LEN|IDX|MINMATCHLEN <posint>|WITHMATCHLEN}"),
];

pub const GENERIC: &[Line] = &[
    (Exact, "DEL <key>+"),
    (Exact, "UNLINK <key>+"),
    (Exact, "EXISTS <key>+"),
    (Exact, "TOUCH <key>+"),
    (Exact, "TYPE <key>"),
    (Exact, "EXPIRE <key> <secs> {NX|XX|GT|LT}"),
    (Exact, "PEXPIRE <key> <ms> {NX|XX|GT|LT}"),
    (Exact, "EXPIREAT <key> <at> {NX|XX|GT|LT}"),
    (Exact, "PEXPIREAT <key> <at-ms> {NX|XX|GT|LT}"),
    (Near(2), "TTL <key>"),
    (Near(2_000), "PTTL <key>"),
    (Near(2), "EXPIRETIME <key>"),
    (Near(2_000), "PEXPIRETIME <key>"),
    (Exact, "PERSIST <key>"),
    (Exact, "RENAME <key> <key>"),
    (Exact, "RENAMENX <key> <key>"),
    (Exact, "COPY <key> <key> {DB <db>|REPLACE}"),
    (Exact, "MOVE <key> <db>"),
    (Exact, "SWAPDB <db> <db>"),
    (Unordered, "KEYS <pattern>"),
    (Scan(1), "SCAN <odd-cursor>"),
    (Scan(1), "SCAN 0 {MATCH <pattern>|COUNT <posint>|TYPE <type>}"),
    (RandomKey, "RANDOMKEY"),
    (Exact, "DBSIZE"),
    (Encoding, "OBJECT ENCODING <key>"),
    (Encoding, "OBJECT ENCODING <key>"),
    (Encoding, "OBJECT ENCODING <key>"),
    (Encoding, "OBJECT REFCOUNT <key>"),
    (Idle(30), "OBJECT IDLETIME <key>"),
    (Near(60), "OBJECT FREQ <key>"),
    (Near(1 << 40), "MEMORY USAGE <key> [SAMPLES <count>]"),
    (Exact, "DEBUG DIGEST-VALUE <key>+"),
    (Dump, "DUMP <key>"),
    (Exact, "RESTORE <str> 0 <payload-str> REPLACE"),
    (Exact, "RESTORE <list> 0 <payload-list> REPLACE"),
    (Exact, "RESTORE <set> (0|<ttl>) <payload-set> {REPLACE|IDLETIME <posint>|FREQ <posint>}"),
    (Exact, "RESTORE <key> (0|<at-ms>) <payload-str> ABSTTL {REPLACE|IDLETIME 0}"),
];

/// Sorting. Where weights are equal texts Redis leaves the order to chance, but for whole lists.
const SORT: &[Line] = &[
    (Exact, "RPUSH <nums> <sortnum>+"),
    (Exact, "SADD <numset> <sortnum>+"),
    (Exact, "ZADD <numz> (<score> <sortnum>)+"),
    (Exact, "SREM <numset> <sortnum>+"),
    (Exact, "LTRIM <nums> -40 -1"),
    (Exact, "DEL (<nums>|<numset>|<numz>)"),
    (Exact, "SET <weight> (<sortnum>|<sortnum>|<val>)"),
    (Exact, "HSET <weights> f <sortnum> g <val>"),
    (Exact, "DEL (<weight>|<weights>)+"),
    (Exact, "SORT (<nums>|<numset>|<numz>) {ASC|DESC|LIMIT <idx> <idx>|BY <by>|GET <get>}"),
    (Exact, "SORT (<nums>|<numset>|<numz>) BY <by> {DESC|LIMIT <idx> <idx>|GET <get>}"),
    (Exact, "SORT_RO (<nums>|<numset>|<numz>) {ASC|DESC|LIMIT <idx> <idx>|BY <by>|GET <get>}"),
    (Exact, "SORT (<nums>|<numset>|<numz>) ALPHA {ASC|DESC|LIMIT <idx> <idx>|GET <get>}"),
    (Exact, "SORT_RO (<nums>|<numset>) ALPHA {ASC|DESC|LIMIT <idx> <idx>|GET <get>}"),
    (Exact, "SORT (<nums>|<list>) BY <by> ALPHA {ASC|DESC|GET <get>}"),
    (Exact, "SORT <list> ALPHA {ASC|DESC|GET <get>}"),
    (Unordered, "SORT (<numset>|<numz>) BY <by> ALPHA {ASC|DESC}"),
    (Exact, "SORT (<nums>|<numz>|<list>|<zset>) BY nosort {ASC|DESC|LIMIT <idx> <idx>|GET <get>}"),
    (Exact, "SORT (<nums>|<list>) BY nosort BY <by> {DESC|LIMIT <idx> <idx>}"),
    (Unordered, "SORT (<numset>|<set>) BY nosort {ASC|DESC|GET <get>}"),
    (Exact, "SORT (<nums>|<numset>|<numz>) {DESC|LIMIT <idx> <idx>|BY <by>|GET <get>} STORE <nums>"),
    (Exact, "SORT (<set>|<numset>|<zset>|<list>) ALPHA {DESC|LIMIT <idx> <idx>|GET <get>} STORE <list>"),
    (Exact, "SORT (<set>|<numset>|<zset>|<list>) BY nosort {DESC|LIMIT <idx> <idx>|GET <get>} STORE <list>"),
    (Exact, "SORT <nums> BY <by> ALPHA {DESC|GET <get>} STORE <nums>"),
    (Exact, "SORT_RO <key> STORE <key>"),
];

/// Lines that empty whole databases: rarer than the others, or there would be nothing to compare.
pub const RARE: &[Line] = &[(Exact, "FLUSHDB [ASYNC|SYNC]"), (Exact, "FLUSHALL [ASYNC|SYNC]")];

const LIST: &[Line] = &[
    (Exact, "LPUSH <list> <val>+"),
    (Exact, "RPUSH <list> <val>+"),
    (Exact, "RPUSH <list> <val>+"),
    (Exact, "LPUSHX <list> <val>+"),
    (Exact, "RPUSHX <list> <val>+"),
    (Exact, "LPOP <list> [<count>]"),
    (Exact, "RPOP <list> [<count>]"),
    (Exact, "LLEN <list>"),
    (Exact, "LINDEX <list> <idx>"),
    (Exact, "LINSERT <list> (BEFORE|AFTER) <val> <val>"),
    (Exact, "LSET <list> <idx> <val>"),
    (Exact, "LREM <list> <rank> <val>"),
    (Exact, "LTRIM <list> <idx> <idx>"),
    (Exact, "LRANGE <list> <idx> <idx>"),
    (Exact, "LRANGE <list> 0 -1"),
    (Exact, "LPOS <list> <val> {RANK <rank>|COUNT <posint>|MAXLEN <posint>}"),
    (Exact, "LMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT)"),
    (Exact, "RPOPLPUSH <list> <list>"),
    (Exact, "LMPOP #(<list>) (LEFT|RIGHT) [COUNT <posint>]"),
    (Exact, "BLPOP <list>+ <timeout>"),
    (Exact, "BRPOP <list>+ <timeout>"),
    (Exact, "BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT) <timeout>"),
    (Exact, "BRPOPLPUSH <list> <list> <timeout>"),
    (Exact, "BLMPOP <timeout> #(<list>) (LEFT|RIGHT) [COUNT <posint>]"),
];

const SET: &[Line] = &[
    (Exact, "SADD <set> <member>+"),
    (Exact, "SADD <set> <member>+"),
    (Exact, "SADD <set> <num>+"),
    (Exact, "SREM <set> <member>+"),
    (Exact, "SISMEMBER <set> <member>"),
    (Exact, "SMISMEMBER <set> <member>+"),
    (Exact, "SCARD <set>"),
    (Unordered, "SMEMBERS <set>"),
    (Exact, "SMOVE <set> <set> <member>"),
    (Unordered, "SINTER <set>+"),
    (Unordered, "SUNION <set>+"),
    (Unordered, "SDIFF <set>+"),
    (Exact, "SINTERSTORE <set> <set>+"),
    (Exact, "SUNIONSTORE <set> <set>+"),
    (Exact, "SDIFFSTORE <set> <set>+"),
    (Exact, "SINTERCARD #(<set>) [LIMIT <posint>]"),
    (Scan(2), "SSCAN <set> <odd-cursor>"),
    (Scan(2), "SSCAN <set> 0 {MATCH <pattern>|COUNT <posint>}"),
    (Random("SMEMBERS"), "SRANDMEMBER <set> [<count>]"),
    (Spop, "SPOP <set> [<count>]"),
];

const SORTED_SET: &[Line] = &[
    (Exact, "ZADD <zset> (<score> <member>)+"),
    (Exact, "ZADD <zset> (<score> <member>)+"),
    (Exact, "ZADD <zset> {NX|XX|GT|LT|CH} (<score> <member>)+"),
    (Exact, "ZADD <zset> {NX|XX|GT|LT|CH} [INCR] <score> <member>"),
    (Exact, "ZADD <lex> 0 <member>"),
    (Exact, "ZADD <lex> (0 <member>)+"),
    (Exact, "ZINCRBY <zset> <score> <member>"),
    (Exact, "ZREM <zset> <member>+"),
    (Exact, "ZSCORE <zset> <member>"),
    (Exact, "ZMSCORE <zset> <member>+"),
    (Exact, "ZCARD <zset>"),
    (Exact, "ZCOUNT <zset> <smin> <smin>"),
    (Exact, "ZLEXCOUNT <lex> <lmin> <lmin>"),
    (Exact, "ZRANK <zset> <member>"),
    (Exact, "ZREVRANK <zset> <member>"),
    (Exact, "ZRANGE <zset> <idx> <idx> {REV|WITHSCORES}"),
    (Exact, "ZRANGE <zset> 0 -1 {REV|WITHSCORES|LIMIT <idx> <idx>}"),
    (Exact, "ZRANGE <zset> <smin> <smin> BYSCORE {REV|WITHSCORES|LIMIT <idx> <idx>}"),
    (Exact, "ZRANGE <lex> <lmin> <lmin> BYLEX {REV|WITHSCORES|LIMIT <idx> <idx>}"),
    (Exact, "ZREVRANGE <zset> <idx> <idx> [WITHSCORES]"),
    (Exact, "ZRANGEBYSCORE <zset> <smin> <smin> {WITHSCORES|LIMIT <idx> <idx>}"),
    (Exact, "ZREVRANGEBYSCORE <zset> <smin> <smin> {WITHSCORES|LIMIT <idx> <idx>}"),
    (Exact, "ZRANGEBYLEX <lex> <lmin> <lmin> [LIMIT <idx> <idx>]"),
    (Exact, "ZREVRANGEBYLEX <lex> <lmin> <lmin> [LIMIT <idx> <idx>]"),
    (Exact, "ZRANGESTORE <zset> <zset> <idx> <idx> {REV|LIMIT <idx> <idx>}"),
    (Exact, "ZRANGESTORE <zset> <zset> <smin> <smin> BYSCORE {REV|LIMIT <idx> <idx>}"),
    (Exact, "ZRANGESTORE <zset> <lex> <lmin> <lmin> BYLEX {REV|LIMIT <idx> <idx>}"),
    (Exact, "ZREMRANGEBYRANK <zset> <idx> <idx>"),
    (Exact, "ZREMRANGEBYSCORE <zset> <smin> <smin>"),
    (Exact, "ZREMRANGEBYLEX <lex> <lmin> <lmin>"),
    (Exact, "ZPOPMIN <zset> [<count>]"),
    (Exact, "ZPOPMAX <zset> [<count>]"),
    (Exact, "ZMPOP #(<zset>) (MIN|MAX) [COUNT <posint>]"),
    (Exact, "BZPOPMIN <zset>+ <timeout>"),
    (Exact, "BZPOPMAX <zset>+ <timeout>"),
    (Exact, "BZMPOP <timeout> #(<zset>) (MIN|MAX) [COUNT <posint>]"),
    (Exact, "ZUNION #(<setz>) {AGGREGATE (SUM|MIN|MAX)|WITHSCORES}"),
    (Exact, "ZUNION 2 <setz> <setz> {WEIGHTS <score> <score>|AGGREGATE (SUM|MIN|MAX)|WITHSCORES}"),
    (Exact, "ZINTER #(<setz>) {AGGREGATE (SUM|MIN|MAX)|WITHSCORES}"),
    (Exact, "ZINTER 2 <setz> <setz> {WEIGHTS <score> <score>|AGGREGATE (SUM|MIN|MAX)|WITHSCORES}"),
    (Exact, "ZDIFF #(<setz>) [WITHSCORES]"),
    (Exact, "ZUNIONSTORE <zset> #(<setz>) {AGGREGATE (SUM|MIN|MAX)}"),
    (Exact, "ZUNIONSTORE <zset> 2 <setz> <setz> {WEIGHTS <score> <score>|AGGREGATE (SUM|MIN|MAX)}"),
    (Exact, "ZINTERSTORE <zset> #(<setz>) {AGGREGATE (SUM|MIN|MAX)}"),
    (Exact, "ZINTERSTORE <zset> 2 <setz> <setz> {WEIGHTS <score> <score>|AGGREGATE (SUM|MIN|MAX)}"),
    (Exact, "ZDIFFSTORE <zset> #(<setz>)"),
    (Exact, "ZINTERCARD #(<setz>) [LIMIT <posint>]"),
    (Scan(2), "ZSCAN <zset> <odd-cursor>"),
    (Scan(2), "ZSCAN <zset> 0 {MATCH <pattern>|COUNT <posint>}"),
    (Random("ZRANGE"), "ZRANDMEMBER <zset> [<count> [WITHSCORES]]"),
];

pub const HASH: &[Line] = &[
    (Exact, "HSET <hash> (<field> <val>)+"),
    (Exact, "HSET <hash> (<member> <val>)+"),
    (Exact, "HMSET <hash> (<field> <num>)+"),
    (Exact, "HSETNX <hash> <field> <val>"),
    (Exact, "HGET <hash> <field>"),
    (Exact, "HMGET <hash> <field>+"),
    (Pairs, "HGETALL <hash>"),
    (Exact, "HDEL <hash> <field>+"),
    (Exact, "HDEL <hash> <member>+"),
    (Exact, "HEXISTS <hash> <field>"),
    (Exact, "HLEN <hash>"),
    (Exact, "HSTRLEN <hash> <field>"),
    (Unordered, "HKEYS <hash>"),
    (Unordered, "HVALS <hash>"),
    (Exact, "HINCRBY <hash> <field> <int>"),
    (Exact, "HINCRBYFLOAT <hash> <field> <float>"),
    (Scan(2), "HSCAN <hash> <odd-cursor> [MATCH <pattern>]"),
    (Scan(2), "HSCAN <hash> 0 {MATCH <pattern>|COUNT <posint>}"),
    (Random("HGETALL"), "HRANDFIELD <hash> [<count> [WITHVALUES]]"),
];

/// Times of fields: what Redis has from 7.4 on. Compared where such a server can be had.
pub const FIELD_TIMES: &[Line] = &[
    (Exact, "HEXPIRE <hash> <secs> [(NX|XX)] FIELDS #(<field>)"),
    (Exact, "HPEXPIRE <hash> <ms> [(NX|XX)] FIELDS #(<field>)"),
    (Exact, "HEXPIREAT <hash> <at> [(NX|XX|GT|LT)] FIELDS #(<field>)"),
    (Exact, "HPEXPIREAT <hash> <at-ms> [(NX|XX|GT|LT)] FIELDS #(<field>)"),
    (Exact, "HPEXPIREAT <hash> <at-ms> FIELDS #(<member>)"),
    (Near(2), "HTTL <hash> FIELDS #(<field>)"),
    (Near(2_000), "HPTTL <hash> FIELDS #(<field>)"),
    (Near(2), "HEXPIRETIME <hash> FIELDS #(<field>)"),
    (Near(2_000), "HPEXPIRETIME <hash> FIELDS #(<field>)"),
    (Exact, "HPERSIST <hash> FIELDS #(<field>)"),
    (Encoding, "OBJECT ENCODING <hash>"),
];

/// Values of fields together with their times: from 8.0 on.
pub const FIELD_TIMES_AND_VALUES: &[Line] = &[
    (Exact, "HGETDEL <hash> FIELDS #(<field>)"),
    (Exact, "HGETEX <hash> [(PERSIST|EX <secs>|PX <ms>|EXAT <at>|PXAT <at-ms>)] FIELDS #(<field>)"),
    (
        Exact,
        "HSETEX <hash> [(FNX|FXX)] [(KEEPTTL|EX <secs>|PX <ms>|EXAT <at>|PXAT <at-ms>)] FIELDS #(<field> <val>)",
    ),
];

const BITMAP: &[Line] = &[
    (Exact, "SET <str> <val>"),
    (Exact, "SET <str> <num>"),
    (Exact, "GET <str>"),
    (Exact, "SETBIT <str> <bitoff> <bit>"),
    (Exact, "SETBIT <str> <bitoff> <bit>"),
    (Exact, "GETBIT <str> <bitoff>"),
    (Exact, "BITCOUNT <str> [<bitidx> <bitidx> [BYTE|BIT]]"),
    (Exact, "BITCOUNT <str> <idx> <idx> [BYTE|BIT]"),
    (Exact, "BITPOS <str> <bit> [<bitidx> [<bitidx> [BYTE|BIT]]]"),
    (Exact, "BITPOS <str> <bit> <idx> <idx> [BYTE|BIT]"),
    (Exact, "BITOP (AND|OR|XOR) <str> <str>+"),
    (Exact, "BITOP NOT <str> <str>"),
    (Exact, "BITOP (AND|OR|XOR|NOT|NAND) <str> <str>+"),
    (
        Exact,
        "BITFIELD <str> {GET <field-type> <field-offset>|SET <field-type> <field-offset> <int>|INCRBY <field-type> <field-offset> <int>|OVERFLOW (WRAP|SAT|FAIL)}",
    ),
    (Exact, "BITFIELD <str> OVERFLOW (WRAP|SAT|FAIL) (SET|INCRBY) <field-type> <field-offset> <num>"),
    (Exact, "BITFIELD_RO <str> (GET <field-type> <field-offset>)+"),
    (Exact, "BITFIELD_RO <str> {GET <field-type> <field-offset>|SET <field-type> <field-offset> <int>}"),
];

const HYPERLOGLOG: &[Line] = &[
    (Exact, "PFADD <hll> <member>+"),
    (Exact, "PFADD <hll> <val>+"),
    (Exact, "PFADD <hll> <element>+"),
    (Exact, "PFADD <hll>"),
    (Exact, "PFCOUNT <hll>"),
    (Exact, "PFCOUNT <hll> <hll>+"),
    (Exact, "PFMERGE <hll> <hll>+"),
    (Exact, "PFMERGE <hll>"),
    (Exact, "PFDEBUG (ENCODING|DECODE|TODENSE|GETREG) <hll>"),
    (Exact, "PFDEBUG (DECODE|ENCODING) <hll>"),
    (Exact, "GET <hll>"),
    (Exact, "DEL <hll>"),
    (Exact, "COPY <hll> <hll> REPLACE"),
    (Exact, "SET <hll> <hll-bytes>"),
    (Exact, "SETRANGE <hll> 8 <hll-cache>"),
    (Exact, "OBJECT ENCODING <hll>"),
];

const GEO: &[Line] = &[
    (Exact, "GEOADD <geo> (<lon> <lat> <place>)+"),
    (Exact, "GEOADD <geo> (<lon> <lat> <place>)+"),
    (Exact, "GEOADD <geo> {NX|XX|CH} (<lon> <lat> <place>)+"),
    (Exact, "ZADD <geo> <score> <place>"),
    (Exact, "ZREM <geo> <place>+"),
    (Exact, "ZRANGE <geo> 0 -1 WITHSCORES"),
    (Exact, "GEODIST <geo> <place> <place> [<unit>]"),
    (Exact, "GEOHASH <geo> <place>+"),
    (Exact, "GEOPOS <geo> <place>+"),
    (
        Exact,
        "GEORADIUS <geo> <lon> <lat> <length> <unit> {WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <posint> [ANY]}",
    ),
    (
        Exact,
        "GEORADIUS <geo> <lon> <lat> <length> <unit> [ASC|DESC|COUNT <posint> [ANY]] (STORE|STOREDIST) <geo>",
    ),
    (
        Exact,
        "GEORADIUS_RO <geo> <lon> <lat> <length> <unit> {WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <posint> [ANY]|STORE <geo>}",
    ),
    (
        Exact,
        "GEORADIUSBYMEMBER <geo> <place> <length> <unit> {WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <posint> [ANY]}",
    ),
    (
        Exact,
        "GEORADIUSBYMEMBER <geo> <place> <length> <unit> [ASC|DESC|COUNT <posint> [ANY]] (STORE|STOREDIST) <geo>",
    ),
    (
        Exact,
        "GEORADIUSBYMEMBER_RO <geo> <place> <length> <unit> {WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <posint> [ANY]}",
    ),
    (
        Exact,
        "GEOSEARCH <geo> (FROMMEMBER <place>|FROMLONLAT <lon> <lat>) (BYRADIUS <length> <unit>|BYBOX <length> <length> <unit>) {WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <posint> [ANY]}",
    ),
    (
        Exact,
        "GEOSEARCH <geo> (FROMMEMBER <place>|FROMLONLAT <lon> <lat>) (BYRADIUS <length> <unit>|BYBOX <length> <length> <unit>) (ASC|DESC) COUNT <posint> WITHDIST",
    ),
    (
        Exact,
        "GEOSEARCH <geo> {FROMMEMBER <place>|FROMLONLAT <lon> <lat>} {BYRADIUS <length> <unit>|BYBOX <length> <length> <unit>} {WITHCOORD|STOREDIST|ANY|COUNT <posint>}",
    ),
    (
        Exact,
        "GEOSEARCHSTORE <geo> <geo> (FROMMEMBER <place>|FROMLONLAT <lon> <lat>) (BYRADIUS <length> <unit>|BYBOX <length> <length> <unit>) {STOREDIST|ASC|DESC|COUNT <posint> [ANY]}",
    ),
    (
        Exact,
        "GEOSEARCHSTORE <geo> <geo> {FROMMEMBER <place>|FROMLONLAT <lon> <lat>|BYRADIUS <length> <unit>|BYBOX <length> <length> <unit>|STOREDIST|WITHDIST}",
    ),
];

const STREAM: &[Line] = &[
    (Exact, "XADD <stream> <newid> (<field> <val>)+"),
    (Exact, "XADD <stream> <newid> name <val> age <num>"),
    (Exact, "XADD <stream> <newid> name <val> age <num>"),
    (Exact, "XADD <stream> <newid> name <val> age <num>"),
    (Exact, "XADD <stream> <newid> <member> <num>"),
    (
        Exact,
        "XADD <stream> {NOMKSTREAM|MAXLEN <slen>|MAXLEN = <slen>|MAXLEN ~ <slen>|MINID <sid>|MINID = <sid>|MINID ~ <sid>|\
         MAXLEN ~ <slen> LIMIT <posint>|LIMIT <posint>} <newid> name <val> age <num>",
    ),
    (Exact, "XADD <far> <farid> f <val>"),
    (Exact, "XADD <far> NOMKSTREAM [MAXLEN ~ <slen>] * f <val>"),
    (Exact, "XTRIM <stream> MAXLEN [(=|~)] <slen> [LIMIT <posint>]"),
    (Exact, "XTRIM <stream> MINID [(=|~)] <sid> [LIMIT <posint>]"),
    (Exact, "XLEN <stream>"),
    (Exact, "XRANGE <stream> <sstart> <send> [COUNT <count>]"),
    (Exact, "XRANGE <far> - <last>"),
    (Exact, "XREVRANGE <stream> <send> <sstart> [COUNT <count>]"),
    (Exact, "XDEL <stream> <sid>+"),
    (Exact, "XDEL <stream> <sid>"),
    (Exact, "XSETID <stream> <newid> {ENTRIESADDED <slen>|MAXDELETEDID <sid>}"),
    (Exact, "XREAD [COUNT <count>] STREAMS <stream> <sid>"),
    (Exact, "XREAD {COUNT <count>|BLOCK <blockms>} STREAMS <stream> <stream> <sid> <sid>"),
    (Exact, "XREAD BLOCK <blockms> STREAMS <stream> $"),
    (Exact, "XGROUP CREATE <stream> <group> (<sid>|0|$) {MKSTREAM|ENTRIESREAD <posint>}"),
    (Exact, "XGROUP CREATE <stream> <group> 0"),
    (Exact, "XGROUP SETID <stream> <group> (<sid>|0|$) [ENTRIESREAD <posint>]"),
    (Exact, "XGROUP DESTROY <stream> <group>"),
    (Exact, "XGROUP CREATECONSUMER <stream> <group> <consumer>"),
    (Exact, "XGROUP DELCONSUMER <stream> <group> <consumer>"),
    (
        Exact,
        "XREADGROUP GROUP <group> <consumer> {COUNT <count>|BLOCK <blockms>|NOACK} STREAMS <stream> <new>",
    ),
    (Exact, "XREADGROUP GROUP <group> <consumer> COUNT 3 STREAMS <stream> <new>"),
    (Exact, "XREADGROUP GROUP <group> <consumer> {COUNT <count>|NOACK} STREAMS <stream> (<sid>|0)"),
    (
        Exact,
        "XREADGROUP GROUP <group> <consumer> {COUNT <count>|NOACK} STREAMS <stream> <stream> <new> (<new>|<sid>)",
    ),
    (Exact, "XREADGROUP {COUNT <count>|NOACK} GROUP STREAMS STREAMS STREAMS <stream> <new>"),
    (Exact, "XACK <stream> <group> <sid>+"),
    (Exact, "XPENDING <stream> <group>"),
    (Times, "XPENDING <stream> <group> <sstart> <send> <count> [<consumer>]"),
    (Times, "XPENDING <stream> <group> IDLE <minidle> <sstart> <send> <count> [<consumer>]"),
    (
        Exact,
        "XCLAIM <stream> <group> <consumer> <minidle> <sid>+ {IDLE <idle>|TIME <at-ms>|RETRYCOUNT <posint>|FORCE|JUSTID|LASTID <sid>}",
    ),
    (Exact, "XCLAIM <stream> <group> <consumer> 0 <sid>+ {IDLE 5000000|FORCE|JUSTID}"),
    (Exact, "XAUTOCLAIM <stream> <group> <consumer> <minidle> <sstart> {COUNT <rank>|JUSTID}"),
    (Exact, "XINFO STREAM <stream>"),
    (Times, "XINFO STREAM <stream> FULL [COUNT <rank>]"),
    (Exact, "XINFO GROUPS <stream>"),
    (Times, "XINFO CONSUMERS <stream> <group>"),
    (Exact, "DEBUG DIGEST-VALUE <stream>"),
];
