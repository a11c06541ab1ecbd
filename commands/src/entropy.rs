//! The only place of this room where randomness enters: what it returns travels on as a value (DESIGN §13, law 3).

/// Fills the buffer with random bytes from the operating system.
///
/// # Panics
/// If the operating system has no source of randomness: nothing that needs a key may go on without one.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where randomness enters this room"
)]
pub fn fill(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system provides randomness");
}

/// A fresh 256-bit random value: a key, or the seed that ids and generated strings are derived from.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    fill(&mut seed);
    seed
}
