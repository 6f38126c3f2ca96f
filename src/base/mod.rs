//! Crc, glob, numbers, clock and random traits, limits: what every other module may use.

pub mod crc;
pub mod glob;
pub mod limits;
pub mod long_double;
pub mod num;
pub mod random;
pub mod time;

pub use crc::crc64;
pub use long_double::LongDouble;
pub use random::Rng;
pub use time::{Clock, ManualClock, SystemClock};
