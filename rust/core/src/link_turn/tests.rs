use std::io::{Error, ErrorKind, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::declaration::Declaration;
use crate::envelope::Kind;
use crate::peer::{Bounds, Direct, Form, Frames, Peer};
use crate::warp;

const BOUNDS: Bounds = Bounds { intake_bytes: 1 << 16, queue_bytes: 1 << 16, queue_events: 50, links: 10, twins: 50 };

/// A twin with a supply, a demand, a demand-map lane and one with parameters, and observers of the first.
fn declared() -> serde_json::Value {
    let handled = |name: &str| serde_json::json!({"name": name, "body": {"scalar": {"kind": "int"}}, "handler": false});
    serde_json::json!({
        "app": "test", "zone": "UTC",
        "settings": {"max_sends": 10, "max_hops": 64, "max_rounds": 16, "busy_bound": 10, "commit_turns": 4096,
            "handler_seconds": 5.0},
        "populations": [{
            "name": "Unit", "pattern": [{"literal": "unit"}, {"parameter": "id"}],
            "columns": [], "maps": [], "folds": [], "changed": [], "timers": [], "members": [],
            "hooks": {"create": false, "start": false, "stop": false},
            "commands": [handled("cue"), handled("push"), handled("gone"), handled("end")],
            "supplies": [{"name": "items", "type": "int64"}],
            "demands": [{"name": "near", "type": "int64"},
                {"name": "rows", "key": "int64", "type": "int64", "nullable": true, "keys": true},
                {"name": "found", "type": "string", "parametric": true}],
            "observers": [{"lane": {"supply": 0}, "event": "linked"}, {"lane": {"supply": 0}, "event": "unlinked"}],
        }],
    })
}

/// A socket that can be stopped from taking anything.
#[derive(Default)]
struct Line {
    stopped: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

impl Direct for Line {
    fn write(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::from(ErrorKind::WouldBlock));
        }
        let mut bytes = self.bytes.lock().unwrap();
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(parts.iter().map(|part| part.len()).sum())
    }
}

struct Client {
    peer: Arc<Peer>,
    line: Arc<Line>,
}

impl Client {
    fn new(shard: &Shard) -> Self {
        let peer = shard.exchange.connect(Form::Warp, "/", "10.0.0.1:5".to_owned(), BOUNDS);
        let line = Arc::new(Line::default());
        peer.directly(Arc::clone(&line) as Arc<dyn Direct>);
        Client { peer, line }
    }

    fn send(&self, texts: &[String]) {
        let mut frames = Frames::default();
        texts.iter().for_each(|text| frames.push(&warp::read(text).unwrap()));
        self.peer.offer(frames);
    }

    fn stop(&self) {
        self.line.stopped.store(true, Ordering::Relaxed);
    }

    /// The socket takes bytes again, and its I/O thread writes.
    fn go_on(&self) {
        self.line.stopped.store(false, Ordering::Relaxed);
        self.peer.write(&*self.line);
    }

    /// What has come, without the address.
    fn got(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.line.bytes.lock().unwrap());
        let (mut texts, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let length = bytes[at + 1] as usize;
            let text = String::from_utf8(bytes[at + 2..at + 2 + length].to_vec()).unwrap();
            texts.push(text.replace("(node:\"/unit/1\",lane:", " ").replacen(')', "", 1));
            at += 2 + length;
        }
        texts
    }
}

/// Does what Python would: counts what it is asked for.
#[derive(Default)]
struct Host {
    calls: Vec<What>,
    computed: i64,
    fails: bool,
}

impl Host {
    fn run(&mut self, shard: &mut Shard) {
        loop {
            shard.batch(Duration::from_secs(1));
            let mut step = shard.advance();
            while let Step::Call(what) = step {
                self.call(shard, &what);
                self.calls.push(what);
                step = shard.advance();
            }
            assert_eq!(step, Step::Idle);
            shard.commit();
            if !shard.waiting() {
                let counts = shard.inner_counts;
                assert_eq!(counts.waiting(), 0, "{counts:?}");
                return;
            }
        }
    }

    fn call(&mut self, shard: &mut Shard, what: &What) {
        let number = match shard.turn.record.slots.first() {
            Some(Value::Int(number)) => *number,
            _ => 0,
        };
        let done = match what {
            What::Handler(0) => {
                shard.cue(Within::Open, 0, None).unwrap();
                shard.cue(Within::Open, 2, None).unwrap();
                shard.cue(Within::Open, 1, Some(Value::Int(number)))
            }
            What::Handler(1) => shard.push(Within::Open, 0, Value::Int(number)),
            What::Handler(2) => shard.gone(Within::Open, 1, Value::Int(number)),
            What::Handler(_) => shard.delete(Within::Open),
            What::Demand { .. } | What::Keys { .. } if self.fails => {
                shard.fail(Kind::Failed, "it fails");
                Ok(())
            }
            What::Demand { demand: 2, link, .. } => {
                let query = link.as_ref().map_or_else(String::new, |link| link.query());
                shard.computed(what, Value::Text(query.into()))
            }
            What::Demand { .. } => {
                self.computed += 1;
                shard.computed(what, Value::Int(self.computed))
            }
            What::Keys { .. } => shard.computed(what, Value::List([Value::Int(5), Value::Int(6)].into())),
            What::Observed { .. } => Ok(()),
            other => panic!("{other:?}"),
        };
        done.unwrap();
    }
}

