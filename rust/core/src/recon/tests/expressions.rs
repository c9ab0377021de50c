//! Expressions and selectors: what swim-java's parsers make of them, and that they come back.

use proptest::prelude::*;

use super::properties::all_readers;
use super::*;
use crate::recon::expression::level;

fn tagged_text(recon: &str) -> String {
    let tree = read_tree(recon).unwrap_or_else(|error| panic!("{recon:?}: {error}"));
    text(|out| write_tagged(&tree, out))
}

#[test]
fn operators_bind_as_in_java() {
    for (short, full) in [
        ("a + b * c - d", "(a + (b * c)) - d"),
        ("a || b && c | d ^ e & f == g", "a || (b && (c | (d ^ (e & (f == g)))))"),
        ("a - b - c", "(a - b) - c"),
        ("!a == -b", "(!a) == (-b)"),
        ("!f(x)(y)", "!((f(x))(y))"),
        ("- -a", "-(-a)"),
        ("-5 * 2", "(-5) * 2"),
        ("-5(x)", "-(5(x))"),
        ("$a ? b : $c ? d : e", "$a ? b : ($c ? d : e)"),
        ("$a ? $b ? c : d : e", "$a ? ($b ? c : d) : e"),
        ("x => $a ? b : c", "x => ($a ? b : c)"),
        ("a & b => c", "(a & b) => c"),
        // A `>` behind a comparison is taken for that of `=>`.
        ("a == b > c", "(a == b) => c"),
        ("f(a == b, c)", "f({(a == b), c})"),
        ("a ^ & b", "a ^ (() & b)"),
    ] {
        assert_eq!(tagged_text(short), tagged_text(full), "{short}");
    }
}

#[test]
fn conditions_on_constants_are_decided_as_in_java() {
    for (recon, same) in [
        ("true ? a : b", "a"),
        ("false ? a : b", "b"),
        ("0 ? a : b", "a"),
        ("{} ? a : b", "a"),
        ("{? a : b}", "{a}"),
        ("false ? a : true ? c : d", "c"),
        ("-(true ? 5 : 6)", "-5"),
        ("a ? :", "()"),
    ] {
        assert_eq!(tagged_text(recon), tagged_text(same), "{recon}");
    }
}

#[test]
fn flat_runs_lose_their_operators_as_in_java() {
    for (recon, same) in [
        ("{a} + 1", "{a,1}"),
        ("{a}(b) * c", "{a,c}"),
        ("{a} - -5", "{a,5}"),
        ("{a}(b) @c", "{a}@c"),
        ("@a (b == c)", "@a{b,c}"),
        ("@a (b ? c : d)", "@a{b,c,d}"),
        ("@a (b => c)", "@a b"),
        ("@a (b)(c)", "@a b"),
        ("{a} + b * c", "{a,b,c}"),
        ("@a (b == c)(d)", "@a{b,c}"),
        ("(a, b => c, d)", "{a,b,d}"),
        ("(a, b ? c : d, e)", "{a,b,c,d,e}"),
        ("@a (b, c)", "@a{b,c}"),
        ("(a, {b}, (c, d), e == f)", "{a,b,c,d,e,f}"),
        ("(a,,b,)", "{a,b}"),
        ("(,a)", "{,a}"),
        ("{a} == {b}", "({a}) == ({b})"),
        ("(a == b, c)", "{(a == b), c}"),
    ] {
        assert_eq!(tagged_text(recon), tagged_text(same), "{recon}");
    }
    // A group on its own is a value, not a run to go on with.
    for (recon, same) in [("(@a b)@c", "{@a b}@c"), ("({x:1})@b", "{{x:1}}@b"), ("a + {b}", "a + ({b})")] {
        assert_eq!(tagged_text(recon), tagged_text(same), "{recon}");
    }
}

