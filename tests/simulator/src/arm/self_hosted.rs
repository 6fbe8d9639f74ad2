//! Self-hosted gateways: the entities, the APIs that each serves, its two keys
//! and the tokens with which its containers ask for their configuration.
//!
//! There is no recording of any of this: bodies and codes are those of the
//! published specification and its examples, and what those leave open is
//! marked as inferred.

use super::contract;
use super::contract_table as table;
use super::error::ArmError;
use super::list;
use super::path::ApiRef;
use super::request::{Request, entity_reply, envelope};
use super::store::{Entity, Service};
use crate::http::Reply;
use crate::policy_check::Sku;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512};
use std::collections::BTreeSet;

/// The longest life of a token: "Maximum token expiry time is set to 30 days".
const LONGEST: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The two keys, as `keyType` and the answer of `listKeys` name them.
const KEYS: [&str; 2] = ["primary", "secondary"];
/// The fields of a gateway in an answer, in order.
const FIELDS: [&str; 2] = ["description", "locationData"];
/// The fields of an API in the answer that links it, in order.
const LINKED: [&str; 7] = [
    "displayName",
    "apiRevision",
    "serviceUrl",
    "path",
    "protocols",
    "subscriptionKeyParameterNames",
    "isCurrent",
];

/// A gateway with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct SelfHosted {
    pub(crate) entity: Entity,
    /// Primary and secondary.
    pub(crate) keys: [String; 2],
    /// Keys of APIs.
    pub(crate) apis: BTreeSet<String>,
}

fn new_key() -> String {
    STANDARD.encode(rand::random::<[u8; 64]>())
}

fn slot(key_type: &Value) -> usize {
    usize::from(key_type.as_str() == Some(KEYS[1]))
}

/// The expiry as a token shows it, by the example of the specification.
fn minute(expiry: Timestamp) -> String {
    expiry.strftime("%Y%m%d%H%M").to_string()
}

/// `<id>&<minute>&<signature>`. How Azure signs is not published; what matters
/// is that only who has the key can, and that another key makes another token.
fn token(id: &str, minute: &str, key: &str) -> String {
    let signed = Sha512::digest(format!("{key}\n{id}\n{minute}"));
    format!("{id}&{minute}&{}", STANDARD.encode(signed))
}

impl Service {
    fn gateway(&self, id: &str) -> Result<&SelfHosted, ArmError> {
        let found = self.gateways.get(&id.to_lowercase());
        found.ok_or_else(|| ArmError::not_found("Gateway"))
    }

    /// "APPLIES TO: Developer | Premium".
    fn tier_has_gateways(&self) -> Result<(), ArmError> {
        if Sku::from_arm_name(&self.sku) == Sku::SelfHosted {
            return Ok(());
        }
        Err(ArmError::provider(
            400,
            "MethodNotAllowedInPricingTier",
            &format!("Method not allowed in {} pricing tier", self.sku),
        ))
    }

