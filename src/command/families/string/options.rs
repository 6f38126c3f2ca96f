//! The options that SET and GETEX share.

use crate::base::num::parse_i64;
use crate::command::CommandError;

/// When a key is to expire, as SET and GETEX take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpireArg<'a> {
    /// No word about it.
    #[default]
    None,
    /// One of EX, PX, EXAT, PXAT, and its number, not read yet.
    At(ExpireUnit, &'a [u8]),
    /// Keep what there is (SET KEEPTTL).
    Keep,
    /// Drop what there is (GETEX PERSIST).
    Persist,
}

/// How an expire time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpireUnit {
    /// Seconds from now (EX).
    Seconds,
    /// Milliseconds from now (PX).
    Ms,
    /// Unix time in seconds (EXAT).
    UnixSeconds,
    /// Unix time in milliseconds (PXAT).
    UnixMs,
}

impl ExpireUnit {
    fn of_word(word: &[u8]) -> Option<ExpireUnit> {
        let units = [
            (&b"ex"[..], ExpireUnit::Seconds),
            (b"px", ExpireUnit::Ms),
            (b"exat", ExpireUnit::UnixSeconds),
            (b"pxat", ExpireUnit::UnixMs),
        ];
        units.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, unit)| *unit)
    }

    /// True for a time that does not depend on when it is read.
    pub fn is_absolute(self) -> bool {
        matches!(self, ExpireUnit::UnixSeconds | ExpireUnit::UnixMs)
    }

    /// Reads a positive amount as unix time in ms. `command` names the caller in the error.
    pub fn at_ms(self, amount: &[u8], now_ms: i64, command: &str) -> Result<i64, CommandError> {
        let amount = parse_i64(amount).ok_or(CommandError::NotInteger)?;
        let ms = match self {
            ExpireUnit::Seconds | ExpireUnit::UnixSeconds => amount.checked_mul(1000),
            ExpireUnit::Ms | ExpireUnit::UnixMs => Some(amount),
        };
        let at = match ms.filter(|ms| *ms > 0) {
            Some(ms) if !self.is_absolute() => ms.checked_add(now_ms),
            other => other,
        };
        at.ok_or_else(|| CommandError::InvalidExpire(command.to_string()))
    }
}

/// Whose options are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    Set,
    GetEx,
}

/// The options of SET or GETEX; the number of an expiry is read later, after what Redis checks first.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    pub nx: bool,
    pub xx: bool,
    pub get: bool,
    pub expire: ExpireArg<'a>,
    /// The word before the expiry's number, as the client wrote it.
    pub expire_word: &'a [u8],
}

impl<'a> Options<'a> {
    pub fn parse(args: &[&'a [u8]], grammar: Grammar) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        let for_set = grammar == Grammar::Set;
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if for_set && is(b"nx") && !options.xx {
                options.nx = true;
            } else if for_set && is(b"xx") && !options.nx {
                options.xx = true;
            } else if for_set && is(b"get") {
                options.get = true;
            } else if for_set && is(b"keepttl") && options.admits(ExpireArg::Keep) {
                options.expire = ExpireArg::Keep;
            } else if !for_set && is(b"persist") && options.admits(ExpireArg::Persist) {
                options.expire = ExpireArg::Persist;
            } else if let Some(unit) = ExpireUnit::of_word(word) {
                let arg = ExpireArg::At(unit, rest.next().ok_or(CommandError::Syntax)?);
                if !options.admits(arg) {
                    return Err(CommandError::Syntax);
                }
                (options.expire, options.expire_word) = (arg, word);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// One word about the expiry excludes the others, but may be repeated: the last one counts.
    fn admits(&self, arg: ExpireArg<'_>) -> bool {
        match (self.expire, arg) {
            (ExpireArg::None, _) => true,
            (ExpireArg::At(before, _), ExpireArg::At(now, _)) => before == now,
            (before, now) => before == now,
        }
    }
}
