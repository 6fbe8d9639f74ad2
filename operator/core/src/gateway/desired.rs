//! From a `SelfHostedGateway` to all that should exist for it, as one value.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::container::{self, OFFICIAL_IMAGE};
use super::objects::{self, Manifest};
use super::spec::{LocationSpec, Mode, SelfHostedGatewaySpec};
use super::token;
use crate::annotations::nearest::shown;
use crate::exposed_api::{is_dns_label, is_dns_subdomain};
use crate::instance::pattern::any_matches;
use crate::instance::selector::LabelSelector;
use crate::instance::{Instance, InstanceContext};
use crate::mark::{self, OwnershipMark};
use crate::mark::{mark_in, marked};
use crate::names::{ContentHash, ObjectKey};
use crate::problem::Problem;
use crate::product::rotation;
use crate::protection::settings::check_peer;

/// The longest description (ARM specification 2024-05-01).
const MAX_DESCRIPTION: usize = 1000;
/// The longest text of a location, from there too.
const MAX_LOCATION: usize = 256;
/// The longest name of the object: names of Services hold 63 characters, and
/// what is made for it adds to that.
const MAX_NAME: usize = 40;

/// A gateway that should exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredGateway {
    /// `<prefix><namespace>.<name>`, of 80 characters at most.
    pub id: String,
    /// What marks it as ours, at the end of its description.
    pub mark: String,
    /// What API Management is told.
    pub properties: GatewayProperties,
    /// Where the container gets its configuration.
    pub endpoint: String,
    /// The image.
    pub image: String,
    /// The Secret that holds its token.
    pub secret: String,
    /// The host name behind which its pods find each other; none where they
    /// have none of their own.
    pub neighbours: Option<String>,
    /// How long a token is valid.
    #[serde(skip)]
    pub validity: Duration,
    /// Between two replacements of a key.
    #[serde(skip)]
    pub every: Option<Duration>,
    /// What is in the cluster for it, but for the Secret.
    pub objects: Vec<Manifest>,
    /// The container for somebody else's pods, in mode `Sidecar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Value>,
}

/// What API Management is told of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayProperties {
    /// With the mark at its end.
    pub description: String,
    /// Where it is.
    pub location_data: Location,
}

/// Where a gateway is. What is not there is null in API Management.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// Its name.
    pub name: String,
    /// City.
    pub city: Option<String>,
    /// District.
    pub district: Option<String>,
    /// Country or region.
    pub country_or_region: Option<String>,
}

/// A gateway that is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "gateway `{id}` exists in API Management and is not this object's: {}; it is left alone. Choose another name for the object, or delete that gateway",
    whose.as_deref().map_or_else(|| "its description does not end with a mark of this operator".to_owned(), |mark| format!("it carries the mark `{mark}`"))
)]
pub struct Refused {
    /// Its id.
    pub id: String,
    /// The mark that it carries, if any.
    pub whose: Option<String>,
}

/// Whether a description is of a gateway that may be written.
pub fn as_ours(id: &str, description: &str, mark: &str) -> Result<(), Refused> {
    let whose = mark_in(description).1;
    if whose == Some(mark) {
        return Ok(());
    }
    Err(Refused {
        id: id.to_owned(),
        whose: whose.map(str::to_owned),
    })
}

impl DesiredGateway {
    /// One hash for all that API Management is told, but for the APIs.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash::of_json(&(&self.id, &self.properties))
    }
}

/// The id of an object's gateway.
#[must_use]
pub fn gateway_id(instance: &Instance, key: &ObjectKey) -> String {
    mark::gateway_id(&instance.spec.api_id_prefix, key)
}

