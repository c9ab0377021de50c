use std::time::Duration;

use super::*;
use crate::declaration::Declaration;
use crate::peer::{Bounds, Form};

pub(super) const BOUNDS: Bounds =
    Bounds { intake_bytes: 1 << 16, queue_bytes: 1 << 16, queue_events: 100, links: 5, twins: 50 };

/// Units with a command, folds, a value lane, a map, a read-only lane; and one twin with all units as its members.
fn declared() -> serde_json::Value {
    let null = serde_json::Value::Null;
    let column = |name: &str, kind: &str, default: &serde_json::Value, settable: bool| serde_json::json!({"name": name, "type": kind, "default": default, "nullable": true, "settable": settable});
    let from = |slots: &[usize]| serde_json::json!({"command": {"command": 0, "slots": slots}});
    let hooks = serde_json::json!({"create": false, "start": false, "stop": false});
    serde_json::json!({
        "app": "test", "zone": "UTC",
        "settings": {"max_sends": 10000, "max_hops": 64, "max_rounds": 16, "busy_bound": 1000,
            "commit_turns": 4096, "handler_seconds": 5.0},
        "populations": [
            {"name": "Unit", "pattern": [{"literal": "unit"}, {"parameter": "id"}],
            "columns": [column("info", "int64", &null, false), column("count", "int64", &0.into(), false),
                column("note", "string", &null, true), column("_secret", "int64", &1.into(), true)],
            "maps": [{"name": "shopping", "key": "string", "value": "int64", "limit": 1000, "settable": true},
                {"name": "stops", "key": "value", "value": "int64", "limit": 1000, "settable": true, "ordered": true}],
            "changed": [], "timers": [], "members": [], "hooks": hooks,
            "commands": [{"name": "publish", "body": {"scalar": {"kind": "int"}}}],
            "folds": [{"out": 0, "input": from(&[0]), "fold": "latest"}, {"out": 1, "input": from(&[]), "fold": "count"}]},
            {"name": "All", "pattern": [{"literal": "all"}], "columns": [], "maps": [], "changed": [], "timers": [],
            "members": [{"name": "units", "population": 0, "rollups": []}], "hooks": hooks, "commands": [], "folds": []},
        ],
    })
}

pub(super) fn shard() -> Shard {
    serving(declared(), false)
}

fn serving(declared: serde_json::Value, is_virtual: bool) -> Shard {
    let declaration: Declaration = serde_json::from_value(declared).unwrap();
    let mut shard = Shard::new(declaration, is_virtual, false).unwrap();
    shard.serving = true;
    shard
}

struct Client {
    peer: Arc<Peer>,
}

impl Client {
    fn new(shard: &Shard) -> Self {
        Client { peer: shard.exchange.connect(Form::Warp, "/", "test".to_owned(), BOUNDS) }
    }

    fn send(&self, texts: &[&str]) {
        let mut frames = Frames::default();
        for text in texts {
            frames.push(&warp::read(text).unwrap());
        }
        self.peer.offer(frames);
    }

