//! Whether a start may believe the machine's clock: it may have been set while nothing ran. What a clock says that is far ahead can't
//! be taken back: credentials expire, deleted groups are purged.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{Days, NaiveDate};
use domain::clock::TOLERANCE;
use domain::codec::Envelope;
use domain::{EventLog, Position, Timestamp};
use tracing::warn;

use super::machine::TimeSource;
use super::record::{CLOCK_FILE, ClockRecord};
use super::span;

/// How much later than the record a start may be without being told to accept the clock, where the machine has been
/// started meanwhile: 31 days.
const LONGEST_PAUSE: Timestamp = Timestamp(31 * 86_400_000);

/// Why the clock isn't believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock says {clock}, but {evidence}: set the clock right, or, if it is right now, start once with --accept-clock {today}"
)]
pub struct ClockRefused {
    clock: Timestamp,
    evidence: String,
    today: NaiveDate,
}

/// The machine's clock isn't at the day that was to be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--accept-clock {accepted}: the clock says {clock}, which is another day: set the clock right, or name the day it is (leave the \
     flag out when the clock is believed again)"
)]
pub struct AnotherDay {
    accepted: NaiveDate,
    clock: Timestamp,
}

/// Compares the machine's clock with what the last start wrote down and with the log's last record.
///
/// # Errors
/// [`ClockRefused`] says why it isn't believed; others, that the comparison failed.
pub async fn believe(data_dir: &Path, log: &dyn EventLog, source: &dyn TimeSource) -> anyhow::Result<()> {
    // Where there is none, or none that can be read, the log has to do.
    let record = std::fs::read_to_string(data_dir.join(CLOCK_FILE)).ok();
    if let Some(record) = record.and_then(|text| ClockRecord::parse(&text)) {
        agrees_with_record(&record, source)?;
    }
    if let Some(written) = last_written(log).await? {
        agrees_with_log(written, source)?;
    }
    Ok(())
}

/// Accepts the machine's clock as it is, if it is at that day.
///
/// # Errors
/// [`AnotherDay`] if it isn't.
pub fn accept(day: NaiveDate, source: &dyn TimeSource) -> Result<(), AnotherDay> {
    is_at(day, source)?;
    warn!(
        clock = %source.time(),
        "the clock is accepted as it is; what began by a clock that was ahead is counted from now on"
    );
    Ok(())
}

/// When the log's last record was made, by the clock of who made it.
async fn last_written(log: &dyn EventLog) -> anyhow::Result<Option<Timestamp>> {
    let tail = log.tail().await.context("the log's end can't be read")?;
    if tail == Position::START {
        return Ok(None);
    }
    let record = log
        .record_at(tail)
        .await
        .context("the log's last record can't be read")?;
    // A record that nobody can read is found by those who must.
    Ok(record
        .and_then(|record| Envelope::decode(&record.bytes).ok())
        .and_then(|envelope| envelope.id.made_at()))
}

/// Whether the machine's clock agrees with what was written down.
fn agrees_with_record(record: &ClockRecord, source: &dyn TimeSource) -> Result<(), ClockRefused> {
    let clock = source.time();
    let same_run = record.boot.is_some() && record.boot == source.boot();
    let uptime = u64::try_from(source.uptime().as_millis()).unwrap_or(u64::MAX);
    if same_run && uptime >= record.uptime {
        let passed = i64::try_from(uptime - record.uptime).unwrap_or(i64::MAX);
        let expected = Timestamp(record.time.0.saturating_add(passed));
        let difference = clock.0.saturating_sub(expected.0);
        if Duration::from_millis(difference.unsigned_abs()) > TOLERANCE {
            let evidence = format!(
                "by the time that has passed since {} it is {expected}",
                record.time
            );
            return Err(refused(clock, evidence));
        }
    } else if record.time > clock.latest_plausible() {
        return Err(refused(clock, format!("this ran before, until {}", record.time)));
    } else if clock.0.saturating_sub(record.time.0) > LONGEST_PAUSE.0 {
        let pause = span(clock.0 - record.time.0);
        let evidence = format!(
            "this ran before, until {}, which would be {pause} ago",
            record.time
        );
        return Err(refused(clock, evidence));
    }
    Ok(())
}

