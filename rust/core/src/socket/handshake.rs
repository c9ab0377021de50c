//! The opening handshake (RFC 6455, 4.2): WARP on any path; `warp0` where it is offered, anything or nothing else too.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::HeaderValue;
use hyper::{Method, Request, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

use super::deflate;
use crate::limits::Limits;

/// Headers of the answer, and whether permessage-deflate was agreed on.
pub struct Agreed {
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub compression: bool,
}

/// Whether a request asks for a WebSocket.
pub fn is_asked<B>(request: &Request<B>) -> bool {
    lists(request.headers(), &UPGRADE, "websocket")
}

/// Errors: the status and what is wrong.
pub fn agree<B>(request: &Request<B>, limits: &Limits) -> Result<Agreed, (StatusCode, String)> {
    let headers = request.headers();
    let bad = |what: &str| Err((StatusCode::BAD_REQUEST, what.to_owned()));
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return bad("a WebSocket begins with a GET of HTTP/1.1 (RFC 6455, 4.2.1)");
    }
    if !lists(headers, &CONNECTION, "upgrade") {
        return bad("the header Connection does not list `Upgrade`; a proxy between may have dropped it");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err((
            StatusCode::UPGRADE_REQUIRED,
            "this server speaks version 13 of the WebSocket protocol".to_owned(),
        ));
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else { return bad("there is no Sec-WebSocket-Key") };
    if BASE64_STANDARD.decode(key.as_bytes()).map_or(0, |key| key.len()) != 16 {
        return bad("Sec-WebSocket-Key is not 16 bytes in base64");
    }
    if let Some(origin) = foreign(headers, limits) {
        let reason = format!("pages of {origin} may not link here; the setting `origins` lists those that may");
        return Err((StatusCode::FORBIDDEN, reason));
    }
    let mut answer =
        vec![(CONNECTION, HeaderValue::from_static("Upgrade")), (UPGRADE, HeaderValue::from_static("websocket"))];
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        answer.push((SEC_WEBSOCKET_ACCEPT, accept));
    }
    if lists(headers, &SEC_WEBSOCKET_PROTOCOL, "warp0") {
        answer.push((SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("warp0")));
    }
    let compression = limits.compression > 0
        && headers
            .get_all(SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .filter_map(|offers| offers.to_str().ok())
            .any(deflate::acceptable);
    if compression {
        answer.push((SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(deflate::AGREED)));
    }
    Ok(Agreed { headers: answer, compression })
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

/// The origin of a browser's page (RFC 6454) that may not read here: neither of this server, nor of this machine, nor
/// listed. Programs send none.
pub fn foreign<'a>(headers: &'a HeaderMap, limits: &Limits) -> Option<&'a str> {
    let origin = headers.get(ORIGIN)?.to_str().unwrap_or("?");
    (!own(headers, origin) && !listed(origin, limits)).then_some(origin)
}

/// Whether the setting `origins` lets another site's pages read.
pub fn listed(origin: &str, limits: &Limits) -> bool {
    limits.origins.split(',').map(str::trim).any(|allowed| allowed == "*" || allowed == origin)
}

fn own(headers: &HeaderMap, origin: &str) -> bool {
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let host = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(authority, |(h, _)| h);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
        || headers.get(HOST).is_some_and(|host| !authority.is_empty() && host.as_bytes() == authority.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/any?token=x").header("host", "twins.example:9001");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn answer(more: &[(&str, &str)], limits: &Limits) -> Agreed {
        agree(&request(&[&GOOD, more].concat()), limits).unwrap_or_else(|(_, reason)| panic!("{reason}"))
    }

    fn header(agreed: &Agreed, wanted: HeaderName) -> Option<&str> {
        agreed.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_str().unwrap())
    }

    #[test]
    fn the_example_of_the_rfc_is_answered() {
        // RFC 6455, 1.3
        let agreed = answer(&[], &Limits::default());
        assert_eq!(header(&agreed, SEC_WEBSOCKET_ACCEPT), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(header(&agreed, SEC_WEBSOCKET_PROTOCOL), None);
    }

    #[test]
    fn warp0_is_chosen_where_it_is_offered() {
        for (offer, chosen) in [("warp0", Some("warp0")), ("foo, warp0", Some("warp0")), ("mqtt", None)] {
            let agreed = answer(&[("sec-websocket-protocol", offer)], &Limits::default());
            assert_eq!(header(&agreed, SEC_WEBSOCKET_PROTOCOL), chosen);
        }
    }

    #[test]
    fn compression_is_declined_unless_configured() {
        let offer = [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")];
        assert!(!answer(&offer, &Limits::default()).compression);
        let agreed = answer(&offer, &Limits { compression: 6, ..Limits::default() });
        assert!(agreed.compression);
        assert_eq!(header(&agreed, SEC_WEBSOCKET_EXTENSIONS), Some(deflate::AGREED));
    }

    #[test]
    fn what_is_no_handshake_is_refused_with_the_reason() {
        for (at, value, status) in [
            (1, "keep-alive", StatusCode::BAD_REQUEST),
            (2, "8", StatusCode::UPGRADE_REQUIRED),
            (3, "short", StatusCode::BAD_REQUEST),
        ] {
            let mut headers = GOOD;
            headers[at].1 = value;
            assert_eq!(agree(&request(&headers), &Limits::default()).err().map(|(status, _)| status), Some(status));
        }
    }

    #[test]
    fn other_sites_are_refused_unless_listed() {
        let limits = Limits { origins: "https://a.example, https://b.example:8443".to_owned(), ..Limits::default() };
        for (origin, foreign) in [
            ("http://twins.example:9001", false),
            ("http://localhost:3000", false),
            ("http://[::1]:3000", false),
            ("https://b.example:8443", false),
            ("https://b.example", true),
            ("http://twins.example", true),
            ("http://localhost.evil.example", true),
            ("null", true),
        ] {
            let request = request(&[("origin", origin)]);
            assert_eq!(super::foreign(request.headers(), &limits).is_some(), foreign, "{origin}");
        }
        assert_eq!(super::foreign(request(&[]).headers(), &limits), None);
    }
}
