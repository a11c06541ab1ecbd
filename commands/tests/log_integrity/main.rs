//! What is noticed of a log that was altered: at the next start by the witness, at any time by `log verify`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod installation;
mod tampering;
mod witnessing;
