//! Over real sockets: who gets in, who does not, who is cut.

use axum::{extract::Request, response::Response, routing::any};
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::{Code, Status, body::Body};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};
use tower::{Service as _, ServiceExt as _};

use super::*;
use crate::{
    clock::Clock,
    config::{Config, MethodLimits},
    identity::{Caller, Role, generate_token, hash_token},
    line::Line,
};

const WHO: &str = "/test.v1.Test/Who";
const NEVER: &str = "/test.v1.Test/Never";

struct Node {
    keys: NodeKeys,
    _folder: TempDir,
}

fn node(code: &str) -> Node {
    let folder = tempfile::tempdir().unwrap();
    Node { keys: NodeKeys::create(&folder.path().join("keys"), code, &[]).unwrap(), _folder: folder }
}

fn node_of(clock: &Clock) -> Node {
    let folder = tempfile::tempdir().unwrap();
    Node { keys: NodeKeys::create_on(&folder.path().join("keys"), "35", &[], clock).unwrap(), _folder: folder }
}

/// A door that answers, and how to end it.
struct Open {
    address: String,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<()>>,
}

impl Open {
    async fn end(self) {
        self.shutdown.cancel();
        self.ended.await.unwrap().unwrap();
    }
}

fn limits() -> Limits {
    Limits { drain_timeout_ms: 20, request_timeout_ms: 20_000, ..Config::defaults().unwrap().limits }
}

