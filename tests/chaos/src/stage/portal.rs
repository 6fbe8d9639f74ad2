//! What people do in the portal, without telling anybody.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{HAND_SECRET, HOLDER, Object, Stage, VALUE_SECRET};
use crate::schedule::{Edit, VALUES, Whose};
use crate::wanted::SHARED;

/// What stands in whatever somebody wrote by hand.
pub(crate) const BY_HAND: &str = "by-hand";

impl Stage<'_> {
    /// Somebody writes into the mark's place.
    pub(super) async fn set_mark(&self, second: bool, id: &str, mark: &str) -> Result<()> {
        let patch = json!({"properties": {"apiRevisionDescription": mark}});
        // It may be gone by now.
        self.azure
            .portal(second, "PATCH", &format!("/apis/{id}"), Some(&patch))
            .await
    }

    /// Changes the API of a slot; says whether that could be done.
    pub(super) async fn edit(&mut self, at: usize, edit: Edit) -> Result<bool> {
        if !self.sweeps || !matches!(self.slots[at].object, Object::There(_)) {
            return Ok(false);
        }
        let Some(second) = self.place_of(&self.slots[at]) else {
            return Ok(false);
        };
        let id = self.api_id(&self.slots[at]);
        let apis = self.azure.apis(second);
        let operation = apis
            .get(&id)
            .and_then(|api| api.operations.iter().find(|one| one.id != BY_HAND))
            .map(|operation| operation.id.clone());
        let policy = json!({"properties": {"format": "rawxml", "value": format!(
            "<policies><inbound><base /><set-header name=\"X-Key\" exists-action=\"override\">\
             <value>{}</value></set-header><set-header name=\"X-Who\" exists-action=\"override\">\
             <value>{BY_HAND}</value></set-header></inbound><backend><base /></backend>\
             <outbound><base /></outbound><on-error><base /></on-error></policies>",
            self.secrets[HAND_SECRET]
        )}});
        let api = format!("/apis/{id}");
        let (method, path, body) = match (edit, operation) {
            (Edit::Policy, _) => ("PUT", format!("{api}/policies/policy"), Some(policy)),
            (Edit::NoPolicy, _) => ("DELETE", format!("{api}/policies/policy"), None),
            (Edit::OperationPolicy, Some(operation)) => (
                "PUT",
                format!("{api}/operations/{operation}/policies/policy"),
                Some(policy),
            ),
            (Edit::FewerOperations, Some(operation)) => {
                ("DELETE", format!("{api}/operations/{operation}"), None)
            }
            (Edit::OperationPolicy | Edit::FewerOperations, None) => return Ok(false),
            (Edit::MoreOperations, _) => {
                let more = json!({"properties": {
                    "displayName": BY_HAND, "method": "PATCH", "urlTemplate": "/by-hand",
                }});
                ("PUT", format!("{api}/operations/{BY_HAND}"), Some(more))
            }
            (Edit::Settings, _) => {
                let settings = json!({"properties": {"serviceUrl": "https://by-hand.example"}});
                ("PATCH", api, Some(settings))
            }
            (Edit::NoApi, _) => ("DELETE", format!("{api}?deleteRevisions=true"), None),
        };
        // From before the call on: it may be done although it seems refused.
        let since = self.azure.simulator.last_call();
        self.slots[at].edited.get_or_insert(since);
        self.azure
            .portal_may(second, method, &path, body.as_ref())
            .await
    }

    /// Makes an API under the id that a slot's object would give its own; says
    /// whether there was room.
    pub(super) async fn squat(&mut self, at: usize, second: bool, whose: Whose) -> Result<bool> {
        self.look_whether_gone(at).await?;
        if !matches!(self.slots[at].object, Object::Absent) || second && !self.two {
            return Ok(false);
        }
        self.renew(at);
        let (id, name) = (self.api_id(&self.slots[at]), self.slots[at].name.clone());
        if self.azure.apis(second).contains_key(&id) {
            return Ok(false);
        }
        let mark = match whose {
            Whose::Nobody => "the billing team".to_owned(),
            Whose::OtherCluster => format!("apim-operator/1 0a1b2c3d {}/{name}", self.namespace),
            Whose::OtherObject => format!("{}somebody-else", self.mark),
        };
        let api = json!({"properties": {
            "displayName": id, "path": format!("{}/squat/{name}", self.namespace), "protocols": ["https"],
            "serviceUrl": "https://elsewhere.example.com", "apiRevisionDescription": mark,
        }});
        let path = format!("/apis/{id}");
        self.azure.portal(second, "PUT", &path, Some(&api)).await?;
        let operation = json!({"properties": {
            "displayName": "theirs", "method": "GET", "urlTemplate": "/theirs",
        }});
        self.azure
            .portal(
                second,
                "PUT",
                &format!("{path}/operations/theirs"),
                Some(&operation),
            )
            .await?;
        let state = self.azure.stored(second, &id).context("it was just made")?;
        self.slots[at].squatters.insert(second, state);
        Ok(true)
    }

    /// Somebody's API takes a path that objects ask for, or gives it back; says
    /// whether that was possible.
    pub(super) async fn hold_path(&mut self, there: bool) -> Result<bool> {
        if there == self.holder.is_some() {
            return Ok(false);
        }
        let path = format!("/apis/{HOLDER}");
        if !there {
            self.holder = None;
            self.azure.portal(false, "DELETE", &path, None).await?;
            return Ok(true);
        }
        let api = json!({"properties": {
            "displayName": HOLDER, "path": format!("{}/shared/v{SHARED}", self.namespace),
            "protocols": ["https"], "serviceUrl": "https://elsewhere.example.com",
        }});
        // Another API may hold the path.
        let taken = self
            .azure
            .portal_may(false, "PUT", &path, Some(&api))
            .await?;
        self.holder = self.azure.stored(false, HOLDER).filter(|_| taken);
        Ok(taken)
    }

    /// A named value comes into being.
    pub(super) async fn appear(&mut self, value: u8) -> Result<bool> {
        if value >= VALUES || !self.values.insert(value) {
            return Ok(false);
        }
        for second in self.instances_there() {
            self.azure
                .value(second, value, &self.secrets[VALUE_SECRET])
                .await?;
        }
        Ok(true)
    }
}
