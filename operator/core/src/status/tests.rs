use serde_json::{Value, json};

use super::reasons::Reason;
use super::*;
use crate::class::ErrorClass;
use crate::desired::{DesiredPolicy, Origins, PluginUse, PolicyText};
use crate::gateway::select::Reach;
use crate::names::{ApiId, ContentHash, InstanceName, ObjectKey};
use crate::validate::Finding;
use crate::validate::test_support::{World, instance, meta, spec};

const NOW: &str = "2026-11-21T10:00:00Z";
const LATER: &str = "2026-11-21T11:00:00Z";

struct Scene {
    world: World,
    annotations: Vec<(&'static str, &'static str)>,
    spec: Value,
    exposure: Step,
    policy: Step,
    apim: Step,
    applied: Option<AppliedRecord>,
    generation: Option<i64>,
    drift: DriftSeen<'static>,
    previous: Option<Value>,
    now: &'static str,
}

impl Default for Scene {
    fn default() -> Self {
        let mut applied = AppliedRecord::unknown(
            InstanceName::parse("default").unwrap(),
            ApiId::parse("components.catalog").unwrap(),
        );
        applied.api_revision = Some("1".into());
        applied.spec_hash = Some(ContentHash::of("document"));
        applied.operations = Some(2);
        Self {
            world: World::default(),
            annotations: vec![],
            spec: spec(&json!({"developerUI": "/shop/catalog/v4/docs"})),
            exposure: Step::Done,
            policy: Step::Done,
            apim: Step::Done,
            applied: Some(applied),
            generation: Some(3),
            drift: DriftSeen::InPlace,
            previous: None,
            now: NOW,
        }
    }
}

impl Scene {
    fn status(&self) -> Value {
        let meta = meta(&self.annotations);
        let validated = self.world.validate(&meta, &self.spec).unwrap();
        let mut desired = crate::build::build(&validated);
        if desired.api.is_some() {
            desired.policy = Some(DesiredPolicy {
                api: PolicyText::new("<policies/>".into()),
                operations: std::collections::BTreeMap::new(),
                origins: Origins::default(),
                plugins: ["guard", "throttle"]
                    .map(|name| PluginUse {
                        name: name.into(),
                        version: "1.2.3".into(),
                        digest: format!("sha256:{name}"),
                    })
                    .to_vec(),
            });
        }
        self.with(Outcome::Built {
            validated: &validated,
            desired: &desired,
            exposure: &self.exposure,
            policy: &self.policy,
            apim: &self.apim,
            plan: None,
        })
    }

    fn with(&self, outcome: Outcome<'_>) -> Value {
        status(&Observation {
            meta: &meta(&self.annotations),
            spec: &self.spec,
            generation: self.generation,
            facts: &self.world.exposure,
            outcome,
            applied: self.applied.as_ref(),
            drift: self.drift,
            previous: self.previous.as_ref(),
            now: self.now,
        })
    }
}

/// A condition as `True Reason: message`.
fn condition(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|c| c["type"] == kind).unwrap();
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    format!("{} {}: {}", text("status"), text("reason"), text("message"))
}

fn is_ready(status: &Value) -> bool {
    let ready = status["implementation"]["ready"].as_bool().unwrap();
    assert_eq!(ready, condition(status, "Ready").starts_with("True"));
    assert!(
        !ready || status["apiStatus"]["url"].is_string(),
        "ready without a URL"
    );
    ready
}

#[test]
fn a_published_api_has_the_whole_status() {
    let status = Scene::default().status();
    assert!(is_ready(&status));
    insta::assert_json_snapshot!(status);
}

#[test]
fn at_first_sight_ready_is_there_and_false() {
    let scene = Scene {
        applied: None,
        ..Scene::default()
    };
    let status = scene.with(Outcome::Seen);
    assert!(!is_ready(&status));
    assert_eq!(
        status["apiStatus"],
        json!({"name": "catalog", "path": "/shop/catalog/v4", "port": 8080, "implementation": "catalog-svc"})
    );
    assert_eq!(
        condition(&status, "Ready"),
        "False Pending: not looked at yet"
    );
    assert_eq!(
        condition(&status, "Reconciling"),
        "True Pending: not looked at yet"
    );
}

