//! The OpenAPI document of an API: read, checked, and made ready for an import
//! into API Management.
//!
//! Two documents meet here: what the author wrote ([`Document`]), and what
//! API Management gets ([`Import`]). They are the same text wherever that is
//! possible. The rules are those of the import as Microsoft documents it
//! ("API import restrictions and known issues").

pub(crate) mod declared;
mod downgrade;
mod error;
mod fix;
mod import;
mod lint;
mod operations;
mod parse;
mod places;
mod pointer;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Value, json};
use url::Url;

pub use self::declared::Declared;
pub use self::error::{Finding, Findings, OpenApiError};
pub use self::fix::{Fixed, fix};
pub use self::import::{Import, MAX_INLINE};
pub use self::lint::{Lint, Rule, Severity, lint};
use self::operations::Pin;
pub use self::places::Place;
use crate::desired::Operation;

/// The specification that a document follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecVersion {
    /// Swagger 2.0.
    Swagger20,
    /// OpenAPI 3.0.x.
    OpenApi30,
    /// OpenAPI 3.1.x.
    OpenApi31,
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Swagger20 => "Swagger 2.0",
            Self::OpenApi30 => "OpenAPI 3.0",
            Self::OpenApi31 => "OpenAPI 3.1",
        })
    }
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl fmt::Display for TextFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        })
    }
}

/// A document that was read, with operations that an import would make.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    text: String,
    value: Value,
    version: SpecVersion,
    format: TextFormat,
    operations: Vec<Operation>,
    pins: Vec<Pin>,
    notes: Vec<String>,
}

/// Reads Swagger 2.0, OpenAPI 3.0 or 3.1, in JSON or YAML, and refuses what
/// API Management would refuse for a reason that can be known here.
pub fn read(text: &str) -> Result<Document, OpenApiError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (value, format) = parse::parse(text)?;
    Document::new(text.to_owned(), value, format)
}

/// Reads a document that is an object already, as an inline `specification`
/// is.
pub fn read_value(value: &Value) -> Result<Document, OpenApiError> {
    if !parse::is_shallow(value, 0) {
        return Err(OpenApiError::Syntax {
            format: TextFormat::Json,
            line: 1,
            column: 1,
            message: format!(
                "the document is nested deeper than {} levels",
                parse::MAX_DEPTH
            ),
        });
    }
    let text = value.to_string();
    if text.len() > parse::MAX_TEXT {
        return Err(OpenApiError::TooLargeToRead {
            bytes: text.len(),
            limit: parse::MAX_TEXT,
        });
    }
    Document::new(text, value.clone(), TextFormat::Json)
}

/// The document of an API that has none: every path, and every method but
/// OPTIONS, which would take preflight requests away from the `cors` policy.
#[must_use]
pub fn catch_all(title: &str) -> Document {
    let methods = ["get", "post", "put", "patch", "delete", "head"];
    let operations = methods
        .iter()
        .map(|method| Operation {
            id: format!("any-{method}"),
            operation_id: Some(format!("any-{method}")),
            method: method.to_ascii_uppercase(),
            url_template: "/*".into(),
        })
        .collect();
    let item: serde_json::Map<String, Value> = methods
        .iter()
        .map(|method| {
            let operation = json!({
                "operationId": format!("any-{method}"),
                "summary": format!("Any path, {}", method.to_ascii_uppercase()),
                "responses": {"default": {"description": "The answer of the implementation."}},
            });
            ((*method).to_owned(), operation)
        })
        .collect();
    let value = json!({
        "openapi": "3.0.3",
        "info": {"title": title, "version": "1.0"},
        "paths": {"/*": item},
    });
    Document {
        text: value.to_string(),
        value,
        version: SpecVersion::OpenApi30,
        format: TextFormat::Json,
        operations,
        pins: Vec::new(),
        notes: Vec::new(),
    }
}

impl Document {
    fn new(text: String, value: Value, format: TextFormat) -> Result<Self, OpenApiError> {
        let version = version_of(&value)?;
        let extracted = operations::extract(&value, version);
        Findings::check(extracted.findings).map_err(OpenApiError::Refused)?;
        let mut notes = extracted.notes;
        notes.extend(import::ignored(&value));
        Ok(Self {
            text,
            value,
            version,
            format,
            operations: extracted.operations,
            pins: extracted.pins,
            notes,
        })
    }

