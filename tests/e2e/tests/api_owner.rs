//! What the owner of an API does from the command line, with nothing but an
//! owner's rights: in one namespace, and nothing in Azure.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use e2e::{Stage, document};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the stand-in gives to Ingresses.
const LOAD_BALANCER: &str = "203.0.113.10";

/// Who owns APIs in the namespace `shop`, and nothing else.
const OWNER: &str = "jane";

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    #[track_caller]
    fn fine(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert!(said.contains(text), "`{text}` is not said: {self:#?}");
        self
    }
}

async fn api(stage: &Stage, args: &[&str]) -> Ended {
    with(stage, &[], args).await
}

async fn with(stage: &Stage, environment: &[(&str, &str)], args: &[&str]) -> Ended {
    let args: Vec<&str> = ["api"].iter().chain(args).copied().collect();
    let ended = stage.cli_of(OWNER, None, environment, &args).await;
    let (code, stdout, stderr) = ended.unwrap();
    Ended {
        code,
        stdout,
        stderr,
    }
}

/// The shipped rights of owners, bound in the namespace.
async fn let_in(stage: &Stage) {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac-owners.yaml");
    let applied = stage
        .kubectl(&["apply", "-f", path.to_str().unwrap()])
        .await;
    applied.unwrap();
    for role in ["viewer", "owner"] {
        let role = format!("apim-operator-api-{role}");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": "shop"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": OWNER}],
        });
        stage.apply(&binding).await.unwrap();
    }
}

