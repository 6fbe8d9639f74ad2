//! What a plugin's author does: an empty folder, `new`, `build`, `test`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{Ended, run_in};

/// A new plugin in an empty folder.
struct Author {
    dir: TempDir,
    plugin: PathBuf,
}

impl Author {
    fn new(name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        run_in(dir.path(), &["plugin", "new", name], &[]).fine();
        let plugin = dir.path().join(name);
        Self { dir, plugin }
    }

    fn run(&self, args: &[&str]) -> Ended {
        run_in(&self.plugin, args, &[])
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let file = self.plugin.join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{}: {text}", file.display());
        fs::write(&file, text.replace(from, to)).unwrap();
    }
}

/// Without digests, sizes and fuel, which change with each version of the
/// compiler.
fn stable(text: &str) -> String {
    let number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut out: Vec<String> = Vec::new();
        for (i, word) in words.iter().enumerate() {
            let next = words
                .get(i + 1)
                .map_or("", |next| next.trim_end_matches(','));
            out.push(
                if number(word) && ["fuel", "KiB", "MiB", "B"].contains(&next) {
                    "N".to_owned()
                } else if word.starts_with("sha256:") {
                    "sha256:…".to_owned()
                } else {
                    (*word).to_owned()
                },
            );
        }
        out.join(" ").trim_end().to_owned()
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_new_plugin_is_built_and_tested_and_says_what_it_is() {
    let author = Author::new("acme-headers");
    let built = author.run(&["plugin", "build"]).fine();
    assert!(author.plugin.join("acme-headers.wasm").is_file());
    insta::assert_snapshot!("new-plugin-build", stable(&built.stdout));

    let tested = author.run(&["plugin", "test"]).fine();
    let (sandbox, native) = tested.stdout.split_once("5 ok\n").unwrap();
    insta::assert_snapshot!("new-plugin-test", stable(sandbox));
    assert!(native.contains("test result: ok. 2 passed"), "{native}");

    let file = author.plugin.join("acme-headers.wasm");
    let inspected = author
        .run(&["plugin", "inspect", &file.display().to_string()])
        .fine();
    assert!(
        inspected.stdout.starts_with("acme-headers 0.1.0\n"),
        "{inspected:#?}"
    );

    // The same inputs, the same file, wherever they lie.
    let again = Author::new("acme-headers");
    again.run(&["plugin", "build"]).fine();
    assert!(
        fs::read(file).unwrap() == fs::read(again.plugin.join("acme-headers.wasm")).unwrap(),
        "the file depends on where it was built"
    );
    let text = fs::read(again.plugin.join("acme-headers.wasm")).unwrap();
    let text = String::from_utf8_lossy(&text);
    let folder = again.dir.path().display().to_string();
    assert!(
        !text.contains(&folder),
        "the file names its author's folder"
    );
}

#[test]
fn a_case_that_gives_something_else_is_shown_and_can_be_blessed() {
    let author = Author::new("golden");
    let test = ["plugin", "test", "--sandbox-only"];
    author.change("cases/team.yaml", "<value>Catalog", "<value>Catlog");
    author.change("cases/team.yaml", "fuel: 1000000", "fuel: 90000000");
    author.change(
        "cases/operation.yaml",
        "config:",
        "budget: { fuel: 5 }\nconfig:",
    );
    fs::write(
        author.plugin.join("cases/unwritten.yaml"),
        "config: {team: new}\n",
    )
    .unwrap();
    let tested = author.run(&test);
    assert_eq!(tested.code, 1, "{tested:#?}");
    insta::assert_snapshot!("golden-mismatch", stable(&tested.stdout));

    author.change("cases/operation.yaml", "budget: { fuel: 5 }\n", "");
    let blessed = author
        .run(&["plugin", "test", "--bless", "--sandbox-only"])
        .fine();
    assert!(
        blessed
            .stdout
            .ends_with("6 cases in the sandbox: 4 ok, 2 written\n"),
        "{blessed:#?}"
    );
    let case = fs::read_to_string(author.plugin.join("cases/team.yaml")).unwrap();
    assert!(
        case.contains("budget: { fuel: 90000000, memory: 2Mi }"),
        "{case}"
    );
    let green = author.run(&test).fine();
    assert!(
        green.stdout.ends_with("6 cases in the sandbox: 6 ok\n"),
        "{green:#?}"
    );
}

#[test]
fn requests_of_a_case_are_sent_and_what_came_instead_is_said() {
    let author = Author::new("sent");
    let case = |requests: &str| {
        let case = author.plugin.join("cases/requests.yaml");
        fs::write(case, format!("config: {{team: stock}}\n{requests}")).unwrap();
    };
    let good = "\
requests:
  - request: {path: '/catalog?page=1', headers: {X-A: '1'}}
    expect:
      status: 200
      headers: {x-team: stock, x-other: null}
      backend: {method: GET, query: page=1, headers: {x-a: '1', x-team: null}}
  - request: {method: POST, path: /catalog, body: {id: 1}, times: 2}
    expect: {status: 200, backend: {method: POST, body: '{\"id\":1}'}}
  - request: {path: /nowhere}
    expect: {status: 404, body: Resource not found}
";
    case(good);
    let test = ["plugin", "test", "--sandbox-only"];
    // They say what is expected; a document may be kept beside them.
    author.run(&test).fine();
    author
        .run(&["plugin", "test", "--bless", "--sandbox-only"])
        .fine();
    let tested = author.run(&test).fine();
    let line = tested.stdout.lines().find(|line| line.contains("requests"));
    let line = stable(line.unwrap_or_default());
    assert!(
        line.starts_with("ok      requests") && line.ends_with(", 3 requests"),
        "{tested:#?}"
    );

    // What is not so is said for each request, with what came instead.
    author.change("cases/requests.yaml", "x-team: stock, x", "x-team: shop, x");
    author.change("cases/requests.yaml", "query: page=1", "query: page=2");
    author.change("cases/requests.yaml", "{status: 404", "{status: 200");
    let tested = author.run(&test);
    assert_eq!(tested.code, 1, "{tested:#?}");
    let failed: Vec<&str> = tested
        .stdout
        .lines()
        .skip_while(|line| !line.starts_with("FAILED"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .collect();
    insta::assert_snapshot!("requests-failed", failed.join("\n"));

    // Where nothing can be sent, why is said, and nothing is written down.
    case(good);
    author.change("cases/requests.yaml", "team: stock}", "team: 5}");
    for bless in [&test[..], &["plugin", "test", "--bless", "--sandbox-only"]] {
        let tested = author.run(bless);
        assert_eq!(tested.code, 1, "{tested:#?}");
        let (_, said) = tested.stdout.split_once("no policy to send").unwrap();
        assert!(said.contains("/team"), "{said}");
    }
    let kept = fs::read_to_string(author.plugin.join("cases/requests.yaml")).unwrap();
    assert!(!kept.contains("errors:"), "{kept}");
    author.change("cases/requests.yaml", "team: 5}", "team: stock}");
    author
        .run(&["plugin", "test", "--bless", "--sandbox-only"])
        .fine();

    // Without a local Azure they are not sent, where the author says so.
    let without = [&test[..], &["--no-requests"]].concat();
    let tested = author.run(&without).fine();
    assert!(
        tested
            .stderr
            .contains("note: --no-requests: 3 requests of the cases are not sent"),
        "{tested:#?}"
    );
    let nowhere = run_in(
        &author.plugin,
        &test,
        &[("APIM_SIMULATOR", "/no/such/program")],
    );
    assert_eq!(nowhere.code, 1);
    assert!(
        nowhere
            .stderr
            .ends_with("APIM_SIMULATOR names /no/such/program, and there is no such file\n"),
        "{nowhere:#?}"
    );
}

#[test]
fn a_plugin_that_panics_says_in_which_line() {
    let author = Author::new("panics");
    author.change(
        "src/lib.rs",
        "let mut policy",
        "assert!(config.team != \"boom\", \"asked to\");\n        let mut policy",
    );
    fs::write(
        author.plugin.join("cases/boom.yaml"),
        "config: {team: boom}\n",
    )
    .unwrap();
    let tested = author.run(&["plugin", "test", "--sandbox-only"]);
    assert_eq!(tested.code, 1, "{tested:#?}");
    let line = tested
        .stdout
        .lines()
        .find(|line| line.contains("PluginTrap"))
        .unwrap();
    assert!(
        line.contains("panicked at src/lib.rs:") && line.contains("asked to"),
        "{line}"
    );
}

#[test]
fn what_is_there_is_not_overwritten() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("taken")).unwrap();
    let refused = |args: &[&str]| {
        let args = [&["plugin", "new"], args].concat();
        run_in(dir.path(), &args, &[]).refused()
    };
    let said = [
        refused(&["taken"]),
        refused(&["Not_A_Name"]),
        refused(&["9-lives"]),
        refused(&["x", "--sdk", "no/such"]),
    ];
    insta::assert_snapshot!("new-refused", said.concat());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_tool_is_said_with_the_command_that_installs_it() {
    let author = Author::new("tools");
    let rustc = author.dir.path().join("rustc");
    script(&rustc, "#!/bin/sh\necho /no/such/folder\n");
    let build = |environment: &[(&str, &str)]| {
        run_in(&author.plugin, &["plugin", "build"], environment).refused()
    };
    let said = [
        build(&[("RUSTC", &rustc.display().to_string())]),
        build(&[("CARGO", "/no/such/cargo")]),
        run_in(author.dir.path(), &["plugin", "build"], &[]).refused(),
    ];
    insta::assert_snapshot!("missing-tools", said.join("\n"));
}

fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a plugin in another language is without its tool: files that say how
/// to get it.
#[test]
fn a_plugin_in_another_language_says_which_tool_it_needs() {
    let dir = TempDir::new().unwrap();
    let mut said = String::new();
    for language in ["python", "js"] {
        let name = format!("in-{language}");
        run_in(
            dir.path(),
            &["plugin", "new", &name, "--lang", language],
            &[],
        )
        .fine();
        let plugin = dir.path().join(&name);
        said += &run_in(
            &plugin,
            &["plugin", "build"],
            &[("PATH", "/no/such/folder")],
        )
        .refused();
        assert!(plugin.join("wit/policy.wit").is_file());
        let readme = fs::read_to_string(plugin.join("README.md")).unwrap();
        assert!(
            !readme.contains('@') || !readme.contains("@NAME@"),
            "{readme}"
        );
    }
    insta::assert_snapshot!("missing-tools-of-others", said);
}

#[test]
fn a_plugin_in_javascript_passes_the_same_cases() {
    let root = crate::program::workspace().join("tests/harness/setup/componentize-qjs");
    let found = root
        .is_file()
        .then(|| std::process::Command::new(root).arg("--find").output());
    let Some(Ok(found)) = found else {
        return;
    };
    if !found.status.success() {
        assert!(
            std::env::var_os("CI").is_none(),
            "componentize-qjs is missing"
        );
        eprintln!("skipped: componentize-qjs is missing; `make setup` installs it");
        return;
    }
    let program = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    let dir = TempDir::new().unwrap();
    run_in(dir.path(), &["plugin", "new", "team", "--lang", "js"], &[]).fine();
    let plugin = dir.path().join("team");
    let modules = program
        .ancestors()
        .find(|path| path.ends_with("node_modules"))
        .unwrap();
    std::os::unix::fs::symlink(modules, plugin.join("node_modules")).unwrap();
    let tested = run_in(&plugin, &["plugin", "test"], &[]).fine();
    assert!(
        tested.stdout.ends_with("5 cases in the sandbox: 5 ok\n"),
        "{tested:#?}"
    );
}

#[test]
fn a_module_that_cannot_be_a_plugin_says_what_to_change() {
    let author = Author::new("odd");
    let build = || author.run(&["plugin", "build"]).refused();
    let last = |said: String| said.lines().last().unwrap().to_owned();

    let bindings = "vendor/policy-sdk/src/bindings.rs";
    let interface = fs::read_to_string(author.plugin.join(bindings)).unwrap();
    fs::write(
        author.plugin.join(bindings),
        interface.replace("1.0.0", "2.0.0"),
    )
    .unwrap();
    let version = last(build());
    fs::write(author.plugin.join(bindings), interface).unwrap();

    author.change("src/lib.rs", "#![forbid(unsafe_code)]\n", "");
    author.change(
        "src/lib.rs",
        "let mut policy",
        "#[link(wasm_import_module = \"wbg\")]\n        unsafe extern \"C\" {\n            fn now() -> u32;\n        }\n        \
         policy_sdk::log::info(unsafe { now() }.to_string());\n        let mut policy",
    );
    let import = last(build());
    author.change("Cargo.toml", "\"cdylib\", ", "");
    let library = last(build());
    author.change("src/lib.rs", "let mut policy", "let mut polcy");
    let broken = last(build());
    insta::assert_snapshot!("odd-modules", [version, import, library, broken].join("\n"));
}
