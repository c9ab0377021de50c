//! Servers that misbehave: a peer of the test's own on a real socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use tungstenite::handshake::derive_accept_key;

use super::*;
use crate::outbox::text_frame;

struct Peer {
    listener: TcpListener,
    port: u16,
}

impl Peer {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Peer { port: listener.local_addr().unwrap().port(), listener }
    }

    fn address(&self) -> Address {
        Address::parse(&format!("warp://127.0.0.1:{}/a%2Fb", self.port), "x").unwrap()
    }

    /// The next connection, and its request's head.
    fn accept(&self) -> (Wire, String) {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut wire = Wire(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(wire.exactly(1)[0]);
        }
        (wire, String::from_utf8(head).unwrap())
    }

    /// The same, agreed to.
    fn open(&self) -> Wire {
        let (mut wire, head) = self.accept();
        assert!(head.contains("Sec-WebSocket-Protocol: warp0\r\n"), "{head}");
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = derive_accept_key(key.as_bytes());
        wire.send(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .as_bytes(),
        );
        wire
    }
}

struct Wire(TcpStream);

impl Wire {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn tell(&mut self, text: &str) {
        self.send(&text_frame(text.as_bytes()));
    }

    fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next frame: first byte and payload.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.exactly(2);
        assert_eq!(head[1] & 0x80, 0x80, "clients mask");
        let length = match head[1] & 0x7f {
            126 => u16::from_be_bytes(self.exactly(2).try_into().unwrap()) as usize,
            length => length as usize,
        };
        let mask: [u8; 4] = self.exactly(4).try_into().unwrap();
        let mut payload = self.exactly(length);
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (head[0], payload)
    }

    fn text(&mut self) -> String {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
        String::from_utf8(payload).unwrap()
    }

    fn closed(&mut self) -> (u16, String) {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x88);
        (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8(payload[2..].to_vec()).unwrap())
    }
}

const SYNC: &str = "@sync(node:\"/a%2fb\",lane:x)";

/// A shard that has linked the peer's lane.
fn linked(settings: serde_json::Value) -> (Peer, Wire, Shard, UplinkId) {
    let peer = Peer::new();
    let mut near = shard(settings);
    let id = near.remotes.open(&peer.address(), Shape::Value, true, 0.0, 0.0).unwrap();
    run(&mut near);
    let mut wire = peer.open();
    assert_eq!(wire.text(), SYNC);
    (peer, wire, near, id)
}

fn until(near: &mut Shard, last: &RemoteNews) -> Vec<RemoteNews> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    loop {
        run(near);
        while let Some(news) = near.remotes.next() {
            all.push(news);
        }
        if all.contains(last) {
            return all;
        }
        assert!(Instant::now() < deadline, "{last:?} of {all:?}");
        let mut fd = libc::pollfd { fd: near.wake.fd(), events: libc::POLLIN, revents: 0 };
        unsafe { libc::poll(&mut fd, 1, 10) };
    }
}

fn trouble(near: &Shard) -> String {
    near.remotes.status()[0].trouble.clone()
}

#[test]
fn what_breaks_the_protocol_ends_the_connection_with_a_word_and_it_comes_again() {
    let small = serde_json::json!({"max_frame_bytes": 1000});
    for (bytes, code, part) in [
        (text_frame(b"hello").to_vec(), 1002, "envelope"),
        (text_frame(b"@event(node:\"/a%2fb\",lane:x)\"y").to_vec(), 1002, "Recon"),
        (text_frame(b"@event(node:\"/a b\",lane:x)").to_vec(), 1002, "envelope"),
        (b"\x81\x85\x00\x00\x00\x00hello".to_vec(), 1002, "mask"),
        (text_frame(&[b'x'; 1001]).to_vec(), 1009, "max_frame_bytes"),
        (b"\x81\x01\xff".to_vec(), 1007, "UTF-8"),
    ] {
        let (peer, mut wire, mut near, id) = linked(small.clone());
        wire.tell("@event(node:\"/a%2Fb\",lane:x) 5");
        wire.send(&bytes);
        let (found, reason) = wire.closed();
        assert_eq!(found, code, "{reason}");
        assert!(reason.contains(part), "{reason}");
        drop(wire);
        let got = until(&mut near, &RemoteNews::Broken(id));
        let five = RemoteNews::Event(id, Operation::Value(Value::Int(5)));
        assert_eq!(got, [RemoteNews::Linked(id), five, RemoteNews::Broken(id)], "what was right before it is told");
        assert!(trouble(&near).contains("breaks the protocol"), "{}", trouble(&near));
        assert_eq!(peer.open().text(), SYNC);
    }
}

