//! What instances of each version receive, and what an operator is told about it.

mod configuration;
mod field_list_validator;
mod field_lists;
mod first_generation;
mod gaps;
mod given;
mod kitchen_sink;
mod rewrites;
mod sink;
mod versions;
