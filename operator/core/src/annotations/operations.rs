//! The annotation `operation-plugins`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::nearest::{did_you_mean, shown};
use super::{list, object, path, plugin_list};
use crate::names::{PluginName, ProfileName};
use crate::problem::Problem;

const KEY: &str = "operation-plugins";

/// The plugins that are added to one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationPlugins {
    /// The `operationId` of the document.
    pub operation: String,
    /// The plugins, in order.
    pub plugins: Vec<PluginName>,
    /// The profiles whose plugins come behind them, in order; a later one wins.
    pub profiles: Vec<ProfileName>,
    /// The plugins' config: objects.
    pub configs: BTreeMap<PluginName, Value>,
}

impl OperationPlugins {
    /// Where a part of it stands; `rest` is a pointer below the operation.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        let operation = crate::config::escape(&self.operation);
        format!("{} /{operation}{rest}", path(KEY))
    }
}

/// Reads `{<operationId>: {plugins: "a, b", profiles: "c, d", config: {<name>: {…}}}}`.
pub(super) fn read(text: &str) -> (Vec<OperationPlugins>, Vec<Problem>) {
    let map = match object(text) {
        Ok(Value::Object(map)) => map,
        Ok(_) => return (Vec::new(), Vec::new()),
        Err(message) => return (Vec::new(), vec![Problem::new(path(KEY), message)]),
    };
    let mut operations = Vec::new();
    let mut problems = Vec::new();
    for (operation, entry) in map {
        operations.extend(one(&operation, entry, &mut problems));
    }
    (operations, problems)
}

fn one(operation: &str, entry: Value, problems: &mut Vec<Problem>) -> Option<OperationPlugins> {
    let before = problems.len();
    let pointer = |rest: &str| format!("{} /{}{rest}", path(KEY), crate::config::escape(operation));
    let Value::Object(entry) = entry else {
        problems.push(Problem::new(
            pointer(""),
            "expected `{plugins: \"a, b\", config: {…}}`",
        ));
        return None;
    };
    let mut plugins = Vec::new();
    let mut profiles = Vec::new();
    let mut configs = BTreeMap::new();
    for (field, value) in entry {
        match (field.as_str(), value) {
            ("plugins", Value::String(text)) => match plugin_list(text.trim()) {
                Ok(list) => plugins = list,
                Err(messages) => problems.extend(
                    messages
                        .into_iter()
                        .map(|m| Problem::new(pointer("/plugins"), m)),
                ),
            },
            ("profiles", Value::String(text)) => match list(text.trim(), ProfileName::parse) {
                Ok(named) => profiles = named,
                Err(messages) => problems.extend(
                    messages
                        .into_iter()
                        .map(|m| Problem::new(pointer("/profiles"), m)),
                ),
            },
            (field @ ("plugins" | "profiles"), _) => problems.push(Problem::new(
                pointer(&format!("/{field}")),
                "expected a text with names separated by commas",
            )),
            ("config", Value::Object(map)) => {
                for (name, config) in map {
                    let at = pointer(&format!("/config/{}", crate::config::escape(&name)));
                    match (PluginName::parse(&name), config) {
                        (Ok(name), config @ Value::Object(_)) => {
                            configs.insert(name, config);
                        }
                        (Ok(_), _) => problems.push(Problem::new(at, "expected an object")),
                        (Err(error), _) => problems.push(Problem::new(at, error.to_string())),
                    }
                }
            }
            ("config", Value::Null) => {}
            ("config", _) => problems.push(Problem::new(
                pointer("/config"),
                "expected an object with the config of each plugin",
            )),
            (other, _) => problems.push(Problem::new(
                pointer(""),
                format!(
                    "holds `{}`; the fields are `plugins`, `profiles` and `config`{}",
                    shown(other),
                    did_you_mean(other, ["plugins", "profiles", "config"])
                ),
            )),
        }
    }
    let listed = || plugins.iter().map(PluginName::as_str);
    for name in configs.keys().filter(|name| !plugins.contains(name)) {
        problems.push(Problem::new(
            pointer(&format!("/config/{name}")),
            format!(
                "`{name}` is not among the `plugins` of this operation{}",
                did_you_mean(name.as_str(), listed())
            ),
        ));
    }
    (problems.len() == before).then(|| OperationPlugins {
        operation: operation.to_owned(),
        plugins,
        profiles,
        configs,
    })
}
