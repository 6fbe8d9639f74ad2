//! Which of the original operator's objects are taken over, and how.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::validate::test_support::{instance, meta};

const CLUSTER: &str = "0f3c1a2b-77aa-4cce-9f84-f747471063c4";
const MARK: &str = "apim-operator/1 0f3c1a2b components/catalog";

/// As the original leaves an object that it has published.
fn object() -> FoundObject {
    let mut meta = meta(&[]);
    meta.annotations = BTreeMap::from([(KOPF_ANNOTATION.to_owned(), "{}".to_owned())]);
    FoundObject {
        meta,
        finalizers: vec![KOPF_FINALIZER.to_owned()],
        spec: json!({"path": "/shop/catalog", "implementation": "catalog-svc", "port": 8080}),
        status: json!({"apimBind": {"spec": {}}, "implementation": {"ready": true}}),
    }
}

fn ingress() -> FoundIngress {
    FoundIngress {
        owners: vec![("e715b931".to_owned(), true)],
        labelled: false,
        other_managers: vec!["OpenAPI-Generator".to_owned()],
        addresses: vec!["192.0.2.1".to_owned()],
    }
}

fn api() -> ObservedApi {
    ObservedApi {
        etag: Some("\"1\"".into()),
        revision: "1".into(),
        mark: None,
        other_marks: Vec::new(),
        settings: crate::desired::ApiSettings {
            display_name: "catalog".into(),
            description: "API for catalog".into(),
            path: "shop/catalog".into(),
            protocols: vec!["https".into()],
            subscription_required: true,
            subscription_key_names: crate::desired::SubscriptionKeyNames::default(),
            api_version: None,
            api_version_set: None,
            openid_provider: Some("AzureAD".into()),
            oauth2: None,
            about: crate::about::About::default(),
        },
        service_url: Some("http://192.0.2.1/shop/catalog".into()),
        provisioning: None,
    }
}

struct Case {
    object: FoundObject,
    namesakes: Vec<ObjectKey>,
    ingress: Option<FoundIngress>,
    instance: Instance,
    api: Option<ObservedApi>,
}

