//! What a document must keep before anything is sent.
//!
//! Three sources: the table of published schemas ([`super::schema`]), what
//! the service refuses beyond them ([`rules`]), and our own rule that a text
//! never becomes code ([`super::literal`]).

mod children;
mod rules;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use super::document::{PolicyDocument, PolicyError, Statement};
use super::literal::{self, shown};
use super::model::{Attribute, Element, Form, Node, Section, Target, Value};
use super::print::print;
use super::schema::{self, Rule, holds_policies};
use super::{MAX_DEPTH, depth};
use crate::tier::Tier;

/// A list with a million bad entries is one mistake, not a million.
const MAX_ERRORS: usize = 100;

/// What is wrong with the document: the first hundred problems.
///
/// Named values are taken as they are: what they stand for is not known here.
#[must_use]
pub fn check(document: &PolicyDocument, target: &Target, tier: Tier) -> Vec<PolicyError> {
    check_granted(document, target, tier, &BTreeMap::new())
}

/// As [`check`], where plugins may write elements that are not known:
/// `passthrough` lists their names by plugin.
pub(super) fn check_granted(
    document: &PolicyDocument,
    target: &Target,
    tier: Tier,
    passthrough: &BTreeMap<&str, &[String]>,
) -> Vec<PolicyError> {
    let mut errors = Vec::new();
    for (section, statements) in &document.sections {
        for statement in statements {
            let mut walk = Walk {
                statement,
                section: *section,
                target,
                tier,
                passthrough: statement
                    .plugin
                    .as_deref()
                    .and_then(|plugin| passthrough.get(plugin))
                    .copied()
                    .unwrap_or_default(),
                errors: &mut errors,
            };
            walk.statement();
        }
    }
    errors.extend(rules::once(document, target));
    let size = print(document).len();
    let limit = tier.max_document_bytes();
    if size > limit {
        errors.push(PolicyError {
            plugin: None,
            pointer: None,
            document: target.clone(),
            section: None,
            message: format!(
                "the document has {size} bytes, but {tier} takes {limit} at most; shorten \
                 lists in the plugins' config or use fewer plugins"
            ),
        });
    }
    errors
}

/// The check of one statement.
struct Walk<'a> {
    statement: &'a Statement,
    section: Section,
    target: &'a Target,
    tier: Tier,
    /// The elements beyond the known ones that the plugin may write.
    passthrough: &'a [String],
    errors: &'a mut Vec<PolicyError>,
}

/// The nearest of the names, if any is near.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= 3.min(other.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// `; did you mean 'x'?`, or what there is to choose from.
fn way_out<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    if let Some(near) = nearest(name, names.clone()) {
        return format!("; did you mean '{near}'?");
    }
    let all: Vec<_> = names.collect();
    match all.len() {
        0 => "; remove it".to_owned(),
        1..=16 => format!("; there are: {}", all.join(", ")),
        _ => "; see Azure's policy reference for what there is".to_owned(),
    }
}

