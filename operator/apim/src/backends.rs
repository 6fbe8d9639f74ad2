//! Backends: where requests go, as an entity that a policy names. They carry our
//! mark as their description; one of somebody else is left alone.

use std::collections::BTreeMap;

use operator_core::backend::{Breaker, Credentials, DesiredBackend, PoolMember};
use operator_core::policy::canonical::duration_seconds;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arm::{ArmClient, ArmReader, Pages, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::Entity;

/// A backend as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its id.
    pub id: String,
    /// Our mark, as its description.
    pub mark: String,
    title: String,
    url: String,
    breaker: Option<Breaker>,
    certificate: Option<String>,
    credentials: Option<Credentials>,
    pool: Vec<PoolMember>,
}

/// What a backend refers to and the platform has to put into the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// A certificate, by its id.
    Certificate(String),
    /// A named value, by its name.
    NamedValue(String),
}

/// A backend as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendThere {
    /// Its id.
    pub id: String,
    /// For `If-Match`.
    pub etag: Option<String>,
    /// Where our mark stands.
    pub description: Option<String>,
    properties: Properties,
}

/// What was found, and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendOutcome {
    /// It was as it should be.
    InPlace,
    /// It was made.
    Made,
    /// It was ours and another; the fields that differed.
    Changed(Vec<&'static str>),
    /// It is somebody else's, and was left alone; what its description says.
    Foreign(Option<String>),
    /// What it refers to is not there: nothing was written.
    Missing(Dependency),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    title: Option<String>,
    description: Option<String>,
    url: Option<String>,
    protocol: Option<String>,
    circuit_breaker: Option<BreakerBody>,
    credentials: Option<CredentialsBody>,
    pool: Option<PoolBody>,
}

/// What it is told or shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct CredentialsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthorizationBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
struct AuthorizationBody {
    scheme: String,
    parameter: String,
}

/// As it is compared: ids by their last segments, headers without case, and
/// nothing where there is nothing.
impl From<CredentialsBody> for Told {
    fn from(body: CredentialsBody) -> Self {
        let header = body.header.unwrap_or_default().into_iter();
        let ids = body.certificate_ids.unwrap_or_default();
        Self {
            certificates: ids.iter().map(|id| last(id)).collect(),
            authorization: body.authorization.map(|one| (one.scheme, one.parameter)),
            header: header
                .map(|(name, values)| (name.to_ascii_lowercase(), values))
                .collect(),
            query: body.query.unwrap_or_default(),
        }
    }
}

