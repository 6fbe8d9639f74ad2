//! What a reviewer reads of a plan.

use super::model::{MARK, Model, Wish, apply};
use crate::apim::*;
use crate::desired::Desired;

/// What a change of the desired state would change, everything having been
/// read.
fn reviewed(from: &Wish, to: &Desired) -> Changes {
    let mut model = Model::default();
    let record = apply(&mut model, &from.desired(), None, None, |_| {}).record;
    let published = Published::of(to).unwrap();
    let reads = reads(published, Some(&record)).unwrap();
    let steps = plan(to, &model.observe(&reads), Some(&record)).unwrap();
    let everything = Reads {
        policy: true,
        operations: true,
        operation_policies: OperationPolicyReads::Every,
        products: [].into(),
        parts: [].into(),
        revisions: None,
    };
    changes(published, &model.observe(&everything), &steps)
}

#[test]
fn settings_operations_and_policies_are_told_one_by_one() {
    let from = Wish {
        operations: [1, 2, 3].into(),
        own: [(3, 1)].into(),
        ..Wish::default()
    };
    let to = Wish {
        document: 1,
        settings: 1,
        policy: 1,
        operations: [1, 2, 4].into(),
        ..Wish::default()
    };
    let changes = reviewed(&from, &to.desired());
    insta::assert_yaml_snapshot!(changes);
    insta::assert_snapshot!(changes.summary());
    assert_eq!(changes.count(), 4);
}

#[test]
fn a_new_api_shows_all_its_settings() {
    let desired = Wish::default().desired();
    let published = Published::of(&desired).unwrap();
    let nothing = Observed::default();
    let steps = plan(&desired, &nothing, None).unwrap();
    let found = changes(published, &nothing, &steps);
    let calls: Vec<_> = steps
        .iter()
        .filter_map(|step| step.call(&published.api.id))
        .map(|call| format!("{} {}", call.method, call.resource))
        .collect();
    assert_eq!(
        calls,
        [
            "PUT apis/team.orders",
            "PUT apis/team.orders/policies/policy",
            "PUT apis/team.orders",
        ]
    );
    let fields: Vec<_> = found
        .settings
        .iter()
        .filter(|f| f.to.as_deref() == Some(MARK))
        .map(|f| (f.field, f.from.as_deref()))
        .collect();
    assert_eq!(fields, [("apiRevisionDescription", None)]);
    assert_eq!(found.operations.unwrap().added.len(), 2);
}
