//! What a document uses of the API Management instance it goes to, and
//! whether it may.
//!
//! An instance is shared. A named value, a certificate or the identity of the
//! instance that one API may use must not be borrowed by another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::csharp;
use super::document::{PolicyDocument, PolicyError};
use super::literal::shown;
use super::model::{Element, Form, Node, Part, Section, Target, Value};
use super::print::code;

/// What kind of thing a document can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceKind {
    /// A named value, by its display name.
    NamedValue,
    /// A policy fragment, by its id.
    Fragment,
    /// A backend, by its id.
    Backend,
    /// A certificate, by its id or thumbprint.
    Certificate,
    /// A resource for which a token of the instance's managed identity is
    /// taken, or the client id of a user-assigned identity.
    ManagedIdentity,
    /// A logger, by its id.
    Logger,
    /// A schema of the instance, by its id.
    Schema,
    /// A product, by its id: not of a document, but of an object, as the next
    /// two.
    Product,
    /// A tag of APIs, by its id.
    Tag,
    /// An OAuth 2.0 server that the portal uses, by its id.
    AuthorizationServer,
    /// A group that sees products, by its id.
    Group,
    /// An API that somebody else published, by its id.
    Api,
    /// An authorization of the credential manager, as `provider/authorization`.
    Authorization,
}

impl ReferenceKind {
    /// The kinds that an instance can grant, as its settings spell them.
    pub const GRANTABLE: [(&'static str, Self); 12] = [
        ("namedValue", Self::NamedValue),
        ("policyFragment", Self::Fragment),
        ("backend", Self::Backend),
        ("certificate", Self::Certificate),
        ("managedIdentityResource", Self::ManagedIdentity),
        ("logger", Self::Logger),
        ("schema", Self::Schema),
        ("product", Self::Product),
        ("tag", Self::Tag),
        ("authorizationServer", Self::AuthorizationServer),
        ("group", Self::Group),
        ("api", Self::Api),
    ];

    /// The kind that an instance's settings name.
    #[must_use]
    pub fn of_setting(text: &str) -> Option<Self> {
        let found = Self::GRANTABLE.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind)
    }
}

impl fmt::Display for ReferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NamedValue => "named value",
            Self::Fragment => "policy fragment",
            Self::Backend => "backend",
            Self::Certificate => "certificate",
            Self::ManagedIdentity => "managed identity for the resource",
            Self::Logger => "logger",
            Self::Schema => "schema",
            Self::Product => "product",
            Self::Tag => "tag",
            Self::AuthorizationServer => "OAuth 2.0 server",
            Self::Group => "group",
            Self::Api => "API",
            Self::Authorization => "authorization",
        })
    }
}

/// One use of something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// Its name; none if it is only known when a request comes in.
    pub name: Option<String>,
    /// The plugin that wrote it.
    pub plugin: Option<String>,
    /// The config pointer it came from.
    pub pointer: Option<String>,
    /// The section it stands in.
    pub section: Section,
    /// What stands around it.
    pub standing: Standing,
}

/// What stands around a named value, which API Management puts in as text. A
/// later one asks more of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Standing {
    /// Nothing that could become code together with it.
    #[default]
    Apart,
    /// Another named value, or text that ends as an expression begins or begins
    /// as one goes on: together they could be one.
    Beside,
    /// An expression.
    InExpression,
}

/// What may be used: names by kind. An entry is a name or ends in `*`; `*`
/// alone also allows names that are only known when a request comes in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(pub BTreeMap<ReferenceKind, Vec<String>>);

impl Grants {
    /// Whether the thing may be used.
    #[must_use]
    pub fn allow(&self, kind: ReferenceKind, name: Option<&str>) -> bool {
        self.0.get(&kind).is_some_and(|entries| {
            entries
                .iter()
                .any(|entry| match (entry.strip_suffix('*'), name) {
                    (Some(""), _) => true,
                    (Some(prefix), Some(name)) => name.starts_with(prefix),
                    (None, Some(name)) => entry == name,
                    (_, None) => false,
                })
        })
    }
}

/// Everything that the document uses, in document order, each use by itself.
#[must_use]
pub fn references(document: &PolicyDocument) -> Vec<Reference> {
    let mut out = Vec::new();
    for (section, statements) in &document.sections {
        for statement in statements {
            let mut found = Found {
                plugin: statement.plugin.as_deref(),
                section: *section,
                out: &mut out,
            };
            match &statement.node {
                Node::Element(element) => found.element(element, None),
                Node::Text(value) => found.value(value, None),
                Node::Comment(_) => {}
            }
        }
    }
    out
}

