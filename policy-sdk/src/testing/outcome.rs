//! What came of a case, and how a case's file says it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{Diagnostic, Severity};

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaker {
    /// The plugin's `generate`.
    #[default]
    Plugin,
    /// The plugin's `read_spec`; the pointer leads into the spec block.
    ReadSpec,
    /// The plugin's config schema, before the plugin ran.
    Schema,
    /// The operator, about the policy that the plugin returned.
    Operator,
}

impl Speaker {
    /// Whether `cargo test` can find it out: neither the schema nor the
    /// operator's checks run there.
    #[must_use]
    pub fn is_native(self) -> bool {
        matches!(self, Self::Plugin | Self::ReadSpec)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::ReadSpec => "read-spec",
            Self::Schema => "schema",
            Self::Operator => "operator",
        }
    }
}

/// A sentence about the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Who said it.
    #[serde(default)]
    pub by: Speaker,
    /// The JSON pointer of the value it is about; empty for all of the config.
    #[serde(default)]
    pub at: String,
    /// The sentence.
    pub says: String,
}

/// What `read_spec` made of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reads {
    /// Whether the block switches the plugin on or off.
    pub enabled: Option<bool>,
    /// The block in the plugin's own spelling.
    #[serde(default)]
    pub config: Map<String, Json>,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// What `read_spec` answered, in a case with a spec block. One that says
    /// `enabled: false` is all there is: the plugin does not run.
    #[serde(default)]
    pub reads: Option<Reads>,
    /// The policy document of the API; none in a case about one operation.
    #[serde(default)]
    pub policy: Option<String>,
    /// The policy documents of operations, by id.
    #[serde(default)]
    pub operations: BTreeMap<String, String>,
    /// Warnings.
    #[serde(default)]
    pub warnings: Vec<Said>,
    /// Errors; there is no policy then.
    #[serde(default)]
    pub errors: Vec<Said>,
}

impl Outcome {
    /// Adds what a plugin said, where it belongs by its severity.
    pub fn say(&mut self, by: Speaker, severity: Severity, at: &str, says: &str) {
        let said = Said {
            by,
            at: at.to_owned(),
            says: says.to_owned(),
        };
        match severity {
            Severity::Warning => self.warnings.push(said),
            Severity::Error => self.errors.push(said),
        }
    }

    pub(super) fn say_all(&mut self, by: Speaker, all: &[Diagnostic]) {
        for said in all {
            self.say(by, said.severity, &said.pointer, &said.message);
        }
    }

    /// Whether there is a policy: without one, requests have nothing to go
    /// through.
    #[must_use]
    pub fn has_policy(&self) -> bool {
        self.policy.is_some() || !self.operations.is_empty()
    }

    /// As it stands in a case's file, so many levels deep.
    #[must_use]
    pub fn to_yaml(&self, level: usize) -> String {
        let mut out = String::new();
        let indent = "  ".repeat(level);
        // Writing to a string cannot fail, here and below.
        if let Some(reads) = &self.reads {
            let enabled = reads
                .enabled
                .map_or_else(|| "null".to_owned(), |enabled| enabled.to_string());
            let config = Json::Object(reads.config.clone());
            let _ = writeln!(
                out,
                "{indent}reads: {{enabled: {enabled}, config: {config}}}"
            );
        }
        if let Some(policy) = &self.policy {
            let _ = write!(out, "{indent}policy: ");
            block(&mut out, policy, level + 1);
        }
        if !self.operations.is_empty() {
            let _ = writeln!(out, "{indent}operations:");
            for (id, policy) in &self.operations {
                let _ = write!(out, "{indent}  {}: ", quoted(id));
                block(&mut out, policy, level + 2);
            }
        }
        for (name, list) in [("warnings", &self.warnings), ("errors", &self.errors)] {
            if !list.is_empty() {
                let _ = writeln!(out, "{indent}{name}:");
            }
            for said in list {
                let _ = writeln!(out, "{indent}  - at: {}", quoted(&said.at));
                if said.by != Speaker::Plugin {
                    let _ = writeln!(out, "{indent}    by: {}", said.by.word());
                }
                let _ = writeln!(out, "{indent}    says: {}", quoted(&said.says));
            }
        }
        if out.is_empty() {
            let _ = writeln!(out, "{indent}{{}}");
        }
        out
    }
}

/// JSON's way of quoting a text is one of YAML's.
fn quoted(text: &str) -> String {
    Json::String(text.to_owned()).to_string()
}

/// A text of several lines, as it is where YAML can carry that.
fn block(out: &mut String, text: &str, level: usize) {
    let plain = |c: char| {
        c == '\n' || c == '\t' || (!c.is_control() && !"\u{2028}\u{2029}\u{feff}".contains(c))
    };
    let carried = text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(plain);
    if !carried {
        let _ = writeln!(out, "{}", quoted(text));
        return;
    }
    out.push_str("|\n");
    for line in text.lines() {
        if !line.is_empty() {
            out.push_str(&"  ".repeat(level));
        }
        let _ = writeln!(out, "{line}");
    }
}
