//! The cors plugin.

use super::regular_expression;

/// `*`, or something that compiles as a regular expression.
pub(super) fn origin(text: &str) -> Result<(), String> {
    if text == "*" || regular_expression::pcre(text).is_ok() {
        return Ok(());
    }
    Err(format!("'{text}' is not a valid regex"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_star_or_a_regular_expression() {
        assert_eq!(origin("*"), Ok(()));
        assert_eq!(origin(r"https?://(.+\.)?example\.com"), Ok(()));
        assert_eq!(origin("**"), Err("'**' is not a valid regex".to_owned()));
    }
}
