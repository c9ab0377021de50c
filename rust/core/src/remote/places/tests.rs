//! Each answer of a server in each state of a link, without a socket.

use super::*;
use crate::links::Operation;
use crate::warp;

const A: UplinkId = UplinkId(1);
const B: UplinkId = UplinkId(2);

fn places() -> Places {
    let second = Duration::from_secs(1);
    Places::new(Patience { parting: second, answer: second, absent: second, tries: 2 })
}

fn wish(shape: Shape, sync: bool) -> Wish {
    Wish { shape, sync, prio: 0.0, rate: 0.0, need: 0 }
}

fn asks(effects: &mut Effects) -> Vec<String> {
    std::mem::take(&mut effects.asks).into_iter().map(|(_, text)| String::from_utf8(text).unwrap()).collect()
}

/// What is told after this envelope.
fn heard(places: &mut Places, text: &str) -> (Vec<RemoteNews>, Vec<String>) {
    let mut effects = Effects::default();
    places.hear(&warp::read(text).unwrap(), &mut effects).unwrap();
    let asks = asks(&mut effects);
    (effects.news, asks)
}

fn opened(places: &mut Places, id: UplinkId, shape: Shape, sync: bool) -> (UplinkId, Vec<RemoteNews>, Vec<String>) {
    let mut effects = Effects::default();
    let id = places.open("/a", "x", wish(shape, sync), id, &mut effects);
    let asks = asks(&mut effects);
    (id, effects.news, asks)
}

/// With a connection and a link of the value of `x`, which the server has answered.
fn linked() -> Places {
    let mut places = places();
    places.begin(&mut Effects::default());
    opened(&mut places, A, Shape::Value, true);
    assert_eq!(heard(&mut places, "@linked(node:\"/a\",lane:x)").0, [RemoteNews::Linked(A)]);
    places
}

fn closed(places: &mut Places, id: UplinkId) -> Vec<String> {
    let mut effects = Effects::default();
    places.close("/a", "x", id, 0, &mut effects);
    asks(&mut effects)
}

fn later(places: &mut Places) -> (Vec<RemoteNews>, Vec<String>) {
    let mut effects = Effects::default();
    places.tend(Instant::now() + Duration::from_secs(60), &mut effects);
    let asks = asks(&mut effects);
    (effects.news, asks)
}

#[test]
fn a_link_is_asked_for_when_there_is_a_connection_and_by_each_new_one() {
    let mut places = places();
    assert_eq!(opened(&mut places, A, Shape::Value, true), (A, vec![], vec![]));
    for _ in 0..2 {
        let mut effects = Effects::default();
        places.begin(&mut effects);
        assert_eq!(asks(&mut effects), ["@sync(node:\"/a\",lane:x)"]);
        let mut effects = Effects::default();
        places.broke(&mut effects);
        places.broke(&mut effects);
        // the first outage is told once; the second one, without an answer in between, is the same
        assert!(effects.news.len() <= 1, "{:?}", effects.news);
    }
}

#[test]
fn a_break_is_told_once_until_the_server_answers_again() {
    let mut places = linked();
    let mut effects = Effects::default();
    places.broke(&mut effects);
    places.broke(&mut effects);
    assert_eq!(effects.news, [RemoteNews::Broken(A)]);
    places.begin(&mut Effects::default());
    assert_eq!(heard(&mut places, "@linked(node:\"/a\",lane:x)").0, [RemoteNews::Linked(A)]);
    let mut effects = Effects::default();
    places.broke(&mut effects);
    assert_eq!(effects.news, [RemoteNews::Broken(A)]);
}

#[test]
fn users_of_one_shape_share_a_view_and_each_shape_reads_in_its_own_way() {
    let mut places = linked();
    assert_eq!(opened(&mut places, B, Shape::Value, false), (A, vec![], vec![]));
    let told = opened(&mut places, B, Shape::Event, true);
    assert_eq!(told, (B, vec![RemoteNews::Linked(B)], vec!["@sync(node:\"/a\",lane:x)".to_owned()]));
    assert_eq!(places.len(), 1);
    let event = heard(&mut places, "@event(node:\"/a\",lane:x) 5").0;
    let five = Value::Int(5);
    assert_eq!(
        event,
        [RemoteNews::Event(A, Operation::Value(five.clone())), RemoteNews::Event(B, Operation::Body(five))]
    );
    assert_eq!(closed(&mut places, A), Vec::<String>::new());
    assert_eq!(closed(&mut places, B), ["@unlink(node:\"/a\",lane:x)"]);
}

