//! The other end: links of this shard to lanes of other servers, and commands to their twins. All links and commands to
//! one server share one socket.
//!
//! - `address`: `warp://host:port/node` and a lane
//! - `bounds`: at most; `parting`: how it ends
//! - `common`: what all servers of a shard share
//! - `host`: a server, as the shard's thread and its task see it; `places` its links, `queue` what waits to be written
//! - `talk`: its task; `hello` makes a connection, `line` is its socket, `tls` whom it trusts
//! - `event`: the bodies of events; `commands`: the shard's side of commands

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;
use tokio::runtime::{Builder, Handle, Runtime};

use self::common::Common;
use self::host::{Host, Outcome};
use self::places::Wish;
use self::queue::Ticket;
use crate::envelope::Envelope;
use crate::limits::Limits;
use crate::links::Operation;
use crate::peer::Exchange;
use crate::warp::{Tag, write_header};

mod address;
mod bounds;
mod commands;
mod common;
mod event;
mod hello;
mod host;
mod line;
mod parting;
mod places;
mod queue;
mod talk;
mod tls;

#[cfg(test)]
mod tests;

pub use address::{Address, is_remote};
pub use bounds::Bounds;
pub use parting::Parting;

/// One link of this shard to a lane of another server, in one shape; shared by all who use it. Never given twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UplinkId(pub u32);

/// How the bodies of events are read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shape {
    /// `Operation::Value`.
    Value,
    /// `Update`, `Remove`, `Clear`, `Take`, `Drop`.
    Map,
    /// `Element`, `Move`, `Out`, `Clear`, `Take`, `Drop`.
    List,
    /// `Body`.
    Event,
}

/// What has come; of one uplink in order.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteNews {
    Linked(UplinkId),
    Event(UplinkId, Operation),
    /// The present state has been told.
    Synced(UplinkId),
    /// The server has ended it, for this reason ("nodeNotFound", a text, or ""); it is not asked for again.
    Unlinked(UplinkId, String),
    /// There is no connection, said once until it is back: then `Linked`, events and `Synced` come again.
    Broken(UplinkId),
}

impl RemoteNews {
    pub fn uplink(&self) -> UplinkId {
        match self {
            RemoteNews::Linked(id)
            | RemoteNews::Event(id, _)
            | RemoteNews::Synced(id)
            | RemoteNews::Unlinked(id, _)
            | RemoteNews::Broken(id) => *id,
        }
    }
}

/// A server, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// `warp://host:port`.
    pub host: String,
    pub is_connected: bool,
    pub links: usize,
    /// Commands that wait for it.
    pub waiting: usize,
    /// Why there is no connection.
    pub trouble: String,
}

struct Uplink {
    host: Arc<Host>,
    node: String,
    lane: String,
    users: usize,
}

/// All of a shard. Dropped, its connections end.
pub struct Remotes {
    common: Arc<Common>,
    exchange: Arc<Exchange>,
    hosts: FxHashMap<String, Arc<Host>>,
    uplinks: FxHashMap<UplinkId, Uplink>,
    next_uplink: u32,
    /// Of one host and read, in order.
    news: VecDeque<RemoteNews>,
    /// Hosts that have got something to send, each once; emptied by each flush but of those that wait for a record.
    touched: Vec<Arc<Host>>,
    /// Commands that are not written yet, as a crash would have to send them again; bounded by the hosts' queues.
    waiting: BTreeMap<Ticket, Envelope>,
    next_ticket: u64,
    /// Where the app does not serve.
    runtime: Option<Runtime>,
    over: bool,
}

