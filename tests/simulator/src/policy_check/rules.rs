//! Walks a document: the schemas for what an element is, and the service's own
//! rules for where it may stand and how often.

use super::schema::{self, ContentProblem, Match};
use super::shape::{Content, Definition, Particle, Policy, Section};
use super::table::POLICIES;
use super::{PolicyEnvironment, PolicyProblem, PolicyScope};
use super::{references, service};
use policy_document::{Element, Node, expression};

/// Resolver policies of synthetic GraphQL: no scope that a policy document is
/// attached to allows them.
const RESOLVER_POLICIES: [&str; 5] = [
    "cosmosdb-data-source",
    "graphql-data-source",
    "http-data-source",
    "publish-event",
    "sql-data-source",
];

/// Elements whose free content is policies, where the schemas skip it.
const POLICY_CONTAINERS: [&str; 5] = ["when", "otherwise", "retry", "limit-concurrency", "block"];

/// Attributes that the schemas call strings and that take no expression all
/// the same, by the reference pages of these policies.
const LITERAL_ONLY: [(&str, &str); 4] = [
    ("include-fragment", "fragment-id"),
    ("log-to-eventhub", "logger-id"),
    ("mock-response", "content-type"),
    ("set-variable", "name"),
];

/// Collects the problems of one document.
pub(super) struct Checker<'e> {
    env: &'e dyn PolicyEnvironment,
    problems: Vec<PolicyProblem>,
    /// `None` in a fragment, whose section and scope are those of its users.
    place: Option<(PolicyScope, Section)>,
    in_fragment: bool,
    /// Policies seen that may stand only once, with the section for those
    /// that are counted by section.
    seen: Vec<(String, Option<Section>)>,
}

impl<'e> Checker<'e> {
    pub(super) fn new(env: &'e dyn PolicyEnvironment) -> Self {
        Self {
            env,
            problems: Vec::new(),
            place: None,
            in_fragment: false,
            seen: Vec::new(),
        }
    }

    pub(super) fn into_problems(self) -> Vec<PolicyProblem> {
        self.problems
    }

    /// A `<policies>` document.
    pub(super) fn policies(&mut self, root: &Element, scope: PolicyScope) {
        if root.name != "policies" && root.elements().next().is_none() {
            self.report(root, "Policy section is not allowed in the specified scope");
        }
        self.no_attributes(root);
        if root.has_text() {
            self.report(
                root,
                "The element 'policies' cannot contain text. List of possible elements expected: 'inbound, backend, outbound, on-error'.",
            );
        }
        let mut met: Vec<&str> = Vec::new();
        for child in root.elements() {
            // The service looks at what the root holds, not at its name: each
            // child of an `<inbound>` root is reported as a strange section.
            let Some(section) =
                Section::of_element(&child.name).filter(|_| root.name == "policies")
            else {
                self.report(
                    child,
                    "Policy section is not allowed in the specified scope",
                );
                continue;
            };
            if met.contains(&child.name.as_str()) {
                let message = format!(
                    "The element 'policies' has invalid child element '{}'.",
                    child.name
                );
                self.report(child, &message);
            }
            met.push(&child.name);
            self.place = Some((scope, section));
            self.section(child, section);
        }
    }

    /// A `<fragment>` document.
    pub(super) fn fragment(&mut self, root: &Element) {
        self.in_fragment = true;
        if root.name != "fragment" {
            let message = format!("The '{}' element is not declared.", root.name);
            self.report(root, &message);
            return;
        }
        self.no_attributes(root);
        if root.has_text() {
            self.report(root, "The element 'fragment' cannot contain text.");
        }
        for child in root.elements() {
            self.policy(child);
        }
    }

    fn section(&mut self, element: &Element, section: Section) {
        self.no_attributes(element);
        if element.has_text() {
            let message = format!("The element '{}' cannot contain text.", element.name);
            self.report(element, &message);
        }
        if section == Section::Backend && element.elements().count() != 1 {
            self.report(
                element,
                "Policy section 'backend' must contain exactly one policy",
            );
        }
        for child in element.elements() {
            self.policy(child);
        }
    }

