//! Whether two documents mean the same, and where they differ.
//!
//! API Management does not give back what it was sent: it indents anew, adds
//! and drops defaults, encodes expressions. Documents are therefore compared
//! in a canonical form, in which these do not show: order of attributes and of
//! sections, attributes that have their default value, whitespace between
//! tags, comments, order inside sets (CORS lists, what a cache varies by), the
//! two spellings of a duration, layout and comments inside C#.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::csharp;
use super::document::PolicyDocument;
use super::model::{Element, Form, Node, Part, Section, Value};
use super::print::code;
use super::schema::{Rule, rules};

/// One place where two documents differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Such as `inbound/set-header[2]/@name`; the count among siblings of the
    /// same name is left out where there is one only.
    pub path: String,
    /// What the left document has there; none if it has nothing.
    pub left: Option<String>,
    /// What the right document has there.
    pub right: Option<String>,
}

/// Whether the documents mean the same.
#[must_use]
pub fn equal(left: &PolicyDocument, right: &PolicyDocument) -> bool {
    Canon::document(left) == Canon::document(right)
}

/// Whether the elements mean the same, wherever they stand.
#[must_use]
pub fn equal_elements(left: &Element, right: &Element) -> bool {
    Canon::element(left, rules().policy(&left.name))
        == Canon::element(right, rules().policy(&right.name))
}

/// All places where the documents differ, in document order.
#[must_use]
pub fn diff(left: &PolicyDocument, right: &PolicyDocument) -> Vec<Difference> {
    let mut out = Vec::new();
    differences(
        "",
        &Canon::document(left),
        &Canon::document(right),
        &mut out,
    );
    out
}

/// A difference in one statement of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementDifference {
    /// The section.
    pub section: Section,
    /// The place of the statement in that section of the right document; none
    /// where only the left one has it.
    pub statement: Option<usize>,
    /// What differs; its path begins with the section.
    pub difference: Difference,
}

/// As [`diff`], statement by statement: a section that one side lacks shows as
/// the statements of the other, and each difference says to which statement of
/// the right document it belongs. `right` is a document without comments.
#[must_use]
pub fn diff_statements(left: &PolicyDocument, right: &PolicyDocument) -> Vec<StatementDifference> {
    let mut out = Vec::new();
    for section in Section::ALL {
        let path = section.as_str();
        let (l, r) = (
            Canon::section(left, section),
            Canon::section(right, section),
        );
        let mut push = |statement, difference| {
            out.push(StatementDifference {
                section,
                statement,
                difference,
            });
        };
        for pair in align(&l, &r) {
            match pair {
                Pair::Both(a, b) => {
                    let mut found = Vec::new();
                    if let (Some(Child::Element(one)), Some(Child::Element(other))) =
                        (l.children.get(a), r.children.get(b))
                    {
                        differences(&step(path, &r, b), one, other, &mut found);
                    }
                    for difference in found {
                        push(Some(b), difference);
                    }
                }
                Pair::Left(a) => push(
                    None,
                    Difference {
                        path: step(path, &l, a),
                        left: l.children.get(a).map(Child::summary),
                        right: None,
                    },
                ),
                Pair::Right(b) => push(
                    Some(b),
                    Difference {
                        path: step(path, &r, b),
                        left: None,
                        right: r.children.get(b).map(Child::summary),
                    },
                ),
            }
        }
    }
    out
}

