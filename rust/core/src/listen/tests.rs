//! Bytes over real sockets; behind them a shard that sends back what it gets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream as Stream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;
use crate::ask::{Answer, Ask, Problem, Query};
use crate::inbox::Wake;
use crate::outbox::text_frame;
use crate::request::Method;
use crate::warp::Tag;

/// A server with a shard that answers links with themselves and commands with their bodies.
struct Rig {
    server: Option<Server>,
    port: u16,
    ended: Arc<AtomicBool>,
    shard: Option<JoinHandle<()>>,
    peers: Arc<AtomicUsize>,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let wake = Arc::new(Wake::new().unwrap());
        let exchange = Exchange::new(Arc::clone(&wake));
        let server = Server::start("127.0.0.1", 0, limits, Arc::clone(&exchange)).unwrap();
        let (ended, peers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (end, count) = (Arc::clone(&ended), Arc::clone(&peers));
        let shard = std::thread::spawn(move || serve(&exchange, &wake, &end, &count));
        Rig { port: server.address().port(), server: Some(server), ended, shard: Some(shard), peers }
    }

    fn connect(&self) -> Wire {
        let stream = Stream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Wire(stream)
    }

    /// A WebSocket.
    fn open(&self, more: &str) -> Wire {
        let mut wire = self.connect();
        let head = wire.upgrade("/any?x=1", more);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        wire
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
        self.ended.store(true, Ordering::Relaxed);
        self.shard.take().unwrap().join().unwrap();
    }
}

fn serve(exchange: &Arc<Exchange>, wake: &Wake, ended: &AtomicBool, peers: &AtomicUsize) {
    let mut kept = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let mut fd = libc::pollfd { fd: wake.fd(), events: libc::POLLIN, revents: 0 };
        unsafe { libc::poll(&mut fd, 1, 20) };
        wake.reset();
        while let Some(peer) = exchange.next_peer() {
            while let Some(frames) = peer.take() {
                for frame in &frames.frames {
                    let text = format!(
                        "{:?} {} {} {}",
                        frame.tag,
                        frames.part(&frame.node),
                        frames.part(&frame.lane),
                        frames.part(&frame.body)
                    );
                    if frame.tag == Tag::Link {
                        peer.outbox().open(0.0, 0.0);
                        peers.fetch_add(1, Ordering::Relaxed);
                    }
                    let event = match peer.form {
                        crate::peer::Form::Warp => text_frame(text.as_bytes()),
                        crate::peer::Form::Events => format!("data: {text}\n\n").into(),
                    };
                    peer.outbox().control(event);
                }
                peer.give_back(frames);
            }
            if peer.has_left() {
                peers.fetch_add(1000, Ordering::Relaxed);
            }
            peer.flush();
        }
        while let Some(Ask { query, reply, .. }) = exchange.next_ask() {
            let answer = match query {
                Query::Read { node, .. } if node == "/never" => {
                    kept.push(reply);
                    continue;
                }
                Query::Read { node, .. } if node == "/bus/7" => Answer::Json { body: b"\"None\"".to_vec(), commit: 5 },
                Query::Lane { node, lane, method: Method::Get, .. } if node == "/bus/7" => {
                    Answer::Json { body: format!("\"{:?}\"", Some(lane)).into_bytes(), commit: 5 }
                }
                Query::Lanes { node, .. } if node == "/bus/7" => Answer::Lanes(vec![("speed".to_owned(), true)]),
                Query::Command { node, body, durable: true, .. } if node == "/bus/7" && body == b"5" => Answer::Durable,
                Query::Command { node, body, .. } if node == "/bus/7" && body == b"5" => Answer::Accepted,
                Query::Command { node, .. } if node == "/bus/7" => {
                    Answer::Refused(Problem::Invalid { reason: "no".to_owned(), offset: Some(3) })
                }
                _ => Answer::Refused(Problem::NotFound("nobody".to_owned())),
            };
            _ = reply.send(answer);
        }
    }
}

struct Wire(Stream);

