//! Recorded exchanges with Azure, replayed for the kinds that are simulated.
//!
//! The recordings lie beside the workspace. Differences that stay are listed,
//! with the reason, in `replay-differences.md`; that list is what the test
//! compares with, so it can be neither too short nor too long.

use super::support::{Answer, Azure};
use apim_simulator::{Seed, ServiceSeed, SimulatorConfig};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Recording {
    interactions: Vec<Interaction>,
}

#[derive(Deserialize)]
struct Interaction {
    id: u32,
    request: Recorded,
    response: Reply,
}

#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    body: String,
    url: String,
    method: String,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    body: String,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    code: u16,
}

/// The kinds that are replayed, by the first segment below the service.
const KINDS: [&str; 9] = [
    "namedValues",
    "backends",
    "policyFragments",
    "policies",
    "apis",
    "apiVersionSets",
    "products",
    "subscriptions",
    "tenant",
];

/// Headers that are compared; the others are those of the network between.
const HEADERS: [&str; 13] = [
    "allow",
    "azure-asyncoperation",
    "cache-control",
    "content-type",
    "etag",
    "expires",
    "location",
    "pragma",
    "retry-after",
    "strict-transport-security",
    "vary",
    "x-content-type-options",
    "x-ms-failure-cause",
];

/// A folder next to the workspace; `None`, with a word, where it is not there.
fn recordings(test: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = workspace.join("../shared/apim/recordings");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED {test}: ../shared is not there");
    None
}

/// The differences that the list allows, as `recording id what`.
fn listed() -> BTreeSet<String> {
    include_str!("../../replay-differences.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| 20"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            format!("20{} {} {}", cells[0], cells[1], cells[2].trim_matches('`'))
        })
        .collect()
}

struct Replay {
    azure: Azure,
    name: &'static str,
    /// Recorded ids of operations and those that were given out here.
    operations: Vec<(String, String)>,
    differences: BTreeSet<String>,
    replayed: usize,
}

impl Replay {
    async fn start(
        name: &'static str,
        group: &str,
        service: &str,
        sku: &str,
        location: &str,
    ) -> Self {
        let seed = Seed {
            subscription_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            resource_group: group.to_owned(),
            services: vec![ServiceSeed {
                sku: sku.to_owned(),
                location: location.to_owned(),
                ..ServiceSeed::named(service)
            }],
            ..Seed::default()
        };
        let config = SimulatorConfig {
            seed,
            throttle: None,
            ..SimulatorConfig::default()
        };
        Self {
            azure: Azure::with(config).await,
            name,
            operations: Vec::new(),
            differences: BTreeSet::new(),
            replayed: 0,
        }
    }

    async fn run(&mut self, recording: &Recording) {
        for interaction in &recording.interactions {
            let request = &interaction.request;
            let url = request
                .url
                .strip_prefix("https://management.azure.com")
                .unwrap_or(&request.url);
            let path = url.split('?').next().unwrap_or(url);
            if request.method == "DELETE" && path.rsplit('/').nth(1) == Some("resourceGroups") {
                // Deleting the group is not simulated; its effect is.
                let name = &self.azure.simulator.endpoints.service_name;
                self.azure
                    .control(Method::DELETE, &format!("services/{name}"), None)
                    .await
                    .expect(200);
                continue;
            }
            let Some(below) = path.strip_prefix(&self.azure.service) else {
                continue;
            };
            let kind = below.split('/').nth(1).unwrap_or_default();
            let is_service =
                below.is_empty() && request.method == "GET" && interaction.response.code == 200;
            if KINDS.contains(&kind) || is_service {
                self.replay(interaction, url).await;
            }
        }
    }

    async fn replay(&mut self, interaction: &Interaction, url: &str) {
        let request = &interaction.request;
        let mut url = format!("{}{url}", self.azure.simulator.base_url);
        // Some calls were recorded with a version that is not served here.
        let version = format!("api-version={}", self.name);
        url = url.replace("api-version=2021-08-01", &version);
        for (recorded, here) in &self.operations {
            url = url.replace(recorded, here);
        }
        let method = Method::from_bytes(request.method.as_bytes()).expect("a method");
        let bearer = format!("Bearer {}", self.azure.token);
        let body = (!request.body.is_empty()).then(|| request.body.clone());
        let answer = self
            .azure
            .send(method, &url, &[("authorization", &bearer)], body)
            .await;
        self.replayed += 1;
        let recorded = Answer {
            status: interaction.response.code,
            headers: interaction
                .response
                .headers
                .iter()
                .map(|(name, values)| (name.to_lowercase(), values.join(", ")))
                .collect(),
            text: interaction.response.body.clone(),
        };
        let operation = |answer: &Answer| {
            let location = answer.headers.get("location")?;
            let id = location.split("asyncId=").nth(1)?;
            id.get(..24).map(str::to_owned)
        };
        if let (Some(recorded), Some(here)) = (operation(&recorded), operation(&answer)) {
            self.operations.push((recorded, here));
        }
        self.compare(interaction.id, &recorded, &answer);
    }

