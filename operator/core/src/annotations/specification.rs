//! The annotation `specification-from`: where the OpenAPI document lies that is
//! neither in the object nor behind a URL.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::nearest::{did_you_mean, listed, shown};
use super::{object, path};
use crate::exposed_api::is_dns_subdomain;
use crate::problem::Problem;

const KEY: &str = "specification-from";
const SOURCES: [&str; 3] = ["configMap", "secret", "service"];
/// Where most frameworks serve it.
const USUAL: &str = "/openapi.json";
/// The longest path that is asked for.
const MAX_PATH: usize = 1000;

/// Where a document lies, always in the object's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SpecificationFrom {
    /// In a ConfigMap.
    ConfigMap {
        /// Its name.
        name: String,
        /// The key in its data.
        key: String,
    },
    /// In a Secret that may be read. Nothing that is said of the document
    /// quotes it.
    Secret {
        /// Its name.
        name: String,
        /// The key in its data.
        key: String,
    },
    /// The running Service answers with it.
    Service {
        /// Where, as `/openapi.json`.
        path: String,
    },
}

impl SpecificationFrom {
    /// Whether nothing of the document may be told.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret { .. })
    }
}

impl fmt::Display for SpecificationFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigMap { name, key } => write!(f, "key `{key}` of ConfigMap `{name}`"),
            Self::Secret { name, key } => write!(f, "key `{key}` of Secret `{name}`"),
            Self::Service { path } => write!(f, "`{path}` of the running Service"),
        }
    }
}

/// Reads `{configMap: {name, key}}`, `{secret: {name, key}}` or
/// `{service: {path}}`.
pub(super) fn read(text: &str) -> Result<SpecificationFrom, Vec<Problem>> {
    let mut reader = Reader(Vec::new());
    let source = match object(text) {
        Ok(Value::Object(map)) => reader.source(&map),
        Ok(_) => None,
        Err(message) => {
            reader.say("", message);
            None
        }
    };
    match source {
        Some(source) if reader.0.is_empty() => Ok(source),
        _ => Err(reader.0),
    }
}

struct Reader(Vec<Problem>);

impl Reader {
    fn say(&mut self, pointer: &str, message: impl Into<String>) {
        let at = match pointer {
            "" => path(KEY),
            pointer => format!("{} {pointer}", path(KEY)),
        };
        self.0.push(Problem::new(at, message));
    }

    fn source(&mut self, map: &Map<String, Value>) -> Option<SpecificationFrom> {
        for field in map.keys() {
            if !SOURCES.contains(&field.as_str()) {
                let message = format!(
                    "holds `{}`; write one of {}{}",
                    shown(field),
                    listed(SOURCES),
                    did_you_mean(field, SOURCES)
                );
                self.say("", message);
            }
        }
        let mut known = map.iter().filter(|(f, _)| SOURCES.contains(&f.as_str()));
        let (Some((field, value)), None) = (known.next(), known.next()) else {
            if self.0.is_empty() {
                self.say(
                    "",
                    "names one place: `configMap: {name, key}`, `secret: {name, key}` or `service: {path: /openapi.json}`",
                );
            }
            return None;
        };
        let empty = Map::new();
        let fields = match value {
            Value::Object(fields) => fields,
            // `service:` alone is the usual path.
            Value::Null => &empty,
            _ => {
                self.say(&format!("/{field}"), "expected an object");
                return None;
            }
        };
        if field == "service" {
            self.no_others("service", fields, &["path"]);
            return self
                .path(fields)
                .map(|path| SpecificationFrom::Service { path });
        }
        self.no_others(field, fields, &["name", "key"]);
        let name = self.text(field, fields, "name");
        let key = self.text(field, fields, "key");
        let (name, key) = (name?, key?);
        if !is_dns_subdomain(&name) {
            let message = format!("`{}` is not the name of an object", shown(&name));
            self.say(&format!("/{field}/name"), message);
        }
        // Kubernetes' rule for the keys of both.
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if key.len() > 253 || !key.chars().all(fits) {
            let message = format!(
                "`{}` cannot be a key: write letters, digits, `-`, `_` and `.`",
                shown(&key)
            );
            self.say(&format!("/{field}/key"), message);
        }
        Some(if field == "secret" {
            SpecificationFrom::Secret { name, key }
        } else {
            SpecificationFrom::ConfigMap { name, key }
        })
    }

