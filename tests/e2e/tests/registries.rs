//! From an author's key to an API: a signed plugin in a real registry, declared
//! by what `plugin push` prints, with a password, a private CA, a new version,
//! an unsigned one, and a registry that goes away.
#![forbid(unsafe_code)]

#[path = "../../../operator/plugin-source/tests/support/mod.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it is shared with the tests of plugin sources"
)]
mod support;

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{PATIENCE, PolicyPlugins as _, Stage, exposed_api, greeting};
use serde_json::{Value, json};
use support::{PASSWORD, Registry, USER};
use tempfile::TempDir;

/// An author with a key, a password for the registry and a folder.
struct Author {
    folder: TempDir,
    registry: Registry,
}

impl Author {
    fn new(registry: Registry) -> Result<Self> {
        let folder = TempDir::new()?;
        // ECDSA P-256, as PKCS#8 in PEM.
        let key = rcgen::KeyPair::generate()?.serialize_pem();
        std::fs::write(folder.path().join("author.key"), key)?;
        std::fs::write(
            folder.path().join("config.json"),
            docker_config(&registry).to_string(),
        )?;
        std::fs::write(
            folder.path().join("ca.pem"),
            registry.ca_pem.clone().unwrap_or_default(),
        )?;
        Ok(Self { folder, registry })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Pushes a version under the tag `stable` and returns the PolicyPlugin
    /// that the command prints.
    fn push(&self, version: &str, text: &str, signed: bool) -> Result<Value> {
        let file = self.path(&format!("greeting-{version}.wasm"));
        std::fs::write(&file, greeting(version, text)?)?;
        let mut command = Command::new(test_harness::built_program("apim-operator")?);
        command
            .args(["plugin", "push"])
            .arg(format!("{}/acme/greeting:stable", self.registry.prefix))
            .arg(&file)
            .arg("--ca-file")
            .arg(self.path("ca.pem"))
            .env("DOCKER_CONFIG", self.folder.path());
        if signed {
            command.arg("--key").arg(self.path("author.key"));
        }
        let output = command.output()?;
        succeeded(&output)?;
        Ok(serde_saphyr::from_str(&String::from_utf8(output.stdout)?)?)
    }
}

fn docker_config(registry: &Registry) -> Value {
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let mut auths = serde_json::Map::new();
    auths.insert(registry.prefix.clone(), json!({"auth": auth}));
    json!({"auths": auths})
}

fn succeeded(output: &Output) -> Result<()> {
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// What the platform adds to what `push` printed: the tag instead of the
/// digest, the password and the CA.
fn declared(author: &Author, printed: &Value) -> Value {
    let mut object = printed.clone();
    object["spec"]["source"]["oci"] = json!({
        "reference": format!("{}/acme/greeting:stable", author.registry.prefix),
        "pullSecretRef": {"name": "registry"},
        "caBundle": {"name": "registry-ca", "key": "ca.pem"},
    });
    object["spec"]["refresh"] = "10s".into();
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("digest");
    }
    object
}

async fn give_access(stage: &Stage, author: &Author) -> Result<()> {
    let ca = String::from_utf8(author.registry.ca_pem.clone().unwrap_or_default())?;
    for object in [
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "registry-ca", "namespace": "operators"},
            "data": {"ca.pem": ca},
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": "registry", "namespace": "operators"},
            "stringData": {".dockerconfigjson": docker_config(&author.registry).to_string()},
        }),
    ] {
        stage.apply(&object).await?;
    }
    Ok(())
}

async fn until_policy(stage: &Stage, api: &str, text: &str) -> Result<()> {
    test_harness::wait_until(&format!("{text} in {api}"), PATIENCE, async || {
        let policy = stage.policy(api).await.map_err(|error| error.to_string())?;
        if policy.contains(text) {
            Ok(())
        } else {
            Err(policy)
        }
    })
    .await?;
    Ok(())
}

fn greeted(name: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "greeting".into();
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_plugin_goes_from_its_author_to_an_api_and_outlives_its_registry() -> Result<()> {
    const TEST: &str = "a_signed_plugin";
    let Some(registry) = support::referrers_registry(TEST).await else {
        return Ok(());
    };
    let author = Author::new(registry)?;
    let cache = TempDir::new()?;
    let builder = Stage::builder().cache_dir(cache.path());
    let Some(mut stage) = builder.start(TEST).await else {
        return Ok(());
    };

    // Nothing but the objects that the platform applies.
    let printed = author.push("1.0.0", "hello", true)?;
    assert!(
        printed["spec"]["verification"]["keys"][0]["pem"].is_string(),
        "{printed}"
    );
    let object = declared(&author, &printed);
    stage.apply(&object).await?;
    stage
        .until_plugin_reason("greeting", "Ready", "PullSecret")
        .await?;
    give_access(&stage, &author).await?;
    let status = stage.until_serves("greeting", "1.0.0").await?;
    let reference = status["reference"].as_str().unwrap_or_default();
    assert!(
        reference.starts_with(&format!("{}/acme/greeting@sha256:", author.registry.prefix)),
        "{status}"
    );
    assert!(
        status["signer"]
            .as_str()
            .unwrap_or_default()
            .starts_with("the key sha256:"),
        "{status}"
    );
    stage.apply(&greeted("shop")).await?;
    stage.until_ready("shop").await?;
    until_policy(&stage, "shop.shop", "<value>hello</value>").await?;

    // The tag moves: the next look finds it.
    author.push("1.1.0", "howdy", true)?;
    stage.until_serves("greeting", "1.1.0").await?;
    until_policy(&stage, "shop.shop", "<value>howdy</value>").await?;

    // Nobody vouches for this one.
    author.push("1.2.0", "evil", false)?;
    let status = stage
        .until_plugin_reason("greeting", "Ready", "VerificationFailed")
        .await?;
    assert_eq!(status["version"], "1.1.0");
    stage.apply(&greeted("second")).await?;
    stage.until_ready("second").await?;
    until_policy(&stage, "shop.second", "<value>howdy</value>").await?;

    the_registry_goes_away(&mut stage, author).await
}

/// What is here already goes on, also after a restart.
async fn the_registry_goes_away(stage: &mut Stage, author: Author) -> Result<()> {
    author.push("1.3.0", "moin", true)?;
    stage.until_serves("greeting", "1.3.0").await?;
    until_policy(stage, "shop.second", "<value>moin</value>").await?;
    let Author {
        mut registry,
        folder: _folder,
    } = author;
    registry.stop();
    stage
        .until_plugin_reason("greeting", "Reconciling", "PullFailed")
        .await?;
    stage.restart().await?;
    stage.apply(&greeted("third")).await?;
    stage.until_ready("third").await?;
    until_policy(stage, "shop.third", "<value>moin</value>").await?;
    for api in ["shop.shop", "shop.second"] {
        assert_eq!(stage.traffic(api), [""; 0], "{api}");
    }
    let status = stage.until_serves("greeting", "1.3.0").await?;
    assert!(
        status["reference"]
            .as_str()
            .unwrap_or_default()
            .contains("@sha256:"),
        "{status}"
    );
    Ok(())
}