#[test]
fn the_url_is_there_before_the_import_starts() {
    let scene = Scene {
        apim: Step::Pending,
        policy: Step::Pending,
        ..Scene::default()
    };
    let status = scene.status();
    assert!(!is_ready(&status));
    assert_eq!(
        status["apiStatus"]["url"],
        "https://gateway.azure-api.net/shop/catalog/v4"
    );
    assert_eq!(
        condition(&status, "Ready"),
        "False Pending: an earlier step is not done"
    );
}

/// Checks Ready as a whole, and the beginnings of Reconciling and Stalled.
fn check(scene: &Scene, ready: &str, reconciling: &str, stalled: &str) {
    let status = scene.status();
    assert!(!is_ready(&status));
    assert_eq!(condition(&status, "Ready"), ready);
    assert!(
        condition(&status, "Reconciling").starts_with(reconciling),
        "{ready}"
    );
    assert!(
        condition(&status, "Stalled").starts_with(stalled),
        "{ready}"
    );
}

#[test]
fn an_exposure_that_does_not_hold_is_named() {
    let with = |change: fn(&mut ExposureFacts)| {
        let mut scene = Scene::default();
        change(&mut scene.world.exposure);
        scene
    };
    let late = with(|facts| facts.objects.get_mut("Ingress").unwrap().hostname = None);
    check(
        &late,
        "False NoAddress: Ingress `apim-api-ingress-catalog` has no address yet: the controller of class `istio` \
         gives it one",
        "True NoAddress",
        "False Done",
    );
    check(
        &with(|facts| facts.objects.clear()),
        "False NoAddress: Ingress `apim-api-ingress-catalog` is not there yet",
        "True NoAddress",
        "False Done",
    );
    check(
        &with(|facts| facts.service_exists = false),
        "False NoService: Service `catalog-svc` (spec.implementation) does not exist in this namespace",
        "True NoService",
        "False Done",
    );
    check(
        &with(|facts| facts.ready_endpoints = false),
        "False NoReadyEndpoints: Service `catalog-svc` has no ready endpoint",
        "True NoReadyEndpoints",
        "False Done",
    );
    check(
        &with(|facts| {
            facts.gateway = Some(Box::new(Reach {
                key: ObjectKey::new("components", "edge"),
                host: Some("edge.svc".into()),
                trouble: Some("SelfHostedGateway `components/edge` has no pod".into()),
            }));
        }),
        "False GatewayNotReady: SelfHostedGateway `components/edge` has no pod",
        "True GatewayNotReady",
        "False Done",
    );
    let external = spec(&json!({"implementation": "<external>"}));
    check(
        &Scene {
            spec: external,
            ..Scene::default()
        },
        "False NoBackend: the OpenAPI document names no https server whose host the instance allows \
         (`allow.backendHosts`)",
        "False Done",
        "True NoBackend",
    );
}

#[test]
fn a_step_that_does_not_hold_is_named() {
    let scene = |exposure: Step, policy: Step, apim: Step| Scene {
        exposure,
        policy,
        apim,
        ..Scene::default()
    };
    let failed = |class, message: &str| Step::failed(class, message);
    check(
        &scene(
            Step::Done,
            failed(ErrorClass::Invalid, "bad"),
            Step::Pending,
        ),
        "False Rejected: bad",
        "False Done",
        "True Rejected",
    );
    check(
        &scene(Step::Done, Step::Done, failed(ErrorClass::Transient, "503")),
        "False Failed: 503",
        "True Failed",
        "False Done",
    );
    let exhausted = Step::Failed {
        reason: Reason::RetriesExhausted,
        class: ErrorClass::Transient,
        message: "503, five times".into(),
    };
    check(
        &scene(Step::Done, Step::Done, exhausted),
        "False RetriesExhausted: 503, five times",
        "False Done",
        "True RetriesExhausted",
    );
    let running = Step::Running {
        message: "importing".into(),
    };
    check(
        &scene(Step::Done, Step::Done, running),
        "False Progressing: importing",
        "True Progressing",
        "False Done",
    );
    check(
        &scene(
            failed(ErrorClass::Denied, "forbidden"),
            Step::Done,
            Step::Done,
        ),
        "False Denied: forbidden",
        "True Denied",
        "False Done",
    );
}

