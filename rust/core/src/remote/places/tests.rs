//! What is sent and told, without a socket.

use super::*;
use crate::links::Operation;
use crate::warp::read;

struct Rig {
    places: Places,
    next: u32,
}

fn patience() -> Patience {
    let second = Duration::from_secs(1);
    Patience { parting: 2 * second, answer: 60 * second, absent: second, tries: 2 }
}

impl Rig {
    /// With a connection.
    fn new() -> Self {
        let mut places = Places::new(patience());
        places.begin(&mut Effects::default());
        Rig { places, next: 0 }
    }

    fn open_as(&mut self, shape: Shape, sync: bool, rate: f64) -> (UplinkId, Effects) {
        let mut effects = Effects::default();
        let wish = Wish { shape, sync, prio: 0.0, rate, need: 0 };
        let id = self.places.open("/a%2fb", "x", wish, UplinkId(self.next), &mut effects);
        self.next += 1;
        (id, effects)
    }

    fn open(&mut self, sync: bool) -> (UplinkId, Vec<String>) {
        let (id, effects) = self.open_as(Shape::Value, sync, 0.0);
        (id, asks(&effects))
    }

    fn close(&mut self, id: UplinkId) -> Vec<String> {
        let mut effects = Effects::default();
        self.places.close("/a%2fb", "x", id, 0, &mut effects);
        asks(&effects)
    }

    fn hear(&mut self, text: &str) -> Effects {
        let mut effects = Effects::default();
        self.places.hear(&read(text).unwrap(), &mut effects).unwrap();
        effects
    }

    fn tend(&mut self, seconds: u64) -> Effects {
        let mut effects = Effects::default();
        self.places.tend(Instant::now() + Duration::from_secs(seconds), &mut effects);
        effects
    }

    fn break_and_return(&mut self) -> (Effects, Effects) {
        let (mut broken, mut begun) = (Effects::default(), Effects::default());
        self.places.broke(&mut broken);
        self.places.begin(&mut begun);
        (broken, begun)
    }
}

fn asks(effects: &Effects) -> Vec<String> {
    effects.asks.iter().map(|(_, text)| String::from_utf8(text.clone()).unwrap()).collect()
}

const SYNC: &str = "@sync(node:\"/a%2fb\",lane:x)";
const LINK: &str = "@link(node:\"/a%2fb\",lane:x)";
const UNLINK: &str = "@unlink(node:\"/a%2fb\",lane:x)";
// the server writes its escapes in the other case
const LINKED: &str = "@linked(node:\"/a%2Fb\",lane:x)";
const SYNCED: &str = "@synced(node:\"/a%2Fb\",lane:x)";
const UNLINKED: &str = "@unlinked(node:\"/a%2Fb\",lane:x)";
const NOT_FOUND: &str = "@unlinked(node:\"/a%2Fb\",lane:x)@nodeNotFound";

#[test]
fn one_link_serves_all_and_the_last_one_unlinks() {
    let mut rig = Rig::new();
    let (id, sent) = rig.open(true);
    assert_eq!(sent, [SYNC]);
    assert_eq!(rig.open(true), (id, vec![]), "its state is still to come");
    assert_eq!(rig.hear(LINKED).news, [RemoteNews::Linked(id)]);
    assert_eq!(rig.open(true), (id, vec![SYNC.to_owned()]), "it has to see the state, too");
    assert_eq!(rig.open(false), (id, vec![]));
    assert_eq!(rig.hear(LINKED).news, [], "told once");
    assert_eq!(rig.close(id), [UNLINK]);
    assert_eq!(rig.places.len(), 1);
    assert_eq!(rig.hear("@event(node:\"/a%2fb\",lane:x) 1").news, []);
    assert_eq!(rig.hear(UNLINKED).news, []);
    assert!(rig.places.is_empty());
}

#[test]
fn one_that_is_opened_again_hears_nothing_of_the_one_before() {
    let mut rig = Rig::new();
    let (old, _) = rig.open(true);
    rig.hear(LINKED);
    assert_eq!(rig.close(old), [UNLINK]);
    let (new, sent) = rig.open(false);
    assert_ne!(new, old);
    assert_eq!(sent, [LINK]);
    assert_eq!(rig.hear("@event(node:\"/a%2fb\",lane:x) 1").news, []);
    assert_eq!(rig.hear(UNLINKED).news, []);
    assert_eq!(rig.hear(LINKED).news, [RemoteNews::Linked(new)]);
}

