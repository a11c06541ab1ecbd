//! The impure inputs of a decision, as values (DESIGN §4): a time, a seed, and what strangers' code has said.

use uuid::Uuid;

use crate::Timestamp;
use crate::schema::{Generator, Judge, Judgements, Question};

/// What a decision may know beside state and command. The same context gives the same ids and strings.
#[derive(Clone, Debug)]
pub struct Context {
    /// What the clock says: what is decided carries true times, whatever times earlier changes of the boundary carry.
    pub at: Timestamp,
    seed: [u8; 32],
    drawn: u64,
    judgements: Judgements,
    open: Vec<Question>,
}

impl Context {
    /// A context for one command; `seed` must be fresh randomness for each.
    pub fn new(at: Timestamp, seed: [u8; 32]) -> Self {
        Self {
            at,
            seed,
            drawn: 0,
            judgements: Judgements::default(),
            open: Vec::new(),
        }
    }

    /// The same context, in which this is known of what functions of uploaded schemas say.
    #[must_use]
    pub fn knowing(self, judgements: Judgements) -> Self {
        Self { judgements, ..self }
    }

    /// The questions that a decision has met and nobody has answered yet; it went on as if each were answered with yes. They
    /// are asked once.
    pub fn open_questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.open)
    }

    fn draw(&mut self, output: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&self.drawn.to_le_bytes());
        self.drawn += 1;
        hasher.finalize_xof().fill(output);
    }
}

impl Judge for Context {
    fn judge(&mut self, question: Question) -> Result<(), String> {
        match self.judgements.of(&question) {
            Some(verdict) => verdict.clone(),
            None => {
                self.open.push(question);
                Ok(())
            }
        }
    }
}

impl Generator for Context {
    fn now(&self) -> Timestamp {
        self.at
    }

    fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.draw(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn random_string(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let mut bytes = [0; 64];
            self.draw(&mut bytes);
            // Bytes of 248 and above would favour the first letters.
            let letters = bytes.iter().filter(|byte| **byte < 248);
            text.extend(
                letters
                    .map(|byte| char::from(ALPHABET[usize::from(*byte) % 62]))
                    .take(length - text.len()),
            );
        }
        text
    }
}
