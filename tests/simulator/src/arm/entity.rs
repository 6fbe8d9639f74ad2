//! The direct children of a service that behave alike: backends, named
//! values, policy fragments, schemas, certificates, version sets and OpenID Connect providers.

use super::certificate;
use super::contract::{self, Contract};
use super::contract_table as table;
use super::error::{ArmError, Detail};
use super::list;
use super::path::Kind;
use super::policy::{self, Environment};
use super::request::{Request, entity_reply, envelope};
use super::schema;
use super::store::{Entity, Service};
use super::vault;
use super::version_set;
use super::wiki;
use crate::data_plane;
use crate::http::Reply;
use crate::policy_check;
use apim_gateway::configuration::Certificate;
use regex::Regex;
use serde_json::{Map, Value, json};

type Properties = Map<String, Value>;

/// The fields of an answer, in order, with those that are `null` if not set.
fn shape(kind: Kind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        Kind::Backend => (
            &[
                "title",
                "description",
                "url",
                "protocol",
                "resourceId",
                "properties",
                "credentials",
                "proxy",
                "tls",
                "circuitBreaker",
                "pool",
                "type",
            ],
            &["title"],
        ),
        Kind::NamedValue => (
            &[
                "displayName",
                "value",
                "tags",
                "secret",
                "keyVault",
                "provisioningState",
            ],
            &["tags"],
        ),
        Kind::PolicyFragment => (&["description", "value", "provisioningState"], &[]),
        Kind::OpenIdProvider => (
            &[
                "displayName",
                "description",
                "metadataEndpoint",
                "clientId",
                "clientSecret",
                "useInTestConsole",
                "useInApiDocumentation",
            ],
            &[],
        ),
        Kind::ApiVersionSet => (
            &[
                "displayName",
                "description",
                "versioningScheme",
                "versionQueryName",
                "versionHeaderName",
            ],
            &["versionQueryName", "versionHeaderName"],
        ),
        Kind::Schema => (
            &[
                "description",
                "schemaType",
                "value",
                "document",
                "provisioningState",
            ],
            &[],
        ),
        Kind::Certificate => (
            &["subject", "thumbprint", "expirationDate", "keyVault"],
            &[],
        ),
        Kind::Tag => (&["displayName"], &[]),
        Kind::AuthorizationServer => (&["displayName", "description"], &[]),
        Kind::Documentation => (&["title", "content"], &[]),
        Kind::Logger => (&[], &[]),
    }
}

fn contracts(kind: Kind) -> Option<(&'static Contract, Option<&'static Contract>)> {
    match kind {
        Kind::Backend => Some((
            &table::BACKEND_CONTRACT_PROPERTIES,
            Some(&table::BACKEND_UPDATE_PARAMETER_PROPERTIES),
        )),
        Kind::NamedValue => Some((
            &table::NAMED_VALUE_CREATE_CONTRACT_PROPERTIES,
            Some(&table::NAMED_VALUE_UPDATE_PARAMETER_PROPERTIES),
        )),
        Kind::PolicyFragment => Some((&table::POLICY_FRAGMENT_CONTRACT_PROPERTIES, None)),
        Kind::OpenIdProvider => Some((
            &table::OPENID_CONNECT_PROVIDER_CONTRACT_PROPERTIES,
            Some(&table::OPENID_CONNECT_PROVIDER_UPDATE_CONTRACT_PROPERTIES),
        )),
        Kind::Schema => Some((&table::GLOBAL_SCHEMA_CONTRACT_PROPERTIES, None)),
        Kind::Certificate => Some((&table::CERTIFICATE_CREATE_OR_UPDATE_PROPERTIES, None)),
        Kind::Tag => Some((
            &table::TAG_CONTRACT_PROPERTIES,
            Some(&table::TAG_CONTRACT_PROPERTIES),
        )),
        Kind::ApiVersionSet => Some((
            &table::API_VERSION_SET_CONTRACT_PROPERTIES,
            Some(&table::API_VERSION_SET_UPDATE_PARAMETERS_PROPERTIES),
        )),
        Kind::AuthorizationServer => Some((
            &table::AUTHORIZATION_SERVER_CONTRACT_PROPERTIES,
            Some(&table::AUTHORIZATION_SERVER_UPDATE_CONTRACT_PROPERTIES),
        )),
        Kind::Documentation => Some((
            &table::DOCUMENTATION_CONTRACT_PROPERTIES,
            Some(&table::DOCUMENTATION_CONTRACT_PROPERTIES),
        )),
        Kind::Logger => None,
    }
}

