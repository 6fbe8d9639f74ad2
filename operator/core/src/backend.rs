//! Backends of API Management: where requests of an API go, as an entity of
//! their own, where a circuit breaker, credentials or a pool ask for one.
//!
//! An API needs none by itself: it has a service URL. With
//! `exposure.circuitBreaker`, `exposure.backendCertificate` or
//! `exposure.backendCredentials` of its instance it gets one, and one more for each Service to which API Management itself sends
//! single operations. With `exposure.backendPool` it gets a pool, and one for each
//! member.

mod credentials;

pub use credentials::Credentials;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use url::Url;

use crate::annotations::Drift;
use crate::annotations::nearest::shown;
use crate::desired::DesiredApi;
use crate::exposed_api::ApiPath;
use crate::exposure::below;
use crate::instance::spec::{CircuitBreakerSpec, ExposureSpec, PoolMemberSpec};
use crate::mark;
use crate::names::ObjectKey;
use crate::policy::{SendTo, Sends};
use crate::policy_plugin::parse_duration;
use crate::problem::Problem;
use crate::routes::Destination;

/// A backend of API Management.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredBackend {
    /// Its id.
    pub id: String,
    /// What marks it as ours and this object's, as its description.
    pub mark: String,
    /// Shown in the portal.
    pub title: String,
    /// Where requests go; absent: where those of the API go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it is given up for a while; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// The certificate that it is shown, by its id; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// What it is told to let API Management in; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Those among which requests are shared, if it is a pool.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<PoolMember>,
    /// What happens where somebody else changes it.
    #[serde(skip)]
    pub drift: Drift,
}

impl DesiredBackend {
    /// Where requests go; none while that is not known.
    #[must_use]
    pub fn url<'a>(&'a self, api: &'a DesiredApi) -> Option<&'a str> {
        self.url.as_deref().or(api.service_url.as_deref())
    }
}

/// One of the backends of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolMember {
    /// Its id.
    pub backend: String,
    /// Its share among those of one priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The lower, the sooner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
}

/// When a backend is given up for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Breaker {
    /// After so many failures
    pub failures: u32,
    /// in so many seconds
    pub interval: u64,
    /// for so many.
    pub trip: u64,
    /// What counts as a failure: from, to.
    pub status_codes: Vec<(u16, u16)>,
    /// Whether the backend may say for how long.
    pub accept_retry_after: bool,
}

/// The longest time, which no document names: a day is a mistake.
const MAX_SECONDS: u64 = 86_400;
/// The most ranges of status codes (ARM specification 2024-05-01).
const MAX_RANGES: usize = 10;
/// The most backends in a pool:
/// <https://learn.microsoft.com/azure/api-management/backends>.
const MAX_MEMBERS: usize = 30;
/// The highest weight and priority (ARM specification 2024-05-01).
const MAX_SHARE: u32 = 100;
/// The longest id (ARM specification 2024-05-01).
const MAX_ID: usize = 80;

impl Breaker {
    /// Of settings that make sense.
    fn of(spec: &CircuitBreakerSpec) -> Result<Self, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        let mut seconds = |field: &'static str, text: &str| match whole_seconds(text) {
            Ok(seconds) => seconds,
            Err(message) => {
                problems.push((field, message));
                0
            }
        };
        let interval = seconds("interval", &spec.interval);
        let trip = seconds("tripDuration", &spec.trip_duration);
        if !(1..=10_000).contains(&spec.failures) {
            let message = format!("`{}` is no number from 1 to 10000", spec.failures);
            problems.push(("failures", message));
        }
        let ranges = spec.status_codes.iter().map(|text| range(text));
        let status_codes = match ranges.collect::<Result<Vec<_>, _>>() {
            Ok(ranges) if (1..=MAX_RANGES).contains(&ranges.len()) => ranges,
            Ok(ranges) => {
                let message = format!("has {} entries; write 1 to {MAX_RANGES}", ranges.len());
                problems.push(("statusCodes", message));
                Vec::new()
            }
            Err(message) => {
                problems.push(("statusCodes", message));
                Vec::new()
            }
        };
        if problems.is_empty() {
            Ok(Self {
                failures: spec.failures,
                interval,
                trip,
                status_codes,
                accept_retry_after: spec.accept_retry_after,
            })
        } else {
            Err(problems)
        }
    }
}

