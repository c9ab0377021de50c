//! The way to a twin of another server and back, on loopback: a command to it and the event that follows, from a shard
//! by its uplink, and from a plain socket. Prints the median, the 99th percentile and the ratio.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use shoal_core::declaration::Declaration;
use shoal_core::dispatch::Step;
use shoal_core::envelope::{Body, Lane, Node};
use shoal_core::links::Operation;
use shoal_core::listen::Server;
use shoal_core::remote::{Address, RemoteNews, Shape};
use shoal_core::shard::Shard;
use shoal_core::value::Value;

const TIMES: usize = 20_000;

fn shard() -> Shard {
    let declaration: Declaration = serde_json::from_value(serde_json::json!({
        "app": "bench", "zone": "UTC",
        "settings": {"max_sends": 10000, "max_hops": 64, "max_rounds": 16, "busy_bound": 1000,
            "commit_turns": 4096, "handler_seconds": 5.0},
        "populations": [{"name": "Unit", "pattern": [{"literal": "unit"}, {"parameter": "id"}],
            "columns": [{"name": "info", "type": "int64"}],
            "maps": [], "changed": [], "timers": [], "members": [],
            "hooks": {"create": false, "start": false, "stop": false},
            "commands": [{"name": "publish", "body": {"scalar": {"kind": "int"}}}],
            "folds": [{"out": 0, "input": {"command": {"command": 0, "slots": [0]}}, "fold": "latest"}]}],
    }))
    .expect("a declaration");
    Shard::new(declaration, false, false).expect("a shard")
}

fn batch(shard: &mut Shard) {
    shard.wake.reset();
    loop {
        shard.batch(Duration::from_millis(2));
        while shard.advance() != Step::Idle {}
        shard.commit();
        if !shard.waiting() {
            return;
        }
    }
}

fn wait(shard: &Shard) {
    let mut fd = libc::pollfd { fd: shard.wake.fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor, which the shard holds open.
    unsafe { libc::poll(&mut fd, 1, 100) };
}

fn shown(what: &str, mut times: Vec<Duration>) -> f64 {
    times.sort();
    let at = |part: f64| times[(times.len() as f64 * part) as usize].as_secs_f64() * 1e6;
    println!("{what}: p50 {:.1} us, p99 {:.1} us", at(0.5), at(0.99));
    at(0.5)
}

fn by_uplink(port: u16) -> Vec<Duration> {
    let mut near = shard();
    let uri = format!("warp://127.0.0.1:{port}/unit/1");
    let address = Address::parse(&uri, "info").expect("an address");
    let id = near.remotes.open(&address, Shape::Value, true, 0.0, 0.0).expect("an uplink");
    let until = |near: &mut Shard, wanted: &RemoteNews| {
        loop {
            while let Some(news) = near.remotes.next() {
                if news == *wanted {
                    return;
                }
            }
            batch(near);
            if !near.remotes.has_news() {
                wait(near);
            }
        }
    };
    batch(&mut near);
    until(&mut near, &RemoteNews::Synced(id));
    (0..TIMES as i64)
        .map(|n| {
            let begun = Instant::now();
            let node = Node::Uri(uri.as_str().into());
            near.post("bench".into(), node, Lane::Named("publish".into()), Body::Tree(Value::Int(n)));
            batch(&mut near);
            until(&mut near, &RemoteNews::Event(id, Operation::Value(Value::Int(n))));
            begun.elapsed()
        })
        .collect()
}

fn by_socket(port: u16) -> Vec<Duration> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    socket.set_nodelay(true).expect("no delay");
    let send = |socket: &mut TcpStream, text: &str| {
        let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        socket.write_all(&frame).expect("a write");
    };
    socket
        .write_all(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .expect("a write");
    let mut room = [0; 4096];
    let mut seen = Vec::new();
    let mut until = |socket: &mut TcpStream, text: &str| {
        while !String::from_utf8_lossy(&seen).contains(text) {
            let count = socket.read(&mut room).expect("a read");
            seen.extend_from_slice(&room[..count]);
        }
        seen.clear();
    };
    until(&mut socket, "\r\n\r\n");
    send(&mut socket, "@sync(node:\"/unit/1\",lane:info)");
    until(&mut socket, "@synced");
    (0..TIMES)
        .map(|n| {
            let begun = Instant::now();
            send(&mut socket, &format!("@command(node:\"/unit/1\",lane:publish) {n}"));
            until(&mut socket, &format!("lane:info) {n}"));
            begun.elapsed()
        })
        .collect()
}

fn main() {
    let ended = Arc::new(AtomicBool::new(false));
    let (tell, told) = channel();
    let end = Arc::clone(&ended);
    let far = std::thread::spawn(move || {
        let mut far = shard();
        let limits = far.settings.limits.clone();
        let server = Server::start("127.0.0.1", 0, limits, Arc::clone(&far.exchange)).expect("a server");
        far.open_doors();
        tell.send(server.address().port()).expect("somebody listens");
        while !end.load(Ordering::Relaxed) {
            wait(&far);
            batch(&mut far);
        }
        server.stop(Duration::from_secs(1));
    });
    let port = told.recv().expect("a port");
    let plain = shown("a plain socket", by_socket(port));
    let uplink = shown("a shard by its uplink", by_uplink(port));
    println!("ratio of the medians: {:.2}", uplink / plain);
    ended.store(true, Ordering::Relaxed);
    far.join().expect("it ends");
}