impl Wire {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn upgrade(&mut self, path: &str, more: &str) -> String {
        self.send(
            format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
            )
            .as_bytes(),
        );
        self.head()
    }

    /// To the empty line.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.exactly(1)[0]);
        }
        String::from_utf8(head).unwrap()
    }

    fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// An answer with a body: its head and its body.
    fn answer(&mut self) -> (String, String) {
        let head = self.head();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let body = self.exactly(length);
        (head, String::from_utf8(body).unwrap())
    }

    fn request(&mut self, text: &str) -> (String, String) {
        self.send(text.as_bytes());
        self.answer()
    }

    /// The next frame: first byte and payload.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.exactly(2);
        let length = match head[1] {
            126 => u16::from_be_bytes(self.exactly(2).try_into().unwrap()) as usize,
            127 => u64::from_be_bytes(self.exactly(8).try_into().unwrap()) as usize,
            length => length as usize,
        };
        (head[0], self.exactly(length))
    }

    fn text(&mut self) -> String {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x81);
        String::from_utf8(payload).unwrap()
    }

    /// A close frame, and behind it the end of the connection: its code and reason.
    fn closed(&mut self) -> (u16, String) {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x88, "{}", String::from_utf8_lossy(&payload));
        self.ended();
        (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8(payload[2..].to_vec()).unwrap())
    }

    fn ended(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "nothing comes after the end");
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn command(body: &str) -> String {
    format!("@command(node:\"/a\",lane:b){body}")
}

#[test]
fn envelopes_go_through_in_frames_of_any_kind() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.open("Sec-WebSocket-Protocol: warp0\r\n");
    wire.send(&masked(0x81, command(" 1").as_bytes()));
    assert_eq!(wire.text(), "Command /a b 1");
    wire.send(&masked(0x82, command("\"x\"").as_bytes()));
    assert_eq!(wire.text(), "Command /a b \"x\"");
    let text = command(" 77");
    let (start, rest) = text.as_bytes().split_at(10);
    let (middle, end) = rest.split_at(3);
    wire.send(&[masked(0x01, start), masked(0x89, b"now"), masked(0x00, middle), masked(0x80, end)].concat());
    let mut frames = [wire.frame(), wire.frame()];
    frames.sort();
    assert_eq!(frames[0], (0x81, b"Command /a b 77".to_vec()));
    assert_eq!(frames[1], (0x8a, b"now".to_vec()));
    // one byte after the other
    for byte in masked(0x81, command(" 2").as_bytes()) {
        wire.send(&[byte]);
    }
    assert_eq!(wire.text(), "Command /a b 2");
}

#[test]
fn frames_that_come_with_the_request_are_taken() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.connect();
    let mut bytes = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        .to_vec();
    bytes.extend(masked(0x81, command(" early").as_bytes()));
    wire.send(&bytes);
    assert!(wire.head().contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(wire.text(), "Command /a b early");
}

#[test]
fn large_messages_go_through_whole() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.open("");
    for length in [1_000, 65_536, 1 << 20, 15 << 20] {
        let body = "x".repeat(length);
        wire.send(&masked(0x81, command(&format!(" {body}")).as_bytes()));
        assert_eq!(wire.text().len(), "Command /a b ".len() + length);
    }
}

#[test]
fn many_small_ones_keep_their_order() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.open("");
    let bytes: Vec<u8> = (0..20_000).flat_map(|n| masked(0x81, command(&format!(" {n}")).as_bytes())).collect();
    let mut writer = wire.0.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for n in 0..20_000 {
        assert_eq!(wire.text(), format!("Command /a b {n}"));
    }
    writing.join().unwrap();
}

