//! Who we are to the backend. What is named here must have been granted: the
//! operator refuses a policy that borrows an identity.

use super::{Element, statement};
use crate::{Fixed, IntoValue};

statement! {
    /// Takes a token of the instance's managed identity for a resource, and
    /// sends it to the backend as `Authorization: Bearer …`.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = AuthenticationManagedIdentity::new("api://orders").ignore_error(false);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<authentication-managed-identity resource="api://orders" ignore-error="false" />"#.to_owned() + "\n"
    /// );
    /// ```
    AuthenticationManagedIdentity = "authentication-managed-identity" in [Inbound, Outbound]
    (resource: Fixed<str> => "resource")
    {
        /// The client id of a user-assigned identity; without it, the
        /// system-assigned one.
        client_id: Fixed<str> => "client-id",
        /// The variable that gets the token, in the place of the header.
        output_variable: Fixed<str> => "output-token-variable-name",
        /// Whether the request goes on without a token.
        ignore_error: Fixed<bool> => "ignore-error",
    }
}

/// Presents a client certificate of the instance to the backend.
///
/// ```
/// # use policy_sdk::prelude::*;
/// let statement = AuthenticationCertificate::id("orders-client");
/// assert_eq!(
///     policy_sdk::testing::element_text(statement),
///     r#"<authentication-certificate certificate-id="orders-client" />"#.to_owned() + "\n"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct AuthenticationCertificate(Element);

impl AuthenticationCertificate {
    /// The certificate with this id.
    pub fn id(id: impl IntoValue<Fixed<str>>) -> Self {
        Self(Element::new("authentication-certificate").set("certificate-id", id))
    }

    /// The certificate with this SHA-1 thumbprint, in hexadecimal.
    pub fn thumbprint(thumbprint: impl IntoValue<Fixed<str>>) -> Self {
        Self(Element::new("authentication-certificate").set("thumbprint", thumbprint))
    }

    /// Names the config value this was made from: errors name it too.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self(self.0.at(pointer))
    }
}

impl From<AuthenticationCertificate> for Element {
    fn from(statement: AuthenticationCertificate) -> Self {
        statement.0
    }
}

impl super::AllowedIn<super::Inbound> for AuthenticationCertificate {}
