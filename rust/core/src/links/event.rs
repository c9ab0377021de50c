//! The frames that links get, in the peer's form: WARP envelopes with Recon bodies, or Server-Sent Events with JSON.

use bytes::Bytes;

use crate::decode::write_json;
use crate::outbox::text_frame;
use crate::peer::Form;
use crate::recon::{write_body, write_interop as write_value};
use crate::value::Value;
use crate::warp::{Tag, write_header};

/// What has happened to a lane.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// A value lane was written. Null: it is unset, or None.
    Value(Value),
    /// A map lane's entry was set.
    Update(Value, Value),
    Remove(Value),
    Clear,
    /// A list lane's element was put in at this index, or the one there has become another.
    Element {
        index: u32,
        key: Value,
        value: Value,
    },
    /// A list lane's element was taken out at one index and put in at the other.
    Move {
        from: u32,
        to: u32,
        key: Value,
    },
    /// A list lane's element at this index is gone.
    Out {
        index: u32,
        key: Value,
    },
    /// A command lane has taken this body.
    Body(Value),
    /// Of a map's entries or a list's elements only the first ones stay. Other servers say so; a lane here tells each.
    Take(usize),
    /// The first ones are gone.
    Drop(usize),
    /// A supply lane was given this item.
    Item(Value),
}

impl Operation {
    /// Tells the keys of a map lane apart.
    pub fn key(&self) -> Bytes {
        match self {
            Operation::Update(key, _) | Operation::Remove(key) => {
                let mut out = Vec::new();
                write_value(key, &mut out);
                out.into()
            }
            _ => Bytes::new(),
        }
    }
}

/// An operation's body as Recon, as it follows an envelope's header (warp.md, 3 and 6).
pub fn event_body(operation: &Operation, out: &mut Vec<u8>) {
    match operation {
        Operation::Value(value) | Operation::Body(value) | Operation::Item(value) => write_body(value, out),
        Operation::Update(key, value) => {
            out.extend_from_slice(b"@update(key:");
            write_value(key, out);
            out.push(b')');
            write_body(value, out);
        }
        Operation::Remove(key) => {
            out.extend_from_slice(b"@remove(key:");
            write_value(key, out);
            out.push(b')');
        }
        Operation::Clear => out.extend_from_slice(b"@clear"),
        Operation::Element { index, key, value } => {
            out.extend_from_slice(format!("@update(index:{index},key:").as_bytes());
            write_value(key, out);
            out.push(b')');
            write_body(value, out);
        }
        Operation::Move { from, to, key } => {
            out.extend_from_slice(format!("@move(from:{from},to:{to},key:").as_bytes());
            write_value(key, out);
            out.push(b')');
        }
        Operation::Out { index, key } => {
            out.extend_from_slice(format!("@remove(index:{index},key:").as_bytes());
            write_value(key, out);
            out.push(b')');
        }
        Operation::Take(count) => out.extend_from_slice(format!("@take({count})").as_bytes()),
        Operation::Drop(count) => out.extend_from_slice(format!("@drop({count})").as_bytes()),
    }
}

/// An envelope's header.
pub fn address(tag: Tag, node: &str, lane: &str, prio: f64, rate: f64) -> Vec<u8> {
    let mut out = Vec::with_capacity(node.len() + lane.len() + 48);
    write_header(&mut out, tag, node, lane, prio, rate);
    out
}

/// The frame of an event.
pub fn event(form: Form, node: &str, lane: &str, operation: &Operation, commit: u64) -> Bytes {
    match form {
        Form::Warp => {
            let mut out = address(Tag::Event, node, lane, 0.0, 0.0);
            event_body(operation, &mut out);
            text_frame(&out)
        }
        Form::Events => server_sent(lane, operation, commit),
    }
}

/// `linked` with the request's prio, rate and body (Recon text). None: this form has no such answer.
pub fn linked(form: Form, node: &str, lane: &str, prio: f64, rate: f64, body: &str) -> Option<Bytes> {
    (form == Form::Warp).then(|| {
        let mut out = address(Tag::Linked, node, lane, prio, rate);
        if !body.is_empty() {
            if !matches!(body.as_bytes()[0], b'@' | b'{' | b'[' | b'"' | b'%') {
                out.push(b' ');
            }
            out.extend_from_slice(body.as_bytes());
        }
        text_frame(&out)
    })
}

