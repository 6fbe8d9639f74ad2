//! Claims that a token must have.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::push;
use crate::elements::{Claim, Match};
use crate::{At, Value};

/// Claims that a token must have, as configs write them: `{name: value}`,
/// `{name: [values]}` (every one) or `{name: {values, match, separator}}`. In
/// the order of their names, so that the policy does not depend on how the
/// config was written.
///
/// ```
/// # use policy_sdk::RequiredClaims;
/// # use serde_json::json;
/// let claims: RequiredClaims =
///     serde_json::from_value(json!({"azp": "app", "amr": {"values": ["mfa"], "match": "any"}})).unwrap();
/// assert!(claims.contains("azp"));
/// assert_eq!(claims.statements("/requiredClaims").len(), 2);
/// ```
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct RequiredClaims(BTreeMap<String, Spelling>);

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

impl RequiredClaims {
    /// Whether a claim is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As policy statements, with pointers that begin with `pointer`.
    #[must_use]
    pub fn statements(&self, pointer: &str) -> Vec<Claim> {
        self.0
            .iter()
            .map(|(name, spelling)| {
                let mut pointer = pointer.to_owned();
                push(&mut pointer, name);
                spelling.statement(name, &pointer)
            })
            .collect()
    }
}

impl Spelling {
    fn statement(&self, name: &str, pointer: &str) -> Claim {
        let claim = |matching| Claim::new(name.at(pointer), matching);
        let entries = |claim: Claim, values: &[String], pointer: &str| {
            values.iter().enumerate().fold(claim, |claim, (i, value)| {
                claim.value(Value::literal(value).at(format!("{pointer}/{i}")))
            })
        };
        match self {
            Self::One(value) => claim(Match::All).value(Value::literal(value).at(pointer)),
            Self::All(values) => entries(claim(Match::All), values, pointer),
            Self::Full(full) => {
                let mut claim = claim(match full.matching {
                    Matching::All => Match::All,
                    Matching::Any => Match::Any,
                });
                if let Some(separator) = &full.separator {
                    claim = claim.separator(separator.at(format!("{pointer}/separator")));
                }
                entries(claim, &full.values, &format!("{pointer}/values"))
            }
        }
    }
}
