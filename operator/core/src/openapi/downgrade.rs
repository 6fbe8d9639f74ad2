//! OpenAPI 3.1 to 3.0.3, where nothing is lost that an import would use.
//!
//! Three fates for what 3.0 does not have: it is said in 3.0's words; it is
//! left out with a note, when it only describes or when API Management does not
//! import it at all; or the document is refused with the place and a way out.

mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::schema::{KNOWN_DIALECTS, schema};
use super::error::{Finding, Findings};
use super::pointer::step;

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// The document in OpenAPI 3.0.3, and what the author should know.
pub(super) fn to_30(root: &Value) -> Result<(Value, Vec<String>), Findings> {
    let mut root = root.clone();
    let mut ledger = Ledger::default();
    if let Value::Object(fields) = &mut root {
        document(fields, &mut ledger);
    }
    Findings::check(std::mem::take(&mut ledger.findings))?;
    Ok((root, ledger.notes()))
}

/// What was refused and what was left out.
#[derive(Debug, Default)]
struct Ledger {
    findings: Vec<Finding>,
    /// What, to how often and where first.
    left_out: BTreeMap<String, (usize, String)>,
}

impl Ledger {
    fn refuse(&mut self, at: &str, message: impl Into<String>) {
        self.findings.push(Finding {
            pointer: at.to_owned(),
            message: message.into(),
        });
    }

    fn leave_out(&mut self, what: impl Into<String>, at: &str) {
        let entry = self
            .left_out
            .entry(what.into())
            .or_insert_with(|| (0, at.to_owned()));
        entry.0 += 1;
    }

    fn notes(self) -> Vec<String> {
        self.left_out
            .into_iter()
            .map(|(what, (count, first))| match count {
                1 => format!("left out: {what}, at {first}"),
                more => format!("left out: {what}, {more} times, the first at {first}"),
            })
            .collect()
    }
}

fn document(fields: &mut Map<String, Value>, ledger: &mut Ledger) {
    fields.insert("openapi".into(), "3.0.3".into());
    if let Some(dialect) = fields.shift_remove("jsonSchemaDialect")
        && !dialect
            .as_str()
            .is_some_and(|d| KNOWN_DIALECTS.contains(&d))
    {
        ledger.refuse(
            "/jsonSchemaDialect",
            format!("schemas in the dialect {dialect} are not understood; use OpenAPI's own"),
        );
    }
    if fields.shift_remove("webhooks").is_some() {
        ledger.leave_out(
            "`webhooks`, which API Management does not import",
            "/webhooks",
        );
    }
    info(fields, ledger);
    let mutual_tls = components(fields, ledger);
    for (path, item) in objects(fields.get_mut("paths")) {
        if !path.starts_with("x-") {
            path_item(item, &step("/paths", path), &mutual_tls, ledger);
        }
    }
    security(fields, &mutual_tls);
}

fn info(fields: &mut Map<String, Value>, ledger: &mut Ledger) {
    let Some(Value::Object(info)) = fields.get_mut("info") else {
        return;
    };
    if info.shift_remove("summary").is_some() {
        ledger.leave_out("`summary`, which only describes", "/info/summary");
    }
    if let Some(Value::Object(license)) = info.get_mut("license")
        && license.shift_remove("identifier").is_some()
    {
        ledger.leave_out(
            "the license's SPDX `identifier`",
            "/info/license/identifier",
        );
    }
}

/// Converts the components; answers the names of the security schemes that
/// 3.0 does not have.
fn components(fields: &mut Map<String, Value>, ledger: &mut Ledger) -> Vec<String> {
    let Some(Value::Object(components)) = fields.get_mut("components") else {
        return Vec::new();
    };
    if components.shift_remove("pathItems").is_some() {
        ledger.leave_out(
            "`pathItems`, to which only references of whole paths lead",
            "/components/pathItems",
        );
    }
    let mut mutual_tls = Vec::new();
    if let Some(Value::Object(schemes)) = components.get_mut("securitySchemes") {
        schemes.retain(|name, scheme| {
            let keep = scheme.get("type").and_then(Value::as_str) != Some("mutualTLS");
            if !keep {
                mutual_tls.push(name.clone());
            }
            keep
        });
    }
    for name in &mutual_tls {
        ledger.leave_out(
            "a security scheme of type `mutualTLS`; API Management imports no security schemes",
            &step("/components/securitySchemes", name),
        );
    }
    let at = "/components";
    for (name, value) in values(components.get_mut("schemas")) {
        schema(value, &step(&step(at, "schemas"), name), ledger);
    }
    for kind in ["parameters", "headers"] {
        for (name, value) in objects(components.get_mut(kind)) {
            parameter(value, &step(&step(at, kind), name), ledger);
        }
    }
    for (name, value) in objects(components.get_mut("requestBodies")) {
        body(value, &step(&step(at, "requestBodies"), name), ledger);
    }
    for (name, value) in objects(components.get_mut("responses")) {
        response(value, &step(&step(at, "responses"), name), ledger);
    }
    for (name, value) in objects(components.get_mut("callbacks")) {
        callback(
            value,
            &step(&step(at, "callbacks"), name),
            &mutual_tls,
            ledger,
        );
    }
    mutual_tls
}

