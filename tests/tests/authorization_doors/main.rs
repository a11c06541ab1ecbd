//! Who may do what at the doors of the real program: certificates and tokens of every kind at the instances' listener, everybody at the
//! listener for operations, and strangers at the API as it is served.
//!
//! What each endpoint of the API needs is shown call by call in `api/tests/http/authorization`.

#![expect(
    clippy::print_stdout,
    reason = "how many cases there were is what it is run for"
)]

mod api;
mod instances;
mod operations;
mod world;
