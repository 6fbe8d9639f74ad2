//! Plugins that misbehave, that cannot be loaded, and one that the operator has
//! never heard of.
#![forbid(unsafe_code)]

#[path = "../../../operator/plugin-host/tests/host/guest.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    reason = "it is shared with the tests of the plugin host"
)]
mod guest;

use std::path::Path;

use anyhow::Result;
use e2e::{PATIENCE, Stage, exposed_api};
use guest::{Guest, descriptor, words};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An ExposedAPI that uses these plugins.
fn using(name: &str, plugins: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = plugins.into();
    })
}

fn annotations(values: &[(&str, Option<&str>)]) -> Value {
    let values: serde_json::Map<String, Value> = values
        .iter()
        .map(|(name, value)| (format!("apim.oda.tmforum.org/{name}"), json!(value)))
        .collect();
    json!({"metadata": {"annotations": values}})
}

/// What a condition says.
fn message(status: &Value, kind: &str) -> String {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions
        .into_iter()
        .find(|condition| condition["type"] == kind);
    found
        .map(|condition| condition["message"].as_str().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

const THREE: [&str; 3] = ["create 201", "policy 201", "import 200"];

/// Plugins that misbehave when they are called: their names, the reason that
/// their users are given, and the beginning of the sentence.
fn hostile() -> Vec<(&'static str, Guest, &'static str, &'static str)> {
    let guest = |name: &str, guest: Guest| Guest {
        descriptor: descriptor(name),
        ..guest
    };
    let answering = |words_of_answer: &[u32]| Guest {
        pages: 100,
        data: words(words_of_answer),
        ..Guest::generating(format!("i32.const {}", guest::DATA_AT))
    };
    vec![
        (
            "trap",
            guest("trap", Guest::generating("unreachable")),
            "PluginTrap",
            "the plugin crashed: ",
        ),
        (
            "loop",
            guest("loop", Guest::generating("(loop (br 0)) unreachable")),
            "PluginTimeout",
            "the plugin took longer than 1000 ms",
        ),
        (
            "memory",
            guest(
                "memory",
                Guest::generating("(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable"),
            ),
            "PluginOutOfMemory",
            "the plugin needs more than 64 MiB of memory",
        ),
        (
            "nonsense",
            guest("nonsense", Guest::generating("i32.const 0x7ffffff0")),
            "PluginInvalidOutput",
            "the plugin's answer cannot be used: ",
        ),
        (
            "huge",
            // A list of 110,000 nodes of 40 bytes.
            guest("huge", answering(&[0, 65536, 110_000, 0, 0, 0, 0, 0, 0])),
            "PluginOutputTooLarge",
            "the plugin's answer is larger than 4194304 bytes",
        ),
        (
            "silent",
            guest("silent", answering(&[1, 0, 0])),
            "PluginInvalidOutput",
            "the plugin's answer cannot be used: it failed without a diagnostic that says why",
        ),
    ]
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    Ok(std::fs::write(folder.join(format!("{name}.wasm")), bytes)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_plugin_fails_its_users_with_a_typed_reason_and_nobody_else() -> Result<()> {
    let folder = TempDir::new()?;
    for (name, guest, ..) in hostile() {
        write(folder.path(), name, &guest.component())?;
    }
    let Some(stage) = Stage::builder()
        .plugin_dir(folder.path())
        .start("a_hostile_plugin")
        .await
    else {
        return Ok(());
    };

    // Published, then given to a plugin that crashes: what is published stays.
    stage.apply(&exposed_api("victim", |_| ())).await?;
    stage.until_ready("victim").await?;
    let before = stage.policy("shop.victim").await?;
    stage
        .patch(
            "shop",
            "victim",
            &annotations(&[("plugins", Some("cors, trap"))]),
        )
        .await?;
    stage
        .until_reason("victim", "PolicyRendered", "PluginTrap")
        .await?;
    assert_eq!(stage.traffic("shop.victim"), THREE);
    assert_eq!(stage.policy("shop.victim").await?, before);

    // Each by a user of its own; none is ever written to Azure.
    for (name, ..) in hostile() {
        stage.apply(&using(&format!("with-{name}"), name)).await?;
    }
    for (name, _, reason, sentence) in hostile() {
        let user = format!("with-{name}");
        let status = stage.until_reason(&user, "PolicyRendered", reason).await?;
        let said = message(&status, "PolicyRendered");
        assert!(
            said.contains(sentence) && said.contains(name),
            "{name}: {said}"
        );
        assert_eq!(status["implementation"]["ready"], false);
        assert_eq!(stage.traffic(&format!("shop.{user}")), [""; 0]);
        stage
            .until_event(&user, &format!("Warning {reason}: "))
            .await?;
    }

    // Switched to plugins that behave, the users are published.
    for (name, ..) in hostile() {
        stage
            .patch(
                "shop",
                &format!("with-{name}"),
                &annotations(&[("plugins", Some("rate-limit"))]),
            )
            .await?;
        stage.until_ready(&format!("with-{name}")).await?;
        assert_eq!(stage.traffic(&format!("shop.with-{name}")), THREE);
    }
    stage
        .patch("shop", "victim", &annotations(&[("plugins", None)]))
        .await?;
    stage.until_ready("victim").await?;
    assert_eq!(stage.traffic("shop.victim"), THREE);

    a_neighbour_is_published_while_calls_loop(&stage).await
}

/// More calls that loop than there is room for, each for its full second.
async fn a_neighbour_is_published_while_calls_loop(stage: &Stage) -> Result<()> {
    let users: Vec<String> = (0..64).map(|index| format!("loops-{index}")).collect();
    for user in &users {
        stage.apply(&using(user, "loop")).await?;
    }
    stage.apply(&exposed_api("beside-loops", |_| ())).await?;
    stage.until_ready("beside-loops").await?;
    let mut still_called = 0;
    for user in &users {
        let status = stage.status(user).await?;
        still_called += u32::from(message(&status, "PolicyRendered").is_empty());
    }
    assert!(
        still_called > 0,
        "every call that loops was over before the neighbour was published"
    );
    assert_eq!(stage.traffic("shop.beside-loops"), THREE);
    for user in &users {
        stage
            .until_reason(user, "PolicyRendered", "PluginTimeout")
            .await?;
    }
    Ok(())
}

/// A descriptor with this config schema.
fn with_schema(name: &str, schema: &Value) -> Guest {
    let descriptor = json!({
        "name": name, "version": "1.0.0", "summary": "Tests.", "phase": "traffic", "sections": ["inbound"],
        "configSchema": schema,
    });
    Guest {
        descriptor: descriptor.to_string(),
        ..Guest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_nobody_knew_is_used_from_its_file_and_files_that_cannot_be_loaded_are_skipped()
-> Result<()> {
    let folder = TempDir::new()?;
    write(folder.path(), "greeting", &e2e::greeting("0.1.0", "hello")?)?;
    let whole = Guest::default().component();
    let evil_pattern =
        json!({"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a+)+$"}}});
    let wasi = "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32))))";
    for (name, bytes) in [
        ("damaged", whole[..whole.len() / 2].to_vec()),
        ("forbidden", wat::parse_str(wasi)?),
        (
            "impostor",
            Guest {
                descriptor: descriptor("cors"),
                ..Guest::default()
            }
            .component(),
        ),
        (
            "future",
            Guest {
                version: "2.0.0",
                ..Guest::default()
            }
            .component(),
        ),
        (
            "reader",
            with_schema("reader", &json!({"$ref": "file:///etc/passwd"})).component(),
        ),
        (
            "caller",
            with_schema("caller", &json!({"$ref": "http://127.0.0.1:1/schema"})).component(),
        ),
        ("pattern", with_schema("pattern", &evil_pattern).component()),
    ] {
        write(folder.path(), name, &bytes)?;
    }
    let Some(stage) = Stage::builder()
        .plugin_dir(folder.path())
        .start("a_plugin_nobody_knew")
        .await
    else {
        return Ok(());
    };

    files_that_cannot_be_loaded_are_told(&stage).await?;
    the_authors_plugin_is_used(&stage).await?;
    no_pattern_takes_for_ever(&stage).await
}

/// To those who name them, and in the log.
async fn files_that_cannot_be_loaded_are_told(stage: &Stage) -> Result<()> {
    for (name, reason, sentence) in [
        (
            "damaged",
            "PluginFailed",
            "it is not a WebAssembly component or module",
        ),
        (
            "forbidden",
            "PluginFailed",
            "it imports `wasi_snapshot_preview1`",
        ),
        (
            "impostor",
            "PluginFailed",
            "a plugin named `cors` is loaded already",
        ),
        ("future", "PluginFailed", "it was built for `oda:policy/"),
        (
            "reader",
            "PluginFailed",
            "`/configSchema/$ref` cannot be used: `file:///etc/passwd` leads out of the document",
        ),
        (
            "caller",
            "PluginFailed",
            "`/configSchema/$ref` cannot be used: `http://127.0.0.1:1/schema` leads out of the document",
        ),
    ] {
        let user = format!("with-{name}");
        stage.apply(&using(&user, name)).await?;
        let status = stage.until_reason(&user, "Ready", reason).await?;
        let said = message(&status, "Ready");
        assert!(
            said.contains(sentence) && said.contains(name),
            "{name}: {said}"
        );
        assert_eq!(stage.traffic(&format!("shop.{user}")), [""; 0]);
        // The log tells it once the whole folder was looked at.
        test_harness::wait_until(&format!("{name} in the log"), PATIENCE, async || {
            let log = stage.operator_log();
            let told =
                |line: &str| line.contains("skipped: ") && line.contains(&format!("{name}.wasm"));
            if log.lines().any(told) {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await?;
    }
    Ok(())
}

/// With config by annotation, then by its own block, which may be refused.
async fn the_authors_plugin_is_used(stage: &Stage) -> Result<()> {
    let greeted = exposed_api("greeted", |object| {
        object["metadata"]["annotations"] = json!({
            "apim.oda.tmforum.org/plugins": "cors, greeting",
            "apim.oda.tmforum.org/plugin.greeting": "text: good morning",
        });
    });
    stage.apply(&greeted).await?;
    stage.until_ready("greeted").await?;
    assert_eq!(stage.traffic("shop.greeted"), THREE);
    assert!(
        stage
            .policy("shop.greeted")
            .await?
            .contains("<value>good morning</value>")
    );

    let block = |text: &str| json!({"spec": {"greeting": {"enabled": "true", "text": text}}});
    stage
        .patch(
            "shop",
            "greeted",
            &annotations(&[("plugin.greeting", None)]),
        )
        .await?;
    stage.patch("shop", "greeted", &block("moin")).await?;
    stage
        .until_called("PUT", "/apis/shop.greeted/policies/policy", 2)
        .await?;
    stage
        .until("greeted", "ready with the block's text", |status| {
            status["implementation"]["ready"] == true
        })
        .await?;
    stage.settled().await?;
    assert!(
        stage
            .policy("shop.greeted")
            .await?
            .contains("<value>moin</value>")
    );
    let status = stage.status("greeted").await?;
    assert_eq!(status["pluginNames"], "cors, greeting");
    assert!(
        stage.traffic("shop.greeted")[3..]
            .iter()
            .all(|call| call == "policy 200")
    );
    let before = stage.traffic("shop.greeted");

    stage.patch("shop", "greeted", &block("panic")).await?;
    let status = stage
        .until_reason("greeted", "PolicyRendered", "PluginTrap")
        .await?;
    let said = message(&status, "PolicyRendered");
    assert!(
        said.contains("greeting/src/lib.rs:") && said.contains("asked to panic"),
        "{said}"
    );

    stage
        .patch(
            "shop",
            "greeted",
            &json!({"spec": {"greeting": {"enabled": "perhaps"}}}),
        )
        .await?;
    let status = stage
        .until_reason("greeted", "Ready", "InvalidSpec")
        .await?;
    let said = message(&status, "Ready");
    assert!(
        said.contains("spec.greeting") && said.contains("perhaps"),
        "{said}"
    );
    assert_eq!(stage.traffic("shop.greeted"), before);
    assert!(
        stage
            .policy("shop.greeted")
            .await?
            .contains("<value>moin</value>")
    );
    Ok(())
}

/// Not even one that would where it is tried by backtracking.
async fn no_pattern_takes_for_ever(stage: &Stage) -> Result<()> {
    let text = format!("text: {}!", "a".repeat(5000));
    let mut evil = using("with-pattern", "pattern");
    evil["metadata"]["annotations"]["apim.oda.tmforum.org/plugin.pattern"] = text.into();
    stage.apply(&evil).await?;
    let status = stage
        .until_reason("with-pattern", "Ready", "InvalidAnnotation")
        .await?;
    let said = message(&status, "Ready");
    assert!(said.contains("/text"), "{said}");
    Ok(())
}
