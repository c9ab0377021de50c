//! A connection from its first byte: HTTP requests, one after the other, until one asks for a WebSocket.

use std::convert::Infallible;
use std::io::{ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};

use crate::http::respond;
use crate::limits::seconds;
use crate::listen::{Site, Stage};
use crate::peer::Form;
use crate::socket::Socket;

pub struct Connected {
    /// The other end's address.
    pub remote: String,
    /// Its place among `max_connections`.
    pub permit: OwnedSemaphorePermit,
}

/// What a request has left for its connection to become.
#[derive(Clone)]
pub struct Switch {
    /// Path and query of the request.
    pub request: String,
    pub compression: bool,
}

/// Set once, by the request that asks for it, before its answer is written.
pub type SwitchSlot = Arc<Mutex<Option<Switch>>>;

/// Serves a connection to its end.
pub async fn connect(stream: TcpStream, connected: Connected, site: Arc<Site>) {
    let Connected { remote, permit } = connected;
    let slot = SwitchSlot::default();
    let Some((stream, begun)) = speak(stream, &remote, &slot, &site).await else { return };
    let Some(Switch { request, compression }) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return;
    };
    let peer = site.exchange.connect(Form::Warp, &request, remote, site.limits.bounds());
    let socket = Socket::new(stream, &begun, Arc::clone(&peer), Arc::clone(&site.limits), compression);
    // it holds the whole buffer that the request was read into
    drop(begun);
    let mut stages = site.stage.clone();
    let mut run = pin!(socket.run(site.stage.clone()));
    tokio::select! {
        () = &mut run => {}
        () = stages.reached(Stage::Closing) => {
            peer.close(1001, "the server stops");
            run.await;
        }
    }
    drop(permit);
}

/// HTTP until the connection ends (None) or becomes something else: then the stream, and what came behind the request.
async fn speak(
    stream: TcpStream,
    remote: &str,
    slot: &SwitchSlot,
    site: &Arc<Site>,
) -> Option<(TcpStream, hyper::body::Bytes)> {
    let limits = &site.limits;
    let moved = Arc::new(AtomicU64::new(0));
    let service = service_fn(|request: Request<Incoming>| {
        let answer = respond(Arc::clone(site), remote.to_owned(), Arc::clone(slot), request);
        Box::pin(async move { Ok::<_, Infallible>(answer.await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(seconds(limits.header_seconds))
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_header_bytes.max(8192))
        .serve_connection(TokioIo::new(Watched { stream, moved: Arc::clone(&moved) }), service);
    let mut stages = site.stage.clone();
    let mut stopping = false;
    let mut seen = 0;
    let mut check = Instant::now() + seconds(limits.idle_seconds);
    let result = loop {
        tokio::select! {
            result = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => break result,
            () = stages.reached(Stage::Draining), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            () = sleep_until(check) => {
                // nothing has come and nothing was taken: an answer that nobody reads
                let now = moved.load(Ordering::Relaxed);
                if now == seen {
                    return None;
                }
                seen = now;
                check = Instant::now() + seconds(limits.idle_seconds);
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().stream;
    if result.is_ok() && slot.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
        return Some((stream, parts.read_buf));
    }
    let late = result.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty();
    let farewell = async {
        if late {
            _ = stream.write_all(LATE).await;
        }
        _ = stream.shutdown().await;
        drain(&stream).await;
    };
    _ = timeout(seconds(limits.close_seconds), farewell).await;
    None
}

const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Reads to the end: bytes that nobody reads would turn it into a reset, which may overtake the last answer.
pub async fn drain(stream: &TcpStream) {
    let mut room = [0; 4096];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut room) {
            Ok(0) => return,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// A stream that counts what moves through it.
struct Watched {
    stream: TcpStream,
    moved: Arc<AtomicU64>,
}

impl Watched {
    fn count(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.count(buffer.filled().len() - before);
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &result {
            self.count(*count);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        if let Poll::Ready(Ok(count)) = &result {
            self.count(*count);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
