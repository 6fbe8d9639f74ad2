//! `render` of what is not good: what is wrong, where, and the way out.

use std::fmt::Write as _;

use crate::program::{Files, INSTANCE, built_in, exposed_api, run, workspace};

#[test]
fn every_problem_of_every_document_is_listed_with_its_place() {
    let documents = [
        exposed_api(
            "one",
            "apim.oda.tmforum.org/paused: 'yes', apim.oda.tmforum.org/plugns: cors",
            "",
        ),
        exposed_api("two", "", ""),
        exposed_api("three", "", "  rateLimit: {enabled: maybe}\n").replace("8080", "99999"),
    ];
    let more = exposed_api(
        "four",
        "apim.oda.tmforum.org/plugins: 'cors, rate-limt'",
        "",
    );
    let files = Files::new(&[
        ("three.yaml", &documents.join("---\n")),
        ("more.yaml", &more),
    ]);
    let args = ["render", "--instance", INSTANCE, "-o", "policy"];
    let both = [
        "-f",
        &files.path("three.yaml"),
        "-f",
        &files.path("more.yaml"),
    ];
    let ended = run(args.iter().chain(&both));
    assert_eq!(ended.code, 1, "{ended:#?}");
    // What is good is printed.
    assert!(ended.stdout.starts_with("<policies>"), "{ended:#?}");
    let loaded: Vec<String> = built_in().iter().map(|name| format!("`{name}`")).collect();
    let told = files
        .strip(&ended.stderr)
        .replace(&loaded.join(", "), "(all of them)");
    insta::assert_snapshot!(told, @r#"
    three.yaml:1: metadata.annotations[apim.oda.tmforum.org/paused]: expected `"true"` or `"false"`, got `yes`
    three.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugns]: `plugns` is not a key of apim-operator; did you mean `plugins`?
    three.yaml:2: warning: spec.specification: is missing: one operation for each of GET, POST, PUT, PATCH, DELETE and HEAD on `/*` was generated instead
    three.yaml:3: spec.port: expected a port from 1 to 65535, got `99999`
    three.yaml:3: spec.rateLimit.enabled: [rate-limit] expected true or false, found "maybe"
    more.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugins]: [rate-limt] there is no plugin `rate-limt`; did you mean `rate-limit`; loaded are (all of them)
    "#);
}

#[test]
fn config_that_fails_the_schema_has_plugin_and_pointer() {
    let config = r#"apim.oda.tmforum.org/plugin.rate-limit: "{calls: many, key: '', windw: 60}""#;
    let files = Files::new(&[("api.yaml", &exposed_api("api", config, ""))]);
    insta::assert_snapshot!(files.refused("api.yaml"), @r"
    api.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugin.rate-limit] /calls: [rate-limit] expected a whole number, got the text `many`
    api.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugin.rate-limit] /key: [rate-limit] expected at least 1 character, got the text ``
    api.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugin.rate-limit]: [rate-limit] unknown field `windw`; the fields are `calls`, `renewalPeriod`, `key`, `retryAfterHeader`, `remainingCallsHeader`, `totalCallsHeader`
    ");
}

#[test]
fn what_a_plugin_refuses_has_plugin_and_pointer() {
    let config = r#"apim.oda.tmforum.org/plugin.rate-limit: "{calls: 0, renewalPeriod: 900}""#;
    let files = Files::new(&[("api.yaml", &exposed_api("api", config, ""))]);
    insta::assert_snapshot!(files.refused("api.yaml"), @r"
    api.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugin.rate-limit] /calls: [rate-limit] calls must be from 1 to 2147483647, and is 0; to allow any number, leave the plugin out
    api.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugin.rate-limit] /renewalPeriod: [rate-limit] renewalPeriod must be from 1 to 300 seconds, the longest period that API Management counts over, and is 900
    ");
}

#[test]
fn yaml_that_does_not_parse_has_line_and_column() {
    let files = Files::new(&[
        ("flow.yaml", "kind: ExposedAPI\nmetadata: {name: a\nspec:\n"),
        (
            "twice.yaml",
            "kind: ExposedAPI\nspec:\n  port: 80\n  port: 81\n",
        ),
        ("half.json", "{\"kind\": \"ExposedAPI\",\n \"spec\": {"),
        ("tab.yaml", "kind: ExposedAPI\nspec:\n\tport: 80\n"),
    ]);
    insta::assert_snapshot!(files.refused("flow.yaml"), @r"flow.yaml: line 3, column 5: while parsing a flow mapping, did not find expected ',' or '}'");
    insta::assert_snapshot!(files.refused("twice.yaml"), @r"twice.yaml: line 4, column 3: the key `port` is there twice; keep one");
    insta::assert_snapshot!(files.refused("half.json"), @r"half.json: line 2, column 10: unclosed bracket '{'");
    insta::assert_snapshot!(files.refused("tab.yaml"), @r"tab.yaml: line 3, column 2: tabs disallowed within this context (block indentation)");
}

