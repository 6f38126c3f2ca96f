//! The socket of a client: TCP, or the Unix socket.

use crate::server::endpoint::Endpoint;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket, registered with the runtime of its thread.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A client's socket on its way to the thread that will serve it.
pub(super) enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Registers it with the runtime that this is called on.
    pub(super) fn register(self) -> io::Result<Stream> {
        Ok(match self {
            Accepted::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Accepted::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl Stream {
    /// Our own end; `peer` where that is not known.
    pub(super) fn local_end(&self, peer: &Endpoint) -> Endpoint {
        match self {
            Stream::Tcp(stream) => stream.local_addr().map_or_else(|_| peer.clone(), Endpoint::Tcp),
            Stream::Unix(_) => peer.clone(),
        }
    }

    /// The TCP socket, if it is one.
    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Tcp(stream) => Some(stream),
            Stream::Unix(_) => None,
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.writable().await,
            Stream::Unix(stream) => stream.writable().await,
        }
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.readable().await,
            Stream::Unix(stream) => stream.readable().await,
        }
    }

    pub(super) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_read(bytes),
            Stream::Unix(stream) => stream.try_read(bytes),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(task, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(task, buffer),
        }
    }
}
