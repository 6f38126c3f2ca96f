use super::*;
#[test]
fn smoke() {
    assert!(find(b"port").is_some());
}
