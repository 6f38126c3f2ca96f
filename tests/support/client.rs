//! A plain blocking client: what it sends and gets is exactly what the test says.

use outrigger::resp::{Decoded, ReplyDecoder, RespValue, write_command};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Longest that any reply of a test may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    at: usize,
    decoder: ReplyDecoder,
}

/// A decoded reply and the bytes it came as.
#[derive(Debug, Clone)]
pub struct RawReply {
    /// The reply.
    pub value: RespValue,
    /// Its bytes.
    pub raw: Vec<u8>,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(READ_TIMEOUT))?;
        Ok(Client { stream, input: Vec::new(), at: 0, decoder: ReplyDecoder::default() })
    }

    /// The server's port.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.stream.peer_addr()?.port())
    }

    /// Limits how long a reply is waited for.
    pub fn set_read_timeout(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).expect("set a read timeout");
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a command and does not wait.
    pub fn send<T: AsRef<[u8]>>(&mut self, args: &[T]) -> io::Result<()> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, args);
        self.send_raw(&bytes)
    }

    /// The next reply, with its bytes.
    pub fn read_raw_reply(&mut self) -> io::Result<RawReply> {
        let mut raw = Vec::new();
        loop {
            let step = self.decoder.decode(&self.input[self.at..]);
            let step = step.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let (Decoded::Complete { consumed, .. } | Decoded::Incomplete { consumed, .. }) = &step;
            raw.extend_from_slice(&self.input[self.at..self.at + consumed]);
            self.at += consumed;
            if let Decoded::Complete { value, .. } = step {
                return Ok(RawReply { value, raw });
            }
            self.input.drain(..self.at);
            self.at = 0;
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// The next reply.
    pub fn read(&mut self) -> io::Result<RespValue> {
        self.read_raw_reply().map(|reply| reply.value)
    }

    /// The next bytes, as they come, up to and with the next `end`.
    pub fn read_bytes_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let rest = &self.input[self.at..];
            if let Some(found) = rest.windows(end.len()).position(|window| window == end) {
                return self.read_exactly(found + end.len());
            }
            self.read_more().expect("more bytes");
        }
    }

    /// The next `count` bytes, as they come.
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() - self.at < count {
            self.read_more().expect("more bytes");
        }
        let bytes = self.input[self.at..self.at + count].to_vec();
        self.at += count;
        bytes
    }

    /// A command's reply, or what went wrong with the connection.
    pub fn try_command<T: AsRef<[u8]>>(&mut self, args: &[T]) -> io::Result<RespValue> {
        self.send(args)?;
        self.read()
    }

    /// A command's reply.
    pub fn command<T: AsRef<[u8]>>(&mut self, args: &[T]) -> RespValue {
        let name =
            || args.first().map(|a| String::from_utf8_lossy(a.as_ref()).into_owned()).unwrap_or_default();
        self.try_command(args).unwrap_or_else(|error| panic!("{}: no reply: {error}", name()))
    }

    /// The reply to a command given as words.
    pub fn cmd(&mut self, words: &str) -> RespValue {
        self.command(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// As [`Client::cmd`], for commands that must answer OK.
    pub fn ok(&mut self, words: &str) {
        let reply = self.cmd(words);
        assert_eq!(reply, RespValue::Simple(b"OK".to_vec()), "{words}");
    }

    /// As [`Client::cmd`], for commands that must answer an integer.
    pub fn int(&mut self, words: &str) -> i64 {
        let reply = self.cmd(words);
        reply.as_int().unwrap_or_else(|| panic!("{words}: {reply:?}"))
    }

    /// As [`Client::cmd`], for commands that must answer a string.
    pub fn text(&mut self, words: &str) -> String {
        let reply = self.cmd(words);
        let bytes = reply.as_bytes().unwrap_or_else(|| panic!("{words}: {reply:?}"));
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// As [`Client::cmd`], for commands that must answer an error.
    pub fn error(&mut self, words: &str) -> String {
        let reply = self.cmd(words);
        let bytes = reply.as_error().unwrap_or_else(|| panic!("{words}: {reply:?}"));
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Sends all commands in one write and reads as many replies.
    pub fn pipeline<T: AsRef<[u8]>>(&mut self, commands: &[Vec<T>]) -> Vec<RespValue> {
        let mut bytes = Vec::new();
        commands.iter().for_each(|args| write_command(&mut bytes, args));
        self.send_raw(&bytes).expect("send a pipeline");
        let mut reply = |args: &Vec<T>| {
            self.read().unwrap_or_else(|error| {
                let words: Vec<String> =
                    args.iter().map(|arg| arg.as_ref().escape_ascii().to_string()).collect();
                panic!("no reply to a pipelined {}: {error}", words.join(" "))
            })
        };
        commands.iter().map(&mut reply).collect()
    }

    /// Switches to RESP3.
    pub fn hello3(&mut self) {
        let reply = self.cmd("HELLO 3");
        assert!(
            matches!(reply, RespValue::Map(_)) || reply.as_error().is_some_and(|e| e.starts_with(b"ERR unk")),
            "HELLO 3: {reply:?}"
        );
    }

    /// The fields of INFO; `None` if the node does not answer.
    pub fn try_info(&mut self) -> Option<HashMap<String, String>> {
        let reply = self.try_command(&["INFO", "everything"]).ok()?;
        let text = String::from_utf8_lossy(reply.as_bytes()?).into_owned();
        let pair =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Some(text.lines().filter_map(pair).collect())
    }

    /// One field of INFO.
    pub fn info(&mut self, field: &str) -> Option<String> {
        self.try_info().expect("INFO").remove(field)
    }

    /// DEBUG DIGEST.
    pub fn digest(&mut self) -> String {
        self.text("DEBUG DIGEST")
    }

    /// True when the server closes the connection within the read timeout, after whatever it still sends.
    pub fn is_closed_by_server(&mut self) -> bool {
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(error) => {
                    return !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                }
            }
        }
    }

    /// Ends the sending side: the server sees the end of the stream.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}
