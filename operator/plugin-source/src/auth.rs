//! Who asks a registry: nobody, or a user of a Docker config file, which is
//! also what a Secret of type `kubernetes.io/dockerconfigjson` holds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use oci_client::Reference;
use serde::Deserialize;

/// Credentials for one registry. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub enum RegistryAuth {
    /// None.
    #[default]
    Anonymous,
    /// A user name and password, or a token in its place.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => write!(f, "Basic({username}:…)"),
        }
    }
}

impl RegistryAuth {
    /// What stands after `Basic ` in a header.
    pub(crate) fn basic(&self) -> Option<String> {
        match self {
            Self::Anonymous => None,
            Self::Basic { username, password } => {
                Some(STANDARD.encode(format!("{username}:{password}")))
            }
        }
    }

    pub(crate) const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }
}

/// The credentials of a Docker config document, by registry.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DockerConfig {
    entries: BTreeMap<String, Entry>,
    /// A program that keeps the credentials, for all registries or for one.
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DockerConfig({:?})", self.entries.keys())
    }
}

/// Why a Docker config has no credentials that can be used. No message holds
/// any of its contents but the names of registries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerConfigError {
    /// It is no such document.
    #[error(
        "the Docker config is not usable: {0}; expected is {{\"auths\": {{\"<registry>\": {{\"auth\": \"<base64 of user:password>\"}}}}}}"
    )]
    Format(String),
    /// An entry without a user name and password that can be read.
    #[error("the Docker config's entry for `{registry}` is not usable: {reason}")]
    Entry {
        /// The key of the entry.
        registry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The credentials are in another program.
    #[error(
        "the Docker config keeps the credentials for `{registry}` in the program docker-credential-{helper}, which is not called; name a config file with an entry of its own for `{registry}`, for example one made by `docker --config DIR login {registry}`"
    )]
    Helper {
        /// The registry.
        registry: String,
        /// The end of the program's name.
        helper: String,
    },
    /// The file cannot be read.
    #[error("the Docker config {path} cannot be read: {message}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl DockerConfig {
    /// Reads the document of `~/.docker/config.json` or of the key
    /// `.dockerconfigjson` of a Secret.
    pub fn parse(json: &[u8]) -> Result<Self, DockerConfigError> {
        // serde_json's messages may quote a value; its position says enough.
        let document: Document = serde_json::from_slice(json).map_err(|error| {
            DockerConfigError::Format(format!(
                "no JSON of that form (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        Ok(Self {
            entries: document.auths,
            helpers: document.cred_helpers,
            store: document.creds_store.filter(|store| !store.is_empty()),
        })
    }

    /// The document that Docker itself uses: `$DOCKER_CONFIG/config.json` or
    /// `~/.docker/config.json`; empty where there is none. `lookup` reads an
    /// environment variable.
    pub fn of_user(
        lookup: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, DockerConfigError> {
        let folder = lookup("DOCKER_CONFIG").map(PathBuf::from).or_else(|| {
            let home = lookup("HOME")?;
            Some(Path::new(&home).join(".docker"))
        });
        let Some(path) = folder.map(|folder| folder.join("config.json")) else {
            return Ok(Self::default());
        };
        match std::fs::read(&path) {
            Ok(json) => Self::parse(&json),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(DockerConfigError::Io {
                path,
                message: error.to_string(),
            }),
        }
    }

    /// The registries it has entries for, as they are spelled there.
    pub fn registries(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The credentials for a reference: of the entry for its registry, with
    /// the longest path that leads to its repository. Anonymous where there is
    /// no entry.
    ///
    /// Keys are read as the kubelet reads them: a scheme and `/v1/` or `/v2/`
    /// are ignored, all names of Docker Hub are one, and `*` stands for one
    /// label of the host or a part of it.
    pub fn auth_for(&self, reference: &Reference) -> Result<RegistryAuth, DockerConfigError> {
        let registry = registry_name(reference.registry());
        let found = self
            .entries
            .iter()
            .filter_map(|(key, entry)| {
                let (host, path) = split_key(key);
                let fits =
                    host_matches(&host, &registry) && is_path_prefix(path, reference.repository());
                // An exact host wins over a pattern, a longer path over a shorter.
                fits.then_some(((path.len(), !host.contains('*')), key, entry))
            })
            .max_by_key(|(rank, ..)| *rank);
        match found {
            Some((_, key, entry)) if !entry.is_empty() => entry.auth(key),
            _ => {
                let one = self.helpers.iter().find(|(key, _)| {
                    let (host, _) = split_key(key);
                    host == registry
                });
                // Docker writes an empty entry for what is in the store.
                let stored = found.and(self.store.as_ref());
                match one.map(|(_, helper)| helper).or(stored) {
                    Some(helper) => Err(DockerConfigError::Helper {
                        registry,
                        helper: helper.clone(),
                    }),
                    None => Ok(RegistryAuth::Anonymous),
                }
            }
        }
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        let Self {
            auth,
            username,
            password,
            identitytoken,
            registrytoken,
        } = self;
        [auth, username, password, identitytoken, registrytoken]
            .into_iter()
            .all(|field| field.as_deref().is_none_or(str::is_empty))
    }

    fn auth(&self, registry: &str) -> Result<RegistryAuth, DockerConfigError> {
        let fail = |reason| {
            Err(DockerConfigError::Entry {
                registry: registry.to_owned(),
                reason,
            })
        };
        let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if given(&self.identitytoken).is_some() || given(&self.registrytoken).is_some() {
            return fail(
                "it holds an identity or registry token, which is not supported; use a user name and a password (or an access token as the password)",
            );
        }
        let pair = match (
            given(&self.username),
            given(&self.password),
            given(&self.auth),
        ) {
            (Some(username), Some(password), _) => Some((username, password)),
            (_, _, Some(auth)) => decoded(auth.trim()),
            _ => return fail("it needs `auth`, or both `username` and `password`"),
        };
        let Some((username, password)) = pair else {
            return fail("`auth` is not the base64 of `user:password`");
        };
        // Azure writes its token this way, for its own protocol alone.
        if username == "<token>" {
            return fail(
                "it holds an identity token, which is not supported; use a user name and a password",
            );
        }
        Ok(RegistryAuth::Basic { username, password })
    }
}

/// User and password of `auth`. Some writers of the format end it with a NUL.
fn decoded(auth: &str) -> Option<(String, String)> {
    let bytes = STANDARD
        .decode(auth)
        .or_else(|_| STANDARD_NO_PAD.decode(auth))
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    let password = password.trim_end_matches('\0');
    Some((username.to_owned(), password.to_owned()))
}

/// A key without its scheme, as host and path.
fn split_key(key: &str) -> (String, &str) {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = path.trim_matches('/');
    let path = if matches!(path, "v1" | "v2") {
        ""
    } else {
        path
    };
    (registry_name(host), path)
}

/// One name for each registry: Docker Hub has several, and 443 is no port.
fn registry_name(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

/// Label by label; a pattern never matches more labels than it has.
fn host_matches(pattern: &str, host: &str) -> bool {
    let port = |text: &str| text.split_once(':').map(|(_, port)| port.to_owned());
    let labels = |text: &str| -> Vec<String> {
        let name = text.split(':').next().unwrap_or_default();
        name.split('.').map(str::to_owned).collect()
    };
    let (pattern_labels, host_labels) = (labels(pattern), labels(host));
    port(pattern) == port(host)
        && pattern_labels.len() == host_labels.len()
        && pattern_labels
            .iter()
            .zip(&host_labels)
            .all(|(pattern, label)| match pattern.split_once('*') {
                None => pattern == label,
                Some((start, end)) => {
                    label.len() >= start.len() + end.len()
                        && label.starts_with(start)
                        && label.ends_with(end)
                }
            })
}

/// Whether a path leads to a repository, in whole segments.
fn is_path_prefix(path: &str, repository: &str) -> bool {
    path.is_empty()
        || repository
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(config: &str, reference: &str) -> Result<RegistryAuth, DockerConfigError> {
        DockerConfig::parse(config.as_bytes())?.auth_for(&reference.parse().unwrap())
    }

    fn user(name: &str) -> RegistryAuth {
        RegistryAuth::Basic {
            username: name.into(),
            password: "p:w".into(),
        }
    }

    #[test]
    fn the_entry_with_the_longest_path_wins() {
        let config = r#"{"auths": {
            "r.example": {"username": "all", "password": "p:w"},
            "r.example/team": {"username": "team", "password": "p:w"},
            "https://r.example/team/a/": {"username": "a", "password": "p:w"},
            "r.example:5000": {"username": "port", "password": "p:w"},
            "*.azurecr.example": {"username": "star", "password": "p:w"},
            "https://index.docker.io/v1/": {"username": "hub", "password": "p:w"}}}"#;
        for (reference, expected) in [
            ("r.example/x:1", user("all")),
            ("R.example:443/x:1", user("all")),
            ("r.example/team/b:1", user("team")),
            ("r.example/team/a:1", user("a")),
            ("r.example/team-evil/a:1", user("all")),
            ("r.example:5000/team/a:1", user("port")),
            ("r.example:5001/x:1", RegistryAuth::Anonymous),
            ("acme.azurecr.example/x:1", user("star")),
            ("a.b.azurecr.example/x:1", RegistryAuth::Anonymous),
            ("docker.io/acme/x:1", user("hub")),
            ("acme/x", user("hub")),
            ("evil-r.example/x:1", RegistryAuth::Anonymous),
        ] {
            assert_eq!(auth(config, reference), Ok(expected), "{reference}");
        }
    }

    #[test]
    fn auth_is_the_base64_of_user_and_password() {
        let encoded = STANDARD.encode("me:p:w");
        let config = format!(r#"{{"auths": {{"r.example": {{"auth": "{encoded}"}}}}}}"#);
        assert_eq!(auth(&config, "r.example/x:1"), Ok(user("me")));
        let shown = format!("{:?}", auth(&config, "r.example/x:1"));
        assert!(!shown.contains("p:w"), "{shown}");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason_and_no_secret() {
        let token = STANDARD.encode("<token>:geheim");
        let junk = STANDARD.encode("geheim");
        for (entry, reason) in [
            (
                r#"{"identitytoken": "geheim"}"#.to_owned(),
                "an identity or registry token",
            ),
            (format!(r#"{{"auth": "{token}"}}"#), "an identity token"),
            (format!(r#"{{"auth": "{junk}"}}"#), "not the base64 of"),
            (r#"{"auth": "ge heim"}"#.to_owned(), "not the base64 of"),
            (
                r#"{"username": "geheim"}"#.to_owned(),
                "it needs `auth`, or both",
            ),
        ] {
            let config = format!(r#"{{"auths": {{"r.example": {entry}}}}}"#);
            let error = auth(&config, "r.example/x:1").unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.contains("`r.example`"),
                "{error}"
            );
            assert!(!error.contains("heim"), "{error}");
        }
        let error = auth(r#"{"auths": "geheim"}"#, "r.example/x:1").unwrap_err();
        assert!(!error.to_string().contains("geheim"), "{error}");
    }

    #[test]
    fn credentials_in_a_helper_are_named_and_not_fetched() {
        for config in [
            r#"{"auths": {"r.example": {}}, "credsStore": "desktop"}"#,
            r#"{"credHelpers": {"r.example": "desktop"}}"#,
        ] {
            let error = auth(config, "r.example/x:1").unwrap_err();
            let expected = DockerConfigError::Helper {
                registry: "r.example".into(),
                helper: "desktop".into(),
            };
            assert_eq!(error, expected);
        }
        // Another registry is asked anonymously.
        let other = r#"{"auths": {"r.example": {}}, "credsStore": "desktop"}"#;
        assert_eq!(auth(other, "o.example/x:1"), Ok(RegistryAuth::Anonymous));
    }

    #[test]
    fn the_users_own_config_is_found_and_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let lookup = |name: &str| (name == "DOCKER_CONFIG").then(|| folder.path().into());
        assert_eq!(DockerConfig::of_user(lookup), Ok(DockerConfig::default()));
        let json = r#"{"auths": {"r.example": {"username": "me", "password": "p:w"}}}"#;
        std::fs::write(folder.path().join("config.json"), json).unwrap();
        let config = DockerConfig::of_user(lookup).unwrap();
        assert_eq!(config.registries().collect::<Vec<_>>(), ["r.example"]);
        assert_eq!(format!("{config:?}"), r#"DockerConfig(["r.example"])"#);
    }
}
