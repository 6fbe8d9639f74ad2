//! Several Services behind one API: the annotation `routes`, or the field of
//! the spec of that name. What no route takes goes to `spec.implementation`.

mod place;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::annotations::nearest::{did_you_mean, shown};
use crate::exposed_api::{ApiPath, service_named};
use crate::problem::Problem;

pub(crate) use place::{Placed, Routing, place};

/// A part of an API that a Service of its own answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Paths below the API's own, matched as prefixes of whole segments.
    pub paths: Vec<ApiPath>,
    /// Operations, by their ids in the document.
    pub operations: Vec<String>,
    /// What answers.
    pub destination: Destination,
}

/// A port of a Service in the object's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Destination {
    /// The Service.
    pub service: String,
    /// Its port.
    pub port: u16,
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// An HTTPRoute has at most 16 rules (Gateway API v1), one of which leads to
/// `spec.implementation`.
const MOST: usize = 15;

const FIELDS: [&str; 4] = ["paths", "operations", "implementation", "port"];

/// Reads `[{paths: [/orders], operations: [listItems], implementation: …, port: …}]`.
/// `place` is the path of problems.
pub(crate) fn read(value: &Value, place: &str) -> Result<Vec<Route>, Vec<Problem>> {
    let Value::Array(items) = value else {
        return Err(vec![Problem::new(
            place,
            "expected a list of routes, as `[{paths: [/orders], implementation: orders, port: 8080}]`",
        )]);
    };
    let number = items.len();
    if number == 0 || number > MOST {
        return Err(vec![Problem::new(
            place,
            format!(
                "holds {number} routes; write 1 to {MOST}, or remove it to have `spec.implementation` answer everything"
            ),
        )]);
    }
    let mut reader = Reader {
        place,
        problems: Vec::new(),
        seen: HashMap::new(),
    };
    let routes: Vec<Route> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| reader.one(index, item))
        .collect();
    if reader.problems.is_empty() {
        Ok(routes)
    } else {
        Err(reader.problems)
    }
}

struct Reader<'a> {
    place: &'a str,
    problems: Vec<Problem>,
    /// What stands in a route, and where it stood first.
    seen: HashMap<String, String>,
}

impl Reader<'_> {
    fn say(&mut self, pointer: &str, message: impl Into<String>) {
        let path = format!("{} {pointer}", self.place);
        self.problems.push(Problem::new(path, message));
    }

    fn once(&mut self, what: String, pointer: &str, hint: &str) {
        if let Some(first) = self.seen.get(&what) {
            let message = format!("{what} stands in {first}, too; {hint}");
            self.say(pointer, message);
        } else {
            self.seen.insert(what, format!("`{pointer}`"));
        }
    }

    fn one(&mut self, index: usize, item: &Value) -> Option<Route> {
        let before = self.problems.len();
        let at = format!("/{index}");
        let Value::Object(fields) = item else {
            self.say(
                &at,
                "expected an object with `paths` or `operations`, `implementation` and `port`",
            );
            return None;
        };
        for field in fields.keys().filter(|f| !FIELDS.contains(&f.as_str())) {
            let hint = did_you_mean(field, FIELDS);
            let message = format!(
                "holds `{}`, which is no field of a route{hint}",
                shown(field)
            );
            self.say(&at, message);
        }
        let paths = self.paths(&at, fields);
        let operations = self.operations(&at, fields);
        if paths.is_empty() && operations.is_empty() && self.problems.len() == before {
            self.say(
                &at,
                "takes no request: write `paths` such as `[/orders]`, or `operations` with ids of the document",
            );
        }
        let service = self.service(&at, fields.get("implementation"));
        let port = self.port(&at, fields.get("port"));
        let (service, port) = (service?, port?);
        let destination = Destination { service, port };
        self.once(
            format!("`{destination}`"),
            &format!("{at}/implementation"),
            "put the paths and operations of both into one route",
        );
        (self.problems.len() == before).then_some(Route {
            paths,
            operations,
            destination,
        })
    }

    fn texts<'v>(&mut self, at: &str, value: Option<&'v Value>, example: &str) -> Vec<&'v str> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Vec::new();
        };
        let texts = value.as_array().map(|items| {
            let texts = items.iter().map(|item| item.as_str().map(str::trim));
            texts.collect::<Option<Vec<_>>>()
        });
        texts.flatten().unwrap_or_else(|| {
            self.say(at, format!("expected a list such as `[{example}]`"));
            Vec::new()
        })
    }

    fn paths(&mut self, at: &str, fields: &Map<String, Value>) -> Vec<ApiPath> {
        let at = format!("{at}/paths");
        let texts = self.texts(&at, fields.get("paths"), "/orders");
        let mut paths = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            let at = format!("{at}/{index}");
            match below(text) {
                Ok(path) => {
                    self.once(format!("path `{path}`"), &at, "remove one of the two");
                    paths.push(path);
                }
                Err(message) => self.say(&at, message),
            }
        }
        paths
    }

    fn operations(&mut self, at: &str, fields: &Map<String, Value>) -> Vec<String> {
        let at = format!("{at}/operations");
        let texts = self.texts(&at, fields.get("operations"), "listOrders");
        for (index, text) in texts.iter().enumerate() {
            let at = format!("{at}/{index}");
            if text.is_empty() {
                self.say(&at, "is empty; write the id of an operation");
            } else {
                let what = format!("operation `{}`", shown(text));
                self.once(what, &at, "remove one of the two");
            }
        }
        texts.into_iter().map(str::to_owned).collect()
    }

    fn service(&mut self, at: &str, value: Option<&Value>) -> Option<String> {
        let at = format!("{at}/implementation");
        let text = value.and_then(Value::as_str).map(str::trim);
        match text {
            Some(text) if service_named(text).is_some() => Some(text.to_owned()),
            Some(text) if !text.is_empty() => {
                self.say(
                    &at,
                    format!(
                        "`{}` is not the name of a Service of this namespace: write at most 63 lowercase letters, \
                         digits and `-`, beginning and ending with a letter or digit",
                        shown(text)
                    ),
                );
                None
            }
            _ => {
                self.say(&at, "is missing; write the name of a Service");
                None
            }
        }
    }

    fn port(&mut self, at: &str, value: Option<&Value>) -> Option<u16> {
        let at = format!("{at}/port");
        let (number, text) = match value {
            None | Some(Value::Null) => {
                self.say(&at, "is missing; write a port of the Service");
                return None;
            }
            Some(Value::String(text)) => (text.trim().parse::<u64>().ok(), text.clone()),
            Some(other) => (other.as_u64(), other.to_string()),
        };
        let port = number.and_then(|number| u16::try_from(number).ok());
        let port = port.filter(|port| *port > 0);
        if port.is_none() {
            let message = format!("`{}` is no port; write 1 to 65535", shown(&text));
            self.say(&at, message);
        }
        port
    }
}

/// A path below the API's own.
fn below(text: &str) -> Result<ApiPath, String> {
    if !text.starts_with('/') {
        return Err(format!(
            "`{}` does not begin with `/`; a route's path is below the API's own, as `/orders`",
            shown(text)
        ));
    }
    if text.contains(['{', '}', '*']) {
        return Err(format!(
            "`{}` holds a parameter, and a route's path is a plain prefix; name the operations in `operations`",
            shown(text)
        ));
    }
    let path = ApiPath::parse(text)?;
    if path.as_api_management().is_empty() {
        return Err(
            "`/` is the whole API, which `spec.implementation` answers; write a path below it"
                .to_owned(),
        );
    }
    Ok(path)
}
