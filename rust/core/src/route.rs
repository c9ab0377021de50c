//! Node URIs: patterns to populations, parameters to text and back (RFC 3986).

use ecow::EcoString;

use crate::declaration::Segment;
use crate::population::PopulationId;

/// A URI parameter's length, at most, in bytes.
pub const MAX_PARAMETER: usize = 1024;

/// Which patterns there are. A literal segment goes before a parameter.
pub struct Router {
    patterns: Vec<Vec<Segment>>,
    /// Patterns of literals and one parameter at the end that no other pattern may match: `/bus/` and its population.
    prefixes: Vec<(EcoString, PopulationId)>,
}

impl Router {
    pub fn new(patterns: Vec<Vec<Segment>>) -> Self {
        let plain = |number: usize| {
            let (last, literals) = patterns[number].split_last()?;
            let mut prefix = EcoString::from("/");
            for segment in literals {
                let Segment::Literal(text) = segment else { return None };
                prefix.push_str(text);
                prefix.push('/');
            }
            let rivals = patterns.iter().enumerate().any(|(other, pattern)| other != number && meet(pattern, literals));
            (matches!(last, Segment::Parameter(_)) && !rivals).then_some((prefix, PopulationId(number as u16)))
        };
        let prefixes = (0..patterns.len()).filter_map(plain).collect();
        Router { patterns, prefixes }
    }

    /// The population that a URI belongs to, and its parameters, decoded, joined by NUL.
    ///
    /// Errors: no pattern matches, or a parameter is refused; says which and why.
    pub fn route(&self, uri: &str) -> Result<(PopulationId, EcoString), String> {
        let Some(path) = uri.strip_prefix('/') else {
            return Err(format!("`{}` is no node URI of this app: it does not begin with `/`", shown(uri)));
        };
        let parts: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        let mut best: Option<usize> = None;
        for (number, pattern) in self.patterns.iter().enumerate() {
            if matches(pattern, &parts) && best.is_none_or(|other| before(pattern, &self.patterns[other])) {
                best = Some(number);
            }
        }
        let Some(number) = best else { return Err(format!("no twin class has a pattern for `{}`", shown(uri))) };
        let mut key = EcoString::new();
        let mut first = true;
        for (segment, part) in self.patterns[number].iter().zip(&parts) {
            if let Segment::Parameter(name) = segment {
                let value =
                    decode(part).map_err(|reason| format!("parameter `{name}` of `{}` {reason}", shown(uri)))?;
                check_parameter(&value).map_err(|reason| format!("parameter `{name}` of `{}` {reason}", shown(uri)))?;
                if !first {
                    key.push('\0');
                }
                first = false;
                key.push_str(&value);
            }
        }
        Ok((PopulationId(number as u16), key))
    }

    /// The population that an address from outside belongs to, and its parameters into `key` (decoded, joined by NUL).
    /// The address is resolved against `base` and normalised (RFC 3986, 5.2 and 6.2.2); its query, its fragment and its
    /// host are not part of the twin's name.
    ///
    /// Errors: as `route`.
    pub fn locate(&self, base: &str, address: &str, key: &mut String) -> Result<PopulationId, String> {
        if let Some((population, parameter)) = self.plain(address) {
            key.clear();
            key.push_str(parameter);
            return Ok(population);
        }
        let (population, found) = self.route(&resolve(base, address)?)?;
        key.clear();
        key.push_str(&found);
        Ok(population)
    }

