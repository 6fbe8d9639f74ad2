//! What API Management makes of an OpenAPI document: the operations, their
//! resource names and URL templates, the backend address and the schemas.
//!
//! Swagger 2.0 is read from JSON only; OpenAPI 3.0 from JSON and YAML; 3.1 as
//! far as it holds nothing that 3.0 does not have. Rules and messages are those
//! of the service's page on import restrictions and of its recorded answers.

mod operations;
mod parameters;
mod read;
mod resource_names;
mod strict;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// The largest document that may stand inline in an ARM request, in bytes.
pub const INLINE_LIMIT: usize = 4 * 1024 * 1024;

/// The `format` of an imported document, after links are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// `swagger-json`, `swagger-link-json`: Swagger 2.0 in JSON.
    SwaggerJson,
    /// `openapi`, `openapi-link`: OpenAPI 3 in YAML, of which JSON is a part.
    OpenApi,
    /// `openapi+json`, `openapi+json-link`: OpenAPI 3 in JSON.
    OpenApiJson,
}

impl ImportFormat {
    /// The format of an ARM string, and whether its `value` is a link that the
    /// caller has to fetch; `None` for formats that are not OpenAPI.
    #[must_use]
    pub fn from_arm(format: &str) -> Option<(Self, bool)> {
        match format {
            "swagger-json" => Some((Self::SwaggerJson, false)),
            "swagger-link-json" => Some((Self::SwaggerJson, true)),
            "openapi" => Some((Self::OpenApi, false)),
            "openapi-link" => Some((Self::OpenApi, true)),
            "openapi+json" => Some((Self::OpenApiJson, false)),
            "openapi+json-link" => Some((Self::OpenApiJson, true)),
            _ => None,
        }
    }
}

/// One reason why a document is refused: an entry of the ARM error's `details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportProblem {
    /// The field, `representation` for the document itself.
    pub target: Option<String>,
    /// The sentence as the service words it.
    pub message: String,
}

impl ImportProblem {
    fn parsing(message: impl std::fmt::Display) -> Self {
        Self {
            target: Some("representation".to_owned()),
            message: format!("Parsing error(s): {message}"),
        }
    }
}

/// A document as the service would store it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedApi {
    /// `info.title`.
    pub display_name: Option<String>,
    /// `info.description`.
    pub description: Option<String>,
    /// The first https server, else the first http one.
    pub service_url: Option<String>,
    /// In the order of the document.
    pub operations: Vec<ImportedOperation>,
    /// `components.schemas`, or `definitions` of Swagger 2.0; `Null` if absent.
    pub schemas: Value,
}

/// One operation of an imported API.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedOperation {
    /// The resource name, by [`ImportedApi`]'s rules for `operationId`.
    pub id: String,
    /// `summary`, else `operationId`, else path and method; at most 300 characters.
    pub display_name: String,
    /// The HTTP method in capitals.
    pub method: String,
    /// The path with the required query parameters: `/pets/{id}?kind={kind}`.
    pub url_template: String,
    /// At most 1000 characters.
    pub description: Option<String>,
    /// What the URL template names, in its order.
    pub template_parameters: Vec<ImportedParameter>,
    /// Query parameters that are not required.
    pub query_parameters: Vec<ImportedParameter>,
    /// Header parameters.
    pub headers: Vec<ImportedParameter>,
    /// Content types of the request body; none for GET, HEAD and OPTIONS,
    /// whose bodies are dropped.
    pub request_content_types: Vec<String>,
    /// What the document says of each of these.
    pub request_bodies: Vec<ImportedBody>,
    /// Responses with a numeric status code.
    pub responses: Vec<ImportedResponse>,
}

/// A body of one content type.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedBody {
    /// Its content type.
    pub content_type: String,
    /// Its schema as it stands there; `Null` if absent.
    pub schema: Value,
    /// Examples by name.
    pub examples: Vec<(String, Value)>,
}

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedParameter {
    /// Its name.
    pub name: String,
    /// Its schema's type, `string` where there is none.
    pub type_name: String,
    /// Whether a caller must send it.
    pub required: bool,
    /// Its description.
    pub description: Option<String>,
    /// Its default, as text.
    pub default_value: Option<String>,
    /// Its enumeration, as texts.
    pub values: Vec<String>,
}

/// A response of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedResponse {
    /// The status code.
    pub status_code: u16,
    /// Its description.
    pub description: Option<String>,
    /// The content types it may have.
    pub content_types: Vec<String>,
    /// What the document says of each of these.
    pub bodies: Vec<ImportedBody>,
}

/// Imports a document that stands inline in the request.
///
/// # Errors
/// Every problem found, in the order of the document.
pub fn import(format: ImportFormat, value: &str) -> Result<ImportedApi, Vec<ImportProblem>> {
    if value.len() > INLINE_LIMIT {
        return Err(vec![ImportProblem::parsing(format!(
            "The size of the document, {} bytes, exceeds the limit of {INLINE_LIMIT} bytes for an inline import. Import it by link.",
            value.len()
        ))]);
    }
    import_linked(format, value)
}

/// Imports a document that a link led to, which has no size limit.
///
/// # Errors
/// As [`import`].
pub fn import_linked(format: ImportFormat, value: &str) -> Result<ImportedApi, Vec<ImportProblem>> {
    let document = read::read(format, value)?;
    let swagger = format == ImportFormat::SwaggerJson;
    let mut problems = strict::check(&document, swagger);
    if !problems.is_empty() {
        problems.push(ImportProblem::parsing(read::not_valid(format)));
        return Err(problems);
    }
    let operations = operations::operations(&document, swagger)?;
    let text = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let schemas = if swagger {
        "/definitions"
    } else {
        "/components/schemas"
    };
    Ok(ImportedApi {
        display_name: text("/info/title"),
        description: text("/info/description"),
        service_url: if swagger {
            swagger_url(&document)
        } else {
            server_url(&document)
        },
        operations,
        schemas: document.pointer(schemas).cloned().unwrap_or(Value::Null),
    })
}

/// `servers` of OpenAPI 3 with the defaults of their variables filled in.
fn server_url(document: &Value) -> Option<String> {
    let urls: Vec<String> = document["servers"]
        .as_array()?
        .iter()
        .filter_map(|server| {
            let mut url = server["url"].as_str()?.to_owned();
            for (name, variable) in server["variables"].as_object().into_iter().flatten() {
                let default = variable["default"].as_str().unwrap_or("");
                url = url.replace(&format!("{{{name}}}"), default);
            }
            Some(url)
        })
        .collect();
    let first = |scheme: &str| urls.iter().find(|url| url.starts_with(scheme)).cloned();
    first("https://").or_else(|| first("http://"))
}

/// `schemes`, `host` and `basePath` of Swagger 2.0.
fn swagger_url(document: &Value) -> Option<String> {
    let host = document["host"].as_str().filter(|host| !host.is_empty())?;
    let schemes: Vec<&str> = document["schemes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let scheme = if schemes.is_empty() || schemes.contains(&"https") {
        "https"
    } else {
        "http"
    };
    let base = document["basePath"]
        .as_str()
        .unwrap_or("")
        .trim_end_matches('/');
    Some(format!("{scheme}://{host}{base}"))
}
