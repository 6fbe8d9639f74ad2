//! Operations that are declared without an OpenAPI document, and the document
//! that is made of them: an import is the one way in which operations are
//! written, so that none is ever there without its policy.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::operations::{METHODS, template_names};
use super::{Document, OpenApiError};
use crate::annotations::nearest::{did_you_mean, shown};
use crate::problem::Problem;

/// An operation as its owner declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its id, by which it is kept in step.
    pub id: String,
    /// The method, in lower case.
    pub method: &'static str,
    /// The path below the API's own, with parameters in braces, and the query
    /// parameters that a call must have: `/items/{id}?unit={unit}`.
    pub url_template: String,
    /// Shown in the portal.
    pub display_name: Option<String>,
    /// Shown in the portal.
    pub description: Option<String>,
    /// Status codes, with what they mean.
    pub responses: Vec<(u16, String)>,
}

const FIELDS: [&str; 6] = [
    "id",
    "method",
    "urlTemplate",
    "displayName",
    "description",
    "responses",
];

/// Reads `[{id, method, urlTemplate, displayName, description, responses}]`.
/// `place` is the path of problems.
pub(crate) fn read(value: &Value, place: &str) -> Result<Vec<Declared>, Vec<Problem>> {
    let Value::Array(items) = value else {
        return Err(vec![Problem::new(
            place,
            "expected a list of operations, as `[{id: listItems, method: GET, urlTemplate: /items}]`",
        )]);
    };
    if items.is_empty() {
        return Err(vec![Problem::new(
            place,
            "is an empty list, and an API without operations answers nothing; add one, or remove it to have everything passed on",
        )]);
    }
    let mut reader = Reader {
        place,
        problems: Vec::new(),
    };
    let mut declared: Vec<Declared> = Vec::new();
    let mut ids = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let Some(operation) = reader.one(index, item) else {
            continue;
        };
        if !ids.insert(operation.id.to_ascii_lowercase()) {
            let message = format!(
                "`{}` is the id of another operation, too; rename one",
                operation.id
            );
            reader.say(&format!("/{index}/id"), message);
        }
        declared.push(operation);
    }
    if reader.problems.is_empty() {
        Ok(declared)
    } else {
        Err(reader.problems)
    }
}

