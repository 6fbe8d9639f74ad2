//! Products, the APIs and groups in them, and the groups themselves.

use super::contract;
use super::contract_table as table;
use super::error::{ArmError, Detail};
use super::list;
use super::path::ApiRef;
use super::request::{Request, entity_reply, envelope};
use super::store::{Entity, Service};
use crate::http::Reply;
use axum::http::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A product with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) entity: Entity,
    pub(crate) policy: Option<Entity>,
    /// Keys of APIs.
    pub(crate) apis: BTreeSet<String>,
    /// Keys of groups.
    pub(crate) groups: BTreeSet<String>,
}

/// The groups that every service has; new products are in the first.
const BUILT_IN: [(&str, &str, &str); 3] = [
    (
        "administrators",
        "Administrators",
        "Administrators is a built-in group containing the admin email account provided at the time of service creation. Its membership is managed by the system.",
    ),
    (
        "developers",
        "Developers",
        "Developers is a built-in group. Its membership is managed by the system. Signed-in users fall into this group.",
    ),
    (
        "guests",
        "Guests",
        "Guests is a built-in group. Its membership is managed by the system. Unauthenticated users visiting the developer portal fall into this group.",
    ),
];

/// The fields of a product in an answer, in order; those not set are null.
const FIELDS: [&str; 7] = [
    "displayName",
    "description",
    "terms",
    "subscriptionRequired",
    "approvalRequired",
    "subscriptionsLimit",
    "state",
];

/// The fields of an API in the answer that puts it in a product.
const LINKED: [&str; 14] = [
    "displayName",
    "apiRevision",
    "description",
    "subscriptionRequired",
    "serviceUrl",
    "backendId",
    "path",
    "protocols",
    "authenticationSettings",
    "subscriptionKeyParameterNames",
    "isCurrent",
    "apiRevisionDescription",
    "apiVersion",
    "apiVersionDescription",
];

/// Of those, what is not shown.
const HIDDEN: [&str; 5] = [
    "serviceUrl",
    "backendId",
    "protocols",
    "authenticationSettings",
    "subscriptionKeyParameterNames",
];

fn check_id(id: &str, what: &str) -> Result<(), ArmError> {
    if (1..=256).contains(&id.encode_utf16().count()) && !id.contains(super::path::FORBIDDEN) {
        return Ok(());
    }
    Err(ArmError::invalid(
        what,
        &format!("'{id}' is not a valid identifier: 1 to 256 characters, none of * # & + : < > ?"),
    ))
}

impl Service {
    pub(super) fn product(&self, id: &str) -> Result<&Product, ArmError> {
        let product = self.products.get(&id.to_lowercase());
        product.ok_or_else(|| ArmError::not_found("Product"))
    }

    fn product_body(&self, product: &Product) -> Value {
        let entity = &product.entity;
        let id = format!("{}/products/{}", self.id(), entity.name);
        let mut fields = Map::new();
        for name in FIELDS {
            let value = entity.properties.get(name).cloned();
            fields.insert(name.to_owned(), value.unwrap_or(Value::Null));
        }
        envelope(&id, "products", &entity.name, &fields)
    }

