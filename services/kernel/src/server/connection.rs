//! One connection: a TLS stream that knows who is at the other end and can be cut from outside, and that ends when nobody has said in time
//! who is there.

use std::{
    collections::HashMap,
    future::Future as _,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, select_all},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// The other end; in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The node whose pinned certificate it is.
    pub peer: Option<String>,
    pub address: SocketAddr,
    pub(super) proof: Proof,
}

/// Whether it is known who is at the other end; until then the connection takes a stranger's place.
#[derive(Clone, Debug)]
pub(super) struct Proof(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Proof {
    pub(super) fn new(stranger: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Mutex::new(Some(stranger))))
    }

    /// It is known.
    pub(super) fn give(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_given(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// Open connections of each remote address.
#[derive(Clone)]
pub(super) struct Addresses {
    most: u32,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One of an address's connections.
pub(super) struct Share {
    of: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// What a connection takes of the door's and of its address's places.
pub(super) type Places = (OwnedSemaphorePermit, Share);

impl Addresses {
    pub(super) fn new(most: u32) -> Self {
        Self { most, open: Arc::default() }
    }

    /// `None`: the address has as many as it may.
    pub(super) fn take(&self, of: IpAddr) -> Option<Share> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of = match of.to_canonical() {
            // Whoever has one address of a network of these has all of them.
            IpAddr::V6(of) => IpAddr::V6((of.to_bits() >> 64 << 64).into()),
            of => of,
        };
        let count = open.entry(of).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { of, open: self.open.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.of);
            }
        }
    }
}

/// A future that ends when one of the tokens is cancelled.
pub(super) fn cut_by(tokens: impl IntoIterator<Item = CancellationToken>) -> BoxFuture<'static, ()> {
    select_all(tokens.into_iter().map(|token| Box::pin(token.cancelled_owned()))).map(|_| ()).boxed()
}

pub(super) struct Connection {
    tls: TlsStream<TcpStream>,
    remote: Remote,
    /// `None` once it was cut.
    cut: Option<BoxFuture<'static, ()>>,
    /// Until when it has to be known who is there; `None` once it is.
    known_by: Option<Pin<Box<Sleep>>>,
    _places: Places,
}

impl Connection {
    pub(super) fn new(
        tls: TlsStream<TcpStream>,
        remote: Remote,
        known_by: Instant,
        cut: BoxFuture<'static, ()>,
        places: Places,
    ) -> Self {
        let known_by = Some(Box::pin(sleep_until(known_by)));
        Self { tls, remote, cut: Some(cut), known_by, _places: places }
    }

    fn ensure_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().is_some_and(|cut| cut.poll_unpin(cx).is_ready()) {
            self.cut = None;
        }
        if self.cut.is_some() { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    fn ensure_known(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(known_by) = &mut self.known_by {
            if self.remote.proof.is_given() {
                self.known_by = None;
            } else if known_by.as_mut().poll(cx).is_ready() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

impl Connected for Connection {
    type ConnectInfo = Remote;

    fn connect_info(&self) -> Remote {
        self.remote.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.ensure_open(cx)?;
        self.ensure_known(cx)?;
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.ensure_open(cx)?;
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.ensure_open(cx)?;
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ensure_open(cx)?;
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ensure_open(cx)?;
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
