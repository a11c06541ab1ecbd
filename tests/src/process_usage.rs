//! What a process has used of the machine, from the kernel's own accounts.

use std::time::Duration;

/// Processor time of a process so far, of its threads that live: what other processes do at the same time doesn't count.
///
/// # Panics
/// When there is no such process.
pub fn processor_time(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process that runs");
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The most resident memory that a process has had, in bytes.
///
/// # Panics
/// When there is no such process.
pub fn peak_resident(pid: u32) -> u64 {
    peak_resident_if_running(pid).expect("a process that runs")
}

/// The same; none where the process has ended.
pub fn peak_resident_if_running(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    // The kernel says it in KiB.
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