#[test]
fn whatever_is_wrong_is_said_in_the_close_frame() {
    let rig = Rig::new(Limits { max_frame_bytes: 1000, ..Limits::default() });
    for (bytes, code, part) in [
        (masked(0x81, b"hello"), 1002, "envelope"),
        (masked(0x81, b""), 1002, "envelope"),
        (masked(0x81, b"@nope(node:\"/a\",lane:b)"), 1002, "envelope"),
        (masked(0x83, b"?"), 1002, "opcode"),
        (masked(0xc1, b"?"), 1002, "reserved"),
        (b"\x81\x00".to_vec(), 1002, "mask"),
        (masked(0x81, b"@command(node:\"/\xff\",lane:b)"), 1007, "UTF-8"),
        (masked(0x81, &[b'x'; 1001]), 1009, "max_frame_bytes"),
    ] {
        let mut wire = rig.open("");
        wire.send(&masked(0x81, command(" 1").as_bytes()));
        wire.send(&bytes);
        assert_eq!(wire.text(), "Command /a b 1", "what was right before is answered");
        let (found, reason) = wire.closed();
        assert_eq!(found, code, "{reason}");
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_close_is_answered_with_its_code_and_the_end() {
    let rig = Rig::new(Limits::default());
    for (payload, code) in [(&b"\x03\xe8bye"[..], 1000), (b"\x0f\xa0", 4000), (b"", 1000)] {
        let mut wire = rig.open("");
        wire.send(&masked(0x88, payload));
        assert_eq!(wire.closed(), (code, String::new()));
    }
}

#[test]
fn pings_come_back_and_a_flood_of_them_ends_it() {
    let rig = Rig::new(Limits { connection_pings: 5, ..Limits::default() });
    let mut wire = rig.open("");
    wire.send(&masked(0x89, b"are you there?"));
    assert_eq!(wire.frame(), (0x8a, b"are you there?".to_vec()));
    for _ in 0..20 {
        wire.send(&masked(0x89, b"!"));
    }
    loop {
        match wire.frame() {
            (0x8a, _) => {}
            (first, payload) => {
                assert_eq!((first, &payload[..2]), (0x88, &1008u16.to_be_bytes()[..]));
                break;
            }
        }
    }
}

#[test]
fn requests_that_come_too_slowly_are_ended() {
    let rig = Rig::new(Limits { header_seconds: 0.2, body_seconds: 0.2, ..Limits::default() });
    let mut loris = rig.connect();
    loris.send(b"GET /bus/7 HTTP/1.1\r\nHost: x\r\nX-A");
    let mut silent = rig.connect();
    let mut slow_body = rig.connect();
    slow_body.send(
        b"POST /bus/7?lane=speed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n1",
    );
    assert!(loris.head().starts_with("HTTP/1.1 408 "));
    loris.ended();
    silent.ended();
    let (head, body) = slow_body.answer();
    assert!(head.starts_with("HTTP/1.1 408 ") && body.contains("body_seconds"), "{head}{body}");
    slow_body.ended();
}

#[test]
fn headers_are_bounded() {
    let rig = Rig::new(Limits { max_headers: 10, max_header_bytes: 8192, ..Limits::default() });
    let mut many = rig.connect();
    many.send(format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(11)).as_bytes());
    assert!(many.head().starts_with("HTTP/1.1 431 "));
    let mut long = rig.connect();
    long.send(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(10_000)).as_bytes());
    assert!(long.head().starts_with("HTTP/1.1 431 "));
    let mut nonsense = rig.connect();
    nonsense.send(b"nonsense\r\n\r\n");
    assert!(nonsense.head().starts_with("HTTP/1.1 400 "));
}

#[test]
fn sockets_without_links_are_closed_when_idle_and_those_with_links_are_asked() {
    let rig = Rig::new(Limits { idle_seconds: 0.3, ping_seconds: 0.1, pong_seconds: 0.3, ..Limits::default() });
    let mut idle = rig.open("");
    let mut linked = rig.open("");
    linked.send(&masked(0x81, b"@link(node:\"/a\",lane:b)"));
    assert_eq!(linked.text(), "Link /a b ");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        assert_eq!(linked.frame(), (0x89, Vec::new()));
        linked.send(&masked(0x8a, b""));
    }
    let mut saw = idle.frame();
    while saw.0 == 0x89 {
        idle.send(&masked(0x8a, b""));
        saw = idle.frame();
    }
    assert_eq!((saw.0, &saw.1[..2]), (0x88, &1000u16.to_be_bytes()[..]));
    // and one that does not answer any more is dropped
    assert_eq!(linked.frame().0, 0x89);
    let (code, reason) = linked.closed();
    assert_eq!((code, reason.as_str()), (1011, "no answer to a ping"));
}

