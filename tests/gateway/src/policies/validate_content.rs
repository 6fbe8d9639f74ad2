//! `validate-content`:
//! <https://learn.microsoft.com/azure/api-management/validate-content-policy>.

use super::content::{Content, bare, representations};
use super::validation::{Action, Finding, conclude};
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use bytes::Bytes;
use policy_document::Element;

struct ValidateContent {
    unspecified: Value<Action>,
    /// Bytes.
    max_size: Value<i64>,
    exceeded: Value<Action>,
    errors: Option<String>,
    map: Vec<Mapping>,
    any: Option<String>,
    missing: Option<String>,
    content: Vec<Content>,
}

/// Another name for a content type.
struct Mapping {
    from: Option<String>,
    when: Option<Value<bool>>,
    to: String,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    let mut policy = ValidateContent {
        unspecified: reader.required("unspecified-content-type-action")?,
        max_size: reader.required("max-size")?,
        exceeded: reader.required("size-exceeded-action")?,
        errors: reader.text_of("errors-variable-name")?,
        map: Vec::new(),
        any: None,
        missing: None,
        content: Vec::new(),
    };
    for child in element.elements() {
        let mut part = reader.part(child);
        if child.name == "content-type-map" {
            policy.any = part.text_of("any-content-type-value")?;
            policy.missing = part.text_of("missing-content-type-value")?;
            for mapping in child.elements() {
                let mapping = part.part(mapping);
                policy.map.push(Mapping {
                    from: mapping.text_of("from")?,
                    when: mapping.value("when")?,
                    to: mapping.required_literal("to")?,
                });
            }
        } else if child.name == "content" {
            policy.content.push(Content::read(&part)?);
        }
    }
    Ok(Box::new(policy))
}

impl ValidateContent {
    /// The content type that decides: a mapping of the one that was sent
    /// "overrides the mapping in `any-content-type-value` and
    /// `missing-content-type-value`".
    async fn content_type(&self, exchange: &mut Exchange) -> Result<String, PolicyError> {
        let sent = exchange
            .headers_mut()
            .joined("Content-Type")
            .map(|sent| bare(&sent))
            .unwrap_or_default();
        for mapping in &self.map {
            let fits = match (&mapping.from, &mapping.when) {
                (Some(from), _) => bare(from) == sent,
                (None, Some(when)) => exchange.get(when).await?,
                (None, None) => false,
            };
            if fits {
                return Ok(bare(&mapping.to));
            }
        }
        Ok(match (&self.any, &self.missing) {
            (Some(any), _) => bare(any),
            (None, Some(missing)) if sent.is_empty() => bare(missing),
            _ => sent,
        })
    }

    async fn check(
        &self,
        exchange: &mut Exchange,
        body: &Bytes,
    ) -> Result<Vec<Finding>, PolicyError> {
        let kind = self.content_type(exchange).await?;
        let content = self.content.iter().find(|content| match &content.kind {
            Some(known) => bare(known) == kind,
            // "If empty, it applies to every content type specified in the API
            // schema."
            None => representations(exchange)
                .iter()
                .any(|one| bare(&one.content_type) == kind),
        });
        if let Some(content) = content {
            return content.check(exchange, &kind, body).await;
        }
        let details = format!("Unspecified content type {kind} is not allowed.");
        Ok(vec![Finding {
            action: exchange.get(&self.unspecified).await?,
            name: kind,
            kind: of_body(exchange),
            rule: "Unspecified",
            public: Some(details.clone()),
            details,
        }])
    }
}

fn of_body(exchange: &Exchange) -> &'static str {
    if exchange.on_request() {
        "RequestBody"
    } else {
        "ResponseBody"
    }
}

#[async_trait]
impl Policy for ValidateContent {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let body = if exchange.on_request() {
            exchange.read_request().await?
        } else {
            exchange.read_response().await?
        };
        if body.is_empty() {
            return Ok(Flow::Continue);
        }
        let most = exchange.get(&self.max_size).await?;
        let findings = if i64::try_from(body.len()).unwrap_or(i64::MAX) > most {
            let whose = if exchange.on_request() {
                "Request"
            } else {
                "Response"
            };
            let told = |limit: &str| {
                let size = body.len();
                format!(
                    "{whose}'s body is {size} bytes long and it exceeds the {limit} of {most} bytes."
                )
            };
            vec![Finding {
                action: exchange.get(&self.exceeded).await?,
                name: String::new(),
                kind: of_body(exchange),
                rule: "SizeLimit",
                details: told("configured limit"),
                public: Some(told("limit")),
            }]
        } else {
            self.check(exchange, &body).await?
        };
        let variable = self.errors.as_deref();
        match conclude(exchange, &findings, variable) {
            Some(error) => Err(error),
            None => Ok(Flow::Continue),
        }
    }
}
