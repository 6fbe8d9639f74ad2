//! Who vouches for a plugin: Sigstore bundles, as cosign 3 writes them.
//!
//! What is signed is a digest: of an artifact its manifest's, of a file its
//! own. So a signature is checked before the bytes are fetched, and the bytes
//! are then fetched by that digest.

mod bundle;
mod cosign_key;
mod error;
mod find;
mod policy;
mod sign;

pub use error::{VerifyCause, VerifyError};
pub use find::Verified;
pub use policy::{Identity, PublicKey, Signer, Subject, Verification, VerificationError};
pub use sign::{KeyError, SigningKey};

/// The type of a bundle, which is also the artifact type of what carries it.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What a signature says: nothing but that its subject is signed. A statement
/// of another type (a bill of materials, a provenance) is no signature.
pub const SIGNATURE_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// The type of a statement.
const STATEMENT: &str = "application/vnd.in-toto+json";