#[test]
fn a_file_that_cannot_be_read_hides_nothing_of_the_others() {
    let bad = exposed_api("api", "", "").replace("8080", "0");
    let files = Files::new(&[("broken.yaml", "{"), ("bad.yaml", &bad)]);
    let paths = ["missing.yaml", "broken.yaml", "bad.yaml"].map(|name| files.path(name));
    let args = paths.iter().flat_map(|path| ["-f", path]);
    let ended = run(["render", "--instance", INSTANCE, "-o", "policy"]
        .into_iter()
        .chain(args));
    insta::assert_snapshot!(files.strip(&ended.refused()), @r"
    missing.yaml: No such file or directory (os error 2)
    broken.yaml: line 1, column 1: unclosed bracket '{'
    bad.yaml:1: spec.port: expected a port from 1 to 65535, got `0`
    ");
}

#[test]
fn anchors_that_go_round_or_explode_are_refused() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='i').zip('a'..) {
        let aliases = vec![format!("*{before}"); 10].join(", ");
        writeln!(bomb, "{name}: &{name} [{aliases}]").unwrap();
    }
    let files = Files::new(&[
        ("cycle.yaml", "kind: ExposedAPI\nspec: &s\n  CORS: *s\n"),
        ("bomb.yaml", &bomb),
    ]);
    insta::assert_snapshot!(files.refused("cycle.yaml"), @r"cycle.yaml: line 3, column 9: an anchor holds itself; write the value out");
    insta::assert_snapshot!(files.refused("bomb.yaml"), @r"bomb.yaml: line 6, column 36: it holds too many values, or its anchors make too many; split the file, or write the values out");
}

#[test]
fn large_and_hostile_objects_are_refused() {
    let lines = (0..10_500).map(|i| {
        format!(
            "      /p{i}: {{get: {{description: {}}}}}\n",
            "x".repeat(1000)
        )
    });
    let document = lines.collect::<String>();
    let large = format!(
        "  specification: |\n    openapi: 3.0.1\n    info: {{title: t, version: '1'}}\n    paths:\n{document}"
    );
    let origins = (0..1_000_000)
        .map(|i| format!("h{i}.example.com"))
        .collect::<Vec<_>>()
        .join(", ");
    let origins = format!("  CORS: {{enabled: true, allowOrigins: [{origins}]}}\n");
    let deep = format!("  CORS: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    let files = Files::new(&[
        ("large.yaml", &exposed_api("api", "", &large)),
        ("origins.yaml", &exposed_api("api", "", &origins)),
        ("deep.yaml", &exposed_api("api", "", &deep)),
    ]);
    insta::assert_snapshot!(files.refused("large.yaml"), @r"large.yaml:1: spec.specification: the OpenAPI document has 10845942 bytes, and the operator reads at most 10485760; split the API, or let API Management fetch it by its URL (`specification.fetch: Link` in the ApimInstance)");
    insta::assert_snapshot!(files.refused("origins.yaml"), @r"origins.yaml:1: spec.CORS: [cors] plugin `cors` could not read it: PluginInputTooLarge: the plugin's request has 21888955 bytes, and 8388608 are allowed");
    insta::assert_snapshot!(files.refused("deep.yaml"), @r"deep.yaml: line 12, column 137: it is nested too deeply");
}

#[test]
fn a_name_of_253_characters_makes_names_that_azure_and_kubernetes_take() {
    let long = "a".repeat(253);
    let object = exposed_api("api", "", "").replace("name: api", &format!("name: {long}"));
    let files = Files::new(&[("long.yaml", &object)]);
    let ended = run([
        "render",
        "--instance",
        INSTANCE,
        "-o",
        "json",
        "-f",
        &files.path("long.yaml"),
    ])
    .fine();
    let state: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(state["key"]["name"], long);
    assert!(state["exposure"]["name"].as_str().unwrap().len() <= 253);
    assert!(state["api"]["id"].as_str().unwrap().len() <= 256);
}

#[test]
fn an_openapi_document_that_does_not_parse_has_line_and_column() {
    let spec = "  specification: |\n    openapi: 3.0.1\n    info: {title: t, version: '1'\n    paths: {}\n";
    let files = Files::new(&[("api.yaml", &exposed_api("api", "", spec))]);
    insta::assert_snapshot!(files.refused("api.yaml"), @r"api.yaml:1: spec.specification: the OpenAPI document is not valid YAML: line 3, column 1: while parsing a flow mapping, did not find expected ',' or '}'");
}

