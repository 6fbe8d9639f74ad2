//! Where plugins come from: OCI registries, HTTP servers, files and bytes that
//! are here already; and who signed them.
//!
//! It resolves a reference to a digest, verifies the digest's signature, pulls
//! the bytes of that digest and nothing else, and keeps them on disk. For
//! authors it pushes a plugin and signs it.
//!
//! It must never run, compile or parse a plugin, never return bytes that do
//! not have the digest that was asked for, never connect to a link-local or
//! cloud-metadata address, whoever names it, and never put a secret into a
//! message.
//!
//! References are read by `oci-client`; the requests are made here. Its client
//! buffers manifests of any size, follows redirects and token realms to any
//! address, and drops `Retry-After`; what is needed of the protocol is small.
#![forbid(unsafe_code)]

pub mod auth;
mod cache;
mod challenge;
mod digest;
mod error;
mod guard;
mod http;
pub mod manifest;
mod push;
mod registry;
pub mod signature;
mod source;
mod sources;

pub use auth::{DockerConfig, DockerConfigError, RegistryAuth};
pub use digest::{Digest, InvalidDigest};
pub use error::{Cause, SourceError, TlsFault};
pub use push::{Artifact, Pushed};
pub use signature::{
    SigningKey, Verification, VerificationError, Verified, VerifyCause, VerifyError,
};
pub use source::{Pulled, Resolved, Source};
pub use sources::{Sources, SourcesConfig, parse_reference};
