//! Crc, glob, numbers, clock and random traits, limits: what every other module may use.
