//! Full syncs of which another replica gives the snapshot: whom a primary names, and what a joiner makes of that.
//!
//! The *joiner* needs a full sync, the *giver* is a replica that has what is needed. The primary refers the one to the other.

use super::handshake::info_fields;
use super::{Lineage, Place};
use thiserror::Error;

/// The word before what the answer to PSYNC names.
const WORD: &str = "REFER";
/// Longest name of a host that is believed, bytes.
const HOST_MAX_BYTES: usize = 255;
/// A giver's last acknowledgement is no older, ms. They come once a second.
const ACK_AGE_MAX_MS: i64 = 4_000;

/// PSYNC's word by which a joiner says that it may be sent to another replica.
pub const MAY_REFER: &str = "REFER";
/// PSYNC's word by which a joiner says that it wants a snapshot and nothing after it.
pub const ONLY_SNAPSHOT: &str = "SNAPSHOT";
/// REPLCONF's word, with the bytes so far, by which a joiner that was sent elsewhere says that it lives.
pub const STILL_JOINING: &str = "outrigger-joining";
/// REPLCONF capa's word of a replica that may be named as a giver.
pub const GIVES_SNAPSHOTS: &str = "outrigger-gives-snapshots";

/// REPLCONF capa's word of a replica that takes snapshots packed with LZ4.
pub const TAKES_LZ4: &str = "outrigger-lz4";

/// Where a joiner is to take its snapshot from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referral {
    /// The giver's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The history, and the offset that the giver is known to have: its snapshot is of no earlier one.
    pub place: Place,
    /// The number of the history's epoch.
    pub epoch: u64,
}

impl Referral {
    /// The answer to PSYNC, without the sign before it and the line's end.
    pub fn line(&self) -> String {
        let Referral { host, port, place, epoch } = self;
        format!("{WORD} {host} {port} {} {} {epoch}", place.lineage, place.offset)
    }

    /// Reads such an answer; `None` for anything else.
    pub fn parse(line: &str) -> Option<Referral> {
        let mut words = line.strip_prefix(WORD)?.split_whitespace();
        let host = words.next().filter(|host| is_host(host))?.to_owned();
        let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
        let lineage = Lineage::parse(words.next()?.as_bytes())?;
        let offset = words.next()?.parse().ok()?;
        let epoch = words.next()?.parse().ok()?;
        let place = Place { lineage, offset };
        words.next().is_none().then_some(Referral { host, port, place, epoch })
    }
}

/// May this stand as one word in a line, and could it be a host?
fn is_host(text: &str) -> bool {
    let is_ok = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    !text.is_empty() && text.len() <= HOST_MAX_BYTES && text.bytes().all(is_ok)
}

/// A replica, as the primary sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'c> {
    /// The address that it announces, or comes from.
    pub host: &'c str,
    /// The port.
    pub port: u16,
    /// It said that it gives snapshots.
    pub gives: bool,
    /// It is in the stream, and has acknowledged some of it on this connection.
    pub follows: bool,
    /// What it has acknowledged.
    pub received: u64,
    /// How old that acknowledgement is, ms.
    pub ack_age_ms: i64,
    /// Joiners that were sent to it and are not back yet.
    pub joiners: usize,
}

/// Where the primary's log stands.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// The first position that can be served.
    pub start: u64,
    /// The last.
    pub end: u64,
    /// How far a giver may be behind.
    pub lag_max_bytes: u64,
}

