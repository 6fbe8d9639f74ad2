//! Versions of an API: ExposedAPIs of one namespace that share a path of API
//! Management, and are told apart by a segment of the path, a header or a
//! query parameter. What says which is a version set there.
//!
//! In the cluster no two can share a path, so each version is exposed below the
//! path with its version behind: `/orders/v1`. By segment that is what callers
//! write, too.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::annotations::{Annotations, did_you_mean, nearest::shown, path, yaml};
use crate::apim::{DesiredPart, same_path};
use crate::exposed_api::{ApiPath, is_dns_label};
use crate::instance::Instance;
use crate::mark::OwnershipMark;
use crate::names::{ObjectKey, PREFIX, VersionSetId};
use crate::problem::Problem;
use crate::products::own_prefix;

const SET: &str = "version-set";
const VERSION: &str = "version";

/// How callers say which version they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// By a segment behind the path.
    Segment,
    /// By a header of this name.
    Header(String),
    /// By a query parameter of this name.
    Query(String),
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment => f.write_str("a segment of the path"),
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Query(name) => write!(f, "query parameter `{name}`"),
        }
    }
}

/// What the annotation `version-set` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSetting {
    /// The set's name: a DNS label.
    pub name: String,
    /// How its versions are told apart.
    pub scheme: Scheme,
}

/// What the annotation `version` says: at most 100 characters (ARM
/// specification 2024-05-01) that can be a segment of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiVersion(String);

