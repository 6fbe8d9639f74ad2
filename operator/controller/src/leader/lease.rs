//! Between a Lease as Kubernetes has it and what an election reads of it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt as _;
use operator_core::leader::{Record, Seen};

/// What a Lease says.
pub(super) fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    Seen {
        record: Record {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            duration: seconds.map(Duration::from_secs),
            transitions: spec.lease_transitions.unwrap_or_default(),
            acquired: spec.acquire_time.map(|time| time.0.to_string()),
        },
        version: lease.resource_version().unwrap_or_default(),
    }
}

/// The Lease that says it, written at `at`. What others keep beside it, such as
/// labels, stays.
pub(super) fn saying(
    before: Option<&Lease>,
    name: &str,
    record: &Record,
    version: Option<&str>,
    at: Timestamp,
) -> Lease {
    let mut lease = before.cloned().unwrap_or_default();
    lease.metadata.name = Some(name.to_owned());
    lease.metadata.resource_version = version.map(str::to_owned);
    lease.metadata.managed_fields = None;
    let acquired = record.acquired.as_ref().and_then(|text| text.parse().ok());
    lease.spec = Some(LeaseSpec {
        // The empty name is how a Lease is given back.
        holder_identity: Some(record.holder.clone().unwrap_or_default()),
        lease_duration_seconds: record
            .duration
            .map(|duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
        lease_transitions: Some(record.transitions),
        acquire_time: Some(MicroTime(acquired.unwrap_or(at))),
        renew_time: Some(MicroTime(at)),
        ..LeaseSpec::default()
    });
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let record = Record {
            holder: Some("pod-1_x".to_owned()),
            duration: Some(Duration::from_secs(15)),
            transitions: 3,
            acquired: Some("2026-01-02T03:04:05.000006Z".to_owned()),
        };
        let at = Timestamp::UNIX_EPOCH;
        let mut lease = saying(None, "apim-operator", &record, Some("7"), at);
        lease
            .metadata
            .labels
            .get_or_insert_default()
            .insert("kept".to_owned(), "here".to_owned());
        let read = seen(&lease);
        assert_eq!((&read.record, read.version.as_str()), (&record, "7"));

        let nobody = Record {
            holder: None,
            ..record
        };
        let given_back = saying(Some(&lease), "apim-operator", &nobody, Some("8"), at);
        assert_eq!(seen(&given_back).record, nobody);
        assert_eq!(given_back.labels()["kept"], "here");
    }
}
