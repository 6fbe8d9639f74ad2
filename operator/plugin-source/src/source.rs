//! Where a plugin comes from, and what it was resolved to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use url::Url;

use crate::auth::RegistryAuth;
use crate::digest::Digest;
use crate::error::{Cause, SourceError};
use crate::http::shown;
use crate::manifest::DESCRIPTOR;

/// Where a plugin comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// An artifact in a registry.
    Oci {
        /// `<registry>/<repository>`, then `:<tag>` or `@sha256:<digest>`.
        reference: String,
        /// Who asks.
        auth: RegistryAuth,
        /// Certificates, in PEM, that are trusted beside the usual ones.
        ca_pem: Option<Vec<u8>>,
        /// Whether the registry is asked without TLS.
        plain_http: bool,
    },
    /// A file on an HTTP server.
    Http {
        /// Where it is.
        url: String,
        /// The digest it must have.
        sha256: Digest,
        /// Certificates, in PEM, that are trusted beside the usual ones.
        ca_pem: Option<Vec<u8>>,
    },
    /// A file of this machine.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// Bytes that are here already: of a `ConfigMap`, or of the binary.
    Bytes {
        /// What messages call it: `ConfigMap plugins, key cors.wasm`.
        origin: String,
        /// The bytes.
        bytes: Bytes,
    },
}

impl Source {
    /// What messages call it; without anything that may be a secret.
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::Oci { reference, .. } => reference.chars().take(512).collect(),
            Self::Http { url, .. } => match Url::parse(url) {
                Ok(url) => shown(&url),
                // What is no URL cannot be cut at its query either.
                Err(_) => url.chars().take_while(|c| *c != '?').take(200).collect(),
            },
            Self::File { path } => path.display().to_string(),
            Self::Bytes { origin, .. } => origin.clone(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.origin())
    }
}

/// A source as it is now: from here on everything goes by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Where it comes from.
    pub source: Source,
    /// The name that leads to these very bytes: of an artifact
    /// `registry/repository@sha256:<manifest>`, else the source's.
    pub reference: String,
    /// The manifest's digest, of an artifact; this is what is signed.
    pub manifest: Option<Digest>,
    /// The digest of the Wasm file.
    pub digest: Digest,
    /// The file's size in bytes, where it is known before the file is here.
    pub size: Option<u64>,
    /// The manifest's annotations, of an artifact. They are the publisher's
    /// words, which nothing but a signature vouches for.
    pub annotations: BTreeMap<String, String>,
    pub(crate) content: Option<Bytes>,
}

impl Resolved {
    /// The plugin's descriptor as JSON, where the artifact carries it.
    #[must_use]
    pub fn descriptor(&self) -> Option<&str> {
        self.annotations.get(DESCRIPTOR).map(String::as_str)
    }

    /// Refuses another file than the one that somebody pinned.
    pub fn check_pin(&self, pinned: Digest) -> Result<(), SourceError> {
        if pinned == self.digest {
            return Ok(());
        }
        let cause = Cause::DigestMismatch {
            what: "the plugin",
            expected: pinned,
            found: self.digest,
        };
        Err(SourceError::new(self.source.origin(), cause))
    }
}

/// A plugin's file.
#[derive(Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The Wasm file.
    pub bytes: Bytes,
    /// Its digest.
    pub digest: Digest,
}

impl fmt::Debug for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pulled({}, {} bytes)", self.digest, self.bytes.len())
    }
}
