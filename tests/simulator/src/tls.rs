//! The simulator's certificate authority and the server certificate.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::net::IpAddr;
use std::path::Path;

const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca-key.pem";

/// What a TLS server needs, and what its clients must trust.
pub(crate) struct Certificates {
    /// The authority's certificate.
    pub(crate) authority: String,
    /// The server's certificate.
    pub(crate) server: String,
    /// The server's private key.
    pub(crate) server_key: String,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file of the data directory cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Makes a server certificate for `localhost`, its sub-domains and the
/// addresses, and the gateways' hosts, signed by the authority of `data_dir`, which is made at the
/// first start and kept, so that clients need to learn it only once.
pub(crate) fn certificates(
    data_dir: Option<&Path>,
    vaults: &[&str],
    gateways: &[String],
    address: IpAddr,
) -> Result<Certificates, TlsError> {
    let (ca_key, known) = authority_key(data_dir)?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "apim-simulator local authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_pem = match known {
        Some(pem) => pem,
        None => ca.self_signed(&ca_key)?.pem(),
    };
    if let Some(dir) = data_dir {
        write(&dir.join(CA_KEY_FILE), &ca_key.serialize_pem(), true)?;
        write(&dir.join(CA_FILE), &ca_pem, false)?;
    }

    let server_key = KeyPair::generate()?;
    // Few verifiers accept a wildcard directly below a top-level name, so the
    // vaults are also named one by one.
    let mut names = vec![
        "localhost".to_owned(),
        "*.localhost".to_owned(),
        "*.vault.localhost".to_owned(),
        "apim-simulator".to_owned(),
    ];
    for vault in vaults {
        names.push(format!("{vault}.localhost"));
        names.push(format!("{vault}.vault.localhost"));
    }
    names.extend_from_slice(gateways);
    let mut server = CertificateParams::new(names)?;
    server
        .distinguished_name
        .push(DnType::CommonName, "apim-simulator");
    for ip in [
        IpAddr::from([127, 0, 0, 1]),
        IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        address,
    ] {
        let name = SanType::IpAddress(ip);
        if !server.subject_alt_names.contains(&name) {
            server.subject_alt_names.push(name);
        }
    }
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::new(ca, ca_key);
    let certificate = server.signed_by(&server_key, &issuer)?;
    Ok(Certificates {
        authority: ca_pem,
        server: certificate.pem(),
        server_key: server_key.serialize_pem(),
    })
}

/// The authority's key, and its certificate if it was made before.
fn authority_key(data_dir: Option<&Path>) -> Result<(KeyPair, Option<String>), TlsError> {
    if let Some(dir) = data_dir {
        let key = std::fs::read_to_string(dir.join(CA_KEY_FILE));
        let certificate = std::fs::read_to_string(dir.join(CA_FILE));
        if let (Ok(key), Ok(certificate)) = (key, certificate) {
            return Ok((KeyPair::from_pem(&key)?, Some(certificate)));
        }
    }
    Ok((KeyPair::generate()?, None))
}

/// Writes a file of the data directory, readable by its owner only if it is
/// `secret`.
pub(crate) fn write(path: &Path, text: &str, secret: bool) -> Result<(), TlsError> {
    use std::io::Write as _;
    let attempt = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        if secret {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        #[cfg(not(unix))]
        let _ = secret;
        options.open(path)?.write_all(text.as_bytes())
    };
    attempt().map_err(|source| TlsError::File {
        path: path.display().to_string(),
        source,
    })
}
