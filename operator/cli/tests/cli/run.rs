//! `run` where it cannot.

use std::net::TcpListener;

use crate::program::{Files, run_with};

fn kubeconfig(server: &str) -> Files {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters: [{{name: here, cluster: {{server: \"{server}\"}}}}]\n\
         contexts: [{{name: here, context: {{cluster: here, user: me}}}}]\nusers: [{{name: me, user: {{}}}}]\n"
    );
    Files::new(&[("config", &text)])
}

#[test]
fn without_a_cluster_there_is_one_clear_message() {
    let said = run_with(["run"], "", &[("HOME", "/nonexistent")]).refused();
    assert_eq!(said.lines().count(), 1, "{said}");
    insta::assert_snapshot!(said, @r#"apim-operator: no cluster: this is no pod, and failed to read kubeconfig from '"/nonexistent/.kube/config"': No such file or directory (os error 2); set KUBECONFIG to a kubeconfig file"#);
}

#[test]
fn a_kubeconfig_that_is_not_there_is_named() {
    let said = run_with(["run"], "", &[("KUBECONFIG", "/nonexistent/config")]).refused();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("/nonexistent/config"), "{said}");
}

#[test]
fn a_cluster_that_does_not_answer_is_named() {
    // A port that was just free; nothing listens there.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let files = kubeconfig(&format!("http://{free}"));
    let said = run_with(
        ["run", "--listen", "127.0.0.1:0"],
        "",
        &[("KUBECONFIG", &files.path("config"))],
    )
    .refused();
    insta::assert_snapshot!(said.replace(&free.to_string(), "127.0.0.1:1"), @r"apim-operator: the API server http://127.0.0.1:1/: Kubernetes: ServiceError: client error (Connect): tcp connect error: Connection refused (os error 111)");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let files = kubeconfig("http://127.0.0.1:1");
    let said = run_with(
        ["run", "--listen", &address],
        "",
        &[("KUBECONFIG", &files.path("config"))],
    )
    .refused();
    insta::assert_snapshot!(said.replace(&address, "127.0.0.1:8080"), @r"apim-operator: cannot listen on 127.0.0.1:8080: Address already in use (os error 98)");
}

#[test]
fn wrong_urls_are_refused_before_anything_is_asked() {
    let files = kubeconfig("http://127.0.0.1:1");
    let environment = [("KUBECONFIG", files.path("config"))];
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let said = run_with(["run", "--authority-host", "login"], "", &environment).refused();
    insta::assert_snapshot!(said, @r"apim-operator: --authority-host: `login` is no URL: relative URL without a base");
}
