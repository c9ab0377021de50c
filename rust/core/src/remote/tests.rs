//! Two shards in one process, a real listener between them; both are driven by the test's thread.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::declaration::Declaration;
use crate::dispatch::Step;
use crate::envelope::{Body, Lane, Node, Origin};
use crate::listen::Server;
use crate::shard::Shard;
use crate::value::Value;

mod commands;
mod links;
mod peers;
mod secure;

const PATIENCE: Duration = Duration::from_secs(20);

/// Units with a command, a fold of it, a value lane and a map; `kept` is saved before anything leaves.
fn declared(settings: serde_json::Value) -> Declaration {
    let column = |name: &str, kind: &str, settable: bool| serde_json::json!({"name": name, "type": kind, "nullable": true, "settable": settable});
    let from = |slots: &[usize]| serde_json::json!({"command": {"command": 0, "slots": slots}});
    let mut all = serde_json::json!({"max_sends": 10000, "max_hops": 64, "max_rounds": 16, "busy_bound": 1000,
        "commit_turns": 4096, "handler_seconds": 5.0, "remote_first_pause": 0.02, "remote_longest_pause": 0.1});
    for (name, value) in settings.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(serde_json::json!({
        "app": "test", "zone": "UTC", "settings": all,
        "populations": [{
            "name": "Unit", "pattern": [{"literal": "unit"}, {"parameter": "id"}],
            "columns": [column("info", "int64", false), column("note", "string", true),
                {"name": "kept", "type": "int64", "nullable": true, "settable": true, "save": "sync"}],
            "maps": [{"name": "shopping", "key": "string", "value": "int64", "limit": 100_000, "settable": true}],
            "changed": [], "timers": [], "members": [],
            "hooks": {"create": false, "start": false, "stop": false},
            "commands": [{"name": "publish", "body": {"scalar": {"kind": "int"}}}],
            "folds": [{"out": 0, "input": from(&[0]), "fold": "latest"}],
        }],
    }))
    .unwrap()
}

fn shard(settings: serde_json::Value) -> Shard {
    Shard::new(declared(settings), false, false).unwrap()
}

/// Runs until nothing waits; lanes take what Python would let pass.
fn run(shard: &mut Shard) {
    shard.wake.reset();
    loop {
        shard.batch(Duration::from_secs(1));
        let mut step = shard.advance();
        while step != Step::Idle {
            step = match step {
                Step::Admit { .. } => {
                    let slots = match shard.hand.as_ref().map(|envelope| &envelope.body) {
                        Some(Body::Tree(Value::List(pair))) => pair.to_vec(),
                        Some(Body::Tree(value)) => vec![value.clone()],
                        _ => Vec::new(),
                    };
                    shard.admitted(Ok(slots)).unwrap_or_else(|| shard.advance())
                }
                _ => shard.advance(),
            };
        }
        shard.commit();
        if !shard.waiting() {
            return;
        }
    }
}

/// The server, and the shard that links to it.
struct Pair {
    far: Shard,
    server: Option<Server>,
    port: u16,
    /// Bound to the port and not listening: nobody else is given it while the server is down.
    _reserved: socket2::Socket,
    near: Shard,
    news: Vec<RemoteNews>,
}

impl Pair {
    fn new() -> Self {
        Pair::with(serde_json::json!({}))
    }

    /// `settings`: those of the shard that links.
    fn with(settings: serde_json::Value) -> Self {
        let reserved = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        reserved.set_reuse_address(true).unwrap();
        reserved.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = reserved.local_addr().unwrap().as_socket().unwrap().port();
        let (far, near) = (shard(serde_json::json!({})), shard(settings));
        let mut pair = Pair { far, server: None, port, _reserved: reserved, near, news: Vec::new() };
        pair.listen();
        pair
    }

    /// The far shard serves, at the port that it had before.
    fn listen(&mut self) {
        let limits = self.far.settings.limits.clone();
        let deadline = Instant::now() + PATIENCE;
        let server = loop {
            // the listener before is closed by a thread of its own
            match Server::start("127.0.0.1", self.port, limits.clone(), Arc::clone(&self.far.exchange)) {
                Ok(server) => break server,
                Err(reason) => assert!(Instant::now() < deadline, "{reason}"),
            }
            std::thread::yield_now();
        };
        self.server = Some(server);
        self.far.open_doors();
    }

    /// It serves no more, and everything is lost.
    fn stop(&mut self) {
        self.far.close_doors("the server stops");
        self.server.take().unwrap().stop(Duration::from_secs(5));
        self.far = shard(serde_json::json!({}));
    }

    fn address(&self, node: &str, lane: &str) -> Address {
        Address::parse(&format!("warp://127.0.0.1:{}{node}", self.port), lane).unwrap()
    }

    fn open(&mut self, node: &str, lane: &str, shape: Shape, sync: bool) -> UplinkId {
        let address = self.address(node, lane);
        let id = self.near.remotes.open(&address, shape, sync, 0.0, 0.0).unwrap();
        run(&mut self.near);
        id
    }

    fn far_set(&mut self, lane: &str, value: Value) {
        post(&mut self.far, "/unit/1", lane, value);
        run(&mut self.far);
    }

    /// Both shards run whenever something has come, until this is true.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Pair) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            run(&mut self.far);
            run(&mut self.near);
            while let Some(news) = self.near.remotes.next() {
                self.news.push(news);
            }
            if done(self) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {:?} {:?}", self.news, self.near.remotes.status());
            let mut fds = [self.far.wake.fd(), self.near.wake.fd()].map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            });
            unsafe { libc::poll(fds.as_mut_ptr(), 2, 10) };
        }
    }

    /// All that comes until this has come.
    fn until_news(&mut self, last: RemoteNews) -> Vec<RemoteNews> {
        self.until(&format!("{last:?}"), |pair| pair.news.contains(&last));
        std::mem::take(&mut self.news)
    }

    /// A command of a twin of the near shard to a unit of the far one.
    fn send(&mut self, node: &str, lane: &str, body: Value) {
        let uri = format!("warp://127.0.0.1:{}{node}", self.port);
        send(&mut self.near, &uri, lane, body);
    }

    fn far_cell(&self, column: usize) -> Value {
        let table = &self.far.populations[0].table;
        table.find(b"1").map_or(Value::Null, |row| table.columns[column].get(row))
    }
}

fn post(shard: &mut Shard, node: &str, lane: &str, value: Value) {
    shard.post("test".into(), Node::Uri(node.into()), Lane::Named(lane.into()), Body::Tree(value));
}

fn send(shard: &mut Shard, uri: &str, lane: &str, body: Value) {
    shard.send_inner(Envelope {
        origin: Origin::Twin(crate::population::PopulationId(0), "9".into()),
        sequence: 0,
        hops: 0,
        node: Node::Uri(uri.into()),
        lane: Lane::Named(lane.into()),
        body: Body::Tree(body),
        raw: Vec::new(),
        passed: false,
    });
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn pair_of(key: &str, value: i64) -> Value {
    Value::List([text(key), Value::Int(value)].into())
}
