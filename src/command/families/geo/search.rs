//! Searching: GEOSEARCH, GEORADIUS and their kin.

use super::query::{Area, Kind, Order, Query};
use super::{reply_distance, reply_point};
use crate::command::elements::bulk_element;
use crate::command::families::sorted_set_range::{log_content, store, unstorable};
use crate::command::{CommandResult, Context, DONE};
use crate::resp::reply::Reply;
use crate::value::geo::{Point, cells_around, sort_first};
use crate::value::zset::{ScoreBound, ZSetBuilder};
use crate::value::{Element, ZSet};

pub(super) fn georadius(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    search(ctx, args, Kind::Radius, true)
}

pub(super) fn georadius_ro(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    search(ctx, args, Kind::Radius, false)
}

pub(super) fn georadiusbymember(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    search(ctx, args, Kind::RadiusByMember, true)
}

pub(super) fn georadiusbymember_ro(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    search(ctx, args, Kind::RadiusByMember, false)
}

pub(super) fn geosearch(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    search(ctx, args, Kind::Search, false)
}

pub(super) fn geosearchstore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    search(ctx, args, Kind::SearchStore, true)
}

/// A member in the area.
struct Found<'a> {
    member: Element<'a>,
    score: f64,
    point: Point,
    /// From the centre.
    distance_m: f64,
}

/// The members in the area as the query orders and limits them.
fn find<'z>(zset: &'z ZSet, area: &Area, query: &Query<'_>) -> Vec<Found<'z>> {
    let limit = query.count.filter(|_| query.any).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for cell in cells_around(area.centre, &area.shape) {
        if found.len() >= limit {
            break;
        }
        let (min, max) = (cell.start as f64, cell.end as f64);
        let ranks = zset.score_range(ScoreBound::inclusive(min), ScoreBound::exclusive(max));
        let within = zset.iter_range(ranks.start, ranks.len(), false).filter_map(|(member, score)| {
            let point = Point::from_score(score);
            let distance_m = area.shape.distance_within(area.centre, point)?;
            Some(Found { member, score, point, distance_m })
        });
        found.extend(within.take(limit - found.len()));
    }
    let wanted = query.count.unwrap_or(usize::MAX).min(found.len());
    let ascending = |a: &Found<'_>, b: &Found<'_>| a.distance_m.total_cmp(&b.distance_m);
    let descending = |a: &Found<'_>, b: &Found<'_>| b.distance_m.total_cmp(&a.distance_m);
    match (query.order, wanted < found.len()) {
        (Order::Any, _) => {}
        (Order::Ascending, false) => found.sort_by(ascending),
        (Order::Descending, false) => found.sort_by(descending),
        (Order::Ascending, true) => sort_first(&mut found, wanted, ascending),
        (Order::Descending, true) => sort_first(&mut found, wanted, descending),
    }
    found.truncate(wanted);
    found
}

fn search(ctx: &mut Context<'_, '_>, args: &[&[u8]], kind: Kind, may_store: bool) -> CommandResult {
    let source = args[if kind == Kind::SearchStore { 2 } else { 1 }];
    let (zset, reply) = ctx.read_zset_with_reply(source)?;
    let query = Query::parse(args, kind, may_store, zset)?;
    // Without a source there may be no area.
    let found = match (zset, &query.area) {
        (Some(zset), Some(area)) => find(zset, area, &query),
        _ => Vec::new(),
    };
    let unit_m = query.area.map_or(1.0, |area| area.unit_m);
    let Some(target) = query.store else {
        reply_found(reply, &found, &query, unit_m);
        return DONE;
    };
    let (mut pairs, mut buffer) = (ZSetBuilder::new(), itoa::Buffer::new());
    for it in &found {
        let score = if query.store_distance { it.distance_m / unit_m } else { it.score };
        pairs.push(it.member.as_bytes(&mut buffer), score).map_err(unstorable)?;
    }
    let len = pairs.len();
    let event = if kind == Kind::SearchStore { "geosearchstore" } else { "georadiusstore" };
    store(ctx, target, pairs, event)?;
    ctx.dirty += len.saturating_sub(1) as u64;
    if ctx.dirty > 0 {
        // Sines may differ between machines in their last digit, and with them who is in the area: what was found is logged.
        log_content(ctx, target)?;
    }
    DONE
}

fn reply_found(reply: &mut Reply<'_>, found: &[Found<'_>], query: &Query<'_>, unit_m: f64) {
    let extras =
        usize::from(query.with_distance) + usize::from(query.with_hash) + usize::from(query.with_point);
    reply.array(found.len());
    for it in found {
        if extras > 0 {
            reply.array(extras + 1);
        }
        bulk_element(reply, it.member);
        if query.with_distance {
            reply_distance(reply, it.distance_m / unit_m);
        }
        if query.with_hash {
            reply.int(it.score as i64);
        }
        if query.with_point {
            reply_point(reply, it.point);
        }
    }
}
