//! The servers of one installation: one alone, or several that share a log and the views' database.

use std::path::Path;
use std::process::ExitStatus;

use crate::api_client::ApiClient;
use crate::server_process::{Log, ServerProcess};

/// The master key that all servers have; any 32 bytes will do.
pub const MASTER_KEY: &str = "5e1f0c9a7b3d2846f0e1d2c3b4a5968778695a4b3c2d1e0f0123456789abcdef";

/// Servers that were started on an empty log; ended when dropped.
#[derive(Debug)]
pub struct Servers {
    servers: Vec<ServerProcess>,
    admin_token: String,
}

impl Servers {
    /// Starts `size` servers at once on an empty log, with these further arguments of `serve`, and waits until each is ready. Several need
    /// a log and a PostgreSQL database that can be shared.
    ///
    /// # Panics
    /// When one of them ends instead.
    pub async fn start(size: usize, log: &Log, database: Option<&str>, arguments: &[&str]) -> Self {
        Self::start_with(size, log, database, arguments, None).await
    }

    /// The same with another program than the one that is built here.
    pub async fn start_with(
        size: usize,
        log: &Log,
        database: Option<&str>,
        arguments: &[&str],
        program: Option<&Path>,
    ) -> Self {
        let prepare = |_| {
            let mut server = ServerProcess::prepare(log.clone())
                .with_master_key(MASTER_KEY)
                .with_arguments(arguments);
            server.replace_program(program.map(Path::to_path_buf));
            match database {
                Some(url) => server.with_database(url),
                None => server,
            }
        };
        let mut servers: Vec<_> = (0..size).map(prepare).collect();
        servers.iter_mut().for_each(ServerProcess::start_again);
        for server in &mut servers {
            server.ready().await;
        }
        Self {
            admin_token: admin_token(&servers),
            servers,
        }
    }

    /// How many there are, running or not.
    pub const fn size(&self) -> usize {
        self.servers.len()
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, ServerProcess> {
        self.servers.iter()
    }

    /// The server at `index`, counted from 0.
    pub fn server(&self, index: usize) -> &ServerProcess {
        &self.servers[index]
    }

    /// The server at `index`, to end it or to start it again.
    pub fn server_mut(&mut self, index: usize) -> &mut ServerProcess {
        &mut self.servers[index]
    }

    /// The administrator's token, which every server takes.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// The first server's API, seen by the administrator.
    pub fn api(&self) -> ApiClient {
        self.servers[0].api_as(&self.admin_token)
    }

    /// SIGTERM to one after the other, and waits for each one's orderly end.
    pub async fn stop(&mut self) -> Vec<ExitStatus> {
        let mut ended = Vec::new();
        for server in &mut self.servers {
            ended.push(server.stop().await);
        }
        ended
    }
}

/// The token that the first start printed: only the server that won it has the file.
fn admin_token(servers: &[ServerProcess]) -> String {
    let first = servers
        .iter()
        .find(|server| server.data_dir().join("admin.token").exists());
    first
        .expect("one of the servers made the first start")
        .admin_token()
}
