//! Keyspace events: what happened to which key, for those who subscribe to that.
//!
//! Handlers tell what they did ([`super::Context::tell`]); it is kept only where the settings want it, and the server
//! delivers it once the command is done.

use std::fmt;

/// What an event is about. Its bit is that of its letter in the directive `notify-keyspace-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum EventClass {
    /// `g`: commands for keys of any type.
    Generic = 1 << 0,
    /// `$`: strings.
    String = 1 << 1,
    /// `l`: lists.
    List = 1 << 2,
    /// `s`: sets.
    Set = 1 << 3,
    /// `h`: hashes.
    Hash = 1 << 4,
    /// `z`: sorted sets.
    SortedSet = 1 << 5,
    /// `x`: a key's time has come.
    Expired = 1 << 6,
    /// `e`: a key went for want of memory.
    Evicted = 1 << 7,
    /// `t`: streams.
    Stream = 1 << 8,
    /// `d`: what modules tell; nothing does here.
    Module = 1 << 9,
    /// `n`: a key came to be.
    New = 1 << 10,
    /// `m`: a key that was read is not there.
    KeyMiss = 1 << 11,
}

/// Messages to a channel that is named after the key.
const KEYSPACE: u16 = 1 << 12;
/// Messages to a channel that is named after the event.
const KEYEVENT: u16 = 1 << 13;

/// The letters of classes, in the order in which they are spelled.
const CLASSES: [(u8, EventClass); 11] = [
    (b'g', EventClass::Generic),
    (b'$', EventClass::String),
    (b'l', EventClass::List),
    (b's', EventClass::Set),
    (b'h', EventClass::Hash),
    (b'z', EventClass::SortedSet),
    (b'x', EventClass::Expired),
    (b'e', EventClass::Evicted),
    (b't', EventClass::Stream),
    (b'd', EventClass::Module),
    (b'n', EventClass::New),
];
/// Those that `A` stands for: all but new keys and misses.
const ALL: u16 = (1 << 10) - 1;

/// Which events are wanted, and how they are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WantedEvents(u16);

impl WantedEvents {
    /// Reads letters; `None` if one of them means nothing.
    pub fn parse(letters: &[u8]) -> Option<WantedEvents> {
        let bits = |letter: &u8| match letter {
            b'A' => Some(ALL),
            b'K' => Some(KEYSPACE),
            b'E' => Some(KEYEVENT),
            b'm' => Some(EventClass::KeyMiss as u16),
            letter => CLASSES.iter().find(|(known, _)| known == letter).map(|(_, class)| *class as u16),
        };
        letters.iter().try_fold(0, |all, letter| Some(all | bits(letter)?)).map(WantedEvents)
    }

    /// What can be heard of these: nothing if neither kind of channel was asked for.
    pub fn audible(self) -> WantedEvents {
        if self.0 & (KEYSPACE | KEYEVENT) == 0 { WantedEvents::default() } else { self }
    }

    /// Is nothing wanted?
    #[inline]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Are events of this class wanted? To be asked of what is [`WantedEvents::audible`].
    #[inline]
    pub fn wants(self, class: EventClass) -> bool {
        self.0 & class as u16 != 0
    }

    /// Do they go to channels that are named after the key?
    pub fn by_key(self) -> bool {
        self.0 & KEYSPACE != 0
    }

    /// Do they go to channels that are named after the event?
    pub fn by_event(self) -> bool {
        self.0 & KEYEVENT != 0
    }
}

/// The letters as Redis tells them. Where all of `A` is there that hides `n`, as it does in Redis.
impl fmt::Display for WantedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if self.0 & ALL == ALL {
            text.push('A');
        } else {
            let wanted = CLASSES.iter().filter(|(_, class)| self.wants(*class));
            text.extend(wanted.map(|(letter, _)| char::from(*letter)));
        }
        let rest = [(KEYSPACE, 'K'), (KEYEVENT, 'E'), (EventClass::KeyMiss as u16, 'm')];
        text.extend(rest.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, letter)| letter));
        f.write_str(&text)
    }
}

/// Something that happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The database.
    pub db: u32,
    /// What happened.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_told_as_redis_does() {
        let told = |letters: &str| WantedEvents::parse(letters.as_bytes()).map(|wanted| wanted.to_string());
        for (given, text) in [
            ("", ""),
            ("KEA", "AKE"),
            ("KEAn", "AKE"),
            ("KEAm", "AKEm"),
            ("xg", "gx"),
            ("KEg$lshzxetdnm", "AKEm"),
            ("mnKE", "nKEm"),
            ("tehsl$zKK", "$lshzetK"),
        ] {
            assert_eq!(told(given).as_deref(), Some(text), "{given}");
        }
        for given in ["KEAq", "a", "k", " ", "K E", "é"] {
            assert_eq!(told(given), None, "{given}");
        }
    }

    #[test]
    fn what_is_wanted() {
        let wanted = |letters: &str| WantedEvents::parse(letters.as_bytes()).expect("letters").audible();
        let all = wanted("AK");
        assert!(all.wants(EventClass::Generic) && all.wants(EventClass::Module) && all.by_key());
        assert!(!all.wants(EventClass::New) && !all.wants(EventClass::KeyMiss) && !all.by_event());
        assert!(wanted("Anm").is_none() && wanted("").is_none() && !wanted("E").is_none());
        let one = wanted("Em");
        assert!(one.wants(EventClass::KeyMiss) && !one.wants(EventClass::Hash) && one.by_event());
    }
}
