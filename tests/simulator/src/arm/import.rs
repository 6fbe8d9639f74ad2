//! Import and export of API documents.

use super::api::is_import;
use super::error::{ArmError, Detail};
use super::path::ApiRef;
use super::request::Request;
use super::store::{ApiOperation, Family, Revision, Service};
use crate::http::Reply;
use crate::openapi_import::{
    self, ImportFormat, ImportProblem, ImportedApi, ImportedBody, ImportedOperation,
    ImportedParameter,
};
use crate::world::hex_id;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The content type under which imported component schemas are kept.
const SCHEMA_CONTENT_TYPE: &str = "application/vnd.oai.openapi.components+json";

/// The link that the service has to fetch for a request, if it names one:
/// `value` of an API or of a policy with a `*-link` format.
pub(crate) fn link_of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let properties = body.get("properties")?;
    let format = properties["format"].as_str()?;
    let is_link = ImportFormat::from_arm(format).is_some_and(|(_, link)| link)
        || ["xml-link", "rawxml-link"].contains(&format);
    is_link.then(|| properties["value"].as_str().map(str::to_owned))?
}

/// Reads the document of an import request.
pub(super) fn read(request: &Request, sent: &Map<String, Value>) -> Result<ImportedApi, ArmError> {
    debug_assert!(is_import(request));
    let text = |name: &str| sent.get(name).and_then(Value::as_str).unwrap_or_default();
    let format = text("format");
    let Some((format, is_link)) = ImportFormat::from_arm(format) else {
        return Err(ArmError::not_simulated(&format!(
            "Importing the format '{format}'"
        )));
    };
    let result = if is_link {
        let document = match &request.linked {
            Some(Ok(document)) => document,
            Some(Err(reason)) => return Err(ArmError::invalid("value", reason)),
            None => return Err(ArmError::invalid("value", "The link was not fetched.")),
        };
        openapi_import::import_linked(format, document)
    } else {
        openapi_import::import(format, text("value"))
    };
    let mut imported = result.map_err(refusal)?;
    if text("translateRequiredQueryParameters") == "query" {
        for operation in &mut imported.operations {
            keep_in_query(operation);
        }
    }
    Ok(imported)
}

fn refusal(problems: Vec<ImportProblem>) -> ArmError {
    ArmError::validation(
        problems
            .into_iter()
            .map(|problem| {
                let target = problem
                    .target
                    .unwrap_or_else(|| "representation".to_owned());
                Detail::new(&target, &problem.message)
            })
            .collect(),
    )
}

/// Undoes the translation of required query parameters into the template.
fn keep_in_query(operation: &mut ImportedOperation) {
    let Some((path, query)) = operation.url_template.split_once('?') else {
        return;
    };
    let (path, query) = (path.to_owned(), query.to_owned());
    let in_query =
        |parameter: &ImportedParameter| query.contains(&format!("{{{}}}", parameter.name));
    let (moved, kept): (Vec<_>, Vec<_>) =
        operation.template_parameters.drain(..).partition(in_query);
    operation.template_parameters = kept;
    operation.query_parameters.splice(0..0, moved);
    operation.url_template = path;
}

/// What an import does to the API's own fields: those that the request did not
/// send come from the document, and `always` are reset although it sent them.
pub(super) fn reset_fields(
    fields: &mut Map<String, Value>,
    sent: &Map<String, Value>,
    imported: &ImportedApi,
    always: &[String],
) {
    let is_sent = |name: &str| {
        sent.get(name).is_some_and(|value| !value.is_null())
            && !always.iter().any(|field| field == name)
    };
    if !is_sent("displayName") {
        let title = imported.display_name.clone().unwrap_or_default();
        fields.insert("displayName".to_owned(), title.into());
    }
    if !is_sent("description") {
        match &imported.description {
            Some(text) => fields.insert("description".to_owned(), text.clone().into()),
            None => fields.remove("description"),
        };
    }
    if !is_sent("serviceUrl") {
        fields.insert("serviceUrl".to_owned(), imported.service_url.clone().into());
    }
    if !is_sent("subscriptionRequired") {
        fields.insert("subscriptionRequired".to_owned(), true.into());
    }
    for name in always {
        match name.as_str() {
            "displayName" | "description" | "serviceUrl" | "subscriptionRequired" | "path" => {}
            other => {
                match super::api::default_of(other) {
                    Some(value) => fields.insert(other.to_owned(), value),
                    None => fields.remove(other),
                };
            }
        }
    }
}

