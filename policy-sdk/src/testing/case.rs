//! Golden cases: what a plugin is given, and what must come of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::exchange::Exchange;
use super::outcome::Outcome;
use crate::{Context, SpecRequest, config};

/// What a case's file is not: why it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it, and what to write instead.
    pub reason: String,
}

impl std::fmt::Display for CaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for CaseError {}

/// What one call may use at most; only the sandbox can tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budget {
    /// WebAssembly instructions, about.
    pub fuel: Option<u64>,
    /// Linear memory in bytes; in the file a number or as `2Mi`.
    pub memory: Option<u64>,
}

/// A golden case, as a file in `cases/` holds one.
///
/// ```
/// let case = policy_sdk::testing::Case::parse("cases/team.yaml", "
/// context:
///   api: { name: orders }
/// config: { team: catalog }
/// budget: { fuel: 200000, memory: 2Mi }
/// ").unwrap();
/// assert_eq!(case.name, "team");
/// assert_eq!(case.context["api"]["name"], "orders");
/// assert_eq!(case.context["instance"]["sku"], "Developer");
/// assert_eq!(case.budget.memory, Some(2 << 20));
/// assert_eq!(case.expect, None);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The file's name without its ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The context: what the file says, laid over
    /// [`context()`](super::context).
    pub context: Json,
    /// The config. Where there is a `spec`, what the plugin reads there comes
    /// first and this is laid over it.
    pub config: Json,
    /// A block of an ExposedAPI's spec, for `read_spec`.
    pub spec: Option<SpecRequest>,
    /// What the documents may reference, by kind, as in an ApimInstance's
    /// grants: `NamedValue: [token]`.
    pub grants: BTreeMap<String, Vec<String>>,
    /// What the platform grants the plugin, as `spec.capabilities` of a
    /// PolicyPlugin; null: what its descriptor asks for.
    pub capabilities: Json,
    /// What the call may use.
    pub budget: Budget,
    /// Requests to an API that has the case's policy.
    pub requests: Vec<Exchange>,
    /// What must come of it; none: nobody has said yet.
    pub expect: Option<Outcome>,
    text: String,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "about")]
    _about: String,
    #[serde(default = "empty")]
    context: Json,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    spec: Option<SpecRequest>,
    #[serde(default = "empty")]
    config: Json,
    #[serde(default)]
    grants: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    capabilities: Json,
    #[serde(default)]
    budget: BudgetText,
    #[serde(default)]
    requests: Vec<Exchange>,
    #[serde(default)]
    expect: Option<Outcome>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetText {
    #[serde(default)]
    fuel: Option<u64>,
    #[serde(default)]
    memory: Option<Json>,
}

fn empty() -> Json {
    json!({})
}

impl Case {
    /// Reads the text of a case. The path is for messages and for the name.
    ///
    /// # Errors
    /// What is wrong with the text, with its line or its field.
    pub fn parse(path: impl Into<PathBuf>, text: &str) -> Result<Self, CaseError> {
        let path = path.into();
        match Self::read(text) {
            Ok(case) => Ok(Self {
                name: path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                path,
                ..case
            }),
            Err(reason) => Err(CaseError { path, reason }),
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let document: Json = serde_saphyr::from_str(text).map_err(|error| yaml(&error))?;
        // A file of nothing but comments.
        let document = if document.is_null() {
            empty()
        } else {
            document
        };
        let file: File =
            serde_path_to_error::deserialize(&document).map_err(
                |error| match config::pointer_of(error.path()).as_str() {
                    "" => error.inner().to_string(),
                    pointer => format!("{pointer}: {}", error.inner()),
                },
            )?;
        let mut context = match serde_json::to_value(super::context()) {
            Ok(context) => context,
            Err(error) => return Err(format!("the example context is not JSON: {error}")),
        };
        merge(&mut context, &file.context);
        if let Some(id) = &file.operation {
            context["operation"] = json!({ "id": id });
        }
        let known: Context = serde_path_to_error::deserialize(&context).map_err(|error| {
            format!(
                "/context{}: {}",
                config::pointer_of(error.path()),
                error.inner()
            )
        })?;
        if let (Some(id), Some(operations)) = (&file.operation, &known.api.operations)
            && !operations.iter().any(|operation| operation.id == *id)
        {
            let ids: Vec<&str> = operations.iter().map(|one| one.id.as_str()).collect();
            return Err(format!(
                "/operation: the API has no operation `{id}`; it has {}",
                ids.join(", ")
            ));
        }
        Ok(Self {
            name: String::new(),
            path: PathBuf::new(),
            context,
            config: file.config,
            spec: file.spec,
            grants: file.grants,
            capabilities: file.capabilities,
            budget: Budget {
                fuel: file.budget.fuel,
                memory: file.budget.memory.as_ref().map(bytes).transpose()?,
            },
            requests: file.requests,
            expect: file.expect,
            text: text.to_owned(),
        })
    }

    /// Reads every `*.yaml` of a folder, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be read or holds no case, or one of them is wrong.
    pub fn all(folder: &Path) -> Result<Vec<Self>, CaseError> {
        let wrong = |path: &Path, reason: String| CaseError {
            path: path.to_owned(),
            reason,
        };
        let entries = fs::read_dir(folder).map_err(|error| wrong(folder, error.to_string()))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|ending| ending == "yaml" || ending == "yml")
            })
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(wrong(
                folder,
                "there is no case here; one is a file such as `example.yaml`".to_owned(),
            ));
        }
        files
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(&path).map_err(|e| wrong(&path, e.to_string()))?;
                Self::parse(path, &text)
            })
            .collect()
    }

    /// The file's text with this expectation. What stands before the line
    /// `expect:` stays as it is.
    ///
    /// # Errors
    /// Where something else stands after the expectation.
    pub fn blessed(&self, outcome: &Outcome) -> Result<String, CaseError> {
        let mut kept = String::new();
        let mut lines = self.text.lines();
        for line in lines.by_ref() {
            if line == "expect:" || line.starts_with("expect: ") {
                break;
            }
            kept.push_str(line);
            kept.push('\n');
        }
        let key =
            |line: &&str| line.starts_with(|c: char| c.is_alphanumeric() || "\"'".contains(c));
        if let Some(after) = lines.find(key) {
            return Err(CaseError {
                path: self.path.clone(),
                reason: format!(
                    "`expect` is written anew to the end of the file, and `{after}` follows it; move `expect` to the end"
                ),
            });
        }
        Ok(format!("{kept}expect:\n{}", outcome.to_yaml(1)))
    }
}

