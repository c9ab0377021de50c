//! The vectors of `tests/vectors/warp.jsonl`, and what a header may look like.

use super::*;
use crate::recon::tests::{comparable, has_expression, json, vectors};

#[test]
fn every_vector() {
    let mut wrong = Vec::new();
    for vector in vectors("warp") {
        let frame = vector["frame"].as_str().unwrap();
        let mut out = Vec::new();
        let written = write_fields(frame, &mut out);
        if vector["error"] == true {
            match written {
                Ok(()) => wrong.push(format!("{frame:?} must be refused")),
                Err(error) => assert!(error.offset <= frame.len() && !error.reason.is_empty()),
            }
            continue;
        }
        if let Err(error) = written {
            if !(error.reason.contains("expressions are not supported") && has_expression(&vector["body_json"])) {
                wrong.push(format!("{frame:?}: {error}"));
            }
            continue;
        }
        let ours = json(&out);
        for field in ["kind", "node", "lane", "prio", "rate", "body", "canonical"] {
            let alike = match (ours[field].as_f64(), vector[field].as_f64()) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => ours[field] == vector[field],
            };
            if !alike {
                wrong.push(format!("{frame:?}: {field}\n  ours   {}\n  theirs {}", ours[field], vector[field]));
            }
        }
        if comparable(&ours["body_json"]) != comparable(&vector["body_json"]) {
            wrong.push(format!("{frame:?}: body\n  ours   {}\n  theirs {}", ours["body_json"], vector["body_json"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