fn shard() -> Shard {
    let declaration: Declaration = serde_json::from_value(declared()).unwrap();
    let mut shard = Shard::new(declaration, false, false).unwrap();
    shard.serving = true;
    shard
}

fn frame(tag: &str, lane: &str, body: i64) -> String {
    let body = if tag == "command" { format!(" {body}") } else { String::new() };
    format!("@{tag}(node:\"/unit/1\",lane:\"{lane}\"){body}")
}

fn exchange(shard: &mut Shard, host: &mut Host, client: &Client, texts: &[String]) -> Vec<String> {
    client.send(texts);
    host.run(shard);
    client.got()
}

#[test]
fn nobody_linked_computes_and_keeps_nothing() {
    let (mut shard, mut host) = (shard(), Host::default());
    let client = Client::new(&shard);
    exchange(&mut shard, &mut host, &client, &[frame("command", "cue", 1), frame("command", "push", 1)]);
    assert_eq!(host.calls, [What::Handler(0), What::Handler(1)]);
    assert!(shard.turn.told.is_empty() && shard.pushed.is_none());
}

#[test]
fn a_slow_reader_has_a_lane_computed_a_few_times_and_gets_the_last() {
    let (mut shard, mut host) = (shard(), Host::default());
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &mut host, &client, &[frame("sync", "near", 0)]);
    assert_eq!(got, ["@linked near", "@event near 1", "@synced near"]);
    client.stop();
    for _ in 0..1000 {
        exchange(&mut shard, &mut host, &client, &[frame("command", "cue", 1)]);
    }
    assert_eq!(host.computed, 2, "one waits, the rest is owed");
    client.go_on();
    assert_eq!(client.got(), ["@event near 2"]);
    assert!(shard.waiting());
    host.run(&mut shard);
    assert_eq!(client.got(), ["@event near 3"], "the last cue is answered");
    host.run(&mut shard);
    assert_eq!((host.computed, shard.waiting()), (3, false));
}

#[test]
fn a_fast_reader_does_not_wait_for_a_slow_one() {
    let (mut shard, mut host) = (shard(), Host::default());
    let (slow, fast) = (Client::new(&shard), Client::new(&shard));
    for client in [&slow, &fast] {
        exchange(&mut shard, &mut host, client, &[frame("link", "near", 0)]);
    }
    slow.stop();
    for number in 1..=3 {
        let got = exchange(&mut shard, &mut host, &fast, &[frame("command", "cue", 1)]);
        assert_eq!(got, [format!("@event near {number}")]);
    }
    slow.go_on();
    host.run(&mut shard);
    assert_eq!(slow.got(), ["@event near 1", "@event near 4"]);
    assert_eq!(fast.got(), [""; 0], "it is owed nothing");
}

#[test]
fn keys_are_computed_each_as_fast_as_it_is_read() {
    let (mut shard, mut host) = (shard(), Host::default());
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &mut host, &client, &[frame("sync", "rows", 0)]);
    assert_eq!(got, ["@linked rows", "@event rows@update(key:5) 1", "@event rows@update(key:6) 2", "@synced rows"]);
    client.stop();
    for number in [7, 8, 7, 8, 7] {
        exchange(&mut shard, &mut host, &client, &[frame("command", "cue", number)]);
    }
    assert_eq!(host.computed, 4, "7 and 8 once each");
    exchange(&mut shard, &mut host, &client, &[frame("command", "gone", 8)]);
    client.go_on();
    host.run(&mut shard);
    assert_eq!(
        client.got(),
        [
            "@event rows@update(key:7) 3",
            "@event rows@update(key:8) 4",
            "@event rows@remove(key:8)",
            "@event rows@update(key:7) 5"
        ],
        "what was owed of a key that is gone is owed no more"
    );
}

#[test]
fn whoever_is_owed_too_many_keys_is_unlinked() {
    let (mut shard, mut host) = (shard(), Host::default());
    let client = Client::new(&shard);
    exchange(&mut shard, &mut host, &client, &[frame("link", "rows", 0)]);
    client.stop();
    // computed once each, and owed again
    for number in (0..=50).chain(0..=50) {
        exchange(&mut shard, &mut host, &client, &[frame("command", "cue", number)]);
    }
    client.go_on();
    let got = client.got();
    assert!(got.last().unwrap().starts_with("@unlinked rows\"50 events wait already (link_queue)"), "{got:?}");
}

