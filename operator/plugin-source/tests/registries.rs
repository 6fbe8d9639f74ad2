//! The same demands on every registry: Debian's docker-registry, which has no
//! referrers API, go-containerregistry's, which has, and whichever the
//! environment names.

#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use operator_core::class::ErrorClass;
use operator_plugin_source::manifest::WASM_CONFIG;
use operator_plugin_source::signature::Signer;
use operator_plugin_source::{
    Artifact, Cause, Digest, RegistryAuth, SigningKey, Source, SourceError, TlsFault, Verification,
    VerifyCause,
};
use support::{Registry, docker_registry, foreign_registry, plugin, referrers_registry, sources};

#[tokio::test]
async fn docker_registry_does_all_that_is_asked() {
    if let Some(mut registry) = docker_registry("docker_registry_does_all_that_is_asked").await {
        suite(&mut registry).await;
    }
}

#[tokio::test]
async fn a_registry_with_referrers_does_all_that_is_asked() {
    let test = "a_registry_with_referrers_does_all_that_is_asked";
    if let Some(mut registry) = referrers_registry(test).await {
        suite(&mut registry).await;
    }
}

#[tokio::test]
async fn the_registry_that_the_environment_names_does_all_that_is_asked() {
    if let Some(mut registry) = foreign_registry() {
        suite(&mut registry).await;
    }
}

