//! What the program says of itself.

use crate::program::{help, run, run_with};

#[test]
fn each_subcommand_explains_itself() {
    let commands: [&[&str]; 18] = [
        &[],
        &["run"],
        &["render"],
        &["plan"],
        &["orphans"],
        &["migrate"],
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
