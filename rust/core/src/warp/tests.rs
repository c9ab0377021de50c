//! The vectors of `tests/vectors/warp.jsonl`, and what a header may look like.

use super::*;
use proptest::prelude::*;

use crate::recon::tests::fuzz::fuzz;
use crate::recon::tests::{comparable, json, vectors};

#[test]
fn every_vector() {
    let mut wrong = Vec::new();
    let vectors = vectors("warp");
    assert!(vectors.len() > 240);
    for vector in vectors {
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
            wrong.push(format!("{frame:?}: {error}"));
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

/// No panic, and positions in the text; a header that is read is read the same when it is written again.
fn all_readers(frame: &str) {
    let mut out = Vec::new();
    if let Err(error) = write_fields(frame, &mut out) {
        assert!(error.offset <= frame.len() && !error.reason.is_empty(), "{frame:?}: {error:?}");
    }
    match read(frame) {
        Err(error) => assert!(error.offset <= frame.len(), "{frame:?}: {error:?}"),
        Ok(message) => {
            let mut header = Vec::new();
            write_header(&mut header, message.tag, &message.node, &message.lane, message.prio, message.rate);
            let header = String::from_utf8(header).unwrap();
            let again = read(&header).unwrap_or_else(|error| panic!("{frame:?} -> {header:?}: {error}"));
            assert_eq!(Message { body: "", ..message.clone() }, again, "{frame:?}");
            for address in [&message.node, &message.lane] {
                let normal = normalise(address);
                assert_eq!(normalise(&normal), normal, "{address:?}");
                assert!(check_uri(&normal).is_ok(), "{address:?}");
            }
        }
    }
}

#[test]
#[ignore = "long"]
fn fuzz_the_envelope_reader() {
    fuzz("warp", vectors("warp").iter().map(|vector| vector["frame"].as_str().unwrap().into()).collect(), all_readers);
}

proptest! {
    #[test]
    fn any_frame_is_safe(frame in "@(event|link|sync|auth)?[(]?(node:)?[\"/a-z%:,@]{0,12}(,lane:)?[a-z\"]{0,4}[)]?[ \n#,{}a-z]{0,6}") {
        all_readers(&frame);
    }

    #[test]
    fn a_header_comes_back(node in "/[a-z0-9/~%]{0,3}[a-z:@!$]{0,9}", lane in "[a-z]{1,8}|true|[a-z]#/", prio in -9.0..9.0_f64, rate in 0..9_u8) {
        prop_assume!(check_uri(&node).is_ok());
        let mut out = Vec::new();
        write_header(&mut out, Tag::Link, &node, &lane, prio, rate.into());
        out.extend_from_slice(b"@x{y:1}");
        let frame = String::from_utf8(out).unwrap();
        let message = read(&frame).unwrap();
        let expected = Message { tag: Tag::Link, node: node.into(), lane: lane.into(), prio, rate: rate.into(), body: "@x{y:1}" };
        prop_assert_eq!(message, expected);
    }
}

#[test]
fn a_plain_frame_is_borrowed() {
    let message = read("@command(node:\"/unit/7\",lane:publish){speed:3.5}").unwrap();
    assert!(matches!((&message.node, &message.lane), (Cow::Borrowed("/unit/7"), Cow::Borrowed("publish"))));
    assert_eq!((message.tag, message.body), (Tag::Command, "{speed:3.5}"));
}

#[test]
fn a_body_stands_in_the_line_of_its_header() {
    let header = "@event(node:\"/x\",lane:y)";
    for rest in ["\n1", ",1", ";\n@event(node:\"/x\",lane:y)", ":1", "#c\n1", " \n a"] {
        assert!(read(&format!("{header}{rest}")).is_err(), "{rest:?}");
    }
    for rest in ["", " ", "\n", ",", " # c", "\n# c\n", ";\n"] {
        assert_eq!(read(&format!("{header}{rest}")).map(|message| message.body), Ok(""), "{rest:?}");
    }
}

#[test]
fn addresses_have_a_normal_form() {
    for (uri, normal) in [
        ("/a%2Fb", "/a%2fb"),
        ("/%41%7e", "/A~"),
        ("/a%3ab%40", "/a:b@"),
        ("/a?x=%2F%26", "/a?x=/&"),
        ("WARP://Host.X:9001/A", "warp://host.x:9001/A"),
        ("/%C3%A9", "/%c3%a9"),
        ("swim:meta:node/%2Funit", "swim:meta:node/%2funit"),
        ("//[::1]:80/x", "//[::1]:80/x"),
        ("/a//b/../c", "/a//b/../c"),
        ("/%00", "/%00"),
        ("", ""),
        ("//u:p@h/x", "//u:p@h/x"),
    ] {
        assert_eq!(check_uri(uri), Ok(()), "{uri}");
        assert_eq!(normalise(uri), normal);
    }
    for (uri, offset) in [
        ("/a b", 2),
        ("/é", 1),
        ("/%zz", 2),
        ("/%4", 3),
        ("/a[b]", 2),
        (":x", 0),
        ("//h:x/", 4),
        ("/a#b#c", 4),
        ("1:2", 0),
    ] {
        assert_eq!(check_uri(uri).unwrap_err().offset, offset, "{uri}");
    }
}
