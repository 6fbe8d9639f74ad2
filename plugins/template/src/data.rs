//! What a template can see.

use policy_sdk::config::push;
use policy_sdk::{Context, Diagnostic};
use serde_json::{Map, Value as Json, json};

use crate::marks;

/// The variables of a template, free of our marks.
pub(crate) struct Data {
    /// `values`, `api`, `instance`, `operation`.
    pub(crate) variables: Map<String, Json>,
}

impl Data {
    /// What a call is about, and the values of its config.
    pub(crate) fn of(context: &Context, values: Map<String, Json>) -> Result<Self, Diagnostic> {
        let values = Json::Object(values);
        check(&values, &mut "/values".to_owned())?;
        let mut variables = Map::new();
        variables.insert("values".to_owned(), values);
        variables.insert("operation".to_owned(), operation(context));
        for (name, value) in [
            ("api", serde_json::to_value(&context.api)),
            ("instance", serde_json::to_value(&context.instance)),
        ] {
            let mut value = value
                .map_err(|error| Diagnostic::error("", format!("the context's {name}: {error}")))?;
            clean(&mut value);
            variables.insert(name.to_owned(), value);
        }
        Ok(Self { variables })
    }

    /// The pointer of the value of the config that is this text, where there
    /// is one.
    pub(crate) fn pointer_of(&self, text: &str) -> Option<String> {
        let mut pointer = "/values".to_owned();
        find(self.variables.get("values")?, text, &mut pointer).then_some(pointer)
    }
}

/// The operation that the call is about, with what is known of it.
fn operation(context: &Context) -> Json {
    let Some(called) = &context.operation else {
        return Json::Null;
    };
    let mut operation = context
        .api
        .operations
        .iter()
        .flatten()
        .find(|operation| operation.id == called.id)
        .and_then(|operation| serde_json::to_value(operation).ok())
        .unwrap_or_else(|| json!({ "id": called.id }));
    clean(&mut operation);
    operation
}

fn find(value: &Json, text: &str, pointer: &mut String) -> bool {
    let inner: Vec<(String, &Json)> = match value {
        Json::String(own) => return own == text,
        Json::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        _ => return false,
    };
    let length = pointer.len();
    inner.into_iter().any(|(step, value)| {
        pointer.truncate(length);
        push(pointer, &step);
        find(value, text, pointer)
    })
}

/// Refuses a value that holds one of our marks.
fn check(value: &Json, pointer: &mut String) -> Result<(), Diagnostic> {
    let length = pointer.len();
    let plain = |text: &str, pointer: &str| {
        text.chars().find(|c| marks::ALL.contains(c)).map_or(Ok(()), |c| {
            Err(Diagnostic::error(
                pointer,
                format!(
                    "it holds the private-use character U+{:04X}, which templates work with: remove it",
                    u32::from(c)
                ),
            ))
        })
    };
    match value {
        Json::String(text) => plain(text, pointer),
        Json::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            pointer.truncate(length);
            plain(key, pointer)?;
            push(pointer, key);
            check(value, pointer)
        }),
        Json::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            pointer.truncate(length);
            push(pointer, &index.to_string());
            check(item, pointer)
        }),
        _ => Ok(()),
    }
}

/// Takes our marks out of what nobody wrote for this plugin.
fn clean(value: &mut Json) {
    match value {
        Json::String(text) if text.contains(marks::ALL) => {
            *text = text.replace(marks::ALL, "\u{FFFD}");
        }
        Json::Array(items) => items.iter_mut().for_each(clean),
        Json::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    clean(&mut value);
                    (key.replace(marks::ALL, "\u{FFFD}"), value)
                })
                .collect();
        }
        _ => {}
    }
}
