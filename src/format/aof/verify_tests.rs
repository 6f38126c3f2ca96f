use super::*;
use crate::resp::write_command;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const NEW_ID: &str = "fedcba9876543210fedcba9876543210fedcba98";

fn lineage(id: &str) -> Lineage {
    id.parse().unwrap()
}

/// A file of ours under construction, and the places where cutting it leaves a sound file.
struct Log {
    bytes: Vec<u8>,
    sealer: Sealer,
    sound_at: Vec<usize>,
}

impl Log {
    fn new(offset: u64) -> Log {
        let mut bytes = Vec::new();
        let sealer = Sealer::start(lineage(ID), offset, 1000, &mut bytes);
        let sound_at = vec![bytes.len()];
        Log { bytes, sealer, sound_at }
    }

    fn new_in(db: u32, offset: u64) -> Log {
        let mut bytes = Vec::new();
        let sealer = Sealer::start_in(lineage(ID), offset, db, Epoch::UNKNOWN, 1000, &mut bytes);
        let sound_at = vec![bytes.len()];
        Log { bytes, sealer, sound_at }
    }

    fn add(mut self, commands: &[&str]) -> Log {
        for command in commands {
            let start = self.bytes.len();
            write_command(&mut self.bytes, &command.split(' ').collect::<Vec<_>>());
            self.sealer.feed(&self.bytes[start..]);
        }
        self
    }

    fn seal(mut self) -> Log {
        self.sealer.seal(1001, &mut self.bytes);
        self.sound_at.push(self.bytes.len());
        self
    }

    fn seal_inside_multi(mut self) -> Log {
        self.sealer.seal(1002, &mut self.bytes);
        self
    }

    fn rename(mut self) -> Log {
        self.sealer.change_lineage(lineage(NEW_ID), 1003, &mut self.bytes);
        self.sound_at.push(self.bytes.len());
        self
    }
}

/// Two batches, a transaction, a seal inside another transaction, a change of lineage.
fn sample() -> Log {
    Log::new(500)
        .add(&["SELECT 0", "SET a 1"])
        .seal()
        .add(&["MULTI", "SET b 2", "INCR b", "EXEC", "PING"])
        .seal()
        .add(&["SET c 3", "MULTI", "DEL a"])
        .seal_inside_multi()
        .add(&["DEL b", "EXEC"])
        .seal()
        .rename()
        .add(&["SET d 4"])
        .seal()
}

#[derive(Debug, Default, PartialEq)]
struct Seen {
    names: Vec<String>,
    ends: Vec<(usize, Option<u64>)>,
    marks: Vec<Mark>,
    stop_after: Option<usize>,
}

impl LogVisitor<'_> for Seen {
    fn command(&mut self, command: &LoggedCommand<'_, '_>) -> ControlFlow<()> {
        if self.stop_after == Some(self.names.len()) {
            return ControlFlow::Break(());
        }
        let words: Vec<_> = command.args.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect();
        let flag = if command.in_transaction { "*" } else { "" };
        self.names.push(words.join(" ") + flag);
        self.ends.push((command.bytes.end, command.offset.map(|o| o + command.history_bytes)));
        ControlFlow::Continue(())
    }

    fn mark(&mut self, mark: &Mark, _bytes: Range<usize>) -> ControlFlow<()> {
        self.marks.push(*mark);
        ControlFlow::Continue(())
    }
}

fn walk(bytes: &[u8]) -> (Verdict, Seen) {
    let mut seen = Seen::default();
    let verdict = LogVerifier::new().walk(bytes, &mut seen);
    assert_eq!(verdict, LogVerifier::new().check(bytes), "a visitor changes no verdict");
    assert_eq!(verdict.extent().commands, seen.names.len() as u64, "what is proven is what was seen");
    let mut again = Seen::default();
    LogVerifier::new().hand_on(bytes, verdict.extent(), &mut again);
    assert_eq!(again, seen, "what is handed on later is what was seen");
    (verdict, seen)
}

