//! The table.

use std::fmt;
use std::time::Duration;

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    notes: Vec<String>,
    legend: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: [String; 5],
}

/// A goal for a ratio or a count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// This and nothing else.
    Exactly(f64),
}

impl Goal {
    fn verdict(self, value: f64) -> String {
        let (met, text) = match self {
            Self::AtMost(limit) => (value <= limit, format!("≤ {limit}")),
            Self::AtLeast(limit) => (value >= limit, format!("≥ {limit}")),
            Self::Exactly(wanted) => ((value - wanted).abs() < f64::EPSILON, format!("= {wanted}")),
        };
        format!("{text} {}", if met { "met" } else { "MISSED" })
    }
}

impl Table {
    /// A line above the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A line below the table: what a row means.
    pub(crate) fn legend(&mut self, line: impl Into<String>) {
        self.legend.push(line.into());
    }

    /// A figure beside its floor; the goal is for their ratio.
    pub(crate) fn against(
        &mut self,
        what: &str,
        (measured, floor): (String, String),
        ratio: f64,
        goal: Option<Goal>,
    ) {
        let verdict = goal.map_or_else(String::new, |goal| goal.verdict(ratio));
        self.rows.push(Row {
            cells: [
                what.to_owned(),
                measured,
                floor,
                format!("{ratio:.2}"),
                verdict,
            ],
        });
    }

    /// A figure alone.
    pub(crate) fn figure(&mut self, what: &str, measured: impl Into<String>) {
        self.rows.push(Row {
            cells: [
                what.to_owned(),
                measured.into(),
                String::new(),
                String::new(),
                String::new(),
            ],
        });
    }

    /// A count per object, with its goal.
    pub(crate) fn count(&mut self, what: &str, value: f64, goal: Goal) {
        // A difference of nothing and nothing may be -0.
        let value = value + 0.0;
        let cells = [
            what.to_owned(),
            counted(value, goal),
            String::new(),
            String::new(),
            goal.verdict(value),
        ];
        self.rows.push(Row { cells });
    }
}

/// A count that misses its goal by less than two digits show has as many as
/// show that.
fn counted(value: f64, goal: Goal) -> String {
    let shown = format!("{value:.2}");
    let rounded = shown.parse().unwrap_or(value);
    if goal.verdict(rounded) == goal.verdict(value) {
        shown
    } else {
        format!("{value:.4}")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        let heads = ["", "measured", "floor", "ratio", "goal"].map(str::to_owned);
        let rows = self.rows.iter().map(|row| &row.cells);
        let all: Vec<&[String; 5]> = std::iter::once(&heads).chain(rows).collect();
        let width = |i: usize| {
            let lengths = all.iter().map(|cells| cells[i].chars().count());
            lengths.max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..5).map(width).collect();
        writeln!(f)?;
        for cells in all {
            let line: Vec<String> = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(f, "{}", line.join("  ").trim_end())?;
        }
        writeln!(f)?;
        for line in &self.legend {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Durations that were measured one after the other.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The value that this share of the samples does not exceed.
    fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// What one in a hundred exceeds.
    pub(crate) fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// How many medians of `floor` the median is.
    pub(crate) fn ratio(&self, floor: &Self) -> f64 {
        self.median().as_secs_f64() / floor.median().as_secs_f64()
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (p95 {})",
            short(self.median()),
            short(self.quantile(0.95))
        )
    }
}

/// A duration in three digits or so.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_ratio_are_of_the_middle_sample() {
        let mut samples = Samples::default();
        let mut floor = Samples::default();
        for ms in [9, 1, 5, 3, 7] {
            samples.push(Duration::from_millis(2 * ms));
            floor.push(Duration::from_millis(ms));
        }
        assert_eq!(samples.median(), Duration::from_millis(10));
        assert!((samples.ratio(&floor) - 2.0).abs() < 1e-9);
        assert_eq!(samples.to_string(), "10.0 ms (p95 18.0 ms)");
    }

    #[test]
    fn a_missed_goal_is_said() {
        assert_eq!(Goal::AtMost(1.5).verdict(1.5), "≤ 1.5 met");
        assert_eq!(Goal::AtLeast(0.8).verdict(0.79), "≥ 0.8 MISSED");
        assert_eq!(Goal::Exactly(3.0).verdict(3.01), "= 3 MISSED");
        assert_eq!(counted(2.0, Goal::AtMost(2.0)), "2.00");
        assert_eq!(counted(2.0013, Goal::AtMost(2.0)), "2.0013");
        assert_eq!(counted(2.13, Goal::AtMost(2.0)), "2.13");
    }
}
