//! `render` of what is good.

use std::fmt::Write as _;

use serde_json::Value;

use crate::program::{Files, INSTANCE, exposed_api, run, run_with, workspace};

/// The shipped examples of one kind.
fn examples(kind: &str) -> Vec<String> {
    let folder = workspace().join("deploy/examples");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(kind))
        .map(|name| format!("deploy/examples/{name}"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

const NO_INSTANCE: &str = "note: no --instance; this is what an example instance (tier Developer, gateway \
                           https://example.azure-api.net) would publish, which lets owners do everything; a real one allows less\n";

#[test]
fn every_example_renders_with_the_example_instance_and_with_each_shipped_one() {
    for file in examples("exposedapi") {
        let mut all = String::new();
        let policy = run(["render", "-f", &file, "-o", "policy"]).fine();
        assert!(
            policy.stderr.starts_with(NO_INSTANCE),
            "{file}: {}",
            policy.stderr
        );
        writeln!(all, "=== without --instance\n{}", policy.stdout).unwrap();
        for instance in examples("instance") {
            let policy = run([
                "render",
                "-f",
                &file,
                "-o",
                "policy",
                "--instance",
                &instance,
            ])
            .fine();
            assert!(
                !policy.stderr.contains("note: no --instance"),
                "{file}: {}",
                policy.stderr
            );
            writeln!(all, "=== {instance}\n{}", policy.stdout).unwrap();
        }
        let name = file
            .trim_start_matches("deploy/examples/")
            .trim_end_matches(".yaml")
            .to_owned();
        insta::assert_snapshot!(name, all);
    }
}

const NAMES_PROFILES: &str = "\
apiVersion: oda.tmforum.org/v1
kind: ExposedAPI
metadata:
  name: orders
  namespace: shop
  annotations:
    apim.oda.tmforum.org/plugins: \"\"
    apim.oda.tmforum.org/profiles: calls-10, gold
spec: {apiType: openapi, path: /orders, implementation: orders, port: 8080}
---
apiVersion: apim.oda.tmforum.org/v1alpha1
kind: PolicyProfile
metadata: {name: gold, namespace: shop}
spec:
  plugins: [{name: headers, config: {response: {set: {X-Tier: gold}}}}]
";

#[test]
fn profiles_beside_the_objects_are_part_of_what_is_rendered() {
    let files = Files::new(&[
        ("api.yaml", NAMES_PROFILES),
        (
            "wrong.yaml",
            "apiVersion: apim.oda.tmforum.org/v1alpha1\nkind: PolicyProfile\nmetadata: {name: gold}\nspec: {plugin: []}\n",
        ),
    ]);
    let (api, wrong) = (files.path("api.yaml"), files.path("wrong.yaml"));
    let shipped = "deploy/profiles.yaml";
    let policy = run(["render", "-f", &api, "-f", shipped, "-o", "policy"]).fine();
    assert!(policy.stderr.starts_with(NO_INSTANCE), "{}", policy.stderr);
    assert!(
        policy.stdout.contains(r#"calls="10" renewal-period="60""#),
        "{}",
        policy.stdout
    );
    assert!(
        policy.stdout.contains("<value>gold</value>"),
        "{}",
        policy.stdout
    );
    let without = run(["render", "-f", &api, "-o", "policy"]);
    assert_eq!(without.code, 1);
    assert!(
        without
            .stderr
            .contains("no ClusterPolicyProfile of that name"),
        "{}",
        without.stderr
    );
    let wrong = run(["render", "-f", &api, "-f", &wrong, "-o", "policy"]);
    assert!(
        wrong.stderr.contains("spec.plugin: unknown field `plugin`"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_document_in_a_config_map_is_read_from_the_file_beside_its_api() {
    let file = "deploy/examples/documents/config-map.yaml";
    let shown = run(["render", "-f", file, "-o", "json"]).fine();
    let desired: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let document = &desired["api"]["document"];
    assert_eq!(document["operations"][0]["operationId"], "listItems");
    let from = serde_json::json!({
        "kind": "from", "configMap": {"name": "stock-api", "key": "openapi.yaml"},
    });
    assert_eq!(document["origin"], from);
}

#[test]
fn each_way_in_of_the_shipped_profiles_renders() {
    let shipped = "deploy/examples/profiles/callers.yaml";
    let ways = [
        ("partner-jwt", "<validate-jwt"),
        ("partner-oauth2", "<claim name=\"scope\""),
        ("partner-basic", "{{shop.partner-basic.password}}"),
        ("partner-key", "{{shop.partner-key.next}}"),
        ("partner-certificate", "<validate-client-certificate"),
        ("gold", "<quota-by-key"),
    ];
    let api = NAMES_PROFILES.split("---").next().unwrap_or_default();
    let apis = ways.map(|(profile, _)| {
        let api = api.replace("calls-10, gold", profile);
        api.replace("name: orders", &format!("name: {profile}"))
    });
    let files = Files::new(&[("apis.yaml", &apis.join("---\n"))]);
    let apis = files.path("apis.yaml");
    let all = run(["render", "-f", &apis, "-f", shipped, "-o", "json"]).fine();
    let all: Vec<serde_json::Value> = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!(all.len(), ways.len());
    for (desired, (profile, sign)) in all.iter().zip(ways) {
        let policy = desired["policy"]["api"]["text"].as_str();
        assert!(
            policy.unwrap_or_default().contains(sign),
            "{profile}: {desired}"
        );
    }
}

#[test]
fn yaml_and_json_hold_the_same_desired_state() {
    for file in examples("exposedapi") {
        let yaml = run(["render", "--instance", INSTANCE, "-f", &file])
            .fine()
            .stdout;
        let json = run(["render", "--instance", INSTANCE, "-f", &file, "-o", "json"])
            .fine()
            .stdout;
        let yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(yaml, json, "{file}");
    }
}

#[test]
fn the_whole_desired_state_is_shown() {
    let file = "deploy/examples/exposedapi-custom-chain.yaml";
    let json = run(["render", "--instance", INSTANCE, "-f", file, "-o", "json"])
        .fine()
        .stdout;
    let mut state: Value = serde_json::from_str(&json).unwrap();
    // They change with every build of a plugin; the rest may not.
    for plugin in state["policy"]["plugins"].as_array_mut().unwrap() {
        assert!(plugin["digest"].as_str().unwrap().starts_with("sha256:"));
        plugin["digest"] = "sha256:…".into();
    }
    assert_eq!(state["hash"].as_str().unwrap().len(), 64);
    state["hash"] = "…".into();
    insta::assert_snapshot!(serde_saphyr::to_string(&state).unwrap());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let once = || {
        run([
            "render",
            "--instance",
            INSTANCE,
            "-f",
            "deploy/examples/exposedapi-tmf620.yaml",
        ])
        .fine()
        .stdout
    };
    assert_eq!(once(), once());
}

#[test]
fn several_policies_are_separated_by_the_objects_names() {
    let two = [exposed_api("orders", "", ""), exposed_api("stock", "", "")].join("---\n");
    let files = Files::new(&[
        ("two.yaml", &two),
        ("third.yaml", &exposed_api("bills", "", "")),
    ]);
    let args = ["render", "--instance", INSTANCE, "-o", "policy"];
    let both = [
        "-f",
        &files.path("two.yaml"),
        "-f",
        &files.path("third.yaml"),
    ];
    let printed = run(args.iter().chain(&both)).fine().stdout;
    let titles: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("<!--"))
        .collect();
    assert_eq!(
        titles,
        [
            "<!-- shop/orders -->",
            "<!-- shop/stock -->",
            "<!-- shop/bills -->"
        ]
    );
    let alone = run(args.iter().chain(&["-f", &files.path("third.yaml")]))
        .fine()
        .stdout;
    assert!(!alone.contains("<!--"), "{alone}");
    assert!(printed.ends_with(&alone));
}

#[test]
fn an_object_without_a_policy_prints_nothing_and_is_no_error() {
    let metrics = "deploy/examples/exposedapi-metrics.yaml";
    let printed = run([
        "render",
        "--instance",
        INSTANCE,
        "-o",
        "policy",
        "-f",
        metrics,
    ])
    .fine();
    assert_eq!((printed.stdout.as_str(), printed.stderr.as_str()), ("", ""));
    let state = run([
        "render",
        "--instance",
        INSTANCE,
        "-o",
        "json",
        "-f",
        metrics,
    ])
    .fine();
    let state: Value = serde_json::from_str(&state.stdout).unwrap();
    assert_eq!(
        state["exposure"]["url"],
        "http://r1-metrics.components.svc:4000/metrics"
    );
    assert_eq!(
        (&state["api"], &state["policy"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn stdin_is_read_like_a_file() {
    let file = "deploy/examples/exposedapi-original-dialect.yaml";
    let text = std::fs::read_to_string(workspace().join(file)).unwrap();
    let args = ["render", "--instance", INSTANCE, "-f"];
    let piped = run_with(args.iter().chain(&["-"]), &text, &[]).fine();
    assert_eq!(piped.stdout, run(args.iter().chain(&[file])).fine().stdout);
    assert_eq!(
        run_with(args.iter().chain(&["-"]), "{", &[])
            .refused()
            .split(':')
            .next(),
        Some("stdin")
    );
}

#[test]
fn a_list_as_kubectl_prints_it_is_read_object_by_object() {
    let item = |name: &str| {
        let object: Value = serde_saphyr::from_str(&exposed_api(name, "", "")).unwrap();
        object
    };
    let service =
        serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}});
    for kind in ["List", "ExposedAPIList"] {
        let list = serde_json::json!({"apiVersion": "v1", "kind": kind, "items": [item("orders"), service, item("stock")]});
        let printed = run_with(
            ["render", "--instance", INSTANCE, "-o", "json", "-f", "-"],
            &list.to_string(),
            &[],
        )
        .fine();
        let state: Value = serde_json::from_str(&printed.stdout).unwrap();
        let names: Vec<&Value> = state
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["key"]["name"])
            .collect();
        assert_eq!(names, ["orders", "stock"]);
        assert!(
            printed
                .stderr
                .contains("stdin:2: skipped: its kind is Service, not ExposedAPI\n"),
            "{}",
            printed.stderr
        );
    }
}

#[test]
fn a_document_by_url_is_not_fetched_and_its_hash_covers_the_url() {
    let render = |url: &str| {
        let object = exposed_api(
            "catalog",
            "",
            &format!("  specification: {{url: \"{url}\"}}\n"),
        );
        let args = ["render", "--instance", INSTANCE, "-o", "json", "-f", "-"];
        let printed = run_with(args, &object, &[]).fine();
        let note =
            format!("stdin:1: note: {url} is not fetched here: its operations are unknown\n");
        assert_eq!(printed.stderr, note);
        let state: Value = serde_json::from_str(&printed.stdout).unwrap();
        assert_eq!(state["api"]["document"]["operations"], Value::Null);
        [&state["api"]["document"]["hash"], &state["hash"]]
            .map(|hash| hash.as_str().unwrap().to_owned())
    };
    let (one, other) = (
        render("https://specs.example.com/1.json"),
        render("https://specs.example.com/2.json"),
    );
    assert_eq!(one, render("https://specs.example.com/1.json"));
    assert_ne!(one[0], other[0]);
    assert_ne!(one[1], other[1]);
}

#[test]
fn the_backend_url_is_the_callers() {
    let args = [
        "render",
        "--instance",
        INSTANCE,
        "-o",
        "json",
        "-f",
        "deploy/examples/exposedapi.yaml",
    ];
    let service_url = |more: &[&str]| {
        let state: Value =
            serde_json::from_str(&run(args.iter().chain(more)).fine().stdout).unwrap();
        state["api"]["serviceUrl"].as_str().unwrap().to_owned()
    };
    assert_eq!(service_url(&[]), "https://backend.invalid/orders");
    assert_eq!(
        service_url(&["--backend-url", "http://10.0.0.7:8080/"]),
        "http://10.0.0.7:8080/orders"
    );
}

#[test]
fn warnings_go_to_stderr_and_are_no_failure() {
    let printed = run([
        "render",
        "--instance",
        INSTANCE,
        "-o",
        "policy",
        "-f",
        "deploy/examples/exposedapi.yaml",
    ])
    .fine();
    insta::assert_snapshot!(printed.stderr, @r"deploy/examples/exposedapi.yaml:1: warning: spec.specification: is missing: one operation for each of GET, POST, PUT, PATCH, DELETE and HEAD on `/*` was generated instead");
}
