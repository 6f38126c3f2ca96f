//! What can go wrong with S3-compatible storage, in words for whoever was woken by it.

use outrigger::backup::BackupError;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Names of the variables whose values are never shown.
const SECRETS: [&str; 3] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"];
/// Longest part of a server's answer that is shown.
const MAX_ANSWER_CHARS: usize = 300;
/// What is in the text of an error below HTTP: no connection, a connection that broke, no answer in time.
const BELOW: &str = "HTTP error: ";

/// Why something did not work.
#[derive(Debug, Error)]
pub enum S3Error {
    /// As with backups in a folder.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// No address.
    #[error("{text}: {what}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The environment does not do.
    #[error("{0}")]
    Setup(String),
    /// There is no such bucket.
    #[error(
        "{endpoint} has no bucket {bucket}. Make it there, or correct the address, the endpoint or AWS_REGION"
    )]
    NoBucket {
        /// Its name.
        bucket: String,
        /// Who says so.
        endpoint: String,
    },
    /// It does not know who this is.
    #[error(
        "{endpoint} refuses the credentials: {what}. Correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where there is one, \
         AWS_SESSION_TOKEN"
    )]
    Credentials {
        /// Who.
        endpoint: String,
        /// In its words.
        what: String,
    },
    /// It knows, and does not allow it.
    #[error(
        "{endpoint} does not allow {doing}: {what}. The key needs the right to list the bucket, and to get, put and delete \
         objects under the prefix"
    )]
    Forbidden {
        /// Who.
        endpoint: String,
        /// What was tried.
        doing: String,
        /// In its words.
        what: String,
    },
    /// Nobody answers there.
    #[error(
        "{endpoint} cannot be reached: {what}. Is the endpoint right (AWS_ENDPOINT_URL, --endpoint), and does the network let \
         this machine through?"
    )]
    Unreachable {
        /// Who.
        endpoint: String,
        /// Why.
        what: String,
    },
    /// It answered before, and now does not, or only with failures.
    #[error(
        "{endpoint} failed while {doing}, for longer than --patience: {what}. Nothing was changed by it that the next run does \
         not put right; call again once the storage works"
    )]
    Broken {
        /// Who.
        endpoint: String,
        /// What was being done.
        doing: String,
        /// How it failed.
        what: String,
    },
    /// Another refusal.
    #[error("{endpoint} refused while {doing}: {what}")]
    Refused {
        /// Who.
        endpoint: String,
        /// What was being done.
        doing: String,
        /// In its words.
        what: String,
    },
    /// There is no backup of that name.
    #[error(
        "{0} is no published backup: it is not there, or its upload was not finished; `outrigger backup --list` shows those \
         that are"
    )]
    NotPublished(String),
    /// Somebody removed it while it was being published.
    #[error("{0} was removed by somebody else while it was being published; it is not. Call again")]
    Vanished(String),
    /// The local disk.
    #[error("cannot {doing} {}: {error}{}", path.display(), room(error))]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// How it failed.
        error: io::Error,
    },
    /// The local disk has too little room.
    #[error("{} has {available} bytes free, and {needed} are needed for the archive. Make room{advice}", folder.display())]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// What is needed.
        needed: u64,
        /// What is there.
        available: u64,
        /// What else can be done.
        advice: &'static str,
    },
    /// A folder where the archive was to be made belongs to somebody else.
    #[error("{} is not a folder of this user's alone; remove it, or name another place with --work", .0.display())]
    NotOurs(PathBuf),
}

fn room(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Nothing was published; make room, then try again"
        }
        _ => "",
    }
}

impl S3Error {
    /// Whether it is about damage in files, rather than about the call, the disk or the network.
    pub fn is_damage(&self) -> bool {
        matches!(self, S3Error::Backup(error) if error.is_damage())
    }
}

/// What is needed to say who failed at what.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The storage.
    pub endpoint: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// What was being done.
    pub doing: &'a str,
    /// Whether nothing has been heard from it yet.
    pub first: bool,
}

/// What a failed request means.
pub fn explain(error: &object_store::Error, told: Told<'_>) -> S3Error {
    let text = error.to_string();
    let status = between(&text, "status code: ", " ").and_then(|code| code.parse::<u16>().ok());
    let code = between(&text, "<Code>", "</Code>").unwrap_or_default();
    let what = answer(&text, status, code);
    let (endpoint, doing) = (told.endpoint.to_owned(), told.doing.to_owned());
    match (code, status) {
        ("NoSuchBucket", _) => S3Error::NoBucket { bucket: told.bucket.to_owned(), endpoint },
        (
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired",
            _,
        )
        | (_, Some(401)) => S3Error::Credentials { endpoint, what },
        ("RequestTimeTooSkewed", _) => {
            let what = format!("{what} Set the clock of this machine");
            S3Error::Refused { endpoint, doing, what }
        }
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
        | (_, Some(301 | 307)) => {
            let what = format!("{what}. The bucket may be of another region: set AWS_REGION");
            S3Error::Refused { endpoint, doing, what }
        }
        (_, Some(403)) => S3Error::Forbidden { endpoint, doing, what },
        (_, Some(404)) if told.first => S3Error::NoBucket { bucket: told.bucket.to_owned(), endpoint },
        (_, Some(429 | 500..)) => S3Error::Broken { endpoint, doing, what },
        (_, Some(_)) => S3Error::Refused { endpoint, doing, what },
        (_, None) => without_answer(error, text, endpoint, doing, told.first),
    }
}

