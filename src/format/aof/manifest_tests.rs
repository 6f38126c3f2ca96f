use super::*;
use proptest::prelude::*;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn ours() -> Manifest {
    let id: Lineage = ID.parse().unwrap();
    Manifest {
        base: Some(FileEntry::new("appendonly.aof.2.base.rdb", 2, FileKind::Base).at(id, 100)),
        history: vec![FileEntry::new("appendonly.aof.1.base.rdb", 1, FileKind::History)],
        incr: vec![
            FileEntry::new("appendonly.aof.2.incr.aof", 2, FileKind::Incr).at(id, 100),
            FileEntry::new("appendonly.aof.3.incr.aof", 3, FileKind::Incr).at(id, 4000),
        ],
    }
}

fn fails(text: &str) -> ManifestErrorKind {
    Manifest::parse(text.as_bytes()).expect_err(text).kind
}

#[test]
fn reads_what_stock_servers_write() {
    let text = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.4.incr.aof seq 4 type i\n";
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest.base, Some(FileEntry::new("appendonly.aof.1.base.rdb", 1, FileKind::Base)));
    assert_eq!(manifest.incr[0].seq, 4);
    assert_eq!(manifest.print().unwrap(), text.as_bytes());
}

#[test]
fn prints_quotes_and_keeps_unknown_pairs_and_comments_do_not_matter() {
    let text = "# a comment\n  FILE \"a b\\x01\\n.aof\" colour 'light blue' SEQ 7 Type i \r\n";
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest.incr[0].name, b"a b\x01\n.aof");
    assert_eq!(manifest.incr[0].unknown, [(b"colour".to_vec(), b"light blue".to_vec())]);
    let printed = manifest.print().unwrap();
    assert_eq!(printed, b"file \"a b\\x01\\n.aof\" seq 7 type i colour \"light blue\"\n");
    assert_eq!(Manifest::parse(&printed).unwrap(), manifest);
}

#[test]
fn ours_round_trips_with_its_check_line() {
    let printed = ours().print().unwrap();
    let text = String::from_utf8(printed.clone()).unwrap();
    assert!(text.starts_with(&format!(
        "file appendonly.aof.2.base.rdb seq 2 type b outrigger-lineage {ID} outrigger-start-offset 100\n"
    )));
    let last = text.lines().last().unwrap();
    assert_eq!((last.len(), last.starts_with("#OUTRIGGER-MANIFEST v1 crc=")), (27 + 16, true));
    assert_eq!(Manifest::parse(&printed).unwrap(), ours());
}

#[test]
fn every_flipped_bit_of_ours_is_refused() {
    let printed = ours().print().unwrap();
    for at in 0..printed.len() {
        for bit in 0..8 {
            let mut bytes = printed.clone();
            bytes[at] ^= 1 << bit;
            assert!(Manifest::parse(&bytes).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn every_truncation_of_ours_is_refused() {
    let printed = ours().print().unwrap();
    for cut in 0..printed.len() {
        assert!(Manifest::parse(&printed[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = printed.clone();
    longer.extend_from_slice(b"file x seq 9 type i\n");
    assert_eq!(Manifest::parse(&longer).unwrap_err().kind, ManifestErrorKind::NoCheckLine);
}

#[test]
fn holds_to_the_rules_of_stock_servers() {
    use ManifestErrorKind as K;
    assert_eq!(fails(""), K::Empty);
    assert_eq!(fails("# only this\n"), K::Empty);
    assert_eq!(fails("\n"), K::BadLine);
    assert_eq!(fails("file a seq 1 type b"), K::NoLineEnd);
    assert_eq!(fails("file a seq 1 type b extra\n"), K::BadLine);
    assert_eq!(fails("file \"a seq 1 type b\n"), K::BadLine);
    assert_eq!(fails("file \"a\"b seq 1 type b\n"), K::BadLine);
    assert_eq!(fails("file a seq 1\n"), K::MissingField);
    assert_eq!(fails("file a file b seq 1 type b\n"), K::DoubleField("file"));
    for name in ["../a", "a/b", "..", ".", "\"\"", "\"a\\x00\""] {
        assert!(matches!(fails(&format!("file {name} seq 1 type b\n")), K::BadName(_)), "{name}");
    }
    assert_eq!(fails("file a seq x type b\n"), K::BadSeq("x".into()));
    assert_eq!(fails("file a seq 99999999999999999999 type b\n"), K::BadSeq("99999999999999999999".into()));
    assert_eq!(fails("file a seq 1 type base\n"), K::BadType("base".into()));
    assert_eq!(fails("file a seq 1 type b\nfile b seq 2 type b\n"), K::SecondBase);
    assert_eq!(fails("file a seq 2 type i\nfile b seq 2 type i\n"), K::SeqOrder { before: 2, found: 2 });
    assert_eq!(fails("file a seq 2 type i\nfile a seq 3 type i\n"), K::SameName("a".into()));
    assert_eq!(fails(&format!("file {} seq 1 type b\n", "a".repeat(1100))), K::LineTooLong);
    assert_eq!(fails(&"a".repeat(1100)), K::LineTooLong);
}

#[test]
fn words_of_ours_need_the_check_line() {
    use ManifestErrorKind as K;
    assert_eq!(fails(&format!("file a seq 1 type b outrigger-lineage {ID}\n")), K::NoCheckLine);
    assert_eq!(fails("file a seq 1 type b outrigger-future x\n"), K::NoCheckLine);
    assert_eq!(fails("#OUTRIGGER-MANIFEST v2 x\nfile a seq 1 type b\n"), K::NoCheckLine);
    assert_eq!(fails("file a seq 1 type b outrigger-lineage abc\n"), K::BadValue("outrigger-lineage"));
    assert!(matches!(
        fails("file a seq 1 type b\n#OUTRIGGER-MANIFEST v1 crc=0000000000000000\n"),
        K::Crc { written: 0, .. }
    ));
}

#[test]
fn what_would_not_be_read_back_is_not_printed() {
    let bad = Manifest { base: Some(FileEntry::new("a/b", 1, FileKind::Base)), ..Manifest::default() };
    assert!(bad.print().is_err());
    assert!(Manifest::default().print().is_err());
}

proptest! {
    #[test]
    fn names_round_trip(name in prop::collection::vec(any::<u8>(), 1..60), seq in 0i64..) {
        let manifest = Manifest { base: Some(FileEntry::new(name.clone(), seq, FileKind::Base)), ..Manifest::default() };
        if let Ok(printed) = manifest.print() {
            prop_assert_eq!(Manifest::parse(&printed).unwrap(), manifest);
        } else {
            prop_assert!(checked_name(name).is_err());
        }
    }

    #[test]
    fn never_panics(text in "(file|seq|type|#|\"|'|\\\\|x0|[a-c1-3 \n])*") {
        let _ = Manifest::parse(text.as_bytes());
    }
}
