//! XML schemas (XSD 1.0), and the bodies that are held against them.
//!
//! A body is hostile. Entities that it declares, and declarations of a document
//! type at all, are refused; nothing that it names is fetched; how deep it nests
//! and how much an element carries is bounded before anything is built of it,
//! and how long it is by the policy that asks.

use super::{NoSchema, named};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use xsd_schema::validation::{
    DoctypeView, DriveWithError, ElementStartView, EndElementInfo, SchemaInfo, SchemaValidator,
    SchemaValidity, ValidationError, ValidationEventHandler, ValidationFlags, ValidationSink,
    ValidationWarning, drive_quick_xml_with,
};
use xsd_schema::xml::{ParseLimits, XmlDeclaration};
use xsd_schema::{SchemaError, SchemaLoader, SchemaResult, SchemaSet, SchemaSetBuilder};

/// What is taken of a body: more is refused, whatever the schema says. Elements
/// and attributes together are bounded by the body's length.
fn limits() -> ParseLimits {
    ParseLimits::none()
        .with_max_depth(128)
        .with_max_name_bytes(1024)
        .with_max_namespace_uri_bytes(2048)
        .with_max_attributes(256)
        .with_max_namespace_declarations(64)
        .with_max_namespaces_in_scope(128)
}

/// Names of bodies that were read are kept in the compiled schema. With more
/// bytes of them than this it is compiled anew.
const MOST_NAMES: usize = 4 << 20;
/// "The maximum size of the API schema that can be used by this validation policy
/// is 4 MB."
const LARGEST: usize = 4 << 20;
/// How many problems of one body are told, and how much of each.
const TOLD: usize = 10;
const LONGEST: usize = 400;

/// The elements that hold a payload.
const SOAP: [&str; 2] = [
    "http://schemas.xmlsoap.org/soap/envelope/",
    "http://www.w3.org/2003/05/soap-envelope",
];

/// What of a body the schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Payload {
    /// All of it.
    Document,
    /// The element in the body of a SOAP envelope, 1.1 or 1.2.
    Enveloped,
}

type Compiled = Result<Arc<XmlSchema>, NoSchema>;

/// Compiled schemas by what was asked for: one of these by its id, or all
/// together.
#[derive(Default)]
pub(crate) struct XmlSchemas(Mutex<HashMap<(Option<String>, Payload), Compiled>>);

impl XmlSchemas {
    /// The schema of an id, or, without one, what all of them say together.
    pub(crate) fn get(
        &self,
        schemas: &BTreeMap<String, Value>,
        id: Option<&str>,
        payload: Payload,
    ) -> Compiled {
        let key = (id.map(str::to_owned), payload);
        if let Some(known) = self.0.lock().get(&key) {
            return known.clone();
        }
        let compiled = XmlSchema::compile(schemas, id, payload).map(Arc::new);
        self.0.lock().insert(key, compiled.clone());
        compiled
    }
}

/// An XML schema, ready to validate.
pub(crate) struct XmlSchema {
    sources: Sources,
    payload: Payload,
    /// The compiled form belongs to one thread at a time.
    compiled: Mutex<SchemaSet>,
    /// What it takes by itself, without names of bodies.
    own_names: usize,
}

/// What a schema is compiled from.
struct Sources {
    /// Begun with; these and what they include.
    roots: Vec<(String, Arc<str>)>,
    others: Library,
}

/// Every XML schema here, for those that include or import one.
#[derive(Debug, Clone)]
struct Library(Arc<HashMap<String, Arc<str>>>);

impl SchemaLoader for Library {
    fn load(&self, location: &str) -> SchemaResult<String> {
        let found = self.0.get(&location.to_lowercase());
        let text = found.ok_or_else(|| {
            SchemaError::resolution(format!("'{location}' is none of the schemas here"))
        })?;
        Ok(text.as_ref().to_owned())
    }

    /// All of them, so that nothing else is asked: no file, no network.
    fn can_load(&self, _: &str) -> bool {
        true
    }
}