/// The named values that single plugins may use besides what is granted, by the
/// plugins' names.
pub type OwnValues<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// An error for each use that is not granted.
#[must_use]
pub fn check_references(
    document: &PolicyDocument,
    target: &Target,
    grants: &Grants,
    own: &OwnValues<'_>,
) -> Vec<PolicyError> {
    let is_own = |r: &Reference| {
        let values = r.plugin.as_deref().and_then(|plugin| own.get(plugin));
        let named = values.zip(r.name.as_deref());
        r.kind == ReferenceKind::NamedValue
            && named.is_some_and(|(values, name)| values.contains(name))
    };
    references(document)
        .into_iter()
        .filter(|r| !grants.allow(r.kind, r.name.as_deref()) && !is_own(r))
        .map(|reference| PolicyError {
            message: match &reference.name {
                Some(name) => format!(
                    "the policy uses the {} '{}', which the instance does not grant to this \
                     namespace; ask the platform team for a grant or use another",
                    reference.kind,
                    shown(name)
                ),
                None => format!(
                    "the policy uses a {} whose name is only known when a request comes in; name \
                     it, or ask the platform team for a grant of all",
                    reference.kind
                ),
            },
            plugin: reference.plugin,
            pointer: reference.pointer,
            document: target.clone(),
            section: Some(reference.section),
        })
        .collect()
}

struct Found<'a> {
    plugin: Option<&'a str>,
    section: Section,
    out: &'a mut Vec<Reference>,
}

impl Found<'_> {
    fn push(&mut self, kind: ReferenceKind, name: Option<String>, pointer: Option<&str>) {
        self.note(kind, name, pointer, Standing::Apart);
    }

    fn note(
        &mut self,
        kind: ReferenceKind,
        name: Option<String>,
        pointer: Option<&str>,
        standing: Standing,
    ) {
        self.out.push(Reference {
            kind,
            name,
            plugin: self.plugin.map(str::to_owned),
            pointer: pointer.map(str::to_owned),
            section: self.section,
            standing,
        });
    }

    fn element(&mut self, element: &Element, pointer: Option<&str>) {
        let pointer = element.pointer.as_deref().or(pointer);
        for attribute in &element.attributes {
            let value = &attribute.value;
            let pointer = value.pointer.as_deref().or(pointer);
            if let Some(kind) = kind_of(&element.name, &attribute.name) {
                self.push(kind, plain(value), pointer);
            }
            self.value(value, pointer);
        }
        match element.name.as_str() {
            "authentication-managed-identity" if element.attribute("resource").is_none() => {
                self.push(ReferenceKind::ManagedIdentity, None, pointer);
            }
            "authentication-token" if element.attribute("resource-url").is_none() => {
                self.push(ReferenceKind::ManagedIdentity, None, pointer);
            }
            // A data source that lets the instance's identity in; which
            // resource that is stands in the connection string.
            "connection-string" if element.attribute("use-managed-identity").is_some() => {
                self.push(ReferenceKind::ManagedIdentity, None, pointer);
            }
            "get-authorization-context" => {
                let part = |name| element.attribute(name).and_then(plain);
                let name = part("provider-id")
                    .zip(part("authorization-id"))
                    .map(|(provider, id)| format!("{provider}/{id}"));
                self.push(ReferenceKind::Authorization, name, pointer);
            }
            _ => {}
        }
        for child in &element.children {
            match child {
                Node::Element(child) => self.element(child, pointer),
                Node::Text(value) => self.value(value, value.pointer.as_deref().or(pointer)),
                Node::Comment(_) => {}
            }
        }
    }

    fn value(&mut self, value: &Value, pointer: Option<&str>) {
        for (index, part) in value.parts.iter().enumerate() {
            match part {
                Part::NamedValue(name) => {
                    let named = Some(name.clone());
                    let standing = standing(value, index);
                    self.note(ReferenceKind::NamedValue, named, pointer, standing);
                }
                // Not ours: composed documents hold no such text. A parsed one
                // can, and the service may be more lenient than we are.
                Part::Text(text) if text.contains("{{") => {
                    self.push(ReferenceKind::NamedValue, None, pointer);
                }
                Part::Text(_) => {}
            }
        }
        // `context.Deployment.Certificates` holds all of them.
        if value.form != Form::Literal && csharp::uses(&code(value), "Certificates") {
            self.push(ReferenceKind::Certificate, None, pointer);
        }
    }
}

