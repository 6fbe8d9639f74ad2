//! `plugin test`.

use std::fmt::Write as _;
use std::fs;
use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use operator_plugin_host::Usage;
use policy_sdk::testing::{Case, diff};

use super::args::TestArgs;
use super::build::summary;
use super::project::Project;
use super::requests::{NO_POLICY, Requests};
use super::sandbox::Sandbox;
use super::{host_of, size};
use crate::{Done, sentence};

/// How a case ended.
enum Verdict {
    Same,
    Blessed,
    Failed(String),
}

/// Builds a plugin and runs its cases.
pub(crate) fn test(args: &TestArgs) -> anyhow::Result<Done> {
    let project = Project::open(&args.dir)?;
    let cases = Case::all(&args.dir.join("cases")).map_err(|error| anyhow::anyhow!("{error}"))?;
    eprintln!("building {}", project.name);
    let built = project.build(&host_of(args.cache_dir.clone(), true)?)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\n", summary(&built)?)?;
    let sandbox = Sandbox::new(built.plugin)?;
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
    let (mut failed, mut blessed) = (0, 0);
    let mut requests = Sender::new(args, &cases)?;
    for case in &cases {
        let (mut verdict, usage) = one(&sandbox, case, args, colour)?;
        let mut used = usage.as_ref().map(used).unwrap_or_default();
        if !matches!(verdict, Verdict::Failed(_))
            && let Some(wrong) = requests.send(&sandbox, case)
        {
            let _ = write!(used, ", {} requests", case.requests.len());
            if !wrong.is_empty() {
                verdict = Verdict::Failed(wrong.join("\n"));
            }
        }
        let name = &case.name;
        match verdict {
            Verdict::Same => writeln!(out, "ok      {name:width$}  {used}")?,
            Verdict::Blessed => {
                blessed += 1;
                writeln!(out, "blessed {name:width$}  {used}")?;
            }
            Verdict::Failed(why) => {
                failed += 1;
                writeln!(out, "FAILED  {name:width$}  {used}")?;
                for line in why.lines() {
                    writeln!(out, "        {line}")?;
                }
            }
        }
    }
    let all = cases.len();
    let plural = if all == 1 { "" } else { "s" };
    let mut line = format!(
        "\n{all} case{plural} in the sandbox: {} ok",
        all - failed - blessed
    );
    // Writing to a string cannot fail.
    if blessed > 0 {
        let _ = write!(line, ", {blessed} written");
    }
    if failed > 0 {
        let _ = write!(line, ", {failed} failed");
    }
    writeln!(out, "{line}")?;
    if failed > 0 {
        if !args.bless {
            eprintln!(
                "where the plugin is right, `apim-operator plugin test --bless` writes what came of the cases"
            );
        }
        return Ok(Done::Problems);
    }
    drop(out);
    if args.sandbox_only || !project.has_native_tests() {
        return Ok(Done::Fine);
    }
    eprintln!("natively: cargo test");
    Ok(if project.test_natively()? {
        Done::Fine
    } else {
        Done::Problems
    })
}

/// Sends the requests of cases, where there are any.
struct Sender {
    runtime: Option<tokio::runtime::Runtime>,
    requests: Option<Requests>,
}

impl Sender {
    fn new(args: &TestArgs, cases: &[Case]) -> anyhow::Result<Self> {
        let all: usize = cases.iter().map(|case| case.requests.len()).sum();
        if all == 0 || args.no_requests {
            if all > 0 {
                eprintln!("note: --no-requests: {all} requests of the cases are not sent");
            }
            return Ok(Self {
                runtime: None,
                requests: None,
            });
        }
        let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
        let requests = runtime.block_on(Requests::start())?;
        Ok(Self {
            runtime: Some(runtime),
            requests: Some(requests),
        })
    }

    /// What is not as expected; nothing where nothing was sent.
    fn send(&mut self, sandbox: &Sandbox, case: &Case) -> Option<Vec<String>> {
        let (Some(runtime), Some(requests)) = (&self.runtime, &mut self.requests) else {
            return None;
        };
        if case.requests.is_empty() {
            return None;
        }
        let wrong = runtime.block_on(requests.run(sandbox, case));
        // A case that cannot be published is one that failed.
        Some(wrong.unwrap_or_else(|error| vec![sentence(&error)]))
    }
}

fn one(
    sandbox: &Sandbox,
    case: &Case,
    args: &TestArgs,
    colour: bool,
) -> anyhow::Result<(Verdict, Option<Usage>)> {
    let ran = match sandbox.run(case) {
        Ok(ran) => ran,
        Err(why) => return Ok((Verdict::Failed(why), None)),
    };
    if let Some(over) = ran.usage.as_ref().and_then(|usage| over(case, usage)) {
        return Ok((Verdict::Failed(over), ran.usage));
    }
    if case.expect.as_ref() == Some(&ran.outcome) {
        return Ok((Verdict::Same, ran.usage));
    }
    // Its requests say what is expected.
    if case.expect.is_none() && !case.requests.is_empty() && !args.bless && !args.no_requests {
        return Ok((Verdict::Same, ran.usage));
    }
    if args.bless && !case.requests.is_empty() && !ran.outcome.has_policy() {
        // Written down, it could never hold.
        let why = format!("{NO_POLICY}\n{}", ran.outcome.to_yaml(0));
        return Ok((Verdict::Failed(why), ran.usage));
    }
    if args.bless {
        let text = case
            .blessed(&ran.outcome)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        fs::write(&case.path, text).with_context(|| case.path.display().to_string())?;
        return Ok((Verdict::Blessed, ran.usage));
    }
    let actual = ran.outcome.to_yaml(0);
    let (head, expected) = match &case.expect {
        Some(expected) => ("- expected, + what came of it", expected.to_yaml(0)),
        None => ("nothing is expected yet; this came of it", String::new()),
    };
    let why = format!("{head}\n{}", diff(&expected, &actual, colour));
    Ok((Verdict::Failed(why), ran.usage))
}

/// What is above its budget.
fn over(case: &Case, usage: &Usage) -> Option<String> {
    let budget = &case.budget;
    if let (Some(budget), Some(fuel)) = (budget.fuel, usage.fuel)
        && fuel > budget
    {
        return Some(format!("it used {fuel} fuel, and its budget is {budget}"));
    }
    let memory = usage.memory_bytes as u64;
    budget
        .memory
        .filter(|budget| memory > *budget)
        .map(|budget| {
            format!(
                "it used {} of memory, and its budget is {}",
                size(memory),
                size(budget)
            )
        })
}

fn used(usage: &Usage) -> String {
    let fuel = usage
        .fuel
        .map_or_else(String::new, |fuel| format!("{fuel} fuel, "));
    format!("{fuel}{}", size(usage.memory_bytes as u64))
}
