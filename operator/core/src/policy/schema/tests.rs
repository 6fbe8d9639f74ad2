//! Makes the table from the published schemas and compares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::*;
use crate::policy::model::Element;
use crate::policy::parse::{Format, parse_tree};

fn shared(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/apim");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED {test}: ../shared is not there");
    None
}

/// Two schema files, for a name that the first does not have.
struct Schemas<'s> {
    own: &'s Element,
    common: &'s Element,
    policies: &'s [String],
}

fn attribute<'e>(element: &'e Element, name: &str) -> Option<&'e str> {
    match element.attribute(name)?.parts.as_slice() {
        [] => Some(""),
        [crate::policy::Part::Text(text)] => Some(text),
        other => panic!("{other:?}"),
    }
}

fn child<'e>(element: &'e Element, name: &str) -> Option<&'e Element> {
    element.elements().find(|e| e.name == name)
}

impl<'s> Schemas<'s> {
    fn named(&self, kind: &str, name: &str) -> Option<&'s Element> {
        [self.own, self.common]
            .into_iter()
            .flat_map(Element::elements)
            .find(|e| e.name == kind && attribute(e, "name") == Some(name))
    }

    fn base(name: &str) -> Base {
        serde_json::from_value(Json::String(name.trim_start_matches("xs:").to_owned())).unwrap()
    }

    fn simple(&self, name: &str) -> Type {
        if name == "expression" {
            return Type {
                expression: true,
                ..Type::default()
            };
        }
        match self.named("xs:simpleType", name) {
            Some(simple) => self.simple_type(simple),
            None => Type {
                base: Self::base(name),
                ..Type::default()
            },
        }
    }

    fn simple_type(&self, simple: &Element) -> Type {
        if let Some(union) = child(simple, "xs:union") {
            let members = attribute(union, "memberTypes").unwrap_or_default();
            let mut types = members
                .split_whitespace()
                .map(|name| self.simple(name))
                .chain(union.elements().map(|inner| self.simple_type(inner)));
            let mut first = types.next().unwrap();
            for other in types {
                assert!(
                    other.expression || (first.expression && !members.is_empty()),
                    "{members}"
                );
                if first.expression && !other.expression {
                    first = Type {
                        expression: true,
                        ..other
                    };
                }
                first.expression = true;
            }
            return first;
        }
        let restriction = child(simple, "xs:restriction").unwrap();
        let mut kind = self.simple(attribute(restriction, "base").unwrap());
        for facet in restriction.elements() {
            let value = attribute(facet, "value").unwrap().to_owned();
            match facet.name.as_str() {
                "xs:enumeration" => kind.values.push(value),
                "xs:pattern" => kind.pattern = Some(value),
                "xs:minLength" => kind.min_length = Some(value.parse().unwrap()),
                other => panic!("{other}"),
            }
        }
        kind
    }

    fn element(&self, element: &Element) -> Rule {
        if let Some(name) = attribute(element, "type") {
            return match self.named("xs:complexType", name) {
                Some(complex) => self.complex(complex),
                None => Rule {
                    text: Some(self.simple(name)),
                    ..Rule::default()
                },
            };
        }
        if let Some(simple) = child(element, "xs:simpleType") {
            return Rule {
                text: Some(self.simple_type(simple)),
                ..Rule::default()
            };
        }
        match child(element, "xs:complexType") {
            Some(complex) => self.complex(complex),
            // No type: anything. Text is what such elements hold in practice.
            None => Rule {
                text: Some(Type::default()),
                ..Rule::default()
            },
        }
    }

    fn complex(&self, complex: &Element) -> Rule {
        let mut rule = Rule::default();
        self.extend(&mut rule, complex);
        rule
    }

    fn extend(&self, rule: &mut Rule, complex: &Element) {
        if attribute(complex, "mixed") == Some("true") {
            rule.text = Some(Type::default());
        }
        for part in complex.elements() {
            match part.name.as_str() {
                "xs:complexContent" => self.extend(rule, part),
                "xs:simpleContent" => {
                    let extension = child(part, "xs:extension").unwrap();
                    rule.text = Some(self.simple(attribute(extension, "base").unwrap()));
                    for inner in extension.elements() {
                        rule.attributes.push(self.attribute(inner));
                    }
                }
                "xs:extension" => {
                    let base = attribute(part, "base").unwrap();
                    self.extend(rule, self.named("xs:complexType", base).unwrap());
                    self.extend(rule, part);
                }
                "xs:attribute" => rule.attributes.push(self.attribute(part)),
                "xs:sequence" | "xs:all" | "xs:choice" => self.group(rule, part),
                other => panic!("{other}"),
            }
        }
    }

    fn group(&self, rule: &mut Rule, group: &Element) {
        let min: usize = attribute(group, "minOccurs").map_or(1, |n| n.parse().unwrap());
        let unbounded = attribute(group, "maxOccurs") == Some("unbounded");
        rule.order = match (group.name.as_str(), unbounded, min) {
            ("xs:sequence", false, 1) => Order::Sequence,
            ("xs:all", false, 1) => Order::All,
            ("xs:choice", false, 1) => Order::One,
            ("xs:choice", true, 0) => Order::Any,
            ("xs:choice", true, 1) => Order::Some,
            other => panic!("{other:?}"),
        };
        for part in group.elements() {
            if part.name == "xs:any" {
                rule.any = true;
                continue;
            }
            assert_eq!(part.name, "xs:element");
            let name = attribute(part, "name").unwrap().to_owned();
            let untyped = attribute(part, "type").is_none() && part.elements().next().is_none();
            rule.children.push(ChildRule {
                min: attribute(part, "minOccurs").map_or(1, |n| n.parse().unwrap()),
                max: match attribute(part, "maxOccurs") {
                    None => Some(1),
                    Some("unbounded") => None,
                    Some(n) => Some(n.parse().unwrap()),
                },
                rule: (!untyped || !self.policies.contains(&name)).then(|| self.element(part)),
                name,
            });
        }
    }

    fn attribute(&self, part: &Element) -> AttributeRule {
        assert_eq!(part.name, "xs:attribute");
        AttributeRule {
            name: attribute(part, "name").unwrap().to_owned(),
            required: attribute(part, "use") == Some("required"),
            default: attribute(part, "default").map(str::to_owned),
            kind: match (attribute(part, "type"), child(part, "xs:simpleType")) {
                (Some(name), None) => self.simple(name),
                (None, Some(simple)) => self.simple_type(simple),
                (None, None) => Type::default(),
                (Some(_), Some(_)) => panic!("{part:?}"),
            },
        }
    }
}