    /// The shortest way: `/literal/parameter` without anything to decode, where no other pattern may match.
    #[inline]
    fn plain<'a>(&self, address: &'a str) -> Option<(PopulationId, &'a str)> {
        for (prefix, population) in &self.prefixes {
            if let Some(rest) = address.strip_prefix(prefix.as_str()) {
                let plain = !rest.is_empty()
                    && rest.len() <= MAX_PARAMETER
                    && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~'));
                return plain.then_some((*population, rest));
            }
        }
        None
    }

    /// The URI of a population's twin with these parameters (joined by NUL).
    pub fn uri(&self, population: PopulationId, key: &str) -> String {
        let mut uri = String::with_capacity(16 + key.len());
        write_uri(&self.patterns[population.0 as usize], key, &mut uri);
        uri
    }

    /// The path of an address from outside, as `route` takes it. Errors: it is of another server.
    pub fn normal(&self, address: &str) -> Result<String, String> {
        resolve("/", address)
    }

    /// Whether a pattern has the shape of this URI, whatever its parameters.
    pub fn matches(&self, uri: &str) -> bool {
        segments(uri).is_some_and(|parts| self.patterns.iter().any(|pattern| matches(pattern, &parts)))
    }

    /// The population whose twins are listed at this URI: `/bus` and `/bus/*` for `/bus/{id}`. Of several that begin
    /// alike, the one with the fewest parameters.
    pub fn population_below(&self, uri: &str) -> Option<PopulationId> {
        let start = uri.strip_suffix("/*").or((uri.len() > 1).then_some(uri))?;
        let parts = segments(start)?;
        let below = |pattern: &&Vec<Segment>| {
            let (start, rest) = pattern.split_at(literals(pattern));
            !rest.is_empty() && matches(start, &parts)
        };
        let found = self.patterns.iter().enumerate().filter(|(_, pattern)| below(pattern));
        found.min_by_key(|(_, pattern)| pattern.len()).map(|(number, _)| PopulationId(number as u16))
    }

    /// Where the population's twins are listed; None where another's are, or a twin stands.
    pub fn listed_at(&self, population: PopulationId) -> Option<String> {
        let pattern = &self.patterns[population.0 as usize];
        let start = pattern[..literals(pattern)].iter().fold(String::new(), |start, segment| match segment {
            Segment::Literal(text) => start + "/" + text,
            Segment::Parameter(_) => start,
        });
        let uri = if self.matches(&start) || start.is_empty() { format!("{start}/*") } else { start };
        (self.population_below(&uri) == Some(population)).then_some(uri)
    }

    /// How many parameters the population's pattern has.
    pub fn parameters(&self, population: PopulationId) -> usize {
        self.patterns[population.0 as usize].iter().filter(|segment| matches!(segment, Segment::Parameter(_))).count()
    }
}

/// A path's segments; None where it does not begin with `/`.
fn segments(uri: &str) -> Option<Vec<&str>> {
    let path = uri.strip_prefix('/').or(uri.is_empty().then_some(""))?;
    Some(if path.is_empty() { Vec::new() } else { path.split('/').collect() })
}

/// Literal segments that a pattern begins with.
fn literals(pattern: &[Segment]) -> usize {
    pattern.iter().take_while(|segment| matches!(segment, Segment::Literal(_))).count()
}

/// Whether a pattern may match an address of these literals and one more segment.
fn meet(pattern: &[Segment], literals: &[Segment]) -> bool {
    pattern.len() == literals.len() + 1
        && pattern.iter().zip(literals).all(|pair| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            _ => true,
        })
}

