//! The reply to a request: JSON, or Recon where the client asks for it.

use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, VARY};
use hyper::http::HeaderValue;
use hyper::{Response, StatusCode};

use super::Call;
use super::body::Body;
use super::prefer::{DURABLE, PREFERENCE_APPLIED};
use crate::decode::write_json;
use crate::recon::write_interop;
use crate::value::Value;

const RECON: [&str; 3] = ["application/x-recon", "application/recon", "text/recon"];

/// None is 204.
pub fn response(call: &Call, value: &Value, durable: bool) -> Response<Body> {
    let mut body = Vec::new();
    let recon = recon(&call.parts.headers);
    match (value, recon) {
        (Value::Null, _) => {}
        (value, None) => write_json(value, &mut body),
        (value, Some(_)) => write_interop(value, &mut body),
    }
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    if !value.is_null() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(recon.unwrap_or("application/json")));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    if durable {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static(DURABLE));
    }
    if value.is_null() {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

/// The name for Recon that the client accepts; None: it gets JSON, which it may like as much.
fn recon(headers: &HeaderMap) -> Option<&'static str> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut best: Option<(&'static str, f32)> = None;
    let mut json = 0.0f32;
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0f32);
        match RECON.iter().find(|recon| **recon == name) {
            Some(recon) if weight > best.map_or(0.0, |(_, weight)| weight) => best = Some((recon, weight)),
            None if name == "application/json" => json = json.max(weight),
            _ => {}
        }
    }
    best.filter(|(_, weight)| *weight > json).map(|(recon, _)| recon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recon_is_for_those_who_ask_for_it() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            recon(&headers)
        };
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/html, */*;q=0.8",
            "application/recon;q=0",
            "text/recon;q=0.5, application/json",
        ] {
            assert_eq!(of(accept), None, "{accept}");
        }
        assert_eq!(of("application/x-recon"), Some("application/x-recon"));
        assert_eq!(of("Application/Recon; q=0.7, */*"), Some("application/recon"));
        assert_eq!(of("application/json;q=0.5, text/recon"), Some("text/recon"));
        assert_eq!(recon(&HeaderMap::new()), None);
    }
}
