//! Places on the globe as scores of a sorted set: 52 bits, the halves of which a range of longitudes and one of latitudes are halved
//! by, in turn. Scores and distances are the very numbers that Redis works with, so each step is done in its order.

mod cells;
mod sort;

pub use cells::{Shape, cells_around};
pub use sort::sort_first;

/// Largest longitude, in degrees; the smallest is its negation.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Largest latitude, in degrees, where Web Mercator ends; the smallest is its negation.
pub const LATITUDE_MAX: f64 = 85.051_128_78;
/// Radius of the globe, in metres.
const EARTH_RADIUS_M: f64 = 6_372_797.560856;
/// Bits of each coordinate.
const STEPS_MAX: u32 = 26;

/// A place, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

/// Smallest and largest value of each coordinate.
#[derive(Debug, Clone, Copy)]
struct Ranges {
    longitude: (f64, f64),
    latitude: (f64, f64),
}

/// What scores are made with.
const RANGES: Ranges =
    Ranges { longitude: (-LONGITUDE_MAX, LONGITUDE_MAX), latitude: (-LATITUDE_MAX, LATITUDE_MAX) };
/// What the geohash known elsewhere is made with.
const STANDARD_RANGES: Ranges = Ranges { longitude: (-180.0, 180.0), latitude: (-90.0, 90.0) };

impl Point {
    /// A place; `None` outside of what can be kept.
    pub fn new(longitude: f64, latitude: f64) -> Option<Point> {
        let is_on_map = (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        is_on_map.then_some(Point { longitude, latitude })
    }

    /// The score that keeps the place.
    pub fn score(self) -> u64 {
        encode(self, RANGES, STEPS_MAX)
    }

    /// The middle of the cell that a score means; any score means one.
    pub fn from_score(score: f64) -> Point {
        let area = decode(bits_of_score(score), STEPS_MAX);
        let middle = |(min, max): (f64, f64), limit: f64| ((min + max) / 2.0).clamp(-limit, limit);
        Point {
            longitude: middle(area.longitude, LONGITUDE_MAX),
            latitude: middle(area.latitude, LATITUDE_MAX),
        }
    }

    /// The standard geohash: eleven characters, the last of which is always `0`.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = encode(self, STANDARD_RANGES, STEPS_MAX);
        let mut text = [b'0'; 11];
        for (index, character) in text.iter_mut().take(10).enumerate() {
            *character = ALPHABET[(bits >> (52 - (index + 1) * 5) & 0x1f) as usize];
        }
        text
    }

    /// Metres to another place along a great circle (haversine).
    pub fn distance_m(self, other: Point) -> f64 {
        let v = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance_m(other);
        }
        let (here, there) = (radians(self.latitude), radians(other.latitude));
        let u = ((there - here) / 2.0).sin();
        let a = u * u + here.cos() * there.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }

    /// Metres to another place, as if it had the same longitude.
    fn latitude_distance_m(self, other: Point) -> f64 {
        EARTH_RADIUS_M * (radians(other.latitude) - radians(self.latitude)).abs()
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// The bits of a score, as a C program on x86-64 casts a double: scores that no place has mean something, too.
fn bits_of_score(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    let signed = |value: f64| if (-HALF..HALF).contains(&value) { value as i64 } else { i64::MIN };
    if score < HALF { signed(score) as u64 } else { signed(score - HALF) as u64 ^ 1 << 63 }
}

/// Spreads 32 bits over the even ones of 64.
fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Gathers the even bits; the inverse of [`spread`].
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

/// The cell of a place at `steps` (1 to 26) bits a coordinate: latitude in the even bits, longitude in the odd ones. The upper end
/// of a range falls into a cell of its own, one bit longer.
fn encode(point: Point, ranges: Ranges, steps: u32) -> u64 {
    let fixed =
        |value: f64, (min, max): (f64, f64)| ((value - min) / (max - min) * (1u64 << steps) as f64) as u32;
    spread(fixed(point.latitude, ranges.latitude)) | spread(fixed(point.longitude, ranges.longitude)) << 1
}

/// The area of a cell.
fn decode(bits: u64, steps: u32) -> Ranges {
    let range = |at: u32, (min, max): (f64, f64)| {
        let edge = |at: u32| min + (f64::from(at) / (1u64 << steps) as f64) * (max - min);
        (edge(at), edge(at.wrapping_add(1)))
    };
    Ranges {
        longitude: range(gather(bits >> 1), RANGES.longitude),
        latitude: range(gather(bits), RANGES.latitude),
    }
}

#[cfg(test)]
mod tests;