#[test]
fn whoever_is_gone_is_gone_for_the_shard_too() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.open("");
    wire.send(&masked(0x81, b"@link(node:\"/a\",lane:b)"));
    assert_eq!(wire.text(), "Link /a b ");
    wire.0.shutdown(Shutdown::Both).unwrap();
    until(|| rig.peers.load(Ordering::Relaxed) == 1001);
}

fn until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never came about");
        std::thread::yield_now();
    }
}

#[test]
fn connections_past_the_bound_are_told_so() {
    let rig = Rig::new(Limits { max_connections: 2, ..Limits::default() });
    let first = rig.open("");
    let mut second = rig.connect();
    assert!(second.request("GET /bus/7 HTTP/1.1\r\nHost: x\r\n\r\n").0.starts_with("HTTP/1.1 200 "));
    let mut third = rig.connect();
    let (head, body) = third.answer();
    assert!(head.starts_with("HTTP/1.1 503 ") && body.contains("max_connections"), "{head}{body}");
    third.ended();
    drop(first);
    until(|| {
        let mut again = rig.connect();
        again.request("GET /bus/7 HTTP/1.1\r\nHost: x\r\n\r\n").0.starts_with("HTTP/1.1 200 ")
    });
}

#[test]
fn a_socket_that_sends_too_fast_is_read_more_slowly() {
    let rig = Rig::new(Limits { connection_commands: 100, ..Limits::default() });
    let mut fast = rig.open("");
    let burst = |count: usize| masked(0x81, command(" 1").as_bytes()).repeat(count);
    fast.send(&burst(100));
    for _ in 0..100 {
        fast.text();
    }
    let begun = Instant::now();
    fast.send(&burst(100));
    for _ in 0..100 {
        fast.text();
    }
    // the allowance of the next second is used up
    fast.send(&burst(1));
    let mut other = rig.open("");
    other.send(&burst(1));
    other.text();
    fast.0.set_nonblocking(true).unwrap();
    assert_eq!(
        fast.0.peek(&mut [0]).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock),
        "another does not wait"
    );
    fast.0.set_nonblocking(false).unwrap();
    fast.text();
    assert!(begun.elapsed() >= Duration::from_millis(800), "201 commands at 100 a second");
}

#[test]
fn stopping_closes_sockets_with_1001_and_lets_requests_end() {
    let mut rig = Rig::new(Limits::default());
    let mut wire = rig.open("");
    let mut idle = rig.connect();
    idle.request("GET /bus/7 HTTP/1.1\r\nHost: x\r\n\r\n");
    let server = rig.server.take().unwrap();
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || server.stop(Duration::from_secs(5)));
    assert_eq!(wire.closed(), (1001, "the server stops".to_owned()));
    idle.ended();
    drop((wire, idle));
    stopping.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(Stream::connect(("127.0.0.1", rig.port)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused));
}

#[test]
fn addresses_that_cannot_be_listened_at_say_what_to_do() {
    let rig = Rig::new(Limits::default());
    let exchange = Exchange::new(Arc::new(Wake::new().unwrap()));
    let start = |host: &str, port| Server::start(host, port, Limits::default(), Arc::clone(&exchange)).err().unwrap();
    assert!(start("127.0.0.1", rig.port).contains("is taken by another program"));
    assert!(start("no.such.host.invalid", 0).contains("is no address of this machine"));
    assert!(start("192.0.2.1", 0).contains("192.0.2.1:0 is no address of this machine"));
}

#[test]
fn http_answers_on_one_connection_one_after_the_other() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.connect();
    let (head, body) = wire.request("GET /bus/7?lane=speed HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, "\"Some(\"speed\")\"");
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let (head, body) =
        wire.request(&format!("GET /bus/7 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"a\", W/{etag}\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 304 ") && head.contains(&etag), "{head}");
    assert_eq!(body, "");
    wire.send(b"HEAD /bus/7 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = wire.head();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 6"), "{head}");
    let (head, body) = wire.request("GET /nobody HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 404 ") && head.contains("application/problem+json"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["detail"], "nobody");
    assert_eq!(problem["node"], "/nobody");
    let (head, _) = wire.request("OPTIONS /bus/7?lane=speed HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 204 ") && head.contains("allow: GET, HEAD, POST, PUT, OPTIONS"), "{head}");
    let (head, _) = wire.request("PATCH /bus/7 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: "), "{head}");
}

