//! Tokens of callers.

use super::{Element, choice, list, statement};
use crate::{Fixed, IntoValue};

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

/// A key with which tokens are signed.
///
/// See [`ValidateJwt`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct SigningKey(Element);

impl SigningKey {
    /// A symmetric key: Base64 in a named value.
    pub fn secret(name: impl Into<String>) -> Self {
        Self(Element::new("key").text(crate::NamedValue::new(name)))
    }

    /// The public key of a certificate of the instance, which must have been
    /// granted.
    pub fn certificate(id: impl IntoValue<Fixed<str>>) -> Self {
        Self(Element::new("key").set("certificate-id", id))
    }

    /// An RSA public key: modulus and exponent as Base64url.
    pub fn rsa(n: impl IntoValue<Fixed<str>>, e: impl IntoValue<Fixed<str>>) -> Self {
        Self(Element::new("key").set("n", n).set("e", e))
    }

    /// The `kid` that tokens name it by.
    pub fn id(self, id: impl IntoValue<Fixed<str>>) -> Self {
        Self(self.0.set("id", id))
    }

    /// Names the config value this was made from: errors name it too.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self(self.0.at(pointer))
    }
}

impl From<SigningKey> for Element {
    fn from(key: SigningKey) -> Self {
        key.0
    }
}

statement! {
    /// Checks a JSON web token: from a header, or see
    /// [`from_query`](Self::from_query) and [`from_value`](Self::from_value).
    /// The lists stand in the order of the methods.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = ValidateJwt::new("Authorization")
    ///     .require_scheme("Bearer")
    ///     .openid_config("https://id.example.com/.well-known/openid-configuration")
    ///     .issuer_signing_keys([SigningKey::secret("hmac-key").id("k1")])
    ///     .audiences(["catalog"])
    ///     .required_claims([Claim::new("scp", Match::Any).separator(" ").value("read")]);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<validate-jwt header-name="Authorization" require-scheme="Bearer">
    ///   <openid-config url="https://id.example.com/.well-known/openid-configuration" />
    ///   <issuer-signing-keys>
    ///     <key id="k1">{{hmac-key}}</key>
    ///   </issuer-signing-keys>
    ///   <audiences>
    ///     <audience>catalog</audience>
    ///   </audiences>
    ///   <required-claims>
    ///     <claim name="scp" match="any" separator=" ">
    ///       <value>read</value>
    ///     </claim>
    ///   </required-claims>
    /// </validate-jwt>
    /// "#
    /// );
    /// ```
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
    /// Checks a token from a parameter of the query.
    pub fn from_query(name: impl IntoValue<Fixed<str>>) -> Self {
        Self(Element::new("validate-jwt").set("query-parameter-name", name))
    }

    /// Checks a token that an expression yields, without a scheme before it.
    pub fn from_value(token: impl IntoValue<str>) -> Self {
        Self(Element::new("validate-jwt").set("token-value", token))
    }

    /// Where issuer and keys are looked up. May be called for several.
    pub fn openid_config(self, url: impl IntoValue<Fixed<str>>) -> Self {
        Self(self.0.child(Element::new("openid-config").set("url", url)))
    }

    /// The keys of the issuers, beside those of the OpenID configurations.
    pub fn issuer_signing_keys(self, keys: impl IntoIterator<Item = SigningKey>) -> Self {
        Self(
            self.0
                .child(Element::new("issuer-signing-keys").children(keys)),
        )
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = ValidateAzureAdToken::new("contoso.onmicrosoft.com").audiences(["api://catalog"]);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<validate-azure-ad-token tenant-id="contoso.onmicrosoft.com">
    ///   <audiences>
    ///     <audience>api://catalog</audience>
    ///   </audiences>
    /// </validate-azure-ad-token>
    /// "#
    /// );
    /// ```
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