fn whole_seconds(text: &str) -> Result<u64, String> {
    let duration = parse_duration(text)?;
    let seconds = duration.as_secs();
    if Duration::from_secs(seconds) == duration && (1..=MAX_SECONDS).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!(
            "`{text}` is not from `1s` to `24h` in whole seconds"
        ))
    }
}

/// `500-599` or `503`.
fn range(text: &str) -> Result<(u16, u16), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| {
        let code = text.trim().parse::<u16>().ok();
        code.filter(|code| (200..=599).contains(code))
    };
    match (code(from), code(to)) {
        (Some(from), Some(to)) if from <= to => Ok((from, to)),
        _ => Err(format!(
            "`{}` is no range of status codes from 200 to 599, such as `500-599`",
            shown(text)
        )),
    }
}

/// Every problem of the settings.
pub(crate) fn check(exposure: &ExposureSpec, problems: &mut Vec<Problem>) {
    let breaker = exposure.circuit_breaker.as_ref();
    let found = breaker.and_then(|spec| Breaker::of(spec).err());
    let found = found.into_iter().flatten();
    problems.extend(
        found.map(|(field, message)| {
            Problem::new(format!("exposure.circuitBreaker.{field}"), message)
        }),
    );
    if let Some(id) = &exposure.backend_certificate
        && (id.is_empty() || id.len() > MAX_ID || id.contains(['/', '*', '#', '&', '+', ':']))
    {
        let message = format!(
            "`{}` is no id of a certificate of API Management: at most {MAX_ID} characters, without `*#&+:/`",
            shown(id)
        );
        problems.push(Problem::new("exposure.backendCertificate", message));
    }
    if let Some(spec) = &exposure.backend_credentials {
        credentials::check(spec, problems);
    }
    check_pool(&exposure.backend_pool, problems);
}

fn check_pool(pool: &[PoolMemberSpec], problems: &mut Vec<Problem>) {
    const FIELD: &str = "exposure.backendPool";
    if pool.is_empty() {
        return;
    }
    if !(2..=MAX_MEMBERS).contains(&pool.len()) {
        let message = format!(
            "has {} entries; write 2 to {MAX_MEMBERS}, or leave it out",
            pool.len()
        );
        problems.push(Problem::new(FIELD, message));
    }
    let here = pool.iter().filter(|one| one.origin.is_none()).count();
    if here != 1 {
        let message = format!(
            "has {here} entries without `origin`; write one, which is this cluster, such as `- priority: 1`"
        );
        problems.push(Problem::new(FIELD, message));
    }
    let mut seen = BTreeSet::new();
    for (index, one) in pool.iter().enumerate() {
        let at = |field: &str| format!("{FIELD}[{index}].{field}");
        if let Some(origin) = &one.origin {
            let url = Url::parse(origin).ok();
            let is_origin = url.as_ref().is_some_and(|url| {
                ["http", "https"].contains(&url.scheme())
                    && url.path() == "/"
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none()
            });
            if !is_origin {
                let message = format!(
                    "`{}` is no scheme and host, such as `https://west.example.com`",
                    shown(origin)
                );
                problems.push(Problem::new(at("origin"), message));
            } else if !seen.insert(url) {
                let message = format!("`{}` is there twice", shown(origin));
                problems.push(Problem::new(at("origin"), message));
            }
        }
        for (field, share) in [("weight", one.weight), ("priority", one.priority)] {
            if let Some(share) = share.filter(|share| *share > MAX_SHARE) {
                let message = format!("`{share}` is no number from 0 to {MAX_SHARE}");
                problems.push(Problem::new(at(field), message));
            }
        }
    }
}

/// What backends are made of.
pub(crate) struct Parts<'a> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) prefix: &'a str,
    pub(crate) mark: &'a str,
    pub(crate) drift: Drift,
    pub(crate) exposure: &'a ExposureSpec,
    /// Where the API is, below the origin of any place.
    pub(crate) path: &'a ApiPath,
    /// Whether what answers is no Service of this cluster.
    pub(crate) is_external: bool,
    /// Single operations that go elsewhere, with the URL.
    pub(crate) operations: &'a BTreeMap<String, (Destination, String)>,
}

