//! The annotations that API owners and the platform write on an ExposedAPI.
//!
//! A typo must not un-protect an API: whatever stands under our prefix and is
//! not understood is an error, never ignored.

pub mod nearest;
mod operations;
pub(crate) mod permit;
mod specification;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

pub use nearest::did_you_mean;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

pub use operations::OperationPlugins;
pub use specification::SpecificationFrom;

use crate::about::Info;
use crate::diagnostics::{self, DiagnosticSpec};
use crate::exposure::Way;
use crate::instance::empty_object;
use crate::names::{ApiId, InstanceName, PREFIX, PluginName, ProductId, ProfileName, TagId};
use crate::oauth2::{self, OAuth2Setting};
use crate::openapi::{Declared, declared};
use crate::problem::Problem;
use crate::rollout::{self, Rollback, RolloutSpec};
use crate::routes::{self, Route};
use crate::versions::{self, ApiVersion, VersionSetting};
use nearest::{nearest, shown};

/// The keys that this version understands, without the prefix.
const KEYS: [&str; 31] = [
    "plugins",
    "profiles",
    "plugin.",
    "operation-plugins",
    "operations",
    "routes",
    "specification-from",
    "deletion-policy",
    "paused",
    "adoption",
    "drift",
    "instance",
    "api-id",
    "exposure",
    "ingress-class",
    "ingress-host",
    "ingress-tls-secret",
    "ingress-annotations",
    "retry",
    "products",
    "tags",
    "diagnostics",
    "oauth2",
    "version-set",
    "version",
    "info",
    "wiki",
    "protocols",
    "rollout",
    "rollback",
    "applied",
];

/// What the annotations of one object say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Annotations {
    /// `plugins`: replaces the instance's default list; empty: none.
    pub plugins: Option<Vec<PluginName>>,
    /// `profiles`, in their order; a later one wins.
    pub profiles: Vec<ProfileName>,
    /// `plugin.<name>`: objects.
    pub configs: BTreeMap<PluginName, Value>,
    /// `operation-plugins`, in the order of the annotation.
    pub operation_plugins: Vec<OperationPlugins>,
    /// `operations`: instead of an OpenAPI document.
    pub operations: Option<Vec<Declared>>,
    /// `routes`: several Services behind the API.
    pub routes: Option<Vec<Route>>,
    /// `specification-from`: where the OpenAPI document lies.
    pub specification_from: Option<SpecificationFrom>,
    /// `deletion-policy`.
    pub deletion_policy: DeletionPolicy,
    /// `paused`.
    pub paused: bool,
    /// `adoption`.
    pub adoption: Adoption,
    /// `drift`.
    pub drift: Drift,
    /// `instance`.
    pub instance: Option<InstanceName>,
    /// `api-id`.
    pub api_id: Option<ApiId>,
    /// `exposure`: instead of the instance's.
    pub exposure: Option<Way>,
    /// `ingress-class`.
    pub ingress_class: Option<String>,
    /// `ingress-host`.
    pub ingress_host: Option<String>,
    /// `ingress-tls-secret`.
    pub ingress_tls_secret: Option<String>,
    /// `ingress-annotations`.
    pub ingress_annotations: BTreeMap<String, String>,
    /// `products`: those that the API is put in.
    pub products: Vec<ProductId>,
    /// `tags`: those that the API has.
    pub tags: Vec<TagId>,
    /// `diagnostics`: instead of the instance's.
    pub diagnostics: Option<Vec<DiagnosticSpec>>,
    /// `oauth2`: the server that the portal's console gets tokens from.
    pub oauth2: Option<OAuth2Setting>,
    /// `version-set`: the API is one of several versions.
    pub version_set: Option<VersionSetting>,
    /// `version`: which.
    pub version: Option<ApiVersion>,
    /// `info`: what is said of the API, above what its document says.
    pub info: Info,
    /// `wiki`: the page of the developer portal, in Markdown.
    pub wiki: Option<String>,
    /// `protocols`: instead of the instance's.
    pub protocols: Option<Vec<String>>,
    /// `rollout`: instead of the instance's.
    pub rollout: Option<RolloutSpec>,
    /// `rollback`: the earlier revision that callers are to reach.
    pub rollback: Option<Rollback>,
    /// `retry`: a new value forgets the backoff.
    pub retry: Option<String>,
    /// `applied`, as it is written; see [`crate::status::Applied`].
    pub applied: Option<String>,
    /// The keys that are there, without the prefix, in order.
    keys: Vec<String>,
}

