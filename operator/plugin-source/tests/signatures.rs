//! Signatures that the real cosign made (tests/fixtures), each accepted or
//! refused for its own reason.

#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

mod support;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use operator_core::class::ErrorClass;
use operator_core::policy_plugin::spec::{IdentitySpec, KeySpec, VerificationSpec};
use operator_plugin_source::signature::{BUNDLE, KeyError, Signer};
use operator_plugin_source::{
    Digest, Resolved, SigningKey, Source, Verification, Verified, VerifyCause,
};
use support::fake::{EMPTY, Fake, Files, INDEX, MANIFEST, answer};
use support::sources;

const FIRST: &str = "http://localhost:18761";
const SECOND: &str = "http://localhost:18762";
const ACME: &str = "https://git.example/acme/policies/release.yml@refs/heads/main";
const EVIL: &str = "https://git.example/acme-evil/policies/release.yml@refs/heads/main";

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap()
}

/// Trusts keys and identities, as a `PolicyPlugin` says it.
fn trusting(keys: &[&str], identities: &[(&str, Option<&str>, Option<&str>)]) -> Verification {
    let spec = VerificationSpec {
        keys: keys
            .iter()
            .map(|name| KeySpec { pem: text(name) })
            .collect(),
        identities: identities
            .iter()
            .map(|(issuer, subject, prefix)| IdentitySpec {
                issuer: (*issuer).into(),
                subject: subject.map(Into::into),
                subject_prefix: prefix.map(Into::into),
            })
            .collect(),
        ..VerificationSpec::default()
    };
    Verification::from_spec(&spec, Some(&text("trusted_root.json"))).unwrap()
}

fn trusting_acme() -> Verification {
    trusting(&[], &[(FIRST, None, Some("https://git.example/acme"))])
}

/// The manifest that carries a bundle.
fn carrier(bundle: &[u8]) -> Vec<u8> {
    let (digest, size) = (Digest::of(bundle), bundle.len());
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"{BUNDLE}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{EMPTY}","size":2}},"layers":[{{"mediaType":"{BUNDLE}","digest":"{digest}","size":{size}}}],"annotations":{{"seed":"{digest}"}}}}"#
    )
    .into_bytes()
}

/// A registry with the signed artifact and these bundles attached to it.
async fn registry(bundles: &[&str]) -> (Fake, Source) {
    let manifest = fixture("manifest.json");
    let mut files = Files::default()
        .blob(&fixture("plugin.wasm"))
        .manifest("1", MANIFEST, &manifest);
    let mut entries = Vec::new();
    for name in bundles {
        let bundle = fixture(&format!("{name}.sigstore.json"));
        let carrier = carrier(&bundle);
        let (digest, size) = (Digest::of(&carrier), carrier.len());
        entries.push(format!(
            r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size},"artifactType":"{BUNDLE}"}}"#
        ));
        files = files.blob(&bundle).manifest("none", MANIFEST, &carrier);
    }
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        entries.join(",")
    );
    let path = format!("/v2/a/b/referrers/{}", Digest::of(&manifest));
    let fake = Fake::files(files.with(&path, INDEX, index.as_bytes())).await;
    let source = fake.source("a/b:1");
    (fake, source)
}

async fn verify(bundles: &[&str], trusted: &Verification) -> Result<Verified, VerifyCause> {
    let (fake, source) = registry(bundles).await;
    let sources = sources(None);
    let resolved = sources.resolve(&source).await.unwrap();
    let outcome = sources.verify(&resolved, trusted).await;
    let layer = format!("GET /v2/a/b/blobs/{}", resolved.digest);
    assert!(
        !fake.paths().contains(&layer),
        "the plugin was pulled before it was verified"
    );
    outcome.map_err(|error| {
        assert_eq!(error.origin, resolved.reference);
        error.cause
    })
}

fn identity(issuer: &str, subject: &str) -> Signer {
    Signer::Identity {
        issuer: issuer.into(),
        subject: subject.into(),
    }
}

