//! From what a plugin handed over to the operator's policy tree.
//!
//! The lists come from a plugin: indices may lie, and nothing here recurses
//! deeper than the limit.

use operator_core::descriptor::{Descriptor, SpecReading};
use operator_core::policy::{
    Attribute, Diagnostic, Element, Form, Fragment, Generated, Node, Part, Section, Severity,
    Target, Value, parse_statements,
};

use crate::bindings::wit;
use crate::error::CallError;
use crate::log::printable;

/// The most diagnostics that are passed on, and the longest message.
const MAX_DIAGNOSTICS: usize = 50;
const MAX_MESSAGE: usize = 2000;
/// The longest pointer into a config that is passed on.
const MAX_POINTER: usize = 500;

/// What the answer of a call must agree with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectation<'a> {
    pub(crate) descriptor: &'a Descriptor,
    /// The operation that the call is about.
    pub(crate) operation: Option<&'a str>,
    /// How deep elements may be nested.
    pub(crate) depth: usize,
    /// Whether policy XML as text is taken.
    pub(crate) raw_xml: bool,
}

impl Expectation<'_> {
    /// Where a fragment stands, if it may stand there.
    fn place(
        &self,
        section: wit::Section,
        target: wit::Target,
    ) -> Result<(Section, Target), CallError> {
        let section = self::section(section);
        if !self.descriptor.sections.contains(&section) {
            return Err(CallError::invalid(format!(
                "it holds a fragment for `{section}`, which its descriptor does not list"
            )));
        }
        let target = self::target(target);
        if let Some(operation) = self.operation
            && target != Target::Operation(operation.to_owned())
        {
            return Err(CallError::invalid(format!(
                "the call was about operation `{operation}`, and it holds a fragment for something else"
            )));
        }
        Ok((section, target))
    }
}

/// Checks a policy and makes trees of its lists.
pub(crate) fn generated(
    policy: wit::Policy,
    expected: Expectation<'_>,
) -> Result<Generated, CallError> {
    let warnings = diagnostics(policy.diagnostics);
    if warnings
        .iter()
        .any(|warning| warning.severity == Severity::Error)
    {
        return Err(CallError::Refused(warnings));
    }
    if !policy.raw.is_empty() && !expected.raw_xml {
        return Err(CallError::NotGranted {
            what: "returned policy XML as text".to_owned(),
            field: "spec.capabilities.rawXml: true".to_owned(),
        });
    }
    let mut nodes = Nodes {
        nodes: policy.nodes.into_iter().map(Some).collect(),
        max_depth: expected.depth,
    };
    let mut fragments = Vec::with_capacity(policy.fragments.len());
    for fragment in policy.fragments {
        let (section, target) = expected.place(fragment.section, fragment.target)?;
        let elements = fragment
            .roots
            .iter()
            .map(|root| match nodes.take(*root, 1)? {
                Node::Element(element) => Ok(element),
                Node::Text(_) | Node::Comment(_) => Err(CallError::invalid(format!(
                    "node {root} is the root of a fragment, and text"
                ))),
            })
            .collect::<Result<_, _>>()?;
        fragments.push(Fragment {
            section,
            target,
            elements,
        });
    }
    for raw in policy.raw {
        let (section, target) = expected.place(raw.section, raw.target)?;
        let elements = parse_statements(&raw.xml).map_err(|error| {
            CallError::invalid(format!("its policy text for `{section}`, {error}"))
        })?;
        fragments.push(Fragment {
            section,
            target,
            elements,
        });
    }
    if let Some(unused) = nodes.nodes.iter().position(Option::is_some) {
        return Err(CallError::invalid(format!(
            "node {unused} belongs to no fragment"
        )));
    }
    Ok(Generated {
        fragments,
        warnings,
    })
}

/// Checks an answer to `read-spec`.
pub(crate) fn reading(json: &str) -> Result<SpecReading, CallError> {
    let reading: SpecReading = serde_json::from_str(json)
        .map_err(|error| CallError::invalid(format!("its reading of the spec block: {error}")))?;
    match reading.config {
        serde_json::Value::Object(_) => Ok(reading),
        serde_json::Value::Null => Ok(SpecReading {
            config: serde_json::Value::Object(serde_json::Map::new()),
            ..reading
        }),
        _ => Err(CallError::invalid(
            "its reading of the spec block: `config` must be an object",
        )),
    }
}

