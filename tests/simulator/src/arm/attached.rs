//! What is attached to an API: tags, and diagnostics of its own.

use super::contract;
use super::contract_table as table;
use super::error::{ArmError, Detail};
use super::list;
use super::path::{ApiRef, Kind};
use super::request::{Request, entity_reply, envelope};
use super::store::{Entity, Family, Service};
use crate::http::Reply;
use axum::http::Method;
use serde_json::{Map, Value, json};

/// The diagnostics that the service knows.
const DIAGNOSTICS: [&str; 2] = ["applicationinsights", "azuremonitor"];

impl Service {
    fn tagged(&self, api: &ApiRef) -> Result<&Family, ArmError> {
        self.family(api).ok_or_else(|| ArmError::not_found("Api"))
    }

    fn tag(&self, id: &str) -> Result<&Entity, ArmError> {
        self.entity(Kind::Tag, id)
            .ok_or_else(|| ArmError::not_found(Kind::Tag.noun()))
    }

    fn tag_of_api(&self, api: &ApiRef, tag: &Entity) -> Value {
        let place = format!("{}/apis/{}/tags/{}", self.id(), api.base, tag.name);
        envelope(&place, "apis/tags", &tag.name, &tag.properties)
    }

    /// `GET apis/{id}/tags`.
    pub(super) fn list_api_tags(&self, request: &Request, api: &ApiRef) -> Result<Reply, ArmError> {
        let tags = self.tagged(api)?.tags.iter();
        let items: Vec<Value> = tags
            .filter_map(|id| self.entity(Kind::Tag, id))
            .map(|tag| self.tag_of_api(api, tag))
            .collect();
        list::page(request, &self.id(), items)
    }

    /// `GET` and `HEAD apis/{id}/tags/{tag}`.
    pub(super) fn get_api_tag(
        &self,
        _request: &Request,
        api: &ApiRef,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let has = self.tagged(api)?.tags.contains(&id.to_lowercase());
        if !has {
            return Err(ArmError::not_found(Kind::Tag.noun()));
        }
        let tag = self.tag(id)?;
        Ok(entity_reply(
            200,
            &self.tag_of_api(api, tag),
            tag.etag(false),
        ))
    }

    /// `PUT` and `DELETE apis/{id}/tags/{tag}`.
    pub(super) fn write_api_tag(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let has = self.tagged(api)?.tags.contains(&id.to_lowercase());
        let key = id.to_lowercase();
        if request.method == Method::DELETE {
            if let Some(family) = self.families.get_mut(&api.key()) {
                family.tags.remove(&key);
            }
            return Ok(Reply::empty(if has { 200 } else { 204 }));
        }
        let tag = self.tag(id)?.clone();
        let body = self.tag_of_api(api, &tag);
        if let Some(family) = self.families.get_mut(&api.key()) {
            family.tags.insert(key);
        }
        let status = if has { 200 } else { 201 };
        Ok(entity_reply(status, &body, tag.etag(false)))
    }

    /// `GET tags/{id}/apiLinks` and the like. Nothing but APIs can have a tag
    /// here.
    pub(super) fn list_tag_links(
        &self,
        request: &Request,
        id: &str,
        links: &str,
    ) -> Result<Reply, ArmError> {
        let tag = self.tag(id)?;
        let has = |family: &&Family| family.tags.contains(&id.to_lowercase());
        let link = |family: &Family| {
            let place = format!("{}/tags/{}/{links}/{}", self.id(), tag.name, family.name);
            let mut fields = Map::new();
            let api = format!("{}/apis/{}", self.id(), family.name);
            fields.insert("apiId".to_owned(), api.into());
            envelope(&place, &format!("tags/{links}"), &family.name, &fields)
        };
        let on_apis = self.families.values().filter(|_| links == "apiLinks");
        let items: Vec<Value> = on_apis.filter(has).map(link).collect();
        list::page(request, &self.id(), items)
    }

    fn diagnostic_body(&self, api: &ApiRef, entity: &Entity) -> Value {
        let place = format!(
            "{}/apis/{}/diagnostics/{}",
            self.id(),
            api.base,
            entity.name
        );
        envelope(&place, "apis/diagnostics", &entity.name, &entity.properties)
    }

    /// `GET apis/{id}/diagnostics`.
    pub(super) fn list_diagnostics(
        &self,
        request: &Request,
        api: &ApiRef,
    ) -> Result<Reply, ArmError> {
        let all = self.tagged(api)?.diagnostics.values();
        let items: Vec<Value> = all.map(|one| self.diagnostic_body(api, one)).collect();
        list::page(request, &self.id(), items)
    }

