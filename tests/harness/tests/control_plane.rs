//! The harness on a real etcd and kube-apiserver.
#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams};
use test_harness::{
    ApplyError, ControlPlane, apply_yaml, apply_yaml_in, kube_tools, shared, skip,
    unique_namespace, wait_for, wait_until,
};

const SOON: Duration = Duration::from_secs(20);

const READER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: rita}
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: reading-room}
  - {kind: ServiceAccount, name: robot}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
# A document that is only a comment is no object.
";

fn config_map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

fn code(result: Result<ConfigMap, kube::Error>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("expected an answer of the API server, got {other:?}"),
    }
}

#[tokio::test]
async fn users_groups_and_service_accounts_have_the_rights_bound_to_them() {
    let Some(cluster) = shared("users_groups_and_service_accounts").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let namespace = unique_namespace(&admin, "rights").await.unwrap();
    apply_yaml_in(&admin, &namespace, READER).await.unwrap();

    let readers = [
        cluster.user_config("rita", None).unwrap(),
        cluster.user_config("mary", Some("reading-room")).unwrap(),
        cluster
            .service_account_config(&namespace, "robot")
            .await
            .unwrap(),
        cluster
            .user_config(&format!("system:serviceaccount:{namespace}:robot"), None)
            .unwrap(),
    ];
    for config in readers {
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client(config).unwrap(), &namespace);
        // RBAC is evaluated from a cache that follows the write.
        wait_until("the right to list", SOON, async || {
            maps.list(&ListParams::default()).await.map(drop)
        })
        .await
        .unwrap();
        let made = maps.create(&PostParams::default(), &config_map("no")).await;
        assert_eq!(code(made), 403);
    }

    let stranger = cluster.user_config("mary", None).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(stranger).unwrap(), &namespace);
    assert_eq!(code(maps.get("any").await), 403);

    let maps: Api<ConfigMap> = Api::namespaced(admin, &namespace);
    maps.create(&PostParams::default(), &config_map("yes"))
        .await
        .unwrap();
}

#[tokio::test]
async fn kubectl_reads_what_was_applied_and_each_kubeconfig_is_its_user() {
    let Some(cluster) = shared("kubectl_reads_what_was_applied").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let namespace = unique_namespace(&admin, "kubectl").await.unwrap();
    let yaml = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}";
    apply_yaml_in(&admin, &namespace, yaml).await.unwrap();

    let read = [
        "get",
        "configmap",
        "a",
        "-n",
        &namespace,
        "-o",
        "jsonpath={.data.k}",
    ];
    let output = cluster.kubectl(read).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "v");

    let kubeconfig = cluster
        .kubeconfig_for("rita", Some("reading-room"))
        .unwrap();
    let output = cluster
        .kubectl_command([
            "auth",
            "whoami",
            "-o",
            "jsonpath={.status.userInfo.username} {.status.userInfo.groups}",
        ])
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        r#"rita ["reading-room","system:authenticated"]"#
    );
}

const WIDGETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.harness.test}
spec:
  group: harness.test
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {size: {type: integer, maximum: 3}}}}
---
apiVersion: harness.test/v1
kind: Widget
metadata: {name: small, namespace: default}
spec: {size: 2}
";

#[tokio::test]
async fn objects_of_a_kind_apply_right_after_its_definition() {
    let Some(cluster) = shared("objects_of_a_kind_apply_right_after_its_definition").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let applied = apply_yaml(&admin, WIDGETS).await.unwrap();
    assert_eq!(applied.len(), 2);
    assert_eq!(applied[1].data["spec"]["size"], 2);

    let too_big = WIDGETS.replace("size: 2", "size: 4");
    let error = apply_yaml(&admin, &too_big).await.unwrap_err();
    assert!(matches!(error, ApplyError::Kube { .. }), "{error}");
    assert!(error.to_string().starts_with("Widget small: "), "{error}");
    assert!(error.to_string().contains("spec.size"), "{error}");
}

#[tokio::test]
async fn a_wait_ends_when_the_object_changes_and_says_what_it_saw_when_it_does_not() {
    let Some(cluster) = shared("a_wait_ends_when_the_object_changes").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let namespace = unique_namespace(&admin, "wait").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(admin, &namespace);

    let appears = wait_for(&maps, "later", "it appears", SOON, |map| {
        map.map(|map| map.metadata.uid.clone())
    });
    let creation = async {
        maps.create(&PostParams::default(), &config_map("later"))
            .await
            .unwrap()
    };
    let (seen, made) = tokio::join!(appears, creation);
    assert_eq!(seen.unwrap(), made.metadata.uid);

    let deadline = Duration::from_millis(300);
    let error = wait_for(&maps, "later", "it goes", deadline, |map| {
        map.is_none().then_some(())
    })
    .await
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("it goes (later): not within 300ms; last seen: {")
    );
    assert!(
        error
            .last
            .contains(&format!(r#""namespace":"{namespace}""#))
    );
}

fn runs(id: u32) -> bool {
    let output = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", &id.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn stopping_or_dropping_a_control_plane_leaves_no_process_and_no_file() {
    if kube_tools().is_none() && shared("stopping_or_dropping").await.is_none() {
        return;
    }
    for stop in [true, false] {
        let cluster = ControlPlane::start().await.unwrap();
        let (ids, dir) = (cluster.process_ids(), cluster.dir().to_owned());
        assert!(ids.iter().all(|id| runs(*id)));
        assert!(dir.join("admin.kubeconfig").is_file());
        if stop {
            cluster.stop().await.unwrap();
        } else {
            drop(cluster);
        }
        assert!(!ids.iter().any(|id| runs(*id)), "still running: {ids:?}");
        assert!(!dir.exists(), "{} is still there", dir.display());
    }
}

#[test]
fn a_skip_is_written_to_the_log_that_ci_reads() {
    // The log is named by an environment variable of the whole process, so
    // another process is asked.
    if std::env::var_os("SKIP_FOR_REAL").is_some() {
        skip("a_test", "its needs are not met");
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_skip_is_written_to_the_log_that_ci_reads"])
        .env("SKIP_FOR_REAL", "1")
        .env(test_harness::SKIP_LOG, log.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(
        std::fs::read_to_string(log.path()).unwrap(),
        "SKIPPED a_test: its needs are not met\n"
    );
}