async fn open(listener: Listener, limits: Limits) -> Open {
    let who = |request: Request| async move {
        let caller = request.extensions().get::<Caller>().cloned();
        let said = caller.map(|caller| format!("{}:{}:{}", caller.actor, caller.role, caller.area)).unwrap_or_default();
        Status::ok(said).into_http::<axum::body::Body>()
    };
    let never = |_: Request| std::future::pending::<Response>();
    let router = Routes::default().into_axum_router().route(WHO, any(who)).route(NEVER, any(never));
    let (routes, reporter) = with_health(with_reflection(Routes::from(router)).unwrap());
    reporter.set_service_status("house", ServingStatus::Serving).await;
    let address = format!("https://{}", listener.address());
    let shutdown = CancellationToken::new();
    let serving = shutdown.clone();
    let ended = tokio::spawn(async move { serve(listener, routes, &limits, serving).await });
    Open { address, shutdown, ended }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn open_to_peers(server: &Node, peers: &PeerSet) -> Open {
    open(Listener::peers(any_port(), &server.keys, peers.clone()).await.unwrap(), limits()).await
}

async fn open_to_people(server: &Node, limits: Limits) -> Open {
    open(Listener::people(any_port(), &server.keys, Arc::new(OneToken)).await.unwrap(), limits).await
}

struct OneToken;

impl Tokens for OneToken {
    fn find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Caller>>> {
        let caller = Caller::new("tokens/1", Role::Editor, "6401");
        Box::pin(async move {
            match hash {
                hash if hash == hash_token(&secret()) => Ok(Some(caller)),
                hash if hash == hash_token("qst_breaks") => Err(Error::broken("the database is away")),
                _ => Ok(None),
            }
        })
    }
}

fn secret() -> String {
    generate_token([7; 32]).0
}

fn to(server: &Node, at: &Open, token: Option<String>) -> Line {
    Line::to(&at.address, &std::fs::read(&server.keys.ca_path).unwrap(), token).unwrap()
}

/// Calls a method and returns what the status says.
async fn call(line: &Line, path: &str) -> Result<String, Code> {
    let request = http::Request::post(path).header("content-type", "application/grpc").body(Body::empty()).unwrap();
    let mut line = line.clone();
    let answer =
        line.ready().await.map_err(|_| Code::Unavailable)?.call(request).await.map_err(|_| Code::Unavailable)?;
    let status = Status::from_header_map(answer.headers()).unwrap();
    if status.code() == Code::Ok { Ok(status.message().to_owned()) } else { Err(status.code()) }
}

#[tokio::test]
async fn a_pinned_peer_is_known_by_its_certificate() {
    let (server, client) = (node("64"), node("35"));
    let peers = PeerSet::default();
    peers.add("35", client.keys.peer.leaf());
    let open = open_to_peers(&server, &peers).await;
    let line = Line::to_peer(&open.address, &client.keys, server.keys.peer.leaf(), &Clock::system()).unwrap();
    assert_eq!(call(&line, WHO).await.as_deref(), Ok("nodes/35:reader:"));
    let answer = HealthClient::new(line).check(HealthCheckRequest { service: "house".into() }).await.unwrap();
    assert_eq!(answer.into_inner().status, 1);
    open.end().await;
}

#[tokio::test]
async fn an_unknown_certificate_gets_no_connection() {
    let (server, client, stranger) = (node("64"), node("35"), node("35"));
    let peers = PeerSet::default();
    peers.add("35", client.keys.peer.leaf());
    let open = open_to_peers(&server, &peers).await;
    // The same name in it, but not the same certificate.
    let line = Line::to_peer(&open.address, &stranger.keys, server.keys.peer.leaf(), &Clock::system()).unwrap();
    assert_eq!(call(&line, WHO).await, Err(Code::Unavailable));
    // No certificate at all.
    let line = to(&server, &open, Some(secret()));
    assert_eq!(call(&line, WHO).await, Err(Code::Unavailable));
    open.end().await;
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_gets_no_connection() {
    let (server, client, thief) = (node("64"), node("35"), node("35"));
    let peers = PeerSet::default();
    peers.add("35", client.keys.peer.leaf());
    let open = open_to_peers(&server, &peers).await;
    let mut answers = Vec::new();
    for signer in [&client, &thief] {
        let mut config = pinning(&client.keys, server.keys.peer.leaf(), &Clock::system()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&signer.keys.peer.key).unwrap();
        let shown = rustls::sign::CertifiedKey::new(client.keys.peer.chain.clone(), key);
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(shown));
        let tcp = TcpStream::connect(open.address.trim_start_matches("https://")).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        // The server speaks first in HTTP/2, unless it hangs up.
        answers.push(tokio::io::AsyncReadExt::read_u8(&mut tls).await.is_ok());
    }
    assert_eq!(answers, [true, false]);
    open.end().await;
}

#[tokio::test]
async fn a_client_speaks_to_the_pinned_server_only() {
    let (server, client, other) = (node("64"), node("35"), node("64"));
    let peers = PeerSet::default();
    peers.add("35", client.keys.peer.leaf());
    let open = open_to_peers(&server, &peers).await;
    let line = Line::to_peer(&open.address, &client.keys, other.keys.peer.leaf(), &Clock::system()).unwrap();
    assert_eq!(call(&line, WHO).await, Err(Code::Unavailable));
    open.end().await;
}

/// Either end refuses a certificate that does not hold on the day, whoever it is pinned for; one that was renewed for its key is taken.
#[tokio::test]
async fn a_certificate_out_of_its_days_gets_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let made =
        |name: &str, ms: i64| NodeKeys::create_on(&folder.path().join(name), "35", &[], &Clock::fixed(ms)).unwrap();
    let (past, future, today) = (946_684_800_000, 2_524_608_000_000, Clock::fixed(1_717_214_400_000));
    let (server, ended, early) = (node_of(&today), made("ended", past), made("early", future));
    for keys in [&ended, &early] {
        let peers = PeerSet::new(today.clone());
        peers.add("35", keys.peer.leaf());
        let open = open_to_peers(&server, &peers).await;
        let line = Line::to_peer(&open.address, keys, server.keys.peer.leaf(), &today).unwrap();
        assert_eq!(call(&line, WHO).await, Err(Code::Unavailable), "as a client");
        open.end().await;
    }
    let client = node_of(&today);
    for (name, past_or_future) in [("ended", &ended), ("early", &early)] {
        let peers = PeerSet::new(today.clone());
        peers.add("35", client.keys.peer.leaf());
        let open = open(Listener::peers(any_port(), past_or_future, peers).await.unwrap(), limits()).await;
        let line = Line::to_peer(&open.address, &client.keys, past_or_future.peer.leaf(), &today).unwrap();
        assert_eq!(call(&line, WHO).await, Err(Code::Unavailable), "as a server");
        NodeKeys::renew(&folder.path().join(name), &[], &today).unwrap();
        let renewed = NodeKeys::open(&folder.path().join(name)).unwrap();
        let peers = PeerSet::new(today.clone());
        peers.add("35", client.keys.peer.leaf());
        let again = self::open(Listener::peers(any_port(), &renewed, peers).await.unwrap(), limits()).await;
        let line = Line::to_peer(&again.address, &client.keys, past_or_future.peer.leaf(), &today).unwrap();
        assert_eq!(call(&line, WHO).await.as_deref(), Ok("nodes/35:reader:"), "its pin is still the old certificate's");
        open.end().await;
        again.end().await;
    }
}

