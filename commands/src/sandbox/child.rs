//! The process in which uploaded schemas are evaluated: jobs come in on standard input, what came of them goes out on standard output.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use domain::schema::evaluation::{Job, Outcome, run as evaluate};

use super::confinement::{self, Confinement};
use super::frame::{self, LONGEST_ANSWER, LONGEST_JOB};

/// Gives up everything that a process has, says so, and evaluates until standard input ends.
pub fn run() -> ExitCode {
    // The first evaluation sets up what later ones share, while this may still be done.
    drop(answer(&Job::Describe {
        source: "return {}".into(),
    }));
    let Ok(confinement) = confinement::confine() else {
        return ExitCode::FAILURE;
    };
    match serve(confinement, &mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Answers every job that comes, until there are no more.
pub fn serve(confinement: Confinement, jobs: &mut impl Read, answers: &mut impl Write) -> io::Result<()> {
    frame::write(answers, &confinement, LONGEST_ANSWER)?;
    while let Some(job) = frame::read::<Job>(jobs, LONGEST_JOB)? {
        frame::write(answers, &answer(&job), LONGEST_ANSWER)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is the process for it")]
fn answer(job: &Job) -> Outcome {
    evaluate(job)
}
