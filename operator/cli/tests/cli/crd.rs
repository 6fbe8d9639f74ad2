//! `crd`.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{program, run, workspace};

fn shipped(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap()
}

#[test]
fn the_shipped_definitions_are_what_the_types_say() {
    for (args, path) in [
        (&["crd"][..], "deploy/crds/apim-operator.yaml"),
        (
            &["crd", "--exposedapi"],
            "deploy/crds-exposedapi/exposedapi.yaml",
        ),
    ] {
        let printed = run(args).fine();
        assert!(
            printed.stdout == shipped(path),
            "{path} is not what the types say: run `make crds`"
        );
        assert_eq!(printed.stderr, "");
    }
}

#[test]
fn definitions_have_the_names_and_versions_that_others_rely_on() {
    let names = |args: &[&str]| {
        let all: Vec<Value> = serde_saphyr::from_multiple(&run(args).fine().stdout).unwrap();
        all.iter().map(names_of).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["crd"]),
        [
            [
                "apiminstances.apim.oda.tmforum.org",
                "apim.oda.tmforum.org",
                "ApimInstance",
                "Cluster",
                "v1alpha1 stored"
            ],
            [
                "policyplugins.apim.oda.tmforum.org",
                "apim.oda.tmforum.org",
                "PolicyPlugin",
                "Cluster",
                "v1alpha1 stored"
            ],
            [
                "apimproducts.apim.oda.tmforum.org",
                "apim.oda.tmforum.org",
                "ApimProduct",
                "Namespaced",
                "v1alpha1 stored"
            ],
            [
                "apimsubscriptions.apim.oda.tmforum.org",
                "apim.oda.tmforum.org",
                "ApimSubscription",
                "Namespaced",
                "v1alpha1 stored"
            ],
            [
                "policyprofiles.apim.oda.tmforum.org",
                "apim.oda.tmforum.org",
                "PolicyProfile",
                "Namespaced",
                "v1alpha1 stored"
            ],
            [
                "clusterpolicyprofiles.apim.oda.tmforum.org",
                "apim.oda.tmforum.org",
                "ClusterPolicyProfile",
                "Cluster",
                "v1alpha1 stored"
            ],
            [
                "selfhostedgateways.apim.oda.tmforum.org",
                "apim.oda.tmforum.org",
                "SelfHostedGateway",
                "Namespaced",
                "v1alpha1 stored"
            ]
        ]
    );
    assert_eq!(
        names(&["crd", "--exposedapi"]),
        [[
            "exposedapis.oda.tmforum.org",
            "oda.tmforum.org",
            "ExposedAPI",
            "Namespaced",
            "v1beta3, v1beta4, v1 stored"
        ]]
    );
}

/// Name, group, kind, scope and versions of a definition.
fn names_of(crd: &Value) -> [String; 5] {
    let versions: Vec<String> = crd["spec"]["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            assert!(
                version["schema"]["openAPIV3Schema"]["type"] == "object",
                "{version}"
            );
            let storage = if version["storage"] == true {
                " stored"
            } else {
                ""
            };
            format!("{}{storage}", version["name"].as_str().unwrap())
        })
        .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert_eq!(crd["kind"], "CustomResourceDefinition");
    assert_eq!(crd["apiVersion"], "apiextensions.k8s.io/v1");
    [
        text(&crd["metadata"]["name"]),
        text(&crd["spec"]["group"]),
        text(&crd["spec"]["names"]["kind"]),
        text(&crd["spec"]["scope"]),
        versions.join(", "),
    ]
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    for args in [
        &["crd", "--exposedapi"][..],
        &["plugin", "list"],
        &["--help"],
    ] {
        let mut child = program()
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(
            (child.wait().unwrap().code(), said.as_str()),
            (Some(0), ""),
            "{args:?}"
        );
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("SKIPPED a_full_disk_is_an_error: /dev/full is not there");
        return;
    };
    let output = program().arg("crd").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("apim-operator: "),
        "{output:?}"
    );
}