#[test]
fn what_is_not_understood_is_passed_over() {
    let (_peer, mut wire, mut near, id) = linked(serde_json::json!({}));
    for text in [
        "@hello(node:\"/a%2fb\",lane:x) 1",
        "@command(node:\"/a%2fb\",lane:x) 1",
        "@event(node:\"/other\",lane:x) 1",
        "@authed",
        "@synced(node:\"/a%2fb\",lane:x)",
    ] {
        wire.tell(text);
    }
    let got = until(&mut near, &RemoteNews::Synced(id));
    assert_eq!(got, [RemoteNews::Linked(id), RemoteNews::Synced(id)]);
    wire.send(b"\x89\x02hi");
    assert_eq!(wire.frame(), (0x8a, b"hi".to_vec()));
    wire.send(b"\x88\x02\x0f\xa0");
    assert_eq!(wire.closed(), (4000, String::new()));
    until(&mut near, &RemoteNews::Broken(id));
    assert!(trouble(&near).contains("4000"), "{}", trouble(&near));
}

#[test]
fn a_server_that_comes_back_without_the_node_is_asked_again() {
    let (peer, mut wire, mut near, id) = linked(serde_json::json!({"remote_absent": 2}));
    wire.tell("@linked(node:\"/a%2Fb\",lane:x)");
    until(&mut near, &RemoteNews::Linked(id));
    drop(wire);
    let mut wire = peer.open();
    assert_eq!(wire.text(), SYNC);
    for _ in 0..2 {
        wire.tell("@unlinked(node:\"/a%2fb\",lane:x)@nodeNotFound");
        assert_eq!(wire.text(), "@unlink(node:\"/a%2fb\",lane:x)");
        assert_eq!(wire.text(), SYNC);
    }
    wire.tell("@unlinked(node:\"/a%2fb\",lane:x)@nodeNotFound");
    let got = until(&mut near, &RemoteNews::Unlinked(id, "nodeNotFound".to_owned()));
    assert_eq!(got.len(), 2, "{got:?}");
}

#[test]
fn a_peer_that_is_silent_is_pinged_and_then_left() {
    let settings = serde_json::json!({"ping_seconds": 0.02, "pong_seconds": 0.1});
    let (peer, mut wire, mut near, id) = linked(settings);
    assert_eq!(wire.frame(), (0x89, Vec::new()));
    until(&mut near, &RemoteNews::Broken(id));
    assert!(trouble(&near).contains("pong_seconds"), "{}", trouble(&near));
    assert_eq!(peer.open().text(), SYNC);
}

#[test]
fn a_server_that_speaks_something_else_is_named_in_the_trouble() {
    let peer = Peer::new();
    let mut near = shard(serde_json::json!({"remote_open_seconds": 0.2}));
    let id = near.remotes.open(&peer.address(), Shape::Value, true, 0.0, 0.0).unwrap();
    for (answer, part) in [
        (&b"HTTP/1.1 404 Not Found\r\n\r\n"[..], "HTTP status 404"),
        (b"", "no connection within 0.2 s"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
    ] {
        let (mut wire, _) = peer.accept();
        wire.send(answer);
        let deadline = Instant::now() + PATIENCE;
        while !trouble(&near).contains(part) {
            assert!(Instant::now() < deadline, "{part}: {}", trouble(&near));
            run(&mut near);
            std::thread::yield_now();
        }
    }
    assert_eq!(until(&mut near, &RemoteNews::Broken(id)), [RemoteNews::Broken(id)]);
}

#[test]
fn a_command_that_was_cut_in_two_is_sent_whole_to_the_next_connection() {
    let (peer, mut wire, mut near, _) = linked(serde_json::json!({"connection_queue": 100_000_000}));
    // more than the system's buffers hold
    let long = "z".repeat(1 << 20);
    for n in 0..40 {
        let uri = format!("warp://127.0.0.1:{}/c", peer.port);
        send(&mut near, &uri, "d", text(&format!("{n} {long}")));
    }
    run(&mut near);
    assert!(near.remotes.unsent() > 0);
    let _ = wire.exactly(1000);
    drop(wire);
    let deadline = Instant::now() + PATIENCE;
    while near.remotes.status()[0].is_connected {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    run(&mut near);
    // nothing is written to the next connection before the peer agrees to it
    let mut next = near.inner_counts.applied as usize;
    let mut wire = peer.open();
    loop {
        let head = wire.exactly(2);
        let length = match head[1] & 0x7f {
            126 => u16::from_be_bytes(wire.exactly(2).try_into().unwrap()) as usize,
            127 => u64::from_be_bytes(wire.exactly(8).try_into().unwrap()) as usize,
            length => length as usize,
        };
        let mask: [u8; 4] = wire.exactly(4).try_into().unwrap();
        let mut payload = wire.exactly(length);
        crate::socket::reader::unmask(&mut payload, mask);
        let shown = String::from_utf8(payload).unwrap();
        let Some(rest) = shown.strip_prefix("@command(node:\"/c\",lane:d)\"") else { continue };
        let number: usize = rest.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(number, next, "in order and without a gap");
        assert_eq!(rest.len(), number.to_string().len() + 1 + long.len() + 1);
        next += 1;
        if number == 39 {
            break;
        }
    }
}
