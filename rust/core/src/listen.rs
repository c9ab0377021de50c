//! The listener: one port for WARP and HTTP. Its threads know sockets and nothing of twins; `peer::Exchange` is all that
//! they share with the shard.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::connect::{Connected, connect};
use crate::limits::Limits;
use crate::peer::Exchange;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;
/// Descriptors that the process needs besides those of connections.
const SPARE_FILES: u64 = 128;
/// Refusals being written at a time; further connections over the bound are dropped.
const REFUSALS: usize = 64;

/// What all connections share.
pub struct Site {
    pub exchange: Arc<Exchange>,
    pub limits: Arc<Limits>,
    /// Tells the answers of this run from those of another, in ETags.
    pub run: String,
    pub stage: Stages,
}

/// Where a server is on its way. In this order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    Open,
    /// Nothing more is accepted and sockets are not read; requests in progress are answered, events still leave.
    Draining,
    /// Connections are closed.
    Closing,
}

/// What follows the server's stage.
#[derive(Clone)]
pub struct Stages(watch::Receiver<Stage>);

impl Stages {
    /// Ends when the server has come to this stage, or is gone.
    pub async fn reached(&mut self, stage: Stage) {
        _ = self.0.wait_for(|now| *now >= stage).await;
    }

    pub fn is(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage || self.0.has_changed().is_err()
    }
}

/// Runs until `stop` or until it is dropped.
pub struct Server {
    address: SocketAddr,
    notes: Vec<String>,
    stage: watch::Sender<Stage>,
    /// All connections; closed when the last one is over.
    connections: Arc<Semaphore>,
    bound: usize,
    exchange: Arc<Exchange>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Listens at `host` (a name or an address) and `port` (0: any that is free).
    ///
    /// Errors: a sentence with the way out, where the address is no address of this machine or the port is taken.
    pub fn start(host: &str, port: u16, limits: Limits, exchange: Arc<Exchange>) -> Result<Server, String> {
        let socket = bind(host, port)?;
        let mut notes = Vec::new();
        let bound = connections_possible(limits.max_connections, &mut notes);
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits.io_threads)
            .thread_name("shoal-io")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| format!("the server's threads could not be started: {error}"))?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(socket).map_err(|error| format!("{host}:{port} cannot be listened at: {error}"))?
        };
        let address = listener.local_addr().map_err(|error| format!("{host}:{port} has no address: {error}"))?;
        let (stage, stages) = watch::channel(Stage::Open);
        exchange.lend_threads(Some(runtime.handle().clone()));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let site = Arc::new(Site {
            exchange: Arc::clone(&exchange),
            limits: Arc::new(limits),
            run: format!("{:x}", since.as_micros()),
            stage: Stages(stages),
        });
        let connections = Arc::new(Semaphore::new(bound));
        runtime.spawn(accept(listener, site, Arc::clone(&connections)));
        Ok(Server { address, notes, stage, connections, bound, exchange, runtime: Some(runtime) })
    }

    /// Where it listens: with the port that was free, where that was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the operator should know: limits of the system that are lower than the settings.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Accepts nothing more and reads no more envelopes: what has come until now can be worked off.
    pub fn drain(&self) {
        self.stage.send_replace(Stage::Draining);
    }

    /// Closes sockets with 1001; after `deadline` what is left is dropped. Blocks until then.
    pub fn stop(mut self, deadline: Duration) {
        self.stage.send_replace(Stage::Closing);
        self.exchange.lend_threads(None);
        if let Some(runtime) = self.runtime.take() {
            let (connections, bound) = (Arc::clone(&self.connections), self.bound as u32);
            runtime.block_on(async {
                _ = timeout(deadline, connections.acquire_many(bound)).await;
            });
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            self.exchange.lend_threads(None);
            runtime.shutdown_background();
        }
    }
}

fn bind(host: &str, port: u16) -> Result<std::net::TcpListener, String> {
    let addresses = (host, port).to_socket_addrs().map_err(|_| {
        format!("`{host}` is no address of this machine; use 127.0.0.1 for this machine only, 0.0.0.0 for all of its networks")
    })?;
    let mut reason = format!("`{host}` has no address");
    // `localhost` is both; 127.0.0.1 is what most programs try
    let (old, new): (Vec<_>, Vec<_>) = addresses.partition(SocketAddr::is_ipv4);
    for address in old.into_iter().chain(new) {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                reason = match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        format!(
                            "port {port} of {host} is taken by another program; choose another, --port 0 for any that is free"
                        )
                    }
                    std::io::ErrorKind::AddrNotAvailable => {
                        format!(
                            "{address} is no address of this machine; use 127.0.0.1, or 0.0.0.0 for all of its networks"
                        )
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        format!("port {port} is for privileged programs; choose one from 1024 on")
                    }
                    _ => format!("{address} cannot be listened at: {error}"),
                };
            }
        }
    }
    Err(reason)
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // a run that has just ended leaves connections behind that wait for stray packets
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the limit of open files as far as it goes; gives how many connections fit under it.
fn connections_possible(wanted: usize, notes: &mut Vec<String>) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a local is written.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return wanted;
    }
    let needed = wanted as u64 + SPARE_FILES;
    if limit.rlim_cur < needed {
        let raised = libc::rlimit { rlim_cur: needed.min(limit.rlim_max), ..limit };
        // SAFETY: a local is read.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            limit = raised;
        }
    }
    let possible = limit.rlim_cur.saturating_sub(SPARE_FILES).max(1);
    if possible >= wanted as u64 {
        return wanted;
    }
    notes.push(format!(
        "{possible} connections at a time instead of {wanted} (max_connections): the system allows {} open files; raise it \
         with `ulimit -n`, or LimitNOFILE= of a systemd unit",
        limit.rlim_cur
    ));
    possible as usize
}

async fn accept(listener: TcpListener, site: Arc<Site>, connections: Arc<Semaphore>) {
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut stages = site.stage.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stages.reached(Stage::Draining) => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(_) => {
                // out of descriptors or memory: whoever is connected goes on, and others find room when some have left
                sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        _ = stream.set_nodelay(true);
        match Arc::clone(&connections).try_acquire_owned() {
            Ok(permit) => {
                let connected = Connected { remote: remote.to_string(), permit };
                tokio::spawn(connect(stream, connected, Arc::clone(&site)));
            }
            Err(_) => {
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    tokio::spawn(async move {
                        _ = timeout(Duration::from_secs(1), refuse(stream)).await;
                        drop(permit);
                    });
                }
            }
        }
    }
}

async fn refuse(mut stream: TcpStream) {
    let body = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
                \"detail\":\"as many connections as may are open (max_connections); try again later\"}";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok() {
        // unread bytes would turn the end into a reset
        crate::connect::drain(&stream).await;
    }
}

#[cfg(test)]
mod tests;