impl ApiVersion {
    /// Reads a version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let fits = text.len() <= 100
            && text.chars().all(inner)
            && edge(text.chars().next())
            && edge(text.chars().next_back())
            && !text.contains("..");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{}` is not a version: 1 to 100 letters, digits, `.`, `_` and `-`, with a letter or digit at both \
                 ends, such as `v1`",
                shown(text)
            ))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads the annotation `version-set`: a name, or the name with a header or a
/// query parameter.
pub(crate) fn read(value: &Value) -> Result<Option<VersionSetting>, String> {
    const FIELDS: [&str; 3] = ["name", "header", "query"];
    let (name, fields) = match value {
        Value::Null => return Ok(None),
        Value::String(name) => (name.as_str(), Map::new()),
        Value::Object(fields) => {
            if let Some(other) = fields.keys().find(|f| !FIELDS.contains(&f.as_str())) {
                let hint = did_you_mean(other, FIELDS);
                return Err(format!(
                    "holds `{}`; its fields are `name`, `header`, `query`{hint}",
                    shown(other)
                ));
            }
            let name = fields.get("name").and_then(Value::as_str);
            (name.unwrap_or_default(), fields.clone())
        }
        _ => {
            return Err(
                "expected the name of a version set, `{name, header}` or `{name, query}`"
                    .to_owned(),
            );
        }
    };
    if !is_dns_label(name) {
        return Err(format!(
            "`{}` is not the name of a version set: at most 63 lowercase letters, digits and `-`",
            shown(name)
        ));
    }
    let parameter = |field: &str| match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_parameter(text) => Ok(Some(text.clone())),
        Some(other) => Err(format!(
            "`{field}` is {}, which names no {field}: write 1 to 100 letters, digits, `_` and `-`",
            shown(&other.to_string())
        )),
    };
    let scheme = match (parameter("header")?, parameter("query")?) {
        (None, None) => Scheme::Segment,
        (Some(name), None) => Scheme::Header(name),
        (None, Some(name)) => Scheme::Query(name),
        (Some(_), Some(_)) => {
            return Err(
                "has both `header` and `query`; a version is told apart by one of them".to_owned(),
            );
        }
    };
    Ok(Some(VersionSetting {
        name: name.to_owned(),
        scheme,
    }))
}

fn is_parameter(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=100).contains(&text.len()) && text.chars().all(allowed)
}

/// The problem of an annotation that stands without the other one. Where one
/// of them could not be read, that has been said.
pub(crate) fn unpaired(read: &Annotations, found: &[Problem]) -> Option<Problem> {
    let (at, missing) = match (&read.version_set, &read.version) {
        (Some(_), None) => (SET, VERSION),
        (None, Some(_)) => (VERSION, SET),
        _ => return None,
    };
    let said = [path(SET), path(VERSION)];
    if found.iter().any(|problem| said.contains(&problem.path)) {
        return None;
    }
    let message =
        format!("needs the annotation `{PREFIX}{missing}` beside it; write both, or neither");
    Some(Problem::new(path(at), message))
}

/// A version, as its object's annotations say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The set, and how its versions are told apart.
    pub set: VersionSetting,
    /// Which version it is.
    pub version: ApiVersion,
}

impl Member {
    /// Of annotations that were read.
    #[must_use]
    pub fn of(annotations: &Annotations) -> Option<Self> {
        Some(Self {
            set: annotations.version_set.clone()?,
            version: annotations.version.clone()?,
        })
    }

    /// Of annotations as they stand in an object; none where they say it
    /// wrongly.
    #[must_use]
    pub fn in_object(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let text = |key: &str| annotations.get(&format!("{PREFIX}{key}"));
        let set = yaml::read(text(SET)?.trim()).ok()?;
        Some(Self {
            set: read(&set).ok()??,
            version: ApiVersion::parse(text(VERSION)?.trim()).ok()?,
        })
    }

    /// The id of its set: `<prefix><namespace>.<name>`.
    pub fn set_id(&self, instance: &Instance, namespace: &str) -> Result<VersionSetId, Problem> {
        let id = format!("{}{}", own_prefix(instance, namespace), self.set.name);
        VersionSetId::parse(&id).map_err(|error| {
            let message =
                format!("makes a version set whose id is no good: {error}; write a shorter name");
            Problem::new(path(SET), message)
        })
    }

    /// The set as it should be. What makes it ours stands in its description.
    #[must_use]
    pub fn desired_set(&self, cluster: &str, namespace: &str) -> DesiredPart {
        let mark = OwnershipMark::new(cluster, &ObjectKey::new(namespace, &self.set.name));
        let mut content = json!({
            "displayName": self.set.name,
            "description": mark.as_str(),
        });
        let (scheme, parameter) = match &self.set.scheme {
            Scheme::Segment => ("Segment", None),
            Scheme::Header(name) => ("Header", Some(("versionHeaderName", name))),
            Scheme::Query(name) => ("Query", Some(("versionQueryName", name))),
        };
        content["versioningScheme"] = scheme.into();
        if let Some((field, name)) = parameter {
            content[field] = name.as_str().into();
        }
        DesiredPart {
            content,
            made_as: None,
        }
    }

    /// Where this version is reached in the cluster.
    pub fn below(&self, path: &ApiPath) -> Result<ApiPath, Problem> {
        ApiPath::parse(&format!("{path}/{}", self.version.as_str()).replacen("//", "/", 1))
            .map_err(|message| Problem::new("spec.path", format!("with its version: {message}")))
    }

    /// What callers have to say, where their URL does not.
    #[must_use]
    pub fn asks(&self) -> Option<String> {
        let version = self.version.as_str();
        match &self.set.scheme {
            Scheme::Segment => None,
            Scheme::Header(name) => Some(format!("header `{name}: {version}`")),
            Scheme::Query(name) => Some(format!("query parameter `{name}={version}`")),
        }
    }
}

/// One of the versions of a set in one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    /// The object.
    pub key: ObjectKey,
    /// When it was created, as Kubernetes says it.
    pub created: String,
    /// Whether it is published where it asks to be.
    pub holds: bool,
    /// The path that it asks for.
    pub path: String,
    /// What its annotations say.
    pub member: Member,
}

impl Sibling {
    /// One that is published comes first, then the oldest: nobody's API is
    /// changed by somebody who joins.
    fn rank(&self) -> (bool, &str, &ObjectKey) {
        (!self.holds, &self.created, &self.key)
    }
}

/// In what an object disagrees with the first of its siblings, itself among
/// them.
#[must_use]
pub fn disagreements(key: &ObjectKey, siblings: &[Sibling]) -> Vec<Problem> {
    let Some(own) = siblings.iter().find(|one| one.key == *key) else {
        return Vec::new();
    };
    let set = &own.member.set;
    let mut problems = Vec::new();
    let first = siblings.iter().min_by_key(|one| one.rank());
    if let Some(first) = first.filter(|first| first.key != own.key) {
        let theirs = &first.member.set.scheme;
        if *theirs != set.scheme {
            let message = format!(
                "tells the versions of set `{}` apart by {}, and ExposedAPI `{}`, which came first, by {theirs}; write \
                 the same in both, or name another set",
                set.name, set.scheme, first.key
            );
            problems.push(Problem::new(path(SET), message));
        }
        if !same_path(&first.path, &own.path) {
            let message = format!(
                "is `/{}`, and ExposedAPI `{}`, which came first in version set `{}`, has `/{}`: versions of one set \
                 share a path; write the same in both, or name another set",
                own.path, first.key, set.name, first.path
            );
            problems.push(Problem::new("spec.path", message));
        }
    }
    let version = own.member.version.as_str();
    let same = siblings
        .iter()
        .filter(|one| one.member.version.as_str().eq_ignore_ascii_case(version));
    let first = same.min_by_key(|one| one.rank());
    if let Some(first) = first.filter(|first| first.key != own.key) {
        let message = format!(
            "`{version}` of set `{}` is ExposedAPI `{}`, which came first; write another version",
            set.name, first.key
        );
        problems.push(Problem::new(path(VERSION), message));
    }
    problems
}