fn ordered(kind: Kind, mut fields: Properties) -> Properties {
    let (order, nulls) = shape(kind);
    let mut result = Map::new();
    for name in order {
        match fields.remove(*name) {
            Some(value) if !value.is_null() => {
                result.insert((*name).to_owned(), value);
            }
            _ if nulls.contains(name) => {
                result.insert((*name).to_owned(), Value::Null);
            }
            _ => {}
        }
    }
    result.extend(fields);
    result
}

/// What a read may show.
fn shown(kind: Kind, stored: &Properties) -> Properties {
    let mut fields = stored.clone();
    match kind {
        Kind::NamedValue => {
            fields.shift_remove(vault::HELD);
            if fields.get("secret") == Some(&Value::Bool(true)) {
                fields.shift_remove("value");
            }
        }
        Kind::OpenIdProvider | Kind::AuthorizationServer => {
            fields.shift_remove("clientSecret");
        }
        Kind::PolicyFragment => {
            fields.shift_remove("format");
            fields.shift_remove("rawxml");
        }
        _ => {}
    }
    fields
}

/// Whether writes of a kind may take long.
pub(super) fn is_long_running(kind: Kind) -> bool {
    matches!(kind, Kind::NamedValue | Kind::PolicyFragment | Kind::Schema)
}

impl Service {
    pub(super) fn entity_body(&self, kind: Kind, entity: &Entity) -> Value {
        let id = format!("{}/{}/{}", self.id(), kind.id_segment(), entity.name);
        let fields = shown(kind, &entity.properties);
        envelope(&id, kind.type_name(), &entity.name, &fields)
    }

    /// The body of an answer to a write that is not done yet.
    pub(super) fn stub(&self, path: &str, kind: &str, name: &str) -> Value {
        let mut fields = Map::new();
        fields.insert("ProvisioningState".to_owned(), "InProgress".into());
        envelope(&format!("{}/{path}/{name}", self.id()), kind, name, &fields)
    }

    /// `GET {kind}`.
    pub(super) fn list_entities(&self, request: &Request, kind: Kind) -> Result<Reply, ArmError> {
        let all = self.entities.get(&kind);
        let items: Vec<Value> = all
            .into_iter()
            .flat_map(|all| all.values())
            .map(|entity| self.entity_body(kind, entity))
            .collect();
        list::page(request, &self.id(), items)
    }

    /// `GET {kind}/{id}`.
    pub(super) fn get_entity(&self, kind: Kind, id: &str) -> Result<Reply, ArmError> {
        let entity = self
            .entity(kind, id)
            .ok_or_else(|| ArmError::not_found(kind.noun()))?;
        let etag = entity.etag(kind == Kind::PolicyFragment);
        Ok(entity_reply(200, &self.entity_body(kind, entity), etag))
    }

