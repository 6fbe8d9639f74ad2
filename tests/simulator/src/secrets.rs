//! What the page and the traces must not show, and the text that is left.
//!
//! A page is built from [`Shown`] texts only, and only [`Secrets::show`] makes
//! them from what came from outside. A trace leaves the program through
//! [`Secrets::trace`], whoever asks for it.

use crate::arm::ArmState;
use crate::arm::path::Kind;
use crate::arm::store::{Entity, Service};
use crate::arm::vault;
use crate::config::Seed;
use crate::data_plane::MASTER_KEYS;
use crate::http::percent_decode;
use apim_gateway::{Trace, TraceChange, TraceEntry};
use maud::{Markup, Render, html};
use policy_document::{Element, Node};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Stands for a secret.
const HIDDEN: &str = "•••";
/// Shorter values are hidden only where they are the whole text: they occur in
/// other texts by chance.
const SHORTEST: usize = 4;
/// So much of a long secret is enough to know it by, in bytes.
const KNOWN_BY: usize = 32;

/// Names of headers, parameters and variables whose values are secret whatever
/// they are.
static SECRET_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("(?i)authorization|cookie|password|secret|token|credential|signature|assertion|jwt|api-?key|subscription-?key|functions-key|^(key|code|sig)$").ok()
});
/// Credentials that tell themselves: JSON Web Tokens, and what follows the name
/// of a scheme.
static CREDENTIAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*|(^|[^A-Za-z0-9_-])(?i:bearer|basic)\s+[A-Za-z0-9._~+/-]{4,}=*",
    )
    .ok()
});
/// A part of a URL in which something is percent-encoded.
static ENCODED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[^\s/?&=#]*%[0-9A-Fa-f]{2}[^\s/?&=#]*").ok());
/// A parameter of a URL's query.
static PARAMETER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([?&])([^=&#\s]+)=([^&#\s]*)").ok());

/// A text that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Render for Shown {
    fn render(&self) -> Markup {
        html! { (self.0.as_str()) }
    }
}

/// Every secret that there is or was: traces outlive a change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Those that exist from the beginning.
    pub(crate) fn of(seed: &Seed) -> Self {
        let applications = seed.tenants.iter().flat_map(|one| &one.applications);
        let subscriptions = seed.services.iter().flat_map(|one| &one.subscriptions);
        let mut secrets = Self::default();
        for application in applications {
            secrets.extend(application.secrets.iter().map(String::as_str));
        }
        for one in subscriptions {
            secrets.extend([one.primary_key.as_str(), one.secondary_key.as_str()]);
        }
        secrets.extend(MASTER_KEYS);
        secrets.extend([seed.identity_header.as_str()]);
        secrets
    }

    /// Adds those that are stored now.
    pub(crate) fn note(&mut self, arm: &ArmState) {
        for service in &arm.services {
            for value in stored(service, Kind::NamedValue) {
                if value.properties.get("secret") == Some(&Value::Bool(true)) {
                    self.extend(value.text("value"));
                }
                self.extend(value.text(vault::HELD));
            }
            for provider in stored(service, Kind::OpenIdProvider) {
                self.extend(provider.text("clientSecret"));
            }
            for subscription in service.subscriptions.values() {
                self.extend(subscription.text("primaryKey"));
                self.extend(subscription.text("secondaryKey"));
            }
            for gateway in service.gateways.values() {
                self.extend(gateway.keys.iter().map(String::as_str));
            }
            for backend in stored(service, Kind::Backend) {
                if let Some(credentials) = backend.properties.get("credentials") {
                    self.note_credentials(credentials);
                }
            }
        }
    }

    /// Every text in a backend's credentials but the scheme.
    fn note_credentials(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.extend([text.as_str()]),
            Value::Array(all) => all.iter().for_each(|one| self.note_credentials(one)),
            Value::Object(members) => {
                for (name, member) in members {
                    if name != "scheme" {
                        self.note_credentials(member);
                    }
                }
            }
            _ => {}
        }
    }

    fn extend<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        for text in texts {
            // `{{name}}` stands for a named value and is none.
            if text.is_empty() || text.starts_with("{{") || self.0.contains(text) {
                continue;
            }
            self.0.insert(text.to_owned());
            self.0.insert(text.replace(' ', "+"));
        }
    }

    /// A text without the secrets in it.
    pub(crate) fn show(&self, text: &str) -> Shown {
        let mut shown = text.to_owned();
        for secret in &self.0 {
            shown = without(shown, secret);
        }
        if let Some(pattern) = ENCODED.as_ref() {
            let hide = |found: &regex::Captures<'_>| {
                if self.is_in(&percent_decode(&found[0])) {
                    HIDDEN.to_owned()
                } else {
                    found[0].to_owned()
                }
            };
            shown = pattern.replace_all(&shown, hide).into_owned();
        }
        if let Some(pattern) = PARAMETER.as_ref() {
            shown = pattern
                .replace_all(&shown, |found: &regex::Captures<'_>| {
                    if is_secret_name(&found[2]) {
                        format!("{}{}={HIDDEN}", &found[1], &found[2])
                    } else {
                        found[0].to_owned()
                    }
                })
                .into_owned();
        }
        if let Some(pattern) = CREDENTIAL.as_ref() {
            let hidden = format!("${{1}}{HIDDEN}");
            shown = pattern.replace_all(&shown, hidden).into_owned();
        }
        Shown(shown)
    }

    /// Whether a secret is in a text, or cut off at its end.
    fn is_in(&self, text: &str) -> bool {
        let spaced = text.replace('+', " ");
        let hides = |text: &str| {
            let mut secrets = self.0.iter();
            secrets.any(|secret| without(text.to_owned(), secret) != text)
        };
        hides(text) || hides(&spaced)
    }

    /// The value of something that has a name: hidden whole where the name says
    /// that it is secret.
    pub(crate) fn show_named(&self, name: &str, value: &str) -> Shown {
        if name.split(' ').any(is_secret_name) && !value.is_empty() {
            Shown(HIDDEN.to_owned())
        } else {
            self.show(value)
        }
    }

    /// A trace without the secrets in it.
    pub(crate) fn trace(&self, trace: &Trace) -> Trace {
        let show = |text: &str| self.show(text).0;
        let change = |change: &TraceChange| {
            let value = |value: &Option<String>| {
                let value = value.as_deref();
                value.map(|value| self.show_named(&change.what, value).0)
            };
            TraceChange {
                what: show(&change.what),
                from: value(&change.from),
                to: value(&change.to),
            }
        };
        let entry = |entry: &TraceEntry| TraceEntry {
            path: show(&entry.path),
            changes: entry.changes.iter().map(change).collect(),
            messages: entry.messages.iter().map(|text| show(text)).collect(),
            error: entry.error.as_deref().map(show),
            ..entry.clone()
        };
        Trace {
            url: show(&trace.url),
            entries: trace.entries.iter().map(entry).collect(),
            ..trace.clone()
        }
    }

    /// A policy as it is written, without keys and passwords.
    pub(crate) fn show_element(&self, element: &Element) -> Shown {
        let document = policy_document::Document {
            before: Vec::new(),
            root: plain(element.clone(), false),
            after: Vec::new(),
        };
        let text = policy_document::print(&document, policy_document::PolicyFormat::RawXml);
        self.show(text.trim())
    }
}

