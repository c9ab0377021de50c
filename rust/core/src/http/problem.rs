//! What a request is refused with: problem details (RFC 9457), with the node, the lane and the place in the body.

use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::http::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::body::Body;

#[derive(Serialize)]
struct Details {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<String>,
    /// Bytes before the fault in the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
}

pub struct Refusal {
    status: StatusCode,
    details: Box<Details>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// `detail` says what is wrong and what to do instead.
pub fn refuse(status: StatusCode, detail: impl Into<String>) -> Refusal {
    let details = Details {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: detail.into(),
        node: None,
        lane: None,
        offset: None,
    };
    Refusal { status, details: Box::new(details), header: None }
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn node(mut self, node: &str) -> Self {
        self.details.node = Some(node.to_owned());
        self
    }

    pub fn lane(mut self, lane: Option<&str>) -> Self {
        self.details.lane = lane.map(str::to_owned);
        self
    }

    pub fn offset(mut self, offset: Option<usize>) -> Self {
        self.details.offset = offset;
        self
    }

    pub fn allow(self, methods: &'static str) -> Self {
        Refusal { header: Some((ALLOW, HeaderValue::from_static(methods))), ..self }
    }

    /// The same of what only the shard knows.
    pub fn allow_these(self, methods: &str) -> Self {
        Refusal { header: HeaderValue::from_str(methods).ok().map(|methods| (ALLOW, methods)), ..self }
    }

    pub fn header(self, name: &'static str, value: &'static str) -> Self {
        Refusal { header: Some((HeaderName::from_static(name), HeaderValue::from_static(value))), ..self }
    }

    pub fn response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self.details).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}
