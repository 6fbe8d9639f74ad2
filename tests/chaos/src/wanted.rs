//! What a schedule wants of one API, and what must follow from it. Nothing here
//! is the operator's code: what it says is restated from the documentation.

mod change;
mod facts;

pub(crate) use change::Change;
pub(crate) use facts::{PolicyFacts, guarded};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::draw::Draw;

/// The prefix of the operator's annotations.
pub(crate) const PREFIX: &str = "apim.oda.tmforum.org/";

/// An operation that a document may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The `operationId` in the document.
    pub name: &'static str,
    /// The id that Azure makes of it.
    pub id: &'static str,
    /// Its HTTP method.
    pub method: &'static str,
    /// Its path in the document, which is its URL template in Azure.
    pub template: &'static str,
}

const fn operation(
    name: &'static str,
    id: &'static str,
    method: &'static str,
    template: &'static str,
) -> Operation {
    Operation {
        name,
        id,
        method,
        template,
    }
}

/// All that there are; a document has some of them.
pub(crate) const OPERATIONS: [Operation; 5] = [
    operation("listItems", "listitems", "GET", "/items"),
    operation("createItem", "createitem", "POST", "/items"),
    operation("getItem", "getitem", "GET", "/items/{id}"),
    operation("replaceItem", "replaceitem", "PUT", "/items/{id}"),
    operation("deleteItem", "deleteitem", "DELETE", "/items/{id}"),
];

/// What the annotation `plugins` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Plugins {
    /// There is none: the instance's list.
    Default,
    /// A rate limit alone.
    RateLimit,
    /// CORS and tokens.
    CorsAndTokens,
    /// An empty list.
    Nothing,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mistake {
    /// An annotation that does not exist.
    UnknownAnnotation,
    /// A plugin that does not exist.
    UnknownPlugin,
    /// A document that cannot be read.
    BrokenDocument,
    /// The id of an API that somebody else made.
    ForeignId,
}

/// What is done about what others change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Drift {
    /// It is put back.
    #[default]
    Correct,
    /// It is told.
    Report,
    /// Nothing.
    Off,
}

/// What is done about an API that is there already and is not the object's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Adoption {
    /// It is left alone.
    #[default]
    Refuse,
    /// It is taken over where it already is what is wanted.
    Match,
    /// It is taken over.
    Override,
}

/// What a page says.
pub(crate) const PAGE: &str = "# How to call\n\nAsk first.";

/// Paths from this number on belong to nobody: each object can ask for them.
pub(crate) const SHARED: u8 = 3;

/// What an object is made with, besides what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The namespace, which is also the name of the first instance.
    pub(crate) namespace: &'a str,
    /// There are two instances, so each object names one.
    pub(crate) two: bool,
    /// A secret that a policy holds.
    pub(crate) canary: &'a str,
    /// The id of somebody else's API.
    pub(crate) foreign: &'a str,
}

/// The name of the second instance.
pub(crate) fn second_instance(namespace: &str) -> String {
    format!("{namespace}-b")
}

/// An API as its owner wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Wanted {
    /// Which of its paths.
    pub path: u8,
    /// Which operations, a bit each; at least one.
    pub operations: u8,
    /// Calls per minute and caller.
    pub limit: Option<u16>,
    /// Whether browsers may call it.
    pub cors: bool,
    /// The plugins.
    pub plugins: Plugins,
    /// A rate limit of one operation: its place in [`OPERATIONS`], and calls
    /// per minute. It counts while the document has the operation.
    pub operation_limit: Option<(u8, u16)>,
    /// Nothing is to be written.
    pub paused: bool,
    /// It stays when the object goes.
    pub retain: bool,
    /// It serves metrics and does not go to Azure.
    pub metrics: bool,
    /// What is wrong with it.
    pub mistake: Option<Mistake>,
    /// The value of the annotation `retry`.
    pub retry: u16,
    /// It belongs into the second instance.
    #[serde(default)]
    pub second: bool,
    /// What is done about what others change.
    #[serde(default)]
    pub drift: Drift,
    /// What is done about an API that is there already.
    #[serde(default)]
    pub adoption: Adoption,
    /// The named value that its policy needs; such a policy has a secret in it.
    #[serde(default)]
    pub value: Option<u8>,
    /// Its changes come as new revisions.
    #[serde(default)]
    pub revisions: bool,
    /// It has a page in the developer portal.
    #[serde(default)]
    pub page: bool,
}