struct Reader<'a> {
    place: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn say(&mut self, pointer: &str, message: impl Into<String>) {
        let path = format!("{} {pointer}", self.place);
        self.problems.push(Problem::new(path, message));
    }

    fn one(&mut self, index: usize, item: &Value) -> Option<Declared> {
        let before = self.problems.len();
        let at = format!("/{index}");
        let Value::Object(fields) = item else {
            self.say(
                &at,
                "expected an object with `id`, `method` and `urlTemplate`",
            );
            return None;
        };
        for field in fields
            .keys()
            .filter(|field| !FIELDS.contains(&field.as_str()))
        {
            let hint = did_you_mean(field, FIELDS);
            self.say(
                &at,
                format!(
                    "holds `{}`, which is no field of an operation{hint}",
                    shown(field)
                ),
            );
        }
        let id = self.required(&at, fields, "id", "a name such as `listItems`");
        let id = id.filter(|id| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let good = id.len() <= 76
                && id.chars().all(plain)
                && id.chars().any(|c| c.is_ascii_alphanumeric());
            if !good {
                self.say(
                    &format!("{at}/id"),
                    format!(
                        "`{}` cannot be an id: write at most 76 letters, digits, `-`, `_` and `.`",
                        shown(id)
                    ),
                );
            }
            good
        });
        let method = self.required(&at, fields, "method", "a method such as `GET`");
        let method = method.and_then(|text| {
            let lower = text.to_ascii_lowercase();
            let known = METHODS.into_iter().find(|method| *method == lower);
            if known.is_none() {
                let names = METHODS.map(str::to_ascii_uppercase);
                self.say(
                    &format!("{at}/method"),
                    format!(
                        "`{}` is no method; write one of {}",
                        shown(&text),
                        names.join(", ")
                    ),
                );
            }
            known
        });
        let template = self.required(&at, fields, "urlTemplate", "a path such as `/items/{id}`");
        let template = template.filter(|template| match wrong(template) {
            None => true,
            Some(message) => {
                self.say(&format!("{at}/urlTemplate"), message);
                false
            }
        });
        let display_name = self.text(&at, fields, "displayName");
        let description = self.text(&at, fields, "description");
        let responses = self.responses(&at, fields.get("responses"));
        match (id, method, template) {
            (Some(id), Some(method), Some(url_template)) if self.problems.len() == before => {
                Some(Declared {
                    id,
                    method,
                    url_template,
                    display_name,
                    description,
                    responses,
                })
            }
            _ => None,
        }
    }

    fn text(&mut self, at: &str, fields: &Map<String, Value>, name: &str) -> Option<String> {
        match fields.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.trim().is_empty() => None,
            Some(Value::String(text)) => Some(text.trim().to_owned()),
            Some(_) => {
                self.say(&format!("{at}/{name}"), "expected a text");
                None
            }
        }
    }

    fn required(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        name: &str,
        meaning: &str,
    ) -> Option<String> {
        let before = self.problems.len();
        let text = self.text(at, fields, name);
        if text.is_none() && self.problems.len() == before {
            self.say(
                &format!("{at}/{name}"),
                format!("is missing; write {meaning}"),
            );
        }
        text
    }

    /// `[200, 404]`, or as API Management has them:
    /// `[{statusCode: 200, description: The items}]`.
    fn responses(&mut self, at: &str, value: Option<&Value>) -> Vec<(u16, String)> {
        let items = match value {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.say(
                    &format!("{at}/responses"),
                    "expected a list such as `[200, 404]`",
                );
                return Vec::new();
            }
        };
        let mut responses = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let (code, description) = match item {
                Value::Object(fields) => (
                    fields.get("statusCode").and_then(Value::as_u64),
                    fields.get("description").and_then(Value::as_str),
                ),
                other => (other.as_u64(), None),
            };
            let code = code.and_then(|code| u16::try_from(code).ok());
            match code.filter(|code| (100..600).contains(code)) {
                Some(code) if responses.iter().any(|(known, _)| *known == code) => {
                    self.say(&format!("{at}/responses/{index}"), format!("{code} is there twice"));
                }
                Some(code) => responses.push((code, description.unwrap_or_default().to_owned())),
                None => self.say(
                    &format!("{at}/responses/{index}"),
                    "expected a status code from 100 to 599, or `{statusCode: 200, description: …}`",
                ),
            }
        }
        responses
    }
}

/// Why a template is none.
fn wrong(template: &str) -> Option<String> {
    let (path, query) = split(template);
    if !path.starts_with('/') {
        return Some("a template begins with `/`".to_owned());
    }
    if template.contains(['#', ' ', '\\']) || template.chars().any(char::is_control) {
        return Some(format!("`{}` holds what no URL may", shown(template)));
    }
    if template_names(path).is_none() {
        return Some(
            "the braces of its parameters do not match; a parameter is written `{name}`".to_owned(),
        );
    }
    query
        .into_iter()
        .find(|pair| parameter(pair).is_none())
        .map(|pair| {
            format!(
                "`{}` of its query is no parameter; one is written `name={{name}}`",
                shown(pair)
            )
        })
}

fn split(template: &str) -> (&str, Vec<&str>) {
    match template.split_once('?') {
        Some((path, query)) => (path, query.split('&').collect()),
        None => (template, Vec::new()),
    }
}

/// The name in `name={name}`.
fn parameter(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=')?;
    let inner = value.strip_prefix('{')?.strip_suffix('}')?;
    (inner == name && !name.is_empty()).then_some(name)
}

