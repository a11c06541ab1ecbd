//! The SQL of every database, embedded in the program: one folder of numbered files and one module per database.
//!
//! A file that was once released is never changed: a new number follows it.

mod embedded;

pub mod keys;
pub mod log;
pub mod views;