#[test]
fn a_server_that_answers_no_unlink_is_asked_again() {
    let mut rig = Rig::new();
    let (old, _) = rig.open(true);
    rig.close(old);
    let (new, _) = rig.open(true);
    assert_eq!(asks(&rig.tend(59)), [""; 0]);
    assert_eq!(asks(&rig.tend(61)), [SYNC]);
    assert_eq!(rig.hear(LINKED).news, [RemoteNews::Linked(new)]);
    assert_eq!(rig.close(new), [UNLINK]);
    rig.tend(61);
    assert!(rig.places.is_empty());
}

#[test]
fn shapes_have_ids_of_their_own_on_one_link() {
    let mut rig = Rig::new();
    let (value, _) = rig.open_as(Shape::Value, true, 0.0);
    rig.hear(LINKED);
    let (event, effects) = rig.open_as(Shape::Event, false, 0.0);
    assert_eq!((asks(&effects), effects.news), (vec![], vec![RemoteNews::Linked(event)]));
    let both = [
        RemoteNews::Event(value, Operation::Value(Value::Int(1))),
        RemoteNews::Event(event, Operation::Body(Value::Int(1))),
    ];
    assert_eq!(rig.hear("@event(node:\"/a%2fb\",lane:x) 1").news, both);
    assert_eq!(rig.close(value), [""; 0]);
    assert_eq!(rig.close(event), [UNLINK]);
}

#[test]
fn the_server_sends_as_often_as_the_one_wants_who_wants_it_most_often() {
    let mut rig = Rig::new();
    let (_, effects) = rig.open_as(Shape::Value, false, 5.0);
    assert_eq!(asks(&effects), ["@link(node:\"/a%2fb\",lane:x,rate:5)"]);
    assert_eq!(asks(&rig.open_as(Shape::Value, false, 2.0).1), [""; 0]);
    assert_eq!(asks(&rig.open_as(Shape::Value, false, 0.0).1), [LINK]);
}

#[test]
fn a_break_is_told_once_and_everything_is_asked_for_again() {
    let mut rig = Rig::new();
    let (id, _) = rig.open(true);
    rig.hear(LINKED);
    let (broken, begun) = rig.break_and_return();
    assert_eq!(broken.news, [RemoteNews::Broken(id)]);
    assert_eq!(asks(&begun), [SYNC]);
    let (broken, _) = rig.break_and_return();
    assert_eq!(broken.news, []);
    assert_eq!(rig.hear(SYNCED).news, [RemoteNews::Linked(id), RemoteNews::Synced(id)]);
}

#[test]
fn what_a_server_refuses_is_told_with_the_reason() {
    let mut rig = Rig::new();
    let (id, _) = rig.open(true);
    let effects = rig.hear(NOT_FOUND);
    assert_eq!(effects.news, [RemoteNews::Unlinked(id, "nodeNotFound".to_owned())]);
    assert_eq!(asks(&effects), [UNLINK], "or swim-java never answers for it again");
    assert!(rig.places.is_empty());
    let (again, sent) = rig.open(true);
    assert_eq!(sent, [SYNC]);
    let got = rig.hear("@unlinked(node:\"/a%2fb\",lane:x)\"Link closed.\"").news;
    assert_eq!(got, [RemoteNews::Unlinked(again, "Link closed.".to_owned())]);
}

#[test]
fn a_node_that_is_gone_after_a_break_is_asked_for_a_few_times() {
    let mut rig = Rig::new();
    let (id, _) = rig.open(true);
    rig.hear(LINKED);
    rig.break_and_return();
    assert_eq!(rig.hear(NOT_FOUND).news, []);
    assert_eq!(asks(&rig.tend(0)), [""; 0]);
    assert_eq!(asks(&rig.tend(1)), [UNLINK, SYNC]);
    assert_eq!(rig.hear(NOT_FOUND).news, []);
    assert_eq!(asks(&rig.tend(1)), [""; 0], "the second pause is longer");
    assert_eq!(asks(&rig.tend(2)), [UNLINK, SYNC]);
    assert_eq!(rig.hear(NOT_FOUND).news, [RemoteNews::Unlinked(id, "nodeNotFound".to_owned())]);
}

#[test]
fn an_end_without_a_reason_may_be_that_of_the_server() {
    let mut rig = Rig::new();
    let (id, _) = rig.open(true);
    rig.hear(LINKED);
    assert_eq!(rig.hear(UNLINKED).news, []);
    let (broken, begun) = rig.break_and_return();
    assert_eq!((broken.news, asks(&begun)), (vec![RemoteNews::Broken(id)], vec![SYNC.to_owned()]));
    rig.hear(LINKED);
    assert_eq!(rig.hear(UNLINKED).news, []);
    assert_eq!(rig.tend(2).news, [RemoteNews::Unlinked(id, String::new())]);
}
