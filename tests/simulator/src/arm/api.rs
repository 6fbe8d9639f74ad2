//! APIs and their revisions.

use super::api_view::View;
use super::contract;
use super::contract_table as table;
use super::error::{ArmError, Detail};
use super::list;
use super::path::{ApiRef, Kind};
use super::request::Request;
use super::store::{Family, Revision, Service};
use crate::config::LroSettings;
use crate::http::Reply;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Properties = Map<String, Value>;

/// Fields that are stored as they are sent, in the order of an answer.
const FIELDS: [&str; 17] = [
    "displayName",
    "description",
    "subscriptionRequired",
    "serviceUrl",
    "backendId",
    "path",
    "protocols",
    "authenticationSettings",
    "subscriptionKeyParameterNames",
    "termsOfServiceUrl",
    "contact",
    "license",
    "type",
    "apiRevisionDescription",
    "apiVersion",
    "apiVersionDescription",
    "apiVersionSetId",
];

/// What a field is when nobody says otherwise; `None` where it is left out.
pub(super) fn default_of(field: &str) -> Option<Value> {
    match field {
        "subscriptionRequired" => Some(true.into()),
        "serviceUrl" | "backendId" => Some(Value::Null),
        "protocols" => Some(json!(["https"])),
        "authenticationSettings" => Some(json!({})),
        "subscriptionKeyParameterNames" => {
            Some(json!({ "header": "Ocp-Apim-Subscription-Key", "query": "subscription-key" }))
        }
        _ => None,
    }
}

/// The value that is stored for a value that was sent.
fn stored(field: &str, sent: &Value) -> Option<Value> {
    if sent.is_null() {
        return default_of(field);
    }
    match field {
        // The service strips one leading slash.
        "path" => sent
            .as_str()
            .map(|path| path.strip_prefix('/').unwrap_or(path).into()),
        "subscriptionKeyParameterNames" => {
            let mut names = default_of(field)?;
            for part in ["header", "query"] {
                if let Some(name) = sent.get(part).filter(|name| !name.is_null()) {
                    names[part] = name.clone();
                }
            }
            Some(names)
        }
        "contact" => Some(json!({
            "name": sent.get("name"), "url": sent.get("url"), "email": sent.get("email"),
        })),
        // A plain HTTP API does not say its type.
        "type" if sent == "http" => None,
        _ => Some(sent.clone()),
    }
}

/// Puts the fields in the order of an answer.
fn ordered(mut fields: Properties) -> Properties {
    let mut result = Map::new();
    for name in FIELDS {
        if let Some(value) = fields.remove(name) {
            result.insert(name.to_owned(), value);
        }
    }
    result.extend(fields);
    result
}

/// Whether the body asks for an import.
pub(super) fn is_import(request: &Request) -> bool {
    serde_json::from_slice::<Value>(&request.body).is_ok_and(|body| {
        let properties = &body["properties"];
        !properties["format"].is_null() || !properties["value"].is_null()
    }) || request.flag("import")
}

/// Whether ARM may answer before it is done: imports, and revisions that are
/// copied from another.
pub(super) fn takes_long(request: &Request) -> bool {
    let copies = serde_json::from_slice::<Value>(&request.body)
        .is_ok_and(|body| body["properties"]["sourceApiId"].is_string());
    copies || is_import(request)
}

/// What all revisions of an API share, with its name in a refusal. That it
/// cannot be changed in one that is not current is in Microsoft's article on
/// revisions; the refusal was recorded for the path.
const SHARED: [(&str, &str); 8] = [
    ("path", "Path"),
    ("displayName", "DisplayName"),
    ("description", "Description"),
    ("subscriptionRequired", "SubscriptionRequired"),
    ("protocols", "Protocols"),
    ("apiVersion", "ApiVersion"),
    ("apiVersionDescription", "ApiVersionDescription"),
    ("apiVersionSetId", "ApiVersionSetId"),
];

impl Service {
    /// `GET apis`.
    pub(super) fn list_apis(&self, request: &Request) -> Result<Reply, ArmError> {
        let filter = list::filter(request)?;
        match filter.as_ref().and_then(list::Filter::path) {
            Some(path) => list::page(request, &self.id(), self.listed_at(path)),
            None => list::page(request, &self.id(), self.listed()),
        }
    }