async fn suite(registry: &mut Registry) {
    let folder = tempfile::tempdir().unwrap();
    let artifact = Artifact {
        wasm: plugin(&format!("{}-{}", registry.name, std::process::id())),
        imports: vec!["oda:policy/log@1.0.0".into()],
        exports: vec!["oda:policy/generator@1.0.0".into()],
        descriptor: Some(r#"{"name":"cors","version":"1.2.0"}"#.into()),
        annotations: BTreeMap::from([(
            "org.opencontainers.image.version".to_owned(),
            "1.2.0".to_owned(),
        )]),
        ..Artifact::default()
    };
    what_is_pushed_is_pulled(registry, &artifact, folder.path()).await;
    tags_are_listed_and_may_move(registry, &artifact).await;
    what_is_not_there_is_said(registry).await;
    let trusted = what_is_signed_is_verified(registry, folder.path()).await;
    cosign_accepts_what_is_signed_here(registry).await;
    if registry.is_ours() {
        who_may_not_is_told_what_to_do(registry).await;
        an_unknown_authority_is_not_trusted(registry).await;
        registry.stop();
        what_is_cached_needs_no_registry(registry, &artifact, &trusted, folder.path()).await;
    }
}

async fn what_is_pushed_is_pulled(registry: &Registry, artifact: &Artifact, cache: &Path) {
    let sources = sources(Some(cache));
    let source = registry.source("policies/cors:1.2.0");
    let pushed = sources.push(&source, artifact).await.unwrap();
    assert_eq!(pushed.digest, Digest::of(&artifact.wasm));
    assert_eq!(
        pushed.reference,
        format!("{}/policies/cors@{}", registry.prefix, pushed.manifest)
    );
    // Pushing the same again changes nothing.
    assert_eq!(sources.push(&source, artifact).await.unwrap(), pushed);

    let by_tag = sources.resolve(&source).await.unwrap();
    assert_eq!(by_tag.reference, pushed.reference);
    assert_eq!(by_tag.manifest, Some(pushed.manifest));
    assert_eq!(by_tag.digest, pushed.digest);
    assert_eq!(by_tag.size, Some(artifact.wasm.len() as u64));
    assert_eq!(by_tag.descriptor(), artifact.descriptor.as_deref());
    assert_eq!(
        by_tag.annotations["org.opencontainers.image.version"],
        "1.2.0"
    );
    let pulled = sources.pull(&by_tag).await.unwrap();
    assert_eq!(
        (pulled.bytes, pulled.digest),
        (artifact.wasm.clone(), pushed.digest)
    );

    let pinned = registry.source(&format!("policies/cors@{}", pushed.manifest));
    let by_digest = support::sources(None).resolve(&pinned).await.unwrap();
    assert_eq!(by_digest.digest, pushed.digest);
    let without_cache = support::sources(None).pull(&by_digest).await.unwrap();
    assert_eq!(without_cache.bytes, artifact.wasm);
}

async fn tags_are_listed_and_may_move(registry: &Registry, artifact: &Artifact) {
    let sources = sources(None);
    let next = Artifact {
        wasm: plugin(&format!("{}-next-{}", registry.name, std::process::id())),
        ..artifact.clone()
    };
    let stable = registry.source("policies/cors:stable");
    let old = sources.push(&stable, artifact).await.unwrap();
    assert_eq!(sources.resolve(&stable).await.unwrap().digest, old.digest);
    let new = sources.push(&stable, &next).await.unwrap();
    assert_eq!(sources.resolve(&stable).await.unwrap().digest, new.digest);
    assert_ne!(old.digest, new.digest);
    let tags = sources.tags(&stable).await.unwrap();
    assert_eq!(tags, ["1.2.0", "stable"]);
    // What the tag meant before is still there by its digest.
    let before = registry.source(&format!("policies/cors@{}", old.manifest));
    let before = sources.resolve(&before).await.unwrap();
    assert_eq!(sources.pull(&before).await.unwrap().bytes, artifact.wasm);
}

async fn what_is_signed_is_verified(registry: &Registry, cache: &Path) -> Verification {
    let cached = sources(Some(cache));
    let sources = sources(None);
    let source = registry.source("policies/cors:1.2.0");
    let resolved = sources.resolve(&source).await.unwrap();
    let manifest = resolved.manifest.unwrap();
    let (ours, theirs) = (signing_key(), signing_key());
    let trusted = |key: &SigningKey| Verification::new(vec![key.public().clone()], vec![], None);
    let (trusts_us, trusts_them) = (trusted(&ours).unwrap(), trusted(&theirs).unwrap());

    let unsigned = sources.verify(&resolved, &trusts_us).await.unwrap_err();
    assert_eq!(
        unsigned.to_string(),
        format!(
            "{}: it has no signature; sign it, for example with `apim-operator plugin push --key` or `cosign sign`",
            resolved.reference
        )
    );
    assert_eq!(unsigned.class(), ErrorClass::Waiting);

    sources.sign(&source, manifest, &theirs).await.unwrap();
    let wrong = sources.verify(&resolved, &trusts_us).await.unwrap_err();
    assert_eq!(wrong.cause, VerifyCause::WrongKey);
    assert_eq!(wrong.class(), ErrorClass::Denied);

    // A second signature stands beside the first.
    sources.sign(&source, manifest, &ours).await.unwrap();
    for (verification, key) in [(&trusts_us, &ours), (&trusts_them, &theirs)] {
        let verified = cached.verify(&resolved, verification).await.unwrap();
        assert_eq!(verified.signer, Signer::Key(key.public().digest()));
    }
    // A signature of one digest is none of another.
    let other = registry.source("policies/cors:stable");
    let other = sources.resolve(&other).await.unwrap();
    let unsigned = sources.verify(&other, &trusts_us).await.unwrap_err();
    assert!(matches!(unsigned.cause, VerifyCause::NoSignature { .. }));
    // The list of signatures is no version.
    let tags = sources.tags(&source).await.unwrap();
    assert_eq!(tags, ["1.2.0", "stable"]);
    trusts_them
}

/// Asks the real cosign, where the environment variable `COSIGN` names one.
async fn cosign_accepts_what_is_signed_here(registry: &Registry) {
    let Some(cosign) = std::env::var_os("COSIGN") else {
        return;
    };
    let sources = sources(None);
    let source = registry.source("policies/cors:stable");
    let resolved = sources.resolve(&source).await.unwrap();
    let key = signing_key();
    sources
        .sign(&source, resolved.manifest.unwrap(), &key)
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let public = folder.path().join("cosign.pub");
    std::fs::write(&public, key.public_pem()).unwrap();
    let mut command = std::process::Command::new(cosign);
    command.arg("verify").arg("--key").arg(&public);
    command.arg("--insecure-ignore-tlog");
    if let Some(ca) = &registry.ca_pem {
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, ca).unwrap();
        command.arg("--registry-cacert").arg(path);
    }
    if let RegistryAuth::Basic { username, password } = &registry.auth {
        command.args([
            "--registry-username",
            username,
            "--registry-password",
            password,
        ]);
    }
    let output = command.arg(&resolved.reference).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!(
        "{}: {said}{}",
        registry.name,
        String::from_utf8_lossy(&output.stdout)
    );
}

