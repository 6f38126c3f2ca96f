//! A load generator that costs little itself: requests are made beforehand, replies are counted, not decoded.
//!
//! redis-benchmark parses every reply into objects and fills random numbers into every request; 16 deep it is the
//! slower side of the connection, and what it measures is itself. On a machine of two cores that cannot be mended by
//! more of its threads.

use memchr::memchr;
use outrigger::base::random::Rng;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Requests made beforehand, about; connections go round in them from places of their own.
const POOL_REQUESTS: usize = 1 << 17;

/// What is sent, and how.
pub struct Load {
    /// Concurrent connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub pipeline: usize,
    /// Requests in all; rounded down to whole pipelines of every connection.
    pub requests: usize,
}

/// Counts whole replies in a byte stream.
#[derive(Default)]
pub struct Skimmer {
    /// Elements of a reply that are still to come.
    pending: u64,
    /// Bytes of a bulk string that are still to come, its line end included.
    skip: usize,
    /// Bytes of an incomplete line.
    kept: Vec<u8>,
}

impl Skimmer {
    /// Takes in bytes; returns how many replies ended in them. Error replies end the measurement.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.kept.is_empty() {
            let (done, used) = self.skim(bytes)?;
            self.kept.extend_from_slice(&bytes[used..]);
            return Ok(done);
        }
        let mut joined = std::mem::take(&mut self.kept);
        joined.extend_from_slice(bytes);
        let (done, used) = self.skim(&joined)?;
        joined.drain(..used);
        self.kept = joined;
        Ok(done)
    }

    /// The reply that was counted last has not come to its end.
    pub fn is_within(&self) -> bool {
        self.skip > 0
    }

    fn skim(&mut self, bytes: &[u8]) -> io::Result<(usize, usize)> {
        let (mut done, mut at) = (0, 0);
        loop {
            let now = self.skip.min(bytes.len() - at);
            at += now;
            self.skip -= now;
            let Some(end) = memchr(b'\n', &bytes[at..]).filter(|_| self.skip == 0) else {
                return Ok((done, at));
            };
            let line = &bytes[at..at + end + 1];
            at += line.len();
            let number = || number_of(&line[1..]);
            if self.pending > 0 {
                self.pending -= 1;
            }
            match line[0] {
                b'$' => self.skip = usize::try_from(number()).map_or(0, |len| len + 2),
                b'*' => self.pending += u64::try_from(number()).unwrap_or(0),
                b'-' => return Err(io::Error::other(String::from_utf8_lossy(line).into_owned())),
                _ => {}
            }
            // A bulk string counts when its header is read: the bytes that follow belong to nothing else.
            if self.pending == 0 {
                done += 1;
            }
        }
    }
}

fn number_of(line: &[u8]) -> i64 {
    let negative = line.first() == Some(&b'-');
    let digits = line.iter().filter(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    if negative { -value } else { value }
}

/// How long a load took.
pub struct Took {
    /// From the first request to the last reply, connections being open already.
    pub all: Duration,
    /// From each pipeline's sending to its last reply, in microseconds, ascending.
    pub pipelines_us: Vec<u32>,
}

impl Took {
    /// The time within which this share (below 1) of the pipelines was answered, in ms.
    pub fn share_ms(&self, share: f64) -> f64 {
        let index = (self.pipelines_us.len() as f64 * share) as usize;
        self.pipelines_us.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
    }
}

/// Sends the load.
pub fn run(port: u16, load: &Load, write: &mut dyn FnMut(&mut Rng, &mut Vec<u8>)) -> io::Result<Took> {
    let mut rng = Rng::from_seed(load.pipeline as u64);
    let batches = (POOL_REQUESTS / load.pipeline).max(1);
    let pool: Vec<Vec<u8>> = (0..batches)
        .map(|_| {
            let mut batch = Vec::new();
            (0..load.pipeline).for_each(|_| write(&mut rng, &mut batch));
            batch
        })
        .collect();
    let pool: &'static [Vec<u8>] = pool.leak();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let rounds = (load.requests / load.pipeline / load.connections).max(1);
    let took = LocalSet::new().block_on(&runtime, async {
        let mut streams = Vec::new();
        for _ in 0..load.connections {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let start = Instant::now();
        let spawn = |(number, stream)| {
            let first = number * batches / load.connections;
            tokio::task::spawn_local(connection(stream, pool, first, rounds, load.pipeline))
        };
        let tasks: Vec<_> = streams.into_iter().enumerate().map(spawn).collect();
        let mut pipelines_us = Vec::with_capacity(rounds * load.connections);
        for task in tasks {
            pipelines_us.append(&mut task.await.map_err(io::Error::other)??);
        }
        let all = start.elapsed();
        pipelines_us.sort_unstable();
        io::Result::Ok(Took { all, pipelines_us })
    });
    // SAFETY: the pool came from `leak` above, as a boxed slice of this length, and no task that used it is left.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(pool).cast_mut()) });
    took
}

async fn connection(
    mut stream: TcpStream,
    pool: &[Vec<u8>],
    first: usize,
    rounds: usize,
    pipeline: usize,
) -> io::Result<Vec<u32>> {
    let mut pipelines_us = Vec::with_capacity(rounds);
    let mut buffer = vec![0; 64 << 10];
    let mut skimmer = Skimmer::default();
    for round in 0..rounds {
        let sent = Instant::now();
        stream.write_all(&pool[(first + round) % pool.len()]).await?;
        let mut done = 0;
        while done < pipeline || skimmer.is_within() {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            done += skimmer.take(&buffer[..count])?;
        }
        pipelines_us.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(pipelines_us)
}