/// What stands around the named value that is the part of this index.
fn standing(value: &Value, index: usize) -> Standing {
    if value.form != Form::Literal {
        return Standing::InExpression;
    }
    let begins = |part: &Part| match part {
        Part::Text(text) => text.ends_with(['@', '{']),
        Part::NamedValue(_) => true,
    };
    let goes_on = |part: &Part| match part {
        Part::Text(text) => text.starts_with(['(', '{']),
        Part::NamedValue(_) => true,
    };
    let before = index.checked_sub(1).and_then(|at| value.parts.get(at));
    if before.is_some_and(begins) || value.parts.get(index + 1).is_some_and(goes_on) {
        return Standing::Beside;
    }
    Standing::Apart
}

/// What an attribute refers to, if anything.
fn kind_of(element: &str, attribute: &str) -> Option<ReferenceKind> {
    match (element, attribute) {
        ("include-fragment", "fragment-id") => Some(ReferenceKind::Fragment),
        (_, "backend-id" | "embeddings-backend-id") => Some(ReferenceKind::Backend),
        (_, "certificate-id" | "issuer-certificate-id")
        | ("authentication-certificate", "thumbprint") => Some(ReferenceKind::Certificate),
        ("authentication-managed-identity", "resource" | "client-id")
        | ("connection-string", "client-id" | "scope")
        | ("authentication-token", "resource-url")
        | ("authentication-token-store", "token-id" | "client-id") => {
            Some(ReferenceKind::ManagedIdentity)
        }
        (_, "logger-id") => Some(ReferenceKind::Logger),
        // What a body is refused for tells what the schema asks for.
        (_, "schema-id") => Some(ReferenceKind::Schema),
        _ => None,
    }
}

