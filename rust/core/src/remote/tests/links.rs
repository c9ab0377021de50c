//! Links to lanes: what is told, in which order, over breaks, and to whom.

use super::*;

#[test]
fn a_value_lane_tells_its_state_and_every_change() {
    let mut pair = Pair::new();
    pair.far_set("note", text("before"));
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    let value = |value: &str| RemoteNews::Event(id, Operation::Value(text(value)));
    let got = pair.until_news(RemoteNews::Synced(id));
    assert_eq!(got, [RemoteNews::Linked(id), value("before"), RemoteNews::Synced(id)]);
    pair.far_set("note", text("after"));
    assert_eq!(pair.until_news(value("after")), [value("after")]);
}

#[test]
fn without_sync_only_changes_are_told() {
    let mut pair = Pair::new();
    pair.far_set("note", text("before"));
    let id = pair.open("/unit/1", "note", Shape::Value, false);
    assert_eq!(pair.until_news(RemoteNews::Linked(id)), [RemoteNews::Linked(id)]);
    pair.far_set("note", text("after"));
    let change = RemoteNews::Event(id, Operation::Value(text("after")));
    assert_eq!(pair.until_news(change.clone()), [change]);
}

#[test]
fn a_map_tells_its_entries_and_what_becomes_of_them() {
    let mut pair = Pair::new();
    pair.far_set("shopping", pair_of("milk", 2));
    let id = pair.open("/unit/1", "shopping", Shape::Map, true);
    let put = |key: &str, value: i64| RemoteNews::Event(id, Operation::Update(text(key), Value::Int(value)));
    let got = pair.until_news(RemoteNews::Synced(id));
    assert_eq!(got, [RemoteNews::Linked(id), put("milk", 2), RemoteNews::Synced(id)]);
    pair.far_set("shopping", pair_of("eggs", 6));
    assert_eq!(pair.until_news(put("eggs", 6)), [put("eggs", 6)]);
    pair.far_set("shopping", Value::List([text("milk")].into()));
    let gone = RemoteNews::Event(id, Operation::Remove(text("milk")));
    assert_eq!(pair.until_news(gone.clone()), [gone]);
}

#[test]
fn a_command_lane_tells_bodies() {
    let mut pair = Pair::new();
    let id = pair.open("/unit/1", "publish", Shape::Event, false);
    pair.until_news(RemoteNews::Linked(id));
    for n in 0..100 {
        post(&mut pair.far, "/unit/1", "publish", Value::Int(n));
    }
    let got = pair.until_news(RemoteNews::Event(id, Operation::Body(Value::Int(99))));
    let bodies: Vec<_> = (0..100).map(|n| RemoteNews::Event(id, Operation::Body(Value::Int(n)))).collect();
    assert_eq!(got, bodies);
}

#[test]
fn a_second_user_sees_the_state_and_the_last_one_unlinks() {
    let mut pair = Pair::new();
    pair.far_set("note", text("here"));
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Synced(id));
    assert_eq!(pair.open("/unit/1", "note", Shape::Value, true), id);
    let got = pair.until_news(RemoteNews::Synced(id));
    assert_eq!(got, [RemoteNews::Event(id, Operation::Value(text("here"))), RemoteNews::Synced(id)]);
    assert_eq!(pair.far.links.len(), 1);
    pair.near.remotes.close(id);
    pair.near.commit();
    pair.far_set("note", text("still"));
    pair.until_news(RemoteNews::Event(id, Operation::Value(text("still"))));
    pair.near.remotes.close(id);
    pair.near.commit();
    pair.until("it is unlinked", |pair| pair.far.links.is_empty());
    pair.until("nothing is left of it", |pair| pair.near.remotes.status()[0].links == 0);
}

#[test]
fn links_to_one_server_share_one_socket_which_is_closed_when_nobody_needs_it() {
    let mut pair = Pair::with(serde_json::json!({"remote_idle_seconds": 0.05}));
    let ids: Vec<_> = (0..50).map(|n| pair.open(&format!("/unit/{n}"), "note", Shape::Value, true)).collect();
    for id in &ids {
        let last = RemoteNews::Synced(*id);
        pair.until("synced", |pair| pair.news.contains(&last));
    }
    assert_eq!(pair.near.remotes.status().len(), 1);
    ids.iter().for_each(|id| pair.near.remotes.close(*id));
    pair.near.commit();
    pair.until("the connection is closed", |pair| !pair.near.remotes.status()[0].is_connected);
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Synced(id));
}