impl Wanted {
    /// A new API.
    #[must_use]
    pub fn draw(draw: &mut Draw) -> Self {
        Self {
            path: if draw.chance(12) { SHARED } else { 0 },
            operations: change::operations(draw),
            limit: change::limit(draw),
            cors: draw.chance(40),
            plugins: change::plugins(draw),
            operation_limit: change::operation_limit(draw),
            paused: false,
            retain: draw.chance(6),
            metrics: draw.chance(8),
            mistake: if draw.chance(8) {
                change::mistake(draw)
            } else {
                None
            },
            retry: 0,
            second: draw.chance(30),
            drift: change::drift(draw),
            adoption: change::adoption(draw),
            value: if draw.chance(10) {
                change::value(draw)
            } else {
                None
            },
            revisions: draw.chance(25),
            page: draw.chance(25),
        }
    }

    /// A plain API with two operations.
    #[must_use]
    pub const fn plain() -> Self {
        Self {
            path: 0,
            operations: 3,
            limit: Some(100),
            cors: false,
            plugins: Plugins::Default,
            operation_limit: None,
            paused: false,
            retain: false,
            metrics: false,
            mistake: None,
            retry: 0,
            second: false,
            drift: Drift::Correct,
            adoption: Adoption::Refuse,
            value: None,
            revisions: false,
            page: false,
        }
    }

    /// Changes it.
    pub fn change(&mut self, change: &Change) {
        match change.clone() {
            Change::Path(path) => self.path = path,
            Change::Operations(operations) => self.operations = operations.max(1),
            Change::Limit(limit) => self.limit = limit,
            Change::Cors(cors) => self.cors = cors,
            Change::Plugins(plugins) => self.plugins = plugins,
            Change::OperationLimit(limit) => self.operation_limit = limit,
            Change::Paused(paused) => self.paused = paused,
            Change::Retain(retain) => self.retain = retain,
            Change::Metrics(metrics) => self.metrics = metrics,
            Change::Mistake(mistake) => self.mistake = mistake,
            Change::Retry => self.retry += 1,
            Change::Second(second) => self.second = second,
            Change::Drift(drift) => self.drift = drift,
            Change::Adoption(adoption) => self.adoption = adoption,
            Change::Value(value) => self.value = value,
            Change::Revisions(revisions) => self.revisions = revisions,
            Change::Page(page) => self.page = page,
        }
    }