/// The path of an address: without scheme and host, resolved against `base`, with escapes of unreserved characters decoded
/// and dot segments taken out.
pub(crate) fn resolve(base: &str, address: &str) -> Result<String, String> {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let scheme = address.find(':').filter(|at| !address[..*at].contains('/'));
    let path = match scheme {
        Some(at) if address[at + 1..].starts_with("//") => after_host(&address[at + 3..]),
        Some(_) => return Err(format!("`{}` is no node URI of this app: it does not begin with `/`", shown(address))),
        None if address.starts_with("//") => after_host(&address[2..]),
        None => address,
    };
    let mut whole = String::with_capacity(base.len() + path.len());
    if !path.starts_with('/') {
        whole.push_str(&base[..base.rfind('/').map_or(0, |at| at + 1)]);
        if !whole.starts_with('/') {
            whole.insert(0, '/');
        }
    }
    whole.push_str(path);
    let decoded = unreserved(&whole);
    let mut segments: Vec<&str> = Vec::new();
    let parts: Vec<&str> = decoded[1..].split('/').collect();
    for (number, part) in parts.iter().enumerate() {
        let last = number + 1 == parts.len();
        match *part {
            "." | ".." => {
                if *part == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    Ok(format!("/{}", segments.join("/")))
}

fn after_host(rest: &str) -> &str {
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Decodes the escapes of unreserved characters (RFC 3986, 2.3); all others stay.
fn unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                out.push(byte as char);
                rest = &rest[at + 3..];
            }
            _ => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn matches(pattern: &[Segment], parts: &[&str]) -> bool {
    pattern.len() == parts.len()
        && pattern.iter().zip(parts).all(|(segment, part)| match segment {
            Segment::Literal(text) => text.as_str() == *part,
            Segment::Parameter(_) => true,
        })
}

/// Whether the pattern goes before another that matches the same URI: its first differing segment is the literal.
fn before(pattern: &[Segment], other: &[Segment]) -> bool {
    pattern
        .iter()
        .zip(other)
        .find_map(|(a, b)| match (a, b) {
            (Segment::Literal(_), Segment::Parameter(_)) => Some(true),
            (Segment::Parameter(_), Segment::Literal(_)) => Some(false),
            _ => None,
        })
        .unwrap_or(false)
}

/// Refuses what no URI segment can carry safely: empty, `.`, `..`, NUL, over 1,024 bytes.
#[inline]
pub fn check_parameter(text: &str) -> Result<(), String> {
    match text.as_bytes() {
        [] => Err("is empty; give it at least one character".to_owned()),
        b"." | b".." => Err(format!("is `{text}`, which paths reserve; use another name")),
        bytes if bytes.len() > MAX_PARAMETER => {
            Err(format!("has {} bytes; at most {MAX_PARAMETER} are allowed", bytes.len()))
        }
        bytes if memchr::memchr(0, bytes).is_some() => Err("holds the character NUL".to_owned()),
        _ => Ok(()),
    }
}

/// Appends the URI of a twin with these parameters (joined by NUL).
pub(crate) fn write_uri(pattern: &[Segment], key: &str, uri: &mut String) {
    let mut parameters = key.split('\0');
    for segment in pattern {
        uri.push('/');
        match segment {
            Segment::Literal(text) => uri.push_str(text),
            Segment::Parameter(_) => encode(parameters.next().unwrap_or_default(), uri),
        }
    }
    if pattern.is_empty() {
        uri.push('/');
    }
}

fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte as char);
        } else {
            out.push('%');
            out.push(HEX[byte as usize >> 4] as char);
            out.push(HEX[byte as usize & 15] as char);
        }
    }
}

/// A part of a path without its escapes. Errors: what cannot be one, as the end of a sentence about it.
pub(crate) fn decode(part: &str) -> Result<EcoString, String> {
    if memchr::memchr3(b'%', b'?', b'#', part.as_bytes()).is_none() {
        return Ok(part.into());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err("ends within a %-escape".to_owned()) };
                let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16)) else {
                    return Err("has a % without two hexadecimal digits".to_owned());
                };
                bytes.push((high * 16 + low) as u8);
                rest = tail;
            }
            b'?' | b'#' => return Err(format!("holds `{}`; write it as %{byte:02X}", *byte as char)),
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map(EcoString::from).map_err(|_| "is not UTF-8 when decoded".to_owned())
}

