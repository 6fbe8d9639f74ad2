//! What is wrong with an object, said so that its owner can mend it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong, or worth a warning, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// The field, as `spec.port` or
    /// `metadata.annotations[apim.oda.tmforum.org/plugins]`; a JSON pointer
    /// into a plugin's config is appended after a space.
    pub path: String,
    /// The plugin that said it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// A sentence that names the value and the way out.
    pub message: String,
}

impl Problem {
    /// A problem of the object itself.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            plugin: None,
            message: message.into(),
        }
    }

    /// A problem that a plugin reported or caused.
    pub fn of_plugin(
        plugin: impl Into<String>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            plugin: Some(plugin.into()),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.plugin {
            Some(plugin) => write!(f, "{}: [{plugin}] {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}
