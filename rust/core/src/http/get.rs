//! GET: a twin, a lane, a page of a population, the app; a question to a request lane, which DELETE asks as well.

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use hyper::http::HeaderValue;
use hyper::{Response, StatusCode};
use tokio::time::Instant;

use super::Call;
use super::body::Body;
use super::head;
use super::prefer::wants_durable;
use super::problem::{Refusal, refuse};
use super::reply;
use crate::ask::{Answer, Page, Part, Query};
use crate::limits::seconds;
use crate::request::Method;

/// Twins on a page, where `limit=` says nothing else.
const PAGE: usize = 100;

pub async fn get(call: &Call) -> Result<Response<Body>, Refusal> {
    if let Some(lane) = call.parameters.lane() {
        return of_lane(call, lane, Method::Get).await;
    }
    let page = page(call).map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason).node(&call.node))?;
    let query = Query::Read { node: call.node.clone(), page: page.clone() };
    let (body, commit) = match call.ask(query).await? {
        Answer::Json { body, commit } => (body, commit),
        Answer::Part(part) => population(call, page, part).await?,
        _ => (Vec::new(), 0),
    };
    Ok(state(call, body, commit))
}

/// DELETE: only of request lanes.
pub async fn delete(call: &Call) -> Result<Response<Body>, Refusal> {
    match call.parameters.lane() {
        Some(lane) => of_lane(call, lane, Method::Delete).await,
        None => {
            let detail = "DELETE asks a request lane: DELETE NODE?lane=LANE";
            Err(refuse(StatusCode::METHOD_NOT_ALLOWED, detail).node(&call.node).allow("GET, HEAD, OPTIONS"))
        }
    }
}

async fn of_lane(call: &Call, lane: &str, method: Method) -> Result<Response<Body>, Refusal> {
    let (node, lane, pairs) = (call.node.clone(), lane.to_owned(), call.parameters.pairs().to_vec());
    let durable = wants_durable(&call.parts.headers);
    match call.ask(Query::Lane { node, lane, method, pairs, durable }).await? {
        Answer::Reply { value, durable } => Ok(reply::response(call, &value, durable)),
        Answer::Json { body, commit } => Ok(state(call, body, commit)),
        _ => Ok(state(call, Vec::new(), 0)),
    }
}

/// Committed state as JSON; nothing: it is unset.
fn state(call: &Call, body: Vec<u8>, commit: u64) -> Response<Body> {
    let etag = head::etag(&call.site.run, commit);
    let fresh = head::has(&call.parts.headers, &etag);
    let status = match (fresh, body.is_empty()) {
        (true, _) => StatusCode::NOT_MODIFIED,
        (false, true) => StatusCode::NO_CONTENT,
        (false, false) => StatusCode::OK,
    };
    let mut response = Response::new(if fresh { Body::empty() } else { Body::from(body) });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::OK {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn page(call: &Call) -> Result<Page, String> {
    let limits = &call.site.limits;
    let limit = match call.parameters.limit()? {
        Some(limit) if limit > limits.max_page => {
            return Err(format!(
                "limit={limit}: a page holds at most {} twins (max_page); follow `next`",
                limits.max_page
            ));
        }
        limit => limit.unwrap_or(PAGE.min(limits.max_page)),
    };
    Ok(Page {
        after: call.parameters.after().map(str::to_owned),
        limit,
        bytes: limits.page_bytes,
        count: call.parameters.count()?,
        fields: call.parameters.fields(),
        filters: call.parameters.conditions.clone(),
    })
}

/// A page, of parts that the shard answers one by one: other turns run between them. A search that takes too long ends
/// with what has been found and where to go on.
async fn population(call: &Call, page: Page, first: Part) -> Result<(Vec<u8>, u64), Refusal> {
    let until = Instant::now() + seconds(call.site.limits.answer_seconds);
    let mut part = first;
    let mut twins = Vec::new();
    let mut found = 0;
    loop {
        if !part.twins.is_empty() {
            if !twins.is_empty() {
                twins.push(b',');
            }
            twins.append(&mut part.twins);
        }
        found += part.found;
        let Some(next) = part.next else { break };
        let full = !page.count && (found >= page.limit || twins.len() >= page.bytes);
        if full || Instant::now() >= until {
            break;
        }
        let rest = Page {
            after: Some(next.to_string()),
            limit: page.limit.saturating_sub(found),
            bytes: page.bytes.saturating_sub(twins.len()),
            ..page.clone()
        };
        match call.ask(Query::Read { node: call.node.clone(), page: rest }).await? {
            Answer::Part(next) => part = next,
            _ => break,
        }
    }
    if page.count {
        if part.next.is_some() {
            let detail = "counting them took over answer_seconds; use conditions on fewer twins";
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, detail).node(&call.node));
        }
        return Ok((format!("{{\"count\":{found}}}").into_bytes(), part.commit));
    }
    let mut body = Vec::with_capacity(twins.len() + 128);
    body.extend_from_slice(b"{\"twins\":[");
    body.append(&mut twins);
    body.push(b']');
    if let Some(next) = part.next {
        body.extend_from_slice(b",\"next\":");
        let next = call.parameters.next(&call.node, next);
        body.append(&mut serde_json::to_vec(&next).unwrap_or_default());
    }
    body.push(b'}');
    Ok((body, part.commit))
}