/// The text, if no request changes it and no named value stands in it.
fn plain(value: &Value) -> Option<String> {
    if value.form != Form::Literal {
        return None;
    }
    value
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::NamedValue(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Format, parse};

    fn document(inbound: &str) -> PolicyDocument {
        let text = format!("<policies><inbound>{inbound}</inbound></policies>");
        parse(&text, Format::RawXml).unwrap()
    }

    fn found(inbound: &str) -> Vec<(ReferenceKind, Option<String>)> {
        references(&document(inbound))
            .into_iter()
            .map(|r| (r.kind, r.name))
            .collect()
    }

    #[test]
    fn every_kind_of_reference_is_found() {
        use ReferenceKind as K;
        let name = |kind, name: &str| (kind, Some(name.to_owned()));
        assert_eq!(
            found(
                r#"<set-header name="a"><value>x {{one}}</value></set-header>
                <choose><when condition="@("{{two}}" == "")">
                    <include-fragment fragment-id="frag" />
                    <set-backend-service backend-id="back" />
                </when></choose>
                <authentication-certificate certificate-id="cert" />
                <authentication-certificate thumbprint="AB" />
                <authentication-managed-identity resource="https://vault" client-id="id" />
                <authentication-managed-identity resource="@(context.RequestId)" />
                <authentication-managed-identity />
                <log-to-eventhub logger-id="log">x</log-to-eventhub>
                <validate-content unspecified-content-type-action="prevent" max-size="1" size-exceeded-action="prevent"><content validate-as="xml" action="prevent" schema-id="orders" /></validate-content>
                <get-authorization-context provider-id="p" authorization-id="a" context-variable-name="c" />
                <validate-jwt header-name="A"><issuer-signing-keys><key certificate-id="k" /><key>{{hmac}}</key></issuer-signing-keys><decryption-keys><key certificate-id="d" /></decryption-keys></validate-jwt>
                <validate-client-certificate><identities><identity issuer-certificate-id="ca" /></identities></validate-client-certificate>
                <check-header name="K" failed-check-httpcode="401"><value>{{key}}</value></check-header>
                <send-request><authentication-managed-identity resource="nested" /><authentication-certificate certificate-id="inner" /></send-request>
                <authentication-token resource-url="token" />
                <authentication-token />
                <authentication-token-store token-id="store" />
                <llm-semantic-cache-lookup score-threshold="1" embeddings-backend-id="embeddings" />
                <cosmosdb-data-source><connection-info><connection-string use-managed-identity="true" client-id="reader">x</connection-string></connection-info></cosmosdb-data-source>
                <sql-data-source><connection-info><connection-string use-managed-identity="true" scope="https://sql">x</connection-string></connection-info></sql-data-source>
                <set-variable name="v" value="@(context.Deployment.Certificates["x"].Subject)" />
                <set-variable name="v" value="{{ odd }}" />"#
            ),
            [
                name(K::NamedValue, "one"),
                name(K::NamedValue, "two"),
                name(K::Fragment, "frag"),
                name(K::Backend, "back"),
                name(K::Certificate, "cert"),
                name(K::Certificate, "AB"),
                name(K::ManagedIdentity, "https://vault"),
                name(K::ManagedIdentity, "id"),
                (K::ManagedIdentity, None),
                (K::ManagedIdentity, None),
                name(K::Logger, "log"),
                name(K::Schema, "orders"),
                name(K::Authorization, "p/a"),
                name(K::Certificate, "k"),
                name(K::NamedValue, "hmac"),
                name(K::Certificate, "d"),
                name(K::Certificate, "ca"),
                name(K::NamedValue, "key"),
                name(K::ManagedIdentity, "nested"),
                name(K::Certificate, "inner"),
                name(K::ManagedIdentity, "token"),
                (K::ManagedIdentity, None),
                name(K::ManagedIdentity, "store"),
                name(K::Backend, "embeddings"),
                name(K::ManagedIdentity, "reader"),
                (K::ManagedIdentity, None),
                name(K::ManagedIdentity, "https://sql"),
                (K::ManagedIdentity, None),
                (K::Certificate, None),
                (K::NamedValue, None),
            ]
        );
    }

    #[test]
    fn what_is_not_granted_is_refused_by_name() {
        let grants = |kind, names: &[&str]| {
            Grants([(kind, names.iter().map(|n| (*n).to_owned()).collect())].into())
        };
        let document = document(r#"<set-variable name="v" value="{{team-a-key}}" />"#);
        let refused = |grants: &Grants| {
            check_references(&document, &Target::Api, grants, &OwnValues::new())
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            refused(&Grants::default()),
            [
                "the policy uses the named value 'team-a-key', which the instance does not grant \
                 to this namespace; ask the platform team for a grant or use another (policy of \
                 the API in inbound)"
            ]
        );
        let kind = ReferenceKind::NamedValue;
        assert_eq!(refused(&grants(kind, &["team-a-*"])).len(), 0);
        assert_eq!(refused(&grants(kind, &["team-a-key"])).len(), 0);
        assert_eq!(refused(&grants(kind, &["team-b-*", "team-a"])).len(), 1);
        assert_eq!(refused(&grants(ReferenceKind::Backend, &["*"])).len(), 1);
    }

    #[test]
    fn what_a_plugin_has_of_a_profile_is_its_own_alone() {
        let mut document = document(
            r#"<set-variable name="v" value="{{own}}" /><set-variable name="w" value="@("{{own}}")" />"#,
        );
        let inbound = document.sections.get_mut(&Section::Inbound).unwrap();
        inbound[0].plugin = Some("one".into());
        inbound[1].plugin = Some("two".into());
        let found: Vec<Standing> = references(&document).iter().map(|r| r.standing).collect();
        assert_eq!(found, [Standing::Apart, Standing::InExpression]);
        let own = OwnValues::from([("one", BTreeSet::from(["own"]))]);
        let refused = check_references(&document, &Target::Api, &Grants::default(), &own);
        let plugins: Vec<_> = refused.iter().map(|e| e.plugin.as_deref()).collect();
        assert_eq!(plugins, [Some("two")]);
    }

    #[test]
    fn what_could_become_code_with_its_neighbours_stands_beside_them() {
        use Standing::{Apart, Beside};
        for (text, expected) in [
            ("{{a}}", vec![Apart]),
            ("Bearer {{a}}!", vec![Apart]),
            ("a@{{a}}", vec![Beside]),
            ("{{a}}(x", vec![Beside]),
            ("{{a}} {{b}}", vec![Apart, Apart]),
            ("{{a}}{{b}}", vec![Beside, Beside]),
        ] {
            let document = document(&format!(r#"<set-variable name="v" value="{text}" />"#));
            let found: Vec<Standing> = references(&document).iter().map(|r| r.standing).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_computed_name_needs_a_grant_of_all() {
        let document = document(r#"<set-backend-service backend-id="@(context.RequestId)" />"#);
        let refused = |entry: &str| {
            let grants = Grants([(ReferenceKind::Backend, vec![entry.to_owned()])].into());
            check_references(&document, &Target::Api, &grants, &OwnValues::new()).len()
        };
        assert_eq!((refused("a*"), refused("*")), (1, 0));
    }
}
