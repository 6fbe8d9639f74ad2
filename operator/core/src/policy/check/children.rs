//! Order and number of child elements.

use crate::policy::literal::shown;
use crate::policy::model::Element;
use crate::policy::schema::{Order, Rule};

use super::rules::Problem;
use super::way_out;

/// What is wrong with the children of an element that holds parts of its own
/// policy, not policies. `passthrough` lists what may stand where anything
/// could.
pub(super) fn problems(element: &Element, rule: &Rule, passthrough: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut counts = vec![0_usize; rule.children.len()];
    let mut last = 0;
    for child in element.elements() {
        let place = rule.children.iter().position(|r| r.name == child.name);
        let Some(place) = place else {
            if rule.any && passthrough.contains(&child.name) {
                continue;
            }
            problems.push(Problem::at(child, unknown(element, child, rule)));
            continue;
        };
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
        if rule.order == Order::Sequence && place < last {
            let before = rule.children.get(last).map_or("", |r| r.name.as_str());
            problems.push(Problem::at(
                child,
                format!(
                    "'{}' stands after '{before}' in '{}', but must come before it; move it",
                    child.name, element.name
                ),
            ));
        }
        last = last.max(place);
    }
    if matches!(rule.order, Order::Any | Order::Some) {
        let optional = rule.children.iter().all(|child| child.min == 0);
        if rule.order == Order::Some && !optional && counts.iter().all(|n| *n == 0) {
            let names: Vec<_> = rule.children.iter().map(|c| c.name.as_str()).collect();
            problems.push(Problem::here(format!(
                "'{}' is empty; it must hold at least one of: {}",
                element.name,
                names.join(", ")
            )));
        }
        return problems;
    }
    let one = rule.order == Order::One;
    for (child, count) in rule.children.iter().zip(&counts) {
        if *count < child.min && !one {
            problems.push(Problem::here(match child.min {
                1 => format!(
                    "'{}' lacks the element '{}'; add it",
                    element.name, child.name
                ),
                min => format!(
                    "'{}' holds {count} elements '{}'; it needs at least {min}",
                    element.name, child.name
                ),
            }));
        }
        if let Some(max) = child.max.filter(|max| count > max) {
            problems.push(Problem::here(format!(
                "'{}' holds {count} elements '{}'; at most {max} may stand there",
                element.name, child.name
            )));
        }
    }
    problems
}

fn unknown(element: &Element, child: &Element, rule: &Rule) -> String {
    let name = shown(&child.name);
    if rule.any {
        return format!(
            "'{name}' inside '{}' would be passed through unchecked; write it as text, or have the \
             platform list it in `spec.capabilities.passthroughElements` of the PolicyPlugin",
            element.name
        );
    }
    format!(
        "'{name}' may not stand in '{}'{}",
        element.name,
        way_out(&child.name, rule.children.iter().map(|c| c.name.as_str()))
    )
}
