//! Who may call.

use super::{Element, list, statement};
use crate::{Fixed, IntoValue};

statement! {
    /// Answers preflight requests and adds the CORS headers. API Management
    /// wants it first.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = Cors::new()
    ///     .allow_credentials(true)
    ///     .allowed_origins(["https://shop.example.com"])
    ///     .allowed_methods(["GET", "POST"], Some(600_u32))
    ///     .allowed_headers(["content-type"]);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<cors allow-credentials="true">
    ///   <allowed-origins>
    ///     <origin>https://shop.example.com</origin>
    ///   </allowed-origins>
    ///   <allowed-methods preflight-result-max-age="600">
    ///     <method>GET</method>
    ///     <method>POST</method>
    ///   </allowed-methods>
    ///   <allowed-headers>
    ///     <header>content-type</header>
    ///   </allowed-headers>
    /// </cors>
    /// "#
    /// );
    /// ```
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

statement! {
    /// Refuses a request whose header is absent or has another value.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement =
    ///     CheckHeader::new("X-Api-Key", 401_u32, "Unknown key.", false).value(NamedValue::new("partner-key"));
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<check-header name="X-Api-Key" failed-check-httpcode="401" failed-check-error-message="Unknown key." ignore-case="false">
    ///   <value>{{partner-key}}</value>
    /// </check-header>
    /// "#
    /// );
    /// ```
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
///
/// ```
/// # use policy_sdk::prelude::*;
/// let statement = IpFilter::allow()
///     .address("203.0.113.7")
///     .range("198.51.100.0", "198.51.100.255");
/// assert_eq!(
///     policy_sdk::testing::element_text(statement),
///     r#"<ip-filter action="allow">
///   <address>203.0.113.7</address>
///   <address-range from="198.51.100.0" to="198.51.100.255" />
/// </ip-filter>
/// "#
/// );
/// ```
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

/// What a client's certificate must be. Every claim that is set must hold.
///
/// See [`ValidateClientCertificate`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CertificateIdentity(Element);

impl CertificateIdentity {
    /// Any certificate, as long as no claim is added.
    #[allow(
        clippy::new_without_default,
        reason = "a default would be an odd policy"
    )]
    pub fn new() -> Self {
        Self(Element::new("identity"))
    }

    fn claim(self, name: &str, value: impl IntoValue<Fixed<str>>) -> Self {
        Self(self.0.set(name, value))
    }

    /// The SHA-1 thumbprint of the certificate, in hexadecimal.
    pub fn thumbprint(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("thumbprint", value)
    }

    /// The serial number, in hexadecimal.
    pub fn serial_number(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("serial-number", value)
    }

    /// The common name in the subject.
    pub fn common_name(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("common-name", value)
    }

    /// The subject, as a distinguished name.
    pub fn subject(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("subject", value)
    }

    /// A DNS name among the subject's alternative names.
    pub fn dns_name(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("dns-name", value)
    }

    /// The issuer, as a distinguished name.
    pub fn issuer_subject(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("issuer-subject", value)
    }

    /// The SHA-1 thumbprint of the issuer's certificate.
    pub fn issuer_thumbprint(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("issuer-thumbprint", value)
    }

    /// The id of a certificate of the instance, which must have been granted:
    /// the issuer's. Not beside the other claims about the issuer.
    pub fn issuer_certificate_id(self, value: impl IntoValue<Fixed<str>>) -> Self {
        self.claim("issuer-certificate-id", value)
    }

    /// Names the config value this was made from: errors name it too.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self(self.0.at(pointer))
    }
}

impl From<CertificateIdentity> for Element {
    fn from(identity: CertificateIdentity) -> Self {
        identity.0
    }
}

statement! {
    /// Refuses a request whose client certificate is not valid, or none of
    /// those named.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = ValidateClientCertificate::new()
    ///     .validate_revocation(true)
    ///     .identities([CertificateIdentity::new().common_name("partner.example.com")]);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<validate-client-certificate validate-revocation="true">
    ///   <identities>
    ///     <identity common-name="partner.example.com" />
    ///   </identities>
    /// </validate-client-certificate>
    /// "#
    /// );
    /// ```
    ValidateClientCertificate = "validate-client-certificate" in [Inbound]
    ()
    {
        /// Whether the issuer's revocation list is asked.
        validate_revocation: Fixed<bool> => "validate-revocation",
        /// Whether the chain must end at a trusted authority.
        validate_trust: Fixed<bool> => "validate-trust",
        /// Whether a certificate that is not valid yet is refused.
        validate_not_before: Fixed<bool> => "validate-not-before",
        /// Whether a certificate that has expired is refused.
        validate_not_after: Fixed<bool> => "validate-not-after",
    }
}

impl ValidateClientCertificate {
    /// The identities of which the certificate must be one; at most ten.
    pub fn identities(self, identities: impl IntoIterator<Item = CertificateIdentity>) -> Self {
        Self(
            self.0
                .child(Element::new("identities").children(identities)),
        )
    }
}
