//! Certificates of API Management that policies name and that end soon: told
//! before calls fail, and no reason to stop anything.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::problem::Problem;

/// How long before its end a certificate is told of.
pub const NOTICE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A certificate that has ended, or will within [`NOTICE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its id in API Management.
    pub id: String,
    /// Its thumbprint, by which a policy can name it, too.
    pub thumbprint: String,
    /// When it ends.
    pub at: Timestamp,
    /// Whether it has ended.
    pub is_over: bool,
}

impl Ending {
    /// A certificate, where it is to be told of.
    #[must_use]
    pub fn of(id: &str, thumbprint: &str, at: Timestamp, now: Timestamp) -> Option<Self> {
        (at.duration_since(now) <= NOTICE).then(|| Self {
            id: id.to_owned(),
            thumbprint: thumbprint.to_owned(),
            at,
            is_over: at <= now,
        })
    }

    /// Whether a policy that names this means it. Neither has case.
    fn is(&self, name: &str) -> bool {
        [&self.id, &self.thumbprint]
            .iter()
            .any(|one| one.eq_ignore_ascii_case(name))
    }

    fn warning(&self, used: Use) -> Problem {
        let (place, who) = match used {
            Use::Policy => ("policy", "the policy names"),
            Use::Backend => ("backend", "its backend is shown"),
        };
        let (id, at) = (&self.id, self.at.strftime("%Y-%m-%d %H:%M UTC"));
        let message = if self.is_over {
            format!(
                "certificate `{id}`, which {who}, ended on {at}, and calls that need it fail; have the \
                 platform team put a new one in its place in API Management or its key vault"
            )
        } else {
            format!(
                "certificate `{id}`, which {who}, ends on {at}; have the platform team put a new one in its \
                 place in API Management or its key vault before that"
            )
        };
        Problem::new(place, message)
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A policy names it.
    Policy,
    /// The backend is shown it.
    Backend,
}

/// What the owner should know of the certificates that are used for an API.
pub fn warnings<'a>(
    named: &'a BTreeSet<String>,
    used: Use,
    ending: &'a [Ending],
) -> impl Iterator<Item = Problem> + 'a {
    ending
        .iter()
        .filter(|one| named.iter().any(|name| one.is(name)))
        .map(move |one| one.warning(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_ends_within_a_month_is_told_of_where_a_policy_names_it() {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let of = |id: &str, at: &str| Ending::of(id, "AB12", at.parse().unwrap(), now);
        assert_eq!(of("later", "2026-12-01T12:00:01Z"), None);
        let all = [
            of("tomorrow", "2026-11-02T12:00:00Z").unwrap(),
            of("over", "2026-11-01T12:00:00Z").unwrap(),
        ];
        let told = |named: &str| -> Vec<String> {
            let named = [named.to_owned()].into();
            warnings(&named, Use::Policy, &all)
                .map(|one| one.to_string())
                .collect()
        };
        assert_eq!(
            told("Tomorrow"),
            [
                "policy: certificate `tomorrow`, which the policy names, ends on 2026-11-02 12:00 UTC; have the platform \
              team put a new one in its place in API Management or its key vault before that"
            ]
        );
        assert_eq!(
            told("over"),
            [
                "policy: certificate `over`, which the policy names, ended on 2026-11-01 12:00 UTC, and calls that need \
              it fail; have the platform team put a new one in its place in API Management or its key vault"
            ]
        );
        assert_eq!(told("ab12").len(), 2, "by thumbprint");
        assert_eq!(told("other"), [""; 0]);
    }
}
