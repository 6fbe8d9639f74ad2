//! Where the token is.

use policy_sdk::elements::ValidateJwt;
use policy_sdk::{At, Diagnostic, Expression, csharp, text};
use serde::Deserialize;

/// Where the token is.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Places")]
pub(crate) enum Source {
    Header(String),
    Query(String),
    Cookie(String),
    Variable(String),
}

/// How a config says it: exactly one of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Places {
    header: Option<String>,
    query: Option<String>,
    cookie: Option<String>,
    variable: Option<String>,
}

impl TryFrom<Places> for Source {
    type Error = &'static str;

    fn try_from(places: Places) -> Result<Self, Self::Error> {
        let mut sources = [
            places.header.map(Self::Header),
            places.query.map(Self::Query),
            places.cookie.map(Self::Cookie),
            places.variable.map(Self::Variable),
        ]
        .into_iter()
        .flatten();
        match (sources.next(), sources.next()) {
            (Some(source), None) => Ok(source),
            _ => Err("the token is in one place: write one of header, query, cookie and variable"),
        }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::Header("Authorization".to_owned())
    }
}

impl Source {
    /// The statement, as far as it says where the token is.
    pub(crate) fn start(&self, scheme: Option<&str>) -> Result<ValidateJwt, Diagnostic> {
        let wrong = |pointer: &str, message: String| Err(Diagnostic::error(pointer, message));
        if let (Some(scheme), false) = (scheme, matches!(self, Self::Header(_))) {
            return wrong(
                "/scheme",
                format!("a scheme stands before a token in a header only: leave `{scheme}` out"),
            );
        }
        match self {
            Self::Header(name) if !text::is_token(name) => wrong(
                "/token/header",
                format!("`{name}` cannot be the name of a header: letters, digits and dashes"),
            ),
            Self::Header(name) => {
                let default = name
                    .eq_ignore_ascii_case("Authorization")
                    .then_some("Bearer");
                let jwt = ValidateJwt::new(name.at("/token/header"));
                Ok(match scheme.or(default) {
                    Some(scheme) => jwt.require_scheme(scheme.at("/scheme")),
                    None => jwt,
                })
            }
            Self::Query(name) => Ok(ValidateJwt::from_query(name.at("/token/query"))),
            Self::Cookie(name) if !text::is_token(name) => wrong(
                "/token/cookie",
                format!("`{name}` cannot be the name of a cookie: letters, digits and dashes"),
            ),
            Self::Cookie(name) => Ok(ValidateJwt::from_value(
                Expression::new(format!(
                    "context.Request.Headers.GetValueOrDefault(\"Cookie\", \"\").Split(';')\
                     .Select(cookie => cookie.Trim())\
                     .Where(cookie => cookie.StartsWith({prefix}))\
                     .Select(cookie => cookie.Substring({length}))\
                     .FirstOrDefault() ?? \"\"",
                    prefix = csharp::string(&format!("{name}=")),
                    length = name.len() + 1,
                ))
                .at("/token/cookie"),
            )),
            Self::Variable(name) => Ok(ValidateJwt::from_value(
                Expression::new(format!(
                    "context.Variables.GetValueOrDefault<string>({}, \"\")",
                    csharp::string(name)
                ))
                .at("/token/variable"),
            )),
        }
    }
}
