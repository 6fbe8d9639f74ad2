//! A strict local Azure for tests and demonstrations.
//!
//! One program serves, on one port, what an operator of API Management
//! meets in Azure: Entra ID tokens, managed identity, Key Vault secrets and
//! the Azure Resource Manager (ARM) interface of `Microsoft.ApiManagement`.
//! It answers as the real services were recorded or documented to answer, and
//! it is as strict as they are: an unknown api-version, property or policy is
//! an error here because it is one there. A control interface under
//! `/_control/` injects faults, reads the journal of every call, and moves the
//! clock. A page under `/_page` shows all of that to a person.
//!
//! It must never be lenient where Azure is not, never share code with the
//! operator (a bug in one would hide in the other), and never accept a token
//! that it did not sign.

#![forbid(unsafe_code)]

mod arm;
mod blob;
mod clock;
mod config;
mod control;
mod data_plane;
mod endpoints;
mod entra;
mod faults;
mod fetch;
mod http;
mod journal;
mod key_vault;
mod keys;
mod managed_identity;
mod moments;
pub mod openapi_import;
mod page;
pub mod policy_check;
mod secrets;
mod server;
mod simulator;
mod tls;
mod token;
mod world;

pub use apim_gateway::{Trace, configuration as gateway};
pub use config::{
    ApplicationSeed, ConfigError, FederatedCredentialSeed, KeyVaultSeed, LroMode, LroSettings,
    Role, RoleScope, Seed, ServiceSeed, SimulatorConfig, TenantSeed, ThrottleLimits, Transport,
};
pub use endpoints::Endpoints;
pub use faults::FaultSpec;
pub use journal::{CallKind, JournalEntry, JournalQuery};
pub use moments::{ApiShape, Moment, OperationShape};
pub use simulator::{Simulator, StartError};
