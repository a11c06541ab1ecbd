//! A recogniser for Lua 5.1 expressions, enough to refuse a template that no gateway could compile.
//!
//! Function bodies are not looked into: from the word `function` on, the gateway's own compiler has the last word.

/// Nesting at which Lua's own compiler gives up.
const DEEPEST: usize = 200;

/// Whether the text is one expression.
pub(super) fn expression(text: &str) -> Result<(), String> {
    let tokens = tokens(text)?;
    if tokens.contains(&Token::Word("function")) {
        return Ok(());
    }
    let mut parser = Parser {
        tokens: &tokens,
        depth: 0,
    };
    parser.expression()?;
    match parser.tokens.first() {
        None => Ok(()),
        Some(token) => Err(format!("unexpected symbol near '{}'", token.shown())),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    /// A reserved word or an operator.
    Word(&'a str),
    Number,
    Text,
}

impl Token<'_> {
    fn shown(&self) -> &str {
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
const OPERATORS: [&str; 27] = [
    "...", "..", "==", "~=", "<=", ">=", "+", "-", "*", "/", "%", "^", "#", "<", ">", "=", "(", ")", "{",
    "}", "[", "]", ";", ":", ",", ".", "~",
];
const BINARY: [&str; 15] = [
    "and", "or", "<", ">", "<=", ">=", "~=", "==", "..", "+", "-", "*", "/", "%", "^",
];

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = if first.is_ascii_alphabetic() || first == '_' {
            let length = span(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let word = &rest[..length];
            (
                if RESERVED.contains(&word) {
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
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

fn span(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

fn starts_number(text: &str) -> bool {
    let digits = text.strip_prefix('.').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
}

fn number(text: &str) -> Result<usize, String> {
    let mut length = span(text, |byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let exponent = text[..length].ends_with(['e', 'E']) && !text.starts_with("0x") && !text.starts_with("0X");
    if exponent && text[length..].starts_with(['+', '-']) {
        length += 1 + span(&text[length + 1..], |byte| byte.is_ascii_digit());
    }
    let literal = &text[..length];
    let hexadecimal = literal.strip_prefix("0x").or_else(|| literal.strip_prefix("0X"));
    let sound = match hexadecimal {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => literal.parse::<f64>().is_ok(),
    };
    if sound {
        Ok(length)
    } else {
        Err(format!("malformed number near '{literal}'"))
    }
}

fn quoted(text: &str, quote: char) -> Result<usize, String> {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => break,
            end if end == quote => return Ok(index + 1),
            _ => {}
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

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    depth: usize,
}

impl Parser<'_, '_> {
    /// Operands between binary operators; which binds tighter doesn't matter for what is accepted.
    fn expression(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("chunk has too many syntax levels".to_owned());
        }
        loop {
            while self.next_is(&["not", "#", "-"]) {}
            self.operand()?;
            if !self.next_is(&BINARY) {
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn operand(&mut self) -> Result<(), String> {
        match self.tokens.first() {
            Some(Token::Number | Token::Text | Token::Word("nil" | "true" | "false" | "...")) => {
                self.advance();
                Ok(())
            }
            Some(Token::Word("{")) => self.table(),
            Some(Token::Name(_)) => {
                self.advance();
                self.suffixes()
            }
            Some(Token::Word("(")) => {
                self.advance();
                self.expression()?;
                self.expect(")")?;
                self.suffixes()
            }
            other => Err(unexpected(*other.unwrap_or(&Token::Word("<eof>")))),
        }
    }

    /// Indexes and calls after a name or a parenthesis.
    fn suffixes(&mut self) -> Result<(), String> {
        loop {
            match self.tokens.first() {
                Some(Token::Word(".")) => {
                    self.advance();
                    self.name()?;
                }
                Some(Token::Word("[")) => {
                    self.advance();
                    self.expression()?;
                    self.expect("]")?;
                }
                Some(Token::Word(":")) => {
                    self.advance();
                    self.name()?;
                    self.arguments()?;
                }
                Some(Token::Word("(" | "{") | Token::Text) => self.arguments()?,
                _ => return Ok(()),
            }
        }
    }

    fn arguments(&mut self) -> Result<(), String> {
        match self.tokens.first() {
            Some(Token::Text) => {
                self.advance();
                Ok(())
            }
            Some(Token::Word("{")) => self.table(),
            _ => {
                self.expect("(")?;
                if self.next_is(&[")"]) {
                    return Ok(());
                }
                self.expression()?;
                while self.next_is(&[","]) {
                    self.expression()?;
                }
                self.expect(")")
            }
        }
    }

    fn table(&mut self) -> Result<(), String> {
        self.expect("{")?;
        while !self.next_is(&["}"]) {
            if self.next_is(&["["]) {
                self.expression()?;
                self.expect("]")?;
                self.expect("=")?;
            } else if let [Token::Name(_), Token::Word("="), ..] = self.tokens {
                self.tokens = &self.tokens[2..];
            }
            self.expression()?;
            if !self.next_is(&[",", ";"]) {
                return self.expect("}");
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Result<(), String> {
        match self.tokens.first() {
            Some(Token::Name(_)) => {
                self.advance();
                Ok(())
            }
            other => Err(unexpected(*other.unwrap_or(&Token::Word("<eof>")))),
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.next_is(&[word]) {
            return Ok(());
        }
        let near = self.tokens.first().map_or("<eof>", Token::shown);
        Err(format!("'{word}' expected near '{near}'"))
    }

    fn next_is(&mut self, words: &[&str]) -> bool {
        let found = matches!(self.tokens.first(), Some(Token::Word(word)) if words.contains(word));
        if found {
            self.advance();
        }
        found
    }

    fn advance(&mut self) {
        self.tokens = &self.tokens[1..];
    }
}

fn unexpected(token: Token<'_>) -> String {
    format!("unexpected symbol near '{}'", token.shown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_lua_are_accepted() {
        for good in [
            "headers.x",
            "headers['x-a'] or 'none'",
            "query_params.a .. \"b\" .. 1.5e-3",
            "f(1, {a = 1; 2, [3] = 4,})[1]:m'x' == nil",
            "not (a and -b ^ 2 >= #c)",
            "[==[ ]] ]==] .. 0xFF",
            "(function() return 1 end)()",
            "...",
        ] {
            assert_eq!(expression(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_no_lua_compiles_is_refused() {
        for bad in [
            "", "1 +", "a b", "(a", "a,b", "x = 1", "'a", "1x", "a.", "a:b", "@", "{1 2}", "local", "a...",
        ] {
            assert!(expression(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(expression(&"(".repeat(100_000)).is_err());
        assert!(expression(&"{".repeat(100_000)).is_err());
        assert_eq!(
            expression(&format!("{}a{}", "(".repeat(100), ")".repeat(100))),
            Ok(())
        );
    }
}
