//! The entry that an API has in the status of its parent Component.
//!
//! The Component's operator makes the entry, and rewrites the whole list now
//! and then from what it read a while ago. So an entry is changed only by JSON
//! Patches that first test whose entry stands at the place, only in the fields
//! that are ours to fill, and only where they say something else.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Value, json};

use crate::retry::Moment;

/// The lists of a Component's status that hold APIs, by segment.
pub const LISTS: [&str; 3] = ["coreAPIs", "managementAPIs", "securityAPIs"];

/// One entry of such a list, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    list: &'static str,
    index: usize,
    uid: String,
    url: Option<String>,
    developer_ui: Option<String>,
    ready: Option<bool>,
}

/// What is kept of a Component: its entries for APIs, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentView {
    entries: Vec<Entry>,
}

impl ComponentView {
    /// Takes what matters of a Component's status. What is no list, or no entry
    /// of an API that exists, is passed over: somebody else wrote it.
    #[must_use]
    pub fn of(status: &Value) -> Self {
        let mut entries = Vec::new();
        for list in LISTS {
            let found = status.get(list).and_then(Value::as_array);
            for (index, entry) in found.into_iter().flatten().enumerate() {
                let text = |field: &str| entry.get(field)?.as_str().map(str::to_owned);
                if let Some(uid) = text("uid").filter(|uid| !uid.is_empty()) {
                    entries.push(Entry {
                        list,
                        index,
                        uid,
                        url: text("url"),
                        developer_ui: text("developerUI"),
                        ready: entry.get("ready").and_then(Value::as_bool),
                    });
                }
            }
        }
        Self { entries }
    }

    fn of_api<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.uid == uid)
    }
}

/// What an API's entry should say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    /// The uid of the ExposedAPI, by which its entry is found.
    pub uid: String,
    /// Where callers reach it; absent while that is not known.
    pub url: Option<String>,
    /// Its developer interface.
    pub developer_ui: Option<String>,
    /// Whether it can be called.
    pub ready: bool,
}

impl Publication {
    /// What the status of an ExposedAPI says to its Component.
    #[must_use]
    pub fn of(uid: &str, status: &Value) -> Self {
        let text = |at: &str| status.pointer(at)?.as_str().map(str::to_owned);
        let url = text("/apiStatus/url");
        Self {
            uid: uid.to_owned(),
            ready: url.is_some() && status.pointer("/implementation/ready") == Some(&json!(true)),
            developer_ui: text("/apiStatus/developerUI"),
            url,
        }
    }
}

/// What is to be done about an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing: it says what it should.
    InPlace,
    /// This JSON Patch (RFC 6902). It changes nothing where the list was
    /// rewritten in between and another entry stands at the place.
    Patch(Value),
    /// It is not there. The Component's operator makes it.
    Wait(Missing),
}

/// What is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The Component.
    Component,
    /// The entry in its status.
    Entry,
}

/// Decides what is to be done for a publication, where the Component is as
/// `view` says.
#[must_use]
pub fn decide(view: Option<&ComponentView>, publication: &Publication) -> Decision {
    let Some(view) = view else {
        return Decision::Wait(Missing::Component);
    };
    let mut found = false;
    let mut patch = Vec::new();
    for entry in view.of_api(&publication.uid) {
        found = true;
        let changes = changes(entry, publication);
        if !changes.is_empty() {
            patch.push(test(entry));
            patch.extend(changes);
        }
    }
    match (found, patch.is_empty()) {
        (false, _) => Decision::Wait(Missing::Entry),
        (true, true) => Decision::InPlace,
        (true, false) => Decision::Patch(patch.into()),
    }
}

/// The JSON Patch that takes the entry of an API out; none where there is none.
#[must_use]
pub fn removal(view: &ComponentView, uid: &str) -> Option<Value> {
    let mut patch = Vec::new();
    // From the last to the first: what goes moves only what stands behind it.
    let entries: Vec<&Entry> = view.of_api(uid).collect();
    for entry in entries.into_iter().rev() {
        patch.push(test(entry));
        patch.push(json!({"op": "remove", "path": place(entry)}));
    }
    (!patch.is_empty()).then(|| patch.into())
}

fn place(entry: &Entry) -> String {
    format!("/status/{}/{}", entry.list, entry.index)
}

fn test(entry: &Entry) -> Value {
    json!({"op": "test", "path": format!("{}/uid", place(entry)), "value": entry.uid})
}

/// The URL comes first: who sees `ready` reads the URL next. A URL that is
/// there is left while none is known.
fn changes(entry: &Entry, publication: &Publication) -> Vec<Value> {
    let set = |field: &str, value: Value| json!({"op": "add", "path": format!("{}/{field}", place(entry)), "value": value});
    let mut changes = Vec::new();
    if let Some(url) = &publication.url {
        if entry.url.as_ref() != Some(url) {
            changes.push(set("url", url.clone().into()));
        }
        match (&entry.developer_ui, &publication.developer_ui) {
            (there, Some(wanted)) if there.as_ref() != Some(wanted) => {
                changes.push(set("developerUI", wanted.clone().into()));
            }
            (Some(_), None) => {
                let path = format!("{}/developerUI", place(entry));
                changes.push(json!({"op": "remove", "path": path}));
            }
            _ => {}
        }
    }
    // An entry that says nothing of it says that it is not ready.
    let says = entry.ready.unwrap_or(false);
    if says != publication.ready || (entry.ready.is_none() && !changes.is_empty()) {
        changes.push(set("ready", publication.ready.into()));
    }
    changes
}

/// How often one publication was written lately: where somebody keeps writing
/// something else, the two must not chase each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    count: u32,
    last: Moment,
}

impl Attempts {
    /// So many writes come without a pause: the Component's operator rewrites
    /// its lists several times while a Component is being made.
    const FREE: u32 = 5;
    /// The longest pause.
    const LONGEST: Duration = Duration::from_mins(5);
    /// After so long without a write, what was before says nothing any more.
    const QUIET: Duration = Duration::from_mins(10);

    /// How long the next write has to wait.
    #[must_use]
    pub fn pause(&self, now: Moment) -> Duration {
        let since = now.saturating_sub(self.last);
        if self.count < Self::FREE || since >= Self::QUIET {
            return Duration::ZERO;
        }
        let whole = Duration::from_secs(1)
            .saturating_mul(1 << (self.count - Self::FREE).min(16))
            .min(Self::LONGEST);
        whole.saturating_sub(since)
    }

    /// Notes a write, whether it succeeded or not.
    #[must_use]
    pub fn and_one(self, now: Moment) -> Self {
        let quiet = now.saturating_sub(self.last) >= Self::QUIET;
        Self {
            count: if quiet {
                1
            } else {
                self.count.saturating_add(1)
            },
            last: now,
        }
    }

    /// Whether so many writes did not last that somebody should be told.
    #[must_use]
    pub const fn is_contested(&self) -> bool {
        self.count > Self::FREE
    }
}
