//! Requests to a bucket: each tried again for a while, and each failure in words.

use super::S3Error;
use super::address::Address;
use super::error::{Told, explain};
use crate::storage::S3Options;
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::ClientConfigKey;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, Error as StoreError, ObjectStore, RetryConfig};
use std::future::Future;
use std::ops::Range;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Longest that the first request is tried again: a wrong address is to be told at once.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// How often a request is tried again at most; the time given for it is over before.
const MAX_RETRIES: usize = 1_000;
/// Longest that a request may take, and a connection to be made, unless the variable says otherwise.
const TIMEOUTS: [(&str, ClientConfigKey, &str); 2] = [
    ("AWS_TIMEOUT", ClientConfigKey::Timeout, "90 seconds"),
    ("AWS_CONNECT_TIMEOUT", ClientConfigKey::ConnectTimeout, "10 seconds"),
];
/// One of these sets must be in the environment; otherwise the machine itself is asked, as on EC2.
const CREDENTIALS: [&[&str]; 4] = [
    &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"],
    &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"],
    &["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
];

/// An object under the prefix.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its name without the prefix.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// When it was written, by the storage's clock, in ms of Unix time.
    pub time_ms: u64,
}

/// A bucket, or a part of one.
pub struct Bucket {
    store: AmazonS3,
    /// The same, for the first request.
    first: AmazonS3,
    runtime: Runtime,
    address: Address,
    endpoint: String,
}

impl Bucket {
    /// Makes ready for requests. Sends none.
    pub fn connect(address: Address, options: &S3Options) -> Result<Bucket, S3Error> {
        let from_env = options.endpoint.clone().or_else(|| env("AWS_ENDPOINT_URL_S3"));
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&address.bucket);
        if let Some(endpoint) = from_env {
            builder = builder.with_endpoint(endpoint);
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        check_endpoint(endpoint.as_deref())?;
        check_keys()?;
        for (variable, key, value) in TIMEOUTS {
            if env(variable).is_none() {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
        }
        let patience = Duration::from_secs(options.patience);
        let build = |patience| {
            builder
                .clone()
                .with_retry(retry(patience))
                .build()
                .map_err(|error| S3Error::Setup(format!("the storage cannot be used: {error}")))
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| S3Error::Setup(format!("no network: {error}")))?;
        let region = || builder.get_config_value(&AmazonS3ConfigKey::Region);
        let amazon = || format!("Amazon S3 in {}", region().as_deref().unwrap_or("us-east-1"));
        Ok(Bucket {
            store: build(patience)?,
            first: build(patience.min(FIRST_PATIENCE))?,
            runtime,
            address,
            endpoint: endpoint.clone().unwrap_or_else(amazon),
        })
    }

    /// What it is the address of.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Where the storage is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn told<'a>(&'a self, doing: &'a str) -> Told<'a> {
        Told { endpoint: &self.endpoint, bucket: &self.address.bucket, doing, first: false }
    }