#[tokio::test]
async fn signatures_are_found_as_each_registry_lists_them() {
    let manifest = fixture("manifest.json");
    let bundle = fixture("key.sigstore.json");
    let carrier = carrier(&bundle);
    let subject = Digest::of(&manifest);
    let entry = |more: &str| {
        let (digest, size) = (Digest::of(&carrier), carrier.len());
        format!(r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}{more}}}"#)
    };
    let typed = |artifact: &str| entry(&format!(r#","artifactType":"{artifact}""#));
    let index = |entries: &str| {
        format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entries}]}}"#)
    };
    let api = format!("/v2/a/b/referrers/{subject}");
    let tag = format!("/v2/a/b/manifests/sha256-{}", subject.hex());
    let gone = format!(
        r#"{{"mediaType":"{MANIFEST}","digest":"{}","size":9,"artifactType":"{BUNDLE}"}}"#,
        Digest::of(b"gone")
    );
    let sbom = typed("application/spdx+json");
    for (path, list) in [
        (&api, index(&typed(BUNDLE))),
        // go-containerregistry takes the config's type.
        (&api, index(&typed("application/vnd.oci.empty.v1+json"))),
        // What was deleted may still be listed.
        (&api, index(&format!("{gone},{}", typed(BUNDLE)))),
        (&tag, index(&typed(BUNDLE))),
        (&tag, index(&entry(""))),
        (
            &tag,
            index(&entry(r#","artifactType":"","annotations":null"#)),
        ),
    ] {
        for other in [None, Some((&api, index(&sbom))), Some((&api, index("")))] {
            let mut files = Files::default()
                .manifest("1", MANIFEST, &manifest)
                .manifest("none", MANIFEST, &carrier)
                .blob(&bundle);
            if let Some((path, list)) = &other {
                files = files.with(path, INDEX, list.as_bytes());
            }
            let fake = Fake::files(files.with(path, INDEX, list.as_bytes())).await;
            let sources = sources(None);
            let resolved = sources.resolve(&fake.source("a/b:1")).await.unwrap();
            let trusted = trusting(&["cosign.pub"], &[]);
            let verified = sources.verify(&resolved, &trusted).await.unwrap();
            assert_eq!(verified.bundle, Digest::of(&bundle), "{path} {list}");
        }
    }
}

#[tokio::test]
async fn a_key_without_a_transparency_log_is_enough() {
    let verified = verify(&["key"], &trusting(&["cosign.pub"], &[]))
        .await
        .unwrap();
    let key = operator_plugin_source::signature::PublicKey::from_pem(&text("cosign.pub")).unwrap();
    assert_eq!(verified.signer, Signer::Key(key.digest()));
    assert_eq!(verified.bundle, Digest::of(&fixture("key.sigstore.json")));
    // One of several keys is enough, and others may have signed too.
    let both = trusting(&["stranger.pub", "cosign.pub"], &[]);
    assert_eq!(verify(&["key"], &both).await.unwrap(), verified);
    let among = ["keyless-longer-name", "key-statement", "key"];
    assert_eq!(verify(&among, &both).await.unwrap(), verified);
}

#[tokio::test]
async fn an_identity_is_accepted_exactly_or_by_whole_segments() {
    let accepted = identity(FIRST, ACME);
    for (subject, prefix) in [
        (Some(ACME), None),
        (None, Some("https://git.example")),
        (None, Some("https://git.example/acme")),
        (None, Some("https://git.example/acme/policies/")),
        (None, Some(ACME)),
    ] {
        let trusted = trusting(&["stranger.pub"], &[(FIRST, subject, prefix)]);
        let verified = verify(&["keyless"], &trusted).await.unwrap();
        assert_eq!(verified.signer, accepted, "{subject:?} {prefix:?}");
    }
    for (subject, prefix) in [
        (Some("https://git.example/acme/policies/release.yml"), None),
        (None, Some("https://git.example/acm")),
        (None, Some("https://git.example/acme/policie")),
        (None, Some("https://git.exampl")),
    ] {
        let trusted = trusting(&[], &[(FIRST, subject, prefix)]);
        let refused = verify(&["keyless"], &trusted).await.unwrap_err();
        let signer = accepted.clone();
        assert_eq!(
            refused,
            VerifyCause::WrongIdentity { signer },
            "{subject:?} {prefix:?}"
        );
    }
}

#[tokio::test]
async fn each_wrong_signature_has_its_reason() {
    let acme = trusting_acme();
    let key = trusting(&["cosign.pub"], &[]);
    let table: [(&[&str], &Verification, VerifyCause); 9] = [
        (
            &[],
            &key,
            VerifyCause::NoSignature {
                hint: String::new(),
            },
        ),
        (
            &["key"],
            &trusting(&["stranger.pub"], &[]),
            VerifyCause::WrongKey,
        ),
        (&["key-other-digest"], &key, VerifyCause::OtherDigest),
        (&["key"], &acme, VerifyCause::IdentityExpected),
        (
            &["keyless"],
            &key,
            VerifyCause::KeyExpected {
                signer: identity(FIRST, ACME),
            },
        ),
        (
            &["keyless-longer-name"],
            &acme,
            VerifyCause::WrongIdentity {
                signer: identity(FIRST, EVIL),
            },
        ),
        (
            &["keyless-other-issuer"],
            &acme,
            VerifyCause::WrongIssuer {
                signer: identity(SECOND, ACME),
            },
        ),
        (&["keyless-other-digest"], &acme, VerifyCause::OtherDigest),
        (
            &["key-statement"],
            &key,
            VerifyCause::NotASignature {
                predicate: "https://cosign.sigstore.dev/attestation/v1".into(),
            },
        ),
    ];
    for (bundles, trusted, expected) in table {
        assert_eq!(
            verify(bundles, trusted).await.unwrap_err(),
            expected,
            "{bundles:?}"
        );
    }
    // Of several the closest is reported.
    let all = [
        "key-statement",
        "key",
        "keyless-longer-name",
        "keyless-other-digest",
    ];
    let closest = verify(&all, &acme).await.unwrap_err();
    assert_eq!(
        closest,
        VerifyCause::WrongIdentity {
            signer: identity(FIRST, EVIL)
        }
    );
    assert_eq!(
        closest.to_string(),
        format!(
            "it is signed by {EVIL} (known to {FIRST}), who is not among the identities that are trusted"
        )
    );
}

#[tokio::test]
async fn a_signature_after_the_certificates_end_is_refused() {
    let refused = verify(&["keyless-expired"], &trusting_acme())
        .await
        .unwrap_err();
    let VerifyCause::CertificateExpired {
        time,
        not_before,
        not_after,
    } = refused
    else {
        panic!("{refused}");
    };
    assert!(
        not_before < not_after && not_after < time,
        "{not_before} {not_after} {time}"
    );
}

#[tokio::test]
async fn another_trust_root_trusts_nobody_of_this_one() {
    let spec = VerificationSpec {
        identities: vec![IdentitySpec {
            issuer: FIRST.into(),
            subject: Some(ACME.into()),
            subject_prefix: None,
        }],
        ..VerificationSpec::default()
    };
    // The public Sigstore, which every version carries.
    let public = Verification::from_spec(&spec, None).unwrap();
    let refused = verify(&["keyless"], &public).await.unwrap_err();
    assert!(matches!(refused, VerifyCause::NoEvidence(_)), "{refused}");
    // This one's time-stamps, but another's certificates.
    let mut root: serde_json::Value =
        serde_json::from_slice(&fixture("trusted_root.json")).unwrap();
    root["certificateAuthorities"] = root["timestampAuthorities"].clone();
    let other = Verification::from_spec(&spec, Some(&root.to_string())).unwrap();
    let refused = verify(&["keyless"], &other).await.unwrap_err();
    assert!(
        matches!(refused, VerifyCause::UntrustedAuthority(_)),
        "{refused}"
    );
    // A root with a log demands that a signature is in it.
    let mut root: serde_json::Value =
        serde_json::from_slice(&fixture("trusted_root.json")).unwrap();
    let public: serde_json::Value =
        serde_json::from_str(sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
    root["tlogs"] = public["tlogs"].clone();
    let logged = Verification::from_spec(&spec, Some(&root.to_string())).unwrap();
    let refused = verify(&["keyless"], &logged).await.unwrap_err();
    assert!(matches!(refused, VerifyCause::NoEvidence(_)), "{refused}");
    root["tlogs"] = serde_json::json!([]);
    root["ctlogs"] = public["ctlogs"].clone();
    let logged = Verification::from_spec(&spec, Some(&root.to_string())).unwrap();
    let refused = verify(&["keyless"], &logged).await.unwrap_err();
    assert!(matches!(refused, VerifyCause::NoEvidence(_)), "{refused}");
}

#[tokio::test]
async fn a_bundle_that_was_changed_is_refused() {
    let manifest = fixture("manifest.json");
    let path = format!("/v2/a/b/referrers/{}", Digest::of(&manifest));
    let original = text("key.sigstore.json");
    let sig = original
        .split_once("\"sig\":\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let other_sig = text("key-other-digest.sigstore.json");
    let other_sig = other_sig
        .split_once("\"sig\":\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let changed = original.replace(sig, other_sig);
    let cut = &original[..original.len() / 2];
    for (bundle, expected) in [
        (
            changed.as_str(),
            "it is signed, but with none of the keys that are trusted",
        ),
        (cut, "the signature cannot be read: "),
        ("", "the signature cannot be read: "),
        ("{}", "the signature cannot be read: "),
    ] {
        let carrier = carrier(bundle.as_bytes());
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{MANIFEST}","digest":"{}","size":{}}}]}}"#,
            Digest::of(&carrier),
            carrier.len()
        );
        let files = Files::default()
            .manifest("1", MANIFEST, &manifest)
            .manifest("none", MANIFEST, &carrier)
            .blob(bundle.as_bytes())
            .with(&path, INDEX, index.as_bytes());
        let fake = Fake::files(files).await;
        let sources = sources(None);
        let resolved = sources.resolve(&fake.source("a/b:1")).await.unwrap();
        let trusted = trusting(&["cosign.pub"], &[]);
        let error = sources.verify(&resolved, &trusted).await.unwrap_err();
        assert!(error.cause.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_registry_that_fails_is_not_taken_for_a_missing_signature() {
    let manifest = fixture("manifest.json");
    let files = Files::default().manifest("1", MANIFEST, &manifest);
    let fake = Fake::start(move |request| {
        if request.path.contains("/referrers/") {
            answer(429, &[("retry-after", "9")], "")
        } else {
            files.answer(&request.path)
        }
    })
    .await;
    let sources = sources(None);
    let resolved = sources.resolve(&fake.source("a/b:1")).await.unwrap();
    let error = sources
        .verify(&resolved, &trusting_acme())
        .await
        .unwrap_err();
    let after = std::time::Duration::from_secs(9);
    assert_eq!(error.class(), ErrorClass::Throttled(after));
}

#[tokio::test]
async fn a_file_is_signed_by_the_file_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin.wasm");
    std::fs::write(&path, fixture("plugin.wasm")).unwrap();
    let beside: PathBuf = folder.path().join("plugin.wasm.sigstore.json");
    let file = Source::File { path };
    let sources = sources(None);
    let trusted = trusting(&["cosign.pub"], &[]);
    let check = async || {
        let resolved = sources.resolve(&file).await.unwrap();
        sources.verify(&resolved, &trusted).await
    };
    let missing = check().await.unwrap_err();
    assert!(
        matches!(missing.cause, VerifyCause::NoSignature { .. }),
        "{missing}"
    );
    // `cosign sign-blob --bundle` wrote it.
    std::fs::write(&beside, fixture("plugin.wasm.sigstore.json")).unwrap();
    assert!(matches!(check().await.unwrap().signer, Signer::Key(_)));
    // An artifact's signature is none of the file.
    std::fs::write(&beside, fixture("key.sigstore.json")).unwrap();
    assert_eq!(check().await.unwrap_err().cause, VerifyCause::OtherDigest);
    // Ours is read as cosign's is.
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = SigningKey::from_pem(&pair.serialize_pem()).unwrap();
    let bundle = key
        .file_bundle(Digest::of(&fixture("plugin.wasm")))
        .unwrap();
    std::fs::write(&beside, bundle).unwrap();
    assert_eq!(check().await.unwrap_err().cause, VerifyCause::WrongKey);
    let ours = Verification::new(vec![key.public().clone()], vec![], None).unwrap();
    let resolved = sources.resolve(&file).await.unwrap();
    let verified = sources.verify(&resolved, &ours).await.unwrap();
    assert_eq!(verified.signer, Signer::Key(key.public().digest()));
}

#[tokio::test]
async fn a_url_is_signed_by_the_url_beside_it_and_a_config_map_by_nothing() {
    let wasm = fixture("plugin.wasm");
    let files = Files::default()
        .with("/p.wasm", "application/wasm", &wasm)
        .with(
            "/p.wasm.sigstore.json",
            "application/json",
            &fixture("plugin.wasm.sigstore.json"),
        )
        .with("/q.wasm", "application/wasm", &wasm);
    let fake = Fake::files(files).await;
    let sources = sources(None);
    let trusted = trusting(&["cosign.pub"], &[]);
    let resolve = async |source: Source| -> Resolved { sources.resolve(&source).await.unwrap() };
    let signed = resolve(fake.file("/p.wasm", &wasm)).await;
    sources.verify(&signed, &trusted).await.unwrap();
    assert_eq!(fake.paths(), ["GET /p.wasm.sigstore.json"]);
    let unsigned = resolve(fake.file("/q.wasm", &wasm)).await;
    let error = sources.verify(&unsigned, &trusted).await.unwrap_err();
    assert!(
        matches!(error.cause, VerifyCause::NoSignature { .. }),
        "{error}"
    );
    let here = resolve(Source::Bytes {
        origin: "ConfigMap plugins, key p.wasm".into(),
        bytes: Bytes::from(wasm),
    })
    .await;
    let error = sources.verify(&here, &trusted).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ConfigMap plugins, key p.wasm: a plugin in a ConfigMap or in the binary cannot carry a signature; pin its `digest` in place of `verification`, or take it from a registry"
    );
    assert_eq!(error.class(), ErrorClass::Invalid);
}

#[test]
fn keys_that_cannot_sign_are_refused_with_the_command_that_helps() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
    for (text, expected) in [
        (
            pem("ENCRYPTED SIGSTORE PRIVATE KEY"),
            KeyError::PasswordNeeded,
        ),
        (pem("ENCRYPTED PRIVATE KEY"), KeyError::Encrypted),
        (pem("EC PRIVATE KEY"), KeyError::OldForm("EC PRIVATE KEY")),
        (pem("PUBLIC KEY"), KeyError::NotAKey),
        (pem("PRIVATE KEY"), KeyError::Kind),
        (String::new(), KeyError::NotAKey),
    ] {
        assert_eq!(SigningKey::from_pem(&text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn a_key_of_cosigns_making_signs_with_its_password() {
    let (pem, public) = (text("signer.key"), text("signer.pub"));
    let key = SigningKey::from_pem_with(&pem, Some("open sesame")).unwrap();
    assert_eq!(key.public_pem().trim(), public.trim());
    assert_eq!(
        format!("{key:?}"),
        format!("SigningKey({:?})", key.public())
    );
    for (password, expected) in [
        (None, KeyError::PasswordNeeded),
        (Some(""), KeyError::Password),
        (Some("open barley"), KeyError::Password),
    ] {
        assert_eq!(
            SigningKey::from_pem_with(&pem, password).unwrap_err(),
            expected
        );
    }
    // A key file that asks for a terabyte is not obeyed.
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let json = String::from_utf8(STANDARD.decode(body).unwrap()).unwrap();
    let greedy = json.replace("\"N\":65536", "\"N\":1073741824");
    assert_ne!(greedy, json);
    let greedy = format!(
        "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
        STANDARD.encode(greedy)
    );
    let error = SigningKey::from_pem_with(&greedy, Some("open sesame")).unwrap_err();
    assert_eq!(error, KeyError::Encryption);
}