    /// One policy at a place where policies stand.
    fn policy(&mut self, element: &Element) {
        if element.name == "base" {
            self.base(element);
            return;
        }
        let Some(policy) = find(&element.name) else {
            let message = format!("The '{}' element is not declared.", element.name);
            self.report(element, &message);
            return;
        };
        if let Some((scope, section)) = self.place {
            if !allowed_in_scope(policy.name, scope) {
                self.report(element, "Policy is not allowed in the specified scope");
            } else if !policy.sections.contains(&section) {
                self.report(element, "Policy is not allowed in the specified section");
            }
        }
        if self.in_fragment && policy.name == "include-fragment" {
            self.report(element, "Policy fragments cannot be nested");
        }
        self.once(element);
        self.nested_policy(element, policy);
    }

    /// A policy wherever it stands, also as a part of another one.
    fn nested_policy(&mut self, element: &Element, policy: &'static Policy) {
        if service::is_missing_on(self.env.sku(), policy.name) {
            self.report(
                element,
                "Policy is not allowed in the pricing tier of the service",
            );
        }
        self.element(element, element, &policy.definition);
        for message in service::check(element) {
            self.report(element, &message);
        }
        for message in references::check(element, self.env) {
            self.report(element, &message);
        }
    }

    fn base(&mut self, element: &Element) {
        if self.in_fragment {
            self.report(element, "The 'base' element is not declared.");
        }
        self.no_attributes(element);
        if element.has_text() || element.elements().next().is_some() {
            self.report(
                element,
                "The element 'base' cannot contain text. Content model is empty.",
            );
        }
    }

    fn once(&mut self, element: &Element) {
        let section = self.place.map(|(_, section)| section);
        let key = match element.name.as_str() {
            "rate-limit" | "quota" => (element.name.clone(), None),
            "cors" => (element.name.clone(), section),
            _ => return,
        };
        if self.seen.contains(&key) {
            let part = if key.1.is_some() {
                "section"
            } else {
                "document"
            };
            let message = format!(
                "Policy '{}' is allowed only once in a policy {part}",
                element.name
            );
            self.report(element, &message);
        }
        self.seen.push(key);
    }

    /// One element of `policy`, which may be the policy itself.
    fn element(&mut self, policy: &Element, element: &Element, definition: &'static Definition) {
        if matches!(definition.content, Content::Anything) {
            self.anything(policy, element);
            return;
        }
        self.attributes(policy, element, definition);
        let liquid = element.attribute("template") == Some("liquid");
        if !liquid {
            let text = element.text();
            self.value(policy, &text);
        }
        match &definition.content {
            Content::Anything => {}
            Content::Empty => {
                if element.has_text() {
                    let message = format!(
                        "The element '{}' cannot contain text. Content model is empty.",
                        element.name
                    );
                    self.report(policy, &message);
                }
                if let Some(child) = element.elements().next() {
                    let message = format!(
                        "The element '{}' cannot contain child element '{}' because the parent element's content model is empty.",
                        element.name, child.name
                    );
                    self.report(policy, &message);
                }
            }
            Content::Text(datatype) => {
                if let Some(child) = element.elements().next() {
                    let message = format!(
                        "The element '{}' cannot contain child element '{}' because the parent element's content model is text only.",
                        element.name, child.name
                    );
                    self.report(policy, &message);
                }
                let text = element.text();
                if references::named_values(&text).is_empty()
                    && let Err(tail) = datatype.check(&text)
                {
                    let message = format!("The '{}' element is invalid - {tail}", element.name);
                    self.report(policy, &message);
                }
            }
            Content::Children { mixed, particle } => {
                if !mixed && element.has_text() {
                    self.stray_text(policy, element, particle);
                }
                self.children(policy, element, particle);
            }
        }
    }

    fn attributes(&mut self, policy: &Element, element: &Element, definition: &'static Definition) {
        for attribute in &element.attributes {
            if attribute.name == "xmlns" || attribute.name.starts_with("xmlns:") {
                continue;
            }
            let Some(shape) = definition
                .attributes
                .iter()
                .find(|shape| shape.name == attribute.name)
            else {
                let message = format!("The '{}' attribute is not declared.", attribute.name);
                self.report(policy, &message);
                continue;
            };
            self.value(policy, &attribute.value);
            if references::named_values(&attribute.value).is_empty()
                && let Err(tail) = shape.datatype.check(&attribute.value)
            {
                let message = format!("The '{}' attribute is invalid - {tail}", attribute.name);
                self.report(policy, &message);
            }
            let place = (element.name.as_str(), attribute.name.as_str());
            if LITERAL_ONLY.contains(&place) && expression::is_expression(&attribute.value) {
                let message = format!(
                    "Policy expressions are not allowed in the '{}' attribute.",
                    attribute.name
                );
                self.report(policy, &message);
            }
        }
        for shape in definition.attributes {
            if shape.required && element.attribute(shape.name).is_none() {
                let message = format!("The required attribute '{}' is missing.", shape.name);
                self.report(policy, &message);
            }
        }
    }