#[test]
fn selectors_chain_as_in_java() {
    for (recon, same) in [
        ("$ a", "$a"),
        ("${a}", "$a"),
        ("$(a)", "$a"),
        ("$(\n a\n )", "$(a)"),
        ("$a.[b]", "$a.b"),
        ("$a[$[b].c]", "$a[b].c"),
        ("$$a.b", "$($a.b)"),
        ("$#0x10", "$#16"),
        ("$#4294967297", "$#1"),
        ("$#-1", "$#4294967295"),
        ("$#1.5", "$#1.(5)"),
        ("$a.1.5", "$a.(1.5)"),
        ("${}", "{$,}"),
    ] {
        if recon == "${}" {
            assert_eq!(read_tree(recon), Ok(Tree::Selector(vec![Step::Get(Tree::Absent)])));
            assert_eq!(tagged_text(same), format!(r#"{{"record":[{}]}}"#, tagged_text(recon)));
            continue;
        }
        if recon.contains('\n') {
            assert!(read_tree(recon).is_err(), "a line starts no expression");
            assert_eq!(tagged_text("$(a\n )"), tagged_text(same));
            continue;
        }
        assert_eq!(tagged_text(recon), tagged_text(same), "{recon}");
    }
    assert_eq!(
        tagged_text("$*:.:*.*.**[$a]#2.@b"),
        r#"{"selector":["keys","values","children","descendants",{"filter":{"selector":[{"get":{"text":"a"}}]}},{"getItem":{"int":"2"}},{"getAttr":{"text":"b"}}]}"#
    );
}

#[test]
fn what_is_no_expression_is_refused_where_it_goes_wrong() {
    for (recon, offset) in [
        ("a = b", 2),
        ("a ! b", 2),
        ("a |", 2),
        ("a &", 2),
        ("a <", 2),
        ("a < b < c", 6),
        ("a == b => c", 7),
        ("a => b => c", 7),
        ("$a ? b", 6),
        ("$a ? b => c : d", 7),
        ("($a ? b)", 7),
        ("!", 1),
        ("-()", 0),
        ("- ,", 2),
        ("$", 1),
        ("$a.", 3),
        ("$a:*", 3),
        ("$:", 2),
        ("$@true", 2),
        ("$@\"a\"", 2),
        ("$#a", 2),
        ("$a[b", 4),
        ("$-a", 2),
        ("a.b", 1),
        ("@a * b", 3),
        ("f(a", 3),
        ("(a b)", 3),
        // Sealed records.
        ("{a} + b + c", 11),
        ("{a} * b + c", 11),
        ("{a} + !b * c", 12),
        ("{a} + b @c", 10),
        ("{a} + b + {c}", 10),
        ("(a, b == c, d)", 13),
        ("@a (b == c ? d : e)", 15),
        ("(a, b || c => d, e)", 18),
    ] {
        assert_eq!(read_tree(recon).unwrap_err().offset, offset, "{recon}: {:?}", read_tree(recon));
        assert!(read(recon).is_err() && check_body(recon).is_err(), "{recon}");
    }
}

#[test]
fn values_take_no_expressions() {
    for (recon, offset) in [
        ("a + 1", 2),
        ("5-3", 1),
        ("{a:1+2}", 4),
        ("+5", 0),
        ("!true", 0),
        ("-a", 0),
        ("-(a)", 0),
        ("$a", 0),
        ("{a,$b}", 3),
        ("f(x)", 1),
        ("x => y", 2),
        ("true ? a : b", 5),
        ("%AAAA==", 5),
        ("{a} + 1", 4),
        ("@a (b == c)", 6),
        ("@a{b}(c)", 5),
    ] {
        assert!(read_tree(recon).is_ok(), "{recon}");
        for error in [read(recon).unwrap_err(), read_body(recon).unwrap_err(), check_body(recon).unwrap_err()] {
            assert!(error.reason.contains("selectors and expressions are not supported"), "{recon}: {error}");
            assert_eq!(error.offset, offset, "{recon}");
        }
    }
    // No operators, and numbers with their sign.
    for (recon, same) in [("(a,b)", "{a,b}"), ("(a)", "a"), ("-(5)", "-5"), ("--(-5)", "-5"), ("--0x5", "5")] {
        assert_eq!(read(recon), read(same), "{recon}");
        assert_eq!(read_tree(recon), read_tree(same), "{recon}");
    }
    assert!(crate::warp::read("@event(node:$a,lane:b)").is_err());
}

#[test]
fn operators_are_levels() {
    let repeated = |before: &str, times: usize, after: &str| format!("{}{after}", before.repeat(times));
    for (before, after, levels) in [
        ("!", "a", 1),
        ("-", "a", 1),
        ("$", "a", 1),
        ("a + ", "a", 1),
        ("a && ", "a", 1),
        ("$a ? b : ", "c", 2),
        ("$a ? ", "b", 1),
        ("!(", "a", 2),
        ("$a[!", "b", 3),
        ("f(", "a", 2),
    ] {
        let close: String = match before {
            "!(" | "f(" => ")".into(),
            "$a[!" => "]".into(),
            "$a ? " => " : c".into(),
            _ => String::new(),
        };
        let nested = |times| repeated(before, times, &format!("{after}{}", close.repeat(times)));
        let fits = MAX_DEPTH / (levels + 1);
        let tree = read_tree(&nested(fits)).unwrap_or_else(|error| panic!("{before}: {error}"));
        for write in [write_tree, write_canonical, write_block, write_tagged] {
            assert!(!text(|out| write(&tree, out)).is_empty());
        }
        assert_eq!(tree.clone(), tree);
        let error = read_tree(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert!(error.reason.contains("512 levels"), "{before}: {error}");
        assert!(read_tree(&nested(100_000)).is_err());
    }
    // Operators of one record are no levels of the next; neither are steps.
    assert!(read_tree(&"{a + b * c},".repeat(10_000)).is_ok());
    assert!(read_tree(&repeated("$a", 1, &".b[c]#1".repeat(10_000))).is_ok());
    // Sums in sums: each 300 high.
    let sum = "a + ".repeat(300);
    assert!(read_tree(&format!("{sum}a, {sum}a")).is_ok());
    assert!(read_tree(&format!("({sum}a) + {sum}a")).is_err());
    assert!(read_tree(&format!("x + {{({sum}a)}} == {sum}a")).is_err());
}

/// Draws from `choices` a tree that binds at least as tight as `tightness`, and that swim-java writes as it is: its
/// writer and its grammar agree on the parentheses.
fn grown(choices: &mut impl Iterator<Item = u8>, tightness: u8, depth: u8) -> Tree {
    const INFIX: [Operator; 16] = [
        Operator::Or,
        Operator::And,
        Operator::BitOr,
        Operator::BitXor,
        Operator::BitAnd,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::NotEqual,
        Operator::GreaterOrEqual,
        Operator::Greater,
        Operator::Plus,
        Operator::Minus,
        Operator::Times,
        Operator::Divide,
        Operator::Modulo,
    ];
    let kind = choices.next().unwrap_or(0);
    let choice = choices.next().unwrap_or(0);
    let operation = match kind % 8 {
        _ if depth == 0 => return leaf(choice, tightness),
        0..3 => {
            let operators: Vec<_> = INFIX.into_iter().filter(|operator| operator.level() >= tightness).collect();
            let Some(operator) = operators.get(usize::from(choice) % operators.len().max(1)) else {
                return leaf(choice, tightness);
            };
            let own = operator.level();
            let left = grown(choices, own + u8::from(own == level::COMPARISON), depth - 1);
            Operation::Infix(*operator, left, grown(choices, own + 1, depth - 1))
        }
        3 if tightness <= level::PREFIX => match grown(choices, level::PREFIX, depth - 1) {
            number @ Tree::Number(_) => Operation::Prefix(Operator::Positive, number),
            operand => {
                let operators = [Operator::Not, Operator::BitNot, Operator::Negative, Operator::Positive];
                Operation::Prefix(operators[usize::from(choice % 4)], operand)
            }
        },
        4 if tightness <= level::CONDITIONAL => {
            let condition = match grown(choices, level::OR, depth - 1) {
                constant if !constant.is_expression() => Tree::Selector(vec![Step::Get(Tree::text("c"))]),
                condition => condition,
            };
            let yes = grown(choices, level::CONDITIONAL, depth - 1);
            Operation::Conditional(condition, yes, grown(choices, level::CONDITIONAL, depth - 1))
        }
        5 => {
            let arguments = match choice % 3 {
                0 => Tree::Extant,
                1 => Tree::Record(vec![Item::Value(Tree::text("x")), Item::Value(Tree::text("y"))]),
                _ => grown(choices, level::LAMBDA, depth - 1),
            };
            Operation::Invoke(Tree::text("f"), arguments)
        }
        6 if tightness <= level::LAMBDA => {
            let bindings = match choice % 3 {
                0 => Tree::Extant,
                1 => Tree::Record(vec![Item::Value(Tree::text("x")), Item::Value(Tree::text("y"))]),
                _ => Tree::text("x"),
            };
            Operation::Lambda(bindings, grown(choices, level::CONDITIONAL, depth - 1))
        }
        _ => {
            let predicate = match grown(choices, level::LAMBDA, depth - 1) {
                selector @ Tree::Selector(_) => selector,
                value => Tree::Selector(vec![Step::Literal(value)]),
            };
            let steps = [
                Step::Get(Tree::text("a b")),
                Step::GetAttr("t".into()),
                Step::GetItem(-1),
                Step::Keys,
                Step::Values,
                Step::Children,
                Step::Descendants,
                Step::Get(Tree::Selector(vec![Step::Get(Tree::text("k"))])),
            ];
            return Tree::Selector(vec![
                Step::Get(Tree::text("s")),
                Step::Filter(predicate),
                steps[usize::from(choice % 8)].clone(),
            ]);
        }
    };
    Tree::Operation(Box::new(operation))
}

fn leaf(choice: u8, tightness: u8) -> Tree {
    match choice % 6 {
        0 if tightness <= level::PREFIX => Tree::Number(Number::Int(-5)),
        1 => Tree::Number(Number::Float(0.5)),
        2 => Tree::Bool(true),
        3 => Tree::Data([0, 1].as_slice().into()),
        4 => Tree::text("two words"),
        _ => Tree::text("a"),
    }
}

/// Trees of all operators in any order, as reading makes them.
fn any_expression() -> impl Strategy<Value = Tree> {
    prop::collection::vec(any::<u8>(), 0..60).prop_map(|choices| {
        let mut stack: Vec<Tree> = vec![];
        for choice in choices {
            let mut next = || stack.pop().unwrap_or_else(|| leaf(choice / 16, 0));
            let operation = match choice % 12 {
                0 => Operation::Infix(Operator::Or, next(), next()),
                1 => Operation::Infix(Operator::BitAnd, next(), next()),
                2 => Operation::Infix(Operator::Equal, next(), next()),
                3 => Operation::Infix(Operator::Minus, next(), next()),
                4 => Operation::Infix(Operator::Modulo, next(), next()),
                5 => Operation::Prefix(Operator::Negative, next()),
                6 => Operation::Prefix(Operator::Not, next()),
                7 => Operation::Conditional(next(), next(), next()),
                8 => Operation::Invoke(next(), next()),
                9 => Operation::Lambda(next(), next()),
                10 => {
                    let items = [Item::Attr("t".into(), next()), Item::Slot(next(), next()), Item::Value(next())];
                    let items = items.into_iter().skip(usize::from(choice / 16 % 3));
                    stack.push(Tree::Record(items.collect()));
                    continue;
                }
                _ => {
                    let steps = vec![Step::Get(next()), Step::Filter(next()), Step::Get(next())];
                    stack.push(crate::recon::selector::chained(steps));
                    continue;
                }
            };
            stack.push(operation.reduced(0).unwrap());
        }
        stack.pop().unwrap_or(Tree::Extant)
    })
}

proptest! {
    #[test]
    fn what_java_writes_is_read_as_the_same(choices in prop::collection::vec(any::<u8>(), 1..80)) {
        let tree = grown(&mut choices.into_iter(), 0, 5);
        let canonical = text(|out| write_canonical(&tree, out));
        let again = read_tree(&canonical).map_err(|error| TestCaseError::fail(format!("{canonical}: {error}")))?;
        prop_assert_eq!(tagged(&again), tagged(&tree), "{}", canonical);
        prop_assert_eq!(text(|out| write_canonical(&again, out)), canonical.as_str());
        all_readers(&canonical);
    }

    #[test]
    fn every_expression_comes_back(tree in any_expression()) {
        let written = text(|out| write_tree(&tree, out));
        let again = read_tree(&written).map_err(|error| TestCaseError::fail(format!("{written}: {error}")))?;
        prop_assert_eq!(if again == Tree::Absent { Tree::Extant } else { again }, tree, "{}", written);
    }
}