fn stored(service: &Service, kind: Kind) -> impl Iterator<Item = &Entity> {
    let entities = service.entities.get(&kind).into_iter().flatten();
    entities.map(|(_, entity)| entity)
}

fn is_secret_name(name: &str) -> bool {
    SECRET_NAME
        .as_ref()
        .is_some_and(|pattern| pattern.is_match(name))
}

/// The text without a secret, also where it is cut off within it.
fn without(text: String, secret: &str) -> String {
    if secret.len() < SHORTEST {
        return if text == secret {
            HIDDEN.to_owned()
        } else {
            text
        };
    }
    let mut text = if text.contains(secret) {
        text.replace(secret, HIDDEN)
    } else {
        text
    };
    let known = floor(secret, KNOWN_BY);
    if known.len() < secret.len()
        && let Some(at) = text.find(known)
    {
        text.truncate(at);
        text.push_str(HIDDEN);
    }
    if let Some(cut) = text.strip_suffix('…') {
        let begun = (SHORTEST..known.len())
            .rev()
            .filter_map(|length| secret.get(..length))
            .find(|begun| cut.ends_with(begun));
        if let Some(begun) = begun {
            let length = cut.len() - begun.len();
            text.truncate(length);
            text.push_str(HIDDEN);
        }
    }
    text
}

