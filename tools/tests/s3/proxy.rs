//! A bad network: what passes through is slowed down, cut, changed, or answered with a failure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// It passes.
    Pass,
    /// It passes, so many bytes a millisecond.
    Slow(usize),
    /// It breaks after so many bytes of its body.
    Cut(usize),
    /// It is answered with this status, and goes no further.
    Status(u16),
    /// One bit of its body is changed.
    Flip,
    /// It passes, and the answer is lost.
    Deaf,
    /// It does not come to an end, for as long as the client waits.
    Held,
    /// It passes, and all objects that the answer tells of are years old.
    Aged,
}

/// A request's first line.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
}

impl Asked {
    /// Does it send a part of an upload?
    pub fn is_part(&self) -> bool {
        self.method == "PUT" && self.target.contains("partNumber=")
    }

    /// Does it begin an upload?
    pub fn is_begin(&self) -> bool {
        self.method == "POST" && self.target.contains("uploads")
    }

    /// Does it end one?
    pub fn is_complete(&self) -> bool {
        self.method == "POST" && self.target.contains("uploadId=")
    }

    /// Does it write a record?
    pub fn is_record(&self) -> bool {
        self.method == "PUT" && self.target.contains(".record")
    }
}

type Rule = dyn Fn(&Asked) -> Fate + Send + Sync;

/// The proxy. Its threads end with the process.
pub struct Proxy {
    pub port: u16,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Proxy {
    /// Starts one before the server at `upstream`.
    pub fn start(upstream: u16, rule: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (rule, noted): (Arc<Rule>, _) = (Arc::new(rule), seen.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rule, noted) = (rule.clone(), noted.clone());
                // A client that was killed is no failure of the proxy's.
                std::thread::spawn(move || drop(serve(client, upstream, &*rule, &noted)));
            }
        });
        Proxy { port, seen }
    }

    /// The requests that came until now.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().expect("the list").clone()
    }

    pub fn count(&self, which: impl Fn(&Asked) -> bool) -> usize {
        self.seen().iter().filter(|asked| which(asked)).count()
    }
}

/// One request, on a connection of its own.
fn serve(client: TcpStream, upstream: u16, rule: &Rule, seen: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0usize);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push_str(&line);
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut words = head.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    let asked = Asked { method: word(), target: word() };
    let fate = rule(&asked);
    seen.lock().expect("the list").push(asked);
    let mut client = client;
    if let Fate::Status(code) = fate {
        std::io::copy(&mut reader.take(length as u64), &mut std::io::sink())?;
        write!(client, "HTTP/1.1 {code} Sorry\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        return client.shutdown(Shutdown::Both);
    }
    if let Fate::Held = fate {
        std::io::copy(&mut reader, &mut std::io::sink())?;
        return Ok(());
    }
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    server.write_all(head.as_bytes())?;
    if !pass_body(&mut reader, &mut server, length, fate)? {
        server.shutdown(Shutdown::Both)?;
        return client.shutdown(Shutdown::Both);
    }
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    if let Fate::Aged = fate {
        answer = aged(&answer);
    }
    if !matches!(fate, Fate::Deaf) {
        client.write_all(&answer)?;
    }
    client.shutdown(Shutdown::Both)
}

/// Passes the body on; `false` if the connections are to break.
fn pass_body(from: &mut impl Read, to: &mut TcpStream, length: usize, fate: Fate) -> std::io::Result<bool> {
    let mut buffer = vec![0; 16 << 10];
    let mut passed = 0;
    while passed < length {
        let mut want = buffer.len().min(length - passed);
        if let Fate::Cut(at) = fate {
            if passed >= at {
                return Ok(false);
            }
            want = want.min(at - passed);
        }
        let read = from.read(&mut buffer[..want])?;
        if read == 0 {
            return Ok(false);
        }
        if matches!(fate, Fate::Flip) && passed == 0 {
            buffer[read / 2] ^= 1;
        }
        if let Fate::Slow(bytes_a_ms) = fate {
            std::thread::sleep(Duration::from_millis((read / bytes_a_ms) as u64));
        }
        to.write_all(&buffer[..read])?;
        passed += read;
    }
    Ok(!matches!(fate, Fate::Cut(_)))
}

/// The answer to a listing, with other times of the same length.
fn aged(answer: &[u8]) -> Vec<u8> {
    const MARK: &str = "<LastModified>";
    let text = String::from_utf8_lossy(answer).into_owned();
    let mut parts = text.split(MARK);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + MARK + "2020" + part.get(4..).unwrap_or_default()).into_bytes()
}