/// The gateway of an object, or everything that is wrong with it.
pub fn gateway(
    spec: &SelfHostedGatewaySpec,
    key: &ObjectKey,
    instance: &Instance,
    context: &InstanceContext,
    cluster: &str,
) -> Result<DesiredGateway, Vec<Problem>> {
    let mut problems = Vec::new();
    if let Err(message) = context.tier().check_gateways() {
        problems.push(Problem::new("spec.instance", message));
    }
    if !is_dns_label(&key.name) || key.name.len() > MAX_NAME {
        problems.push(Problem::new(
            "metadata.name",
            format!(
                "`{}` names a Service, too: write lowercase letters, digits and `-`, at most {MAX_NAME}",
                shown(&key.name)
            ),
        ));
    }
    let mut wrong = |field: &str, message: String| {
        problems.push(Problem::new(format!("spec.{field}"), message));
    };
    check_apis(spec, &mut wrong);
    check_pods(spec, &mut wrong);
    check_telemetry(spec, &mut wrong);
    check_backend(spec, instance, &mut wrong);
    let mark = OwnershipMark::new(cluster, key).to_string();
    let description = marked(spec.description.as_deref().unwrap_or_default(), &mark);
    if description.chars().count() > MAX_DESCRIPTION {
        let room = MAX_DESCRIPTION - marked("x", &mark).chars().count() + 1;
        wrong(
            "description",
            format!("is too long: beside the operator's mark there is room for {room} characters"),
        );
    }
    let location = location(spec.location.as_ref(), key, &mut wrong);
    let image = image(spec, instance, &mut wrong);
    let endpoint = endpoint(spec, context, &mut wrong);
    let validity = token::validity(spec.token.validity.as_deref())
        .map_err(|message| wrong("token.validity", message));
    let every = spec.rotation.as_ref().map(|rule| {
        rotation::period(&rule.every).map_err(|message| wrong("rotation.every", message))
    });
    let (Ok(validity), true) = (validity, problems.is_empty()) else {
        return Err(problems);
    };
    let pods = spec.mode != Mode::Sidecar;
    let mut desired = DesiredGateway {
        id: gateway_id(instance, key),
        mark,
        properties: GatewayProperties {
            description,
            location_data: location,
        },
        endpoint,
        image,
        secret: objects::secret_name(key),
        neighbours: pods.then(|| objects::neighbours(key)),
        validity,
        every: every.and_then(Result::ok),
        objects: Vec::new(),
        container: None,
    };
    let container = container::container(&desired, spec);
    match (&spec.backend, pods) {
        (_, true) => desired.objects = objects::of_its_own(spec, key, &container),
        (Some(backend), false) => {
            desired.objects = objects::with_backend(spec, backend, key, container);
        }
        (None, false) => desired.container = Some(container),
    }
    Ok(desired)
}

fn check_apis(spec: &SelfHostedGatewaySpec, wrong: &mut impl FnMut(&str, String)) {
    let apis = &spec.apis;
    match (spec.mode, &apis.name, &apis.selector) {
        (Mode::Shared, None, Some(_)) | (Mode::PrivateJet | Mode::Sidecar, Some(_), None) => {}
        (Mode::Shared, ..) => wrong(
            "apis",
            "mode `Shared` needs `selector` and no `name`: `selector: {}` is every ExposedAPI of the namespace"
                .to_owned(),
        ),
        (mode, ..) => wrong(
            "apis",
            format!("mode `{mode:?}` serves one ExposedAPI: write its `name` and no `selector`"),
        ),
    }
    if spec.mode != Mode::Shared && apis.namespace_selector.is_some() {
        wrong(
            "apis.namespaceSelector",
            "only a gateway of mode `Shared` serves other namespaces".to_owned(),
        );
    }
    let selectors = [
        ("apis.selector", &apis.selector),
        ("apis.namespaceSelector", &apis.namespace_selector),
    ];
    for (field, selector) in selectors {
        for (below, message) in selector.iter().flat_map(LabelSelector::problems) {
            wrong(&format!("{field}.{below}"), message);
        }
    }
}

/// What only makes sense where the gateway has pods of its own, or has not.
fn check_pods(spec: &SelfHostedGatewaySpec, wrong: &mut impl FnMut(&str, String)) {
    if spec.mode == Mode::Sidecar {
        match &spec.sidecar {
            Some(_) if spec.backend.is_some() => wrong(
                "sidecar",
                "`backend` brings pods of its own; leave one of them out".to_owned(),
            ),
            Some(sidecar) if is_dns_subdomain(&sidecar.deployment) => {}
            None if spec.backend.is_some() => {}
            Some(sidecar) => wrong(
                "sidecar.deployment",
                format!(
                    "`{}` is not the name of a Deployment",
                    shown(&sidecar.deployment)
                ),
            ),
            None => wrong(
                "sidecar",
                "mode `Sidecar` needs the Deployment whose pods get the container, or a `backend`"
                    .to_owned(),
            ),
        }
        let theirs = [
            ("replicas", spec.replicas.is_some()),
            ("autoscaling", spec.autoscaling.is_some()),
            ("networkPolicy", spec.network_policy.is_some()),
        ];
        for (field, _) in theirs.iter().filter(|(_, set)| *set) {
            wrong(
                field,
                "the pods of a sidecar are their owner's; leave it out".to_owned(),
            );
        }
        return;
    }
    if spec.sidecar.is_some() {
        wrong(
            "sidecar",
            format!(
                "mode `{:?}` has pods of its own; leave it out, or write mode `Sidecar`",
                spec.mode
            ),
        );
    }
    if spec.replicas == Some(0) {
        wrong("replicas", "has to be 1 or more".to_owned());
    }
    if let Some(scale) = &spec.autoscaling {
        if spec.replicas.is_some() {
            wrong(
                "replicas",
                "is what `autoscaling` decides; leave one of them out".to_owned(),
            );
        }
        let least = scale.min_replicas.unwrap_or(objects::REPLICAS);
        if least == 0 || scale.max_replicas < least {
            wrong(
                "autoscaling.maxReplicas",
                format!(
                    "{} is less than the {least} of `minReplicas`",
                    scale.max_replicas
                ),
            );
        }
        if scale.cpu_percent == Some(0) {
            wrong("autoscaling.cpuPercent", "has to be 1 or more".to_owned());
        }
    }
    let peers = spec.network_policy.iter().flat_map(|policy| &policy.from);
    for (i, peer) in peers.enumerate() {
        if let Err((below, message)) = check_peer(peer) {
            wrong(&format!("networkPolicy.from[{i}]{below}"), message);
        }
        if peer.ports.is_some() {
            wrong(
                &format!("networkPolicy.from[{i}].ports"),
                "a gateway has its own ports; leave them out".to_owned(),
            );
        }
    }
}

