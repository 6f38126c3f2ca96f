//! The node's users: who there is, who a connection is, what it is refused.
//!
//! A connection keeps its user's rules, and whether they forbid anything at all, so that a command of a user who may do
//! everything costs one look at a flag. Every change of users raises a version, which a connection compares once a
//! batch: a rule is in force for whatever is read after its change was answered.

mod enforce;
mod files;

pub use enforce::{again_refused, note_wrong_password, queued_refusal, refusal, sort_refusal};
pub use files::{FileError, load, load_at_start, save};

use super::clients::ClientInfo;
use super::config::{AclPubsubDefault, Config};
use super::gate::{Gate, bits};
use super::node::Node;
use super::pubsub::Kind;
use crate::acl::log::AclLog;
use crate::acl::{DEFAULT_USER, NewChannels, SetUserError, User};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Shared = BTreeMap<Arc<[u8]>, Arc<User>>;

/// All users.
pub struct Acl {
    users: RwLock<Shared>,
    /// Rises with every change of them.
    version: AtomicU64,
    next_id: AtomicU64,
    /// What was refused.
    pub log: Mutex<AclLog>,
    /// One at a time writes the file.
    saving: Mutex<()>,
}

/// Who a session is.
#[derive(Clone)]
pub struct SessionUser {
    /// `None`: the server itself, whom nothing is forbidden.
    user: Option<Arc<User>>,
    /// The version of the users of which this is.
    version: u64,
    /// Something is forbidden; commands are to be checked.
    pub restricted: bool,
    /// There is no such user any more; the connection is to be closed.
    pub gone: bool,
}

impl SessionUser {
    /// The server itself.
    pub fn server() -> SessionUser {
        SessionUser { user: None, version: 0, restricted: false, gone: false }
    }

    fn new(user: Arc<User>, version: u64) -> SessionUser {
        SessionUser { version, restricted: !user.is_unrestricted(), gone: false, user: Some(user) }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        self.user.as_ref().map_or(DEFAULT_USER, |user| &user.name)
    }

    /// The user; `None` for the server itself.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.user.as_ref()
    }
}

/// What new users may use of channels.
fn new_channels(config: &Config) -> NewChannels {
    match config.acl_pubsub_default {
        AclPubsubDefault::AllChannels => NewChannels::All,
        AclPubsubDefault::ResetChannels => NewChannels::None,
    }
}

/// The user `default` as the configuration alone makes it.
fn default_of(config: &Config, id: u64) -> User {
    let mut user = User::default_user(id, new_channels(config));
    user.set_only_password(&config.requirepass.0);
    user
}

impl Acl {
    /// The user `default` alone.
    pub fn new(config: &Config, gate: &Gate) -> Acl {
        let user = Arc::new(default_of(config, 0));
        gate.set(bits::PASSWORD, !user.is_open());
        Acl {
            users: RwLock::new(BTreeMap::from([(user.name.clone(), user)])),
            version: AtomicU64::new(1),
            next_id: AtomicU64::new(1),
            log: Mutex::default(),
            saving: Mutex::default(),
        }
    }

    fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes the users under their lock; `change` may refuse, having changed nothing.
    fn change<R, E>(&self, gate: &Gate, change: impl FnOnce(&mut Shared) -> Result<R, E>) -> Result<R, E> {
        let mut users = self.users.write();
        let outcome = change(&mut users)?;
        let is_open = users.get(DEFAULT_USER).is_some_and(|user| user.is_open());
        gate.set(bits::PASSWORD, !is_open);
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(outcome)
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.users.read().get(name).cloned()
    }

    /// All users, by their names.
    pub fn list(&self) -> Vec<Arc<User>> {
        self.users.read().values().cloned().collect()
    }

    /// Brings a session's rules up to date, if users have changed.
    #[inline]
    pub fn refresh(&self, session: &mut SessionUser) {
        if session.version != self.version.load(Ordering::Acquire) {
            self.refresh_slow(session);
        }
    }

    #[cold]
    fn refresh_slow(&self, session: &mut SessionUser) {
        let Some(old) = &session.user else { return };
        // Taken before the look-up: what changes in between is found the next time.
        let version = self.version.load(Ordering::Acquire);
        match self.get(&old.name) {
            Some(user) if user.id == old.id => *session = SessionUser::new(user, version),
            _ => (session.version, session.restricted, session.gone) = (version, true, true),
        }
    }

    /// The user of a connection that has said nothing, and whether it may go on without.
    pub fn of_newcomer(&self) -> (SessionUser, bool) {
        let version = self.version.load(Ordering::Acquire);
        // There always is one.
        let user =
            self.get(DEFAULT_USER).unwrap_or_else(|| Arc::new(User::new(DEFAULT_USER, 0, NewChannels::None)));
        let is_open = user.is_open();
        (SessionUser::new(user, version), is_open)
    }

