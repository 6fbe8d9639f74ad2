//! The operator's side of Azure: identity, Key Vault, and API Management over
//! the Azure Resource Manager (ARM).
//!
//! What to write is decided in [`operator_core::apim`]; this crate reads,
//! writes and waits. It must never write or delete an API that does not carry
//! the object's mark, never send a token to a host that is not the one it was
//! made for, never let a secret be printed, and never make an ARM call that
//! nobody asked for.
#![forbid(unsafe_code)]

pub mod apply;
pub mod arm;
pub mod backends;
mod bucket;
mod certificates;
pub mod classify;
pub mod cloud;
#[cfg(feature = "defects")]
pub mod defects;
mod delete;
mod documentations;
pub mod error;
mod export;
mod gate;
mod gateways;
mod http;
pub mod identity;
pub mod keyvault;
mod locks;
mod lro;
pub mod models;
pub mod named_values;
pub mod oauth2;
pub mod observer;
mod oidc;
pub mod parts;
mod planning;
mod products;
mod reads;
pub mod secret;
mod service;
pub mod specification;
mod subscriptions;
pub mod sweep;
mod token;
pub mod transport;
mod versions;
mod writes;

pub use apply::{Applied, Applier, ApplyError, Follow, Progress, Silent, Writes};
pub use arm::{ArmClient, ArmOptions, ArmReader, Pages, Parts, ServiceRef};
pub use backends::{Backend, BackendOutcome, BackendThere, Dependency};
pub use bucket::{Bucket, BucketSize, Buckets, Lane, Limits};
pub use certificates::CertificateThere;
pub use cloud::CloudSettings;
pub use delete::{Deleted, Leftovers, Released};
pub use error::{ArmError, Cause, ErrorDetail, ErrorParts, Missing};
pub use gate::{OpenGate, WriteGate};
pub use gateways::GatewayError;
pub use http::{HttpError, http_client};
pub use identity::{Azure, Credentials, IdentityError, Principal};
pub use keyvault::{VaultError, VaultSettings};
pub use named_values::{
    NamedContent, NamedValue, NamedValueOutcome, NamedValueRemoval, NamedValueThere,
};
pub use oauth2::{OAuth2Server, OAuth2There};
pub use observer::{CallObserver, NoObserver};
pub use oidc::{OidcOutcome, OidcProvider, OidcThere};
pub use products::{DeletedProduct, ProductError};
pub use reads::{ListedApi, PolicyOf, Revision};
pub use secret::Secret;
pub use service::ServiceInfo;
pub use subscriptions::{Keys, ObservedSubscription};
pub use token::{TokenError, TokenSource};
pub use transport::Transport;