fn path_item(item: &mut Map<String, Value>, at: &str, mutual_tls: &[String], ledger: &mut Ledger) {
    if item.contains_key("$ref") {
        return ledger.refuse(
            at,
            "OpenAPI 3.0 has no `pathItems` that a path could refer to; write the path's operations here",
        );
    }
    parameters(item, at, ledger);
    for method in METHODS {
        if let Some(Value::Object(operation)) = item.get_mut(method) {
            self::operation(operation, &step(at, method), mutual_tls, ledger);
        }
    }
}

fn operation(
    operation: &mut Map<String, Value>,
    at: &str,
    mutual_tls: &[String],
    ledger: &mut Ledger,
) {
    parameters(operation, at, ledger);
    if let Some(Value::Object(value)) = operation.get_mut("requestBody") {
        body(value, &step(at, "requestBody"), ledger);
    }
    let responses = step(at, "responses");
    for (status, value) in objects(operation.get_mut("responses")) {
        if !status.starts_with("x-") {
            response(value, &step(&responses, status), ledger);
        }
    }
    // 3.1 lets an operation say nothing of its answers; 3.0 does not.
    if !operation.contains_key("responses") {
        operation.insert(
            "responses".into(),
            json!({"default": {"description": "Not described."}}),
        );
    }
    let callbacks = step(at, "callbacks");
    for (name, value) in objects(operation.get_mut("callbacks")) {
        callback(value, &step(&callbacks, name), mutual_tls, ledger);
    }
    security(operation, mutual_tls);
}

fn callback(
    callback: &mut Map<String, Value>,
    at: &str,
    mutual_tls: &[String],
    ledger: &mut Ledger,
) {
    if reference(callback, at, ledger) {
        return;
    }
    for (expression, item) in callback.iter_mut() {
        if let (false, Value::Object(item)) = (expression.starts_with("x-"), item) {
            path_item(item, &step(at, expression), mutual_tls, ledger);
        }
    }
}

fn parameters(holder: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    let at = step(at, "parameters");
    let list = holder.get_mut("parameters").and_then(Value::as_array_mut);
    for (index, value) in list.into_iter().flatten().enumerate() {
        if let Value::Object(value) = value {
            parameter(value, &step(&at, &index.to_string()), ledger);
        }
    }
}

/// A parameter or a header; both have a schema or a content.
fn parameter(value: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    if reference(value, at, ledger) {
        return;
    }
    if let Some(value) = value.get_mut("schema") {
        schema(value, &step(at, "schema"), ledger);
    }
    content(value, at, ledger);
}

fn body(value: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    if !reference(value, at, ledger) {
        content(value, at, ledger);
    }
}

fn response(value: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    if reference(value, at, ledger) {
        return;
    }
    let headers = step(at, "headers");
    for (name, value) in objects(value.get_mut("headers")) {
        parameter(value, &step(&headers, name), ledger);
    }
    let links = step(at, "links");
    for (name, value) in objects(value.get_mut("links")) {
        reference(value, &step(&links, name), ledger);
    }
    content(value, at, ledger);
}

fn content(holder: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    let at = step(at, "content");
    for (media_type, value) in objects(holder.get_mut("content")) {
        let at = step(&at, media_type);
        if let Some(value) = value.get_mut("schema") {
            schema(value, &step(&at, "schema"), ledger);
        }
        let examples = step(&at, "examples");
        for (name, value) in objects(value.get_mut("examples")) {
            reference(value, &step(&examples, name), ledger);
        }
        let encodings = step(&at, "encoding");
        for (property, encoding) in objects(value.get_mut("encoding")) {
            let headers = step(&step(&encodings, property), "headers");
            for (name, value) in objects(encoding.get_mut("headers")) {
                parameter(value, &step(&headers, name), ledger);
            }
        }
    }
}

/// Whether this is a reference. In 3.1 one may carry its own `summary` and
/// `description`; in 3.0 nothing stands beside `$ref`.
fn reference(value: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) -> bool {
    if !value.contains_key("$ref") {
        return false;
    }
    for field in ["summary", "description"] {
        if value.shift_remove(field).is_some() {
            ledger.leave_out(
                format!("`{field}` beside a `$ref`, which only describes"),
                at,
            );
        }
    }
    true
}

/// Takes the requirements of schemes away that are not there any more.
fn security(holder: &mut Map<String, Value>, mutual_tls: &[String]) {
    if let Some(Value::Array(requirements)) = holder.get_mut("security") {
        requirements.retain(|requirement| {
            !requirement
                .as_object()
                .is_some_and(|names| names.keys().any(|name| mutual_tls.contains(name)))
        });
    }
}

/// The fields of an object.
fn values(value: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    value
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::iter_mut)
}

/// The fields of an object that are objects themselves.
fn objects(value: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Map<String, Value>)> {
    values(value).filter_map(|(key, value)| value.as_object_mut().map(|object| (key, object)))
}
