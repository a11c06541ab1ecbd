//! What processes that share a PostgreSQL database tell each other (NOTIFY).

use std::fmt;

use domain::Position;

/// Heard by other processes of this version, whose channel is named like its schema, when its transaction has ended well.
pub(super) const ANNOUNCE: &str = "SELECT 1 FROM (SELECT pg_notify(current_schema(), $1)) AS announcement";

/// What is said. One that nobody understands, for example from a newer program, is as good as none: everything that is
/// said can also be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// A generation holds everything up to a position.
    Projected { generation: i64, position: Position },
    /// Nobody holds the projector's lease any more.
    Vacant,
}

impl fmt::Display for Announcement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Projected { generation, position } => {
                write!(formatter, "projected {generation} {}", position.0)
            }
            Self::Vacant => formatter.write_str("vacant"),
        }
    }
}

impl Announcement {
    /// What was said, if it is understood.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let announcement = match words.next()? {
            "projected" => Self::Projected {
                generation: words.next()?.parse().ok()?,
                position: Position(words.next()?.parse().ok()?),
            },
            "vacant" => Self::Vacant,
            _ => return None,
        };
        words.next().is_none().then_some(announcement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let (generation, position) = (3, Position(17));
        for announcement in [
            Announcement::Projected { generation, position },
            Announcement::Vacant,
        ] {
            assert_eq!(Announcement::parse(&announcement.to_string()), Some(announcement));
        }
        for strange in [
            "",
            "projected",
            "projected 3",
            "projected 3 x",
            "vacant now",
            "other",
        ] {
            assert_eq!(Announcement::parse(strange), None, "{strange}");
        }
    }
}
