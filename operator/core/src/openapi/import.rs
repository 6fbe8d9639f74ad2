//! What API Management gets: the author's text where it can read it, else JSON
//! that says the same.

use serde_json::Value;

use super::error::OpenApiError;
use super::pointer::{Target, each_reference, follow, step};
use super::{Document, SpecVersion, TextFormat, downgrade};
use crate::desired::ImportFormat;
use crate::names::ContentHash;

/// The longest inline document, in bytes of UTF-8. Azure documents "4 MB" and
/// counts in powers of two elsewhere, so 4 MiB; the text is counted, not its
/// JSON escape in the request.
pub const MAX_INLINE: usize = 4 * 1024 * 1024;

/// A document as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// How API Management reads `value`.
    pub format: ImportFormat,
    /// The text. The same for the same document, byte for byte.
    pub value: String,
    /// The hash of the text.
    pub hash: ContentHash,
    /// What is not imported as it was written, for the author to know.
    pub notes: Vec<String>,
    /// Those of them that are about the document as a whole: what is said of
    /// single operations, references and numbers is not among them.
    pub(super) conversions: Vec<String>,
}

pub(super) fn import(document: &Document) -> Result<Import, OpenApiError> {
    let mut notes = document.notes.clone();
    let mut conversions = Vec::new();
    let format = match (document.version, document.format) {
        (SpecVersion::Swagger20, _) => ImportFormat::SwaggerJson,
        (SpecVersion::OpenApi30, TextFormat::Yaml) => ImportFormat::OpenApiYaml,
        (SpecVersion::OpenApi30 | SpecVersion::OpenApi31, _) => ImportFormat::OpenApiJson,
    };
    let value = match why_rewritten(document) {
        None => return finish(format, document.text.clone(), notes, Vec::new()),
        Some(why) => {
            let Rewritten {
                value,
                left_out,
                named,
            } = rewritten(document)?;
            let reason = why.note();
            if !matches!(why, Why::Numbers) {
                conversions.extend(reason.clone());
            }
            conversions.extend(left_out.iter().cloned());
            notes.extend(reason.into_iter().chain(left_out).chain(named));
            value
        }
    };
    let format = match format {
        ImportFormat::OpenApiYaml => ImportFormat::OpenApiJson,
        other => other,
    };
    finish(format, value.to_string(), notes, conversions)
}

fn finish(
    format: ImportFormat,
    value: String,
    notes: Vec<String>,
    conversions: Vec<String>,
) -> Result<Import, OpenApiError> {
    if value.len() > MAX_INLINE {
        return Err(OpenApiError::TooLargeInline {
            bytes: value.len(),
            limit: MAX_INLINE,
        });
    }
    Ok(Import {
        format,
        hash: ContentHash::of(&value),
        value,
        notes,
        conversions,
    })
}

/// Why the author's text is not sent as it is.
enum Why {
    Version31,
    /// A patch of 3.0 after 3.0.3, the last that API Management names.
    LaterPatch,
    SwaggerYaml,
    MergeKeys,
    /// Versions and titles that are numbers where the specification wants texts.
    Numbers,
    Pins,
    Size,
}

impl Why {
    fn note(&self) -> Option<String> {
        let text = match self {
            Self::Version31 => "converted from OpenAPI 3.1 to 3.0.3, which API Management imports",
            Self::LaterPatch => {
                "imported as OpenAPI 3.0.3, the last patch that API Management knows; the later ones only explain it better"
            }
            Self::SwaggerYaml => {
                "converted from YAML to JSON, the only form in which API Management imports Swagger 2.0"
            }
            Self::MergeKeys => {
                "converted from YAML to JSON, because it uses merge keys (`<<`), which YAML 1.2 does not have"
            }
            Self::Numbers => {
                "imported with title and versions as texts, which the specification wants them to be; put them in quotes"
            }
            Self::Size => "sent without its white space, because it is too large otherwise",
            Self::Pins => return None,
        };
        Some(text.to_owned())
    }
}

