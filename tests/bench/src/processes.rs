//! What programs take of the machine: memory and processor time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Resident memory of a process in MiB.
pub(crate) struct Resident {
    pub(crate) now: f64,
    pub(crate) most: f64,
    pub(crate) anonymous: f64,
    pub(crate) files: f64,
}

/// What a process holds in memory.
pub(crate) fn resident(process: u32) -> Result<Resident> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let mib = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0)
            .with_context(|| format!("/proc/{process}/status has no {field}"))
    };
    Ok(Resident {
        now: mib("VmRSS:")?,
        most: mib("VmHWM:")?,
        anonymous: mib("RssAnon:")?,
        files: mib("RssFile:")?,
    })
}

/// Resident memory of a process, now and at most.
pub(crate) fn memory(process: u32) -> Result<String> {
    let held = resident(process)?;
    Ok(format!("{:.0} MiB / {:.0} MiB", held.now, held.most))
}

/// The CPU time that a process has used so far.
pub(crate) fn used(process: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The program's name may hold anything; what follows it does not.
    let fields = stat.rsplit_once(')').context("/proc has another format")?.1;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    // Linux counts in hundredths of a second here on every platform.
    Ok(Duration::from_millis(ticks * 10))
}

/// The CPU time of this process and of all that it started, by program.
pub(crate) struct Spent(BTreeMap<String, Duration>);

impl Spent {
    /// What those that run now have used since they began.
    pub(crate) fn so_far() -> Result<Self> {
        let mut programs: BTreeMap<u32, (u32, String)> = BTreeMap::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // One that ended meanwhile is not asked for.
            if let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat"))
                && let Some(found) = parent_and_program(&stat)
            {
                programs.insert(id, found);
            }
        }
        let own = std::process::id();
        let mut spent = BTreeMap::new();
        for (&id, (_, program)) in &programs {
            let mut ancestors =
                std::iter::successors(Some(id), |id| programs.get(id).map(|(parent, _)| *parent));
            if ancestors.any(|id| id == own)
                && let Ok(time) = used(id)
            {
                *spent.entry(program.clone()).or_default() += time;
            }
        }
        Ok(Self(spent))
    }

    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (program, time) in &mut self.0 {
            *time = time.saturating_sub(before.of(program));
        }
        self
    }

    /// Those that used any, in the order of their names.
    pub(crate) fn by_program(&self) -> impl Iterator<Item = (&str, Duration)> {
        let all = self
            .0
            .iter()
            .map(|(program, time)| (program.as_str(), *time));
        all.filter(|(_, time)| !time.is_zero())
    }

    /// What one of them used.
    pub(crate) fn of(&self, program: &str) -> Duration {
        self.0.get(program).copied().unwrap_or_default()
    }
}

/// What a line of `/proc/<id>/stat` says: `<id> (<program>) <state> <parent> …`.
fn parent_and_program(stat: &str) -> Option<(u32, String)> {
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, program) = head.split_once(" (")?;
    let parent = rest.split(' ').nth(1)?.parse().ok()?;
    Some((parent, program.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_hold_anything() {
        assert_eq!(
            parent_and_program("17 (a) (b c) S 4 17 17 0"),
            Some((4, "a) (b c".to_owned()))
        );
        assert_eq!(parent_and_program("17"), None);
    }
}