    /// All that has been written to it, one text a frame.
    fn got(&self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(frame) = self.peer.outbox().pop() {
            let head = match frame[1] {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            texts.push(String::from_utf8(frame[head..].to_vec()).unwrap());
        }
        texts
    }
}

/// Runs until nothing waits; lanes take what Python would let pass.
pub(super) fn run(shard: &mut Shard) {
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

fn exchange(shard: &mut Shard, client: &Client, texts: &[&str]) -> Vec<String> {
    client.send(texts);
    run(shard);
    client.got()
}

#[test]
fn a_value_lane_tells_its_state_then_every_change() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &client, &["@link(node:\"/unit/1\",lane:info)"]);
    assert_eq!(got, ["@linked(node:\"/unit/1\",lane:info)"]);
    let got = exchange(&mut shard, &client, &["@sync(node:\"/unit/1\",lane:info)"]);
    assert_eq!(got, ["@event(node:\"/unit/1\",lane:info)", "@synced(node:\"/unit/1\",lane:info)"]);
    let got = exchange(&mut shard, &client, &["@command(node:\"/unit/1\",lane:publish)5"]);
    assert_eq!(got, ["@event(node:\"/unit/1\",lane:info) 5"]);
    let got = exchange(&mut shard, &client, &["@command(node:\"/unit/1\",lane:publish) 5"]);
    assert_eq!(got, ["@event(node:\"/unit/1\",lane:info) 5"], "an equal write is an event, too");
    let got =
        exchange(&mut shard, &client, &["@unlink(node:\"/unit/1\",lane:info)", "@unlink(node:\"/unit/1\",lane:info)"]);
    assert_eq!(got, ["@unlinked(node:\"/unit/1\",lane:info)"]);
    let got = exchange(&mut shard, &client, &["@command(node:\"/unit/1\",lane:publish) 6"]);
    assert_eq!(got, Vec::<String>::new());
    assert!(shard.links.is_empty());
}

#[test]
fn every_turn_of_a_batch_is_told() {
    let mut shard = shard();
    let client = Client::new(&shard);
    exchange(&mut shard, &client, &["@sync(node:\"/unit/1\",lane:info)"]);
    let commands: Vec<String> = (0..20).map(|x| format!("@command(node:\"/unit/1\",lane:publish) {x}")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let got = exchange(&mut shard, &client, &commands);
    let wanted: Vec<String> = (0..20).map(|x| format!("@event(node:\"/unit/1\",lane:info) {x}")).collect();
    assert_eq!(got, wanted);
}

#[test]
fn a_link_sees_what_was_sent_before_it_once() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let got = exchange(
        &mut shard,
        &client,
        &[
            "@command(node:\"/unit/1\",lane:publish) 1",
            "@sync(node:\"/unit/1\",lane:info)",
            "@command(node:\"/unit/1\",lane:publish) 2",
        ],
    );
    assert_eq!(
        got,
        [
            "@linked(node:\"/unit/1\",lane:info)",
            "@event(node:\"/unit/1\",lane:info) 1",
            "@synced(node:\"/unit/1\",lane:info)",
            "@event(node:\"/unit/1\",lane:info) 2",
        ]
    );
}

#[test]
fn a_map_lane_tells_its_entries_and_operations() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let at = "node:\"/unit/m\",lane:shopping";
    let got = exchange(&mut shard, &client, &[&format!("@sync({at})")]);
    assert_eq!(got, [format!("@linked({at})"), format!("@synced({at})")]);
    let got = exchange(
        &mut shard,
        &client,
        &[
            &format!("@command({at})@update(key:a) 1"),
            &format!("@command({at})@update(key:b) 2"),
            &format!("@command({at})@update(key:c) 3"),
            &format!("@command({at})@remove(key:b)"),
            &format!("@command({at})@remove(key:nobody)"),
        ],
    );
    assert_eq!(
        got,
        [
            format!("@event({at})@update(key:a) 1"),
            format!("@event({at})@update(key:b) 2"),
            format!("@event({at})@update(key:c) 3"),
            format!("@event({at})@remove(key:b)"),
        ]
    );
    let other = Client::new(&shard);
    let got = exchange(&mut shard, &other, &[&format!("@sync({at})")]);
    assert_eq!(got.len(), 4);
    assert_eq!(got[1..3], [format!("@event({at})@update(key:a) 1"), format!("@event({at})@update(key:c) 3")]);
    let got = exchange(&mut shard, &client, &[&format!("@command({at})@drop(1)")]);
    assert_eq!(got, [format!("@event({at})@remove(key:a)")]);
    let got = exchange(&mut shard, &client, &[&format!("@command({at})@clear")]);
    assert_eq!(got, [format!("@event({at})@clear")]);
    assert_eq!(other.got(), [format!("@event({at})@remove(key:a)"), format!("@event({at})@clear")]);
    let got =
        exchange(&mut shard, &client, &[&format!("@command({at})@upsert(key:a) 1"), &format!("@command({at}) 5")]);
    assert_eq!(got, Vec::<String>::new());
    assert_eq!(shard.dead.len(), 2, "what is no operation is kept for a person to look at");
}

