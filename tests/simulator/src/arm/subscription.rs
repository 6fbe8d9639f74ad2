//! Subscriptions: what they open, and their two keys.

use super::contract;
use super::contract_table as table;
use super::error::ArmError;
use super::list;
use super::path::ApiRef;
use super::request::{Request, entity_reply, envelope};
use super::store::{Entity, Service};
use crate::clock::iso;
use crate::http::Reply;
use serde_json::{Map, Value, json};

/// The fields of an answer, in order; those not set are null. Keys are shown
/// where they are asked for, and where a subscription is put.
const FIELDS: [&str; 11] = [
    "scope",
    "displayName",
    "state",
    "createdDate",
    "startDate",
    "expirationDate",
    "endDate",
    "notificationDate",
    "primaryKey",
    "secondaryKey",
    "stateComment",
];

const KEYS: [&str; 2] = ["primaryKey", "secondaryKey"];

fn new_key() -> Value {
    format!("{:032x}", rand::random::<u128>()).into()
}

impl Service {
    fn subscription(&self, id: &str) -> Result<&Entity, ArmError> {
        let found = self.subscriptions.get(&id.to_lowercase());
        found.ok_or_else(|| ArmError::not_found("Subscription"))
    }

    fn subscription_body(&self, entity: &Entity, keys: bool) -> Value {
        let id = format!("{}/subscriptions/{}", self.id(), entity.name);
        let mut fields = Map::new();
        if let Some(owner) = entity.properties.get("ownerId") {
            fields.insert("ownerId".to_owned(), owner.clone());
        }
        for name in FIELDS {
            if keys || !KEYS.contains(&name) {
                let value = entity.properties.get(name).cloned();
                fields.insert(name.to_owned(), value.unwrap_or(Value::Null));
            }
        }
        let tracing = entity.properties.get("allowTracing").cloned();
        fields.insert(
            "allowTracing".to_owned(),
            tracing.unwrap_or(Value::Bool(false)),
        );
        envelope(&id, "subscriptions", &entity.name, &fields)
    }

    /// `GET subscriptions`, or those of a product.
    pub(super) fn list_subscriptions(
        &self,
        request: &Request,
        of: Option<&str>,
    ) -> Result<Reply, ArmError> {
        let scope = match of {
            Some(product) => {
                let name = &self.product(product)?.entity.name;
                Some(format!("{}/products/{name}", self.id()))
            }
            None => None,
        };
        let shown: Vec<Value> = self
            .subscriptions
            .values()
            .filter(|one| scope.is_none() || one.text("scope") == scope.as_deref())
            .map(|one| self.subscription_body(one, false))
            .collect();
        list::page(request, &self.id(), shown)
    }

    /// `GET subscriptions/{id}`.
    pub(super) fn get_subscription(&self, id: &str) -> Result<Reply, ArmError> {
        let entity = self.subscription(id)?;
        let body = self.subscription_body(entity, false);
        Ok(entity_reply(200, &body, entity.etag(false)))
    }

    /// `PUT` and `PATCH subscriptions/{id}`.
    pub(super) fn write_subscription(
        &mut self,
        request: &Request,
        id: &str,
        patch: bool,
    ) -> Result<Reply, ArmError> {
        if !(1..=256).contains(&id.encode_utf16().count()) || id.contains(super::path::FORBIDDEN) {
            return Err(ArmError::invalid(
                "sid",
                &format!(
                    "'{id}' is not a valid identifier: 1 to 256 characters, none of * # & + : < > ?"
                ),
            ));
        }
        let contract = if patch {
            &table::SUBSCRIPTION_UPDATE_PARAMETER_PROPERTIES
        } else {
            &table::SUBSCRIPTION_CREATE_PARAMETER_PROPERTIES
        };
        let sent = contract::properties(contract, &request.body)?;
        let old = self.subscriptions.get(&id.to_lowercase()).cloned();
        if patch && old.is_none() {
            return Err(ArmError::not_found("Subscription"));
        }
        request.check_if_match(old.as_ref(), false)?;
        // What a PUT leaves out stays, as it was recorded of keys and dates.
        let mut fields = match &old {
            Some(old) => old.properties.clone(),
            None => Map::new(),
        };
        fields.extend(sent);
        let scope = fields.get("scope").and_then(Value::as_str);
        let scope = self.full_scope(scope.unwrap_or_default())?;
        fields.insert("scope".to_owned(), scope.into());
        if let Some(owner) = fields.get("ownerId").and_then(Value::as_str)
            && owner.rsplit('/').next() != Some("1")
        {
            return Err(ArmError::invalid(
                "ownerId",
                &format!("User with id '{owner}' could not be found."),
            ));
        }
        for key in KEYS {
            fields.entry(key).or_insert_with(new_key);
        }
        // Recorded: what an administrator makes over ARM is active at once.
        fields.entry("state").or_insert_with(|| "active".into());
        fields
            .entry("createdDate")
            .or_insert_with(|| iso(request.now).into());
        let entity = match &old {
            Some(old) => self.changed_entity(old, fields, request.now),
            None => self.new_entity(id, fields, request.now),
        };
        let body = self.subscription_body(&entity, !patch);
        let etag = entity.etag(false);
        self.subscriptions.insert(id.to_lowercase(), entity);
        Ok(entity_reply(
            if old.is_some() { 200 } else { 201 },
            &body,
            etag,
        ))
    }