    fn gateway_body(&self, entity: &Entity) -> Value {
        let id = format!("{}/gateways/{}", self.id(), entity.name);
        let mut fields = Map::new();
        for name in FIELDS {
            if let Some(value) = entity.properties.get(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        envelope(&id, "gateways", &entity.name, &fields)
    }

    /// `GET gateways`.
    pub(super) fn list_gateways(&self, request: &Request) -> Result<Reply, ArmError> {
        self.tier_has_gateways()?;
        let all = self.gateways.values();
        let shown: Vec<Value> = all.map(|one| self.gateway_body(&one.entity)).collect();
        list::page(request, &self.id(), shown)
    }

    /// `GET gateways/{id}`.
    pub(super) fn get_gateway(&self, id: &str) -> Result<Reply, ArmError> {
        self.tier_has_gateways()?;
        let entity = &self.gateway(id)?.entity;
        let body = self.gateway_body(entity);
        Ok(entity_reply(200, &body, entity.etag(false)))
    }

    /// `PUT` and `PATCH gateways/{id}`.
    pub(super) fn write_gateway(
        &mut self,
        request: &Request,
        id: &str,
        patch: bool,
    ) -> Result<Reply, ArmError> {
        self.tier_has_gateways()?;
        if !(1..=80).contains(&id.encode_utf16().count()) {
            return Err(ArmError::invalid(
                "gatewayId",
                &format!("'{id}' is not a valid identifier: 1 to 80 characters"),
            ));
        }
        let sent = contract::properties(&table::GATEWAY_CONTRACT_PROPERTIES, &request.body)?;
        let old = self.gateways.get(&id.to_lowercase()).cloned();
        if patch && old.is_none() {
            return Err(ArmError::not_found("Gateway"));
        }
        request.check_if_match(old.as_ref().map(|old| &old.entity), false)?;
        let most = match self.sku.to_ascii_lowercase().as_str() {
            "developer" => 5,
            _ => 100,
        };
        // Inferred: the limits are published, how they are refused is not.
        if old.is_none() && self.gateways.len() >= most {
            return Err(ArmError::invalid(
                "gatewayId",
                &format!(
                    "The service has {most} self-hosted gateways, which is the limit of its pricing tier."
                ),
            ));
        }
        let mut fields = match &old {
            Some(old) if patch => old.entity.properties.clone(),
            _ => Map::new(),
        };
        fields.extend(sent);
        let status = if old.is_some() { 200 } else { 201 };
        let gateway = match old {
            Some(old) => SelfHosted {
                entity: self.changed_entity(&old.entity, fields, request.now),
                ..old
            },
            None => SelfHosted {
                entity: self.new_entity(id, fields, request.now),
                keys: [new_key(), new_key()],
                apis: BTreeSet::new(),
            },
        };
        let body = self.gateway_body(&gateway.entity);
        let etag = gateway.entity.etag(false);
        self.gateways.insert(id.to_lowercase(), gateway);
        Ok(entity_reply(status, &body, etag))
    }

    /// `DELETE gateways/{id}`: its links go with it.
    pub(super) fn delete_gateway(
        &mut self,
        request: &Request,
        id: &str,
    ) -> Result<Reply, ArmError> {
        self.tier_has_gateways()?;
        let Some(old) = self.gateways.get(&id.to_lowercase()) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(&old.entity), false)?;
        self.gateways.remove(&id.to_lowercase());
        self.next_row();
        Ok(Reply::empty(200))
    }

    fn linked_body(&self, gateway: &str, key: &str) -> Option<Value> {
        let family = self.families.get(key)?;
        let revision = family.revisions.get(&family.current)?;
        let mut fields = Map::new();
        for name in LINKED {
            let value = match name {
                "apiRevision" => Some(family.current.to_string().into()),
                "isCurrent" => Some(Value::Bool(true)),
                name => revision.entity.properties.get(name).cloned(),
            };
            if let Some(value) = value.filter(|value| !value.is_null()) {
                fields.insert(name.to_owned(), value);
            }
        }
        let id = format!("{}/gateways/{gateway}/apis/{}", self.id(), family.name);
        Some(envelope(&id, "gateways/apis", &family.name, &fields))
    }

    /// `GET gateways/{id}/apis`.
    pub(super) fn list_gateway_apis(&self, request: &Request, id: &str) -> Result<Reply, ArmError> {
        self.tier_has_gateways()?;
        let gateway = self.gateway(id)?;
        let apis = gateway.apis.iter();
        let shown = apis.filter_map(|key| self.linked_body(&gateway.entity.name, key));
        list::page(request, &self.id(), shown.collect::<Vec<_>>())
    }

    /// `HEAD`, `PUT` and `DELETE gateways/{id}/apis/{api}`.
    pub(super) fn gateway_api(
        &mut self,
        request: &Request,
        id: &str,
        api: &ApiRef,
    ) -> Result<Reply, ArmError> {
        self.tier_has_gateways()?;
        let gateway = self.gateway(id)?;
        let holds = gateway.apis.contains(&api.key());
        if request.method == Method::DELETE {
            if !holds {
                return Ok(Reply::empty(204));
            }
            self.change_links(id, |apis| apis.remove(&api.key()));
            return Ok(Reply::empty(200));
        }
        let revision = self.revision(api);
        let etag = revision.map(|revision| revision.entity.etag(false));
        if request.head {
            return match etag {
                Some(etag) if holds => Ok(Reply::empty(200).with("ETag", etag)),
                _ => Err(ArmError::not_found("Api")),
            };
        }
        // A link is of an API, whichever of its revisions is current. Inferred.
        if api.revision.is_some() {
            return Err(ArmError::invalid(
                "apiId",
                "A gateway serves the current revision of an API; leave ';rev=' out.",
            ));
        }
        let name = gateway.entity.name.clone();
        let body = self.linked_body(&name, &api.key());
        let body = body.ok_or_else(|| ArmError::not_found("Api"))?;
        if !request.body.is_empty() {
            contract::properties(&table::ASSOCIATION_CONTRACT_PROPERTIES, &request.body)?;
        }
        if !holds {
            self.change_links(id, |apis| apis.insert(api.key()));
        }
        let status = if holds { 200 } else { 201 };
        Ok(entity_reply(status, &body, etag.unwrap_or_default()))
    }

    fn change_links(&mut self, id: &str, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        self.next_row();
        if let Some(gateway) = self.gateways.get_mut(&id.to_lowercase()) {
            change(&mut gateway.apis);
        }
    }

    /// `POST gateways/{id}/{listKeys,regenerateKey,generateToken}`.
    pub(super) fn gateway_action(
        &mut self,
        request: &Request,
        id: &str,
        action: &str,
    ) -> Result<Reply, ArmError> {
        self.tier_has_gateways()?;
        let gateway = self.gateway(id)?.clone();
        match action.to_ascii_lowercase().as_str() {
            "listkeys" => {
                let [primary, secondary] = &gateway.keys;
                let body = json!({ "primary": primary, "secondary": secondary });
                let etag = gateway.entity.etag(false);
                Ok(Reply::json(200, &body).with("ETag", etag))
            }
            "regeneratekey" => {
                let asked = contract::object(
                    &table::GATEWAY_KEY_REGENERATION_REQUEST_CONTRACT,
                    &request.body,
                )?;
                let mut changed = gateway;
                changed.keys[slot(&asked["keyType"])] = new_key();
                self.gateways.insert(id.to_lowercase(), changed);
                self.next_row();
                Ok(Reply::empty(204))
            }
            "generatetoken" => {
                let contract = &table::GATEWAY_TOKEN_REQUEST_CONTRACT;
                let asked = contract::object(contract, &request.body)?;
                let expiry = expiry(&asked["expiry"], request.now)?;
                let key = &gateway.keys[slot(&asked["keyType"])];
                let value = token(&gateway.entity.name, &minute(expiry), key);
                Ok(Reply::json(200, &json!({ "value": value })))
            }
            _ => Err(ArmError::not_simulated(&format!(
                "Microsoft.ApiManagement/service/gateways/{action}"
            ))),
        }
    }

    /// The gateway that a token is of, as long as it is valid.
    pub(crate) fn gateway_of(&self, text: &str, now: Timestamp) -> Option<&str> {
        let mut parts = text.splitn(3, '&');
        let (id, until) = (parts.next()?, parts.next()?);
        let gateway = self.gateways.get(&id.to_lowercase())?;
        let signed = gateway
            .keys
            .iter()
            .any(|key| token(&gateway.entity.name, until, key) == text);
        (signed && *until > *minute(now)).then_some(gateway.entity.name.as_str())
    }
}

fn expiry(asked: &Value, now: Timestamp) -> Result<Timestamp, ArmError> {
    let text = asked.as_str().unwrap_or_default();
    let refused = |message: &str| ArmError::invalid("expiry", message);
    let expiry: Timestamp = text
        .parse()
        .map_err(|_| refused(&format!("'{text}' is not a date and time of ISO 8601.")))?;
    if expiry <= now {
        return Err(refused("The expiry must be in the future."));
    }
    if expiry.duration_since(now) > LONGEST {
        return Err(refused("The expiry must be at most 30 days in the future."));
    }
    Ok(expiry)
}
