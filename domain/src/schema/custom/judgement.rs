//! What functions of uploaded schemas say about values. They are code of strangers, so they run elsewhere, and what they say enters a
//! decision as a value: a decision that meets a function that nobody has asked yet goes on as if it had agreed, and tells at its end
//! what has to be asked.

use std::sync::Arc;

use imbl::HashMap;
use serde_json::Value;

/// A value that a function of an uploaded schema has to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The schema's text.
    pub source: Arc<str>,
    /// The function's place in the table that the text returns: names and positions from the table down, each after a slash.
    pub place: Arc<str>,
    /// The value.
    pub value: Value,
}

/// A question's digest: equal questions have equal answers.
type QuestionDigest = [u8; 32];

/// What functions have said: that a value is right, or why it isn't.
#[derive(Clone, Debug, Default)]
pub struct Judgements(HashMap<QuestionDigest, Result<(), String>>);

impl Judgements {
    /// Takes note of what a function said.
    pub fn note(&mut self, question: &Question, verdict: Result<(), String>) {
        self.0.insert(question.digest(), verdict);
    }

    /// What a function said; none if nobody has asked it.
    pub fn of(&self, question: &Question) -> Option<&Result<(), String>> {
        self.0.get(&question.digest())
    }
}

impl Question {
    fn digest(&self) -> QuestionDigest {
        let mut hasher = blake3::Hasher::new();
        for text in [&self.source, &self.place] {
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(self.value.to_string().as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// Who knows what functions of uploaded schemas say.
pub trait Judge {
    /// What a function says about a value. A judge that doesn't know agrees, and remembers that it was asked.
    fn judge(&mut self, question: Question) -> Result<(), String>;
}
