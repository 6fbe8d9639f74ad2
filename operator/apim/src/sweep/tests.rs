//! What Azure really answers is no drift.
//!
//! The recordings lie beside the workspace. Of each entity that was put, what
//! was asked for is compared with every later answer about it.

use std::collections::BTreeMap;
use std::path::Path;

use operator_core::about::{About, Contact, License};
use operator_core::annotations::Adoption;
use operator_core::apim::{difference, same_document};
use operator_core::desired::{
    ApiDocument, ApiSettings, DesiredApi, DocumentOrigin, ImportFormat, SubscriptionKeyNames,
};
use operator_core::drift::Fingerprint;
use operator_core::names::{ApiId, ContentHash, VersionSetId};
use serde::Deserialize;
use serde_json::Value;

use crate::models::{ApiProperties, Entity};

#[derive(Deserialize)]
struct Recording {
    interactions: Vec<Interaction>,
}

#[derive(Deserialize)]
struct Interaction {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    body: String,
    url: String,
    method: String,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    body: String,
    code: u16,
}

/// What was put, by path, and every answer about it until the next put.
type Told = Vec<(String, Value, Vec<Value>)>;

/// None, with a word, where the recordings are not there.
fn told(test: &str) -> Option<Told> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = workspace.join("../shared/apim/recordings");
    if !folder.is_dir() {
        println!("SKIPPED {test}: ../shared is not there");
        return None;
    }
    let mut all: Told = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let yaml = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let recording: Recording = serde_saphyr::from_str(&yaml).unwrap();
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        for Interaction { request, response } in recording.interactions {
            let path = request.url.split('?').next().unwrap_or_default().to_owned();
            let answer = serde_json::from_str::<Value>(&response.body).ok();
            match request.method.as_str() {
                "PUT" if (200..300).contains(&response.code) => {
                    let sent = serde_json::from_str(&request.body).unwrap();
                    open.insert(path.clone(), all.len());
                    all.push((path, sent, answer.into_iter().collect()));
                }
                "GET" if response.code == 200 => {
                    if let (Some(at), Some(answer)) = (open.get(&path), answer) {
                        all[*at].2.push(answer);
                    }
                }
                "DELETE" => {
                    open.remove(&path);
                }
                _ => {}
            }
        }
    }
    Some(all)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// What the operator would have wanted, had it sent this.
fn wanted(sent: &Value) -> DesiredApi {
    let sent = &sent["properties"];
    let list = |value: &Value| {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(text).collect::<Vec<_>>()
    };
    DesiredApi {
        id: ApiId::parse("recorded").unwrap(),
        mark: text(&sent["apiRevisionDescription"]).unwrap_or_default(),
        settings: ApiSettings {
            display_name: text(&sent["displayName"]).unwrap_or_default(),
            description: text(&sent["description"]).unwrap_or_default(),
            path: text(&sent["path"]).unwrap_or_default(),
            protocols: list(&sent["protocols"]),
            subscription_required: sent["subscriptionRequired"].as_bool().unwrap_or_default(),
            subscription_key_names: SubscriptionKeyNames::default(),
            api_version: text(&sent["apiVersion"]),
            api_version_set: text(&sent["apiVersionSetId"])
                .and_then(|id| VersionSetId::parse(id.rsplit('/').next()?).ok()),
            openid_provider: None,
            oauth2: None,
            about: About {
                terms_of_service: text(&sent["termsOfServiceUrl"]),
                contact: Contact {
                    name: text(&sent["contact"]["name"]),
                    url: text(&sent["contact"]["url"]),
                    email: text(&sent["contact"]["email"]),
                }
                .filled(),
                license: License {
                    name: text(&sent["license"]["name"]),
                    url: text(&sent["license"]["url"]),
                }
                .filled(),
            },
        },
        service_url: text(&sent["serviceUrl"]),
        document: ApiDocument {
            format: ImportFormat::OpenApiJson,
            value: String::new(),
            hash: ContentHash::of(""),
            origin: DocumentOrigin::Generated,
            operations: None,
        },
        products: [].into(),
        parts: [].into(),
        own_prefix: String::new(),
        adoption: Adoption::Refuse,
        rollout: None,
        rollback: None,
        mandatory: None,
    }
}

/// Whether the path is that of an API, and not of something below one or below
/// a product.
fn is_api(path: &str) -> bool {
    let Some((_, rest)) = path.split_once("/service/") else {
        return false;
    };
    matches!(rest.split('/').collect::<Vec<_>>()[..], [_, "apis", _])
}

#[test]
fn what_azure_answers_of_an_api_is_no_difference_from_what_was_sent() {
    let test = "what_azure_answers_of_an_api_is_no_difference_from_what_was_sent";
    let Some(told) = told(test) else {
        return;
    };
    let mut compared = 0;
    for (path, sent, answers) in told.iter().filter(|(path, ..)| is_api(path)) {
        let wanted = wanted(sent);
        for answer in answers {
            let entity: Entity<ApiProperties> = serde_json::from_value(answer.clone()).unwrap();
            let mut found = entity.properties.observed(None);
            // Whoever recorded sent no mark, and one protocol is the default.
            found.mark.get_or_insert_with(String::new);
            let mut wanted = wanted.clone();
            if wanted.settings.protocols.is_empty() {
                wanted.settings.protocols = found.settings.protocols.clone();
            }
            let patch = difference(&wanted, &found);
            let mut fields = patch.fields();
            if sent["properties"]["subscriptionRequired"].is_null() {
                // The service's own default.
                fields.retain(|field| *field != "subscriptionRequired");
                found.settings.subscription_required = wanted.settings.subscription_required;
            }
            assert_eq!(fields, [""; 0], "{path}\nsent {sent}\nanswered {answer}");
            assert_eq!(
                Fingerprint::of_desired(&wanted),
                Fingerprint::of_observed(&found),
                "{path}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared} answers were compared");
}

#[test]
fn what_azure_makes_of_a_policy_is_no_difference_from_what_was_sent() {
    let test = "what_azure_makes_of_a_policy_is_no_difference_from_what_was_sent";
    let Some(told) = told(test) else {
        return;
    };
    let mut rewritten = 0;
    let policies = told
        .iter()
        .filter(|(path, ..)| path.ends_with("/policies/policy"));
    for (path, sent, answers) in policies {
        let sent = sent["properties"]["value"].as_str().unwrap();
        for answer in answers {
            let found = answer["properties"]["value"].as_str().unwrap();
            assert!(same_document(sent, found), "{path}\n{sent}\n{found}");
            assert_eq!(
                Fingerprint::of_document(sent),
                Fingerprint::of_document(found),
                "{path}"
            );
            rewritten += usize::from(sent != found);
        }
    }
    assert!(rewritten >= 8, "{rewritten} documents came back rewritten");
}
