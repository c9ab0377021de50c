//! Whatever is written, whoever stalls, comes late or leaves: who stays linked and reads ends at the lane's state.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, IoSlice};
use std::sync::Mutex;

use proptest::prelude::*;

use super::tests::{run, shard};
use super::*;
use crate::peer::Bounds;
use crate::peer::{Direct, Form};

const LANES: [&str; 5] = ["info", "note", "shopping", "count", "stops"];

/// A socket whose other end reads as much as it is told.
#[derive(Default)]
struct Socket {
    taken: Mutex<Vec<u8>>,
    room: Mutex<usize>,
}

impl Direct for Socket {
    fn write(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        if *room == 0 {
            return Err(Error::from(ErrorKind::WouldBlock));
        }
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let count = all.len().min(*room);
        *room -= count;
        self.taken.lock().unwrap().extend(&all[..count]);
        Ok(count)
    }
}

/// What a subscriber has made of its events.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    value: String,
    entries: BTreeMap<String, String>,
    /// Keys and values.
    elements: Vec<(Value, Value)>,
}

impl State {
    /// An operation on a list; each is right for the list as those before have left it.
    fn operate(&mut self, body: &str) {
        let elements = &mut self.elements;
        let index = |index: &Value| match index {
            Value::Int(index) => *index as usize,
            _ => panic!("{index:?}"),
        };
        let slots = match list::operation(&recon::read_body(body).unwrap()) {
            Ok(Body::Tree(Value::List(slots))) => slots,
            Ok(Body::Bulk(Bulk::Clear)) => return elements.clear(),
            other => panic!("{body}: {other:?}"),
        };
        match &slots[1..] {
            [at, key, value] if body.starts_with("@update") => {
                match elements.get_mut(index(at)).filter(|(known, _)| known == key) {
                    Some(element) => element.1 = value.clone(),
                    None => elements.insert(index(at), (key.clone(), value.clone())),
                }
            }
            [from, to, key] => {
                let element = elements.remove(index(from));
                assert_eq!(element.0, *key);
                elements.insert(index(to), element);
            }
            [at, key] => assert_eq!(elements.remove(index(at)).0, *key),
            _ => panic!("{body}"),
        }
    }
}

struct Subscriber {
    peer: Arc<Peer>,
    socket: Arc<Socket>,
    buffer: Vec<u8>,
    states: BTreeMap<(String, String), State>,
}

impl Subscriber {
    fn new(shard: &Shard) -> Self {
        let peer = shard.exchange.connect(Form::Warp, "/", "test".to_owned(), BOUNDS);
        let socket = Arc::new(Socket { room: Mutex::new(usize::MAX), ..Socket::default() });
        peer.directly(Arc::clone(&socket) as Arc<dyn Direct>);
        Subscriber { peer, socket, buffer: Vec::new(), states: BTreeMap::new() }
    }

    fn send(&self, text: &str) {
        let mut frames = Frames::default();
        frames.push(&warp::read(text).unwrap());
        self.peer.offer(frames);
    }

    fn room(&self, room: usize) {
        *self.socket.room.lock().unwrap() = room;
        self.peer.flush();
    }

    fn read(&mut self) {
        self.buffer.append(&mut self.socket.taken.lock().unwrap());
        while let Some((text, used)) = frame(&self.buffer) {
            self.take(&text);
            self.buffer.drain(..used);
        }
    }

    fn take(&mut self, text: &str) {
        let message = warp::read(text).unwrap();
        let at = (message.node.to_string(), message.lane.to_string());
        match message.tag {
            Tag::Linked => _ = self.states.insert(at, State::default()),
            Tag::Unlinked => _ = self.states.remove(&at),
            Tag::Event => {
                let state = self.states.get_mut(&at).expect("an event comes after `linked` and before `unlinked`");
                match message.body {
                    body if at.1 == "stops" => state.operate(body),
                    "@clear" => state.entries.clear(),
                    body if body.starts_with('@') => {
                        let key = body.split(['(', ')']).nth(1).unwrap().to_owned();
                        match body.strip_prefix("@update") {
                            Some(rest) => _ = state.entries.insert(key, rest.rsplit(' ').next().unwrap().to_owned()),
                            None => _ = state.entries.remove(&key),
                        }
                    }
                    body => body.clone_into(&mut state.value),
                }
            }
            Tag::Synced => {}
            tag => panic!("{tag:?}"),
        }
    }
}

