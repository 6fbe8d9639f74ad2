//! The settings of a plugin, once they are found to make sense.

use std::sync::Arc;
use std::time::Duration;

use super::duration::parse_duration;
use super::governance::{Governance, Pointer};
use super::limits::PluginLimits;
use super::rollout::{Batch, Rollout};
use super::spec::{
    ConfigMapKey, HttpSource, IntOrPercent, OciSource, PolicyPluginSpec, SourceSpec,
    VerificationSpec,
};
use crate::annotations::nearest::shown;
use crate::instance::{empty_object, selector::LabelSelector};
use crate::names::PluginName;
use crate::problem::Problem;

/// How often a source that can change is looked at where nothing is said.
const DEFAULT_REFRESH: Duration = Duration::from_mins(10);
/// More often would be an attack on a registry.
const SHORTEST_REFRESH: Duration = Duration::from_secs(10);

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The operator's binary; the name there.
    BuiltIn(String),
    /// An OCI registry.
    Oci(OciSource),
    /// An HTTP server.
    Http(HttpSource),
    /// A `ConfigMap` in the operator's namespace.
    ConfigMap(ConfigMapKey),
    /// A file that the operator can read.
    File(String),
}

/// A `PolicyPlugin` whose settings make sense.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyPlugin {
    /// Its name in the cluster.
    pub name: PluginName,
    /// Where it comes from.
    pub source: Source,
    /// The digest that its file must have, as `sha256:` and 64 lower-case hex
    /// digits.
    pub digest: Option<String>,
    /// How often the source is looked at again; absent: never.
    pub refresh: Option<Duration>,
    /// Who must have signed it.
    pub verification: Option<VerificationSpec>,
    /// What a call of it may use.
    pub limits: PluginLimits,
    /// What holds for it whatever its code.
    pub governance: Arc<Governance>,
    /// The document that it works on.
    pub template: Option<ConfigMapKey>,
    /// How a change reaches its users; absent: at once.
    pub rollout: Option<Rollout>,
    /// Whether it takes the place of the built-in plugin of the same name.
    pub replace_built_in: bool,
}

impl PolicyPlugin {
    /// Checks settings. Problems are at `PolicyPlugin/<name> spec.<field>`.
    pub fn new(name: PluginName, spec: &PolicyPluginSpec) -> Result<Self, Vec<Problem>> {
        let (governance, mut problems) = govern(spec);
        let source = source(&spec.source, &mut problems);
        let digest = spec.digest.as_deref().and_then(|text| {
            let digest = sha256(text.strip_prefix("sha256:").unwrap_or_default());
            if digest.is_none() {
                problems.push(Problem::new(
                    "digest",
                    format!(
                        "`{}` is not `sha256:` and 64 hex digits; `apim-operator plugin inspect FILE` shows a file's",
                        shown(text)
                    ),
                ));
            }
            digest.map(|hex| format!("sha256:{hex}"))
        });
        let refresh = refresh(spec.refresh.as_deref(), &mut problems);
        if let Some(verification) = &spec.verification {
            verify(verification, &mut problems);
        }
        let limits = PluginLimits::parse(&spec.limits).unwrap_or_else(|found| {
            problems.extend(found);
            PluginLimits::default()
        });
        let rollout = spec.rollout.as_ref().and_then(|rollout| {
            let batch = batch(&rollout.batch, &mut problems);
            let pause = duration(rollout.pause.as_deref(), "rollout.pause", &mut problems);
            Some(Rollout {
                batch: batch?,
                pause: pause.unwrap_or_default(),
            })
        });
        match source {
            Some(source) if problems.is_empty() => Ok(Self {
                name,
                source,
                digest,
                refresh,
                verification: spec.verification.clone(),
                limits,
                governance: Arc::new(governance),
                template: spec.template.clone(),
                rollout,
                replace_built_in: spec.replace_built_in,
            }),
            _ => Err(problems
                .into_iter()
                .map(|problem| Problem {
                    path: format!("PolicyPlugin/{name} spec.{}", problem.path),
                    ..problem
                })
                .collect()),
        }
    }
}

impl Governance {
    /// What settings say of a plugin, as far as it can be understood. What
    /// cannot be understood opens nothing: settings that are wrong elsewhere
    /// must not make a mandatory plugin optional.
    #[must_use]
    pub fn of(spec: &PolicyPluginSpec) -> Self {
        govern(spec).0
    }
}

