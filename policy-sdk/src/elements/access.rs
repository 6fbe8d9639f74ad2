//! Who may call.

use super::{Element, choice, list, statement};
use crate::{Fixed, IntoValue};

statement! {
    /// Answers preflight requests and adds the CORS headers. API Management
    /// wants it first.
    Cors = "cors" in [Inbound]
    ()
    {
        /// Whether browsers may send credentials.
        allow_credentials: Fixed<bool> => "allow-credentials",
        /// Whether a preflight request that matches nothing ends here.
        terminate_unmatched_request: Fixed<bool> => "terminate-unmatched-request",
    }
}

impl Cors {
    /// The origins that may call: `https://host:port`, or one `*`. Comes
    /// before the other lists.
    pub fn allowed_origins<V: IntoValue<str>>(self, origins: impl IntoIterator<Item = V>) -> Self {
        Self(self.0.child(list("allowed-origins", "origin", origins)))
    }

    /// The methods beside GET and POST, and how long (s) browsers may keep
    /// the answer.
    pub fn allowed_methods<V: IntoValue<str>>(
        self,
        methods: impl IntoIterator<Item = V>,
        max_age: Option<impl IntoValue<Fixed<u32>>>,
    ) -> Self {
        let mut element = list("allowed-methods", "method", methods);
        if let Some(max_age) = max_age {
            element = element.set("preflight-result-max-age", max_age);
        }
        Self(self.0.child(element))
    }

    /// The request headers that may be sent.
    pub fn allowed_headers<V: IntoValue<str>>(self, headers: impl IntoIterator<Item = V>) -> Self {
        Self(self.0.child(list("allowed-headers", "header", headers)))
    }

    /// The response headers that scripts may read.
    pub fn expose_headers<V: IntoValue<str>>(self, headers: impl IntoIterator<Item = V>) -> Self {
        Self(self.0.child(list("expose-headers", "header", headers)))
    }
}

choice! {
    /// How many of a claim's values a token must have.
    Match {
        /// Every one.
        All = "all",
        /// At least one.
        Any = "any",
    }
}

/// A claim that a token must have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Claim(Element);

impl Claim {
    /// A claim that must be there.
    pub fn new(name: impl IntoValue<Fixed<str>>, matching: impl IntoValue<Match>) -> Self {
        Self(
            Element::new("claim")
                .set("name", name)
                .set("match", matching),
        )
    }

    /// What splits one claim into several values.
    pub fn separator(self, separator: impl IntoValue<Fixed<str>>) -> Self {
        Self(self.0.set("separator", separator))
    }

    /// A value.
    pub fn value(self, value: impl IntoValue<str>) -> Self {
        Self(self.0.child(Element::new("value").put(value)))
    }
}

impl From<Claim> for Element {
    fn from(claim: Claim) -> Self {
        claim.0
    }
}

statement! {
    /// Checks a JSON web token from a header. The lists stand in the order of
    /// the methods.
    ValidateJwt = "validate-jwt" in [Inbound]
    (header: Fixed<str> => "header-name")
    {
        /// The status of the answer to a request without a valid token.
        failed_code: u32 => "failed-validation-httpcode",
        /// The message of that answer.
        failed_message: str => "failed-validation-error-message",
        /// The scheme before the token, `Bearer`.
        require_scheme: Fixed<str> => "require-scheme",
        /// Whether the token must say when it expires.
        require_expiration_time: bool => "require-expiration-time",
        /// Whether the token must be signed.
        require_signed_tokens: bool => "require-signed-tokens",
        /// The seconds by which clocks may differ.
        clock_skew: u32 => "clock-skew",
        /// The variable that holds the token.
        output_variable: Fixed<str> => "output-token-variable-name",
    }
}

impl ValidateJwt {
    /// Where issuer and keys are looked up.
    pub fn openid_config(self, url: impl IntoValue<Fixed<str>>) -> Self {
        Self(self.0.child(Element::new("openid-config").set("url", url)))
    }

