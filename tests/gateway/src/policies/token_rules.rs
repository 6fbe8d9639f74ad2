//! What `validate-jwt` and `validate-azure-ad-token` have in common: where the
//! token is, and what is answered when it is not good.

use crate::compile::{CompileError, Reader, Value, keyword};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::parameters;
use crate::tokens::{Refusal, RequiredClaim};

keyword!(
    /// How many of a claim's values must be there.
    Match {
        All = "all",
        Any = "any",
    }
);

/// Where the token stands.
enum Source {
    Header(Value<String>),
    Query(Value<String>),
    Value(Value<String>),
}

/// The parts that both policies have.
pub(super) struct TokenRules {
    source: Source,
    scheme: Option<Value<String>>,
    status: Value<i64>,
    message: Option<Value<String>>,
    pub(super) output: Option<String>,
    claims: Vec<Claim>,
    audiences: Vec<Value<String>>,
}

struct Claim {
    name: Value<String>,
    values: Vec<Value<String>>,
    all: Value<Match>,
    separator: Option<Value<String>>,
}

impl TokenRules {
    /// `header` is where a token is looked for if nothing says otherwise.
    pub(super) fn read(
        reader: &mut Reader<'_, '_, '_>,
        header: Option<&str>,
    ) -> Result<Self, CompileError> {
        let sources = [
            reader.value("header-name")?.map(Source::Header),
            reader.value("query-parameter-name")?.map(Source::Query),
            reader.value("token-value")?.map(Source::Value),
        ];
        let mut sources = sources.into_iter().flatten();
        let source = sources
            .next()
            .or_else(|| header.map(|name| Source::Header(Value::Literal(name.to_owned()))));
        let Some(source) = source else {
            return reader.fail("One of the attributes 'header-name', 'query-parameter-name', 'token-value' must be specified.");
        };
        if sources.next().is_some() {
            return reader.fail("Only one of the attributes 'header-name', 'query-parameter-name', 'token-value' can be specified.");
        }
        let mut claims = Vec::new();
        if let Some(list) = reader.child("required-claims") {
            for claim in list.elements() {
                let mut part = reader.part(claim);
                claims.push(Claim {
                    name: part.required("name")?,
                    values: part.texts("value")?,
                    all: part.value("match")?.unwrap_or(Value::Literal(Match::All)),
                    separator: part.value("separator")?,
                });
            }
        }
        let audiences = match reader.child("audiences") {
            Some(list) => reader.part(list).texts("audience")?,
            None => Vec::new(),
        };
        Ok(Self {
            source,
            scheme: reader.value("require-scheme")?,
            status: reader
                .value("failed-validation-httpcode")?
                .unwrap_or(Value::Literal(401)),
            message: reader.value("failed-validation-error-message")?,
            output: reader.text_of("output-token-variable-name")?,
            claims,
            audiences,
        })
    }

    /// The token as it was sent, or `None` where there is none.
    pub(super) async fn token(
        &self,
        exchange: &mut Exchange,
    ) -> Result<Option<String>, PolicyError> {
        let token = match &self.source {
            Source::Value(value) => Some(exchange.get(value).await?),
            Source::Query(name) => {
                let name = exchange.get(name).await?;
                parameters(&exchange.target.query)
                    .into_iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(&name))
                    .map(|(_, value)| value)
            }
            Source::Header(name) => {
                let name = exchange.get(name).await?;
                let sent = exchange.request_header(&name);
                // Documented: a scheme is asked for in Authorization only.
                if name.eq_ignore_ascii_case("Authorization") {
                    let wanted = exchange.get_option(self.scheme.as_ref()).await?;
                    sent.and_then(|sent| without_scheme(&sent, wanted.as_deref()))
                } else {
                    sent.and_then(|sent| without_scheme(&sent, None))
                }
            }
        };
        Ok(token
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty()))
    }

    pub(super) async fn audiences(
        &self,
        exchange: &mut Exchange,
    ) -> Result<Vec<String>, PolicyError> {
        trimmed(exchange, &self.audiences).await
    }

    pub(super) async fn claims(
        &self,
        exchange: &mut Exchange,
    ) -> Result<Vec<RequiredClaim>, PolicyError> {
        let mut claims = Vec::with_capacity(self.claims.len());
        for claim in &self.claims {
            claims.push(RequiredClaim {
                name: exchange.get(&claim.name).await?.trim().to_owned(),
                values: trimmed(exchange, &claim.values).await?,
                all: exchange.get(&claim.all).await? == Match::All,
                separator: exchange.get_option(claim.separator.as_ref()).await?,
            });
        }
        Ok(claims)
    }

    /// The answer to a token that is not accepted. Without a message of its own
    /// the policy tells which of the checks failed (documented).
    pub(super) async fn refused(&self, exchange: &mut Exchange, refusal: Refusal) -> PolicyError {
        let status = match exchange.get(&self.status).await {
            Ok(status) => u16::try_from(status).unwrap_or(401),
            Err(error) => return error,
        };
        let message = match exchange.get_option(self.message.as_ref()).await {
            Ok(message) => message.unwrap_or_else(|| refusal.message.clone()),
            Err(error) => return error,
        };
        PolicyError::told(status, refusal.reason, refusal.message).telling(message)
    }
}

pub(super) async fn trimmed(
    exchange: &mut Exchange,
    values: &[Value<String>],
) -> Result<Vec<String>, PolicyError> {
    let values = exchange.get_all(values).await?;
    Ok(values
        .into_iter()
        .map(|value| value.trim().to_owned())
        .collect())
}

/// The token behind its scheme. Where no scheme is asked for, any one is taken
/// off, and a token without one stands for itself (inferred).
fn without_scheme(sent: &str, wanted: Option<&str>) -> Option<String> {
    match (sent.trim().split_once(' '), wanted) {
        (Some((scheme, token)), Some(wanted)) => scheme
            .eq_ignore_ascii_case(wanted.trim())
            .then(|| token.to_owned()),
        (Some((_, token)), None) => Some(token.to_owned()),
        (None, Some(_)) => None,
        (None, None) => Some(sent.to_owned()),
    }
}

/// What is said where there is no token.
pub(super) fn missing() -> Refusal {
    Refusal {
        reason: "TokenNotPresent",
        message: "JWT not present.".to_owned(),
    }
}
