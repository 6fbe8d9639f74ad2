//! What a plugin says of itself and of spec blocks, as in
//! `wit/schemas/descriptor.schema.json`, `spec-request.schema.json` and
//! `spec-reading.schema.json`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::pointer_of;
use crate::{Diagnostic, config};

/// A section of a policy document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Before the request goes to the backend.
    Inbound,
    /// In the place of the forwarding of the request.
    Backend,
    /// Before the response goes to the caller.
    Outbound,
    /// When something failed in another section.
    OnError,
}

/// Where in its section a plugin's fragments stand; earlier ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Before `<base/>`: answers to CORS preflight requests.
    Preflight,
    /// Who is calling.
    Authentication,
    /// Whether that caller may.
    Authorization,
    /// How often.
    Traffic,
    /// Whether the message is well formed.
    Validation,
    /// Changes to the message.
    Transformation,
    /// Where the message goes.
    Routing,
    /// What is recorded.
    Observability,
}

/// The dialect in which an ExposedAPI is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// TM Forum's ExposedAPI (the object has `apiType`): a block that is there
    /// counts only with `enabled: true`.
    Canonical,
    /// The original Azure operator's: a block that is there is enabled.
    Original,
}

/// What a plugin is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Descriptor {
    /// A DNS label of at most 56 characters.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// Where its fragments stand.
    pub phase: Phase,
    /// The sections it writes.
    pub sections: Vec<Section>,
    /// JSON Schema of its config.
    pub config_schema: Value,
    /// The block of an ExposedAPI's spec that it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_block: Option<String>,
    /// What the instance's tier must offer, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sku_features: Vec<String>,
    /// Capabilities it asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// JSON pointers of config values that name documents of the platform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<String>,
    /// JSON pointers of config values that are templates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inline_templates: Vec<String>,
}

impl Descriptor {
    /// A plugin that writes no section yet and takes no config.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        summary: impl Into<String>,
        phase: Phase,
    ) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            phase,
            sections: Vec::new(),
            config_schema: json!({ "type": "object", "additionalProperties": false }),
            spec_block: None,
            sku_features: Vec::new(),
            capabilities: Vec::new(),
            documents: Vec::new(),
            inline_templates: Vec::new(),
        }
    }

    /// The sections it writes. A fragment for another one is refused.
    #[must_use]
    pub fn writes(mut self, sections: impl IntoIterator<Item = Section>) -> Self {
        self.sections.extend(sections);
        self
    }

    /// The JSON Schema of its config. `$ref` reaches no further than the
    /// document.
    #[must_use]
    pub fn config_schema(mut self, schema: Value) -> Self {
        self.config_schema = schema;
        self
    }

    /// The JSON Schema of its config, as text: `include_str!("….json")`.
    ///
    /// # Panics
    /// When the text is not JSON: the plugin's tests find that out.
    #[must_use]
    pub fn config_schema_text(self, schema: &str) -> Self {
        match serde_json::from_str(schema) {
            Ok(schema) => self.config_schema(schema),
            Err(error) => panic!("the config schema is not JSON: {error}"),
        }
    }

    /// The block of an ExposedAPI's spec that `read_spec` reads.
    #[must_use]
    pub fn reads_block(mut self, block: impl Into<String>) -> Self {
        self.spec_block = Some(block.into());
        self
    }

    /// Something that the instance's tier must offer.
    #[must_use]
    pub fn needs_feature(mut self, feature: impl Into<String>) -> Self {
        self.sku_features.push(feature.into());
        self
    }

    /// A capability that the platform must grant (`raw-xml`).
    #[must_use]
    pub fn asks_for(mut self, capability: impl Into<String>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// The JSON pointer of a config value `{configMap: {name, key}}`: it names
    /// a document of the platform, whose text is then in
    /// [`Context::documents`](crate::Context) under this pointer.
    #[must_use]
    pub fn document(mut self, pointer: impl Into<String>) -> Self {
        self.documents.push(pointer.into());
        self
    }

    /// The JSON pointer of a config value that is a template: the operator
    /// refuses a config that sets it unless the platform granted the plugin
    /// `inline-templates`.
    #[must_use]
    pub fn inline_template(mut self, pointer: impl Into<String>) -> Self {
        self.inline_templates.push(pointer.into());
        self
    }
}

/// What `read_spec` is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SpecRequest {
    /// The dialect of the object.
    pub dialect: Dialect,
    /// The block, as it stands in the object.
    pub block: Value,
}

impl SpecRequest {
    /// A request, for tests.
    #[must_use]
    pub fn new(dialect: Dialect, block: Value) -> Self {
        Self { dialect, block }
    }

    /// The block as an object; none when it is null.
    ///
    /// # Errors
    /// When it is something else.
    pub fn object(&self) -> Result<Map<String, Value>, Diagnostic> {
        match &self.block {
            Value::Object(block) => Ok(block.clone()),
            Value::Null => Ok(Map::new()),
            other => Err(Diagnostic::error(
                "",
                format!("expected an object, found {}", config::kind_of(other)),
            )),
        }
    }

    /// The block as a type of the plugin's own.
    ///
    /// # Errors
    /// What does not fit, with its pointer.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        serde_path_to_error::deserialize(&self.block)
            .map_err(|error| Diagnostic::error(pointer_of(error.path()), error.inner().to_string()))
    }
}

/// What a spec block means to the plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SpecReading {
    /// Whether the block switches the plugin on or off, or says nothing of it.
    pub enabled: Option<bool>,
    /// The block in the plugin's own config spelling.
    pub config: Map<String, Value>,
}

impl SpecReading {
    /// A block that says nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            enabled: None,
            config: Map::new(),
        }
    }

    /// A block that switches the plugin on or off.
    #[must_use]
    pub fn enabled(enabled: Option<bool>) -> Self {
        Self {
            enabled,
            config: Map::new(),
        }
    }

    /// Sets a config value, unless it is absent.
    #[must_use]
    pub fn set(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.config.insert(key.to_owned(), value.into());
        }
        self
    }
}
