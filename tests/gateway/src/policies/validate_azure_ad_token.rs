//! `validate-azure-ad-token`:
//! <https://learn.microsoft.com/azure/api-management/validate-azure-ad-token-policy>.

use super::not_executed::stand_in;
use super::token_rules::{TokenRules, missing, trimmed};
use super::validate_jwt::Failure;
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::tokens::{Refusal, Rules, verify};
use async_trait::async_trait;
use policy_document::Element;
use std::sync::Arc;

/// Seconds: not documented; the default of the library that the service uses.
const CLOCK_SKEW: i64 = 0;

struct ValidateAzureAdToken {
    rules: TokenRules,
    tenant: Value<String>,
    /// The authority, if not the service's.
    endpoint: Option<Value<String>>,
    clients: Vec<Value<String>>,
    backends: Vec<Value<String>>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    if element
        .elements()
        .any(|child| child.name == "decryption-keys")
    {
        let what = "validate-azure-ad-token with decryption-keys";
        return Ok(stand_in(what, compiler));
    }
    let mut reader = Reader::new(element, compiler);
    let mut applications = |list: &str| match reader.child(list) {
        Some(list) => reader.part(list).texts("application-id"),
        None => Ok(Vec::new()),
    };
    let clients = applications("client-application-ids")?;
    let backends = applications("backend-application-ids")?;
    Ok(Box::new(ValidateAzureAdToken {
        // Documented: without a source, the header Authorization.
        rules: TokenRules::read(&mut reader, Some("Authorization"))?,
        tenant: reader.required("tenant-id")?,
        endpoint: reader.value("authentication-endpoint")?,
        clients,
        backends,
    }))
}

impl ValidateAzureAdToken {
    async fn check(&self, exchange: &mut Exchange) -> Result<(), Failure> {
        let Some(token) = self.rules.token(exchange).await? else {
            return Err(Failure::Refused(missing()));
        };
        let tenant = exchange.get(&self.tenant).await?;
        let shared = Arc::clone(&exchange.shared);
        let authority = match exchange.get_option(self.endpoint.as_ref()).await? {
            Some(endpoint) if endpoint.contains("://") => endpoint,
            Some(endpoint) => format!("https://{endpoint}"),
            None => shared.authority.clone(),
        };
        let authority = authority.trim().trim_end_matches('/');
        let tenant = tenant.trim();
        let token = shared.tokens.read(&token);
        let key_id = token.as_ref().ok().and_then(|token| token.key_id());
        let unreachable = |reason: String| {
            Failure::Refused(Refusal {
                reason: "TokenSignatureKeyNotFound",
                message: format!("The tenant's keys cannot be had: {reason}"),
            })
        };
        // Tokens of both versions are accepted, so both issuers are.
        let mut issuers = Vec::new();
        let mut keys = Vec::new();
        for version in ["v2.0/", ""] {
            let url = format!("{authority}/{tenant}/{version}.well-known/openid-configuration");
            let provider = shared.keys.get(&shared, &url, key_id).await;
            let provider = provider.map_err(unreachable)?;
            issuers.push(provider.issuer);
            keys.extend(provider.keys.iter().cloned());
        }
        let rules = Rules {
            audiences: self.rules.audiences(exchange).await?,
            issuers,
            clock_skew: CLOCK_SKEW,
            require_expiration: true,
            require_signature: true,
            claims: self.rules.claims(exchange).await?,
        };
        let now = exchange.now().as_second();
        let token = token.and_then(|token| verify(token, &keys, &rules, now));
        let token = token.map_err(Failure::Refused)?;
        let seen = token.seen();
        let claim = |name: &str| seen.claims.get(name).and_then(|values| values.first());
        let clients = trimmed(exchange, &self.clients).await?;
        // `azp` in tokens of version 2.0, `appid` in those of 1.0.
        let client = claim("azp").or_else(|| claim("appid"));
        if !clients.is_empty() && !client.is_some_and(|client| listed(&clients, client)) {
            return refused(
                "TokenClaimValueNotAllowed",
                "The client application is not allowed.",
            );
        }
        let backends = trimmed(exchange, &self.backends).await?;
        let backend = |audience: &String| {
            let id = audience.strip_prefix("api://").unwrap_or(audience);
            listed(&backends, id)
        };
        if !backends.is_empty() && !seen.audiences.iter().any(backend) {
            return refused(
                "TokenAudienceNotAllowed",
                "The backend application is not allowed.",
            );
        }
        if let Some(variable) = &self.rules.output {
            let variables = &mut exchange.context.variables;
            variables.insert(variable.clone(), seen.into());
        }
        Ok(())
    }
}

fn listed(ids: &[String], id: &str) -> bool {
    ids.iter().any(|known| known.eq_ignore_ascii_case(id))
}

fn refused<T>(reason: &'static str, message: &str) -> Result<T, Failure> {
    Err(Failure::Refused(Refusal {
        reason,
        message: message.to_owned(),
    }))
}

#[async_trait]
impl Policy for ValidateAzureAdToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        match self.check(exchange).await {
            Ok(()) => Ok(Flow::Continue),
            Err(Failure::Refused(refusal)) => Err(self.rules.refused(exchange, refusal).await),
            Err(Failure::Failed(error)) => Err(*error),
        }
    }
}