    /// `GET apis/{id}/revisions`.
    pub(super) fn list_revisions(
        &self,
        request: &Request,
        api: &ApiRef,
    ) -> Result<Reply, ArmError> {
        let family = self.family(api).ok_or_else(|| ArmError::not_found("Api"))?;
        list::page(request, &self.id(), self.revision_bodies(family))
    }

    /// `GET apis/{id}`, also as an export.
    pub(super) fn get_api(&self, request: &Request, api: &ApiRef) -> Result<Reply, ArmError> {
        let family = self.family(api).ok_or_else(|| ArmError::not_found("Api"))?;
        let number = family.number(api);
        if !family.revisions.contains_key(&number) {
            return Err(ArmError::not_found("Api"));
        }
        if request.flag("export") {
            return self.export_reply(request, family, number);
        }
        Ok(self.api_reply(200, family, number, api.revision.is_some(), View::Read))
    }

    /// `PUT apis/{id}`. Without `commit` only what can be refused at once is
    /// checked.
    pub(super) fn put_api(
        &mut self,
        request: &Request,
        api: &ApiRef,
        settings: &LroSettings,
        commit: bool,
    ) -> Result<Reply, ArmError> {
        let sent = contract::properties(&table::API_CREATE_OR_UPDATE_PROPERTIES, &request.body)?;
        let import = is_import(request);
        let existing = self.revision(api).cloned();
        request.check_if_match(existing.as_ref().map(|revision| &revision.entity), false)?;
        self.check_sent(api, &sent, import, existing.is_some())?;
        let status = if existing.is_some() { 200 } else { 201 };
        if !commit {
            return Ok(Reply::empty(status));
        }

        let imported = if import {
            let imported = super::import::read(request, &sent)?;
            self.check_operation_count(api, imported.operations.len())?;
            Some(imported)
        } else {
            None
        };
        let source = self.source(api, &sent)?;
        let base = existing.as_ref().or(source.as_ref());
        // An import changes what it names and what the document brings; any
        // other PUT replaces the whole entity.
        let mut fields = match base {
            Some(revision) if import || existing.is_none() => revision.entity.properties.clone(),
            Some(revision) => revision
                .entity
                .properties
                .get_key_value("provisioningState")
                .map(|(name, state)| (name.clone(), state.clone()))
                .into_iter()
                .collect(),
            None => Map::new(),
        };
        for name in FIELDS {
            if let Some(value) = sent.get(name) {
                match stored(name, value) {
                    Some(value) => fields.insert(name.to_owned(), value),
                    None => fields.remove(name),
                };
            } else if !fields.contains_key(name)
                && let Some(value) = default_of(name)
            {
                fields.insert(name.to_owned(), value);
            }
        }
        if let Some(imported) = &imported {
            super::import::reset_fields(&mut fields, &sent, imported, &settings.import_resets);
            fields.insert("provisioningState".to_owned(), "Succeeded".into());
        }
        let fields = ordered(fields);
        let number = self.store_revision(request, api, &sent, fields, base.cloned().as_ref());
        if let Some(imported) = imported {
            self.apply_import(request, api, number, &imported);
        }
        let family = self.family(api).ok_or_else(|| ArmError::not_found("Api"))?;
        Ok(self.api_reply(status, family, number, api.revision.is_some(), View::Write))
    }

    /// The revision that a new one is made from.
    fn source(&self, api: &ApiRef, sent: &Properties) -> Result<Option<Revision>, ArmError> {
        let Some(id) = sent.get("sourceApiId").and_then(Value::as_str) else {
            return Ok(None);
        };
        let source = ApiRef::parse(id.rsplit('/').next().unwrap_or(id))?;
        let found = self.revision(&source).cloned();
        if found.is_none() || api.revision.is_none() && source.key() == api.key() {
            return Err(ArmError::invalid(
                "sourceApiId",
                "Entity with specified identifier not found",
            ));
        }
        Ok(found)
    }

