//! Where the Lua of uploaded schemas runs: a process of its own for each caller's jobs, of this same program, that holds nothing and may
//! nothing. This process has the keys; a stranger's code doesn't come near them.
//!
//! - [`child`] is that process, [`confinement`] what it may; [`process`] its end of the rope on this side; [`frame`] what goes over the
//!   two pipes between them.
//! - [`turns`]: how many run at once, and that one caller doesn't take every place.

pub mod child;
mod confinement;
mod frame;
mod process;
mod turns;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::GroupId;
use domain::sandbox::{Evaluated, Sandbox, SandboxUnavailable};
use domain::schema::evaluation::Job;
use metrics::counter;
use tokio::time::Instant;
use tracing::warn;

use self::process::{Exchange, SandboxProcess};
use self::turns::Turns;

/// The hidden command of the program that runs [`child::run`].
pub const COMMAND: &str = "schema-sandbox";

/// How long one job may take, from its being sent to its answer.
const JOB: Duration = Duration::from_secs(2);
/// How long all jobs of one call may take.
const CALL: Duration = Duration::from_secs(8);
/// How long a process may take to start.
const START: Duration = Duration::from_secs(5);

/// The program that is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This very program, also after its file was replaced by a newer one.
    pub fn this() -> Self {
        Self::at("/proc/self/exe")
    }

    /// The program at a path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: vec![COMMAND.into()],
        }
    }
}

/// Evaluates each call's jobs in a fresh process, one of which waits ready.
#[derive(Debug)]
pub struct ProcessSandbox {
    program: Program,
    turns: Turns,
    /// A process that nobody has used. It starts when the one before it is taken.
    ready: Mutex<Option<SandboxProcess>>,
}

impl ProcessSandbox {
    /// A sandbox of this program's processes; the first starts when it is needed.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            turns: Turns::default(),
            ready: Mutex::new(None),
        }
    }

    /// A process that nobody has used.
    async fn fresh(&self) -> Result<SandboxProcess, SandboxUnavailable> {
        let waiting = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut process) = waiting
            && process.start(START).await.is_ok()
        {
            return Ok(process);
        }
        let mut process = self.spawn()?;
        match process.start(START).await {
            Ok(()) => Ok(process),
            Err(reason) => {
                warn!("the process for uploaded schemas doesn't start: {reason}");
                Err(SandboxUnavailable(format!(
                    "their process doesn't start: {reason}"
                )))
            }
        }
    }

    fn spawn(&self) -> Result<SandboxProcess, SandboxUnavailable> {
        SandboxProcess::spawn(&self.program).map_err(|error| {
            warn!("no process for uploaded schemas can be started: {error}");
            SandboxUnavailable(format!("no process can be started for them: {error}"))
        })
    }

    fn make_ready(&self) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_none() {
            *ready = self.spawn().ok();
        }
    }

    async fn evaluate_each(&self, jobs: Vec<Job>) -> Result<Vec<Evaluated>, SandboxUnavailable> {
        let ends = Instant::now() + CALL;
        let mut process = None;
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                answers.push(Err(format!(
                    "together its functions took more than {} s",
                    CALL.as_secs()
                )));
                continue;
            }
            let mut current = match process.take() {
                Some(process) => process,
                None => self.fresh().await?,
            };
            let answer = match current.exchange(&job, JOB.min(left)).await {
                Exchange::Answered(outcome) => {
                    process = Some(current);
                    Ok(outcome)
                }
                Exchange::Stopped(why) => {
                    current.end().await;
                    counter!("runtime_manager_schema_sandbox_stopped_total").increment(1);
                    Err(why)
                }
            };
            answers.push(answer);
        }
        if let Some(process) = process {
            process.end().await;
        }
        Ok(answers)
    }
}

#[async_trait]
impl Sandbox for ProcessSandbox {
    async fn evaluate(&self, caller: GroupId, jobs: Vec<Job>) -> Result<Vec<Evaluated>, SandboxUnavailable> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let _turn = self.turns.take(caller).await?;
        let answers = self.evaluate_each(jobs).await;
        self.make_ready();
        answers
    }
}