    fn compare(&mut self, id: u32, recorded: &Answer, answer: &Answer) {
        let mut differ = |what: String| {
            self.differences
                .insert(format!("{} {id} {what}", self.name));
        };
        if recorded.status != answer.status {
            differ(format!("status {} is {}", recorded.status, answer.status));
        }
        for name in HEADERS {
            let shown = |answer: &Answer| {
                answer.headers.get(name).map(|value| match name {
                    "etag" => format!("{} characters", value.len()),
                    "location" | "azure-asyncoperation" => {
                        let mut value = value.clone();
                        for (recorded, here) in &self.operations {
                            value = value.replace(recorded, "ID").replace(here, "ID");
                        }
                        value
                            .replace("https://management.azure.com", "")
                            .replace(&self.azure.simulator.base_url, "")
                    }
                    _ => value.clone(),
                })
            };
            let (before, now) = (shown(recorded), shown(answer));
            if before != now {
                let text = |value: Option<String>| value.unwrap_or_else(|| "absent".to_owned());
                differ(format!("header {name}: {} is {}", text(before), text(now)));
            }
        }
        let body = |answer: &Answer| {
            serde_json::from_str::<Value>(&answer.text).unwrap_or_else(|_| json!(answer.text))
        };
        let mut found = Vec::new();
        differences("", &body(recorded), &body(answer), &mut found);
        for what in found {
            differ(format!("body {what}"));
        }
    }
}

/// Members whose values belong to one service or one moment.
const NORMALISED: [&str; 19] = [
    "/etag",
    "/tags",
    "/primaryKey",
    "/secondaryKey",
    "/properties/primaryKey",
    "/properties/secondaryKey",
    "/properties/createdDate",
    "/properties/createdAtUtc",
    "/properties/publisherEmail",
    "/properties/publisherName",
    "/properties/managementApiUrl",
    "/properties/gatewayRegionalUrl",
    "/properties/portalUrl",
    "/properties/developerPortalUrl",
    "/properties/scmUrl",
    "/properties/publicIPAddresses/0",
    "/properties/outboundPublicIPAddresses/0",
    "/location",
    "/systemData",
];

/// Where two bodies differ, by JSON pointer.
fn differences(path: &str, recorded: &Value, here: &Value, found: &mut Vec<String>) {
    if NORMALISED.contains(&path) {
        // The kind of value is still compared.
        if recorded.is_null() != here.is_null() {
            let shown = |value: &Value| if value.is_null() { "null" } else { "{…}" };
            found.push(format!("{path}: {} is {}", shown(recorded), shown(here)));
        }
        return;
    }
    match (recorded, here) {
        (Value::Object(recorded), Value::Object(here)) => {
            let names: BTreeSet<&String> = recorded.keys().chain(here.keys()).collect();
            for name in names {
                let place = format!("{path}/{name}");
                match (recorded.get(name), here.get(name)) {
                    (Some(recorded), Some(here)) => differences(&place, recorded, here, found),
                    (Some(_), None) => found.push(format!("{place}: is missing")),
                    _ => found.push(format!("{place}: is new")),
                }
            }
        }
        (Value::Array(recorded), Value::Array(here)) if recorded.len() == here.len() => {
            for (index, (recorded, here)) in recorded.iter().zip(here).enumerate() {
                differences(&format!("{path}/{index}"), recorded, here, found);
            }
        }
        (recorded, here) if recorded == here => {}
        (recorded, here) => found.push(format!("{path}: {recorded} is {here}")),
    }
}

fn load(folder: &Path, file: &str) -> Recording {
    let text = std::fs::read_to_string(folder.join(file)).expect("a recording");
    serde_saphyr::from_str(&text).expect("a recording in YAML")
}

#[tokio::test]
async fn both_recordings_replay_but_for_the_listed_differences() {
    let Some(folder) = recordings("both_recordings_replay_but_for_the_listed_differences") else {
        return;
    };
    let mut classic = Replay::start(
        "2022-08-01",
        "asotest-rg-pwokuh",
        "asotest-apimanagement-sczlzm",
        "Developer",
        "West US 2",
    )
    .await;
    classic
        .run(&load(&folder, "Test_ApiManagement_20220801_CRUD.yaml"))
        .await;
    let mut newer = Replay::start(
        "2023-05-01-preview",
        "asotest-rg-zlmwur",
        "asotest-apimanagementv2-twykac",
        "BasicV2",
        "East US",
    )
    .await;
    newer
        .run(&load(
            &folder,
            "Test_ApiManagement_20230501preview_CRUD.yaml",
        ))
        .await;

    let differences: BTreeSet<String> = classic
        .differences
        .union(&newer.differences)
        .cloned()
        .collect();
    assert_eq!(differences, listed());
    // How many of the 176 and 111 interactions are of a kind that is simulated.
    assert_eq!((classic.replayed, newer.replayed), (68, 72));
}
