//! The table of policies: which elements and attributes there are, and what
//! they may hold.
//!
//! `schema/table.json` is made from the XSDs that Microsoft publishes with the
//! APIM policy toolkit (`Azure/azure-api-management-policy-toolkit`) and from
//! the section list of its documentation; the test module
//! `schema::tests` reads both and says what the table should be. To update it,
//! put newer files in `../shared/apim/policy-xsd` and `policy-sections.json`,
//! run `UPDATE_POLICY_TABLE=1 cargo test -p operator-core policy_table`, and read the diff.
//!
//! Where the service is stricter than its schemas, [`super::rules`] says so.
//! The table is never edited by hand.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::model::Section;

/// Elements whose content is policies again. The schemas allow anything there.
const CONTAINERS: [&str; 5] = ["when", "otherwise", "retry", "limit-concurrency", "block"];

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Rules {
    policies: BTreeMap<String, Policy>,
}

/// A policy: an element that can stand in a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Policy {
    /// Where it may stand; empty for what belongs to GraphQL resolvers or
    /// inside another policy only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sections: Vec<Section>,
    #[serde(flatten)]
    pub(super) rule: Rule,
}

/// What an element may hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) attributes: Vec<AttributeRule>,
    /// The type of its text; none if it may not hold text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Type>,
    /// Any element may stand in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) any: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) order: Order,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) children: Vec<ChildRule>,
}

/// How the children of an element follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Order {
    /// In the order of the rule.
    #[default]
    Sequence,
    /// In any order, each at most once.
    All,
    /// Of one kind only.
    One,
    /// In any order and number.
    Any,
    /// In any order and number, but not none.
    Some,
}

/// A child element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChildRule {
    pub(super) name: String,
    pub(super) min: usize,
    /// None: as many as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<usize>,
    /// What it holds; none if the policy of that name says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<Rule>,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttributeRule {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<String>,
    #[serde(flatten)]
    pub(super) kind: Type,
}

/// What a text means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Type {
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub(super) base: Base,
    /// An expression may stand for it. Always so for strings, unless a rule of
    /// the service says otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) expression: bool,
    /// The values allowed; empty for no such limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) min_length: Option<usize>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The simple types of XML Schema that the published schemas use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Base {
    /// Any text.
    #[default]
    String,
    /// `true`, `false`, `1`, `0`.
    Boolean,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// Of any size.
    Integer,
    /// 32 bits, not negative.
    UnsignedInt,
    /// At least 1.
    PositiveInteger,
    /// At least 0.
    NonNegativeInteger,
    /// A number.
    Float,
    /// A number.
    Double,
    /// A point in time.
    DateTime,
}

/// The table. If it could not be read it would be empty, and every policy
/// refused; a test sees to it that it can.
pub(super) fn rules() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| {
        serde_json::from_str(include_str!("schema/table.json")).unwrap_or_default()
    });
    &RULES
}

impl Rules {
    /// The rule of a policy, wherever it stands.
    pub(super) fn policy(&self, name: &str) -> Option<&Rule> {
        self.policies.get(name).map(|policy| &policy.rule)
    }

    /// The sections in which a policy may stand.
    pub(super) fn sections(&self, name: &str) -> &[Section] {
        self.policies.get(name).map_or(&[], |p| &p.sections)
    }

    /// All policies that may stand in the section.
    pub(super) fn in_section(&self, section: Section) -> impl Iterator<Item = &str> {
        self.policies
            .iter()
            .filter(move |(_, policy)| policy.sections.contains(&section))
            .map(|(name, _)| name.as_str())
    }

    /// The rule of an element inside another one.
    pub(super) fn child<'r>(
        &'r self,
        parent: &str,
        rule: Option<&'r Rule>,
        name: &str,
    ) -> Option<&'r Rule> {
        let rule = rule?;
        if holds_policies(parent, rule) {
            return self.policy(name);
        }
        let child = rule.children.iter().find(|child| child.name == name)?;
        child.rule.as_ref().or_else(|| self.policy(name))
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.policies.keys()
    }
}

/// Whether the element holds policies, as a section does.
pub(super) fn holds_policies(name: &str, rule: &Rule) -> bool {
    rule.any && CONTAINERS.contains(&name)
}

impl Rule {
    /// The rule of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeRule> {
        self.attributes.iter().find(|rule| rule.name == name)
    }

    /// Whether the order of the children means nothing.
    pub(super) fn any_order(&self) -> bool {
        self.order == Order::All
    }
}

#[cfg(test)]
mod tests;
