//! What waits, over a socket that takes little: order, bounds, the fence, what a break leaves.

use std::io::Read;
use std::net::TcpListener;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::*;

/// Both ends of a connection; the far one reads only when it is asked to.
struct Wire {
    // the near end is registered with it
    _runtime: Runtime,
    line: Arc<Line>,
    far: std::net::TcpStream,
}

impl Wire {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = runtime.block_on(TcpStream::connect(address)).unwrap();
        runtime.block_on(stream.writable()).unwrap();
        let far = listener.accept().unwrap().0;
        far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Wire { _runtime: runtime, line: Arc::new(Line::plain(stream)), far }
    }

    /// The next frame: its opcode, and its payload unmasked.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.far.read_exact(&mut head).unwrap();
        assert!(head[1] & 0x80 != 0, "a client's frames are masked");
        let length = match head[1] & 0x7f {
            126 => self.number(2),
            127 => self.number(8),
            length => length.into(),
        };
        let mut mask = [0; 4];
        self.far.read_exact(&mut mask).unwrap();
        let mut payload = vec![0; length as usize];
        self.far.read_exact(&mut payload).unwrap();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (head[0] & 0xf, payload)
    }

    fn number(&mut self, bytes: usize) -> u64 {
        let mut room = [0; 8];
        self.far.read_exact(&mut room[8 - bytes..]).unwrap();
        u64::from_be_bytes(room)
    }
}

fn queue(commands: usize, bytes: usize) -> (Queue, Arc<Fence>) {
    let fence = Arc::new(Fence::default());
    (Queue::new(Arc::clone(&fence), Room { commands, bytes }), fence)
}

fn text(length: usize) -> Vec<u8> {
    vec![b'x'; length]
}

#[test]
fn commands_leave_in_order_behind_what_is_asked_for() {
    let mut wire = Wire::new();
    let (mut queue, _) = queue(10, 1 << 20);
    for (ticket, length) in [(1, 5), (2, 300), (3, 70_000)] {
        queue.command(Ticket(ticket), text(length)).unwrap();
    }
    assert_eq!(queue.flush(), Flushed::All);
    assert_eq!((queue.commands(), queue.take_done()), (3, vec![]), "there is no connection");
    queue.begin(Arc::clone(&wire.line));
    assert!(queue.ask(vec![(0, b"@link".to_vec())]));
    queue.control(0xa, b"old");
    queue.control(0xa, b"new");
    assert_eq!(queue.flush(), Flushed::All);
    assert_eq!(queue.take_done(), [Ticket(1), Ticket(2), Ticket(3)]);
    assert!(queue.is_empty());
    assert_eq!(wire.frame(), (0xa, b"new".to_vec()));
    assert_eq!(wire.frame(), (0x1, b"@link".to_vec()));
    for length in [5, 300, 70_000] {
        assert_eq!(wire.frame(), (0x1, text(length)));
    }
}

#[test]
fn more_than_may_wait_is_refused_with_the_setting() {
    let (mut few, _) = queue(2, 1 << 20);
    few.command(Ticket(1), text(1)).unwrap();
    few.command(Ticket(2), text(1)).unwrap();
    assert_eq!(few.command(Ticket(3), text(1)), Err("remote_queue"));
    let (mut small, _) = queue(10, 100);
    small.command(Ticket(1), text(60)).unwrap();
    assert_eq!(small.command(Ticket(2), text(60)), Err("connection_queue"));
    assert_eq!(small.commands(), 1);
}

#[test]
fn nothing_passes_the_fence_and_nothing_overtakes() {
    let mut wire = Wire::new();
    let (mut queue, fence) = queue(10, 1 << 20);
    queue.begin(Arc::clone(&wire.line));
    queue.command(Ticket(1), b"before".to_vec()).unwrap();
    fence.raise(7);
    queue.command(Ticket(2), b"behind".to_vec()).unwrap();
    assert_eq!((queue.flush(), queue.take_done()), (Flushed::All, vec![Ticket(1)]));
    assert!(queue.is_fenced());
    fence.reach(6);
    queue.flush();
    assert_eq!(queue.take_done(), []);
    fence.reach(7);
    // nothing is fenced any more, and yet it comes last
    queue.command(Ticket(3), b"after".to_vec()).unwrap();
    queue.flush();
    assert_eq!(queue.take_done(), [Ticket(2), Ticket(3)]);
    assert!(!queue.is_fenced());
    let payloads = [wire.frame().1, wire.frame().1, wire.frame().1];
    assert_eq!(payloads, [b"before".to_vec(), b"behind".to_vec(), b"after".to_vec()]);
}

#[test]
fn what_a_break_has_cut_is_written_again_to_the_next_connection() {
    let (first, mut second) = (Wire::new(), Wire::new());
    let (mut queue, _) = queue(1_000, 1 << 30);
    queue.begin(Arc::clone(&first.line));
    // more than the buffers of a socket take
    for ticket in 0..100 {
        let mut payload = text(1 << 20);
        payload[0] = ticket as u8;
        queue.command(Ticket(ticket), payload).unwrap();
    }
    assert_eq!(queue.flush(), Flushed::Blocked);
    let written = queue.take_done().len();
    assert!((1..100).contains(&written), "{written}");
    // a frame is cut in two: no farewell
    assert!(!queue.end(Some(b"bye")));
    assert_eq!(queue.commands(), 100 - written);
    drop(first);
    queue.begin(Arc::clone(&second.line));
    let reader = std::thread::spawn(move || {
        let first = second.frame().1[0];
        (written + 1..100).for_each(|_| drop(second.frame()));
        first
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while queue.commands() > 0 {
        assert!(Instant::now() < deadline, "{queue_left} left", queue_left = queue.commands());
        assert_ne!(queue.flush(), Flushed::Closed);
        std::thread::yield_now();
    }
    assert_eq!(usize::from(reader.join().unwrap()), written);
    assert!(queue.end(Some(&1000u16.to_be_bytes())), "whole frames are followed by a farewell");
}

#[test]
fn commands_that_wait_too_long_without_a_connection_are_given_up() {
    let wire = Wire::new();
    let patience = Duration::from_secs(60);
    let (mut queue, fence) = queue(10, 1 << 20);
    queue.command(Ticket(1), text(1)).unwrap();
    let at = queue.next_expiry(patience).unwrap();
    assert_eq!(queue.expire(at - Duration::from_millis(1), patience), []);
    // with one they wait for the socket, or for a record
    fence.raise(1);
    queue.command(Ticket(2), text(1)).unwrap();
    queue.begin(Arc::clone(&wire.line));
    assert_eq!(queue.next_expiry(patience), None);
    queue.flush();
    queue.end(None);
    assert_eq!(queue.take_done(), [Ticket(1)]);
    // the time begins anew with the break
    assert!(queue.next_expiry(patience).unwrap() >= at);
    assert_eq!(queue.expire(Instant::now() + patience, patience), [Ticket(2)]);
    assert!(queue.is_empty());
    assert_eq!(queue.next_expiry(patience), None);
}
