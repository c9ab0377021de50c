//! Recordings of the Java server, replayed in memory: `tests/path/test_recordings.py` does the same over sockets, for all
//! of them, with what differs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::declaration::Declaration;
use crate::peer::{Bounds, Form};
use crate::turn::{What, Within};

const BOUNDS: Bounds =
    Bounds { intake_bytes: 1 << 20, queue_bytes: 1 << 20, queue_events: 1_000, links: 100, twins: 100 };

/// Columns of a unit.
const INFO: u16 = 0;
const COUNT: u16 = 1;

/// Recordings in which no envelope differs.
const RECORDINGS: [&str; 18] = [
    "auth",
    "bad_frames",
    "command_lane",
    "connection_close",
    "handshake_variants",
    "js_command",
    "js_event",
    "js_prio",
    "js_serverstop",
    "js_unknown",
    "js_value",
    "py_command",
    "py_event",
    "py_unknown",
    "py_value",
    "server_stop_sigkill",
    "server_stop_sigterm",
    "value_link_sync_unlink",
];

/// The recorded agents, as far as these recordings use them.
fn shard() -> Shard {
    let hooks = json!({"create": false, "start": false, "stop": false});
    let rest = json!({"changed": [], "timers": [], "members": [], "folds": [], "hooks": hooks});
    let population = |more: serde_json::Value| {
        let mut whole = rest.clone();
        for (name, value) in more.as_object().unwrap() {
            whole[name] = value.clone();
        }
        whole
    };
    let tree = json!({"tree": {"slots": 0}});
    let declaration: Declaration = serde_json::from_value(json!({
        "app": "recorded", "zone": "UTC",
        "settings": {"max_sends": 10000, "max_hops": 64, "max_rounds": 16, "busy_bound": 1000,
            "commit_turns": 4096, "handler_seconds": 5.0},
        "populations": [
            population(json!({"name": "Unit", "pattern": [{"literal": "unit"}, {"parameter": "id"}],
                "columns": [{"name": "info", "type": "value", "nullable": true, "settable": true},
                    {"name": "count", "type": "int64", "default": 0, "settable": true}],
                "maps": [{"name": "shopping", "key": "string", "value": "value", "limit": 1000, "settable": true}],
                "commands": [{"name": "publish", "body": tree, "handler": false}]})),
            population(json!({"name": "Stats", "pattern": [{"literal": "stats"}], "columns": [], "maps": [],
                "commands": [{"name": "stop", "body": tree}]})),
            population(json!({"name": "Auto", "pattern": [{"literal": "auto"}], "maps": [], "commands": [],
                "columns": [{"name": "tick", "type": "int64", "default": 0}]})),
        ],
    }))
    .unwrap();
    let mut shard = Shard::new(declaration, false, false).unwrap();
    shard.serving = true;
    shard
}

/// Runs until nothing waits; `publish` has the handler that the recorded agents have.
fn run(shard: &mut Shard) {
    loop {
        shard.batch(Duration::from_secs(1));
        let mut step = shard.advance();
        while step != Step::Idle {
            step = match step {
                Step::Admit { lane, .. } => {
                    let tree = match shard.hand.as_ref().map(|envelope| &envelope.body) {
                        Some(Body::Tree(tree)) => tree.clone(),
                        _ => Value::Null,
                    };
                    let slots = match (lane, tree) {
                        (Lane::Map(_), Value::List(pair)) => pair.to_vec(),
                        (Lane::Column(_), tree) => vec![tree],
                        _ => Vec::new(),
                    };
                    shard.admitted(Ok(slots)).unwrap_or_else(|| shard.advance())
                }
                Step::Call(What::Handler(_)) => {
                    publish(shard);
                    shard.advance()
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

fn publish(shard: &mut Shard) {
    let body = shard.turn.record.tree.clone();
    let Value::Int(count) = shard.populations[0].table.columns[COUNT as usize].get(shard.turn.row) else { panic!() };
    let key = Value::Text(ecow::eco_format!("k{}", (count + 1) % 16));
    shard.write(Within::Open, INFO, body.clone()).unwrap();
    shard.write(Within::Open, COUNT, Value::Int(count + 1)).unwrap();
    shard.map_put(Within::Open, 0, key, body).unwrap();
}

/// One envelope as it is compared.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    tag: Tag,
    prio: f64,
    rate: f64,
    body: Value,
}

/// Connection, node, lane → what came on it.
type Streams = BTreeMap<(u64, String, String), Vec<Item>>;

fn note(streams: &mut Streams, connection: u64, text: &str) {
    let message = warp::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let body = match recon::read_body(message.body).unwrap_or_else(|error| panic!("{text}: {error}")) {
        // an envelope cannot tell them apart
        Value::Map(members) if members.is_empty() => Value::Null,
        body => body,
    };
    let item = Item { tag: message.tag, prio: message.prio, rate: message.rate, body };
    streams.entry((connection, message.node.into(), message.lane.into())).or_default().push(item);
}

struct Client {
    peer: Arc<Peer>,
    part: String,
}

impl Client {
    fn take(&self, connection: u64, streams: &mut Streams) {
        while let Some(frame) = self.peer.outbox().pop() {
            let head = match frame[1] {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            note(streams, connection, std::str::from_utf8(&frame[head..]).unwrap());
        }
    }
}

fn text_of(line: &serde_json::Value) -> String {
    match line["hex"].as_str() {
        None => line["text"].as_str().unwrap_or_default().to_owned(),
        Some(hex) => {
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
            String::from_utf8(bytes).unwrap()
        }
    }
}

/// What the Java server has sent, and what this one sends.
fn replay(recording: &str) -> (Streams, Streams) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/recordings/{recording}.jsonl"));
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut java, mut shoal) = (Streams::new(), Streams::new());
    let mut shard = shard();
    let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
    for line in lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        run(&mut shard);
        clients.iter().for_each(|(number, client)| client.take(*number, &mut shoal));
        let (Some(number), Some(op)) = (line["conn"].as_u64(), line["op"].as_str()) else { continue };
        if line["dir"] == "s2c" {
            if op == "text" {
                note(&mut java, number, &text_of(&line));
            }
            continue;
        }
        match op {
            "http" => {
                let peer = shard.exchange.connect(Form::Warp, "/", "test".to_owned(), BOUNDS);
                clients.insert(number, Client { peer, part: String::new() });
            }
            "text" | "cont" | "binary" => {
                let Some(client) = clients.get_mut(&number) else { continue };
                client.part += &text_of(&line);
                let text = if line["fin"] == false { continue } else { std::mem::take(&mut client.part) };
                match warp::read(&text) {
                    Ok(message) => {
                        let mut frames = Frames::default();
                        frames.push(&message);
                        client.peer.offer(frames);
                    }
                    // where the socket closes
                    Err(_) => client.peer.leave(),
                }
            }
            "close" | "eof" => {
                if let Some(client) = clients.remove(&number) {
                    client.peer.leave();
                }
            }
            _ => {}
        }
    }
    (java, shoal)
}

#[test]
fn recordings_without_differences_replay_in_memory() {
    for recording in RECORDINGS {
        let (java, shoal) = replay(recording);
        assert!(java.values().all(|items| !items.is_empty()));
        assert_eq!(java, shoal, "{recording}");
    }
}