/// SHA-256 of the canonical form, in hex: equal for documents that mean the
/// same.
#[must_use]
pub fn hash(document: &PolicyDocument) -> String {
    let mut text = String::new();
    Canon::document(document).write(&mut text);
    Sha256::digest(text)
        .iter()
        .fold(String::with_capacity(64), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// The canonical form of an element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Canon {
    name: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Child>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Child {
    Element(Canon),
    Text(String),
}

/// Elements whose children are a set: their order means nothing (after
/// Microsoft's own comparer in the policy toolkit).
const SETS: [&str; 5] = [
    "allowed-origins",
    "allowed-methods",
    "allowed-headers",
    "expose-headers",
    "cache-lookup",
];

/// Attributes that take seconds or an ISO 8601 duration.
const DURATIONS: [&str; 1] = ["renewal-period"];

impl Canon {
    fn section(document: &PolicyDocument, section: Section) -> Self {
        let children = document.section(section).iter().map(|s| &s.node);
        Self {
            name: section.as_str().to_owned(),
            attributes: BTreeMap::new(),
            children: Self::children(children, |name| rules().policy(name), false),
        }
    }

    fn document(document: &PolicyDocument) -> Self {
        let sections = document.sections.keys();
        let sections = sections.map(|section| Child::Element(Self::section(document, *section)));
        Self {
            name: "policies".to_owned(),
            attributes: BTreeMap::new(),
            // An absent section and an empty one are the same to the service.
            children: sections
                .filter(|s| !matches!(s, Child::Element(s) if s.children.is_empty()))
                .collect(),
        }
    }

    fn element(element: &Element, rule: Option<&'static Rule>) -> Self {
        let attributes = element.attributes.iter().filter_map(|attribute| {
            let default = rule
                .and_then(|rule| rule.attribute(&attribute.name))
                .and_then(|rule| rule.default.as_deref());
            let value = attribute_value(&attribute.name, &attribute.value);
            (default != Some(value.as_str())).then(|| (attribute.name.clone(), value))
        });
        let is_set = SETS.contains(&element.name.as_str());
        let mut children = Self::children(
            element.children.iter(),
            |name| rules().child(&element.name, rule, name),
            is_set,
        );
        if is_set || rule.is_some_and(Rule::any_order) {
            children.sort();
        }
        Self {
            name: element.name.clone(),
            attributes: attributes.collect(),
            children,
        }
    }

    fn children<'n>(
        nodes: impl Iterator<Item = &'n Node>,
        rule: impl Fn(&str) -> Option<&'static Rule>,
        is_set: bool,
    ) -> Vec<Child> {
        let mut children: Vec<Child> = Vec::new();
        for node in nodes {
            match node {
                Node::Comment(_) => {}
                Node::Element(element) => {
                    let mut canon = Self::element(element, rule(&element.name));
                    if is_set && let [Child::Text(text)] = &mut canon.children[..] {
                        *text = text.trim().to_owned();
                    }
                    children.push(Child::Element(canon));
                }
                Node::Text(value) => {
                    let text = value_text(value);
                    match children.last_mut() {
                        _ if text.is_empty() => {}
                        Some(Child::Text(before)) => before.push_str(&text),
                        _ => children.push(Child::Text(text)),
                    }
                }
            }
        }
        children
    }

    /// Unambiguous: every text is preceded by its length.
    fn write(&self, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}={}:{value}", value.len());
        }
        out.push('>');
        for child in &self.children {
            match child {
                Child::Element(element) => element.write(out),
                Child::Text(text) => {
                    let _ = write!(out, "{}:{text}", text.len());
                }
            }
        }
        out.push_str("</>");
    }

    /// The element on one line, as a difference shows it.
    fn summary(&self) -> String {
        let mut out = format!("<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{value}\"");
        }
        out.push('>');
        if let [Child::Text(text)] = &self.children[..] {
            out.push_str(text);
        } else if !self.children.is_empty() {
            out.push('…');
        }
        out
    }
}

fn value_text(value: &Value) -> String {
    match value.form {
        Form::Expression => format!("@({})", csharp::canonical(&code(value))),
        Form::Statements => format!("@{{{}}}", csharp::canonical(&code(value))),
        Form::Literal => value
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::NamedValue(name) => format!("{{{{{name}}}}}"),
            })
            .collect(),
    }
}

fn attribute_value(name: &str, value: &Value) -> String {
    let text = value_text(value);
    if value.form == Form::Literal && DURATIONS.contains(&name) {
        return duration_seconds(&text).map_or(text, |seconds| seconds.to_string());
    }
    text
}

