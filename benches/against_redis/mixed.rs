//! A data set of keys of every common type, as large as is asked for.

use crate::load::Skimmer;
use crate::servers::Server;
use outrigger::base::random::Rng;
use outrigger::resp::write_command;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Keys that are written in one go.
const BATCH_KEYS: u64 = 4_000;
/// Of so many keys in a row one is of each kind.
const KINDS: u64 = 8;
/// Elements of a list, set or sorted set.
const ELEMENTS: usize = 20;

/// Writes keys until the server says that `used_memory` is `bytes`; the number of keys.
pub fn fill_up_to(server: &Server, bytes: u64) -> io::Result<u64> {
    let mut filler = Filler::new(server)?;
    loop {
        for _ in 0..5 {
            filler.batch()?;
        }
        if server.figure("used_memory")? >= bytes {
            return Ok(filler.next);
        }
    }
}

/// Writes the first `keys` keys.
pub fn fill(server: &Server, keys: u64) -> io::Result<()> {
    let mut filler = Filler::new(server)?;
    while filler.next < keys {
        filler.batch()?;
    }
    Ok(())
}

struct Filler {
    stream: TcpStream,
    rng: Rng,
    next: u64,
    buffer: Vec<u8>,
}

impl Filler {
    fn new(server: &Server) -> io::Result<Filler> {
        let stream = TcpStream::connect(("127.0.0.1", server.port))?;
        Ok(Filler { stream, rng: Rng::from_seed(1), next: 0, buffer: vec![0; 64 << 10] })
    }

    fn batch(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        for key in self.next..self.next + BATCH_KEYS {
            write_key(key, &mut self.rng, &mut out);
        }
        self.next += BATCH_KEYS;
        let (mut skimmer, mut done) = (Skimmer::default(), 0);
        let mut sender = self.stream.try_clone()?;
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || sender.write_all(&out));
            while done < BATCH_KEYS as usize {
                match self.stream.read(&mut self.buffer)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => done += skimmer.take(&self.buffer[..count])?,
                }
            }
            sending.join().map_err(|_| io::Error::other("the sending thread panicked"))?
        })
    }
}

/// The key of a string; `n` is any number.
fn string_key(n: u64) -> String {
    format!("token:{:012}", n - n % KINDS)
}

/// Appends a SET of one of the data set's strings to a value of the same length.
pub fn write_set(keys: u64, rng: &mut Rng, out: &mut Vec<u8>) {
    let key = string_key(rng.below(keys));
    write_command(out, &["SET", &key, &rng.hex(64), "EX", "100000"]);
}

/// Appends a GET of one of the data set's strings.
pub fn write_get(keys: u64, rng: &mut Rng, out: &mut Vec<u8>) {
    write_command(out, &["GET", &string_key(rng.below(keys))]);
}

fn write_key(n: u64, rng: &mut Rng, out: &mut Vec<u8>) {
    let elements = |words: [String; 2], each: &mut dyn FnMut(&mut Vec<String>)| {
        let mut words = words.to_vec();
        (0..ELEMENTS).for_each(|_| each(&mut words));
        words
    };
    let words = match n % KINDS {
        0 => vec!["SET".into(), string_key(n), rng.hex(64), "EX".into(), "100000".into()],
        1 | 2 => vec!["SET".into(), format!("cache:{n:012}"), rng.hex(300)],
        3 => vec!["SET".into(), format!("page:{n:012}"), rng.hex(2_000)],
        4 => {
            let mut words = vec!["HSET".into(), format!("session:{n:012}")];
            for field in ["id", "user", "name", "mail", "from", "seen", "role", "lang"] {
                words.extend([field.to_owned(), rng.hex(12)]);
            }
            words
        }
        5 => elements(["RPUSH".into(), format!("queue:{n:012}")], &mut |words| words.push(rng.hex(24))),
        6 => elements(["ZADD".into(), format!("ranks:{n:012}")], &mut |words| {
            words.extend([rng.below(1_000_000).to_string(), rng.hex(16)]);
        }),
        _ => elements(["SADD".into(), format!("tags:{n:012}")], &mut |words| words.push(rng.hex(12))),
    };
    write_command(out, &words);
}
