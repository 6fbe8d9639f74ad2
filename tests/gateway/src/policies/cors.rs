//! `cors`: <https://learn.microsoft.com/azure/api-management/cors-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use apim_expressions::MultiMap;
use async_trait::async_trait;
use bytes::Bytes;
use policy_document::Element;

/// Who may call from which web page.
pub(crate) struct Cors {
    credentials: Value<bool>,
    /// "Default: true" by the table of attributes.
    terminate: Value<bool>,
    origins: Vec<Value<String>>,
    methods: Vec<Value<String>>,
    headers: Vec<Value<String>>,
    exposed: Vec<Value<String>>,
    max_age: Value<i64>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    let mut texts = |list: &str, item: &str| match reader.child(list) {
        Some(list) => reader.part(list).texts(item),
        None => Ok(Vec::new()),
    };
    let origins: Vec<Value<String>> = texts("allowed-origins", "origin")?;
    let methods = texts("allowed-methods", "method")?;
    let headers = texts("allowed-headers", "header")?;
    let exposed = texts("expose-headers", "header")?;
    if origins.is_empty() {
        return reader.fail("The element 'allowed-origins' must hold at least one 'origin'.");
    }
    let max_age = match reader.child("allowed-methods") {
        Some(list) => reader.part(list).value("preflight-result-max-age")?,
        None => None,
    };
    Ok(Box::new(Cors {
        credentials: reader
            .value("allow-credentials")?
            .unwrap_or(Value::Literal(false)),
        terminate: reader
            .value("terminate-unmatched-request")?
            .unwrap_or(Value::Literal(true)),
        origins,
        methods,
        headers,
        exposed,
        max_age: max_age.unwrap_or(Value::Literal(0)),
    }))
}

/// Whether a request is a browser's question before a call.
pub(crate) fn is_preflight(exchange: &Exchange) -> bool {
    exchange.context.request.method == "OPTIONS"
        && exchange.request_header("Origin").is_some()
        && exchange
            .request_header("Access-Control-Request-Method")
            .is_some()
}

/// An origin with its port where it is not the scheme's usual one.
fn same_origin(one: &str, other: &str) -> bool {
    let canonical = |origin: &str| {
        let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
        let usual = match origin.split_once("://") {
            Some(("http", _)) => ":80",
            Some(("https", _)) => ":443",
            _ => return origin,
        };
        origin
            .strip_suffix(usual)
            .map(str::to_owned)
            .unwrap_or(origin)
    };
    canonical(one) == canonical(other)
}

fn contains(list: &[String], wanted: &str) -> bool {
    list.iter()
        .any(|known| known.trim() == "*" || known.trim().eq_ignore_ascii_case(wanted.trim()))
}

impl Cors {
    /// The headers that tell the browser it may, or `None` where the origin is
    /// not among the allowed ones.
    async fn allowed(
        &self,
        exchange: &mut Exchange,
        origin: &str,
    ) -> Result<Option<Vec<(String, String)>>, PolicyError> {
        let origins = exchange.get_all(&self.origins).await?;
        let any = origins.iter().any(|known| known.trim() == "*");
        if !any && !origins.iter().any(|known| same_origin(known, origin)) {
            return Ok(None);
        }
        let credentials = exchange.get(&self.credentials).await?;
        // With credentials a browser takes no `*`; the origin is named then
        // (inferred).
        let (told, varies) = if any && !credentials {
            ("*".to_owned(), false)
        } else {
            (origin.to_owned(), true)
        };
        let mut headers = vec![("Access-Control-Allow-Origin".to_owned(), told)];
        if varies {
            headers.push(("Vary".to_owned(), "Origin".to_owned()));
        }
        if credentials {
            headers.push((
                "Access-Control-Allow-Credentials".to_owned(),
                "true".to_owned(),
            ));
        }
        Ok(Some(headers))
    }

    async fn preflight(&self, exchange: &mut Exchange, origin: &str) -> Result<Flow, PolicyError> {
        let method = exchange
            .request_header("Access-Control-Request-Method")
            .unwrap_or_default();
        let asked: Vec<String> = exchange
            .request_header("Access-Control-Request-Headers")
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        let allowed = self.allowed(exchange, origin).await?;
        let mut methods = exchange.get_all(&self.methods).await?;
        if methods.is_empty() {
            // Documented: without allowed-methods, GET and POST.
            methods = vec!["GET".to_owned(), "POST".to_owned()];
        }
        let known = exchange.get_all(&self.headers).await?;
        let fits = contains(&methods, &method) && asked.iter().all(|name| contains(&known, name));
        let Some(headers) = allowed.filter(|_| fits) else {
            if exchange.get(&self.terminate).await? {
                exchange.respond(200, MultiMap::new(), Bytes::new());
                return Ok(Flow::Respond);
            }
            return Ok(Flow::Continue);
        };
        let max_age = exchange.get(&self.max_age).await?;
        let response = exchange.respond(200, MultiMap::new(), Bytes::new());
        for (name, value) in headers {
            response.headers.append(name, value);
        }
        response
            .headers
            .append("Access-Control-Allow-Methods", method);
        if !asked.is_empty() {
            response
                .headers
                .append("Access-Control-Allow-Headers", asked.join(","));
        }
        if max_age > 0 {
            response
                .headers
                .append("Access-Control-Max-Age", max_age.to_string());
        }
        Ok(Flow::Respond)
    }
}

#[async_trait]
impl Policy for Cors {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let Some(origin) = exchange.request_header("Origin").filter(|o| !o.is_empty()) else {
            return Ok(Flow::Continue);
        };
        // An operation of its own for OPTIONS takes preflights as calls.
        if exchange.operation().is_none_or(|operation| {
            !operation.method.eq_ignore_ascii_case("OPTIONS") && operation.method != "*"
        }) && is_preflight(exchange)
        {
            return self.preflight(exchange, &origin).await;
        }
        if let Some(headers) = self.allowed(exchange, &origin).await? {
            let exposed = exchange.get_all(&self.exposed).await?;
            exchange.on_every_response.extend(headers);
            if !exposed.is_empty() {
                exchange.on_every_response.push((
                    "Access-Control-Expose-Headers".to_owned(),
                    exposed.join(","),
                ));
            }
            return Ok(Flow::Continue);
        }
        // Documented for GET and HEAD: an unmatched simple request ends here
        // with an empty 200, unless the attribute says otherwise.
        let simple = matches!(exchange.context.request.method.as_str(), "GET" | "HEAD");
        if simple && exchange.get(&self.terminate).await? {
            exchange.respond(200, MultiMap::new(), Bytes::new());
            return Ok(Flow::Respond);
        }
        Ok(Flow::Continue)
    }

    fn cors(&self) -> Option<&Cors> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::same_origin;

    #[test]
    fn the_usual_port_of_a_scheme_may_be_left_out() {
        assert!(same_origin("https://a.example", "https://A.example:443"));
        assert!(same_origin("http://a.example:80", "http://a.example"));
        assert!(!same_origin("http://a.example:443", "http://a.example"));
        assert!(!same_origin("https://a.example", "http://a.example"));
        assert!(!same_origin("https://a.example", "https://a.example.evil"));
    }
}
