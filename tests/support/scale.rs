//! How much of the long tests is run.

/// `OUTRIGGER_TEST_SCALE`: how many times longer than by default the long tests run; 1 by default.
pub fn scale() -> f64 {
    match std::env::var("OUTRIGGER_TEST_SCALE") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("OUTRIGGER_TEST_SCALE={text} is no number")),
        Err(_) => 1.0,
    }
}

/// `count`, scaled.
pub fn scaled(count: usize) -> usize {
    (count as f64 * scale()).ceil() as usize
}