fn frame(bytes: &[u8]) -> Option<(String, usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
        length => (2, length as usize),
    };
    let text = bytes.get(head..head + length)?;
    Some((String::from_utf8(text.to_vec()).unwrap(), head + length))
}

#[derive(Clone, Debug)]
enum Act {
    Sync(usize, usize, usize),
    Unlink(usize, usize, usize),
    Publish(usize, i64),
    Note(usize, i64),
    Put(usize, usize, i64),
    Remove(usize, usize),
    Clear(usize),
    Insert(usize, i64, i64),
    Update(usize, i64, i64),
    Move(usize, i64, i64),
    Out(usize, i64),
    Empty(usize),
    Room(usize, usize),
    Reconnect(usize),
    Delete(usize),
    Run,
}

const BOUNDS: Bounds = Bounds { intake_bytes: 1 << 20, queue_bytes: 1 << 20, queue_events: 5, links: 100, twins: 100 };

const CLIENTS: usize = 3;
const UNITS: usize = 3;

fn act() -> impl Strategy<Value = Act> {
    let (client, unit, lane) = (0..CLIENTS, 0..UNITS, 0..LANES.len());
    prop_oneof![
        4 => (client.clone(), unit.clone(), lane.clone()).prop_map(|(c, u, l)| Act::Sync(c, u, l)),
        1 => (client.clone(), unit.clone(), lane).prop_map(|(c, u, l)| Act::Unlink(c, u, l)),
        4 => (unit.clone(), 0..100i64).prop_map(|(u, x)| Act::Publish(u, x)),
        3 => (unit.clone(), 0..100i64).prop_map(|(u, x)| Act::Note(u, x)),
        6 => (unit.clone(), 0..4usize, 0..100i64).prop_map(|(u, k, x)| Act::Put(u, k, x)),
        3 => (unit.clone(), 0..4usize).prop_map(|(u, k)| Act::Remove(u, k)),
        1 => unit.clone().prop_map(Act::Clear),
        6 => (unit.clone(), 0..6i64, 0..100i64).prop_map(|(u, i, x)| Act::Insert(u, i, x)),
        2 => (unit.clone(), 0..6i64, 0..100i64).prop_map(|(u, i, x)| Act::Update(u, i, x)),
        3 => (unit.clone(), 0..6i64, 0..6i64).prop_map(|(u, i, j)| Act::Move(u, i, j)),
        3 => (unit.clone(), 0..6i64).prop_map(|(u, i)| Act::Out(u, i)),
        1 => unit.clone().prop_map(Act::Empty),
        3 => (client.clone(), prop_oneof![Just(0), 1..200usize, Just(usize::MAX)]).prop_map(|(c, r)| Act::Room(c, r)),
        1 => client.prop_map(Act::Reconnect),
        1 => unit.prop_map(Act::Delete),
        5 => Just(Act::Run),
    ]
}