/// "Include an XML schema added to API Management by
/// `schemaLocation="/schemas/myschema"`."
fn location(id: &str) -> String {
    format!("apim://service/schemas/{}", id.trim().to_lowercase())
}

impl XmlSchema {
    fn compile(
        schemas: &BTreeMap<String, Value>,
        id: Option<&str>,
        payload: Payload,
    ) -> Result<Self, NoSchema> {
        let read = |(id, document): (&String, &Value)| {
            let text = document.as_str()?;
            Some((location(id), Arc::<str>::from(text)))
        };
        let all: HashMap<String, Arc<str>> = schemas.iter().filter_map(read).collect();
        let roots = match id {
            None if all.is_empty() => return Err(NoSchema::None),
            None => schemas.iter().filter_map(read).collect(),
            Some(id) => {
                let document = named(schemas, id);
                let document = document.ok_or_else(|| NoSchema::Missing(id.to_owned()))?;
                let text = document.as_str().ok_or_else(|| NoSchema::Kind {
                    id: id.to_owned(),
                    wanted: "XML",
                })?;
                vec![(location(id), Arc::from(text))]
            }
        };
        let sources = Sources {
            roots,
            others: Library(Arc::new(all)),
        };
        let compiled = sources.compile(payload).map_err(|why| NoSchema::Unusable {
            id: id.unwrap_or("of the API").to_owned(),
            why,
        })?;
        Ok(Self {
            own_names: compiled.name_table.heap_bytes(),
            compiled: Mutex::new(compiled),
            sources,
            payload,
        })
    }

    /// Why a body is not what the schema says; nothing where it is.
    pub(crate) fn problems(&self, body: &[u8]) -> Vec<String> {
        let mut set = self.compiled.lock();
        if set.name_table.heap_bytes() > self.own_names + MOST_NAMES {
            match self.sources.compile(self.payload) {
                Ok(fresh) => *set = fresh,
                // It was compiled once, so it is again.
                Err(why) => return vec![why],
            }
        }
        let flags = ValidationFlags::default() & !ValidationFlags::BUILD_PSVI_TYPED_VALUES;
        let validator = SchemaValidator::new(&set, flags);
        let mut problems = Vec::new();
        let mut run = validator.start_run(Told(&mut problems));
        run.set_parse_limits(limits());
        let mut rules = Rules {
            payload: self.payload,
            depth: 0,
            in_body: false,
            payloads: 0,
        };
        let outcome = drive_quick_xml_with(body, &mut run, &set, &mut rules);
        // What is only known at the end, as references to ids.
        let ended = run.end_validation();
        drop(run);
        match outcome {
            Err(DriveWithError::Hook(refused)) => vec![refused.to_string()],
            Err(error) => vec![error.to_string()],
            Ok(_) if !problems.is_empty() => problems,
            Ok(_) if rules.payloads != 1 => vec![Refused::Payloads.to_string()],
            Ok(outcome) => match ended {
                Err(error) => vec![error.to_string()],
                Ok(()) if outcome.root_validity != Some(SchemaValidity::Valid) => {
                    vec!["It cannot be said to be valid.".to_owned()]
                }
                Ok(()) => Vec::new(),
            },
        }
    }
}

/// What is told of a body, the first of it.
struct Told<'a>(&'a mut Vec<String>);

impl ValidationSink for Told<'_> {
    fn on_error(&mut self, error: ValidationError) {
        if self.0.len() < TOLD {
            // It may repeat a value of the body.
            let mut message: String = error.message.chars().take(LONGEST).collect();
            if let Some(path) = error.instance_path() {
                message = format!("{message} At '{path}'.");
            }
            self.0.push(message);
        }
    }

    fn on_warning(&mut self, _: ValidationWarning) {}
}

/// Whether bytes of this encoding are the UTF-8 that is read here.
pub(crate) fn is_utf8(encoding: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"]
        .iter()
        .any(|known| encoding.eq_ignore_ascii_case(known))
}

