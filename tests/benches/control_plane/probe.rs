//! The floor under everything durable: what one fsync costs on this disk at this minute.

use std::io::Write;
use std::time::Instant;

use crate::report;

const SYNCS: usize = 300;

/// Appends 4 KiB and syncs, again and again, in the temporary directory.
pub(crate) fn fsync() -> anyhow::Result<()> {
    let mut file = tempfile::tempfile()?;
    let mut histogram = report::histogram();
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        report::note(&mut histogram, begun.elapsed());
    }
    report::line(&format!(
        "fsync probe (4 KiB append + fdatasync): {}",
        report::quantiles(&histogram)
    ))?;
    Ok(())
}
