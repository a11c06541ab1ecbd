//! The impure inputs of a decision, as values (DESIGN §4): a time and a seed.

use uuid::Uuid;

use crate::Timestamp;
use crate::schema::Generator;

/// What a decision may know beside state and command. The same context gives the same ids and strings.
#[derive(Clone, Debug)]
pub struct Context {
    /// What the clock says: what is decided carries true times, whatever times earlier changes of the boundary carry.
    pub at: Timestamp,
    seed: [u8; 32],
    drawn: u64,
}

impl Context {
    /// A context for one command; `seed` must be fresh randomness for each.
    pub const fn new(at: Timestamp, seed: [u8; 32]) -> Self {
        Self { at, seed, drawn: 0 }
    }

    fn draw(&mut self, output: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&self.drawn.to_le_bytes());
        self.drawn += 1;
        hasher.finalize_xof().fill(output);
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
