//! How an API is shown: a write answers with other fields than a read.

use super::list::Entry;
use super::path::Kind;
use super::request::{entity_reply, envelope};
use super::store::{Family, Revision, Service};
use crate::clock::iso;
use crate::http::Reply;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Whether a body answers a write or a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Write,
    Read,
}

/// The order in which the service writes the fields that follow `isCurrent`.
const LAST_FIELDS: [&str; 4] = [
    "apiRevisionDescription",
    "apiVersion",
    "apiVersionDescription",
    "apiVersionSetId",
];

/// A revision of an API in the list of all.
pub(super) struct Listed<'a> {
    service: &'a Service,
    family: &'a Family,
    number: u32,
}

impl Entry for Listed<'_> {
    fn field(&self, name: &str) -> Cow<'_, Value> {
        Cow::Owned(match name {
            "name" => self.family.revision_name(self.number).into(),
            "isCurrent" if self.number == self.family.current => true.into(),
            "apiRevision" => self.number.to_string().into(),
            other => {
                let revision = self.family.revisions.get(&self.number);
                let stored = revision.and_then(|revision| revision.entity.properties.get(other));
                return stored.map_or_else(Cow::default, Cow::Borrowed);
            }
        })
    }

    fn body(self) -> Value {
        let name = self.family.revision_name(self.number);
        self.service
            .api_body(self.family, self.number, &name, View::Read)
    }
}

impl Service {
    /// The body that shows one revision.
    pub(super) fn api_body(&self, family: &Family, number: u32, name: &str, view: View) -> Value {
        let Some(revision) = family.revisions.get(&number) else {
            return Value::Null;
        };
        let stored = &revision.entity.properties;
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| {
            shown.insert(name.to_owned(), value);
        };
        for (name, value) in stored {
            if LAST_FIELDS.contains(&name.as_str()) || name == "provisioningState" {
                continue;
            }
            match name.as_str() {
                "displayName" => {
                    put(name, value.clone());
                    put("apiRevision", number.to_string().into());
                }
                "authenticationSettings" => put(name, authentication_settings(value, view)),
                _ => put(name, value.clone()),
            }
        }
        if number == family.current {
            put("isCurrent", true.into());
        }
        for name in LAST_FIELDS {
            if let Some(value) = stored.get(name) {
                put(name, value.clone());
            }
        }
        if view == View::Write
            && let Some(set) = self.version_set(revision)
        {
            put("apiVersionSet", set);
        }
        if let Some(state) = stored.get("provisioningState") {
            put("provisioningState", state.clone());
        }
        envelope(&format!("{}/apis/{name}", self.id()), "apis", name, &shown)
    }

    fn version_set(&self, revision: &Revision) -> Option<Value> {
        let id = revision.entity.text("apiVersionSetId")?;
        let set = self.entity(Kind::ApiVersionSet, id.rsplit('/').next()?)?;
        let field = |name: &str| set.properties.get(name).cloned().unwrap_or(Value::Null);
        Some(json!({
            "id": id,
            "name": field("displayName"),
            "description": field("description"),
            "versioningScheme": field("versioningScheme"),
            "versionQueryName": field("versionQueryName"),
            "versionHeaderName": field("versionHeaderName"),
        }))
    }

    /// The answer that shows one revision, under the id that was asked for.
    pub(super) fn api_reply(
        &self,
        status: u16,
        family: &Family,
        number: u32,
        asked_for_revision: bool,
        view: View,
    ) -> Reply {
        let name = if asked_for_revision {
            format!("{};rev={number}", family.name)
        } else {
            family.name.clone()
        };
        let etag = family
            .revisions
            .get(&number)
            .map(|revision| revision.entity.etag(false))
            .unwrap_or_default();
        entity_reply(status, &self.api_body(family, number, &name, view), etag)
    }

    /// All APIs with their revisions, as the list shows them.
    pub(super) fn listed(&self) -> impl Iterator<Item = Listed<'_>> {
        self.families
            .values()
            .flat_map(|family| self.listed_of(family))
    }

    /// Those among them that may have this path, and perhaps others.
    pub(super) fn listed_at(&self, path: &str) -> impl Iterator<Item = Listed<'_>> {
        let near = self.families.near_path(path);
        near.flat_map(|(_, family)| self.listed_of(family))
    }

    fn listed_of<'a>(&'a self, family: &'a Family) -> impl Iterator<Item = Listed<'a>> {
        family.revisions.keys().map(|number| Listed {
            service: self,
            family,
            number: *number,
        })
    }

    /// The revisions of one API.
    pub(super) fn revision_bodies(&self, family: &Family) -> Vec<Value> {
        family
            .revisions
            .iter()
            .map(|(number, revision)| {
                let current = *number == family.current;
                let mut body = json!({
                    "apiId": format!("{}/apis/{};rev={number}", self.id(), family.name),
                    "apiRevision": number.to_string(),
                    "createdDateTime": iso(revision.entity.created),
                    "updatedDateTime": iso(revision.entity.updated),
                });
                if let Some(text) = revision.entity.text("apiRevisionDescription") {
                    body["description"] = text.into();
                }
                body["privateUrl"] = format!(
                    "/{}{}",
                    revision.entity.text("path").unwrap_or_default(),
                    if current {
                        String::new()
                    } else {
                        format!(";rev={number}")
                    }
                )
                .into();
                body["isOnline"] = true.into();
                body["isCurrent"] = current.into();
                body
            })
            .collect()
    }
}

/// A read adds the two arrays; a write shows the two objects only.
fn authentication_settings(stored: &Value, view: View) -> Value {
    let field = |name: &str| stored.get(name).cloned().unwrap_or(Value::Null);
    let list = |name: &str, single: &str| match (stored.get(name), stored.get(single)) {
        (Some(list @ Value::Array(_)), _) => list.clone(),
        (_, Some(one)) if !one.is_null() => json!([one]),
        _ => json!([]),
    };
    let mut shown = json!({ "oAuth2": field("oAuth2"), "openid": field("openid") });
    let has_lists = [
        "oAuth2AuthenticationSettings",
        "openidAuthenticationSettings",
    ]
    .iter()
    .any(|name| stored.get(name).is_some());
    if view == View::Read || has_lists {
        shown["oAuth2AuthenticationSettings"] = list("oAuth2AuthenticationSettings", "oAuth2");
        shown["openidAuthenticationSettings"] = list("openidAuthenticationSettings", "openid");
    }
    shown
}
