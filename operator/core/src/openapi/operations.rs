//! The operations that the import makes of a document, and what would make
//! API Management refuse it.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::SpecVersion;
use super::error::Finding;
use super::pointer::{Target, resolve, step};
use crate::desired::Operation;

/// The fields of a path item that are operations. `trace` came with 3.0.
pub(super) const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];
/// The length to which an import cuts ids, leaving four characters for the
/// suffix that tells equal ones apart.
const MAX_BASE: usize = 76;
/// The highest such suffix.
const MAX_SUFFIX: usize = 999;
/// `urlTemplate` of an operation in API Management.
const MAX_TEMPLATE: usize = 1000;

/// An operation whose id the import would not derive from the document in a
/// stable way: the imported document names it as `operationId` instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) path: String,
    /// As the document spells it, in lower case.
    pub(super) method: &'static str,
    pub(super) id: String,
}

/// What a document's `paths` say.
#[derive(Debug, Default)]
pub(super) struct Extracted {
    pub(super) operations: Vec<Operation>,
    pub(super) pins: Vec<Pin>,
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
}

/// Reads all operations in the order of the document.
pub(super) fn extract(root: &Value, version: SpecVersion) -> Extracted {
    let mut reader = Reader {
        root,
        version,
        out: Extracted::default(),
        ids: HashSet::new(),
        templates: HashMap::new(),
    };
    reader.info();
    reader.paths();
    reader.out
}

struct Reader<'a> {
    root: &'a Value,
    version: SpecVersion,
    out: Extracted,
    ids: HashSet<String>,
    /// Method and comparable template, to the pointer that has it.
    templates: HashMap<(&'static str, String), String>,
}

impl<'a> Reader<'a> {
    fn find(&mut self, pointer: &str, message: impl Into<String>) {
        self.out.findings.push(Finding {
            pointer: pointer.to_owned(),
            message: message.into(),
        });
    }

    /// OpenAPI requires both, and a reader refuses the document without them.
    fn info(&mut self) {
        for field in ["title", "version"] {
            let pointer = format!("/info/{field}");
            match self.root.pointer(&pointer) {
                Some(Value::String(_) | Value::Number(_) | Value::Bool(_)) => {}
                None | Some(Value::Null) => {
                    self.find(&pointer, "is missing; every document has it");
                }
                Some(_) => self.find(&pointer, "is not a text"),
            }
        }
    }

    fn paths(&mut self) {
        match self.root.get("paths") {
            Some(Value::Object(paths)) => {
                for (path, item) in paths {
                    if !path.starts_with("x-") {
                        self.path(path, item);
                    }
                }
            }
            None | Some(Value::Null) => {}
            Some(_) => self.find("/paths", "is not an object of paths"),
        }
        if self.out.operations.is_empty() && self.out.findings.is_empty() {
            self.find(
                "/paths",
                "the document has no operations, and an API without operations answers nothing; add one, or leave `specification` out to have a catch-all generated",
            );
        }
    }

