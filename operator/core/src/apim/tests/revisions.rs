//! Changes as new revisions, against a model of an API that has several.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::model::{Held, MARK, Model, Wish};
use super::safety::wish;
use crate::apim::*;
use crate::desired::Desired;
use crate::names::ContentHash;
use crate::rollout::{Rollback, Rollout, notes};

/// All revisions of an API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Family {
    revisions: BTreeMap<u32, Model>,
    current: u32,
    releases: BTreeMap<String, String>,
}

/// What callers reach.
type Reached = (
    Option<String>,
    BTreeMap<String, (String, Option<String>)>,
    Option<String>,
);

fn reached(held: &Held) -> Reached {
    (
        held.policy.clone(),
        held.operations.clone(),
        held.document.clone(),
    )
}

impl Family {
    fn held(&self, number: u32) -> &Held {
        self.revisions[&number].api.as_ref().unwrap()
    }

    fn reached(&self) -> Reached {
        reached(self.held(self.current))
    }

    fn observe_one(&self, number: u32, reads: &Reads) -> Observed {
        let mut observed = self.revisions[&number].observe(reads);
        if let Some(api) = &mut observed.api {
            api.revision = number.to_string();
        }
        observed
    }

    fn observe(&self, reads: &Reads) -> Observed {
        if self.revisions.is_empty() {
            return Observed::default();
        }
        let mut observed = self.observe_one(self.current, reads);
        observed.revisions = reads.revisions.as_ref().map(|reads| {
            let one = |(number, reads): &(u32, Reads)| {
                let there = self.revisions.contains_key(number);
                there.then(|| Box::new(self.observe_one(*number, reads)))
            };
            let mut seen = ObservedRevisions {
                all: self
                    .revisions
                    .keys()
                    .map(|number| ObservedRevision {
                        number: *number,
                        mark: Some(self.held(*number).mark.clone()),
                        is_current: *number == self.current,
                    })
                    .collect(),
                releases: self.releases.clone(),
                draft: None,
                target: reads.target.as_ref().and_then(one),
            };
            if let Some(draft) = reads
                .draft
                .as_ref()
                .filter(|(number, _)| seen.is_behind(*number, MARK))
            {
                seen.draft = one(draft);
            }
            seen
        });
        observed
    }

    fn carry_out(&mut self, step: &Step, desired: &Desired, record: &mut AppliedRecord) {
        let Published { api, policy, .. } = Published::of(desired).unwrap();
        let current = self.current;
        match step {
            Step::CreateWithoutOperations => {
                assert!(self.revisions.is_empty());
                self.current = 1;
                let first = self.revisions.entry(1).or_default();
                first.carry_out(step, desired, record);
                return;
            }
            Step::InRevision { revision, step } => {
                assert_ne!(*revision, current, "callers would see it being made");
                let there = self.observe_one(current, &reads_nothing()).api.unwrap();
                let mut here = desired.clone();
                here.api = Some(in_revision(api, &there));
                let one = self.revisions.get_mut(revision).expect("the revision");
                let draft = record.draft.as_mut().expect("the draft");
                assert_eq!(draft.revision, *revision);
                one.carry_out(step, &here, &mut draft.known);
                return;
            }
            _ => {}
        }
        record.before(step, api);
        match step {
            Step::StartRevision { revision, from } => {
                let copy = self.revisions[&from.parse().unwrap()].clone();
                assert!(
                    self.revisions.insert(*revision, copy).is_none(),
                    "made twice"
                );
            }
            Step::Verify { revision } => {
                let held = self.held(*revision);
                let wanted: BTreeMap<&str, Option<&str>> = api
                    .document
                    .operations
                    .iter()
                    .flatten()
                    .map(|one| {
                        (
                            one.id.as_str(),
                            policy
                                .operations
                                .get(&one.id)
                                .map(|text| text.text.as_str()),
                        )
                    })
                    .collect();
                let there = held.operations.iter();
                let there: BTreeMap<&str, Option<&str>> = there
                    .map(|(id, (_, text))| (id.as_str(), text.as_deref()))
                    .collect();
                assert_eq!(there, wanted);
                assert!(same_document(
                    held.policy.as_ref().unwrap(),
                    &policy.api.text
                ));
            }
            Step::Release { revision, release } => {
                assert!(self.revisions.contains_key(revision));
                let said = notes(api.mandatory);
                assert!(
                    self.releases.insert(release.clone(), said).is_none(),
                    "released twice"
                );
                self.current = *revision;
            }
            Step::DropRevision { revision } => {
                assert_ne!(*revision, current, "callers reach it");
                assert!(self.revisions.remove(revision).is_some());
            }
            _ => {
                let mut other = record.clone();
                self.revisions
                    .get_mut(&current)
                    .unwrap()
                    .carry_out(step, desired, &mut other);
            }
        }
        record.after(step, api, policy);
    }
}

