//! What is in API Management, for those who want it as ExposedAPIs.

use kube::Client;
use operator_apim::{ArmError, ArmReader, PolicyOf, Secret};
use operator_core::apim::{ObservedApi, PartId};
use operator_core::mark::OwnershipMark;
use operator_core::names::InstanceName;
use serde_json::Value;
use url::Url;

use crate::run::{RunError, Settings, look};

/// Which APIs.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// Those with these ids.
    Ids(&'a [String]),
    /// All that carry no mark of an operator's.
    Unmarked,
}

/// An API in API Management.
#[derive(Debug)]
pub struct Found {
    /// The instance.
    pub instance: String,
    /// The API's id.
    pub id: String,
    /// Its settings.
    pub api: ObservedApi,
    /// Where its document lies for five minutes, or why it cannot be had.
    pub document: Result<Secret<Url>, String>,
    /// Its policy, if it has one of its own.
    pub policy: Option<String>,
    /// What its version set says, where it is in one.
    pub version_set: Option<Value>,
}

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Exported {
    /// In the order in which they were asked for.
    pub found: Vec<Found>,
    /// A sentence each.
    pub troubles: Vec<String>,
}

/// Reads APIs of an instance; without its name, of the only one there is.
/// Writes nothing.
pub async fn export(
    client: Client,
    settings: Settings,
    instance: Option<&str>,
    wanted: Wanted<'_>,
    progress: impl Fn(&str),
) -> Result<Exported, RunError> {
    progress("reading the cluster and its APIM instances");
    let ready = look(&client, settings).await?;
    let instances = &ready.context.instances;
    instances.until_tried().await;
    let mut exported = Exported {
        troubles: instances.troubles(),
        ..Exported::default()
    };
    let names: Vec<InstanceName> = instances
        .list()
        .iter()
        .map(|one| one.name.clone())
        .collect();
    let chosen = match (instance, names.as_slice()) {
        (Some(asked), names) => names.iter().find(|name| name.as_str() == asked),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let Some(name) = chosen else {
        let there: Vec<&str> = names.iter().map(InstanceName::as_str).collect();
        let there = if there.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are {}", there.join(", "))
        };
        exported.troubles.push(match instance {
            Some(asked) => format!("there is no ApimInstance `{asked}`: {there}"),
            None => format!("which ApimInstance is meant is not clear (--instance): {there}"),
        });
        return Ok(exported);
    };
    let Some(reader) = instances.reader(name) else {
        // Its trouble is told already.
        return Ok(exported);
    };
    let listed = match wanted {
        Wanted::Ids(ids) => of_ids(&reader, ids, &mut exported.troubles).await,
        Wanted::Unmarked => unmarked(&reader).await,
    };
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            exported
                .troubles
                .push(format!("instance `{name}`: {error}"));
            return Ok(exported);
        }
    };
    let count = listed.len();
    for (i, (id, api)) in listed.into_iter().enumerate() {
        progress(&format!("reading API {} of {count}: {id}", i + 1));
        let document = match reader.document_link(&id).await {
            Ok(Some(link)) => Ok(link),
            Ok(None) => Err("it went while it was read".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match beside(&reader, &id, &api).await {
            Ok((policy, version_set)) => exported.found.push(Found {
                instance: name.to_string(),
                policy,
                version_set,
                id,
                api,
                document,
            }),
            Err(error) => exported.troubles.push(format!("API `{id}`: {error}")),
        }
    }
    Ok(exported)
}

/// The policy of an API, and what its version set says.
async fn beside(
    reader: &ArmReader,
    id: &str,
    api: &ObservedApi,
) -> Result<(Option<String>, Option<Value>), ArmError> {
    let policy = reader.policy(id, PolicyOf::Api).await?;
    let policy = policy.found().map(|policy| policy.text.clone());
    let Some(set) = api.settings.api_version_set.clone() else {
        return Ok((policy, None));
    };
    let set = reader.part(&PartId::VersionSet(set), id).await?;
    Ok((policy, set.map(|set| set.content)))
}

type Listed = Vec<(String, ObservedApi)>;

async fn of_ids(
    reader: &ArmReader,
    ids: &[String],
    troubles: &mut Vec<String>,
) -> Result<Listed, ArmError> {
    let mut listed = Vec::new();
    for id in ids {
        match reader.api(id).await? {
            Some(api) => listed.push((id.clone(), api)),
            None => troubles.push(format!("there is no API `{id}`")),
        }
    }
    Ok(listed)
}

async fn unmarked(reader: &ArmReader) -> Result<Listed, ArmError> {
    let mut listed = Vec::new();
    let mut pages = reader.apis();
    while let Some(page) = pages.next().await? {
        for one in page.into_iter().filter(|one| one.is_current) {
            let mark = one.api.mark.as_deref().and_then(OwnershipMark::parse);
            if mark.is_none() {
                listed.push((one.id, one.api));
            }
        }
    }
    Ok(listed)
}
