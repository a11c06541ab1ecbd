//! Lua 5.1's tokens, and those that LuaJIT adds.

/// One token of Lua source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    /// A reserved word or an operator.
    Word(&'a str),
    Number,
    Text,
}

impl Token<'_> {
    pub(super) fn shown(&self) -> &str {
        match self {
            Token::Name(name) | Token::Word(name) => name,
            Token::Number => "number",
            Token::Text => "string",
        }
    }
}

const RESERVED: [&str; 21] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
];
const OPERATORS: [&str; 28] = [
    "...", "..", "==", "~=", "<=", ">=", "::", "+", "-", "*", "/", "%", "^", "#", "<", ">", "=", "(", ")",
    "{", "}", "[", "]", ";", ":", ",", ".", "~",
];

/// Splits source into tokens; comments are none.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut found = Vec::new();
    let mut rest = skip_blanks(text)?;
    while let Some(first) = rest.chars().next() {
        let (token, length) = if first.is_ascii_alphabetic() || first == '_' || !first.is_ascii() {
            // LuaJIT takes every byte beyond ASCII as a letter.
            let length = span(rest, |byte| {
                byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
            });
            let word = &rest[..length];
            let reserved = RESERVED.contains(&word);
            (
                if reserved {
                    Token::Word(word)
                } else {
                    Token::Name(word)
                },
                length,
            )
        } else if starts_number(rest) {
            (Token::Number, number(rest)?)
        } else if first == '"' || first == '\'' {
            (Token::Text, quoted(rest, first)?)
        } else if let Some(length) = long_bracket(rest)? {
            (Token::Text, length)
        } else {
            let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
            let operator = operator.ok_or_else(|| format!("unexpected symbol near '{first}'"))?;
            (Token::Word(operator), operator.len())
        };
        found.push(token);
        rest = skip_blanks(&rest[length..])?;
    }
    Ok(found)
}

/// What follows white space and comments.
fn skip_blanks(text: &str) -> Result<&str, String> {
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix("--") {
        let length = match long_bracket(comment)? {
            Some(length) => length,
            None => comment.find('\n').unwrap_or(comment.len()),
        };
        rest = comment[length..].trim_start();
    }
    Ok(rest)
}

fn span(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

fn starts_number(text: &str) -> bool {
    let digits = text.strip_prefix('.').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
}

fn number(text: &str) -> Result<usize, String> {
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let exponents: [char; 2] = if hexadecimal { ['p', 'P'] } else { ['e', 'E'] };
    let mut length = span(text, |byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if text[..length].ends_with(exponents) && text[length..].starts_with(['+', '-']) {
        length += 1 + span(&text[length + 1..], |byte| byte.is_ascii_alphanumeric());
    }
    let literal = text[..length].to_ascii_lowercase();
    // LuaJIT's 64-bit integers and imaginary numbers.
    let suffix = ["ull", "ll", "i"]
        .iter()
        .find_map(|suffix| literal.strip_suffix(suffix));
    let plain = suffix.unwrap_or(&literal);
    let sound = match plain.strip_prefix("0x") {
        Some(digits) => hexadecimal_number(digits),
        None => {
            plain.starts_with(|first: char| first.is_ascii_digit() || first == '.')
                && plain.parse::<f64>().is_ok()
        }
    };
    if sound {
        Ok(length)
    } else {
        Err(format!("malformed number near '{}'", &text[..length]))
    }
}

/// Digits with at most one point, and a binary exponent.
fn hexadecimal_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once('p').unwrap_or((text, "0"));
    let digits = mantissa.replacen('.', "", 1);
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !exponent.is_empty()
        && exponent.bytes().all(|byte| byte.is_ascii_digit())
}

fn quoted(text: &str, quote: char) -> Result<usize, String> {
    let mut escaped = false;
    let mut skipping = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            // `\z` skips the white space after it, line ends too.
            'z' if escaped => (escaped, skipping) = (false, true),
            space if skipping && space.is_ascii_whitespace() => {}
            _ if escaped => escaped = false,
            '\\' => (escaped, skipping) = (true, false),
            '\n' => break,
            end if end == quote => return Ok(index + 1),
            _ => skipping = false,
        }
    }
    Err(format!("unfinished string near '{text}'"))
}

/// The length of a `[==[…]==]` string at the beginning of the text.
fn long_bracket(text: &str) -> Result<Option<usize>, String> {
    let Some(after) = text.strip_prefix('[') else {
        return Ok(None);
    };
    let level = span(after, |byte| byte == b'=');
    if !after[level..].starts_with('[') {
        return Ok(None);
    }
    let close = format!("]{}]", "=".repeat(level));
    let start = level + 2;
    let end = text[start..]
        .find(&close)
        .ok_or_else(|| "unfinished long string".to_owned())?;
    Ok(Some(start + end + close.len()))
}
