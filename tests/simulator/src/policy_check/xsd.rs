//! Writes `table.rs` from the published schemas, and compares the two.
//!
//! The sources are the XSD files that Microsoft publishes for the policy
//! language (`apim/policy-xsd/*.xsd`) and the section matrix of its reference
//! pages (`apim/policy-sections.json`), both in the shared data folder. To take
//! up a new edition, replace them there and run
//! `UPDATE_POLICY_TABLE=1 cargo test -p apim-simulator table_is`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use policy_document::Element;
use policy_document::PolicyFormat;

/// The shared data folder beside the workspace, if it is there.
pub(super) fn shared(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/apim");
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("SKIPPED {name}: ../shared is not there");
        None
    }
}

/// Global declarations of all schema files.
#[derive(Default)]
struct Schemas {
    elements: BTreeMap<String, Element>,
    types: BTreeMap<String, Element>,
}

impl Schemas {
    fn read(folder: &Path) -> Self {
        let mut schemas = Self::default();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "xsd") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let root = policy_document::parse(&text, PolicyFormat::Xml)
                .unwrap()
                .root;
            for declaration in root.elements() {
                let Some(name) = declaration.attribute("name") else {
                    continue;
                };
                let known = match declaration.name.as_str() {
                    "xs:element" => &mut schemas.elements,
                    "xs:complexType" | "xs:simpleType" => &mut schemas.types,
                    _ => continue,
                };
                // `expression` and a few modes are declared in more than one
                // file, always alike.
                known.insert(name.to_owned(), declaration.clone());
            }
        }
        schemas
    }

    /// `of(&[attributes], content)` for an element declaration.
    fn definition(&self, declaration: &Element) -> String {
        let inline = declaration
            .elements()
            .find(|child| matches!(child.name.as_str(), "xs:complexType" | "xs:simpleType"));
        let declared = match (inline, declaration.attribute("type")) {
            (Some(inline), _) => inline,
            (None, Some(name)) => match self.types.get(name) {
                Some(declared) => declared,
                None => return format!("of(&[], Content::Text({}))", self.named(name)),
            },
            (None, None) => return "of(&[], Content::Anything)".to_owned(),
        };
        if declared.name == "xs:simpleType" {
            let name = declared.attribute("name").unwrap_or("");
            return format!("of(&[], Content::Text({}))", self.simple(declared, name));
        }
        let mut parts = Parts::default();
        self.collect(declared, &mut parts);
        let content = if let Some(text) = parts.text {
            format!("Content::Text({text})")
        } else {
            match (parts.particles.as_slice(), parts.mixed) {
                ([], true) => "Content::Text(plain(\"string\", Base::String))".to_owned(),
                ([], false) => "Content::Empty".to_owned(),
                ([only], mixed) => format!("{}(&{only})", if mixed { "mixed" } else { "children" }),
                (several, mixed) => format!(
                    "{}(&sequence(1, 1, &[{}]))",
                    if mixed { "mixed" } else { "children" },
                    several.join(", ")
                ),
            }
        };
        format!("of(&[{}], {content})", parts.attributes.join(", "))
    }

    /// Attributes and content of a complex type, with what it extends.
    fn collect(&self, declared: &Element, parts: &mut Parts) {
        if declared.attribute("mixed") == Some("true") {
            parts.mixed = true;
        }
        for child in declared.elements() {
            match child.name.as_str() {
                "xs:attribute" => parts.attributes.push(self.attribute(child)),
                "xs:sequence" | "xs:choice" | "xs:all" => {
                    parts.particles.push(self.particle(child));
                }
                "xs:complexContent" | "xs:simpleContent" => self.collect(child, parts),
                "xs:extension" | "xs:restriction" => {
                    let base = child.attribute("base").unwrap();
                    match self.types.get(base) {
                        Some(base) if base.name == "xs:complexType" => self.collect(base, parts),
                        _ => parts.text = Some(self.named(base)),
                    }
                    self.collect(child, parts);
                }
                "xs:annotation" => {}
                other => panic!("a complex type with {other} is not understood"),
            }
        }
    }

    fn attribute(&self, declaration: &Element) -> String {
        let name = declaration.attribute("name").unwrap();
        let datatype = match (declaration.elements().next(), declaration.attribute("type")) {
            (Some(inline), _) => self.simple(inline, ""),
            (None, Some(name)) => self.named(name),
            (None, None) => "plain(\"string\", Base::String)".to_owned(),
        };
        let kind = if declaration.attribute("use") == Some("required") {
            "required"
        } else {
            "optional"
        };
        format!("{kind}({name:?}, {datatype})")
    }

    fn particle(&self, declaration: &Element) -> String {
        let occurs = |name: &str| match declaration.attribute(name) {
            None => "1".to_owned(),
            Some("unbounded") => "MANY".to_owned(),
            Some(number) => number.to_owned(),
        };
        let (min, max) = (occurs("minOccurs"), occurs("maxOccurs"));
        let items = || {
            let items: Vec<String> = declaration
                .elements()
                .map(|item| self.particle(item))
                .collect();
            items.join(", ")
        };
        match declaration.name.as_str() {
            "xs:element" => {
                let name = declaration.attribute("name").unwrap();
                format!(
                    "element({name:?}, {min}, {max}, {})",
                    self.definition(declaration)
                )
            }
            "xs:sequence" => format!("sequence({min}, {max}, &[{}])", items()),
            "xs:choice" => format!("choice({min}, {max}, &[{}])", items()),
            "xs:all" => format!("all({min}, {max}, &[{}])", items()),
            "xs:any" => format!("any({min}, {max})"),
            other => panic!("a particle {other} is not understood"),
        }
    }

    fn named(&self, name: &str) -> String {
        let Some(builtin) = name.strip_prefix("xs:") else {
            return self.simple(&self.types[name], name);
        };
        format!("plain({builtin:?}, {})", builtin_base(builtin))
    }

    /// `plain(…)` or `or_expression(…)` for an `xs:simpleType`.
    fn simple(&self, declared: &Element, name: &str) -> String {
        let form = declared.elements().next().unwrap();
        match form.name.as_str() {
            "xs:restriction" => format!("plain({name:?}, {})", self.restriction(form)),
            "xs:union" => {
                let members = form.attribute("memberTypes").unwrap_or("");
                let mut bases: Vec<String> = Vec::new();
                let mut expression = false;
                for member in members.split_whitespace() {
                    if member == "expression" {
                        expression = true;
                    } else if let Some(builtin) = member.strip_prefix("xs:") {
                        bases.push(builtin_base(builtin));
                    } else {
                        let form = self.types[member].elements().next().unwrap();
                        bases.push(self.restriction(form));
                    }
                }
                for inline in form.elements() {
                    bases.push(self.restriction(inline.elements().next().unwrap()));
                }
                let [base] = bases.as_slice() else {
                    panic!("a union of {bases:?} is not understood");
                };
                if expression {
                    format!("or_expression({base})")
                } else {
                    format!("plain({name:?}, {base})")
                }
            }
            other => panic!("a simple type by {other} is not understood"),
        }
    }

    fn restriction(&self, form: &Element) -> String {
        let mut values = Vec::new();
        for facet in form.elements() {
            let value = facet.attribute("value").unwrap();
            match facet.name.as_str() {
                "xs:enumeration" => values.push(format!("{value:?}")),
                "xs:pattern" => return format!("Base::Pattern({value:?})"),
                "xs:minLength" => return "Base::NonEmpty".to_owned(),
                other => panic!("a facet {other} is not understood"),
            }
        }
        if !values.is_empty() {
            return format!("Base::OneOf(&[{}])", values.join(", "));
        }
        let base = form.attribute("base").unwrap();
        match base.strip_prefix("xs:") {
            Some(builtin) => builtin_base(builtin),
            None => self.restriction(self.types[base].elements().next().unwrap()),
        }
    }
}

