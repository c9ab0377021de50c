//! Server-Sent Events (WHATWG HTML, 9.2): a twin's lanes, or one of them, as they change.

use std::io::{Error, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use hyper::http::HeaderValue;
use hyper::{Method, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Call;
use super::body::Body;
use super::problem::{Refusal, refuse};
use crate::ask::{Answer, Query};
use crate::listen::{Stage, Stages};
use crate::outbox::{Flushed, Outbox};
use crate::peer::{Direct, Form, Frames, Peer};
use crate::warp::{Message, Tag};

/// A comment this often shows both ends, and proxies between, that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes of one piece.
const PIECE: usize = 64 << 10;

pub async fn follow(call: &Call) -> Result<Response<Body>, Refusal> {
    let rate = call.parameters.rate().map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason).node(&call.node))?;
    let lane = call.parameters.lane().map(str::to_owned);
    let lanes = match call.ask(Query::Lanes { node: call.node.clone(), lane, exists: true }).await? {
        Answer::Lanes(lanes) => lanes,
        _ => Vec::new(),
    };
    let body = if call.method == Method::HEAD { Body::empty() } else { Body::Pieces(open(call, &lanes, rate)) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    // nginx would keep events until a buffer is full
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn open(call: &Call, lanes: &[(String, bool)], rate: f64) -> mpsc::Receiver<Bytes> {
    let request = call.parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let bounds = call.site.limits.bounds();
    let peer = call.site.exchange.connect(Form::Events, request, call.remote.clone(), bounds);
    let mut frames = Frames::default();
    for (lane, _) in lanes {
        let (node, lane) = (call.node.as_str().into(), lane.as_str().into());
        frames.push(&Message { tag: Tag::Sync, node, lane, prio: 0.0, rate, body: "" });
    }
    peer.offer(frames);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(pump(peer, sender, call.site.stage.clone()));
    receiver
}

/// From the outbox to the client, until one of them is gone or the server stops.
async fn pump(peer: Arc<Peer>, sender: mpsc::Sender<Bytes>, mut stages: Stages) {
    let mut beat = Instant::now() + HEARTBEAT;
    let mut closing = false;
    loop {
        let piece = Piece::default();
        let flushed = peer.write(&piece);
        let bytes = piece.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !bytes.is_empty() {
            if sender.send(bytes.into()).await.is_err() {
                break;
            }
            beat = Instant::now() + HEARTBEAT;
        }
        match flushed {
            Flushed::Closed => break,
            Flushed::Blocked => continue,
            Flushed::All | Flushed::Later => {}
        }
        let due = peer.outbox().next_due();
        let due = due.map(|due| Instant::now() + Duration::from_micros((due - Outbox::now()).max(0) as u64));
        tokio::select! {
            () = peer.flush_wanted() => {}
            () = sleep_until(due.unwrap_or(beat)), if due.is_some() => {}
            () = sender.closed() => break,
            () = stages.reached(Stage::Closing), if !closing => {
                closing = true;
                peer.close(1001, "the server stops");
            }
            () = sleep_until(beat) => peer.outbox().control(Bytes::from_static(b":\n\n")),
        }
    }
    peer.leave();
}

/// Takes what a piece holds.
#[derive(Default)]
struct Piece(Mutex<Vec<u8>>);

impl Direct for Piece {
    fn write(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() >= PIECE {
            return Err(Error::from(ErrorKind::WouldBlock));
        }
        let before = bytes.len();
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(bytes.len() - before)
    }
}
