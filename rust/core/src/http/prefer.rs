//! What a client would like (RFC 7240): of all preferences only `wait=durable` is known here.

use hyper::header::{HeaderMap, HeaderName};

pub const PREFER: HeaderName = HeaderName::from_static("prefer");
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// An answer that waits until what it tells of is in the journal.
pub const DURABLE: &str = "wait=durable";

/// Whether the answer is to wait until it is durable. Of a preference that is given twice the first counts (RFC 7240, 2);
/// what is no preference is passed over.
pub fn wants_durable(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(PREFER).into_iter();
    let first = lines.flat_map(|line| split(line.as_bytes(), b',')).find_map(|preference| {
        // what follows a semicolon are parameters
        let preference = split(preference, b';').next()?;
        let (name, value) = match preference.iter().position(|byte| *byte == b'=') {
            Some(at) => (&preference[..at], &preference[at + 1..]),
            None => (preference, &preference[preference.len()..]),
        };
        name.trim_ascii().eq_ignore_ascii_case(b"wait").then(|| unquoted(value.trim_ascii()))
    });
    first.is_some_and(|value| value.eq_ignore_ascii_case(b"durable"))
}

/// The parts between marks that are not in a quoted string.
fn split(text: &[u8], mark: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte => return !quoted && *byte == mark,
        }
        false
    })
}

/// What a quoted string says; anything else as it is.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut escaped = false;
    inner
        .iter()
        .copied()
        .filter(|byte| {
            escaped = *byte == b'\\' && !escaped;
            !escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn wants(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_str(line).unwrap());
        }
        wants_durable(&headers)
    }

    #[test]
    fn the_preference_is_found_however_it_is_written() {
        for lines in [
            &["wait=durable"][..],
            &["Wait = Durable"],
            &["wait=\"durable\""],
            &["wait=\"dur\\able\""],
            &["wait=durable; strict; a=\"b;c\""],
            &["respond-async, wait=durable"],
            &[" , ,handling=lenient;x=\"a, wait=10\" ,\twait=durable,"],
            &["return=minimal", "wait=durable"],
            &["wait=durable", "wait=10"],
            &["note=\"\\\", wait=10\", wait=durable"],
        ] {
            assert!(wants(lines), "{lines:?}");
        }
    }

    #[test]
    fn any_other_is_passed_over() {
        for lines in [
            &[][..],
            &[""],
            &["wait"],
            &["wait="],
            &["wait=10"],
            &["wait=durably"],
            &["wait=10, wait=durable"],
            &["wait=10", "wait=durable"],
            &["await=durable"],
            &["durable"],
            &["x; wait=durable"],
            &["x=\"wait=durable\""],
            &["x=\", wait=durable"],
            &["return=representation, respond-async"],
        ] {
            assert!(!wants(lines), "{lines:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let mut headers = HeaderMap::new();
        headers.append(PREFER, HeaderValue::from_bytes(b"\xff\xfe=\"\xff, x").unwrap());
        headers.append(PREFER, HeaderValue::from_bytes(b"wait=durable").unwrap());
        assert!(wants_durable(&headers));
    }
}