fn parameters(of: &[ImportedParameter]) -> Value {
    of.iter()
        .map(|parameter| {
            let mut shown = json!({ "name": parameter.name });
            if let Some(text) = &parameter.description {
                shown["description"] = text.clone().into();
            }
            shown["type"] = parameter.type_name.clone().into();
            if let Some(text) = &parameter.default_value {
                shown["defaultValue"] = text.clone().into();
            }
            if parameter.required {
                shown["required"] = true.into();
            }
            shown["values"] = parameter.values.clone().into();
            shown
        })
        .collect()
}

/// The schemas of a document with those that stand inline in it, which get a
/// name of their own.
struct Types {
    schema_id: String,
    schemas: Map<String, Value>,
}

impl Types {
    /// The name of a body's type, if it has one.
    fn name(&mut self, schema: &Value, wanted: &str) -> Option<String> {
        let fields = schema.as_object().filter(|fields| !fields.is_empty())?;
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.schemas.contains_key(name).then(|| name.to_owned());
        }
        let mut name = wanted.to_owned();
        while self.schemas.get(&name).is_some_and(|known| known != schema) {
            name.push('_');
        }
        self.schemas.insert(name.clone(), schema.clone());
        Some(name)
    }

    fn representations(&mut self, bodies: &[ImportedBody], owner: &str) -> Value {
        let place = |content_type: &str| {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            content_type.chars().map(plain).collect::<String>()
        };
        bodies
            .iter()
            .map(|body| {
                let mut shown = json!({ "contentType": body.content_type });
                if !body.examples.is_empty() {
                    let examples: Map<String, Value> = body
                        .examples
                        .iter()
                        .map(|(name, value)| (name.clone(), json!({ "value": value })))
                        .collect();
                    shown["examples"] = examples.into();
                }
                let wanted = format!("{owner}-{}", place(&body.content_type));
                if let Some(name) = self.name(&body.schema, &wanted) {
                    shown["schemaId"] = self.schema_id.clone().into();
                    shown["typeName"] = name.into();
                }
                shown
            })
            .collect()
    }
}

/// The properties of an operation resource.
fn operation_properties(operation: &ImportedOperation, types: &mut Types) -> Map<String, Value> {
    let responses: Vec<Value> = operation
        .responses
        .iter()
        .map(|response| {
            json!({
                "statusCode": response.status_code,
                "description": response.description,
                "representations": types.representations(
                    &response.bodies,
                    &format!("{}-{}", operation.id, response.status_code),
                ),
                "headers": [],
            })
        })
        .collect();
    let request = types.representations(
        &operation.request_bodies,
        &format!("{}-request", operation.id),
    );
    super::operations::ordered(&json!({
        "displayName": operation.display_name,
        "method": operation.method,
        "urlTemplate": operation.url_template,
        "templateParameters": parameters(&operation.template_parameters),
        "description": operation.description,
        "request": {
            "queryParameters": parameters(&operation.query_parameters),
            "headers": parameters(&operation.headers),
            "representations": request,
        },
        "responses": responses,
    }))
}

/// The most operations that one API may have.
fn operation_limit(sku: &str) -> usize {
    if sku.eq_ignore_ascii_case("BasicV2") {
        100
    } else {
        usize::MAX
    }
}

/// The most operations that a service may have, of all revisions together
/// (resource limits of 2026).
fn service_operation_limit(sku: &str) -> usize {
    match sku.to_ascii_lowercase().as_str() {
        "consumption" | "developer" => 3_000,
        "basic" | "basicv2" => 10_000,
        "standard" | "standardv2" => 50_000,
        "premium" | "premiumv2" => 75_000,
        _ => usize::MAX,
    }
}