    /// The specification that it follows.
    #[must_use]
    pub const fn version(&self) -> SpecVersion {
        self.version
    }

    /// How it is written.
    #[must_use]
    pub const fn format(&self) -> TextFormat {
        self.format
    }

    /// `info.title`, unless empty.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.info("title")
    }

    /// `info.description`, unless empty.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.info("description")
    }

    fn info(&self, field: &str) -> Option<&str> {
        let text = self.value.get("info")?.get(field)?.as_str()?.trim();
        Some(text).filter(|text| !text.is_empty())
    }

    /// The whole of `info`.
    #[must_use]
    pub fn whole_info(&self) -> &Value {
        self.value.get("info").unwrap_or(&Value::Null)
    }

    /// Where the document says that the API is: `servers` with the defaults of
    /// their variables, or what `schemes`, `host` and `basePath` make
    /// (`https` where Swagger 2.0 names no scheme; nothing without a host).
    /// They may be relative.
    #[must_use]
    pub fn servers(&self) -> Vec<String> {
        match self.version {
            SpecVersion::Swagger20 => swagger_servers(&self.value),
            SpecVersion::OpenApi30 | SpecVersion::OpenApi31 => self
                .value
                .get("servers")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(server_url)
                .collect(),
        }
    }

    /// The first server that is an absolute `https` URL without user
    /// information.
    #[must_use]
    pub fn first_https_server(&self) -> Option<Url> {
        self.servers()
            .iter()
            .filter_map(|server| Url::parse(server).ok())
            .find(|url| {
                url.scheme() == "https"
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
            })
    }

    /// The operations that the import makes, in the order of the document,
    /// with the ids that they get in API Management.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.operations.clone()
    }

    /// Whether an operation answers OPTIONS: such a one takes preflight
    /// requests away from a `cors` policy.
    #[must_use]
    pub fn has_options_operations(&self) -> bool {
        self.operations
            .iter()
            .any(|operation| operation.method == "OPTIONS")
    }

    /// What is sent to API Management.
    pub fn to_import(&self) -> Result<Import, OpenApiError> {
        import::import(self)
    }
}

fn version_of(value: &Value) -> Result<SpecVersion, OpenApiError> {
    let Value::Object(fields) = value else {
        let found = match value {
            Value::Null => "empty",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        return Err(OpenApiError::NotAnObject { found });
    };
    // YAML authors write `swagger: 2.0` without quotes, which is a number.
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let starts = |version: &str, family: &str| {
        version
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if let Some(version) = fields.get("openapi").map(text) {
        return match () {
            () if starts(&version, "3.0") => Ok(SpecVersion::OpenApi30),
            () if starts(&version, "3.1") => Ok(SpecVersion::OpenApi31),
            () => Err(OpenApiError::UnsupportedVersion {
                field: "openapi",
                value: version.chars().take(40).collect(),
            }),
        };
    }
    match fields.get("swagger").map(text) {
        Some(version) if version == "2.0" || version == "2" => Ok(SpecVersion::Swagger20),
        Some(version) => Err(OpenApiError::UnsupportedVersion {
            field: "swagger",
            value: version.chars().take(40).collect(),
        }),
        None => Err(OpenApiError::NoVersion),
    }
}

fn swagger_servers(value: &Value) -> Vec<String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let host = text("host");
    if host.is_empty() {
        return Vec::new();
    }
    let path = match text("basePath") {
        "" => String::new(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    let named: Vec<&str> = value
        .get("schemes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let schemes = if named.is_empty() {
        vec!["https"]
    } else {
        named
    };
    schemes
        .iter()
        .map(|scheme| format!("{scheme}://{host}{path}"))
        .collect()
}

fn server_url(server: &Value) -> Option<String> {
    let mut url = server.get("url")?.as_str()?.to_owned();
    let variables = server.get("variables").and_then(Value::as_object);
    for (name, variable) in variables.into_iter().flatten() {
        let default = match variable.get("default") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        url = url.replace(&format!("{{{name}}}"), &default);
        // A default may hold another variable; a hostile document could make
        // the text grow without end.
        if url.len() > 4096 {
            return None;
        }
    }
    Some(url)
}
