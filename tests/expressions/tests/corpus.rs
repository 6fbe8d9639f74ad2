//! Every expression of the published example documents: how many parse, how
//! many execute, and why the others do not. The documents are no part of the
//! product; where they are absent the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apim_expressions::{Body, Context, Expression, Jwt, Limits, MultiMap, Response, Value};

/// What must stay known; raised with what is added.
const FLOOR_PARSED: usize = 420;
const FLOOR_EXECUTED: usize = 413;

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "xml") {
            found.push(path);
        }
    }
}

/// The expressions of a document: of its attributes and texts where it is XML,
/// and where expressions stand unescaped, of wherever one begins.
fn expressions(document: &str) -> Vec<String> {
    xml_expressions(document).unwrap_or_else(|| raw_expressions(document))
}

fn xml_expressions(document: &str) -> Option<Vec<String>> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(document);
    let mut found = Vec::new();
    let mut text = String::new();
    let mut depth = 0_usize;
    let mut roots = 0;
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::CData(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(reference) => {
                let name = reference.xml10_content();
                match reference.resolve_char_ref().ok()? {
                    Some(c) => text.push(c),
                    None => text.push_str(quick_xml::escape::resolve_predefined_entity(&name)?),
                }
            }
            Event::Comment(_) => {}
            _ => {
                let whole = std::mem::take(&mut text);
                if whole.trim_start().starts_with("@(") || whole.trim_start().starts_with("@{") {
                    found.push(whole.trim().to_owned());
                }
            }
        }
        match &event {
            Event::Start(start) | Event::Empty(start) => {
                for attribute in start.attributes() {
                    let attribute = attribute.ok()?;
                    // Line breaks stay: a comment ends at one.
                    let value = quick_xml::escape::unescape(&attribute.value)
                        .ok()?
                        .into_owned();
                    if value.trim_start().starts_with("@(") || value.trim_start().starts_with("@{")
                    {
                        found.push(value.trim().to_owned());
                    }
                }
                if matches!(event, Event::Start(_)) {
                    depth += 1;
                }
                roots += 1;
            }
            Event::End(_) => depth = depth.checked_sub(1)?,
            Event::Eof => return (depth == 0 && roots > 0).then_some(found),
            _ => {}
        }
    }
}

fn raw_expressions(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(length) = document[at..]
        .find("@(")
        .into_iter()
        .chain(document[at..].find("@{"))
        .min()
    {
        let start = at + length;
        // Commented out.
        let before = &document[..start];
        let comment = before
            .rfind("<!--")
            .is_some_and(|open| !before[open..].contains("-->"));
        match Expression::end_of(&document[start..]) {
            Ok(end) if !comment => {
                found.push(document[start..start + end].to_owned());
                at = start + end;
            }
            _ => at = start + 2,
        }
    }
    found
}

/// Named values as the documents use them: numbers where no quotes are around.
fn with_named_values(expression: &str) -> String {
    let mut out = String::new();
    let mut rest = expression;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else {
            break;
        };
        let name = &rest[start + 2..start + length];
        let known = name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        out.push_str(&rest[..start]);
        if !known || name.is_empty() {
            out.push_str("{{");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(if name.ends_with("Key1") || name.ends_with("Key2") {
            "MDEyMzQ1Njc4OTAxMjM0NQ=="
        } else if name.contains("url") {
            "https://example.com"
        } else {
            "1"
        });
        rest = &rest[start + length + 2..];
    }
    out + rest
}

