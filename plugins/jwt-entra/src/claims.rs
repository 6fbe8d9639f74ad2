//! Claims that a token must have.

use std::collections::BTreeMap;

use policy_sdk::config::push;
use policy_sdk::elements::{Claim, Match};
use policy_sdk::{At, Value};
use serde::Deserialize;

/// The config's `requiredClaims`: in the order of their names, so that the
/// policy does not depend on how the config was written.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Claims(BTreeMap<String, Spelling>);

/// How a claim may be written.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a text, a list of texts, or an object with values, match and separator"
)]
enum Spelling {
    One(String),
    All(Vec<String>),
    Full(Full),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    #[serde(default)]
    values: Vec<String>,
    #[serde(default, rename = "match")]
    matching: Matching,
    separator: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Matching {
    #[default]
    All,
    Any,
}

impl Claims {
    /// Whether a claim is among them.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// As policy statements.
    pub(crate) fn statements(&self) -> Vec<Claim> {
        self.0
            .iter()
            .map(|(name, spelling)| {
                let mut pointer = String::from("/requiredClaims");
                push(&mut pointer, name);
                let entries = |values: &[String], pointer: &str| -> Vec<Value> {
                    values
                        .iter()
                        .enumerate()
                        .map(|(i, value)| Value::literal(value).at(format!("{pointer}/{i}")))
                        .collect()
                };
                let (claim, values) = match spelling {
                    Spelling::One(value) => (
                        RequiredClaim::all(name, None),
                        vec![Value::literal(value).at(&pointer)],
                    ),
                    Spelling::All(values) => {
                        (RequiredClaim::all(name, None), entries(values, &pointer))
                    }
                    Spelling::Full(full) => (
                        RequiredClaim {
                            name,
                            matching: match full.matching {
                                Matching::All => Match::All,
                                Matching::Any => Match::Any,
                            },
                            separator: full.separator.as_deref(),
                            pointer: None,
                        },
                        entries(&full.values, &format!("{pointer}/values")),
                    ),
                };
                claim.at(pointer).statement(values)
            })
            .collect()
    }
}

/// A claim, before its values.
#[derive(Debug)]
pub(crate) struct RequiredClaim<'a> {
    name: &'a str,
    matching: Match,
    separator: Option<&'a str>,
    pointer: Option<String>,
}

impl<'a> RequiredClaim<'a> {
    /// A claim that must have every value.
    pub(crate) fn all(name: &'a str, separator: Option<&'a str>) -> Self {
        Self {
            name,
            matching: Match::All,
            separator,
            pointer: None,
        }
    }

    fn at(mut self, pointer: String) -> Self {
        self.pointer = Some(pointer);
        self
    }

    /// As a policy statement.
    pub(crate) fn statement(self, values: Vec<Value>) -> Claim {
        let mut claim = match self.pointer.clone() {
            Some(pointer) => Claim::new(self.name.at(pointer), self.matching),
            None => Claim::new(self.name, self.matching),
        };
        if let Some(separator) = self.separator {
            claim = match self.pointer {
                Some(pointer) => claim.separator(separator.at(format!("{pointer}/separator"))),
                None => claim.separator(separator),
            };
        }
        values.into_iter().fold(claim, Claim::value)
    }
}