/// The seconds of an ISO 8601 duration of days, hours, minutes and seconds.
/// Months and years have no fixed length: they are compared as they stand.
#[must_use]
pub fn duration_seconds(text: &str) -> Option<u64> {
    let body = text.trim().strip_prefix('P')?;
    let (date, time) = body.split_once('T').unwrap_or((body, ""));
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let mut seconds = 0_u64;
    for (part, mut units) in [
        (date, &[('W', 604_800), ('D', 86_400)][..]),
        (time, &[('H', 3_600), ('M', 60), ('S', 1)][..]),
    ] {
        let mut rest = part;
        while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
            let number: u64 = rest.get(..end)?.parse().ok()?;
            let unit = rest.get(end..)?.chars().next()?;
            let at = units.iter().position(|(name, _)| *name == unit)?;
            let (_, factor) = units.get(at)?;
            seconds = seconds.checked_add(number.checked_mul(*factor)?)?;
            units = units.get(at + 1..)?;
            rest = rest.get(end + 1..)?;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(seconds)
}

fn differences(path: &str, left: &Canon, right: &Canon, out: &mut Vec<Difference>) {
    let names: std::collections::BTreeSet<&String> = left
        .attributes
        .keys()
        .chain(right.attributes.keys())
        .collect();
    for name in names {
        let (l, r) = (left.attributes.get(name), right.attributes.get(name));
        if l != r {
            out.push(Difference {
                path: join(path, &format!("@{name}")),
                left: l.cloned(),
                right: r.cloned(),
            });
        }
    }
    for pair in align(left, right) {
        match pair {
            Pair::Both(l, r) => match (left.children.get(l), right.children.get(r)) {
                (Some(Child::Element(a)), Some(Child::Element(b))) => {
                    differences(&step(path, left, l), a, b, out);
                }
                (Some(Child::Text(a)), Some(Child::Text(b))) if a != b => out.push(Difference {
                    path: join(path, "text()"),
                    left: Some(a.clone()),
                    right: Some(b.clone()),
                }),
                _ => {}
            },
            Pair::Left(l) => out.push(Difference {
                path: step(path, left, l),
                left: left.children.get(l).map(Child::summary),
                right: None,
            }),
            Pair::Right(r) => out.push(Difference {
                path: step(path, right, r),
                left: None,
                right: right.children.get(r).map(Child::summary),
            }),
        }
    }
}

/// Which child of the one side stands for which of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// They are compared.
    Both(usize, usize),
    /// The left side alone has it.
    Left(usize),
    /// The right side alone has it.
    Right(usize),
}

/// Equal neighbours at both ends are set aside, then children of the same name
/// are paired: a statement that was put in shows as one difference.
fn align(left: &Canon, right: &Canon) -> Vec<Pair> {
    let (mut start, mut l_end, mut r_end) = (0, left.children.len(), right.children.len());
    while start < l_end && start < r_end && left.children.get(start) == right.children.get(start) {
        start += 1;
    }
    while l_end > start
        && r_end > start
        && left.children.get(l_end - 1) == right.children.get(r_end - 1)
    {
        l_end -= 1;
        r_end -= 1;
    }
    let mut pairs = Vec::new();
    let (mut l, mut r) = (start, start);
    while l < l_end || r < r_end {
        let remaining = (l_end - l).cmp(&(r_end - r));
        let pair = (
            left.children.get(l).filter(|_| l < l_end),
            right.children.get(r).filter(|_| r < r_end),
        );
        let same = match pair {
            (Some(Child::Element(a)), Some(Child::Element(b))) => a.name == b.name,
            (Some(Child::Text(_)), Some(Child::Text(_))) => true,
            _ => false,
        };
        match pair {
            _ if same => {
                pairs.push(Pair::Both(l, r));
                (l, r) = (l + 1, r + 1);
            }
            (Some(_), b) if b.is_none() || remaining.is_ge() => {
                pairs.push(Pair::Left(l));
                l += 1;
            }
            (_, Some(_)) => {
                pairs.push(Pair::Right(r));
                r += 1;
            }
            _ => break,
        }
    }
    pairs
}

impl Child {
    fn summary(&self) -> String {
        match self {
            Self::Element(element) => element.summary(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() {
        step.to_owned()
    } else {
        format!("{path}/{step}")
    }
}

fn step(path: &str, parent: &Canon, index: usize) -> String {
    let Some(Child::Element(child)) = parent.children.get(index) else {
        return join(path, "text()");
    };
    let same = |other: &&Child| matches!(other, Child::Element(e) if e.name == child.name);
    let total = parent.children.iter().filter(same).count();
    let nth = parent.children.iter().take(index + 1).filter(same).count();
    if total > 1 {
        join(path, &format!("{}[{nth}]", child.name))
    } else {
        join(path, &child.name)
    }
}

#[cfg(test)]
mod tests;
