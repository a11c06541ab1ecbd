//! Until when Kong maintains its release lines.

use super::Release;
use crate::Timestamp;

/// The last day of each line, as Kong announces it (Konnect compatibility and support policy); 2.8, 3.4 and 3.10 are maintained for longer than others.
const LAST_DAYS: [(&str, &str); 13] = [
    ("2.8", "2025-03-26"),
    ("3.0", "2023-09-09"),
    ("3.1", "2023-12-06"),
    ("3.2", "2024-02-28"),
    ("3.3", "2024-05-19"),
    ("3.4", "2026-08-31"),
    ("3.5", "2024-11-08"),
    ("3.6", "2025-02-12"),
    ("3.7", "2025-05-28"),
    ("3.8", "2025-09-11"),
    ("3.9.0", "2025-12-12"),
    ("3.9", "2025-12-12"),
    ("3.10", "2028-03-31"),
];

impl Release {
    /// The last day on which Kong maintains it, `YYYY-MM-DD`.
    pub const fn last_day(self) -> &'static str {
        LAST_DAYS[self.index()].1
    }

    /// When that day begins.
    pub fn maintained_until(self) -> Timestamp {
        let midnight = format!("{}T00:00:00Z", self.last_day());
        midnight.parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_last_day() {
        for (release, (name, day)) in Release::all().zip(LAST_DAYS) {
            assert_eq!(release.name(), name);
            assert!(release.maintained_until().rfc3339().starts_with(day), "{name}");
        }
    }
}
