//! What instances of each version receive, and what an operator is told about it.

mod configuration;
mod given;
mod versions;
