//! Stock Kong data planes connect unchanged: the acceptance list of the hybrid protocol, item by item, shown with simulated nodes of
//! every release against the real program.

mod bad_peers;
mod bookkeeping;
mod compatibility;
mod config_table;
mod messages;
mod resilience;
mod sync_v2;
mod transport;
mod world;
mod wrpc;
