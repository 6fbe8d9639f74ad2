//! Releases of an API: each made one of its revisions current.

use super::contract;
use super::contract_table as table;
use super::error::ArmError;
use super::list;
use super::path::ApiRef;
use super::request::{Request, entity_reply, envelope};
use super::store::{Entity, Family, Service};
use crate::http::Reply;
use serde_json::{Map, Value};

impl Service {
    fn released(&self, api: &ApiRef) -> Result<&Family, ArmError> {
        self.family(api).ok_or_else(|| ArmError::not_found("Api"))
    }

    fn release_body(&self, api: &ApiRef, entity: &Entity) -> Value {
        let place = format!("{}/apis/{}/releases/{}", self.id(), api.base, entity.name);
        let mut fields = entity.properties.clone();
        for (name, at) in [
            ("createdDateTime", entity.created),
            ("updatedDateTime", entity.updated),
        ] {
            fields.insert(name.to_owned(), at.to_string().into());
        }
        envelope(&place, "apis/releases", &entity.name, &fields)
    }

    /// `GET apis/{id}/releases`.
    pub(super) fn list_releases(&self, request: &Request, api: &ApiRef) -> Result<Reply, ArmError> {
        let all = self.released(api)?.releases.values();
        let items: Vec<Value> = all.map(|one| self.release_body(api, one)).collect();
        list::page(request, &self.id(), items)
    }

    /// `GET` and `HEAD apis/{id}/releases/{release}`.
    pub(super) fn get_release(&self, api: &ApiRef, id: &str) -> Result<Reply, ArmError> {
        let found = self.released(api)?.releases.get(&id.to_lowercase());
        let entity = found.ok_or_else(|| ArmError::not_found("ApiRelease"))?;
        let body = self.release_body(api, entity);
        Ok(entity_reply(200, &body, entity.etag(false)))
    }

    /// `DELETE apis/{id}/releases/{release}`: the revision stays current.
    pub(super) fn delete_release(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let Some(old) = self.released(api)?.releases.get(&id.to_lowercase()) else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(old), false)?;
        if let Some(family) = self.families.get_mut(&api.key()) {
            family.releases.remove(&id.to_lowercase());
        }
        Ok(Reply::empty(200))
    }

    /// `PUT` and `PATCH apis/{id}/releases/{release}`. A new one makes its
    /// revision current. That one that is there only takes notes is inferred.
    pub(super) fn write_release(
        &mut self,
        request: &Request,
        api: &ApiRef,
        id: &str,
        patch: bool,
    ) -> Result<Reply, ArmError> {
        let family = self.released(api)?;
        let old = family.releases.get(&id.to_lowercase()).cloned();
        if patch && old.is_none() {
            return Err(ArmError::not_found("ApiRelease"));
        }
        request.check_if_match(old.as_ref(), false)?;
        let sent = contract::properties(&table::API_RELEASE_CONTRACT_PROPERTIES, &request.body)?;
        let released = sent.get("apiId").and_then(Value::as_str);
        let revision = match (released, &old) {
            (None, Some(_)) => None,
            (None, None) => {
                return Err(ArmError::invalid("apiId", "The apiId field is required."));
            }
            (Some(released), old) => {
                let number = revision_of_release(family, api, released)?;
                let name = format!(";rev={number}");
                if let Some(old) = old
                    && old
                        .text("apiId")
                        .is_some_and(|there| !there.ends_with(&name))
                {
                    return Err(ArmError::invalid(
                        "apiId",
                        "Can't change property ApiId of a release.",
                    ));
                }
                Some(number)
            }
        };
        let mut fields = old
            .as_ref()
            .map_or_else(Map::new, |old| old.properties.clone());
        if let (Some(number), None) = (revision, &old) {
            let full = format!("{}/apis/{};rev={number}", self.id(), family.name);
            fields.insert("apiId".to_owned(), full.into());
        }
        if let Some(notes) = sent.get("notes") {
            fields.insert("notes".to_owned(), notes.clone());
        }
        let entity = match &old {
            Some(old) => self.changed_entity(old, fields, request.now),
            None => self.new_entity(id, fields, request.now),
        };
        let body = self.release_body(api, &entity);
        let etag = entity.etag(false);
        if let Some(family) = self.families.get_mut(&api.key()) {
            family.releases.insert(id.to_lowercase(), entity);
            if let (Some(number), None) = (revision, &old) {
                family.current = number;
            }
        }
        let status = if old.is_some() { 200 } else { 201 };
        Ok(entity_reply(status, &body, etag))
    }
}

/// The revision of this API that a release names.
fn revision_of_release(family: &Family, api: &ApiRef, released: &str) -> Result<u32, ArmError> {
    let named = ApiRef::parse(released.rsplit('/').next().unwrap_or(released))?;
    let number = family.number(&named);
    if named.key() == api.key() && family.revisions.contains_key(&number) {
        return Ok(number);
    }
    // Inferred from the answer for another reference that leads nowhere.
    Err(ArmError::invalid(
        "apiId",
        &format!("Api with id '{released}' could not be found."),
    ))
}
