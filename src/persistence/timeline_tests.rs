use super::*;
use crate::format::aof::seal::{Lineage, Sealer};
use crate::format::aof::verify::LogVerifier;
use crate::persistence::testing::command;
use std::path::Path;

const BEGIN_MS: u64 = 1_700_000_000_000 / MINUTE_MS * MINUTE_MS;

fn of(bytes: &[u8], span: Span) -> Timeline {
    let mut watcher = Timeline::new(span);
    LogVerifier::new().check_watched(bytes, &mut watcher);
    Timeline::of_file(span, Path::new("log"), [watcher].into_iter())
}

fn rows(timeline: &Timeline) -> Vec<(u64, u64, u64, u64, u64)> {
    let row = |(at, row): (u64, &Row)| {
        ((at - BEGIN_MS) / MINUTE_MS, row.commands, row.removed_singly, row.removed_together, row.grave)
    };
    timeline.rows().0.map(row).collect()
}

#[test]
fn seals_tell_the_time_of_what_stands_before_them() {
    let mut out = Vec::new();
    let mut sealer = Sealer::start(Lineage::NONE, 50, BEGIN_MS, &mut out);
    let mut write = |texts: &[&str], seal_ms: Option<u64>| {
        for text in texts {
            sealer.feed(&command(text));
            out.extend(command(text));
        }
        seal_ms.into_iter().for_each(|ms| sealer.seal(BEGIN_MS + ms, &mut out));
        (out.len(), sealer.offset())
    };
    write(&["SET a 1", "DEL a"], Some(10));
    let (_, before) = write(&["SELECT 3", "DEL a b c"], Some(20));
    write(&["FLUSHDB"], Some(61_000));
    write(&["FLUSHALL"], None);
    let timeline = of(&out, Span::default());
    assert_eq!(
        rows(&timeline),
        [(0, 4, 1, 3, 0), (1, 1, 0, 0, 1)],
        "what no seal vouches for does not count"
    );
    let events: Vec<_> = timeline.events().collect();
    let place = (events[0].offset, events[0].db, events[0].time_ms);
    assert_eq!((events.len(), place), (1, (Some(before), 3, Some(BEGIN_MS + 61_000))));
    let by_name = timeline.by_name();
    assert_eq!(by_name.get("DEL").map(|met| met.count), Some(2));
    let late = Span { since_ms: Some(BEGIN_MS + 60_000), until_ms: None };
    assert_eq!(rows(&of(&out, late)), [(1, 1, 0, 0, 1)]);
    let early = Span { since_ms: None, until_ms: Some(BEGIN_MS + 15) };
    assert_eq!(rows(&of(&out, early)), [(0, 2, 1, 0, 0)]);
}

#[test]
fn timestamps_tell_the_time_of_what_follows_them() {
    let seconds = BEGIN_MS / 1000;
    let log = [
        command("SET a 1"),
        format!("#TS:{seconds}\r\n").into_bytes(),
        command("FLUSHALL"),
        format!("#TS:{}\r\n", seconds + 120).into_bytes(),
        command("DEL x"),
        command("RENAME a b"),
    ];
    let timeline = of(&log.concat(), Span::default());
    assert_eq!(rows(&timeline), [(0, 1, 0, 0, 1), (2, 2, 1, 0, 1)]);
    assert_eq!(timeline.untimed().commands, 1);
    let commands: Vec<_> = timeline.events().map(|event| event.command.as_str()).collect();
    assert_eq!(commands, ["FLUSHALL", "RENAME a b"]);
}

#[test]
fn rows_become_longer_rather_than_too_many() {
    let mut timeline = Timeline::new(Span::default());
    for minute in 0..25_000 {
        timeline.add_row(minute * MINUTE_MS, &Row { commands: 1, ..Row::default() });
    }
    let (rows, row_ms) = timeline.rows();
    assert_eq!((row_ms, rows.map(|(_, row)| row.commands).sum::<u64>()), (10 * MINUTE_MS, 25_000));
}