    /// Stores the entity of a revision; what belongs to it stays, or comes
    /// from the revision that it was made from.
    fn store_revision(
        &mut self,
        request: &Request,
        api: &ApiRef,
        sent: &Properties,
        fields: Properties,
        base: Option<&Revision>,
    ) -> u32 {
        let now = request.now;
        let known = self
            .family(api)
            .map(|family| (family.number(api), family.name.clone()));
        let number = known.as_ref().map_or_else(
            || {
                let asked = sent.get("apiRevision").and_then(Value::as_str);
                api.revision
                    .or_else(|| asked.and_then(|text| text.parse().ok()).filter(|n| *n > 0))
                    .unwrap_or(1)
            },
            |(number, _)| *number,
        );
        let old = self
            .family(api)
            .and_then(|family| family.revisions.get(&number))
            .cloned();
        let revision = match old {
            Some(old) => Revision {
                entity: self.changed_entity(&old.entity, fields, now),
                ..old
            },
            None => Revision {
                entity: self.new_entity(&api.base, fields, now),
                policy: base.and_then(|base| base.policy.clone()),
                operations: base.map(|base| base.operations.clone()).unwrap_or_default(),
                schemas: base.map(|base| base.schemas.clone()).unwrap_or_default(),
            },
        };
        let revision = self.with_shared(api, number, revision);
        let properties = revision.entity.properties.clone();
        let family = self.families.get_or_insert_with(api.key(), || Family {
            name: api.base.clone(),
            current: number,
            revisions: BTreeMap::new(),
            tags: BTreeSet::new(),
            diagnostics: BTreeMap::new(),
            wiki: None,
            releases: BTreeMap::new(),
        });
        family.revisions.insert(number, revision);
        if sent.get("isCurrent") == Some(&Value::Bool(true)) {
            family.current = number;
        }
        if number == family.current {
            for revision in family.revisions.values_mut() {
                share(&properties, &mut revision.entity.properties);
            }
        }
        number
    }

    /// A revision that is not current has what all share from the one that is.
    fn with_shared(&self, api: &ApiRef, number: u32, mut revision: Revision) -> Revision {
        let current = self
            .family(api)
            .filter(|family| family.current != number)
            .and_then(|family| family.revisions.get(&family.current));
        if let Some(current) = current {
            share(&current.entity.properties, &mut revision.entity.properties);
        }
        revision
    }

    /// `PATCH apis/{id}`.
    pub(super) fn patch_api(&mut self, request: &Request, api: &ApiRef) -> Result<Reply, ArmError> {
        let old = self
            .revision(api)
            .cloned()
            .ok_or_else(|| ArmError::not_found("Api"))?;
        let sent = contract::properties(&table::API_CONTRACT_UPDATE_PROPERTIES, &request.body)?;
        request.check_if_match(Some(&old.entity), false)?;
        self.check_sent(api, &sent, false, true)?;
        let mut fields = old.entity.properties.clone();
        for name in FIELDS {
            if let Some(value) = sent.get(name) {
                match stored(name, value) {
                    Some(value) => fields.insert(name.to_owned(), value),
                    None => fields.remove(name),
                };
            }
        }
        let number = self.store_revision(request, api, &sent, ordered(fields), None);
        let family = self.family(api).ok_or_else(|| ArmError::not_found("Api"))?;
        Ok(self.api_reply(200, family, number, api.revision.is_some(), View::Read))
    }

