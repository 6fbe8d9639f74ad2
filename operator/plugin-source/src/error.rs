//! Why a plugin cannot be had.

use std::net::IpAddr;
use std::time::Duration;

use operator_core::address::AddressKind;
use operator_core::class::ErrorClass;

use crate::digest::Digest;

/// A plugin could not be resolved, pulled or pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {cause}")]
pub struct SourceError {
    /// The reference, URL, path or name of the source, without anything that
    /// may be a secret.
    pub origin: String,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What went wrong. The messages are ends of sentences that begin with the
/// source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The reference or URL cannot be read.
    #[error("is not usable: {0}")]
    BadReference(String),
    /// Certificates or credentials that were given cannot be used.
    #[error("{0}")]
    BadSettings(String),
    /// There is nothing of that name.
    #[error(
        "not found: {what} does not exist there, or only for those who may see it; check the spelling, and whether a pull secret is needed"
    )]
    NotFound {
        /// What was asked for: `the tag 1.2.0`.
        what: String,
    },
    /// Who asks is not allowed to.
    #[error("access was refused ({status}) {}", if *.anonymous {
        "to an anonymous request: name credentials (for a PolicyPlugin `source.oci.pullSecretRef`, for the command line `docker login`)"
    } else {
        "with the given credentials: check user name, password and what they may do in this repository"
    })]
    Unauthorised {
        /// The HTTP status.
        status: u16,
        /// No credentials were there.
        anonymous: bool,
    },
    /// Too many requests.
    #[error("the server asks for fewer requests; the next try is in {} s", .after.as_secs())]
    Throttled {
        /// When to come back, as the server says or a minute.
        after: Duration,
    },
    /// The server failed.
    #[error("the server failed with {status}{}", tail(.message))]
    Server {
        /// The HTTP status.
        status: u16,
        /// What it says about it.
        message: String,
    },
    /// The server answers in a way that was not expected.
    #[error("the server refused the request with {status}{}", tail(.message))]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// What it says about it.
        message: String,
    },
    /// It took too long.
    #[error("no complete answer within {} s", .limit.as_secs_f32())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// No connection, or it broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The connection cannot be trusted.
    #[error("no trusted TLS connection: {0}")]
    Tls(TlsFault),
    /// The name or a redirect leads to where nothing may be fetched from.
    #[error("refused: {host} leads to {} ({address}), from which nothing is fetched", .kind.label())]
    Refused {
        /// The host as it was named.
        host: String,
        /// What it resolves to.
        address: IpAddr,
        /// The kind of address.
        kind: AddressKind,
    },
    /// A redirect that is not followed.
    #[error("is redirected {0}")]
    Redirect(String),
    /// Something else than a plugin.
    #[error("{what} has the media type `{found}`; expected {expected}")]
    WrongMediaType {
        /// What: the manifest, its layer.
        what: &'static str,
        /// The type it has.
        found: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// An artifact that is not one file.
    #[error("the artifact has {0} layers; a plugin has exactly one, its Wasm file")]
    NotOneLayer(usize),
    /// More than is taken.
    #[error("{what} is larger than the {limit} bytes that are accepted{}", .size.map_or(String::new(), |size| format!(" ({size} bytes)")))]
    TooLarge {
        /// What: the plugin, the manifest.
        what: &'static str,
        /// The declared size, where it was declared.
        size: Option<u64>,
        /// The limit.
        limit: u64,
    },
    /// Other bytes than were asked for.
    #[error(
        "{what} has the digest {found} and not {expected}; it was changed, or another one was meant"
    )]
    DigestMismatch {
        /// What: the plugin, the manifest.
        what: &'static str,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Fewer bytes than were declared.
    #[error("the transfer ended after {found} of {expected} bytes")]
    Truncated {
        /// How many there should be.
        expected: u64,
        /// How many came.
        found: u64,
    },
    /// The answer is not what the protocol says.
    #[error("the answer breaks the protocol: {0}")]
    Protocol(String),
    /// A file could not be read or written.
    #[error("{0}")]
    Io(String),
}

/// Why a TLS connection is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The certificate's time is over.
    #[error("the server's certificate has expired; it must be renewed there")]
    Expired,
    /// The certificate's time has not come, or this machine's clock is wrong.
    #[error("the server's certificate is not valid yet; check the clocks on both sides")]
    NotYetValid,
    /// Nobody who is trusted vouches for it.
    #[error(
        "the server's certificate is of an unknown authority; give the authority's certificate (for a PolicyPlugin `caBundle`)"
    )]
    UnknownAuthority,
    /// It is somebody else's.
    #[error("the server's certificate is for other names than `{0}`")]
    WrongName(String),
    /// It does not speak TLS at all.
    #[error(
        "the server does not speak TLS; if that is meant, say so: `plainHttp: true` in a PolicyPlugin's `source.oci`, `--plain-http` on the command line"
    )]
    NotTls,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

fn tail(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl SourceError {
    pub(crate) fn new(origin: impl Into<String>, cause: Cause) -> Self {
        Self {
            origin: origin.into(),
            cause,
        }
    }

    /// What happens next.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match &self.cause {
            // Somebody must change the settings, or what is at the source.
            Cause::BadReference(_)
            | Cause::BadSettings(_)
            | Cause::Redirect(_)
            | Cause::WrongMediaType { .. }
            | Cause::NotOneLayer(_)
            | Cause::TooLarge { .. }
            | Cause::DigestMismatch { .. } => ErrorClass::Invalid,
            // It may be pushed in a moment.
            Cause::NotFound { .. } => ErrorClass::Waiting,
            Cause::Unauthorised { .. }
            | Cause::Rejected { .. }
            | Cause::Refused { .. }
            | Cause::Tls(_) => ErrorClass::Denied,
            Cause::Throttled { after } => ErrorClass::Throttled(*after),
            Cause::Server { .. }
            | Cause::TimedOut { .. }
            | Cause::Unreachable(_)
            | Cause::Truncated { .. }
            | Cause::Protocol(_)
            | Cause::Io(_) => ErrorClass::Transient,
        }
    }
}
