//! The real policy documents that Microsoft publishes as snippets.

use std::path::{Path, PathBuf};

use crate::policy::canonical::equal_elements;
use crate::policy::{Format, Target, Tier, Tree, check, parse, parse_tree, print_element};

/// Documents that are broken themselves, with the place and the reason.
const BROKEN: [(&str, &str); 1] = [
    // Text was lost when it was published: `["latlong"]` became `["latlong="""]`,
    // and the last string of the block breaks off at the end of its line.
    (
        "Call out to an HTTP endpoint and cache the response.policy.xml",
        "line 40, column 28: the expression is not complete C#: a string is not closed: \"\n                            …",
    ),
];

fn documents() -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/apim/policy-examples/policy-snippets/examples");
    if !folder.is_dir() {
        return None;
    }
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "xml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Some(files)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Well-formed documents are read as what they are: some encode their code.
fn read(text: &str) -> Result<Tree, String> {
    parse_tree(text, Format::Xml)
        .or_else(|_| parse_tree(text, Format::RawXml))
        .map_err(|e| e.to_string())
}

#[test]
fn real_documents_are_read_and_come_back_from_print_with_the_same_meaning() {
    let Some(files) = documents() else {
        println!(
            "SKIPPED real_documents_are_read_and_come_back_from_print_with_the_same_meaning: ../shared is not there"
        );
        return;
    };
    assert!(files.len() > 50, "{}", files.len());
    let mut broken = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        match read(&text) {
            Ok(tree) => {
                let printed = print_element(&tree.root);
                let again = parse_tree(&printed, Format::RawXml)
                    .unwrap_or_else(|e| panic!("{}: {e}\n{printed}", name(path)));
                assert!(
                    equal_elements(&tree.root, &again.root),
                    "{}\n{printed}",
                    name(path)
                );
                // Not only equal by meaning: nothing is lost at all.
                assert_eq!(again.root, tree.root, "{}", name(path));
                assert_eq!(print_element(&again.root), printed, "{}", name(path));
            }
            Err(error) => broken.push((name(path), error)),
        }
    }
    let broken: Vec<_> = broken
        .iter()
        .map(|(n, e)| (n.as_str(), e.as_str()))
        .collect();
    assert_eq!(broken, BROKEN);
}

/// The editor snippets: one policy each, with placeholders.
#[test]
fn the_editor_snippets_are_read_and_come_back_unchanged() {
    let Some(files) = documents() else {
        println!(
            "SKIPPED the_editor_snippets_are_read_and_come_back_unchanged: ../shared is not there"
        );
        return;
    };
    let folder = files[0].ancestors().nth(2).unwrap();
    let text = std::fs::read_to_string(folder.join("vscode-snippets/xml.json")).unwrap();
    let snippets: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut broken = Vec::new();
    for (name, snippet) in &snippets {
        let lines: Vec<&str> = snippet["body"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        match parse_tree(&lines.join("\n"), Format::RawXml) {
            Ok(tree) => {
                let printed = print_element(&tree.root);
                assert_eq!(
                    parse_tree(&printed, Format::RawXml).unwrap().root,
                    tree.root,
                    "{name}"
                );
            }
            Err(error) => broken.push((name.as_str(), error.to_string())),
        }
    }
    assert_eq!(snippets.len(), 47);
    // `<openid-config url="$8">` lacks its slash.
    assert_eq!(
        broken,
        [(
            "validate-jwt",
            "line 17, column 1: '</validate-jwt>' stands where '</openid-config>' should, which \
             was opened on line 2"
                .to_owned()
        )]
    );
}

/// The checks are not stricter than what people really deploy. What is refused
/// is refused for a reason.
#[test]
fn real_documents_pass_the_checks_but_for_known_reasons() {
    let Some(files) = documents() else {
        println!(
            "SKIPPED real_documents_pass_the_checks_but_for_known_reasons: ../shared is not there"
        );
        return;
    };
    let mut refused = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        let document = parse(&text, Format::Xml).or_else(|_| parse(&text, Format::RawXml));
        let Ok(document) = document else { continue };
        for error in check(&document, &Target::Api, Tier::Developer) {
            refused.push(format!("{}: {}", name(path), error.message));
        }
    }
    assert_eq!(
        refused,
        [
            // A product's policy.
            "Authenticate using Managed Identity to access Event Hub.xml: 'quota' is allowed in \
             the policy of a product only; use 'quota-by-key' for an API or operation",
            // A placeholder that no named value can fill.
            "Authenticate using Managed Identity to access Service Bus.xml: attribute 'base-url' \
             of 'set-backend-service': the text \
             'https://.servicebus.windows.net/{{queue|topic}}/messages?api…' contains '{{', which \
             API Management reads as a named value; a plain text must not contain it, so change \
             the text",
            // Elements of the body's own.
            "Extracting multiple values from xml documents.policy.xml: 'message3' inside \
             'set-body' would be passed through unchecked; write it as text, or have the platform \
             list it in `spec.capabilities.passthroughElements` of the PolicyPlugin",
            // Placeholders in the place of names.
            "GET a file from blobStorage account.xml: attribute 'name' of 'set-header' is \
             '{MyMetadataName1}', which cannot be the name of a header; write letters, digits and \
             dashes",
            "GET a file from blobStorage account.xml: attribute 'name' of 'set-header' is \
             '{MyMetadataName2}', which cannot be the name of a header; write letters, digits and \
             dashes",
            // A typing error: one bracket is of the wrong kind.
            "Get OAuth2 access token from AAD using client id and certificate using key vault \
             manage identity.xml: attribute 'duration' of 'cache-store-value': the text \
             '{{cachetime}]' contains '{{', which API Management reads as a named value; a plain \
             text must not contain it, so change the text",
            // Liquid templates.
            "List all inbound headers.policy.xml: the text of 'set-body': the text '\\n                \
             {% for header in context.Request.Headers %}…' contains '{{', which API Management \
             reads as a named value; a plain text must not contain it, so change the text",
            "PUT a file to blobStorage account.xml: attribute 'name' of 'set-header' is \
             'x-ms-meta-{MyMetadataName1}', which cannot be the name of a header; write letters, \
             digits and dashes",
            "PUT a file to blobStorage account.xml: attribute 'name' of 'set-header' is \
             'x-ms-meta-{MyMetadataName2}', which cannot be the name of a header; write letters, \
             digits and dashes",
            "Trigger Azure Data Factory Pipeline With Parameters.policy.xml: the text of \
             'set-body': the text '\\n            {\\n                \"UserEmailAddress\": \
             \"{{contex…' contains '{{', which API Management reads as a named value; a plain text \
             must not contain it, so change the text",
        ]
    );
}
