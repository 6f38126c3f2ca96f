//! Requests at a fixed rate, and how long each took: what clients notice of whatever else a server does.

use crate::load::Skimmer;
use outrigger::base::random::Rng;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long requests took.
#[derive(Default)]
pub struct Latencies {
    us: Vec<u32>,
    sorted: bool,
}

impl Latencies {
    fn note(&mut self, took: Duration) {
        self.us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.sorted = false;
    }

    /// Adds those of others.
    pub fn join(&mut self, others: Latencies) {
        self.us.extend(others.us);
        self.sorted = false;
    }

    /// The time within which this share (below 1) of the requests was answered, in ms.
    pub fn share_ms(&mut self, share: f64) -> f64 {
        if !std::mem::replace(&mut self.sorted, true) {
            self.us.sort_unstable();
        }
        let index = (self.us.len() as f64 * share) as usize;
        self.us.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
    }

    /// The longest, in ms.
    pub fn worst_ms(&self) -> f64 {
        self.us.iter().max().map_or(0.0, |us| f64::from(*us) / 1000.0)
    }
}

/// Sends what `request` writes (the number of requests it returns) `per_second` times a second on one connection, until
/// told to stop, and waits for each reply.
///
/// A request's time begins when it is sent. One that could not be sent in time, because the reply before it had not come,
/// has waited since then, and that counts: a stall is not hidden by the requests that it kept from being sent.
pub fn drive(
    port: u16,
    per_second: u32,
    stop: &AtomicBool,
    mut request: impl FnMut(&mut Vec<u8>) -> usize,
) -> io::Result<Latencies> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let every = Duration::from_secs(1) / per_second.max(1);
    let (mut skimmer, mut buffer) = (Skimmer::default(), vec![0; 64 << 10]);
    let (mut latencies, mut out) = (Latencies::default(), Vec::new());
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        due += every;
        let mut begun = due;
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
            begun = Instant::now();
        }
        out.clear();
        let wanted = request(&mut out);
        stream.write_all(&out)?;
        let mut done = 0;
        while done < wanted || skimmer.is_within() {
            match stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += skimmer.take(&buffer[..count])?,
            }
        }
        latencies.note(begun.elapsed());
    }
    Ok(latencies)
}

/// A generator for the `number`th of several connections.
pub fn rng(number: u64) -> Rng {
    Rng::from_seed(0x5eed ^ number)
}
