//! The composition root: from settings to a running program, and from settings to an installation that is opened without one.
//!
//! - [`control_plane`]: the order in which everything starts. [`installation`]: log and keyring alone, for offline commands.
//! - [`data_directory`]: the directory, held by one process; [`storage`]: log and keyring in it or in NATS;
//!   [`lost_files`] and [`watched_log`] tell when a file is gone and when there is no room.
//! - [`first_start`]: identity, organization, admin token; [`authority`]: the built-in certificate authority.
//! - [`read_side`]: the views over that log.
//! - [`http_listener`]: a front door; [`http_connection`]: a connection and its end; [`tls`]: its certificate. [`http_presence`] says
//!   how long a connection may wait for its client, `http_bodies` and `http_stream` what it notices of it.
//! - [`operations_listener`]: the door for health and metrics, apart from all others. [`file_descriptors`]: how many there may be.

pub mod authority;
pub mod control_plane;
pub mod data_directory;
pub mod file_descriptors;
pub mod first_start;
mod http_bodies;
pub mod http_connection;
pub mod http_listener;
pub mod http_presence;
mod http_stream;
pub mod installation;
pub mod lost_files;
pub mod operations_listener;
pub mod read_side;
pub mod storage;
pub mod tls;
pub mod watched_log;