#[derive(PartialEq, Eq)]
struct Told {
    certificates: Vec<String>,
    authorization: Option<(String, String)>,
    header: BTreeMap<String, Vec<String>>,
    query: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct PoolBody {
    services: Option<Vec<MemberBody>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
struct MemberBody {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct BreakerBody {
    rules: Option<Vec<RuleBody>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct RuleBody {
    name: Option<String>,
    failure_condition: Option<ConditionBody>,
    trip_duration: Option<String>,
    accept_retry_after: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ConditionBody {
    count: Option<u32>,
    interval: Option<String>,
    status_code_ranges: Option<Vec<RangeBody>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
struct RangeBody {
    min: u16,
    max: u16,
}

/// An entry of the list.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    properties: Properties,
}

const KIND: &str = "backend";
/// The name of the rule; today a backend may have one.
const RULE: &str = "failures";

fn segments(id: &str) -> [&str; 2] {
    ["backends", id]
}

/// The last segment of an id, which has no case.
fn last(id: &str) -> String {
    id.rsplit('/').next().unwrap_or_default().to_lowercase()
}

fn what(id: &str) -> String {
    format!("backend {id}")
}

impl BackendThere {
    fn new(id: &str, etag: Option<String>, properties: Properties) -> Self {
        Self {
            id: id.to_owned(),
            etag,
            description: properties.description.clone(),
            properties,
        }
    }

    /// Whether it carries this mark.
    #[must_use]
    pub fn carries(&self, mark: &str) -> bool {
        self.description.as_deref() == Some(mark)
    }
}

impl From<Listed> for BackendThere {
    fn from(listed: Listed) -> Self {
        Self::new(&listed.name, None, listed.properties)
    }
}

/// A rule in one spelling: the service may write a duration in another.
#[derive(PartialEq, Eq)]
struct Rule {
    count: Option<u32>,
    interval: Option<u64>,
    trip: Option<u64>,
    ranges: Vec<(u16, u16)>,
    accept_retry_after: bool,
}

impl From<&RuleBody> for Rule {
    fn from(body: &RuleBody) -> Self {
        let condition = body.failure_condition.clone().unwrap_or_default();
        let seconds = |text: Option<&String>| duration_seconds(text?);
        let ranges = condition.status_code_ranges.unwrap_or_default();
        Self {
            count: condition.count,
            interval: seconds(condition.interval.as_ref()),
            trip: seconds(body.trip_duration.as_ref()),
            ranges: ranges.iter().map(|range| (range.min, range.max)).collect(),
            accept_retry_after: body.accept_retry_after.unwrap_or_default(),
        }
    }
}

impl Backend {
    /// A desired backend that leads there.
    #[must_use]
    pub fn new(desired: &DesiredBackend, url: &str) -> Self {
        Self {
            id: desired.id.clone(),
            mark: desired.mark.clone(),
            title: desired.title.clone(),
            url: url.to_owned(),
            breaker: desired.breaker.clone(),
            certificate: desired.certificate.clone(),
            credentials: desired.credentials.clone(),
            pool: desired.pool.clone(),
        }
    }

    /// What has to be there before it.
    fn needs(&self) -> Vec<Dependency> {
        let certificate = self.certificate.iter().cloned();
        let credentials = self.credentials.iter();
        let values = credentials.flat_map(Credentials::named_values);
        let values = values.map(|name| Dependency::NamedValue(name.to_owned()));
        certificate
            .map(Dependency::Certificate)
            .chain(values)
            .collect()
    }

    /// What it is told or shown; none where it is nothing.
    fn told(&self, service: &str) -> Option<CredentialsBody> {
        let named = |value: &String| format!("{{{{{value}}}}}");
        let all = |values: &BTreeMap<String, String>| {
            let each = values.iter();
            let each = each.map(|(name, value)| (name.clone(), vec![named(value)]));
            (!values.is_empty()).then(|| each.collect())
        };
        if self.certificate.is_none() && self.credentials.is_none() {
            return None;
        }
        let told = self.credentials.clone().unwrap_or_default();
        let certificate = self.certificate.as_ref();
        let certificate = certificate.map(|id| vec![format!("{service}/certificates/{id}")]);
        Some(CredentialsBody {
            certificate_ids: certificate,
            authorization: told
                .authorization
                .as_ref()
                .map(|(scheme, value)| AuthorizationBody {
                    scheme: scheme.clone(),
                    parameter: named(value),
                }),
            header: all(&told.headers),
            query: all(&told.query),
        })
    }

    fn rule(breaker: &Breaker) -> RuleBody {
        let Breaker {
            failures,
            interval,
            trip,
            status_codes,
            accept_retry_after,
        } = breaker;
        let ranges = status_codes.iter();
        let ranges = ranges.map(|(min, max)| RangeBody {
            min: *min,
            max: *max,
        });
        RuleBody {
            name: Some(RULE.to_owned()),
            failure_condition: Some(ConditionBody {
                count: Some(*failures),
                interval: Some(format!("PT{interval}S")),
                status_code_ranges: Some(ranges.collect()),
            }),
            trip_duration: Some(format!("PT{trip}S")),
            accept_retry_after: Some(*accept_retry_after),
        }
    }

    /// What is sent. `service` is the id of the service, which ids of other things
    /// begin with.
    fn body(&self, service: &str) -> Value {
        // Address and protocol are a must for a pool, too (ARM specification
        // 2024-05-01), which sends nothing there.
        let mut properties = json!({
            "title": self.title,
            "description": self.mark,
            "url": self.url,
            "protocol": "http",
        });
        if let Some(breaker) = &self.breaker {
            properties["circuitBreaker"] = json!({"rules": [Self::rule(breaker)]});
        }
        if let Some(told) = self.told(service) {
            properties["credentials"] = json!(told);
        }
        if !self.pool.is_empty() {
            let services = self.pool.iter().map(|one| MemberBody {
                id: format!("{service}/backends/{}", one.backend),
                weight: one.weight,
                priority: one.priority,
            });
            properties["type"] = "Pool".into();
            properties["pool"] = json!({"services": services.collect::<Vec<_>>()});
        }
        json!({"properties": properties})
    }

    /// In which fields what is there differs.
    #[must_use]
    pub fn differs(&self, there: &BackendThere) -> Vec<&'static str> {
        let Properties {
            title,
            description,
            url,
            protocol,
            circuit_breaker,
            credentials,
            pool,
        } = &there.properties;
        let rules = circuit_breaker
            .as_ref()
            .and_then(|body| body.rules.as_ref());
        let rules = rules.map_or(&[][..], |rules| &rules[..]);
        let same_rule = match (rules, &self.breaker) {
            ([], None) => true,
            ([one], Some(breaker)) => Rule::from(one) == Rule::from(&Self::rule(breaker)),
            _ => false,
        };
        let told = self.told("").unwrap_or_default();
        let same_credentials =
            Told::from(credentials.clone().unwrap_or_default()) == Told::from(told);
        let members = pool.as_ref().and_then(|body| body.services.as_ref());
        let members = members.into_iter().flatten();
        let members = members.map(|one| (last(&one.id), one.weight, one.priority));
        let wanted = self.pool.iter();
        let same_pool =
            members.eq(wanted.map(|one| (one.backend.to_lowercase(), one.weight, one.priority)));
        let same = |there: &Option<String>, wanted: &str| there.as_deref() == Some(wanted);
        let fields = [
            ("description", same(description, &self.mark)),
            ("title", same(title, &self.title)),
            ("url", same(url, &self.url)),
            ("protocol", same(protocol, "http")),
            ("circuitBreaker", same_rule),
            ("credentials", same_credentials),
            ("pool", same_pool),
        ];
        let differing = fields.into_iter().filter(|(_, same)| !same);
        differing.map(|(field, _)| field).collect()
    }
}

impl ArmReader {
    /// The backend of this id, or none.
    pub async fn backend(&self, id: &str) -> Result<Option<BackendThere>, ArmError> {
        let call = self.get(&segments(id), &[], KIND, what(id));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let etag = answer.etag();
        let there: Entity<Properties> = answer.json(&call.name())?;
        Ok(Some(BackendThere::new(id, etag, there.properties)))
    }

    /// The first thing that a backend refers to and that is not there.
    pub async fn missing_for(&self, backend: &Backend) -> Result<Option<Dependency>, ArmError> {
        for needed in backend.needs() {
            let is_there = match &needed {
                Dependency::Certificate(id) => self.has_certificate(id).await?,
                Dependency::NamedValue(name) => self.has_named_value(name).await?,
            };
            if !is_there {
                return Ok(Some(needed));
            }
        }
        Ok(None)
    }

    /// All backends of the service.
    #[must_use]
    pub fn backends(&self) -> Pages<BackendThere> {
        let call = self.get(&["backends"], &[], "backends", "the backends");
        self.pages::<Listed, BackendThere>(call)
    }
}

impl ArmClient {
    /// Sees that the backend is there: one read, and one write only where it is
    /// absent, or ours and another.
    pub async fn ensure_backend(&self, wanted: &Backend) -> Result<BackendOutcome, ArmError> {
        let there = self.reader().backend(&wanted.id).await?;
        let (etag, outcome) = match there {
            Some(there) if !there.carries(&wanted.mark) => {
                return Ok(BackendOutcome::Foreign(there.description));
            }
            Some(there) => match wanted.differs(&there) {
                fields if fields.is_empty() => return Ok(BackendOutcome::InPlace),
                fields => (there.etag, BackendOutcome::Changed(fields)),
            },
            None => (None, BackendOutcome::Made),
        };
        if let Some(missing) = self.reader().missing_for(wanted).await? {
            return Ok(BackendOutcome::Missing(missing));
        }
        let id = &wanted.id;
        let mut put = self.call(WriteVerb::Put, &segments(id), &[], KIND, what(id));
        put.body = Some(encode(&wanted.body(self.reader().service_path())));
        put.if_match = etag;
        self.run(&put).await?;
        Ok(outcome)
    }

    /// Deletes a backend that carries this mark; whether it was there.
    pub async fn delete_backend(&self, id: &str, mark: &str) -> Result<bool, ArmError> {
        let there = self.reader().backend(id).await?;
        let Some(there) = there.filter(|there| there.carries(mark)) else {
            return Ok(false);
        };
        let mut call = self.call(WriteVerb::Delete, &segments(id), &[], KIND, what(id));
        call.if_match = there.etag;
        Ok(absent(self.run(&call).await)?.is_some())
    }

    /// Takes the mark off a backend that stays behind, with the API that uses
    /// it.
    pub async fn release_backend(&self, id: &str, mark: &str) -> Result<(), ArmError> {
        let there = self.reader().backend(id).await?;
        let Some(there) = there.filter(|there| there.carries(mark)) else {
            return Ok(());
        };
        let mut call = self.call(WriteVerb::Patch, &segments(id), &[], KIND, what(id));
        // A description cannot be empty.
        let left = json!({"properties": {"description": "Left behind with its API."}});
        call.body = Some(encode(&left));
        call.if_match = Some(there.etag.unwrap_or_else(|| "*".to_owned()));
        absent(self.run(&call).await).map(drop)
    }
}
