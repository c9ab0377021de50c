use std::cell::RefCell;
use std::io::{Error, IoSlice};

use super::*;

const BOUNDS: Bounds = Bounds { intake_bytes: 1 << 20, queue_bytes: 10_000, queue_events: 4, links: 10, twins: 10 };

/// Takes as many bytes as it is told.
struct Socket {
    taken: RefCell<Vec<u8>>,
    room: RefCell<usize>,
}

// SAFETY: used by one thread only.
unsafe impl Sync for Socket {}

impl Socket {
    fn new(room: usize) -> Self {
        Socket { taken: RefCell::default(), room: RefCell::new(room) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.taken.take()).unwrap()
    }
}

impl Direct for Socket {
    fn write(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize> {
        let mut room = self.room.borrow_mut();
        if *room == 0 {
            return Err(Error::from(ErrorKind::WouldBlock));
        }
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let count = all.len().min(*room);
        *room -= count;
        self.taken.borrow_mut().extend(&all[..count]);
        Ok(count)
    }
}

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn value(text: &str) -> Item {
    Item::Value(frame(text))
}

fn entry(key: &str, text: &str) -> Item {
    Item::Entry(frame(key), frame(text))
}

/// An outbox whose socket takes nothing more.
fn blocked() -> (Outbox, LinkNumber) {
    let mut outbox = Outbox::new(BOUNDS);
    let link = outbox.open(0.0, 0.0);
    outbox.control(frame("^"));
    assert_eq!(outbox.flush(&Socket::new(0)), Flushed::Blocked);
    (outbox, link)
}

#[test]
fn a_writable_socket_gets_every_value() {
    let mut outbox = Outbox::new(BOUNDS);
    let link = outbox.open(0.0, 0.0);
    for text in ["1", "2", "3"] {
        outbox.put(link, value(text)).unwrap();
    }
    let socket = Socket::new(100);
    assert_eq!(outbox.flush(&socket), Flushed::All);
    assert_eq!(socket.text(), "123");
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn behind_a_stalled_socket_the_newest_value_waits_alone() {
    let (mut outbox, link) = blocked();
    for number in 0..1000 {
        outbox.put(link, value(&number.to_string())).unwrap();
    }
    assert_eq!(outbox.bytes(), 4);
    let socket = Socket::new(100);
    assert_eq!(outbox.flush(&socket), Flushed::All);
    assert_eq!(socket.text(), "^999");
}

#[test]
fn the_newest_operation_on_a_key_takes_the_place_of_the_one_that_waits() {
    let (mut outbox, link) = blocked();
    for (key, text) in [("a", "a1 "), ("b", "b1 "), ("a", "a2 "), ("c", "c1 "), ("b", "b- ")] {
        outbox.put(link, entry(key, text)).unwrap();
    }
    let socket = Socket::new(100);
    outbox.flush(&socket);
    assert_eq!(socket.text(), "^a2 b- c1 ");
}

#[test]
fn a_clear_empties_the_queue_but_for_answers() {
    let (mut outbox, link) = blocked();
    outbox.put(link, Item::Control(frame("linked "))).unwrap();
    outbox.put(link, entry("a", "a1 ")).unwrap();
    outbox.put(link, Item::Clear(frame("clear "))).unwrap();
    outbox.put(link, entry("a", "a2 ")).unwrap();
    outbox.put(link, entry("a", "a3 ")).unwrap();
    let socket = Socket::new(100);
    outbox.flush(&socket);
    assert_eq!(socket.text(), "^linked clear a3 ");
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn what_is_newer_than_a_snapshot_stays_behind_it() {
    let (mut outbox, link) = blocked();
    outbox.put(link, value("1 ")).unwrap();
    outbox.put(link, entry("a", "a1 ")).unwrap();
    outbox.put(link, Item::Control(frame("snapshot "))).unwrap();
    outbox.put(link, value("2 ")).unwrap();
    outbox.put(link, value("3 ")).unwrap();
    outbox.put(link, entry("a", "a2 ")).unwrap();
    let socket = Socket::new(100);
    outbox.flush(&socket);
    assert_eq!(socket.text(), "^1 a1 snapshot 3 a2 ");
}

#[test]
fn ordered_events_are_all_kept_up_to_the_bound() {
    let (mut outbox, link) = blocked();
    for text in ["1", "2", "3", "4"] {
        outbox.put(link, Item::Ordered(frame(text))).unwrap();
    }
    assert_eq!(outbox.put(link, Item::Ordered(frame("5"))), Err(Overflow::Link));
    outbox.shut(link, Some(frame("unlinked")));
    let socket = Socket::new(100);
    outbox.flush(&socket);
    assert_eq!(socket.text(), "^unlinked");
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn bytes_are_bounded_over_all_links() {
    let (mut outbox, link) = blocked();
    let other = outbox.open(0.0, 0.0);
    outbox.put(link, value(&"x".repeat(6000))).unwrap();
    assert_eq!(outbox.put(other, value(&"x".repeat(6000))), Err(Overflow::Peer));
    outbox.put(other, value("small")).unwrap();
}

#[test]
fn higher_prio_is_written_first_and_equals_take_turns() {
    let (mut outbox, low) = blocked();
    let other = outbox.open(0.0, 0.0);
    let high = outbox.open(0.5, 0.0);
    for text in ["a", "b"] {
        outbox.put(low, Item::Ordered(frame(text))).unwrap();
        outbox.put(other, Item::Ordered(frame(&text.to_uppercase()))).unwrap();
    }
    outbox.put(high, value("!")).unwrap();
    let socket = Socket::new(100);
    outbox.flush(&socket);
    assert_eq!(socket.text(), "^!aAbB");
}

#[test]
fn a_rate_leaves_values_out_and_keeps_the_newest() {
    let mut outbox = Outbox::new(BOUNDS);
    let link = outbox.open(0.0, 1000.0);
    outbox.put(link, Item::Control(frame("linked "))).unwrap();
    outbox.put(link, value("1 ")).unwrap();
    let socket = Socket::new(1000);
    assert_eq!(outbox.flush(&socket), Flushed::Later);
    assert_eq!(socket.text(), "linked 1 ");
    outbox.put(link, value("2 ")).unwrap();
    outbox.put(link, value("3 ")).unwrap();
    let due = outbox.next_due().unwrap();
    assert!(due <= Outbox::now() + 1000);
    outbox.let_in(due);
    outbox.flush(&socket);
    assert_eq!(socket.text(), "3 ");
}

#[test]
fn frames_stay_whole_whatever_the_socket_takes() {
    for room in 1..12 {
        let mut outbox = Outbox::new(BOUNDS);
        let link = outbox.open(0.0, 0.0);
        for text in ["one.", "two.", "three."] {
            outbox.put(link, value(text)).unwrap();
        }
        let socket = Socket::new(room);
        assert_eq!(outbox.flush(&socket), Flushed::Blocked);
        *socket.room.borrow_mut() = 100;
        assert_eq!(outbox.flush(&socket), Flushed::All);
        assert_eq!(socket.text(), "one.two.three.");
    }
}

#[test]
fn what_waits_is_written_before_the_close() {
    let (mut outbox, link) = blocked();
    outbox.put(link, value("last")).unwrap();
    outbox.close(1001, "the server stops");
    outbox.put(link, value("too late")).unwrap();
    let socket = Socket::new(100);
    assert_eq!(outbox.flush(&socket), Flushed::Closed);
    assert_eq!(socket.text(), "^last");
    assert_eq!(outbox.closing(), Some((1001, "the server stops")));
}

#[test]
fn a_link_number_is_used_again_without_its_past() {
    let (mut outbox, link) = blocked();
    outbox.put(link, value("old")).unwrap();
    outbox.shut(link, None);
    let again = outbox.open(0.0, 0.0);
    assert_eq!(again, link);
    outbox.put(again, value("new")).unwrap();
    let socket = Socket::new(100);
    outbox.flush(&socket);
    assert_eq!(socket.text(), "^new");
}

#[test]
fn a_value_is_told_of_when_it_is_in_the_socket() {
    let (mut outbox, link) = blocked();
    outbox.tell_taken(link);
    let other = outbox.open(0.0, 0.0);
    outbox.put(other, value("o")).unwrap();
    outbox.put(link, value("1")).unwrap();
    outbox.put(link, entry("k", "2")).unwrap();
    outbox.put(link, Item::Control(frame("c"))).unwrap();
    let socket = Socket::new(2);
    assert_eq!(outbox.flush(&socket), Flushed::Blocked);
    assert!(!outbox.has_taken(), "a part of them is still here");
    *socket.room.borrow_mut() = 100;
    assert_eq!(outbox.flush(&socket), Flushed::All);
    assert_eq!(outbox.take_taken(), [(link, Bytes::new()), (link, frame("k"))]);
    assert!(!outbox.has_taken());
    outbox.put(link, value("3")).unwrap();
    assert!(outbox.pop().is_some());
    assert!(!outbox.has_taken());
    assert!(outbox.pop().is_none());
    assert_eq!(outbox.take_taken(), [(link, Bytes::new())]);
}

#[test]
fn frames_have_their_lengths() {
    for length in [0, 125, 126, 65_535, 65_536] {
        let frame = text_frame(&vec![b'x'; length]);
        let head = if length < 126 {
            2
        } else if length < 65_536 {
            4
        } else {
            10
        };
        assert_eq!(frame.len(), head + length);
        assert_eq!(frame[0], 0x81);
    }
}