/// What happens to the API in API Management when its object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, and is no longer looked after.
    Retain,
}

impl DeletionPolicy {
    const ALL: [(&'static str, Self); 2] = [("Delete", Self::Delete), ("Retain", Self::Retain)];
}

/// What to do with an API that is in API Management already and does not carry
/// the object's mark. One that carries the mark of another object of this
/// cluster is never taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum Adoption {
    /// It is left alone, and status says whose it is.
    #[default]
    Refuse,
    /// It is taken over where it already equals what is desired.
    Match,
    /// It is taken over, and made what is desired.
    Override,
}

/// What to do where API Management has something other than what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Drift {
    /// It is put back.
    #[default]
    Correct,
    /// It is reported and left alone.
    Report,
    /// Nobody looks.
    Off,
}

/// The path of an annotation, for a [`Problem`].
#[must_use]
pub fn path(key: &str) -> String {
    format!("metadata.annotations[{PREFIX}{key}]")
}

impl Annotations {
    /// Every profile that the object names, for itself or for an operation.
    #[must_use]
    pub fn profile_names(&self) -> BTreeSet<ProfileName> {
        let operations = self.operation_plugins.iter();
        let of_operations = operations.flat_map(|operation| &operation.profiles);
        self.profiles.iter().chain(of_operations).cloned().collect()
    }
}

/// Reads all annotations under our prefix. What could be understood is
/// returned beside the problems: an object that is being deleted needs its
/// deletion policy, whatever else is wrong with it.
#[must_use]
pub fn read(annotations: &BTreeMap<String, String>) -> (Annotations, Vec<Problem>) {
    let mut read = Annotations::default();
    let mut problems = Vec::new();
    for (key, value) in annotations {
        let Some(key) = key.strip_prefix(PREFIX) else {
            continue;
        };
        // What is refused anyway need not be forbidden too.
        if key.starts_with("plugin.") || KEYS.contains(&key) {
            read.keys.push(key.to_owned());
        }
        match one(key, value, &mut read) {
            Ok(()) => {}
            Err(mut found) => problems.append(&mut found),
        }
    }
    problems.extend(versions::unpaired(&read, &problems));
    (read, problems)
}

