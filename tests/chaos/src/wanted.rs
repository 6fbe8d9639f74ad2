//! What a schedule wants of one API, and what must follow from it. Nothing here
//! is the operator's code: what it says is restated from the documentation.

use std::collections::BTreeSet;

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
}

/// What can change of an API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Another path.
    Path(u8),
    /// Another document.
    Operations(u8),
    /// Another rate limit.
    Limit(Option<u16>),
    /// CORS on or off.
    Cors(bool),
    /// Another list of plugins.
    Plugins(Plugins),
    /// A rate limit of one operation.
    OperationLimit(Option<(u8, u16)>),
    /// Paused or not.
    Paused(bool),
    /// Kept or not.
    Retain(bool),
    /// Metrics or not.
    Metrics(bool),
    /// A mistake is made or put right.
    Mistake(Option<Mistake>),
    /// `retry` has a new value.
    Retry,
}

/// What can be read off an API policy document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyFacts {
    /// Browsers may call.
    pub cors: bool,
    /// Callers need a token.
    pub tokens: bool,
    /// The rate limits, calls per minute.
    pub limits: Vec<u16>,
    /// What the platform stamps on requests.
    pub stamp: Option<u16>,
}

fn operations(draw: &mut Draw) -> u8 {
    u8::try_from(draw.between(1, 31)).unwrap_or(1)
}

fn limit(draw: &mut Draw) -> Option<u16> {
    draw.chance(75).then(|| number(draw))
}

fn number(draw: &mut Draw) -> u16 {
    u16::try_from(draw.between(10, 999)).unwrap_or(10)
}

fn plugins(draw: &mut Draw) -> Plugins {
    draw.weighted(&[
        (5, Plugins::Default),
        (2, Plugins::RateLimit),
        (2, Plugins::CorsAndTokens),
        (1, Plugins::Nothing),
    ])
}

fn operation_limit(draw: &mut Draw) -> Option<(u8, u16)> {
    draw.chance(60)
        .then(|| (u8::try_from(draw.below(5)).unwrap_or(0), number(draw)))
}

fn mistake(draw: &mut Draw) -> Option<Mistake> {
    draw.chance(50).then(|| {
        draw.one(&[
            Mistake::UnknownAnnotation,
            Mistake::UnknownPlugin,
            Mistake::BrokenDocument,
            Mistake::ForeignId,
        ])
    })
}

impl Wanted {
    /// A new API.
    #[must_use]
    pub fn draw(draw: &mut Draw) -> Self {
        Self {
            path: 0,
            operations: operations(draw),
            limit: limit(draw),
            cors: draw.chance(40),
            plugins: plugins(draw),
            operation_limit: operation_limit(draw),
            paused: false,
            retain: draw.chance(6),
            metrics: draw.chance(8),
            mistake: if draw.chance(8) { mistake(draw) } else { None },
            retry: 0,
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
        }
    }

    /// Its path below the gateway.
    #[must_use]
    pub fn path(&self, namespace: &str, name: &str) -> String {
        format!("{namespace}/{name}/v{}", self.path)
    }

    /// The annotations under the operator's prefix.
    #[must_use]
    pub fn annotations(&self, foreign: &str) -> Map<String, Value> {
        let mut all = Map::new();
        let mut set = |name: &str, value: String| {
            all.insert(format!("{PREFIX}{name}"), value.into());
        };
        match (self.plugins, self.mistake) {
            (_, Some(Mistake::UnknownPlugin)) => set("plugins", "rate-limit, tea".to_owned()),
            (Plugins::Default, _) => {}
            (Plugins::RateLimit, _) => set("plugins", "rate-limit".to_owned()),
            (Plugins::CorsAndTokens, _) => set("plugins", "cors, jwt-entra".to_owned()),
            (Plugins::Nothing, _) => set("plugins", String::new()),
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
        if self.retain {
            set("deletion-policy", "Retain".to_owned());
        }
        if self.retry > 0 {
            set("retry", self.retry.to_string());
        }
        match self.mistake {
            Some(Mistake::UnknownAnnotation) => set("plugin", "rate-limit".to_owned()),
            Some(Mistake::ForeignId) => set("api-id", foreign.to_owned()),
            Some(Mistake::UnknownPlugin | Mistake::BrokenDocument) | None => {}
        }
        all
    }

    /// The whole object.
    #[must_use]
    pub fn object(&self, namespace: &str, name: &str, foreign: &str) -> Value {
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
                "annotations": self.annotations(foreign),
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

impl Change {
    /// Some change.
    #[must_use]
    pub fn draw(draw: &mut Draw) -> Self {
        match draw.below(24) {
            0 | 1 => Self::Path(u8::try_from(draw.below(3)).unwrap_or(0)),
            2..=6 => Self::Operations(operations(draw)),
            7..=10 => Self::Limit(limit(draw)),
            11 | 12 => Self::Cors(draw.chance(50)),
            13..=15 => Self::Plugins(plugins(draw)),
            16 | 17 => Self::OperationLimit(operation_limit(draw)),
            18 => Self::Paused(draw.chance(40)),
            19 => Self::Retain(draw.chance(30)),
            20 => Self::Metrics(draw.chance(40)),
            21 | 22 => Self::Mistake(mistake(draw)),
            _ => Self::Retry,
        }
    }

    /// A word for the tally.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Operations(_) => "document",
            Self::Limit(_) => "rate limit",
            Self::Cors(_) => "CORS",
            Self::Plugins(_) => "plugins",
            Self::OperationLimit(_) => "operation plugins",
            Self::Paused(_) => "paused",
            Self::Retain(_) => "deletion policy",
            Self::Metrics(_) => "type",
            Self::Mistake(_) => "mistake",
            Self::Retry => "retry",
        }
    }
}

impl PolicyFacts {
    /// What a document says.
    #[must_use]
    pub fn read(document: &str) -> Self {
        Self {
            cors: document.contains("<cors"),
            tokens: document.contains("<validate-jwt") || document.contains("<validate-azure-ad"),
            limits: numbers(document, "<rate-limit-by-key calls=\""),
            stamp: numbers(document, "<value>stamp ").first().copied(),
        }
    }
}

/// The operations that a document answers 503 for.
#[must_use]
pub(crate) fn guarded(document: &str) -> BTreeSet<String> {
    let Some((_, rest)) = document.split_once("@(new [] {") else {
        return BTreeSet::new();
    };
    let list = rest.split_once('}').map_or("", |(list, _)| list);
    list.replace("&quot;", "\"")
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The numbers that follow a text.
fn numbers(document: &str, after: &str) -> Vec<u16> {
    document
        .split(after)
        .skip(1)
        .filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
        .collect()
}
