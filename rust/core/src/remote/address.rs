//! Where a lane of another server is: the server, the node's path there, the lane.

use crate::warp::{check_uri, normalise};

/// A lane of a twin of another server.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Address {
    /// `warp://host:port` or `warps://host:port`, in lower case and with the port.
    pub host: String,
    /// The path there, as in `/bus/7`, in its normal form.
    pub node: String,
    pub lane: String,
}

/// Schemes of plain connections and of encrypted ones; the first is the one that is kept.
const PLAIN: [&str; 3] = ["warp", "ws", "swim"];
const SECURE: [&str; 3] = ["warps", "wss", "swims"];

/// Whether this URI names a server besides a node.
pub fn is_remote(uri: &str) -> bool {
    uri.find("://").is_some_and(|at| {
        let scheme = uri[..at].to_ascii_lowercase();
        PLAIN.contains(&&*scheme) || SECURE.contains(&&*scheme)
    })
}

impl Address {
    /// Reads `warp://host:9001/bus/7` and a lane's name. Without a port it is 80, of `warps` 443; `ws` and `swim` are
    /// `warp`, `wss` and `swims` are `warps`.
    ///
    /// Errors: a sentence with what is wrong and how it is written.
    pub fn parse(uri: &str, lane: &str) -> Result<Address, String> {
        let bad =
            |what: &str| Err(format!("`{uri}` {what}; write warp://HOST:PORT/NODE, as in warp://10.0.0.7:9001/bus/7"));
        if let Err(error) = check_uri(uri) {
            return bad(&format!("is no URI: {error}"));
        }
        let Some((scheme, rest)) = uri.split_once("://") else { return bad("names no server") };
        let scheme = scheme.to_ascii_lowercase();
        let (scheme, port) = match &*scheme {
            scheme if PLAIN.contains(&scheme) => (PLAIN[0], 80),
            scheme if SECURE.contains(&scheme) => (SECURE[0], 443),
            _ => return bad("is of no scheme of WARP"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, node) = rest.split_at(end);
        if authority.contains('@') {
            return bad("has a name or a password in it, which is not supported");
        }
        // a colon within brackets is an IPv6 address's
        let (name, port) = match authority.rfind(':').filter(|at| !authority[*at..].contains(']')) {
            Some(at) => match authority[at + 1..].parse::<u16>() {
                Ok(port) if port > 0 => (&authority[..at], port),
                _ => return bad("has a port that is no number up to 65535"),
            },
            None => (authority, port),
        };
        if name.is_empty() {
            return bad("names no host");
        }
        if node.len() < 2 || !node.starts_with('/') {
            return bad("names no node");
        }
        if lane.is_empty() || check_uri(lane).is_err() {
            return Err(format!("`{lane}` is no lane's name ({uri})"));
        }
        let host = normalise(&format!("{scheme}://{name}:{port}")).into_owned();
        Ok(Address { host, node: normalise(node).into_owned(), lane: normalise(lane).into_owned() })
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(host: &str) -> bool {
        host.starts_with("warps:")
    }

    /// The host and the port of a server's address, as in `127.0.0.1` and 9001; an IPv6 address without its brackets.
    pub fn place(host: &str) -> (&str, u16) {
        let authority = host.split_once("://").map_or(host, |(_, authority)| authority);
        let (name, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        (name.trim_start_matches('[').trim_end_matches(']'), port.parse().unwrap_or(80))
    }

    /// As a person writes it.
    pub fn uri(&self) -> String {
        format!("{}{}", self.host, self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(uri: &str) -> (String, String) {
        let address = Address::parse(uri, "speed").unwrap();
        (address.host, address.node)
    }

    #[test]
    fn the_server_and_the_node_are_told_apart() {
        for (uri, host, node) in [
            ("warp://a:9001/bus/7", "warp://a:9001", "/bus/7"),
            ("WS://A.example/bus/%37?x=1", "warp://a.example:80", "/bus/7?x=1"),
            ("swims://[::1]/b%2Fc", "warps://[::1]:443", "/b%2fc"),
            ("wss://[::1]:44/b", "warps://[::1]:44", "/b"),
        ] {
            assert_eq!(parsed(uri), (host.to_owned(), node.to_owned()), "{uri}");
            assert!(is_remote(uri));
        }
        assert_eq!(Address::place("warps://[::1]:44"), ("::1", 44));
        assert!(!is_remote("/bus/7") && !is_remote("swim:meta:host") && !is_remote("http://a/b"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (uri, part) in [
            ("/bus/7", "names no server"),
            ("http://a/b", "no scheme"),
            ("warp:///bus/7", "names no host"),
            ("warp://a:9001", "names no node"),
            ("warp://a:9001/", "names no node"),
            ("warp://a:0/b", "port"),
            ("warp://a:99999/b", "port"),
            ("warp://me:x@a/b", "password"),
            ("warp://a/b c", "escape it"),
        ] {
            let reason = Address::parse(uri, "speed").unwrap_err();
            assert!(reason.contains(part), "{uri}: {reason}");
        }
        assert!(Address::parse("warp://a/b", "").unwrap_err().contains("lane"));
    }
}