impl Remotes {
    pub fn new(exchange: &Arc<Exchange>, limits: &Limits, bounds: &Bounds) -> Self {
        let (wake, fence) = (Arc::clone(exchange.wake()), Arc::clone(&exchange.fence));
        Remotes {
            common: Common::new(wake, fence, limits.clone(), bounds.clone()),
            exchange: Arc::clone(exchange),
            hosts: FxHashMap::default(),
            uplinks: FxHashMap::default(),
            next_uplink: 0,
            news: VecDeque::new(),
            touched: Vec::new(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
            runtime: None,
            over: false,
        }
    }

    // -- links

    /// Links a lane; with `sync` its present state comes first, also where the uplink was there already. It is asked for
    /// at the next flush. The highest of all users' `prio` and `rate` is what the server is told; a `rate` of 0 is no
    /// limit.
    ///
    /// Errors: `connection_links` or `remote_hosts` is reached, or there can be no thread for sockets.
    pub fn open(
        &mut self,
        address: &Address,
        shape: Shape,
        sync: bool,
        prio: f64,
        rate: f64,
    ) -> Result<UplinkId, String> {
        let host = self.host(&address.host)?;
        let fresh = UplinkId(self.next_uplink);
        let wish = Wish { shape, sync, prio, rate, need: 0 };
        let id = host.open(&address.node, &address.lane, wish, fresh)?;
        if id == fresh {
            self.next_uplink += 1;
            let (node, lane) = (address.node.clone(), address.lane.clone());
            self.uplinks.insert(id, Uplink { host: Arc::clone(&host), node, lane, users: 0 });
        }
        if let Some(uplink) = self.uplinks.get_mut(&id) {
            uplink.users += 1;
        }
        self.touch(&host);
        self.start(&host)?;
        Ok(id)
    }

    /// One user less; the last one unlinks, and nothing more of it is told. Also after `Unlinked`.
    pub fn close(&mut self, id: UplinkId) {
        let Some(uplink) = self.uplinks.get_mut(&id) else { return };
        uplink.users -= 1;
        if uplink.users == 0
            && let Some(uplink) = self.uplinks.remove(&id)
        {
            uplink.host.close(&uplink.node, &uplink.lane, id);
            self.touch(&uplink.host);
        }
    }

    /// Uplinks that have users.
    pub fn len(&self) -> usize {
        self.uplinks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.uplinks.is_empty()
    }

    /// What has come; the shard takes one after the other, between turns. As long as it does not, the sockets are read
    /// up to `connection_intake`, and the servers conflate.
    // no iterator: there may be more after the end
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<RemoteNews> {
        loop {
            match self.news.pop_front() {
                Some(news) if self.uplinks.contains_key(&news.uplink()) => return Some(news),
                // it was closed meanwhile
                Some(_) => {}
                None => {
                    let host = self.common.next_arrival()?;
                    let (news, more) = host.take();
                    self.news = news.unwrap_or_default().into();
                    if more {
                        host.requeue();
                    }
                }
            }
        }
    }

    /// Whether `next` may have something.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty() || self.common.has_arrivals()
    }

    // -- commands

    /// Takes a command's envelope, with its body as Recon. It is written at the next flush, and waits until then and as
    /// long as there is no connection: `take_outcomes` gives it back.
    ///
    /// Errors: the envelope, and the bound that is reached.
    pub(crate) fn command(
        &mut self,
        address: &Address,
        body: &[u8],
        envelope: Envelope,
    ) -> Result<(), (Box<Envelope>, String)> {
        let host = match self.host(&address.host) {
            Ok(host) => host,
            Err(reason) => return Err((Box::new(envelope), reason)),
        };
        let mut text = Vec::with_capacity(address.node.len() + address.lane.len() + body.len() + 32);
        write_header(&mut text, Tag::Command, &address.node, &address.lane, 0.0, 0.0);
        text.extend_from_slice(body);
        let ticket = Ticket(self.next_ticket);
        if let Err(setting) = host.command(ticket, text) {
            let count = host.commands();
            let trouble = host.trouble();
            let mut reason = format!("{count} commands wait for {} already ({setting})", host.name);
            if !trouble.is_empty() {
                reason = format!("{reason}: {trouble}");
            }
            return Err((Box::new(envelope), reason));
        }
        self.next_ticket += 1;
        self.waiting.insert(ticket, envelope);
        self.touch(&host);
        // without a thread it waits for the next that needs one
        _ = self.start(&host);
        // a batch of turns may send more than may wait
        if self.waiting.len().is_multiple_of(1024) {
            host.flush();
        }
        Ok(())
    }