    /// `PUT` and `PATCH {kind}/{id}`.
    pub(super) fn write_entity(
        &mut self,
        request: &Request,
        kind: Kind,
        id: &str,
        patch: bool,
        commit: bool,
    ) -> Result<Reply, ArmError> {
        check_id(kind, id)?;
        let Some((create, update)) = contracts(kind) else {
            return Err(ArmError::not_simulated(kind.segment()));
        };
        let contract = match (patch, update) {
            (false, _) => create,
            (true, Some(update)) => update,
            (true, None) => {
                return Err(ArmError::not_simulated(&format!(
                    "PATCH {}",
                    kind.segment()
                )));
            }
        };
        let sent = contract::properties(contract, &request.body)?;
        let old = self.entity(kind, id).cloned();
        if patch && old.is_none() {
            return Err(ArmError::not_found(kind.noun()));
        }
        request.check_if_match(old.as_ref(), kind == Kind::PolicyFragment)?;
        let mut fields = match &old {
            Some(old) if patch => old.properties.clone(),
            _ => Map::new(),
        };
        fields.extend(sent);
        self.check_entity(request, kind, id, &mut fields, commit)?;
        let held = match kind {
            Kind::Certificate => Some(certificate::take(&mut fields, request)?),
            _ => None,
        };
        let status = if old.is_some() { 200 } else { 201 };
        if !commit {
            return Ok(Reply::empty(status));
        }
        let fields = ordered(kind, fields);
        let entity = match &old {
            Some(old) => self.changed_entity(old, fields, request.now),
            None => self.new_entity(id, fields, request.now),
        };
        let body = self.entity_body(kind, &entity);
        let etag = entity.etag(kind == Kind::PolicyFragment);
        self.entities_of(kind).insert(id.to_lowercase(), entity);
        if let Some(held) = held {
            self.hold(id, held);
        }
        Ok(entity_reply(status, &body, etag))
    }

    /// Keeps a certificate for the gateway.
    pub(super) fn hold(&mut self, id: &str, held: Certificate) {
        self.certificates
            .retain(|known, _| !known.eq_ignore_ascii_case(id));
        self.certificates.insert(id.to_owned(), held);
    }

