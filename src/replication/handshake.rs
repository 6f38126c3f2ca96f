//! The replica's side of the replication handshake: what it says, and what the answers mean.

use super::guard::{Offer, PeerAnswer, Place, Standing};
use super::log::History;
use super::referral::Referral;
use super::{Epoch, Lineage};
use std::collections::HashMap;

/// The answer to PSYNC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PsyncReply {
    /// Go on from the offset asked for, under this lineage if it names one.
    Continue(Option<Lineage>),
    /// A snapshot follows; it stands at this place.
    FullResync(Place),
    /// Take the snapshot from another replica, and come back with it.
    Referred(Referral),
    /// Not now: ask again later. The text says why.
    TryAgain(String),
    /// The peer does not know PSYNC or will not have us. The text says why.
    Refused(String),
}

/// Reads the line that answers PSYNC, without its line end.
pub fn read_psync_reply(line: &str) -> PsyncReply {
    if let Some(rest) = line.strip_prefix("+CONTINUE") {
        return PsyncReply::Continue(Lineage::parse(rest.trim().as_bytes()));
    }
    if let Some(rest) = line.strip_prefix("+FULLRESYNC") {
        let mut words = rest.split_whitespace();
        let lineage = words.next().and_then(|word| Lineage::parse(word.as_bytes()));
        let offset = words.next().and_then(|word| word.parse().ok());
        if let (Some(lineage), Some(offset)) = (lineage, offset) {
            return PsyncReply::FullResync(Place { lineage, offset });
        }
    }
    if let Some(referral) = line.strip_prefix('+').and_then(Referral::parse) {
        return PsyncReply::Referred(referral);
    }
    let text = line.trim_start_matches(['-', '+']).to_string();
    let again = ["NOMASTERLINK", "LOADING", "FENCED", "BUSY"].iter().any(|code| text.starts_with(code));
    if again { PsyncReply::TryAgain(text) } else { PsyncReply::Refused(text) }
}

/// How a snapshot is framed on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkFrame {
    /// So many bytes.
    Length(u64),
    /// Until this mark of 40 bytes.
    Mark([u8; 40]),
    /// Until this mark, and packed ([`crate::format::wire`]); only between nodes of ours.
    Packed([u8; 40]),
}

/// Reads the line before a snapshot (`$<length>`, `$EOF:<mark>` or `$LZ4:<mark>`); `None` for anything else.
pub fn read_bulk_frame(line: &str) -> Option<BulkFrame> {
    let rest = line.strip_prefix('$')?;
    if let Some(mark) = rest.strip_prefix("EOF:") {
        return Some(BulkFrame::Mark(mark.as_bytes().try_into().ok()?));
    }
    if let Some(mark) = rest.strip_prefix("LZ4:") {
        return Some(BulkFrame::Packed(mark.as_bytes().try_into().ok()?));
    }
    rest.parse().ok().map(BulkFrame::Length)
}

/// Finds the end of a marked snapshot in a stream that comes in pieces: the mark may be cut anywhere.
#[derive(Debug)]
pub struct MarkFinder {
    mark: [u8; 40],
    tail: Vec<u8>,
}

impl MarkFinder {
    /// Looks for this mark.
    pub fn new(mark: [u8; 40]) -> MarkFinder {
        MarkFinder { mark, tail: Vec::with_capacity(80) }
    }

    /// Takes a piece. Calls `content` with bytes that certainly belong to the snapshot; true when the mark
    /// was the end of this piece. A sender puts nothing after the mark until it hears from us.
    pub fn feed(&mut self, piece: &[u8], mut content: impl FnMut(&[u8])) -> bool {
        let keep = self.mark.len();
        if piece.len() >= keep {
            content(&self.tail);
            self.tail.clear();
            let (sure, tail) = piece.split_at(piece.len() - keep);
            content(sure);
            self.tail.extend_from_slice(tail);
        } else {
            self.tail.extend_from_slice(piece);
            if self.tail.len() > keep {
                let sure = self.tail.len() - keep;
                content(&self.tail[..sure]);
                self.tail.drain(..sure);
            }
        }
        self.tail == self.mark
    }
}

/// The `name:value` lines of an INFO reply.
pub fn info_fields(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).collect()
}

/// The offer of a history at this place, with what the node's INFO says of its past.
pub fn offer_of(place: Place, info: &str) -> Offer {
    let fields = info_fields(info);
    let previous = fields.get("master_replid2").and_then(|id| Lineage::parse(id.as_bytes()));
    // Redis counts the first offset that is NOT shared.
    let second = fields.get("second_repl_offset").and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
    let number = |field: &str| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Offer {
        place,
        previous: previous.unwrap_or(Lineage::NONE),
        previous_end: if second > 0 { second - 1 } else { -1 },
        epoch: Epoch { number: number("outrigger_epoch"), since: number("outrigger_epoch_since") },
    }
}

/// The names and the epoch of a node's history, from its INFO; `None` for a node that tells no epoch, as stock ones do not.
pub fn history_told(info: &str) -> Option<History> {
    let fields = info_fields(info);
    fields.get("outrigger_epoch")?;
    let lineage = Lineage::parse(fields.get("master_replid")?.as_bytes())?;
    Some(offer_of(Place { lineage, offset: 0 }, info).history())
}

/// A fenced primary's word on files that it may come to go on with: `lineage:offset:epoch`.
fn read_own_files(text: &str) -> Option<Offer> {
    let mut parts = text.split(':');
    let lineage = Lineage::parse(parts.next()?.as_bytes())?;
    let offset = parts.next()?.parse().ok()?;
    let epoch = Epoch { number: parts.next()?.parse().ok()?, since: 0 };
    Some(Offer { place: Place { lineage, offset }, previous: Lineage::NONE, previous_end: -1, epoch })
}