fn signing_key() -> SigningKey {
    // rcgen writes PKCS#8, as openssl does.
    let pair = rcgen::KeyPair::generate().unwrap();
    SigningKey::from_pem(&pair.serialize_pem(), None).unwrap()
}

async fn what_is_not_there_is_said(registry: &Registry) {
    let sources = sources(None);
    let digest = Digest::of(b"nothing has this");
    for (rest, what) in [
        ("policies/cors:9".to_owned(), "the tag 9".to_owned()),
        ("policies/none:1".to_owned(), "the tag 1".to_owned()),
        (
            format!("policies/cors@{digest}"),
            format!("the manifest {digest}"),
        ),
    ] {
        let error = sources.resolve(&registry.source(&rest)).await.unwrap_err();
        assert_eq!(error.cause, Cause::NotFound { what }, "{rest}");
        assert_eq!(error.origin, format!("{}/{rest}", registry.prefix));
        assert_eq!(error.class(), ErrorClass::Waiting);
    }
}

async fn who_may_not_is_told_what_to_do(registry: &Registry) {
    let try_as = async |auth: RegistryAuth| -> SourceError {
        let Source::Oci {
            reference, ca_pem, ..
        } = registry.source("policies/cors:1.2.0")
        else {
            unreachable!("a registry's source is of OCI")
        };
        let source = Source::Oci {
            reference,
            auth,
            ca_pem,
            plain_http: false,
        };
        let error = sources(None).resolve(&source).await.unwrap_err();
        let pushed = sources(None).push(&source, &Artifact::default()).await;
        assert_eq!(pushed.unwrap_err(), error);
        error
    };
    let nobody = try_as(RegistryAuth::Anonymous).await;
    assert_eq!(
        nobody.to_string(),
        format!(
            "{}/policies/cors:1.2.0: access was refused (401) to an anonymous request: name credentials (for a PolicyPlugin `source.oci.pullSecretRef`, for the command line `docker login`)",
            registry.prefix
        )
    );
    let wrong = try_as(RegistryAuth::Basic {
        username: support::USER.into(),
        password: "open barley".into(),
    });
    let wrong = wrong.await;
    assert_eq!(
        wrong.cause,
        Cause::Unauthorised {
            status: 401,
            anonymous: false
        }
    );
    assert_eq!(wrong.class(), ErrorClass::Denied);
    assert!(!format!("{wrong} {wrong:?}").contains("barley"));
}

async fn an_unknown_authority_is_not_trusted(registry: &Registry) {
    let Source::Oci {
        reference, auth, ..
    } = registry.source("policies/cors:1.2.0")
    else {
        unreachable!("a registry's source is of OCI")
    };
    let source = Source::Oci {
        reference,
        auth,
        ca_pem: None,
        plain_http: false,
    };
    let error = sources(None).resolve(&source).await.unwrap_err();
    assert_eq!(error.cause, Cause::Tls(TlsFault::UnknownAuthority));
    assert_eq!(error.class(), ErrorClass::Denied);
}

async fn what_is_cached_needs_no_registry(
    registry: &Registry,
    artifact: &Artifact,
    trusted: &Verification,
    cache: &Path,
) {
    // A new process with the same folder.
    let sources = sources(Some(cache));
    let tag = sources
        .resolve(&registry.source("policies/cors:1.2.0"))
        .await;
    assert!(matches!(tag.unwrap_err().cause, Cause::Unreachable(_)));
    let digest = Digest::of(&artifact.wasm);
    assert_eq!(sources.cached(digest).unwrap().bytes, artifact.wasm);
    let manifest = std::fs::read_dir(cache).unwrap().find_map(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let is_plugin = bytes
            .windows(WASM_CONFIG.len())
            .any(|part| part == WASM_CONFIG.as_bytes());
        is_plugin.then(|| Digest::of(&bytes))
    });
    let pinned = registry.source(&format!("policies/cors@{}", manifest.unwrap()));
    let resolved = sources.resolve(&pinned).await.unwrap();
    assert_eq!(resolved.digest, digest);
    let verified = sources.verify(&resolved, trusted).await.unwrap();
    assert!(matches!(verified.signer, Signer::Key(_)));
    assert_eq!(sources.pull(&resolved).await.unwrap().bytes, artifact.wasm);
}
