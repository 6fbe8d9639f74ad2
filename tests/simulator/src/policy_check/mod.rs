//! The checks that API Management makes before it stores a policy document.
//!
//! A document is parsed (strict XML, or `rawxml` with C# in attributes and
//! text), compared with the published policy schemas, and then held against
//! the rules that the service adds to them: sections, scopes, what may stand
//! only once, pricing tiers, and references to entities that must exist.
//! Messages are worded as the service words them, with line and column.
//!
//! This module never looks at how the operator builds its documents: what it
//! knows comes from the published schemas and from answers of the service.

mod datatype;
mod references;
mod rules;
mod schema;
mod service;
mod shape;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod xsd;

pub use policy_document::PolicyFormat;
use policy_document::{Document, Element};

/// Where a policy document is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyScope {
    /// The whole service, called global scope in the portal.
    Service,
    /// A product.
    Product,
    /// One API.
    Api,
    /// One operation of an API.
    Operation,
}

/// The pricing tier of the service, where it changes what a policy may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sku {
    /// Consumption: documents of at most 16 KiB, no `*-by-key` counters.
    Consumption,
    /// Developer and Premium: documents of at most 256 KiB, and self-hosted
    /// gateways, which some policies need.
    SelfHosted,
    /// Every other tier with a gateway of its own.
    Dedicated,
}

impl Sku {
    /// The tier of an ARM `sku.name` such as `Consumption` or `StandardV2`.
    #[must_use]
    pub fn from_arm_name(name: &str) -> Self {
        if name.eq_ignore_ascii_case("Consumption") {
            Self::Consumption
        } else if ["Developer", "Premium"]
            .iter()
            .any(|tier| name.eq_ignore_ascii_case(tier))
        {
            Self::SelfHosted
        } else {
            Self::Dedicated
        }
    }

    /// The largest policy document of the tier, in bytes.
    #[must_use]
    pub fn document_limit(self) -> usize {
        match self {
            Self::Consumption => 16 * 1024,
            Self::SelfHosted | Self::Dedicated => 256 * 1024,
        }
    }
}

/// What a policy document may refer to in the service that it is put into.
pub trait PolicyEnvironment {
    /// Whether a backend of this id exists.
    fn backend_exists(&self, id: &str) -> bool;
    /// Whether a policy fragment of this id exists.
    fn fragment_exists(&self, id: &str) -> bool;
    /// Whether a named value of this display name exists (`{{…}}` holds the
    /// display name, never the id).
    fn named_value_exists(&self, display_name: &str) -> bool;
    /// Whether a logger of this id exists.
    fn logger_exists(&self, id: &str) -> bool;
    /// The pricing tier of the service.
    fn sku(&self) -> Sku;
    /// The parameters of the operation's URL template at operation scope,
    /// `None` where there is no single operation.
    fn url_template_parameters(&self) -> Option<Vec<String>>;
}

/// One reason why a document is refused: an entry of the ARM error's `details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The policy element, or `representation` for text that is no XML.
    pub target: Option<String>,
    /// The sentence, with line and column, as the service words it.
    pub message: String,
}

impl PolicyProblem {
    /// A problem of one element: `Error in element 'x' on line 1, column 2: …`.
    fn in_element(element: &Element, message: &str) -> Self {
        Self {
            target: Some(element.name.clone()),
            message: format!(
                "Error in element '{}' on line {}, column {}: {message}",
                element.name, element.position.line, element.position.column
            ),
        }
    }
}

/// A document that the service would store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedPolicy {
    document: Document,
}

impl CheckedPolicy {
    /// The document, with places as in the text that was checked.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The document as `format=xml` returns it: re-indented with CRLF and tab,
    /// expressions entity-encoded.
    #[must_use]
    pub fn to_xml(&self) -> String {
        policy_document::print(&self.document, PolicyFormat::Xml)
    }

    /// The document as `format=rawxml` returns it: re-indented the same way,
    /// expressions as they were written.
    #[must_use]
    pub fn to_rawxml(&self) -> String {
        policy_document::print(&self.document, PolicyFormat::RawXml)
    }
}

/// Checks a `<policies>` document for one scope.
///
/// # Errors
/// Every problem that was found, in document order; a document that cannot be
/// parsed has exactly one.
pub fn check(
    document: &str,
    format: PolicyFormat,
    scope: PolicyScope,
    env: &dyn PolicyEnvironment,
) -> Result<CheckedPolicy, Vec<PolicyProblem>> {
    check_with(document, format, env, |parsed, checker| {
        checker.policies(&parsed.root, scope);
    })
}

/// Checks a `<fragment>` document, which may be included in any section.
///
/// # Errors
/// As [`check`].
pub fn check_fragment(
    document: &str,
    format: PolicyFormat,
    env: &dyn PolicyEnvironment,
) -> Result<CheckedPolicy, Vec<PolicyProblem>> {
    check_with(document, format, env, |parsed, checker| {
        checker.fragment(&parsed.root);
    })
}

fn check_with(
    document: &str,
    format: PolicyFormat,
    env: &dyn PolicyEnvironment,
    run: impl FnOnce(&Document, &mut rules::Checker<'_>),
) -> Result<CheckedPolicy, Vec<PolicyProblem>> {
    let limit = env.sku().document_limit();
    if document.len() > limit {
        return Err(vec![PolicyProblem {
            target: Some("representation".to_owned()),
            message: format!(
                "Policy document size of {} bytes exceeds the maximum of {limit} bytes allowed in the pricing tier of the service.",
                document.len()
            ),
        }]);
    }
    let parsed = policy_document::parse(document, format).map_err(|error| {
        vec![PolicyProblem {
            target: Some("representation".to_owned()),
            message: error.to_string(),
        }]
    })?;
    let mut checker = rules::Checker::new(env);
    run(&parsed, &mut checker);
    let problems = checker.into_problems();
    if problems.is_empty() {
        Ok(CheckedPolicy { document: parsed })
    } else {
        Err(problems)
    }
}
