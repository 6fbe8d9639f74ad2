//! What the validation policies have in common: ignoring, preventing or
//! detecting, and the variable that lists what was found.

use crate::compile::keyword;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use apim_expressions::Value;

keyword!(
    /// What happens to what is not valid.
    Action {
        Ignore = "ignore",
        Prevent = "prevent",
        Detect = "detect",
    }
);

/// One thing that is not valid: documented with its fields, and what callers are
/// told of it.
pub(super) struct Finding {
    pub(super) action: Action,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) rule: &'static str,
    pub(super) details: String,
    /// What the caller is told, where it is his matter.
    pub(super) public: Option<String>,
}

/// What callers are told of all else: of the API's schema, of a response.
const NOT_YOURS: &str =
    "The request could not be processed due to an internal error. Contact the API owner.";

/// Notes what was found and gives the error of what is to be prevented. A request that
/// is prevented is answered 400, a response 502 (documented).
pub(super) fn conclude(
    exchange: &mut Exchange,
    findings: &[Finding],
    variable: Option<&str>,
) -> Option<PolicyError> {
    let noted: Vec<serde_json::Value> = findings
        .iter()
        .filter(|finding| finding.action != Action::Ignore)
        .map(|finding| {
            serde_json::json!({
                "Name": finding.name,
                "Type": finding.kind,
                "ValidationRule": finding.rule,
                "Details": finding.details,
                "Action": format!("{:?}", finding.action),
            })
        })
        .collect();
    for finding in findings {
        if let Some(trace) = &mut exchange.trace {
            trace.message(format!("{:?}: {}", finding.action, finding.details));
        }
    }
    if let Some(variable) = variable
        && !noted.is_empty()
    {
        let text = serde_json::Value::from(noted).to_string();
        // A JSON array of what was found.
        let value = Value::from_json(&text).unwrap_or_default();
        let variables = &mut exchange.context.variables;
        variables.insert(variable.to_owned(), value);
    }
    let prevented = findings
        .iter()
        .find(|finding| finding.action == Action::Prevent);
    let finding = prevented?;
    let public = finding.public.as_deref();
    let (status, reason, public) = if exchange.on_request() {
        (400, "Bad request", public.unwrap_or(NOT_YOURS))
    } else {
        (502, "Response not allowed", NOT_YOURS)
    };
    Some(PolicyError::told(status, reason, finding.details.clone()).telling(public))
}
