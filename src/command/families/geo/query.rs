//! What a search asks for.

use super::{place, point, unit_m};
use crate::base::num::parse_f64;
use crate::command::CommandError;
use crate::command::args::int;
use crate::value::ZSet;
use crate::value::geo::{Point, Shape};

/// Which command searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// GEORADIUS, GEORADIUS_RO.
    Radius,
    /// GEORADIUSBYMEMBER, GEORADIUSBYMEMBER_RO.
    RadiusByMember,
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

/// The order of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they are found.
    Any,
    /// Nearest first.
    Ascending,
    /// Farthest first.
    Descending,
}

/// The area, read. Without a source key it need not be known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    /// Its centre.
    pub centre: Point,
    /// Its shape.
    pub shape: Shape,
    /// The unit of distances that are answered or stored, in metres.
    pub unit_m: f64,
}

/// What a search asks for.
#[derive(Debug)]
pub(super) struct Query<'a> {
    /// Where to search; `None` only if there is no source key.
    pub area: Option<Area>,
    /// Answer distances.
    pub with_distance: bool,
    /// Answer scores.
    pub with_hash: bool,
    /// Answer coordinates.
    pub with_point: bool,
    /// The order of results.
    pub order: Order,
    /// Most results; `None` for all.
    pub count: Option<usize>,
    /// Stop as soon as there are so many.
    pub any: bool,
    /// The key to store results in.
    pub store: Option<&'a [u8]>,
    /// Store distances in place of scores.
    pub store_distance: bool,
}

/// A query being read.
struct Parser<'a, 'z> {
    query: Query<'a>,
    kind: Kind,
    /// STORE and STOREDIST are known.
    may_store: bool,
    zset: Option<&'z ZSet>,
    centre: Option<Point>,
    shape: Option<(Shape, f64)>,
    from_member: bool,
    from_point: bool,
    /// STORE and STOREDIST were there.
    stored: [bool; 2],
}

