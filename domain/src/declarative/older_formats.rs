//! Files written for Kong before 3.0, where a route's path could be a regular expression without saying so.

use serde_json::{Map, Value};

/// What marks a path as a regular expression since 3.0.
const MARK: char = '~';

/// Marks the paths of a route that Kong before 3.0 took for regular expressions: those with a letter that plain paths don't have.
pub(super) fn mark_regular_expressions(route: &mut Map<String, Value>) {
    let Some(Value::Array(paths)) = route.get_mut("paths") else {
        return;
    };
    for path in paths {
        if let Value::String(text) = path
            && !text.starts_with(MARK)
            && !text.chars().all(is_plain)
        {
            text.insert(0, MARK);
        }
    }
}

const fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '~' | '/' | '%' | '-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_paths_that_were_regular_expressions_are_marked() {
        let paths = json!(["/plain-1.0/~me/%20", "/items/\\d+$", "~/already$", "/(a|b)"]);
        let mut route = Map::from_iter([("paths".to_owned(), paths)]);

        mark_regular_expressions(&mut route);

        let marked = json!(["/plain-1.0/~me/%20", "~/items/\\d+$", "~/already$", "~/(a|b)"]);
        assert_eq!(route["paths"], marked);
    }
}
