//! What links write behind the names of lanes that are computed for each such text, as numbers: `nodes?q=text` and
//! `nodes?q=other` are two lanes to those who compute them.

use ecow::EcoString;
use rustc_hash::FxHashMap;

use super::Place;

/// A query and fragment as a link has written them; 0: none.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ParametersId(pub u32);

/// Texts with the number of links that have written them; bounded by the links.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    ids: FxHashMap<EcoString, u32>,
    texts: Vec<(EcoString, usize)>,
    free: Vec<u32>,
}

impl Parameters {
    /// The number of a lane's query and fragment; None: no link has written them.
    pub fn find(&self, lane: &str) -> Option<ParametersId> {
        match parameters(lane) {
            "" => Some(ParametersId(0)),
            text => self.ids.get(text).map(|at| ParametersId(at + 1)),
        }
    }

    /// The same, with a new number where there is none; `settle` takes it back unless a link uses it by then.
    pub fn number(&mut self, lane: &str) -> ParametersId {
        if let Some(known) = self.find(lane) {
            return known;
        }
        let text = EcoString::from(parameters(lane));
        let at = self.free.pop().unwrap_or_else(|| {
            self.texts.push((EcoString::new(), 0));
            self.texts.len() as u32 - 1
        });
        self.texts[at as usize] = (text.clone(), 0);
        self.ids.insert(text, at);
        ParametersId(at + 1)
    }

    /// A link has opened.
    pub fn keep(&mut self, place: Place) {
        if let Some(at) = index(place) {
            self.texts[at].1 += 1;
        }
    }

    /// A link has ended.
    pub fn drop(&mut self, place: Place) {
        if let Some(at) = index(place) {
            self.texts[at].1 -= 1;
            self.settle(place);
        }
    }

    /// Forgets what no link has written.
    pub fn settle(&mut self, place: Place) {
        if let Some(at) = index(place)
            && let (text, 0) = &mut self.texts[at]
            && self.ids.remove(&std::mem::take(text)).is_some()
        {
            self.free.push(at as u32);
        }
    }
}

fn index(place: Place) -> Option<usize> {
    match place {
        Place::Demand(_, ParametersId(id)) => id.checked_sub(1).map(|at| at as usize),
        _ => None,
    }
}

/// A lane's query and fragment, as they are written.
fn parameters(lane: &str) -> &str {
    lane.find(['?', '#']).map_or("", |at| &lane[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number_until_its_last_link_ends() {
        let mut parameters = Parameters::default();
        assert_eq!(parameters.number("nodes"), ParametersId(0));
        assert_eq!(parameters.find("nodes?q=1"), None);
        let one = parameters.number("nodes?q=1");
        assert_eq!(parameters.number("others?q=1"), one);
        parameters.keep(Place::Demand(0, one));
        parameters.keep(Place::Demand(1, one));
        let two = parameters.number("nodes#top");
        assert_ne!(one, two);
        parameters.settle(Place::Demand(0, two));
        assert_eq!(parameters.find("nodes#top"), None);
        parameters.drop(Place::Demand(0, one));
        assert_eq!(parameters.find("nodes?q=1"), Some(one));
        parameters.drop(Place::Demand(1, one));
        assert_eq!((parameters.find("nodes?q=1"), parameters.ids.len()), (None, 0));
    }
}
