//! Whether what a plugin says of itself can be used.

use operator_core::descriptor::Descriptor;
use serde_json::Value;

use crate::error::LoadError;

/// The largest descriptor, in bytes.
const MAX_BYTES: usize = 256 << 10;
/// An annotation's name has 63 characters, and `plugin.` takes 7 of them.
const MAX_NAME: usize = 56;
const MAX_SUMMARY: usize = 300;
/// Pointers that one field may list, and how long each may be.
const MAX_POINTERS: usize = 16;
const MAX_POINTER: usize = 256;
/// How deep and how large a config schema may be: it is compiled and run
/// outside the sandbox.
const MAX_SCHEMA_DEPTH: usize = 32;
const MAX_SCHEMA_VALUES: usize = 10_000;

/// Reads and checks a descriptor.
pub(crate) fn parse(json: &str) -> Result<Descriptor, LoadError> {
    if json.len() > MAX_BYTES {
        return Err(wrong(
            "",
            format!("it has {} bytes, and {MAX_BYTES} are allowed", json.len()),
        ));
    }
    let descriptor: Descriptor =
        serde_json::from_str(json).map_err(|error| wrong("", error.to_string()))?;
    check_name(&descriptor.name)?;
    semver::Version::parse(&descriptor.version).map_err(|error| {
        wrong(
            "/version",
            format!(
                "`{}` is not a semantic version: {error}",
                shown(&descriptor.version)
            ),
        )
    })?;
    let summary = &descriptor.summary;
    if summary.trim().is_empty()
        || summary.len() > MAX_SUMMARY
        || summary.chars().any(char::is_control)
    {
        return Err(wrong(
            "/summary",
            format!("it must be one line of 1 to {MAX_SUMMARY} bytes"),
        ));
    }
    let mut sections = descriptor.sections.clone();
    sections.sort_unstable();
    sections.dedup();
    if sections.is_empty() || sections.len() != descriptor.sections.len() {
        return Err(wrong(
            "/sections",
            "it must list at least one section, and each one once",
        ));
    }
    if let Some(block) = &descriptor.spec_block {
        let plain = block.len() <= 63
            && block.starts_with(|c: char| c.is_ascii_alphabetic())
            && block.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain {
            return Err(wrong(
                "/specBlock",
                format!(
                    "`{}` is not the name of a block: letters and digits, at most 63",
                    shown(block)
                ),
            ));
        }
    }
    for (field, words) in [
        ("/capabilities", &descriptor.capabilities),
        ("/skuFeatures", &descriptor.sku_features),
    ] {
        let odd = |word: &&String| {
            word.is_empty()
                || word.len() > 63
                || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if let Some(odd) = words.iter().find(odd) {
            return Err(wrong(
                field,
                format!(
                    "`{}` must be letters, digits and dashes, at most 63",
                    shown(odd)
                ),
            ));
        }
    }
    for (field, pointers) in [
        ("/documents", &descriptor.documents),
        ("/inlineTemplates", &descriptor.inline_templates),
    ] {
        check_pointers(field, pointers)?;
    }
    check_schema(&descriptor.config_schema)?;
    Ok(descriptor)
}

/// JSON pointers (RFC 6901) to parts of the config.
fn check_pointers(field: &str, pointers: &[String]) -> Result<(), LoadError> {
    if pointers.len() > MAX_POINTERS {
        return Err(wrong(
            field,
            format!(
                "it lists {}, and {MAX_POINTERS} are allowed",
                pointers.len()
            ),
        ));
    }
    let odd = |pointer: &&String| {
        let escapes_are_whole = pointer
            .split('~')
            .skip(1)
            .all(|after| after.starts_with(['0', '1']));
        !pointer.starts_with('/') || pointer.len() > MAX_POINTER || !escapes_are_whole
    };
    match pointers.iter().find(odd) {
        None => Ok(()),
        Some(odd) => Err(wrong(
            field,
            format!(
                "`{}` is no JSON pointer into the config, such as `/template`, of at most \
                 {MAX_POINTER} bytes",
                shown(odd)
            ),
        )),
    }
}

/// A DNS label (RFC 1123).
fn check_name(name: &str) -> Result<(), LoadError> {
    let label = !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if label {
        return Ok(());
    }
    Err(wrong(
        "/name",
        format!(
            "`{}` must be lower-case letters, digits and dashes, begin and end with a letter or \
             digit, and have at most {MAX_NAME} characters",
            shown(name)
        ),
    ))
}

fn check_schema(schema: &Value) -> Result<(), LoadError> {
    if !schema.is_object() {
        return Err(wrong(
            "/configSchema",
            "it must be a JSON Schema, as an object",
        ));
    }
    let mut left = MAX_SCHEMA_VALUES;
    walk(schema, "/configSchema", 0, &mut left)
}

/// Refuses what would make a validator fetch something, or never come back.
/// Also where it is data (`const`, `default`): a property may have those names,
/// and then it is schema.
fn walk(value: &Value, pointer: &str, depth: usize, left: &mut usize) -> Result<(), LoadError> {
    if depth > MAX_SCHEMA_DEPTH {
        return Err(wrong(
            pointer,
            format!("it is nested deeper than {MAX_SCHEMA_DEPTH}"),
        ));
    }
    *left = left.checked_sub(1).ok_or_else(|| {
        wrong(
            "/configSchema",
            format!("it holds more than {MAX_SCHEMA_VALUES} values"),
        )
    })?;
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let here = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (key.as_str(), value) {
                    ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(to))
                        if !to.starts_with('#') =>
                    {
                        return Err(wrong(
                            &here,
                            format!(
                                "`{}` leads out of the document; put what it names under `$defs` \
                                 and write `#/$defs/…`",
                                shown(to)
                            ),
                        ));
                    }
                    ("$id" | "id", Value::String(id)) if depth > 0 => {
                        return Err(wrong(
                            &here,
                            format!(
                                "`{}`: only the whole document may have an identifier",
                                shown(id)
                            ),
                        ));
                    }
                    _ => {}
                }
                walk(value, &here, depth + 1, left)?;
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                walk(value, &format!("{pointer}/{index}"), depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Plugin text in a message: short, and on one line.
fn shown(text: &str) -> String {
    crate::log::printable(text, 80)
}

fn wrong(field: &str, reason: impl Into<String>) -> LoadError {
    LoadError::Descriptor {
        field: if field.is_empty() {
            "/".to_owned()
        } else {
            crate::log::printable(field, 200)
        },
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::parse;

    fn with(change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut descriptor = json!({
            "name": "acme-headers",
            "version": "1.2.3",
            "summary": "Adds headers.",
            "phase": "transformation",
            "sections": ["inbound"],
            "configSchema": { "type": "object" }
        });
        change(&mut descriptor);
        parse(&descriptor.to_string())
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_plain_descriptor_is_accepted_with_fields_of_later_versions() {
        assert_eq!(with(|d| d["icon"] = json!("x")), Ok(()));
    }

    #[test]
    fn a_name_is_a_dns_label_of_at_most_56_characters() {
        assert_eq!(with(|d| d["name"] = json!("a".repeat(56))), Ok(()));
        for name in ["", "-a", "a-", "A", "a.b", "a\nb", &"a".repeat(57)] {
            let error = with(|d| d["name"] = json!(name)).expect_err(name);
            assert!(error.contains("`/name`"), "{error}");
        }
    }

    #[test]
    fn a_version_is_semantic() {
        let error = with(|d| d["version"] = json!("1.0")).expect_err("not semantic");
        assert!(error.contains("`1.0` is not a semantic version"), "{error}");
    }

    #[test]
    fn sections_are_listed_once() {
        assert!(with(|d| d["sections"] = json!([])).is_err());
        assert!(with(|d| d["sections"] = json!(["inbound", "inbound"])).is_err());
        assert!(with(|d| d["sections"] = json!(["sideways"])).is_err());
    }

    #[test]
    fn what_names_documents_and_templates_are_pointers_into_the_config() {
        for field in ["documents", "inlineTemplates"] {
            assert_eq!(with(|d| d[field] = json!(["/a~1b/0", "/c"])), Ok(()));
            for odd in ["", "a", "/a~2", "/~", &format!("/{}", "a".repeat(256))] {
                let error = with(|d| d[field] = json!([odd])).expect_err(odd);
                assert!(error.contains(&format!("`/{field}`")), "{error}");
                assert!(error.contains("is no JSON pointer"), "{error}");
            }
            let error = with(|d| d[field] = json!(vec!["/a"; 17])).expect_err("many");
            assert!(error.contains("it lists 17"), "{error}");
        }
    }

    #[test]
    fn a_reference_out_of_the_schema_is_refused() {
        for to in [
            "http://example.com/s.json",
            "file:///etc/passwd",
            "other.json#/a",
        ] {
            let error = with(|d| d["configSchema"]["properties"] = json!({"a/b": {"$ref": to}}))
                .expect_err(to);
            assert!(
                error.contains("/configSchema/properties/a~1b/$ref"),
                "{error}"
            );
        }
        assert_eq!(
            with(|d| {
                d["configSchema"]["properties"] = json!({
                    "$ref": { "type": "string" },
                    "a": { "$ref": "#/$defs/a" }
                });
            }),
            Ok(())
        );
    }

    #[test]
    fn a_schema_with_identifiers_inside_is_refused() {
        let error = with(|d| d["configSchema"]["$defs"] = json!({"a": {"$id": "http://x/"}}))
            .expect_err("identifier");
        assert!(error.contains("only the whole document"), "{error}");
    }

    #[test]
    fn a_schema_is_neither_too_deep_nor_too_large() {
        let mut deep = json!({});
        for _ in 0..40 {
            deep = json!({ "not": deep });
        }
        let error = with(|d| d["configSchema"] = deep).expect_err("deep");
        assert!(error.contains("nested deeper than 32"), "{error}");

        let required: Vec<u32> = (0..20_000).collect();
        let error = with(|d| d["configSchema"]["x"] = json!(required)).expect_err("large");
        assert!(error.contains("more than 10000 values"), "{error}");
    }
}
