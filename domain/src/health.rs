//! The seam through which the rooms say what isn't well with the process. Whoever notices something raises a condition by its
//! name and clears it when it is over; `/readyz`, `doctor` and the metrics read what was raised.

/// How bad a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Everything works. Somebody should know nevertheless.
    Notice,
    /// What is answered is right, but something doesn't work: somebody has to look after it soon.
    Degraded,
    /// Requests can't be answered, or not rightly: others shall answer them.
    Down,
}

impl Severity {
    /// As answers and metrics spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// Something that isn't well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about, in a word or two: at most one condition of a name holds at a time.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and how to mend it, for people.
    pub reason: String,
}

/// Hears what isn't well. Cheap, and never waits.
pub trait Health: Send + Sync + 'static {
    /// Notes a condition in the place of the one of the same name. Saying the same again is no news.
    fn raise(&self, condition: Condition);

    /// Notes that the condition of this name is over, if there is one.
    fn clear(&self, name: &'static str);
}

/// Nobody hears it: for tests and for programs that only look.
impl Health for () {
    fn raise(&self, _condition: Condition) {}

    fn clear(&self, _name: &'static str) {}
}
