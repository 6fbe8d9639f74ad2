use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(holder: &str, transitions: i32) -> Record {
    Record {
        holder: (!holder.is_empty()).then(|| holder.to_owned()),
        duration: Some(s(15)),
        transitions,
        acquired: Some("then".to_owned()),
    }
}

fn seen(holder: &str, version: &str) -> Seen {
    Seen {
        record: record(holder, 0),
        version: version.to_owned(),
    }
}

/// A replica `me` that holds a Lease since 100 s.
fn leader() -> Elector {
    let mut me = Elector::new("me", Timings::default());
    me.written(seen("me", "1"), s(100), s(101));
    me
}

#[test]
fn a_lease_that_is_not_there_is_created() {
    let me = Elector::new("me", Timings::default());
    let wanted = Record {
        acquired: None,
        ..record("me", 0)
    };
    assert_eq!(me.turn(s(1)), Turn::Create(wanted));
    assert!(!me.leads(s(1)));
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let mut me = Elector::new("me", Timings::default());
    me.observe(Some(seen("", "7")), s(100));
    let wanted = Record {
        acquired: None,
        ..record("me", 1)
    };
    let turn = Turn::Replace {
        record: wanted,
        version: "7".into(),
    };
    assert_eq!(me.turn(s(100)), turn);
}

#[test]
fn the_lease_of_another_is_taken_when_it_has_not_changed_for_its_duration_here() {
    let mut me = Elector::new("me", Timings::default());
    me.observe(Some(seen("other", "1")), s(100));
    assert_eq!(me.turn(s(101)), Turn::Wait(s(115)));
    // Seen again, unchanged: the wait goes on.
    me.observe(Some(seen("other", "1")), s(110));
    assert_eq!(me.turn(s(110)), Turn::Wait(s(115)));
    // Renewed: it begins anew.
    me.observe(Some(seen("other", "2")), s(112));
    assert_eq!(me.turn(s(112)), Turn::Wait(s(127)));
    assert!(matches!(me.turn(s(127)), Turn::Replace { version, .. } if version == "2"));
}

#[test]
fn the_duration_that_counts_is_the_one_that_the_holder_wrote() {
    let mut me = Elector::new("me", Timings::default());
    let mut slow = seen("other", "1");
    slow.record.duration = Some(s(60));
    me.observe(Some(slow), s(100));
    assert_eq!(me.turn(s(120)), Turn::Wait(s(160)));
}

#[test]
fn a_holder_may_write_until_the_deadline_after_the_renewal_was_sent() {
    let me = leader();
    assert_eq!(me.may_write_until(), Some(s(110)));
    assert!(me.leads(s(109)));
    assert!(matches!(me.turn(s(109)), Turn::Replace { .. }));
    assert!(!me.leads(s(110)));
    assert_eq!(me.turn(s(112)), Turn::Lost(Loss::Expired(s(12))));
    assert_eq!(me.release(s(110)), None);
}

#[test]
fn a_renewal_keeps_what_the_holder_wrote_when_it_got_the_lease() {
    let me = leader();
    let turn = Turn::Replace {
        record: record("me", 0),
        version: "1".into(),
    };
    assert_eq!(me.turn(s(103)), turn);
}

#[test]
fn a_holder_that_sees_another_in_its_place_has_lost() {
    let mut me = leader();
    me.observe(Some(seen("other", "2")), s(102));
    assert_eq!(me.turn(s(102)), Turn::Lost(Loss::Taken("other".into())));
    assert!(!me.leads(s(102)));
    // And has lost for good, whatever comes.
    me.observe(Some(seen("me", "3")), s(103));
    me.written(seen("me", "4"), s(103), s(103));
    assert!(!me.leads(s(103)));
}

#[test]
fn a_holder_whose_lease_is_deleted_has_lost() {
    let mut me = leader();
    me.observe(None, s(102));
    assert_eq!(me.turn(s(102)), Turn::Lost(Loss::Deleted));
}

#[test]
fn a_lease_whose_answer_got_lost_is_renewed_and_then_counts() {
    let mut me = Elector::new("me", Timings::default());
    me.observe(Some(seen("me", "5")), s(100));
    assert!(!me.leads(s(100)));
    assert!(matches!(me.turn(s(100)), Turn::Replace { version, .. } if version == "5"));
}

#[test]
fn what_is_given_back_names_nobody_and_counts_no_transition() {
    let me = leader();
    let (given_back, version) = me.release(s(105)).unwrap();
    assert_eq!(version, "1");
    let wanted = Record {
        duration: Some(s(1)),
        ..record("", 0)
    };
    assert_eq!(given_back, wanted);
}

#[test]
fn times_that_do_not_go_together_are_refused() {
    let new = |a, b, c| Timings::new(s(a), s(b), s(c));
    assert_eq!(new(15, 10, 2), Ok(Timings::default()));
    assert!(matches!(new(10, 10, 2), Err(TimingsError::Duration { .. })));
    assert!(matches!(new(15, 4, 2), Err(TimingsError::Deadline { .. })));
    assert_eq!(new(15, 10, 0), Err(TimingsError::NoPause));
    let half = Timings::new(
        Duration::from_millis(1500),
        s(1),
        Duration::from_millis(100),
    );
    assert!(matches!(half, Err(TimingsError::Seconds { .. })));
}

#[test]
fn a_pause_lies_between_one_and_two_point_two_retry_periods() {
    let timings = Timings::default();
    assert_eq!(timings.pause(Jitter::new(0.0)), s(2));
    assert_eq!(timings.pause(Jitter::new(0.5)), Duration::from_millis(3200));
}
