//! Instances that are one and the same API Management service: two of them
//! would undo each other's work, and each believe that it may.

use super::ApimInstanceSpec;

/// What tells a service from all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceIdentity(String);

impl ServiceIdentity {
    /// Of the service that the settings name. Names in Azure differ in more
    /// than the case of their letters. `resource_manager` is the one that holds
    /// where the settings name none.
    #[must_use]
    pub fn of(spec: &ApimInstanceSpec, resource_manager: &str) -> Self {
        let cloud = spec.cloud.resource_manager.as_deref();
        let cloud = cloud.unwrap_or(resource_manager).trim_end_matches('/');
        let parts = [
            cloud,
            &spec.subscription_id,
            &spec.resource_group,
            &spec.service_name,
        ];
        Self(parts.join("/").to_lowercase())
    }
}

/// An instance, and when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it was made, in a form that sorts by time; empty: before all
    /// others.
    pub created: &'a str,
    /// Its service.
    pub service: ServiceIdentity,
}

/// The instance that has `name`'s service by right, where that is another one:
/// the one that was made first.
#[must_use]
pub fn rightful<'a>(name: &str, claimants: &[Claimant<'a>]) -> Option<&'a str> {
    let own = claimants.iter().find(|claimant| claimant.name == name)?;
    let first = claimants
        .iter()
        .filter(|claimant| claimant.service == own.service)
        .min_by_key(|claimant| (claimant.created, claimant.name))?;
    (first.name != name).then_some(first.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceDefaults;

    fn claimant<'a>(name: &'a str, created: &'a str, service: &str) -> Claimant<'a> {
        Claimant {
            name,
            created,
            service: ServiceIdentity(service.to_owned()),
        }
    }

    #[test]
    fn the_first_one_has_the_service_and_the_others_are_told_its_name() {
        let all = [
            claimant("prod", "2026-02-01", "x"),
            claimant("copy", "2026-03-01", "x"),
            claimant("other", "2026-01-01", "y"),
        ];
        let found = ["prod", "copy", "other", "none"].map(|name| rightful(name, &all));
        assert_eq!(found, [None, Some("prod"), None, None]);
    }

    #[test]
    fn of_two_made_in_one_second_the_name_decides() {
        let all = [claimant("b", "1", "x"), claimant("a", "1", "x")];
        assert_eq!(rightful("b", &all), Some("a"));
        assert_eq!(rightful("a", &all), None);
    }

    #[test]
    fn letter_case_and_a_slash_at_the_end_make_no_other_service() {
        let spec = |group: &str, manager: Option<&str>| {
            let (instance, _) = crate::instance::example(&InstanceDefaults::default()).unwrap();
            let mut spec = instance.spec;
            spec.resource_group = group.to_owned();
            spec.cloud.resource_manager = manager.map(str::to_owned);
            ServiceIdentity::of(&spec, "https://management.azure.com")
        };
        assert_eq!(
            spec("RG", None),
            spec("rg", Some("https://management.azure.com/"))
        );
        assert_ne!(spec("rg", None), spec("rg2", None));
    }
}
