//! Self-hosted gateways: the entities, the APIs that each serves, and tokens,
//! which leave this crate only as [`Secret`]s.

use jiff::{Timestamp, Unit};
use operator_core::gateway::{DesiredGateway, GatewayProperties, Location, Refused, as_ours};
use operator_core::mark::mark_in;
use operator_core::names::ApiId;
use operator_core::product::rotation::Slot;
use serde::Deserialize;
use serde_json::json;

use crate::arm::{ArmClient, ArmReader, Repeat, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::{Entity, Named};
use crate::secret::Secret;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    description: Option<String>,
    location_data: Option<LocationBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LocationBody {
    name: Option<String>,
    city: Option<String>,
    district: Option<String>,
    country_or_region: Option<String>,
}

impl From<Properties> for GatewayProperties {
    fn from(body: Properties) -> Self {
        let place = body.location_data.unwrap_or_default();
        Self {
            description: body.description.unwrap_or_default(),
            location_data: Location {
                name: place.name.unwrap_or_default(),
                city: place.city,
                district: place.district,
                country_or_region: place.country_or_region,
            },
        }
    }
}

#[derive(Deserialize)]
struct TokenBody {
    value: String,
}

/// A gateway as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Observed {
    etag: Option<String>,
    properties: GatewayProperties,
}

/// Why a gateway is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// It is somebody else's.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A call failed.
    #[error(transparent)]
    Arm(#[from] ArmError),
}

/// As ARM spells it.
const fn key_type(slot: Slot) -> &'static str {
    match slot {
        Slot::Primary => "primary",
        Slot::Secondary => "secondary",
    }
}

impl ArmReader {
    async fn gateway(&self, id: &str) -> Result<Option<Observed>, ArmError> {
        let path = ["gateways", id];
        let call = self.get(&path, &[], "gateway", format!("gateway {id}"));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let entity: Entity<Properties> = answer.json(&call.name())?;
        Ok(Some(Observed {
            etag: answer.etag(),
            properties: entity.properties.into(),
        }))
    }

    /// The ids of the APIs that a gateway serves.
    pub async fn gateway_apis(&self, id: &str) -> Result<Vec<String>, ArmError> {
        let what = format!("apis of gateway {id}");
        let call = self.get(&["gateways", id, "apis"], &[], "gatewayApis", what);
        self.pages::<Named, String>(call).all().await
    }
}

impl ArmClient {
    /// Brings a gateway to what it should be, and answers whether it was
    /// written. It is read before, always; one of somebody else is left alone.
    pub async fn apply_gateway(&self, desired: &DesiredGateway) -> Result<bool, GatewayError> {
        let id = desired.id.as_str();
        let _writer = self.lock_gateway(id).await;
        let found = self.reader().gateway(id).await?;
        if let Some(found) = &found {
            as_ours(id, &found.properties.description, &desired.mark)?;
            if found.properties == desired.properties {
                return Ok(false);
            }
        }
        let etag = found.and_then(|found| found.etag);
        self.put_gateway(id, &desired.properties, etag).await?;
        Ok(true)
    }

    async fn put_gateway(
        &self,
        id: &str,
        properties: &GatewayProperties,
        etag: Option<String>,
    ) -> Result<(), ArmError> {
        let path = ["gateways", id];
        let what = format!("gateway {id}");
        let mut call = self.call(WriteVerb::Put, &path, &[], "gateway", what);
        call.body = Some(encode(&json!({ "properties": properties })));
        call.if_match = etag;
        self.run(&call).await.map(drop)
    }

    /// Has a gateway serve an API.
    pub async fn link_gateway_api(&self, id: &str, api: &ApiId) -> Result<(), ArmError> {
        let _writer = self.lock_gateway(id).await;
        let path = ["gateways", id, "apis", api.as_str()];
        let what = format!("API {api} of gateway {id}");
        let mut call = self.call(WriteVerb::Put, &path, &[], "gatewayApi", what);
        call.body = Some(encode(
            &json!({"properties": {"provisioningState": "created"}}),
        ));
        self.run(&call).await.map(drop)
    }

