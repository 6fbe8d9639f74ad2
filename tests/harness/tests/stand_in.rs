//! The stand-in for ingress controller, kubelet and endpoint controller.
#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::DeleteParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use test_harness::stand_in::{Address, Options, StandIn};
use test_harness::{Process, TempDir, apply_yaml_in, shared, unique_namespace, wait_for};

const SOON: Duration = Duration::from_secs(20);

fn ingress(name: &str, class: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: {name}}},
          spec: {{ingressClassName: {class}, defaultBackend: {{service: {{name: s, port: {{number: 80}}}}}}}}}}"
    )
}

fn address(ingress: Option<&Ingress>) -> Option<Value> {
    let status = ingress?.status.as_ref()?;
    let entries = status.load_balancer.as_ref()?.ingress.as_ref()?;
    Some(json!(entries))
}

/// One stand-in works on the whole cluster, which the tests share: each serves
/// a class of its own.
fn options(class: &str, address: &str) -> Options {
    Options {
        address: Address::parse(address),
        ingress_classes: [class.to_owned()].into(),
        ..Options::default()
    }
}

async fn apply(client: &Client, namespace: &str, yaml: &str) {
    apply_yaml_in(client, namespace, yaml).await.unwrap();
}

#[tokio::test]
async fn ingresses_of_its_class_get_the_address_and_others_do_not() {
    let Some(cluster) = shared("ingresses_of_its_class_get_the_address").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let namespace = unique_namespace(&admin, "class").await.unwrap();
    let api: Api<Ingress> = Api::namespaced(admin.clone(), &namespace);
    apply(&admin, &namespace, &ingress("before", "byname")).await;
    let stand_in = StandIn::start(admin.clone(), options("byname", "lb.example.com")).await;
    apply(&admin, &namespace, &ingress("other", "elsewhere")).await;
    apply(&admin, &namespace, &ingress("after", "byname")).await;
    for name in ["before", "after"] {
        let got = wait_for(&api, name, "an address", SOON, address)
            .await
            .unwrap();
        assert_eq!(got, json!([{"hostname": "lb.example.com"}]));
    }
    assert_eq!(address(Some(&api.get("other").await.unwrap())), None);
    assert!(stand_in.is_running());
}

#[tokio::test]
async fn a_held_address_comes_when_it_is_released() {
    let Some(cluster) = shared("a_held_address_comes_when_it_is_released").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let namespace = unique_namespace(&admin, "hold").await.unwrap();
    let api: Api<Ingress> = Api::namespaced(admin.clone(), &namespace);
    let stand_in = StandIn::start(admin.clone(), options("held", "192.0.2.7")).await;
    stand_in.hold_addresses(true);
    apply(&admin, &namespace, &ingress("late", "held")).await;
    let moment = Duration::from_millis(500);
    wait_for(&api, "late", "an address", moment, address)
        .await
        .unwrap_err();
    stand_in.hold_addresses(false);
    let got = wait_for(&api, "late", "an address", SOON, address)
        .await
        .unwrap();
    assert_eq!(got, json!([{"ip": "192.0.2.7"}]));
}

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: plain}
spec:
  selector: {app: a}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: named, port: 81, targetPort: web}]
---
apiVersion: v1
kind: Service
metadata: {name: starting, annotations: {cluster-stand-in/ready: 'false'}}
spec: {selector: {app: b}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: without-selector}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: last}
spec: {selector: {app: c}, ports: [{port: 80}]}
";

fn ready(slice: Option<&EndpointSlice>) -> Option<bool> {
    slice?
        .endpoints
        .as_ref()?
        .first()?
        .conditions
        .as_ref()?
        .ready
}