#[test]
fn a_map_takes_no_entry_without_a_key_or_a_value() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let at = "node:\"/unit/m\",lane:shopping";
    let set = |body: &str| format!("@command({at})@{body}");
    let texts = ["update(key:) 1", "update(\"k\") 1", "update{key:z}", "update(key:a)", "update 1"].map(set);
    let got = exchange(&mut shard, &client, &texts.each_ref().map(String::as_str));
    assert_eq!(got, Vec::<String>::new());
    assert_eq!(shard.dead.len(), 5, "{:?}", shard.dead);
    assert!(shard.dead[0].reason.contains("takes no None as a key"), "{}", shard.dead[0].reason);
    assert!(shard.dead[3].reason.contains("takes no entry without a value"), "{}", shard.dead[3].reason);
    let got = exchange(&mut shard, &client, &[&format!("@sync({at})")]);
    assert_eq!(got, [format!("@linked({at})"), format!("@synced({at})")]);
}

#[test]
fn a_command_lane_tells_every_command_in_order() {
    let mut shard = shard();
    let (client, other) = (Client::new(&shard), Client::new(&shard));
    let at = "node:\"/unit/1\",lane:publish";
    let got = exchange(&mut shard, &client, &[&format!("@sync({at})")]);
    assert_eq!(got, [format!("@linked({at})"), format!("@synced({at})")]);
    let commands: Vec<String> = (0..100).map(|x| format!("@command({at}) {x}")).collect();
    other.send(&commands.iter().map(String::as_str).collect::<Vec<_>>());
    run(&mut shard);
    let wanted: Vec<String> = (0..100).map(|x| format!("@event({at}) {x}")).collect();
    assert_eq!(client.got(), wanted);
}

#[test]
fn a_command_link_that_does_not_keep_up_is_told_so() {
    let mut shard = shard();
    let (client, other) = (Client::new(&shard), Client::new(&shard));
    let at = "node:\"/unit/1\",lane:publish";
    client.send(&[&format!("@link({at})")]);
    run(&mut shard);
    for number in 0..101 {
        other.send(&[&format!("@command({at}) {number}")]);
    }
    run(&mut shard);
    let got = client.got();
    assert_eq!(got.len(), 2);
    assert!(got[1].starts_with(&format!("@unlinked({at})\"100 events wait already")), "{}", got[1]);
    assert!(shard.links.is_empty());
}

#[test]
fn what_is_not_there_is_answered_every_time() {
    let mut shard = shard();
    let client = Client::new(&shard);
    for _ in 0..3 {
        let got = exchange(
            &mut shard,
            &client,
            &[
                "@link(node:\"/nobody/1\",lane:info)",
                "@sync(node:\"/unit/1\",lane:nothing)",
                "@sync(node:\"/unit/1\",lane:_secret)",
                "@unlink(node:\"/nobody/1\",lane:info)",
            ],
        );
        assert_eq!(
            got,
            [
                "@unlinked(node:\"/nobody/1\",lane:info)@nodeNotFound",
                "@unlinked(node:\"/unit/1\",lane:nothing)@laneNotFound",
                "@unlinked(node:\"/unit/1\",lane:_secret)@laneNotFound",
            ]
        );
    }
    assert_eq!(shard.populations[0].table.len(), 0, "a link to a lane that is not there makes no twin");
}

