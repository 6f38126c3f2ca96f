//! The tail that a primary which was superseded has and its successor has not: what it wrote past the place where the two
//! histories part. It is put into a file before the node follows its successor.

use super::Lineage;
use crate::resp::args::ArgSpans;
use crate::resp::request::{Parsed, RequestLimits, RequestParser};

/// The name of the file that holds a tail, without its ending: the lineage, and the offsets before and at its end.
pub fn file_stem(lineage: Lineage, from: u64, to: u64) -> String {
    format!("divergent-{lineage}-{from}-{to}")
}

/// The database that is selected after these bytes of a log, which begin with a command in database `db`. `None` when they
/// do not end with a whole command, or nothing selects a database.
pub fn db_after(mut bytes: &[u8], db: Option<u32>) -> Option<u32> {
    let mut parser = RequestParser::new(RequestLimits { max_bulk_bytes: i64::MAX, authenticated: true });
    let (mut args, mut db) = (ArgSpans::new(), db);
    while !bytes.is_empty() {
        let Ok(Parsed::Complete { consumed }) = parser.parse(bytes, &mut args) else { return None };
        let view = args.view(bytes);
        let mut words = view.iter();
        if words.next().is_some_and(|name| name.eq_ignore_ascii_case(b"select")) {
            db = words.next().and_then(|db| std::str::from_utf8(db).ok()?.parse().ok());
        }
        bytes = bytes.get(consumed..)?;
    }
    db
}

/// Do these bytes of a log, which begin with a command, change no data? A primary PINGs and asks for acknowledgements also
/// when nobody writes.
pub fn changes_nothing(mut bytes: &[u8]) -> bool {
    let mut parser = RequestParser::new(RequestLimits { max_bulk_bytes: i64::MAX, authenticated: true });
    let mut args = ArgSpans::new();
    while !bytes.is_empty() {
        let Ok(Parsed::Complete { consumed }) = parser.parse(bytes, &mut args) else { return false };
        let view = args.view(bytes);
        let is_idle = |name: &[u8]| {
            ["ping", "replconf", "select"].iter().any(|idle| name.eq_ignore_ascii_case(idle.as_bytes()))
        };
        if !view.iter().next().is_some_and(is_idle) {
            return false;
        }
        bytes = bytes.get(consumed..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::command_bytes::write_command;

    fn log(commands: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        commands.iter().for_each(|words| {
            write_command(&mut bytes, &words.split(' ').collect::<Vec<_>>());
        });
        bytes
    }

    #[test]
    fn a_tail_of_pings_is_none() {
        assert!(changes_nothing(b"") && changes_nothing(&log(&["PING", "REPLCONF GETACK *", "SELECT 3"])));
        assert!(!changes_nothing(&log(&["PING", "DEL k", "PING"])));
        let cut = log(&["PING"]);
        assert!(!changes_nothing(&cut[..cut.len() - 1]));
    }

    #[test]
    fn the_last_select_counts() {
        assert_eq!(db_after(b"", Some(3)), Some(3));
        assert_eq!(db_after(&log(&["SET k SELECT", "PING"]), Some(3)), Some(3));
        assert_eq!(
            db_after(&log(&["SET k v", "select 7", "SET k v", "MULTI", "INCR n", "EXEC"]), None),
            Some(7)
        );
        assert_eq!(db_after(&log(&["SET k v"]), None), None);
        let cut = log(&["SELECT 7", "SET k v"]);
        assert_eq!(db_after(&cut[..cut.len() - 1], Some(0)), None);
    }
}