fn reads_nothing() -> Reads {
    Reads {
        policy: false,
        operations: false,
        operation_policies: OperationPolicyReads::Listed([].into()),
        products: [].into(),
        parts: [].into(),
        revisions: None,
    }
}

/// Reads, plans and carries out, until it ends or dies before a step.
fn apply(
    family: &mut Family,
    desired: &Desired,
    applied: Option<&AppliedRecord>,
    stop_before: Option<usize>,
    check: impl Fn(&Family),
) -> Result<(Vec<Step>, AppliedRecord), PlanError> {
    let published = Published::of(desired).unwrap();
    let mut record = AppliedRecord::of(applied, published);
    let Some(reads) = reads(published, applied) else {
        return Ok((Vec::new(), record));
    };
    let observed = family.observe(&reads);
    let steps = plan(desired, &observed, applied)?;
    record.learn(published, &observed);
    for (index, step) in steps.iter().enumerate() {
        if stop_before == Some(index) {
            return Ok((steps, record));
        }
        family.carry_out(step, desired, &mut record);
        check(family);
    }
    record.complete(published.api, published.policy);
    Ok((steps, record))
}

fn staged(wish: &Wish, keep: usize) -> Desired {
    let mut desired = wish.desired();
    let api = desired.api.as_mut().unwrap();
    api.rollout = Some(Rollout { keep, probe: None });
    desired
}

fn back_to(wish: &Wish, revision: u32) -> Desired {
    let mut desired = staged(wish, 3);
    let api = desired.api.as_mut().unwrap();
    api.rollback = Some(Rollback { revision });
    desired
}

fn published(wish: &Wish) -> (Family, AppliedRecord) {
    let mut family = Family::default();
    let (_, record) = apply(&mut family, &staged(wish, 3), None, None, |_| {}).unwrap();
    (family, record)
}

fn told(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::describe).collect()
}

/// With another document, policy and service behind it.
fn changed() -> Wish {
    Wish {
        document: 1,
        policy: 1,
        operations: [0, 1, 2].into(),
        own: [(2, 1)].into(),
        ..Wish::default()
    }
}

#[test]
fn a_change_is_made_in_a_copy_looked_at_and_released() {
    let (mut family, record) = published(&Wish::default());
    let desired = staged(&changed(), 3);
    let (steps, record) = apply(&mut family, &desired, Some(&record), None, |_| {}).unwrap();
    assert_eq!(
        told(&steps),
        [
            "make revision 2 from revision 1",
            "in revision 2: put the policy with a guard for 1 new operation(s)",
            "in revision 2: import the OpenAPI document",
            "in revision 2: read the API after the import",
            "in revision 2: put the policy of operation op-2",
            "in revision 2: put the policy",
            "verify revision 2",
            "release revision 2",
        ]
    );
    assert_eq!(family.current, 2);
    assert_eq!(record.api_revision.as_deref(), Some("2"));
    assert_eq!(record.draft, None);
    let (steps, _) = apply(&mut family, &desired, Some(&record), None, |_| {}).unwrap();
    assert_eq!(steps, []);
}

#[test]
fn what_all_revisions_share_is_patched_in_the_api_and_makes_no_revision_alone() {
    let (mut family, record) = published(&Wish::default());
    let named = Wish {
        settings: 1,
        ..Wish::default()
    };
    let (steps, record) =
        apply(&mut family, &staged(&named, 3), Some(&record), None, |_| {}).unwrap();
    assert_eq!(told(&steps), ["patch displayName"]);
    // A key that is asked for protects what follows; a new name can wait.
    let both = Wish {
        key_required: true,
        policy: 1,
        ..named
    };
    let (steps, record) =
        apply(&mut family, &staged(&both, 3), Some(&record), None, |_| {}).unwrap();
    assert_eq!(
        told(&steps)[..3],
        [
            "patch subscriptionRequired",
            "make revision 2 from revision 1",
            "in revision 2: put the policy"
        ]
    );
    let open = Wish {
        key_required: false,
        policy: 2,
        ..both
    };
    let (steps, _) = apply(&mut family, &staged(&open, 3), Some(&record), None, |_| {}).unwrap();
    assert_eq!(
        told(&steps)[3..],
        ["release revision 3", "patch subscriptionRequired"]
    );
}