/// The backends of an API, each before those that name it, and what of it goes
/// where.
pub(crate) fn backends(parts: &Parts<'_>) -> (Vec<DesiredBackend>, Sends) {
    let breaker = parts.exposure.circuit_breaker.as_ref();
    let breaker = breaker.and_then(|spec| Breaker::of(spec).ok());
    let certificate = &parts.exposure.backend_certificate;
    let credentials = &parts.exposure.backend_credentials;
    let credentials = credentials.as_ref().map(Credentials::of);
    // What is outside of the cluster says itself where it is.
    let pool = &parts.exposure.backend_pool[..];
    let pool = if parts.is_external { &[] } else { pool };
    let plain = breaker.is_none() && certificate.is_none() && credentials.is_none();
    if plain && pool.is_empty() {
        let operations = parts.operations.iter();
        let urls = operations.map(|(id, (_, url))| (id.clone(), SendTo::Url(url.clone())));
        let sends = Sends {
            api: None,
            operations: urls.collect(),
        };
        return (Vec::new(), sends);
    }
    let backend = |to: Option<&str>, url: Option<String>| DesiredBackend {
        id: mark::backend_id(parts.prefix, parts.key, to.map(str::to_owned)),
        mark: parts.mark.to_owned(),
        title: match to {
            Some(to) => format!("{} {to}", parts.key).chars().take(300).collect(),
            None => parts.key.to_string().chars().take(300).collect(),
        },
        url,
        breaker: breaker.clone(),
        certificate: certificate.clone(),
        credentials: credentials.clone(),
        pool: Vec::new(),
        drift: parts.drift,
    };
    let mut all: Vec<DesiredBackend> = Vec::new();
    let mut whole = backend(None, None);
    for member in pool {
        let one = match &member.origin {
            Some(origin) => backend(Some(origin), Some(below(origin, parts.path))),
            None => backend(Some("this cluster"), None),
        };
        whole.pool.push(PoolMember {
            backend: one.id.clone(),
            weight: member.weight,
            priority: member.priority,
        });
        all.push(one);
    }
    if !pool.is_empty() {
        // Its members are given up, and shown what lets in, one by one.
        (whole.breaker, whole.certificate, whole.credentials) = (None, None, None);
    }
    let mut sends = Sends {
        api: Some(SendTo::Backend(whole.id.clone())),
        operations: BTreeMap::new(),
    };
    all.push(whole);
    for (id, (to, url)) in parts.operations {
        // Of this cluster alone: that is what the route says.
        let one = backend(Some(&to.to_string()), Some(url.clone()));
        let send = SendTo::Backend(one.id.clone());
        sends.operations.insert(id.clone(), send);
        if !all.contains(&one) {
            all.push(one);
        }
    }
    (all, sends)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::build::build;
    use crate::desired::Desired;
    use crate::status;
    use crate::validate::test_support::{World, instance, meta, spec, try_instance};

    fn problems(breaker: &serde_json::Value) -> String {
        let settings = json!({"exposure": {"circuitBreaker": breaker}});
        status::summary(&try_instance("eu", &settings).unwrap_err())
    }

    #[test]
    fn settings_that_make_no_sense_are_told_with_their_fields() {
        insta::assert_snapshot!(problems(
            &json!({"failures": 0, "interval": "1500ms", "tripDuration": "25h", "statusCodes": ["500-400"]})
        ));
        insta::assert_snapshot!(problems(&json!({"interval": "PT1M", "statusCodes": []})));
    }

    /// An API of which one operation goes to another Service, and what of it goes
    /// where.
    fn routed(world: &World) -> (Desired, serde_json::Value) {
        let routes = "[{operations: [listItems], implementation: items, port: 81}]";
        let validated = world
            .validate(&meta(&[("routes", routes)]), &spec(&json!({})))
            .unwrap();
        let desired = build(&validated);
        let shown =
            json!({"backends": desired.backends, "sends": format!("{:?}", validated.sends())});
        (desired, shown)
    }

    #[test]
    fn a_circuit_breaker_gives_an_api_a_backend_and_each_service_of_its_routes_one() {
        let settings = json!({
            "ownerMay": ["routes"], "apiIdPrefix": "eu-",
            "exposure": {"way": "in-cluster", "circuitBreaker": {"statusCodes": ["429", "500-599"], "acceptRetryAfter": true}},
        });
        let world = World::with(instance("eu", &settings));
        let (desired, shown) = routed(&world);
        insta::assert_json_snapshot!(shown);
        let api = desired.api.as_ref().unwrap();
        assert_eq!(
            desired.backends[0].url(api),
            Some("http://catalog-svc.components.svc:8080/shop/catalog/v4")
        );
        // Where the breaker is changed, the state is another.
        let other = json!({"exposure": {"circuitBreaker": {"failures": 9}}});
        let mut settings = settings;
        crate::config::merge(&mut settings, &other);
        let (changed, _) = routed(&World::with(instance("eu", &settings)));
        assert_ne!(changed.hash(), desired.hash());
    }

    #[test]
    fn a_pool_has_a_backend_for_each_place_and_what_is_elsewhere_has_none() {
        let settings = json!({
            "ownerMay": ["routes", "exposure"], "allow": {"backendHosts": ["*"]},
            "exposure": {
                "way": "in-cluster", "backendCertificate": "edge",
                "backendPool": [{"priority": 1, "weight": 3}, {"origin": "https://west.example", "priority": 2}],
            },
        });
        let mut world = World::with(instance("eu", &settings));
        let (_, shown) = routed(&world);
        insta::assert_json_snapshot!(shown);
        let elsewhere = meta(&[("exposure", "external")]);
        world.exposure.assumed_origin = Some("https://elsewhere.example".into());
        let validated = world.validate(&elsewhere, &spec(&json!({}))).unwrap();
        let alone = build(&validated).backends;
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].certificate.as_deref(), Some("edge"));
    }

    #[test]
    fn a_pool_that_makes_no_sense_is_told_with_its_fields() {
        let told = |exposure: &serde_json::Value| {
            let settings = json!({"exposure": exposure});
            let problems = try_instance("eu", &settings).unwrap_err();
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        };
        let wrong = json!({"backendCertificate": "a/b", "backendPool": [
            {"origin": "https://west.example/x"}, {"origin": "https://east.example"},
            {"origin": "https://east.example/", "weight": 300}, {"origin": "west"},
        ]});
        insta::assert_snapshot!(told(&wrong));
        insta::assert_snapshot!(told(&json!({"backendPool": [{}]})));
    }

    #[test]
    fn credentials_that_make_no_sense_are_told_with_their_fields_and_the_way_out() {
        let told = |credentials: &serde_json::Value| {
            let settings = json!({"exposure": {"backendCredentials": credentials}});
            let problems = try_instance("eu", &settings).unwrap_err();
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        };
        insta::assert_snapshot!(told(&json!({
            "authorization": {"scheme": "Basic auth", "namedValue": "dXNlcjpwYXNz=="},
            "headers": {"Authorization": "a", "x y": "b", "X-Key": "c", "x-key": "d"},
            "query": {"": "e", "code": "{{f}}"},
        })));
        insta::assert_snapshot!(told(&json!({})));
    }

    #[test]
    fn credentials_are_the_backends_or_those_of_each_member_of_a_pool() {
        let mut exposure = json!({"way": "in-cluster", "backendCredentials": {
            "authorization": {"scheme": "Basic", "namedValue": "shop-basic"}, "headers": {"X-Key": "shop-key"},
        }});
        let of = |exposure: &serde_json::Value| {
            let world = World::with(instance("eu", &json!({"exposure": exposure})));
            let validated = world.validate(&meta(&[]), &spec(&json!({}))).unwrap();
            let backends = build(&validated).backends;
            let names = |one: &super::DesiredBackend| {
                let told = one
                    .credentials
                    .iter()
                    .flat_map(super::Credentials::named_values);
                told.map(str::to_owned).collect::<Vec<_>>()
            };
            backends.iter().map(names).collect::<Vec<_>>()
        };
        assert_eq!(of(&exposure), [["shop-basic", "shop-key"]]);
        exposure["backendPool"] = json!([{"priority": 1}, {"origin": "https://west.example"}]);
        let told = of(&exposure);
        assert_eq!(
            told[..2],
            [["shop-basic", "shop-key"], ["shop-basic", "shop-key"]]
        );
        assert!(told[2].is_empty(), "the pool itself");
    }

    #[test]
    fn a_tier_without_circuit_breakers_is_said() {
        let settings = json!({"exposure": {"circuitBreaker": {}}});
        let mut world = World::with(instance("eu", &settings));
        world.context.as_mut().unwrap().sku = "Consumption".into();
        assert_eq!(
            world.refusal(&meta(&[]), &spec(&json!({}))),
            [
                "ApimInstance/eu spec.exposure.circuitBreaker: cannot be had on the Consumption tier: its backends have no circuit breaker; leave it out, or use an instance of another tier"
            ]
        );
    }
}