#[test]
fn commands_that_cannot_be_applied_are_dead_letters_and_counted() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let got = exchange(
        &mut shard,
        &client,
        &[
            "@command(node:\"/nobody/1\",lane:info) 1",
            "@command(node:\"/unit/1\",lane:nothing) 1",
            "@command(node:\"/unit/1\",lane:count) 1",
            "@command(node:\"/unit/1\",lane:_secret) 1",
            "@command(node:\"/unit/1\",lane:publish) text",
            "@command(node:\"/unit/1\",lane:publish) 9",
        ],
    );
    assert_eq!(got, Vec::<String>::new());
    assert_eq!(shard.dead.len(), 5);
    let counts = shard.outside_counts;
    assert_eq!((counts.read, counts.applied, counts.dead), (6, 1, 5));
    assert_eq!(shard.dead[4].node, "/unit/1");
    assert_eq!(shard.dead[4].lane, "publish");
    assert_eq!(shard.dead[4].record, b"text");
    assert!(client.peer.outbox().closing().is_none());
}

#[test]
fn a_body_that_is_no_recon_ends_the_connection() {
    for text in ["@command(node:\"/unit/1\",lane:publish){a b}", "@link(node:\"/unit/1\",lane:info){"] {
        let mut shard = shard();
        let client = Client::new(&shard);
        exchange(&mut shard, &client, &[text]);
        assert_eq!(client.peer.outbox().closing().map(|(code, _)| code), Some(1002), "{text}");
    }
}

#[test]
fn addresses_are_matched_normalised_and_echoed_as_written() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &client, &["@sync(node:\"unit/%37\",lane:\"info?x\")"]);
    assert_eq!(got[0], "@linked(node:\"unit/%37\",lane:\"info?x\")");
    let got = exchange(&mut shard, &client, &["@command(node:\"/unit/7\",lane:publish) 1"]);
    assert_eq!(got, ["@event(node:\"unit/%37\",lane:\"info?x\") 1"]);
    let got = exchange(&mut shard, &client, &["@sync(node:\"/unit/7\",lane:info)"]);
    assert_eq!(got[0], "@event(node:\"unit/%37\",lane:\"info?x\") 1", "one link, the spelling that opened it");
    let other = Client::new(&shard);
    exchange(&mut shard, &other, &["@sync(node:\"/unit/7\",lane:info)"]);
    exchange(&mut shard, &client, &["@command(node:\"/unit/7\",lane:publish) 2"]);
    assert_eq!(other.got(), ["@event(node:\"/unit/7\",lane:info) 2"]);
}

#[test]
fn lanes_are_matched_normalised_too() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &client, &["@sync(node:\"/unit/7\",lane:\"inf%6F#f\")"]);
    assert_eq!(got[0], "@linked(node:\"/unit/7\",lane:\"inf%6F#f\")");
    let got = exchange(&mut shard, &client, &["@command(node:\"/unit/7\",lane:\"publi%73h?x=1\") 1"]);
    assert_eq!(got, ["@event(node:\"/unit/7\",lane:\"inf%6F#f\") 1"]);
    let private = ["@sync(node:\"/unit/7\",lane:\"%5Fsecret\")", "@command(node:\"/unit/7\",lane:\"%5Fsecret\") 2"];
    let got = exchange(&mut shard, &client, &private);
    assert_eq!(got, ["@unlinked(node:\"/unit/7\",lane:\"%5Fsecret\")@laneNotFound"]);
    assert_eq!(shard.dead.len(), 1);
    for lane in ["/info", "./info", "info%", "info%2", "info%ff", "info%3Fx"] {
        let asked = format!("(node:\"/unit/7\",lane:\"{lane}\")");
        let mut frames = Frames::default();
        let node = std::borrow::Cow::Borrowed("/unit/7");
        frames.push(&warp::Message { tag: Tag::Sync, node, lane: lane.into(), prio: 0.0, rate: 0.0, body: "" });
        client.peer.offer(frames);
        run(&mut shard);
        assert_eq!(client.got(), [format!("@unlinked{asked}@laneNotFound")]);
    }
}

#[test]
fn prio_rate_and_body_are_echoed() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &client, &["@link(node:\"/unit/1\",lane:info,prio:0.5,rate:10){a:1}"]);
    assert_eq!(got, ["@linked(node:\"/unit/1\",lane:info,prio:0.5,rate:10){a:1}"]);
}