#[test]
fn what_comes_before_the_answer_to_an_unlink_belongs_to_the_link_before() {
    let mut places = linked();
    closed(&mut places, A);
    let (id, _, asked) = opened(&mut places, B, Shape::Value, true);
    assert_eq!((id, asked), (B, vec!["@sync(node:\"/a\",lane:x)".to_owned()]));
    assert_eq!(heard(&mut places, "@event(node:\"/a\",lane:x) 1").0, []);
    assert_eq!(heard(&mut places, "@unlinked(node:\"/a\",lane:x)").0, []);
    assert_eq!(heard(&mut places, "@linked(node:\"/a\",lane:x)").0, [RemoteNews::Linked(B)]);
}

#[test]
fn a_link_that_is_closed_is_gone_when_the_server_says_so_or_says_nothing() {
    let mut places = linked();
    closed(&mut places, A);
    heard(&mut places, "@unlinked(node:\"/a\",lane:x)");
    assert!(places.is_empty());
    let mut places = linked();
    closed(&mut places, A);
    assert!(!places.is_empty());
    assert_eq!(later(&mut places), (vec![], vec![]));
    assert!(places.is_empty());
}

#[test]
fn a_refusal_ends_the_link_with_its_reason() {
    let mut places = places();
    places.begin(&mut Effects::default());
    opened(&mut places, A, Shape::Value, true);
    let told = heard(&mut places, "@unlinked(node:\"/a\",lane:x) @laneNotFound");
    // swim-java answers nothing more for what it has refused before it is told so
    let unlink = vec!["@unlink(node:\"/a\",lane:x)".to_owned()];
    assert_eq!(told, (vec![RemoteNews::Unlinked(A, "laneNotFound".into())], unlink));
    assert!(places.is_empty());
}

#[test]
fn an_end_without_a_reason_is_told_when_the_connection_has_outlived_it() {
    let mut places = linked();
    assert_eq!(heard(&mut places, "@unlinked(node:\"/a\",lane:x)").0, []);
    assert_eq!(later(&mut places).0, [RemoteNews::Unlinked(A, String::new())]);
    let mut places = linked();
    heard(&mut places, "@unlinked(node:\"/a\",lane:x)");
    let mut effects = Effects::default();
    places.broke(&mut effects);
    assert_eq!(effects.news, [RemoteNews::Broken(A)]);
    assert_eq!(later(&mut places).0, []);
}

#[test]
fn a_node_that_a_server_has_lost_is_asked_for_again_so_many_times() {
    let gone = "@unlinked(node:\"/a\",lane:x) @nodeNotFound";
    let mut places = linked();
    places.broke(&mut Effects::default());
    places.begin(&mut Effects::default());
    for _ in 0..2 {
        assert_eq!(heard(&mut places, gone), (vec![], vec![]));
        let (news, asked) = later(&mut places);
        assert_eq!(news, []);
        assert_eq!(asked, ["@unlink(node:\"/a\",lane:x)", "@sync(node:\"/a\",lane:x)"]);
    }
    assert_eq!(heard(&mut places, gone).0, [RemoteNews::Unlinked(A, "nodeNotFound".into())]);
}

#[test]
fn addresses_are_compared_in_their_normal_form() {
    let mut places = places();
    places.begin(&mut Effects::default());
    places.open("/b%2fc", "x", wish(Shape::Value, false), A, &mut Effects::default());
    assert_eq!(heard(&mut places, "@linked(node:\"/b%2Fc\",lane:x)").0, [RemoteNews::Linked(A)]);
    assert_eq!(heard(&mut places, "@linked(node:\"/other\",lane:x)").0, []);
}

#[test]
fn the_highest_rate_and_priority_of_all_users_are_asked_for() {
    let mut places = places();
    places.begin(&mut Effects::default());
    let mut effects = Effects::default();
    for (prio, rate) in [(0.5, 2.0), (0.2, 8.0), (0.1, 4.0)] {
        places.open("/a", "x", Wish { prio, rate, ..wish(Shape::Value, false) }, A, &mut effects);
    }
    let asked = asks(&mut effects);
    assert_eq!(asked, ["@link(node:\"/a\",lane:x,prio:0.5,rate:2.0)", "@link(node:\"/a\",lane:x,prio:0.5,rate:8.0)"]);
}

#[test]
fn a_body_that_is_no_recon_is_an_error() {
    let mut places = linked();
    let message = warp::read("@event(node:\"/a\",lane:x) {").unwrap();
    assert!(places.hear(&message, &mut Effects::default()).is_err());
}