fn published(folder: &Path) -> Rules {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("policy-xsd"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "xsd"))
        .collect();
    files.sort();
    let files: BTreeMap<String, Element> = files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let tree = parse_tree(&text, Format::Xml).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, tree.root)
        })
        .collect();
    let declared = |file: &'static str| files.get(file).unwrap();
    let elements = |file: &Element| -> Vec<Element> {
        file.elements()
            .filter(|e| e.name == "xs:element")
            .cloned()
            .collect()
    };
    let policies: Vec<(&String, Element)> = files
        .iter()
        .filter(|(file, _)| *file != "policies")
        .flat_map(|(file, root)| elements(root).into_iter().map(move |e| (file, e)))
        .collect();
    let names: Vec<String> = policies
        .iter()
        .map(|(_, e)| attribute(e, "name").unwrap().to_owned())
        .collect();
    let sections: BTreeMap<String, Vec<Section>> = serde_json::from_str(
        &std::fs::read_to_string(folder.join("policy-sections.json")).unwrap(),
    )
    .unwrap();
    Rules {
        policies: policies
            .iter()
            .zip(&names)
            .map(|((file, element), name)| {
                let schemas = Schemas {
                    own: files.get(*file).unwrap(),
                    common: declared("common-types"),
                    policies: &names,
                };
                let policy = Policy {
                    sections: sections.get(name).cloned().unwrap_or_default(),
                    rule: schemas.element(element),
                };
                (name.clone(), policy)
            })
            .collect(),
    }
}

