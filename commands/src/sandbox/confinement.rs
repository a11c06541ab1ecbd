//! What the process for uploaded schemas gives up before it reads any of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// How much address space it may take beside what the program takes to start, in bytes.
const MEMORY: u64 = 192 << 20;
/// How many seconds of a processor it may take, all jobs together.
const PROCESSOR: u64 = 20;

/// What it has given up. Limits always are; it doesn't start otherwise.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Confinement {
    /// Whether the kernel refuses it every call but those for memory, its own pipes and its end.
    pub calls_are_filtered: bool,
}

impl Confinement {
    /// Says once what this machine's kernel doesn't offer.
    pub(super) fn say_what_is_missing(self) {
        static SAID: AtomicBool = AtomicBool::new(false);
        if !self.calls_are_filtered && !SAID.swap(true, Ordering::Relaxed) {
            warn!(
                "the kernel filters no system calls (seccomp): uploaded schemas are evaluated with limits of memory, time and files only"
            );
        }
    }
}

/// Gives everything up. An error if that isn't possible: then nothing may be evaluated.
pub(super) fn confine() -> io::Result<Confinement> {
    close_inherited_files()?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let taken = address_space()?;
    for (resource, most) in [
        (Resource::As, taken + MEMORY),
        (Resource::Cpu, PROCESSOR),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 0),
        (Resource::Nproc, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
    ] {
        // Whoever started the server may have set a lower one, which can't be raised.
        let most = getrlimit(resource).maximum.map_or(most, |set| set.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(Confinement {
        calls_are_filtered: filter_calls().is_ok(),
    })
}

/// Whoever started the server may have left files open that it knows nothing of.
fn close_inherited_files() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_string_lossy().parse::<i32>();
        open.extend(number.ok().filter(|number| *number > 2));
    }
    for number in open {
        // The directory's own is among them and closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// The address space that this process takes now, in bytes.
fn address_space() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| io::Error::other("/proc/self/status says nothing of VmSize"))
}

/// Every other system call answers that it isn't permitted.
fn filter_calls() -> Result<(), Box<dyn std::error::Error>> {
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    let argument = |index, operator, value| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let protection = SeccompCmpOp::MaskedEq(u64::try_from(libc::PROT_EXEC)?);
    allowed.insert(libc::SYS_read, vec![argument(0, SeccompCmpOp::Eq, 0)?]);
    allowed.insert(libc::SYS_write, vec![argument(0, SeccompCmpOp::Eq, 1)?]);
    // Memory that could be run isn't given out.
    allowed.insert(libc::SYS_mmap, vec![argument(2, protection.clone(), 0)?]);
    allowed.insert(libc::SYS_mprotect, vec![argument(2, protection, 0)?]);
    let refused = SeccompAction::Errno(u32::try_from(libc::EPERM)?);
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(allowed, refused, SeccompAction::Allow, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)?;
    Ok(())
}