    /// The audiences of which the token must have one.
    pub fn audiences<V: IntoValue<str>>(self, audiences: impl IntoIterator<Item = V>) -> Self {
        Self(self.0.child(list("audiences", "audience", audiences)))
    }

    /// The issuers beside those of the OpenID configurations.
    pub fn issuers<V: IntoValue<str>>(self, issuers: impl IntoIterator<Item = V>) -> Self {
        Self(self.0.child(list("issuers", "issuer", issuers)))
    }

    /// The claims the token must have.
    pub fn required_claims(self, claims: impl IntoIterator<Item = Claim>) -> Self {
        Self(
            self.0
                .child(Element::new("required-claims").children(claims)),
        )
    }
}

statement! {
    /// Checks a token of Microsoft Entra. The lists stand in the order of the
    /// methods.
    ValidateAzureAdToken = "validate-azure-ad-token" in [Inbound]
    (tenant: Fixed<str> => "tenant-id")
    {
        /// The header that holds the token.
        header: Fixed<str> => "header-name",
        /// The login service, in other clouds than the public one.
        authentication_endpoint: Fixed<str> => "authentication-endpoint",
        /// The scheme before the token, `Bearer`.
        require_scheme: Fixed<str> => "require-scheme",
        /// The status of the answer to a request without a valid token.
        failed_code: u32 => "failed-validation-httpcode",
        /// The message of that answer.
        failed_message: str => "failed-validation-error-message",
        /// The variable that holds the token.
        output_variable: Fixed<str> => "output-token-variable-name",
    }
}

impl ValidateAzureAdToken {
    /// The applications of which the caller must be one.
    pub fn client_applications<V: IntoValue<str>>(self, ids: impl IntoIterator<Item = V>) -> Self {
        Self(
            self.0
                .child(list("client-application-ids", "application-id", ids)),
        )
    }

    /// The audiences of which the token must have one.
    pub fn audiences<V: IntoValue<str>>(self, audiences: impl IntoIterator<Item = V>) -> Self {
        Self(self.0.child(list("audiences", "audience", audiences)))
    }

    /// The claims the token must have.
    pub fn required_claims(self, claims: impl IntoIterator<Item = Claim>) -> Self {
        Self(
            self.0
                .child(Element::new("required-claims").children(claims)),
        )
    }
}

statement! {
    /// Refuses a request whose header is absent or has another value.
    CheckHeader = "check-header" in [Inbound]
    (name: str => "name",
     failed_code: u32 => "failed-check-httpcode",
     failed_message: str => "failed-check-error-message",
     ignore_case: bool => "ignore-case")
    {}
}

impl CheckHeader {
    /// A value that the header may have; none: any.
    pub fn value(self, value: impl IntoValue<str>) -> Self {
        Self(self.0.child(Element::new("value").put(value)))
    }
}

/// Lets callers in, or keeps them out, by their address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct IpFilter(Element);

impl IpFilter {
    /// Lets in only the addresses that follow.
    pub fn allow() -> Self {
        Self(Element::new("ip-filter").attribute("action", "allow"))
    }

    /// Keeps out the addresses that follow.
    pub fn forbid() -> Self {
        Self(Element::new("ip-filter").attribute("action", "forbid"))
    }

    /// One address.
    pub fn address(self, address: impl IntoValue<str>) -> Self {
        Self(self.0.child(Element::new("address").put(address)))
    }

    /// A range of addresses, both ends included.
    pub fn range(self, from: impl IntoValue<Fixed<str>>, to: impl IntoValue<Fixed<str>>) -> Self {
        Self(
            self.0.child(
                Element::new("address-range")
                    .set("from", from)
                    .set("to", to),
            ),
        )
    }
}

impl From<IpFilter> for Element {
    fn from(filter: IpFilter) -> Self {
        filter.0
    }
}

impl super::AllowedIn<super::Inbound> for IpFilter {}