#[tokio::test]
async fn removal_cuts_an_open_connection() {
    let (server, removed, kept) = (node("64"), node("35"), node("50"));
    let peers = PeerSet::default();
    peers.add("35", removed.keys.peer.leaf());
    peers.add("50", kept.keys.peer.leaf());
    let open = open_to_peers(&server, &peers).await;
    let watch = async |client: &Node| {
        let line = Line::to_peer(&open.address, &client.keys, server.keys.peer.leaf(), &Clock::system()).unwrap();
        let request = HealthCheckRequest { service: "house".into() };
        let mut stream = HealthClient::new(line.clone()).watch(request).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        (line, stream)
    };
    let (line, mut stream) = watch(&removed).await;
    let (kept_line, mut kept_stream) = watch(&kept).await;
    assert!(peers.remove("35"));
    assert!(stream.message().await.is_err());
    assert_eq!(call(&line, WHO).await, Err(Code::Unavailable));
    assert_eq!(call(&kept_line, WHO).await.as_deref(), Ok("nodes/50:reader:"));
    assert!(futures::poll!(std::pin::pin!(kept_stream.message())).is_pending());
    peers.add("35", removed.keys.peer.leaf());
    assert_eq!(call(&line, WHO).await.as_deref(), Ok("nodes/35:reader:"));
    open.end().await;
}

#[tokio::test]
async fn a_person_needs_a_token_except_for_health() {
    let server = node("64");
    let open = open_to_people(&server, limits()).await;
    let with = |token: &str| to(&server, &open, Some(token.to_owned()));
    assert_eq!(call(&with(&secret()), WHO).await.as_deref(), Ok("tokens/1:editor:6401"));
    let nobody = to(&server, &open, None);
    for (line, path, code) in [
        (&nobody, WHO, Code::Unauthenticated),
        (&with("qst_guess"), WHO, Code::Unauthenticated),
        (&with("qst_breaks"), WHO, Code::Internal),
        (&nobody, "/test.v1.Test/Nothing", Code::Unauthenticated),
        (&nobody, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Code::Unauthenticated),
    ] {
        assert_eq!(call(line, path).await, Err(code), "{path}");
    }
    let answer = HealthClient::new(nobody).check(HealthCheckRequest { service: "house".into() }).await.unwrap();
    assert_eq!(answer.into_inner().status, 1);
    open.end().await;
}