/// Is this INFO's field of a database that has keys, `db0` and so on?
fn is_database(field: &str) -> bool {
    field.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// What INFO says of the peer's history. One that is still loading cannot tell.
pub fn read_history(info: &str) -> PeerAnswer {
    let fields = info_fields(info);
    if fields.get("loading") == Some(&"1") {
        return PeerAnswer::Silent;
    }
    let lineage = fields.get("master_replid").and_then(|id| Lineage::parse(id.as_bytes()));
    // A replica's own progress; on a stock replica master_repl_offset is the same figure.
    let offset = fields.get("slave_repl_offset").or_else(|| fields.get("master_repl_offset"));
    let (Some(lineage), Some(offset)) = (lineage, offset.and_then(|text| text.parse::<i64>().ok())) else {
        return PeerAnswer::Silent;
    };
    let has_history = match fields.get("outrigger_history") {
        Some(word) => *word == "yes",
        // A stock node: without a single byte of stream it has followed nobody yet. But it may have loaded a snapshot that
        // tells no offset.
        None => offset > 0 || fields.keys().any(|name| is_database(name)),
    };
    if !has_history {
        let files = fields.get("outrigger_own_files").and_then(|text| read_own_files(text));
        return files.map_or(PeerAnswer::Nothing, |offer| PeerAnswer::At(offer, Standing::Primary));
    }
    let offer = offer_of(Place { lineage, offset: offset.max(0) as u64 }, info);
    let standing = match (fields.get("role"), fields.get("master_link_status")) {
        (Some(&"slave"), Some(&"down")) => Standing::Still,
        (Some(&"slave"), _) => Standing::Following,
        _ => Standing::Primary,
    };
    PeerAnswer::At(offer, standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn psync_replies() {
        let id = Lineage::parse(ID.as_bytes());
        assert_eq!(read_psync_reply("+CONTINUE"), PsyncReply::Continue(None));
        assert_eq!(read_psync_reply(&format!("+CONTINUE {ID}")), PsyncReply::Continue(id));
        let full = read_psync_reply(&format!("+FULLRESYNC {ID} 77"));
        assert_eq!(full, PsyncReply::FullResync(Place { lineage: id.unwrap(), offset: 77 }));
        assert!(matches!(read_psync_reply("+FULLRESYNC x 77"), PsyncReply::Refused(_)));
        let referred = read_psync_reply(&format!("+REFER host 7001 {ID} 77 2"));
        assert!(matches!(referred, PsyncReply::Referred(referral) if referral.port == 7001));
        assert!(matches!(read_psync_reply(&format!("+REFER host x {ID} 77 2")), PsyncReply::Refused(_)));
        assert!(matches!(read_psync_reply("-NOMASTERLINK Can't SYNC"), PsyncReply::TryAgain(_)));
        assert!(matches!(read_psync_reply("-ERR unknown command"), PsyncReply::Refused(_)));
    }

    #[test]
    fn frames_of_snapshots() {
        let mark = [b'0'; 40];
        let text = "0".repeat(40);
        assert_eq!(read_bulk_frame("$12"), Some(BulkFrame::Length(12)));
        assert_eq!(read_bulk_frame(&format!("$EOF:{text}")), Some(BulkFrame::Mark(mark)));
        assert_eq!(read_bulk_frame(&format!("$LZ4:{text}")), Some(BulkFrame::Packed(mark)));
        for line in ["$LZ4:0", "$EOF:", "$-1", "12", "$LZ5:0", ""] {
            assert_eq!(read_bulk_frame(line), None, "{line}");
        }
    }

    #[test]
    fn the_mark_is_found_however_it_is_cut() {
        let mark = [b'm'; 40];
        let mut stream: Vec<u8> = (0..500u32).map(|i| (i % 7) as u8).collect();
        stream.extend_from_slice(&mark);
        for step in [1, 3, 39, 40, 41, 100, 600] {
            let mut finder = MarkFinder::new(mark);
            let mut got = Vec::new();
            let mut found = false;
            for piece in stream.chunks(step) {
                assert!(!found);
                found = finder.feed(piece, |bytes| got.extend_from_slice(bytes));
            }
            assert!(found && got == stream[..500], "step {step}");
        }
    }

    #[test]
    fn history_of_peers() {
        let info =
            format!("role:slave\r\nmaster_replid:{ID}\r\nslave_repl_offset:12\r\noutrigger_history:yes\r\n");
        let standing = |info: &str| match read_history(info) {
            PeerAnswer::At(offer, standing) if offer.place.offset == 12 => standing,
            other => panic!("{other:?}"),
        };
        assert_eq!(standing(&format!("{info}master_link_status:down\r\n")), Standing::Still);
        assert_eq!(standing(&format!("{info}master_link_status:up\r\n")), Standing::Following);
        assert_eq!(standing(&info.replace("slave\r", "master\r")), Standing::Primary);
        assert_eq!(history_told(&info), None);
        let told = history_told(&format!("{info}outrigger_epoch:4\r\noutrigger_epoch_since:9\r\n"));
        let told = told.expect("a history");
        assert_eq!((told.epoch, told.lineage.as_str()), (Epoch { number: 4, since: 9 }, ID));
        let fresh = format!("role:master\r\nmaster_replid:{ID}\r\nmaster_repl_offset:0\r\n");
        assert_eq!(read_history(&fresh), PeerAnswer::Nothing);
        assert_eq!(read_history("nonsense"), PeerAnswer::Silent);
    }
}
