//! The operations and schemas of an API.

use super::contract;
use super::contract_table as table;
use super::error::{ArmError, Detail};
use super::list;
use super::path::ApiRef;
use super::request::{Request, entity_reply, envelope};
use super::store::{ApiOperation, Entity, Revision, Service};
use crate::http::Reply;
use serde_json::{Map, Value, json};

/// An operation's fields in the order of an answer, with what is there even
/// if nobody sent it.
pub(super) fn ordered(sent: &Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    for name in ["displayName", "method", "urlTemplate"] {
        put(name, sent[name].clone());
    }
    put("templateParameters", list_of(&sent["templateParameters"]));
    put("description", sent["description"].clone());
    let request = &sent["request"];
    let mut shown = Map::new();
    if !request["description"].is_null() {
        shown.insert("description".to_owned(), request["description"].clone());
    }
    for name in ["queryParameters", "headers", "representations"] {
        shown.insert(name.to_owned(), list_of(&request[name]));
    }
    put("request", shown.into());
    put("responses", list_of(&sent["responses"]));
    put("policies", Value::Null);
    fields
}

fn list_of(value: &Value) -> Value {
    if value.is_array() {
        value.clone()
    } else {
        json!([])
    }
}

/// The names in braces of a URL template.
pub(super) fn template_parameters(template: &str) -> Vec<String> {
    template
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

impl Service {
    fn found(&self, api: &ApiRef) -> Result<&Revision, ArmError> {
        self.revision(api).ok_or_else(|| ArmError::not_found("Api"))
    }

    fn api_name(&self, api: &ApiRef) -> String {
        let base = self
            .family(api)
            .map_or(api.base.as_str(), |family| &family.name);
        match api.revision {
            Some(number) => format!("{base};rev={number}"),
            None => base.to_owned(),
        }
    }

    fn child_body(&self, api: &ApiRef, kind: &str, entity: &Entity) -> Value {
        let id = format!(
            "{}/apis/{}/{kind}/{}",
            self.id(),
            self.api_name(api),
            entity.name
        );
        envelope(
            &id,
            &format!("apis/{kind}"),
            &entity.name,
            &entity.properties,
        )
    }

    /// `GET apis/{id}/operations`.
    pub(super) fn list_operations(
        &self,
        request: &Request,
        api: &ApiRef,
    ) -> Result<Reply, ArmError> {
        let items: Vec<Value> = self
            .found(api)?
            .operations
            .iter()
            .map(|operation| self.child_body(api, "operations", &operation.entity))
            .collect();
        list::page(request, &self.id(), items)
    }

    /// `GET apis/{id}/operations/{id}`.
    pub(super) fn get_operation(&self, api: &ApiRef, id: &str) -> Result<Reply, ArmError> {
        let operation = self
            .found(api)?
            .operation(id)
            .ok_or_else(|| ArmError::not_found("Operation"))?;
        let body = self.child_body(api, "operations", &operation.entity);
        Ok(entity_reply(200, &body, operation.entity.etag(false)))
    }

    /// `PUT` and `PATCH apis/{id}/operations/{id}`.
    pub(super) fn write_operation(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
        patch: bool,
    ) -> Result<Reply, ArmError> {
        let length = id.encode_utf16().count();
        if !(1..=80).contains(&length) {
            return Err(ArmError::invalid(
                "operationId",
                "An operation id has 1 to 80 characters.",
            ));
        }
        let contract = if patch {
            &table::OPERATION_UPDATE_CONTRACT_PROPERTIES
        } else {
            &table::OPERATION_CONTRACT_PROPERTIES
        };
        let sent = contract::properties(contract, &request.body)?;
        let revision = self.found(api)?;
        let old = revision.operation(id).cloned();
        if patch && old.is_none() {
            return Err(ArmError::not_found("Operation"));
        }
        request.check_if_match(old.as_ref().map(|old| &old.entity), false)?;
        let mut merged = match &old {
            Some(old) if patch => old.entity.properties.clone(),
            _ => Map::new(),
        };
        merged.extend(sent);
        let fields = ordered(&Value::Object(merged));
        check_operation(revision, id, &fields)?;
        if old.is_none() {
            let count = revision.operations.len() + 1;
            self.check_operation_count(api, count)?;
        }
        let status = if old.is_some() { 200 } else { 201 };
        let entity = match &old {
            Some(old) => self.changed_entity(&old.entity, fields, request.now),
            None => self.new_entity(id, fields, request.now),
        };
        let etag = entity.etag(false);
        let body = self.child_body(api, "operations", &entity);
        if let Some(revision) = self.revision_mut(api) {
            match revision.operation_mut(id) {
                Some(operation) => operation.entity = entity,
                None => revision.operations.push(ApiOperation {
                    entity,
                    policy: None,
                }),
            }
        }
        Ok(entity_reply(status, &body, etag))
    }

    /// `DELETE apis/{id}/operations/{id}`.
    pub(super) fn delete_operation(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let old = self.found(api)?.operation(id);
        let Some(old) = old else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(&old.entity), false)?;
        if let Some(revision) = self.revision_mut(api) {
            revision
                .operations
                .retain(|operation| !operation.entity.name.eq_ignore_ascii_case(id));
        }
        Ok(Reply::empty(200))
    }

    /// `GET apis/{id}/schemas`.
    pub(super) fn list_schemas(&self, request: &Request, api: &ApiRef) -> Result<Reply, ArmError> {
        let schemas = &self.found(api)?.schemas;
        let items: Vec<Value> = schemas
            .values()
            .map(|schema| self.child_body(api, "schemas", schema))
            .collect();
        list::page(request, &self.id(), items)
    }

    /// `GET apis/{id}/schemas/{id}`.
    pub(super) fn get_schema(&self, api: &ApiRef, id: &str) -> Result<Reply, ArmError> {
        let schema = self.found(api)?.schemas.get(&id.to_lowercase());
        let schema = schema.ok_or_else(|| ArmError::not_found("Schema"))?;
        let body = self.child_body(api, "schemas", schema);
        Ok(entity_reply(200, &body, schema.etag(false)))
    }

    /// `PUT apis/{id}/schemas/{id}`.
    pub(super) fn put_schema(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
        commit: bool,
    ) -> Result<Reply, ArmError> {
        let sent = contract::properties(&table::SCHEMA_CONTRACT_PROPERTIES, &request.body)?;
        let old = self.found(api)?.schemas.get(&id.to_lowercase()).cloned();
        request.check_if_match(old.as_ref(), false)?;
        let status = if old.is_some() { 200 } else { 201 };
        if !commit {
            return Ok(Reply::empty(status));
        }
        let entity = match &old {
            Some(old) => self.changed_entity(old, sent, request.now),
            None => self.new_entity(id, sent, request.now),
        };
        let body = self.child_body(api, "schemas", &entity);
        let etag = entity.etag(false);
        if let Some(revision) = self.revision_mut(api) {
            revision.schemas.insert(id.to_lowercase(), entity);
        }
        Ok(entity_reply(status, &body, etag))
    }

    /// `DELETE apis/{id}/schemas/{id}`.
    pub(super) fn delete_schema(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let Some(old) = self.found(api)?.schemas.get(&id.to_lowercase()) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(old), false)?;
        if let Some(revision) = self.revision_mut(api) {
            revision.schemas.remove(&id.to_lowercase());
        }
        Ok(Reply::empty(200))
    }
}

