//! What the benchmark prints: one line per figure, medians first.

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Prints one line.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}

/// Prints a heading.
pub(crate) fn heading(text: &str) -> io::Result<()> {
    line(&format!("\n## {text}"))
}

/// Says what the figures were measured on.
pub(crate) fn machine() -> io::Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    line(&format!(
        "{cores} cores shared by load and server; load average before: {}",
        load.trim()
    ))
}

/// Durations in microseconds, up to a minute.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

/// Notes a duration.
pub(crate) fn note(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// `p50 1.23 ms, p99 4.56 ms`.
pub(crate) fn quantiles(histogram: &Histogram<u64>) -> String {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99))
}
