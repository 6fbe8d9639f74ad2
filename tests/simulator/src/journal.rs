//! The journal: every call that was answered, in order, without secrets.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;

/// What a call was for. ARM counts reads, writes and deletions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// A GET, a HEAD, or a POST that only lists (`listValue`, `listSecrets`).
    Read,
    /// A PUT, a PATCH, or any other POST.
    Write,
    /// A DELETE.
    Delete,
    /// A GET of an operation's status or result.
    Poll,
    /// A request to Entra ID or the managed identity endpoint.
    Token,
    /// A request to a key vault.
    Vault,
    /// Anything else.
    Other,
}

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// Its place in the journal, from 1; never used twice.
    pub seq: u64,
    /// When it was answered, by the simulator's clock.
    pub time: String,
    /// What it was for.
    pub kind: CallKind,
    /// The HTTP method.
    pub method: String,
    /// The host that was asked.
    pub host: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// The api-version, if one was given.
    pub api_version: Option<String>,
    /// The client id of the caller, where a token said it.
    pub principal: Option<String>,
    /// The `If-Match` header, if one was sent.
    pub if_match: Option<String>,
    /// The status that was answered; 0 where the connection was reset.
    pub status: u16,
    /// What was answered or, where a fault hid that, would have been; absent
    /// where the call was not carried out.
    #[serde(default)]
    pub done: Option<u16>,
    /// The id of the fault that was injected, if one was.
    pub fault: Option<u64>,
    /// The request's body, secrets redacted; text that is no JSON is a string.
    pub body: Value,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct JournalQuery {
    /// Only this kind.
    pub kind: Option<CallKind>,
    /// Only what came after this `seq`.
    pub since: u64,
    /// Only this method.
    pub method: Option<String>,
    /// Only paths that match; a regular expression, searched without anchors.
    pub path: Option<regex::Regex>,
}

impl JournalQuery {
    fn matches(&self, entry: &JournalEntry) -> bool {
        entry.seq > self.since
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self
                .method
                .as_ref()
                .is_none_or(|method| method.eq_ignore_ascii_case(&entry.method))
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.is_match(&entry.path))
    }
}

#[derive(Debug)]
struct Log {
    next: u64,
    entries: Vec<JournalEntry>,
}

/// All calls, and a way to wait for more.
#[derive(Debug)]
pub(crate) struct Journal {
    log: Mutex<Log>,
    changed: watch::Sender<u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            log: Mutex::new(Log {
                next: 1,
                entries: Vec::new(),
            }),
            changed: watch::Sender::new(0),
        }
    }
}

impl Journal {
    /// Adds an entry and gives it its number.
    pub(crate) fn record(&self, mut entry: JournalEntry) {
        let seq = {
            let mut log = self.log.lock();
            entry.seq = log.next;
            log.next += 1;
            log.entries.push(entry);
            log.next
        };
        self.changed.send_replace(seq);
    }

    /// The number of the last entry; 0 where there is none.
    pub(crate) fn last(&self) -> u64 {
        self.log.lock().next - 1
    }

    /// What matches now.
    pub(crate) fn select(&self, query: &JournalQuery) -> Vec<JournalEntry> {
        let log = self.log.lock();
        let matching = log.entries.iter().filter(|entry| query.matches(entry));
        matching.cloned().collect()
    }

    /// The last so many that are wanted, the newest first.
    pub(crate) fn newest(
        &self,
        most: usize,
        wanted: impl Fn(&JournalEntry) -> bool,
    ) -> Vec<JournalEntry> {
        let log = self.log.lock();
        let found = log.entries.iter().rev().filter(|entry| wanted(entry));
        found.take(most).cloned().collect()
    }

    /// Waits until at least `min` entries match, or the time is over; says
    /// whether there were enough.
    pub(crate) async fn wait(
        &self,
        query: &JournalQuery,
        min: usize,
        timeout: Duration,
    ) -> (bool, Vec<JournalEntry>) {
        let mut changes = self.changed.subscribe();
        let enough = async {
            loop {
                changes.mark_unchanged();
                let found = self.select(query);
                if found.len() >= min || changes.changed().await.is_err() {
                    return found;
                }
            }
        };
        match tokio::time::timeout(timeout, enough).await {
            Ok(found) => (true, found),
            Err(_) => (false, self.select(query)),
        }
    }

    /// Forgets all entries; numbers go on.
    pub(crate) fn clear(&self) {
        self.log.lock().entries.clear();
    }
}

/// Names whose values never enter the journal, in JSON and in forms.
const SECRET_NAMES: [&str; 9] = [
    "clientSecret",
    "client_secret",
    "client_assertion",
    "password",
    "primaryKey",
    "secondaryKey",
    "parameter",
    "access_token",
    "connectionString",
];

/// The body of a request as it may be kept.
pub(crate) fn redacted_body(path: &str, body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let lower = path.to_ascii_lowercase();
    if let Ok(mut json) = serde_json::from_slice::<Value>(body) {
        if lower.contains("/namedvalues/")
            && let Some(value) = json.pointer_mut("/properties/value")
        {
            *value = Value::from("[redacted]");
        }
        // A certificate with its key.
        if lower.contains("/certificates/")
            && let Some(data) = json.pointer_mut("/properties/data")
        {
            *data = Value::from("[redacted]");
        }
        redact(&mut json);
        return json;
    }
    if lower.ends_with("/token") {
        let pairs = url::form_urlencoded::parse(body).into_owned();
        return pairs
            .map(|(name, value)| {
                let value = if SECRET_NAMES.contains(&name.as_str()) {
                    "[redacted]".to_owned()
                } else {
                    value
                };
                (name, Value::from(value))
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    Value::from(String::from_utf8_lossy(body).into_owned())
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if SECRET_NAMES.contains(&name.as_str()) && !member.is_null() {
                    *member = Value::from("[redacted]");
                } else {
                    redact(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::redacted_body;
    use serde_json::json;

    #[test]
    fn secrets_are_redacted_and_the_rest_is_kept() {
        let body = br#"{"properties":{"displayName":"key","value":"s3cret","secret":true}}"#;
        assert_eq!(
            redacted_body("/subscriptions/x/namedValues/key", body),
            json!({"properties": {"displayName": "key", "value": "[redacted]", "secret": true}})
        );
        assert_eq!(
            redacted_body(
                "/x/certificates/c",
                br#"{"properties":{"data":"MIIK","password":"p"}}"#
            ),
            json!({"properties": {"data": "[redacted]", "password": "[redacted]"}})
        );
        assert_eq!(
            redacted_body("/t/oauth2/v2.0/token", b"client_id=a&client_secret=b"),
            json!({"client_id": "a", "client_secret": "[redacted]"})
        );
        assert_eq!(
            redacted_body(
                "/policies/policy",
                br#"{"properties":{"value":"<policies/>"}}"#
            ),
            json!({"properties": {"value": "<policies/>"}})
        );
    }
}