#[test]
fn members_are_a_map_of_addresses() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let at = "node:\"/all\",lane:units";
    exchange(&mut shard, &client, &["@command(node:\"/unit/1\",lane:publish) 1"]);
    let got = exchange(&mut shard, &client, &[&format!("@sync({at})")]);
    assert_eq!(got[1], format!("@event({at})@update(key:\"/unit/1\") true"));
    let got = exchange(&mut shard, &client, &["@command(node:\"/unit/2\",lane:publish) 1"]);
    assert_eq!(got, [format!("@event({at})@update(key:\"/unit/2\") true")]);
    let row = shard.populations[0].table.find(b"1").unwrap();
    shard.forget_twin(PopulationId(0), row);
    run(&mut shard);
    assert_eq!(client.got(), [format!("@event({at})@remove(key:\"/unit/1\")")]);
}

#[test]
fn links_of_a_deleted_twin_end() {
    let mut shard = shard();
    let client = Client::new(&shard);
    exchange(&mut shard, &client, &["@sync(node:\"/unit/1\",lane:info)", "@link(node:\"/unit/1\",lane:count)"]);
    shard.forget_twin(PopulationId(0), 0);
    run(&mut shard);
    let mut got = client.got();
    got.sort();
    assert_eq!(got, ["@unlinked(node:\"/unit/1\",lane:count)", "@unlinked(node:\"/unit/1\",lane:info)"]);
    assert!(shard.links.is_empty());
}

#[test]
fn a_connection_has_so_many_links_and_twins() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let links: Vec<String> = (0..6).map(|x| format!("@link(node:\"/unit/{x}\",lane:info)")).collect();
    let got = exchange(&mut shard, &client, &links.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(got.iter().filter(|text| text.starts_with("@linked")).count(), 5);
    assert!(got[0].starts_with("@unlinked(node:\"/unit/5\",lane:info)\"this connection has 5 links"), "{}", got[0]);
    let commands: Vec<String> = (0..60).map(|x| format!("@command(node:\"/unit/c{x}\",lane:publish) 1")).collect();
    exchange(&mut shard, &client, &commands.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(shard.populations[0].table.len(), 50);
    assert_eq!(shard.dead.len(), 16);
    let other = Client::new(&shard);
    exchange(&mut shard, &other, &["@command(node:\"/unit/c59\",lane:publish) 1"]);
    assert_eq!(shard.populations[0].table.len(), 51, "another connection is none the worse");
}

#[test]
fn refusals_that_nobody_reads_are_bounded() {
    let mut shard = shard();
    let client = Client::new(&shard);
    for _ in 0..100 {
        client.send(&vec!["@link(node:\"/nobody/1\",lane:info)"; 20]);
        run(&mut shard);
    }
    let outbox = client.peer.outbox();
    assert!(outbox.bytes() <= BOUNDS.queue_bytes);
    let (code, reason) = outbox.closing().unwrap();
    assert!(code == 1008 && reason.contains("connection_queue"), "{code} {reason}");
}

#[test]
fn a_connection_that_is_over_leaves_nothing() {
    let mut shard = shard();
    let client = Client::new(&shard);
    exchange(&mut shard, &client, &["@sync(node:\"/unit/1\",lane:info)"]);
    client.send(&["@command(node:\"/unit/1\",lane:publish) 7"]);
    client.peer.leave();
    run(&mut shard);
    assert!(shard.links.is_empty());
    assert_eq!(shard.outside_counts.applied, 1, "what it had sent is applied");
}

#[test]
fn a_policy_is_asked_first() {
    let mut shard = shard();
    shard.allow = crate::allow::Allow::by(Box::new(|_, operation, node, _| match (operation, node) {
        (Operation::Link, "/unit/1") => Verdict::Deny,
        (_, "/unit/2") => Verdict::Forbid,
        _ => Verdict::Allow,
    }));
    let client = Client::new(&shard);
    let got =
        exchange(&mut shard, &client, &["@sync(node:\"/unit/1\",lane:info)", "@sync(node:\"/unit/3\",lane:info)"]);
    assert_eq!(got[0], "@unlinked(node:\"/unit/1\",lane:info)");
    assert_eq!(got[1], "@linked(node:\"/unit/3\",lane:info)");
    for other in ["unit/../unit/1", "//host/unit/1", "/%75nit/%31", "/unit/1?x"] {
        let got = exchange(&mut shard, &client, &[&format!("@sync(node:\"{other}\",lane:info)")]);
        assert_eq!(got, [format!("@unlinked(node:\"{other}\",lane:info)")], "the same twin by another name");
    }
    exchange(&mut shard, &client, &["@command(node:\"/unit/2\",lane:publish) 1"]);
    assert_eq!(client.peer.outbox().closing(), Some((1008, "Forbidden")));
    assert_eq!(shard.populations[0].table.len(), 1);
}

#[test]
fn authentication_is_answered() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let got = exchange(&mut shard, &client, &["@auth{token:abc}", "@deauth"]);
    assert_eq!(got, ["@authed", "@deauthed"]);
}

