//! How a change of an API reaches its callers: at once, or as a new revision
//! that is released when it has been looked at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::annotations::{did_you_mean, nearest::shown};
use crate::names::ContentHash;

/// How a change reaches callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// Step by step, in the revision that they call.
    #[default]
    InPlace,
    /// As a whole, in a new revision, once it has been verified. Where that
    /// fails, the one that they call stays.
    Revision,
}

/// How changes reach the callers of an API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// `InPlace` or `Revision`; absent: `InPlace`.
    #[serde(default)]
    pub strategy: Strategy,
    /// How many revisions of before are kept, for a rollback: 1 to 20; absent: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub keep: Option<u8>,
    /// A path below the API's own, with a leading `/`, that is asked for by GET
    /// through the gateway before a revision is released. An answer of 404, or
    /// of 500 and above, keeps it from that. Absent: none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

const FIELDS: [&str; 3] = ["strategy", "keep", "probe"];
const KEEP: u8 = 3;
const MOST_KEPT: u8 = 20;

impl RolloutSpec {
    /// What makes it unusable: the field and a sentence.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if let Some(keep) = self.keep.filter(|keep| !(1..=MOST_KEPT).contains(keep)) {
            all.push(("keep", format!("{keep} is not between 1 and {MOST_KEPT}")));
        }
        if let Some(probe) = self.probe.as_deref().filter(|probe| !is_probe(probe)) {
            all.push((
                "probe",
                format!(
                    "`{}` is not a path: a leading `/` and at most 200 characters that a URL's path and query may \
                     hold",
                    shown(probe)
                ),
            ));
        }
        if self.strategy == Strategy::InPlace && (self.keep.is_some() || self.probe.is_some()) {
            let said = "`keep` and `probe` are for `Revision`: without new revisions there is nothing to keep or to ask";
            all.push(("strategy", said.to_owned()));
        }
        all
    }

    /// What it means for an API that callers reach at this URL; none where
    /// changes are made in place.
    #[must_use]
    pub fn of(&self, url: Option<&str>) -> Option<Rollout> {
        (self.strategy == Strategy::Revision).then(|| Rollout {
            keep: usize::from(self.keep.unwrap_or(KEEP)),
            probe: url.zip(self.probe.as_deref()).map(|(url, path)| Probe {
                url: url.trim_end_matches('/').to_owned(),
                path: path.to_owned(),
            }),
        })
    }
}

fn is_probe(path: &str) -> bool {
    let allowed =
        |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '\\' | '"' | '<' | '>' | ';');
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 200
        && path.chars().all(allowed)
}

/// New revisions for changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// How many of before are kept.
    pub keep: usize,
    /// What is asked for before one is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

/// A request through the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// The API's URL.
    pub url: String,
    /// The path below it.
    pub path: String,
}

impl Probe {
    /// The URL in a revision, as Microsoft's article on revisions has it:
    /// `;rev=<n>` behind the API's path.
    #[must_use]
    pub fn of_revision(&self, number: u32) -> String {
        format!("{};rev={number}{}", self.url, self.path)
    }
}

/// What the annotation `rollback` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// The revision that callers are to reach.
    pub revision: u32,
}

