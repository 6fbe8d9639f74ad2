//! Where a request goes: the backend's address and what is appended to it.

use apim_expressions::{MultiMap, Url};
use std::sync::Arc;

/// The address of a backend: everything before what the operation adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) scheme: String,
    /// Host, with the port where it is not the usual one.
    pub(crate) authority: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Without a slash at the end.
    pub(crate) path: String,
    /// Parameters of the address itself.
    pub(crate) query: String,
}

impl Base {
    /// The parts of an absolute `http` or `https` URL.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text.trim()).ok()?;
        if !["http", "https"].contains(&url.scheme()) {
            return None;
        }
        let host = url.host_str()?.to_owned();
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        Some(Self {
            scheme: url.scheme().to_owned(),
            authority,
            host,
            port: url.port_or_known_default()?,
            path: url.path().trim_end_matches('/').to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
        })
    }
}

/// A request's way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// `None` where the API has no backend.
    pub(crate) base: Option<Arc<Base>>,
    /// The path behind the base's, encoded: empty or with a leading slash.
    pub(crate) path: String,
    /// The query as it is sent, without a question mark.
    pub(crate) query: String,
}

impl Target {
    /// Path and query as the backend sees them.
    pub(crate) fn path_and_query(&self) -> String {
        let (base, own) = match &self.base {
            Some(base) => (base.path.as_str(), base.query.as_str()),
            None => ("", ""),
        };
        let mut text = format!("{base}{}", self.path);
        if text.is_empty() {
            text.push('/');
        }
        let queries = [own, &self.query];
        let query: Vec<&str> = queries.into_iter().filter(|q| !q.is_empty()).collect();
        if !query.is_empty() {
            text.push('?');
            text.push_str(&query.join("&"));
        }
        text
    }

    /// What expressions see as `context.Request.Url`. That the path is the
    /// backend's, and not the API's, is documented for `set-backend-service`;
    /// host and scheme are those of the backend where one is known.
    pub(crate) fn url(&self, original: &Url) -> Url {
        let path_and_query = self.path_and_query();
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((&path_and_query, ""));
        let (scheme, host, port) = match &self.base {
            Some(base) => (base.scheme.clone(), base.host.clone(), base.port),
            None => (
                original.scheme.clone(),
                original.host.clone(),
                original.port,
            ),
        };
        Url {
            scheme,
            host,
            port,
            path: path.to_owned(),
            query: MultiMap::from_query(query),
            query_string: if query.is_empty() {
                String::new()
            } else {
                format!("?{query}")
            },
        }
    }
}

/// The parameters of a query, decoded, in order.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// The name of one `name=value` of a query, decoded.
pub(crate) fn parameter_name(pair: &str) -> String {
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

/// One encoded `name=value`.
pub(crate) fn parameter(name: &str, value: &str) -> String {
    let mut pair = url::form_urlencoded::Serializer::new(String::new());
    pair.append_pair(name, value);
    pair.finish().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_backend_sees_is_its_own_path_and_the_rest() {
        let cases = [
            ("http://b:8080/x/", "/items", "a=1", "/x/items?a=1"),
            ("http://b/x?key=1", "", "", "/x?key=1"),
            ("http://b/?key=1", "/", "a=%2F", "/?key=1&a=%2F"),
            ("http://b", "", "", "/"),
        ];
        for (base, path, query, expected) in cases {
            let target = Target {
                base: Base::parse(base).map(Arc::new),
                path: path.to_owned(),
                query: query.to_owned(),
            };
            assert_eq!(target.path_and_query(), expected);
        }
        assert_eq!(Base::parse("ftp://b"), None);
        assert_eq!(parameter("a b", "c&d=é"), "a%20b=c%26d%3D%C3%A9");
    }
}