async fn backend() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(async || "from the backend");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_added_watched_called_and_deleted_with_an_owners_rights() {
    let test = "an_api_is_added_watched_called_and_deleted_with_an_owners_rights";
    let backend = backend().await;
    let stage = Stage::builder().simulator(|config| {
        config.gateway = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.backends = BTreeMap::from([(LOAD_BALANCER.to_owned(), backend)]);
    });
    let Some(stage) = stage.start(test).await else {
        return;
    };
    let shop = ["-n", "shop"];
    let denied = api(&stage, &["list", "-n", "shop"]).await;
    assert_eq!(denied.code, 1, "{denied:#?}");
    denied.says("cannot list resource \"exposedapis\"");
    let_in(&stage).await;
    api(&stage, &["list", "-n", "shop"])
        .await
        .fine()
        .says("no ExposedAPIs in namespace shop");

    // Printed, it is what is applied; applied, it is published.
    let file = stage.dir().join("openapi.json");
    std::fs::write(&file, document("stock", &["get", "post"]).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let add = [
        "add",
        "stock",
        "--from-file",
        file,
        "--service",
        "stock:8080",
        "--path",
        "/stock",
    ];
    let plugins = [
        "--plugins",
        "jwt-entra,rate-limit",
        "--plugin-config",
        "rate-limit={calls: 20, renewalPeriod: 60}",
    ];
    let add = [&add[..], &plugins, &shop].concat();
    let printed = api(&stage, &add).await.fine();
    assert!(
        printed
            .stdout
            .starts_with("apiVersion: oda.tmforum.org/v1\n"),
        "{printed:#?}"
    );
    stage
        .apply(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "stock", "namespace": "shop"}, "spec": {"selector": {"app": "stock"}, "ports": [{"port": 8080}]}}))
        .await
        .unwrap();
    api(&stage, &[&add[..], &["--apply", "--wait"]].concat())
        .await
        .fine()
        .says("exposedapi.oda.tmforum.org/stock applied in namespace shop")
        .says("published at https://");

    let listed = api(&stage, &["list", "-n", "shop"]).await.fine();
    let row = listed.stdout.lines().nth(1).unwrap();
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..4], ["stock", "True", "Published", "/stock"]);
    assert!(
        !listed.stdout.contains('\u{1b}'),
        "no colours but on a terminal"
    );
    api(&stage, &["list", "-n", "shop", "-o", "wide"])
        .await
        .fine()
        .says("jwt-entra,rate-limit")
        .says("shop.stock");
    let objects = api(&stage, &["list", "-n", "shop", "-o", "json"])
        .await
        .fine();
    let items: Value = serde_json::from_str(&objects.stdout).unwrap();
    assert_eq!(items["items"][0]["spec"]["path"], "/stock");
    let name = api(&stage, &["ls", "-n", "shop", "-o", "name"])
        .await
        .fine();
    assert_eq!(name.stdout, "exposedapi.oda.tmforum.org/stock\n");
    api(&stage, &["describe", "stock", "-n", "shop"])
        .await
        .fine()
        .says("instance default, API shop.stock, revision 1, 2 operations")
        .says("ApimSynced")
        .says("Synced");

    // A call without a token is kept out, and the way in is said.
    let gateway = stage.azure.gateway_url().unwrap();
    let ca = stage.dir().join("azure/ca.pem");
    let reach = [
        "--gateway",
        gateway.as_str(),
        "--ca-file",
        ca.to_str().unwrap(),
    ];
    let line_of = |more: &[&'static str]| -> Vec<String> {
        ["call", "stock"]
            .iter()
            .chain(more)
            .chain(&reach)
            .chain(&shop)
            .map(|text| (*text).to_owned())
            .collect()
    };
    let called = async |more: &[&'static str], token: Option<&str>| {
        let mut line = line_of(more);
        if let Some(token) = token {
            line.extend(["--token".to_owned(), token.to_owned()]);
        }
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        api(&stage, &line).await
    };
    let kept_out = called(&["GET", "/items"], None).await;
    assert_eq!(kept_out.code, 1, "{kept_out:#?}");
    kept_out.says("401").says("--token-file");
    let endpoints = &stage.azure.endpoints;
    let application = |name: &str| {
        let app = endpoints.applications.iter().find(|app| app.name == name);
        app.unwrap().clone()
    };
    let (stranger, callers) = (application("stranger"), application("callers"));
    let environment = [
        (
            "AZURE_CLIENT_SECRET",
            stranger.client_secret.as_deref().unwrap(),
        ),
        ("APIM_OPERATOR_CA_FILE", ca.to_str().unwrap()),
    ];
    let ask = [
        "token",
        "--tenant-id",
        &stranger.tenant_id,
        "--client-id",
        &stranger.client_id,
        "--audience",
        &callers.client_id,
        "--authority-host",
        &endpoints.authority,
    ];
    let token = with(&stage, &environment, &ask).await.fine();
    assert_eq!(token.stderr, "");
    let token = token.stdout.trim().to_owned();
    let answer = called(&["GET", "/items", "-i"], Some(&token)).await.fine();
    assert_eq!(answer.stdout, "from the backend\n");
    let answer = answer.says("200 OK");
    assert!(!answer.stderr.contains(&token), "{}", answer.stderr);
    let nowhere = called(&["GET", "/nowhere"], Some(&token)).await;
    assert_eq!(nowhere.code, 1, "{nowhere:#?}");
    nowhere.says("no operation of the API matches");

    // Bad input is named.
    let absent = api(&stage, &["describe", "stok", "-n", "shop"]).await;
    assert_eq!(absent.code, 1);
    absent.says("there is no ExposedAPI `stok` in namespace `shop`: there are stock");
    let elsewhere = api(&stage, &["list", "--context", "staging"]).await;
    assert_eq!(elsewhere.code, 1);
    elsewhere.says("context `staging`");
    let mut stuck = add.clone();
    stuck[1] = "stuck";
    let at = stuck.iter().position(|text| *text == "/stock").unwrap();
    stuck[at] = "/stuck";
    let at = stuck
        .iter()
        .position(|text| *text == "jwt-entra,rate-limit")
        .unwrap();
    stuck[at] = "jwt-entr,rate-limit";
    let stuck = api(&stage, &[&stuck[..], &["--apply", "--wait"]].concat()).await;
    assert_eq!(stuck.code, 1, "{stuck:#?}");
    stuck.says("stuck is stuck").says("jwt-entra");

    // Deleted, it is gone from API Management, too.
    api(&stage, &["delete", "stuck", "-n", "shop"]).await.fine();
    api(&stage, &["delete", "stock", "-n", "shop", "--wait"])
        .await
        .fine()
        .says("exposedapi.oda.tmforum.org/stock deleted");
    assert_eq!(stage.api("shop.stock").await.unwrap(), None);
    api(&stage, &["wait", "stuck", "-n", "shop", "--for", "deleted"])
        .await
        .fine();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_api_management_is_exported_and_a_change_is_shown_before_it_is_made() {
    let test = "what_is_in_api_management_is_exported_and_a_change_is_shown_before_it_is_made";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    let made = json!({"properties": {
        "displayName": "Echo API", "path": "echo", "protocols": ["https"],
        "serviceUrl": "https://echo.example.com",
        "format": "openapi+json", "value": document("Echo API", &["get"]).to_string(),
    }});
    let (status, body) = stage
        .arm("PUT", "/apis/Echo_API", Some(&made))
        .await
        .unwrap();
    assert!(matches!(status, 200..=202), "{status} {body}");
    let ca = stage.dir().join("azure/ca.pem");
    let ca = ca.to_str().unwrap();
    let platform = async |args: &[&str]| {
        let (code, stdout, stderr) = stage.cli(args).await.unwrap();
        Ended {
            code,
            stdout,
            stderr,
        }
    };
    let exported = async |more: &[&str]| {
        let line = [&["api", "export", "-n", "shop", "--ca-file", ca][..], more].concat();
        platform(&line).await
    };
    test_harness::wait_until("the API that somebody made", e2e::PATIENCE, async || {
        let all = exported(&["--all", "-o", "json"]).await;
        let all: Value = serde_json::from_str(&all.stdout).map_err(|error| error.to_string())?;
        match &all["items"][0]["spec"]["specification"] {
            Value::String(said) if said.contains("getItem") => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await
    .unwrap();
    let one = exported(&["Echo_API"]).await.fine();
    assert!(
        one.stdout
            .contains("# API `Echo_API` of ApimInstance `default`\n"),
        "{}",
        one.stdout
    );
    assert!(
        !one.stdout.contains("/_blob/"),
        "the link lets everybody in"
    );
    let absent = exported(&["nothing-here"]).await;
    assert_eq!(absent.code, 1);
    absent.says("there is no API `nothing-here`");

    // Completed by its owner it can be planned.
    let file = stage.dir().join("echo.yaml");
    std::fs::write(
        &file,
        one.stdout
            .replace("change-me", "echo")
            .replace("path: /echo", "path: /echo-too"),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let plan = platform(&["api", "diff", "-f", file, "-n", "shop"]).await;
    assert_eq!(plan.code, 3, "{plan:#?}");
    plan.says("Ingress apim-api-ingress-echo-api");
}