#[test]
fn links_come_back_with_their_server_and_see_its_state() {
    let mut pair = Pair::new();
    pair.far_set("note", text("old"));
    let value = pair.open("/unit/1", "note", Shape::Value, true);
    let map = pair.open("/unit/1", "shopping", Shape::Map, false);
    pair.until_news(RemoteNews::Synced(value));
    for round in 0..3 {
        pair.stop();
        // the map's is the second of the two
        let got = pair.until_news(RemoteNews::Broken(map));
        assert!(got.contains(&RemoteNews::Broken(value)), "{got:?}");
        let now = format!("new {round}");
        pair.far_set("note", text(&now));
        pair.listen();
        let synced = [
            RemoteNews::Linked(value),
            RemoteNews::Event(value, Operation::Value(text(&now))),
            RemoteNews::Synced(value),
        ];
        pair.until("both are back", |pair| {
            pair.news.contains(&RemoteNews::Linked(map)) && pair.news.contains(&RemoteNews::Synced(value))
        });
        let got: Vec<_> = pair.news.drain(..).filter(|news| news.uplink() == value).collect();
        assert_eq!(got, synced);
    }
}

#[test]
fn one_whose_server_is_not_there_yet_says_so_once_and_links_when_it_is() {
    let mut pair = Pair::new();
    pair.stop();
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Broken(id));
    pair.until("the next attempt", |pair| pair.near.remotes.status()[0].trouble.contains("nobody listens"));
    pair.listen();
    assert!(!pair.until_news(RemoteNews::Synced(id)).contains(&RemoteNews::Broken(id)));
}

#[test]
fn what_the_shard_does_not_take_is_conflated_by_the_server() {
    let mut pair = Pair::with(serde_json::json!({"connection_intake": 65_536}));
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Synced(id));
    let long = "x".repeat(10_000);
    let count = 4_000;
    for n in 0..count {
        pair.far_set("note", text(&format!("{n} {long}")));
    }
    let last = RemoteNews::Event(id, Operation::Value(text(&format!("{} {long}", count - 1))));
    let got = pair.until_news(last);
    assert!(got.len() < count, "{} of {count} came", got.len());
}

#[test]
fn a_frame_of_any_length_comes_whole() {
    let mut pair = Pair::new();
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Synced(id));
    for length in [10, 1_000, 70_000, 3 << 20, 10] {
        let long = text(&"y".repeat(length));
        pair.far_set("note", long.clone());
        assert_eq!(pair.until_news(RemoteNews::Event(id, Operation::Value(long.clone()))).len(), 1);
    }
}

#[test]
fn links_and_servers_are_bounded() {
    let mut pair = Pair::with(serde_json::json!({"connection_links": 2, "remote_hosts": 2}));
    for lane in ["note", "info"] {
        pair.open("/unit/1", lane, Shape::Value, true);
    }
    let address = pair.address("/unit/1", "kept");
    pair.open("/unit/1", "note", Shape::Value, true);
    let refused = pair.near.remotes.open(&address, Shape::Value, true, 0.0, 0.0).unwrap_err();
    assert!(refused.contains("connection_links"), "{refused}");
    for (port, fits) in [(1, true), (2, false)] {
        let address = Address::parse(&format!("warp://127.0.0.1:{port}/a"), "b").unwrap();
        let opened = pair.near.remotes.open(&address, Shape::Value, true, 0.0, 0.0);
        assert_eq!(opened.is_ok(), fits, "{opened:?}");
        assert!(fits || opened.unwrap_err().contains("remote_hosts"));
    }
}

#[test]
fn links_live_on_when_the_threads_of_the_shards_own_server_end() {
    let mut pair = Pair::new();
    let limits = pair.near.settings.limits.clone();
    let own = Server::start("127.0.0.1", 0, limits, Arc::clone(&pair.near.exchange)).unwrap();
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Synced(id));
    assert!(pair.near.remotes.runtime.is_none(), "they use the server's");
    own.stop(Duration::from_secs(5));
    pair.until_news(RemoteNews::Broken(id));
    pair.until_news(RemoteNews::Synced(id));
    assert!(pair.near.remotes.runtime.is_some());
}