#[test]
fn each_way_of_writing_the_parameters_is_a_lane_of_its_own() {
    let (mut shard, mut host) = (shard(), Host::default());
    let (client, other) = (Client::new(&shard), Client::new(&shard));
    for lane in ["found?a", "found?b"] {
        let got = exchange(&mut shard, &mut host, &client, &[frame("sync", lane, 0)]);
        let value = &lane[6..];
        let expected = ["linked", "event", "synced"].map(|tag| format!("@{tag} \"{lane}\""));
        assert_eq!(got, [expected[0].clone(), format!("{} {value}", expected[1]), expected[2].clone()]);
    }
    exchange(&mut shard, &mut host, &other, &[frame("link", "found?a", 0)]);
    let before = host.calls.len();
    let got = exchange(&mut shard, &mut host, &client, &[frame("command", "cue", 1)]);
    assert_eq!(got, ["@event \"found?a\" a", "@event \"found?b\" b"]);
    assert_eq!(other.got(), ["@event \"found?a\" a"]);
    assert_eq!(host.calls.len() - before, 3, "the command, and one for each spelling");
    exchange(&mut shard, &mut host, &client, &[frame("unlink", "found?a", 0), frame("unlink", "found?b", 0)]);
    other.peer.leave();
    host.run(&mut shard);
    assert_eq!(shard.links.len(), 0);
}

#[test]
fn what_fails_is_a_dead_letter_and_the_link_stays() {
    let (mut shard, mut host) = (shard(), Host { fails: true, ..Host::default() });
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &mut host, &client, &[frame("sync", "near", 0), frame("command", "cue", 1)]);
    assert_eq!(got, ["@linked near", "@synced near"]);
    let letters: Vec<_> = shard.dead.drain(..).map(|letter| (letter.origin, letter.lane, letter.reason)).collect();
    let letter = ("link".to_owned(), "near".to_owned(), "it fails".to_owned());
    assert_eq!(letters, [letter.clone(), letter]);
    host.fails = false;
    let got = exchange(&mut shard, &mut host, &client, &[frame("command", "cue", 1)]);
    assert_eq!(got, ["@event near 1"]);
}

#[test]
fn observers_hear_of_links_in_order_and_not_of_a_twin_that_ends() {
    let (mut shard, mut host) = (shard(), Host::default());
    let (client, lost) = (Client::new(&shard), Client::new(&shard));
    exchange(&mut shard, &mut host, &lost, &["@link(node:\"/unit/1\",lane:\"items?x%20y#z\",prio:1)".to_owned()]);
    let row = shard.populations[0].table.find(b"1").unwrap();
    exchange(&mut shard, &mut host, &client, &[frame("link", "items", 0)]);
    assert_eq!(shard.links.count(PopulationId(0), row, crate::declaration::Observed::Supply(0)), 2);
    lost.peer.leave();
    host.run(&mut shard);
    let told: Vec<_> = host.calls.drain(..).collect();
    let link = LinkInfo { remote: "10.0.0.1:5".into(), lane: "items?x%20y#z".into(), prio: 1.0, rate: 0.0 };
    assert_eq!((link.query(), link.fragment()), ("x y".to_owned(), "z".to_owned()));
    let plain = LinkInfo { remote: "10.0.0.1:5".into(), lane: "items".into(), prio: 0.0, rate: 0.0 };
    assert_eq!(
        told,
        [
            What::Observed { observer: 0, link: Box::new(link.clone()) },
            What::Observed { observer: 0, link: Box::new(plain) },
            What::Observed { observer: 1, link: Box::new(link) },
        ]
    );
    exchange(&mut shard, &mut host, &client, &[frame("command", "end", 0)]);
    assert_eq!(host.calls, [What::Handler(3)]);
}

#[test]
fn a_turn_that_fails_pushes_nothing() {
    let (mut shard, mut host) = (shard(), Host::default());
    let client = Client::new(&shard);
    exchange(&mut shard, &mut host, &client, &[frame("link", "items", 0)]);
    client.send(&[frame("command", "push", 1)]);
    shard.batch(Duration::from_secs(1));
    assert_eq!(shard.advance(), Step::Call(What::Handler(1)));
    shard.push(Within::Open, 0, Value::Int(1)).unwrap();
    assert!(shard.push(Within::Open, 0, Value::Null).is_err());
    assert!(shard.push(Within::Open, 0, Value::Float(1.5)).is_err());
    for _ in 3..10 {
        shard.push(Within::Open, 0, Value::Int(1)).unwrap();
    }
    assert!(shard.push(Within::Open, 0, Value::Int(1)).is_err(), "max_sends");
    shard.fail(Kind::Failed, "no");
    host.run(&mut shard);
    assert_eq!(client.got(), [""; 0]);
}
