use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use serde_json::{Value, json};

/// What puts a certificate that ends so many hours from now into a service: a
/// PKCS #12 file and its password.
pub fn certificate_ending_in(hours: i64) -> Result<Value> {
    let at = Timestamp::now() + SignedDuration::from_hours(hours);
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(vec!["orders.example".to_owned()])?;
    params.not_after = rcgen::date_time_ymd(
        at.year().into(),
        at.month().try_into()?,
        at.day().try_into()?,
    );
    let certificate = params.self_signed(&key)?;
    let certificate = Certificate::from_der(certificate.der())
        .map_err(|error| anyhow!("{error}"))
        .context("the certificate")?;
    let key = PrivateKey::from_der(&key.serialize_der())
        .map_err(|error| anyhow!("{error}"))
        .context("its key")?;
    let mut store = KeyStore::new();
    let chain = PrivateKeyChain::new(vec![1], key, [certificate]);
    store.add_entry("one", KeyStoreEntry::PrivateKeyChain(chain));
    let writer = store.writer("pa55-word");
    let file = writer.encryption_iterations(10).mac_iterations(10).write();
    let file = file.map_err(|error| anyhow!("{error}"))?;
    Ok(json!({"properties": {"data": STANDARD.encode(file), "password": "pa55-word"}}))
}
