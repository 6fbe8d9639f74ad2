//! `apim-operator lint`.

use crate::program::{Files, run, run_with};

const DOCUMENT: &str = "\
openapi: 3.0.3
info: {title: Stock, version: 1.0}
paths:
  /items:
    get:
      # All of them.
      responses: {'200': {description: OK}}
";

#[test]
fn findings_are_told_with_file_line_and_column_and_mended_in_place() {
    let files = Files::new(&[("openapi.yaml", DOCUMENT)]);
    let path = files.path("openapi.yaml");
    let found = run(["lint", &path]).fine();
    insta::assert_snapshot!(files.strip(&found.stdout));
    assert_eq!(run(["lint", "--strict", &path]).code, 1);

    let fixed = run(["lint", "--fix", &path]).fine();
    assert!(fixed.stderr.ends_with("mended 2 places\n"), "{fixed:#?}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("# All of them.\n      operationId: get-items\n"),
        "{text}"
    );
    let again = run(["lint", "--strict", "--fix", &path]).fine();
    assert_eq!(
        (again.stdout.as_str(), again.stderr.as_str()),
        ("1 document: nothing to be told of\n", "")
    );
}

#[test]
fn a_document_from_stdin_is_mended_to_stdout() {
    let fixed = run_with(["lint", "--fix", "-"], DOCUMENT, &[]).fine();
    assert!(
        fixed.stdout.contains("operationId: get-items"),
        "{fixed:#?}"
    );
    assert!(fixed.stderr.contains("nothing to be told of"), "{fixed:#?}");
}

#[test]
fn an_error_is_exit_code_1_and_leaves_the_file_alone() {
    let broken = "openapi: 3.0.3\npaths: {/a/{id}: {get: {responses: {}}}}\n";
    let files = Files::new(&[("openapi.yaml", broken)]);
    let path = files.path("openapi.yaml");
    let found = run(["lint", "-o", "json", &path]);
    assert_eq!(found.code, 1, "{found:#?}");
    let list: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    let rules: Vec<&str> = list[0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["severity"].as_str().unwrap())
        .collect();
    assert!(rules.contains(&"error"), "{list}");
    let absent = run(["lint", "not-there.yaml"]);
    assert_eq!(absent.code, 1);
    assert!(
        absent.stderr.starts_with("apim-operator: not-there.yaml: "),
        "{absent:#?}"
    );
}
