//! The I/O threads, and the listeners that hand connections to them.

use super::connection;
use super::stream::Accepted;
use crate::server::Node;
use crate::server::endpoint::Endpoint;
use crate::sys::marks::{Mark, listen_unix};
use std::future::Future;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// What it listens on.
    pub addresses: Vec<Endpoint>,
    /// The file of its Unix socket.
    pub socket_file: Option<Mark>,
}

impl Serving {
    /// Binds every address of the configuration, and the Unix socket, and starts accepting. An address that begins with
    /// `-` may be missing, as in redis.conf.
    pub fn start(node: &Arc<Node>, threads: &IoThreads) -> io::Result<Serving> {
        let config = node.config();
        let mut serving = Serving { addresses: Vec::new(), socket_file: None };
        if let Some(path) = &config.unixsocket {
            let backlog = config.tcp_backlog as i32;
            let listening = listen_unix(path, config.unixsocket_mode, backlog).map_err(|error| {
                let text = format!("cannot listen on {}: {error}", path.display());
                io::Error::new(error.kind(), text)
            });
            let (listener, file) = listening?;
            let end = Endpoint::Unix(path.to_string_lossy().into());
            serving.socket_file = Some(file);
            serving.addresses.push(end.clone());
            accept_on(node.clone(), threads.clone(), Listener::Unix(listener, end));
        }
        let binds = if config.port == 0 { &[] } else { &config.bind[..] };
        for bind in binds {
            let (host, optional) = match bind.strip_prefix('-') {
                Some(host) => (host, true),
                None => (bind.as_str(), false),
            };
            match listen(host, config.port, config.tcp_backlog as i32) {
                Ok(listener) => {
                    serving.addresses.push(Endpoint::Tcp(listener.local_addr()?));
                    accept_on(node.clone(), threads.clone(), Listener::Tcp(listener));
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

/// A listening socket.
enum Listener {
    Tcp(TcpListener),
    /// With the name of its ends.
    Unix(UnixListener, Endpoint),
}

/// The same, registered with the runtime of its thread.
enum Acceptor {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener, Endpoint),
}

impl Acceptor {
    fn new(listener: Listener) -> io::Result<Acceptor> {
        Ok(match listener {
            Listener::Tcp(listener) => Acceptor::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Listener::Unix(listener, end) => {
                Acceptor::Unix(tokio::net::UnixListener::from_std(listener)?, end)
            }
        })
    }

    /// The next connection, to be handed to any thread.
    async fn accept(&self) -> io::Result<(Accepted, Endpoint)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                Ok((Accepted::Tcp(stream.into_std()?), Endpoint::Tcp(addr)))
            }
            Acceptor::Unix(listener, end) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream.into_std()?), end.clone()))
            }
        }
    }
}

fn accept_on(node: Arc<Node>, threads: IoThreads, listener: Listener) {
    let spread = threads.clone();
    threads.spawn_on(0, move || accept_loop(node, spread, listener));
}

async fn accept_loop(node: Arc<Node>, threads: IoThreads, listener: Listener) {
    let acceptor = match Acceptor::new(listener) {
        Ok(acceptor) => acceptor,
        Err(error) => return tracing::error!(%error, "a listener could not be registered"),
    };
    loop {
        match acceptor.accept().await {
            Ok((stream, addr)) => hand_over(&node, &threads, stream, addr),
            Err(error) => {
                // Out of descriptors, most likely: give others time to close some.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

fn hand_over(node: &Arc<Node>, threads: &IoThreads, stream: Accepted, addr: Endpoint) {
    let node = node.clone();
    threads.spawn(move || async move {
        if let Ok(stream) = stream.register() {
            connection::serve(node, stream, addr).await;
        }
    });
}