fn play(acts: &[Act]) {
    let mut shard = shard();
    let writer = Subscriber::new(&shard);
    let mut clients: Vec<Subscriber> = (0..CLIENTS).map(|_| Subscriber::new(&shard)).collect();
    for act in acts {
        match act {
            Act::Sync(client, unit, lane) => {
                clients[*client].send(&format!("@sync(node:\"/unit/{unit}\",lane:{})", LANES[*lane]));
            }
            Act::Unlink(client, unit, lane) => {
                clients[*client].send(&format!("@unlink(node:\"/unit/{unit}\",lane:{})", LANES[*lane]));
            }
            Act::Publish(unit, x) => writer.send(&format!("@command(node:\"/unit/{unit}\",lane:publish) {x}")),
            Act::Note(unit, x) => writer.send(&format!("@command(node:\"/unit/{unit}\",lane:note) n{x}")),
            Act::Put(unit, key, x) => {
                writer.send(&format!("@command(node:\"/unit/{unit}\",lane:shopping)@update(key:k{key}) {x}"));
            }
            Act::Remove(unit, key) => {
                writer.send(&format!("@command(node:\"/unit/{unit}\",lane:shopping)@remove(key:k{key})"));
            }
            Act::Clear(unit) => writer.send(&format!("@command(node:\"/unit/{unit}\",lane:shopping)@clear")),
            // an index that is none is a dead letter
            Act::Insert(unit, at, x) => {
                writer.send(&format!("@command(node:\"/unit/{unit}\",lane:stops)@update(index:{at},key:k{x}) {x}"));
            }
            Act::Update(unit, at, x) => {
                writer.send(&format!("@command(node:\"/unit/{unit}\",lane:stops)@update(index:{at}) {x}"));
            }
            Act::Move(unit, from, to) => {
                writer.send(&format!("@command(node:\"/unit/{unit}\",lane:stops)@move(from:{from},to:{to})"));
            }
            Act::Out(unit, at) => {
                writer.send(&format!("@command(node:\"/unit/{unit}\",lane:stops)@remove(index:{at})"));
            }
            Act::Empty(unit) => writer.send(&format!("@command(node:\"/unit/{unit}\",lane:stops)@clear")),
            Act::Room(client, room) => clients[*client].room(*room),
            Act::Reconnect(client) => {
                clients[*client].peer.leave();
                let again = Subscriber::new(&shard);
                for (node, lane) in clients[*client].states.keys() {
                    again.send(&format!("@sync(node:\"{node}\",lane:{lane})"));
                }
                clients[*client] = again;
            }
            Act::Delete(unit) => {
                run(&mut shard);
                if let Some(row) = shard.populations[0].table.find(unit.to_string().as_bytes()) {
                    shard.forget_twin(PopulationId(0), row);
                }
            }
            Act::Run => run(&mut shard),
        }
        clients.iter_mut().for_each(Subscriber::read);
    }
    clients.iter().for_each(|client| client.room(usize::MAX));
    run(&mut shard);
    for client in &mut clients {
        client.room(usize::MAX);
        client.read();
        assert!(client.buffer.is_empty(), "a frame is not whole");
        for ((node, lane), state) in &client.states {
            assert_eq!(*state, truth(&shard, node, lane), "{node} {lane}");
        }
    }
    let linked: usize = clients.iter().map(|client| client.states.len()).sum();
    assert_eq!(shard.links.len(), linked, "the shard and its subscribers agree on who is linked");
}

/// The lane's state, as a subscriber writes it down.
fn truth(shard: &Shard, node: &str, lane: &str) -> State {
    let class = &shard.populations[0];
    let row = class.table.find(node.rsplit('/').next().unwrap().as_bytes()).expect("a linked twin is there");
    let text = |value: &Value| {
        let mut out = Vec::new();
        recon::write_interop(value, &mut out);
        String::from_utf8(out).unwrap()
    };
    match lane {
        "shopping" => {
            let table = &class.table.maps[0];
            let entry = |slot| (format!("key:{}", text(&table.key(slot))), text(&table.value(slot)));
            State { entries: table.slots(row).map(entry).collect(), ..State::default() }
        }
        "stops" => {
            let table = &class.table.maps[1];
            let elements = table.slots(row).map(|slot| (table.key(slot), table.value(slot))).collect();
            State { elements, ..State::default() }
        }
        lane => {
            let column = class.decl.columns.iter().position(|column| column.name == lane).unwrap();
            State { value: text(&class.table.columns[column].get(row)), ..State::default() }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn who_keeps_reading_ends_at_the_lane_s_state(acts in proptest::collection::vec(act(), 1..80)) {
        play(&acts);
    }
}