    fn no_others(&mut self, field: &str, fields: &Map<String, Value>, known: &[&str]) {
        for other in fields.keys().filter(|f| !known.contains(&f.as_str())) {
            let message = format!(
                "holds `{}`; its fields are {}{}",
                shown(other),
                listed(known.iter().copied()),
                did_you_mean(other, known.iter().copied())
            );
            self.say(&format!("/{field}"), message);
        }
    }

    fn text(&mut self, field: &str, fields: &Map<String, Value>, name: &str) -> Option<String> {
        match fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            None | Some(Value::Null) => {
                self.say(&format!("/{field}"), format!("has no `{name}`; write one"));
                None
            }
            Some(_) => {
                self.say(&format!("/{field}/{name}"), "expected a text");
                None
            }
        }
    }

    /// A path on the Service and nowhere else.
    fn path(&mut self, fields: &Map<String, Value>) -> Option<String> {
        let path = match fields.get("path") {
            None | Some(Value::Null) => return Some(USUAL.to_owned()),
            Some(Value::String(path)) => path,
            Some(_) => {
                self.say("/service/path", "expected a text");
                return None;
            }
        };
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '#');
        let fits = path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= MAX_PATH
            && path.chars().all(plain);
        if !fits {
            let message = format!(
                "`{}` is no path of the Service: begin with one `/`, as in `{USUAL}`, and escape what is not plain ASCII",
                shown(path)
            );
            self.say("/service/path", message);
        }
        fits.then(|| path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = read(text).unwrap_err();
        let prefix = path(KEY);
        problems
            .iter()
            .map(|p| p.to_string().replace(&prefix, "@"))
            .collect()
    }

    #[test]
    fn each_place_is_read() {
        let of = |name: &str, key: &str| (name.to_owned(), key.to_owned());
        let (name, key) = of("spec", "openapi.yaml");
        assert_eq!(
            read("configMap: {name: spec, key: openapi.yaml}"),
            Ok(SpecificationFrom::ConfigMap { name, key })
        );
        let (name, key) = of("spec", "openapi.yaml");
        assert_eq!(
            read("secret: {name: spec, key: openapi.yaml}"),
            Ok(SpecificationFrom::Secret { name, key })
        );
        for text in ["service: {path: /openapi.json}", "service: {}", "service:"] {
            let path = "/openapi.json".to_owned();
            assert_eq!(read(text), Ok(SpecificationFrom::Service { path }));
        }
        let path = "/v3/api-docs?group=all".to_owned();
        assert_eq!(
            read("service: {path: '/v3/api-docs?group=all'}"),
            Ok(SpecificationFrom::Service { path })
        );
    }

    #[test]
    fn what_names_no_place_or_two_is_refused_with_the_way_out() {
        let places = "@: names one place: `configMap: {name, key}`, `secret: {name, key}` or `service: {path: /openapi.json}`";
        for text in ["{}", "configMap: {name: a, key: b}\nservice: {path: /x}"] {
            assert_eq!(problems(text), [places]);
        }
        assert_eq!(
            problems("configmap: {name: a, key: b}"),
            [
                "@: holds `configmap`; write one of `configMap`, `secret`, `service`; did you mean `configMap`?"
            ]
        );
        assert_eq!(
            problems("secret: {name: a}"),
            ["@ /secret: has no `key`; write one"]
        );
        assert_eq!(
            problems("configMap: {name: A_b, key: 'x/y', namespace: other}"),
            [
                "@ /configMap: holds `namespace`; its fields are `name`, `key`; did you mean `name`?",
                "@ /configMap/name: `A_b` is not the name of an object",
                "@ /configMap/key: `x/y` cannot be a key: write letters, digits, `-`, `_` and `.`",
            ]
        );
        assert_eq!(
            problems("[a]"),
            ["@: expected an object such as `{key: value}`, got a list"]
        );
    }

    #[test]
    fn a_path_leads_to_the_service_and_nowhere_else() {
        for path in [
            "openapi.json",
            "//evil.example/x",
            "http://evil/x",
            "/a b",
            "/a#b",
            "/\\evil",
        ] {
            let text = format!("service: {{path: '{path}'}}");
            let found = problems(&text);
            assert!(
                found[0].starts_with("@ /service/path: ")
                    && found[0].contains("is no path of the Service"),
                "{found:?}"
            );
        }
    }
}