    /// `DELETE apis/{id}`.
    pub(super) fn delete_api(
        &mut self,
        request: &Request,
        api: &ApiRef,
        commit: bool,
    ) -> Result<Reply, ArmError> {
        let Some(old) = self.revision(api) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(&old.entity), false)?;
        let Some(family) = self.families.get_mut(&api.key()) else {
            return Ok(Reply::empty(204));
        };
        let number = family.number(api);
        let whole = request.flag("deleteRevisions") || family.revisions.len() == 1;
        if !whole && number == family.current {
            return Err(ArmError::invalid(
                "apiId",
                "Cannot delete the current revision of an API that has other revisions. Delete the others first, or set deleteRevisions=true.",
            ));
        }
        if commit {
            if whole {
                self.families.remove(&api.key());
                self.locks.remove(&api.key());
                self.forget_api(api);
            } else {
                family.revisions.remove(&number);
            }
        }
        Ok(Reply::empty(200))
    }

    /// The rules that the contract alone cannot state.
    fn check_sent(
        &self,
        api: &ApiRef,
        sent: &Properties,
        import: bool,
        exists: bool,
    ) -> Result<(), ArmError> {
        let mut problems = Vec::new();
        let text = |name: &str| sent.get(name).and_then(Value::as_str);
        let creates_from_source = sent.contains_key("sourceApiId");
        if import {
            if sent.contains_key("backendId") {
                problems.push(Detail::new(
                    "backendId",
                    "The backendId field is not supported when importing an API.",
                ));
            }
            for name in ["format", "value"] {
                if text(name).is_none_or(str::is_empty) {
                    problems.push(Detail::new(
                        name,
                        &format!("The {name} field is required when importing an API."),
                    ));
                }
            }
        } else if !exists && !creates_from_source && text("displayName").is_none() {
            problems.push(Detail::new(
                "displayName",
                "The displayName field is required.",
            ));
        }
        self.check_shared(api, sent, &mut problems);
        check_urls(sent, &mut problems);
        check_authentication_mix(sent, &mut problems);
        self.check_references(sent, &mut problems);
        if let Some(path) = text("path") {
            let path = path.strip_prefix('/').unwrap_or(path);
            if !is_path(path) {
                problems.push(Detail::new(
                    "path",
                    &format!("'{path}' is not a valid API path: letters, digits and . _ - : / only, not ending with a slash."),
                ));
            }
            if let Some(problem) = self.path_problem(api, path, sent) {
                problems.push(problem);
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ArmError::validation(problems))
        }
    }

    /// A revision that is not current keeps what all revisions share.
    fn check_shared(&self, api: &ApiRef, sent: &Properties, problems: &mut Vec<Detail>) {
        let Some(family) = self.family(api) else {
            return;
        };
        if family.number(api) == family.current || sent.get("isCurrent") == Some(&true.into()) {
            return;
        }
        let Some(current) = family.revisions.get(&family.current) else {
            return;
        };
        for (name, shown) in SHARED {
            let Some(value) = sent.get(name) else {
                continue;
            };
            let there = current.entity.properties.get(name);
            let is_same = match (name, stored(name, value)) {
                ("protocols", Some(value)) => {
                    let all = |value: &Value| -> BTreeSet<String> {
                        let texts = value.as_array().into_iter().flatten();
                        texts
                            .filter_map(Value::as_str)
                            .map(str::to_lowercase)
                            .collect()
                    };
                    there.is_some_and(|there| all(there) == all(&value))
                }
                ("apiVersionSetId", Some(value)) => {
                    let last = |value: &Value| {
                        let id = value.as_str().unwrap_or_default();
                        id.rsplit('/').next().unwrap_or_default().to_lowercase()
                    };
                    there.is_some_and(|there| last(there) == last(&value))
                }
                (_, value) => {
                    let nothing = |value: Option<&Value>| {
                        value.is_none_or(|value| value.is_null() || value == "")
                    };
                    value.as_ref() == there || nothing(value.as_ref()) && nothing(there)
                }
            };
            if !is_same {
                problems.push(Detail::new(
                    name,
                    &format!("Can't change property {shown} for non-current revision"),
                ));
            }
        }
    }

    fn check_references(&self, sent: &Properties, problems: &mut Vec<Detail>) {
        let text = |name: &str| sent.get(name).and_then(Value::as_str);
        match text("apiVersionSetId") {
            Some(id) => {
                let name = id.rsplit('/').next().unwrap_or(id);
                if self.entity(Kind::ApiVersionSet, name).is_none() {
                    problems.push(Detail::new(
                        "apiVersionSetId",
                        &format!("Api version set with id '{name}' could not be found."),
                    ));
                }
            }
            None if text("apiVersion").is_some_and(|version| !version.is_empty()) => {
                problems.push(Detail::new(
                    "apiVersion",
                    "An API version needs an API version set.",
                ));
            }
            None => {}
        }
        let settings = sent.get("authenticationSettings").unwrap_or(&Value::Null);
        let many = settings["oAuth2AuthenticationSettings"].as_array();
        let servers = many.into_iter().flatten();
        for server in servers.chain(std::iter::once(&settings["oAuth2"])) {
            if let Some(id) = server["authorizationServerId"].as_str()
                && self.entity(Kind::AuthorizationServer, id).is_none()
            {
                // Inferred from the answer for an OpenID provider.
                problems.push(Detail::new(
                    "authorizationServerId",
                    &format!("Authorization server with id '{id}' could not be found."),
                ));
            }
        }
        let many = settings["openidAuthenticationSettings"].as_array();
        let providers = many
            .into_iter()
            .flatten()
            .chain(std::iter::once(&settings["openid"]));
        for provider in providers {
            if let Some(id) = provider["openidProviderId"].as_str() {
                let name = id.rsplit('/').next().unwrap_or(id);
                if self.entity(Kind::OpenIdProvider, name).is_none() {
                    problems.push(Detail::new(
                        "openidProviderId",
                        &format!("OpenId Connect Provider with id '{name}' could not be found."),
                    ));
                }
            }
        }
    }

    /// A path belongs to one API, compared without case, or to one version set.
    fn path_problem(&self, api: &ApiRef, path: &str, sent: &Properties) -> Option<Detail> {
        let last_part = |id: &str| id.rsplit('/').next().map(str::to_lowercase);
        let own_set = sent
            .get("apiVersionSetId")
            .and_then(Value::as_str)
            .and_then(last_part);
        for (key, family) in self.families.near_path(path) {
            let Some(other) = family.revisions.get(&family.current) else {
                continue;
            };
            let same_path = other
                .entity
                .text("path")
                .is_some_and(|other| other.to_lowercase() == path.to_lowercase());
            let other_set = other.entity.text("apiVersionSetId").and_then(last_part);
            if *key == api.key() || !same_path {
                continue;
            }
            if own_set.is_none() || own_set != other_set {
                return Some(Detail::new(
                    "path",
                    &format!(
                        "Cannot create API '{}' with the same Path '{path}' as API '{}' unless it's a part of the same version set",
                        api.base, family.name
                    ),
                ));
            }
            // Inferred: the gateway could not tell the two apart.
            let version = sent.get("apiVersion").and_then(Value::as_str);
            let (version, other) = (
                version.unwrap_or_default(),
                other.entity.text("apiVersion").unwrap_or_default(),
            );
            if version.eq_ignore_ascii_case(other) {
                return Some(Detail::new(
                    "apiVersion",
                    &format!(
                        "Cannot create API '{}' with the same Path '{path}' and Version '{version}' as API '{}' of the same version set",
                        api.base, family.name
                    ),
                ));
            }
        }
        None
    }
}