    fn path(&mut self, path: &str, item: &'a Value) {
        let pointer = step("/paths", path);
        let Value::Object(item) = item else {
            return self.find(&pointer, "is not an object of operations");
        };
        if item.contains_key("$ref") {
            return self.find(
                &pointer,
                "API Management does not follow a `$ref` that stands for a whole path; write the path's operations here",
            );
        }
        if !path.starts_with('/') {
            return self.find(&pointer, "a path begins with `/`");
        }
        let Some(names) = template_names(path) else {
            return self.find(
                &pointer,
                "the braces of the path's parameters do not match; a parameter is written `{name}`",
            );
        };
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
            return self.find(
                &pointer,
                format!("the parameter `{twice}` stands twice in the path; rename one"),
            );
        }
        for (key, operation) in item {
            if let Some(method) = self.method(key) {
                let pointer = step(&pointer, key);
                self.operation(path, &names, item, method, operation, &pointer);
            } else if METHODS.contains(&key.to_ascii_lowercase().as_str()) {
                self.find(
                    &step(&pointer, key),
                    format!(
                        "write the method as `{}`, in lower case; {} knows no `{key}`",
                        key.to_ascii_lowercase(),
                        self.version
                    ),
                );
            }
        }
    }

    fn method(&self, key: &str) -> Option<&'static str> {
        METHODS.into_iter().find(|method| {
            *method == key && (self.version != SpecVersion::Swagger20 || *method != "trace")
        })
    }

    fn operation(
        &mut self,
        path: &str,
        names: &[&str],
        item: &'a Map<String, Value>,
        method: &'static str,
        operation: &'a Value,
        pointer: &str,
    ) {
        let Value::Object(operation) = operation else {
            return self.find(pointer, "is not an object");
        };
        let parameters = self.parameters(item, operation, pointer);
        for problem in parameters.problems(names) {
            self.find(pointer, problem);
        }
        let url_template = parameters.url_template(path);
        if url_template.chars().count() > MAX_TEMPLATE {
            self.find(
                pointer,
                format!("the path has more than {MAX_TEMPLATE} characters"),
            );
        }
        let comparable = (method, comparable(&url_template));
        if let Some(first) = self.templates.insert(comparable, pointer.to_owned()) {
            self.find(
                pointer,
                format!(
                    "has the same method and the same URL, but for case and the names of parameters, as {first}; remove one"
                ),
            );
        }
        let upper = method.to_ascii_uppercase();
        let operation_id = match operation.get("operationId") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.as_str()).filter(|id| !id.trim().is_empty()),
            Some(_) => {
                return self.find(&step(pointer, "operationId"), "is not a text");
            }
        };
        let Some((id, stable)) = self.id(operation_id, &upper, &url_template) else {
            return self.find(
                pointer,
                format!("more than {MAX_SUFFIX} operations have this operationId; rename some"),
            );
        };
        if !stable {
            self.out.pins.push(Pin {
                path: path.to_owned(),
                method,
                id: id.clone(),
            });
        }
        self.out.operations.push(Operation {
            id,
            operation_id: operation_id.map(str::to_owned),
            method: upper,
            url_template,
        });
    }

    /// The resource name as an import makes it: from the operationId, else
    /// from method and template. The flag says whether it depends on this
    /// operation's own, plain operationId alone.
    fn id(
        &mut self,
        operation_id: Option<&str>,
        method: &str,
        url_template: &str,
    ) -> Option<(String, bool)> {
        let own = operation_id
            .map(resource_name)
            .filter(|(id, _)| !id.is_empty());
        // Whether letters outside ASCII count as alphanumeric there is not
        // documented.
        let mut stable = own.as_ref().is_some_and(|(_, certain)| *certain)
            && operation_id.is_some_and(str::is_ascii);
        let (base, _) = own.unwrap_or_else(|| resource_name(&format!("{method}-{url_template}")));
        let mut id = base.clone();
        let mut suffix = 0;
        while self.ids.contains(&id) {
            stable = false;
            suffix += 1;
            if suffix > MAX_SUFFIX {
                return None;
            }
            id = format!("{base}-{suffix}");
        }
        self.ids.insert(id.clone());
        Some((id, stable))
    }

    fn parameters(
        &mut self,
        item: &'a Map<String, Value>,
        operation: &'a Map<String, Value>,
        pointer: &str,
    ) -> Parameters<'a> {
        let mut parameters = Parameters::default();
        for (holder, own) in [(item, false), (operation, true)] {
            let list = match holder.get("parameters") {
                None | Some(Value::Null) => continue,
                Some(Value::Array(list)) => list,
                Some(_) => {
                    self.find(&step(pointer, "parameters"), "is not a list");
                    continue;
                }
            };
            for (index, parameter) in list.iter().enumerate() {
                match resolve(self.root, parameter) {
                    Target::Value(Value::Object(parameter)) => parameters.add(parameter),
                    Target::External => parameters.incomplete = true,
                    Target::Value(_) | Target::Dangling => {
                        // The path's own parameters are reported where they
                        // stand, once for each operation that needs them.
                        let list = if own {
                            step(pointer, "parameters")
                        } else {
                            let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                            step(parent, "parameters")
                        };
                        self.find(
                            &step(&list, &index.to_string()),
                            "is not a parameter, and no reference to one",
                        );
                        parameters.incomplete = true;
                    }
                }
            }
        }
        parameters
    }
}