impl Service {
    /// Refuses a document with more operations than the tier allows.
    pub(super) fn check_operation_count(
        &self,
        api: &ApiRef,
        operations: usize,
    ) -> Result<(), ArmError> {
        let refused = |limit: usize, place: &str| {
            ArmError::invalid(
                "representation",
                &format!(
                    "You've reached the maximum number of Operations ({limit}) in {place}. Please delete some of the operations or upgrade to a higher tier."
                ),
            )
        };
        let limit = operation_limit(&self.sku);
        if operations > limit {
            return Err(refused(limit, "API"));
        }
        let limit = service_operation_limit(&self.sku);
        let all = self.families.operations();
        let replaced = self.revision(api).map_or(0, |old| old.operations.len());
        if all - replaced + operations > limit {
            return Err(refused(limit, "service"));
        }
        Ok(())
    }

    /// Makes the operations and schemas of a revision those of a document.
    ///
    /// An operation whose id is there already is updated in place and keeps
    /// its policy; others are deleted with theirs; a new one takes the policy
    /// of a deleted one with the same method and template.
    pub(super) fn apply_import(
        &mut self,
        request: &Request,
        api: &ApiRef,
        number: u32,
        imported: &ImportedApi,
    ) {
        let old = self
            .family(api)
            .and_then(|family| family.revisions.get(&number))
            .map(|revision| revision.operations.clone())
            .unwrap_or_default();
        let mut operations = Vec::with_capacity(imported.operations.len());
        let mut types = Types {
            schema_id: self
                .imported_schema(api, number)
                .map_or_else(hex_id, |known| known.name),
            schemas: imported.schemas.as_object().cloned().unwrap_or_default(),
        };
        for operation in &imported.operations {
            let properties = operation_properties(operation, &mut types);
            let same_id = old
                .iter()
                .find(|old| old.entity.name.eq_ignore_ascii_case(&operation.id));
            operations.push(match same_id {
                Some(same) => ApiOperation {
                    entity: self.changed_entity(&same.entity, properties, request.now),
                    policy: same.policy.clone(),
                },
                None => ApiOperation {
                    entity: self.new_entity(&operation.id, properties, request.now),
                    policy: old
                        .iter()
                        .find(|old| {
                            old.entity.text("method") == Some(operation.method.as_str())
                                && old.entity.text("urlTemplate")
                                    == Some(operation.url_template.as_str())
                        })
                        .and_then(|old| old.policy.clone()),
                },
            });
        }
        let schemas = self.imported_schemas(request, api, number, types);
        if let Some(revision) = self
            .families
            .get_mut(&api.key())
            .and_then(|family| family.revisions.get_mut(&number))
        {
            revision.operations = operations;
            revision.schemas = schemas;
        }
    }

    /// The schema that an earlier import has left.
    fn imported_schema(&self, api: &ApiRef, number: u32) -> Option<super::store::Entity> {
        let revision = self.family(api)?.revisions.get(&number)?;
        revision
            .schemas
            .values()
            .find(|schema| schema.text("contentType") == Some(SCHEMA_CONTENT_TYPE))
            .cloned()
    }

    fn imported_schemas(
        &mut self,
        request: &Request,
        api: &ApiRef,
        number: u32,
        types: Types,
    ) -> BTreeMap<String, super::store::Entity> {
        let schemas = types.schemas;
        if schemas.is_empty() {
            return BTreeMap::new();
        }
        let known = self.imported_schema(api, number);
        let mut properties = Map::new();
        properties.insert("contentType".to_owned(), SCHEMA_CONTENT_TYPE.into());
        properties.insert(
            "document".to_owned(),
            json!({ "components": { "schemas": schemas } }),
        );
        let entity = match known {
            Some(known) => self.changed_entity(&known, properties, request.now),
            None => self.new_entity(&types.schema_id, properties, request.now),
        };
        BTreeMap::from([(entity.name.to_lowercase(), entity)])
    }

