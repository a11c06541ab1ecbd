//! What crosses rooms: the harness that boots the real programs, and in `tests/` the end-to-end tests that use it.
//!
//! A fixture owns what it starts: a process on a free port of the loopback interface with a data directory of its own, killed and
//! removed when the fixture is dropped. Nothing that already runs on the machine is touched.
//!
//! - [`nats_server`] and [`nats_cluster`]: JetStream with one server and with three.
//! - [`postgres_server`]: PostgreSQL, with a fresh database for each test.
//! - [`cluster`]: three servers on three NATS servers and one PostgreSQL, behind a load balancer.
//! - [`server_process`]: `runtime-manager serve`; [`agent_process`]: `runtime-manager agent`; [`command_line`]: every other command.
//! - [`data_plane`]: simulated Kong data planes of every release.
//! - [`deck`]: decK, as published, in both of its modes; [`declarative_file`]: the files it reads.
//! - [`servers`]: those of one installation.
//! - [`api_client`]: what a test says to a server over HTTP.
//! - [`settable_machine`]: a machine whose clock tests set, for the whole program.
//! - [`process_usage`]: what a process takes of the machine.
//! - [`process`]: signals, output and the end of a child process; [`port`]: free ports; [`program`]: the binary under test.
//! - [`steady_load`]: clients that must not notice anything.
//! - [`workload`]: writers that note what they were promised; [`histories`]: a judge of what clients saw.
//! - [`sample_history`]: a past worth keeping; [`long_history`]: one of a million changes; [`byte_search`]: what lies on a disk.
//! - [`tcp_proxy`]: a load balancer, or a wire that can be cut; [`tls_front`]: a door with TLS before a plain address.
//! - [`runbook`]: the commands that the operations guide tells people to run.
//! - [`eventually`]: the one way to wait.
//!
//! Start reading at [`server_process`].

pub mod agent_process;
pub mod api_client;
pub mod authority;
pub mod byte_search;
pub mod cluster;
pub mod command_line;
pub mod data_plane;
pub mod deck;
pub mod declarative_file;
pub mod eventually;
pub mod histories;
pub mod long_history;
pub mod nats_cluster;
pub mod nats_server;
pub mod port;
pub mod postgres_server;
pub mod process;
pub mod process_usage;
pub mod program;
pub mod runbook;
pub mod sample_history;
pub mod server_process;
pub mod servers;
pub mod settable_machine;
pub mod steady_load;
pub mod tcp_proxy;
pub mod tls_front;
pub mod workload;