impl Sources {
    fn compile(&self, payload: Payload) -> Result<SchemaSet, String> {
        let size: usize = self.others.0.values().map(|text| text.len()).sum();
        if size > LARGEST {
            return Err(format!(
                "It is {size} bytes long, and {LARGEST} at most are validated with."
            ));
        }
        let mut builder = SchemaSetBuilder::with_loader(Box::new(self.others.clone()));
        let add = |builder: SchemaSetBuilder, text: &str, location: &str| {
            let added = builder.add_source(text, location);
            added.map_err(|error| error.to_string())
        };
        for (location, text) in &self.roots {
            if !builder.is_loaded(location) {
                builder = add(builder, text, location)?;
            }
        }
        if payload == Payload::Enveloped {
            for (number, namespace) in SOAP.iter().enumerate() {
                builder = add(
                    builder,
                    &envelope(namespace),
                    &format!("apim://service/envelope/{number}"),
                )?;
            }
        }
        let compiled = builder.compile().map_err(|error| error.to_string())?;
        // A document that is missing leaves holes for bodies to pass through.
        let missing = compiled
            .directive_failures()
            .iter()
            .find(|failure| !failure.namespace_supplied());
        if let Some(failure) = missing {
            let named = failure.schema_location().or(failure.namespace());
            return Err(format!(
                "It refers to '{}', which is none of the schemas here.",
                named.unwrap_or_default()
            ));
        }
        let set = compiled.into_schema_set();
        // XSD 1.0 lets a type be missing until a body has an element of it; here
        // the author of the schema is told, not the caller.
        let elements = set.arenas.elements.values();
        let of_elements = elements.filter_map(|one| one.deferred_type_error.as_ref());
        let lists = set.arenas.simple_types.values();
        let of_lists = lists.filter_map(|one| one.deferred_item_type_error.as_ref());
        if let Some(missing) = of_elements.chain(of_lists).next() {
            return Err(format!("{}.", missing.message));
        }
        Ok(set)
    }
}

/// The envelope of one version of SOAP. Headers are not the payload; what stands
/// in the body has to be declared.
fn envelope(namespace: &str) -> String {
    format!(
        r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{namespace}" targetNamespace="{namespace}" elementFormDefault="qualified">
<xs:complexType name="Header"><xs:sequence><xs:any processContents="skip" minOccurs="0" maxOccurs="unbounded"/></xs:sequence><xs:anyAttribute processContents="skip"/></xs:complexType>
<xs:complexType name="Body"><xs:sequence><xs:any processContents="strict"/></xs:sequence><xs:anyAttribute processContents="skip"/></xs:complexType>
<xs:element name="Envelope"><xs:complexType><xs:sequence><xs:element name="Header" type="Header" minOccurs="0"/><xs:element name="Body" type="Body"/></xs:sequence><xs:anyAttribute processContents="skip"/></xs:complexType></xs:element>
</xs:schema>"#
    )
}

/// What a body may not be, whatever the schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("A document type declaration is not allowed.")]
    Doctype,
    #[error("The encoding '{0}' is not read: bodies are UTF-8.")]
    Encoding(String),
    #[error("XML {0} is not read: bodies are XML 1.0.")]
    Version(String),
    #[error("The root '{0}' is not a SOAP envelope.")]
    NoEnvelope(String),
    #[error("The '{0}' element is not declared.")]
    Undeclared(String),
    #[error("A SOAP body holds one element, which the schema describes.")]
    Payloads,
}

/// Looks at what the schema does not say.
struct Rules {
    payload: Payload,
    depth: usize,
    /// Whether this is inside a SOAP body.
    in_body: bool,
    /// How many elements stand where the payload does.
    payloads: usize,
}

impl Rules {
    /// "Any top-level schema element can be used as the root": one that the
    /// schema has. `xsi:type` would do for an element that nothing declares.
    fn root(&mut self, view: &ElementStartView<'_>, info: &SchemaInfo) -> Result<(), Refused> {
        self.payloads += 1;
        let is_soap = self.payload == Payload::Enveloped && SOAP.contains(&view.namespace_uri);
        if info.element_decl.is_none() || is_soap {
            return Err(Refused::Undeclared(view.local_name.to_owned()));
        }
        Ok(())
    }
}

