//! The query of a request: `lane=`, `fields=`, `limit=`, `after=`, `count=`, `rate=`, `where=`, and conditions on lanes; of
//! a request lane, what is asked.

/// Names that are no lanes; a lane of such a name is compared by `where=`. `token` is left to policies.
const RESERVED: [&str; 8] = ["lane", "fields", "limit", "after", "count", "rate", "where", "token"];

#[derive(Debug, Default, PartialEq)]
pub struct Parameters {
    named: Vec<(&'static str, String)>,
    /// Conditions, each as it was written, decoded.
    pub conditions: Vec<String>,
    /// All but `lane` and `token`, decoded: what a request lane takes as its query.
    pairs: Vec<(String, String)>,
    /// The query without `after`, as it was written.
    again: String,
}

impl Parameters {
    /// Errors: a sentence, for what cannot be decoded and for what is given twice.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut parameters = Parameters::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let text = decode(part)?;
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            if name != "lane" && name != "token" {
                parameters.pairs.push((name.to_owned(), value.to_owned()));
            }
            if name != "after" {
                if !parameters.again.is_empty() {
                    parameters.again.push('&');
                }
                parameters.again.push_str(part);
            }
            match RESERVED.iter().find(|reserved| **reserved == name) {
                Some(&"where") => parameters.conditions.push(value.to_owned()),
                Some(name) if parameters.get(name).is_some() => return Err(format!("`{name}` is given twice")),
                Some(name) => parameters.named.push((name, value.to_owned())),
                None => parameters.conditions.push(text),
            }
        }
        Ok(parameters)
    }

    fn get(&self, wanted: &str) -> Option<&str> {
        self.named.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
    }

    pub fn lane(&self) -> Option<&str> {
        self.get("lane")
    }

    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    pub fn after(&self) -> Option<&str> {
        self.get("after")
    }

    pub fn fields(&self) -> Vec<String> {
        let names = self.get("fields").unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Errors: it is no number above 0.
    pub fn limit(&self) -> Result<Option<usize>, String> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        match text.parse() {
            Ok(limit) if limit > 0 => Ok(Some(limit)),
            _ => Err(format!("limit=`{text}` is no whole number above 0")),
        }
    }

    pub fn count(&self) -> Result<bool, String> {
        match self.get("count") {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(text) => Err(format!("count=`{text}` is neither true nor false")),
        }
    }

    /// Events a second; 0: all.
    pub fn rate(&self) -> Result<f64, String> {
        let Some(text) = self.get("rate") else { return Ok(0.0) };
        match text.parse() {
            Ok(rate) if rate >= 0.0 && f64::is_finite(rate) => Ok(rate),
            _ => Err(format!("rate=`{text}` is no number of events a second")),
        }
    }

    /// The reference to the page after the twin of this number.
    pub fn next(&self, path: &str, number: u64) -> String {
        let separator = if self.again.is_empty() { "" } else { "&" };
        format!("{path}?{}{separator}after={number}", self.again)
    }
}

/// One part of `application/x-www-form-urlencoded`.
fn decode(part: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = |at: usize| rest.get(at).and_then(|digit| (*digit as char).to_digit(16));
                let (Some(high), Some(low)) = (hex(0), hex(1)) else {
                    return Err(format!(
                        "`{part}` of the query has a % without two hexadecimal digits; write it as %25"
                    ));
                };
                bytes.push((high * 16 + low) as u8);
                rest = &rest[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("`{part}` of the query is not UTF-8 when decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_conditions_are_told_apart() {
        let parameters =
            Parameters::parse("speed%3E20&route=12&limit=5&fields=speed,+route&where=limit%3D3&a!=b+c&after=9&&count")
                .unwrap();
        assert_eq!(parameters.conditions, ["speed>20", "route=12", "limit=3", "a!=b c"]);
        assert_eq!(parameters.limit(), Ok(Some(5)));
        assert_eq!(parameters.fields(), ["speed", "route"]);
        assert_eq!(parameters.count(), Ok(true));
        assert_eq!(parameters.after(), Some("9"));
        assert_eq!(
            parameters.next("/bus", 12),
            "/bus?speed%3E20&route=12&limit=5&fields=speed,+route&where=limit%3D3&a!=b+c&count&after=12"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "(?:[a-z&=%+<>!0-9\u{e9}]|%[0-9a-f]{2}|where=|limit=){0,40}") {
            if let Ok(parameters) = Parameters::parse(&query) {
                let again = parameters.next("/bus", 7);
                let next = Parameters::parse(again.split_once('?').unwrap().1).unwrap();
                proptest::prop_assert_eq!(&next.conditions, &parameters.conditions);
                proptest::prop_assert_eq!(next.after().unwrap(), "7");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for query in ["a=%zz", "%", "a=%f", "%ff", "limit=1&limit=2"] {
            assert!(Parameters::parse(query).is_err(), "{query}");
        }
        for query in ["limit=0", "limit=-1", "limit=x", "limit="] {
            assert!(Parameters::parse(query).unwrap().limit().is_err(), "{query}");
        }
        for query in ["rate=-1", "rate=nan", "rate=inf", "rate="] {
            assert!(Parameters::parse(query).unwrap().rate().is_err(), "{query}");
        }
        assert!(Parameters::parse("count=maybe").unwrap().count().is_err());
    }
}