fn one(key: &str, value: &str, read: &mut Annotations) -> Result<(), Vec<Problem>> {
    let text = value.trim();
    let given = || (!text.is_empty()).then(|| text.to_owned());
    let wrong = |message: String| vec![Problem::new(path(key), message)];
    let each = |messages: Vec<String>| -> Vec<Problem> {
        let problem = |message| Problem::new(path(key), message);
        messages.into_iter().map(problem).collect()
    };
    if let Some(name) = key.strip_prefix("plugin.") {
        let name = PluginName::parse(name).map_err(|error| wrong(error.to_string()))?;
        let config = object(text).map_err(wrong)?;
        read.configs.insert(name, config);
        return Ok(());
    }
    match key {
        "plugins" => read.plugins = Some(plugin_list(text).map_err(each)?),
        "profiles" => read.profiles = list(text, ProfileName::parse).map_err(each)?,
        "operation-plugins" => {
            let (operations, problems) = operations::read(text);
            read.operation_plugins = operations;
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        "deletion-policy" => {
            read.deletion_policy = choice(text, DeletionPolicy::ALL).map_err(wrong)?;
        }
        "adoption" => {
            const CHOICES: [(&str, Adoption); 3] = [
                ("Refuse", Adoption::Refuse),
                ("Match", Adoption::Match),
                ("Override", Adoption::Override),
            ];
            read.adoption = choice(text, CHOICES).map_err(wrong)?;
        }
        "drift" => {
            const CHOICES: [(&str, Drift); 3] = [
                ("Correct", Drift::Correct),
                ("Report", Drift::Report),
                ("Off", Drift::Off),
            ];
            read.drift = choice(text, CHOICES).map_err(wrong)?;
        }
        "paused" => {
            read.paused = match text {
                "" | "false" => false,
                "true" => true,
                _ => {
                    return Err(wrong(format!(
                        "expected `\"true\"` or `\"false\"`, got `{}`",
                        shown(text)
                    )));
                }
            }
        }
        "operations" | "routes" | "specification-from" | "instance" | "api-id" | "exposure"
        | "version" | "rollback"
            if text.is_empty() => {}
        "specification-from" => read.specification_from = Some(specification::read(text)?),
        "operations" => {
            let list = yaml::read(text).map_err(wrong)?;
            read.operations = Some(declared::read(&list, &path(key))?);
        }
        "routes" => {
            let list = yaml::read(text).map_err(wrong)?;
            read.routes = Some(routes::read(&list, &path(key))?);
        }
        "instance" => {
            read.instance =
                Some(InstanceName::parse(text).map_err(|error| wrong(error.to_string()))?);
        }
        "api-id" => {
            read.api_id = Some(ApiId::parse(text).map_err(|error| wrong(error.to_string()))?);
        }
        "exposure" => read.exposure = Some(choice(text, Way::ALL).map_err(wrong)?),
        "ingress-class" => read.ingress_class = dns_name(given()).map_err(wrong)?,
        "ingress-host" => read.ingress_host = host(given()).map_err(wrong)?,
        "ingress-tls-secret" => read.ingress_tls_secret = dns_name(given()).map_err(wrong)?,
        "ingress-annotations" => {
            read.ingress_annotations = text_map(text).map_err(wrong)?;
        }
        "products" => read.products = product_list(text).map_err(each)?,
        "tags" => read.tags = tag_list(text).map_err(each)?,
        "diagnostics" => read.diagnostics = Some(logged(text).map_err(each)?),
        "oauth2" => read.oauth2 = console(text).map_err(each)?,
        "version-set" => read.version_set = version_set(text).map_err(wrong)?,
        "version" => read.version = Some(ApiVersion::parse(text).map_err(wrong)?),
        "info" => read.info = info(text)?,
        "wiki" => read.wiki = page(value),
        "protocols" => read.protocols = protocols(text).map_err(each)?,
        "rollout" => read.rollout = rollout(text).map_err(each)?,
        "rollback" => read.rollback = Some(rollout::read_rollback(text).map_err(wrong)?),
        "retry" => read.retry = given(),
        "applied" => read.applied = given(),
        _ => return Err(wrong(unknown(key))),
    }
    Ok(())
}

fn unknown(key: &str) -> String {
    let hint = match nearest(key, KEYS) {
        Some("plugin.") => "; did you mean `plugin.<name>`?".to_owned(),
        Some(choice) => format!("; did you mean `{choice}`?"),
        None => String::new(),
    };
    format!("`{}` is not a key of apim-operator{hint}", shown(key))
}

/// A comma-separated list of plugins, each at most once.
fn plugin_list(text: &str) -> Result<Vec<PluginName>, Vec<String>> {
    list(text, PluginName::parse)
}

/// What is logged of calls.
fn logged(text: &str) -> Result<Vec<DiagnosticSpec>, Vec<String>> {
    diagnostics::read(&yaml::read(text).map_err(|message| vec![message])?)
}

/// Where the portal's console gets tokens.
fn console(text: &str) -> Result<Option<OAuth2Setting>, Vec<String>> {
    oauth2::read(&yaml::read(text).map_err(|message| vec![message])?)
}

/// How changes reach callers.
fn rollout(text: &str) -> Result<Option<RolloutSpec>, Vec<String>> {
    rollout::read(&yaml::read(text).map_err(|message| vec![message])?)
}

/// The versions that the API is one of.
fn version_set(text: &str) -> Result<Option<VersionSetting>, String> {
    versions::read(&yaml::read(text)?)
}

/// What is said of the API.
fn info(text: &str) -> Result<Info, Vec<Problem>> {
    let at = |pointer: &str| format!("{} {pointer}", path("info")).trim_end().to_owned();
    let problem = |(pointer, message): (String, String)| Problem::new(at(&pointer), message);
    let value = object(text).map_err(|message| vec![Problem::new(path("info"), message)])?;
    Info::read(&value).map_err(|found| found.into_iter().map(problem).collect())
}

/// A page of Markdown, which may begin with what looks like white space.
fn page(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

/// How callers may speak to the gateway; nothing: as the instance says.
fn protocols(text: &str) -> Result<Option<Vec<String>>, Vec<String>> {
    const SPOKEN: [&str; 2] = ["https", "http"];
    let read = |item: &str| match SPOKEN.iter().find(|one| **one == item) {
        Some(one) => Ok((*one).to_owned()),
        None => Err(format!(
            "`{}` is no protocol of an API; write `https`, or `https, http`",
            shown(item)
        )),
    };
    let list = list(text, read)?;
    Ok((!list.is_empty()).then_some(list))
}

/// A comma-separated list of products, each at most once; their ids have no
/// case.
fn product_list(text: &str) -> Result<Vec<ProductId>, Vec<String>> {
    without_case(list(text, ProductId::parse)?, "product")
}

/// A comma-separated list of tags, each at most once.
fn tag_list(text: &str) -> Result<Vec<TagId>, Vec<String>> {
    without_case(list(text, TagId::parse)?, "tag")
}

fn without_case<T: std::fmt::Display>(names: Vec<T>, what: &str) -> Result<Vec<T>, Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut twice = names
        .iter()
        .filter(|id| !seen.insert(id.to_string().to_ascii_lowercase()));
    match twice.next() {
        Some(id) => Err(vec![format!(
            "lists {what} `{id}` twice; remove one of the two"
        )]),
        None => Ok(names),
    }
}

fn list<T: PartialEq + std::fmt::Display, E: std::fmt::Display>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Vec<String>> {
    let mut names: Vec<T> = Vec::new();
    let mut problems = Vec::new();
    if text.is_empty() {
        return Ok(names);
    }
    for item in text.split(',').map(str::trim) {
        match parse(item) {
            Err(_) if item.is_empty() => {
                problems.push("holds an empty name; remove the comma that is too many".to_owned());
            }
            Err(error) => problems.push(error.to_string()),
            Ok(name) if names.contains(&name) => {
                problems.push(format!("lists `{name}` twice; remove one of the two"));
            }
            Ok(name) => names.push(name),
        }
    }
    if problems.is_empty() {
        Ok(names)
    } else {
        Err(problems)
    }
}

/// A config: a YAML or JSON object; nothing is an empty one.
fn object(text: &str) -> Result<Value, String> {
    match yaml::read(text)? {
        Value::Null => Ok(empty_object()),
        value @ Value::Object(_) => Ok(value),
        Value::Array(_) => Err("expected an object such as `{key: value}`, got a list".to_owned()),
        _ => Err("expected an object such as `{key: value}`, got a single value".to_owned()),
    }
}

fn text_map(text: &str) -> Result<BTreeMap<String, String>, String> {
    let Value::Object(map) = object(text)? else {
        return Ok(BTreeMap::new());
    };
    map.into_iter()
        .map(|(key, value)| {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(format!("the value of `{}` is not a text", shown(&key))),
            };
            if is_annotation_key(&key) {
                Ok((key, value))
            } else {
                Err(format!(
                    "`{}` cannot be the key of an annotation",
                    shown(&key)
                ))
            }
        })
        .collect()
}

