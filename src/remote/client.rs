//! One blocking connection to a server. What is sent is gathered and leaves in one write; replies are read in order.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::error::RemoteError;
use super::url::{Place, Target};
use crate::resp::{Decoded, ReplyDecoder, RespValue, write_command};

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 256 << 10;
/// The longest string that is believed, in bytes: payloads of values that other servers hold may be longer than what
/// they would take.
const REPLY_STRING_MAX_BYTES: i64 = 4 << 30;
/// Room for what is sent that is kept from one write to the next, in bytes.
const KEPT_BYTES: usize = 2 << 20;
/// How long until a server that loads its data is asked again.
const LOADING_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection, and for each reply.
    pub timeout: Duration,
    /// For a server that is loading its data.
    pub loading: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { timeout: Duration::from_secs(60), loading: Duration::from_secs(60) }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn open(place: &Place, timeout: Duration) -> io::Result<Stream> {
        match place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(Stream::Unix(stream))
            }
            Place::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, timeout) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            stream.set_read_timeout(Some(timeout))?;
                            stream.set_write_timeout(Some(timeout))?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Unix(stream) => stream.read(bytes),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// A connection that is authenticated, to a server that has loaded its data.
pub struct Connection {
    stream: Stream,
    server: String,
    output: Vec<u8>,
    input: Vec<u8>,
    /// Bytes of `input` that are done with.
    at: usize,
    /// Bytes of `input` that were received; what lies behind is room.
    filled: usize,
    decoder: ReplyDecoder,
}

impl Connection {
    /// Connects, authenticates, and waits while the server loads its data. Does not select a database.
    pub fn open(target: &Target, patience: Patience) -> Result<Connection, RemoteError> {
        let server = target.to_string();
        let stream = Stream::open(&target.place, patience.timeout)
            .map_err(|source| RemoteError::Connect { server: server.clone(), source })?;
        let decoder = ReplyDecoder::new(REPLY_STRING_MAX_BYTES);
        let (output, input) = (Vec::new(), vec![0; READ_BYTES]);
        let mut connection = Connection { stream, server, output, input, at: 0, filled: 0, decoder };
        connection.authenticate(target)?;
        connection.await_loaded(patience.loading)?;
        Ok(connection)
    }

    fn authenticate(&mut self, target: &Target) -> Result<(), RemoteError> {
        let Some(password) = &target.password else { return Ok(()) };
        match &target.user {
            Some(user) => self.call(&["AUTH", user, password]).map(drop),
            None => self.call(&["AUTH", password]).map(drop),
        }
    }

    fn await_loaded(&mut self, at_most: Duration) -> Result<(), RemoteError> {
        let began = Instant::now();
        loop {
            match self.call(&["PING"]) {
                Ok(_) => return Ok(()),
                Err(RemoteError::Refused { text, .. })
                    if text.starts_with("LOADING") && began.elapsed() < at_most =>
                {
                    sleep(LOADING_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The server, for messages.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Adds a command to what will be sent.
    pub fn push<T: AsRef<[u8]>>(&mut self, args: &[T]) {
        write_command(&mut self.output, args);
    }

    /// Bytes that wait to be sent.
    pub fn waiting_bytes(&self) -> usize {
        self.output.len()
    }

    /// Sends what was gathered.
    pub fn flush(&mut self) -> Result<(), RemoteError> {
        let sent = self.stream.write_all(&self.output);
        self.output.clear();
        // One that was huge is not kept.
        self.output.shrink_to(KEPT_BYTES);
        sent.map_err(|source| self.broken(source))
    }

    /// Passes the next reply if that is `OK` and has arrived; nearly all are when many keys are made.
    pub fn pass_ok(&mut self) -> bool {
        const OK: &[u8] = b"+OK\r\n";
        let is_ok = self.input.get(self.at..self.filled).is_some_and(|bytes| bytes.starts_with(OK));
        if is_ok {
            self.at += OK.len();
        }
        is_ok
    }

    /// The next reply, errors among them.
    pub fn read(&mut self) -> Result<RespValue, RemoteError> {
        loop {
            let step = self.decoder.decode(&self.input[self.at..self.filled]);
            let step = step.map_err(|source| RemoteError::Reply { server: self.server.clone(), source })?;
            match step {
                Decoded::Complete { consumed, value } => {
                    self.at += consumed;
                    return Ok(value);
                }
                Decoded::Incomplete { consumed, needed } => {
                    self.at += consumed;
                    self.read_more(needed)?;
                }
            }
        }
    }

    fn read_more(&mut self, needed: usize) -> Result<(), RemoteError> {
        self.input.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.at = 0;
        // Room is made as bytes arrive, never as much as a length announces.
        let room = needed.clamp(READ_BYTES / 4, READ_BYTES.max(self.filled));
        if self.input.len() < self.filled + room {
            self.input.resize(self.filled + room, 0);
        }
        let got = loop {
            match self.stream.read(&mut self.input[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
                got => break got,
            }
        };
        self.filled += got.map_err(|source| self.broken(source))?;
        Ok(())
    }

    /// Sends one command and returns its reply; an error reply is an error.
    pub fn call<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Result<RespValue, RemoteError> {
        self.push(args);
        self.flush()?;
        let reply = self.read()?;
        let name = args.first().map(AsRef::as_ref).unwrap_or_default();
        self.accepted(&String::from_utf8_lossy(name), reply)
    }

    /// The reply, unless it is an error.
    pub fn accepted(&self, command: &str, reply: RespValue) -> Result<RespValue, RemoteError> {
        match reply.as_error() {
            None => Ok(reply),
            Some(text) => Err(self.refused(command, text)),
        }
    }

    /// A refusal as an error.
    pub fn refused(&self, command: &str, text: &[u8]) -> RemoteError {
        let text = String::from_utf8_lossy(text).into_owned();
        RemoteError::Refused { server: self.server.clone(), command: command.to_owned(), text }
    }

    /// An integer reply.
    pub fn int(&mut self, args: &[&str]) -> Result<i64, RemoteError> {
        let reply = self.call(args)?;
        reply.as_int().ok_or_else(|| self.unexpected(args[0], &reply))
    }

    /// A reply that a command does not have.
    pub fn unexpected(&self, command: &str, reply: &RespValue) -> RemoteError {
        let mut got = format!("{reply:?}");
        if let Some((cut, _)) = got.char_indices().nth(200) {
            got.truncate(cut);
        }
        RemoteError::Unexpected { server: self.server.clone(), command: command.to_owned(), got }
    }

    /// Something about the server that stands in the way.
    pub fn unfit(&self, reason: impl Into<String>) -> RemoteError {
        RemoteError::Unfit { server: self.server.clone(), reason: reason.into() }
    }

    fn broken(&self, source: io::Error) -> RemoteError {
        RemoteError::Broken { server: self.server.clone(), source }
    }

    /// Selects a database.
    pub fn select(&mut self, db: u32) -> Result<(), RemoteError> {
        match self.call(&["SELECT", &db.to_string()]) {
            Ok(_) => Ok(()),
            Err(RemoteError::Refused { text, .. }) if text.contains("DB index") => {
                Err(self.unfit(format!("it has no database {db} (see its `databases`)")))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