/// RFC 7386: objects deep, the rest replaced, null deletes.
pub(super) fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = empty();
    }
    let Json::Object(fields) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            fields.shift_remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Json::Null), value);
        }
    }
}

/// A number of bytes, or such a number with `Ki` or `Mi`.
fn bytes(value: &Json) -> Result<u64, String> {
    let text = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (digits, unit) = match (text.strip_suffix("Ki"), text.strip_suffix("Mi")) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => (text.as_str(), 1_u64),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| {
            format!(
                "/budget/memory: `{text}` is no amount of memory; write bytes, `512Ki` or `2Mi`"
            )
        })
}

/// The first line of what the YAML reader says, with the place.
fn yaml(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let what = line.split(" at line ").next().unwrap_or(line);
    match error.location() {
        Some(at) => format!(
            "line {}, column {}: it is not valid YAML: {what}",
            at.line(),
            at.column()
        ),
        None => format!("it is not valid YAML: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Said, Speaker};

    fn reason(text: &str) -> String {
        Case::parse("cases/x.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_the_example_api_with_no_config() {
        let case = Case::parse("x.yaml", "# nothing yet\n").unwrap();
        assert_eq!(case.config, json!({}));
        assert_eq!(
            case.context,
            serde_json::to_value(crate::testing::context()).unwrap()
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(
            reason("confg: {}"),
            "cases/x.yaml: /confg: unknown field `confg`, expected one of `about`, `context`, `operation`, `spec`, \
             `config`, `grants`, `capabilities`, `budget`, `requests`, `expect`"
        );
        assert_eq!(
            reason("context: {api: {path: 3}}"),
            "cases/x.yaml: /context/api/path: invalid type: integer `3`, expected a string"
        );
        assert_eq!(
            reason("operation: getCatalog"),
            "cases/x.yaml: /operation: the API has no operation `getCatalog`; it has listCatalog, createCatalog"
        );
        assert_eq!(
            reason("budget: {memory: 2MB}"),
            "cases/x.yaml: /budget/memory: `2MB` is no amount of memory; write bytes, `512Ki` or `2Mi`"
        );
        let broken = reason("config: {a: [1}");
        assert!(
            broken.starts_with("cases/x.yaml: line 1, column ")
                && broken.contains("it is not valid YAML"),
            "{broken}"
        );
    }

    #[test]
    fn an_expectation_is_written_to_the_end_and_read_back() {
        let case = Case::parse(
            "x.yaml",
            "# why\nconfig: {a: 1} # note\nexpect:\n  policy: old\n",
        )
        .unwrap();
        let outcome = Outcome {
            policy: Some("<policies>\n    <inbound />\n</policies>\n".to_owned()),
            warnings: vec![Said {
                by: Speaker::Plugin,
                at: "/a".to_owned(),
                says: "it is \"odd\": #1".to_owned(),
            }],
            ..Outcome::default()
        };
        let text = case.blessed(&outcome).unwrap();
        assert!(
            text.starts_with(
                "# why\nconfig: {a: 1} # note\nexpect:\n  policy: |\n    <policies>\n"
            ),
            "{text}"
        );
        let again = Case::parse("x.yaml", &text).unwrap();
        assert_eq!(again.expect.as_ref(), Some(&outcome));
        assert_eq!(again.blessed(&outcome).unwrap(), text);
    }

    #[test]
    fn what_stands_after_the_expectation_is_not_lost() {
        let case = Case::parse("x.yaml", "expect:\n  policy: old\nconfig: {}\n").unwrap();
        let error = case.blessed(&Outcome::default()).unwrap_err();
        assert!(error.reason.contains("`config: {}` follows it"), "{error}");
    }

    #[test]
    fn a_context_is_merged_and_null_deletes() {
        let case = Case::parse(
            "x.yaml",
            "context: {api: {operations: null, labels: {a: b}}, instance: {sku: Consumption}}",
        )
        .unwrap();
        assert_eq!(case.context["api"].get("operations"), None);
        assert_eq!(case.context["api"]["labels"]["a"], "b");
        assert_eq!(case.context["instance"]["sku"], "Consumption");
    }
}
