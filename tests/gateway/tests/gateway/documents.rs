//! What the built-in plugins write is executed.

use apim_gateway::configuration::{Backend, Certificate, Service};
use apim_gateway::{Scope, check_policy};
use policy_document::named_values;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The policies of the snapshots beside each plugin: plugin and case, and the
/// document that they make.
fn documents() -> Vec<(String, String)> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut snapshots: Vec<PathBuf> = std::fs::read_dir(plugins)
        .expect("the plugins")
        .map(|plugin| {
            let folder = plugin.expect("a plugin").path();
            folder.join("tests/snapshots/configs__configs_become_policies.snap")
        })
        .filter(|snapshot| snapshot.exists())
        .collect();
    snapshots.sort();
    assert!(snapshots.len() > 10, "{snapshots:?}");
    let mut documents = Vec::new();
    for snapshot in snapshots {
        let text = std::fs::read_to_string(&snapshot).expect("a snapshot");
        let plugin = snapshot.iter().rev().nth(3).expect("a plugin");
        let plugin = plugin.to_string_lossy().into_owned();
        for case in text.split("\n== ").skip(1) {
            let (name, rest) = case.split_once('\n').expect("a case");
            let mut sections: Vec<(String, String)> = Vec::new();
            for line in rest.lines() {
                let header = line
                    .strip_suffix(':')
                    .filter(|name| ["inbound", "backend", "outbound", "on-error"].contains(name));
                if let Some(section) = header {
                    sections.push((section.to_owned(), String::new()));
                } else if let (Some((_, policies)), true) =
                    (sections.last_mut(), line.starts_with("  "))
                {
                    policies.push_str(line);
                    policies.push('\n');
                }
            }
            let mut document = String::from("<policies>");
            for (section, policies) in sections {
                document.extend(["<", &section, ">", &policies, "</", &section, ">"]);
            }
            document.push_str("</policies>");
            documents.push((format!("{plugin}: {name}"), document));
        }
    }
    documents
}

/// The thumbprint that stands in documents.
const SOMEBODYS: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

/// The document with the thumbprint of a certificate that the service has.
fn with_ours(document: &str) -> String {
    use sha1::Digest as _;
    let (certificate, _) = rsa_certificate();
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let digest = sha1::Sha1::digest(&der);
    let hex = |text: String, byte: &u8| text + &format!("{byte:02X}");
    let ours = digest.iter().fold(String::new(), hex);
    document.replace(SOMEBODYS, &ours)
}

/// A service in which everything exists that a document names.
fn service(document: &str) -> Service {
    let (certificate, key) = rsa_certificate();
    let mut service = Service::default();
    for name in named_values(document) {
        // Base64, for those that are keys.
        service
            .named_values
            .insert(name.to_owned(), "c2VjcmV0".to_owned());
    }
    for id in ["partner-signing", "c", "partner-ca", "orders-client"] {
        let certificate = Certificate {
            pem: certificate.clone(),
            key: Some(key.clone().into()),
            ..Certificate::default()
        };
        service.certificates.insert(id.to_owned(), certificate);
    }
    service
        .backends
        .insert("orders".to_owned(), Backend::default());
    service
}

/// A certificate and its key in PEM.
fn rsa_certificate() -> &'static (String, String) {
    use rsa::pkcs8::EncodePrivateKey as _;
    static PEM: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    PEM.get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
        let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).expect("PEM");
        let key =
            rcgen::KeyPair::from_pem_and_sign_algo(&pem, &rcgen::PKCS_RSA_SHA256).expect("a key");
        let params = rcgen::CertificateParams::new(vec!["key".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        (certificate, pem.to_string())
    })
}

#[test]
fn what_every_built_in_plugin_writes_is_executed() {
    let mut not_executed = BTreeSet::new();
    let documents = documents();
    for (name, document) in &documents {
        let document = with_ours(document);
        let checked = check_policy(&document, Scope::Api, &service(&document));
        let checked = checked.unwrap_or_else(|error| panic!("{name}: {error}\n{document}"));
        for policy in checked.not_executed {
            not_executed.insert(policy);
        }
    }
    let not_executed: Vec<String> = not_executed.into_iter().collect();
    assert_eq!(not_executed, Vec::<String>::new());
}