fn radius_and_unit(radius: &[u8], unit: &[u8]) -> Result<(Shape, f64), CommandError> {
    let radius = parse_f64(radius).ok_or(CommandError::text("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(CommandError::text("ERR radius cannot be negative"));
    }
    let unit_m = unit_m(unit)?;
    Ok((Shape::circle(radius, unit_m), unit_m))
}

fn box_and_unit(width: &[u8], height: &[u8], unit: &[u8]) -> Result<(Shape, f64), CommandError> {
    let width = parse_f64(width).ok_or(CommandError::text("ERR need numeric width"))?;
    let height = parse_f64(height).ok_or(CommandError::text("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("ERR height or width cannot be negative"));
    }
    let unit_m = unit_m(unit)?;
    Ok((Shape::rectangle(width, height, unit_m), unit_m))
}

impl<'a> Query<'a> {
    /// Reads the arguments of a search in a sorted set, if there is one. `may_store` is false for the _RO forms.
    pub fn parse(
        args: &[&'a [u8]],
        kind: Kind,
        may_store: bool,
        zset: Option<&ZSet>,
    ) -> Result<Query<'a>, CommandError> {
        let query = Query {
            area: None,
            with_distance: false,
            with_hash: false,
            with_point: false,
            order: Order::Any,
            count: None,
            any: false,
            store: None,
            store_distance: false,
        };
        let mut parser = Parser {
            query,
            kind,
            may_store,
            zset,
            centre: None,
            shape: None,
            from_member: false,
            from_point: false,
            stored: [false; 2],
        };
        let rest = match kind {
            Kind::Radius => {
                parser.centre = Some(point(args[2], args[3])?);
                parser.shape = Some(radius_and_unit(args[4], args[5])?);
                &args[6..]
            }
            Kind::RadiusByMember => {
                if zset.is_some() {
                    parser.take_member(args[2])?;
                    parser.shape = Some(radius_and_unit(args[3], args[4])?);
                }
                &args[5..]
            }
            Kind::Search => &args[2..],
            Kind::SearchStore => {
                parser.query.store = Some(args[1]);
                &args[3..]
            }
        };
        parser.options(rest)?;
        parser.finish(args[0])
    }
}

impl<'a> Parser<'a, '_> {
    fn is_search(&self) -> bool {
        matches!(self.kind, Kind::Search | Kind::SearchStore)
    }

    fn take_member(&mut self, member: &[u8]) -> Result<(), CommandError> {
        if let Some(zset) = self.zset {
            let found = place(zset, member);
            self.centre =
                Some(found.ok_or(CommandError::text("ERR could not decode requested zset member"))?);
        }
        Ok(())
    }

    fn options(&mut self, args: &[&'a [u8]]) -> Result<(), CommandError> {
        let mut rest = args;
        while let [word, tail @ ..] = rest {
            rest = match self.flag(word) {
                true => tail,
                false => {
                    let taken = self.option(word, tail)?;
                    &tail[taken..]
                }
            };
        }
        Ok(())
    }

    /// Takes a word that stands for itself; false if it is none.
    fn flag(&mut self, word: &[u8]) -> bool {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let query = &mut self.query;
        if is("withdist") {
            query.with_distance = true;
        } else if is("withhash") {
            query.with_hash = true;
        } else if is("withcoord") {
            query.with_point = true;
        } else if is("any") {
            query.any = true;
        } else if is("asc") {
            query.order = Order::Ascending;
        } else if is("desc") {
            query.order = Order::Descending;
        } else if is("storedist") && self.kind == Kind::SearchStore {
            query.store_distance = true;
        } else {
            return false;
        }
        true
    }

    /// Takes a word with arguments; returns how many those were.
    fn option(&mut self, word: &[u8], tail: &[&'a [u8]]) -> Result<usize, CommandError> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match *tail {
            [count, ..] if is("count") => {
                let count = usize::try_from(int(count)?).ok().filter(|count| *count > 0);
                self.query.count = Some(count.ok_or(CommandError::text("ERR COUNT must be > 0"))?);
                Ok(1)
            }
            [key, ..] if (is("store") || is("storedist")) && self.may_store && !self.is_search() => {
                // Only the first key after each word is locked.
                if std::mem::replace(&mut self.stored[usize::from(is("storedist"))], true) {
                    return Err(CommandError::Syntax);
                }
                self.query.store = Some(key);
                self.query.store_distance = is("storedist");
                Ok(1)
            }
            [member, ..] if is("frommember") && self.is_search() && !self.from_point => {
                self.from_member = true;
                self.take_member(member)?;
                Ok(1)
            }
            [longitude, latitude, ..] if is("fromlonlat") && self.is_search() && !self.from_member => {
                self.from_point = true;
                self.centre = Some(point(longitude, latitude)?);
                Ok(2)
            }
            [radius, unit, ..] if is("byradius") && self.may_be(false) => {
                self.shape = Some(radius_and_unit(radius, unit)?);
                Ok(2)
            }
            [width, height, unit, ..] if is("bybox") && self.may_be(true) => {
                self.shape = Some(box_and_unit(width, height, unit)?);
                Ok(3)
            }
            _ => Err(CommandError::Syntax),
        }
    }

    /// Whether the area of a search may be a box, or a circle: not if it is the other already.
    fn may_be(&self, a_box: bool) -> bool {
        self.is_search() && self.shape.is_none_or(|(shape, _)| matches!(shape, Shape::Box { .. }) == a_box)
    }

    fn finish(self, name: &[u8]) -> Result<Query<'a>, CommandError> {
        let mut query = self.query;
        if query.store.is_some() && (query.with_distance || query.with_hash || query.with_point) {
            let what = match self.kind {
                Kind::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            let text = format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(CommandError::owned(text));
        }
        let is_search = matches!(self.kind, Kind::Search | Kind::SearchStore);
        let exactly_one = |of: &str| {
            let name = String::from_utf8_lossy(name);
            CommandError::owned(format!("ERR exactly one of {of} can be specified for {name}"))
        };
        if is_search && !self.from_member && !self.from_point {
            return Err(exactly_one("FROMMEMBER or FROMLONLAT"));
        }
        if is_search && self.shape.is_none() {
            return Err(exactly_one("BYRADIUS and BYBOX"));
        }
        if query.any && query.count.is_none() {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        // The nearest are meant unless any will do.
        if query.count.is_some() && query.order == Order::Any && !query.any {
            query.order = Order::Ascending;
        }
        query.area =
            self.centre.zip(self.shape).map(|(centre, (shape, unit_m))| Area { centre, shape, unit_m });
        Ok(query)
    }
}
