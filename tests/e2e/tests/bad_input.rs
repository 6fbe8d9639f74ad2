//! Input that is wrong or hostile: it is told where the mistake is, what was
//! published stays, and nobody else waits.
#![forbid(unsafe_code)]

use anyhow::Result;
use e2e::{Documents, Stage, document, exposed_api};
use serde_json::{Value, json};

/// A mistake in an object that is published.
struct Mistake {
    name: &'static str,
    patch: Value,
    reason: &'static str,
    /// What the message must hold.
    says: &'static [&'static str],
}

fn annotation(key: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{key}"): value}}})
}

fn mistakes(documents: &str) -> Vec<Mistake> {
    let bombs = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
                 c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n\
                 e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n\
                 g: [*f, *f, *f, *f, *f, *f, *f, *f, *f]";
    let broken = "openapi: 3.0.1\ninfo:\n  title: [broken\npaths: {}\n";
    let mistake = |name, patch, reason, says| Mistake {
        name,
        patch,
        reason,
        says,
    };
    vec![
        mistake(
            "malformed-annotation",
            annotation("plugin.rate-limit", "calls: [1"),
            "InvalidAnnotation",
            &["apim.oda.tmforum.org/plugin.rate-limit", "line 1"],
        ),
        mistake(
            "wrong-type",
            annotation("plugin.rate-limit", "calls: many"),
            "InvalidAnnotation",
            &[
                "apim.oda.tmforum.org/plugin.rate-limit",
                "/calls: [rate-limit] expected a whole number, got the text `many`",
            ],
        ),
        mistake(
            "unknown-setting",
            annotation("plugin.rate-limit", "callz: 5"),
            "InvalidAnnotation",
            &["apim.oda.tmforum.org/plugin.rate-limit", "callz"],
        ),
        mistake(
            "unknown-plugin",
            annotation("plugins", "cors, rate-limitt"),
            "PluginNotFound",
            &[
                "apim.oda.tmforum.org/plugins",
                "rate-limitt",
                "`rate-limit`",
            ],
        ),
        mistake(
            "unknown-annotation",
            annotation("plugns", "cors"),
            "InvalidAnnotation",
            &["plugns", "`plugins`"],
        ),
        mistake(
            "cyclic-anchors",
            annotation("plugin.rate-limit", "a: &a [*a]"),
            "InvalidAnnotation",
            &["plugin.rate-limit"],
        ),
        mistake(
            "anchor-bomb",
            annotation("plugin.rate-limit", bombs),
            "InvalidAnnotation",
            &["plugin.rate-limit"],
        ),
        mistake(
            "bad-path",
            json!({"spec": {"path": "no/slash?x=1"}}),
            "InvalidSpec",
            &["spec.path", "no/slash?x=1"],
        ),
        mistake(
            "bad-port",
            json!({"spec": {"port": 70000}}),
            "InvalidSpec",
            &["spec.port", "70000", "65535"],
        ),
        mistake(
            "broken-document",
            json!({"spec": {"specification": broken}}),
            "InvalidDocument",
            &["spec.specification", "line 4", "column"],
        ),
        mistake(
            "large-document",
            json!({"spec": {"specification": {"url": format!("{documents}/large.json")}}}),
            "DocumentUnavailable",
            &[
                "spec.specification",
                "/large.json",
                "is larger than 10485760 bytes",
            ],
        ),
        mistake(
            "many-origins",
            json!({"spec": {"CORS": {"enabled": true, "allowOrigins": vec!["a"; 250_000]}}}),
            "InvalidSpec",
            &["CORS"],
        ),
    ]
}

fn ready(status: &Value) -> &Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == "Ready")
        .unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_is_told_where_it_is_and_what_was_published_stays() -> Result<()> {
    let documents = Documents::start().await?;
    // Valid, but more than is fetched, and more than is imported.
    for (name, size) in [("large", 10 << 20), ("heavy", 5 << 20)] {
        let mut document = document(name, &["get"]);
        document["info"]["description"] = "x".repeat(size).into();
        documents.serve(&format!("/{name}.json"), Some(document.to_string()));
    }
    let instance = json!({"specification": {"fetch": "Operator", "allowPrivate": ["127.0.0.1"]}});
    let Some(stage) = Stage::builder()
        .instance(instance)
        .start("a_mistake_is_told")
        .await
    else {
        return Ok(());
    };

    let mistakes = mistakes(&documents.url(""));
    for mistake in &mistakes {
        stage.apply(&exposed_api(mistake.name, |_| ())).await?;
    }
    for mistake in &mistakes {
        stage.until_ready(mistake.name).await?;
    }
    stage.azure.clear_journal();
    for mistake in &mistakes {
        stage.patch("shop", mistake.name, &mistake.patch).await?;
    }
    stage.apply(&exposed_api("neighbour", |_| ())).await?;
    stage.until_ready("neighbour").await?;
    let mut wrong = Vec::new();
    for mistake in &mistakes {
        let status = stage
            .until(mistake.name, "not ready for a reason", |status| {
                ready(status)["status"] == "False"
                    && status["observedGeneration"].as_i64() >= Some(2)
                    || ready(status)["reason"] == mistake.reason
            })
            .await?;
        let said = ready(&status);
        let message = said["message"].as_str().unwrap_or_default();
        let missing: Vec<_> = mistake
            .says
            .iter()
            .filter(|text| !message.contains(**text))
            .collect();
        if said["reason"] == mistake.reason && missing.is_empty() {
            stage
                .until_event(mistake.name, &format!("Warning {}: ", mistake.reason))
                .await?;
        } else {
            wrong.push(format!(
                "{}: {} without {missing:?}: {message}",
                mistake.name, said["reason"]
            ));
        }
        // What is published stays, with its address.
        assert!(
            status["apiStatus"]["url"].is_string(),
            "{}: {status}",
            mistake.name
        );
        assert_eq!(stage.traffic(&format!("shop.{}", mistake.name)), [""; 0]);
        assert!(
            stage
                .api(&format!("shop.{}", mistake.name))
                .await?
                .is_some()
        );
    }
    assert_eq!(wrong, [""; 0]);

    // More than API Management takes inline, it fetches itself.
    let heavy = exposed_api("heavy", |object| {
        object["spec"]["specification"] = json!({"url": documents.url("/heavy.json")});
    });
    stage.apply(&heavy).await?;
    let status = stage.until_ready("heavy").await?;
    assert_eq!(
        stage.traffic("shop.heavy"),
        ["create 201", "policy 201", "import 200"]
    );
    let warning = status["warnings"][0].as_str().unwrap_or_default();
    assert!(
        warning.starts_with("spec.specification: has ")
            && warning.contains("at most 4194304 inline"),
        "{warning}"
    );

    // Put right, all are ready again, and nothing had to be written.
    for mistake in &mistakes {
        let good = exposed_api(mistake.name, |_| ());
        let mut repair = json!({"spec": good["spec"], "metadata": {"annotations": null}});
        repair["spec"]["CORS"] = Value::Null;
        stage.patch("shop", mistake.name, &repair).await?;
        stage.until_ready(mistake.name).await?;
        assert_eq!(
            stage.traffic(&format!("shop.{}", mistake.name)),
            [""; 0],
            "{}",
            mistake.name
        );
    }
    Ok(())
}