/// After the events of a lane's present state.
pub fn synced(form: Form, node: &str, lane: &str, commit: u64) -> Option<Bytes> {
    match form {
        Form::Warp => Some(text_frame(&address(Tag::Synced, node, lane, 0.0, 0.0))),
        Form::Events => Some(Bytes::from(format!("event: synced\nid: {commit}\ndata: {}\n\n", text_json(lane)))),
    }
}

/// A link's last word; `reason` is its body, empty for none. One that begins with `@` is Recon.
pub fn unlinked(form: Form, node: &str, lane: &str, reason: &str) -> Option<Bytes> {
    match form {
        Form::Warp => {
            let mut out = address(Tag::Unlinked, node, lane, 0.0, 0.0);
            match reason.as_bytes() {
                [] => {}
                [b'@', ..] => out.extend_from_slice(reason.as_bytes()),
                _ => write_body(&Value::Text(reason.into()), &mut out),
            }
            Some(text_frame(&out))
        }
        Form::Events => {
            let data = format!("{{\"lane\":{},\"reason\":{}}}", text_json(lane), text_json(reason));
            Some(Bytes::from(format!("event: unlinked\ndata: {data}\n\n")))
        }
    }
}

/// `{"value": …}`, `{"key": …, "value": …}`, `{"key": …, "removed": true}`, `{"cleared": true}` `{"command": …}` or `{"item": …}`; of a list
/// lane `{"index": …, "key": …, "value": …}`, `{"from": …, "to": …, "key": …}` or `{"index": …, "key": …, "removed": true}`.
fn server_sent(lane: &str, operation: &Operation, commit: u64) -> Bytes {
    let mut out = format!("event: {lane}\nid: {commit}\ndata: ").into_bytes();
    match operation {
        Operation::Value(value) => {
            out.extend_from_slice(b"{\"value\":");
            write_json(value, &mut out);
        }
        Operation::Update(key, value) => {
            out.extend_from_slice(b"{\"key\":");
            write_json(key, &mut out);
            out.extend_from_slice(b",\"value\":");
            write_json(value, &mut out);
        }
        Operation::Remove(key) => {
            out.extend_from_slice(b"{\"key\":");
            write_json(key, &mut out);
            out.extend_from_slice(b",\"removed\":true");
        }
        Operation::Clear => out.extend_from_slice(b"{\"cleared\":true"),
        Operation::Element { index, key, value } => {
            out.extend_from_slice(format!("{{\"index\":{index},\"key\":").as_bytes());
            write_json(key, &mut out);
            out.extend_from_slice(b",\"value\":");
            write_json(value, &mut out);
        }
        Operation::Move { from, to, key } => {
            out.extend_from_slice(format!("{{\"from\":{from},\"to\":{to},\"key\":").as_bytes());
            write_json(key, &mut out);
        }
        Operation::Out { index, key } => {
            out.extend_from_slice(format!("{{\"index\":{index},\"key\":").as_bytes());
            write_json(key, &mut out);
            out.extend_from_slice(b",\"removed\":true");
        }
        Operation::Body(body) => {
            out.extend_from_slice(b"{\"command\":");
            write_json(body, &mut out);
        }
        Operation::Take(count) => out.extend_from_slice(format!("{{\"take\":{count}").as_bytes()),
        Operation::Drop(count) => out.extend_from_slice(format!("{{\"drop\":{count}").as_bytes()),
        Operation::Item(item) => {
            out.extend_from_slice(b"{\"item\":");
            write_json(item, &mut out);
        }
    }
    out.extend_from_slice(b"}\n\n");
    out.into()
}

fn text_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_lanes_events_name_index_and_key() {
        let key = Value::Int(7);
        let element = Operation::Element { index: 2, key: key.clone(), value: Value::Text("milk".into()) };
        let moved = Operation::Move { from: 2, to: 0, key: key.clone() };
        let out = Operation::Out { index: 0, key };
        for (operation, recon, json) in [
            (element, "@update(index:2,key:7) milk", r#"{"index":2,"key":7,"value":"milk"}"#),
            (moved, "@move(from:2,to:0,key:7)", r#"{"from":2,"to":0,"key":7}"#),
            (out, "@remove(index:0,key:7)", r#"{"index":0,"key":7,"removed":true}"#),
        ] {
            let mut body = Vec::new();
            event_body(&operation, &mut body);
            assert_eq!(String::from_utf8(body).unwrap(), recon);
            let frame = event(Form::Events, "/list", "items", &operation, 3);
            assert_eq!(String::from_utf8(frame.to_vec()).unwrap(), format!("event: items\nid: 3\ndata: {json}\n\n"));
        }
    }
}
