//! From text to a JSON tree, with the service's words for what is no document.

use serde_json::Value;

use super::{ImportFormat, ImportProblem};

/// Parses the text and looks at the version that it says it has.
pub(super) fn read(format: ImportFormat, value: &str) -> Result<Value, Vec<ImportProblem>> {
    let value = value.strip_prefix('\u{feff}').unwrap_or(value);
    let refuse = |problem: String| {
        vec![
            ImportProblem::parsing(problem),
            ImportProblem::parsing(not_valid(format)),
        ]
    };
    let document: Value = match format {
        ImportFormat::SwaggerJson | ImportFormat::OpenApiJson => {
            serde_json::from_str(value).map_err(|error| refuse(json_problem(value, &error)))?
        }
        ImportFormat::OpenApi => yaml(value).map_err(refuse)?,
    };
    let (field, accepted): (&str, &[&str]) = match format {
        ImportFormat::SwaggerJson => ("swagger", &["2.0"]),
        ImportFormat::OpenApi | ImportFormat::OpenApiJson => ("openapi", &["3.0.", "3.1."]),
    };
    let version = document.get("swagger").or_else(|| document.get("openapi"));
    let supported = document
        .get(field)
        .and_then(Value::as_str)
        .is_some_and(|version| accepted.iter().any(|prefix| version.starts_with(prefix)));
    if supported {
        return Ok(document);
    }
    let version = match version {
        Some(Value::String(version)) => version.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    Err(refuse(format!(
        "OpenAPI specification version '{version}' is not supported."
    )))
}

/// The sentence that closes every list of parsing errors.
pub(super) fn not_valid(format: ImportFormat) -> String {
    const REPOSITORY: &str = "https://github.com/OAI/OpenAPI-Specification/blob/master";
    let (version, schema) = match format {
        ImportFormat::SwaggerJson => ("2.0", "v2.0/schema.json"),
        ImportFormat::OpenApi | ImportFormat::OpenApiJson => ("3.0.1", "v3.0/schema.yaml"),
    };
    format!(
        "The input OpenAPI file is not valid for the OpenAPI specification {REPOSITORY}/versions/{version}.md (schema {REPOSITORY}/schemas/{schema})."
    )
}

fn yaml(value: &str) -> Result<Value, String> {
    // The bounds follow from the size of the largest documents, not from the
    // library's defaults, which are meant for configuration files.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: 4_000_000,
            max_events: 10_000_000,
            max_depth: 128,
        },
    };
    serde_saphyr::from_str_with_options(value, options).map_err(|error| {
        let reason = error.without_snippet().to_string();
        let Some(location) = error.location() else {
            return reason;
        };
        let (line, column) = (
            location.line().saturating_sub(1),
            location.column().saturating_sub(1),
        );
        format!("{}: {}", mark(value, line, column), sentence(&reason))
    })
}

fn json_problem(value: &str, error: &serde_json::Error) -> String {
    let line = u64::try_from(error.line())
        .unwrap_or(u64::MAX)
        .saturating_sub(1);
    let column = u64::try_from(error.column())
        .unwrap_or(u64::MAX)
        .saturating_sub(1);
    let text = error.to_string();
    format!("{}: {}", mark(value, line, column), sentence(&text))
}

/// `(Lin: 1, Col: 11, Chr: 16) - (Lin: 1, Col: 11, Chr: 16)`: line and column
/// from 0, and the character in the whole text.
fn mark(value: &str, line: u64, column: u64) -> String {
    let before: u64 = value
        .split_inclusive('\n')
        .take(usize::try_from(line).unwrap_or(usize::MAX))
        .map(|line| line.chars().map(|_| 1).sum::<u64>())
        .sum();
    let mark = format!("(Lin: {line}, Col: {column}, Chr: {})", before + column);
    format!("{mark} - {mark}")
}

/// The first letter in capitals and a full stop, as the service writes, and
/// without the place that both libraries put at the end.
fn sentence(reason: &str) -> String {
    let reason = reason.split(" at line ").next().unwrap_or(reason);
    let mut letters = reason.trim().trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), letters.as_str())
    })
}