fn check_operation(
    revision: &Revision,
    id: &str,
    fields: &Map<String, Value>,
) -> Result<(), ArmError> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let (method, template) = (text("method"), text("urlTemplate"));
    let mut problems = Vec::new();
    if !template.starts_with('/') && !template.starts_with('?') && template != "*" {
        problems.push(Detail::new(
            "urlTemplate",
            &format!("The URL template '{template}' must start with a slash."),
        ));
    }
    let twin = revision.operations.iter().find(|other| {
        !other.entity.name.eq_ignore_ascii_case(id)
            && other
                .entity
                .text("method")
                .is_some_and(|other| other.eq_ignore_ascii_case(method))
            && other.entity.text("urlTemplate") == Some(template)
    });
    if twin.is_some() {
        problems.push(Detail::new(
            "urlTemplate",
            &format!("Operation with the same method and URL template already exists: {method}, {template}"),
        ));
    }
    let declared = fields.get("templateParameters").and_then(Value::as_array);
    for name in template_parameters(template) {
        let is_declared = declared.is_some_and(|list| {
            list.iter()
                .any(|parameter| parameter["name"] == name.as_str())
        });
        if !is_declared {
            problems.push(Detail::new(
                "templateParameters",
                &format!("All template parameters used in the UriTemplate must be defined in the Operation, please ensure the Operation has TemplateParameter with name {name}"),
            ));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ArmError::validation(problems))
    }
}