#[tokio::test]
async fn services_with_a_selector_get_one_endpoint_that_is_ready_unless_told_otherwise() {
    let Some(cluster) = shared("services_with_a_selector_get_one_endpoint").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let namespace = unique_namespace(&admin, "services").await.unwrap();
    let slices: Api<EndpointSlice> = Api::namespaced(admin.clone(), &namespace);
    let services: Api<Service> = Api::namespaced(admin.clone(), &namespace);
    let stand_in = StandIn::start(admin.clone(), options("none", "192.0.2.8")).await;
    apply(&admin, &namespace, SERVICES).await;

    let plain = wait_for(&slices, "plain-stand-in", "a slice", SOON, |slice| {
        slice.cloned()
    })
    .await
    .unwrap();
    let found: Value = json!({
        "labels": plain.metadata.labels,
        "endpoints": plain.endpoints,
        "ports": plain.ports,
    });
    assert_eq!(
        found,
        json!({
            "labels": {
                "kubernetes.io/service-name": "plain",
                "endpointslice.kubernetes.io/managed-by": "cluster-stand-in",
            },
            "endpoints": [{
                "addresses": ["10.244.0.10"],
                "conditions": {"ready": true, "serving": true, "terminating": false},
            }],
            "ports": [
                {"name": "http", "port": 8080, "protocol": "TCP"},
                {"name": "named", "port": 81, "protocol": "TCP"},
            ],
        })
    );

    let name = "starting-stand-in";
    let starting = wait_for(&slices, name, "a slice", SOON, ready)
        .await
        .unwrap();
    assert!(!starting);
    let told = SERVICES.replace(
        "cluster-stand-in/ready: 'false'",
        "cluster-stand-in/ready: 'true'",
    );
    apply(&admin, &namespace, &told).await;
    wait_for(&slices, name, "ready", SOON, |slice| {
        ready(slice).filter(|ready| *ready)
    })
    .await
    .unwrap();

    wait_for(&slices, "last-stand-in", "a slice", SOON, ready)
        .await
        .unwrap();
    let names = slices
        .list(&kube::api::ListParams::default())
        .await
        .unwrap();
    assert!(
        !names
            .iter()
            .any(|slice| { slice.metadata.name.as_deref() == Some("without-selector-stand-in") })
    );

    services
        .delete("plain", &DeleteParams::default())
        .await
        .unwrap();
    wait_for(&slices, "plain-stand-in", "it goes", SOON, |slice| {
        slice.is_none().then_some(())
    })
    .await
    .unwrap();
    stand_in.stop().await;
}

#[tokio::test]
async fn the_program_says_that_it_is_a_stand_in_and_gives_addresses() {
    let program = env!("CARGO_BIN_EXE_cluster-stand-in");
    let help = Command::new(program).arg("--help").output().unwrap();
    assert!(
        String::from_utf8_lossy(&help.stdout).starts_with("A STAND-IN for an ingress controller")
    );

    let Some(cluster) = shared("the_program_says_that_it_is_a_stand_in").await else {
        return;
    };
    let admin = cluster.admin().unwrap();
    let namespace = unique_namespace(&admin, "program").await.unwrap();
    let dir = TempDir::new("stand-in-").unwrap();
    let mut process = Process::spawn(
        "cluster-stand-in",
        Command::new(program)
            .args([
                "--address",
                "2001:db8::1",
                "--ingress-class",
                "program",
                "--address-delay",
                "0.1",
            ])
            .arg("--kubeconfig")
            .arg(cluster.admin_kubeconfig_path()),
        dir.join("log"),
    )
    .unwrap();
    process
        .wait_for_line("cluster-stand-in: ready", SOON)
        .await
        .unwrap();
    apply(&admin, &namespace, &ingress("one", "program")).await;
    let api: Api<Ingress> = Api::namespaced(admin, &namespace);
    let got = wait_for(&api, "one", "an address", SOON, address)
        .await
        .unwrap();
    assert_eq!(
        got,
        json!([{"ip": "2001:db8::1".parse::<IpAddr>().unwrap()}])
    );
    let exit = process.terminate(SOON).await.unwrap();
    assert!(exit.status.success() && !exit.forced, "{exit:?}");
    assert_eq!(process.log().unwrap(), "cluster-stand-in: ready\n");
}