/// One policy per line: a change shows as one line of a diff.
fn written(rules: &Rules) -> String {
    let lines: Vec<String> = rules
        .policies
        .iter()
        .map(|(name, policy)| format!("\"{name}\": {}", serde_json::to_string(policy).unwrap()))
        .collect();
    format!("{{\"policies\": {{\n{}\n}}}}\n", lines.join(",\n"))
}

#[test]
fn the_policy_table_is_what_the_published_schemas_say() {
    let Some(folder) = shared("the_policy_table_is_what_the_published_schemas_say") else {
        return;
    };
    let expected = written(&published(&folder));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/schema/table.json");
    if std::env::var_os("UPDATE_POLICY_TABLE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    for (expected, committed) in expected.lines().zip(committed.lines()) {
        assert_eq!(expected, committed);
    }
    assert_eq!(expected.len(), committed.len());
}

#[test]
fn the_policy_table_loads_and_writes_back_unchanged() {
    assert_eq!(rules().names().count(), 75);
    assert_eq!(written(rules()), include_str!("table.json"));
}

/// A digest of the schemas that others made: names, required attributes and
/// how often children may stand.
#[test]
fn the_policy_table_agrees_with_the_digest_of_the_schemas() {
    let Some(folder) = shared("the_policy_table_agrees_with_the_digest_of_the_schemas") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("policy-schema-summary.json")).unwrap();
    let digest: BTreeMap<String, Json> = serde_json::from_str(&text).unwrap();
    let names: Vec<&String> = rules().names().collect();
    assert_eq!(names, digest.keys().collect::<Vec<_>>());
    for (name, digest) in &digest {
        compare(name, digest, rules().policy(name).unwrap());
    }
}

fn compare(path: &str, digest: &Json, rule: &Rule) {
    let list = |key: &str| digest[key].as_array().cloned().unwrap_or_default();
    let expected: Vec<String> = list("attrs").iter().map(ToString::to_string).collect();
    let ours: Vec<String> = rule
        .attributes
        .iter()
        .map(|a| {
            let mut kind = if a.kind.values.is_empty() {
                serde_json::to_value(a.kind.base)
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned()
            } else {
                format!("{{{}}}", a.kind.values.join("|"))
            };
            if let Some(pattern) = &a.kind.pattern {
                kind = format!("{kind} ~/{pattern}/");
            }
            if let Some(length) = a.kind.min_length {
                kind = format!("{kind} minLength={length}");
            }
            if a.kind.expression {
                kind += "|expr";
            }
            serde_json::json!({"name": a.name, "required": a.required, "type": kind, "default": a.default})
                .to_string()
        })
        .collect();
    assert_eq!(ours, expected, "{path}");
    let names: Vec<Json> = rule
        .children
        .iter()
        .map(|c| Json::String(c.name.clone()))
        .chain(rule.any.then(|| Json::String("*any*".to_owned())))
        .collect();
    let expected: Vec<Json> = list("children").iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, expected, "{path}");
    for (child, digest) in rule.children.iter().zip(list("children")) {
        let path = format!("{path}/{}", child.name);
        let max = child.max.map_or("unbounded".to_owned(), |n| n.to_string());
        assert_eq!(digest["min"], child.min.to_string(), "{path}");
        assert_eq!(digest["max"], max, "{path}");
        match &child.rule {
            Some(rule) => {
                assert_eq!(
                    rule.text.is_some(),
                    digest.get("text").is_some_and(|t| !t.is_null()),
                    "{path}"
                );
                compare(&path, &digest, rule);
            }
            None => assert!(rules().policy(&child.name).is_some(), "{path}"),
        }
    }
}