#[test]
fn server_sent_events_carry_json() {
    let mut shard = shard();
    let peer = shard.exchange.connect(Form::Events, "/unit/1", "test".to_owned(), BOUNDS);
    let client = Client { peer };
    client.send(&["@sync(node:\"/unit/1\",lane:info)"]);
    run(&mut shard);
    let other = Client::new(&shard);
    exchange(&mut shard, &other, &["@command(node:\"/unit/1\",lane:publish) 4"]);
    let mut text = Vec::new();
    while let Some(chunk) = client.peer.outbox().pop() {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.starts_with("event: info\nid: 0\ndata: {\"value\":null}\n\nevent: synced\nid: 0\ndata: \"info\"\n\n"),
        "{text}"
    );
    assert!(text.ends_with("data: {\"value\":4}\n\n"), "{text}");
}

// -- what changes by time alone, and schemas that grow

/// A unit with what folds keep of an hour, and an alarm that follows one of them, on a clock that the test moves.
fn elapsing() -> Shard {
    let column = |name: &str, kind: &str, default: serde_json::Value| serde_json::json!({"name": name, "type": kind, "default": default});
    let null = serde_json::Value::Null;
    let quiet = serde_json::json!({"active": false, "acked": false, "since": null, "text": "", "by": ""});
    let from = serde_json::json!({"command": {"command": 0, "slots": [0]}});
    serving(
        serde_json::json!({
            "app": "test", "zone": "UTC",
            "settings": {"max_sends": 10000, "max_hops": 64, "max_rounds": 16, "busy_bound": 1000,
                "commit_turns": 4096, "handler_seconds": 5.0},
            "populations": [{
                "name": "Unit", "pattern": [{"literal": "unit"}, {"parameter": "id"}],
                "columns": [column("kw", "float64", null.clone()), column("top", "float64", null),
                    column("past", "value", serde_json::json!([])), column("over", "bool", false.into()),
                    column("alarm", "value", quiet)],
                "maps": [], "changed": [], "timers": [], "members": [],
                "hooks": {"create": false, "start": false, "stop": false},
                "commands": [{"name": "publish", "body": {"scalar": {"kind": "float"}}}],
                "folds": [
                    {"out": 0, "input": from, "fold": "latest"},
                    {"out": 1, "input": from, "fold": "max", "window": {"last": 3_600_000_000_i64}},
                    {"out": 2, "input": {"column": 0}, "fold": "history", "last": 3_600_000_000_i64, "count": 10},
                    {"out": 3, "input": {"column": 0}, "fold": "above", "limit": {"constant": 10.0}},
                    {"out": 4, "input": {"column": 3}, "fold": "alarm", "text": "too much"}],
            }],
        }),
        true,
    )
}

