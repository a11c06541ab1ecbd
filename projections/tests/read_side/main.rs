//! The read side beside a log double: what it answers is what folding the log gives, whatever happens to it.

mod certificates;
mod change_search;
mod damage;
mod history;
mod live_groups;
mod log_double;
mod lookups;
mod newer_file;
mod parts;
mod past;
mod registry;
mod set_back;
mod surroundings;
mod survival;
mod views_database;
mod world;
