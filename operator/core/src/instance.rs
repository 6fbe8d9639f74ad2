//! API Management instances: their settings, what they allow, and which one an
//! object goes to.

mod defaults;
pub mod pattern;
pub mod same;
mod select;
pub mod selector;
pub mod spec;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

pub use defaults::{ImplicitSettings, example, implicit};
pub use select::select_instance;
pub use selector::LabelSelector;
pub use spec::{ApimInstanceSpec, Fetch, When};

use crate::annotations::nearest::{listed, shown};
use crate::certificates::Ending;
use crate::names::{InstanceName, PluginName};
use crate::policy::{Grants, ReferenceKind};
use crate::policy_plugin::parse_duration;
use crate::problem::Problem;
use crate::tier::{Network, PublishedAt, Tier};
use pattern::Pattern;

/// The annotations that count from API owners where an instance does not say.
pub const DEFAULT_OWNER_MAY: [&str; 7] = [
    "plugins",
    "plugin.*",
    "operation-plugins",
    "deletion-policy",
    "paused",
    "retry",
    "ingress-tls-secret",
];

/// The longest `apiIdPrefix`: what remains of 256 characters must hold a
/// namespace and something of a name.
const MAX_PREFIX: usize = 80;

/// What holds where an instance does not say. The list of plugins is data of
/// whoever ships the plugins, not of this crate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstanceDefaults {
    /// The default list.
    pub plugins: Vec<DefaultPlugin>,
}

impl InstanceDefaults {
    /// Reads a list as an `ApimInstance` spells it, in `spec.plugins`.
    pub fn from_specs(specs: &[spec::DefaultPluginSpec]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let plugins = default_plugins(specs, "plugins", &mut problems);
        if problems.is_empty() {
            Ok(Self { plugins })
        } else {
            Err(problems)
        }
    }
}

/// An entry of the default list.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultPlugin {
    /// The plugin.
    pub name: PluginName,
    /// When it runs.
    pub when: When,
    /// The instance's config for it: an object.
    pub config: Value,
}

/// What API owners may name beyond their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowLists {
    /// API ids.
    pub api_ids: Vec<Pattern>,
    /// Hosts of Ingress rules.
    pub hosts: Vec<Pattern>,
    /// Keys of Ingress annotations.
    pub ingress_annotations: Vec<Pattern>,
    /// Hosts of implementations outside the cluster.
    pub backend_hosts: Vec<Pattern>,
    /// Images of self-hosted gateways.
    pub images: Vec<Pattern>,
}

/// An instance whose settings make sense.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name.
    pub name: InstanceName,
    /// The settings as they were written; those with a field of their own here
    /// are better read there.
    pub spec: ApimInstanceSpec,
    /// The default list.
    pub plugins: Vec<DefaultPlugin>,
    /// What owners may annotate.
    pub owner_may: Vec<Pattern>,
    /// What they may name.
    pub allow: AllowLists,
    /// Where Entra issues tokens.
    pub authority: Url,
}

/// What is known of an instance only by asking Azure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceContext {
    /// `sku.name`, such as `Developer` or `Consumption`.
    pub sku: String,
    /// Where callers reach its APIs, such as `https://name.azure-api.net`.
    pub gateway_url: String,
    /// Whose host name that is.
    pub published_at: PublishedAt,
    /// Where its developer portal is, if it has one.
    pub developer_portal: Option<String>,
    /// How it is joined to a virtual network.
    pub network: Network,
    /// Its public addresses, in every region: single ones or subnets.
    pub addresses: Vec<String>,
    /// Where self-hosted gateways get their configuration, if that is known.
    pub configuration_endpoint: Option<String>,
    /// Its certificates that end soon.
    pub ending: Vec<Ending>,
}

impl InstanceContext {
    /// What its tier can do, and how much of it.
    #[must_use]
    pub fn tier(&self) -> Tier {
        Tier::from_sku(&self.sku)
    }
}

impl Instance {
    /// Checks settings. Problems are at `ApimInstance/<name> spec.<field>`.
    pub fn new(
        name: InstanceName,
        spec: ApimInstanceSpec,
        defaults: &InstanceDefaults,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        check_texts(&spec, &mut problems);
        problems.extend(
            crate::diagnostics::check(&spec.diagnostics)
                .into_iter()
                .chain(crate::oauth2::check(&spec.oauth2_servers))
                .map(|(at, what)| Problem::new(at, what)),
        );
        let rollout = spec.rollout.problems().into_iter();
        problems
            .extend(rollout.map(|(field, what)| Problem::new(format!("rollout.{field}"), what)));
        check_ways(&spec.exposure, &mut problems);
        crate::protection::settings::check(&spec.exposure, &mut problems);
        crate::backend::check(&spec.exposure, &mut problems);
        let plugins = spec.plugins.as_ref().map_or_else(
            || defaults.plugins.clone(),
            |specs| default_plugins(specs, "plugins", &mut problems),
        );
        let owner_may = match &spec.owner_may {
            Some(entries) => patterns(entries, "ownerMay", &mut problems),
            None => patterns(&DEFAULT_OWNER_MAY, "ownerMay", &mut problems),
        };
        let allow = AllowLists {
            api_ids: patterns(&spec.allow.api_ids, "allow.apiIds", &mut problems),
            hosts: patterns(&spec.allow.hosts, "allow.hosts", &mut problems),
            ingress_annotations: patterns(
                &spec.allow.ingress_annotations,
                "allow.ingressAnnotations",
                &mut problems,
            ),
            backend_hosts: patterns(
                &spec.allow.backend_hosts,
                "allow.backendHosts",
                &mut problems,
            ),
            images: patterns(&spec.allow.images, "allow.images", &mut problems),
        };
        let authority = authority(&spec, &mut problems);
        match authority {
            Some(authority) if problems.is_empty() => Ok(Self {
                name,
                spec,
                plugins,
                owner_may,
                allow,
                authority,
            }),
            _ => Err(problems
                .into_iter()
                .map(|p| Problem {
                    path: format!("ApimInstance/{name} spec.{}", p.path),
                    ..p
                })
                .collect()),
        }
    }

