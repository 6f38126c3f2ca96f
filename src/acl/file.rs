//! The file that holds users: a line each, `user NAME RULE …`.

use super::user::{NewChannels, User, is_name};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Users by name.
pub type Users = BTreeMap<Arc<[u8]>, User>;

/// The text of a file that brings these users about.
pub fn write<'a>(users: impl Iterator<Item = &'a User>) -> Vec<u8> {
    let mut text = Vec::new();
    for user in users {
        text.extend_from_slice(&line(user));
        text.push(b'\n');
    }
    text
}

/// The line of one user.
pub fn line(user: &User) -> Vec<u8> {
    [b"user ", &user.name[..], b" ", &user.describe()].concat()
}

/// Reads a file's text. All its faults are told, in the words that ACL LOAD uses; `name` is the file's. The ids of the
/// users are all 0.
pub fn read(text: &[u8], name: &str, channels: NewChannels) -> Result<Users, String> {
    let mut users = Users::new();
    let mut faults = String::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if let Err(fault) = read_line(line, channels, &mut users, name, at + 1) {
            // Writing to a String cannot fail.
            let _ = write!(faults, "{fault}. ");
        }
    }
    if faults.is_empty() { Ok(users) } else { Err(faults) }
}

fn read_line(
    line: &[u8],
    channels: NewChannels,
    users: &mut Users,
    file: &str,
    number: usize,
) -> Result<(), String> {
    let mut words = line.trim_ascii().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return Ok(()) };
    let (b"user", Some(name)) = (first, words.next()) else {
        return Err(format!("{file}:{number} should start with user keyword followed by the username"));
    };
    if !is_name(name) {
        return Err(format!(
            "'{file}:{number}: username '{}' contains invalid characters",
            name.escape_ascii()
        ));
    }
    if users.contains_key(name) {
        return Err(format!("WARNING: Duplicate user '{}' found on line {number}", name.escape_ascii()));
    }
    let mut user = User::new(name, 0, channels);
    let rules: Vec<&[u8]> = words.collect();
    user.apply(&rules).map_err(|error| format!("{file}:{number}: {error}"))?;
    users.insert(user.name.clone(), user);
    Ok(())
}