#[test]
fn a_value_that_leaves_its_window_is_told_to_those_who_listen() {
    let mut shard = elapsing();
    let client = Client::new(&shard);
    let links = ["top", "past", "alarm"].map(|lane| format!("@link(node:\"/unit/1\",lane:{lane})"));
    exchange(&mut shard, &client, &links.each_ref().map(String::as_str));
    let mut got = exchange(&mut shard, &client, &["@command(node:\"/unit/1\",lane:publish) 12.5"]);
    got.sort();
    assert_eq!(
        got,
        [
            "@event(node:\"/unit/1\",lane:alarm){acked:false,active:true,by:\"\",since:\"2000-01-01T00:00:00Z\",text:\"too much\"}",
            "@event(node:\"/unit/1\",lane:past){{{\"2000-01-01T00:00:00Z\",12.5}}}",
            "@event(node:\"/unit/1\",lane:top) 12.5",
        ]
    );
    shard.clock.reach(shard.clock.now() + 3_599_999_999);
    run(&mut shard);
    assert_eq!(client.got(), Vec::<String>::new());
    shard.clock.reach(shard.clock.now() + 1);
    run(&mut shard);
    let mut got = client.got();
    got.sort();
    assert_eq!(got, ["@event(node:\"/unit/1\",lane:past){}", "@event(node:\"/unit/1\",lane:top)"]);
}

#[test]
fn links_outlive_the_growth_of_a_schema_and_new_lanes_can_be_linked_at_once() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let at = |lane: &str| format!("node:\"/unit/1\",lane:{lane}");
    let texts = ["info", "shopping"].map(|lane| format!("@link({})", at(lane)));
    exchange(&mut shard, &client, &texts.each_ref().map(String::as_str));
    // what has not been told yet when the columns move
    client.send(&[
        &format!("@command({}) 5", at("publish")),
        &format!("@command({})@update(key:milk) 1", at("shopping")),
    ]);
    shard.batch(Duration::from_secs(1));
    for _ in 0..100 {
        let step = shard.advance();
        if let Step::Admit { .. } = step {
            let pair = match shard.hand.as_ref().map(|envelope| &envelope.body) {
                Some(Body::Tree(Value::List(pair))) => pair.to_vec(),
                other => panic!("{other:?}"),
            };
            shard.admitted(Ok(pair));
        }
    }
    let mut grown = declared();
    let unit = &mut grown["populations"][0];
    for number in 0..70 {
        let new = serde_json::json!({"name": format!("new{number}"), "type": "int64", "default": number});
        unit["columns"].as_array_mut().unwrap().push(new);
    }
    let from = serde_json::json!({"command": {"command": 0, "slots": [0]}});
    unit["folds"].as_array_mut().unwrap().push(serde_json::json!({"out": 73, "input": from, "fold": "max"}));
    shard.extend(serde_json::from_value(grown).unwrap()).unwrap();
    let mut got = client.got();
    got.sort();
    assert_eq!(got, [format!("@event({}) 5", at("info")), format!("@event({})@update(key:milk) 1", at("shopping"))]);
    let got = exchange(&mut shard, &client, &[&format!("@sync({})", at("new69"))]);
    let synced = [("linked", ""), ("event", " 69"), ("synced", "")];
    assert_eq!(got, synced.map(|(tag, body)| format!("@{tag}({}){body}", at("new69"))));
    let mut got = exchange(
        &mut shard,
        &client,
        &[&format!("@command({}) 80", at("publish")), &format!("@command({})@update(key:salt) 2", at("shopping"))],
    );
    got.sort();
    let told = [("info", " 80"), ("new69", " 80"), ("shopping", "@update(key:salt) 2")];
    assert_eq!(got, told.map(|(lane, body)| format!("@event({}){body}", at(lane))));
}