/// Chooses who gives the joiner at this address a snapshot: of those who can, who has the fewest joiners, then who is
/// furthest. The index among `candidates`.
pub fn choose(candidates: &[Candidate<'_>], joiner: (&str, u16), reach: Reach) -> Option<usize> {
    let can = |candidate: &Candidate<'_>| {
        let Candidate { host, port, received, .. } = *candidate;
        let is_reachable = port != 0 && is_host(host) && (!is_loopback(host) || is_loopback(joiner.0));
        let is_caught_up = received >= reach.start
            && received <= reach.end
            && reach.end - received <= reach.lag_max_bytes
            && candidate.ack_age_ms <= ACK_AGE_MAX_MS;
        candidate.gives && candidate.follows && is_reachable && is_caught_up && (host, port) != joiner
    };
    let able = candidates.iter().enumerate().filter(|(_, candidate)| can(candidate));
    let best = able.min_by_key(|(_, candidate)| (candidate.joiners, u64::MAX - candidate.received));
    best.map(|(index, _)| index)
}

/// An address of this machine leads nobody on another one to it.
fn is_loopback(host: &str) -> bool {
    let host = host.strip_prefix("::ffff:").unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || host == "::1"
}

/// Why a replica is not the giver that the primary named.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unfit {
    /// It is not one of ours.
    #[error("it tells of no epoch, so it is no Outrigger")]
    Stock,
    /// It is loading, or without its primary, or syncing.
    #[error("it is {0}")]
    Busy(&'static str),
    /// It has another history.
    #[error("it holds the lineage {0}, which is not the one that was named")]
    Lineage(String),
    /// It has another epoch.
    #[error("it is in epoch {0}, and the primary in epoch {1}")]
    Epoch(u64, u64),
    /// It has less than was said.
    #[error("it stands at offset {0}, before the offset {1} that was named")]
    Behind(u64, u64),
}