impl Walk<'_> {
    fn error(&mut self, pointer: Option<&str>, message: String) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        self.errors.push(PolicyError {
            plugin: self.statement.plugin.clone(),
            pointer: pointer.map(str::to_owned),
            document: self.target.clone(),
            section: Some(self.section),
            message,
        });
    }

    fn statement(&mut self) {
        let statement = self.statement;
        match &statement.node {
            Node::Comment(_) if statement.plugin.is_none() => {}
            Node::Comment(_) => self.error(
                None,
                "a plugin cannot write comments; leave it out".to_owned(),
            ),
            Node::Text(value) => self.error(
                value.pointer.as_deref(),
                format!("section '{}' may not hold text; remove it", self.section),
            ),
            Node::Element(element) if depth(element) > MAX_DEPTH => self.error(
                element.pointer.as_deref(),
                format!(
                    "element '{}' holds elements nested more than {MAX_DEPTH} deep; make the \
                     policy flatter",
                    element.name
                ),
            ),
            Node::Element(element) if element.name == "base" => {
                if statement.plugin.is_some() {
                    self.error(
                        element.pointer.as_deref(),
                        "a plugin cannot write <base/>: the operator places it".to_owned(),
                    );
                } else if !element.attributes.is_empty() || !element.children.is_empty() {
                    self.error(None, "'base' may hold nothing; empty it".to_owned());
                }
            }
            Node::Element(element) => self.policy(element, None),
        }
    }

    /// A policy directly in a section, or in a `choose`, `retry` and the like.
    fn policy(&mut self, element: &Element, pointer: Option<&str>) {
        let pointer = element.pointer.as_deref().or(pointer);
        let rules = schema::rules();
        let name = element.name.as_str();
        let Some(rule) = rules.policy(name) else {
            if self.passes(name) {
                self.unknown(element, pointer);
                return;
            }
            let names = rules.in_section(self.section).collect::<Vec<_>>();
            let mut out = way_out(name, names.iter().copied());
            if self.statement.plugin.is_some() && nearest(name, names.into_iter()).is_none() {
                out.push_str(
                    ", or have the platform list it in `spec.capabilities.passthroughElements` of \
                     the PolicyPlugin",
                );
            }
            self.error(
                pointer,
                format!("'{}' is no policy that is known here{out}", shown(name)),
            );
            return;
        };
        let sections = rules.sections(name);
        if !sections.contains(&self.section) {
            let allowed: Vec<_> = sections.iter().map(|s| s.as_str()).collect();
            let message = if allowed.is_empty() {
                format!("'{name}' may not stand in a section by itself; remove it")
            } else {
                format!(
                    "'{name}' may not stand in section '{}'; it belongs in {}",
                    self.section,
                    allowed.join(" or ")
                )
            };
            self.error(pointer, message);
        }
        if let Some(problem) = rules::scope(name, self.tier) {
            self.error(pointer, problem);
        }
        self.element(element, rule, pointer);
    }

    /// Whether the plugin may write an element that nothing is known of.
    fn passes(&self, name: &str) -> bool {
        name != "base" && self.passthrough.iter().any(|granted| granted == name)
    }

    /// An element that nothing is known of, nor of its parts: only what holds
    /// for every text is checked, and the known policies in it.
    fn unknown(&mut self, element: &Element, pointer: Option<&str>) {
        let mut seen = BTreeSet::new();
        for Attribute { name, value } in &element.attributes {
            let pointer = value.pointer.as_deref().or(pointer);
            let place = format!("attribute '{}' of '{}'", shown(name), shown(&element.name));
            if !seen.insert(name) {
                self.error(pointer, format!("{place} is there twice; remove one"));
            }
            self.value(value, &place, pointer, |_| None);
        }
        let place = format!("the text of '{}'", shown(&element.name));
        for child in &element.children {
            match child {
                Node::Text(value) => {
                    let pointer = value.pointer.as_deref().or(pointer);
                    self.value(value, &place, pointer, |_| None);
                }
                Node::Comment(_) => self.comment(element, pointer),
                Node::Element(child) => {
                    let pointer = child.pointer.as_deref().or(pointer);
                    if child.name == "base" {
                        self.error(
                            pointer,
                            "a plugin cannot write <base/>: the operator places it".to_owned(),
                        );
                    } else if schema::rules().policy(&child.name).is_some() {
                        self.policy(child, pointer);
                    } else {
                        self.unknown(child, pointer);
                    }
                }
            }
        }
        for problem in literal::run_problems(&element.children) {
            self.error(pointer, format!("{place}: {problem}"));
        }
    }

    fn comment(&mut self, element: &Element, pointer: Option<&str>) {
        if self.statement.plugin.is_some() {
            self.error(
                pointer,
                format!(
                    "'{}' holds a comment; a plugin cannot write comments, leave it out",
                    shown(&element.name)
                ),
            );
        }
    }

    fn element(&mut self, element: &Element, rule: &'static Rule, pointer: Option<&str>) {
        self.attributes(element, rule, pointer);
        self.texts(element, rule, pointer);
        for problem in rules::element(element) {
            let own = problem.pointer.as_deref().or(pointer);
            self.error(own, problem.message);
        }
        if !holds_policies(&element.name, rule) {
            for problem in children::problems(element, rule, self.passthrough) {
                let own = problem.pointer.as_deref().or(pointer);
                self.error(own, problem.message);
            }
        }
        for child in element.elements() {
            let pointer = child.pointer.as_deref().or(pointer);
            if holds_policies(&element.name, rule) {
                self.policy(child, pointer);
            } else if let Some(rule) = schema::rules().child(&element.name, Some(rule), &child.name)
            {
                self.element(child, rule, pointer);
            } else if rule.any && self.passes(&child.name) {
                self.unknown(child, pointer);
            }
        }
    }

    fn attributes(&mut self, element: &Element, rule: &Rule, pointer: Option<&str>) {
        let names = || rule.attributes.iter().map(|a| a.name.as_str());
        let mut seen = BTreeSet::new();
        for Attribute { name, value } in &element.attributes {
            let pointer = value.pointer.as_deref().or(pointer);
            let place = format!("attribute '{}' of '{}'", shown(name), element.name);
            if !seen.insert(name) {
                self.error(pointer, format!("{place} is there twice; remove one"));
            }
            let Some(rule) = rule.attribute(name) else {
                let out = way_out(name, names());
                self.error(pointer, format!("{place} does not exist{out}"));
                continue;
            };
            self.value(value, &place, pointer, |value| {
                if rules::takes_no_expression(&element.name, name) && value.form != Form::Literal {
                    return Some("may not be an expression; write the value itself".to_owned());
                }
                values::problem(&rule.kind, value)
            });
        }
        for required in rule.attributes.iter().filter(|a| a.required) {
            if element.attribute(&required.name).is_none() {
                self.error(
                    pointer,
                    format!(
                        "'{}' lacks the attribute '{}'; add it",
                        element.name, required.name
                    ),
                );
            }
        }
    }

    /// The literal rule first: of a text that may not be there at all it is
    /// not worth saying that it is no number.
    fn value(
        &mut self,
        value: &Value,
        place: &str,
        pointer: Option<&str>,
        typed: impl FnOnce(&Value) -> Option<String>,
    ) {
        let problems = literal::problems(value);
        if problems.is_empty() {
            if let Some(problem) = typed(value) {
                self.error(pointer, format!("{place} {problem}"));
            }
        } else {
            for problem in problems {
                self.error(pointer, format!("{place}: {problem}"));
            }
        }
    }

    fn texts(&mut self, element: &Element, rule: &Rule, pointer: Option<&str>) {
        let place = format!("the text of '{}'", element.name);
        for child in &element.children {
            match child {
                Node::Text(value) => {
                    let pointer = value.pointer.as_deref().or(pointer);
                    if let Some(kind) = &rule.text {
                        self.value(value, &place, pointer, |value| values::problem(kind, value));
                    } else {
                        let out = if rule.children.is_empty() {
                            "; remove it".to_owned()
                        } else {
                            let names: Vec<_> =
                                rule.children.iter().map(|c| c.name.as_str()).collect();
                            format!("; it may hold: {}", names.join(", "))
                        };
                        self.error(
                            pointer,
                            format!("'{}' may not hold text{out}", element.name),
                        );
                    }
                }
                Node::Comment(_) => self.comment(element, pointer),
                Node::Element(_) => {}
            }
        }
        for problem in literal::run_problems(&element.children) {
            self.error(pointer, format!("{place}: {problem}"));
        }
    }
}

#[cfg(test)]
mod tests;
