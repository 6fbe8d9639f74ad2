//! A plan as a reviewer reads it.

use std::fmt::Write as _;

use operator_controller::plan::{KubeCall, ObjectPlan, PlanResult};
use operator_core::apim::{FieldChange, OperationChange, OperationChanges, PolicyChange};

/// All plans, and a last line that counts them. Objects that are as they
/// should be are counted only.
pub(super) fn plans(plans: &[ObjectPlan]) -> String {
    let mut out = String::new();
    for plan in plans {
        if plan.result != PlanResult::Unchanged || !plan.warnings.is_empty() {
            object(plan, &mut out);
            out.push('\n');
        }
    }
    let count = |result| plans.iter().filter(|plan| plan.result == result).count();
    let parts: Vec<String> = [
        (PlanResult::Change, "to change"),
        (PlanResult::Waiting, "waiting"),
        (PlanResult::Refused, "refused"),
        (PlanResult::Failed, "failed"),
        (PlanResult::Unchanged, "unchanged"),
    ]
    .into_iter()
    .filter(|(result, _)| count(*result) > 0)
    .map(|(result, word)| format!("{} {word}", count(result)))
    .collect();
    let azure: usize = plans.iter().map(|plan| plan.azure.len()).sum();
    let _ = writeln!(
        out,
        "{}{}",
        if parts.is_empty() {
            "no ExposedAPIs".to_owned()
        } else {
            parts.join(", ")
        },
        match azure {
            0 => String::new(),
            1 => "; 1 write to Azure".to_owned(),
            n => format!("; {n} writes to Azure"),
        }
    );
    out
}

// Writing into a String cannot fail.
fn object(plan: &ObjectPlan, out: &mut String) {
    let _ = write!(out, "{}", plan.object);
    if let (Some(instance), Some(id)) = (&plan.instance, &plan.api_id) {
        let _ = write!(out, " (API {id} in instance {instance})");
    }
    let word = match plan.result {
        PlanResult::Unchanged => "unchanged",
        PlanResult::Change => "to change",
        PlanResult::Waiting => "waiting",
        PlanResult::Refused => "refused",
        PlanResult::Failed => "failed",
    };
    let _ = writeln!(out, ": {word}");
    if let Some(message) = &plan.message {
        let reason = plan
            .reason
            .map_or_else(String::new, |reason| format!("{reason}: "));
        for (i, line) in message.lines().enumerate() {
            let _ = writeln!(out, "  {}{line}", if i == 0 { &*reason } else { "" });
        }
    }
    for warning in &plan.warnings {
        let _ = writeln!(out, "  warning: {warning}");
    }
    for call in &plan.kubernetes {
        kubernetes(call, out);
    }
    if plan.azure.is_empty() {
        return;
    }
    for (number, call) in plan.azure.iter().enumerate() {
        let _ = writeln!(
            out,
            "  {}. {} {}: {}",
            number + 1,
            call.method,
            call.resource,
            call.purpose
        );
    }
    let changes = &plan.changes;
    if !changes.settings.is_empty() {
        let _ = writeln!(out, "  settings");
        changes
            .settings
            .iter()
            .for_each(|change| field(change, out));
    }
    if let Some(change) = &changes.operations {
        operations(change, out);
    }
    for document in &changes.policies {
        let _ = match &document.operation {
            None => writeln!(out, "  policy"),
            Some(id) => writeln!(out, "  policy of operation {id}"),
        };
        if document.changes.is_empty() {
            let _ = writeln!(out, "    the same in meaning, written anew");
        }
        policy(&document.changes, out);
    }
    if !changes.products.is_empty() {
        let _ = writeln!(out, "  products");
    }
    for change in &changes.products {
        let sign = if change.holds { '+' } else { '-' };
        let _ = writeln!(out, "    {sign} {}", change.product);
    }
    for change in &changes.parts {
        let _ = writeln!(out, "  {change}");
        for place in &change.changes {
            let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "(absent)".into());
            let (from, to) = (of(&place.from), of(&place.to));
            let _ = writeln!(out, "    ~ {}: {from} → {to}", place.path);
        }
    }
}

fn kubernetes(call: &KubeCall, out: &mut String) {
    let sign = match call.verb {
        "create" => '+',
        "delete" => '-',
        _ => '~',
    };
    let _ = writeln!(out, "  {sign} {}", call.resource);
    call.changes.iter().for_each(|change| field(change, out));
}

