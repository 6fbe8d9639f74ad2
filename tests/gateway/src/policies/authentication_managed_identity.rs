//! `authentication-managed-identity`:
//! <https://learn.microsoft.com/azure/api-management/authentication-managed-identity-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;
use std::sync::Arc;

/// Also a part of `send-request`.
pub(super) struct AuthenticationManagedIdentity {
    resource: Value<String>,
    client: Option<Value<String>>,
    output: Option<String>,
    ignore_error: Value<bool>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(AuthenticationManagedIdentity::read(&reader)?))
}

impl AuthenticationManagedIdentity {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        Ok(Self {
            resource: reader.required("resource")?,
            client: reader.value("client-id")?,
            output: reader.text_of("output-token-variable-name")?,
            ignore_error: reader
                .value("ignore-error")?
                .unwrap_or(Value::Literal(false)),
        })
    }

    /// The value of `Authorization`; none where the token goes into a variable,
    /// or where there is none and that is to be ignored.
    pub(super) async fn authorization(
        &self,
        exchange: &mut Exchange,
    ) -> Result<Option<String>, PolicyError> {
        let resource = exchange.get(&self.resource).await?;
        let client = exchange.get_option(self.client.as_ref()).await?;
        let shared = Arc::clone(&exchange.shared);
        let token = shared
            .identity_tokens
            .get(&shared, resource.trim(), client.as_deref().map(str::trim))
            .await;
        let token = match token {
            Ok(token) => token,
            Err(_) if exchange.get(&self.ignore_error).await? => return Ok(None),
            Err(reason) => {
                return Err(PolicyError::internal(
                    "ManagedIdentityTokenNotAvailable",
                    format!("A token for '{resource}' cannot be had: {reason}."),
                ));
            }
        };
        // Documented: with a variable, the header is left alone.
        if let Some(variable) = &self.output {
            let variables = &mut exchange.context.variables;
            variables.insert(variable.clone(), token.into());
            return Ok(None);
        }
        Ok(Some(format!("Bearer {token}")))
    }
}

#[async_trait]
impl Policy for AuthenticationManagedIdentity {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        if let Some(authorization) = self.authorization(exchange).await? {
            let headers = &mut exchange.context.request.headers;
            headers.set("Authorization", vec![authorization]);
        }
        Ok(Flow::Continue)
    }
}
