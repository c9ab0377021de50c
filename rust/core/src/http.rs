//! HTTP on the same port (docs/http.md): state as JSON, commands, live streams. Each request becomes a question to the
//! shard; nothing here knows twins.

mod body;
mod get;
mod head;
mod parameters;
mod post;
mod prefer;
mod problem;
mod reply;
mod stream;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, ORIGIN, VARY,
};
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::body::Body;
use self::parameters::Parameters;
use self::problem::{Refusal, refuse};
use crate::ask::{Answer, Ask, Problem, Query};
use crate::connect::{Switch, SwitchSlot};
use crate::limits::seconds;
use crate::listen::Site;
use crate::peer::Identity;
use crate::socket::handshake;

/// Methods that some path answers.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
/// What a lane that takes commands, or may be set, answers.
const TAKES: &str = "GET, HEAD, POST, PUT, OPTIONS";

/// A request without its body, and what it is about.
struct Call {
    site: Arc<Site>,
    remote: String,
    method: Method,
    parts: Parts,
    node: String,
    parameters: Parameters,
}

pub async fn respond(site: Arc<Site>, remote: String, slot: SwitchSlot, request: Request<Incoming>) -> Response<Body> {
    let origin = request.headers().get(ORIGIN).cloned();
    let is_head = request.method() == Method::HEAD;
    let mut response = if handshake::is_asked(&request) {
        switch(&site, &slot, &request)
    } else {
        let answer = dispatch(Arc::clone(&site), remote, request).await;
        answer.unwrap_or_else(Refusal::response)
    };
    if let Some(origin) =
        origin.filter(|origin| origin.to_str().is_ok_and(|text| handshake::listed(text, &site.limits)))
    {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, preference-applied"));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    if is_head { head::only(response) } else { response }
}

/// The answer that makes the connection a WebSocket; the connection itself goes on with what is left in `slot`.
fn switch(site: &Site, slot: &SwitchSlot, request: &Request<Incoming>) -> Response<Body> {
    let agreed = match handshake::agree(request, &site.limits) {
        Ok(agreed) => agreed,
        Err((status, reason)) => {
            let mut response = refuse(status, reason).response();
            if status == StatusCode::UPGRADE_REQUIRED {
                response.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("13"));
            }
            return response;
        }
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let left = Switch { request: path.to_owned(), compression: agreed.compression };
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().extend(agreed.headers);
    response
}

async fn dispatch(site: Arc<Site>, remote: String, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let node = parts.uri.path().to_owned();
    let parameters = Parameters::parse(parts.uri.query().unwrap_or_default())
        .map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason).node(&node))?;
    let call = Call { site, remote, method: parts.method.clone(), parts, node, parameters };
    match call.method {
        Method::GET | Method::HEAD if call.wants_stream() => stream::follow(&call).await,
        Method::GET | Method::HEAD => get::get(&call).await,
        Method::POST | Method::PUT => post::post(&call, body).await,
        Method::DELETE => get::delete(&call).await,
        Method::OPTIONS => call.options().await,
        _ => {
            let detail = format!("{} is none of {METHODS}", call.method);
            Err(refuse(StatusCode::METHOD_NOT_ALLOWED, detail).node(&call.node).allow(METHODS))
        }
    }
}

impl Call {
    fn wants_stream(&self) -> bool {
        let accepts = self.parts.headers.get_all(hyper::header::ACCEPT);
        accepts
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|range| range.split(';').next().is_some_and(|name| name.trim() == "text/event-stream"))
    }

    /// What the shard answers.
    ///
    /// Errors: it refuses, has too much to do, or the run ends.
    async fn ask(&self, query: Query) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        let request = self.parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let identity = Identity { request, claims: String::new() };
        let taken_up = Arc::new(AtomicBool::new(false));
        let ask = Ask { query, identity, remote: self.remote.clone(), reply, taken_up: Arc::clone(&taken_up) };
        let unavailable =
            |detail: &str| refuse(StatusCode::SERVICE_UNAVAILABLE, detail).node(&self.node).header("retry-after", "1");
        if !self.site.exchange.ask(ask) {
            return Err(unavailable("too many requests wait, or the run ends"));
        }
        match timeout(seconds(self.site.limits.answer_seconds), answer).await {
            Ok(Ok(Answer::Refused(problem))) => Err(self.refused(problem)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(unavailable("the run ends")),
            Err(_) if taken_up.load(Ordering::Relaxed) => {
                let detail = "the twin has not answered within answer_seconds; what it does may still be kept";
                Err(refuse(StatusCode::GATEWAY_TIMEOUT, detail).node(&self.node).lane(self.parameters.lane()))
            }
            Err(_) => Err(unavailable(
                "no answer within answer_seconds; a command may still be carried out, a handler may block the shard",
            )),
        }
    }

    fn refused(&self, problem: Problem) -> Refusal {
        let (status, detail, offset) = match problem {
            Problem::NoMethod { reason, allow } => {
                let refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, reason).node(&self.node);
                return refusal.lane(self.parameters.lane()).allow_these(&allow);
            }
            Problem::NotFound(detail) => (StatusCode::NOT_FOUND, detail, None),
            Problem::NotAllowed(detail) => (StatusCode::METHOD_NOT_ALLOWED, detail, None),
            Problem::Invalid { reason, offset } => (StatusCode::BAD_REQUEST, reason, offset),
            Problem::Rejected(detail) => (StatusCode::CONFLICT, detail, None),
            Problem::Failed(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail, None),
            Problem::Limit(detail) => (StatusCode::TOO_MANY_REQUESTS, detail, None),
            Problem::Forbidden(detail) => (StatusCode::FORBIDDEN, detail, None),
        };
        let mut refusal = refuse(status, detail).node(&self.node).lane(self.parameters.lane()).offset(offset);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let reads = matches!(self.method, Method::GET | Method::HEAD);
            refusal = refusal.allow(if reads { "POST, OPTIONS" } else { "GET, HEAD, OPTIONS" });
        }
        refusal
    }

    /// What a path answers; for a page of another site, whether it may ask.
    async fn options(&self) -> Result<Response<Body>, Refusal> {
        let mut allowed = HeaderValue::from_static("GET, HEAD, OPTIONS");
        if self.node == "*" {
            allowed = HeaderValue::from_static(METHODS);
        } else {
            let lane = self.parameters.lane().map(str::to_owned);
            let one = lane.is_some();
            match self.ask(Query::Lanes { node: self.node.clone(), lane, exists: false }).await {
                Ok(Answer::Lanes(lanes)) if one && lanes.iter().any(|(_, takes)| *takes) => {
                    allowed = HeaderValue::from_static(TAKES);
                }
                Ok(Answer::Methods(methods)) => allowed = HeaderValue::from_str(&methods).unwrap_or(allowed),
                Ok(_) => {}
                Err(refusal) if refusal.status() == StatusCode::NOT_FOUND && !one => {
                    // a population, or nothing
                    let query = Query::Read { node: self.node.clone(), page: Default::default() };
                    self.ask(query).await?;
                }
                Err(refusal) => return Err(refusal),
            }
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ALLOW, allowed.clone());
        if self.parts.headers.contains_key("access-control-request-method") {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allowed);
            let taken = HeaderValue::from_static("content-type, if-none-match, prefer");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, taken);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        Ok(response)
    }
}