    /// Does the default user take any password? Then whoever can connect may be anybody.
    pub fn default_needs_no_password(&self) -> bool {
        self.get(DEFAULT_USER).is_some_and(|user| user.nopass)
    }

    /// The user that this name and password let in.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<SessionUser> {
        let version = self.version.load(Ordering::Acquire);
        let user = self.get(name).filter(|user| user.lets_in(password))?;
        Some(SessionUser::new(user, version))
    }

    /// The lines of a configuration file that bring the users about, but for what `requirepass` says.
    pub fn config_lines(&self, config: &Config) -> Vec<Vec<Vec<u8>>> {
        if !config.aclfile.is_empty() {
            return Vec::new();
        }
        let plain = default_of(config, 0).describe();
        let users = self.list();
        let told = users.iter().filter(|user| &*user.name != DEFAULT_USER || user.describe() != plain);
        let words = |user: &Arc<User>| {
            let rules = user.describe();
            std::iter::once(user.name.to_vec())
                .chain(rules.split(|byte| *byte == b' ').map(<[u8]>::to_vec))
                .collect()
        };
        told.map(words).collect()
    }
}

/// Changes or makes a user.
pub fn set_user<W: AsRef<[u8]>>(node: &Node, name: &[u8], rules: &[W]) -> Result<(), SetUserError> {
    let channels = new_channels(&node.config());
    node.acl.change(&node.gate, |users| {
        let mut user = match users.get(name) {
            Some(user) => (**user).clone(),
            None => User::new(name, node.acl.fresh_id(), channels),
        };
        user.set_new_channels(channels);
        user.apply(rules)?;
        users.insert(user.name.clone(), Arc::new(user));
        Ok(())
    })
}

/// Puts a changed `requirepass` into effect.
pub fn set_default_password(node: &Node, password: &[u8]) {
    let set: Result<(), ()> = node.acl.change(&node.gate, |users| {
        let mut user = users.get(DEFAULT_USER).map(|user| (**user).clone()).ok_or(())?;
        user.set_only_password(password);
        users.insert(user.name.clone(), Arc::new(user));
        Ok(())
    });
    debug_assert_eq!(set, Ok(()), "there is a default user");
}

/// Removes users, and ends their connections but the one that asks. Returns how many there were, and whether the one that
/// asks is of them.
pub fn delete_users(node: &Node, asks: &ClientInfo, names: &[&[u8]]) -> (usize, bool) {
    let removed = node.acl.change(&node.gate, |users| {
        let named = names.iter().filter(|name| **name != DEFAULT_USER);
        Ok::<Vec<Arc<User>>, ()>(named.filter_map(|name| users.remove(*name)).collect())
    });
    let removed = removed.unwrap_or_default();
    (removed.len(), end_clients_of(node, asks, &removed))
}

/// Ends the connections that have subscribed to what their users may use no more, but the one that asks; true if that one
/// is of them.
pub fn end_subscribers(node: &Node, asks: &ClientInfo) -> bool {
    if !node.pubsub.is_used() {
        return false;
    }
    // Looked up once each: what a connection holds may be the rules of before.
    let mut users: HashMap<u64, Option<Arc<User>>> = HashMap::new();
    let mut unlawful = HashSet::new();
    node.pubsub.for_each(|kind, name, client| {
        let Some(known) = client.user.lock().clone() else { return };
        let user = users
            .entry(known.id)
            .or_insert_with(|| node.acl.get(&known.name).filter(|user| user.id == known.id));
        if user.as_ref().is_some_and(|user| !user.may_use_channel(name, kind == Kind::Pattern)) {
            unlawful.insert(client.id);
        }
    });
    !unlawful.is_empty() && end_clients(node, asks, |client| unlawful.contains(&client.id))
}

/// Ends the connections of users who are gone, but the one that asks; true if that one is of them.
fn end_clients_of(node: &Node, asks: &ClientInfo, gone: &[Arc<User>]) -> bool {
    end_clients(node, asks, |client| {
        client.user.lock().as_ref().is_some_and(|user| gone.iter().any(|it| it.id == user.id))
    })
}

/// Ends such connections, but the one that asks; true if that one is of them.
fn end_clients(node: &Node, asks: &ClientInfo, is_one: impl Fn(&ClientInfo) -> bool) -> bool {
    let mut ends_asker = false;
    for client in node.clients.list().into_iter().filter(|client| is_one(client)) {
        client.closing.store(true, Ordering::Relaxed);
        match client.id == asks.id {
            true => ends_asker = true,
            false => node.clients.kill(&client),
        }
    }
    ends_asker
}
