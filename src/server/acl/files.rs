//! Users in files: lines of the configuration file, or a file of their own.

use super::{end_clients_of, new_channels};
use crate::acl::file::{Users, read, write};
use crate::acl::{DEFAULT_USER, User};
use crate::server::clients::ClientInfo;
use crate::server::node::Node;
use crate::sys::{Disk, DiskError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest file of users, in bytes.
const FILE_MAX_BYTES: usize = 64 << 20;
const UNCHANGED: &str =
    "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

/// Why users could not be read from a file, or written to one.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There are two places that say who there is.
    #[error(
        "users are defined in the configuration file, and `aclfile` names a file of users, too: only one of the two may \
         say who there is"
    )]
    Both,
    /// No file is configured.
    #[error(
        "This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
         command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store \
         users in the Redis configuration."
    )]
    NoFile,
    /// It cannot be read.
    #[error("Error loading ACLs, opening file '{}': {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It cannot be written.
    #[error("There was an error trying to save the ACLs. Please check the server logs for more information")]
    Write(#[source] DiskError),
    /// What it says is wrong.
    #[error("{0}{UNCHANGED}")]
    Wrong(String),
    /// A `user` line of the configuration is wrong.
    #[error("Error in user declaration '{name}': {why}")]
    Line {
        /// The user.
        name: String,
        /// What is wrong.
        why: String,
    },
}

fn path(node: &Node) -> Result<PathBuf, FileError> {
    let config = node.config();
    match config.aclfile.is_empty() {
        true => Err(FileError::NoFile),
        false => Ok(config.dir.join(&config.aclfile)),
    }
}

/// Reads what the configuration says of users, before anybody is served.
pub fn load_at_start(node: &Node) -> Result<(), FileError> {
    let config = node.config();
    match (config.aclfile.is_empty(), config.users.is_empty()) {
        (true, true) => return Ok(()),
        (false, false) => return Err(FileError::Both),
        (false, true) => {
            let users = read_file(node)?;
            replace_all(node, users);
            if node.acl.default_needs_no_password() && !config.requirepass.0.is_empty() {
                tracing::warn!(
                    "requirepass is without effect: the file of users says what the default user needs"
                );
            }
            return Ok(());
        }
        (true, false) => {}
    }
    node.acl.change(&node.gate, |users| {
        for line in &config.users {
            let Some((name, rules)) = line.split_first() else { continue };
            let id = match &name[..] {
                DEFAULT_USER => 0,
                _ => node.acl.fresh_id(),
            };
            let mut user = User::new(name, id, new_channels(&config));
            let wrong = |why: String| FileError::Line { name: name.escape_ascii().to_string(), why };
            if name == DEFAULT_USER {
                user.apply(&["reset"]).map_err(|error| wrong(error.to_string()))?;
            }
            user.apply(rules).map_err(|error| wrong(error.to_string()))?;
            users.insert(user.name.clone(), Arc::new(user));
        }
        Ok(())
    })
}

/// ACL LOAD: takes all users from the file, or changes nothing. Connections of users who are gone end; true if that of
/// who asks is of them.
pub fn load(node: &Node, asks: &ClientInfo) -> Result<bool, FileError> {
    let users = read_file(node)?;
    let gone = replace_all(node, users);
    Ok(end_clients_of(node, asks, &gone))
}

/// Puts these users in place of all there are. Who has a name that was there before goes on as the same user. Returns those
/// who are gone.
fn replace_all(node: &Node, mut loaded: Users) -> Vec<Arc<User>> {
    let replaced = node.acl.change(&node.gate, |users| {
        let channels = new_channels(&node.config());
        loaded.entry(DEFAULT_USER.into()).or_insert_with(|| User::default_user(0, channels));
        let mut old = std::mem::take(users);
        for (name, mut user) in loaded {
            user.id = old.remove(&name).map_or_else(|| node.acl.fresh_id(), |known| known.id);
            users.insert(name, Arc::new(user));
        }
        Ok::<_, ()>(old.into_values().collect())
    });
    replaced.unwrap_or_default()
}

fn read_file(node: &Node) -> Result<Users, FileError> {
    let path = path(node)?;
    let unreadable = |why: String| FileError::Read { path: path.clone(), why };
    let text = read_whole(&**node.durability.disk(), &path).map_err(unreadable)?;
    read(&text, &path.display().to_string(), new_channels(&node.config())).map_err(FileError::Wrong)
}

/// ACL SAVE.
pub fn save(node: &Node) -> Result<(), FileError> {
    let path = path(node)?;
    // Whoever comes later writes what is later.
    let _saving = node.acl.saving.lock();
    let users = node.acl.list();
    let text = write(users.iter().map(|user| &**user));
    let written = node.durability.disk().write_whole(&path, &mut |out| out.write_all(&text));
    written.map(drop).map_err(FileError::Write)
}

fn read_whole(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, String> {
    let file = disk.open_read(path).map_err(|error| error.source.to_string())?;
    let mut text = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while text.len() <= FILE_MAX_BYTES {
        let count = file.read_at(text.len() as u64, &mut chunk).map_err(|error| error.source.to_string())?;
        match chunk.get(..count) {
            None | Some([]) => return Ok(text),
            Some(bytes) => text.extend_from_slice(bytes),
        }
    }
    Err("the file is too long".into())
}