fn post(kind: &str, body: &str) -> String {
    let length = body.len();
    format!("POST /bus/7?lane=speed HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_command_is_answered_when_it_is_durable_where_that_is_preferred() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.connect();
    let json = "Content-Type: application/json\r\n";
    for prefer in ["Prefer: wait=durable\r\n", "prefer: handling=strict\r\nPREFER: a, WAIT=durable\r\n"] {
        let (head, body) = wire.request(&post(&format!("{json}{prefer}"), "5"));
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("preference-applied: wait=durable\r\n"), "{head}");
        assert_eq!(body, "");
    }
    for prefer in ["Prefer: wait=10\r\n", "Prefer: respond-async\r\n", ""] {
        let (head, body) = wire.request(&post(&format!("{json}{prefer}"), "5"));
        assert!(head.starts_with("HTTP/1.1 202 ") && !head.contains("preference-applied"), "{head}");
        assert_eq!(body, "");
    }
    let (head, _) = wire.request(&post(&format!("{json}Prefer: wait=durable\r\n"), "nope"));
    assert!(head.starts_with("HTTP/1.1 400 ") && !head.contains("preference-applied"), "{head}");
}

#[test]
fn commands_are_posted_as_json_or_recon() {
    let rig = Rig::new(Limits { max_body_bytes: 100, ..Limits::default() });
    let mut wire = rig.connect();
    assert!(
        wire.request(&post("Content-Type: application/json; charset=utf-8\r\n", "5")).0.starts_with("HTTP/1.1 202 ")
    );
    assert!(wire.request(&post("Content-Type: application/x-recon\r\n", "5")).0.starts_with("HTTP/1.1 202 "));
    let (head, body) = wire.request(&post("Content-Type: application/json\r\n", "nope"));
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(body.contains("\"lane\":\"speed\",\"offset\":3"), "{body}");
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let (head, _) = wire.request(&post(kind, "5"));
        assert!(head.starts_with("HTTP/1.1 415 ") && head.contains("accept-post: "), "{head}");
    }
    let (head, body) = wire.request("POST /bus/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("?lane=LANE"), "{head}{body}");
    let (head, body) = wire.request(&post("Content-Type: application/json\r\n", &"5".repeat(101)));
    assert!(head.starts_with("HTTP/1.1 413 ") && body.contains("max_body_bytes"), "{head}{body}");
}

#[test]
fn what_the_shard_does_not_answer_is_503() {
    let rig = Rig::new(Limits { answer_seconds: 0.1, ..Limits::default() });
    let (head, body) = rig.connect().request("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 503 ") && body.contains("answer_seconds"), "{head}{body}");
}