#[test]
fn the_last_error_of_api_management_is_kept_beside_what_is_applied() {
    let scene = Scene {
        apim: Step::failed(ErrorClass::Transient, "503 from ARM"),
        ..Scene::default()
    };
    assert_eq!(
        scene.status()["apim"],
        json!({
            "instance": "default", "apiId": "components.catalog", "apiRevision": "1",
            "specHash": ContentHash::of("document"), "operations": 2, "lastError": "503 from ARM",
        })
    );
    assert_eq!(Scene::default().status()["apim"].get("lastError"), None);
}

#[test]
fn metrics_follow_the_endpoints_alone() {
    let mut scene = Scene {
        spec: spec(&json!({"apiType": "prometheus", "specification": null})),
        policy: Step::NotNeeded,
        apim: Step::NotNeeded,
        applied: None,
        ..Scene::default()
    };
    scene.world.exposure.objects.clear();
    let status = scene.status();
    assert!(is_ready(&status));
    assert_eq!(
        status["apiStatus"],
        json!({
            "name": "catalog", "path": "/shop/catalog/v4", "port": 8080, "implementation": "catalog-svc",
            "url": "http://catalog-svc.components.svc:8080/shop/catalog/v4",
        })
    );
    assert_eq!(status.get("apim"), None);
    assert_eq!(
        condition(&status, "ApimSynced"),
        "True NotNeeded: not needed for this type of API"
    );
    scene.world.exposure.ready_endpoints = false;
    assert!(!is_ready(&scene.status()));
}

#[test]
fn a_refused_object_keeps_its_address_and_says_what_is_wrong() {
    let published = Scene::default().status();
    let scene = Scene {
        previous: Some(published.clone()),
        now: LATER,
        ..Scene::default()
    };
    let rejection = Rejection::of(vec![
        Finding::invalid(Reason::InvalidSpec, Problem::new("spec.port", "is missing")),
        Finding::waiting(Reason::PluginLoading, Problem::new("a", "b")),
    ]);
    let status = scene.with(Outcome::Rejected(&rejection));
    assert!(!is_ready(&status));
    assert_eq!(status["apiStatus"], published["apiStatus"]);
    assert_eq!(status["plugins"], published["plugins"]);
    assert_eq!(status["apim"], published["apim"]);
    assert_eq!(
        condition(&status, "Ready"),
        "False InvalidSpec: spec.port: is missing\na: b"
    );
    assert_eq!(
        condition(&status, "Stalled"),
        "True InvalidSpec: spec.port: is missing\na: b"
    );
    assert_eq!(
        condition(&status, "ApimSynced"),
        "False InvalidSpec: see the condition Ready"
    );
}

#[test]
fn the_name_is_the_objects_whatever_was_there() {
    let scene = Scene {
        previous: Some(json!({"apiStatus": {"name": "other", "url": "https://x"}})),
        ..Scene::default()
    };
    assert_eq!(scene.with(Outcome::Seen)["apiStatus"]["name"], "catalog");
}

#[test]
fn a_paused_object_says_so() {
    let annotations = vec![("paused", "true")];
    let status = Scene {
        annotations: annotations.clone(),
        ..Scene::default()
    }
    .status();
    assert!(is_ready(&status));
    assert_eq!(
        condition(&status, "Ready"),
        "True Published: published at https://gateway.azure-api.net/shop/catalog/v4; paused, so changes have no effect"
    );
    assert_eq!(
        condition(&status, "Reconciling"),
        "False Paused: annotation `paused` is set: nothing but status is written"
    );
    let waiting = Scene {
        annotations,
        apim: Step::Pending,
        ..Scene::default()
    }
    .status();
    assert_eq!(
        condition(&waiting, "Ready"),
        "False Paused: the object is paused; before that: an earlier step is not done"
    );
}

