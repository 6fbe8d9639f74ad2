//! `send-request`: <https://learn.microsoft.com/azure/api-management/send-request-policy>.

use super::authentication_certificate::AuthenticationCertificate;
use super::authentication_managed_identity::AuthenticationManagedIdentity;
use super::not_executed::stand_in;
use super::set_body::{self, SetBody};
use super::set_header::SetHeader;
use super::{Flow, Policy};
use crate::body::{collect, empty, full};
use crate::client::ClientError;
use crate::compile::{CompileError, Compiler, Reader, Value, keyword};
use crate::error::{PolicyError, reason_phrase};
use crate::exchange::Exchange;
use crate::headers;
use apim_expressions::{self as expressions, MultiMap};
use async_trait::async_trait;
use http::{Method, Request, Uri};
use policy_document::Element;
use std::sync::Arc;
use std::time::Duration;

keyword!(
    /// Whether the request is made anew or copied from the caller's.
    Mode {
        New = "new",
        Copy = "copy",
    }
);

struct SendRequest {
    mode: Value<Mode>,
    /// Where the answer goes.
    variable: Option<String>,
    /// Milliseconds.
    timeout: Value<i64>,
    seconds: bool,
    ignore_error: bool,
    fail_on_status: bool,
    url: Option<Value<String>>,
    method: Option<Value<String>>,
    headers: Vec<SetHeader>,
    body: Option<SetBody>,
    certificate: Option<AuthenticationCertificate>,
    managed_identity: Option<AuthenticationManagedIdentity>,
}

/// "Default: 60 seconds".
const TIMEOUT_S: i64 = 60;

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    if let Some(what) = element.elements().find_map(foreign) {
        let what = format!("send-request with {what}");
        return Ok(stand_in(&what, compiler));
    }
    let mut reader = Reader::new(element, compiler);
    let milliseconds = reader.value("timeout-ms")?;
    let seconds = milliseconds.is_none();
    let timeout = match milliseconds {
        Some(milliseconds) => milliseconds,
        None => reader
            .value("timeout")?
            .unwrap_or(Value::Literal(TIMEOUT_S)),
    };
    let mut policy = SendRequest {
        mode: reader.value("mode")?.unwrap_or(Value::Literal(Mode::New)),
        variable: reader.text_of("response-variable-name")?,
        timeout,
        seconds,
        ignore_error: reader.literal("ignore-error")?.unwrap_or(false),
        fail_on_status: reader
            .literal("fail-on-error-status-code")?
            .unwrap_or(false),
        url: None,
        method: None,
        headers: Vec::new(),
        body: None,
        certificate: None,
        managed_identity: None,
    };
    for child in element.elements() {
        let mut part = reader.part(child);
        match child.name.as_str() {
            "set-url" => policy.url = Some(part.text()?),
            "set-method" => policy.method = Some(part.text()?),
            "set-header" => policy.headers.push(SetHeader::read(&mut part)?),
            "authentication-certificate" => {
                policy.certificate = Some(AuthenticationCertificate::read(&part)?);
            }
            "authentication-managed-identity" => {
                policy.managed_identity = Some(AuthenticationManagedIdentity::read(&part)?);
            }
            _ => policy.body = Some(SetBody::read(&part)?),
        }
    }
    Ok(Box::new(policy))
}

/// What of a part is not executed, if anything.
fn foreign(part: &Element) -> Option<String> {
    match part.name.as_str() {
        "set-body" if set_body::is_liquid(part) => Some(part.name.clone()),
        "set-url"
        | "set-method"
        | "set-header"
        | "set-body"
        | "authentication-certificate"
        | "authentication-managed-identity" => None,
        other => Some(other.to_owned()),
    }
}

fn failure(message: String) -> PolicyError {
    PolicyError::internal("BackendConnectionFailure", message)
}

impl SendRequest {
    async fn send(&self, exchange: &mut Exchange) -> Result<expressions::Response, PolicyError> {
        let copy = exchange.get(&self.mode).await? == Mode::Copy;
        let url = match &self.url {
            Some(url) => exchange.get(url).await?.trim().to_owned(),
            None => exchange
                .target
                .url(&exchange.context.request.original_url)
                .to_string(),
        };
        let method = match &self.method {
            Some(method) => exchange.get(method).await?.trim().to_ascii_uppercase(),
            None if copy => exchange.context.request.method.clone(),
            None => "GET".to_owned(),
        };
        let mut all = if copy {
            exchange.context.request.headers.clone()
        } else {
            MultiMap::new()
        };
        for header in &self.headers {
            header.apply_to(exchange, &mut all).await?;
        }
        if let Some(identity) = &self.managed_identity
            && let Some(authorization) = identity.authorization(exchange).await?
        {
            all.set("Authorization", vec![authorization]);
        }
        // The caller's request may go out with another one: it is not copied.
        let identity = match &self.certificate {
            Some(certificate) => Some(certificate.identity(exchange).await?),
            None => None,
        };
        let body = match &self.body {
            Some(body) => full(body.bytes(exchange).await?),
            None if copy => full(exchange.read_request().await?),
            None => empty(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(method.as_bytes())
            .map_err(|_| failure(format!("'{method}' is no HTTP method.")))?;
        *request.uri_mut() = url
            .parse::<Uri>()
            .ok()
            .filter(|uri| uri.authority().is_some() && uri.scheme().is_some())
            .ok_or_else(|| failure(format!("'{url}' is no absolute URL.")))?;
        all.remove("Host");
        all.remove("Content-Length");
        *request.headers_mut() = headers::to_wire(&all);
        let shared = Arc::clone(&exchange.shared);
        let response = shared
            .client
            .send(request, identity.as_ref())
            .await
            .map_err(|ClientError::Connection(reason)| failure(reason))?;
        let (parts, body) = response.into_parts();
        let body = collect(body, shared.limits.buffered_body)
            .await
            .map_err(|error| failure(error.to_string()))?;
        let status = parts.status.as_u16();
        if self.fail_on_status && status >= 400 {
            return Err(failure(format!("'{url}' answered {status}.")));
        }
        Ok(expressions::Response {
            status_code: i32::from(status),
            status_reason: reason_phrase(status).to_owned(),
            headers: headers::from_wire(&parts.headers),
            body: expressions::Body::new(body),
        })
    }
}

#[async_trait]
impl Policy for SendRequest {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let timeout = exchange.get(&self.timeout).await?;
        let unit = if self.seconds { 1000 } else { 1 };
        let timeout = u64::try_from(timeout.saturating_mul(unit)).unwrap_or_default();
        let timeout = Duration::from_millis(timeout);
        let result = match tokio::time::timeout(timeout, self.send(exchange)).await {
            Ok(result) => result,
            Err(_) => Err(PolicyError::internal(
                "Timeout",
                format!("No answer within {} ms.", timeout.as_millis()),
            )),
        };
        let value = match result {
            Ok(response) => response.into(),
            // Documented: the variable is null then.
            Err(_) if self.ignore_error => expressions::Value::Null,
            Err(error) => return Err(error),
        };
        if let Some(variable) = &self.variable {
            let variables = &mut exchange.context.variables;
            variables.insert(variable.clone(), value);
        }
        Ok(Flow::Continue)
    }
}
