//! Operations of a document, as resources.

use std::collections::HashSet;

use serde_json::Value;

use super::parameters::{Place, parameters, resolve};
use super::resource_names::{Names, normalise};
use super::{ImportProblem, ImportedBody, ImportedOperation, ImportedParameter, ImportedResponse};

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// The longest display name of the operation contract, in characters.
const LONGEST_NAME: usize = 300;

/// The longest description of the operation contract, in characters.
const LONGEST_DESCRIPTION: usize = 1000;

/// The longest URL template of the operation contract, in characters.
const LONGEST_TEMPLATE: usize = 1000;

/// All operations, in the order of the document.
pub(super) fn operations(
    document: &Value,
    swagger: bool,
) -> Result<Vec<ImportedOperation>, Vec<ImportProblem>> {
    let mut names = Names::default();
    let mut met = HashSet::new();
    let mut problems = Vec::new();
    let mut imported = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let Some(item) = resolve(document, item) else {
            continue;
        };
        for (method, operation) in item.as_object().into_iter().flatten() {
            if path.starts_with("x-") || !METHODS.contains(&method.as_str()) {
                continue;
            }
            let site = Site {
                document,
                swagger,
                path,
                method,
                item,
                operation,
            };
            match site.import(&mut names) {
                Ok(operation) => {
                    if met.insert((
                        operation.method.clone(),
                        comparable(&operation.url_template),
                    )) {
                        imported.push(operation);
                    } else {
                        problems.push(ImportProblem {
                            target: Some("urlTemplate".to_owned()),
                            message: format!(
                                "Operation with the same method and URL template already exists: {}, {}",
                                operation.method, operation.url_template
                            ),
                        });
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() {
        Ok(imported)
    } else {
        Err(problems)
    }
}

/// One operation and what stands around it.
struct Site<'d> {
    document: &'d Value,
    swagger: bool,
    path: &'d str,
    method: &'d str,
    item: &'d Value,
    operation: &'d Value,
}

impl Site<'_> {
    fn import(&self, names: &mut Names) -> Result<ImportedOperation, ImportProblem> {
        let own_id = self.operation["operationId"]
            .as_str()
            .filter(|id| !normalise(id).is_empty());
        let name = own_id.map_or_else(
            || normalise(&format!("{}-{}", self.method, self.path)),
            normalise,
        );
        let id = names.take(&name).ok_or_else(|| {
            ImportProblem::parsing(format!(
                "More than 999 operations have the identifier '{name}'."
            ))
        })?;
        let method = self.method.to_uppercase();
        let display_name = self.operation["summary"]
            .as_str()
            .filter(|summary| !summary.trim().is_empty())
            .or(own_id)
            .map_or_else(|| format!("{} - {method}", self.path), str::to_owned);
        let declared = parameters(self.document, self.item, self.operation);
        let of = |place: Place| {
            declared
                .iter()
                .filter(move |(at, _)| *at == place)
                .map(|(_, parameter)| parameter.clone())
        };
        let (required, optional): (Vec<_>, Vec<_>) =
            of(Place::Query).partition(|parameter| parameter.required);
        let template_parameters = self.template_parameters(
            &display_name,
            &of(Place::Path).collect::<Vec<_>>(),
            &required,
        )?;
        let url_template = self.url_template(&required);
        if url_template.chars().count() > LONGEST_TEMPLATE {
            return Err(ImportProblem {
                target: Some("urlTemplate".to_owned()),
                message: format!(
                    "The URL template of operation '{id}' must be at most {LONGEST_TEMPLATE} characters long."
                ),
            });
        }
        Ok(ImportedOperation {
            id,
            display_name: cut(&display_name, LONGEST_NAME),
            url_template,
            description: self.operation["description"]
                .as_str()
                .map(|text| cut(text, LONGEST_DESCRIPTION)),
            template_parameters,
            query_parameters: optional,
            headers: of(Place::Header).collect(),
            request_content_types: self.request_content_types(&method, &declared),
            request_bodies: self.request_bodies(&method, &declared),
            responses: self.responses(),
            method,
        })
    }

    /// The parameters of the template. It names each that is declared, and each
    /// that it names is declared.
    fn template_parameters(
        &self,
        name: &str,
        declared: &[ImportedParameter],
        required: &[ImportedParameter],
    ) -> Result<Vec<ImportedParameter>, ImportProblem> {
        let names = template_names(self.path);
        let in_path = |parameter: &ImportedParameter| names.contains(&parameter.name.as_str());
        let mut found: Vec<ImportedParameter> = names
            .iter()
            .filter_map(|name| declared.iter().find(|parameter| parameter.name == *name))
            .cloned()
            .collect();
        if found.len() != names.len() || !declared.iter().all(in_path) {
            return Err(ImportProblem {
                // The service leaves the target of this one empty.
                target: Some(String::new()),
                message: format!(
                    "All template parameters used in the UriTemplate must be defined in the Operation '{name}', and vice-versa."
                ),
            });
        }
        for parameter in required {
            if found
                .iter()
                .any(|known| known.name.eq_ignore_ascii_case(&parameter.name))
            {
                return Err(ImportProblem {
                    target: Some("urlTemplate".to_owned()),
                    message: format!(
                        "Required parameters across both path and query must have unique names: '{}' is there twice in the Operation '{name}'.",
                        parameter.name
                    ),
                });
            }
            found.push(parameter.clone());
        }
        Ok(found)
    }

    fn url_template(&self, required: &[ImportedParameter]) -> String {
        let mut template = self.path.to_owned();
        for (index, parameter) in required.iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            template.push(separator);
            template.push_str(&parameter.name);
            template.push_str("={");
            template.push_str(&parameter.name);
            template.push('}');
        }
        template
    }

    fn request_content_types(
        &self,
        method: &str,
        declared: &[(Place, ImportedParameter)],
    ) -> Vec<String> {
        if matches!(method, "GET" | "HEAD" | "OPTIONS") {
            return Vec::new();
        }
        if !self.swagger {
            return resolve(self.document, &self.operation["requestBody"])
                .map(content_types)
                .unwrap_or_default();
        }
        if !declared
            .iter()
            .any(|(place, _)| matches!(place, Place::Body | Place::Form))
        {
            return Vec::new();
        }
        self.media_types("consumes")
    }

    fn request_bodies(
        &self,
        method: &str,
        declared: &[(Place, ImportedParameter)],
    ) -> Vec<ImportedBody> {
        let types = self.request_content_types(method, declared);
        if !self.swagger {
            let body = resolve(self.document, &self.operation["requestBody"]);
            return self.bodies(body, &types);
        }
        let lists = [&self.operation["parameters"], &self.item["parameters"]];
        let body = lists
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(|parameter| resolve(self.document, parameter))
            .find(|parameter| parameter["in"] == "body");
        self.bodies(body, &types)
    }

    /// What a request body or response says of its content types.
    fn bodies(&self, holder: Option<&Value>, types: &[String]) -> Vec<ImportedBody> {
        let Some(holder) = holder else {
            return Vec::new();
        };
        types
            .iter()
            .map(|content_type| {
                // Swagger has one schema for all content types.
                let media = if self.swagger {
                    holder
                } else {
                    &holder["content"][content_type]
                };
                let mut examples = Vec::new();
                let single = if self.swagger {
                    &holder["examples"][content_type]
                } else {
                    &media["example"]
                };
                if !single.is_null() {
                    examples.push(("default".to_owned(), single.clone()));
                }
                if !self.swagger {
                    for (name, example) in media["examples"].as_object().into_iter().flatten() {
                        let value = resolve(self.document, example)
                            .map_or(Value::Null, |example| example["value"].clone());
                        examples.push((name.clone(), value));
                    }
                }
                ImportedBody {
                    content_type: content_type.clone(),
                    schema: media["schema"].clone(),
                    examples,
                }
            })
            .collect()
    }

    fn responses(&self) -> Vec<ImportedResponse> {
        self.operation["responses"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(status, response)| {
                let response = resolve(self.document, response)?;
                let content_types = if !self.swagger {
                    content_types(response)
                } else if response.get("schema").is_some() {
                    self.media_types("produces")
                } else {
                    Vec::new()
                };
                Some(ImportedResponse {
                    status_code: status.parse().ok()?,
                    description: response["description"].as_str().map(str::to_owned),
                    bodies: self.bodies(Some(response), &content_types),
                    content_types,
                })
            })
            .collect()
    }

    /// `consumes` or `produces` of the operation, else of the document.
    fn media_types(&self, field: &str) -> Vec<String> {
        self.operation
            .get(field)
            .or_else(|| self.document.get(field))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }
}

fn content_types(value: &Value) -> Vec<String> {
    value["content"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

/// The names in `{…}` of a path.
fn template_names(path: &str) -> Vec<&str> {
    path.split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name)
        .collect()
}

/// Templates that match the same requests are equal: case and the names of
/// parameters do not tell them apart.
fn comparable(template: &str) -> String {
    let mut comparable = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        comparable.push_str(&before.to_lowercase());
        comparable.push_str("{}");
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    comparable.push_str(&rest.to_lowercase());
    comparable
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}