#[test]
fn a_stream_flows_until_its_reader_leaves() {
    let rig = Rig::new(Limits::default());
    let mut wire = rig.connect();
    wire.send(b"GET /bus/7 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    let head = wire.head();
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let event = b"data: Sync /bus/7 speed \n\n";
    let chunk = [format!("{:X}\r\n", event.len()).as_bytes(), event, b"\r\n"].concat();
    assert_eq!(wire.exactly(chunk.len()), chunk);
    drop(wire);
    until(|| rig.peers.load(Ordering::Relaxed) == 1000);
}

#[test]
fn pages_of_other_sites_need_leave() {
    let rig = Rig::new(Limits { origins: "https://a.example".to_owned(), ..Limits::default() });
    let get =
        |origin: &str| rig.connect().request(&format!("GET /bus/7 HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n\r\n")).0;
    assert!(get("https://a.example").contains("access-control-allow-origin: https://a.example"));
    assert!(!get("https://b.example").contains("access-control-allow-origin"));
    let refused = rig.connect().upgrade("/", "Origin: https://b.example\r\n");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    rig.open("Origin: https://a.example\r\n");
    let preflight = "OPTIONS /bus/7?lane=speed HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n\r\n";
    let (head, _) = rig.connect().request(preflight);
    assert!(head.contains("access-control-allow-methods: GET, HEAD, POST, PUT, OPTIONS"), "{head}");
}

#[test]
fn compression_goes_both_ways_where_it_is_set() {
    let rig = Rig::new(Limits { compression: 6, ..Limits::default() });
    let mut wire = rig.connect();
    let head = wire.upgrade("/", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
    assert!(head.contains("permessage-deflate; server_no_context_takeover"), "{head}");
    let body = "x".repeat(1000);
    wire.send(&masked(0x81, command(&format!(" {body}")).as_bytes()));
    let (first, payload) = wire.frame();
    assert_eq!(first, 0xc1);
    assert!(payload.len() < 100);
    // what the server has compressed it also takes, but it is no envelope
    wire.send(&masked(0xc1, &payload));
    let (code, reason) = wire.closed();
    assert!(code == 1002 && reason.contains("envelope"), "{reason}");
}

#[test]
fn many_connections_at_once() {
    let rig = Rig::new(Limits::default());
    let mut wires: Vec<Wire> = (0..300).map(|_| rig.open("")).collect();
    for (n, wire) in wires.iter_mut().enumerate() {
        wire.send(&masked(0x81, command(&format!(" {n}")).as_bytes()));
    }
    for (n, wire) in wires.iter_mut().enumerate() {
        assert_eq!(wire.text(), format!("Command /a b {n}"));
    }
}

/// Requests of every kind that the server knows.
fn requests() -> Vec<Vec<u8>> {
    let of = |text: &str| text.replace('|', "\r\n").into_bytes();
    vec![
        of("GET /bus/7 HTTP/1.1|Host: x||"),
        of("GET /bus/7?lane=speed HTTP/1.1|Host: x|Accept: application/json|If-None-Match: \"a-5\"||"),
        of("GET /bus?limit=10&fields=a,b&where=speed%3E20&count=true HTTP/1.1|Host: x||GET / HTTP/1.1|Host: x||"),
        of("HEAD /bus/7 HTTP/1.1|Host: x||OPTIONS /bus/7 HTTP/1.1|Host: x|Origin: http://a.b||"),
        of("POST /bus/7?lane=report HTTP/1.1|Host: x|Content-Type: application/json|Content-Length: 1||5"),
        of(
            "PUT /bus/7?lane=report HTTP/1.1|Host: x|Content-Type: application/x-recon|Transfer-Encoding: chunked||1|5|0||",
        ),
        of(
            "GET /any HTTP/1.1|Host: x|Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 13|Sec-WebSocket-Protocol: warp0|Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits||",
        ),
        of("DELETE /%2e%2e/%00 HTTP/1.1|Host: x|Expect: 100-continue|Content-Length: 99999999||"),
    ]
}

/// Whatever comes, the connection ends in time and the next one is served.
fn try_request(rig: &Rig, bytes: &[u8]) {
    let mut wire = rig.connect();
    wire.0.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // it may hang up before all is written
    _ = wire.0.write_all(bytes);
    _ = wire.0.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match wire.0.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        // who only stops sending may go on reading a live stream
        Err(_) if answer.windows(17).any(|part| part == b"text/event-stream") => {}
        Err(error) => panic!("no end after {} bytes: {error}", answer.len()),
    }
    if !answer.is_empty() {
        assert!(answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    }
}

fn alive(rig: &Rig) {
    let mut wire = rig.connect();
    wire.send(b"GET /bus/7 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wire.answer().0.starts_with("HTTP/1.1 200 "));
}

#[test]
#[ignore = "long"]
fn fuzz_the_http_reader() {
    let rig = Rig::new(Limits { header_seconds: 1.0, body_seconds: 1.0, ..Limits::default() });
    let tried = std::cell::Cell::new(0);
    crate::fuzz::fuzz("http", requests(), b"\r\n\t :;=?&%/.,\"\x00\xff059azGETHTTP/1.1", |bytes| {
        try_request(&rig, bytes);
        tried.set(tried.get() + 1);
        if tried.get() % 100 == 1 {
            alive(&rig);
        }
    });
    alive(&rig);
}

#[test]
fn kept_requests_are_answered() {
    let rig = Rig::new(Limits { header_seconds: 1.0, body_seconds: 1.0, ..Limits::default() });
    for bytes in requests().into_iter().chain(crate::fuzz::corpus("http")) {
        try_request(&rig, &bytes);
    }
    alive(&rig);
}
