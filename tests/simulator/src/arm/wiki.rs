//! The wiki of an API: which pages the developer portal shows beside it, in
//! which order. The pages themselves are documentations of the service.

use super::contract;
use super::contract_table as table;
use super::error::{ArmError, Detail};
use super::list;
use super::path::{ApiRef, Kind};
use super::request::{Request, entity_reply, envelope};
use super::store::{Entity, Family, Service};
use crate::http::Reply;
use serde_json::{Map, Value};

/// The only one that there is.
const NAME: &str = "default";

/// The pages that a wiki shows.
fn pages(properties: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let documents = properties.get("documents").and_then(Value::as_array);
    documents
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("documentationId")?.as_str())
}

/// Why a page cannot be deleted: an API shows it. That it is refused and how is
/// inferred from what the service does of named values.
pub(super) fn used(service: &Service, page: &str) -> Option<Detail> {
    let shows = |family: &&Family| {
        let wiki = family.wiki.iter();
        let mut shown = wiki.flat_map(|wiki| pages(&wiki.properties));
        shown.any(|one| one.eq_ignore_ascii_case(page))
    };
    let user = service.families.values().find(shows)?;
    Some(Detail::new(
        "documentationId",
        &format!(
            "Documentation '{page}' cannot be deleted because the wiki of API '{}' has it.",
            user.name
        ),
    ))
}

impl Service {
    fn documented(&self, api: &ApiRef) -> Result<&Family, ArmError> {
        self.family(api).ok_or_else(|| ArmError::not_found("Api"))
    }

    fn wiki_body(&self, api: &ApiRef, wiki: &Entity) -> Value {
        let place = format!("{}/apis/{}/wikis/{NAME}", self.id(), api.base);
        envelope(&place, "apis/wikis", NAME, &wiki.properties)
    }

    /// `GET apis/{id}/wikis`.
    pub(super) fn list_wikis(&self, request: &Request, api: &ApiRef) -> Result<Reply, ArmError> {
        let wiki = self.documented(api)?.wiki.iter();
        let items: Vec<Value> = wiki.map(|one| self.wiki_body(api, one)).collect();
        list::page(request, &self.id(), items)
    }

    /// `GET` and `HEAD apis/{id}/wikis/default`. An API without a wiki is told by
    /// a 500, as other clients found.
    pub(super) fn get_wiki(&self, api: &ApiRef) -> Result<Reply, ArmError> {
        let Some(wiki) = &self.documented(api)?.wiki else {
            let text = "An unexpected error occurred while processing the request.";
            return Err(ArmError::provider(500, "InternalServerError", text));
        };
        let body = self.wiki_body(api, wiki);
        Ok(entity_reply(200, &body, wiki.etag(false)))
    }

    /// `DELETE apis/{id}/wikis/default`.
    pub(super) fn delete_wiki(
        &mut self,
        request: &Request,
        api: &ApiRef,
    ) -> Result<Reply, ArmError> {
        let Some(old) = &self.documented(api)?.wiki else {
            return Ok(Reply::empty(204));
        };
        request.check_if_match(Some(old), false)?;
        if let Some(family) = self.families.get_mut(&api.key()) {
            family.wiki = None;
        }
        Ok(Reply::empty(200))
    }

    /// `PUT` and `PATCH apis/{id}/wikis/default`. That a page must exist before a
    /// wiki shows it is inferred.
    pub(super) fn write_wiki(
        &mut self,
        request: &Request,
        api: &ApiRef,
        patch: bool,
    ) -> Result<Reply, ArmError> {
        let old = self.documented(api)?.wiki.clone();
        if patch && old.is_none() {
            return Err(ArmError::not_found("Wiki"));
        }
        request.check_if_match(old.as_ref(), false)?;
        let fields = contract::properties(&table::WIKI_CONTRACT_PROPERTIES, &request.body)?;
        let unknown = pages(&fields).find(|page| self.entity(Kind::Documentation, page).is_none());
        if let Some(page) = unknown {
            return Err(ArmError::validation(vec![Detail::new(
                "documentationId",
                &format!("Documentation '{page}' could not be found."),
            )]));
        }
        let wiki = match &old {
            Some(old) => self.changed_entity(old, fields, request.now),
            None => self.new_entity(NAME, fields, request.now),
        };
        let body = self.wiki_body(api, &wiki);
        let etag = wiki.etag(false);
        if let Some(family) = self.families.get_mut(&api.key()) {
            family.wiki = Some(wiki);
        }
        let status = if old.is_some() { 200 } else { 201 };
        Ok(entity_reply(status, &body, etag))
    }
}
