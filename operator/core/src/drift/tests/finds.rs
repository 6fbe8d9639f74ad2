//! What counts as drift, how it is told, and what is forgotten for it.

use proptest::prelude::*;

use super::*;
use crate::apim::{Step, difference, plan, reads, same_document};
use crate::drift::*;
use crate::names::ProductId;

/// What is told of a change, line by line.
fn told(change: impl FnOnce(&mut Observed)) -> String {
    let desired = desired();
    let mut observed = all(&desired);
    change(&mut observed);
    compare(
        Published::of(&desired).unwrap(),
        &record(&desired),
        &observed,
    )
    .to_string()
}

fn api(observed: &mut Observed) -> &mut ObservedApi {
    observed.api.as_mut().unwrap()
}

#[test]
fn what_azure_rewrites_is_no_drift() {
    assert_eq!(told(|_| {}), "");
}

#[test]
fn an_api_that_others_took_out_of_a_product_is_put_back_and_out_of_no_other() {
    let gold = ProductId::parse("gold").unwrap();
    let mut desired = desired();
    desired.api.as_mut().unwrap().products = [gold.clone()].into();
    let published = Published::of(&desired).unwrap();
    let mut record = record(&desired);
    let mut observed = all(&desired);
    observed.products = [(gold.clone(), true)].into();
    assert!(compare(published, &record, &observed).is_empty());

    observed.products = [(gold.clone(), false)].into();
    let report = compare(published, &record, &observed);
    assert_eq!(
        report.to_string(),
        "products/gold: expected the API in it, found (absent)"
    );
    forget(&mut record, &report);
    let reads = reads(published, Some(&record)).unwrap();
    assert_eq!(reads.products, [gold.clone()].into());
    observed.operations = Reading::NotRead;
    assert_eq!(
        plan(&desired, &observed, Some(&record)).unwrap(),
        [Step::EnterProduct { product: gold }]
    );
}

#[test]
fn what_was_not_read_is_not_judged() {
    let text = told(|observed| {
        observed.policy = Reading::NotRead;
        observed.operations = Reading::NotRead;
        observed.operation_policies.clear();
    });
    assert_eq!(text, "");
}

