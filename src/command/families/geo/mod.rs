//! Commands on places in sorted sets: their part of the table, adding and looking up.

mod query;
mod search;

use super::sorted_set;
use crate::base::num::{format_human, parse_f64};
use crate::command::table::{Begin, Command, Find, Handler, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::resp::reply::Reply;
use crate::value::ZSet;
use crate::value::geo::Point;

const READ: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];

const fn stored_after(word: &'static str, from: i32) -> KeySpec {
    KeySpec { flags: key::OW | key::UPDATE, begin: Begin::Keyword(word, from), find: Find::Range(0, 1, 0) }
}

const RADIUS_KEYS: &[KeySpec] =
    &[KeySpec::one(key::RO | key::ACCESS, 1), stored_after("STORE", 6), stored_after("STOREDIST", 6)];
const RADIUS_BY_MEMBER_KEYS: &[KeySpec] =
    &[KeySpec::one(key::RO | key::ACCESS, 1), stored_after("STORE", 5), stored_after("STOREDIST", 5)];

const SEARCH_COST: &str = "O(N+log(M)) with N places in and around the area, M places in all";

const fn reader(name: &'static str, arity: i32, run: Handler) -> Command {
    Command::new(name, arity, READONLY, run).acl(acl::GEO).keys(READ)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("geoadd", -5, WRITE | DENYOOM, geoadd)
        .keys(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .acl(acl::GEO)
        .doc(
            "geo",
            "3.2.0",
            "O(log(N)) a place, with N places",
            "Adds places, or moves those that are there.",
            "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        ),
    reader("geodist", -4, geodist).doc(
        "geo",
        "3.2.0",
        "O(1)",
        "Returns the distance between two places.",
        "key member1 member2 [M | KM | FT | MI]",
    ),
    reader("geohash", -2, geohash).doc(
        "geo",
        "3.2.0",
        "O(1) a place",
        "Returns the geohash texts of places.",
        "key [member [member ...]]",
    ),
    reader("geopos", -2, geopos).doc(
        "geo",
        "3.2.0",
        "O(1) a place",
        "Returns longitude and latitude of places.",
        "key [member [member ...]]",
    ),
    reader("geosearch", -7, search::geosearch).doc(
        "geo",
        "6.2.0",
        SEARCH_COST,
        "Finds the places in a circle or a box.",
        "key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius M | KM | FT | MI | \
         BYBOX width height M | KM | FT | MI [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    ),
    Command::new("geosearchstore", -8, WRITE | DENYOOM, search::geosearchstore)
        .keys(&[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::one(key::RO | key::ACCESS, 2)])
        .acl(acl::GEO)
        .doc(
            "geo",
            "6.2.0",
            SEARCH_COST,
            "Stores the places in a circle or a box in a key.",
            "destination source FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius M | KM | FT | MI | \
             BYBOX width height M | KM | FT | MI [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        ),
    Command::new("georadius", -6, WRITE | DENYOOM | MOVABLEKEYS, search::georadius)
        .keys(RADIUS_KEYS)
        .acl(acl::GEO)
        .doc(
            "geo",
            "3.2.0",
            SEARCH_COST,
            "Finds the places in a circle around a point, or stores them in a key.",
            "key longitude latitude radius M | KM | FT | MI [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        ),
    reader("georadius_ro", -6, search::georadius_ro).doc(
        "geo",
        "3.2.10",
        SEARCH_COST,
        "Finds the places in a circle around a point.",
        "key longitude latitude radius M | KM | FT | MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
         [ASC | DESC]",
    ),
    Command::new("georadiusbymember", -5, WRITE | DENYOOM | MOVABLEKEYS, search::georadiusbymember)
        .keys(RADIUS_BY_MEMBER_KEYS)
        .acl(acl::GEO)
        .doc(
            "geo",
            "3.2.0",
            SEARCH_COST,
            "Finds the places in a circle around one of them, or stores them in a key.",
            "key member radius M | KM | FT | MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
             [ASC | DESC] [STORE key | STOREDIST key]",
        ),
    reader("georadiusbymember_ro", -5, search::georadiusbymember_ro).doc(
        "geo",
        "3.2.10",
        SEARCH_COST,
        "Finds the places in a circle around one of them.",
        "key member radius M | KM | FT | MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
    ),
];

/// Reads a longitude and a latitude.
fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, CommandError> {
    let number = |text: &[u8]| parse_f64(text).ok_or(CommandError::NotFloat);
    let (longitude, latitude) = (number(longitude)?, number(latitude)?);
    Point::new(longitude, latitude).ok_or_else(|| {
        CommandError::owned(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// Reads a unit; how many metres it is.
fn unit_m(word: &[u8]) -> Result<f64, CommandError> {
    let known = [(&b"m"[..], 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    let found = known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found
        .map(|(_, metres)| metres)
        .ok_or(CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Writes a distance with four decimals.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even();
    // What fits no integer is the lowest, as in Redis.
    let scaled = if scaled.abs() < i64::MAX as f64 { scaled as i64 } else { i64::MIN };
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, decimals) = (scaled.unsigned_abs() / 10_000, scaled.unsigned_abs() % 10_000);
    reply.bulk(format!("{sign}{whole}.{decimals:04}"));
}

/// Writes longitude and latitude.
fn reply_point(reply: &mut Reply<'_>, point: Point) {
    reply.array(2);
    let mut text = Vec::with_capacity(24);
    for coordinate in [point.longitude, point.latitude] {
        text.clear();
        format_human(&mut text, coordinate);
        reply.double_text(&text);
    }
}

/// The place of a member.
fn place(zset: &ZSet, member: &[u8]) -> Option<Point> {
    zset.score(member).map(Point::from_score)
}

fn geoadd(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let is_option = |word: &&&[u8]| [&b"nx"[..], b"xx", b"ch"].iter().any(|it| word.eq_ignore_ascii_case(it));
    let has = |name: &[u8], words: &[&[u8]]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let (options, places) = args[2..].split_at(args[2..].iter().take_while(is_option).count());
    if !places.len().is_multiple_of(3) || (has(b"nx", options) && has(b"xx", options)) {
        return Err(CommandError::Syntax);
    }
    let scores: Vec<String> = places
        .chunks_exact(3)
        .map(|place| Ok(point(place[0], place[1])?.score().to_string()))
        .collect::<Result<_, CommandError>>()?;
    let mut zadd: Vec<&[u8]> = vec![b"ZADD", args[1]];
    zadd.extend_from_slice(options);
    for (score, place) in scores.iter().zip(places.chunks_exact(3)) {
        zadd.extend([score.as_bytes(), place[2]]);
    }
    sorted_set::zadd(ctx, &zadd)?;
    if ctx.dirty > 0 {
        ctx.log(&zadd);
    }
    DONE
}

fn geodist(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let unit_m = match &args[4..] {
        [] => 1.0,
        [word] => unit_m(word)?,
        _ => return Err(CommandError::Syntax),
    };
    let (zset, reply) = ctx.read_zset_with_reply(args[1])?;
    let of = |member: &[u8]| zset.and_then(|zset| place(zset, member));
    match (of(args[2]), of(args[3])) {
        (Some(one), Some(other)) => reply_distance(reply, one.distance_m(other) / unit_m),
        _ => reply.null(),
    }
    DONE
}

fn geohash(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (zset, reply) = ctx.read_zset_with_reply(args[1])?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        match zset.and_then(|zset| place(zset, member)) {
            Some(point) => reply.bulk(point.geohash()),
            None => reply.null(),
        }
    }
    DONE
}

fn geopos(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (zset, reply) = ctx.read_zset_with_reply(args[1])?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        match zset.and_then(|zset| place(zset, member)) {
            Some(point) => reply_point(reply, point),
            None => reply.null_array(),
        }
    }
    DONE
}

#[cfg(test)]
mod tests;