/// The error of a call that the plugin itself refused.
pub(crate) fn refused(found: Vec<wit::Diagnostic>) -> CallError {
    let found = diagnostics(found);
    if found.iter().any(|d| d.severity == Severity::Error) {
        CallError::Refused(found)
    } else {
        CallError::invalid("it failed without a diagnostic that says why")
    }
}

/// The nodes that nobody has used yet.
struct Nodes {
    nodes: Vec<Option<wit::Node>>,
    max_depth: usize,
}

impl Nodes {
    /// Takes a node with everything below it. Each one can be taken once: so
    /// a cycle, which would use its first node a second time, ends there.
    fn take(&mut self, index: u32, depth: usize) -> Result<Node, CallError> {
        if depth > self.max_depth {
            return Err(CallError::invalid(format!(
                "its elements are nested deeper than {}",
                self.max_depth
            )));
        }
        let count = self.nodes.len();
        let slot = usize::try_from(index)
            .ok()
            .and_then(|index| self.nodes.get_mut(index))
            .ok_or_else(|| {
                CallError::invalid(format!("it refers to node {index}, and has {count}"))
            })?;
        let node = slot.take().ok_or_else(|| {
            CallError::invalid(format!("node {index} is used twice, or contains itself"))
        })?;
        match node {
            wit::Node::Text(text) => Ok(Node::Text(value(text))),
            wit::Node::Element(element) => {
                check_name(&element.name)?;
                let attributes = element
                    .attributes
                    .into_iter()
                    .map(|attribute| {
                        check_name(&attribute.name)?;
                        Ok(Attribute {
                            name: attribute.name,
                            value: value(attribute.value),
                        })
                    })
                    .collect::<Result<_, CallError>>()?;
                let children = element
                    .children
                    .iter()
                    .map(|child| self.take(*child, depth + 1))
                    .collect::<Result<_, _>>()?;
                Ok(Node::Element(Element {
                    name: element.name,
                    attributes,
                    children,
                    pointer: pointer(element.pointer),
                }))
            }
        }
    }
}

/// A name that could end a tag must not get as far as a printer.
fn check_name(name: &str) -> Result<(), CallError> {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain {
        return Ok(());
    }
    Err(CallError::invalid(format!(
        "`{}` cannot be the name of an element or attribute",
        printable(name, 80)
    )))
}

fn diagnostics(found: Vec<wit::Diagnostic>) -> Vec<Diagnostic> {
    // Errors first, so that none of them is cut off.
    let (errors, warnings): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|diagnostic| diagnostic.severity == wit::Severity::Error);
    errors
        .into_iter()
        .chain(warnings)
        .take(MAX_DIAGNOSTICS)
        .map(|diagnostic| Diagnostic {
            severity: match diagnostic.severity {
                wit::Severity::Warning => Severity::Warning,
                wit::Severity::Error => Severity::Error,
            },
            pointer: printable(&diagnostic.pointer, MAX_MESSAGE),
            message: printable(&diagnostic.message, MAX_MESSAGE),
        })
        .collect()
}

fn value(value: wit::Value) -> Value {
    Value {
        form: match value.form {
            wit::Form::Literal => Form::Literal,
            wit::Form::Expression => Form::Expression,
            wit::Form::Statements => Form::Statements,
        },
        parts: value
            .parts
            .into_iter()
            .map(|part| match part {
                wit::Part::Text(text) => Part::Text(text),
                wit::Part::NamedValue(name) => Part::NamedValue(name),
            })
            .collect(),
        pointer: pointer(value.pointer),
    }
}

/// What errors name. Anything but a pointer would be taken for a line of text.
fn pointer(pointer: Option<String>) -> Option<String> {
    let pointer = printable(&pointer?, MAX_POINTER);
    (pointer.is_empty() || pointer.starts_with('/')).then_some(pointer)
}

fn section(section: wit::Section) -> Section {
    match section {
        wit::Section::Inbound => Section::Inbound,
        wit::Section::Backend => Section::Backend,
        wit::Section::Outbound => Section::Outbound,
        wit::Section::OnError => Section::OnError,
    }
}

fn target(target: wit::Target) -> Target {
    match target {
        wit::Target::Api => Target::Api,
        wit::Target::Operation(id) => Target::Operation(id),
    }
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
