//! What this cluster left behind in API Management: APIs that carry its mark
//! and belong to no object.

use std::collections::HashMap;

use kube::Client;
use operator_apim::{Applier, ArmReader, Deleted};
use operator_core::apim::AppliedRecord;
use operator_core::mark::OwnershipMark;
use operator_core::names::{ApiId, InstanceName};
use serde::Serialize;

use crate::reconcile::subject::Subject;
use crate::run::{Ready, RunError, Settings, look};

/// An API without an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The instance.
    pub instance: String,
    /// The API's id.
    pub api_id: String,
    /// Its path.
    pub path: String,
    /// `<namespace>/<name>` of the object that it was made for.
    pub owner: String,
    /// Where that object is published instead, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_as: Option<String>,
    #[serde(skip)]
    mark: String,
}

/// The orphans of this cluster.
pub struct Orphans {
    ready: Ready,
    list: Vec<Orphan>,
    troubles: Vec<String>,
}

impl Orphans {
    /// Looks for them, in all instances or in one.
    pub async fn find(
        client: Client,
        settings: Settings,
        instance: Option<&str>,
        progress: impl Fn(&str),
    ) -> Result<Self, RunError> {
        progress("reading the cluster and its APIM instances");
        let ready = look(&client, settings).await?;
        let instances = std::sync::Arc::clone(&ready.context.instances);
        instances.until_tried().await;
        let mut found = Self {
            ready,
            list: Vec::new(),
            troubles: instances.troubles(),
        };
        let chosen = |name: &InstanceName| instance.is_none_or(|asked| asked == name.as_str());
        for one in instances.list() {
            let Some(reader) = instances.reader(&one.name).filter(|_| chosen(&one.name)) else {
                continue;
            };
            progress(&format!("reading the APIs of instance {}", one.name));
            if let Err(error) = found.look(&one.name, &reader).await {
                found
                    .troubles
                    .push(format!("instance `{}`: {error}", one.name));
            }
        }
        if let Some(asked) = instance
            && !instances
                .list()
                .iter()
                .any(|one| one.name.as_str() == asked)
        {
            found
                .troubles
                .push(format!("there is no instance `{asked}`"));
        }
        Ok(found)
    }

    /// What was found.
    #[must_use]
    pub fn list(&self) -> &[Orphan] {
        &self.list
    }

    /// Why something could not be looked at, one sentence each.
    #[must_use]
    pub fn troubles(&self) -> &[String] {
        &self.troubles
    }

    async fn look(
        &mut self,
        instance: &InstanceName,
        reader: &ArmReader,
    ) -> Result<(), operator_apim::ArmError> {
        let cluster = &self.ready.context.cluster;
        let own = OwnershipMark::of_instance(cluster);
        let objects = self.ready.context.objects.state();
        let objects: HashMap<String, Option<AppliedRecord>> = objects
            .iter()
            .map(|object| {
                let mark = OwnershipMark::new(cluster, &object.key());
                // One that cannot be read is there all the same, and may be
                // published anywhere.
                let record = Subject::open(object)
                    .ok()
                    .and_then(|subject| subject.status)
                    .as_ref()
                    .and_then(operator_core::status::applied);
                (mark.as_str().to_owned(), record)
            })
            .collect();
        let mut pages = reader.apis();
        while let Some(page) = pages.next().await? {
            for listed in page.into_iter().filter(|listed| listed.is_current) {
                let mark = listed.api.mark.as_deref().and_then(OwnershipMark::parse);
                let Some(mark) = mark.filter(|mark| mark.cluster() == own.cluster()) else {
                    continue;
                };
                let published_as = match objects.get(mark.as_str()) {
                    None => None,
                    // Without a record it may be on its way.
                    Some(None) => continue,
                    Some(Some(record)) => {
                        let here = |place: &operator_core::apim::Place| {
                            place.instance == *instance && place.api_id.as_str() == listed.id
                        };
                        if record.places().iter().any(here) {
                            continue;
                        }
                        Some(format!("{} in instance {}", record.api_id, record.instance))
                    }
                };
                self.list.push(Orphan {
                    instance: instance.to_string(),
                    api_id: listed.id,
                    path: listed.api.settings.path,
                    owner: mark.owner().to_owned(),
                    published_as,
                    mark: mark.as_str().to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Deletes an orphan, if it still is one: object and mark are read again.
    pub async fn delete(&self, orphan: &Orphan) -> Result<(), String> {
        let context = &self.ready.context;
        if orphan.published_as.is_none()
            && let Some((namespace, name)) = orphan.owner.split_once('/')
        {
            let there = context.exposed.exists(namespace, name).await;
            match there {
                Ok(false) => {}
                Ok(true) => return Err(format!("ExposedAPI {} is there again", orphan.owner)),
                Err(error) => return Err(format!("ExposedAPI {}: {error}", orphan.owner)),
            }
        }
        let name = InstanceName::parse(&orphan.instance).map_err(|error| error.to_string())?;
        let id = ApiId::parse(&orphan.api_id).map_err(|error| error.to_string())?;
        let applier: Applier = context.instances.writer(&name).await?;
        match applier.delete(&id, &orphan.mark).await {
            Ok(Deleted::Gone | Deleted::WasAbsent) => Ok(()),
            Ok(Deleted::NotOurs { .. }) => Err("it does not carry the mark any more".to_owned()),
            Ok(Deleted::ServiceAbsent) => Err("the instance does not exist any more".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