fn why_rewritten(document: &Document) -> Option<Why> {
    let yaml = document.format == TextFormat::Yaml;
    match document.version {
        SpecVersion::OpenApi31 => return Some(Why::Version31),
        SpecVersion::Swagger20 if yaml => return Some(Why::SwaggerYaml),
        SpecVersion::OpenApi30 if !is_known_patch(document) => return Some(Why::LaterPatch),
        SpecVersion::Swagger20 | SpecVersion::OpenApi30 => {}
    }
    if yaml && document.text.contains("<<") {
        return Some(Why::MergeKeys);
    }
    if TEXTS.iter().any(|pointer| {
        document
            .value
            .pointer(pointer)
            .is_some_and(|value| !value.is_string())
    }) {
        return Some(Why::Numbers);
    }
    if !document.pins.is_empty() {
        return Some(Why::Pins);
    }
    (document.text.len() > MAX_INLINE).then_some(Why::Size)
}

/// What the specifications want to be a text.
pub(super) const TEXTS: [&str; 4] = ["/swagger", "/openapi", "/info/title", "/info/version"];

fn is_known_patch(document: &Document) -> bool {
    let version = document.value.get("openapi").and_then(Value::as_str);
    matches!(version, Some("3.0.0" | "3.0.1" | "3.0.2" | "3.0.3"))
}

/// A document in other words.
struct Rewritten {
    value: Value,
    /// What OpenAPI 3.0 cannot say.
    left_out: Vec<String>,
    /// The operations that were given an id.
    named: Option<String>,
}

/// The document as JSON that API Management reads.
fn rewritten(document: &Document) -> Result<Rewritten, OpenApiError> {
    let mut left_out = Vec::new();
    let mut value = match document.version {
        SpecVersion::OpenApi31 => {
            let (value, said) =
                downgrade::to_30(&document.value).map_err(OpenApiError::NotConvertible)?;
            left_out = said;
            value
        }
        SpecVersion::Swagger20 | SpecVersion::OpenApi30 => document.value.clone(),
    };
    if let Value::Object(fields) = &mut value {
        match document.version {
            SpecVersion::Swagger20 => {
                fields.insert("swagger".into(), "2.0".into());
            }
            SpecVersion::OpenApi30 if !is_known_patch(document) => {
                fields.insert("openapi".into(), "3.0.3".into());
            }
            SpecVersion::OpenApi30 | SpecVersion::OpenApi31 => {}
        }
    }
    // YAML takes `version: 1.0` for a number.
    for pointer in TEXTS {
        if let Some(value) = value.pointer_mut(pointer)
            && !value.is_string()
        {
            *value = Value::String(value.to_string());
        }
    }
    let named = pin(document, &mut value);
    Ok(Rewritten {
        value,
        left_out,
        named,
    })
}

/// Names operations by the ids that they get anyway, where the import would
/// derive them from something that is not theirs alone. Without it a second
/// import does not find the operation again and is refused.
fn pin(document: &Document, value: &mut Value) -> Option<String> {
    let first = document.pins.first()?;
    for pin in &document.pins {
        let operation = value
            .pointer_mut(&step(&step("/paths", &pin.path), pin.method))
            .and_then(Value::as_object_mut);
        if let Some(operation) = operation {
            operation.insert("operationId".into(), pin.id.clone().into());
        }
    }
    Some(format!(
        "{} without an operationId of their own in plain ASCII were given one, the first `{}` ({} {}); give each its own to keep it when paths change",
        counted(document.pins.len(), "operation"),
        first.id,
        first.method.to_ascii_uppercase(),
        first.path,
    ))
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// What an import leaves out or cannot follow, one note for each kind.
pub(super) fn ignored(root: &Value) -> Vec<String> {
    let (mut external, mut dangling) = (Tally::default(), Tally::default());
    each_reference(
        root,
        &mut |pointer, reference| match follow(root, reference) {
            Target::Value(_) => {}
            Target::External => external.add(pointer),
            Target::Dangling => dangling.add(pointer),
        },
    );
    let say = |tally: &Tally, noun: &str, then: &str| {
        tally.first.as_ref().map(|first| {
            format!(
                "{}, the first at {first}: {then}",
                counted(tally.count, noun)
            )
        })
    };
    [
        say(
            &external,
            "reference to another document",
            "API Management does not follow it; bundle the documents into one",
        ),
        say(
            &dangling,
            "reference that leads nowhere",
            "what it should name is not in the document",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[derive(Default)]
struct Tally {
    count: usize,
    first: Option<String>,
}

impl Tally {
    fn add(&mut self, pointer: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| pointer.to_owned());
    }
}
