//! HEAD, and whether a client has an answer already (RFC 9110, 9.3.2 and 13.1.2).

use hyper::header::{CONTENT_LENGTH, HeaderMap, IF_NONE_MATCH};
use hyper::http::HeaderValue;
use hyper::{Response, StatusCode};

use super::body::Body;

/// The headers of the answer to a GET.
pub fn only(mut response: Response<Body>) -> Response<Body> {
    let has_none = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = response.body().length().filter(|_| !has_none) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
    response
}

/// Of a run's commit: two answers to one request with the same tag are the same.
pub fn etag(run: &str, commit: u64) -> String {
    format!("\"{run}-{commit}\"")
}

/// Whether `If-None-Match` lists this tag.
pub fn has(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