/// The key of an annotation, by Kubernetes' rule: an optional DNS subdomain
/// and `/`, then at most 63 letters, digits, `-`, `_` and `.`.
fn is_annotation_key(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(p, n)| (Some(p), n));
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    prefix.is_none_or(crate::exposed_api::is_dns_subdomain)
        && name.len() <= 63
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && edge(name.chars().next())
        && edge(name.chars().next_back())
}

/// One of several words, spelled exactly; nothing is the default.
fn choice<T: Copy + Default, const N: usize>(
    text: &str,
    choices: [(&str, T); N],
) -> Result<T, String> {
    if text.is_empty() {
        return Ok(T::default());
    }
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words = choices.map(|(word, _)| word);
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    Err(format!(
        "expected {}, got `{}`{}",
        or(&quoted),
        shown(text),
        did_you_mean(text, words)
    ))
}

/// Several choices in a sentence.
fn or(choices: &[String]) -> String {
    match choices.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn dns_name(text: Option<String>) -> Result<Option<String>, String> {
    match text {
        Some(text) if !crate::exposed_api::is_dns_subdomain(&text) => Err(format!(
            "`{}` is not the name of an object: write lowercase letters, digits, `-` and `.`",
            shown(&text)
        )),
        text => Ok(text),
    }
}

/// A host as an Ingress rule has it: a DNS name, whose first label may be `*`.
fn host(text: Option<String>) -> Result<Option<String>, String> {
    match text {
        Some(text)
            if !crate::exposed_api::is_dns_subdomain(text.strip_prefix("*.").unwrap_or(&text)) =>
        {
            Err(format!(
                "`{}` is not a host: write a DNS name in lowercase, without scheme and port",
                shown(&text)
            ))
        }
        text => Ok(text),
    }
}