    fn children(&mut self, policy: &Element, element: &Element, particle: &'static Particle) {
        let children: Vec<&Element> = element.elements().collect();
        let names: Vec<&str> = children.iter().map(|child| child.name.as_str()).collect();
        let matched = schema::match_children(particle, &names);
        for (child, found) in children.iter().zip(matched.matches) {
            match found {
                Match::Declared(definition) => self.element(policy, child, definition),
                Match::Wildcard if POLICY_CONTAINERS.contains(&element.name.as_str()) => {
                    self.policy(child);
                }
                Match::Wildcard => {}
            }
        }
        match matched.problem {
            None => {}
            Some(ContentProblem::Invalid(index, expected)) => {
                let child = names.get(index).unwrap_or(&"");
                let message = format!(
                    "The element '{}' has invalid child element '{child}'.{}",
                    element.name,
                    expected_list(&expected)
                );
                self.report(policy, &message);
            }
            Some(ContentProblem::Incomplete(expected)) => {
                let message = format!(
                    "The element '{}' has incomplete content.{}",
                    element.name,
                    expected_list(&expected)
                );
                self.report(policy, &message);
            }
        }
    }

    /// A child that the schemas leave open: by its name it may be a policy.
    fn anything(&mut self, policy: &Element, element: &Element) {
        if let Some(known) = find(&element.name) {
            self.nested_policy(element, known);
            return;
        }
        for attribute in &element.attributes {
            self.value(policy, &attribute.value);
        }
        let text = element.text();
        self.value(policy, &text);
    }

    fn stray_text(&mut self, policy: &Element, element: &Element, particle: &'static Particle) {
        let before: Vec<&str> = element
            .children
            .iter()
            .take_while(|node| !matches!(node, Node::Text(text) if !text.trim().is_empty()))
            .filter_map(|node| match node {
                Node::Element(child) => Some(child.name.as_str()),
                _ => None,
            })
            .collect();
        let expected = schema::expected_after(particle, &before);
        let message = format!(
            "The element '{}' cannot contain text.{}",
            element.name,
            expected_list(&expected)
        );
        self.report(policy, &message);
    }

    /// A value's expression and the named values in it.
    fn value(&mut self, policy: &Element, value: &str) {
        if expression::is_expression(value)
            && let Err(error) = expression::check(value)
        {
            self.report(policy, &error.to_string());
        }
        for name in references::named_values(value) {
            if !self.env.named_value_exists(name) {
                self.report(policy, &format!("Cannot find a property '{name}'"));
            }
        }
    }

    fn no_attributes(&mut self, element: &Element) {
        for attribute in &element.attributes {
            let message = format!("The '{}' attribute is not declared.", attribute.name);
            self.report(element, &message);
        }
    }

    fn report(&mut self, element: &Element, message: &str) {
        let problem = PolicyProblem::in_element(element, message);
        // One cause is often met twice, but always within one element.
        if !self
            .problems
            .iter()
            .rev()
            .take(16)
            .any(|known| *known == problem)
        {
            self.problems.push(problem);
        }
    }
}

fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}

/// The scopes of the reference pages, for the policies that not every scope
/// allows. `quota` belongs to products.
fn allowed_in_scope(name: &str, scope: PolicyScope) -> bool {
    match name {
        "cross-domain" => scope == PolicyScope::Service,
        "rate-limit" => scope != PolicyScope::Service,
        "validate-graphql-request" | "validate-odata-request" => scope != PolicyScope::Operation,
        "quota" => scope == PolicyScope::Product,
        name => !RESOLVER_POLICIES.contains(&name),
    }
}

fn expected_list(expected: &[&str]) -> String {
    if expected.is_empty() {
        String::new()
    } else {
        format!(
            " List of possible elements expected: '{}'.",
            expected.join(", ")
        )
    }
}
