//! Addresses in S3-compatible storage.

use super::S3Error;
use crate::storage::SCHEME;
use object_store::path::Path as Key;
use outrigger::backup::ARCHIVE_SUFFIX;
use std::path::PathBuf;

/// A bucket, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// What the names of its objects begin with; empty for all of it.
    pub prefix: Key,
    text: String,
}

impl Address {
    /// Reads `s3://BUCKET/PREFIX`.
    pub fn parse(text: &str) -> Result<Address, S3Error> {
        let bad = |what| S3Error::Address { text: text.to_owned(), what };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| bad("it does not begin with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(known) {
            return Err(bad("the name of a bucket is letters, digits, dots and hyphens"));
        }
        let prefix = prefix.trim_end_matches('/');
        let key = Key::parse(prefix).ok().filter(|_| !prefix.starts_with('/'));
        let key = key.ok_or_else(|| bad("the part behind the bucket cannot name objects"))?;
        let text = format!("{SCHEME}{bucket}/{prefix}").trim_end_matches('/').to_owned();
        Ok(Address { bucket: bucket.to_owned(), prefix: key, text })
    }

    /// Reads `s3://BUCKET/PREFIX/NAME.oar`: the place, and the backup's name.
    pub fn parse_archive(text: &str) -> Result<(Address, String), S3Error> {
        let place = text.strip_prefix(SCHEME).and_then(|rest| rest.rsplit_once('/'));
        let named = place.and_then(|(home, file)| Some((home, file.strip_suffix(ARCHIVE_SUFFIX)?)));
        match named {
            Some((home, name)) if !name.is_empty() => {
                Ok((Address::parse(&format!("{SCHEME}{home}"))?, name.to_owned()))
            }
            _ => {
                let what = "it names no archive: s3://BUCKET/PREFIX/NAME.oar is needed, and \
                            `outrigger backup --to s3://BUCKET/PREFIX --list` shows the names";
                Err(S3Error::Address { text: text.to_owned(), what })
            }
        }
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key of an object.
    pub fn key(&self, object: &str) -> Key {
        self.prefix.child(object)
    }

    /// An object as it is shown.
    pub fn shown(&self, object: &str) -> PathBuf {
        PathBuf::from(format!("{}/{object}", self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_bucket_and_a_prefix() {
        for (text, bucket, prefix, shown) in [
            ("s3://b", "b", "", "s3://b"),
            ("s3://b/", "b", "", "s3://b"),
            ("s3://my-bucket.x/a/b/", "my-bucket.x", "a/b", "s3://my-bucket.x/a/b"),
            ("s3://b/a", "b", "a", "s3://b/a"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((&*address.bucket, address.prefix.as_ref(), address.text()), (bucket, prefix, shown));
        }
        let address = Address::parse("s3://b/a").unwrap();
        assert_eq!(address.key("n.oar").as_ref(), "a/n.oar");
        assert_eq!(address.shown("n.oar"), PathBuf::from("s3://b/a/n.oar"));
        for text in [
            "s3://",
            "s3:///a",
            "s3://b c/a",
            "s3://b/a//c",
            "s3://b//c",
            "s3://b/../c",
            "s3://u:p@b/a",
            "b/a",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_archive_is_named_whole() {
        let (address, name) = Address::parse_archive("s3://b/a/backup-1.000Z.oar").unwrap();
        assert_eq!((address.text(), &*name), ("s3://b/a", "backup-1.000Z"));
        assert_eq!(Address::parse_archive("s3://b/n.oar").unwrap().0.text(), "s3://b");
        for text in ["s3://b", "s3://b/a", "s3://b/a/", "s3://b/.oar", "s3://n.oar", "s3://b/a.record"] {
            assert!(Address::parse_archive(text).is_err(), "{text}");
        }
    }
}