impl ValidationEventHandler for Rules {
    type Error = Refused;

    fn on_doctype(&mut self, _: DoctypeView<'_>) -> Result<(), Refused> {
        Err(Refused::Doctype)
    }

    /// Whoever reads the body after us believes what it says of itself.
    fn on_xml_declaration(&mut self, declaration: &XmlDeclaration) -> Result<(), Refused> {
        match &declaration.encoding {
            Some(name) if !is_utf8(name) => Err(Refused::Encoding(name.clone())),
            _ if declaration.version != "1.0" => Err(Refused::Version(declaration.version.clone())),
            _ => Ok(()),
        }
    }

    fn after_element(
        &mut self,
        view: ElementStartView<'_>,
        info: &SchemaInfo,
    ) -> Result<(), Refused> {
        self.depth += 1;
        match (self.payload, self.depth) {
            (Payload::Document, 1) => self.root(&view, info),
            (Payload::Enveloped, 1) if !SOAP.contains(&view.namespace_uri) => {
                Err(Refused::NoEnvelope(view.local_name.to_owned()))
            }
            (Payload::Enveloped, 2) => {
                self.in_body = view.local_name == "Body";
                Ok(())
            }
            (Payload::Enveloped, 3) if self.in_body => self.root(&view, info),
            _ => Ok(()),
        }
    }

    fn after_end_element(&mut self, _: &EndElementInfo, _: usize) -> Result<(), Refused> {
        self.depth -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_NAMES, Payload, XmlSchema};
    use policy_document::PolicyFormat;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    fn schema(text: &str) -> XmlSchema {
        let schemas = BTreeMap::from([("a".to_owned(), Value::from(text))]);
        XmlSchema::compile(&schemas, Some("a"), Payload::Document).expect("a schema")
    }

    #[test]
    fn names_that_bodies_make_up_do_not_pile_up() {
        let anything = "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"><xs:element name=\"a\"/></xs:schema>";
        let schema = schema(anything);
        let long = "n".repeat(1000);
        let mut most = 0;
        for body in 0..120 {
            let mut text = "<a>".to_owned();
            for name in 0..100 {
                let _ = write!(text, "<{long}{body}-{name}/>");
            }
            text.push_str("</a>");
            assert_eq!(schema.problems(text.as_bytes()), Vec::<String>::new());
            most = most.max(schema.compiled.lock().name_table.heap_bytes());
        }
        assert!(most > MOST_NAMES, "nothing was made anew: {most}");
        assert!(most < schema.own_names + MOST_NAMES + (1 << 20), "{most}");
    }

    proptest! {
        #[test]
        fn whatever_passes_of_damaged_bodies_is_what_the_schema_says(
            damage in prop::collection::vec((0_usize..80, 0_usize..6, "[<>/&;a-z0-9 !\\-\\[\\]\"=:?]{0,4}"), 1..4),
        ) {
            let number = "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"><xs:element name=\"a\"><xs:complexType><xs:sequence>\
                <xs:element name=\"b\" type=\"xs:int\"/></xs:sequence></xs:complexType></xs:element></xs:schema>";
            let mut text = "<?xml version=\"1.0\"?><a><!-- c --><b> 12 </b><?p i?></a>".to_owned();
            for (at, length, with) in damage {
                let from = at.min(text.len());
                text.replace_range(from..(from + length).min(text.len()), &with);
            }
            if schema(number).problems(text.as_bytes()).is_empty() {
                let parsed = policy_document::parse(&text, PolicyFormat::Xml);
                let root = parsed.map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?.root;
                prop_assert_eq!(&root.name, "a");
                let held: Vec<_> = root.elements().collect();
                prop_assert_eq!(held.len(), 1, "{}", text);
                prop_assert!(held[0].text().trim().parse::<i32>().is_ok(), "{}", text);
            }
        }
    }
}
