//! One user: whether it may log in, with what, and what it may do.

use super::password::Hash;
use super::rules::{RuleError, SetUserError, merge_selectors};
use super::selector::{Selector, has_space};
use std::fmt;
use std::sync::Arc;

/// The user of connections that have not said who they are.
pub const DEFAULT_USER: &[u8] = b"default";

/// Which channels a new user, or a new selector, may use before any rule about them (`acl-pubsub-default`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewChannels {
    /// None.
    None,
    /// All.
    All,
}

/// Can this be a user's name?
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !has_space(name)
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: Arc<[u8]>,
    /// Tells it from others that had the name before.
    pub id: u64,
    /// It may log in.
    pub enabled: bool,
    /// It takes any password.
    pub nopass: bool,
    /// What was said about payloads of RESTORE, if anything. Each is validated whoever sends it.
    sanitize: Option<bool>,
    passwords: Vec<Hash>,
    root: Selector,
    selectors: Vec<Selector>,
    channels: NewChannels,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.name.escape_ascii())
    }
}

impl User {
    /// A user who may not log in and do nothing.
    pub fn new(name: &[u8], id: u64, channels: NewChannels) -> User {
        User {
            name: name.into(),
            id,
            enabled: false,
            nopass: false,
            sanitize: None,
            passwords: Vec::new(),
            root: Selector::new(channels),
            selectors: Vec::new(),
            channels,
        }
    }

    /// The user `default` of a server that was told nothing of users: it may do everything, without a password.
    pub fn default_user(id: u64, channels: NewChannels) -> User {
        let mut user = User::new(DEFAULT_USER, id, channels);
        (user.enabled, user.nopass) = (true, true);
        for rule in [b"+@all".as_slice(), b"~*", b"&*"] {
            // These three are rules whatever the table holds.
            let _ = user.root.apply(rule);
        }
        user
    }

    /// Sets the only password; an empty one makes every password right (`requirepass`).
    pub fn set_only_password(&mut self, password: &[u8]) {
        self.passwords.clear();
        self.nopass = password.is_empty();
        if !password.is_empty() {
            self.passwords.push(Hash::of(password));
        }
    }

    /// What new selectors of it may use of channels from now on.
    pub fn set_new_channels(&mut self, channels: NewChannels) {
        self.channels = channels;
    }

    /// Takes rules, word by word as they were given; or refuses them, having changed nothing.
    pub fn apply<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<(), SetUserError> {
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        let mut next = self.clone();
        for rule in merge_selectors(&words)? {
            next.apply_rule(&rule).map_err(|error| SetUserError::Rule { rule, error })?;
        }
        *self = next;
        Ok(())
    }

    fn apply_rule(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                self.nopass = true;
                self.passwords.clear();
            }
            b"resetpass" => self.reset_passwords(),
            b"sanitize-payload" => self.sanitize = Some(true),
            b"skip-sanitize-payload" => self.sanitize = Some(false),
            b"clearselectors" => self.selectors.clear(),
            b"reset" => {
                self.reset_passwords();
                self.root = Selector::new(self.channels);
                self.selectors.clear();
                (self.enabled, self.sanitize) = (false, Some(true));
            }
            _ => match rule {
                [b'>', password @ ..] => self.add_password(Hash::of(password)),
                [b'#', hash @ ..] => self.add_password(Hash::written(hash).ok_or(RuleError::BadHash)?),
                [b'<', password @ ..] => self.remove_password(&Hash::of(password))?,
                [b'!', hash @ ..] => self.remove_password(&Hash::written(hash).ok_or(RuleError::BadHash)?)?,
                [b'(', inner @ .., b')'] => self.add_selector(inner)?,
                _ => self.root.apply(rule)?,
            },
        }
        Ok(())
    }

    fn reset_passwords(&mut self) {
        self.nopass = false;
        self.passwords.clear();
    }

    fn add_password(&mut self, hash: Hash) {
        self.nopass = false;
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: &Hash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| known == hash).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(at);
        Ok(())
    }

    fn add_selector(&mut self, inner: &[u8]) -> Result<(), RuleError> {
        let mut selector = Selector::new(self.channels);
        for rule in inner.split(u8::is_ascii_whitespace) {
            // Written down, such a word would end the selector.
            if rule.ends_with(b")") {
                return Err(RuleError::Syntax);
            }
            selector.apply(rule)?;
        }
        self.selectors.push(selector);
        Ok(())
    }

    /// May whoever gives this password log in as this user?
    pub fn lets_in(&self, password: &[u8]) -> bool {
        if !self.enabled {
            return false;
        }
        let given = Hash::of(password);
        // Each is looked at, whichever fits.
        let fits = self.passwords.iter().fold(false, |fits, known| fits | known.is(&given));
        self.nopass || fits
    }

    /// Whoever connects is this user (`default`) without saying anything.
    pub fn is_open(&self) -> bool {
        self.enabled && self.nopass
    }

    /// May it do everything?
    pub fn is_unrestricted(&self) -> bool {
        self.selectors().any(Selector::is_unrestricted)
    }

    /// Its sets of permissions, its own first.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// The hashes of its passwords.
    pub fn passwords(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.passwords.iter().map(|hash| &hash.0[..])
    }

    /// The words that stand for its state.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        flags.extend(self.nopass.then_some("nopass"));
        flags.extend(self.sanitize.map(|yes| if yes { "sanitize-payload" } else { "skip-sanitize-payload" }));
        flags
    }
}
