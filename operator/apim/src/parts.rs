//! Tags, diagnostics and the wiki of an API, and the version set that it is in.

use operator_core::apim::{DesiredPart, ObservedPart, PartId};
use operator_core::names::TagId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arm::{ArmClient, ArmReader, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::Entity;
use crate::{documentations, versions};

const TAG: &str = "tag";

fn kind(part: &PartId) -> &'static str {
    match part {
        PartId::Tag(_) => "apiTag",
        PartId::Diagnostic(_) => "apiDiagnostic",
        PartId::VersionSet(_) => versions::KIND,
        PartId::Documentation(_) => documentations::KIND,
        PartId::Wiki => "apiWiki",
    }
}

fn what(part: &PartId, api: &str) -> String {
    match part {
        PartId::VersionSet(set) => versions::what(set),
        PartId::Documentation(page) => documentations::what(page),
        PartId::Tag(_) | PartId::Diagnostic(_) | PartId::Wiki => format!("{part} of API {api}"),
    }
}

/// A tag of a list.
#[derive(Deserialize)]
struct Listed {
    name: String,
}

impl From<Listed> for String {
    fn from(listed: Listed) -> Self {
        listed.name
    }
}

impl ArmReader {
    /// A part of the API, or none. A tag costs a HEAD.
    pub async fn part(&self, part: &PartId, api: &str) -> Result<Option<ObservedPart>, ArmError> {
        let path = part.path(api);
        match part {
            PartId::Tag(_) => {
                let call = self.head(&path, kind(part), what(part, api));
                let answer = absent(self.read(&call).await)?;
                Ok(answer.map(|answer| ObservedPart {
                    content: Value::Null,
                    etag: answer.etag(),
                }))
            }
            PartId::Wiki => self.wiki(part, api).await,
            PartId::Diagnostic(_) | PartId::VersionSet(_) | PartId::Documentation(_) => {
                let call = self.get(&path, &[], kind(part), what(part, api));
                let Some(answer) = absent(self.read(&call).await)? else {
                    return Ok(None);
                };
                let etag = answer.etag();
                let there: Entity<Value> = answer.json(&call.name())?;
                Ok(Some(ObservedPart {
                    content: there.properties,
                    etag,
                }))
            }
        }
    }

    /// Whether there is such a tag. Costs a HEAD.
    pub async fn has_tag(&self, tag: &TagId) -> Result<bool, ArmError> {
        let call = self.head(&["tags", tag.as_str()], TAG, format!("tag {tag}"));
        Ok(absent(self.read(&call).await)?.is_some())
    }

    /// The tags of an API whose ids begin with this.
    async fn tags_of(&self, api: &str, prefix: &str) -> Result<Vec<TagId>, ArmError> {
        let call = self.get(
            &["apis", api, "tags"],
            &[],
            "apiTags",
            format!("tags of API {api}"),
        );
        let names: Vec<String> = self.pages::<Listed, String>(call).all().await?;
        Ok(names
            .iter()
            .filter(|name| is_own(name, prefix))
            .filter_map(|name| TagId::parse(name).ok())
            .collect())
    }