/// The generic context: whatever variable an expression asks for has a value
/// of the type that it is cast to.
fn generic(expression: &str) -> Context {
    let mut context = common::context();
    let json = || {
        Body::new(
            r#"{"status":"200","reason":"OK","body":[1],"access_token":"a","refresh_token":"r","id_token":"i","expires_in":3600,"value":"MDE=","results":[{"geometry":{"location":{"lat":1.5,"lng":2}}}],"conditionValue":true,"encrpText":"MDEyMzQ1Njc4OTAxMjM0NQ=="}"#,
        )
    };
    let response = || Response {
        body: json(),
        headers: MultiMap::from_iter([("Set-Cookie", "sap-XSRF=1,2;SAP_SESSIONID=3,4")]),
        status_code: 200,
        status_reason: "OK".to_owned(),
    };
    if expression.contains("As<JArray>") {
        context.request.body = Some(Body::new(r#"[{"id":"1"}]"#));
    } else if expression.contains("AsFormUrlEncodedContent") {
        context.request.body = Some(Body::new("code=1&state=2"));
    } else if expression.contains("encrpText") {
        context.request.body = Some(json());
    }
    context
        .request
        .headers
        .set("Content-Length", vec!["47".to_owned()]);
    for name in ["containerName", "blobName", "storageAccountName", "Goober"] {
        context
            .request
            .matched_parameters
            .insert(name.to_owned(), "text".to_owned());
    }
    let event = r#"{"id":"1","subject":"s","eventType":"t","eventTime":"2026-01-01T00:00:00Z","dataVersion":"1","metadataVersion":"1","topic":"t","data":{"validationCode":"v"}}"#;
    for (before, value) in [
        ("(IResponse)context.Variables[\"", Value::from(response())),
        ("GetValueOrDefault<IResponse>(\"", Value::from(response())),
        (
            "(JObject)context.Variables[\"",
            Value::from_json(std::str::from_utf8(json().bytes()).unwrap()).unwrap(),
        ),
        (
            "GetValueOrDefault<JObject>(\"",
            Value::from_json(event).unwrap(),
        ),
        (
            "GetValueOrDefault<JArray>(\"",
            Value::from_json("[{\"id\":1}]").unwrap(),
        ),
        ("(int)context.Variables[\"", Value::from(3600)),
        ("GetValueOrDefault<int>(\"", Value::from(1)),
        ("GetValueOrDefault<bool>(\"", Value::from(true)),
        ("(long)context.Variables[\"", Value::from(1_772_600_000_i64)),
        (
            "(Jwt)context.Variables[\"",
            Value::from(Jwt {
                claims: [
                    ("permissions", "sendEmail"),
                    ("name", "n"),
                    ("preferred_username", "u"),
                ]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), vec![value.to_owned()]))
                .collect(),
                ..Jwt::default()
            }),
        ),
        (
            "(string)context.Variables[\"",
            Value::from("MDEyMzQ1Njc4OTAxMjM0NQ=="),
        ),
        (
            "(string)context.Variables.GetValueOrDefault(\"",
            Value::from("text"),
        ),
        ("GetValueOrDefault<string>(\"", Value::from("12")),
        ("context.Variables[\"", Value::from("text")),
    ] {
        for (at, _) in expression.match_indices(before) {
            let name = expression[at + before.len()..].split('"').next().unwrap();
            let mut value = value.clone();
            if matches!(
                name,
                "SAPBearerTokenExpiry" | "SAPOAuthRefreshExpiry" | "bodySize"
            ) {
                value = Value::from("3600");
            } else if name.starts_with("iv") {
                value = Value::from("11111111-2222-4333-8444-555555555555");
            } else if name == "incomingFullSessionCookie" || name.starts_with("encrypted") {
                value = Value::from("0p2FB9sZTn0UI7nqo7xsdw==.1.1772600000");
            } else if name == "redirect" && expression.contains("new Uri") {
                value = Value::from("https://example.com/oauth/x");
            }
            context.variables.entry(name.to_owned()).or_insert(value);
        }
    }
    context
}

fn count(reasons: &mut BTreeMap<String, Vec<String>>, reason: String, expression: &str) {
    reasons
        .entry(reason)
        .or_default()
        .push(expression.to_owned());
}

#[test]
fn the_expressions_of_published_documents_parse_and_execute() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/apim/policy-examples");
    if !folder.exists() {
        let line = "SKIPPED the_expressions_of_published_documents_parse_and_execute: no example documents\n";
        eprint!("{line}");
        if let Some(path) = std::env::var_os("TEST_SKIP_LOG") {
            use std::io::Write as _;
            let log = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            log.and_then(|mut file| file.write_all(line.as_bytes()))
                .unwrap();
        }
        return;
    }
    let mut paths = Vec::new();
    documents(&folder, &mut paths);
    let (mut all, mut parsed, mut executed) = (0, 0, 0);
    let mut refused = BTreeMap::new();
    let mut failed = BTreeMap::new();
    for path in &paths {
        let document = std::fs::read_to_string(path).unwrap();
        for expression in expressions(document.trim_start_matches('\u{feff}')) {
            all += 1;
            let expression = with_named_values(&expression);
            match Expression::parse(&expression) {
                Err(error) => count(&mut refused, error.message, &expression),
                Ok(checked) => {
                    parsed += 1;
                    match checked.evaluate(&mut generic(&expression), &Limits::default()) {
                        Ok(_) => executed += 1,
                        Err(error) => count(
                            &mut failed,
                            format!("{}: {}", error.exception, error.message),
                            &expression,
                        ),
                    }
                }
            }
        }
    }
    println!(
        "{} documents, {all} expressions: {parsed} parse, {executed} execute",
        paths.len()
    );
    for (title, reasons) in [("do not parse", &refused), ("do not execute", &failed)] {
        println!("{title}:");
        let mut sorted: Vec<_> = reasons.iter().collect();
        sorted.sort_by_key(|(_, where_)| std::cmp::Reverse(where_.len()));
        for (reason, where_) in sorted {
            let one: String = where_[0].split_whitespace().collect::<Vec<_>>().join(" ");
            println!(
                "  {:3} {reason}\n      {}",
                where_.len(),
                one.chars().take(160).collect::<String>()
            );
        }
    }
    assert!(parsed >= FLOOR_PARSED, "{parsed} of {all} parse");
    assert!(executed >= FLOOR_EXECUTED, "{executed} of {all} execute");
}