fn govern(spec: &PolicyPluginSpec) -> (Governance, Vec<Problem>) {
    let mut problems = Vec::new();
    let defaults = spec.defaults.clone().unwrap_or_else(empty_object);
    if !defaults.is_object() {
        problems.push(Problem::new("defaults", "is not an object"));
    }
    let unlocked = spec
        .unlocked
        .iter()
        .enumerate()
        .filter_map(|(i, text)| {
            Pointer::parse(text)
                .map_err(|why| problems.push(Problem::new(format!("unlocked[{i}]"), why)))
                .ok()
        })
        .collect();
    let mandatory = spec.mandatory.as_ref();
    let selectors = [
        ("namespaceSelector", &spec.namespace_selector),
        (
            "mandatory.namespaceSelector",
            &mandatory.and_then(|m| m.namespace_selector.clone()),
        ),
        (
            "mandatory.selector",
            &mandatory.and_then(|m| m.selector.clone()),
        ),
    ];
    for (field, selector) in selectors {
        for (inner, message) in selector.iter().flat_map(LabelSelector::problems) {
            problems.push(Problem::new(format!("{field}.{inner}"), message));
        }
    }
    let governance = Governance {
        defaults: if defaults.is_object() {
            defaults
        } else {
            empty_object()
        },
        order: spec.order,
        namespace_selector: spec.namespace_selector.clone(),
        mandatory: spec.mandatory.clone(),
        unlocked,
        capabilities: spec.capabilities.clone(),
    };
    (governance, problems)
}

fn source(spec: &SourceSpec, problems: &mut Vec<Problem>) -> Option<Source> {
    let mut given = Vec::new();
    given.extend(
        spec.built_in
            .iter()
            .map(|s| Source::BuiltIn(s.name.clone())),
    );
    given.extend(spec.oci.iter().cloned().map(Source::Oci));
    given.extend(spec.http.iter().cloned().map(Source::Http));
    given.extend(spec.config_map.iter().cloned().map(Source::ConfigMap));
    given.extend(spec.file.iter().map(|s| Source::File(s.path.clone())));
    let [source] = given.as_slice() else {
        problems.push(Problem::new(
            "source",
            "write exactly one of `builtIn`, `oci`, `http`, `configMap` and `file`",
        ));
        return None;
    };
    match source {
        Source::Http(http) => {
            if sha256(&http.sha256).is_none() {
                problems.push(Problem::new(
                    "source.http.sha256",
                    format!(
                        "`{}` is not 64 hex digits; `sha256sum FILE` prints them",
                        shown(&http.sha256)
                    ),
                ));
            }
            let url = url::Url::parse(&http.url);
            if !url.is_ok_and(|url| url.has_host() && matches!(url.scheme(), "https" | "http")) {
                problems.push(Problem::new(
                    "source.http.url",
                    format!(
                        "`{}` is not a URL; write one such as `https://example.com/policies/name.wasm`",
                        shown(&http.url)
                    ),
                ));
            }
        }
        Source::File(path) if !path.starts_with('/') => problems.push(Problem::new(
            "source.file.path",
            format!("`{}` is not an absolute path", shown(path)),
        )),
        Source::Oci(oci) if oci.reference.contains("://") => problems.push(Problem::new(
            "source.oci.reference",
            format!(
                "`{}` has a scheme; write `registry.example.com/policies/name:1.0.0`",
                shown(&oci.reference)
            ),
        )),
        _ => {}
    }
    Some(source.clone())
}

fn verify(spec: &VerificationSpec, problems: &mut Vec<Problem>) {
    if spec.keys.is_empty() && spec.identities.is_empty() {
        problems.push(Problem::new(
            "verification",
            "names nobody; list public keys in `keys` or signers in `identities`, or leave `verification` out",
        ));
    }
    for (i, identity) in spec.identities.iter().enumerate() {
        if identity.subject.is_some() == identity.subject_prefix.is_some() {
            problems.push(Problem::new(
                format!("verification.identities[{i}]"),
                "write exactly one of `subject` and `subjectPrefix`",
            ));
        }
    }
    for (i, key) in spec.keys.iter().enumerate() {
        if !key.pem.contains("-----BEGIN PUBLIC KEY-----") {
            problems.push(Problem::new(
                format!("verification.keys[{i}].pem"),
                "is not a public key in PEM, which begins with `-----BEGIN PUBLIC KEY-----`",
            ));
        }
    }
}

fn refresh(text: Option<&str>, problems: &mut Vec<Problem>) -> Option<Duration> {
    match text {
        None => Some(DEFAULT_REFRESH),
        Some("Never") => None,
        Some(_) => {
            let interval = duration(text, "refresh", problems)?;
            if interval < SHORTEST_REFRESH {
                problems.push(Problem::new(
                    "refresh",
                    format!(
                        "`{}` is shorter than {} s, the least",
                        shown(text.unwrap_or_default()),
                        SHORTEST_REFRESH.as_secs()
                    ),
                ));
            }
            Some(interval)
        }
    }
}

