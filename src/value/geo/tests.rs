use super::*;
use proptest::prelude::*;

fn palermo() -> Point {
    Point::new(13.361389, 38.115556).unwrap()
}

fn catania() -> Point {
    Point::new(15.087269, 37.502669).unwrap()
}

#[test]
fn scores_are_those_of_redis() {
    assert_eq!((palermo().score(), catania().score()), (3_479_099_956_230_698, 3_479_447_370_796_909));
    let there = Point::from_score(palermo().score() as f64);
    assert_eq!((there.longitude, there.latitude), (13.361_389_338_970_184, 38.115_556_395_496_3));
    assert_eq!(&there.geohash(), b"sqc8b49rny0");
    let distance_m = there.distance_m(Point::from_score(catania().score() as f64));
    assert_eq!(format!("{distance_m:.4}"), "166274.1516");
}

#[test]
fn what_is_off_the_map_is_refused() {
    assert!(Point::new(180.0, 85.05112878).is_some() && Point::new(-180.0, -85.05112878).is_some());
    for (longitude, latitude) in [(180.1, 0.0), (-181.0, 0.0), (0.0, 85.06), (0.0, -86.0), (f64::NAN, 0.0)] {
        assert_eq!(Point::new(longitude, latitude), None);
    }
}

#[test]
fn scores_of_no_place_mean_one() {
    assert_eq!(bits_of_score(-1.0), u64::MAX);
    assert_eq!(bits_of_score(1e300), 0);
    assert_eq!(bits_of_score(-1e300), 1 << 63);
    assert_eq!(bits_of_score(2f64.powi(63)), 1 << 63);
    for score in [-1.0, 0.5, 1e18, 1.5e19, 1e300, f64::INFINITY, f64::NEG_INFINITY] {
        let point = Point::from_score(score);
        assert!(Point::new(point.longitude, point.latitude).is_some(), "{score} {point:?}");
    }
}

/// The partial sort's order of equal items is checked against stock servers by the differential test.
#[test]
fn antipodes_are_half_the_globe_away() {
    let (here, there) = (Point::new(0.0, 0.0).unwrap(), Point::new(180.0, 0.0).unwrap());
    assert_eq!(format!("{:.4}", here.distance_m(there)), "20020734.0000");
    assert_eq!(here.distance_m(here), 0.0);
}

fn points() -> impl Strategy<Value = Point> {
    (-180.0..=180.0, -85.05112878..=85.05112878)
        .prop_map(|(longitude, latitude)| Point::new(longitude, latitude).unwrap())
}

proptest! {
    #[test]
    fn a_score_keeps_a_place_within_a_metre(point in points()) {
        let kept = Point::from_score(point.score() as f64);
        prop_assert!(point.distance_m(kept) < 1.0);
        prop_assert_eq!(gather(spread(point.score() as u32)), point.score() as u32);
    }

    #[test]
    fn cells_cover_their_area(
        centre in points(),
        at in (0.0..1.0, 0.0..std::f64::consts::TAU),
        size_m in prop_oneof![1.0..1e3, 1e3..1e6],
    ) {
        prop_assume!(centre.latitude.abs() < 60.0);
        let north = degrees(size_m / EARTH_RADIUS_M) * at.0 * at.1.sin();
        let east = degrees(size_m / EARTH_RADIUS_M) * at.0 * at.1.cos() / radians(centre.latitude).cos();
        let Some(point) = Point::new(centre.longitude + east, centre.latitude + north) else { return Ok(()) };
        let score = point.score();
        for shape in [Shape::circle(size_m, 1.0), Shape::rectangle(size_m, size_m, 1.0)] {
            let within = shape.distance_within(centre, Point::from_score(score as f64)).is_some();
            let found = cells_around(centre, &shape).any(|cell| cell.contains(&score));
            prop_assert!(found || !within);
        }
    }

    #[test]
    fn the_first_items_are_sorted(mut items in prop::collection::vec(0u8..30, 0..200), wanted in 0usize..200) {
        let mut sorted = items.clone();
        sorted.sort_unstable();
        let wanted = wanted.min(items.len());
        sort_first(&mut items, wanted, u8::cmp);
        prop_assert_eq!(&items[..wanted], &sorted[..wanted]);
        items.sort_unstable();
        prop_assert_eq!(items, sorted);
    }
}
