//! What an expression sees as `context`. The gateway fills it for each
//! request; every type is plain data. Meaning and names are those of the
//! context variable's documentation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{MultiMap, Value};

/// The variable `context`. Parts that are `None` are `null` in expressions.
#[derive(Debug, Clone)]
pub struct Context {
    /// The matched API.
    pub api: Option<Api>,
    /// The gateway.
    pub deployment: Deployment,
    /// Time since [`Self::timestamp`].
    pub elapsed: Duration,
    /// What went wrong, in the section on-error.
    pub last_error: Option<LastError>,
    /// The matched operation.
    pub operation: Option<Operation>,
    /// The product that the subscription is for.
    pub product: Option<Product>,
    /// The request as it is now; `original_url` as it came.
    pub request: Request,
    /// The request's own number.
    pub request_id: Uuid,
    /// The response as it is now; none before there is one.
    pub response: Option<Response>,
    /// The subscription whose key was sent.
    pub subscription: Option<Subscription>,
    /// When the request came.
    pub timestamp: Timestamp,
    /// Whether this request is traced.
    pub tracing: bool,
    /// The subscription's owner.
    pub user: Option<User>,
    /// What `set-variable` and others have stored.
    pub variables: IndexMap<String, Value>,

    /// What `context.Trace(…)` has written; the gateway takes it away.
    pub traces: Vec<String>,
    /// The clock: `DateTime.UtcNow`. `DateTime.Now` is the same moment, since
    /// gateways run in UTC.
    pub now: Timestamp,
    /// The source of `Guid.NewGuid()` and `new Random()`; changes with each
    /// use. The gateway seeds it from the system's randomness; a test does not.
    pub seed: u64,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            api: None,
            deployment: Deployment::default(),
            elapsed: Duration::ZERO,
            last_error: None,
            operation: None,
            product: None,
            request: Request::default(),
            request_id: Uuid::nil(),
            response: None,
            subscription: None,
            timestamp: Timestamp::UNIX_EPOCH,
            tracing: false,
            user: None,
            variables: IndexMap::new(),
            traces: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
            seed: 0,
        }
    }
}

/// `context.Api`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Api {
    /// The name in the resource identifier, without revision.
    pub id: String,
    /// Whether the request is for the current revision.
    pub is_current_revision: bool,
    /// The display name.
    pub name: String,
    /// The path, with a leading slash.
    pub path: String,
    /// `http`, `https`, …
    pub protocols: Vec<String>,
    /// The revision's number.
    pub revision: String,
    /// The backend's address.
    pub service_url: Option<Url>,
    /// Where the subscription key is looked for.
    pub subscription_key_parameter_names: SubscriptionKeyNames,
    /// The version's identifier.
    pub version: Option<String>,
}

/// `context.Api.SubscriptionKeyParameterNames`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionKeyNames {
    /// The header.
    pub header: String,
    /// The query parameter.
    pub query: String,
}

impl Default for SubscriptionKeyNames {
    fn default() -> Self {
        Self {
            header: "Ocp-Apim-Subscription-Key".to_owned(),
            query: "subscription-key".to_owned(),
        }
    }
}

/// `context.Deployment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// `managed` for the managed gateway.
    pub gateway_id: String,
    /// The Azure region.
    pub region: String,
    /// The service's name.
    pub service_name: String,
    /// Certificates by identifier.
    pub certificates: IndexMap<String, Certificate>,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            gateway_id: "managed".to_owned(),
            region: String::new(),
            service_name: String::new(),
            certificates: IndexMap::new(),
        }
    }
}

/// `context.LastError`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastError {
    /// The element that failed.
    pub source: String,
    /// A code for programs.
    pub reason: Option<String>,
    /// A sentence for people.
    pub message: String,
    /// `global`, `product`, `api`, `operation`.
    pub scope: Option<String>,
    /// `inbound`, `backend`, `outbound`, `on-error`.
    pub section: Option<String>,
    /// Nested elements, as `choose[3]/when[2]`.
    pub path: Option<String>,
    /// The element's `id`.
    pub policy_id: Option<String>,
}

/// `context.Operation`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operation {
    /// The name in the resource identifier.
    pub id: String,
    /// The method.
    pub method: String,
    /// The display name.
    pub name: String,
    /// The template, as `/items/{id}`.
    pub url_template: String,
}