#[derive(Default)]
struct Parts {
    attributes: Vec<String>,
    particles: Vec<String>,
    text: Option<String>,
    mixed: bool,
}

fn builtin_base(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().unwrap().to_ascii_uppercase();
    format!("Base::{first}{}", letters.as_str())
}

/// The whole of `table.rs`.
fn generate(folder: &Path) -> String {
    let schemas = Schemas::read(&folder.join("policy-xsd"));
    let sections = std::fs::read_to_string(folder.join("policy-sections.json")).unwrap();
    let mut sections: BTreeMap<String, Vec<String>> = serde_json::from_str(&sections).unwrap();
    // Its reference page names the section; the matrix leaves it out.
    sections
        .entry("validate-graphql-request".to_owned())
        .or_insert_with(|| vec!["inbound".to_owned()]);
    let mut out = String::from(
        "//! The policies and their published schemas, one policy a line, sorted by name.\n\
         //! Written by the generator in `xsd.rs`, which says how; never edited by hand.\n\n\
         use super::datatype::Base;\n\
         use super::shape::Section::{Backend, Inbound, OnError, Outbound};\n\
         use super::shape::{\n    Content, MANY, Policy, all, any, children, choice, element, mixed, of, optional, or_expression,\n    plain, policy, required, sequence,\n};\n\n\
         #[rustfmt::skip]\n\
         pub(super) static POLICIES: &[Policy] = &[\n",
    );
    for (name, declaration) in &schemas.elements {
        if name == "policies" {
            continue;
        }
        let allowed: Vec<&str> = sections
            .get(name)
            .into_iter()
            .flatten()
            .map(|section| match section.as_str() {
                "inbound" => "Inbound",
                "backend" => "Backend",
                "outbound" => "Outbound",
                "on-error" => "OnError",
                other => panic!("section {other} is not known"),
            })
            .collect();
        let definition = schemas.definition(declaration);
        writeln!(
            out,
            "    policy({name:?}, &[{}], {definition}),",
            allowed.join(", ")
        )
        .unwrap();
    }
    out.push_str("];\n");
    out
}

#[test]
fn the_table_is_what_the_published_schemas_say() {
    let Some(folder) = shared("the_table_is_what_the_published_schemas_say") else {
        return;
    };
    let generated = generate(&folder);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy_check/table.rs");
    if std::env::var_os("UPDATE_POLICY_TABLE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    // Line by line: a line is a policy, and the whole file no one would read.
    for (committed, generated) in committed.lines().zip(generated.lines()) {
        assert_eq!(committed, generated);
    }
    assert_eq!(committed.lines().count(), generated.lines().count());
}
