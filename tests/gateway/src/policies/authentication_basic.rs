//! `authentication-basic`:
//! <https://learn.microsoft.com/azure/api-management/authentication-basic-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policy_document::Element;

struct AuthenticationBasic {
    username: Value<String>,
    password: Value<String>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(AuthenticationBasic {
        username: reader.required("username")?,
        password: reader.required("password")?,
    }))
}

#[async_trait]
impl Policy for AuthenticationBasic {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let username = exchange.get(&self.username).await?;
        let password = exchange.get(&self.password).await?;
        let credentials = STANDARD.encode(format!("{username}:{password}"));
        let headers = &mut exchange.context.request.headers;
        headers.set("Authorization", vec![format!("Basic {credentials}")]);
        Ok(Flow::Continue)
    }
}