/// Whether the machine's clock agrees with the log's last record, written at this time.
fn agrees_with_log(written: Timestamp, source: &dyn TimeSource) -> Result<(), ClockRefused> {
    let clock = source.time();
    if written > clock.latest_plausible() {
        return Err(refused(clock, format!("the log's last record is from {written}")));
    }
    Ok(())
}

fn refused(clock: Timestamp, evidence: String) -> ClockRefused {
    ClockRefused {
        clock,
        evidence,
        today: day(clock),
    }
}

fn day(time: Timestamp) -> NaiveDate {
    let time = chrono::DateTime::from_timestamp_millis(time.0);
    time.unwrap_or_default().date_naive()
}

/// Whether the clock is at the day that the operator says it is, in whatever part of the world.
fn is_at(accepted: NaiveDate, source: &dyn TimeSource) -> Result<(), AnotherDay> {
    let clock = source.time();
    let first = accepted.checked_sub_days(Days::new(1)).unwrap_or(NaiveDate::MIN);
    let last = accepted.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    match (first..=last).contains(&day(clock)) {
        true => Ok(()),
        false => Err(AnotherDay { accepted, clock }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;
    const DAY: i64 = 86_400_000;

    /// A machine as it is at one moment.
    struct Moment {
        time: i64,
        uptime: u64,
        boot: &'static str,
    }

    impl TimeSource for Moment {
        fn time(&self) -> Timestamp {
            Timestamp(NOON + self.time)
        }

        fn uptime(&self) -> Duration {
            Duration::from_millis(self.uptime)
        }

        fn boot(&self) -> Option<String> {
            Some(self.boot.to_owned())
        }
    }

    fn record() -> ClockRecord {
        ClockRecord {
            time: Timestamp(NOON),
            boot: Some("first".to_owned()),
            uptime: 1_000,
        }
    }

    fn refusal(time: i64, uptime: u64, boot: &'static str) -> Option<String> {
        let refused = agrees_with_record(&record(), &Moment { time, uptime, boot });
        refused.err().map(|refused| refused.to_string())
    }

    #[test]
    fn while_the_machine_runs_on_the_clock_must_say_what_has_passed() {
        for (passed, boot) in [(0, "first"), (5_000, "first"), (400 * DAY, "first")] {
            let uptime = 1_000 + passed.unsigned_abs();
            assert_eq!(refusal(passed, uptime, boot), None);
            assert_eq!(refusal(passed + 299_000, uptime, boot), None, "clocks differ");
            for set in [-400 * DAY, -DAY, -301_000, 301_000, DAY, 400 * DAY] {
                let said = refusal(passed + set, uptime, boot).expect("it was set");
                assert!(
                    said.contains("by the time that has passed") && said.contains("--accept-clock"),
                    "{said}"
                );
            }
        }
    }

    #[test]
    fn after_another_start_of_the_machine_time_has_gone_on_but_not_for_ever() {
        for time in [-299_000, 0, DAY, 30 * DAY] {
            assert_eq!(refusal(time, 10, "second"), None);
        }
        assert!(refusal(-301_000, 10, "second").is_some());
        let said = refusal(366 * DAY, 10, "second").expect("a year is long");
        assert!(said.contains("366 days"), "{said}");
    }

    #[test]
    fn the_log_is_never_from_tomorrow() {
        let now = Moment {
            time: 0,
            uptime: 0,
            boot: "first",
        };
        assert!(agrees_with_log(Timestamp(NOON - 400 * DAY), &now).is_ok());
        assert!(agrees_with_log(Timestamp(NOON + 299_000), &now).is_ok());
        assert!(agrees_with_log(Timestamp(NOON + DAY), &now).is_err());
    }

    #[test]
    fn a_day_is_accepted_where_it_is_that_day_somewhere() {
        let now = Moment {
            time: 0,
            uptime: 0,
            boot: "first",
        };
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        for today in ["2027-01-14", "2027-01-15", "2027-01-16"] {
            assert_eq!(accept(day(today), &now), Ok(()), "{today}");
        }
        for another in ["2027-01-13", "2027-01-17", "2026-01-15"] {
            let refused = accept(day(another), &now).expect_err("another day");
            assert!(refused.to_string().contains("another day"), "{refused}");
        }
    }
}
