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
