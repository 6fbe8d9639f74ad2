//! What entities take from a Key Vault: named values and certificates, whose
//! secret the service reads with its managed identity when they are written, and
//! again when somebody asks for it with `refreshSecret`. That it looks by itself
//! every four hours is not simulated.

use super::certificate;
use super::error::{ArmError, Detail};
use super::path::{Kind, ServicePath, Target};
use super::request::{Request, entity_reply};
use super::store::Service;
use crate::clock::iso;
use crate::config::ApplicationSeed;
use crate::http::{Call, Reply};
use crate::world::World;
use crate::{key_vault, managed_identity};
use axum::http::Method;
use serde_json::{Map, Value, json};

/// The property of a named value that holds what its vault said; shown nowhere.
pub(crate) const HELD: &str = "vaultValue";

/// What a vault said, or why the service cannot know it.
pub(crate) type Held = Result<String, Detail>;

/// Reads the secret that a write names.
pub(super) fn named(world: &World, call: &Call, rest: &[String]) -> Option<Held> {
    let Target::Entity(kind, _) = Target::parse(rest).ok()? else {
        return None;
    };
    if !takes(kind) || ![Method::PUT, Method::PATCH].contains(&call.method) {
        return None;
    }
    let body: Value = serde_json::from_slice(&call.body).ok()?;
    follow(world, body.pointer("/properties/keyVault")?)
}

/// Reads the secret of the entity that is to be refreshed.
pub(super) fn to_refresh(world: &World, path: &ServicePath) -> Option<Held> {
    let Target::Action(kind, id, action) = Target::parse(&path.rest).ok()? else {
        return None;
    };
    if !is_refresh(kind, &action) {
        return None;
    }
    let reference = {
        let mut arm = world.arm.lock();
        let entity = arm.service_mut(path)?.entity(kind, &id)?;
        entity.properties.get("keyVault").cloned()?
    };
    follow(world, &reference)
}

fn follow(world: &World, reference: &Value) -> Option<Held> {
    let text = |name: &str| reference[name].as_str().filter(|text| !text.is_empty());
    let identifier = text("secretIdentifier")?;
    Some(secret(world, identifier, text("identityClientId")))
}

fn takes(kind: Kind) -> bool {
    matches!(kind, Kind::NamedValue | Kind::Certificate)
}

pub(super) fn is_refresh(kind: Kind, action: &str) -> bool {
    takes(kind) && action.eq_ignore_ascii_case("refreshSecret")
}

fn secret(world: &World, identifier: &str, client_id: Option<&str>) -> Held {
    let Some((_, identity)) = managed_identity::find(&world.seed, client_id) else {
        return Err(match client_id {
            // As recorded.
            Some(id) => Detail::new(
                "identityClientId",
                &format!(
                    "Can not find Managed Identity with provided IdentityClientId : {id}. For more information please see aka.ms/apimmsi."
                ),
            ),
            // Inferred: the same for a service that has none at all.
            None => refused(identifier, None),
        });
    };
    key_vault::value(world, identifier, &identity.client_id)
        .ok_or_else(|| refused(identifier, Some((identity, client_id.is_some()))))
}

/// The service's words for a secret that it cannot read, whatever the reason;
/// which field it says to be wrong is inferred.
fn refused(identifier: &str, identity: Option<(&ApplicationSeed, bool)>) -> Detail {
    let who = identity.map_or_else(String::new, |(identity, named)| {
        let kind = if named { "UserAssigned" } else { "SystemAssigned" };
        format!(
            " Check if Managed Identity of Type: {kind}, ClientId: {} and ObjectId: {} has GET permissions on secrets in the KeyVault Access Policies.",
            identity.client_id, identity.object_id
        )
    });
    Detail::new(
        "keyVault.secretIdentifier",
        &format!(
            "Failed to access KeyVault Secret {identifier} using Managed Service Identity (http://aka.ms/apimmsi) of Api Management service.{who}"
        ),
    )
}

/// Whether a reference is there.
pub(super) fn refers(fields: &Map<String, Value>) -> bool {
    fields.get("keyVault").is_some_and(|vault| !vault.is_null())
}

/// Says of the reference that it was followed just now.
pub(super) fn note_success(fields: &mut Map<String, Value>, request: &Request) {
    if refers(fields) {
        fields["keyVault"]["lastStatus"] =
            json!({ "code": "Success", "timeStampUtc": iso(request.now) });
    }
}

/// Puts what the vault said into a named value that refers to it.
pub(super) fn take(fields: &mut Map<String, Value>, request: &Request, problems: &mut Vec<Detail>) {
    match &request.vault {
        Some(Ok(value)) => {
            fields.insert(HELD.to_owned(), value.as_str().into());
        }
        Some(Err(why)) => {
            problems.push(why.clone());
            return;
        }
        // Nothing was said of the vault: what is known stays.
        None => {}
    }
    note_success(fields, request);
}

/// `https://<vault>/secrets/<name>`, with or without a version.
pub(super) fn check_identifier(fields: &Map<String, Value>, problems: &mut Vec<Detail>) {
    let identifier = fields["keyVault"]["secretIdentifier"].as_str();
    if !identifier.is_some_and(key_vault::is_secret) {
        problems.push(Detail::new(
            "keyVault.secretIdentifier",
            "The secret identifier is not the URL of a secret in a Key Vault.",
        ));
    }
}

impl Service {
    /// `POST {kind}/{id}/refreshSecret`. What cannot be read now leaves what was
    /// read before (inferred).
    pub(super) fn refresh(
        &mut self,
        request: &Request,
        kind: Kind,
        id: &str,
    ) -> Result<Reply, ArmError> {
        let entity = self.entity(kind, id);
        let old = entity
            .ok_or_else(|| ArmError::not_found(kind.noun()))?
            .clone();
        let Some(held) = &request.vault else {
            // Inferred.
            return Err(ArmError::invalid(
                "keyVault",
                &format!("'{id}' does not come from a Key Vault."),
            ));
        };
        let mut fields = old.properties.clone();
        let mut certificate = None;
        match held {
            Err(why) => return Err(ArmError::validation(vec![why.clone()])),
            Ok(_) if kind == Kind::Certificate => {
                certificate = Some(certificate::take(&mut fields, request)?);
            }
            Ok(value) => {
                fields.insert(HELD.to_owned(), value.as_str().into());
            }
        }
        note_success(&mut fields, request);
        let entity = self.changed_entity(&old, fields, request.now);
        let reply = entity_reply(200, &self.entity_body(kind, &entity), entity.etag(false));
        self.entities_of(kind).insert(id.to_lowercase(), entity);
        if let Some(certificate) = certificate {
            self.hold(id, certificate);
        }
        Ok(reply)
    }
}