fn check_backend(
    spec: &SelfHostedGatewaySpec,
    instance: &Instance,
    wrong: &mut impl FnMut(&str, String),
) {
    let Some(backend) = &spec.backend else {
        return;
    };
    if spec.mode == Mode::Shared {
        wrong(
            "backend",
            "mode `Shared` serves many APIs; deploy their implementations by themselves".to_owned(),
        );
    }
    if !any_matches(&instance.allow.images, &backend.image) {
        wrong(
            "backend.image",
            format!(
                "`{}` is not allowed by instance `{}`; ask the platform team for `allow.images`",
                shown(&backend.image),
                instance.name
            ),
        );
    }
    if !is_dns_label(&backend.service) {
        wrong(
            "backend.service",
            format!("`{}` is not the name of a Service", shown(&backend.service)),
        );
    }
    let taken = spec.mode == Mode::Sidecar && container::PORTS.contains(&backend.port);
    if backend.port == 0 || taken {
        wrong(
            "backend.port",
            format!(
                "{} is not free: the gateway in the same pod listens at {:?}",
                backend.port,
                container::PORTS
            ),
        );
    }
    if backend.replicas == Some(0) {
        wrong("backend.replicas", "has to be 1 or more".to_owned());
    }
}

fn check_telemetry(spec: &SelfHostedGatewaySpec, wrong: &mut impl FnMut(&str, String)) {
    for name in spec.settings.keys() {
        if let Some(message) = container::refused(name) {
            wrong(&format!("settings[{}]", shown(name)), message);
        }
    }
    if let Some(one) = &spec.telemetry.stats_d
        && !is_host_and_port(&one.endpoint)
    {
        wrong(
            "telemetry.statsD.endpoint",
            format!("`{}` is not `host:port`", shown(&one.endpoint)),
        );
    }
    if let Some(one) = &spec.telemetry.open_telemetry
        && !url::Url::parse(&one.collector)
            .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
    {
        wrong(
            "telemetry.openTelemetry.collector",
            format!("`{}` is not an http or https URL", shown(&one.collector)),
        );
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(char::is_whitespace)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn location(
    spec: Option<&LocationSpec>,
    key: &ObjectKey,
    wrong: &mut impl FnMut(&str, String),
) -> Location {
    let spec = spec.cloned().unwrap_or_else(|| LocationSpec {
        name: key.name.to_string(),
        ..LocationSpec::default()
    });
    if spec.name.trim().is_empty() {
        wrong("location.name", "has to be there".to_owned());
    }
    for (field, text) in [
        ("name", Some(&spec.name)),
        ("city", spec.city.as_ref()),
        ("district", spec.district.as_ref()),
        ("countryOrRegion", spec.country_or_region.as_ref()),
    ] {
        if text.is_some_and(|text| text.chars().count() > MAX_LOCATION) {
            wrong(
                &format!("location.{field}"),
                format!("has to have at most {MAX_LOCATION} characters"),
            );
        }
    }
    Location {
        name: spec.name,
        city: spec.city,
        district: spec.district,
        country_or_region: spec.country_or_region,
    }
}

fn image(
    spec: &SelfHostedGatewaySpec,
    instance: &Instance,
    wrong: &mut impl FnMut(&str, String),
) -> String {
    let Some(image) = &spec.image else {
        return container::usual_image();
    };
    let official = image
        .strip_prefix(OFFICIAL_IMAGE)
        .is_some_and(|rest| rest.starts_with([':', '@']));
    if !official && !any_matches(&instance.allow.images, image) {
        wrong(
            "image",
            format!(
                "`{}` is neither of `{OFFICIAL_IMAGE}` nor allowed by instance `{}`; ask the platform team for `allow.images`",
                shown(image),
                instance.name
            ),
        );
    }
    image.clone()
}

fn endpoint(
    spec: &SelfHostedGatewaySpec,
    context: &InstanceContext,
    wrong: &mut impl FnMut(&str, String),
) -> String {
    let said = spec.configuration_endpoint.as_ref();
    let Some(endpoint) = said.or(context.configuration_endpoint.as_ref()) else {
        wrong(
            "configurationEndpoint",
            "cannot be worked out of the service's host name; the portal shows it under Gateways, Deployment"
                .to_owned(),
        );
        return String::new();
    };
    if !is_dns_subdomain(endpoint) {
        wrong(
            "configurationEndpoint",
            format!(
                "`{}` is not a host name, as `contoso.configuration.azure-api.net`",
                shown(endpoint)
            ),
        );
    }
    endpoint.clone()
}
