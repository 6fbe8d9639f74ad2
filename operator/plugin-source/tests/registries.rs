//! The same demands on every registry: Debian's docker-registry, which has no
//! referrers API, go-containerregistry's, which has, and whichever the
//! environment names.

#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

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
    the_real_cosign_agrees(registry).await;
    if registry.is_ours() {
        who_may_not_is_told_what_to_do(registry).await;
        an_unknown_authority_is_not_trusted(registry).await;
        let (signer, pinned) = thirteen_are_pulled(registry, folder.path()).await;
        registry.stop();
        thirteen_start_again(registry, &signer, &pinned, folder.path()).await;
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

/// Asks the real cosign, where the environment variable `COSIGN` names one:
/// it accepts what is signed here, and what it signs is accepted here.
async fn the_real_cosign_agrees(registry: &Registry) {
    let Some(program) = std::env::var_os("COSIGN") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cosign = |verb: &[&str], reference: &str| {
        let mut command = std::process::Command::new(&program);
        command.args(verb).current_dir(folder.path());
        command.env("COSIGN_PASSWORD", "");
        if let Some(ca) = &registry.ca_pem {
            std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
            command.args(["--registry-cacert", "ca.pem"]);
        }
        if let RegistryAuth::Basic { username, password } = &registry.auth {
            command.args([
                "--registry-username",
                username,
                "--registry-password",
                password,
            ]);
        }
        if registry.plain_http {
            command.arg("--allow-http-registry");
        }
        let output = command.arg(reference).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", registry.name);
        println!(
            "{}: {said}{}",
            registry.name,
            String::from_utf8_lossy(&output.stdout)
        );
    };
    let sources = sources(None);
    let source = registry.source("policies/cors:stable");
    let resolved = sources.resolve(&source).await.unwrap();
    let (ours, theirs) = (signing_key(), rcgen::KeyPair::generate().unwrap());
    let theirs_pem = theirs.serialize_pem();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ours.pub", &ours.public_pem());
    write("plain.pem", &theirs_pem);
    let config = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;
    write("signing.json", config);
    // cosign signs with keys of its own form only.
    let mut import = std::process::Command::new(&program);
    import.args([
        "import-key-pair",
        "--key",
        "plain.pem",
        "--output-key-prefix",
        "theirs",
    ]);
    import.env("COSIGN_PASSWORD", "").current_dir(folder.path());
    assert!(import.output().unwrap().status.success());
    let sign = [
        "sign",
        "--yes",
        "--key",
        "theirs.key",
        "--signing-config",
        "signing.json",
    ];
    cosign(&sign, &resolved.reference);
    let theirs = SigningKey::from_pem(&theirs_pem).unwrap();
    let trusted = Verification::new(vec![theirs.public().clone()], vec![], None).unwrap();
    let verified = sources.verify(&resolved, &trusted).await.unwrap();
    assert_eq!(verified.signer, Signer::Key(theirs.public().digest()));

    // Ours stands beside it, in the list that cosign wrote.
    let manifest = resolved.manifest.unwrap();
    sources.sign(&source, manifest, &ours).await.unwrap();
    let verify = ["verify", "--key", "ours.pub", "--insecure-ignore-tlog"];
    cosign(&verify, &resolved.reference);
    sources.verify(&resolved, &trusted).await.unwrap();
}

fn signing_key() -> SigningKey {
    // rcgen writes PKCS#8, as openssl does.
    let pair = rcgen::KeyPair::generate().unwrap();
    SigningKey::from_pem(&pair.serialize_pem()).unwrap()
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

/// What an operator of medium size has, each signed and pulled once.
async fn thirteen_are_pulled(registry: &Registry, cache: &Path) -> (Verification, Vec<String>) {
    let sources = sources(Some(cache));
    let key = signing_key();
    let trusted = Verification::new(vec![key.public().clone()], vec![], None).unwrap();
    let mut pinned = Vec::new();
    for number in 0..13 {
        let artifact = Artifact {
            wasm: plugin(&format!("one of thirteen: {number}")),
            ..Artifact::default()
        };
        let source = registry.source(&format!("policies/p{number}:1.0.0"));
        let pushed = sources.push(&source, &artifact).await.unwrap();
        sources.sign(&source, pushed.manifest, &key).await.unwrap();
        let resolved = sources.resolve(&source).await.unwrap();
        sources.verify(&resolved, &trusted).await.unwrap();
        sources.pull(&resolved).await.unwrap();
        let rest = pushed.reference.strip_prefix(&registry.prefix).unwrap();
        pinned.push(rest.trim_start_matches('/').to_owned());
    }
    (trusted, pinned)
}

/// A new process with the same folder, while the registry is away: what status
/// says is resolved, verified and loaded from the cache alone.
async fn thirteen_start_again(
    registry: &Registry,
    trusted: &Verification,
    pinned: &[String],
    cache: &Path,
) {
    let started = Instant::now();
    let sources = sources(Some(cache));
    for (number, rest) in pinned.iter().enumerate() {
        let resolved = sources.resolve(&registry.source(rest)).await.unwrap();
        sources.verify(&resolved, trusted).await.unwrap();
        let pulled = sources.pull(&resolved).await.unwrap();
        assert_eq!(pulled.bytes, plugin(&format!("one of thirteen: {number}")));
    }
    println!(
        "{} plugins from the cache in {:?}",
        pinned.len(),
        started.elapsed()
    );
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
        let holds = |part: &str| {
            bytes
                .windows(part.len())
                .any(|found| found == part.as_bytes())
        };
        let is_its_manifest = holds(WASM_CONFIG) && holds(&digest.to_string());
        is_its_manifest.then(|| Digest::of(&bytes))
    });
    let pinned = registry.source(&format!("policies/cors@{}", manifest.unwrap()));
    let resolved = sources.resolve(&pinned).await.unwrap();
    assert_eq!(resolved.digest, digest);
    let verified = sources.verify(&resolved, trusted).await.unwrap();
    assert!(matches!(verified.signer, Signer::Key(_)));
    assert_eq!(sources.pull(&resolved).await.unwrap().bytes, artifact.wasm);
}
