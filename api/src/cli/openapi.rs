//! `openapi`: the API's description, without a server.

use clap::Args;

use super::ending::Ending;
use super::terminal;
use crate::http;

/// Prints the API's description
///
/// An OpenAPI 3.1 document on standard output, the same that a server answers at /openapi.json.
#[derive(Args, Debug)]
pub struct OpenApi {}

impl OpenApi {
    /// Prints the document.
    pub fn run(self) -> anyhow::Result<Ending> {
        terminal::print_indented(&http::openapi_document().to_string())?;
        Ok(Ending::Done)
    }
}
