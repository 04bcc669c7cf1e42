//! A line to a service: next door (the routes of this process, no socket) or across town (HTTP/2 over TLS). Generated
//! clients are generic over it, so a house asks its neighbour the same way wherever it lives.
//!
//! Never retries and never hides a failure: where the other end is away, going away or lost, the error is UNAVAILABLE, and
//! whoever asks again does so under the same request id. It reconnects when it is next used. Message sizes are the client's to limit.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tonic::{
    Status, TimeoutExpired,
    body::Body,
    service::Routes,
    transport::{Channel, Endpoint, Error as TransportError},
};
use tower::{Service, service_fn};

use crate::{
    clock::Clock,
    error::{Error, Reason, Result},
    identity::{NodeKeys, may_call},
    server::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, pinning, trusting},
    telemetry::rpc::Call,
};

/// From the name's look-up to the end of the handshake.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// How a dead peer is noticed while nothing is said: a ping, and how long its answer may take.
const KEEPALIVE_INTERVAL_MS: u64 = 20_000;
const KEEPALIVE_TIMEOUT_MS: u64 = 10_000;

/// A transport for generated clients. Clones share the connection.
#[derive(Clone)]
pub struct Line(Way);

#[derive(Clone)]
enum Way {
    NextDoor(Routes),
    AcrossTown { address: Arc<str>, channel: Channel, authorization: Option<HeaderValue> },
}

impl Line {
    /// To services of this process. The [`Caller`](crate::identity::Caller) is passed on in the request's extensions.
    #[must_use]
    pub fn next_door(routes: Routes) -> Self {
        Self(Way::NextDoor(routes.prepare()))
    }

    /// To a people's listener at `https://host:port` whose certificate authority is in `ca_pem`. It connects when first used; a
    /// tokio runtime must be there.
    ///
    /// # Errors
    /// A refusal if address, authority or token cannot be one.
    pub fn to(address: &str, ca_pem: &[u8], token: Option<String>) -> Result<Self> {
        let header = |token: String| {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| Error::refused("token", Reason::Malformed, "qst_…"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        let authorization = token.map(header).transpose()?;
        let channel = channel(address, trusting(ca_pem)?, |_| true)?;
        Ok(Self(Way::AcrossTown { address: address.into(), channel, authorization }))
    }

    /// To a peer's listener, showing our peer certificate and accepting exactly the key of `certificate` (DER), in one that holds by
    /// `clock`. It connects when first used, and to no address that is link-local or a cloud's metadata; a tokio runtime must be there.
    ///
    /// # Errors
    /// A refusal if the address is none.
    pub fn to_peer(address: &str, keys: &NodeKeys, certificate: &[u8], clock: &Clock) -> Result<Self> {
        let channel = channel(address, pinning(keys, certificate, clock)?, may_call)?;
        Ok(Self(Way::AcrossTown { address: address.into(), channel, authorization: None }))
    }
}

fn channel(address: &str, tls: ClientConfig, allowed: fn(IpAddr) -> bool) -> Result<Channel> {
    let refused = || Error::refused("address", Reason::Malformed, "https://host:port");
    let origin: Uri = address.parse().map_err(|_| refused())?;
    let (Some("https"), Some(authority)) = (origin.scheme_str(), origin.authority()) else {
        return Err(refused());
    };
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).map_err(|_| refused())?;
    let tls = TlsConnector::from(Arc::new(tls));
    let connect = service_fn(move |_: Uri| {
        let (host, name, tls) = (host.clone(), name.clone(), tls.clone());
        async move {
            let found: Vec<SocketAddr> = lookup_host((host, port)).await?.filter(|at| allowed(at.ip())).collect();
            let tcp = TcpStream::connect(&found[..]).await?;
            tcp.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    });
    // TLS is ours: the endpoint sees a plain address, the requests the true one.
    let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|_| refused())?;
    let endpoint = endpoint
        .origin(origin)
        .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(Duration::from_millis(KEEPALIVE_INTERVAL_MS))
        .keep_alive_timeout(Duration::from_millis(KEEPALIVE_TIMEOUT_MS))
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector_lazy(connect))
}

impl Service<Request<Body>> for Line {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &mut self.0 {
            Way::NextDoor(routes) => {
                Service::<Request<Body>>::poll_ready(routes, cx).map(|ready| ready.map_err(|never| match never {}))
            }
            Way::AcrossTown { address, channel, .. } => channel.poll_ready(cx).map_err(|cause| unheard(address, cause)),
        }
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match &mut self.0 {
            Way::NextDoor(routes) => {
                let answer = routes.call(request);
                Box::pin(async move { answer.await.map_err(|never| match never {}) })
            }
            Way::AcrossTown { address, channel, authorization } => {
                if let Some(value) = authorization {
                    request.headers_mut().insert(AUTHORIZATION, value.clone());
                }
                let (address, call) = (address.clone(), Call::made(&mut request));
                let answer = channel.call(request);
                let heard = async move { answer.await.map_err(|cause| unheard(&address, cause)) };
                match call {
                    Some(call) => Box::pin(call.asked(heard)),
                    None => Box::pin(heard),
                }
            }
        }
    }
}

/// The other end gave no answer; what it did is not known. The cause goes with it, for whoever tells people what to do.
fn unheard(address: &str, cause: TransportError) -> Status {
    tracing::debug!(address, ?cause, "unheard");
    let causes = std::iter::successors(Some(&cause as &(dyn std::error::Error + 'static)), |cause| cause.source());
    let late = causes.into_iter().any(|cause| cause.is::<TimeoutExpired>());
    let mut status = if late {
        Status::deadline_exceeded("等待超时，请以同一请求编号重试 | took too long; repeat with the same request id")
    } else {
        Error::refused("", Reason::Unavailable, address).into()
    };
    status.set_source(Arc::new(cause));
    status
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Way::NextDoor(_) => "Line(next door)",
            Way::AcrossTown { .. } => "Line(across town)",
        })
    }
}

#[cfg(test)]
mod tests {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

    use super::*;
    use crate::{identity::Caller, server::with_health};

    #[tokio::test]
    async fn a_generated_client_asks_next_door() {
        let (routes, reporter) = with_health(Routes::default());
        reporter.set_service_status("house", tonic_health::ServingStatus::Serving).await;
        let mut client = HealthClient::new(Line::next_door(routes));
        let answer = client.check(HealthCheckRequest { service: "house".into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }

    #[tokio::test]
    async fn the_caller_is_passed_on_next_door() {
        let who = |request: axum::extract::Request| async move {
            let caller = request.extensions().get::<Caller>().map(|caller| caller.actor.clone());
            tonic::Status::not_found(caller.unwrap_or_default()).into_http::<axum::body::Body>()
        };
        let router = axum::Router::new().route("/grpc.health.v1.Health/Check", axum::routing::any(who));
        let mut client = HealthClient::new(Line::next_door(Routes::from(router)));
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request.extensions_mut().insert(Caller::of_peer("35"));
        assert_eq!(client.check(request).await.unwrap_err().message(), "nodes/35");
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused() {
        for address in ["", "127.0.0.1:1", "http://127.0.0.1:1", "https://", "https:// "] {
            let config = || {
                trusting(rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap().cert.pem().as_bytes()).unwrap()
            };
            assert_eq!(channel(address, config(), may_call).unwrap_err().reason(), Reason::Malformed, "{address}");
        }
        assert_eq!(Line::to("https://127.0.0.1:1", b"", None).unwrap_err().reason(), Reason::Malformed);
    }
}
