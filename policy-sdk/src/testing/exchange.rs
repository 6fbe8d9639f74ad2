//! What a case says about requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// A request to an API that has the case's policy, in front of a backend that
/// answers with what it was sent, and what must come of it.
///
/// Only `apim-operator plugin test` sends it, to a local API Management; `cargo
/// test` leaves it out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What is sent.
    pub request: Request,
    /// What must come of it.
    pub expect: Answer,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// The path below the API's, with a query if there is one.
    pub path: String,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a text as it is, anything else as JSON.
    #[serde(default)]
    pub body: Option<Json>,
    /// Sends a token of the instance's tenant in `Authorization`, with these
    /// claims over those that every token has (`aud`, `iss`, `iat`, `nbf`,
    /// `exp`, `appid`, `oid`, `sub`, `tid`, `ver`); null leaves one out.
    #[serde(default)]
    pub token: Option<Map<String, Json>>,
    /// Sends a valid subscription key, where the API asks for one.
    #[serde(default, rename = "subscriptionKey")]
    pub subscription_key: bool,
    /// How often it is sent; the last answer counts.
    #[serde(default = "once")]
    pub times: u32,
}

/// What must come of a request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers that the answer has, and with null those that it has not.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// A text that the body holds.
    #[serde(default)]
    pub body: Option<String>,
    /// What the backend was sent, as far as it matters: `method`, `path`,
    /// `query`, `headers` and `body`; null for what must not be there.
    #[serde(default)]
    pub backend: Option<Map<String, Json>>,
}

fn get() -> String {
    "GET".to_owned()
}

const fn once() -> u32 {
    1
}