#[test]
fn more_revisions_than_are_kept_go_oldest_first() {
    let (mut family, mut record) = published(&Wish::default());
    for policy in [1, 2, 0, 1] {
        let wish = Wish {
            policy,
            ..Wish::default()
        };
        record = apply(&mut family, &staged(&wish, 2), Some(&record), None, |_| {})
            .unwrap()
            .1;
    }
    assert_eq!(family.current, 5);
    assert_eq!(
        family.revisions.keys().copied().collect::<Vec<_>>(),
        [3, 4, 5]
    );
}

#[test]
fn a_rollback_releases_an_earlier_revision_and_nothing_else_until_it_is_taken_off() {
    let (mut family, record) = published(&Wish::default());
    let first = family.reached();
    let (_, record) = apply(
        &mut family,
        &staged(&changed(), 3),
        Some(&record),
        None,
        |_| {},
    )
    .unwrap();
    let second = family.reached();
    let back = back_to(&changed(), 1);
    let (steps, record) = apply(&mut family, &back, Some(&record), None, |_| {}).unwrap();
    assert_eq!(told(&steps), ["release revision 1"]);
    assert_eq!(family.reached(), first);
    assert_eq!(record.rolled_back, Some(1));
    assert_eq!(
        apply(&mut family, &back, Some(&record), None, |_| {})
            .unwrap()
            .0,
        []
    );
    // A process that knows nothing sees that callers are there.
    assert_eq!(apply(&mut family, &back, None, None, |_| {}).unwrap().0, []);
    let (steps, _) = apply(
        &mut family,
        &staged(&changed(), 3),
        Some(&record),
        None,
        |_| {},
    )
    .unwrap();
    assert_eq!(told(&steps)[0], "make revision 3 from revision 1");
    assert_eq!(family.reached(), second);
}

#[test]
fn a_release_that_is_there_is_never_used_again() {
    let (mut family, record) = published(&Wish::default());
    let (_, record) = apply(
        &mut family,
        &staged(&changed(), 3),
        Some(&record),
        None,
        |_| {},
    )
    .unwrap();
    let (_, record) = apply(
        &mut family,
        &back_to(&changed(), 1),
        Some(&record),
        None,
        |_| {},
    )
    .unwrap();
    apply(
        &mut family,
        &back_to(&changed(), 2),
        Some(&record),
        None,
        |_| {},
    )
    .unwrap();
    let ids: Vec<&str> = family.releases.keys().map(String::as_str).collect();
    assert_eq!(ids, ["rev-1", "rev-2", "rev-2-2"]);
}

#[test]
fn a_rollback_names_the_revisions_that_there_are() {
    let (mut family, record) = published(&Wish::default());
    let wrong = apply(
        &mut family,
        &back_to(&Wish::default(), 4),
        Some(&record),
        None,
        |_| {},
    );
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "API `team.orders` has no revision 4 of this object that callers could be led back to; there is none but the \
         one that they reach: remove the annotation apim.oda.tmforum.org/rollback"
    );
    let (_, record) = apply(
        &mut family,
        &staged(&changed(), 3),
        Some(&record),
        None,
        |_| {},
    )
    .unwrap();
    let wrong = apply(
        &mut family,
        &back_to(&changed(), 4),
        Some(&record),
        None,
        |_| {},
    );
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .ends_with("led back to; there is 1")
    );
    // Somebody else's revision is not the object's to release.
    let first = family.revisions.get_mut(&1).unwrap();
    first.api.as_mut().unwrap().mark = "theirs".into();
    let wrong = apply(
        &mut family,
        &back_to(&changed(), 1),
        Some(&record),
        None,
        |_| {},
    );
    assert!(matches!(wrong, Err(PlanError::NoRevision { .. })));
}