    /// `GET apis/{id}/diagnostics/{diagnostic}`.
    pub(super) fn get_diagnostic(&self, api: &ApiRef, id: &str) -> Result<Reply, ArmError> {
        let found = self.tagged(api)?.diagnostics.get(&id.to_lowercase());
        let entity = found.ok_or_else(|| ArmError::not_found("Diagnostic"))?;
        Ok(entity_reply(
            200,
            &self.diagnostic_body(api, entity),
            entity.etag(false),
        ))
    }

    /// `DELETE apis/{id}/diagnostics/{diagnostic}`.
    pub(super) fn delete_diagnostic(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let Some(old) = self.tagged(api)?.diagnostics.get(&id.to_lowercase()) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(old), false)?;
        if let Some(family) = self.families.get_mut(&api.key()) {
            family.diagnostics.remove(&id.to_lowercase());
        }
        Ok(Reply::empty(200))
    }

    /// `PUT` and `PATCH apis/{id}/diagnostics/{diagnostic}`.
    pub(super) fn write_diagnostic(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
        patch: bool,
    ) -> Result<Reply, ArmError> {
        let old = self
            .tagged(api)?
            .diagnostics
            .get(&id.to_lowercase())
            .cloned();
        if patch && old.is_none() {
            return Err(ArmError::not_found("Diagnostic"));
        }
        if !DIAGNOSTICS.contains(&id) {
            return Err(ArmError::invalid(
                "diagnosticId",
                &format!(
                    "'{id}' is not a diagnostic; there are {}.",
                    DIAGNOSTICS.join(", ")
                ),
            ));
        }
        request.check_if_match(old.as_ref(), false)?;
        let contract = if patch {
            &table::DIAGNOSTIC_CONTRACT_UPDATE_PROPERTIES
        } else {
            &table::DIAGNOSTIC_CONTRACT_PROPERTIES
        };
        let mut fields = match &old {
            Some(old) if patch => old.properties.clone(),
            _ => Map::new(),
        };
        fields.extend(contract::properties(contract, &request.body)?);
        self.check_diagnostic(id, &mut fields)?;
        let entity = match &old {
            Some(old) => self.changed_entity(old, fields, request.now),
            None => self.new_entity(id, fields, request.now),
        };
        let body = self.diagnostic_body(api, &entity);
        let etag = entity.etag(false);
        if let Some(family) = self.families.get_mut(&api.key()) {
            family.diagnostics.insert(id.to_lowercase(), entity);
        }
        let status = if old.is_some() { 200 } else { 201 };
        Ok(entity_reply(status, &body, etag))
    }

    /// Rules beyond the contract, and what an answer says besides: the logger by
    /// its full id (inferred from how the service answers for other references),
    /// and what was not said, as null.
    fn check_diagnostic(&self, id: &str, fields: &mut Map<String, Value>) -> Result<(), ArmError> {
        let mut problems = Vec::new();
        let said = fields.get("loggerId").and_then(Value::as_str);
        let name = said.unwrap_or_default().rsplit('/').next();
        let logger = name.and_then(|name| self.entity(Kind::Logger, name));
        match logger {
            // Inferred from the answer for a logger that a policy names.
            None => return Err(ArmError::not_found("Logger")),
            Some(logger) => {
                let kind = logger.text("loggerType").unwrap_or(id);
                if !kind.eq_ignore_ascii_case(id) {
                    problems.push(Detail::new(
                        "loggerId",
                        &format!("Logger '{}' is of type '{kind}'.", logger.name),
                    ));
                }
                let full = format!("{}/loggers/{}", self.id(), logger.name);
                fields.insert("loggerId".to_owned(), full.into());
            }
        }
        let percentage = fields.get("sampling").and_then(|one| one.get("percentage"));
        if let Some(percentage) = percentage.filter(|one| !one.is_null())
            && !percentage
                .as_f64()
                .is_some_and(|one| (0.0..=100.0).contains(&one))
        {
            problems.push(Detail::new(
                "sampling.percentage",
                "The value must be between 0 and 100.",
            ));
        }
        for (name, absent) in [
            ("alwaysLog", Value::Null),
            ("httpCorrelationProtocol", Value::Null),
            ("logClientIp", json!(false)),
            ("metrics", Value::Null),
        ] {
            fields.entry(name).or_insert(absent);
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ArmError::validation(problems))
        }
    }
}