    /// The scope as it is answered; what it names must exist.
    fn full_scope(&self, scope: &str) -> Result<String, ArmError> {
        let base = self.id();
        let short = match scope.get(..base.len()) {
            Some(start) if start.eq_ignore_ascii_case(&base) => &scope[base.len()..],
            _ => scope,
        };
        let parts: Vec<&str> = short.split('/').collect();
        match parts.as_slice() {
            ["", apis] if apis.eq_ignore_ascii_case("apis") => Ok(format!("{base}/apis")),
            ["", apis, id] if apis.eq_ignore_ascii_case("apis") => {
                let family = self.family(&ApiRef::parse(id)?);
                let family = family.ok_or_else(|| {
                    ArmError::invalid("scope", &format!("Api with id '{id}' could not be found."))
                })?;
                Ok(format!("{base}/apis/{}", family.name))
            }
            ["", products, id] if products.eq_ignore_ascii_case("products") => {
                let product = self.product(id).map_err(|_| {
                    ArmError::invalid(
                        "scope",
                        &format!("Product with id '{id}' could not be found."),
                    )
                })?;
                Ok(format!("{base}/products/{}", product.entity.name))
            }
            _ => Err(ArmError::invalid(
                "scope",
                "Subscription scope should be one of '/apis', '/apis/{apiId}', '/products/{productId}'",
            )),
        }
    }

    /// `DELETE subscriptions/{id}`.
    pub(super) fn delete_subscription(
        &mut self,
        request: &Request,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let Ok(old) = self.subscription(id) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(old), false)?;
        self.subscriptions.remove(&id.to_lowercase());
        self.next_row();
        Ok(Reply::empty(200))
    }

    /// `POST subscriptions/{id}/listSecrets` and `…/regenerate{Primary,Secondary}Key`.
    pub(super) fn subscription_action(
        &mut self,
        request: &Request,
        id: &str,
        action: &str,
    ) -> Result<Reply, ArmError> {
        let old = self.subscription(id)?.clone();
        let key = match action.to_ascii_lowercase().as_str() {
            "listsecrets" => {
                let value = |name: &str| old.properties.get(name).cloned();
                let body = json!({
                    "primaryKey": value(KEYS[0]), "secondaryKey": value(KEYS[1]),
                });
                return Ok(Reply::json(200, &body).with("ETag", old.etag(false)));
            }
            "regenerateprimarykey" => KEYS[0],
            "regeneratesecondarykey" => KEYS[1],
            _ => {
                return Err(ArmError::not_simulated(&format!(
                    "Microsoft.ApiManagement/service/subscriptions/{action}"
                )));
            }
        };
        let mut fields = old.properties.clone();
        fields.insert(key.to_owned(), new_key());
        let entity = self.changed_entity(&old, fields, request.now);
        self.subscriptions.insert(id.to_lowercase(), entity);
        Ok(Reply::empty(204))
    }

    /// Takes away what belonged to an API that is gone.
    pub(super) fn forget_api(&mut self, api: &ApiRef) {
        let scope = format!("{}/apis/{}", self.id(), api.base);
        self.subscriptions.retain(|_, one| {
            let of = one.text("scope").unwrap_or_default();
            !of.eq_ignore_ascii_case(&scope)
        });
        for product in self.products.values_mut() {
            product.apis.remove(&api.key());
        }
        for gateway in self.gateways.values_mut() {
            gateway.apis.remove(&api.key());
        }
    }
}
