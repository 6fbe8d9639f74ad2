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
        match self {
            Self::Ip => Expression::new(ADDRESS),
            Self::Subscription => Expression::new(format!(
                "context.Subscription != null ? \"subscription:\" + context.Subscription.Id : {ADDRESS}"
            )),
            Self::Jwt(claim) => or_address(
                "jwt",
                &format!(
                    "context.Request.Headers.GetValueOrDefault(\"Authorization\", \"\").Split(' ')\
                     .Last().AsJwt()?.Claims.GetValueOrDefault({}, \"\") ?? \"\"",
                    csharp::string(claim)
                ),
            ),
            Self::Header(name) => or_address(
                "header",
                &format!(
                    "context.Request.Headers.GetValueOrDefault({}, \"\")",
                    csharp::string(name)
                ),
            ),
            Self::Const(text) => Expression::new(csharp::string(text)),
        }
    }
}

/// A text of the request with its kind before it, or the address where the
/// request lacks it.
fn or_address(kind: &str, text: &str) -> Expression {
    Expression::statements(format!(
        " var text = {text}; return text != \"\" ? \"{kind}:\" + text : {ADDRESS}; "
    ))
}

/// Whether a text can be the name of a header (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