    /// Commands that are not written yet.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Envelope> {
        self.waiting.values()
    }

    /// How many.
    pub fn unsent(&self) -> usize {
        self.waiting.len()
    }

    /// So many commands wait for a server that takes them that nothing more is to be taken from outside.
    pub(crate) fn is_crowded(&self) -> bool {
        let bound = self.common.bounds.remote_queue / 2;
        self.waiting.len() > bound && self.hosts.values().any(|host| host.commands() > bound && host.is_connected())
    }

    /// Whether `take_outcomes` has something.
    pub(crate) fn is_stirred(&self) -> bool {
        self.common.is_stirred()
    }

    /// Commands that have been written, or given up. Starts tasks again that have ended with a server's threads.
    pub(crate) fn take_outcomes(&mut self) -> Vec<(Envelope, Outcome)> {
        if !self.common.calm() {
            return Vec::new();
        }
        let mut all = Vec::new();
        let hosts: Vec<_> = self.hosts.values().cloned().collect();
        for host in hosts {
            for (ticket, outcome) in host.take_outcomes() {
                all.extend(self.waiting.remove(&ticket).map(|envelope| (envelope, outcome)));
            }
            if !host.is_running() && !host.is_idle() && !self.over {
                // without a thread it waits for the next that needs one
                _ = self.start(&host);
            }
        }
        all
    }

    // -- the sockets

    /// Writes what waits and may leave, at a commit and when a record is durable.
    pub(crate) fn flush(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        self.touched.retain(|host| {
            let done = host.flush();
            if done {
                host.touched.store(false, Ordering::Relaxed);
            }
            !done
        });
    }

    /// No socket is read any more; what has come is still told, and what waits is still written.
    pub fn drain(&self) {
        self.common.drain();
    }

    /// Commands wait for servers that are not known to be away.
    pub fn is_sending(&self) -> bool {
        !self.waiting.is_empty() && self.hosts.values().any(|host| host.is_sending())
    }

    /// Ends all connections: what waits for them stays, and nothing more is sent. `Parting::wait` gives the close frames
    /// their time.
    pub fn hang_up(&mut self) -> Parting {
        self.over = true;
        for host in self.hosts.values() {
            host.hang_up();
        }
        Parting::new(&self.common, self.runtime.take())
    }

    /// There is no other server.
    pub fn is_unused(&self) -> bool {
        self.hosts.is_empty()
    }

    /// By name.
    pub fn status(&self) -> Vec<Status> {
        let status = |host: &Arc<Host>| Status {
            host: host.name.clone(),
            is_connected: host.is_connected(),
            links: host.links(),
            waiting: host.commands(),
            trouble: host.trouble(),
        };
        let mut all: Vec<_> = self.hosts.values().map(status).collect();
        all.sort_by(|a, b| a.host.cmp(&b.host));
        all
    }

    fn touch(&mut self, host: &Arc<Host>) {
        if !host.touched.swap(true, Ordering::Relaxed) {
            self.touched.push(Arc::clone(host));
        }
    }

    fn host(&mut self, name: &str) -> Result<Arc<Host>, String> {
        if let Some(host) = self.hosts.get(name) {
            return Ok(Arc::clone(host));
        }
        let bound = self.common.bounds.remote_hosts;
        if self.hosts.len() >= bound {
            // those that nobody needs any more
            self.hosts.retain(|_, host| host.is_running() || !host.is_idle());
        }
        if self.hosts.len() >= bound {
            return Err(format!("there are links or commands to {bound} other servers already (remote_hosts)"));
        }
        let host = Host::new(name, &self.common);
        self.hosts.insert(name.to_owned(), Arc::clone(&host));
        Ok(host)
    }

    fn start(&mut self, host: &Arc<Host>) -> Result<(), String> {
        if self.over || !host.starts() {
            return Ok(());
        }
        match self.threads() {
            Ok(threads) => {
                threads.spawn(talk::run(Arc::clone(host)));
                Ok(())
            }
            Err(reason) => {
                host.died();
                Err(reason)
            }
        }
    }

    /// The server's, or one of its own.
    fn threads(&mut self) -> Result<Handle, String> {
        if let Some(threads) = self.exchange.threads() {
            return Ok(threads);
        }
        if let Some(runtime) = &self.runtime {
            return Ok(runtime.handle().clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("shoal-remote")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| format!("the thread for other servers could not be started: {error}"))?;
        Ok(self.runtime.insert(runtime).handle().clone())
    }
}

impl Drop for Remotes {
    fn drop(&mut self) {
        drop(self.hang_up());
    }
}
