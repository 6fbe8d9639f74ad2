//! One schedule from beginning to end.

use anyhow::Result;

use crate::check::{Violation, rule};
use crate::lab::Lab;
use crate::schedule::Schedule;
use crate::stage::Stage;
use crate::tally::Tally;

/// What came of a schedule.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// What ran.
    pub tally: Tally,
    /// What the operators and the driver said.
    pub log: String,
}

/// Runs a schedule in a lab.
pub async fn run(lab: &Lab, schedule: &Schedule) -> Result<Outcome> {
    if schedule.is_disruptive() {
        let _alone = lab.turn.write().await;
        run_in_turn(lab, schedule).await
    } else {
        let _beside = lab.turn.read().await;
        run_in_turn(lab, schedule).await
    }
}

async fn run_in_turn(lab: &Lab, schedule: &Schedule) -> Result<Outcome> {
    let mut stage = Stage::set(lab, schedule).await?;
    let mut violations = match carry_out(&mut stage, schedule).await {
        Ok(violations) => violations,
        // The driver has hands that do not give up: what stops them is as bad
        // as anything else.
        Err(error) => vec![Violation::new(rule::CARRIED_OUT, format!("{error:#}"))],
    };
    violations.extend(stage.history());
    stage.tally.seeds = 1;
    stage.tally.checked = 1;
    stage.tally.azure_calls = stage.azure.simulator.last_call();
    stage.tally.kube_calls = stage.tap.calls();
    stage.tally.moments = count(stage.azure.simulator.moments(0).len());
    stage.strike_set().await?;
    stage.let_go().await?;
    let log = stage.log.text();
    stage.tally.log_lines = count(log.lines().count());
    stage.tally.took = vec![stage.began.elapsed()];
    Ok(Outcome {
        violations,
        tally: stage.tally.clone(),
        log,
    })
}

async fn carry_out(stage: &mut Stage<'_>, schedule: &Schedule) -> Result<Vec<Violation>> {
    for step in &schedule.steps {
        stage.perform(step).await?;
    }
    stage.heal().await?;
    let mut violations = stage.converge().await?;
    if violations.is_empty() {
        violations = stage.rests(schedule.seed.is_multiple_of(2)).await?;
        // Who waits for somebody else tries again and again, and says so.
        violations.extend(stage.converge().await?);
    }
    if violations.is_empty() && schedule.sweeps {
        violations = stage.aftermath().await?;
    }
    Ok(violations)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
