//! Taking secrets out of what is told of a difference.
//!
//! What somebody wrote into a policy or a setting by hand may hold a key. Its
//! value is replaced where the place says so (a password attribute, the value
//! of a header whose name speaks of a key) or where it looks like one (a token,
//! a long run of letters and digits). Values that differ stay different while
//! documents are compared, and look alike when they are shown.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::policy::{Element, Form, Node, Part, PolicyDocument, Value};

/// What is shown of a secret.
const REDACTED: &str = "(redacted)";
/// What stands for a secret while documents are compared: this and 16 hex
/// digits.
const MASK: &str = "(redacted:";

/// Words in names of headers, parameters and attributes whose value is secret.
const WORDS: [&str; 11] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "passwd",
    "password",
    "pwd",
    "secret",
    "session",
    "signature",
    "token",
];

/// Elements whose text is key material.
const KEY_ELEMENTS: [&str; 4] = ["key", "token", "zumo-master-key", "connection-string"];

/// Attributes that hold a secret wherever they stand.
const SECRET_ATTRIBUTES: [&str; 4] = ["password", "client-secret", "token-value", "body"];

/// A run of letters and digits of this length is taken for a key.
const KEY_LENGTH: usize = 24;

/// A text with whatever looks like a secret replaced.
#[must_use]
pub fn redacted(text: &str) -> String {
    replace_runs(&without_url_secrets(text))
}

/// A document whose secrets are replaced by values that differ where the
/// secrets do.
pub(super) fn masked(mut document: PolicyDocument) -> PolicyDocument {
    for statement in document.sections.values_mut().flatten() {
        if let Node::Element(element) = &mut statement.node {
            mask(element, false);
        }
    }
    document
}

/// A text of a masked document, as it is shown.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MASK) {
        out.push_str(rest.get(..at).unwrap_or_default());
        out.push_str(REDACTED);
        let after = rest.get(at..).unwrap_or_default();
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

fn mask(element: &mut Element, secret_text: bool) {
    let named_secret = element
        .attribute("name")
        .is_some_and(|name| is_secret_name(&text_of(name)));
    // A header or parameter says by its name what its `value` children hold.
    let children_secret = secret_text
        || (named_secret && matches!(element.name.as_str(), "set-header" | "set-query-parameter"));
    let own_secret = secret_text || KEY_ELEMENTS.contains(&element.name.as_str());
    for attribute in &mut element.attributes {
        let secret = SECRET_ATTRIBUTES.contains(&attribute.name.as_str())
            || (attribute.name == "value" && named_secret);
        mask_value(&mut attribute.value, secret);
    }
    for child in &mut element.children {
        match child {
            Node::Element(child) => mask(child, children_secret),
            Node::Text(value) => mask_value(value, own_secret || children_secret),
            Node::Comment(_) => {}
        }
    }
}

/// A named value is a reference, not the secret itself, and stays.
fn mask_value(value: &mut Value, secret: bool) {
    let code = value.form != Form::Literal;
    for part in &mut value.parts {
        let Part::Text(text) = part else { continue };
        if text.trim().is_empty() {
            continue;
        }
        if secret || (code && redacted(text) != *text) {
            // Code with a key in it is shown as a whole or not at all.
            *text = masked_text(text);
        } else if !code {
            let open = redacted(text);
            if open != *text {
                *text = format!("{open} {}", masked_text(text));
            }
        }
    }
    if code
        && value
            .parts
            .iter()
            .any(|part| matches!(part, Part::Text(text) if text.starts_with(MASK)))
    {
        value.form = Form::Literal;
    }
}

fn masked_text(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut out = MASK.to_owned();
    for byte in digest.iter().take(8) {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out.push(')');
    out
}

fn text_of(value: &Value) -> String {
    value
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) | Part::NamedValue(text) => text.as_str(),
        })
        .collect()
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// URLs with their user information and secret query values replaced.
fn without_url_secrets(text: &str) -> String {
    text.split_inclusive(char::is_whitespace)
        .map(without_secrets_of_url)
        .collect()
}

fn without_secrets_of_url(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{REDACTED}@{host}"),
        None => authority.to_owned(),
    };
    let Some((path, query)) = path.split_once('?') else {
        return format!("{scheme}://{authority}{path}");
    };
    let query: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret_name(name) || matches!(name, "sig" | "code") => {
                format!("{name}={REDACTED}")
            }
            _ => pair.to_owned(),
        })
        .collect();
    format!("{scheme}://{authority}{path}?{}", query.join("&"))
}

/// Replaces long runs of letters and digits that mix both, but for GUIDs, which
/// name tenants and applications.
fn replace_runs(text: &str) -> String {
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '=' | '-');
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars().chain(std::iter::once('\0')) {
        if in_run(c) {
            run.push(c);
            continue;
        }
        if looks_secret(&run) {
            out.push_str(REDACTED);
        } else {
            out.push_str(&run);
        }
        run.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn looks_secret(run: &str) -> bool {
    run.len() >= KEY_LENGTH
        && run.bytes().any(|b| b.is_ascii_digit())
        && run.bytes().any(|b| b.is_ascii_alphabetic())
        && !is_guid(run)
        && !is_wordy(run)
}

fn is_guid(run: &str) -> bool {
    let groups: Vec<usize> = run.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && run.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// Words and short numbers joined by `-` or `_`, such as `api-v2-orders-2026`.
fn is_wordy(run: &str) -> bool {
    run.split(['-', '_']).all(|word| {
        word.len() <= 12 && {
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            digits == 0 || digits == word.len() || word.len() <= 4
        }
    })
}
