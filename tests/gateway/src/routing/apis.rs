//! Which API and revision a path means.

use crate::configuration::{Api, VersionScheme};
use std::collections::HashMap;

/// APIs by path.
#[derive(Debug, Default)]
pub(crate) struct ApiIndex {
    /// Lower-case path to the places of the APIs that have it.
    paths: HashMap<String, Vec<usize>>,
    longest: usize,
}

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The place of the API's revision in the configuration.
    pub(crate) api: usize,
    /// How many segments of the path belong to the API.
    pub(crate) consumed: usize,
}

impl ApiIndex {
    pub(crate) fn new(apis: &[Api]) -> Self {
        let mut index = Self::default();
        for (place, api) in apis.iter().enumerate() {
            let mut path = api.path.trim_matches('/').to_lowercase();
            if let Some(version) = &api.version
                && version.scheme == VersionScheme::Segment
                && !version.value.is_empty()
            {
                path = format!("{path}/{}", version.value.to_lowercase());
            }
            let path = path.trim_start_matches('/').to_owned();
            let segments = if path.is_empty() {
                0
            } else {
                path.split('/').count()
            };
            index.longest = index.longest.max(segments);
            index.paths.entry(path).or_default().push(place);
        }
        index
    }

    /// The API with the longest path that the segments begin with. Of several
    /// with one path, the version decides, and `;rev=N` behind the path's last
    /// segment picks a revision other than the current one.
    pub(crate) fn find(
        &self,
        apis: &[Api],
        segments: &[&str],
        query: &[(String, String)],
        header: impl Fn(&str) -> Option<String>,
    ) -> Option<Found> {
        for consumed in (0..=segments.len().min(self.longest)).rev() {
            let mut path = segments[..consumed].join("/").to_lowercase();
            let mut revision = None;
            if let Some((base, number)) = path.rsplit_once(";rev=") {
                // Only digits are a revision; anything else is no path at all.
                let digits = number.bytes().all(|byte| byte.is_ascii_digit());
                let Some(number) = number.parse::<u32>().ok().filter(|_| digits) else {
                    continue;
                };
                revision = Some(number);
                path = base.to_owned();
            }
            let Some(places) = self.paths.get(&path) else {
                continue;
            };
            let api = places.iter().copied().find(|place| {
                let api = &apis[*place];
                let right_revision = match revision {
                    Some(number) => api.revision == number,
                    None => api.current,
                };
                right_revision && is_version(api, query, &header)
            });
            if let Some(api) = api {
                return Some(Found { api, consumed });
            }
        }
        None
    }
}

fn is_version(
    api: &Api,
    query: &[(String, String)],
    header: impl Fn(&str) -> Option<String>,
) -> bool {
    let Some(version) = &api.version else {
        return true;
    };
    let asked = match &version.scheme {
        VersionScheme::Segment => return true,
        VersionScheme::Query(name) => query
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone()),
        VersionScheme::Header(name) => header(name),
    };
    asked
        .unwrap_or_default()
        .eq_ignore_ascii_case(&version.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::ApiVersion;

    fn api(path: &str, revision: u32, current: bool) -> Api {
        Api {
            path: path.to_owned(),
            revision,
            current,
            ..Api::default()
        }
    }

    #[test]
    fn the_longest_path_wins_without_case_and_a_revision_is_asked_for_behind_it() {
        let versioned = Api {
            version: Some(ApiVersion {
                value: "v2".to_owned(),
                scheme: VersionScheme::Query("api-version".to_owned()),
            }),
            ..api("shop", 1, true)
        };
        let segment = Api {
            version: Some(ApiVersion {
                value: "v1".to_owned(),
                scheme: VersionScheme::Segment,
            }),
            ..api("shop/seg", 1, true)
        };
        let apis = [
            api("shop/orders", 1, true),
            api("shop/orders", 2, false),
            api("shop/orders/old", 1, true),
            versioned,
            api("", 1, true),
            segment,
        ];
        let index = ApiIndex::new(&apis);
        let find = |path: &str, query: &[(&str, &str)]| {
            let segments: Vec<&str> = path.split('/').collect();
            let query: Vec<_> = query
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            index
                .find(&apis, &segments, &query, |_| None)
                .map(|found| (found.api, found.consumed))
        };
        assert_eq!(find("Shop/ORDERS/7", &[]), Some((0, 2)));
        assert_eq!(find("shop/orders;rev=2/7", &[]), Some((1, 2)));
        assert_eq!(find("shop/orders;REV=2", &[]), Some((1, 2)));
        assert_eq!(find("shop/orders/OLD/7", &[]), Some((2, 3)));
        assert_eq!(find("shop/x", &[("API-version", "V2")]), Some((3, 1)));
        assert_eq!(find("shop/seg/v1/x", &[]), Some((5, 3)));
        // What no other API takes, the one at the root takes.
        assert_eq!(find("shop/x", &[]), Some((4, 0)));
        assert_eq!(find("shop/orders;rev=9/7", &[]), Some((4, 0)));
        assert_eq!(find("shop/orders2", &[]), Some((4, 0)));
    }
}
