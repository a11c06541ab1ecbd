//! One PostgreSQL server.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};

use tempfile::TempDir;

use crate::eventually::eventually;
use crate::process::Process;

/// Waits until its input ends, as it does however the test process ends; then ends the server and removes its files.
const GUARDIAN: &str = r#"
    trap '' INT TERM HUP
    cat > /dev/null
    pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null)
    if [ -n "$pid" ]; then
        kill -QUIT "$pid" 2> /dev/null
        while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
    fi
    rm -rf "$1"
"#;

/// A PostgreSQL server on a socket in a directory of its own, ended with the test process even when that is killed.
#[derive(Debug)]
pub struct PostgresServer {
    home: PathBuf,
    fsync: bool,
    /// Where it listens with TLS, beside its socket.
    encrypted: Option<u16>,
    process: Option<Process>,
    databases: AtomicU32,
    guardian: Child,
    /// Its end is what the guardian waits for.
    _alive: ChildStdin,
}

impl PostgresServer {
    /// The one server of this test process, for tests that leave it alone; each takes a [`Self::fresh_database`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server, for tests that stop it. Like the shared one it doesn't wait for the disk.
    ///
    /// # Panics
    /// When neither `POSTGRES_BIN` nor `tests/postgres/server` names a directory with PostgreSQL's programs.
    pub fn start() -> Self {
        Self::start_with(false, None)
    }

    /// Starts a server that takes connections on a port of the loopback interface too, with this certificate and key (PEM files).
    ///
    /// # Panics
    /// As [`Self::start`] does.
    pub fn start_encrypted(certificate: &Path, key: &Path, port: u16) -> Self {
        Self::start_with(false, Some((certificate, key, port)))
    }

    /// The URL of a database over TCP, without parameters.
    ///
    /// # Panics
    /// When the server wasn't started with a certificate.
    pub fn encrypted_url(&self, database: &str) -> String {
        let port = self.encrypted.expect("it listens over TCP");
        format!("postgres://tester:secret@127.0.0.1:{port}/{database}")
    }

    /// Starts a server that has on the disk what it commits, as in production: for measurements.
    ///
    /// # Panics
    /// As [`Self::start`] does.
    pub fn start_durable() -> Self {
        Self::start_with(true, None)
    }

    fn start_with(fsync: bool, identity: Option<(&Path, &Path, u16)>) -> Self {
        let home = TempDir::with_prefix("runtime-manager-postgres-")
            .expect("the temporary directory is writable")
            .keep();
        if let Some((user, group)) = other_user() {
            chown(&home, Some(user), Some(group)).expect("root gives files away");
        }
        std::fs::set_permissions(&home, Permissions::from_mode(0o755)).expect("the owner sets permissions");
        let mut guardian = as_other_user(&mut Command::new("sh"))
            .args(["-c", GUARDIAN, "guardian"])
            .arg(&home)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let alive = guardian.stdin.take().expect("its input is a pipe");
        make_cluster(&home);
        if let Some((certificate, key, _)) = identity {
            give(certificate, &home.join("certificate.pem"));
            give(key, &home.join("key.pem"));
        }
        let mut server = Self {
            home,
            fsync,
            encrypted: identity.map(|(.., port)| port),
            process: None,
            databases: AtomicU32::new(0),
            guardian,
            _alive: alive,
        };
        server.launch();
        server
    }

