//! Selectors: the steps that lead from a value to parts of it.

use ecow::EcoString;

use super::tree::Tree;

#[derive(Clone, Debug, PartialEq)]
pub enum Step<V> {
    /// `$key`, `.key`: by the key of a slot or an attribute.
    Get(V),
    /// `$@name`: by the name of an attribute.
    GetAttr(EcoString),
    /// `$#0`: by place.
    GetItem(i32),
    /// `$*:`
    Keys,
    /// `$:*`
    Values,
    /// `$*`
    Children,
    /// `$**`
    Descendants,
    /// `[predicate]`: in a `Tree` always a selector.
    Filter(V),
    /// What a predicate is that selects nothing: only in a `Filter`, as the only step.
    Literal(V),
}

/// The steps as swim-java chains them: a predicate is a selector, and one that begins with a filter is no predicate but
/// goes on in the chain.
pub(super) fn chained(steps: Vec<Step<Tree>>) -> Tree {
    let simple = !steps.iter().any(|step| matches!(step, Step::Filter(_)));
    if simple {
        return Tree::Selector(steps);
    }
    let mut chain = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Filter(Tree::Selector(inner)) if matches!(inner.first(), Some(Step::Filter(_))) => {
                chain.extend(inner)
            }
            Step::Filter(predicate) if !matches!(predicate, Tree::Selector(_)) => {
                chain.push(Step::Filter(Tree::Selector(vec![Step::Literal(predicate)])));
            }
            other => chain.push(other),
        }
    }
    Tree::Selector(chain)
}
