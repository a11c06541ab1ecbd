//! Lua's grammar over tokens: accepted or not, nothing is built.

use super::token::Token;

/// Nesting at which Lua's own compiler gives up.
const DEEPEST: usize = 200;

const BINARY: [&str; 15] = [
    "and", "or", "<", ">", "<=", ">=", "~=", "==", "..", "+", "-", "*", "/", "%", "^",
];

/// What a name or parenthesis with its suffixes is.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// Something that can be assigned to.
    Place,
    Call,
    Value,
}

pub(super) struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    depth: usize,
}

impl<'t, 'a> Parser<'t, 'a> {
    pub(super) const fn new(tokens: &'t [Token<'a>]) -> Self {
        Self { tokens, depth: 0 }
    }
}

impl Parser<'_, '_> {
    /// One expression and nothing after it.
    pub(super) fn whole_expression(mut self) -> Result<(), String> {
        self.expression()?;
        self.end()
    }

    /// Statements and nothing after them.
    pub(super) fn chunk(mut self) -> Result<(), String> {
        self.block()?;
        self.end()
    }

    fn end(&self) -> Result<(), String> {
        self.tokens
            .first()
            .map_or(Ok(()), |token| Err(unexpected(*token)))
    }

    /// Statements up to a word that ends them; `return` is the last one.
    fn block(&mut self) -> Result<(), String> {
        self.deeper()?;
        while !matches!(
            self.tokens.first(),
            None | Some(Token::Word("end" | "else" | "elseif" | "until"))
        ) {
            if self.next_is(&["return"]) {
                let done = matches!(
                    self.tokens.first(),
                    None | Some(Token::Word("end" | "else" | "elseif" | "until" | ";"))
                );
                if !done {
                    self.expressions()?;
                }
                self.next_is(&[";"]);
                break;
            }
            self.statement()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn statement(&mut self) -> Result<(), String> {
        match self.tokens {
            [Token::Word(word @ (";" | "break")), ..] => self.expect(word),
            [Token::Word("::"), ..] => {
                self.advance();
                self.name()?;
                self.expect("::")
            }
            [Token::Name("goto"), Token::Name(_), ..] => {
                self.tokens = &self.tokens[2..];
                Ok(())
            }
            [Token::Word("if"), ..] => self.branches(),
            [Token::Word("while"), ..] => {
                self.advance();
                self.expression()?;
                self.expect("do")?;
                self.block_to("end")
            }
            [Token::Word("do"), ..] => {
                self.advance();
                self.block_to("end")
            }
            [Token::Word("repeat"), ..] => {
                self.advance();
                self.block_to("until")?;
                self.expression()
            }
            [Token::Word("for"), ..] => self.for_loop(),
            [Token::Word("function"), ..] => self.named_function(),
            [Token::Word("local"), ..] => self.local(),
            _ => self.call_or_assignment(),
        }
    }

    fn block_to(&mut self, end: &str) -> Result<(), String> {
        self.block()?;
        self.expect(end)
    }

    fn branches(&mut self) -> Result<(), String> {
        self.expect("if")?;
        loop {
            self.expression()?;
            self.expect("then")?;
            self.block()?;
            if self.next_is(&["else"]) {
                return self.block_to("end");
            }
            if !self.next_is(&["elseif"]) {
                return self.expect("end");
            }
        }
    }

    fn for_loop(&mut self) -> Result<(), String> {
        self.expect("for")?;
        self.name()?;
        if self.next_is(&["="]) {
            self.expression()?;
            self.expect(",")?;
            self.expressions()?;
        } else {
            while self.next_is(&[","]) {
                self.name()?;
            }
            self.expect("in")?;
            self.expressions()?;
        }
        self.expect("do")?;
        self.block_to("end")
    }

    fn named_function(&mut self) -> Result<(), String> {
        self.expect("function")?;
        self.name()?;
        while self.next_is(&["."]) {
            self.name()?;
        }
        if self.next_is(&[":"]) {
            self.name()?;
        }
        self.function_body()
    }

    fn local(&mut self) -> Result<(), String> {
        self.expect("local")?;
        if self.next_is(&["function"]) {
            self.name()?;
            return self.function_body();
        }
        self.name()?;
        while self.next_is(&[","]) {
            self.name()?;
        }
        if self.next_is(&["="]) {
            self.expressions()
        } else {
            Ok(())
        }
    }

    /// Parameters and statements, after the word `function` and perhaps a name.
    fn function_body(&mut self) -> Result<(), String> {
        self.expect("(")?;
        if !self.next_is(&[")"]) {
            while !self.next_is(&["..."]) {
                self.name()?;
                if !self.next_is(&[","]) {
                    break;
                }
            }
            self.expect(")")?;
        }
        self.block_to("end")
    }

    fn call_or_assignment(&mut self) -> Result<(), String> {
        let mut ending = self.place()?;
        if ending == Ending::Call {
            return Ok(());
        }
        while ending == Ending::Place && self.next_is(&[","]) {
            ending = self.place()?;
        }
        if ending != Ending::Place {
            let near = self.tokens.first().map_or("<eof>", Token::shown);
            return Err(format!("syntax error near '{near}'"));
        }
        self.expect("=")?;
        self.expressions()
    }

    /// A name or a parenthesis with what follows it.
    fn place(&mut self) -> Result<Ending, String> {
        match self.tokens.first() {
            Some(Token::Name(_)) => {
                self.advance();
                self.suffixes(Ending::Place)
            }
            Some(Token::Word("(")) => {
                self.advance();
                self.expression()?;
                self.expect(")")?;
                self.suffixes(Ending::Value)
            }
            other => Err(unexpected(*other.unwrap_or(&Token::Word("<eof>")))),
        }
    }

    fn expressions(&mut self) -> Result<(), String> {
        self.expression()?;
        while self.next_is(&[","]) {
            self.expression()?;
        }
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("chunk has too many syntax levels".to_owned());
        }
        Ok(())
    }

    /// Operands between binary operators; which binds tighter doesn't matter for what is accepted.
    fn expression(&mut self) -> Result<(), String> {
        self.deeper()?;
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
            Some(Token::Word("function")) => {
                self.advance();
                self.function_body()
            }
            _ => self.place().map(drop),
        }
    }

    /// Indexes and calls after a name or a parenthesis.
    fn suffixes(&mut self, start: Ending) -> Result<Ending, String> {
        let mut ending = start;
        loop {
            match self.tokens.first() {
                Some(Token::Word(".")) => {
                    self.advance();
                    self.name()?;
                    ending = Ending::Place;
                }
                Some(Token::Word("[")) => {
                    self.advance();
                    self.expression()?;
                    self.expect("]")?;
                    ending = Ending::Place;
                }
                Some(Token::Word(":")) => {
                    self.advance();
                    self.name()?;
                    self.arguments()?;
                    ending = Ending::Call;
                }
                Some(Token::Word("(" | "{") | Token::Text) => {
                    self.arguments()?;
                    ending = Ending::Call;
                }
                _ => return Ok(ending),
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
                self.expressions()?;
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
