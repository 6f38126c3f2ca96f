//! A connection that this node opens to another: commands out, replies in.

use crate::resp::command_bytes::write_command;
use crate::resp::value::{RespValue, decode_reply};
use crate::server::Node;
use crate::server::config::Address;
use bytes::{Buf, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Longest reply to a command of ours, bytes.
const REPLY_MAX_BYTES: usize = 1 << 20;
/// How much the peer must take within its time, bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// A connection to another node.
pub struct Peer {
    /// The socket.
    pub stream: TcpStream,
    /// What was read and not yet used.
    pub input: BytesMut,
    patience: Duration,
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Peer {
    /// Connects and authenticates. Nothing later waits longer than `patience` for the peer.
    pub async fn connect(node: &Node, address: &Address, patience: Duration) -> io::Result<Peer> {
        let mut peer = Peer::open(address, patience).await?;
        let config = node.config();
        if !config.masterauth.0.is_empty() {
            let mut args: Vec<&[u8]> = vec![b"AUTH"];
            if !config.masteruser.is_empty() {
                args.push(config.masteruser.as_bytes());
            }
            args.push(&config.masterauth.0);
            peer.expect_ok(&args).await?;
        }
        Ok(peer)
    }

    /// Connects. Nothing later waits longer than `patience` for the peer.
    pub async fn open(address: &Address, patience: Duration) -> io::Result<Peer> {
        let connecting = TcpStream::connect((address.host.as_str(), address.port));
        let stream = tokio::time::timeout(patience, connecting).await??;
        let _ = stream.set_nodelay(true);
        Ok(Peer { stream, input: BytesMut::new(), patience })
    }

    /// Sets how long the peer is waited for from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Sends what may be long: the peer must take some of it, time and again.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            tokio::time::timeout(self.patience, self.stream.write_all(piece)).await??;
        }
        Ok(())
    }

    /// Sends a command.
    pub async fn send(&mut self, args: &[&[u8]]) -> io::Result<()> {
        let mut out = Vec::new();
        write_command(&mut out, args);
        tokio::time::timeout(self.patience, self.stream.write_all(&out)).await?
    }

    /// Reads what there is into [`Peer::input`]; at least a byte, or an error at the peer's end.
    pub async fn read_more(&mut self) -> io::Result<usize> {
        loop {
            self.input.reserve(16 * 1024);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::timeout(self.patience, self.stream.readable()).await??;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a command and reads its reply.
    pub async fn command(&mut self, args: &[&[u8]]) -> io::Result<RespValue> {
        self.send(args).await?;
        self.read_reply().await
    }

    /// Reads the reply to a command that was sent.
    pub async fn read_reply(&mut self) -> io::Result<RespValue> {
        loop {
            let decoded = decode_reply(&self.input).map_err(|error| invalid(error.to_string()))?;
            if let Some((value, consumed)) = decoded {
                self.input.advance(consumed);
                return Ok(value);
            }
            if self.input.len() > REPLY_MAX_BYTES {
                return Err(invalid("the peer's reply is too long".into()));
            }
            self.read_more().await?;
        }
    }

    /// Sends a command and fails unless its reply is a simple string.
    pub async fn expect_ok(&mut self, args: &[&[u8]]) -> io::Result<()> {
        match self.command(args).await? {
            RespValue::Simple(_) => Ok(()),
            RespValue::Error(text) => Err(invalid(String::from_utf8_lossy(&text).into_owned())),
            other => Err(invalid(format!("unexpected reply {other:?}"))),
        }
    }

    /// The text of INFO: besides what it says of replication, whether the peer is still loading, and has keys.
    pub async fn replication_info(&mut self) -> io::Result<String> {
        match self.command(&[b"INFO"]).await? {
            RespValue::Bulk(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
            RespValue::Verbatim { text, .. } => Ok(String::from_utf8_lossy(&text).into_owned()),
            other => Err(invalid(format!("INFO answered {other:?}"))),
        }
    }

    /// The next line, without its end; empty lines (a busy peer's signs of life) are passed over.
    pub async fn line(&mut self) -> io::Result<String> {
        loop {
            while matches!(self.input.first(), Some(b'\n' | b'\r')) {
                self.input.advance(1);
            }
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let line = self.input.split_to(end + 1);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            if self.input.len() > 4096 {
                return Err(invalid("the peer sent a line without end".into()));
            }
            self.read_more().await?;
        }
    }
}
