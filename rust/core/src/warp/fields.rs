//! A frame as JSON: what `shoal warp` prints.

use std::io::Write;

use super::{Message, ReconError, Tag, normalise, read};
use crate::recon::{Item, Number, Tree, read_body_tree, write_canonical, write_tagged};

/// Appends `kind`, `node` and `lane` in their normal form, `prio`, `rate`, `body` and `canonical` as swim-java writes
/// them, and `body_json`, the body's structure. What an envelope does not have is null.
///
/// # Errors
/// A frame that `read` refuses, or whose body is malformed. Offsets are those in `frame`.
pub fn write_fields(frame: &str, out: &mut Vec<u8>) -> Result<(), ReconError> {
    let message = read(frame)?;
    let body = read_body_tree(message.body).map_err(|fault| {
        let start = message.body.as_ptr() as usize - frame.as_ptr() as usize;
        ReconError { offset: fault.offset + if message.body.is_empty() { frame.len() } else { start }, ..fault }
    })?;
    let tag = message.tag;
    let (node, lane) = (normalise(&message.node), normalise(&message.lane));
    // Neither a text nor a number into a Vec can fail, here and below.
    let _ = write!(out, r#"{{"kind":"{}""#, tag.name());
    for (name, address) in [("node", &node), ("lane", &lane)] {
        let _ = write!(out, r#","{name}":"#);
        json(tag.is_addressed().then_some(address.as_ref()), out);
    }
    for (name, x) in [("prio", message.prio), ("rate", message.rate)] {
        let _ = write!(out, r#","{name}":"#);
        match tag.has_rate() {
            true if x.fract() == 0.0 && x.abs() < 1e15 => drop(write!(out, "{}", x as i64)),
            true => drop(serde_json::to_writer(&mut *out, &x)),
            false => out.extend_from_slice(b"null"),
        }
    }
    let text = match &body {
        Tree::Absent => None,
        tree => Some(canonical(tree)),
    };
    out.extend_from_slice(br#","body":"#);
    json(text.as_deref(), out);
    out.extend_from_slice(br#","body_json":"#);
    write_tagged(&body, out);
    out.extend_from_slice(br#","canonical":"#);
    json(Some(&canonical(&envelope(tag, &node, &lane, &message, body))), out);
    out.push(b'}');
    Ok(())
}

fn json(text: Option<&str>, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, &text);
}

fn canonical(tree: &Tree) -> String {
    let mut out = Vec::new();
    write_canonical(tree, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The whole frame: the header's attribute, and the body's items behind it.
fn envelope(tag: Tag, node: &str, lane: &str, message: &Message<'_>, body: Tree) -> Tree {
    let slot = |name: &str, value: Tree| Item::Slot(Tree::text(name), value);
    let mut header = Tree::Extant;
    if tag.is_addressed() {
        let mut slots = vec![slot("node", Tree::text(node)), slot("lane", Tree::text(lane))];
        for (name, x) in [("prio", message.prio), ("rate", message.rate)] {
            if x != 0.0 {
                slots.push(slot(name, Tree::Number(Number::Float(x))));
            }
        }
        header = Tree::Record(slots);
    }
    let mut items = vec![Item::Attr(tag.name().into(), header)];
    match body {
        Tree::Absent | Tree::Extant => {}
        Tree::Record(inner) => items.extend(inner),
        scalar => items.push(Item::Value(scalar)),
    }
    Tree::Record(items)
}
