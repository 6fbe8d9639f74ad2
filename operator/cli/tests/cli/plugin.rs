//! `plugin list` and `plugin inspect`.

use serde_json::Value;

use crate::program::{Files, built_in, run, without_sizes, workspace};

/// The text without the digest, which changes with every build of a plugin.
fn without_digest(text: &str) -> String {
    let line = |line: &str| match line.split_once("sha256:") {
        Some((before, digest)) => {
            assert_eq!(digest.len(), 64, "{line}");
            format!("{before}sha256:…")
        }
        None => line.to_owned(),
    };
    let text = without_sizes(text);
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_built_in_plugins_are_listed() {
    let list = run(["plugin", "list"]).fine();
    assert_eq!(list.stderr, "");
    let mut lines = list.stdout.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    });
    assert_eq!(
        lines.next().as_deref(),
        Some("NAME VERSION PHASE READS SUMMARY")
    );
    let lines: Vec<String> = lines.collect();
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, built_in());
    for line in [
        "cors 0.1.0 preflight spec.CORS Lets web pages of other origins call the API.",
        "jwt-entra 0.1.0 authentication - Lets in callers with a token of Microsoft Entra.",
        "rate-limit 0.1.0 traffic spec.rateLimit Limits how often one caller may call the API.",
    ] {
        assert!(lines.iter().any(|listed| listed == line), "{lines:#?}");
    }
}

#[test]
fn the_list_is_there_for_programs_too() {
    let list: Value =
        serde_json::from_str(&run(["plugin", "list", "-o", "json"]).fine().stdout).unwrap();
    let names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, built_in());
    for plugin in list.as_array().unwrap() {
        assert!(
            plugin["digest"].as_str().unwrap().starts_with("sha256:"),
            "{plugin}"
        );
        assert!(
            plugin["version"].is_string()
                && plugin["phase"].is_string()
                && plugin["summary"].is_string()
        );
    }
}

#[test]
fn a_plugin_says_what_it_can_be_told() {
    for plugin in ["cors", "jwt-entra", "rate-limit"] {
        let inspected = run(["plugin", "inspect", plugin]).fine();
        assert_eq!(inspected.stderr, "");
        insta::assert_snapshot!(
            format!("inspect-{plugin}"),
            without_digest(&inspected.stdout)
        );
    }
}

#[test]
fn a_plugin_is_described_whole_for_programs() {
    let text = run(["plugin", "inspect", "rate-limit", "--output", "json"])
        .fine()
        .stdout;
    let described: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(described["name"], "rate-limit");
    assert_eq!(described["specBlock"], "rateLimit");
    let shipped = workspace().join("plugins/rate-limit/config.schema.json");
    let shipped: Value = serde_json::from_str(&std::fs::read_to_string(shipped).unwrap()).unwrap();
    assert_eq!(described["configSchema"], shipped);
}

#[test]
fn an_unknown_plugin_offers_the_nearest() {
    let near = run(["plugin", "inspect", "rate-limt"]).refused();
    assert_eq!(
        near,
        "apim-operator: there is no plugin `rate-limt`; did you mean `rate-limit`?\n"
    );
    let far = run(["plugin", "inspect", "kubernetes"]).refused();
    assert_eq!(
        far,
        format!(
            "apim-operator: there is no plugin `kubernetes`; there are {}\n",
            built_in().join(", ")
        )
    );
}

#[test]
fn a_file_that_is_no_plugin_says_why() {
    let files = Files::new(&[("text.wasm", "hello"), ("module.wasm", "\0asm\u{1}\0\0\0")]);
    let inspect =
        |name: &str| files.strip(&run(["plugin", "inspect", &files.path(name)]).refused());
    insta::assert_snapshot!(inspect("text.wasm"), @r"apim-operator: text.wasm: it is not a WebAssembly component or module: it does not begin as WebAssembly does, with \0asm");
    insta::assert_snapshot!(inspect("module.wasm"), @r"apim-operator: module.wasm: it does not export `oda:policy/generator@1.x`: is it a policy plugin? It is a core module without the interface's metadata.");
    insta::assert_snapshot!(inspect("missing.wasm"), @r"apim-operator: missing.wasm: it cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_damaged_file_in_a_folder_is_reported_and_the_others_are_listed() {
    let files = Files::new(&[("damaged.wasm", "hello"), ("notes.txt", "hello")]);
    let folder = files.path("");
    let listed = run(["plugin", "list", "--plugin-dir", &folder]);
    assert_eq!(listed.code, 1, "{listed:#?}");
    assert_eq!(listed.stdout, run(["plugin", "list"]).fine().stdout);
    insta::assert_snapshot!(files.strip(&listed.stderr), @r"damaged.wasm: skipped: it is not a WebAssembly component or module: it does not begin as WebAssembly does, with \0asm");
}

#[test]
fn a_folder_that_is_not_there_is_reported() {
    let listed = run(["plugin", "list", "--plugin-dir", "no/such/folder"]);
    assert_eq!(listed.code, 1, "{listed:#?}");
    assert_eq!(
        listed.stderr,
        "no/such/folder: skipped: No such file or directory (os error 2)\n"
    );
}

#[test]
fn one_plugin_is_inspected_without_compiling_the_others() {
    let cache = tempfile::TempDir::new().unwrap();
    let folder = cache.path().join("compiled");
    let folder = folder.display().to_string();
    let inspected = run(["plugin", "inspect", "ip-filter", "--cache-dir", &folder]).fine();
    assert_eq!(inspected.stderr, "");
    assert!(inspected.stdout.starts_with("ip-filter "), "{inspected:?}");
    let kept = |folder: &str| {
        let files = std::fs::read_dir(folder).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let compiled = paths.filter(|path| path.extension().is_some_and(|end| end == "cwasm"));
        compiled.count()
    };
    // A list needs all of them, and says what takes so long.
    let other = cache.path().join("all").display().to_string();
    let listed = run(["plugin", "list", "--cache-dir", &other]).fine();
    let all = built_in().len();
    let told: Vec<&str> = listed.stderr.lines().collect();
    let [begin, end] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(*begin, format!("compiling the {all} built-in plugins"));
    assert!(
        end.starts_with(&format!("compiled {all} built-in plugins in ")),
        "{end}"
    );
    assert!(end.ends_with(&format!(" s; kept in {other}")), "{end}");
    assert_eq!(kept(&other) - kept(&folder), all - 1);
    assert_eq!(
        run(["plugin", "list", "--cache-dir", &other]).fine().stderr,
        ""
    );
}
