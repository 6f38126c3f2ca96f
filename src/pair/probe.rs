//! Asks a process how it is, by INFO.

use crate::resp::command_bytes::write_command;
use crate::resp::value::{RespValue, decode_reply};
use std::collections::HashMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest reply that is read, bytes.
const REPLY_MAX_BYTES: usize = 1 << 20;

/// What a process said of itself. Every field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    fields: HashMap<String, String>,
}

impl Facts {
    /// Reads the text of INFO.
    pub fn parse(info: &str) -> Facts {
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim_end().to_owned()))
        };
        Facts { fields: info.lines().filter_map(field).collect() }
    }

    /// A field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// A field that is a number of at least 0.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// Whether a field is there and not `0`.
    pub fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0")
    }

    /// On a primary: whether a replica follows and gets the stream.
    pub fn has_replica_online(&self) -> bool {
        let replicas = self.number("connected_slaves").unwrap_or(0).min(64);
        (0..replicas).any(|index| {
            let line = self.text(&format!("slave{index}"));
            line.is_some_and(|line| line.split(',').any(|part| part == "state=online"))
        })
    }
}

/// A connection for asking, opened when needed.
pub struct Probe {
    port: u16,
    password: Vec<u8>,
    stream: Option<TcpStream>,
}

impl Probe {
    /// Of the process on this port of 127.0.0.1.
    pub fn new(port: u16, password: Vec<u8>) -> Probe {
        Probe { port, password, stream: None }
    }

    /// Its answer; `None` if it does not answer. One that answers with an error has no fields.
    pub async fn ask(&mut self) -> Option<Facts> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange()).await;
        match answer {
            Ok(Ok(facts)) => Some(facts),
            _ => {
                self.stream = None;
                None
            }
        }
    }

    async fn exchange(&mut self) -> io::Result<Facts> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
                if !self.password.is_empty() {
                    command(&mut stream, &[b"AUTH", &self.password]).await?;
                }
                none.insert(stream)
            }
        };
        let reply = command(stream, &[b"INFO"]).await?;
        let text = reply.as_bytes().map(String::from_utf8_lossy).unwrap_or_default();
        Ok(Facts::parse(&text))
    }
}

async fn command(stream: &mut TcpStream, args: &[&[u8]]) -> io::Result<RespValue> {
    let mut out = Vec::new();
    write_command(&mut out, args);
    stream.write_all(&out).await?;
    let mut input = Vec::new();
    loop {
        let step = decode_reply(&input);
        if let Some((value, _)) = step.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            return Ok(value);
        }
        if input.len() > REPLY_MAX_BYTES || stream.read_buf(&mut input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