    fn products_body<'p>(&self, all: impl Iterator<Item = &'p Product>) -> Vec<Value> {
        all.map(|product| self.product_body(product)).collect()
    }

    /// `GET products`, or those that an API is in.
    pub(super) fn list_products(
        &self,
        request: &Request,
        of: Option<&ApiRef>,
    ) -> Result<Reply, ArmError> {
        if let Some(api) = of
            && self.family(api).is_none()
        {
            return Err(ArmError::not_found("Api"));
        }
        let all = self.products.values();
        let shown = all.filter(|one| of.is_none_or(|api| one.apis.contains(&api.key())));
        list::page(request, &self.id(), self.products_body(shown))
    }

    /// `GET products/{id}`.
    pub(super) fn get_product(&self, id: &str) -> Result<Reply, ArmError> {
        let product = self.product(id)?;
        let etag = product.entity.etag(false);
        Ok(entity_reply(200, &self.product_body(product), etag))
    }

    /// `PUT` and `PATCH products/{id}`.
    pub(super) fn write_product(
        &mut self,
        request: &Request,
        id: &str,
        patch: bool,
    ) -> Result<Reply, ArmError> {
        check_id(id, "productId")?;
        let contract = if patch {
            &table::PRODUCT_UPDATE_PROPERTIES
        } else {
            &table::PRODUCT_CONTRACT_PROPERTIES
        };
        let sent = contract::properties(contract, &request.body)?;
        let old = self.products.get(&id.to_lowercase()).cloned();
        if patch && old.is_none() {
            return Err(ArmError::not_found("Product"));
        }
        request.check_if_match(old.as_ref().map(|old| &old.entity), false)?;
        let mut fields = match &old {
            Some(old) if patch => old.entity.properties.clone(),
            _ => Map::new(),
        };
        fields.extend(sent);
        for (name, default) in [
            ("subscriptionRequired", Value::Bool(true)),
            ("state", "notPublished".into()),
        ] {
            if fields.get(name).is_none_or(Value::is_null) {
                fields.insert(name.to_owned(), default);
            }
        }
        let open = fields.get("subscriptionRequired") == Some(&Value::Bool(false));
        let problems: Vec<Detail> = ["approvalRequired", "subscriptionsLimit"]
            .into_iter()
            .filter(|name| open && fields.get(*name).is_some_and(|value| !value.is_null()))
            .map(|name| {
                Detail::new(
                    name,
                    &format!("{name} can be set only for a product that requires a subscription."),
                )
            })
            .collect();
        if !problems.is_empty() {
            return Err(ArmError::validation(problems));
        }
        let status = if old.is_some() { 200 } else { 201 };
        let product = match old {
            Some(old) => Product {
                entity: self.changed_entity(&old.entity, fields, request.now),
                ..old
            },
            None => Product {
                entity: self.new_entity(id, fields, request.now),
                policy: None,
                apis: BTreeSet::new(),
                groups: [BUILT_IN[0].0.to_owned()].into(),
            },
        };
        let mut body = self.product_body(&product);
        if status == 201 {
            let groups: Vec<Value> = BUILT_IN[..1].iter().map(|one| self.built_in(one)).collect();
            body["properties"]["groups"] = groups.into();
        }
        let etag = product.entity.etag(false);
        self.products.insert(id.to_lowercase(), product);
        Ok(entity_reply(status, &body, etag))
    }

    fn built_in(&self, (id, name, description): &(&str, &str, &str)) -> Value {
        json!({
            "id": format!("{}/groups/{id}", self.id()),
            "name": name,
            "description": description,
            "builtIn": true,
            "type": "system",
            "externalId": null,
        })
    }

    /// `DELETE products/{id}`: with subscriptions only where the request says
    /// that they go too.
    pub(super) fn delete_product(
        &mut self,
        request: &Request,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let Some(old) = self.products.get(&id.to_lowercase()) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(&old.entity), false)?;
        let scope = format!("{}/products/{}", self.id(), old.entity.name).to_lowercase();
        let its_own = |entity: &Entity| {
            let of = entity.text("scope").unwrap_or_default();
            of.eq_ignore_ascii_case(&scope)
        };
        if !request.flag("deleteSubscriptions") && self.subscriptions.values().any(its_own) {
            return Err(ArmError::provider(
                409,
                "Conflict",
                "The product has subscriptions. Delete them first, or set deleteSubscriptions=true.",
            ));
        }
        self.subscriptions.retain(|_, entity| !its_own(entity));
        self.products.remove(&id.to_lowercase());
        self.next_row();
        Ok(Reply::empty(200))
    }

    /// `HEAD`, `PUT` and `DELETE products/{id}/apis/{api}`.
    pub(super) fn product_api(
        &mut self,
        request: &Request,
        id: &str,
        api: &ApiRef,
    ) -> Result<Reply, ArmError> {
        let holds = self.product(id)?.apis.contains(&api.key());
        if request.head {
            return if holds {
                Ok(Reply::empty(204))
            } else {
                Err(ArmError::not_found("Api"))
            };
        }
        if request.method == Method::DELETE {
            return Ok(self.linked(id, holds, |product| product.apis.remove(&api.key())));
        }
        let revision = self
            .revision(api)
            .ok_or_else(|| ArmError::not_found("Api"))?;
        let current = self.family(api).map(|family| family.current);
        let mut shown = Map::new();
        for name in LINKED {
            let value = match name {
                "apiRevision" => current.map(|number| Value::from(number.to_string())),
                "isCurrent" => Some(Value::Bool(true)),
                name if HIDDEN.contains(&name) => None,
                name => revision.entity.properties.get(name).cloned(),
            };
            // A field of a version that there is not is left out.
            match value {
                None if name.starts_with("apiVersion") => {}
                value => {
                    shown.insert(name.to_owned(), value.unwrap_or(Value::Null));
                }
            }
        }
        let place = format!("{}/products/{id}/apis/{}", self.id(), api.base);
        let body = envelope(&place, "products/apis", &api.base, &shown);
        let etag = revision.entity.etag(false);
        self.linked(id, !holds, |product| product.apis.insert(api.key()));
        Ok(entity_reply(if holds { 200 } else { 201 }, &body, etag))
    }

    /// Changes what is in a product, if there is something to change.
    fn linked(
        &mut self,
        id: &str,
        changes: bool,
        change: impl FnOnce(&mut Product) -> bool,
    ) -> Reply {
        if changes {
            self.next_row();
        }
        match self.products.get_mut(&id.to_lowercase()) {
            Some(product) if changes => {
                change(product);
                Reply::empty(200)
            }
            _ => Reply::empty(204),
        }
    }

    /// `HEAD`, `PUT` and `DELETE products/{id}/groups/{group}`.
    pub(super) fn product_group(
        &mut self,
        request: &Request,
        id: &str,
        group: &str,
    ) -> Result<Reply, ArmError> {
        self.tier_has_groups()?;
        let key = group.to_lowercase();
        let holds = self.product(id)?.groups.contains(&key);
        if request.head {
            return if holds {
                Ok(Reply::empty(204))
            } else {
                Err(ArmError::not_found("Group"))
            };
        }
        if request.method == Method::DELETE {
            if key == BUILT_IN[0].0 {
                return Err(ArmError::invalid(
                    "groupId",
                    "System group membership cannot be changed: administrators see every product.",
                ));
            }
            return Ok(self.linked(id, holds, |product| product.groups.remove(&key)));
        }
        let body = self.group_body(group)?;
        let etag = self.product(id)?.entity.etag(false);
        self.linked(id, !holds, |product| product.groups.insert(key));
        Ok(entity_reply(if holds { 200 } else { 201 }, &body, etag))
    }

    /// `GET products/{id}/groups`.
    pub(super) fn list_product_groups(
        &self,
        request: &Request,
        id: &str,
    ) -> Result<Reply, ArmError> {
        self.tier_has_groups()?;
        let groups = &self.product(id)?.groups;
        let shown: Vec<Value> = groups
            .iter()
            .filter_map(|group| self.group_body(group).ok())
            .collect();
        list::page(request, &self.id(), shown)
    }

    /// `GET products/{id}/apis`.
    pub(super) fn list_product_apis(&self, request: &Request, id: &str) -> Result<Reply, ArmError> {
        let apis = &self.product(id)?.apis;
        let shown: Vec<Value> = apis
            .iter()
            .filter_map(|key| self.families.get(key))
            .map(|family| {
                let id = format!("{}/apis/{}", self.id(), family.name);
                let entity = family.revisions.get(&family.current).map(|one| &one.entity);
                let fields = entity.map(|entity| entity.properties.clone());
                envelope(&id, "apis", &family.name, &fields.unwrap_or_default())
            })
            .collect();
        list::page(request, &self.id(), shown)
    }

    fn tier_has_groups(&self) -> Result<(), ArmError> {
        if self.sku.eq_ignore_ascii_case("Consumption") {
            return Err(ArmError::provider(
                400,
                "MethodNotAllowedInPricingTier",
                "Method not allowed in Consumption pricing tier",
            ));
        }
        Ok(())
    }

    fn group_body(&self, group: &str) -> Result<Value, ArmError> {
        if let Some(built_in) = BUILT_IN
            .iter()
            .find(|(id, ..)| id.eq_ignore_ascii_case(group))
        {
            let id = format!("{}/groups/{}", self.id(), built_in.0);
            let fields = json!({
                "displayName": built_in.1, "description": built_in.2, "builtIn": true, "type": "system",
                "externalId": null,
            });
            let fields = fields.as_object().cloned().unwrap_or_default();
            return Ok(envelope(&id, "groups", built_in.0, &fields));
        }
        let entity = self.groups.get(&group.to_lowercase());
        let entity = entity.ok_or_else(|| ArmError::not_found("Group"))?;
        let id = format!("{}/groups/{}", self.id(), entity.name);
        Ok(envelope(&id, "groups", &entity.name, &entity.properties))
    }

    /// `GET groups/{id}`.
    pub(super) fn get_group(&self, group: &str) -> Result<Reply, ArmError> {
        self.tier_has_groups()?;
        let etag = self.groups.get(&group.to_lowercase());
        let etag = etag.map_or_else(|| "\"AAAAAAAAAAE=\"".to_owned(), |one| one.etag(false));
        Ok(entity_reply(200, &self.group_body(group)?, etag))
    }

    /// `PUT groups/{id}`: one of the users' own.
    pub(super) fn put_group(&mut self, request: &Request, group: &str) -> Result<Reply, ArmError> {
        self.tier_has_groups()?;
        check_id(group, "groupId")?;
        if BUILT_IN
            .iter()
            .any(|(id, ..)| id.eq_ignore_ascii_case(group))
        {
            return Err(ArmError::invalid(
                "groupId",
                "System groups cannot be changed.",
            ));
        }
        let sent = contract::properties(&table::GROUP_CREATE_PARAMETERS_PROPERTIES, &request.body)?;
        let old = self.groups.get(&group.to_lowercase()).cloned();
        request.check_if_match(old.as_ref(), false)?;
        let text = |name: &str| sent.get(name).cloned().unwrap_or(Value::Null);
        let kind = sent.get("type").cloned().unwrap_or_else(|| "custom".into());
        let fields = json!({
            "displayName": text("displayName"), "description": text("description"), "builtIn": false,
            "type": kind, "externalId": text("externalId"),
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        let entity = match &old {
            Some(old) => self.changed_entity(old, fields, request.now),
            None => self.new_entity(group, fields, request.now),
        };
        let etag = entity.etag(false);
        self.groups.insert(group.to_lowercase(), entity);
        let body = self.group_body(group)?;
        Ok(entity_reply(
            if old.is_some() { 200 } else { 201 },
            &body,
            etag,
        ))
    }
}
