//! One connection: a TLS stream that knows who is at the other end and can be cut from outside.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
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

/// The length of HTTP/2's preface: who has sent less has not begun to speak.
const GREETING_BYTES: usize = 24;

/// The other end; in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The node whose pinned certificate it is.
    pub peer: Option<String>,
    pub address: SocketAddr,
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
    /// `None` once the other end has spoken.
    silence: Option<Silence>,
    _place: OwnedSemaphorePermit,
}

struct Silence {
    until: Pin<Box<Sleep>>,
    heard_bytes: usize,
}

impl Connection {
    pub(super) fn new(
        tls: TlsStream<TcpStream>,
        remote: Remote,
        speak_until: Instant,
        cut: BoxFuture<'static, ()>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let silence = Silence { until: Box::pin(sleep_until(speak_until)), heard_bytes: 0 };
        Self { tls, remote, cut: Some(cut), silence: Some(silence), _place: place }
    }

    fn ensure_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().is_some_and(|cut| cut.poll_unpin(cx).is_ready()) {
            self.cut = None;
        }
        if self.cut.is_some() { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    fn ensure_spoken(&mut self, cx: &mut Context<'_>, heard_bytes: usize) -> io::Result<()> {
        if let Some(silence) = &mut self.silence {
            silence.heard_bytes += heard_bytes;
            if silence.heard_bytes >= GREETING_BYTES {
                self.silence = None;
            } else if silence.until.poll_unpin(cx).is_ready() {
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
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tls).poll_read(cx, buf);
        self.ensure_spoken(cx, buf.filled().len() - before)?;
        read
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
