//! The glue between a [`Plugin`] and the component's exports.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::exports::oda::policy::generator as wit;
use crate::elements::{Element, Node};
use crate::policy::Fragment;
use crate::{
    Context, Diagnostic, Form, Part, Plugin, Policy, Section, Severity, Target, Value, config, log,
};

/// Exports a [`Plugin`]; see [`export_plugin!`](crate::export_plugin).
#[derive(Debug)]
pub struct Adapter<P>(PhantomData<P>);

impl<P: Plugin> wit::Guest for Adapter<P> {
    fn describe() -> String {
        log::log_panics();
        match serde_json::to_string(&P::descriptor()) {
            Ok(json) => json,
            Err(error) => panic!("the descriptor is not JSON: {error}"),
        }
    }

    fn read_spec(request: String) -> Result<String, Vec<wit::Diagnostic>> {
        log::log_panics();
        let answer = document("request", &request)
            .map_err(Vec::from)
            .and_then(P::read_spec)
            .map_err(diagnostics)?;
        match serde_json::to_string(&answer) {
            Ok(json) => Ok(json),
            Err(error) => panic!("the reading is not JSON: {error}"),
        }
    }

    fn generate(context: String, config: String) -> Result<wit::Policy, Vec<wit::Diagnostic>> {
        log::log_panics();
        generate::<P>(&context, &config)
            .map(|policy| lower(&policy))
            .map_err(diagnostics)
    }
}

/// Runs a plugin on two documents.
pub(crate) fn generate<P: Plugin>(context: &str, config: &str) -> Result<Policy, Vec<Diagnostic>> {
    let context: Context = document("context", context)?;
    let config: P::Config = config::parse(config)?;
    P::generate(&context, config)
}

/// Reads a document that the operator made. What does not fit is not the
/// config author's mistake, so it gets no pointer into the config.
fn document<T: DeserializeOwned>(name: &str, json: &str) -> Result<T, Diagnostic> {
    config::parse(json).map_err(|error| {
        Diagnostic::error(
            "",
            format!(
                "the plugin does not understand the operator's {name} at `{}`: {}",
                error.pointer, error.message
            ),
        )
    })
}

fn diagnostics(diagnostics: Vec<Diagnostic>) -> Vec<wit::Diagnostic> {
    diagnostics.into_iter().map(diagnostic).collect()
}

fn diagnostic(diagnostic: Diagnostic) -> wit::Diagnostic {
    wit::Diagnostic {
        severity: match diagnostic.severity {
            Severity::Warning => wit::Severity::Warning,
            Severity::Error => wit::Severity::Error,
        },
        pointer: diagnostic.pointer,
        message: diagnostic.message,
    }
}

/// Flattens a policy: WIT has no recursive types.
fn lower(policy: &Policy) -> wit::Policy {
    let mut nodes = Vec::new();
    let fragments = policy
        .fragments
        .iter()
        .map(|fragment: &Fragment| wit::Fragment {
            section: section(fragment.section),
            target: target(&fragment.target),
            roots: fragment
                .elements
                .iter()
                .map(|element| push_element(&mut nodes, element))
                .collect(),
        })
        .collect();
    wit::Policy {
        fragments,
        nodes,
        raw: policy
            .raw
            .iter()
            .map(|raw| wit::RawFragment {
                section: section(raw.section),
                target: target(&raw.target),
                xml: raw.xml.clone(),
            })
            .collect(),
        diagnostics: diagnostics(policy.warnings.clone()),
    }
}

/// Appends an element after its children, and says where it stands.
fn push_element(nodes: &mut Vec<wit::Node>, element: &Element) -> u32 {
    let children = element
        .children
        .iter()
        .map(|child| match child {
            Node::Element(element) => push_element(nodes, element),
            Node::Text(text) => push(nodes, wit::Node::Text(value(text))),
        })
        .collect();
    let element = wit::Element {
        name: element.name.clone(),
        attributes: element
            .attributes
            .iter()
            .map(|(name, v)| wit::Attribute {
                name: name.clone(),
                value: value(v),
            })
            .collect(),
        children,
        pointer: element.pointer.clone(),
    };
    push(nodes, wit::Node::Element(element))
}

fn push(nodes: &mut Vec<wit::Node>, node: wit::Node) -> u32 {
    nodes.push(node);
    match u32::try_from(nodes.len() - 1) {
        Ok(index) => index,
        Err(error) => panic!("more nodes than fit into a policy: {error}"),
    }
}

fn value(value: &Value) -> wit::Value {
    wit::Value {
        form: match value.form {
            Form::Literal => wit::Form::Literal,
            Form::Expression => wit::Form::Expression,
            Form::Statements => wit::Form::Statements,
        },
        parts: value
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => wit::Part::Text(text.clone()),
                Part::NamedValue(name) => wit::Part::NamedValue(name.clone()),
            })
            .collect(),
        pointer: value.pointer.clone(),
    }
}

fn section(section: Section) -> wit::Section {
    match section {
        Section::Inbound => wit::Section::Inbound,
        Section::Backend => wit::Section::Backend,
        Section::Outbound => wit::Section::Outbound,
        Section::OnError => wit::Section::OnError,
    }
}

fn target(target: &Target) -> wit::Target {
    match target {
        Target::Api => wit::Target::Api,
        Target::Operation(id) => wit::Target::Operation(id.clone()),
    }
}
