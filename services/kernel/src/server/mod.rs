//! Two doors to a node: one for people, who bring a token, and one for peers, who bring the certificate that was pinned.
//!
//! ```text
//! accept → handshake (side by side, each with a timeout) → connection → span → who calls → limits → the house
//! ```
//!
//! A connection to the people's door is a stranger's until a call on it brought a token: strangers have half of the places, no address has
//! more than its share, and who brings no token in time is closed.
//!
//! Never trusts a certificate for what it says, only for having the pinned key, on its days; never lets a call through
//! without a caller, health apart; never cuts a stream because it lasts, only because its peer was removed or the
//! drain is over.

mod admit;
mod connection;
mod gateway;
mod guesses;
mod health;
mod limits;
mod peers;
mod tls;
mod watch;
mod web;

pub use admit::caller;
pub use connection::Remote;
pub use gateway::Away;
pub use health::Troubles;
pub use limits::asked as asked_deadline;
pub use peers::PeerSet;
pub(crate) use tls::{pinning, trusting};

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::middleware::{from_fn, from_fn_with_state};
use connection::{Addresses, Connection, Places, Proof, cut_by};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc},
    time::{Instant, sleep, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tonic_health::server::HealthReporter;

use crate::{
    audit::{self, Watch},
    config::{Limits, ms},
    error::{Error, Reason, Result},
    identity::{NodeKeys, Tokens},
    telemetry,
};

/// What the other side may send unread, a call and a connection: HTTP/2's default of 64 KiB costs more than half the speed.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 << 20;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// What the headers of a call may weigh: a token and a trace.
const HEADERS_MAX_BYTES: u32 = 16 << 10;
/// Calls that were begun and taken back before we looked at them, and those that we ended ourselves for a fault of the other side, until
/// the connection is closed.
const RESETS_MAX_PENDING: usize = 64;
const RESETS_MAX_OURS: usize = 256;

/// Connections that shook hands and wait for their first request to be read.
const GREETED_MAX_CONNECTIONS: usize = 16;
/// How long to wait when the system has no connection to give, such as no file descriptor left.
const ACCEPT_PAUSE_MS: u64 = 50;

/// A bound door that does not answer yet.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    guard: Guard,
    origins: Vec<String>,
    watch: Option<Watch>,
}

/// Who stands at the door.
#[derive(Clone)]
enum Guard {
    People(Arc<dyn Tokens>),
    Peers(PeerSet),
}

impl Listener {
    /// The door for people: HTTP/2 and HTTP/1.1, our server certificate, tokens.
    ///
    /// # Errors
    /// The address cannot be bound, or the keys do not make a TLS server.
    pub async fn people(listen: SocketAddr, keys: &NodeKeys, tokens: Arc<dyn Tokens>) -> Result<Self> {
        Self::bind(listen, tls::people(keys)?, Guard::People(tokens)).await
    }

    /// The door for peers: HTTP/2, TLS 1.3, a client certificate that is in `peers`.
    ///
    /// # Errors
    /// As [`Listener::people`].
    pub async fn peers(listen: SocketAddr, keys: &NodeKeys, peers: PeerSet) -> Result<Self> {
        Self::bind(listen, tls::peers(keys, peers.clone())?, Guard::Peers(peers)).await
    }

    /// Lets pages of these sites (`https://host`) call by gRPC-Web.
    #[must_use]
    pub fn allow(self, origins: &[String]) -> Self {
        Self { origins: origins.to_vec(), ..self }
    }

    /// Writes an audit of its calls.
    #[must_use]
    pub fn audited(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Where it is bound; the port is the real one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn bind(listen: SocketAddr, tls: rustls::ServerConfig, guard: Guard) -> Result<Self> {
        let tcp = TcpListener::bind(listen).await.map_err(|cause| unbound(listen, &cause))?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, address, tls: TlsAcceptor::from(Arc::new(tls)), guard, origins: vec![], watch: None })
    }
}

fn unbound(listen: SocketAddr, cause: &std::io::Error) -> Error {
    let (zh, en) = match cause.kind() {
        std::io::ErrorKind::AddrInUse => {
            ("端口已被占用：本节点是否已在运行？", "the port is taken: does this node run already?")
        }
        _ => ("无法监听该地址", "this address cannot be listened at"),
    };
    let (zh, en) = (
        format!("{listen}：{zh}请停止占用者，或修改 api.listen、peers.listen（{cause}）"),
        format!("{listen}: {en} Stop who holds it, or change api.listen or peers.listen ({cause})"),
    );
    Error::told("listen", Reason::Unavailable, zh, en)
}

