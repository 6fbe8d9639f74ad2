//! The token of a gateway, in its Secret.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator_apim::ArmClient;
use operator_core::gateway::token::{self, TokenState, TokenTurn, due, expiry, setting};
use operator_core::gateway::{DesiredGateway, TOKEN_KEY};
use operator_core::names::PREFIX;
use operator_core::product::rotation::{KeyState, Slot};

use super::super::secret::Found;
use super::super::tell::now;
use super::{Fate, Shared, Stop, WAIT};
use crate::crd::SelfHostedGateway;
use crate::crd::apim_subscription::KeysStatus;
use crate::crd::self_hosted_gateway::{SelfHostedGatewayStatus, TokenStatus};

/// Says on the Secret which key signed its token.
fn key_annotation() -> String {
    format!("{PREFIX}gateway-token-key")
}

/// The token that is there.
fn there(found: &Found, id: &str) -> Option<(Timestamp, Slot)> {
    let Found::Ours(secret) = found else {
        return None;
    };
    let value = secret.data.as_ref()?.get(TOKEN_KEY)?;
    let until = expiry(std::str::from_utf8(&value.0).ok()?, id)?;
    let slots = [Slot::Primary, Slot::Secondary];
    let by = secret
        .metadata
        .annotations
        .as_ref()?
        .get(&key_annotation())?;
    let by = slots.into_iter().find(|slot| slot.key() == by)?;
    Some((until, by))
}

/// Sees that the Secret holds a token that is good for a while, and answers
/// until when, and when to look again.
pub(super) async fn bring(
    shared: &Shared,
    object: &SelfHostedGateway,
    status: &mut SelfHostedGatewayStatus,
    client: &ArmClient,
    desired: &DesiredGateway,
    found: Found,
) -> Result<(String, Duration), Stop> {
    let mut state = TokenState {
        token: there(&found, &desired.id),
        keys: status.keys.as_ref().map(KeysStatus::state),
    };
    let every = desired.every.map(|every| shared.ctx.pace.of(every));
    let turn = |state: &TokenState| token::turn(state, desired.validity, every, now());
    let slot = match turn(&state) {
        TokenTurn::Wait(_) => None,
        TokenTurn::Renew(slot) => Some(slot),
        TokenTurn::Replace(slot) => {
            // Written down before, so that nobody replaces the other one next
            // should this process die now.
            if let Some(keys) = &mut status.keys {
                keys.replacing = Some(slot);
            }
            shared.write_status(object, status).await?;
            client.regenerate_gateway_key(&desired.id, slot).await?;
            tracing::info!(gateway = desired.id, "{} was replaced", slot.key());
            Some(slot)
        }
    };
    if let Some(slot) = slot {
        let until = now()
            .checked_add(desired.validity)
            .unwrap_or(Timestamp::MAX);
        let gone = || {
            let message = format!("gateway {} is gone; it is made anew", desired.id);
            Stop::Fate(Fate::Waiting("Failed", message, WAIT))
        };
        let answer = client.gateway_token(&desired.id, slot, until).await?;
        let Some(value) = answer else {
            // With the next look, which is at once.
            status.hash = None;
            return Err(gone());
        };
        let text = setting(value.expose());
        let until = expiry(&text, &desired.id).ok_or_else(|| {
            let message = format!(
                "API Management gave a token for gateway {} that is not of the form that is known",
                desired.id
            );
            Stop::Fate(Fate::Stalled("Failed", message))
        })?;
        let data = BTreeMap::from([(TOKEN_KEY.to_owned(), ByteString(text.into_bytes()))]);
        let by = BTreeMap::from([(key_annotation(), slot.key().to_owned())]);
        shared
            .keep_data(object, &desired.secret, found, data, by)
            .await?;
        state.token = Some((until, slot));
    }
    let Some((until, by)) = state.token else {
        return Ok((String::new(), WAIT));
    };
    let since = state
        .keys
        .filter(|keys| keys.current == by && keys.replacing.is_none());
    let keys = since.unwrap_or_else(|| KeyState {
        current: by,
        since: now(),
        replacing: None,
    });
    let next = every.map(|every| Time(operator_core::product::rotation::due(&keys, every)));
    status.keys = Some(KeysStatus {
        current: keys.current,
        since: Time(keys.since),
        next,
        replacing: None,
    });
    status.token = Some(TokenStatus {
        key: by,
        expires: Time(until),
        renewal: Time(due(until, desired.validity)),
    });
    state.keys = Some(keys);
    let next = match turn(&state) {
        TokenTurn::Wait(left) => left,
        TokenTurn::Renew(_) | TokenTurn::Replace(_) => WAIT,
    };
    Ok((until.to_string(), next))
}