    /// `DELETE {kind}/{id}`.
    pub(super) fn delete_entity(
        &mut self,
        request: &Request,
        kind: Kind,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let Some(old) = self.entity(kind, id) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(old), kind == Kind::PolicyFragment)?;
        if kind == Kind::NamedValue
            && let Some(name) = old.text("displayName")
            && let Some(user) = self.user_of(name)
        {
            return Err(ArmError::validation(vec![Detail::new(
                "displayName",
                &format!("Property '{name}' cannot be deleted because it is used in {user}."),
            )]));
        }
        if kind == Kind::Backend
            && let Some(pool) = self.pool_of(id)
        {
            // Inferred, as for what else is in use.
            let text = format!("Backend '{id}' cannot be deleted because pool '{pool}' has it.");
            return Err(ArmError::validation(vec![Detail::new("pool", &text)]));
        }
        if kind == Kind::ApiVersionSet
            && let Some(problem) = version_set::used(self, &old.name)
        {
            return Err(ArmError::validation(vec![problem]));
        }
        if kind == Kind::Documentation
            && let Some(problem) = wiki::used(self, &old.name)
        {
            return Err(ArmError::validation(vec![problem]));
        }
        self.entities_of(kind).remove(&id.to_lowercase());
        if kind == Kind::Tag {
            // Inferred: it is on nothing any more.
            for family in self.families.values_mut() {
                family.tags.remove(&id.to_lowercase());
            }
        }
        if kind == Kind::Certificate {
            self.certificates
                .retain(|known, _| !known.eq_ignore_ascii_case(id));
        }
        Ok(Reply::empty(200))
    }

    /// `POST namedValues/{id}/listValue` and
    /// `POST openidConnectProviders/{id}/listSecrets`.
    pub(super) fn action(&self, kind: Kind, id: &str, action: &str) -> Result<Reply, ArmError> {
        let (field, answer) = match (kind, action.to_ascii_lowercase().as_str()) {
            (Kind::NamedValue, "listvalue") => ("value", "value"),
            (Kind::OpenIdProvider | Kind::AuthorizationServer, "listsecrets") => {
                ("clientSecret", "clientSecret")
            }
            _ => {
                return Err(ArmError::not_simulated(&format!(
                    "Microsoft.ApiManagement/service/{}/{action}",
                    kind.segment()
                )));
            }
        };
        let entity = self
            .entity(kind, id)
            .ok_or_else(|| ArmError::not_found(kind.noun()))?;
        let value = entity.properties.get(field).cloned().unwrap_or(Value::Null);
        Ok(entity_reply(
            200,
            &json!({ answer: value }),
            entity.etag(false),
        ))
    }

    /// Rules beyond the contract, and the fields that the service adds.
    fn check_entity(
        &self,
        request: &Request,
        kind: Kind,
        id: &str,
        fields: &mut Properties,
        commit: bool,
    ) -> Result<(), ArmError> {
        let mut problems = Vec::new();
        match kind {
            Kind::Backend => {
                check_backend(fields, &mut problems);
                self.check_named(id, fields, &mut problems);
            }
            Kind::NamedValue => {
                self.check_named_value(id, fields, &mut problems);
                fields.entry("secret").or_insert(false.into());
                // As recorded: what a vault does not tell is said at the end of a
                // long-running write, not at its beginning.
                if commit && problems.is_empty() {
                    vault::take(fields, request, &mut problems);
                }
                fields.insert("provisioningState".to_owned(), "Succeeded".into());
            }
            Kind::PolicyFragment => {
                let (text, format) = policy::document(request, fields)?;
                let environment = Environment {
                    service: self,
                    template: None,
                };
                let checked = policy_check::check_fragment(&text, format, &environment)
                    .map_err(policy::refusal)?;
                if request.executes {
                    let service = data_plane::referred(self);
                    apim_gateway::check_fragment(checked.document(), &service)
                        .map_err(|error| ArmError::invalid(&error.element, &error.to_string()))?;
                }
                // For whoever executes it, whatever encoding it came in.
                fields.insert("rawxml".to_owned(), checked.to_rawxml().into());
                fields.shift_remove("format");
                fields.insert("provisioningState".to_owned(), "Succeeded".into());
            }
            Kind::OpenIdProvider => {
                let endpoint = fields.get("metadataEndpoint").and_then(Value::as_str);
                let endpoint = endpoint.unwrap_or_default();
                if !url::Url::parse(endpoint)
                    .is_ok_and(|url| ["http", "https"].contains(&url.scheme()))
                {
                    problems.push(Detail::new(
                        "metadataEndpoint",
                        &format!("'{endpoint}' is not a valid URL."),
                    ));
                }
                fields.entry("useInTestConsole").or_insert(true.into());
                fields
                    .entry("useInApiDocumentation")
                    .or_insert(false.into());
            }
            Kind::Schema => {
                schema::check(self, request, id, fields, &mut problems);
                fields.insert("provisioningState".to_owned(), "Succeeded".into());
            }
            // Read by itself: what is kept of it is not what was sent.
            Kind::ApiVersionSet => version_set::check(fields, &mut problems),
            Kind::AuthorizationServer => check_endpoints(fields, &mut problems),
            Kind::Certificate | Kind::Logger | Kind::Tag | Kind::Documentation => {}
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ArmError::validation(problems))
        }
    }

    /// The first pool that has a backend.
    fn pool_of(&self, id: &str) -> Option<String> {
        let mut all = self.entities.get(&Kind::Backend)?.values();
        let pool = all.find(|one| {
            let members = one.properties.get("pool").map(|pool| &pool["services"]);
            let mut members = members.and_then(Value::as_array).into_iter().flatten();
            members.any(|member| {
                let member = member["id"].as_str().unwrap_or_default();
                data_plane::last(member).eq_ignore_ascii_case(id)
            })
        });
        pool.map(|pool| pool.name.clone())
    }

    /// What a backend names must be there. That it is looked at, and in which
    /// words it is said, is inferred.
    fn check_named(&self, id: &str, fields: &Properties, problems: &mut Vec<Detail>) {
        let own = format!("{}/", self.id()).to_lowercase();
        let named = |field: &str, list: &str| {
            let list = fields.get(field).map(|value| value[list].clone());
            let list = list.and_then(|list| list.as_array().cloned());
            list.unwrap_or_default()
        };
        let mut is_there = |kind: Kind, field: &str, named: &str| {
            let below = named.to_lowercase();
            let below = below
                .strip_prefix(&own)
                .and_then(|rest| rest.split_once('/'));
            let there = below.filter(|(segment, _)| segment.eq_ignore_ascii_case(kind.segment()));
            let there = there.and_then(|(_, id)| self.entity(kind, id));
            if there.is_none() {
                let text = format!("'{named}' could not be found.");
                problems.push(Detail::new(field, &text));
            }
            there
        };
        for certificate in named("credentials", "certificateIds") {
            let certificate = certificate.as_str().unwrap_or_default();
            is_there(Kind::Certificate, "certificateIds", certificate);
        }
        let members = named("pool", "services");
        let mut pools = 0;
        for member in &members {
            let member = member["id"].as_str().unwrap_or_default();
            let there = is_there(Kind::Backend, "pool", member);
            pools += usize::from(there.is_some_and(|one| one.text("type") == Some("Pool")));
        }
        let is_pool = fields.get("type").and_then(Value::as_str) == Some("Pool");
        if is_pool == members.is_empty() {
            let text = format!("Backend '{id}' of type Pool must have services, and no other.");
            problems.push(Detail::new("pool", &text));
        }
        if pools > 0 {
            problems.push(Detail::new("pool", "A pool cannot contain pools."));
        }
    }

    /// The first policy that names a named value, in words.
    fn user_of(&self, name: &str) -> Option<String> {
        let uses = |entity: Option<&Entity>| {
            let text = entity.and_then(|entity| entity.text("rawxml"));
            text.is_some_and(|text| policy_document::named_values(text).contains(&name))
        };
        if uses(self.policy.as_ref()) {
            return Some("the policy of the service".to_owned());
        }
        let fragments = self.entities.get(&Kind::PolicyFragment);
        for fragment in fragments.into_iter().flat_map(|all| all.values()) {
            if uses(Some(fragment)) {
                return Some(format!("the policy fragment '{}'", fragment.name));
            }
        }
        let holder = self.families.values().find(|family| {
            family.revisions.values().any(|revision| {
                let mut operations = revision.operations.iter();
                uses(revision.policy.as_ref()) || operations.any(|one| uses(one.policy.as_ref()))
            })
        });
        holder.map(|family| format!("a policy of API '{}'", family.name))
    }

    fn check_named_value(&self, id: &str, fields: &Properties, problems: &mut Vec<Detail>) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let has_vault = vault::refers(fields);
        match (text("value"), has_vault) {
            (Some(_), true) => problems.push(Detail::new(
                "value",
                "A value cannot be specified together with a Key Vault reference.",
            )),
            (value, false) if value.is_none_or(|value| value.trim().is_empty()) => {
                problems.push(Detail::new(
                    "value",
                    "The value may not be empty or consist only of whitespace.",
                ));
            }
            _ => {}
        }
        if has_vault {
            vault::check_identifier(fields, problems);
        }
        let twin = self.entities.get(&Kind::NamedValue).is_some_and(|all| {
            all.iter().any(|(key, other)| {
                *key != id.to_lowercase() && other.text("displayName") == text("displayName")
            })
        });
        if twin {
            problems.push(Detail::new(
                "displayName",
                &format!(
                    "Property with name '{}' already exists.",
                    text("displayName").unwrap_or_default()
                ),
            ));
        }
    }

    /// Puts a logger.
    pub(crate) fn put_logger(&mut self, id: &str, fields: Properties, now: jiff::Timestamp) {
        self.put_foreign(Kind::Logger, id, fields, now);
    }

    /// Puts an entity of a kind that is not served, for others to refer to.
    pub(crate) fn put_foreign(
        &mut self,
        kind: Kind,
        id: &str,
        fields: Properties,
        now: jiff::Timestamp,
    ) {
        let entity = self.new_entity(id, ordered(kind, fields), now);
        self.entities_of(kind).insert(id.to_lowercase(), entity);
    }
}

