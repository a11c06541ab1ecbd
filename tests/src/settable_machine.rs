//! A machine whose clock tests set, for the program that `examples/serve_under_a_clock.rs` runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::clock::machine::{Machine, TimeSource};
use domain::Timestamp;
use serde::{Deserialize, Serialize};

/// The environment variable that names the file.
pub const MACHINE: &str = "MACHINE";

/// How a machine's time differs from that of the real one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By how many seconds its clock is ahead of the time that has passed.
    pub ahead: i64,
    /// For how many seconds longer it has run.
    pub passed: i64,
    /// How often it was started again.
    pub boots: u32,
}

/// The machine; several processes may look at the same one.
#[derive(Clone, Debug)]
pub struct SettableMachine {
    file: PathBuf,
}

impl SettableMachine {
    /// The machine that a file describes.
    pub const fn at(file: PathBuf) -> Self {
        Self { file }
    }

    /// A new machine like the real one, described by this file.
    ///
    /// # Panics
    /// When the file can't be written.
    pub fn new(file: PathBuf) -> Self {
        let machine = Self::at(file);
        machine.write(State::default());
        machine
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How it differs from the real one.
    ///
    /// # Panics
    /// When the file can't be read.
    pub fn state(&self) -> State {
        let text = std::fs::read_to_string(&self.file).expect("the machine's file is readable");
        serde_json::from_str(&text).expect("the machine's file is JSON")
    }

    /// What time it would be if nobody had set the clock, in seconds since the epoch.
    pub fn true_time(&self) -> i64 {
        Machine.time().seconds() + self.state().passed
    }

    /// Sets the clock to so many seconds ahead of the true time.
    pub fn set_ahead(&self, ahead: i64) {
        self.write(State {
            ahead,
            ..self.state()
        });
    }

    /// Lets so many seconds pass.
    pub fn pass(&self, seconds: i64) {
        let state = self.state();
        self.write(State {
            passed: state.passed + seconds,
            ..state
        });
    }

    /// Starts the machine again, after so many seconds.
    pub fn reboot(&self, seconds: i64) {
        let state = self.state();
        self.write(State {
            passed: state.passed + seconds,
            boots: state.boots + 1,
            ..state
        });
    }

    /// Readers see one state or the other.
    fn write(&self, state: State) {
        let unfinished = self.file.with_extension("new");
        let text = serde_json::to_string(&state).expect("a state serializes");
        std::fs::write(&unfinished, text).expect("the machine's file is writable");
        std::fs::rename(&unfinished, &self.file).expect("the machine's file is replaceable");
    }
}

impl TimeSource for SettableMachine {
    fn time(&self) -> Timestamp {
        let state = self.state();
        Machine.time().plus_seconds(state.passed + state.ahead)
    }

    fn uptime(&self) -> Duration {
        Machine.uptime() + Duration::from_secs(self.state().passed.unsigned_abs())
    }

    fn boot(&self) -> Option<String> {
        Some(self.state().boots.to_string())
    }
}