#[test]
fn what_is_no_exposed_api_is_skipped_and_nothing_else_is_a_problem() {
    let others = "kind: Service\n---\nkind: ExposedAPI\napiVersion: example.com/v1\n---\nhello\n---\nspec: {}\n---\n";
    let files = Files::new(&[("others.yaml", others), ("empty.yaml", "")]);
    insta::assert_snapshot!(files.refused("others.yaml"), @r"
    others.yaml:1: skipped: its kind is Service, not ExposedAPI
    others.yaml:2: skipped: its apiVersion is `example.com/v1`, not oda.tmforum.org/v1
    others.yaml:3: skipped: it is no Kubernetes object
    others.yaml:4: skipped: it has no kind
    apim-operator: there is no ExposedAPI in what was given
    ");
    insta::assert_snapshot!(files.refused("empty.yaml"), @r"apim-operator: there is no ExposedAPI in what was given");
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let files = Files::new(&[]);
    std::fs::write(files.path("utf16.yaml"), [0xff, 0xfe, b'k', 0]).unwrap();
    insta::assert_snapshot!(files.refused("utf16.yaml"), @r"utf16.yaml: it is not UTF-8 text: byte 0 is part of no character");
}

#[test]
fn an_object_without_a_name_or_spec_says_so() {
    let files = Files::new(&[
        (
            "nameless.yaml",
            &exposed_api("api", "", "").replace("  name: api\n", ""),
        ),
        (
            "empty.yaml",
            "apiVersion: oda.tmforum.org/v1\nkind: ExposedAPI\nmetadata: {name: api}\n",
        ),
    ]);
    insta::assert_snapshot!(files.refused("nameless.yaml"), @r"nameless.yaml:1: metadata.name: is missing; give the object a name");
    insta::assert_snapshot!(files.refused("empty.yaml"), @r"
    empty.yaml:1: spec: expected an object, got nothing
    empty.yaml:1: spec.implementation: is missing; write the name of the Service, or `<external>`
    empty.yaml:1: spec.path: is missing; write the path below which the API is reached, such as `/catalog/v4`
    empty.yaml:1: spec.port: is missing; write the port of the Service, 1 to 65535
    ");
}

#[test]
fn an_instance_that_is_none_is_refused() {
    let good = std::fs::read_to_string(workspace().join(INSTANCE)).unwrap();
    let files = Files::new(&[
        ("two.yaml", &format!("{good}---\n{good}")),
        (
            "field.yaml",
            &good.replace("resourceGroup:", "resourceGrup:"),
        ),
        (
            "type.yaml",
            &good.replace("ingressClass: istio", "ingressClass: [istio]"),
        ),
        (
            "plugin.yaml",
            &format!(
                "{good}  plugins:\n    - {{name: Rate_Limit, when: Always}}\n    - {{name: cors, when: Sometimes}}\n"
            ),
        ),
    ]);
    let refused = |instance: &str| {
        let args = [
            "render",
            "-f",
            "deploy/examples/exposedapi.yaml",
            "--instance",
            instance,
        ];
        files.strip(&run(args).refused())
    };
    insta::assert_snapshot!(refused(&files.path("two.yaml")), @r"apim-operator: two.yaml: one ApimInstance is wanted, and there are 2 documents");
    insta::assert_snapshot!(refused(&files.path("field.yaml")), @r"apim-operator: field.yaml:1: spec.resourceGrup: unknown field `resourceGrup`, expected one of `subscriptionId`, `resourceGroup`, `serviceName`, `tenantId`, `clientId`, `credentials`, `cloud`, `apiIdPrefix`, `oidcProviderId`, `protocols`, `plugins`, `diagnostics`, `rollout`, `oauth2Servers`, `exposure`, `specification`, `namespaceSelector`, `pathOwnership`, `ownerMay`, `allow`, `grants`");
    insta::assert_snapshot!(refused(&files.path("type.yaml")), @r"apim-operator: type.yaml:1: spec.exposure.ingressClass: invalid type: sequence, expected a string");
    insta::assert_snapshot!(refused(&files.path("plugin.yaml")), @r"apim-operator: plugin.yaml:1: spec.plugins[1].when: unknown variant `Sometimes`, expected one of `Always`, `UnlessDisabled`, `WhenEnabled`");
    insta::assert_snapshot!(refused(&files.path("missing.yaml")), @r"apim-operator: missing.yaml: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused("deploy/examples/exposedapi.yaml"), @r"apim-operator: deploy/examples/exposedapi.yaml:1: an ApimInstance is wanted, and its kind is ExposedAPI");
}

#[test]
fn an_annotation_that_is_no_text_is_refused_as_a_cluster_would() {
    let annotations = "apim.oda.tmforum.org/plugins: [cors], apim.oda.tmforum.org/paused: true";
    let files = Files::new(&[("api.yaml", &exposed_api("api", annotations, ""))]);
    insta::assert_snapshot!(files.refused("api.yaml"), @r"
    api.yaml:1: metadata.annotations[apim.oda.tmforum.org/plugins]: is a list, and must be text: put quotes around it, or `|` after the colon and the value below
    api.yaml:1: metadata.annotations[apim.oda.tmforum.org/paused]: is a boolean, and must be text: put quotes around it, or `|` after the colon and the value below
    ");
}
