//! What this cluster left behind in API Management: APIs, and backends of APIs,
//! that carry its mark and belong to no object.

use std::collections::HashMap;

use kube::Client;
use operator_apim::{Applier, ArmError, ArmReader, Deleted, Leftovers};
use operator_core::apim::AppliedRecord;
use operator_core::mark::OwnershipMark;
use operator_core::names::{ApiId, InstanceName};
use serde::Serialize;

use crate::reconcile::subject::Subject;
use crate::run::{Ready, RunError, Settings, look};

/// Something without an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The instance.
    pub instance: String,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// `<namespace>/<name>` of the object that it was made for.
    pub owner: String,
    #[serde(skip)]
    mark: String,
}

/// What is left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum What {
    /// An API.
    Api {
        /// Its id.
        api_id: String,
        /// Its path.
        path: String,
        /// Where its object is published instead, if it is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        published_as: Option<String>,
    },
    /// A backend of an API.
    Backend {
        /// Its id.
        backend_id: String,
    },
}

impl Orphan {
    /// By which it is named: an API by its id, a backend by `backends/<id>`.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.what {
            What::Api { api_id, .. } => api_id.clone(),
            What::Backend { backend_id } => format!("backends/{backend_id}"),
        }
    }

    /// Where its object is published instead, if it is there.
    #[must_use]
    pub fn published_as(&self) -> Option<&str> {
        match &self.what {
            What::Api { published_as, .. } => published_as.as_deref(),
            What::Backend { .. } => None,
        }
    }
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

    async fn look(&mut self, instance: &InstanceName, reader: &ArmReader) -> Result<(), ArmError> {
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
                    what: What::Api {
                        api_id: listed.id,
                        path: listed.api.settings.path,
                        published_as,
                    },
                    owner: mark.owner().to_owned(),
                    mark: mark.as_str().to_owned(),
                });
            }
        }
        for there in reader.backends().all().await? {
            let mark = there.description.as_deref().and_then(OwnershipMark::parse);
            let left = |mark: &OwnershipMark| {
                mark.cluster() == own.cluster() && !objects.contains_key(mark.as_str())
            };
            // Those of an object that is there are its operator's.
            let Some(mark) = mark.filter(left) else {
                continue;
            };
            self.list.push(Orphan {
                instance: instance.to_string(),
                what: What::Backend {
                    backend_id: there.id,
                },
                owner: mark.owner().to_owned(),
                mark: mark.as_str().to_owned(),
            });
        }
        Ok(())
    }

    /// Deletes an orphan, if it still is one: object and mark are read again.
    pub async fn delete(&self, orphan: &Orphan) -> Result<(), String> {
        let context = &self.ready.context;
        if orphan.published_as().is_none()
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
        let applier: Applier = context.instances.writer(&name).await?;
        let id = match &orphan.what {
            What::Api { api_id, .. } => ApiId::parse(api_id).map_err(|error| error.to_string())?,
            What::Backend { backend_id } => {
                let client = applier.client();
                let said = |error: ArmError| error.to_string();
                let deleted = client.delete_backend(backend_id, &orphan.mark).await;
                if deleted.map_err(said)? {
                    return Ok(());
                }
                let left = client.reader().backend(backend_id).await;
                return match left.map_err(said)? {
                    // That is what was asked for.
                    None => Ok(()),
                    Some(_) => Err("it does not carry the mark any more".to_owned()),
                };
            }
        };
        let leftovers = Leftovers {
            page: true,
            ..Leftovers::default()
        };
        match applier.delete_whole(&id, &orphan.mark, leftovers).await {
            Ok(Deleted::Gone | Deleted::WasAbsent) => Ok(()),
            Ok(Deleted::NotOurs { .. }) => Err("it does not carry the mark any more".to_owned()),
            Ok(Deleted::ServiceAbsent) => Err("the instance does not exist any more".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
