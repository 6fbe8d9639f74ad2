//! What callers meet: requests through the local gateway, which executes the
//! policies that the operator wrote.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apim_simulator::SimulatorConfig;
use e2e::{PATIENCE, Stage, exposed_api};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use test_harness::wait_until;
use tokio::net::TcpListener;

/// What the stand-in gives to Ingresses.
const LOAD_BALANCER: &str = "203.0.113.10";

/// A backend of its own process space: it answers `from the backend`.
async fn backend() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(async || "from the backend");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn with_gateway(config: &mut SimulatorConfig, backend: SocketAddr) {
    config.gateway = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.backends = BTreeMap::from([(LOAD_BALANCER.to_owned(), backend)]);
}

/// A client of the gateway and of the local Azure's control interface.
struct Caller {
    client: Client,
    gateway: String,
    control: String,
}

impl Caller {
    fn of(stage: &Stage) -> Self {
        let ca = Certificate::from_pem(stage.azure.ca_pem.as_bytes()).unwrap();
        Self {
            client: Client::builder().tls_certs_merge([ca]).build().unwrap(),
            gateway: stage.azure.gateway_url().unwrap(),
            control: stage.azure.endpoints.control.clone(),
        }
    }

    /// A token for the callers of the stage's APIs, with these claims over the
    /// usual ones.
    async fn token(&self, claims: Value) -> String {
        let asked = self.client.post(format!("{}/tokens", self.control));
        let asked = asked.body(json!({"claims": claims}).to_string());
        let answer = asked.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// The status and body of a GET.
    async fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let mut request = self.client.get(format!("{}{path}", self.gateway));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn until(&self, path: &str, token: Option<&str>, status: u16) {
        wait_until(
            &format!("{path} answers {status}"),
            PATIENCE,
            async || match self.get(path, token).await {
                (found, _) if found == status => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await
        .unwrap();
    }
}

/// Calls without a token, all the time.
struct Hammer {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<BTreeMap<u16, usize>>,
}

impl Hammer {
    fn start(caller: Arc<Caller>, path: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut seen = BTreeMap::new();
            while !stopped.load(Ordering::Relaxed) {
                let (status, _) = caller.get(path, None).await;
                *seen.entry(status).or_default() += 1;
            }
            seen
        });
        Self { stop, task }
    }

    /// How often each status came.
    async fn stop(self) -> BTreeMap<u16, usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Chooses these plugins, without the config of one that may not be among them.
fn annotated(plugins: &str) -> Value {
    json!({"metadata": {"annotations": {
        "apim.oda.tmforum.org/plugins": plugins,
        "apim.oda.tmforum.org/plugin.rate-limit": null,
    }}})
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_passes_unprotected_from_the_first_moment_on_and_through_kills() {
    let test = "no_request_passes_unprotected_from_the_first_moment_on_and_through_kills";
    let backend = backend().await;
    let stage = Stage::builder().simulator(|config| with_gateway(config, backend));
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    let caller = Arc::new(Caller::of(&stage));
    let token = caller.token(json!({})).await;
    let path = "/catalog/items";
    assert_eq!(caller.get(path, None).await.0, 404);
    let hammer = Hammer::start(Arc::clone(&caller), path);

    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let let_in = caller.get(path, Some(&token)).await;
    assert_eq!(let_in, (200, "from the backend".to_owned()));
    let other = caller.token(json!({"aud": "somebody-else"})).await;
    let late = caller.token(json!({"exp": 1_000_000_000})).await;
    for refused in [other, late] {
        assert_eq!(caller.get(path, Some(&refused)).await.0, 401);
    }

    // Another document, another path, another limit, each with a kill as soon
    // as it begins to be written.
    for round in 0..4_u32 {
        let change = match round % 2 {
            0 => {
                json!({"spec": {"specification": e2e::document("changed", &["get", "put"]).to_string()}})
            }
            _ => {
                json!({"spec": {"specification": e2e::document("catalog", &["get", "post"]).to_string(), "rateLimit": {"limit": (5_000 + round).to_string()}}})
            }
        };
        let before = stage.journal().len();
        stage.patch("shop", "catalog", &change).await.unwrap();
        wait_until("a call to Azure", PATIENCE, async || {
            (stage.journal().len() > before).then_some(()).ok_or("none")
        })
        .await
        .unwrap();
        stage.kill_operator().unwrap();
        stage.start_operator().await.unwrap();
    }
    stage.settled().await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let statuses = hammer.stop().await;
    assert!(statuses[&401] > 10, "{statuses:?}");
    let passed: Vec<_> = statuses.keys().filter(|status| **status < 400).collect();
    assert_eq!(passed, [&0_u16; 0], "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_annotation_changes_what_the_next_request_gets() {
    let test = "a_change_of_annotation_changes_what_the_next_request_gets";
    let backend = backend().await;
    let stage = Stage::builder().simulator(|config| with_gateway(config, backend));
    let Some(stage) = stage.start(test).await else {
        return;
    };
    let caller = Caller::of(&stage);
    let path = "/catalog/items";
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(caller.get(path, None).await.0, 401);

    stage
        .patch("shop", "catalog", &annotated("rate-limit"))
        .await
        .unwrap();
    caller.until(path, None, 200).await;
    let strict = json!({"metadata": {"annotations": {
        "apim.oda.tmforum.org/plugin.rate-limit": "{calls: 3, renewalPeriod: 300}",
    }}});
    stage.patch("shop", "catalog", &strict).await.unwrap();
    caller.until(path, None, 429).await;
    stage
        .patch("shop", "catalog", &annotated("jwt-entra"))
        .await
        .unwrap();
    caller.until(path, None, 401).await;
    let token = caller.token(json!({})).await;
    assert_eq!(caller.get(path, Some(&token)).await.0, 200);
    stage
        .patch("shop", "catalog", &annotated("cors"))
        .await
        .unwrap();
    caller.until(path, None, 200).await;
}
