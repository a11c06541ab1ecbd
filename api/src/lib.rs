//! The program's outside: HTTP, the command line, settings and lifecycle, and the composition root that hands every room what
//! it needs of the others (DESIGN §3, §8).
//!
//! Where to start reading:
//! - [`cli`]: one file per command of `runtime-manager`; `serve` is the default.
//! - [`http`]: the API, one table of endpoints.
//! - [`compose`]: from settings to a running program.
//! - [`certificate_issuing`], [`certificate_expiry`]: instances' certificates, from the built-in CA and until their end.
//! - [`provisioning`]: what a new instance is started with, on each platform.
//! - [`config`]: settings; [`lifecycle`]: how the process ends; [`health`]: what isn't well with it; [`telemetry`]: its log lines;
//!   [`clock`]: its time;
//!   [`foreign_text`]: what others wrote, before a terminal gets it.

pub mod certificate_expiry;
pub mod certificate_issuing;
pub mod cli;
pub mod clock;
pub mod compose;
pub mod config;
pub mod foreign_text;
pub mod health;
pub mod http;
pub mod lifecycle;
pub mod provisioning;
pub mod telemetry;
