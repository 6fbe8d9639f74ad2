//! What callers meet: requests through the local gateway, which executes the
//! policies that the operator wrote.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apim_simulator::SimulatorConfig;
use e2e::{PATIENCE, PolicyPlugins as _, Stage, config_map, exposed_api, greeting, policy_plugin};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use test_harness::wait_until;

/// What the stand-in gives to Ingresses.
const LOAD_BALANCER: &str = "203.0.113.10";

/// A backend, which is a process of its own: it answers `from the backend`.
struct Backend {
    process: Child,
    address: SocketAddr,
}

impl Backend {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_e2e-backend"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        Self {
            process,
            address: said.trim().parse().unwrap(),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn with_gateway(config: &mut SimulatorConfig, backend: &Backend) {
    config.gateway = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.backends = BTreeMap::from([(LOAD_BALANCER.to_owned(), backend.address)]);
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

    /// Waits until an answer has a header of this value.
    async fn until_header(&self, path: &str, token: &str, name: &str, value: &str) {
        wait_until(&format!("{name}: {value}"), PATIENCE, async || {
            let request = self.client.get(format!("{}{path}", self.gateway));
            let answer = request.bearer_auth(token).send().await.unwrap();
            match answer.headers().get(name) {
                Some(found) if found == value => Ok(()),
                found => Err(format!("{}: {found:?}", answer.status())),
            }
        })
        .await
        .unwrap();
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

    /// Ends it: some calls were refused, and none passed.
    async fn nothing_passed(self) {
        let statuses = self.stop().await;
        assert!(statuses[&401] > 10, "{statuses:?}");
        let passed: Vec<_> = statuses.keys().filter(|status| **status < 400).collect();
        assert_eq!(passed, [&0_u16; 0], "{statuses:?}");
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
    let backend = Backend::start();
    let stage = Stage::builder().simulator(|config| with_gateway(config, &backend));
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    let caller = Arc::new(Caller::of(&stage));
    let token = caller.token(json!({})).await;
    let path = "/catalog/items";
    assert_eq!(caller.get(path, None).await.0, 404);
    let hammer = Hammer::start(Arc::clone(&caller), path);

    // Killed while it is created, too.
    let written = stage.journal().len();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    kill_at_the_next_write(&mut stage, written).await;
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
        let written = stage.journal().len();
        stage.patch("shop", "catalog", &change).await.unwrap();
        kill_at_the_next_write(&mut stage, written).await;
    }
    stage.settled().await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    hammer.nothing_passed().await;
}

/// The next write to Azure is begun, and the operator killed.
async fn kill_at_the_next_write(stage: &mut Stage, written: usize) {
    wait_until("a call to Azure", PATIENCE, async || {
        (stage.journal().len() > written)
            .then_some(())
            .ok_or("none")
    })
    .await
    .unwrap();
    stage.kill_operator().unwrap();
    stage.start_operator().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_passes_unprotected_while_plugins_are_replaced() {
    let test = "no_request_passes_unprotected_while_plugins_are_replaced";
    let backend = Backend::start();
    let stage = Stage::builder().simulator(|config| with_gateway(config, &backend));
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    let caller = Arc::new(Caller::of(&stage));
    let token = caller.token(json!({})).await;
    let reader = caller.token(json!({"roles": ["Catalog.Read"]})).await;
    let path = "/catalog/items";
    // A plugin by file beside the one that protects, and that one by the
    // platform's word.
    let source = json!({"configMap": {"name": "greeting", "key": "plugin.wasm"}});
    let built_in = json!({"builtIn": {"name": "jwt-entra"}});
    let everywhere = json!({"mandatory": {"namespaceSelector": {}}});
    for object in [
        config_map("greeting", &greeting("1.0.0", "hello").unwrap()),
        policy_plugin("greeting", &source, &json!({})),
        policy_plugin("jwt-entra", &built_in, &everywhere),
    ] {
        stage.apply(&object).await.unwrap();
    }
    stage.until_serves("greeting", "1.0.0").await.unwrap();
    let hammer = Hammer::start(Arc::clone(&caller), path);
    // It lists nothing that protects it.
    let api = exposed_api("catalog", |object| {
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "greeting".into();
    });
    stage.apply(&api).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let header = "x-greeting";
    caller.until_header(path, &token, header, "hello").await;

    // Another file, with a kill as soon as it begins to be written.
    let written = stage.journal().len();
    let newer = config_map("greeting", &greeting("1.1.0", "howdy").unwrap());
    stage.apply(&newer).await.unwrap();
    kill_at_the_next_write(&mut stage, written).await;
    caller.until_header(path, &token, header, "howdy").await;

    // A file that is no plugin leaves the last good one, also after a restart.
    stage
        .apply(&config_map("greeting", b"no plugin"))
        .await
        .unwrap();
    let broken = stage.until_plugin_reason("greeting", "Ready", "NotAPlugin");
    broken.await.unwrap();
    assert_eq!(caller.get(path, Some(&token)).await.0, 200);
    stage.kill_operator().unwrap();
    stage.start_operator().await.unwrap();
    assert_eq!(caller.get(path, Some(&token)).await.0, 200);

    // The plugin that protects asks for more, in the middle of which the
    // operator dies.
    let written = stage.journal().len();
    let stricter = json!({"spec": {"defaults": {"requiredRoles": ["Catalog.Read"]}}});
    stage.patch_plugin("jwt-entra", &stricter).await.unwrap();
    kill_at_the_next_write(&mut stage, written).await;
    caller.until(path, Some(&token), 401).await;
    assert_eq!(caller.get(path, Some(&reader)).await.0, 200);

    // It comes from nowhere from now on, and the API changes.
    let nowhere =
        json!({"spec": {"source": {"builtIn": null, "configMap": {"name": "none", "key": "x"}}}});
    stage.patch_plugin("jwt-entra", &nowhere).await.unwrap();
    let lost = stage.until_plugin("jwt-entra", "its source is gone", |status| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions
            .into_iter()
            .any(|one| one["type"] == "Ready" && one["status"] == "False")
    });
    lost.await.unwrap();
    stage.kill_operator().unwrap();
    stage.start_operator().await.unwrap();
    let other = e2e::document("changed", &["get", "put"]).to_string();
    let change = json!({"spec": {"specification": other}});
    stage.patch("shop", "catalog", &change).await.unwrap();
    assert_eq!(caller.get(path, Some(&token)).await.0, 401);

    // And is there again.
    let back = json!({"spec": {"source": {"builtIn": {"name": "jwt-entra"}, "configMap": null}, "defaults": null}});
    stage.patch_plugin("jwt-entra", &back).await.unwrap();
    caller.until(path, Some(&token), 200).await;
    stage
        .apply(&config_map(
            "greeting",
            &greeting("1.1.0", "howdy").unwrap(),
        ))
        .await
        .unwrap();
    stage.until_ready("catalog").await.unwrap();
    hammer.nothing_passed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_annotation_changes_what_the_next_request_gets() {
    let test = "a_change_of_annotation_changes_what_the_next_request_gets";
    let backend = Backend::start();
    let stage = Stage::builder().simulator(|config| with_gateway(config, &backend));
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
