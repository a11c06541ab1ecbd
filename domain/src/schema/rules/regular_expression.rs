//! Regular expressions that users write, judged with bounded work. None is ever matched here: instances do that. What may cost much is
//! compiling: counted repeats multiply what little text says.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The longest expression for PCRE, in bytes. It looks through the whole text for some of what stands in it.
const LONGEST_PCRE: usize = 8 * 1024;
/// Up to this many steps an expression is far from the size at which the router refuses it, so it needn't be compiled to know.
const SMALL: u64 = 50_000;
/// Beyond this many steps no router compiles it.
const TOO_LARGE: u64 = 2_000_000;
/// How many expressions of one body may be larger than small.
const LARGE_ONES: usize = 8;

/// Refuses what PCRE doesn't compile.
pub(in crate::schema) fn pcre(expression: &str) -> Result<(), String> {
    if expression.len() > LONGEST_PCRE {
        return Err(format!(
            "an expression has at most {LONGEST_PCRE} bytes, this one has {}; split it",
            expression.len()
        ));
    }
    match pcre2::bytes::Regex::new(expression) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// How far an expression must be looked at to know whether the router takes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// It is sound and small: the router takes it.
    Small,
    /// Only compiling it tells.
    Unknown,
}

/// How much has been compiled for one body.
#[derive(Debug, Default)]
pub(super) struct Compiled(usize);

impl Compiled {
    /// Judges an expression for the router, without compiling it; an error says what to simplify.
    pub(super) fn judge(&mut self, expression: &str) -> Result<Size, String> {
        let Ok(parsed) = regex_syntax::Parser::new().parse(expression) else {
            return Ok(Size::Unknown);
        };
        match steps(&parsed) {
            ..=SMALL => Ok(Size::Small),
            many if many > TOO_LARGE => Err(format!(
                "the regular expression '{}' is too large once its repeats are written out: use lower counts, or * or + in their place",
                shown(expression)
            )),
            _ => {
                self.0 += 1;
                match self.0 > LARGE_ONES {
                    true => Err(format!(
                        "more than {LARGE_ONES} of its regular expressions are large once their repeats are written out, '{}' among them: use lower counts, or * or + in their place",
                        shown(expression)
                    )),
                    false => Ok(Size::Unknown),
                }
            }
        }
    }
}

/// About how many steps an expression has once its repeats are written out; never fewer than a third.
fn steps(expression: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(steps).fold(1, u64::saturating_add);
    match expression.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Bytes(_)) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => 3 * class.ranges().len() as u64,
        HirKind::Capture(capture) => steps(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min).max(1));
            steps(&repetition.sub).saturating_add(1).saturating_mul(times)
        }
    }
}

fn shown(expression: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = expression.chars().take(LONGEST).collect();
    if shown.len() < expression.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(expression: &str) -> Result<Size, String> {
        Compiled::default().judge(expression)
    }

    #[test]
    fn what_people_write_is_small() {
        for expression in [
            r"^/[^/]+/v\d+/orders/\w+$",
            r"^/(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
            r"^/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
            r"^/(?i)(foo|bar|baz)/.*",
            r"^/\w{1,16}$",
        ] {
            assert_eq!(judged(expression), Ok(Size::Small), "{expression}");
        }
    }

    #[test]
    fn what_is_small_compiles() {
        for expression in [r"\w{20}", "(?:a{10}){900}", "[^/]{4000}", "(a?){9000}"] {
            assert_eq!(judged(expression), Ok(Size::Small), "{expression}");
            assert!(regex::Regex::new(expression).is_ok(), "{expression}");
        }
    }

    #[test]
    fn what_no_router_compiles_is_refused_without_trying() {
        for expression in [
            "((a{200}){200}){200}",
            r"(\w{100}){1000}",
            "((((((a{50}){50}){50}){50}){50}){50})",
        ] {
            let refused = judged(expression).unwrap_err();
            assert!(refused.contains("use lower counts"), "{refused}");
        }
    }

    #[test]
    fn a_body_has_some_large_expressions_and_not_many() {
        let mut compiled = Compiled::default();
        for _ in 0..LARGE_ONES {
            assert_eq!(compiled.judge(r"\w{60}"), Ok(Size::Unknown));
        }
        assert!(compiled.judge(r"\w{60}").unwrap_err().contains("more than 8"));
        assert_eq!(compiled.judge(r"\w+"), Ok(Size::Small));
    }

    #[test]
    fn an_expression_for_pcre_has_a_length() {
        assert_eq!(pcre(&"a".repeat(LONGEST_PCRE)), Ok(()));
        assert!(
            pcre(&"a".repeat(LONGEST_PCRE + 1))
                .unwrap_err()
                .contains("at most 8192 bytes")
        );
    }
}
