//! How a command that didn't fail ended.

use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// 0: done, for `apply`: nothing had to change, for `diff`: no difference.
    Done,
    /// 2: `apply` changed something, or in a dry run would; `diff` found a difference.
    Changed,
    /// A code of the program's lifecycle.
    Exit(ExitCode),
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::Changed => Self::from(2),
            Ending::Exit(code) => code,
        }
    }
}
