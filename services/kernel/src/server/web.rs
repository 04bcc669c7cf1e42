//! gRPC-Web, for pages in a browser: HTTP/1.1 or 2, trailers in the body. A page of another site calls only if its site is
//! allowed.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tonic_web::GrpcWebLayer;

/// What a page may send, and what it may read of an answer.
const ASKED_HEADERS: &str = "authorization,content-type,x-grpc-web,x-user-agent,grpc-timeout";
const TOLD_HEADERS: &str = "grpc-status,grpc-message,grpc-status-details-bin";
const KNOWN_FOR_S: &str = "600";

/// Lets a router speak gRPC-Web beside gRPC.
pub(super) fn speak(router: Router, origins: Vec<String>) -> Router {
    router.layer(GrpcWebLayer::new()).layer(from_fn_with_state(Arc::new(origins), cross))
}

/// Tells a browser whether a page of its origin may call.
async fn cross(State(allowed): State<Arc<Vec<String>>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let origin = origin.filter(|origin| allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()));
    let Some(origin) = origin else { return next.run(request).await };
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = if preflight { Response::default() } else { next.run(request).await };
    let headers = answer.headers_mut();
    if preflight {
        tell(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "POST");
        tell(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, ASKED_HEADERS);
        tell(headers, header::ACCESS_CONTROL_MAX_AGE, KNOWN_FOR_S);
    }
    tell(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, TOLD_HEADERS);
    tell(headers, header::VARY, "origin");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if preflight {
        *answer.status_mut() = StatusCode::NO_CONTENT;
    }
    answer
}

fn tell(headers: &mut HeaderMap, name: header::HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