/// `context.Product`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// The product's APIs.
    pub apis: Vec<Api>,
    /// Whether subscriptions are approved by hand.
    pub approval_required: bool,
    /// Groups that see the product.
    pub groups: Vec<Group>,
    /// The name in the resource identifier.
    pub id: String,
    /// The display name.
    pub name: String,
    /// Whether it is published.
    pub published: bool,
    /// How many subscriptions one user may have.
    pub subscription_limit: Option<i32>,
    /// Whether a key is needed.
    pub subscription_required: bool,
}

/// A group of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The name in the resource identifier.
    pub id: String,
    /// The display name.
    pub name: String,
}

/// `context.Request`.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The body; none where the request has none.
    pub body: Option<Body>,
    /// The client's certificate.
    pub certificate: Option<Certificate>,
    /// The headers as they are now.
    pub headers: MultiMap,
    /// The caller's address.
    pub ip_address: String,
    /// What the operation's template matched, by name.
    pub matched_parameters: IndexMap<String, String>,
    /// The method.
    pub method: String,
    /// The address as it came.
    pub original_url: Url,
    /// The address as it is now, which the backend will see.
    pub url: Url,
}

/// `context.Response`, and what `send-request` stores.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The body.
    pub body: Body,
    /// The headers as they are now.
    pub headers: MultiMap,
    /// The status.
    pub status_code: i32,
    /// The reason phrase.
    pub status_reason: String,
}

/// A message's body. Reading it without `preserveContent: true` uses it up,
/// also for whatever comes later.
#[derive(Debug, Clone, Default)]
pub struct Body {
    bytes: Bytes,
    consumed: Arc<AtomicBool>,
}

impl Body {
    /// A body that nobody has read.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            consumed: Arc::default(),
        }
    }

    /// The content, whether or not it was read.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether an expression has read it without preserving it: what is sent
    /// on is then empty.
    #[must_use]
    pub fn is_consumed(&self) -> bool {
        self.consumed.load(Ordering::Acquire)
    }

    pub(crate) fn consume(&self) {
        self.consumed.store(true, Ordering::Release);
    }
}

/// `context.Subscription`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// When it was made.
    pub created_date: Timestamp,
    /// When it ends.
    pub end_date: Option<Timestamp>,
    /// The name in the resource identifier.
    pub id: String,
    /// The key that was sent.
    pub key: String,
    /// The display name.
    pub name: String,
    /// The primary key.
    pub primary_key: String,
    /// The secondary key.
    pub secondary_key: String,
    /// When it began.
    pub start_date: Option<Timestamp>,
}

/// `context.User`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The mail address.
    pub email: String,
    /// The first name.
    pub first_name: String,
    /// The user's groups.
    pub groups: Vec<Group>,
    /// The name in the resource identifier.
    pub id: String,
    /// How the user signs in.
    pub identities: Vec<UserIdentity>,
    /// The last name.
    pub last_name: String,
    /// What the administrator noted.
    pub note: String,
    /// When the user registered.
    pub registration_date: Timestamp,
}

/// One of `context.User.Identities`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserIdentity {
    /// The provider's name for the user.
    pub id: String,
    /// The provider.
    pub provider: String,
}

/// An address, `IUrl`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Url {
    /// `http` or `https`.
    pub scheme: String,
    /// The host, without port.
    pub host: String,
    /// The port, also where it is the scheme's usual one.
    pub port: u16,
    /// The path, with a leading slash.
    pub path: String,
    /// The query's parameters.
    pub query: MultiMap,
    /// The query with its question mark, or nothing.
    pub query_string: String,
}

impl Url {
    /// The parts of an absolute address; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        let query = url.query().unwrap_or_default();
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
            path: url.path().to_owned(),
            query: MultiMap::from_query(query),
            query_string: match url.query() {
                Some(query) if !query.is_empty() => format!("?{query}"),
                _ => String::new(),
            },
        })
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        let usual = match self.scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => 0,
        };
        if self.port != usual && self.port != 0 {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}{}", self.path, self.query_string)
    }
}

/// What expressions see of an X.509 certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The SHA-1 of the certificate in upper-case hexadecimal digits.
    pub thumbprint: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The subject's common name.
    pub common_name: String,
    /// The serial number in upper-case hexadecimal digits.
    pub serial_number: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// Whether the chain of issuers ends at a trusted one (`Verify()`).
    pub trusted: bool,
    /// The certificate itself (DER).
    pub raw: Bytes,
}

/// What `AsBasic` reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasicAuthCredentials {
    /// Before the first colon.
    pub user_id: String,
    /// Behind it.
    pub password: String,
}