    /// Whether it serves a namespace with these labels.
    #[must_use]
    pub fn serves(&self, namespace_labels: &BTreeMap<String, String>) -> bool {
        self.spec
            .namespace_selector
            .as_ref()
            .is_some_and(|selector| selector.matches(namespace_labels))
    }

    /// What the policies of a namespace with these labels may reference.
    #[must_use]
    pub fn grants(&self, namespace_labels: &BTreeMap<String, String>) -> Grants {
        let mut grants = Grants::default();
        for grant in &self.spec.grants {
            let selected = grant
                .namespace_selector
                .as_ref()
                .is_some_and(|selector| selector.matches(namespace_labels));
            if let Some(kind) = ReferenceKind::of_setting(&grant.kind).filter(|_| selected) {
                let names = grants.0.entry(kind).or_default();
                names.extend(grant.names.iter().cloned());
            }
        }
        grants
    }

    /// What callers' tokens may name as their audience.
    #[must_use]
    pub fn audiences(&self) -> Vec<String> {
        let client = &self.spec.client_id;
        vec![client.clone(), format!("api://{client}")]
    }

    /// The OpenID configuration of the tenant.
    #[must_use]
    pub fn openid_configuration_url(&self) -> String {
        format!(
            "{}/{}/v2.0/.well-known/openid-configuration",
            self.authority.as_str().trim_end_matches('/'),
            self.spec.tenant_id
        )
    }