fn shown(uri: &str) -> String {
    if uri.len() <= 200 {
        return uri.to_owned();
    }
    let cut = (0..=200).rev().find(|at| uri.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} bytes)", &uri[..cut], uri.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(patterns: &[&str]) -> Router {
        let segment = |text: &str| match text.strip_prefix('{') {
            Some(name) => Segment::Parameter(name.trim_end_matches('}').into()),
            None => Segment::Literal(text.into()),
        };
        Router::new(patterns.iter().map(|pattern| pattern[1..].split('/').map(segment).collect()).collect())
    }

    #[test]
    fn a_literal_goes_before_a_parameter() {
        let router = router(&["/{a}/{b}", "/bus/{id}", "/{x}/special"]);
        assert_eq!(router.route("/bus/7"), Ok((PopulationId(1), "7".into())));
        assert_eq!(router.route("/bus/special"), Ok((PopulationId(1), "special".into())));
        assert_eq!(router.route("/tram/special"), Ok((PopulationId(2), "tram".into())));
        assert_eq!(router.route("/tram/7"), Ok((PopulationId(0), "tram\x007".into())));
        assert!(router.route("/bus").is_err());
    }

    #[test]
    fn a_population_is_listed_below_its_literal_segments() {
        let router = router(&["/bus/{id}/{n}", "/bus/{id}", "/bus", "/stop/{id}", "/{any}/x", "/city"]);
        assert_eq!(router.population_below("/bus/*"), Some(PopulationId(1)));
        assert_eq!(router.population_below("/stop"), Some(PopulationId(3)));
        assert_eq!(router.population_below("/*"), Some(PopulationId(4)));
        assert_eq!(router.population_below("/city"), None);
        assert_eq!(router.population_below("/"), None);
        assert_eq!(router.listed_at(PopulationId(0)), None);
        assert_eq!(router.listed_at(PopulationId(1)).as_deref(), Some("/bus/*"));
        assert_eq!(router.listed_at(PopulationId(3)).as_deref(), Some("/stop"));
        assert_eq!(router.listed_at(PopulationId(4)).as_deref(), Some("/*"));
        assert_eq!(router.listed_at(PopulationId(5)), None);
    }

    #[test]
    fn parameters_survive_the_uri() {
        let router = router(&["/bus/{id}/{n}"]);
        for id in ["7", "a/b", "100 %", "?#", "ü", "…", "..."] {
            let uri = router.uri(PopulationId(0), &format!("{id}\x001"));
            assert_eq!(router.route(&uri), Ok((PopulationId(0), format!("{id}\x001").into())), "{uri}");
        }
    }

    #[test]
    fn addresses_from_outside_are_resolved_and_normalised() {
        let router = router(&["/unit/{id}", "/city", "/a/{x}", "/{y}/special"]);
        let locate = |base: &str, address: &str| {
            let mut key = String::from("old");
            router.locate(base, address, &mut key).ok().map(|population| (population.0, key))
        };
        for address in [
            "/unit/7",
            "unit/7",
            "./unit/7",
            "/unit/../unit/7",
            "/unit/%37",
            "/%75nit/7",
            "/unit/7?x=1",
            "/unit/7#f",
            "warp://anybody:80/unit/7",
            "//h/unit/7",
        ] {
            assert_eq!(locate("/", address), Some((0, "7".to_owned())), "{address}");
        }
        assert_eq!(locate("/unit/9", "7"), Some((0, "7".to_owned())));
        assert_eq!(locate("/foo/bar", "unit/7"), None);
        assert_eq!(locate("/", "/city"), Some((1, String::new())));
        assert_eq!(locate("/", "/unit/a%2fb"), Some((0, "a/b".to_owned())));
        assert_eq!(locate("/", "/unit/a.b"), Some((0, "a.b".to_owned())));
        // a literal goes before a parameter on the short way too
        assert_eq!(locate("/", "/a/special"), Some((2, "special".to_owned())));
        for address in
            ["/unit/7/", "/unit/", "/unit", "swim:meta:host", "", "/unit/%", "/unit/..", "/../..", "%", "/unit/%00"]
        {
            assert_eq!(locate("/", address), None, "{address}");
        }
    }

    #[test]
    fn unsafe_parameters_are_refused() {
        let router = router(&["/bus/{id}"]);
        let long = format!("/bus/{}", "x".repeat(1025));
        for uri in [
            "/bus/",
            "/bus/.",
            "/bus/..",
            "/bus/%2e%2E",
            "/bus/a%00b",
            "/bus/%zz",
            "/bus/%",
            "/bus/a?b",
            "/bus/%ff",
            &long,
        ] {
            assert!(router.route(uri).is_err(), "{uri}");
        }
    }
}
