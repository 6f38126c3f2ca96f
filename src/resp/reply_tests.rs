use super::*;

fn both(write: impl Fn(&mut Reply<'_>)) -> (String, String) {
    let one = |resp3| {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, resp3));
        out.escape_ascii().to_string()
    };
    (one(false), one(true))
}

#[track_caller]
fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
    assert_eq!(both(write), (resp2.replace('/', r"\r\n"), resp3.replace('/', r"\r\n")));
}

#[test]
fn scalars() {
    check(|r| r.ok(), "+OK/", "+OK/");
    check(|r| r.simple("QUEUED"), "+QUEUED/", "+QUEUED/");
    check(|r| r.int(-12), ":-12/", ":-12/");
    check(|r| r.int(7), ":7/", ":7/");
    check(|r| r.bulk("héé"), r"$5/h\xc3\xa9\xc3\xa9/", r"$5/h\xc3\xa9\xc3\xa9/");
    check(|r| r.bulk(""), "$0//", "$0//");
    check(|r| r.bulk_int(1234), "$4/1234/", "$4/1234/");
    check(|r| r.null(), "$-1/", "_/");
    check(|r| r.null_array(), "*-1/", "_/");
    check(|r| r.double(0.1), "$19/0.10000000000000001/", ",0.10000000000000001/");
    check(|r| r.double(f64::INFINITY), "$3/inf/", ",inf/");
    check(|r| r.double_text("1.5"), "$3/1.5/", ",1.5/");
    check(|r| (r.bool(true), r.bool(false)).0, ":1/:0/", "#t/#f/");
    check(|r| r.verbatim(b"txt", "a\nb"), r"$3/a\nb/", r"=7/txt:a\nb/");
    check(|r| r.big_number("123"), "$3/123/", "(123/");
    check(|r| r.raw(b":1\r\n"), ":1/", ":1/");
}

#[test]
fn aggregates() {
    check(|r| r.array(0), "*0/", "*0/");
    check(|r| r.array(123), "*123/", "*123/");
    check(|r| r.map(2), "*4/", "%2/");
    check(|r| r.set(10), "*10/", "~10/");
    check(|r| r.push(3), "*3/", ">3/");
}

#[test]
fn errors_cannot_break_the_protocol() {
    check(|r| r.error("ERR no such key"), "-ERR no such key/", "-ERR no such key/");
    check(|r| r.error("ERR a\r\nb\n\r\n"), "-ERR a  b/", "-ERR a  b/");
    check(|r| r.error("\r\n"), "-/", "-/");
    check(|r| r.simple("a\nb"), "+a b/", "+a b/");
}

#[test]
fn marks_take_back() {
    let mut out = b":1\r\n".to_vec();
    let mut reply = Reply::new(&mut out, false);
    let mark = reply.mark();
    reply.array(2);
    reply.bulk("x");
    assert_eq!(reply.since(mark), b"*2\r\n$1\r\nx\r\n");
    reply.truncate_to(mark);
    reply.reborrow().error("ERR no");
    assert!(reply.since(mark).starts_with(b"-"));
    assert_eq!(out, b":1\r\n-ERR no\r\n");
}

#[test]
fn deferred_headers_nest() {
    for (outer, inner) in [(0, 0), (1, 9), (9, 10), (10, 100), (12, 1001)] {
        let mut expected = Vec::new();
        let mut out = Vec::new();
        for resp3 in [false, true] {
            let mut e = Reply::new(&mut expected, resp3);
            let mut r = Reply::new(&mut out, resp3);
            e.array(outer + 1);
            let d = r.deferred_array();
            for i in 0..outer {
                e.set(inner);
                let s = r.deferred_set();
                for j in 0..inner {
                    e.int((i * j) as i64);
                    r.int((i * j) as i64);
                }
                r.finish_set(s, inner);
            }
            e.map(inner);
            let m = r.deferred_map();
            r.finish_map(m, inner);
            r.finish_array(d, outer + 1);
            r.ok();
            e.ok();
        }
        assert_eq!(out, expected, "{outer} of {inner}");
    }
}

#[test]
fn a_deferred_header_taken_back_stays_away() {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, false);
    let mark = reply.mark();
    let deferred = reply.deferred_array();
    reply.truncate_to(mark);
    reply.finish_array(deferred, 100);
    assert!(out.is_empty());
}