#[test]
fn a_sealed_log_is_sound_and_maps_positions_to_offsets() {
    let log = sample();
    let (verdict, seen) = walk(&log.bytes);
    let Verdict::Sound(extent) = verdict else { panic!("{verdict:?}") };
    assert_eq!(extent.len, log.bytes.len());
    assert_eq!(extent.history, Some(HistoryPoint { lineage: lineage(NEW_ID), offset: log.sealer.offset() }));
    assert_eq!((extent.seals, extent.time_ms), (7, Some(1001)));
    assert_eq!(extent.sealer().unwrap(), log.sealer);
    let expected = [
        "SELECT 0", "SET a 1", "MULTI*", "SET b 2*", "INCR b*", "EXEC*", "PING", "SET c 3", "MULTI*",
        "DEL a*", "DEL b*", "EXEC*", "SET d 4",
    ];
    assert_eq!(seen.names, expected);
    assert_eq!(seen.ends.last().unwrap().1, Some(log.sealer.offset()));
    assert_eq!(seen.ends[0].1, Some(500 + 23));
    assert_eq!(seen.marks.len(), 7);
}

#[test]
fn every_truncation_is_a_torn_tail_or_sound() {
    let log = sample();
    for cut in 0..log.bytes.len() {
        let (verdict, _) = walk(&log.bytes[..cut]);
        let sound_before = log.sound_at.iter().copied().filter(|&at| at <= cut).max().unwrap_or(0);
        match verdict {
            Verdict::Sound(extent) => {
                assert!(cut == 0 || log.sound_at.contains(&cut), "cut at {cut}");
                assert_eq!(extent.len, cut);
            }
            Verdict::TornTail { sealed, cut_bytes, readable_len, .. } => {
                assert!(!log.sound_at.contains(&cut), "cut at {cut}");
                assert_eq!(sealed.len + cut_bytes, cut);
                assert!(readable_len >= sealed.len && readable_len <= cut);
                // A seal inside a transaction proves what stands before its MULTI.
                assert!(sealed.len >= sound_before, "cut at {cut}: {sealed:?}");
                if sealed.len > 0 {
                    assert_eq!(sealed.crc, crc64(0, &log.bytes[..sealed.len]), "cut at {cut}");
                }
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_bit_is_damage_and_nothing_wrong_is_handed_on() {
    let log = sample();
    let (_, whole) = walk(&log.bytes);
    for at in 0..log.bytes.len() {
        for bit in 0..8 {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= 1 << bit;
            let (verdict, seen) = walk(&bytes);
            assert!(matches!(verdict, Verdict::Damaged { .. }), "byte {at} bit {bit}: {verdict:?}");
            assert!(verdict.extent().len <= at, "byte {at} bit {bit}: {verdict:?}");
            assert_eq!(seen.names[..], whole.names[..seen.names.len()]);
        }
    }
}

#[test]
fn the_select_of_the_first_line_moves_no_offset() {
    let log = Log::new_in(11, 500).add(&["SET a 1"]).seal();
    let (verdict, seen) = walk(&log.bytes);
    assert!(verdict.is_sound());
    assert_eq!(verdict.extent().sealer().unwrap(), log.sealer);
    assert_eq!(seen.names, ["SELECT 11", "SET a 1"]);
    assert_eq!(seen.ends.iter().map(|(_, end)| end.unwrap()).collect::<Vec<_>>(), [500, 527]);
    let head = log.sound_at[0];
    for cut in 1..log.bytes.len() {
        match walk(&log.bytes[..cut]).0 {
            Verdict::Sound(extent) => assert_eq!((cut, extent.len), (head, head)),
            Verdict::TornTail { sealed, .. } => assert_eq!(sealed.len, if cut < head { 0 } else { head }),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    for at in 0..log.bytes.len() {
        let mut bytes = log.bytes.clone();
        bytes[at] ^= 1;
        let (verdict, seen) = walk(&bytes);
        assert!(matches!(verdict, Verdict::Damaged { .. }), "byte {at}: {verdict:?}");
        assert!(seen.names.len() < 2);
    }
}

#[test]
fn flips_in_a_header_alone_are_noticed() {
    let log = Log::new(3);
    for at in 0..log.bytes.len() {
        for bit in 0..8 {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= 1 << bit;
            assert!(matches!(walk(&bytes).0, Verdict::Damaged { .. }), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_missing_or_doubled_or_moved_batch_is_damage() {
    let log = sample();
    let [first, second] = [log.sound_at[1], log.sound_at[2]];
    let missing = [&log.bytes[..first], &log.bytes[second..]].concat();
    assert!(matches!(walk(&missing).0, Verdict::Damaged { sealed, .. } if sealed.len == first));
    let doubled = [&log.bytes[..second], &log.bytes[first..]].concat();
    assert!(matches!(walk(&doubled).0, Verdict::Damaged { sealed, .. } if sealed.len == second));
    let headless = &log.bytes[log.sound_at[0]..];
    assert!(matches!(walk(headless).0, Verdict::Damaged { kind: DamageKind::StraySeal, .. }));
}

#[test]
fn a_tail_without_seal_is_cut_but_measured() {
    let log = sample();
    let sealed_len = log.bytes.len();
    let whole = log.add(&["SET e 5"]);
    let torn = [whole.bytes.as_slice(), b"*2\r\n$4\r\nMU"].concat();
    let (verdict, seen) = walk(&whole.bytes);
    let Verdict::TornTail { sealed, why, readable_len, cut_bytes } = verdict else { panic!("{verdict:?}") };
    assert_eq!((sealed.len, why, readable_len), (sealed_len, TornWhy::Unsealed, whole.bytes.len()));
    assert_eq!(cut_bytes, whole.bytes.len() - sealed_len);
    assert!(!seen.names.contains(&"SET e 5".to_owned()));
    let (verdict, _) = walk(&torn);
    let Verdict::TornTail { why, readable_len, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!((why, readable_len), (TornWhy::IncompleteCommand, whole.bytes.len()));
    for (tail, why) in [
        (b"\0\0\0\0".as_slice(), TornWhy::Unreadable(SyntaxKind::NotAnItem(0))),
        (b"*1\r\n$5\r\nMULTI\r\n", TornWhy::OpenTransaction),
        (b"*1\r\n$4\r\nEXEC\r\n", TornWhy::Unpaired),
        (b"#OUTRIGGER-SEAL v1 t=17", TornWhy::IncompleteLine),
        (b"#OUTRIGGER-??\r\n", TornWhy::UnreadableLine),
    ] {
        let bytes = [&whole.bytes[..sealed_len], tail].concat();
        let Verdict::TornTail { why: found, sealed, .. } = walk(&bytes).0 else { panic!("{tail:?}") };
        assert_eq!((found, sealed.len), (why, sealed_len));
    }
}

#[test]
fn a_tail_that_turns_into_zeros_was_never_written() {
    let log = sample();
    let last = log.sound_at[log.sound_at.len() - 2];
    for from in last..log.bytes.len() {
        let mut bytes = log.bytes.clone();
        bytes[from..].fill(0);
        let verdict = walk(&bytes).0;
        assert!(
            matches!(verdict, Verdict::TornTail { sealed, .. } if sealed.len == last),
            "{from}: {verdict:?}"
        );
    }
    // Zeros with a seal behind them are damage.
    let mut bytes = log.bytes.clone();
    bytes[log.sound_at[0]..log.sound_at[1]].fill(0);
    assert!(matches!(walk(&bytes).0, Verdict::Damaged { .. }));
}

#[test]
fn a_resumed_file_is_sound() {
    let log = sample();
    let Verdict::TornTail { sealed, .. } = walk(&log.bytes[..log.bytes.len() - 1]).0 else { panic!() };
    let mut bytes = log.bytes[..sealed.len].to_vec();
    let mut sealer = sealed.sealer().unwrap();
    let mut batch = Vec::new();
    write_command(&mut batch, &["SET", "again", "1"]);
    sealer.feed(&batch);
    sealer.seal(2000, &mut batch);
    bytes.extend_from_slice(&batch);
    assert!(walk(&bytes).0.is_sound());
}

#[test]
fn seals_that_disagree_are_damage() {
    let log = Log::new(0).add(&["SET a 1"]);
    let with = |change: &dyn Fn(&mut Sealer)| {
        let mut sealer = log.sealer.clone();
        let mut bytes = log.bytes.clone();
        change(&mut sealer);
        sealer.seal(1, &mut bytes);
        match walk(&bytes).0 {
            Verdict::Damaged { kind, offset, .. } => {
                assert_eq!(offset, log.bytes.len());
                kind
            }
            other => panic!("{other:?}"),
        }
    };
    let at = |crc, id: &str, offset| Sealer::resume(0, crc, lineage(id), offset);
    let (crc, offset) = (log.sealer.crc(), log.sealer.offset());
    assert!(matches!(with(&|s| *s = at(crc ^ 1, ID, offset)), DamageKind::Crc { .. }));
    assert!(matches!(with(&|s| *s = at(crc, NEW_ID, offset)), DamageKind::OtherLineage { .. }));
    assert_eq!(
        with(&|s| *s = at(crc, ID, offset + 1)),
        DamageKind::Offset { sealed: offset + 1, found: offset }
    );
}

#[test]
fn expectations_are_held() {
    let log = sample();
    let expecting =
        |id, start_offset| LogVerifier::expecting(Expected { lineage: lineage(id), start_offset });
    assert!(expecting(ID, 500).check(&log.bytes).is_sound());
    for (id, offset) in [(ID, 501), (NEW_ID, 500)] {
        assert!(matches!(expecting(id, offset).check(&log.bytes), Verdict::Damaged { offset: 0, .. }));
    }
    let why = |bytes: &[u8]| match expecting(ID, 500).check(bytes) {
        Verdict::TornTail { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(b""), TornWhy::IncompleteHeader);
    assert_eq!(why(b"#OUTRIGGER-LOG v1 t=1"), TornWhy::IncompleteHeader);
    let stock = b"*1\r\n$4\r\nPING\r\n";
    assert!(matches!(
        expecting(ID, 500).check(stock),
        Verdict::Damaged { kind: DamageKind::MissingHeader, .. }
    ));
}

fn stock(commands: &[&str]) -> Vec<u8> {
    let mut bytes = b"#TS:1700000000\r\n".to_vec();
    for command in commands {
        write_command(&mut bytes, &command.split(' ').collect::<Vec<_>>());
    }
    bytes
}

#[test]
fn stock_files_are_judged_by_structure() {
    assert!(walk(b"").0.is_sound());
    let bytes = stock(&["SELECT 0", "SET a 1", "MULTI", "SET b 1", "EXEC", "SET c 1"]);
    let (verdict, seen) = walk(&bytes);
    assert_eq!(verdict.extent().history, None);
    assert!(verdict.is_sound());
    assert_eq!(seen.marks, [Mark::Timestamp(1_700_000_000)]);
    assert_eq!(seen.ends[0].1, None);
    let group = stock(&["SELECT 0", "SET a 1"]).len()
        ..stock(&["SELECT 0", "SET a 1", "MULTI", "SET b 1", "EXEC"]).len();
    for cut in 0..bytes.len() {
        match walk(&bytes[..cut]).0 {
            Verdict::Sound(extent) => assert_eq!(extent.len, cut),
            Verdict::TornTail { sealed, readable_len, .. } => {
                assert_eq!(sealed.len, readable_len);
                assert!(sealed.len < cut);
                assert!(!group.contains(&cut) || sealed.len <= group.start);
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    for (tail, kind) in [
        (b"GET a\r\n".as_slice(), DamageKind::Syntax(SyntaxKind::NotAnItem(b'G'))),
        (b"*1\r\n$4\r\nEXEC\r\n", DamageKind::StrayExec),
        (b"*1\r\n$5\r\nmulti\r\n*1\r\n$5\r\nMULTI\r\n", DamageKind::NestedMulti),
    ] {
        let bytes = [bytes.as_slice(), tail].concat();
        assert!(matches!(walk(&bytes).0, Verdict::Damaged { kind: found, .. } if found == kind), "{tail:?}");
    }
}

#[test]
fn a_visitor_can_stop_the_walk() {
    let log = sample();
    let mut seen = Seen { stop_after: Some(2), ..Seen::default() };
    let verdict = LogVerifier::new().walk(&log.bytes, &mut seen);
    let Verdict::Stopped { at, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(at, log.sound_at[1]);
    assert_eq!(seen.names, ["SELECT 0", "SET a 1"]);
    let mut count = 0;
    let mut closure = |_: &LoggedCommand<'_, '_>| {
        count += 1;
        ControlFlow::Continue(())
    };
    assert!(LogVerifier::new().walk(&log.bytes, &mut closure).is_sound());
    assert_eq!(count, 13);
}

#[test]
fn user_data_that_imitates_a_seal_is_only_data() {
    let log = sample();
    let text = String::from_utf8_lossy(&log.bytes[log.sound_at[0]..log.sound_at[1]]).into_owned();
    let mut forged = Log::new(0);
    let start = forged.bytes.len();
    write_command(&mut forged.bytes, &["SET", "x", &text]);
    forged.sealer.feed(&forged.bytes[start..]);
    let forged = forged.seal();
    let (verdict, seen) = walk(&forged.bytes);
    assert!(verdict.is_sound());
    assert_eq!(seen.names.len(), 1);
}
