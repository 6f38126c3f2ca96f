//! CONFIG GET and CONFIG SET.

use std::collections::{BTreeSet, HashSet};

use super::error::ConfigError;
use super::settings::{Config, DebugAccess, Role};
use super::table::{self, Directive, Origin};
use super::words::split_args;
use crate::base::glob::glob_match_nocase;

/// Where a client that changes settings sits, for the protected directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// On this machine: a loopback address or the Unix socket.
    Local,
    /// Anywhere else.
    Remote,
}

/// The directives whose value a CONFIG SET changed, by their main names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedSet(BTreeSet<&'static str>);

impl ChangedSet {
    /// Was this directive (main name) changed?
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Was nothing changed?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The main names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

impl Config {
    /// CONFIG GET: the settings any of the patterns matches, each once, values as in force for `role`.
    ///
    /// Aliases are entries of their own. A pattern without special bytes yields the name as it was written.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P], role: Role) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            // A backslash is none of the special bytes here.
            let literal = !pattern.iter().any(|byte| b"*?[".contains(byte));
            let fits = |name: &str| match literal {
                true => pattern.eq_ignore_ascii_case(name.as_bytes()),
                false => glob_match_nocase(pattern, name.as_bytes()),
            };
            let known = |it: &&Directive| !it.only_in_files && (literal || !it.hidden);
            for directive in table::directives().filter(known) {
                for name in table::names(directive) {
                    if fits(name) && seen.insert(name) {
                        let shown = if literal { pattern } else { name.as_bytes() };
                        found.push((shown.to_vec(), directive.show(self, role)));
                    }
                }
            }
        }
        found
    }

    /// CONFIG SET for a caller elsewhere: all pairs or none. See [`Config::set_pairs_as`].
    pub fn set_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        pairs: &[(N, V)],
    ) -> Result<ChangedSet, ConfigError> {
        self.set_pairs_as(Caller::Remote, pairs)
    }

    /// CONFIG SET: checks and sets all pairs, or changes nothing. What changed is returned so that the server can
    /// put it into effect; it does so on a clone if that can fail ([`ConfigError::apply_failed`]).
    pub fn set_pairs_as<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        caller: Caller,
        pairs: &[(N, V)],
    ) -> Result<ChangedSet, ConfigError> {
        let directives = self.check_names(caller, pairs)?;
        let mut next = self.clone();
        for (directive, (name, value)) in directives.iter().zip(pairs) {
            let args = runtime_args(directive, value.as_ref());
            directive
                .take(&mut next, &args, Origin::Runtime)
                .map_err(|reason| refused(name.as_ref(), &reason))?;
        }
        let mut changed = ChangedSet::default();
        for directive in directives {
            next.touched.insert(directive.name);
            let differs = |role| directive.show(self, role) != directive.show(&next, role);
            if differs(Role::Primary) || differs(Role::Replica) {
                changed.0.insert(directive.name);
            }
        }
        *self = next;
        Ok(changed)
    }

    /// The directives the pairs name, if every one may be set by this caller and none is named twice.
    fn check_names<N: AsRef<[u8]>, V>(
        &self,
        caller: Caller,
        pairs: &[(N, V)],
    ) -> Result<Vec<&'static Directive>, ConfigError> {
        let protected_allowed = match self.enable_protected_configs {
            DebugAccess::No => false,
            DebugAccess::Yes => true,
            DebugAccess::Local => caller == Caller::Local,
        };
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        let mut found = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let name = name.as_ref();
            let Some(directive) = table::find(name).filter(|it| !it.only_in_files) else {
                return Err(ConfigError::Unknown(String::from_utf8_lossy(name).into_owned()));
            };
            if directive.protected && !protected_allowed {
                return Err(refused(name, "can't set protected config"));
            }
            if !directive.mutable {
                return Err(refused(name, "can't set immutable config"));
            }
            // Two names of one directive do not count as a duplicate: Redis lets the later one win.
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(refused(name, "duplicate parameter"));
            }
            found.push(directive);
        }
        Ok(found)
    }
}

fn refused(name: &[u8], reason: &str) -> ConfigError {
    ConfigError::Refused { name: String::from_utf8_lossy(name).into_owned(), reason: reason.to_owned() }
}

/// The one value of a CONFIG SET as arguments: lists are split at single spaces, as Redis does.
fn runtime_args(directive: &Directive, value: &[u8]) -> Vec<Vec<u8>> {
    match directive.takes_list() && !value.is_empty() {
        true => value.split(|b| *b == b' ').map(<[u8]>::to_vec).collect(),
        false => vec![value.to_vec()],
    }
}

/// The arguments of a line. A list in one quoted argument (`--save "900 1"`) is taken apart.
pub(super) fn line_args(directive: &Directive, args: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    match args.as_slice() {
        [only] if directive.takes_list() && !only.is_empty() => split_args(only).unwrap_or(args),
        _ => args,
    }
}