fn field(change: &FieldChange, out: &mut String) {
    let name = change.field;
    let _ = match (&change.from, &change.to) {
        (None, Some(to)) => writeln!(out, "    + {name}: {to}"),
        (Some(from), None) => writeln!(out, "    - {name}: {from}"),
        (Some(from), Some(to)) => writeln!(out, "    ~ {name}: {from} → {to}"),
        (None, None) => Ok(()),
    };
}

fn operations(changes: &OperationChanges, out: &mut String) {
    let _ = writeln!(out, "  operations");
    if changes.unknown {
        let _ = writeln!(
            out,
            "    unknown: API Management fetches the document itself"
        );
        return;
    }
    let line = |change: &OperationChange| {
        change
            .to
            .clone()
            .or_else(|| change.from.clone())
            .unwrap_or_default()
    };
    for change in &changes.added {
        let _ = writeln!(out, "    + {}  {}", change.id, line(change));
    }
    for change in &changes.changed {
        let from = change.from.as_deref().unwrap_or_default();
        let _ = writeln!(out, "    ~ {}  {from} → {}", change.id, line(change));
    }
    for change in &changes.removed {
        let policy = if change.destroys_policy {
            "  (and its policy)"
        } else {
            ""
        };
        let _ = writeln!(out, "    - {}  {}{policy}", change.id, line(change));
    }
    if changes.added.is_empty() && changes.changed.is_empty() && changes.removed.is_empty() {
        let _ = writeln!(out, "    the same; the document is imported anew");
    }
}

/// The differences as a tree: what two neighbours share of their paths stands
/// once. The plugin stands where a statement begins.
fn policy(changes: &[PolicyChange], out: &mut String) {
    let mut open: Vec<&str> = Vec::new();
    for change in changes {
        let steps: Vec<&str> = change.path.split('/').collect();
        let Some((last, parents)) = steps.split_last() else {
            continue;
        };
        let shared = open.iter().zip(parents).take_while(|(a, b)| a == b).count();
        for (depth, step) in parents.iter().enumerate().skip(shared) {
            let plugin = plugin_of(change, depth == 1);
            let _ = writeln!(out, "    {}{step}{plugin}", "  ".repeat(depth));
        }
        open = parents.to_vec();
        let pad = "  ".repeat(parents.len());
        let plugin = plugin_of(change, parents.len() == 1);
        let _ = match (&change.from, &change.to) {
            (None, Some(to)) if last.starts_with('@') => {
                writeln!(out, "    {pad}+ {last}: {to}{plugin}")
            }
            (Some(from), None) if last.starts_with('@') => {
                writeln!(out, "    {pad}- {last}: {from}{plugin}")
            }
            (None, Some(to)) => writeln!(out, "    {pad}+ {to}{plugin}"),
            (Some(from), None) => writeln!(out, "    {pad}- {from}{plugin}"),
            (Some(from), Some(to)) => writeln!(out, "    {pad}~ {last}: {from} → {to}{plugin}"),
            (None, None) => Ok(()),
        };
    }
}

fn plugin_of(change: &PolicyChange, is_statement: bool) -> String {
    match &change.plugin {
        Some(plugin) if is_statement => format!("  [{plugin}]"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, from: Option<&str>, to: Option<&str>, plugin: &str) -> PolicyChange {
        PolicyChange {
            path: path.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
            plugin: (!plugin.is_empty()).then(|| plugin.into()),
        }
    }

    #[test]
    fn differences_of_a_policy_are_a_tree_with_the_plugin_at_each_statement() {
        let mut out = String::new();
        policy(
            &[
                change(
                    "inbound/validate-jwt/@header-name",
                    Some("A"),
                    Some("B"),
                    "jwt",
                ),
                change(
                    "inbound/validate-jwt/required-claims/claim/value",
                    None,
                    Some("<value>x"),
                    "jwt",
                ),
                change(
                    "inbound/rate-limit",
                    None,
                    Some("<rate-limit calls=\"5\">"),
                    "rates",
                ),
                change(
                    "outbound/set-header",
                    Some("<set-header name=\"x\">…"),
                    None,
                    "",
                ),
            ],
            &mut out,
        );
        insta::assert_snapshot!(out, @r#"
            inbound
              validate-jwt  [jwt]
                ~ @header-name: A → B
                required-claims
                  claim
                    + <value>x
              + <rate-limit calls="5">  [rates]
            outbound
              - <set-header name="x">…
        "#);
    }
}
