//! The report: one line per thing that was looked at.

use crate::cli::terminal::{Style, paint};
use crate::foreign_text::visible;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Ok,
    Warn,
    Fail,
}

/// What was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<(Health, String, String)>,
}

impl Report {
    /// It is well.
    pub(super) fn ok(&mut self, what: &str, detail: &str) {
        self.findings
            .push((Health::Ok, what.to_owned(), detail.to_owned()));
    }

    /// It works, but somebody should know; `detail` says how to mend it.
    pub(super) fn warn(&mut self, what: &str, detail: &str) {
        self.findings
            .push((Health::Warn, what.to_owned(), detail.to_owned()));
    }

    /// It doesn't work; `detail` says how to mend it.
    pub(super) fn fail(&mut self, what: &str, detail: &str) {
        self.findings
            .push((Health::Fail, what.to_owned(), detail.to_owned()));
    }

    /// Whether anything doesn't work.
    pub(super) fn has_failures(&self) -> bool {
        self.findings.iter().any(|(health, ..)| *health == Health::Fail)
    }

    /// One line per finding.
    pub(super) fn render(&self) -> String {
        let lines = self.findings.iter().map(|(health, what, detail)| {
            let health = match health {
                Health::Ok => paint("ok  ", Style::Good),
                Health::Warn => paint("warn", Style::Notice),
                Health::Fail => paint("fail", Style::Bad),
            };
            format!("{health}  {what:15} {}", visible(detail))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
