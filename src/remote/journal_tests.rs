use super::*;
use tempfile::TempDir;

fn terms() -> Terms {
    Terms { source: "3 keys".into(), mode: "refuse".into(), run_id: "abc".into(), units: 8 }
}

fn home() -> (TempDir, PathBuf) {
    let home = TempDir::new().expect("a folder");
    let path = home.path().join("resume");
    (home, path)
}

fn reopened(path: &Path, terms: &Terms) -> Result<(Done, bool), String> {
    let opened = Journal::open(path, terms).map(|(_, done, restarted)| (done, restarted));
    opened.map_err(|error| error.to_string())
}

fn done(units: &[usize], skipped: u64) -> Done {
    let units = (0..8).map(|unit| units.contains(&unit)).collect();
    Done { units, skipped }
}

#[test]
fn what_was_noted_is_there_again() {
    let (_home, path) = home();
    let (mut journal, begun, restarted) = Journal::open(&path, &terms()).unwrap();
    assert_eq!((begun, restarted), (done(&[], 0), false));
    journal.note(&[1, 5], 1).unwrap();
    journal.note(&[2], 0).unwrap();
    drop(journal);
    assert_eq!(reopened(&path, &terms()), Ok((done(&[1, 2, 5], 1), false)));
    let (mut journal, ..) = Journal::open(&path, &terms()).unwrap();
    journal.note(&[7], 0).unwrap();
    assert_eq!(reopened(&path, &terms()), Ok((done(&[1, 2, 5, 7], 1), false)));
    journal.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_torn_line_is_not_believed_at_any_length() {
    let (_home, path) = home();
    let (mut journal, ..) = Journal::open(&path, &terms()).unwrap();
    let begun = std::fs::read(&path).unwrap().len();
    journal.note(&[1], 0).unwrap();
    let first = std::fs::read(&path).unwrap().len();
    journal.note(&[2, 3], 0).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        // A line counts without its last byte, the end of the line: its checksum is there.
        let expected = if len + 1 >= first { done(&[1], 0) } else { done(&[], 0) };
        let expected = if len + 1 >= whole.len() { done(&[1, 2, 3], 0) } else { expected };
        assert_eq!(reopened(&path, &terms()), Ok((expected.clone(), false)), "{len} of {begun}, {first}");
        // And what is noted behind it counts.
        let (mut journal, ..) = Journal::open(&path, &terms()).unwrap();
        journal.note(&[6], 0).unwrap();
        let mut more = expected;
        more.units[6] = true;
        assert_eq!(reopened(&path, &terms()), Ok((more, false)), "{len}");
    }
}

#[test]
fn other_terms_are_refused_and_a_restart_begins_anew() {
    let (_home, path) = home();
    let (mut journal, ..) = Journal::open(&path, &terms()).unwrap();
    journal.note(&[1], 0).unwrap();
    let other = Terms { source: "4 keys".into(), ..terms() };
    assert!(reopened(&path, &other).unwrap_err().contains("another state of the source"));
    let other = Terms { mode: "replace".into(), ..terms() };
    assert!(reopened(&path, &other).unwrap_err().contains("other options"));
    let restarted = Terms { run_id: "def".into(), ..terms() };
    assert_eq!(reopened(&path, &restarted), Ok((done(&[], 0), true)));
    assert_eq!(reopened(&path, &restarted), Ok((done(&[], 0), false)));
    std::fs::write(&path, "my letters\n").unwrap();
    assert!(reopened(&path, &terms()).unwrap_err().contains("is something else"));
    assert_eq!(std::fs::read(&path).unwrap(), b"my letters\n", "nothing was written to it");
}
