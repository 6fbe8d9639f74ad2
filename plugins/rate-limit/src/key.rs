//! Who counts as one caller.

use policy_sdk::{Diagnostic, Expression, csharp};

/// The callers' addresses: the fallback of every other key.
const ADDRESS: &str = "context.Request.IpAddress";

/// Who counts as one caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Whoever calls from one address.
    Ip,
    /// Whoever has one subscription.
    Subscription,
    /// Whoever has one value of a claim of the bearer token.
    Jwt(String),
    /// Whoever sends one value of a header.
    Header(String),
    /// Everybody.
    Const(String),
}

impl Key {
    /// Reads the spelling of the config.
    pub(crate) fn parse(text: &str) -> Result<Self, Diagnostic> {
        let key = match text.split_once(':') {
            None if text.eq_ignore_ascii_case("ip") => Some(Self::Ip),
            None if text.eq_ignore_ascii_case("subscription") => Some(Self::Subscription),
            Some(("jwt", claim)) if !claim.is_empty() => Some(Self::Jwt(claim.to_owned())),
            Some(("header", name)) if is_token(name) => Some(Self::Header(name.to_owned())),
            Some(("const", text)) if !text.is_empty() => Some(Self::Const(text.to_owned())),
            _ => None,
        };
        key.ok_or_else(|| {
            Diagnostic::error(
                "/key",
                format!(
                    "`{text}` is not a key; write ip, subscription, jwt:<claim>, header:<name> or \
                     const:<text>"
                ),
            )
        })
    }

    /// The counter's key. Each kind has a prefix of its own, so that nobody
    /// gets at another one's counter by sending, say, an address in a header.
    pub(crate) fn counter(&self) -> Expression {
        let code = match self {
            Self::Ip => ADDRESS.to_owned(),
            Self::Subscription => format!(
                "context.Subscription != null ? \"subscription:\" + context.Subscription.Id : {ADDRESS}"
            ),
            Self::Jwt(claim) => {
                let claim = csharp::string(claim);
                let token = "context.Request.Headers.GetValueOrDefault(\"Authorization\", \"\").Split(' ').Last().AsJwt()?.Claims";
                format!(
                    "{token}.GetValueOrDefault({claim}, \"\") is string c && c != \"\" ? \"jwt:\" + c : {ADDRESS}"
                )
            }
            Self::Header(name) => {
                let name = csharp::string(name);
                format!(
                    "context.Request.Headers.GetValueOrDefault({name}, \"\") != \"\" ? \"header:\" + \
                     context.Request.Headers.GetValueOrDefault({name}, \"\") : {ADDRESS}"
                )
            }
            Self::Const(text) => csharp::string(text),
        };
        Expression::new(code)
    }
}

/// Whether a text can be the name of a header (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