/// Gives a revision what another has of that which all share.
fn share(from: &Properties, to: &mut Properties) {
    for (name, _) in SHARED {
        match from.get(name) {
            Some(value) => to.insert(name.to_owned(), value.clone()),
            None => to.remove(name),
        };
    }
}

/// The service's own check, as other clients had to learn it: empty, or words
/// with `.`, `-`, `/` and `:`, starting with a word character or a dot and
/// ending with a word character or a hyphen.
fn is_path(path: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match path.as_bytes() {
        [] => true,
        [only] => word(*only),
        [first, middle @ .., last] => {
            (word(*first) || *first == b'.')
                && (word(*last) || *last == b'-')
                && middle.len() <= 398
                && middle
                    .iter()
                    .all(|byte| word(*byte) || b"-/.:".contains(byte))
        }
    }
}

fn check_urls(sent: &Properties, problems: &mut Vec<Detail>) {
    for name in ["serviceUrl", "termsOfServiceUrl"] {
        let Some(text) = sent.get(name).and_then(Value::as_str) else {
            continue;
        };
        let absolute = url::Url::parse(text).is_ok_and(|url| {
            ["http", "https", "ws", "wss"].contains(&url.scheme()) && url.has_host()
        });
        if !text.is_empty() && !absolute {
            problems.push(Detail::new(
                name,
                &format!("'{text}' is not a valid absolute URL."),
            ));
        }
    }
}

/// One way to name the providers or the other, not both.
fn check_authentication_mix(sent: &Properties, problems: &mut Vec<Detail>) {
    let Some(settings) = sent.get("authenticationSettings") else {
        return;
    };
    let has = |names: [&str; 2]| names.iter().any(|name| settings.get(*name).is_some());
    if has(["oAuth2", "openid"])
        && has([
            "oAuth2AuthenticationSettings",
            "openidAuthenticationSettings",
        ])
    {
        problems.push(Detail::new(
            "authenticationSettings",
            "Cannot specify oAuth2 or openid together with oAuth2AuthenticationSettings or openidAuthenticationSettings.",
        ));
    }
}