    /// Waits for requests; `doing` says what they are for.
    pub fn run<T>(
        &self,
        doing: &str,
        requests: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, S3Error> {
        self.runtime.block_on(requests).map_err(|error| explain(&error, self.told(doing)))
    }

    /// Waits for requests that may fail in other ways, too.
    pub fn run_any<T>(&self, work: impl Future<Output = Result<T, S3Error>>) -> Result<T, S3Error> {
        self.runtime.block_on(work)
    }

    /// What a failed request means.
    pub fn explained(&self, doing: &str, error: &StoreError) -> S3Error {
        explain(error, self.told(doing))
    }

    /// The objects under the prefix, not those further down. The first request of every call, which finds out whether there is
    /// such a bucket at all.
    pub fn look(&self) -> Result<Vec<Object>, S3Error> {
        let listed = self.runtime.block_on(self.first.list_with_delimiter(self.prefix()));
        let listed = listed.map_err(|error| {
            let lacks_credentials = !CREDENTIALS.iter().any(|set| set.iter().all(|name| env(name).is_some()));
            if lacks_credentials && error.to_string().contains("/latest/") {
                let text = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. (Without them the machine \
                            itself was asked, as on EC2, and gave none.)";
                return S3Error::Setup(text.to_owned());
            }
            explain(&error, Told { first: true, ..self.told("listing the bucket") })
        })?;
        Ok(listed.objects.iter().filter_map(object).collect())
    }

    fn prefix(&self) -> Option<&Key> {
        Some(&self.address.prefix).filter(|prefix| !prefix.as_ref().is_empty())
    }

    /// What is known of an object, if it is there.
    pub fn head(&self, name: &str) -> Result<Option<Object>, S3Error> {
        let key = self.address.key(name);
        match self.runtime.block_on(self.store.head(&key)) {
            Ok(meta) => Ok(object(&meta)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.explained(&self.about("looking at", name), &error)),
        }
    }

    /// The bytes of an object that is no longer than `most`; `None` if it is not there.
    pub async fn get(&self, name: &str, most: u64) -> Result<Option<Bytes>, S3Error> {
        let doing = self.about("reading", name);
        let got = match self.store.get(&self.address.key(name)).await {
            Ok(got) => got,
            Err(StoreError::NotFound { source, .. }) if !source.to_string().contains("NoSuchBucket") => {
                return Ok(None);
            }
            Err(error) => return Err(self.explained(&doing, &error)),
        };
        if got.meta.size > most {
            let what = format!("it has {} bytes, and {most} at most are allowed", got.meta.size);
            return Err(S3Error::Refused { endpoint: self.endpoint.clone(), doing, what });
        }
        got.bytes().await.map(Some).map_err(|error| self.explained(&doing, &error))
    }

    /// A part of an object.
    pub async fn get_part(&self, name: &str, part: Range<u64>) -> Result<Bytes, StoreError> {
        self.store.get_range(&self.address.key(name), part).await
    }

    /// Writes a small object.
    pub fn put(&self, name: &str, bytes: Bytes) -> Result<(), S3Error> {
        let key = self.address.key(name);
        self.run(&self.about("writing", name), self.store.put(&key, bytes.into())).map(drop)
    }

    /// Removes an object. One that is not there is no error.
    pub fn remove(&self, name: &str) -> Result<(), S3Error> {
        let key = self.address.key(name);
        let removed = async { was_there(self.store.delete(&key).await) };
        self.run(&self.about("removing", name), removed).map(drop)
    }

    /// Begins an upload in parts. What is sent is seen by nobody before [`Bucket::complete`].
    pub fn begin(&self, name: &str) -> Result<String, S3Error> {
        let key = self.address.key(name);
        self.run(&self.about("beginning to upload", name), self.store.create_multipart(&key))
    }

    /// Sends a part.
    pub async fn put_part(
        &self,
        name: &str,
        id: &String,
        part: usize,
        bytes: Bytes,
    ) -> Result<PartId, StoreError> {
        self.store.put_part(&self.address.key(name), id, part, bytes.into()).await
    }

    /// Makes one object of the parts.
    pub fn complete(&self, name: &str, id: &String, parts: Vec<PartId>) -> Result<(), S3Error> {
        let key = self.address.key(name);
        self.run(&self.about("uploading", name), self.store.complete_multipart(&key, id, parts)).map(drop)
    }

    /// Gives an upload up, and has its parts removed; `false` if there is none any more.
    pub fn abort(&self, name: &str, id: &String) -> Result<bool, S3Error> {
        let key = self.address.key(name);
        let given_up = async { was_there(self.store.abort_multipart(&key, id).await) };
        self.run(&self.about("giving up the upload of", name), given_up)
    }

    /// Gives an upload up and removes what it may have made, in a short time: if there is no network there will be another run.
    pub fn clear_away(&self, name: &str, id: &String) -> Result<(), S3Error> {
        let key = self.address.key(name);
        let requests = async {
            was_there(self.first.abort_multipart(&key, id).await)?;
            was_there(self.first.delete(&key).await).map(drop)
        };
        self.run(&self.about("clearing away", name), requests)
    }

    /// What is done, and to what.
    pub fn about(&self, doing: &str, name: &str) -> String {
        format!("{doing} {}", self.address.shown(name).display())
    }
}

/// Whether there was something to remove. That there is nothing any more is no error.
fn was_there(removed: Result<(), StoreError>) -> Result<bool, StoreError> {
    match removed {
        Ok(()) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn object(meta: &object_store::ObjectMeta) -> Option<Object> {
    let name = meta.location.filename()?.to_owned();
    let time_ms = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
    Some(Object { name, bytes: meta.size, time_ms })
}

fn retry(patience: Duration) -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: MAX_BACKOFF, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: patience }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn check_keys() -> Result<(), S3Error> {
    let [id, secret] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    match (env(id), env(secret)) {
        (Some(_), None) => Err(S3Error::Setup(format!("{id} is set, and {secret} is not"))),
        (None, Some(_)) => Err(S3Error::Setup(format!("{secret} is set, and {id} is not"))),
        _ => Ok(()),
    }
}

fn check_endpoint(endpoint: Option<&str>) -> Result<(), S3Error> {
    let Some(endpoint) = endpoint else { return Ok(()) };
    let bad = |what: &str| Err(S3Error::Setup(format!("the endpoint {endpoint} {what}")));
    let Some((scheme, host)) = endpoint.split_once("://") else {
        return bad("is no URL such as https://s3.example.com");
    };
    // Not repeated: it may hold a password.
    if host.contains('@') {
        return Err(S3Error::Setup(
            "an endpoint has no user and no password in it: these are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
        ));
    }
    let yes = ["1", "true", "on", "yes", "y"];
    let allows_http = env("AWS_ALLOW_HTTP").is_some_and(|value| yes.contains(&&*value.to_ascii_lowercase()));
    match scheme {
        "https" => Ok(()),
        "http" if allows_http => Ok(()),
        "http" => bad("is not encrypted. If that is meant, set AWS_ALLOW_HTTP=true"),
        _ => bad("is no URL such as https://s3.example.com"),
    }
}
