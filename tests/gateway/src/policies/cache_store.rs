//! `cache-store`: <https://learn.microsoft.com/azure/api-management/cache-store-policy>.

use super::{Flow, Policy};
use crate::cache::LARGEST_RESPONSE;
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use jiff::SignedDuration;
use policy_document::Element;

struct CacheStore {
    /// Seconds.
    duration: Value<i64>,
    /// Without it, only 200 is kept.
    cache_response: Option<Value<bool>>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(CacheStore {
        duration: reader.required("duration")?,
        cache_response: reader.value("cache-response")?,
    }))
}

#[async_trait]
impl Policy for CacheStore {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        // Without a lookup there is no key.
        let Some(pending) = exchange.cache.take() else {
            return Ok(Flow::Continue);
        };
        let seconds = exchange.get(&self.duration).await?;
        let status = exchange.response_mut().status_code;
        let keep = match exchange.get_option(self.cache_response.as_ref()).await? {
            Some(keep) => keep,
            None => status == 200,
        };
        if !keep || seconds <= 0 {
            return Ok(Flow::Continue);
        }
        if let Some((kind, revalidate)) = pending.downstream {
            let revalidate = if revalidate { ", must-revalidate" } else { "" };
            let control = format!("{kind}{revalidate}, max-age={seconds}");
            let response = exchange.response_mut();
            response.headers.set("Cache-Control", vec![control]);
        }
        let body = exchange.read_response().await?;
        let now = exchange.now();
        let life = SignedDuration::from_secs(seconds);
        if body.len() <= LARGEST_RESPONSE
            && let Ok(expires) = now.checked_add(life)
        {
            let mut headers = exchange.response_mut().headers.clone();
            // What was meant for one caller is not handed to others.
            headers.remove("Set-Cookie");
            let status = u16::try_from(status).unwrap_or(200);
            exchange
                .shared
                .responses
                .put(pending.key, status, headers, body, expires);
        }
        Ok(Flow::Continue)
    }
}