    /// The host that issues tokens, with its port where it is not the usual.
    #[must_use]
    pub fn login_host(&self) -> String {
        let host = self.authority.host_str().unwrap_or_default();
        self.authority
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// What the ways into the cluster name: it becomes part of URLs, or names
/// objects.
fn check_ways(exposure: &spec::ExposureSpec, problems: &mut Vec<Problem>) {
    let mut check = |field: String, value: &str, right: bool, what: &str| {
        if !right {
            problems.push(Problem::new(
                field,
                format!("`{}` is not {what}", shown(value)),
            ));
        }
    };
    let is_name = crate::exposed_api::is_dns_subdomain;
    for (i, parent) in exposure.http_route.parents.iter().enumerate() {
        let at = |field| format!("exposure.httpRoute.parents[{i}].{field}");
        for (field, value) in [("namespace", &parent.namespace), ("name", &parent.name)] {
            check(at(field), value, is_name(value), "the name of an object");
        }
        if let Some(section) = &parent.section {
            check(
                at("section"),
                section,
                is_name(section),
                "the name of a listener",
            );
        }
    }
    for (i, gateway) in exposure.istio.gateways.iter().enumerate() {
        let right = gateway
            .split_once('/')
            .is_some_and(|(namespace, name)| is_name(namespace) && is_name(name));
        check(
            format!("exposure.istio.gateways[{i}]"),
            gateway,
            right,
            "a Gateway; write `<namespace>/<name>`",
        );
    }
    if let Some(address) = &exposure.node_port.address {
        let right = is_name(address) || address.parse::<std::net::IpAddr>().is_ok();
        check(
            "exposure.nodePort.address".into(),
            address,
            right,
            "a host name or an address",
        );
    }
}

fn check_texts(spec: &ApimInstanceSpec, problems: &mut Vec<Problem>) {
    for (field, value) in [
        ("subscriptionId", &spec.subscription_id),
        ("resourceGroup", &spec.resource_group),
        ("serviceName", &spec.service_name),
        ("tenantId", &spec.tenant_id),
        ("clientId", &spec.client_id),
        ("oidcProviderId", &spec.oidc_provider_id),
        ("exposure.ingressClass", &spec.exposure.ingress_class),
    ] {
        // They become parts of URLs and ids.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.()".contains(c);
        if value.is_empty() {
            problems.push(Problem::new(field, "is empty"));
        } else if !value.chars().all(plain) {
            problems.push(Problem::new(
                field,
                format!(
                    "`{}` holds characters other than letters, digits, `-`, `_`, `.`, `(` and `)`",
                    shown(value)
                ),
            ));
        }
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let prefix = &spec.api_id_prefix;
    if prefix.len() > MAX_PREFIX || !prefix.chars().all(allowed) {
        problems.push(Problem::new(
            "apiIdPrefix",
            format!(
                "`{}` cannot begin an API id: write at most {MAX_PREFIX} letters, digits, `.`, `_` and `-`",
                shown(prefix)
            ),
        ));
    }
    if spec.protocols.is_empty() {
        problems.push(Problem::new("protocols", "is empty; write `[https]`"));
    }
    for (i, protocol) in spec.protocols.iter().enumerate() {
        const KNOWN: [&str; 4] = ["https", "http", "ws", "wss"];
        if !KNOWN.contains(&protocol.as_str()) {
            problems.push(Problem::new(
                format!("protocols[{i}]"),
                format!("`{}` is not one of {}", shown(protocol), listed(KNOWN)),
            ));
        }
    }
    if let Some(credentials) = &spec.credentials {
        let given = [
            credentials.client_secret.is_some(),
            credentials.workload_identity.is_some(),
            credentials.managed_identity.is_some(),
            credentials.cli.is_some(),
        ];
        if given.into_iter().filter(|g| *g).count() != 1 {
            problems.push(Problem::new(
                "credentials",
                "write exactly one of `clientSecret`, `workloadIdentity`, `managedIdentity` and `cli`, \
                 or leave `credentials` out",
            ));
        }
    }
    for (i, grant) in spec.grants.iter().enumerate() {
        if ReferenceKind::of_setting(&grant.kind).is_none() {
            problems.push(Problem::new(
                format!("grants[{i}].kind"),
                format!(
                    "`{}` is not one of {}",
                    shown(&grant.kind),
                    listed(ReferenceKind::GRANTABLE.map(|(name, _)| name))
                ),
            ));
        }
    }
    if let Some(monitor) = &spec.exposure.service_monitor
        && let Err(why) = parse_duration(&monitor.interval)
    {
        problems.push(Problem::new("exposure.serviceMonitor.interval", why));
    }
    for (i, rule) in spec.path_ownership.iter().enumerate() {
        if let Err(why) = crate::exposed_api::ApiPath::parse(&rule.prefix) {
            problems.push(Problem::new(format!("pathOwnership[{i}].prefix"), why));
        }
    }
    let selectors = std::iter::once(("namespaceSelector".to_owned(), &spec.namespace_selector))
        .chain(spec.path_ownership.iter().enumerate().map(|(i, rule)| {
            (
                format!("pathOwnership[{i}].namespaceSelector"),
                &rule.namespace_selector,
            )
        }))
        .chain(spec.grants.iter().enumerate().map(|(i, g)| {
            (
                format!("grants[{i}].namespaceSelector"),
                &g.namespace_selector,
            )
        }));
    for (field, selector) in selectors {
        for (inner, message) in selector.iter().flat_map(LabelSelector::problems) {
            problems.push(Problem::new(format!("{field}.{inner}"), message));
        }
    }
}

fn authority(spec: &ApimInstanceSpec, problems: &mut Vec<Problem>) -> Option<Url> {
    const PUBLIC: &str = "https://login.microsoftonline.com";
    let text = spec.cloud.authority_host.as_deref().unwrap_or(PUBLIC);
    match Url::parse(text) {
        Ok(url) if url.has_host() && matches!(url.scheme(), "https" | "http") => Some(url),
        _ => {
            problems.push(Problem::new(
                "cloud.authorityHost",
                format!(
                    "`{}` is not a URL; write one such as `{PUBLIC}`",
                    shown(text)
                ),
            ));
            None
        }
    }
}

fn default_plugins(
    specs: &[spec::DefaultPluginSpec],
    field: &str,
    problems: &mut Vec<Problem>,
) -> Vec<DefaultPlugin> {
    let mut plugins: Vec<DefaultPlugin> = Vec::new();
    for (i, entry) in specs.iter().enumerate() {
        let name = match PluginName::parse(&entry.name) {
            Ok(name) => name,
            Err(error) => {
                problems.push(Problem::new(
                    format!("{field}[{i}].name"),
                    error.to_string(),
                ));
                continue;
            }
        };
        if plugins.iter().any(|p| p.name == name) {
            problems.push(Problem::new(
                format!("{field}[{i}].name"),
                format!("`{name}` is listed twice; remove one of the entries"),
            ));
            continue;
        }
        let config = entry.config.clone().unwrap_or_else(empty_object);
        if !config.is_object() {
            problems.push(Problem::new(
                format!("{field}[{i}].config"),
                "is not an object".to_owned(),
            ));
            continue;
        }
        plugins.push(DefaultPlugin {
            name,
            when: entry.when,
            config,
        });
    }
    plugins
}

fn patterns(entries: &[impl AsRef<str>], field: &str, problems: &mut Vec<Problem>) -> Vec<Pattern> {
    entries
        .iter()
        .enumerate()
        .filter_map(|(i, entry)| match Pattern::parse(entry.as_ref()) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                problems.push(Problem::new(
                    format!("{field}[{i}]"),
                    format!("`{}` {why}", shown(entry.as_ref())),
                ));
                None
            }
        })
        .collect()
}

pub(crate) fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}