/// The beginning of a text, of so many bytes at most.
fn floor(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A policy in which secrets that are written out are hidden. What is an
/// expression or a named value is none.
fn plain(mut element: Element, secret: bool) -> Element {
    let named = element.attribute("name").is_some_and(is_secret_name)
        && matches!(
            element.name.as_str(),
            "set-header" | "set-query-parameter" | "set-variable"
        );
    let secret = secret
        || named
        || matches!(
            element.name.as_str(),
            "issuer-signing-keys" | "decryption-keys"
        );
    let written = |text: &str| {
        let text = text.trim();
        !text.is_empty() && !text.starts_with('@') && !text.starts_with("{{")
    };
    for attribute in &mut element.attributes {
        let hides = match attribute.name.as_str() {
            "password" => true,
            "value" => secret,
            _ => false,
        };
        if hides && written(&attribute.value) {
            HIDDEN.clone_into(&mut attribute.value);
        }
    }
    for child in &mut element.children {
        match child {
            Node::Element(inner) => *inner = plain(inner.clone(), secret),
            Node::Text(text) | Node::CData(text) | Node::Comment(text) => {
                if secret && written(text) {
                    HIDDEN.clone_into(text);
                }
            }
        }
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy_document::PolicyFormat;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.extend(["s3cret value", "k1", &"long".repeat(30)]);
        secrets
    }

    #[test]
    fn known_secrets_go_whole_encoded_and_cut_off() {
        let secrets = secrets();
        let show = |text: &str| secrets.show(text).as_str().to_owned();
        assert_eq!(show("a s3cret value b"), "a ••• b");
        assert_eq!(show("/x?a=s3cret+value"), "/x?a=•••");
        assert_eq!(
            show("/x/s3cret%20value/y?b=%73%33cret+valu…"),
            "/x/•••/y?b=•••"
        );
        assert_eq!(show("is s3cret v…"), "is •••");
        assert_eq!(show(&format!("x {}…", "long".repeat(20))), "x •••");
        assert_eq!(show("k1"), "•••");
        assert_eq!(show("tank100"), "tank100");
    }

    #[test]
    fn credentials_tell_themselves_by_their_form_or_their_name() {
        let secrets = Secrets::default();
        let show = |text: &str| secrets.show(text).as_str().to_owned();
        assert_eq!(
            show("sent eyJhbGciOiJub25lIn0.eyJhIjoxfQ. on"),
            "sent ••• on"
        );
        assert_eq!(show("Basic dXNlcjpwYXNz"), "•••");
        assert_eq!(show("sent: bearer abc-def=, more"), "sent: •••, more");
        assert_eq!(
            show("/a?code=1&q=2&Subscription-Key=x"),
            "/a?code=•••&q=2&Subscription-Key=•••"
        );
        let named = |name: &str| secrets.show_named(name, "v").as_str().to_owned();
        assert_eq!(named("request header X-Api-Key"), "•••");
        assert_eq!(named("variable tokenCopy"), "•••");
        assert_eq!(named("request header X-Team"), "v");
    }

    #[test]
    fn secrets_that_a_policy_writes_out_are_hidden_and_references_stay() {
        let show = |text: &str| {
            let document = policy_document::parse(text, PolicyFormat::RawXml).expect("a document");
            let shown = Secrets::default().show_element(&document.root);
            shown
                .as_str()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            show(r#"<authentication-basic username="u" password="p" />"#),
            r#"<authentication-basic username="u" password="•••" />"#
        );
        assert_eq!(
            show(r#"<set-header name="X-Api-Key"><value>abc</value></set-header>"#),
            r#"<set-header name="X-Api-Key"> <value>•••</value> </set-header>"#
        );
        assert_eq!(
            show(r#"<set-header name="Authorization"><value>{{token}}</value></set-header>"#),
            r#"<set-header name="Authorization"> <value>{{token}}</value> </set-header>"#
        );
        assert_eq!(
            show(
                "<validate-jwt><issuer-signing-keys><key>YWJj</key></issuer-signing-keys></validate-jwt>"
            ),
            "<validate-jwt> <issuer-signing-keys> <key>•••</key> </issuer-signing-keys> </validate-jwt>"
        );
    }
}
