//! What instances of each version receive, and what an operator is told about it.

mod configuration;
mod first_generation;
mod gaps;
mod given;
mod rewrites;
mod versions;
