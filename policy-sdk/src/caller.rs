//! Who counts as one caller.

use crate::{Context, Expression, csharp, text};

/// The callers' addresses: the fallback of every other key.
const ADDRESS: &str = "context.Request.IpAddress";

/// Who counts as one caller, for limits by key.
///
/// ```
/// # use policy_sdk::Caller;
/// assert_eq!(Caller::parse("jwt:oid"), Ok(Caller::Jwt("oid".to_owned())));
/// assert!(Caller::parse("host").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
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

impl Caller {
    /// Reads the spelling of configs: `ip`, `subscription`, `jwt:<claim>`,
    /// `header:<name>` or `const:<text>`.
    ///
    /// # Errors
    /// What may be written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let caller = match text.split_once(':') {
            None if text.eq_ignore_ascii_case("ip") => Some(Self::Ip),
            None if text.eq_ignore_ascii_case("subscription") => Some(Self::Subscription),
            Some(("jwt", claim)) if !claim.is_empty() => Some(Self::Jwt(claim.to_owned())),
            Some(("header", name)) if text::is_token(name) => Some(Self::Header(name.to_owned())),
            Some(("const", text)) if !text.is_empty() => Some(Self::Const(text.to_owned())),
            _ => None,
        };
        caller.ok_or_else(|| {
            format!(
                "`{text}` is not a key; write ip, subscription, jwt:<claim>, header:<name> or \
                 const:<text>"
            )
        })
    }

    /// The counter's key. Each kind has a prefix of its own, so that nobody
    /// gets at another one's counter by sending, say, an address in a header.
    /// What a request lacks falls back to the caller's address, so that
    /// leaving it out wins nothing.
    #[must_use]
    pub fn counter(&self) -> Expression {
        self.counted("")
    }

    /// As [`counter`](Self::counter), with text before every key. API
    /// Management keeps one counter per key for all APIs of an instance: the
    /// prefix is what keeps them apart.
    #[must_use]
    pub fn counter_in(&self, scope: &str) -> Expression {
        self.counted(&format!("{} + ", csharp::string(scope)))
    }

    /// As [`counter_in`](Self::counter_in), for a plugin's own count of each API
    /// and, where it is about one, of each operation.
    #[must_use]
    pub fn counter_of(&self, plugin: &str, context: &Context) -> Expression {
        let api = format!("{plugin}:{}/{}:", context.api.namespace, context.api.name);
        match &context.operation {
            Some(operation) => self.counter_in(&format!("{api}{}:", operation.id)),
            None => self.counter_in(&api),
        }
    }

    fn counted(&self, prefix: &str) -> Expression {
        // The conditional operator binds weaker than `+`.
        let group = |code: String| match prefix {
            "" => code,
            _ => format!("({code})"),
        };
        match self {
            Self::Ip => Expression::new(format!("{prefix}{ADDRESS}")),
            Self::Subscription => Expression::new(format!(
                "{prefix}{}",
                group(format!(
                    "context.Subscription != null ? \"subscription:\" + context.Subscription.Id : {ADDRESS}"
                ))
            )),
            Self::Jwt(claim) => or_address(
                prefix,
                "jwt",
                &format!(
                    "context.Request.Headers.GetValueOrDefault(\"Authorization\", \"\").Split(' ')\
                     .Last().AsJwt()?.Claims.GetValueOrDefault({}, \"\") ?? \"\"",
                    csharp::string(claim)
                ),
            ),
            Self::Header(name) => or_address(
                prefix,
                "header",
                &format!(
                    "context.Request.Headers.GetValueOrDefault({}, \"\")",
                    csharp::string(name)
                ),
            ),
            Self::Const(text) => Expression::new(format!("{prefix}{}", csharp::string(text))),
        }
    }
}

/// A text of the request with its kind before it, or the address where the
/// request lacks it.
fn or_address(prefix: &str, kind: &str, text: &str) -> Expression {
    let value = format!("text != \"\" ? \"{kind}:\" + text : {ADDRESS}");
    let value = match prefix {
        "" => value,
        _ => format!("{prefix}({value})"),
    };
    Expression::statements(format!(" var text = {text}; return {value}; "))
}