/// Answers at a door until `shutdown`, then lets calls end for `drain_timeout_ms` and cuts what is still open.
///
/// # Errors
/// The transport broke; not for what a single connection does.
pub async fn serve(listener: Listener, routes: Routes, limits: &Limits, shutdown: CancellationToken) -> Result<()> {
    let people = matches!(listener.guard, Guard::People(_));
    let router = routes
        .into_axum_router()
        .layer(from_fn_with_state(limits::Methods::new(limits), limits::bound))
        // Before a place is taken: whoever brings no token, or waits for the answer to a wrong one, holds none.
        .layer(from_fn_with_state(admit::Admission::new(listener.guard.clone(), limits), admit::admit))
        .layer(from_fn_with_state(listener.watch.clone(), audit::watch))
        .layer(from_fn(telemetry::trace));
    // Outermost, so that everything behind it sees gRPC; peers do not speak it.
    let router = if people { web::speak(router, listener.origins.clone()) } else { router };
    let cut = CancellationToken::new();
    // However this function ends, dropped by its caller too, nothing stays open behind it.
    let _cut_at_the_end = cut.clone().drop_guard();
    let (greeted, incoming) = mpsc::channel(GREETED_MAX_CONNECTIONS);
    tokio::spawn(listener.accept(limits.clone(), shutdown.clone(), cut.clone(), greeted));

    let server = Server::builder()
        .accept_http1(people)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits.streams_max_per_connection)
        .http2_max_header_list_size(Some(HEADERS_MAX_BYTES))
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX_PENDING))
        .http2_max_local_error_reset_streams(Some(RESETS_MAX_OURS))
        .http2_keepalive_interval(Some(ms(limits.keepalive_interval_ms)))
        .http2_keepalive_timeout(Some(ms(limits.keepalive_timeout_ms)))
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), shutdown.clone().cancelled_owned());
    let drained = async {
        shutdown.cancelled().await;
        sleep(ms(limits.drain_timeout_ms)).await;
    };
    tokio::select! {
        ended = server => ended.map_err(|cause| Error::Broken(Box::new(cause))),
        () = drained => Ok(()),
    }
}

impl Listener {
    /// Accepts until `shutdown`. Beyond `connections_max` the next ones wait in the system's queue.
    async fn accept(
        self,
        limits: Limits,
        shutdown: CancellationToken,
        cut: CancellationToken,
        greeted: mpsc::Sender<std::io::Result<Connection>>,
    ) {
        let Self { tcp: listener, address, tls, guard, .. } = self;
        let places = Arc::new(Semaphore::new(limits.connections_max as usize));
        let strangers = Arc::new(Semaphore::new(limits.connections_max.div_ceil(2) as usize));
        let addresses = Addresses::new(limits.connections_max_per_address);
        let greeter = Greeter { tls, guard, cut: cut.clone(), timeout: ms(limits.handshake_timeout_ms) };
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await;
                (place, strangers.clone().acquire_owned().await, listener.accept().await)
            };
            let (place, stranger, accepted) = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = cut.cancelled() => return,
                next = next => next,
            };
            let (Ok(place), Ok(stranger), Ok((tcp, remote))) = (place, stranger, accepted) else {
                tracing::warn!(%address, "no connection can be accepted at the moment");
                sleep(ms(ACCEPT_PAUSE_MS)).await;
                continue;
            };
            let Some(share) = addresses.take(remote.ip()) else {
                tracing::debug!(%remote, "too many connections of one address");
                continue;
            };
            let (greeter, greeted) = (greeter.clone(), greeted.clone());
            let proof = Proof::new(stranger);
            tokio::spawn(async move {
                match greeter.greet(tcp, remote, proof, (place, share)).await {
                    // Nobody takes it when the door closes at this moment.
                    Ok(connection) => drop(greeted.send(Ok(connection)).await),
                    Err(cause) => tracing::debug!(%remote, %cause, "handshake"),
                }
            });
        }
    }
}

/// Shakes hands with one who came in.
#[derive(Clone)]
struct Greeter {
    tls: TlsAcceptor,
    guard: Guard,
    cut: CancellationToken,
    timeout: Duration,
}

impl Greeter {
    async fn greet(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        proof: Proof,
        places: Places,
    ) -> std::io::Result<Connection> {
        let deadline = Instant::now() + self.timeout;
        tcp.set_nodelay(true)?;
        let tls = timeout_at(deadline, self.tls.accept(tcp)).await??;
        let (peer, cut) = match &self.guard {
            Guard::People(_) => (None, cut_by([self.cut.clone()])),
            // Looked up again: it may have been removed while hands were shaken.
            Guard::Peers(peers) => {
                let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let pinned = certificate.and_then(|certificate| peers.find(certificate));
                let (node, removed) = pinned.ok_or(std::io::ErrorKind::PermissionDenied)?;
                proof.give();
                (Some(node), cut_by([self.cut.clone(), removed]))
            }
        };
        let remote = Remote { peer, address: remote, proof };
        Ok(Connection::new(tls, remote, deadline, cut, places))
    }
}

/// Routes with `grpc.health.v1.Health`; a service counts as unknown until the reporter says how it does.
#[must_use]
pub fn with_health(routes: Routes) -> (Routes, HealthReporter) {
    let (reporter, service) = tonic_health::server::health_reporter();
    (routes.add_service(service), reporter)
}

/// Routes with server reflection (v1 and v1alpha) of the whole contract.
///
/// # Errors
/// None in a sound build: the descriptor set is our own.
pub fn with_reflection(routes: Routes) -> Result<Routes> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(qianshou_proto::DESCRIPTOR_SET)
    };
    let unreadable = |cause| Error::Broken(Box::new(cause));
    let v1 = builder().build_v1().map_err(unreadable)?;
    let v1alpha = builder().build_v1alpha().map_err(unreadable)?;
    Ok(routes.add_service(v1).add_service(v1alpha))
}

/// A token that SIGTERM or SIGINT cancels.
///
/// # Errors
/// The system refuses a signal handler.
pub fn shutdown_on_signal() -> Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests;
