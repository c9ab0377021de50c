//! Bounds, and times; what is written is tested over real sockets.

use super::*;

fn queue(commands: usize, bytes: usize) -> Queue {
    Queue::new(Arc::default(), Room { commands, bytes })
}

#[test]
fn what_waits_is_bounded_in_number_and_in_bytes() {
    let mut queue = queue(3, 100);
    assert_eq!(queue.command(Ticket(1), vec![b'x'; 60]), Ok(()));
    assert_eq!(queue.command(Ticket(2), vec![b'x'; 60]), Err("connection_queue"));
    assert_eq!(queue.command(Ticket(3), vec![b'x'; 1]), Ok(()));
    assert_eq!(queue.command(Ticket(4), vec![b'x'; 1]), Ok(()));
    assert_eq!(queue.command(Ticket(5), vec![b'x'; 1]), Err("remote_queue"));
    assert!(queue.ask(vec![(0, vec![b'x'; 1000])]), "without a connection nothing is asked");
}

#[test]
fn commands_wait_so_long_for_a_connection_and_no_longer() {
    let mut queue = queue(3, 100);
    let patience = Duration::from_secs(60);
    assert_eq!(queue.next_expiry(patience), None);
    queue.command(Ticket(1), b"x".to_vec()).unwrap();
    let at = queue.next_expiry(patience).unwrap();
    assert_eq!(queue.expire(at - Duration::from_secs(1), patience), []);
    assert_eq!(queue.expire(at, patience), [Ticket(1)]);
    assert_eq!((queue.commands(), queue.bytes), (0, 0));
}

#[test]
fn frames_are_masked_and_no_mask_comes_twice() {
    let mut queue = queue(3, 100);
    let mut masks = Vec::new();
    for payload in [&b"hello"[..], b"hello", &[7; 200], &[7; 70_000]] {
        queue.writing.clear();
        queue.frame(0x1, payload);
        let head = match payload.len() {
            0..126 => 2,
            126..65_536 => 4,
            _ => 10,
        };
        assert_eq!(queue.writing[0], 0x81);
        let mask: [u8; 4] = queue.writing[head..head + 4].try_into().unwrap();
        let mut shown = queue.writing[head + 4..].to_vec();
        unmask(&mut shown, mask);
        assert_eq!(shown, payload);
        assert!(!masks.contains(&mask));
        masks.push(mask);
    }
}