#[test]
fn a_deletion_that_cannot_finish_says_why() {
    let step = Step::failed(
        ErrorClass::Transient,
        "management.azure.com does not answer",
    );
    let status = Scene::default().with(Outcome::Deleting(&step));
    assert!(!is_ready(&status));
    assert_eq!(
        condition(&status, "Ready"),
        "False Failed: management.azure.com does not answer"
    );
    let status = Scene::default().with(Outcome::Deleting(&Step::Pending));
    assert_eq!(
        condition(&status, "Ready"),
        "False Deleting: the object is being deleted"
    );
}

#[test]
fn the_time_of_a_condition_moves_only_with_its_status() {
    let times = |status: &Value| {
        let all = status["conditions"].as_array().unwrap().clone();
        all.into_iter()
            .map(|c| {
                (
                    c["type"].as_str().unwrap().to_owned(),
                    c["lastTransitionTime"].clone(),
                )
            })
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let first = Scene::default().status();
    let mut scene = Scene {
        previous: Some(first.clone()),
        now: LATER,
        ..Scene::default()
    };
    assert!(
        !changed(Some(&first), &scene.status()),
        "the same state must not be written again"
    );
    scene.apim = Step::failed(ErrorClass::Transient, "503");
    let second = scene.status();
    let expected = ["Ready", "Reconciling", "ApimSynced"];
    for (kind, time) in times(&second) {
        let moved = expected.contains(&kind.as_str());
        assert_eq!(time, if moved { LATER } else { NOW }, "{kind}");
    }
    // Another reason for the same status keeps the time.
    scene.previous = Some(second);
    scene.now = "2026-11-21T12:00:00Z";
    scene.apim = Step::failed(ErrorClass::Conflict, "412");
    assert_eq!(times(&scene.status())["Ready"], LATER);
}

#[test]
fn a_generation_is_written_only_where_it_means_something() {
    assert_eq!(Scene::default().status()["observedGeneration"], 3);
    let status = Scene {
        generation: None,
        ..Scene::default()
    }
    .status();
    assert_eq!(status.get("observedGeneration"), None);
    assert_eq!(status["conditions"][0].get("observedGeneration"), None);
}

#[test]
fn warnings_are_listed_and_mentioned() {
    let scene = Scene {
        spec: spec(&json!({"quota": {"limit": "5"}})),
        ..Scene::default()
    };
    let status = scene.status();
    assert_eq!(
        status["warnings"],
        json!([
            "spec.quota: has no effect: no plugin of the chain reads it; no loaded plugin reads it"
        ])
    );
    assert!(condition(&status, "Ready").ends_with("; there is a warning in status.warnings"));
}

#[test]
fn a_patch_holds_only_what_changes_and_leaves_others_alone() {
    let old = json!({
        "apiStatus": {"name": "a", "ip": "1"}, "apim": {"lastError": "x"}, "kopf": {"progress": 1},
        "implementation": {"ready": false}, "plugins": [1],
    });
    let new = json!({"apiStatus": {"name": "a", "url": "u"}, "implementation": {"ready": false}, "plugins": [2]});
    let patch = patch(Some(&old), &new).unwrap();
    assert_eq!(
        patch,
        json!({"apim": null, "apiStatus": {"ip": null, "url": "u"}, "plugins": [2]})
    );
    let mut merged = old;
    crate::config::merge(&mut merged, &patch);
    assert_eq!(
        merged,
        json!({"apiStatus": {"name": "a", "url": "u"}, "kopf": {"progress": 1},
               "implementation": {"ready": false}, "plugins": [2]})
    );
    assert!(!changed(Some(&merged), &new));
    assert!(changed(None, &new));
}

#[test]
fn many_problems_are_summarised() {
    let problems: Vec<Problem> = (0..500)
        .map(|i| Problem::new(format!("spec.f{i}"), "ä".repeat(5000)))
        .collect();
    let text = summary(&problems);
    assert!(text.len() <= 4096, "{}", text.len());
    assert!(
        text.ends_with("\n… and 497 more"),
        "{}",
        &text[text.len() - 40..]
    );
    assert_eq!(summary(&problems[..0]), "");
}

#[test]
fn the_developer_interface_is_at_the_gateways_host() {
    let path = ApiPath::parse("/shop/v4").unwrap();
    let root = ApiPath::parse("/").unwrap();
    for (path, url, ui, expected) in [
        (
            &path,
            "https://gw/shop/v4",
            "/shop/v4/docs",
            "https://gw/shop/v4/docs",
        ),
        (&path, "https://gw/shop/v4", "docs", "https://gw/docs"),
        (&root, "https://gw", "/docs", "https://gw/docs"),
        (
            &path,
            "https://gw/shop/v4",
            "https://docs.example",
            "https://docs.example",
        ),
    ] {
        assert_eq!(developer_ui(url, path, ui), expected);
    }
}

#[test]
fn the_record_is_read_from_status_and_annotation() {
    let scene = Scene::default();
    let record = scene.applied.clone().unwrap();
    assert_eq!(applied(&scene.status()), Some(record.clone()));
    assert_eq!(applied(&json!({"apim": {"lastError": "x"}})), None);
    let key = ObjectKey::new("components", "catalog");
    let text = Applied::new(&key, record.clone()).to_annotation();
    assert_eq!(Applied::from_annotation(&text, &key), Some(record));
    assert_eq!(
        Applied::from_annotation(&text, &ObjectKey::new("components", "copy")),
        None
    );
    assert_eq!(Applied::from_annotation("{", &key), None);
}

#[test]
fn an_allowed_external_implementation_is_ready_without_endpoints() {
    let mut scene = Scene {
        world: World::with(instance(
            "default",
            &json!({"allow": {"backendHosts": ["*"]}}),
        )),
        spec: spec(&json!({"implementation": "<external>"})),
        ..Scene::default()
    };
    scene.world.exposure = crate::exposure::ExposureFacts::default();
    let status = scene.status();
    assert!(is_ready(&status));
    assert_eq!(
        condition(&status, "ExposureReady"),
        "True Exposed: the implementation is at https://backend.example.com/catalog"
    );
    assert_eq!(status["apiStatus"]["implementation"], "<external>");
    assert_eq!(status["apiStatus"].get("uid"), None);
}

#[test]
fn drift_is_a_condition_from_the_first_time_on_and_stays_until_somebody_has_looked() {
    use crate::drift::{Difference, Kind};

    let report = DriftReport {
        differences: vec![Difference::new(Kind::Settings, "serviceUrl", "`a`", "`b`")],
    };
    let kinds = |status: &Value| {
        let all = status["conditions"].as_array().unwrap();
        all.iter().any(|c| c["type"] == "Drifted")
    };
    let mut scene = Scene::default();
    assert!(!kinds(&scene.status()));
    // Leaked, so that the scene may be any test's.
    scene.drift = DriftSeen::Differs {
        report: Box::leak(Box::new(report)),
        why: Reason::Reported,
    };
    let drifted = scene.status();
    assert_eq!(
        condition(&drifted, "Drifted"),
        "True Reported: serviceUrl: expected `a`, found `b`"
    );
    assert!(is_ready(&drifted), "what is served is still served");
    scene.previous = Some(drifted.clone());
    scene.now = LATER;
    scene.drift = DriftSeen::NotYet;
    assert_eq!(patch(Some(&drifted), &scene.status()), None);
    scene.drift = DriftSeen::InPlace;
    assert_eq!(
        condition(&scene.status(), "Drifted"),
        "False InPlace: nothing differs from what was put in place"
    );
}
