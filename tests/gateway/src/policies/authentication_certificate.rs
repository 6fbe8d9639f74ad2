//! `authentication-certificate`:
//! <https://learn.microsoft.com/azure/api-management/authentication-certificate-policy>.

use super::not_executed::stand_in;
use super::{Flow, Policy};
use crate::certificate::thumbprint;
use crate::client::certificates;
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::configuration::{self, Certificate};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::identity::ClientIdentity;
use async_trait::async_trait;
use policy_document::Element;

/// Also a part of `send-request`.
pub(super) enum AuthenticationCertificate {
    /// One that is known without a request.
    Known(ClientIdentity),
    /// The id, which an expression gives.
    Id(Value<String>),
    /// The thumbprint likewise.
    Thumbprint(Value<String>),
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    if let Some(what) = foreign(element) {
        return Ok(stand_in(&what, compiler));
    }
    let reader = Reader::new(element, compiler);
    Ok(Box::new(AuthenticationCertificate::read(&reader)?))
}

/// What is not executed: a PFX in the document.
pub(super) fn foreign(element: &Element) -> Option<String> {
    let mut attributes = ["body", "password"].into_iter();
    let named = attributes.find(|name| element.attribute(name).is_some())?;
    Some(format!("{} with {named}", element.name))
}

impl AuthenticationCertificate {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        // "Either thumbprint or certificate-id"; that both are refused is
        // inferred.
        match (
            reader.value::<String>("certificate-id")?,
            reader.value::<String>("thumbprint")?,
        ) {
            (Some(Value::Literal(id)), None) => {
                found(reader, by_id(reader.compiler.service, &id))
            }
            (None, Some(Value::Literal(print))) => {
                found(reader, by_thumbprint(reader.compiler.service, &print))
            }
            (Some(id), None) => Ok(Self::Id(id)),
            (None, Some(print)) => Ok(Self::Thumbprint(print)),
            (None, None) | (Some(_), Some(_)) => reader.fail(
                "One of the attributes 'certificate-id', 'thumbprint' must be specified, and only one.",
            ),
        }
    }

    /// As whom the request is sent.
    pub(super) async fn identity(
        &self,
        exchange: &mut Exchange,
    ) -> Result<ClientIdentity, PolicyError> {
        let found = match self {
            Self::Known(identity) => return Ok(identity.clone()),
            Self::Id(id) => {
                let id = exchange.get(id).await?;
                by_id(&exchange.service.configuration, &id)
            }
            Self::Thumbprint(print) => {
                let print = exchange.get(print).await?;
                by_thumbprint(&exchange.service.configuration, &print)
            }
        };
        found.map_err(|why| PolicyError::internal("ClientCertificateNotAvailable", why))
    }
}

fn found(
    reader: &Reader<'_, '_, '_>,
    identity: Result<ClientIdentity, String>,
) -> Result<AuthenticationCertificate, CompileError> {
    match identity {
        Ok(identity) => Ok(AuthenticationCertificate::Known(identity)),
        Err(why) => reader.fail(why),
    }
}

/// The certificate of an id, which is compared without case as all of them are.
fn by_id(service: &configuration::Service, id: &str) -> Result<ClientIdentity, String> {
    let mut all = service.certificates.iter();
    let found = all.find(|(known, _)| known.eq_ignore_ascii_case(id.trim()));
    identity(found, || {
        format!("Certificate with id '{id}' could not be found.")
    })
}

/// The certificate of a thumbprint: SHA-1, in hexadecimal digits of any case.
fn by_thumbprint(service: &configuration::Service, print: &str) -> Result<ClientIdentity, String> {
    let wanted = print.trim();
    let mut all = service.certificates.iter();
    let found = all.find(|(_, held)| {
        let leaf = certificates(&held.pem)
            .ok()
            .and_then(|chain| chain.into_iter().next());
        leaf.is_some_and(|leaf| thumbprint(&leaf).eq_ignore_ascii_case(wanted))
    });
    identity(found, || {
        format!("Certificate with thumbprint '{print}' could not be found.")
    })
}

fn identity(
    found: Option<(&String, &Certificate)>,
    missing: impl FnOnce() -> String,
) -> Result<ClientIdentity, String> {
    let (id, held) = found.ok_or_else(missing)?;
    ClientIdentity::read(id, held)
        .map_err(|why| format!("Certificate with id '{id}' cannot be shown to a backend: {why}."))
}

#[async_trait]
impl Policy for AuthenticationCertificate {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let identity = self.identity(exchange).await?;
        if let Some(trace) = &mut exchange.trace {
            trace.message(format!(
                "The backend is shown the client certificate '{}' ({}).",
                identity.id(),
                identity.thumbprint()
            ));
        }
        exchange.identity = Some(identity);
        Ok(Flow::Continue)
    }
}