fn duration(text: Option<&str>, field: &str, problems: &mut Vec<Problem>) -> Option<Duration> {
    parse_duration(text?)
        .map_err(|why| problems.push(Problem::new(field, why)))
        .ok()
}

fn batch(batch: &IntOrPercent, problems: &mut Vec<Problem>) -> Option<Batch> {
    Batch::parse(batch)
        .map_err(|why| problems.push(Problem::new("rollout.batch", why)))
        .ok()
}

/// 64 hex digits in lower case.
fn sha256(text: &str) -> Option<String> {
    let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    fn read(spec: Value) -> Result<PolicyPlugin, Vec<String>> {
        let spec: PolicyPluginSpec = serde_json::from_value(spec).unwrap();
        let name = PluginName::parse("acme").unwrap();
        PolicyPlugin::new(name, &spec)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn wrong(more: &Value) -> Vec<String> {
        let mut spec = json!({"source": {"builtIn": {"name": "x"}}});
        crate::config::merge(&mut spec, more);
        read(spec).unwrap_err()
    }

    #[test]
    fn what_is_not_said_has_the_documented_meaning() {
        let plugin = read(json!({"source": {"oci": {"reference": "r.example/p:1"}}})).unwrap();
        assert_eq!(plugin.refresh, Some(Duration::from_mins(10)));
        assert_eq!(plugin.governance.defaults, json!({}));
        assert_eq!(plugin.governance.namespace_selector, None);
        assert_eq!(plugin.rollout, None);
        let plugin =
            read(json!({"source": {"file": {"path": "/p.wasm"}}, "refresh": "Never"})).unwrap();
        assert_eq!(plugin.refresh, None);
    }

    #[test]
    fn digests_are_compared_in_lower_case() {
        let digest = format!("sha256:{}", "AB".repeat(32));
        let plugin =
            read(json!({"source": {"file": {"path": "/p.wasm"}}, "digest": digest})).unwrap();
        assert_eq!(
            plugin.digest.unwrap(),
            format!("sha256:{}", "ab".repeat(32))
        );
    }

    #[test]
    fn settings_that_cannot_work_are_named_with_the_way_out() {
        assert_eq!(
            read(json!({"source": {}})).unwrap_err(),
            [
                "PolicyPlugin/acme spec.source: write exactly one of `builtIn`, `oci`, `http`, `configMap` and `file`"
            ]
        );
        let problems = wrong(&json!({
            "digest": "sha256:12",
            "refresh": "1s",
            "verification": {"identities": [{"issuer": "https://i"}], "keys": [{"pem": "x"}]},
            "unlocked": ["roles"],
            "rollout": {"batch": "0%", "pause": "soon"},
            "mandatory": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        }));
        insta::assert_snapshot!(problems.join("\n"), @r"
        PolicyPlugin/acme spec.unlocked[0]: `roles` is not a JSON pointer; write `/roles`
        PolicyPlugin/acme spec.mandatory.namespaceSelector.matchExpressions[0].values: needs at least one value
        PolicyPlugin/acme spec.digest: `sha256:12` is not `sha256:` and 64 hex digits; `apim-operator plugin inspect FILE` shows a file's
        PolicyPlugin/acme spec.refresh: `1s` is shorter than 10 s, the least
        PolicyPlugin/acme spec.verification.identities[0]: write exactly one of `subject` and `subjectPrefix`
        PolicyPlugin/acme spec.verification.keys[0].pem: is not a public key in PEM, which begins with `-----BEGIN PUBLIC KEY-----`
        PolicyPlugin/acme spec.rollout.batch: `0%` is not a percentage from `1%` to `100%`
        PolicyPlugin/acme spec.rollout.pause: `soon` is not a duration; write a whole number and a unit, such as `100ms`, `30s`, `10m` or `1h`
        ");
    }

    #[test]
    fn settings_that_are_wrong_elsewhere_leave_a_mandatory_plugin_mandatory() {
        let spec: PolicyPluginSpec = serde_json::from_value(json!({
            "source": {}, "unlocked": ["roles"], "mandatory": {"namespaceSelector": {}},
        }))
        .unwrap();
        let governance = Governance::of(&spec);
        assert!(governance.is_mandatory(&BTreeMap::new(), &BTreeMap::new()));
        assert_eq!(governance.unlocked, []);
    }

    #[test]
    fn the_shipped_examples_make_sense() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with("policyplugin") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let object = crate::annotations::yaml::read(&text).unwrap();
            let spec: PolicyPluginSpec = serde_json::from_value(object["spec"].clone())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = PluginName::parse(object["metadata"]["name"].as_str().unwrap()).unwrap();
            let plugin = PolicyPlugin::new(name, &spec)
                .unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
            names.push(plugin.name.to_string());
        }
        names.sort();
        assert_eq!(names, ["acme-headers", "jwt-entra"]);
    }
}
