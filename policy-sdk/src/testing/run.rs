//! Running cases natively.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value as Json;

use super::case::{Case, merge};
use super::diff::diff;
use super::document::documents;
use super::outcome::{Outcome, Reads, Speaker};
use crate::{Plugin, guest};

/// Runs the golden cases of a folder through the plugin, without WebAssembly.
/// Say it in the plugin's tests:
///
/// ```no_run
/// # use policy_sdk::Plugin;
/// # fn example<AcmeHeaders: Plugin>() {
/// policy_sdk::testing::run_cases::<AcmeHeaders>("cases");
/// # }
/// ```
///
/// The folder is relative to the package, where `cargo test` runs. Cases whose
/// expectation is somebody else's word (`by: schema`, `by: operator`) and
/// policies as text are left to `apim-operator plugin test`, which runs the
/// same cases in the operator's sandbox and writes expectations (`--bless`).
/// So is what comes of requests: of a case that has nothing but those, a policy
/// is all that is wanted here.
///
/// # Panics
/// When a case cannot be read, has no expectation, or gives something else:
/// with the differences of all of them.
pub fn run_cases<P: Plugin>(folder: impl AsRef<Path>) {
    let cases = match Case::all(folder.as_ref()) {
        Ok(cases) => cases,
        Err(error) => panic!("{error}"),
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut failed = 0;
    let mut report = String::new();
    for case in &cases {
        if let Err(why) = check::<P>(case, colour) {
            failed += 1;
            // Writing to a string cannot fail.
            let _ = writeln!(report, "\n{}: {why}", case.path.display());
        }
    }
    assert!(
        failed == 0,
        "{failed} of {} cases failed\n{report}",
        cases.len()
    );
}

fn check<P: Plugin>(case: &Case, colour: bool) -> Result<(), String> {
    if case.expect.is_none() && case.requests.is_empty() {
        return Err(
            "it has no expectation yet; `apim-operator plugin test --bless` writes it".to_owned(),
        );
    }
    let told = |expected: &Outcome| expected.errors.iter().any(|said| !said.by.is_native());
    if case.expect.as_ref().is_some_and(told) {
        return Ok(());
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| outcome::<P>(case)))
        .map_err(|_| "the plugin panicked; the message is above".to_owned())?;
    let Some(outcome) = outcome else {
        return Ok(());
    };
    let Some(expected) = &case.expect else {
        return if outcome.has_policy() {
            Ok(())
        } else {
            let instead = outcome.to_yaml(0);
            Err(format!(
                "there is no policy to send requests to:\n{instead}"
            ))
        };
    };
    if outcome == *expected {
        return Ok(());
    }
    let difference = diff(&expected.to_yaml(0), &outcome.to_yaml(0), colour);
    Err(format!(
        "not what is expected (- expected, + what came of it)\n{difference}"
    ))
}

/// What comes of a case; none where only the operator can tell.
fn outcome<P: Plugin>(case: &Case) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    let mut config = Json::Object(serde_json::Map::new());
    if let Some(spec) = &case.spec {
        match P::read_spec(spec.clone()) {
            Ok(reading) => {
                config = Json::Object(reading.config.clone());
                outcome.reads = Some(Reads {
                    enabled: reading.enabled,
                    config: reading.config,
                });
            }
            Err(diagnostics) => outcome.say_all(Speaker::ReadSpec, &diagnostics),
        }
        let off = outcome
            .reads
            .as_ref()
            .is_none_or(|reads| reads.enabled == Some(false));
        if off {
            return Some(outcome);
        }
    }
    merge(&mut config, &case.config);
    match guest::generate::<P>(&case.context.to_string(), &config.to_string()) {
        Ok(policy) => {
            if !policy.raw.is_empty() {
                return None;
            }
            let about_api = case.context["operation"].is_null();
            documents(&policy, P::descriptor().phase, &mut outcome, about_api);
            outcome.say_all(Speaker::Plugin, &policy.warnings);
        }
        Err(diagnostics) => outcome.say_all(Speaker::Plugin, &diagnostics),
    }
    Some(outcome)
}