#[test]
fn no_rollback_takes_off_what_is_mandatory() {
    let rule = |number: u8| Some(ContentHash::of([number]));
    let under = |mut desired: Desired, rule| {
        desired.api.as_mut().unwrap().mandatory = rule;
        desired
    };
    let known = |mut record: AppliedRecord, rule| {
        record.mandatory_hash = rule;
        record
    };
    let (mut family, record) = published(&Wish::default());
    let new_rule = under(staged(&changed(), 3), rule(1));
    let (_, record) = apply(&mut family, &new_rule, Some(&record), None, |_| {}).unwrap();
    // The first was made before the rule.
    let back = under(back_to(&changed(), 1), rule(1));
    let refused = apply(&mut family, &back, Some(&record), None, |_| {});
    assert_eq!(
        refused.unwrap_err(),
        PlanError::NotMandatory { revision: 1 }
    );
    // The second was made under it, as its release says.
    let third = Wish {
        policy: 2,
        ..changed()
    };
    let (_, record) = apply(
        &mut family,
        &under(staged(&third, 3), rule(1)),
        Some(&record),
        None,
        |_| {},
    )
    .unwrap();
    let back = under(back_to(&third, 2), rule(1));
    let (steps, record) = apply(&mut family, &back, Some(&record), None, |_| {}).unwrap();
    assert_eq!(told(&steps), ["release revision 2"]);
    let record = known(record, rule(1));
    assert_eq!(
        apply(&mut family, &back, Some(&record), None, |_| {})
            .unwrap()
            .0,
        []
    );
    // Another rule: the API follows it, whatever is annotated.
    let back = under(back_to(&third, 2), rule(2));
    let (steps, _) = apply(&mut family, &back, Some(&record), None, |_| {}).unwrap();
    assert_eq!(told(&steps)[0], "make revision 4 from revision 2");
    let refused = apply(&mut family, &back, Some(&record), None, |_| {});
    assert_eq!(
        refused.unwrap_err(),
        PlanError::NotMandatory { revision: 2 }
    );
}

#[test]
fn a_revision_with_the_policies_of_now_holds_what_is_mandatory() {
    let (mut family, record) = published(&Wish::default());
    let wider = Wish {
        document: 1,
        operations: [0, 1, 2].into(),
        ..Wish::default()
    };
    let (_, record) = apply(&mut family, &staged(&wider, 3), Some(&record), None, |_| {}).unwrap();
    let mut back = back_to(&wider, 1);
    back.api.as_mut().unwrap().mandatory = Some(ContentHash::of("rule"));
    let (steps, _) = apply(&mut family, &back, Some(&record), None, |_| {}).unwrap();
    assert_eq!(told(&steps), ["release revision 1"]);
}

proptest! {
    /// Whenever it dies: callers reach all of before or all of after, what was
    /// left is finished or dropped, and no more revisions stay than are kept.
    #[test]
    fn callers_reach_what_was_or_what_is_and_never_a_part(
        from in wish(),
        to in wish(),
        then in wish(),
        deaths in prop::collection::vec(0..14_usize, 0..4),
        forgets in any::<bool>(),
    ) {
        let (mut family, mut record) = published(&from);
        let before = family.reached();
        let to = staged(&to, 2);
        let mut after = family.clone();
        apply(&mut after, &to, Some(&record), None, |_| {}).unwrap();
        let after = after.reached();
        let either = |family: &Family| {
            let now = family.reached();
            assert!(now == before || now == after, "{now:?}");
        };
        let at_first = record.clone().certain(Published::of(&to).unwrap());
        for death in deaths {
            let died = apply(&mut family, &to, Some(&record), Some(death), either).unwrap();
            // What was written down before the first step, or all that was known.
            record = if forgets { at_first.clone() } else { died.1 };
        }
        let (_, record) = apply(&mut family, &to, Some(&record), None, either).unwrap();
        prop_assert_eq!(family.reached(), after);
        prop_assert_eq!(&record.draft, &None);
        prop_assert_eq!(apply(&mut family, &to, Some(&record), None, |_| {}).unwrap().0, []);
        // And on from there, also where what was known is gone.
        let then = staged(&then, 2);
        apply(&mut family, &then, None, None, |_| {}).unwrap();
        let (_, record) = apply(&mut family, &then, None, None, |_| {}).unwrap();
        prop_assert!(family.revisions.len() <= 3 + usize::from(forgets) * 4);
        prop_assert_eq!(apply(&mut family, &then, Some(&record), None, |_| {}).unwrap().0, []);
    }
}