/// What the server said, in its words, or else the number of its answer.
fn answer(text: &str, status: Option<u16>, code: &str) -> String {
    let message = between(text, "<Message>", "</Message>").unwrap_or_default().trim();
    // Some write it so.
    let message = between(message, "<![CDATA[", "]]>").unwrap_or(message);
    let said = match (code, message, status) {
        ("", "", Some(status)) => format!("it answers with HTTP status {status}"),
        (code, "", _) => code.to_owned(),
        (code, message, _) => format!("{message} ({code})"),
    };
    scrubbed(&said)
}

fn without_answer(
    error: &object_store::Error,
    text: String,
    endpoint: String,
    doing: String,
    first: bool,
) -> S3Error {
    if text.contains("incorrectly configured region") {
        let what = "it sends this elsewhere. The bucket may be of another region: set AWS_REGION".to_owned();
        return S3Error::Refused { endpoint, doing, what };
    }
    if !text.contains(BELOW) {
        return S3Error::Refused { endpoint, doing, what: scrubbed(&text) };
    }
    let what = scrubbed(&innermost(error));
    match first {
        true => S3Error::Unreachable { endpoint, what },
        false => S3Error::Broken { endpoint, doing, what },
    }
}

/// The last of the reasons, which says what happened: a connection refused, a name that nobody knows.
fn innermost(error: &object_store::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(found, _)| found)
}

/// A text without secrets, on one line, and not too long.
fn scrubbed(text: &str) -> String {
    let secrets = SECRETS.iter().filter_map(|name| std::env::var(name).ok());
    without(text, secrets)
}

fn without(text: &str, secrets: impl Iterator<Item = String>) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        text = text.replace(&secret, "…");
    }
    if text.chars().count() > MAX_ANSWER_CHARS {
        text = text.chars().take(MAX_ANSWER_CHARS).chain(['…']).collect();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str, first: bool) -> String {
        let error = object_store::Error::Generic { store: "S3", source: text.to_owned().into() };
        let told = Told { endpoint: "http://here", bucket: "b", doing: "uploading x", first };
        explain(&error, told).to_string()
    }

    #[test]
    fn answers_are_told_in_sentences() {
        let status = |code: &str| format!("Server returned non-2xx status code: {code}: ");
        let body = |code: &str| format!("<Error><Code>{code}</Code><Message>So it is.</Message></Error>");
        for (text, first, said) in [
            (status("404 Not Found") + &body("NoSuchBucket"), false, "has no bucket b"),
            (status("404 Not Found"), true, "has no bucket b"),
            (status("404 Not Found"), false, "HTTP status 404"),
            (status("403 Forbidden") + &body("InvalidAccessKeyId"), true, "So it is. (InvalidAccessKeyId)"),
            (status("403 Forbidden") + &body("SignatureDoesNotMatch"), true, "AWS_SECRET_ACCESS_KEY"),
            (
                status("403 Forbidden") + "<Code>X</Code><Message><![CDATA[No.]]></Message>",
                true,
                ": No. (X).",
            ),
            (status("403 Forbidden") + &body("AccessDenied"), true, "does not allow uploading x"),
            (status("403 Forbidden") + &body("RequestTimeTooSkewed"), true, "Set the clock"),
            (status("400 Bad Request") + &body("AuthorizationHeaderMalformed"), true, "AWS_REGION"),
            (status("503 Service Unavailable"), false, "failed while uploading x"),
            (status("400 Bad Request") + &body("EntityTooLarge"), false, "So it is. (EntityTooLarge)"),
        ] {
            let found = explained(&text, first);
            assert!(found.contains(said), "{text}: {found}");
        }
    }

    #[test]
    fn secrets_are_left_out() {
        let text =
            without("a key: hunter2,\n and hunter2 again", ["hunter2".to_owned(), String::new()].into_iter());
        assert_eq!(text, "a key: …, and … again");
        assert_eq!(without(&"x".repeat(1000), std::iter::empty()).chars().count(), MAX_ANSWER_CHARS + 1);
    }
}
