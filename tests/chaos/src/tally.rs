//! What ran, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use crate::schedule::{AzureFault, KubeAnswer, KubeCall, Step};

/// What ran.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Schedules.
    pub seeds: u64,
    /// Steps that did something, by kind.
    pub steps: BTreeMap<String, u64>,
    /// What became of Azure's faults, by kind.
    pub azure_faults: BTreeMap<String, Strikes>,
    /// What became of the API server's faults, by kind.
    pub kube_faults: BTreeMap<String, Strikes>,
    /// Edits in the portal after which nothing but a sweep could tell, by what
    /// had to become of them.
    pub edits: BTreeMap<String, u64>,
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
            let calls = used.get(id).copied().unwrap_or_default();
            let kind = format!("{:?} {:?}", fault.call, fault.answer);
            self.azure_faults.entry(kind).or_default().one(calls);
        }
    }

    pub(crate) fn kube(&mut self, used: &[(KubeCall, KubeAnswer, u32)]) {
        for (call, answer, calls) in used {
            let kind = format!("{call:?} {answer:?}");
            self.kube_faults.entry(kind).or_default().one(*calls);
        }
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        sum(&mut self.steps, &other.steps);
        sum(&mut self.edits, &other.edits);
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

/// What became of the faults of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strikes {
    /// How many were set.
    pub drawn: u64,
    /// How many of them struck a call at all.
    pub struck: u64,
    /// How many calls they struck.
    pub calls: u64,
}

impl Strikes {
    fn one(&mut self, calls: u32) {
        *self += Self {
            drawn: 1,
            struck: u64::from(calls > 0),
            calls: u64::from(calls),
        };
    }
}

impl AddAssign for Strikes {
    fn add_assign(&mut self, other: Self) {
        self.drawn += other.drawn;
        self.struck += other.struck;
        self.calls += other.calls;
    }
}

fn sum<T: Copy + Default + AddAssign>(into: &mut BTreeMap<String, T>, from: &BTreeMap<String, T>) {
    for (kind, count) in from {
        *into.entry(kind.clone()).or_default() += *count;
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
        list(f, "edits that only a sweep tells of", &self.edits)?;
        strikes(f, "Azure faults", &self.azure_faults)?;
        strikes(f, "API server faults", &self.kube_faults)?;
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

fn strikes(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    kinds: &BTreeMap<String, Strikes>,
) -> fmt::Result {
    let mut all = Strikes::default();
    for one in kinds.values() {
        all += *one;
    }
    writeln!(
        f,
        "{what}: {} of {} struck, {} calls; struck/drawn:",
        all.struck, all.drawn, all.calls
    )?;
    let mut sorted: Vec<_> = kinds.iter().collect();
    sorted.sort_by(|a, b| b.1.struck.cmp(&a.1.struck).then(a.0.cmp(b.0)));
    let cells = sorted.iter().map(|(kind, one)| {
        let share = format!("{}/{}", one.struck, one.drawn);
        format!("{share:>8} {kind:<26}")
    });
    rows(f, &cells.collect::<Vec<_>>())
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, counts: &BTreeMap<String, u64>) -> fmt::Result {
    writeln!(f, "{what}: {}", counts.values().sum::<u64>())?;
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let cells = sorted
        .iter()
        .map(|(kind, count)| format!("{count:>6} {kind:<28}"));
    rows(f, &cells.collect::<Vec<_>>())
}

fn rows(f: &mut fmt::Formatter<'_>, cells: &[String]) -> fmt::Result {
    for row in cells.chunks(3) {
        writeln!(f, "  {}", row.join("").trim_end())?;
    }
    Ok(())
}
