//! What is planned is what is sent, and what is left behind is found.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use apim_simulator::{CallKind, FaultSpec, JournalEntry};
use e2e::{Definition, Stage, document, exposed_api};
use serde_json::{Value, json};

fn annotation(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

/// A plan of one file, which must write nothing.
async fn planned(stage: &Stage, object: &Value, output: &str) -> (i32, String, String) {
    let file = stage.dir().join("planned.yaml");
    std::fs::write(&file, object.to_string()).unwrap();
    let before = stage.journal().len();
    let file = file.display().to_string();
    let done = stage
        .cli(&["plan", "-f", &file, "-o", output])
        .await
        .unwrap();
    let calls = &stage.journal()[before..];
    // The operator itself may be connecting its instance meanwhile.
    let of_an_api = |call: &&JournalEntry| {
        matches!(call.kind, CallKind::Write | CallKind::Delete) && call.path.contains("/apis/")
    };
    assert_eq!(
        calls.iter().find(of_an_api).map(|call| &call.path),
        None,
        "a plan writes nothing"
    );
    done
}

/// The writes of a JSON plan, as the journal has them.
fn writes_of(plan: &str) -> Vec<String> {
    let plan: Value = serde_json::from_str(plan).unwrap();
    let azure = plan["objects"][0]["azure"].as_array().cloned();
    let line = |call: &Value| {
        let text = |field: &str| call[field].as_str().unwrap().to_owned();
        format!("{} {}", text("method"), text("resource"))
    };
    azure.unwrap_or_default().iter().map(line).collect()
}

fn line(call: &JournalEntry) -> String {
    let (_, rest) = call.path.split_once("/service/").unwrap();
    let (_, rest) = rest.split_once('/').unwrap();
    format!("{} {rest}", call.method)
}

fn is_write(call: &JournalEntry) -> bool {
    matches!(call.kind, CallKind::Write | CallKind::Delete)
}

fn sent(stage: &Stage, api: &str) -> Vec<String> {
    stage.entries(api).iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_what_is_sent() {
    let test = "what_is_planned_is_what_is_sent";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    let first = exposed_api("catalog", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/operation-plugins"] =
            json!("{postItem: {plugins: ip-filter, config: {ip-filter: {allow: [192.0.2.0/24]}}}}");
    });
    let mut second = first.clone();
    second["spec"]["path"] = json!("/goods");
    second["spec"]["rateLimit"]["limit"] = json!("50");
    second["spec"]["specification"] = json!(document("catalog", &["get", "put"]).to_string());
    second["metadata"]["annotations"] =
        json!({"apim.oda.tmforum.org/plugins": "jwt-entra, rate-limit"});

    // A new object.
    let (code, plan, said) = planned(&stage, &first, "json").await;
    assert_eq!(code, 3, "{plan}{said}");
    let (_, shown, _) = planned(&stage, &first, "text").await;
    assert!(
        shown.contains("+ Ingress apim-api-ingress-catalog"),
        "{shown}"
    );
    assert!(
        shown.contains("<address that the Ingress will get>/catalog"),
        "{shown}"
    );
    stage.apply(&first).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(sent(&stage, "shop.catalog"), writes_of(&plan));

    // Nothing to do.
    let (code, shown, said) = planned(&stage, &first, "text").await;
    assert_eq!((code, shown.as_str()), (0, "1 unchanged\n"), "{said}");

    // A change of everything.
    let (code, plan, said) = planned(&stage, &second, "json").await;
    assert_eq!(code, 3, "{plan}{said}");
    let (_, shown, _) = planned(&stage, &second, "text").await;
    for expected in [
        "shop/catalog (API shop.catalog in instance default): to change",
        "    ~ paths: /catalog → /goods, /catalog",
        "    ~ path: catalog → goods",
        "    + putitem  PUT /items",
        "    - postitem  POST /items  (and its policy)",
        "      rate-limit-by-key  [rate-limit]",
        "        ~ @calls: 100 → 50",
        "1 to change",
    ] {
        assert!(
            shown.contains(expected),
            "`{expected}` is missing in\n{shown}"
        );
    }
    stage.azure.clear_journal();
    stage.apply(&second).await.unwrap();
    stage
        .until("catalog", "changed and ready", |status| {
            status["implementation"]["ready"] == true && status["apim"]["path"] == "goods"
        })
        .await
        .unwrap();
    assert_eq!(sent(&stage, "shop.catalog"), writes_of(&plan));

    // All of the cluster, and of a namespace.
    let (code, shown, said) = stage.cli(&["plan", "--all"]).await.unwrap();
    assert_eq!((code, shown.as_str()), (0, "1 unchanged\n"), "{said}");
    let (code, shown, _) = stage.cli(&["plan", "--namespace", "office"]).await.unwrap();
    assert_eq!((code, shown.as_str()), (0, "no ExposedAPIs\n"));

    // One that would be refused.
    let mut bad = second.clone();
    bad["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = json!("jwt-entre");
    let (code, shown, _) = planned(&stage, &bad, "text").await;
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("did you mean `jwt-entra`"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_a_deletion_lists_all_that_goes_with_the_api() {
    let test = "the_plan_of_a_deletion_lists_all_that_goes_with_the_api";
    let builder = Stage::builder().instance(json!({
        "ownerMay": ["plugins", "tags", "wiki", "version-set", "version", "deletion-policy"],
        "exposure": {"way": "in-cluster", "circuitBreaker": {}},
    }));
    let Some(mut stage) = builder.start(test).await else {
        return;
    };
    let api = |name: &str, notes: &[(&str, &str)]| {
        exposed_api(name, |object| {
            let annotations = &mut object["metadata"]["annotations"];
            annotations["apim.oda.tmforum.org/plugins"] = "".into();
            for (key, value) in notes {
                annotations[format!("apim.oda.tmforum.org/{key}")] = (*value).into();
            }
        })
    };
    let notes = [
        ("tags", "alone, both"),
        ("wiki", "# Ask first"),
        ("version-set", "goods"),
        ("version", "v1"),
    ];
    stage.apply(&api("catalog", &notes)).await.unwrap();
    stage
        .apply(&api("stock", &[("tags", "both")]))
        .await
        .unwrap();
    stage
        .apply(&api(
            "kept",
            &[("deletion-policy", "Retain"), ("wiki", "Stays.")],
        ))
        .await
        .unwrap();
    for name in ["catalog", "stock", "kept"] {
        stage.until_ready(name).await.unwrap();
    }
    stage.kill_operator().unwrap();
    stage.delete("catalog").await.unwrap();
    stage.delete("kept").await.unwrap();

    let (code, plan, said) = stage
        .cli(&["plan", "-n", "shop", "-o", "json"])
        .await
        .unwrap();
    assert_eq!(code, 3, "{plan}{said}");
    let catalog = writes_of(&plan);
    let api = "apis/shop.catalog";
    assert_eq!(
        catalog,
        [
            &format!("DELETE {api}/tags/shop.alone"),
            "DELETE tags/shop.alone",
            &format!("DELETE {api}/tags/shop.both"),
            &format!("DELETE {api}"),
            "DELETE apiVersionSets/shop.goods",
            "DELETE documentations/shop.catalog",
            "DELETE backends/shop.catalog",
        ]
    );
    let parsed: Value = serde_json::from_str(&plan).unwrap();
    let kept = json!({"objects": [parsed["objects"][1]]}).to_string();
    let kept = writes_of(&kept);
    assert_eq!(
        kept,
        [
            "PATCH backends/shop.kept",
            "PATCH documentations/shop.kept",
            "PATCH apis/shop.kept"
        ]
    );

    stage.azure.clear_journal();
    stage.start_operator().await.unwrap();
    for name in ["catalog", "kept"] {
        stage.until_gone(name).await.unwrap();
    }
    let mut sent: Vec<String> = stage
        .journal()
        .iter()
        .filter(|call| is_write(call))
        .map(line)
        .collect();
    // Two objects at once: each in its order.
    let (of_kept, of_catalog): (Vec<String>, Vec<String>) =
        sent.drain(..).partition(|call| call.ends_with("shop.kept"));
    assert_eq!(of_catalog, catalog);
    assert_eq!(of_kept, kept);
    let left = stage.arm("GET", "/documentations/shop.kept", None).await;
    assert_eq!(left.unwrap().1["properties"]["content"], "Stays.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_definition_is_told_what_to_install() {
    let test = "a_cluster_without_the_definition_is_told_what_to_install";
    let builder = Stage::builder().definition(Definition::Missing);
    let Some(stage) = builder.without_operator().start(test).await else {
        return;
    };
    let (code, shown, said) = stage.cli(&["plan", "--all"]).await.unwrap();
    assert_eq!((code, shown.as_str()), (1, ""), "{said}");
    assert!(
        said.contains("exposedapis.oda.tmforum.org is not installed"),
        "{said}"
    );
    let mut written = stage.journal().into_iter();
    let written = written.find(|call| matches!(call.kind, CallKind::Write | CallKind::Delete));
    assert!(written.is_none(), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_object_keeps_its_plan_in_status() {
    let test = "a_paused_object_keeps_its_plan_in_status";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    stage.azure.clear_journal();
    let change = json!({
        "metadata": {"annotations": {"apim.oda.tmforum.org/paused": "true"}},
        "spec": {"rateLimit": {"limit": "50"}},
    });
    stage.patch("shop", "catalog", &change).await.unwrap();
    let status = stage
        .until("catalog", "planned", |status| {
            status["apim"]["plan"]["writes"] == 1
        })
        .await
        .unwrap();
    assert_eq!(
        status["apim"]["plan"],
        json!({"writes": 1, "changes": 1, "summary": "policy (1 difference)"})
    );
    assert_eq!(sent(&stage, "shop.catalog"), [""; 0]);
    stage
        .patch("shop", "catalog", &annotation("paused", &Value::Null))
        .await
        .unwrap();
    let status = stage
        .until("catalog", "ready without a plan", |status| {
            status["implementation"]["ready"] == true && status["apim"]["plan"] == Value::Null
        })
        .await
        .unwrap();
    assert_eq!(sent(&stage, "shop.catalog").len(), 1, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_listed_and_deleted_only_when_it_is_named() {
    let test = "an_orphan_is_listed_and_deleted_only_when_it_is_named";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    for name in ["kept", "left"] {
        stage.apply(&exposed_api(name, |_| ())).await.unwrap();
        stage.until_ready(name).await.unwrap();
    }
    let (code, shown, said) = stage.cli(&["orphans"]).await.unwrap();
    assert_eq!((code, shown.as_str()), (0, "no orphans\n"), "{said}");

    // A mark that could not be taken off.
    let down = FaultSpec {
        verb: Some("PATCH".into()),
        path: Some("/apis/shop\\.left\\?".into()),
        status: Some(400),
        ..FaultSpec::default()
    };
    stage.azure.fault(down).unwrap();
    stage
        .patch(
            "shop",
            "left",
            &annotation("deletion-policy", &json!("Retain")),
        )
        .await
        .unwrap();
    stage.delete("left").await.unwrap();
    stage.until_gone("left").await.unwrap();
    stage.azure.clear_faults();
    stage.azure.clear_journal();

    // A backend that a process which died did not come to delete.
    let cluster = stage.kubectl(&[
        "get",
        "namespace",
        "kube-system",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    let cluster = cluster.await.unwrap();
    let mark = |object: &str| format!("apim-operator/1 {} {object}", &cluster.trim()[..8]);
    for (id, owner) in [("shop-lost", "shop/lost"), ("shop-kept", "shop/kept")] {
        let backend = json!({"properties": {
            "url": "https://lost.example", "protocol": "http", "description": mark(owner),
        }});
        let path = format!("/backends/{id}");
        assert_eq!(
            stage.arm("PUT", &path, Some(&backend)).await.unwrap().0,
            201
        );
    }

    let (code, shown, said) = stage.cli(&["orphans"]).await.unwrap();
    assert_eq!(code, 3, "{shown}{said}");
    assert!(shown.contains("backends/shop-lost"), "{shown}");
    assert!(!shown.contains("shop-kept"), "{shown}");
    let delete = ["orphans", "--delete", "backends/shop-lost"];
    let (code, shown, said) = stage.cli(&delete).await.unwrap();
    let told = "deleted backends/shop-lost in instance default\n";
    assert_eq!((code, shown.as_str()), (0, told), "{said}");
    let gone = stage.arm("GET", "/backends/shop-lost", None).await.unwrap();
    assert_eq!(gone.0, 404);
    let (_, shown, _) = stage.cli(&["orphans"]).await.unwrap();
    assert!(
        shown.contains("shop.left") && shown.contains("shop/left"),
        "{shown}"
    );
    assert!(!shown.contains("shop.kept"), "{shown}");
    let (code, _, said) = stage
        .cli(&["orphans", "--delete", "shop.kept"])
        .await
        .unwrap();
    assert_eq!(code, 1);
    assert!(
        said.contains("`shop.kept` is no orphan of this cluster"),
        "{said}"
    );
    let (code, shown, said) = stage
        .cli(&["orphans", "--delete", "shop.left"])
        .await
        .unwrap();
    assert_eq!(
        (code, shown.as_str()),
        (0, "deleted shop.left in instance default\n"),
        "{said}"
    );
    assert_eq!(stage.api("shop.left").await.unwrap(), None);
    assert!(stage.api("shop.kept").await.unwrap().is_some());
}
