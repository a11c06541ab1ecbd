//! Whose processor time it was: the servers', the engines' under them, the load's own; they all share the machine's cores.

use std::time::{Duration, Instant};

use tests::servers::Servers;

use crate::engine::Engine;
use crate::{process_usage, report};

/// Processes that are named together.
pub(crate) struct Party {
    name: &'static str,
    members: Vec<Member>,
}

#[derive(Clone, Copy)]
enum Member {
    Process(u32),
    /// With those that it starts.
    Family(u32),
}

impl Party {
    /// Processes that start no others.
    pub(crate) fn processes(name: &'static str, pids: impl IntoIterator<Item = u32>) -> Self {
        Self {
            name,
            members: pids.into_iter().map(Member::Process).collect(),
        }
    }

    /// A process with those that it starts.
    pub(crate) fn family(name: &'static str, pid: u32) -> Self {
        Self {
            name,
            members: vec![Member::Family(pid)],
        }
    }

    /// This process.
    pub(crate) fn load() -> Self {
        Self::processes("load", [std::process::id()])
    }

    /// Everybody who takes part when these servers run on this engine.
    pub(crate) fn all(servers: &Servers, engine: &Engine) -> Vec<Self> {
        let mut parties = vec![Self::processes(
            "servers",
            servers.iter().map(|server| server.pid()),
        )];
        parties.extend(engine.parties());
        parties.push(Self::load());
        parties
    }

    fn used(&self) -> Vec<Duration> {
        let used = |member: &Member| match *member {
            Member::Process(pid) => process_usage::cpu(pid),
            Member::Family(pid) => process_usage::cpu_with_children(pid),
        };
        self.members.iter().map(used).collect()
    }
}

/// Watches parties from its start on.
pub(crate) struct Meter {
    parties: Vec<(Party, Vec<Duration>)>,
    machine: Duration,
    begun: Instant,
}

impl Meter {
    /// Starts.
    pub(crate) fn start(parties: Vec<Party>) -> Self {
        let noted = parties.into_iter().map(|party| {
            let used = party.used();
            (party, used)
        });
        Self {
            parties: noted.collect(),
            machine: process_usage::cpu_of_the_machine(),
            begun: Instant::now(),
        }
    }

    /// Prints what each party has used per operation, and its share of the machine.
    pub(crate) fn finish(self, operation: &str, operations: u64) -> anyhow::Result<()> {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let cores = std::thread::available_parallelism()?.get();
        let machine = process_usage::cpu_of_the_machine().saturating_sub(self.machine);
        let share = |used: f64| format!("{:.0} %", 100.0 * used / (elapsed * cores as f64));
        let (mut costs, mut shares, mut ours) = (Vec::new(), Vec::new(), 0.0);
        for (party, before) in &self.parties {
            let used: Vec<f64> = (party.used().iter().zip(before))
                .map(|(now, before)| now.saturating_sub(*before).as_secs_f64())
                .collect();
            let sum: f64 = used.iter().sum();
            let each: Vec<String> = used.iter().map(|used| cost(*used, operations)).collect();
            let members = if used.len() > 1 {
                format!(" ({})", each.join(" + "))
            } else {
                String::new()
            };
            costs.push(format!("{} {}{members}", party.name, cost(sum, operations)));
            shares.push(format!("{} {}", party.name, share(sum)));
            ours += sum;
        }
        shares.push(format!(
            "everything else {}",
            share((machine.as_secs_f64() - ours).max(0.0))
        ));
        report::line(&format!(
            "     CPU per {operation}: {}; of {cores} cores: {}",
            costs.join(", "),
            shares.join(", ")
        ))?;
        Ok(())
    }
}

fn cost(seconds: f64, operations: u64) -> String {
    let micros = seconds * 1e6 / operations.max(1) as f64;
    if micros < 1000.0 {
        format!("{micros:.0} µs")
    } else {
        format!("{:.2} ms", micros / 1000.0)
    }
}