#[tokio::test]
async fn an_answer_has_a_deadline_and_the_drain_has_one() {
    let server = node("64");
    let open = open_to_people(&server, Limits { request_timeout_ms: 20, ..limits() }).await;
    let line = to(&server, &open, Some(secret()));
    assert_eq!(call(&line, NEVER).await, Err(Code::DeadlineExceeded));
    let request = HealthCheckRequest { service: "house".into() };
    let mut stream = HealthClient::new(line).watch(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    open.end().await;
    assert!(stream.message().await.is_err());
}

#[tokio::test]
async fn silence_is_ended() {
    let server = node("64");
    let open = open_to_people(&server, Limits { handshake_timeout_ms: 200, ..limits() }).await;
    let host = open.address.trim_start_matches("https://").to_owned();
    let mut silent = TcpStream::connect(&host).await.unwrap();
    let tls =
        tokio_rustls::TlsConnector::from(Arc::new(trusting(&std::fs::read(&server.keys.ca_path).unwrap()).unwrap()));
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut greeted = tls.connect(name, TcpStream::connect(&host).await.unwrap()).await.unwrap();
    let mut nothing = [0; 1];
    assert_eq!(tokio::io::AsyncReadExt::read(&mut silent, &mut nothing).await.unwrap_or_default(), 0);
    assert_eq!(tokio::io::AsyncReadExt::read(&mut greeted, &mut nothing).await.unwrap_or_default(), 0);
    open.end().await;
}

#[tokio::test]
async fn who_brings_no_token_in_time_is_closed() {
    let server = node("64");
    let open = open_to_people(&server, Limits { handshake_timeout_ms: 300, ..limits() }).await;
    let known = to(&server, &open, Some(secret()));
    assert!(call(&known, WHO).await.is_ok());
    // Speaks, is answered, and stays a stranger.
    let request = HealthCheckRequest { service: "house".into() };
    let mut stream = HealthClient::new(to(&server, &open, None)).watch(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert!(stream.message().await.is_err());
    assert!(call(&known, WHO).await.is_ok());
    open.end().await;
}

#[tokio::test]
async fn no_address_has_more_than_its_share() {
    let server = node("64");
    let open = open_to_people(&server, Limits { connections_max_per_address: 2, ..limits() }).await;
    let host = open.address.trim_start_matches("https://").to_owned();
    let known = to(&server, &open, Some(secret()));
    assert!(call(&known, WHO).await.is_ok());
    let silent = TcpStream::connect(&host).await.unwrap();
    let mut third = TcpStream::connect(&host).await.unwrap();
    assert_eq!(tokio::io::AsyncReadExt::read(&mut third, &mut [0]).await.unwrap_or_default(), 0);
    assert!(call(&known, WHO).await.is_ok());
    drop((silent, third));
    open.end().await;
}

#[tokio::test]
async fn strangers_leave_places_for_those_who_are_known() {
    let server = node("64");
    let open = open_to_people(&server, Limits { connections_max: 4, ..limits() }).await;
    let host = open.address.trim_start_matches("https://").to_owned();
    let known = to(&server, &open, Some(secret()));
    assert!(call(&known, WHO).await.is_ok());
    let strangers = [TcpStream::connect(&host).await.unwrap(), TcpStream::connect(&host).await.unwrap()];
    let next = to(&server, &open, Some(secret()));
    let mut waiting = std::pin::pin!(call(&next, WHO));
    assert!(tokio::time::timeout(ms(50), &mut waiting).await.is_err(), "strangers have half of the places");
    drop(strangers);
    assert!(waiting.await.is_ok());
    open.end().await;
}

#[tokio::test]
async fn connections_have_a_limit() {
    let server = node("64");
    let open = open_to_people(&server, Limits { connections_max: 1, ..limits() }).await;
    let line = to(&server, &open, Some(secret()));
    assert!(call(&line, WHO).await.is_ok());
    let next = to(&server, &open, Some(secret()));
    let mut waiting = std::pin::pin!(call(&next, WHO));
    assert!(tokio::time::timeout(ms(50), &mut waiting).await.is_err());
    assert!(call(&line, WHO).await.is_ok());
    drop(line);
    assert!(waiting.await.is_ok());
    open.end().await;
}

#[tokio::test]
async fn a_method_has_its_own_limits() {
    let server = node("64");
    let methods = [
        ("Never", MethodLimits { timeout_ms: Some(300), concurrency_max: Some(1), ..MethodLimits::default() }),
        ("Check", MethodLimits { message_max_bytes: Some(10), ..MethodLimits::default() }),
    ];
    let methods = methods.into_iter().map(|(name, limits)| (name.to_owned(), limits)).collect();
    let open = open_to_people(&server, Limits { methods, ..limits() }).await;
    let line = to(&server, &open, Some(secret()));
    let mut both: Vec<_> = <[_; 2]>::from(tokio::join!(call(&line, NEVER), call(&line, NEVER))).into();
    both.sort_by_key(|answer| answer.clone().map_err(|code| code as i32));
    assert_eq!(both, [Err(Code::DeadlineExceeded), Err(Code::ResourceExhausted)], "one place, and it is given back");
    assert_eq!(call(&line, NEVER).await, Err(Code::DeadlineExceeded));

    let check = async |service: &str| {
        let request = HealthCheckRequest { service: service.into() };
        HealthClient::new(line.clone()).check(request).await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(check("house").await, Ok(()));
    assert_eq!(check("a house of a longer name").await, Err(Code::InvalidArgument));
    open.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_the_callers_fault() {
    let server = node("64");
    let open = open_to_people(&server, limits()).await;
    let line = to(&server, &open, Some(secret()));
    // A field that breaks off, a message that does, one that is said to be packed and is not, none at all.
    for body in [&[0, 0, 0, 0, 2, 10, 5][..], &[0, 0, 0, 0, 9, 10], &[1, 0, 0, 0, 0], &[]] {
        let request = http::Request::post("/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
        let request = request.body(Body::new(axum::body::Body::from(body.to_vec()))).unwrap();
        let answer = line.clone().ready().await.unwrap().call(request).await.unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{body:?}: {status:?}");
        assert!(status.message().contains("protobuf") && !status.details().is_empty(), "{status:?}");
    }
    open.end().await;
}

#[tokio::test]
async fn a_callers_own_deadline_is_kept() {
    let server = node("64");
    let open = open_to_people(&server, limits()).await;
    let mut line = to(&server, &open, Some(secret()));
    let request = http::Request::post(NEVER).header("content-type", "application/grpc").header("grpc-timeout", "40m");
    let answer = line.ready().await.unwrap().call(request.body(Body::empty()).unwrap()).await;
    // The caller's own clock may be the first.
    let told = answer.map_or_else(|status| status, |answer| Status::from_header_map(answer.headers()).unwrap());
    assert_eq!(told.code(), Code::DeadlineExceeded);
    open.end().await;
}

/// HTTP/1.1 over TLS, byte by byte as a browser's library would send it.
async fn over_http1(server: &Node, open: &Open, head: &str, body: &[u8]) -> String {
    let mut config = trusting(&std::fs::read(&server.keys.ca_path).unwrap()).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = open.address.trim_start_matches("https://").to_owned();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut tls = connector.connect(name, TcpStream::connect(&host).await.unwrap()).await.unwrap();
    let head = format!("{head}host: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    tokio::io::AsyncWriteExt::write_all(&mut tls, &[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = vec![];
    tokio::io::AsyncReadExt::read_to_end(&mut tls, &mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[tokio::test]
async fn a_page_calls_by_grpc_web() {
    let server = node("64");
    let listener = Listener::people(any_port(), &server.keys, Arc::new(OneToken)).await.unwrap();
    let open = open(listener.allow(&["https://console.example".into()]), limits()).await;
    let post =
        |path: &str, more: &str| format!("POST {path} HTTP/1.1\r\ncontent-type: application/grpc-web+proto\r\n{more}");
    let asked = [&[0, 0, 0, 0, 7, 10, 5][..], b"house"].concat();
    let check = "/grpc.health.v1.Health/Check";
    for (more, allowed) in
        [("", false), ("origin: https://elsewhere\r\n", false), ("origin: https://console.example\r\n", true)]
    {
        let answer = over_http1(&server, &open, &post(check, more), &asked).await;
        assert!(answer.starts_with("http/1.1 200 ok"), "{answer}");
        assert!(answer.contains("content-type: application/grpc-web+proto"), "{answer}");
        assert!(answer.contains("\u{8}\u{1}") && answer.contains("grpc-status:0"), "serving, and a trailer: {answer}");
        assert_eq!(answer.contains("access-control-allow-origin: https://console.example"), allowed, "{answer}");
    }
    let refused = over_http1(&server, &open, &post(WHO, ""), &[0; 5]).await;
    assert!(refused.contains("grpc-status: 16") || refused.contains("grpc-status:16"), "no token: {refused}");
    let token = format!("authorization: Bearer {}\r\n", secret());
    let told = over_http1(&server, &open, &post(WHO, &token), &[0; 5]).await;
    assert!(told.contains("tokens") && told.contains("6401"), "{told}");

    let ask =
        |origin: &str| format!("OPTIONS {WHO} HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n");
    let may = over_http1(&server, &open, &ask("https://console.example"), b"").await;
    assert!(may.starts_with("http/1.1 204") && may.contains("access-control-allow-headers: authorization"), "{may}");
    let may_not = over_http1(&server, &open, &ask("https://elsewhere"), b"").await;
    assert!(!may_not.contains("access-control-allow-origin"), "{may_not}");
    open.end().await;
}