#[test]
fn each_change_is_told_with_its_path_what_was_expected_and_what_was_found() {
    let cases = [
        told(|o| o.api = None),
        told(|o| api(o).mark = None),
        told(|o| api(o).mark = Some("apim-operator/1 01234567 team/other".to_owned())),
        told(|o| {
            api(o).revision = "2".to_owned();
            api(o).mark = None;
            api(o).other_marks = vec![MARK.to_owned()];
        }),
        told(|o| {
            api(o).service_url = Some("https://elsewhere.example.com/?sig=abc".to_owned());
            api(o).settings.subscription_required = false;
            api(o).settings.protocols.push("ws".to_owned());
        }),
        told(|o| o.policy = Reading::Absent),
        told(|o| o.policy = policy(&POLICY.replace("\"100\"", "\"100000\""))),
        told(|o| o.policy = policy(OWN)),
        told(|o| o.policy = policy("<policies><inbound>")),
        told(|o| {
            o.operations = Reading::Found(vec![
                operation("get-orders", "GET", "/orders/all"),
                operation("delete-orders", "DELETE", "/orders"),
            ]);
        }),
        told(|o| {
            o.operation_policies
                .insert("get-orders".to_owned(), policy(OWN));
            o.operation_policies
                .insert("post-orders".to_owned(), Reading::Absent);
        }),
    ];
    insta::assert_snapshot!(cases.join("\n--\n"), @r#"
    api: expected `team.orders`, found (absent)
    --
    apiRevisionDescription: expected `apim-operator/1 01234567 team/orders`, found (absent)
    --
    apiRevisionDescription: expected `apim-operator/1 01234567 team/orders`, found `apim-operator/1 01234567 team/other`
    --
    apiRevision: expected `1`, found `2`
    apiRevisionDescription: expected `apim-operator/1 01234567 team/orders`, found (absent)
    --
    protocols: expected `https, http`, found `http, https, ws`
    subscriptionRequired: expected true, found false
    serviceUrl: expected `https://backend.example.com/orders`, found `https://elsewhere.example.com/?sig=(redacted)`
    --
    policy: expected a document of 240 bytes, found (absent)
    --
    policy/inbound/rate-limit/@calls: expected `100`, found `100000`
    --
    policy/inbound/rate-limit: expected `<rate-limit calls="100" renewal-period="60">`, found (absent)
    policy/inbound/set-header: expected `<set-header name="X-Team">…`, found (absent)
    --
    policy: expected a document of 240 bytes, found another document of 19 bytes
    --
    operations/delete-orders: expected (absent), found `DELETE /orders`
    operations/get-orders: expected `GET /orders`, found `GET /orders/all`
    operations/post-orders: expected `POST /orders`, found (absent)
    --
    operations/get-orders/policy: expected (absent), found a document of 69 bytes
    operations/post-orders/policy: expected a document of 69 bytes, found (absent)
    "#);
}

#[test]
fn of_somebody_elses_api_nothing_but_whose_it_is_is_told() {
    let desired = desired();
    let mut observed = all(&desired);
    api(&mut observed).mark = Some("theirs".to_owned());
    api(&mut observed).settings.display_name = "theirs".to_owned();
    let report = compare(
        Published::of(&desired).unwrap(),
        &record(&desired),
        &observed,
    );
    assert_eq!(report.kinds(), [Kind::Ownership]);
    assert!(report.is_lost());
}

/// The steps that put back a change, planned from the record without what
/// differs and from what a read then finds.
fn put_back(change: impl FnOnce(&mut Observed)) -> Vec<String> {
    let desired = desired();
    let published = Published::of(&desired).unwrap();
    let mut there = all(&desired);
    change(&mut there);
    let mut record = record(&desired);
    assert_eq!(reads(published, Some(&record)), None);
    let report = compare(published, &record, &there);
    forget(&mut record, &report);
    let wanted = reads(published, Some(&record)).expect("something to read");
    let mut read = Observed {
        api: there.api.clone(),
        ..Observed::default()
    };
    if wanted.policy {
        read.policy = there.policy.clone();
    }
    if wanted.operations {
        read.operations = there.operations.clone();
    }
    read.operation_policies = match wanted.operation_policies {
        crate::apim::OperationPolicyReads::Every => there.operation_policies.clone(),
        crate::apim::OperationPolicyReads::Listed(listed) => listed
            .into_iter()
            .map(|id| {
                let reading = there.operation_policies.get(&id).cloned();
                (id, reading.unwrap_or(Reading::Absent))
            })
            .collect(),
    };
    plan(&desired, &read, Some(&record))
        .unwrap()
        .iter()
        .map(Step::describe)
        .collect()
}

#[test]
fn what_is_forgotten_is_what_the_plan_puts_back_and_nothing_else() {
    assert_eq!(
        put_back(|o| api(o).settings.display_name = "x".to_owned()),
        ["patch displayName"]
    );
    assert_eq!(put_back(|o| o.policy = policy(OWN)), ["put the policy"]);
    assert_eq!(put_back(|o| o.policy = Reading::Absent), ["put the policy"]);
    assert_eq!(
        put_back(|o| {
            o.operation_policies
                .insert("get-orders".to_owned(), policy(OWN));
        }),
        ["delete the policy of operation get-orders"]
    );
    assert_eq!(
        put_back(|o| {
            o.operation_policies
                .insert("post-orders".to_owned(), Reading::Absent);
        }),
        ["put the policy of operation post-orders"]
    );
    assert_eq!(
        put_back(|o| {
            let there = vec![
                operation("get-orders", "GET", "/orders"),
                operation("post-orders", "POST", "/orders"),
                operation("backdoor", "GET", "/backdoor"),
            ];
            o.operations = Reading::Found(there);
        }),
        [
            "import the OpenAPI document",
            "read the API after the import"
        ]
    );
    assert_eq!(
        put_back(|o| o.api = None),
        [
            "create the API without operations",
            "put the policy with a guard for 1 new operation(s)",
            "import the OpenAPI document",
            "read the API after the import",
            "put the policy of operation post-orders",
            "put the policy",
        ]
    );
}

#[test]
fn another_current_revision_gets_all_that_the_first_had() {
    let steps = put_back(|o| {
        api(o).revision = "2".to_owned();
        api(o).mark = None;
        api(o).other_marks = vec![MARK.to_owned()];
        o.operations = Reading::Found(Vec::new());
        o.operation_policies.clear();
        o.policy = Reading::Absent;
    });
    assert_eq!(
        steps,
        [
            "put the policy with a guard for 1 new operation(s)",
            "import the OpenAPI document",
            "read the API after the import",
            "put the policy of operation post-orders",
            "put the policy",
        ]
    );
}

#[test]
fn an_etag_that_is_known_needs_no_read_and_another_is_remembered_once_the_text_is_the_same() {
    let desired = desired();
    let published = Published::of(&desired).unwrap();
    let etags = KnownEtags::default();
    let mut watched = Watched::new(published, &record(&desired), &etags, None);
    assert!(!watched.has_policy_etag());
    assert_eq!(watched.policy_etag(Some("\"P\"")), Verdict::Unclear);
    assert_eq!(watched.policy(&all(&desired).policy), Verdict::Fine);
    assert_eq!(watched.policy_etag(Some("\"P\"")), Verdict::Fine);
    assert_eq!(watched.policy_etag(Some("\"Q\"")), Verdict::Unclear);
    assert_eq!(watched.policy_etag(Some("")), Verdict::Unclear);
    assert_eq!(watched.policy_etag(None), Verdict::Differs);
    assert_eq!(watched.policy(&policy(OWN)), Verdict::Differs);
    // What differs does not become what is known.
    assert_eq!(watched.policy_etag(Some("\"P\"")), Verdict::Fine);
    // What is known stays known while the same is published.
    let again = Watched::new(published, &record(&desired), &etags, Some(&watched));
    assert_eq!(again, watched);
    let mut other = desired.clone();
    other.policy.as_mut().unwrap().api = PolicyText::new(OWN.to_owned());
    let changed = Watched::new(
        Published::of(&other).unwrap(),
        &record(&other),
        &etags,
        Some(&watched),
    );
    assert!(!changed.has_policy_etag());
}

#[test]
fn a_list_that_shows_less_than_a_read_is_learned() {
    let desired = desired();
    let published = Published::of(&desired).unwrap();
    let mut watched = Watched::new(published, &record(&desired), &KnownEtags::default(), None);
    let whole = observed(&desired);
    let listed = ObservedApi {
        service_url: None,
        ..whole.clone()
    };
    assert_eq!(watched.listed(&whole), Verdict::Fine);
    assert_eq!(watched.listed(&listed), Verdict::Unclear);
    assert_eq!(watched.api(Some(&whole), Some(&listed)), Verdict::Fine);
    assert_eq!(watched.listed(&listed), Verdict::Fine);
    let revised = ObservedApi {
        revision: "2".to_owned(),
        ..listed.clone()
    };
    assert_eq!(watched.listed(&revised), Verdict::Unclear);
    assert_eq!(watched.api(None, None), Verdict::Differs);
}

#[test]
fn operations_are_told_by_their_ids_and_their_shape_by_what_was_first_read() {
    let desired = desired();
    let published = Published::of(&desired).unwrap();
    let mut watched = Watched::new(published, &record(&desired), &KnownEtags::default(), None);
    let there = |template: &str| {
        vec![
            operation("get-orders", "GET", template),
            operation("POST-orders", "POST", "/orders"),
        ]
    };
    // Azure may spell a template in its own way.
    assert_eq!(watched.operations(&there("/orders?x={x}")), Verdict::Fine);
    assert_eq!(watched.operations(&there("/orders?x={x}")), Verdict::Fine);
    assert_eq!(watched.operations(&there("/all")), Verdict::Differs);
    assert_eq!(
        watched.operations(&there("/orders?x={x}")[..1]),
        Verdict::Differs
    );
    watched.learn_operations();
    assert_eq!(watched.operations(&there("/all")), Verdict::Fine);
    assert_eq!(
        watched.operation_policy_etag("get-orders", None),
        Verdict::Fine
    );
    assert_eq!(
        watched.operation_policy("get-orders", &policy(OWN)),
        Verdict::Differs
    );
    assert_eq!(
        watched.operation_policy("post-orders", &policy(OWN)),
        Verdict::Fine
    );
    assert_eq!(
        watched.operation_policy_etag("post-orders", Some("\"P\"")),
        Verdict::Fine
    );
}

fn settings() -> impl Strategy<Value = ObservedApi> {
    let text = prop_oneof![
        Just(String::new()),
        Just("orders".to_owned()),
        Just("/orders/".to_owned())
    ];
    let protocols = prop::sample::subsequence(vec!["https", "http", "HTTPS"], 0..=3);
    (
        (
            text.clone(),
            text.clone(),
            text.clone(),
            protocols,
            any::<bool>(),
        ),
        (
            prop::option::of(text.clone()),
            prop::option::of(text),
            prop::option::of(Just(MARK.to_owned())),
        ),
    )
        .prop_map(
            |((name, description, path, protocols, required), (provider, url, mark))| ObservedApi {
                etag: None,
                revision: "1".to_owned(),
                mark,
                other_marks: Vec::new(),
                provisioning: None,
                settings: ApiSettings {
                    display_name: name,
                    description,
                    path,
                    protocols: protocols.into_iter().map(str::to_owned).collect(),
                    subscription_required: required,
                    subscription_key_names: SubscriptionKeyNames::default(),
                    api_version: None,
                    api_version_set: None,
                    openid_provider: provider,
                    oauth2: None,
                    about: crate::about::About::default(),
                },
                service_url: url,
            },
        )
}

proptest! {
    #[test]
    fn fingerprints_of_settings_are_equal_exactly_where_there_is_no_difference(
        want in settings(), have in settings()
    ) {
        let mut desired = desired();
        let api = desired.api.as_mut().unwrap();
        api.settings = want.settings;
        api.service_url = Some(want.service_url.unwrap_or_default());
        let equal = Fingerprint::of_desired(api) == Fingerprint::of_observed(&have);
        prop_assert_eq!(equal, difference(api, &have).is_empty());
    }

    #[test]
    fn fingerprints_of_documents_are_equal_exactly_where_they_mean_the_same(
        one in document(), other in document()
    ) {
        prop_assert_eq!(
            Fingerprint::of_document(&one) == Fingerprint::of_document(&other),
            same_document(&one, &other)
        );
    }
}

fn document() -> impl Strategy<Value = String> {
    let statement = prop_oneof![
        Just("<base />".to_owned()),
        Just("<set-header name=\"a\"/>".to_owned()),
        Just("<set-header name=\"a\" exists-action=\"override\" />".to_owned()),
        Just("<set-header name=\"@(1  + 1)\" />".to_owned()),
        Just("<set-header name=\"@(1+1)\" />".to_owned()),
        // Not a document at all.
        Just("<set-header".to_owned()),
    ];
    let blank = prop_oneof![
        Just(String::new()),
        Just("\r\n\t".to_owned()),
        Just("  ".to_owned())
    ];
    (prop::collection::vec(statement, 0..3), blank).prop_map(|(statements, blank)| {
        format!(
            "<policies>{blank}<inbound>{}</inbound>{blank}</policies>",
            statements.join(&blank)
        )
    })
}
