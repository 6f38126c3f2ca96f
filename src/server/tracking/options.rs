//! What CLIENT TRACKING is given.

use crate::base::num::parse_i64;
use crate::command::CommandError;
use crate::server::clients::Clients;

/// How a client tracks.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Options {
    /// Who is told in its place; 0 for nobody.
    pub redirect: u64,
    /// It is told of all keys that begin as one of the prefixes, whether it has read them or not.
    pub bcast: bool,
    /// Those; in [`Options::bcast`] mode there is at least one.
    pub prefixes: Vec<Box<[u8]>>,
    /// Only what it reads after CLIENT CACHING YES is remembered.
    pub optin: bool,
    /// All but what it reads after CLIENT CACHING NO is.
    pub optout: bool,
    /// It is not told of its own changes.
    pub noloop: bool,
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn overlapping(prefix: &[u8], other: &[u8], what: &str) -> Vec<u8> {
    let what = what.as_bytes();
    let end = b"'. Prefixes for a single client must not overlap.";
    [&b"ERR Prefix '"[..], prefix, b"' overlaps with ", what, b" prefix '", other, end].concat()
}

impl Options {
    /// Reads the words behind ON or OFF.
    ///
    /// # Errors
    /// The reply, code first.
    pub fn parse(words: &[&[u8]], clients: &Clients) -> Result<Options, Vec<u8>> {
        let mut options = Options::default();
        let syntax = || CommandError::Syntax.to_string().into_bytes();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_ascii_lowercase().as_slice() {
                b"redirect" => {
                    let id = words.next().ok_or_else(syntax)?;
                    if options.redirect != 0 {
                        return Err("ERR A client can only redirect to a single other client".into());
                    }
                    let id =
                        parse_i64(id).ok_or_else(|| CommandError::NotInteger.to_string().into_bytes())?;
                    let known = u64::try_from(id).ok().filter(|id| clients.get(*id).is_some());
                    let unknown = "ERR The client ID you want redirect to does not exist";
                    options.redirect = known.ok_or(unknown)?;
                }
                b"prefix" => options.prefixes.push(Box::from(*words.next().ok_or_else(syntax)?)),
                b"bcast" => options.bcast = true,
                b"optin" => options.optin = true,
                b"optout" => options.optout = true,
                b"noloop" => options.noloop = true,
                _ => return Err(syntax()),
            }
        }
        Ok(options)
    }

    /// Checks them as those of a client that is to track, and has tracked as `before` says.
    ///
    /// # Errors
    /// The reply, code first.
    pub fn check(&self, before: Option<&Options>) -> Result<(), Vec<u8>> {
        if !self.bcast && !self.prefixes.is_empty() {
            return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
        }
        if before.is_some_and(|before| before.bcast != self.bcast) {
            return Err(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
                        re-enabling it with a different mode."
                    .into(),
            );
        }
        if self.bcast && (self.optin || self.optout) {
            return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
        }
        if self.optin && self.optout {
            return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
        }
        if before.is_some_and(|before| self.optin && before.optout || self.optout && before.optin) {
            return Err(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                        re-enabling it with a different mode."
                    .into(),
            );
        }
        self.check_prefixes(before)
    }

    fn check_prefixes(&self, before: Option<&Options>) -> Result<(), Vec<u8>> {
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let had = before.into_iter().flat_map(|before| &before.prefixes);
            if let Some(other) = had.into_iter().find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, other, "an existing"));
            }
            if let Some(other) = self.prefixes[at + 1..].iter().find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, other, "another provided"));
            }
        }
        Ok(())
    }

    /// What is in force where these follow others: prefixes add up, and no prefix at all is one of everything.
    pub fn after(mut self, before: Option<&Options>) -> Options {
        if self.bcast {
            if self.prefixes.is_empty() {
                self.prefixes.push(Box::from(&b""[..]));
            }
            let had = before.into_iter().flat_map(|before| before.prefixes.iter().cloned());
            self.prefixes.extend(had);
            self.prefixes.sort();
            self.prefixes.dedup();
        }
        self
    }
}