/// The document that says what was declared. Its parameters are those of the
/// templates.
pub(crate) fn document(title: &str, declared: &[Declared]) -> Result<Document, OpenApiError> {
    let mut paths: Map<String, Value> = Map::new();
    for operation in declared {
        let (path, query) = split(&operation.url_template);
        let text = json!({"type": "string"});
        let names = template_names(path).unwrap_or_default();
        let in_path = names.into_iter().map(|name| ("path", name));
        let in_query = query
            .iter()
            .filter_map(|pair| Some(("query", parameter(pair)?)));
        let parameters: Vec<Value> = in_path
            .chain(in_query)
            .map(|(place, name)| json!({"name": name, "in": place, "required": true, "schema": text}))
            .collect();
        let mut responses: Map<String, Value> = operation
            .responses
            .iter()
            .map(|(code, description)| (code.to_string(), json!({"description": description})))
            .collect();
        if responses.is_empty() {
            responses.insert(
                "default".to_owned(),
                json!({"description": "The answer of the implementation."}),
            );
        }
        let mut item = json!({"operationId": operation.id, "responses": responses});
        if !parameters.is_empty() {
            item["parameters"] = parameters.into();
        }
        if let Some(name) = &operation.display_name {
            item["summary"] = name.clone().into();
        }
        if let Some(description) = &operation.description {
            item["description"] = description.clone().into();
        }
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        if methods.get(operation.method).is_some() {
            return Err(twice(path, operation.method));
        }
        methods[operation.method] = item;
    }
    super::read_value(&json!({
        "openapi": "3.0.3",
        "info": {"title": title, "version": "1.0"},
        "paths": paths,
    }))
}

/// One path holds each method once, whatever the queries are.
fn twice(path: &str, method: &str) -> OpenApiError {
    let pointer = super::pointer::step(&super::pointer::step("/paths", path), method);
    let finding = super::Finding {
        pointer,
        message: "two operations have this method and path; remove one".to_owned(),
    };
    match super::Findings::check(vec![finding]) {
        Err(findings) => OpenApiError::Refused(findings),
        Ok(()) => OpenApiError::Empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> Result<Vec<Declared>, Vec<String>> {
        let value = crate::annotations::yaml::read(text).unwrap();
        read(&value, "operations").map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    const LIST: &str = "
- {id: listItems, method: get, urlTemplate: '/items?unit={unit}', displayName: All items, responses: [200]}
- id: getItem
  method: GET
  urlTemplate: /items/{id}
  description: One of them.
  responses:
    - {statusCode: 200, description: The item}
    - {statusCode: 404, description: There is none}
- {id: anything, method: POST, urlTemplate: /*}
";

    #[test]
    fn a_document_is_made_of_what_is_declared() {
        let document = document("Stock", &declared(LIST).unwrap()).unwrap();
        insta::assert_json_snapshot!(document.value);
        let operations: Vec<String> = document
            .operations()
            .iter()
            .map(|operation| {
                format!(
                    "{} {} {}",
                    operation.id, operation.method, operation.url_template
                )
            })
            .collect();
        assert_eq!(
            operations,
            [
                "listitems GET /items?unit={unit}",
                "getitem GET /items/{id}",
                "anything POST /*"
            ]
        );
        assert_eq!(document.to_import().unwrap().notes, [""; 0]);
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let told = declared(
            "
- {id: listItems, method: FETCH, urlTemplate: items, response: [200]}
- {method: GET, urlTemplate: '/items/{id'}
- {id: 'a b', method: GET, urlTemplate: '/x?y=1', responses: [20, 200, 200]}
- {id: same, method: GET, urlTemplate: /a}
- {id: SAME, method: PUT, urlTemplate: /a}
- 7
",
        );
        insta::assert_snapshot!(told.unwrap_err().join("\n"));
    }

    #[test]
    fn what_is_no_list_or_an_empty_one_is_refused() {
        assert!(declared("{}").unwrap_err()[0].starts_with("operations: expected a list"));
        assert!(declared("[]").unwrap_err()[0].starts_with("operations: is an empty list"));
    }

    #[test]
    fn one_path_holds_each_method_once() {
        let list = "[{id: a, method: GET, urlTemplate: '/x?p={p}'}, {id: b, method: GET, urlTemplate: /x}]";
        let error = document("Stock", &declared(list).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "API Management would refuse the OpenAPI document: /paths/~1x/get: two operations have this method and path; remove one"
        );
    }
}