    /// Whether more than so many APIs, or anything else, have the tag.
    async fn is_used(&self, tag: &TagId, beside: usize) -> Result<bool, ArmError> {
        let most = [
            ("apiLinks", beside),
            ("operationLinks", 0),
            ("productLinks", 0),
        ];
        for (links, most) in most {
            let call = self.get(
                &["tags", tag.as_str(), links],
                &[("$top", &(most + 1).to_string())],
                "tagLinks",
                format!("{links} of tag {tag}"),
            );
            let all: Vec<String> = self.pages::<Listed, String>(call).all().await?;
            if all.len() > most {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The tags of the namespace's own that an API has, and whether each goes
    /// with it.
    pub(crate) async fn own_tags(
        &self,
        api: &str,
        own: &str,
    ) -> Result<Vec<(TagId, bool)>, ArmError> {
        let mut all = Vec::new();
        for tag in self.tags_of(api, own).await? {
            let goes = !self.is_used(&tag, 1).await?;
            all.push((tag, goes));
        }
        Ok(all)
    }
}

/// Ids are compared without case.
fn is_own(tag: &str, prefix: &str) -> bool {
    let start = tag.get(..prefix.len());
    !prefix.is_empty() && start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

impl ArmClient {
    /// Makes a tag. One that is there gets this name.
    pub(crate) async fn make_tag(&self, tag: &TagId, name: &str) -> Result<(), ArmError> {
        let _writer = self.lock_tag(tag).await;
        let path = ["tags", tag.as_str()];
        let mut call = self.call(WriteVerb::Put, &path, &[], TAG, format!("tag {tag}"));
        call.body = Some(encode(&json!({"properties": {"displayName": name}})));
        self.run(&call).await.map(drop)
    }

    /// Puts a tag on the API, or writes another part.
    pub(crate) async fn put_part(
        &self,
        part: &PartId,
        wanted: &DesiredPart,
        api: &str,
        etag: Option<&str>,
    ) -> Result<(), ArmError> {
        let _writer = match part {
            PartId::Tag(tag) => Some(self.lock_tag(tag).await),
            _ => None,
        };
        let path = part.path(api);
        let mut call = self.call(WriteVerb::Put, &path, &[], kind(part), what(part, api));
        if !matches!(part, PartId::Tag(_)) {
            call.body = Some(encode(&json!({"properties": wanted.content})));
            call.if_match = etag.map(str::to_owned);
        }
        self.run(&call).await.map(drop).map_err(|mut error| {
            name_missing(&mut error, part, wanted);
            error
        })
    }

    /// Takes a tag off the API, or deletes another part; one that is not there
    /// is fine. A tag of the namespace's own that nobody has any more goes.
    pub(crate) async fn remove_part(
        &self,
        part: &PartId,
        api: &str,
        etag: Option<&str>,
        own: &str,
    ) -> Result<(), ArmError> {
        let _writer = match part {
            PartId::Tag(tag) => Some(self.lock_tag(tag).await),
            PartId::Diagnostic(_) | PartId::Documentation(_) | PartId::Wiki => None,
            PartId::VersionSet(set) => return self.delete_version_set(set, etag).await,
        };
        let path = part.path(api);
        let mut call = self.call(WriteVerb::Delete, &path, &[], kind(part), what(part, api));
        if !matches!(part, PartId::Tag(_)) {
            call.if_match = Some(etag.unwrap_or("*").to_owned());
        }
        absent(self.run(&call).await)?;
        match part {
            PartId::Tag(tag) if is_own(tag.as_str(), own) => self.drop_unused(tag).await,
            _ => Ok(()),
        }
    }

    /// Takes all tags of the namespace's own off an API that is about to be
    /// deleted, so that whatever dies in between, the API still says which.
    pub(crate) async fn remove_own_tags(&self, api: &str, own: &str) -> Result<(), ArmError> {
        for tag in self.reader().tags_of(api, own).await? {
            self.remove_part(&PartId::Tag(tag), api, None, own).await?;
        }
        Ok(())
    }

    async fn drop_unused(&self, tag: &TagId) -> Result<(), ArmError> {
        let reader = self.reader();
        let path = ["tags", tag.as_str()];
        let head = reader.head(&path, TAG, format!("tag {tag}"));
        let Some(answer) = absent(reader.read(&head).await)? else {
            return Ok(());
        };
        if reader.is_used(tag, 0).await? {
            return Ok(());
        }
        let mut call = self.call(WriteVerb::Delete, &path, &[], TAG, format!("tag {tag}"));
        call.if_match = Some(answer.etag().unwrap_or_else(|| "*".to_owned()));
        absent(self.run(&call).await).map(drop)
    }
}

/// Says which tag or logger it is that does not exist.
fn name_missing(error: &mut ArmError, part: &PartId, wanted: &DesiredPart) {
    let Some(missing) = &mut error.missing else {
        return;
    };
    if missing.name.is_some() {
        return;
    }
    let (kind, name) = match part {
        PartId::Tag(tag) => (TAG, tag.to_string()),
        PartId::Diagnostic(_) => {
            let logger = wanted.content.get("loggerId").and_then(Value::as_str);
            let name = logger.and_then(|id| id.rsplit('/').next());
            ("logger", name.unwrap_or_default().to_owned())
        }
        PartId::VersionSet(set) => ("version set", set.to_string()),
        PartId::Documentation(page) => ("documentation", page.to_string()),
        PartId::Wiki => ("wiki", "default".to_owned()),
    };
    missing.kind = kind;
    missing.name = Some(name);
}
