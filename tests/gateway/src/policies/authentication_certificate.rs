//! `authentication-certificate`:
//! <https://learn.microsoft.com/azure/api-management/authentication-certificate-policy>.

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
    /// A PKCS #12 file, which an expression gives, and its password.
    File(Value<Vec<u8>>, Option<Value<String>>),
}

/// What such a certificate is called in traces and errors.
const INLINE: &str = "body";

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(AuthenticationCertificate::read(&reader)?))
}

impl AuthenticationCertificate {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        // "Either thumbprint or certificate-id", or "the client certificate as a
        // byte array"; that several are refused is inferred.
        let (id, thumbprint, body) = (
            reader.value::<String>("certificate-id")?,
            reader.value::<String>("thumbprint")?,
            reader.value::<Vec<u8>>("body")?,
        );
        let service = reader.compiler.service;
        match (id, thumbprint, body) {
            (Some(Value::Literal(id)), None, None) => found(reader, by_id(service, &id)),
            (None, Some(Value::Literal(print)), None) => {
                found(reader, by_thumbprint(service, &print))
            }
            (Some(id), None, None) => Ok(Self::Id(id)),
            (None, Some(print), None) => Ok(Self::Thumbprint(print)),
            (None, None, Some(body)) => match (body, reader.value::<String>("password")?) {
                (Value::Literal(body), None) => found(reader, in_file(&body, "")),
                (Value::Literal(body), Some(Value::Literal(password))) => {
                    found(reader, in_file(&body, &password))
                }
                (body, password) => Ok(Self::File(body, password)),
            },
            _ => reader.fail(
                "One of the attributes 'certificate-id', 'thumbprint', 'body' must be specified, and only one.",
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
            Self::File(body, password) => {
                let password = exchange.get_option(password.as_ref()).await?;
                let body = exchange.get(body).await?;
                in_file(&body, &password.unwrap_or_default())
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
pub(super) fn by_id(service: &configuration::Service, id: &str) -> Result<ClientIdentity, String> {
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

/// The certificate of a PKCS #12 file.
fn in_file(file: &[u8], password: &str) -> Result<ClientIdentity, String> {
    let held = Certificate::from_pfx(file, password)
        .map_err(|why| format!("The client certificate of 'body' cannot be used: {why}."))?;
    identity(Some((&INLINE.to_owned(), &held)), String::new)
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
