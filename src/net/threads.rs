//! The I/O threads, and the listeners that hand connections to them.

use super::connection;
use crate::server::Node;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A task made on the I/O thread that will run it.
type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The running I/O threads.
#[derive(Clone)]
pub struct IoThreads {
    jobs: Arc<Vec<UnboundedSender<Job>>>,
    next: Arc<AtomicUsize>,
}

impl IoThreads {
    /// Starts `count` threads (at least one).
    pub fn start(count: usize) -> io::Result<IoThreads> {
        let mut jobs = Vec::new();
        for index in 0..count.max(1) {
            let (sender, receiver) = unbounded_channel();
            std::thread::Builder::new().name(format!("io-{index}")).spawn(move || run_thread(receiver))?;
            jobs.push(sender);
        }
        Ok(IoThreads { jobs: Arc::new(jobs), next: Arc::new(AtomicUsize::new(0)) })
    }

    /// Runs a task on the next thread in turn.
    pub fn spawn<F>(&self, make: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.jobs.len();
        self.spawn_on(index, make);
    }

    /// Runs a task on thread `index` (modulo their number).
    pub fn spawn_on<F>(&self, index: usize, make: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let job: Job = Box::new(move || Box::pin(make()));
        // Threads end with the process only.
        let _ = self.jobs[index % self.jobs.len()].send(job);
    }

    /// Number of threads.
    pub fn count(&self) -> usize {
        self.jobs.len()
    }
}

fn run_thread(mut jobs: UnboundedReceiver<Job>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "an I/O thread could not start its runtime");
            return;
        }
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        while let Some(job) = jobs.recv().await {
            tokio::task::spawn_local(job());
        }
    });
}

/// A listening server.
pub struct Serving {
    /// The addresses it listens on.
    pub addresses: Vec<SocketAddr>,
    _acceptors: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Binds every address of the configuration and starts accepting. An address that begins with `-` may
    /// be missing, as in redis.conf.
    pub fn start(node: &Arc<Node>, threads: &IoThreads) -> io::Result<Serving> {
        let config = node.config();
        let mut serving = Serving { addresses: Vec::new(), _acceptors: Vec::new() };
        for bind in &config.bind {
            let (host, optional) = match bind.strip_prefix('-') {
                Some(host) => (host, true),
                None => (bind.as_str(), false),
            };
            match listen(host, config.port, config.tcp_backlog as i32) {
                Ok(listener) => {
                    serving.addresses.push(listener.local_addr()?);
                    accept_on(node.clone(), threads.clone(), listener);
                }
                Err(error) if optional => {
                    tracing::warn!(host, %error, "not listening on an optional address")
                }
                Err(error) => {
                    let text = format!("cannot listen on {host}:{}: {error}", config.port);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        Ok(serving)
    }
}

fn listen(host: &str, port: u16, backlog: i32) -> io::Result<TcpListener> {
    let host = match host {
        "*" => "0.0.0.0",
        "::*" => "::",
        host => host,
    };
    let address = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "no such host"))?;
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn accept_on(node: Arc<Node>, threads: IoThreads, listener: TcpListener) {
    let spread = threads.clone();
    threads.spawn_on(0, move || accept_loop(node, spread, listener));
}

async fn accept_loop(node: Arc<Node>, threads: IoThreads, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener could not be registered"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => hand_over(&node, &threads, stream, addr),
            Err(error) => {
                // Out of descriptors, most likely: give others time to close some.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

fn hand_over(node: &Arc<Node>, threads: &IoThreads, stream: TcpStream, addr: SocketAddr) {
    let node = node.clone();
    let Ok(stream) = stream.into_std() else { return };
    threads.spawn(move || async move {
        if let Ok(stream) = TcpStream::from_std(stream) {
            connection::serve(node, stream, addr).await;
        }
    });
}
