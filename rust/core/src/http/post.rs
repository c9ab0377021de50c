//! POST and PUT: a command, a value or map lane that is set, or a question to a request lane.

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::HeaderValue;
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use super::Call;
use super::body::Body;
use super::prefer::{DURABLE, PREFERENCE_APPLIED, wants_durable};
use super::problem::{Refusal, refuse};
use super::reply;
use crate::ask::{Answer, Query};
use crate::limits::seconds;
use crate::request::Method;

pub async fn post(call: &Call, body: Incoming) -> Result<Response<Body>, Refusal> {
    let Some(lane) = call.parameters.lane().map(str::to_owned) else {
        let detail = format!("name the lane: {} {}?lane=LANE", call.method, call.node);
        return Err(refuse(StatusCode::BAD_REQUEST, detail).node(&call.node));
    };
    let refuse = |status: StatusCode, detail: String| refuse(status, detail).node(&call.node).lane(Some(&lane));
    let Some(recon) = is_recon(call) else {
        // what browsers send to other sites without asking first is none of these
        let detail = "the body is JSON or Recon; say which: `content-type: application/json` or `application/x-recon`";
        let refusal = refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail.to_owned());
        return Err(refusal.header("accept-post", "application/json, application/x-recon"));
    };
    let limits = &call.site.limits;
    let too_large = || {
        let detail = format!("a body of over {} bytes (max_body_bytes)", limits.max_body_bytes);
        refuse(StatusCode::PAYLOAD_TOO_LARGE, detail).header("connection", "close")
    };
    if body.size_hint().lower() > limits.max_body_bytes as u64 {
        return Err(too_large());
    }
    let bytes = match timeout(seconds(limits.body_seconds), Limited::new(body, limits.max_body_bytes).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes().to_vec(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err(refuse(StatusCode::BAD_REQUEST, format!("the body ended early: {error}"))),
        Err(_) => {
            let detail = format!("the body took over {} s (body_seconds)", limits.body_seconds);
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, detail).header("connection", "close"));
        }
    };
    let durable = wants_durable(&call.parts.headers);
    let method = if call.method == hyper::Method::PUT { Method::Put } else { Method::Post };
    let query = Query::Command { node: call.node.clone(), lane, method, body: bytes, recon, durable };
    let answer = match call.ask(query).await? {
        Answer::Reply { value, durable } => return Ok(reply::response(call, &value, durable)),
        answer => answer,
    };
    let mut response = Response::new(Body::empty());
    if answer == Answer::Durable {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(DURABLE));
    } else {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

/// What the content type says; None: neither JSON nor Recon.
fn is_recon(call: &Call) -> Option<bool> {
    let text = call.parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = text.split(';').next()?.trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-recon" | "application/recon" | "text/recon" => Some(true),
        "application/json" => Some(false),
        kind if kind.starts_with("application/") && kind.ends_with("+json") => Some(false),
        _ => None,
    }
}
