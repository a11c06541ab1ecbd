//! What processes have used, from the operating system's own accounts.

use std::time::Duration;
use std::{fs, io};

/// The kernel reports in ticks of 1/100 s on every Linux this runs on.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process so far, user and system.
pub(crate) fn cpu(pid: u32) -> Duration {
    Account::read(pid).map_or(Duration::ZERO, |account| account.own)
}

/// Processor time of a process, of those it has started and of those that have ended.
pub(crate) fn cpu_with_children(pid: u32) -> Duration {
    // A child that ends while this reads moves from the list into its parent's account: the parent is read last.
    let running: Duration = every_process()
        .filter_map(Account::read)
        .filter(|account| account.parent == pid)
        .map(|account| account.own)
        .sum();
    running + Account::read(pid).map_or(Duration::ZERO, |account| account.own + account.ended_children)
}

/// Processor time of the whole machine so far, idling left out.
pub(crate) fn cpu_of_the_machine() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal.
    let busy = |(index, ticks): (usize, &u64)| if matches!(index, 3 | 4) { 0 } else { *ticks };
    in_ticks(ticks.iter().enumerate().map(busy).sum())
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most resident memory that a process has had, in bytes.
pub(crate) fn peak_resident(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

/// Lets the peak begin anew with what is resident now.
pub(crate) fn forget_peak(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

fn memory(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

/// What the kernel has written down of a process.
struct Account {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Account {
    /// `None` when there is no such process any more.
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Fields after the command's name in parentheses: state, parent, …; utime, stime, cutime and cstime are the 14th to 17th of all.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: in_ticks(ticks(11)? + ticks(12)?),
            ended_children: in_ticks(ticks(13)? + ticks(14)?),
        })
    }
}

fn every_process() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn in_ticks(count: u64) -> Duration {
    TICK * u32::try_from(count).unwrap_or(u32::MAX)
}
