//! Where an API's document comes from.

use serde_json::Value;
use url::Url;

use super::lenient::{Fields, described, present};
use crate::annotations::nearest::shown;
use crate::problem::Problem;

/// The document of an API, as the object names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specification {
    /// Where it is.
    pub source: SpecificationSource,
    /// Its version, as the object says it.
    pub version: Option<String>,
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecificationSource {
    /// In the object; JSON or YAML.
    Inline(String),
    /// Behind an `http` or `https` URL.
    Url(Url),
}

/// The longest URL that is taken from anyone.
const MAX_URL: usize = 2000;

/// Reads `spec.specification`: `{url, version}`, a list of those, a list of
/// URLs, a URL, or a document as text or as an object.
pub(super) fn read(
    value: Option<&Value>,
    fields: &mut Fields<'_>,
    warnings: &mut Vec<Problem>,
) -> Option<Specification> {
    match present(value)? {
        Value::Array(items) => {
            let there: Vec<(usize, &Value)> = items
                .iter()
                .enumerate()
                .filter_map(|(i, item)| present(Some(item)).map(|item| (i, item)))
                .collect();
            let (index, first) = there.first()?;
            if there.len() > 1 {
                warnings.push(Problem::new(
                    "spec.specification",
                    format!(
                        "lists {} documents; only the first is published. Write one ExposedAPI for each",
                        there.len()
                    ),
                ));
            }
            one(first, &format!("specification[{index}]"), fields)
        }
        value => one(value, "specification", fields),
    }
}

fn one(value: &Value, field: &str, fields: &mut Fields<'_>) -> Option<Specification> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            let source = if is_url(text) {
                SpecificationSource::Url(fields.check(field, url(text))?)
            } else if text.contains(':') {
                SpecificationSource::Inline(text.to_owned())
            } else {
                fields.problem(
                    field,
                    format!("`{}` is neither a URL nor an OpenAPI document", shown(text)),
                );
                return None;
            };
            Some(Specification {
                source,
                version: None,
            })
        }
        Value::Object(object)
            if object.contains_key("openapi") || object.contains_key("swagger") =>
        {
            Some(Specification {
                source: SpecificationSource::Inline(value.to_string()),
                version: None,
            })
        }
        Value::Object(object) => {
            let unknown = object.keys().find(|k| *k != "url" && *k != "version");
            let url_value = present(object.get("url"));
            if let (None, Some(unknown)) = (url_value, unknown) {
                fields.problem(
                    field,
                    format!(
                        "has neither `url` nor the `openapi` or `swagger` of an OpenAPI document, \
                         but `{}`",
                        shown(unknown)
                    ),
                );
                return None;
            }
            let version = match present(object.get("version")) {
                None => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                Some(other) => {
                    let message = format!("expected a text, got {}", described(other));
                    fields.problem(&format!("{field}.version"), message);
                    None
                }
            };
            match url_value? {
                Value::String(text) => Some(Specification {
                    source: SpecificationSource::Url(
                        fields.check(&format!("{field}.url"), url(text.trim()))?,
                    ),
                    version,
                }),
                other => {
                    let message = format!("expected a URL, got {}", described(other));
                    fields.problem(&format!("{field}.url"), message);
                    None
                }
            }
        }
        other => {
            fields.problem(
                field,
                format!(
                    "expected `{{url, version}}`, a URL or an OpenAPI document, got {}",
                    described(other)
                ),
            );
            None
        }
    }
}

/// Whether a text is meant as a URL and not as a document, which has white
/// space or is a JSON object.
pub(crate) fn is_url(text: &str) -> bool {
    !text.contains(char::is_whitespace) && !text.starts_with('{') && text.contains("://")
}

fn url(text: &str) -> Result<Url, String> {
    if text.len() > MAX_URL {
        return Err(format!(
            "the URL has {} characters; at most {MAX_URL} are taken",
            text.len()
        ));
    }
    let url =
        Url::parse(text).map_err(|error| format!("`{}` is not a URL: {error}", shown(text)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "`{}` has the scheme `{}`; only `https` and `http` are fetched",
            shown(text),
            shown(url.scheme())
        ));
    }
    // Not repeated: it may be a real password.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the URL holds a user name or a password; credentials are never sent, publish the \
             document where none are needed"
                .to_owned(),
        );
    }
    Ok(url)
}