/// Reads the annotation `rollout`: a strategy, or the fields of a
/// [`RolloutSpec`].
pub(crate) fn read(value: &Value) -> Result<Option<RolloutSpec>, Vec<String>> {
    let fields: Map<String, Value> = match value {
        Value::Null => return Ok(None),
        Value::String(_) => [("strategy".to_owned(), value.clone())]
            .into_iter()
            .collect(),
        Value::Object(fields) => fields.clone(),
        _ => {
            return Err(vec![
                "expected `InPlace`, `Revision` or `{strategy, keep, probe}`".to_owned(),
            ]);
        }
    };
    if let Some(other) = fields
        .keys()
        .find(|field| !FIELDS.contains(&field.as_str()))
    {
        let hint = did_you_mean(other, FIELDS);
        return Err(vec![format!(
            "holds `{}`; its fields are `strategy`, `keep`, `probe`{hint}",
            shown(other)
        )]);
    }
    if let Some(strategy) = fields.get("strategy")
        && Strategy::deserialize(strategy).is_err()
    {
        let said = strategy
            .as_str()
            .map_or_else(|| strategy.to_string(), str::to_owned);
        return Err(vec![format!(
            "`{}` is not a strategy; there are `InPlace` and `Revision`{}",
            shown(&said),
            did_you_mean(&said, ["InPlace", "Revision"])
        )]);
    }
    let spec =
        RolloutSpec::deserialize(Value::Object(fields)).map_err(|error| vec![error.to_string()])?;
    let problems = spec.problems();
    if problems.is_empty() {
        return Ok(Some(spec));
    }
    let told = problems.into_iter();
    Err(told
        .map(|(field, message)| format!("`{field}`: {message}"))
        .collect())
}

/// Reads the annotation `rollback`: the number of a revision.
pub(crate) fn read_rollback(text: &str) -> Result<Rollback, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(|revision| Rollback { revision }).ok_or_else(|| {
        format!(
            "`{}` is not the number of a revision; write that of the revision that callers are to reach, such as `3`",
            shown(text)
        )
    })
}

/// The notes of a release by this operator: what was mandatory when its
/// revision was made, so that no rollback takes that off.
#[must_use]
pub fn notes(mandatory: Option<ContentHash>) -> String {
    match mandatory {
        Some(hash) => format!("released by apim-operator; mandatory {hash}"),
        None => "released by apim-operator; nothing mandatory".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_a_strategy_or_its_fields() {
        let whole = RolloutSpec {
            strategy: Strategy::Revision,
            keep: Some(5),
            probe: Some("/health?deep=1".into()),
        };
        let short = RolloutSpec {
            strategy: Strategy::Revision,
            ..RolloutSpec::default()
        };
        assert_eq!(read(&json!("Revision")), Ok(Some(short.clone())));
        let fields = json!({"strategy": "Revision", "keep": 5, "probe": "/health?deep=1"});
        assert_eq!(read(&fields), Ok(Some(whole.clone())));
        assert_eq!(read(&Value::Null), Ok(None));
        let url = Some("https://gw.example/shop/orders/");
        let probe = whole.of(url).unwrap().probe.unwrap();
        assert_eq!(
            probe.of_revision(4),
            "https://gw.example/shop/orders;rev=4/health?deep=1"
        );
        assert_eq!(
            short.of(url),
            Some(Rollout {
                keep: 3,
                probe: None
            })
        );
        assert_eq!(RolloutSpec::default().of(url), None);
    }

    #[test]
    fn what_no_rollout_is_says_what_one_would_be() {
        let wrong = |value: Value| read(&value).unwrap_err().join("\n");
        for (value, told) in [
            (
                json!("revision"),
                "`revision` is not a strategy; there are `InPlace` and `Revision`; did you mean `Revision`?",
            ),
            (
                json!({"strategy": "Revision", "keeps": 2}),
                "holds `keeps`; its fields are `strategy`, `keep`, `probe`; did you mean `keep`?",
            ),
            (
                json!({"strategy": "Revision", "keep": 0}),
                "`keep`: 0 is not between 1 and 20",
            ),
            (
                json!({"strategy": "Revision", "probe": "health"}),
                "`probe`: `health` is not a path: a leading `/` and at most 200 characters that a URL's path and query may hold",
            ),
            (
                json!({"keep": 2}),
                "`strategy`: `keep` and `probe` are for `Revision`: without new revisions there is nothing to keep or to ask",
            ),
            (
                json!(3),
                "expected `InPlace`, `Revision` or `{strategy, keep, probe}`",
            ),
        ] {
            assert_eq!(wrong(value), told);
        }
        for text in ["0", "-1", "v2", "1.0"] {
            assert!(read_rollback(text).is_err(), "{text}");
        }
        assert_eq!(read_rollback("2"), Ok(Rollback { revision: 2 }));
    }
}
