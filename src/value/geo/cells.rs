//! Which cells a search must look at: the one with the centre in it and those around it, of such a size that they cover the area.

use super::{EARTH_RADIUS_M, Point, RANGES, STEPS_MAX, decode, degrees, encode, radians};
use std::ops::Range;

/// Half of the equator in Web Mercator, in metres.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

/// The area of a search around its centre; all in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// A circle.
    Circle {
        /// Its radius.
        radius_m: f64,
    },
    /// A rectangle whose sides run north and east.
    Box {
        /// From west to east.
        width_m: f64,
        /// From north to south.
        height_m: f64,
        /// From the centre to a corner.
        reach_m: f64,
    },
}

impl Shape {
    /// A circle, its radius in units of so many metres.
    pub fn circle(radius: f64, unit_m: f64) -> Shape {
        Shape::Circle { radius_m: radius * unit_m }
    }

    /// A rectangle, its sides in units of so many metres.
    pub fn rectangle(width: f64, height: f64, unit_m: f64) -> Shape {
        let reach = ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt();
        Shape::Box { width_m: width * unit_m, height_m: height * unit_m, reach_m: reach * unit_m }
    }

    /// Metres from the centre to a point, if the point lies in the area.
    pub fn distance_within(&self, centre: Point, point: Point) -> Option<f64> {
        match *self {
            Shape::Circle { radius_m } => {
                let distance_m = centre.distance_m(point);
                // Written so that a distance that is no number passes, as in Redis.
                if distance_m > radius_m { None } else { Some(distance_m) }
            }
            Shape::Box { width_m, height_m, .. } => {
                let beside = Point { longitude: centre.longitude, ..point };
                if point.latitude_distance_m(centre) > height_m / 2.0
                    || point.distance_m(beside) > width_m / 2.0
                {
                    return None;
                }
                Some(centre.distance_m(point))
            }
        }
    }

    fn reach_m(&self) -> f64 {
        match *self {
            Shape::Circle { radius_m } => radius_m,
            Shape::Box { reach_m, .. } => reach_m,
        }
    }

    /// West, south, east and north end, in degrees.
    fn bounds(&self, centre: Point) -> [f64; 4] {
        let (half_width_m, half_height_m) = match *self {
            Shape::Circle { radius_m } => (radius_m, radius_m),
            Shape::Box { width_m, height_m, .. } => (width_m / 2.0, height_m / 2.0),
        };
        let Point { longitude, latitude } = centre;
        let north = degrees(half_height_m / EARTH_RADIUS_M);
        // The area is widest, in degrees, where it is nearest to a pole.
        let nearest_to_pole = if latitude < 0.0 { latitude - north } else { latitude + north };
        let east = degrees(half_width_m / EARTH_RADIUS_M / radians(nearest_to_pole).cos());
        [longitude - east, latitude - north, longitude + east, latitude + north]
    }
}

/// Bits a coordinate at which a cell and its neighbours cover so much, or nearly.
fn steps_for(mut reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let mut steps = 1i32;
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        steps += 1;
    }
    steps -= 2;
    // Towards the poles cells become narrow.
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32) as u32
}

/// The cell so many cells to the east and to the north; beyond an edge of the map, the one at the opposite edge.
fn neighbour(bits: u64, steps: u32, east: i32, north: i32) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let unused = 64 - steps * 2;
    // A sum carries over the other coordinate's bits if those are all set, a difference if they are clear.
    let shifted = |own: u64, others: u64, by: i32| match by {
        0 => own,
        1.. => own.wrapping_add(others + 1),
        ..0 => (own | others).wrapping_sub(others + 1),
    };
    let longitude = shifted(bits & EVEN << 1, EVEN >> unused, east);
    let latitude = shifted(bits & EVEN, (EVEN << 1) >> unused, north);
    let keep = |moved: u64, by: i32, mask: u64| if by == 0 { moved } else { moved & mask >> unused };
    keep(longitude, east, EVEN << 1) | keep(latitude, north, EVEN)
}

/// Directions (east, north) in the order in which cells are searched: it is the order of unsorted results.
const DIRECTIONS: [(i32, i32); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// Whether a search that finds the area well within the middle cell may skip a neighbour.
fn is_useless(direction: (i32, i32), area: &super::Ranges, bounds: [f64; 4]) -> bool {
    let [west, south, east, north] = bounds;
    (direction.1 < 0 && area.latitude.0 < south)
        || (direction.1 > 0 && area.latitude.1 > north)
        || (direction.0 < 0 && area.longitude.0 < west)
        || (direction.0 > 0 && area.longitude.1 > east)
}

/// The ranges of scores that may hold points of an area, in the order in which to search them. A member may lie in several where
/// the area spans the globe.
pub fn cells_around(centre: Point, shape: &Shape) -> impl Iterator<Item = Range<u64>> {
    let bounds = shape.bounds(centre);
    let [west, south, east, north] = bounds;
    let mut steps = steps_for(shape.reach_m(), centre.latitude);
    let mut bits = encode(centre, RANGES, steps);
    let beside = |east: i32, north: i32| decode(neighbour(bits, steps, east, north), steps);
    let too_small = beside(0, 1).latitude.1 < north
        || beside(0, -1).latitude.0 > south
        || beside(1, 0).longitude.1 < east
        || beside(-1, 0).longitude.0 > west;
    if steps > 1 && too_small {
        steps -= 1;
        bits = encode(centre, RANGES, steps);
    }
    let area = decode(bits, steps);
    let mut last = None;
    DIRECTIONS.into_iter().enumerate().filter_map(move |(index, direction)| {
        if steps >= 2 && is_useless(direction, &area, bounds) {
            return None;
        }
        let cell = neighbour(bits, steps, direction.0, direction.1);
        // Of cells that span the globe, neighbours are the same.
        if last == Some(cell) {
            return None;
        }
        if index > 0 {
            last = Some(cell);
        }
        let shift = 52 - steps * 2;
        Some(cell << shift..(cell + 1) << shift)
    })
}