impl Case {
    fn new() -> Self {
        Self {
            object: object(),
            namesakes: Vec::new(),
            ingress: Some(ingress()),
            instance: instance(
                "eu",
                &json!({"ownerMay": ["api-id"], "allow": {"apiIds": ["catalog"]}}),
            ),
            api: Some(api()),
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut case = Self::new();
        change(&mut case);
        case
    }

    fn verdict(&self) -> Verdict {
        decide(&Facts {
            object: &self.object,
            namesakes: &self.namesakes,
            ingress: self.ingress.as_ref(),
            instance: Ok(&self.instance),
            api: Ok(self.api.as_ref()),
            cluster: CLUSTER,
        })
    }

    fn steps(&self) -> Vec<String> {
        match self.verdict() {
            Verdict::Steps(steps) => steps.iter().map(Step::describe).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn blocked(&self) -> String {
        match self.verdict() {
            Verdict::Blocked(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_published_object_is_taken_over_in_four_steps() {
    assert_eq!(
        Case::new().steps(),
        [
            "mark API `catalog` in instance `eu` as this object's",
            "annotate the object with apim.oda.tmforum.org/api-id: catalog, and hold it",
            "take Ingress `apim-api-ingress-catalog` over from OpenAPI-Generator as it is, without holding deletions up",
            "remove finalizer kopf.zalando.org/KopfFinalizerMarker, annotation \
             kopf.zalando.org/last-handled-configuration, status.apimBind",
        ]
    );
}

#[test]
fn a_takeover_that_died_goes_on_where_it_stopped_until_nothing_is_left() {
    let mut case = Case::new();
    case.api.as_mut().unwrap().mark = Some(MARK.into());
    assert_eq!(case.steps().len(), 3);
    case.object
        .meta
        .annotations
        .insert(format!("{PREFIX}api-id"), "catalog".into());
    case.object.finalizers.push(FINALIZER.into());
    assert_eq!(case.steps().len(), 2);
    case.ingress = Some(FoundIngress {
        owners: vec![("e715b931".to_owned(), false)],
        labelled: true,
        other_managers: Vec::new(),
        ..ingress()
    });
    assert_eq!(case.steps().len(), 1);
    case.object.finalizers.remove(0);
    case.object.meta.annotations.remove(KOPF_ANNOTATION);
    case.object.status = Value::Null;
    assert_eq!(case.verdict(), Verdict::Done);
}

#[test]
fn an_object_that_the_original_never_saw_is_not_concerned() {
    let case = Case::with(|case| {
        case.object.finalizers.clear();
        case.object.meta.annotations.clear();
        case.object.status = Value::Null;
        case.ingress = None;
    });
    assert_eq!(case.verdict(), Verdict::Foreign);
    assert!(!concerns(&case.object, None));
}

#[test]
fn an_object_that_was_never_published_loses_only_what_would_hang_it() {
    let case = Case::with(|case| {
        case.api = None;
        case.ingress = None;
    });
    assert_eq!(
        case.steps(),
        [
            "hold the object: there is no API yet, the operator publishes it anew",
            "remove finalizer kopf.zalando.org/KopfFinalizerMarker, annotation \
             kopf.zalando.org/last-handled-configuration, status.apimBind",
        ]
    );
}

#[test]
fn what_cannot_be_told_apart_or_is_somebody_elses_is_left_alone() {
    let said = [
        Case::with(|case| case.namesakes.push(ObjectKey::new("office", "catalog"))).blocked(),
        Case::with(|case| case.object.meta.deleting = true).blocked(),
        Case::with(|case| case.ingress.as_mut().unwrap().owners[0].0 = "other".into()).blocked(),
        Case::with(|case| case.api.as_mut().unwrap().settings.path = "else".into()).blocked(),
        Case::with(|case| {
            case.api.as_mut().unwrap().service_url = Some("https://elsewhere/shop/catalog".into());
        })
        .blocked(),
        Case::with(|case| case.ingress.as_mut().unwrap().addresses.clear()).blocked(),
        Case::with(|case| {
            case.api.as_mut().unwrap().other_marks =
                vec!["apim-operator/1 ffffffff components/catalog".into()];
        })
        .blocked(),
        Case::with(|case| case.instance = instance("eu", &json!({}))).blocked(),
        Case::with(|case| {
            let asked = ("apim.oda.tmforum.org/api-id".to_owned(), "x".to_owned());
            case.object.meta.annotations.extend([asked]);
        })
        .blocked(),
    ];
    let expected = [
        "office/catalog has the same name",
        "it is being deleted",
        "Ingress `apim-api-ingress-catalog` is owned by another object",
        "has path `else`, and the object's is `shop/catalog`",
        "has backend `https://elsewhere/shop/catalog`, which is not the object's Ingress (at 192.0.2.1)",
        "has backend `http://192.0.2.1/shop/catalog`, which is not the object's Ingress (which has no address)",
        "carries another object's mark, `apim-operator/1 ffffffff components/catalog`",
        "add `api-id` to `spec.ownerMay` and `catalog` (or a pattern) to `spec.allow.apiIds`",
        "asks for `x`, and its API is `catalog`",
    ];
    assert_eq!(said.len(), expected.len());
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn what_cannot_be_read_is_an_answer_too() {
    let case = Case::new();
    let facts = |instance, api| {
        decide(&Facts {
            object: &case.object,
            namesakes: &[],
            ingress: case.ingress.as_ref(),
            instance,
            api,
            cluster: CLUSTER,
        })
    };
    assert_eq!(
        facts(Err("no instance".into()), Err("no instance".into())),
        Verdict::Blocked("no instance".into())
    );
    assert_eq!(
        facts(Ok(&case.instance), Err("403".into())),
        Verdict::Blocked("403".into())
    );
}
