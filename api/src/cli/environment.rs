//! Environment variables in a declarative file, as decK puts them in: `${{ env "DECK_HOST" }}`, `${{ env "DECK_PORT" | toInt }}`,
//! `${{ env "DECK_KEY" | indent 6 }}`. Only variables that begin with `DECK_` are read, so that a file can't ask for others.

use anyhow::{Context, bail, ensure};

const OPENING: &str = "${{";
const CLOSING: &str = "}}";
const PREFIX: &str = "DECK_";

/// The file with every expression replaced; those in comment lines stay as they are. `variable` answers a variable's value, if it
/// is set.
pub fn filled(file: &str, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(file.len());
    for (index, line) in file.split_inclusive('\n').enumerate() {
        if line.trim_start().starts_with('#') {
            filled.push_str(line);
        } else {
            let line = line_filled(line, &variable).with_context(|| format!("line {}", index + 1))?;
            filled.push_str(&line);
        }
    }
    Ok(filled)
}

fn line_filled(line: &str, variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, expression)) = rest.split_once(OPENING) {
        let (expression, after) = expression
            .split_once(CLOSING)
            .with_context(|| format!("{OPENING} isn't closed by {CLOSING}"))?;
        filled.push_str(before);
        filled.push_str(&value_of(expression, variable)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The value of `env "NAME"`, passed through the functions after it.
fn value_of(expression: &str, variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let mut steps = expression.split('|').map(str::trim);
    let name = steps
        .next()
        .and_then(|step| step.strip_prefix("env"))
        .and_then(|quoted| unquoted(quoted.trim()));
    let Some(name) = name else {
        bail!("{OPENING}{expression}{CLOSING} isn't understood: write {OPENING} env \"{PREFIX}…\" {CLOSING}");
    };
    ensure!(
        name.starts_with(PREFIX),
        "the variable {name} isn't read: names in files begin with {PREFIX}"
    );
    let value = variable(name).with_context(|| format!("the variable {name} isn't set"))?;
    steps.try_fold(value, |value, step| {
        passed_through(step, value).with_context(|| format!("the variable {name}"))
    })
}

fn unquoted(text: &str) -> Option<&str> {
    ['"', '`']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

fn passed_through(function: &str, value: String) -> anyhow::Result<String> {
    let mut words = function.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("toInt"), None, None) => {
            value.parse::<i64>().context("isn't a whole number")?;
        }
        (Some("toFloat"), None, None) => {
            value.parse::<f64>().context("isn't a number")?;
        }
        (Some("toBool"), None, None) => return Ok(boolean(&value)?.to_string()),
        (Some("indent"), Some(spaces), None) => {
            let spaces = spaces.parse().context("indent takes a number of spaces")?;
            return Ok(value.replace('\n', &format!("\n{}", " ".repeat(spaces))));
        }
        _ => bail!("is passed through {function}, and only toInt, toFloat, toBool and indent N are known"),
    }
    Ok(value)
}

fn boolean(value: &str) -> anyhow::Result<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => bail!("is neither true nor false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(file: &str) -> anyhow::Result<String> {
        filled(file, |name| match name {
            "DECK_HOST" => Some("orders.test".to_owned()),
            "DECK_PORT" => Some("8443".to_owned()),
            "DECK_ON" => Some("1".to_owned()),
            "DECK_KEY" => Some("first\nsecond".to_owned()),
            "HOME" => Some("/root".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_put_in_and_the_rest_stays() {
        let file = "host: ${{ env \"DECK_HOST\" }}:${{env `DECK_PORT` | toInt}} # end\nenabled: ${{ env \"DECK_ON\" | toBool }}\n";
        assert_eq!(
            fill(file).unwrap(),
            "host: orders.test:8443 # end\nenabled: true\n"
        );
        let key = "key: |\n  ${{ env \"DECK_KEY\" | indent 2 }}";
        assert_eq!(fill(key).unwrap(), "key: |\n  first\n  second");
        assert_eq!(fill("a: ${x} {{y}}").unwrap(), "a: ${x} {{y}}");
    }

    #[test]
    fn comments_are_left_alone() {
        let comment = "  # host: ${{ env \"DECK_NOT_SET\" }}\n";
        assert_eq!(fill(comment).unwrap(), comment);
    }

    #[test]
    fn what_cannot_be_put_in_is_refused_with_its_line() {
        let refused = |file: &str| format!("{:#}", fill(file).unwrap_err());
        assert_eq!(
            refused("a: 1\nb: ${{ env \"DECK_NOT_SET\" }}"),
            "line 2: the variable DECK_NOT_SET isn't set"
        );
        assert!(refused("${{ env \"HOME\" }}").contains("begin with DECK_"));
        assert!(refused("${{ env \"DECK_HOST\" | toInt }}").contains("isn't a whole number"));
        assert!(refused("${{ env \"DECK_HOST\" | upper }}").contains("only toInt"));
        assert!(refused("${{ env \"DECK_HOST\"").contains("isn't closed"));
        assert!(refused("${{ exec \"x\" }}").contains("isn't understood"));
    }
}