/// The parameters of one operation: the path's, and its own in their place.
#[derive(Default)]
struct Parameters<'a> {
    list: Vec<(&'a str, &'a str, bool)>,
    /// Some stand in another document.
    incomplete: bool,
}

impl<'a> Parameters<'a> {
    fn add(&mut self, parameter: &'a Map<String, Value>) {
        let text = |key: &str| parameter.get(key).and_then(Value::as_str);
        let (Some(name), Some(place)) = (text("name"), text("in")) else {
            return;
        };
        let required = parameter.get("required").and_then(Value::as_bool) == Some(true);
        let same = |entry: &&mut (&str, &str, bool)| entry.0 == name && entry.1 == place;
        if let Some(entry) = self.list.iter_mut().find(same) {
            entry.2 = required;
        } else {
            self.list.push((name, place, required));
        }
    }

    /// What API Management says of them: "All template parameters used in the
    /// `UriTemplate` must be defined in the Operation, and vice-versa", and
    /// "required parameters across both path and query must have unique names".
    fn problems(&self, names: &[&str]) -> Vec<String> {
        let in_path: Vec<&str> = self.named("path").collect();
        let mut problems = Vec::new();
        for name in names {
            if !in_path.contains(name) && !self.incomplete {
                problems.push(format!(
                    "the path's parameter `{name}` is not declared; add `{{\"name\": \"{name}\", \"in\": \"path\", \"required\": true}}` with its type to `parameters`"
                ));
            }
        }
        for name in &in_path {
            if !names.contains(name) {
                problems.push(format!(
                    "the parameter `{name}` is declared as a part of the path, which has no `{{{name}}}`; remove it or add it to the path"
                ));
            }
        }
        let mut taken: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        for name in self.required_query() {
            if !taken.insert(name.to_lowercase()) {
                problems.push(format!(
                    "the required query parameter `{name}` has the name of another parameter in path or query; rename one, or make it optional"
                ));
            }
        }
        problems
    }

    fn named(&self, place: &str) -> impl Iterator<Item = &'a str> {
        self.list
            .iter()
            .filter(move |(_, declared, _)| *declared == place)
            .map(|(name, _, _)| *name)
    }

    fn required_query(&self) -> impl Iterator<Item = &'a str> {
        self.list
            .iter()
            .filter(|(_, place, required)| *place == "query" && *required)
            .map(|(name, _, _)| *name)
    }

    /// The path, and the required query parameters as the import adds them
    /// (`translateRequiredQueryParameters` is `template` unless said
    /// otherwise).
    fn url_template(&self, path: &str) -> String {
        let mut template = path.to_owned();
        for name in self.required_query() {
            template.push(if template.contains('?') { '&' } else { '?' });
            template.push_str(name);
            template.push_str("={");
            template.push_str(name);
            template.push('}');
        }
        template
    }
}

/// The names between the braces of a path; `None` when they do not match.
pub(super) fn template_names(path: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = path;
    while let Some(open) = rest.find(['{', '}']) {
        let inner = rest.get(open..)?.strip_prefix('{')?;
        let (name, after) = inner.split_once('}')?;
        if name.is_empty() || name.contains(['{', '/']) {
            return None;
        }
        // A wildcard parameter, `{*rest}`, is declared by its name.
        names.push(name.strip_prefix('*').unwrap_or(name));
        rest = after;
    }
    Some(names)
}

/// Templates that match the same requests are equal: neither case nor the names
/// of parameters tell them apart.
fn comparable(template: &str) -> String {
    let mut shape = String::with_capacity(template.len());
    let mut inside = false;
    for c in template.chars() {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        shape.extend(c.to_lowercase());
    }
    shape
}

/// A text as the name of a resource: lower case, one `-` for each run of other
/// characters than letters and digits, none at the ends, cut to length. The flag
/// says whether that is certain: it is not documented whether a `-` left at the
/// cut stays.
fn resource_name(text: &str) -> (String, bool) {
    let mut name = String::with_capacity(text.len().min(MAX_BASE + 1));
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let mut name = name.trim_end_matches('-').to_owned();
    name.truncate(MAX_BASE);
    let trimmed = name.trim_end_matches('-').len();
    let certain = trimmed == name.len();
    name.truncate(trimmed);
    (name, certain)
}
