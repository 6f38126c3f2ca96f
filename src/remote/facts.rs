//! What a server says about itself.

use std::collections::BTreeMap;

use super::client::Connection;
use super::error::RemoteError;

/// The first release whose RESTORE takes what is written here.
const OLDEST_RELEASE: (u32, u32) = (7, 0);
/// The first release of Redis that keeps times of hash fields, in the form that is written here.
const FIELD_TIMES_RELEASE: (u32, u32) = (7, 4);

/// A server's own account of itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its run id: another one after every start.
    pub run_id: String,
    /// Whether it is ours.
    pub ours: bool,
    /// What it is, for messages.
    pub name: String,
    /// Keys of each database that holds any.
    pub keys: BTreeMap<u32, u64>,
    /// Whether it is a replica.
    pub is_replica: bool,
    release: (u32, u32),
    valkey: bool,
}

impl Facts {
    /// Asks a server, and refuses one that is a node of a cluster.
    pub fn of(connection: &mut Connection) -> Result<Facts, RemoteError> {
        let reply = connection.call(&["INFO"])?;
        let text = reply.as_bytes().ok_or_else(|| connection.unexpected("INFO", &reply))?;
        let text = String::from_utf8_lossy(text).into_owned();
        let fields: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| fields.get(name).map(|value| value.trim());
        if field("cluster_enabled") == Some("1") {
            return Err(connection.unfit("it is a node of a cluster, which is not supported yet"));
        }
        let version = field("redis_version").unwrap_or_default();
        let ours = field("outrigger_version");
        let valkey = field("valkey_version");
        let name = match (ours, valkey) {
            (Some(ours), _) => format!("Outrigger {ours}"),
            (None, Some(valkey)) => format!("Valkey {valkey}"),
            (None, None) => format!("Redis {version}"),
        };
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Ok(Facts {
            run_id: field("run_id").unwrap_or_default().to_owned(),
            ours: ours.is_some(),
            name,
            keys: fields.iter().filter_map(|(name, value)| database(name, value)).collect(),
            is_replica: field("role") == Some("slave"),
            release,
            valkey: valkey.is_some(),
        })
    }

    /// Whether RESTORE takes what is written here.
    pub fn takes_values(&self) -> bool {
        self.ours || self.release >= OLDEST_RELEASE
    }

    /// Whether hashes keep times of their fields, in the form that is written here.
    pub fn takes_field_times(&self) -> bool {
        self.ours || (!self.valkey && self.release >= FIELD_TIMES_RELEASE)
    }
}

/// `db3:keys=17,expires=0,avg_ttl=0`
fn database(name: &str, value: &str) -> Option<(u32, u64)> {
    let db = name.strip_prefix("db")?.parse().ok()?;
    let keys = value.strip_prefix("keys=")?.split(',').next()?.parse().ok()?;
    Some((db, keys))
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_of_databases() {
        assert_eq!(super::database("db3", "keys=17,expires=0,avg_ttl=0"), Some((3, 17)));
        assert_eq!(super::database("db", "keys=17"), None);
        assert_eq!(super::database("dbsize", "keys=1"), None);
    }
}
