//! `cache-lookup`: <https://learn.microsoft.com/azure/api-management/cache-lookup-policy>.

use super::{Flow, Policy};
use crate::cache::Pending;
use crate::compile::{CompileError, Compiler, Reader, Value, keyword};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::parameters;
use async_trait::async_trait;
use policy_document::Element;

keyword!(
    /// What caches between the gateway and the caller may keep.
    Downstream {
        None = "none",
        Private = "private",
        Public = "public",
    }
);

struct CacheLookup {
    by_developer: Value<bool>,
    /// Who is in which group is not known here: each developer is told apart,
    /// so that nobody gets what is another group's.
    by_group: Value<bool>,
    downstream: Value<Downstream>,
    must_revalidate: Value<bool>,
    private_responses: Value<bool>,
    headers: Vec<Value<String>>,
    parameters: Vec<Value<String>>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    Ok(Box::new(CacheLookup {
        by_developer: reader.required("vary-by-developer")?,
        by_group: reader.required("vary-by-developer-groups")?,
        downstream: reader
            .value("downstream-caching-type")?
            .unwrap_or(Value::Literal(Downstream::None)),
        must_revalidate: reader
            .value("must-revalidate")?
            .unwrap_or(Value::Literal(true)),
        private_responses: reader
            .value("allow-private-response-caching")?
            .unwrap_or(Value::Literal(false)),
        headers: reader.texts("vary-by-header")?,
        parameters: reader.texts("vary-by-query-parameter")?,
    }))
}

/// Removed when nothing was found, so that the backend answers whole: as the
/// service's traces list them.
const CONDITIONAL: [&str; 7] = [
    "Cache-Control",
    "Pragma",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-Range",
];

impl CacheLookup {
    async fn key(&self, exchange: &mut Exchange) -> Result<String, PolicyError> {
        let mut key = vec![exchange.service.configuration.name.clone()];
        let api = exchange.api();
        key.push(api.map_or(String::new(), |api| format!("{};{}", api.id, api.revision)));
        key.push(exchange.context.request.method.clone());
        key.push(exchange.context.request.original_url.path.clone());
        // Documented: without named parameters, all of them.
        let names = exchange.get_all(&self.parameters).await?;
        let names: Vec<String> = names
            .iter()
            .flat_map(|names| names.split(';'))
            .map(|name| name.trim().to_lowercase())
            .collect();
        let query = exchange.context.request.original_url.query_string.clone();
        let mut pairs: Vec<String> = parameters(query.trim_start_matches('?'))
            .into_iter()
            .filter(|(name, _)| names.is_empty() || names.contains(&name.to_lowercase()))
            .map(|(name, value)| format!("{}={value:?}", name.to_lowercase()))
            .collect();
        pairs.sort();
        key.push(pairs.join("&"));
        let headers = exchange.get_all(&self.headers).await?;
        for name in headers.iter().map(|name| name.trim()) {
            let value = exchange.request_header(name);
            key.push(format!("{}: {value:?}", name.to_lowercase()));
        }
        let (developer, group) = (&self.by_developer, &self.by_group);
        if exchange.get(developer).await? || exchange.get(group).await? {
            // Documented: by the account that owns the key. One that belongs to
            // nobody is told apart by its subscription.
            let caller = exchange
                .subscription()
                .map(|found| found.user.as_ref().ok_or(&found.id));
            key.push(format!("{caller:?}"));
        }
        Ok(key.join("\n"))
    }
}

#[async_trait]
impl Policy for CacheLookup {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let method = exchange.context.request.method.as_str();
        // Only what changes nothing is kept (inferred).
        if !matches!(method, "GET" | "HEAD") {
            return Ok(Flow::Continue);
        }
        let authorized = exchange.request_header("Authorization").is_some();
        if authorized && !exchange.get(&self.private_responses).await? {
            return Ok(Flow::Continue);
        }
        let key = self.key(exchange).await?;
        let now = exchange.now();
        if let Some(cached) = exchange.shared.responses.get(&key, now) {
            exchange.respond(cached.status, cached.headers.clone(), cached.body.clone());
            return Ok(Flow::Cached);
        }
        for name in CONDITIONAL {
            exchange.context.request.headers.remove(name);
        }
        let downstream = match exchange.get(&self.downstream).await? {
            Downstream::None => None,
            Downstream::Private => Some("private"),
            Downstream::Public => Some("public"),
        };
        let revalidate = exchange.get(&self.must_revalidate).await?;
        exchange.cache = Some(Pending {
            key,
            downstream: downstream.map(|kind| (kind, revalidate)),
        });
        Ok(Flow::Continue)
    }
}