    /// An empty database; its URL.
    pub async fn fresh_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        eventually("a database is made", async || {
            self.sql("postgres", &format!("CREATE DATABASE {name}"))
        })
        .await;
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        let socket = self.home.display().to_string().replace('/', "%2F");
        format!("postgres://tester:secret@{socket}/{database}")
    }

    /// Runs a statement; answers what it says, or why it failed.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String, String> {
        let answered = Command::new(program("psql"))
            .args([
                "--no-psqlrc",
                "--tuples-only",
                "--no-align",
                "--username",
                "tester",
                "--host",
            ])
            .arg(&self.home)
            .args(["--dbname", database, "--command", statement])
            .args(["--port", &self.encrypted.unwrap_or(5432).to_string()])
            .env("PGPASSWORD", "secret")
            .output()
            .map_err(|error| error.to_string())?;
        if answered.status.success() {
            Ok(String::from_utf8_lossy(&answered.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&answered.stderr).into_owned())
        }
    }

    /// The id of the process that starts all the others.
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// The bytes of all its files.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.home.join("data")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    files.push((path, bytes));
                }
            }
        }
        files
    }

    /// SIGKILL, to the server and thereby to those who work for it.
    pub fn kill9(&mut self) {
        self.process.as_mut().expect("it runs").kill9();
        self.process = None;
    }

    /// Starts again with the same files, after [`Self::kill9`]; waits until it answers.
    pub async fn start_again(&mut self) {
        eventually("PostgreSQL runs again", async || {
            // Those who worked for a killed server may not have noticed yet; then it ends at once.
            if self
                .process
                .as_mut()
                .is_none_or(|process| process.exit_status().is_some())
            {
                self.launch();
            }
            self.sql("postgres", "SELECT 1")
        })
        .await;
    }

    fn launch(&mut self) {
        let mut command = Command::new(program("postgres"));
        as_other_user(&mut command)
            .arg("-D")
            .arg(self.home.join("data"))
            .arg("-k")
            .arg(&self.home)
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                if self.fsync { "fsync=on" } else { "fsync=off" },
                "-c",
                "max_connections=300",
            ]);
        if let Some(port) = self.encrypted {
            let settings = [
                "listen_addresses=127.0.0.1".to_owned(),
                format!("port={port}"),
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", self.home.join("certificate.pem").display()),
                format!("ssl_key_file={}", self.home.join("key.pem").display()),
            ];
            for setting in settings {
                command.args(["-c", &setting]);
            }
        }
        let output = self.home.join("output.log");
        self.process = Some(Process::start("postgres", &mut command, &output));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.process.take());
        drop(self.guardian.kill());
        drop(self.guardian.wait());
        drop(std::fs::remove_dir_all(&self.home));
    }
}

/// Copies a file so that the server may read it, and nobody else.
fn give(file: &Path, to: &Path) {
    std::fs::copy(file, to).expect("the directory is writable");
    std::fs::set_permissions(to, Permissions::from_mode(0o600)).expect("the owner sets permissions");
    if let Some((user, group)) = other_user() {
        chown(to, Some(user), Some(group)).expect("root gives files away");
    }
}

/// A linguistic order by default, so that a column without `COLLATE "C"` shows.
fn make_cluster(home: &Path) {
    let password = home.join("password");
    std::fs::write(&password, "secret").expect("the directory is writable");
    let initdb = |locale: &[&str]| {
        let mut command = Command::new(program("initdb"));
        as_other_user(&mut command)
            .args([
                "--no-sync",
                "--encoding=UTF8",
                "--username=tester",
                "--auth=scram-sha-256",
            ])
            .args(locale)
            .arg("--pwfile")
            .arg(&password)
            .arg(home.join("data"))
            .output()
            .expect("initdb runs")
    };
    let linguistic = initdb(&["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]);
    if !linguistic.status.success() {
        // PostgreSQL 14 knows no other provider; initdb removes what it began.
        let made = initdb(&["--locale=C.UTF-8"]);
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
}

fn program(name: &str) -> PathBuf {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(directory) = std::env::var_os("POSTGRES_BIN") {
            return PathBuf::from(directory);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/postgres/server");
        let found = Command::new(script).output().expect("the script runs");
        assert!(
            found.status.success(),
            "{}",
            String::from_utf8_lossy(&found.stderr)
        );
        PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())
    });
    DIRECTORY.join(name)
}

/// PostgreSQL refuses to run as root.
fn as_other_user(command: &mut Command) -> &mut Command {
    match other_user() {
        Some((user, group)) => command.uid(user).gid(group).current_dir("/"),
        None => command,
    }
}

/// Whom root starts servers as: nobody. None where this process isn't root.
fn other_user() -> Option<(u32, u32)> {
    rustix::process::getuid().is_root().then_some((65_534, 65_534))
}
