//! What an `ApimInstance` says of itself.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::{Connection, FIRST_PAUSE, Instances, LONGEST_PAUSE, Trouble};
use crate::crd::ApimInstance;

impl Instances {
    /// Says on the ApimInstance whether it can be used, until that is written:
    /// nothing else would say it later.
    pub(super) async fn report(
        &self,
        object: &mut ApimInstance,
        outcome: Result<&(Option<String>, Arc<Connection>), &Trouble>,
    ) {
        let mut pause = FIRST_PAUSE;
        while !self.told(object, outcome).await {
            tokio::time::sleep(self.settings.pace.of(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says it once; whether it stands there now, or nobody is there to be told.
    /// The object's status becomes what was written: a later outcome that is
    /// what the object said at first must be told all the same.
    pub(super) async fn told(
        &self,
        object: &mut ApimInstance,
        outcome: Result<&(Option<String>, Arc<Connection>), &Trouble>,
    ) -> bool {
        if !self.settings.tells {
            return true;
        }
        let (status, reason, message) = match outcome {
            Ok((note, _)) => (
                "True",
                "Connected",
                note.clone()
                    .unwrap_or_else(|| "APIs can be published".to_owned()),
            ),
            Err(trouble) => ("False", trouble.reason, trouble.message.clone()),
        };
        let before = object
            .status
            .as_ref()
            .and_then(|status| status.conditions.iter().find(|c| c.type_ == "Ready"));
        let condition = Condition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.chars().take(4096).collect(),
            observed_generation: object.metadata.generation,
            last_transition_time: before.filter(|before| before.status == status).map_or_else(
                || Time(Timestamp::now()),
                |before| before.last_transition_time.clone(),
            ),
        };
        let context = outcome.ok().map(|(_, connection)| &connection.context);
        let status = json!({
            "sku": context.map(|context| &context.sku),
            "gatewayUrl": context.map(|context| &context.gateway_url),
            "developerPortalUrl": context.and_then(|context| context.developer_portal.as_ref()),
            "publishedAt": context.map(|context| context.published_at.to_string()),
            "addresses": context.map(|context| &context.addresses).filter(|all| !all.is_empty()),
            "virtualNetwork": context.map(|context| context.network.to_string()),
            "conditions": [condition],
        });
        let there = serde_json::to_value(&object.status).unwrap_or_default();
        let fields = [
            "sku",
            "gatewayUrl",
            "developerPortalUrl",
            "publishedAt",
            "addresses",
            "virtualNetwork",
            "conditions",
        ];
        if fields.iter().all(|field| there[field] == status[field]) {
            return true;
        }
        let api: Api<ApimInstance> = Api::all(self.client.clone());
        self.metrics.kube_write("ApimInstance");
        let patch = Patch::Merge(json!({"status": status}));
        match api
            .patch_status(&object.name_any(), &PatchParams::default(), &patch)
            .await
        {
            Ok(now) => {
                object.status = now.status;
                true
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => true,
            Err(error) => {
                // It may have been done.
                object.status = None;
                tracing::warn!(%error, instance = object.name_any(), "the status of an ApimInstance could not be written");
                false
            }
        }
    }
}