/// Judges a giver by its INFO.
pub fn judge_giver(referral: &Referral, info: &str) -> Result<(), Unfit> {
    let fields = info_fields(info);
    let number = |field: &str| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    let is = |field: &str, value: &str| fields.get(field) == Some(&value);
    let epoch = number("outrigger_epoch").ok_or(Unfit::Stock)?;
    if is("loading", "1") {
        return Err(Unfit::Busy("loading"));
    }
    if !is("role", "slave") {
        return Err(Unfit::Busy("no replica any more"));
    }
    if is("master_sync_in_progress", "1") {
        return Err(Unfit::Busy("taking a full sync itself"));
    }
    if !is("master_link_status", "up") {
        return Err(Unfit::Busy("without its primary"));
    }
    let lineage = fields.get("master_replid").copied().unwrap_or("?");
    if Lineage::parse(lineage.as_bytes()) != Some(referral.place.lineage) {
        return Err(Unfit::Lineage(lineage.chars().take(40).collect()));
    }
    if epoch != referral.epoch {
        return Err(Unfit::Epoch(epoch, referral.epoch));
    }
    let offset = number("slave_repl_offset").unwrap_or(0);
    if offset < referral.place.offset {
        return Err(Unfit::Behind(offset, referral.place.offset));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn referral() -> Referral {
        let lineage = Lineage::parse(ID.as_bytes()).unwrap();
        Referral { host: "10.0.0.7".into(), port: 7001, place: Place { lineage, offset: 500 }, epoch: 3 }
    }

    #[test]
    fn the_answer_is_read_as_it_was_written() {
        let line = referral().line();
        assert_eq!(line, format!("REFER 10.0.0.7 7001 {ID} 500 3"));
        assert_eq!(Referral::parse(&line), Some(referral()));
        let bad = [
            format!("REFER 10.0.0.7 0 {ID} 500 3"),
            format!("REFER 10.0.0.7 70000 {ID} 500 3"),
            format!("REFER /run/sock 7001 {ID} 500 3"),
            format!("REFER {} 7001 {ID} 500 3", "h".repeat(256)),
            format!("REFER 10.0.0.7 7001 {} 500 3", &ID[1..]),
            format!("REFER 10.0.0.7 7001 {ID} -5 3"),
            format!("REFER 10.0.0.7 7001 {ID} 500"),
            format!("REFER 10.0.0.7 7001 {ID} 500 3 4"),
            format!("FULLRESYNC {ID} 500"),
        ];
        for line in bad {
            assert_eq!(Referral::parse(&line), None, "{line}");
        }
    }

    const REACH: Reach = Reach { start: 100, end: 1_000, lag_max_bytes: 200 };

    fn candidate(port: u16, received: u64) -> Candidate<'static> {
        let (gives, follows) = (true, true);
        Candidate { host: "10.0.0.7", port, gives, follows, received, ack_age_ms: 900, joiners: 0 }
    }

    #[test]
    fn who_has_the_fewest_joiners_and_then_the_most_is_named() {
        let joiner = ("10.0.0.9", 1);
        let mut all = [candidate(1, 900), candidate(2, 990), candidate(3, 950)];
        assert_eq!(choose(&all, joiner, REACH), Some(1));
        all[1].joiners = 1;
        assert_eq!(choose(&all, joiner, REACH), Some(2));
        all[0].joiners = 2;
        all[2].joiners = 2;
        assert_eq!(choose(&all, joiner, REACH), Some(1), "a busy one is better than none");
        assert_eq!(choose(&[], joiner, REACH), None);
    }

    #[test]
    fn who_cannot_give_is_not_named() {
        let good = candidate(1, 900);
        let unfit = [
            Candidate { gives: false, ..good },
            Candidate { follows: false, ..good },
            Candidate { port: 0, ..good },
            Candidate { host: "", ..good },
            Candidate { host: "two words", ..good },
            Candidate { host: "/run/a.sock", ..good },
            Candidate { received: 799, ..good },
            Candidate { received: 1_001, ..good },
            Candidate { ack_age_ms: 4_001, ..good },
            Candidate { host: "127.0.0.1", ..good },
            Candidate { host: "::1", ..good },
            Candidate { host: "::ffff:127.0.0.1", ..good },
            Candidate { host: "localhost", ..good },
        ];
        for one in unfit {
            assert_eq!(choose(&[one], ("10.0.0.9", 1), REACH), None, "{one:?}");
        }
        assert_eq!(choose(&[good], ("10.0.0.9", 1), REACH), Some(0));
        assert_eq!(choose(&[good], ("10.0.0.7", 1), REACH), None, "the joiner itself");
        assert_eq!(
            choose(&[candidate(1, 99)], ("10.0.0.9", 1), Reach { lag_max_bytes: 5_000, ..REACH }),
            None
        );
        let near = Candidate { host: "127.0.0.1", ..good };
        assert_eq!(choose(&[near], ("127.0.0.1", 9), REACH), Some(0), "both on one machine");
    }

    #[test]
    fn a_giver_is_what_the_primary_said_or_is_refused() {
        let info = format!(
            "role:slave\r\nloading:0\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\nmaster_replid:{ID}\r\n\
             slave_repl_offset:500\r\noutrigger_epoch:3\r\n"
        );
        assert_eq!(judge_giver(&referral(), &info), Ok(()));
        let with = |from: &str, to: &str| judge_giver(&referral(), &info.replace(from, to));
        assert_eq!(with("outrigger_epoch:3", ""), Err(Unfit::Stock));
        assert_eq!(with("loading:0", "loading:1"), Err(Unfit::Busy("loading")));
        assert_eq!(with("role:slave", "role:master"), Err(Unfit::Busy("no replica any more")));
        assert_eq!(with("status:up", "status:down"), Err(Unfit::Busy("without its primary")));
        assert_eq!(with("progress:0", "progress:1"), Err(Unfit::Busy("taking a full sync itself")));
        let other = ID.replace('0', "9");
        assert_eq!(with(ID, &other), Err(Unfit::Lineage(other.clone())));
        assert_eq!(with("epoch:3", "epoch:2"), Err(Unfit::Epoch(2, 3)));
        assert_eq!(with("offset:500", "offset:499"), Err(Unfit::Behind(499, 500)));
        assert_eq!(with("offset:500", "offset:501"), Ok(()));
    }
}
