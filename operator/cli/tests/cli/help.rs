//! What the program says of itself.

use crate::program::{help, run, run_with};

#[test]
fn each_subcommand_explains_itself() {
    let commands: [&[&str]; 31] = [
        &[],
        &["run"],
        &["render"],
        &["plan"],
        &["orphans"],
        &["migrate"],
        &["lint"],
        &["crd"],
        &["plugin"],
        &["plugin", "new"],
        &["plugin", "build"],
        &["plugin", "test"],
        &["plugin", "run"],
        &["plugin", "bench"],
        &["plugin", "push"],
        &["plugin", "pull"],
        &["plugin", "verify"],
        &["plugin", "list"],
        &["plugin", "inspect"],
        &["api"],
        &["api", "add"],
        &["api", "list"],
        &["api", "describe"],
        &["api", "wait"],
        &["api", "diff"],
        &["api", "keys"],
        &["api", "token"],
        &["api", "call"],
        &["api", "export"],
        &["api", "delete"],
        &["completion"],
    ];
    for command in commands {
        let help = help(command).fine();
        assert_eq!(help.stderr, "");
        let name = if command.is_empty() {
            "help".to_owned()
        } else {
            format!("help-{}", command.join("-"))
        };
        insta::assert_snapshot!(name, help.stdout);
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = run(["--version"]).fine();
    assert_eq!(
        version.stdout,
        format!("apim-operator {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_is_2_and_nothing_is_printed_as_a_result() {
    let wrong: [&[&str]; 13] = [
        &[],
        &["frobnicate"],
        &["render"],
        &["render", "-f"],
        &["render", "-f", "x.yaml", "-o", "xml"],
        &["render", "-f", "x.yaml", "--backend-url", "not a url"],
        &[
            "render",
            "-f",
            "x.yaml",
            "--backend-url",
            "ftp://example.com",
        ],
        &["plugin"],
        &["plugin", "inspect"],
        &["crd", "extra"],
        &["run", "--arm-writes-per-second", "0"],
        &["run", "--arm-write-burst", "0"],
        &["run", "--concurrency", "0"],
    ];
    for args in wrong {
        let ended = run(args);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{args:?}: {ended:#?}"
        );
        assert!(
            ended.stderr.contains("--help") || ended.stderr.contains("Usage:"),
            "{args:?}: {ended:#?}"
        );
    }
}

#[test]
fn a_flag_with_a_wrong_value_names_value_and_way_out() {
    insta::assert_snapshot!(run(["render", "-f", "x", "--backend-url", "backend.example.com"]).stderr, @r"
    error: invalid value 'backend.example.com' for '--backend-url <URL>': relative URL without a base; a URL looks like `https://backend.example.com`

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(["run", "--arm-reads-per-second", "0"]).stderr, @r"
    error: invalid value '0' for '--arm-reads-per-second <N>': a number above 0 is wanted, as `10` or `0.5`

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(["rendr"]).stderr, @r"
    error: unrecognized subcommand 'rendr'

      tip: a similar subcommand exists: 'render'

    Usage: apim-operator [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn wrong_log_settings_are_one_clear_message() {
    let wrong = run_with(["crd"], "", &[("LOGGING", "loud")]).refused();
    assert_eq!(
        wrong,
        "apim-operator: LOGGING is `loud`; it can be DEBUG, INFO, WARNING, ERROR or CRITICAL\n"
    );
    let wrong = run(["--log", "[", "crd"]).refused();
    assert!(
        wrong.starts_with("apim-operator: `[` is not a log filter"),
        "{wrong}"
    );
}

#[test]
fn each_shell_gets_a_script_that_knows_the_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(["completion", shell]).fine();
        assert_eq!(script.stderr, "");
        for word in ["apim-operator", "describe", "orphans"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
        // What is remembered of the line is what is asked for.
        assert!(!script.stdout.contains("apim__subcmd__operator"), "{shell}");
    }
}

#[test]
fn an_api_is_written_for_a_service_without_a_cluster() {
    let made = run_with(
        [
            "api",
            "add",
            "stock",
            "--from-file",
            "-",
            "--service",
            "stock:8080",
            "--path",
            "/stock",
        ],
        "openapi: 3.0.3\ninfo: {title: Stock, version: '1'}\npaths: {/items: {get: {operationId: listItems, responses: {'200': {description: OK}}}}}\n",
        &[],
    )
    .fine();
    assert_eq!(made.stderr, "");
    let rendered = run_with(["render", "-f", "-"], &made.stdout, &[]).fine();
    assert!(
        rendered.stdout.contains("displayName: stock"),
        "{}",
        rendered.stdout
    );
}

#[test]
fn a_document_that_cannot_be_imported_is_refused_with_its_file_and_place() {
    let refused = run_with(
        [
            "api",
            "add",
            "stock",
            "--from-file",
            "-",
            "--service",
            "stock:8080",
            "--path",
            "/stock",
        ],
        "openapi: 3.0.3\ninfo: {title: Stock\n",
        &[],
    )
    .refused();
    assert!(refused.starts_with("apim-operator: stdin: "), "{refused}");
}

#[test]
fn a_plugin_that_is_not_built_in_is_told_of_with_the_nearest_name() {
    let made = run([
        "api",
        "add",
        "stock",
        "--service",
        "stock:8080",
        "--path",
        "/stock",
        "--plugins",
        "jwt-entr,acme-headers",
    ])
    .fine();
    assert!(
        made.stderr
            .contains("`jwt-entr` is no built-in plugin; did you mean `jwt-entra`?"),
        "{made:#?}"
    );
    assert!(
        made.stderr.contains("`acme-headers` is no built-in plugin"),
        "{made:#?}"
    );
}