fn check_id(kind: Kind, id: &str) -> Result<(), ArmError> {
    let (most, pattern) = match kind {
        Kind::Backend | Kind::Schema => (80, None),
        Kind::Certificate | Kind::ApiVersionSet | Kind::Tag | Kind::AuthorizationServer => {
            (80, Some(r"^[^*#&+:<>?]+$"))
        }
        Kind::PolicyFragment => (80, Some(r"^(?:\w+|\w[\w\-]+\w)$")),
        _ => (256, Some(r"^[^*#&+:<>?]+$")),
    };
    let length = id.encode_utf16().count();
    let fits =
        pattern.is_none_or(|text| Regex::new(text).is_ok_and(|pattern| pattern.is_match(id)));
    if (1..=most).contains(&length) && fits {
        return Ok(());
    }
    Err(ArmError::invalid(
        "id",
        &format!(
            "'{id}' is not a valid identifier of {}: 1 to {most} characters{}.",
            kind.segment(),
            pattern
                .map(|pattern| format!(" that match {pattern}"))
                .unwrap_or_default()
        ),
    ))
}

fn check_backend(fields: &Properties, problems: &mut Vec<Detail>) {
    let address = fields
        .get("url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !url::Url::parse(address).is_ok_and(|url| url.has_host()) {
        problems.push(Detail::new(
            "url",
            &format!("'{address}' is not a valid absolute URL."),
        ));
    }
    let rules = fields
        .get("circuitBreaker")
        .map(|breaker| &breaker["rules"]);
    for rule in rules.and_then(Value::as_array).into_iter().flatten() {
        check_breaker(rule, problems);
    }
}