    /// The operations of its document.
    pub fn document(&self) -> impl Iterator<Item = Operation> {
        let bits = self.operations;
        OPERATIONS
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| bits & (1 << at) != 0)
            .map(|(_, operation)| operation)
    }

    /// Whether it is to be found in Azure as it is wanted.
    #[must_use]
    pub const fn is_published(&self) -> bool {
        self.mistake.is_none() && !self.metrics
    }

    /// The limit of one of its operations.
    #[must_use]
    pub fn limit_of(&self, operation: Operation) -> Option<u16> {
        let (at, calls) = self.operation_limit?;
        let limited = OPERATIONS.get(usize::from(at))?;
        let there = self.document().any(|one| one == *limited);
        (there && *limited == operation).then_some(calls)
    }

    /// What its policy must say, given what the platform stamps on requests.
    #[must_use]
    pub fn facts(&self, stamp: Option<u16>) -> PolicyFacts {
        // A plugin whose block says `enabled: false` does not run, listed or
        // not.
        let (cors, tokens, limited) = match self.plugins {
            Plugins::Default => (self.cors, true, true),
            Plugins::RateLimit => (false, false, true),
            Plugins::CorsAndTokens => (self.cors, true, false),
            Plugins::Nothing => (false, false, false),
        };
        PolicyFacts {
            cors,
            tokens,
            limits: self.limit.filter(|_| limited).into_iter().collect(),
            stamp,
            value: self.value.map(u16::from),
        }
    }

    /// Its path below the gateway.
    #[must_use]
    pub fn path(&self, namespace: &str, name: &str) -> String {
        if self.is_shared() {
            format!("{namespace}/shared/v{}", self.path)
        } else {
            format!("{namespace}/{name}/v{}", self.path)
        }
    }

    /// Whether others can ask for its path.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.path >= SHARED
    }

    /// The annotations under the operator's prefix.
    #[must_use]
    pub(crate) fn annotations(&self, setting: Setting<'_>) -> Map<String, Value> {
        let mut all = Map::new();
        let mut set = |name: &str, value: String| {
            all.insert(format!("{PREFIX}{name}"), value.into());
        };
        let listed: &[&str] = match self.plugins {
            _ if self.mistake == Some(Mistake::UnknownPlugin) => &["rate-limit", "tea"],
            // What the instance has in its list, so that there can be more.
            Plugins::Default => &["cors", "jwt-entra", "rate-limit"],
            Plugins::RateLimit => &["rate-limit"],
            Plugins::CorsAndTokens => &["cors", "jwt-entra"],
            Plugins::Nothing => &[],
        };
        let mut listed = listed.to_vec();
        if let Some(value) = self.value {
            listed.push("headers");
            let headers = json!({"request": {"set": {
                "X-Needed": {"namedValue": format!("value-{value}")},
                "X-Partner": setting.canary,
            }}});
            set("plugin.headers", headers.to_string());
        }
        if self.plugins != Plugins::Default
            || self.value.is_some()
            || self.mistake == Some(Mistake::UnknownPlugin)
        {
            set("plugins", listed.join(", "));
        }
        if setting.two {
            let instance = if self.second {
                second_instance(setting.namespace)
            } else {
                setting.namespace.to_owned()
            };
            set("instance", instance);
        }
        match self.drift {
            Drift::Correct => {}
            Drift::Report => set("drift", "Report".to_owned()),
            Drift::Off => set("drift", "Off".to_owned()),
        }
        match self.adoption {
            // The other API is not to be had.
            _ if self.mistake == Some(Mistake::ForeignId) => {}
            Adoption::Refuse => {}
            Adoption::Match => set("adoption", "Match".to_owned()),
            Adoption::Override => set("adoption", "Override".to_owned()),
        }
        if let Some((at, calls)) = self.operation_limit
            && let Some(limited) = OPERATIONS.get(usize::from(at))
            && self.document().any(|one| one == *limited)
        {
            let config = json!({limited.name: {
                "plugins": "rate-limit",
                "config": {"rate-limit": {"calls": calls, "renewalPeriod": 60}},
            }});
            set("operation-plugins", config.to_string());
        }
        if self.paused {
            set("paused", "true".to_owned());
        }
        if self.revisions {
            set("rollout", "{strategy: Revision, keep: 2}".to_owned());
        }
        if self.page {
            set("wiki", PAGE.to_owned());
        }
        if self.retain {
            set("deletion-policy", "Retain".to_owned());
        }
        if self.retry > 0 {
            set("retry", self.retry.to_string());
        }
        match self.mistake {
            Some(Mistake::UnknownAnnotation) => set("plugin", "rate-limit".to_owned()),
            Some(Mistake::ForeignId) => set("api-id", setting.foreign.to_owned()),
            Some(Mistake::UnknownPlugin | Mistake::BrokenDocument) | None => {}
        }
        all
    }

    /// The whole object.
    #[must_use]
    pub(crate) fn object(&self, setting: Setting<'_>, name: &str) -> Value {
        let namespace = setting.namespace;
        let limit = match self.limit {
            Some(calls) => {
                json!({"enabled": true, "limit": calls.to_string(), "interval": "pm"})
            }
            None => json!({"enabled": false}),
        };
        let cors = if self.cors {
            json!({"enabled": true, "allowOrigins": ["https://shop.example"]})
        } else {
            json!({"enabled": false})
        };
        json!({
            "apiVersion": "oda.tmforum.org/v1",
            "kind": "ExposedAPI",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": self.annotations(setting),
                "labels": {"team": "chaos"},
            },
            "spec": {
                "name": name,
                "apiType": if self.metrics { "prometheus" } else { "openapi" },
                "path": format!("/{}", self.path(namespace, name)),
                "implementation": name,
                "port": 8080,
                "rateLimit": limit,
                "CORS": cors,
                "specification": self.text(name),
            },
        })
    }

    /// The OpenAPI document.
    fn text(&self, name: &str) -> String {
        let mut paths: Map<String, Value> = Map::new();
        for operation in self.document() {
            let mut body = json!({
                "operationId": operation.name,
                "responses": {"200": {"description": "ok"}},
            });
            if operation.template.contains("{id}") {
                body["parameters"] = json!([
                    {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}
                ]);
            }
            let path = paths.entry(operation.template).or_insert_with(|| json!({}));
            path[operation.method.to_lowercase()] = body;
        }
        let document = json!({
            "openapi": "3.0.1",
            "info": {"title": name, "version": "1"},
            "paths": paths,
        });
        let mut text = document.to_string();
        if self.mistake == Some(Mistake::BrokenDocument) {
            text.truncate(text.len() / 2);
        }
        text
    }
}