#[test]
fn a_list_lane_tells_every_operation_in_order() {
    let mut shard = shard();
    let client = Client::new(&shard);
    let command = |body: &str| format!("@command(node:\"/unit/1\",lane:stops){body}");
    let event = |body: &str| format!("@event(node:\"/unit/1\",lane:stops){body}");
    let got = exchange(&mut shard, &client, &["@sync(node:\"/unit/1\",lane:stops)"]);
    assert_eq!(got, ["@linked(node:\"/unit/1\",lane:stops)", "@synced(node:\"/unit/1\",lane:stops)"]);
    for (sent, told) in [
        ("@update(index:0) 10", "@update(index:0,key:0) 10"),
        ("@update(index:1,key:%AQID) 20", "@update(index:1,key:%AQID) 20"),
        ("@update(index:0,key:front) 30", "@update(index:0,key:front) 30"),
        ("@update(index:0) 31", "@update(index:0,key:front) 31"),
        // the key goes before an index that has shifted
        ("@update(index:0,key:%AQID) 21", "@update(index:2,key:%AQID) 21"),
        ("@move(from:2,to:0)", "@move(from:2,to:0,key:%AQID)"),
        ("@move(from:0,to:2,key:front)", "@move(from:1,to:2,key:front)"),
        ("@remove(index:1)", "@remove(index:1,key:0)"),
        ("@remove(index:0,key:front)", "@remove(index:1,key:front)"),
    ] {
        assert_eq!(exchange(&mut shard, &client, &[&command(sent)]), [event(told)], "{sent}");
    }
    let got = exchange(&mut shard, &client, &[&command("@update(index:1) 5"), &command("@update(index:2) 6")]);
    assert_eq!(got, [event("@update(index:1,key:1) 5"), event("@update(index:2,key:2) 6")]);
    let got = exchange(&mut shard, &client, &[&command("@drop(1)"), &command("@take(1)")]);
    assert_eq!(got, [event("@remove(index:0,key:%AQID)"), event("@remove(index:1,key:2)")]);
    let got = exchange(&mut shard, &client, &["@sync(node:\"/unit/1\",lane:stops)"]);
    assert_eq!(got, [event("@update(index:0,key:1) 5"), "@synced(node:\"/unit/1\",lane:stops)".to_owned()]);
    assert_eq!(exchange(&mut shard, &client, &[&command("@clear")]), [event("@clear")]);
}

#[test]
fn what_a_list_lane_cannot_do_is_a_dead_letter_that_says_why() {
    let mut shard = shard();
    let client = Client::new(&shard);
    for (body, reason) in [
        ("@update(index:1) 5", "`stops` has 0 elements, and 1 is no index of it"),
        ("@update(index:-1) 5", "`stops` has 0 elements, and -1 is no index of it"),
        ("@move(from:0,to:1)", "`stops` has 0 elements, and 0 is no index of it"),
        ("@move(from:0,to:1,key:k)", "`stops` has no element with the key \"k\""),
        ("@remove(index:0)", "`stops` has 0 elements, and 0 is no index of it"),
        ("@insert(index:0) 5", "a list lane takes @update(index:"),
        (" direct", "a list lane takes @update(index:"),
    ] {
        exchange(&mut shard, &client, &[&format!("@command(node:\"/unit/1\",lane:stops){body}")]);
        let letters = shard.take_letters();
        assert_eq!(letters.len(), 1, "{body}");
        assert!(letters[0].reason.starts_with(reason), "{}", letters[0].reason);
    }
    // that is gone already
    exchange(&mut shard, &client, &["@command(node:\"/unit/1\",lane:stops)@remove(index:0,key:k)"]);
    assert_eq!(shard.take_letters(), []);
}

#[test]
fn an_operation_on_a_map_may_come_as_a_tree() {
    let mut shard = shard();
    for (body, expected) in [("@update(key:a) 1", 1), ("@update(key:b) 2", 2), ("@remove(key:a)", 1), ("@clear", 0)] {
        let tree = recon::read_body(body).unwrap();
        shard.post("test".into(), Node::Uri("/unit/1".into()), Lane::Named("shopping".into()), Body::Tree(tree));
        run(&mut shard);
        assert_eq!(shard.take_letters(), [], "{body}");
        let table = &shard.populations[0].table;
        assert_eq!(table.maps[0].len(table.find(b"1").unwrap()), expected, "{body}");
    }
}