/// Both times are of format `duration` in the ARM specification; a rule counts
/// something, or nothing could trip it (inferred).
fn check_breaker(rule: &Value, problems: &mut Vec<Detail>) {
    let condition = &rule["failureCondition"];
    let times = [
        ("tripDuration", &rule["tripDuration"]),
        ("failureCondition.interval", &condition["interval"]),
    ];
    for (field, value) in times {
        let text = value.as_str().unwrap_or_default();
        if !is_duration(text) {
            problems.push(Detail::new(
                "circuitBreaker",
                &format!("'{text}' is not a valid duration for {field}."),
            ));
        }
    }
    if condition["count"].is_null() == condition["percentage"].is_null() {
        problems.push(Detail::new(
            "circuitBreaker",
            "A failure condition has either count or percentage.",
        ));
    }
}

/// An ISO 8601 duration of days, hours, minutes and seconds.
fn is_duration(text: &str) -> bool {
    let Some(body) = text.strip_prefix('P') else {
        return false;
    };
    let (days, time) = body.split_once('T').unwrap_or((body, ""));
    let parts = |text: &str, units: &str| {
        let mut units = units.chars();
        let mut digits = 0_usize;
        let fits = text.chars().all(|c| match c {
            '0'..='9' | '.' => {
                digits += 1;
                true
            }
            unit => std::mem::take(&mut digits) > 0 && units.any(|one| one == unit),
        });
        fits && digits == 0
    };
    let whole = !days.is_empty() || !time.is_empty();
    whole && parts(days, "D") && parts(time, "HMS")
}

fn check_endpoints(fields: &Properties, problems: &mut Vec<Detail>) {
    for name in [
        "authorizationEndpoint",
        "clientRegistrationEndpoint",
        "tokenEndpoint",
    ] {
        let endpoint = fields.get(name).and_then(Value::as_str);
        if endpoint.is_some_and(|one| !one.is_empty() && url::Url::parse(one).is_err()) {
            problems.push(Detail::new(name, "The value is not an absolute URL."));
        }
    }
    let methods = fields.get("authorizationMethods");
    let get = |methods: &Value| {
        methods
            .as_array()
            .is_some_and(|all| all.contains(&"GET".into()))
    };
    // As the specification has it: GET must be always present.
    if methods.is_some_and(|methods| !methods.is_null() && !get(methods)) {
        problems.push(Detail::new("authorizationMethods", "GET must be present."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(rule: &Value) -> usize {
        let mut problems = Vec::new();
        check_breaker(rule, &mut problems);
        problems.len()
    }

    #[test]
    fn a_rule_of_a_circuit_breaker_has_times_and_counts_one_thing() {
        let rule = |trip: &str, condition: Value| {
            told(&json!({"tripDuration": trip, "failureCondition": condition}))
        };
        assert_eq!(rule("PT1M30S", json!({"count": 1, "interval": "P1D"})), 0);
        assert_eq!(
            rule("PT1H", json!({"percentage": 1, "interval": "PT5S"})),
            0
        );
        assert_eq!(rule("1m", json!({"count": 1, "interval": "PT"})), 2);
        assert_eq!(rule("PT5", json!({"interval": "PT1S1M"})), 3);
    }
}
