//! What ran, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::schedule::{AzureFault, KubeAnswer, KubeCall, Step};

/// What ran.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Schedules.
    pub seeds: u64,
    /// Steps that did something, by kind.
    pub steps: BTreeMap<String, u64>,
    /// Faults that struck a call of Azure's, by kind.
    pub azure_faults: BTreeMap<String, u64>,
    /// Faults that struck a call of the API server's, by kind.
    pub kube_faults: BTreeMap<String, u64>,
    /// Kills that came in the middle of a write.
    pub killed_at_a_write: u64,
    /// How often each invariant was looked at.
    pub checked: u64,
    /// Calls that Azure answered.
    pub azure_calls: u64,
    /// Calls to the API server.
    pub kube_calls: u64,
    /// States of APIs that were looked at.
    pub moments: u64,
    /// Lines of log that were searched.
    pub log_lines: u64,
    /// How long each seed took.
    pub took: Vec<Duration>,
}

impl Tally {
    pub(crate) fn step(&mut self, step: &Step) {
        *self.steps.entry(step.kind()).or_default() += 1;
    }

    pub(crate) fn azure(&mut self, faults: &BTreeMap<u64, AzureFault>, used: &BTreeMap<u64, u32>) {
        for (id, fault) in faults {
            let struck = used.get(id).copied().unwrap_or_default();
            if struck > 0 {
                let kind = format!("{:?} {:?}", fault.call, fault.answer);
                *self.azure_faults.entry(kind).or_default() += u64::from(struck);
            }
        }
    }

    pub(crate) fn kube(&mut self, used: BTreeMap<(KubeCall, KubeAnswer), u32>) {
        for ((call, answer), struck) in used {
            let kind = format!("{call:?} {answer:?}");
            *self.kube_faults.entry(kind).or_default() += u64::from(struck);
        }
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        let sum = |into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>| {
            for (kind, count) in from {
                *into.entry(kind.clone()).or_default() += count;
            }
        };
        sum(&mut self.steps, &other.steps);
        sum(&mut self.azure_faults, &other.azure_faults);
        sum(&mut self.kube_faults, &other.kube_faults);
        self.seeds += other.seeds;
        self.killed_at_a_write += other.killed_at_a_write;
        self.checked += other.checked;
        self.azure_calls += other.azure_calls;
        self.kube_calls += other.kube_calls;
        self.moments += other.moments;
        self.log_lines += other.log_lines;
        self.took.extend(&other.took);
    }

    /// Steps of kinds that begin so.
    #[must_use]
    pub fn steps_of(&self, prefix: &str) -> u64 {
        let kinds = self.steps.iter();
        kinds
            .filter(|(kind, _)| kind.starts_with(prefix))
            .map(|(_, count)| count)
            .sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut took: Vec<f64> = self.took.iter().map(Duration::as_secs_f64).collect();
        took.sort_by(f64::total_cmp);
        let at = |share: usize| took.get(took.len().saturating_sub(1) * share / 100);
        let seconds = |share| at(share).copied().unwrap_or_default();
        let steps: u64 = self.steps.values().sum();
        writeln!(
            f,
            "{} seeds, {steps} steps; seconds per seed: median {:.1}, 95 % {:.1}, most {:.1}",
            self.seeds,
            seconds(50),
            seconds(95),
            seconds(100)
        )?;
        list(f, "steps", &self.steps)?;
        list(f, "Azure faults that struck", &self.azure_faults)?;
        list(f, "API server faults that struck", &self.kube_faults)?;
        writeln!(
            f,
            "kills: {}, of which {} in the middle of a write",
            self.steps_of("operator killed"),
            self.killed_at_a_write
        )?;
        writeln!(
            f,
            "invariants: {} of {} checked {} times each, over {} calls to Azure, {} to the API server, {} states of APIs, {} lines of log",
            crate::check::RULES.len(),
            crate::check::RULES.len(),
            self.checked,
            self.azure_calls,
            self.kube_calls,
            self.moments,
            self.log_lines
        )
    }
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, counts: &BTreeMap<String, u64>) -> fmt::Result {
    writeln!(f, "{what}: {}", counts.values().sum::<u64>())?;
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for row in sorted.chunks(3) {
        let cells: Vec<String> = row
            .iter()
            .map(|(kind, count)| format!("{count:>6} {kind:<28}"))
            .collect();
        writeln!(f, "  {}", cells.join("").trim_end())?;
    }
    Ok(())
}