    /// Has a gateway that carries the mark not serve an API any more. It is read
    /// before, always; fine where it does not serve the API, is gone, or is
    /// somebody else's.
    pub async fn unlink_gateway_api(
        &self,
        id: &str,
        mark: &str,
        api: &str,
    ) -> Result<(), ArmError> {
        let _writer = self.lock_gateway(id).await;
        if self.marked_gateway(id, mark).await?.is_none() {
            return Ok(());
        }
        let path = ["gateways", id, "apis", api];
        let what = format!("API {api} of gateway {id}");
        let call = self.call(WriteVerb::Delete, &path, &[], "gatewayApi", what);
        absent(self.run(&call).await).map(drop)
    }

    /// A token with which a gateway's container asks for its configuration;
    /// none where there is no such gateway.
    pub async fn gateway_token(
        &self,
        id: &str,
        slot: Slot,
        expiry: Timestamp,
    ) -> Result<Option<Secret<String>>, ArmError> {
        let path = ["gateways", id, "generateToken"];
        let what = format!("token of gateway {id}");
        let mut call = self.call(WriteVerb::Post, &path, &[], "gatewayToken", what);
        let expiry = expiry.round(Unit::Second).unwrap_or(expiry);
        call.body = Some(encode(&json!({
            "keyType": key_type(slot), "expiry": expiry.to_string(),
        })));
        let Some(answer) = absent(self.write(&call).await)? else {
            return Ok(None);
        };
        let body: TokenBody = answer.secret_json(&call.name())?;
        Ok(Some(body.value.into()))
    }

    /// Replaces a key of a gateway: tokens that it signed are not valid any
    /// more.
    pub async fn regenerate_gateway_key(&self, id: &str, slot: Slot) -> Result<(), ArmError> {
        let _writer = self.lock_gateway(id).await;
        let path = ["gateways", id, "regenerateKey"];
        let what = format!("{} key of gateway {id}", key_type(slot));
        let mut call = self.call(WriteVerb::Post, &path, &[], "gatewayKey", what);
        call.body = Some(encode(&json!({"keyType": key_type(slot)})));
        call.repeat = Repeat::OnlyUnsent;
        self.run(&call).await.map(drop)
    }

    /// The description of a gateway that carries the mark, with its ETag, if
    /// that is so.
    async fn marked_gateway(&self, id: &str, mark: &str) -> Result<Option<Observed>, ArmError> {
        match self.reader().gateway(id).await {
            Ok(found) => {
                Ok(found.filter(|found| as_ours(id, &found.properties.description, mark).is_ok()))
            }
            Err(error) if error.is_service_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a gateway that carries the mark. It is read before, always; one
    /// that is gone or somebody else's is fine.
    pub async fn delete_gateway(&self, id: &str, mark: &str) -> Result<(), ArmError> {
        let _writer = self.lock_gateway(id).await;
        let Some(found) = self.marked_gateway(id, mark).await? else {
            return Ok(());
        };
        let path = ["gateways", id];
        let what = format!("gateway {id}");
        let mut call = self.call(WriteVerb::Delete, &path, &[], "gateway", what);
        call.if_match = Some(found.etag.unwrap_or_else(|| "*".to_owned()));
        absent(self.run(&call).await).map(drop)
    }

    /// Takes the mark off a gateway that stays behind.
    pub async fn release_gateway(&self, id: &str, mark: &str) -> Result<(), ArmError> {
        let _writer = self.lock_gateway(id).await;
        let Some(found) = self.marked_gateway(id, mark).await? else {
            return Ok(());
        };
        let properties = GatewayProperties {
            description: mark_in(&found.properties.description).0.to_owned(),
            ..found.properties
        };
        self.put_gateway(id, &properties, found.etag).await
    }
}

#[cfg(test)]
mod tests {
    use operator_core::mark::marked;

    use super::*;

    #[test]
    fn what_api_management_leaves_out_is_not_there() {
        let read: Properties = serde_json::from_value(json!({
            "description": marked("At the edge", "apim-operator/1 01234567 shop/edge"),
            "locationData": {"name": "Bern", "city": null},
        }))
        .unwrap();
        let read = GatewayProperties::from(read);
        assert_eq!(read.location_data.name, "Bern");
        assert_eq!(read.location_data.city, None);
        let nothing = GatewayProperties::from(Properties::default());
        assert_eq!(nothing.description, "");
    }
}