    /// `GET apis/{id}?export=true`: a link to the document.
    pub(super) fn export_reply(
        &self,
        request: &Request,
        family: &Family,
        number: u32,
    ) -> Result<Reply, ArmError> {
        let format = request.parameter("format").unwrap_or_default();
        match format {
            "openapi-link" | "openapi+json-link" => {}
            "swagger-link" | "wadl-link" | "wsdl-link" => {
                return Err(ArmError::not_simulated(&format!("Exporting as '{format}'")));
            }
            other => {
                return Err(ArmError::invalid(
                    "format",
                    &format!(
                        "Unsupported export format '{other}'. Supported: openapi-link, openapi+json-link, swagger-link, wadl-link, wsdl-link."
                    ),
                ));
            }
        }
        let link = request
            .blob
            .as_ref()
            .map(|path| format!("{}{path}", request.origin));
        let mut body = json!({
            "id": format!("{}/apis/{}", self.id(), family.revision_name(number)),
            "format": format,
            "value": { "link": link },
        });
        if !request.is_old_version() {
            // Newer versions were seen to have the link at the top level, the
            // specification has it inside `value`.
            body["link"] = link.into();
        }
        Ok(Reply::pretty(200, &body))
    }

    /// The document that an export returns, with its content type.
    pub(crate) fn exported(&self, api: &ApiRef, format: &str) -> Option<(String, &'static str)> {
        let revision = self.revision(api)?;
        let document = document_of(revision, &self.gateway_url);
        if format == "openapi-link" {
            let yaml = serde_saphyr::to_string(&document).ok()?;
            Some((yaml, "application/vnd.oai.openapi"))
        } else {
            let text = serde_json::to_string_pretty(&document).ok()?;
            Some((text, "application/vnd.oai.openapi+json"))
        }
    }
}

/// The OpenAPI document that describes a revision.
fn document_of(revision: &Revision, gateway_url: &str) -> Value {
    let api = &revision.entity;
    let mut paths = Map::new();
    for operation in &revision.operations {
        let entity = &operation.entity;
        let template = entity.text("urlTemplate").unwrap_or("/");
        let (path, query) = template.split_once('?').unwrap_or((template, ""));
        let place = |name: &str| {
            if query.contains(&format!("{{{name}}}")) {
                "query"
            } else {
                "path"
            }
        };
        let mut described: Vec<Value> = Vec::new();
        for parameter in entity.properties["templateParameters"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let name = parameter["name"].as_str().unwrap_or_default();
            described.push(json!({
                "name": name, "in": place(name), "required": true,
                "schema": { "type": parameter["type"] },
            }));
        }
        for (list, place) in [("queryParameters", "query"), ("headers", "header")] {
            for parameter in entity.properties["request"][list]
                .as_array()
                .into_iter()
                .flatten()
            {
                described.push(json!({
                    "name": parameter["name"], "in": place,
                    "schema": { "type": parameter["type"] },
                }));
            }
        }
        let mut responses = Map::new();
        for response in entity.properties["responses"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let text = response["description"].as_str().unwrap_or_default();
            responses.insert(
                response["statusCode"].to_string(),
                json!({ "description": text }),
            );
        }
        if responses.is_empty() {
            responses.insert("200".to_owned(), json!({ "description": "" }));
        }
        let item = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        let method = entity.text("method").unwrap_or("GET").to_lowercase();
        item[method] = json!({
            "summary": entity.text("displayName"),
            "operationId": entity.name,
            "parameters": described,
            "responses": responses,
        });
    }
    let mut document = json!({
        "openapi": "3.0.1",
        "info": {
            "title": api.text("displayName"),
            "description": api.text("description").unwrap_or_default(),
            "version": api.text("apiVersion").unwrap_or("1.0"),
        },
        "servers": [{ "url": format!("{gateway_url}/{}", api.text("path").unwrap_or_default()) }],
        "paths": paths,
    });
    let components = revision
        .schemas
        .values()
        .find_map(|schema| schema.properties["document"].get("components").cloned());
    if let Some(components) = components {
        document["components"] = components;
    }
    document
}
