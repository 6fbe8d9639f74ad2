//! `apim-operator api export`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use operator_controller::export::{Found, Wanted, export as read};
use operator_core::names::PREFIX;
use serde_json::{Value, json};
use url::Url;

use super::args::{ClusterArgs, ExportArgs, ManifestFormat};
use super::place::Place;
use crate::plan::waiting;
use crate::{Done, cluster};

/// The longest document that is taken, in bytes.
const LIMIT: usize = 16 << 20;
/// What stands where only the owner knows what belongs there.
const UNKNOWN: &str = "change-me";

pub(super) async fn export(at: &ClusterArgs, args: &ExportArgs) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    let look = cluster::look(&args.look)?;
    let wanted = if args.all {
        Wanted::Unmarked
    } else {
        Wanted::Ids(&args.id)
    };
    let instance = args.instance.as_deref();
    let exported = read(place.client.clone(), look, instance, wanted, waiting).await;
    waiting("");
    let exported = exported.map_err(|error| cluster::told(error, &place.server))?;
    for trouble in &exported.troubles {
        eprintln!("apim-operator: {trouble}");
    }
    if exported.found.is_empty() && exported.troubles.is_empty() {
        eprintln!("no API is left to export: each carries the mark of an operator");
    }
    let client = operator_apim::http_client(args.look.reach.ca_file.as_deref().map(Path::new))?;
    let mut out = std::io::stdout().lock();
    let mut objects = Vec::new();
    for found in &exported.found {
        let document = match &found.document {
            Ok(link) => download(&client, link.expose()).await,
            Err(why) => Err(anyhow::anyhow!("{why}")),
        };
        let document = match document {
            Ok(text) => Some(text),
            Err(error) => {
                eprintln!(
                    "apim-operator: API `{}` is exported without its document: {error:#}",
                    found.id
                );
                None
            }
        };
        let object = object(
            found,
            document.as_deref(),
            at.namespace.as_deref(),
            instance.is_some(),
        );
        match args.output {
            ManifestFormat::Yaml => {
                write!(
                    out,
                    "---\n{}{}",
                    remarks(found),
                    serde_saphyr::to_string(&object)?
                )?;
            }
            ManifestFormat::Json => objects.push(object),
        }
    }
    if args.output == ManifestFormat::Json {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
    }
    Ok(if exported.troubles.is_empty() {
        Done::Fine
    } else {
        Done::Problems
    })
}

/// The document that lies at a link. The link itself is never told: it lets
/// everybody in.
async fn download(client: &reqwest::Client, link: &Url) -> anyhow::Result<String> {
    let answer = client.get(link.clone()).send().await;
    let mut answer = answer.map_err(reqwest::Error::without_url)?;
    if !answer.status().is_success() {
        bail!("the storage account answered {}", answer.status());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if bytes.len() + chunk.len() > LIMIT {
            bail!("its document has more than {LIMIT} bytes");
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).context("its document is not UTF-8 text")
}

/// What a reader of the manifest must know, as comments.
fn remarks(found: &Found) -> String {
    let mut lines = vec![format!(
        "API `{}` of ApimInstance `{}`",
        found.id, found.instance
    )];
    if let Some(url) = &found.api.service_url {
        lines.push(format!(
            "Requests went to {url}: name the Service that answers there as implementation and port."
        ));
    } else {
        lines.push("Name the Service that answers as implementation and port.".to_owned());
    }
    if let Some((_, version)) = version(found) {
        lines.push(format!(
            "It is version `{version}` of version set `{}`: export the other versions, too. An ExposedAPI makes a set of \
             its own, which shares no path with that one.",
            found.api.settings.api_version_set.as_ref().map_or("", |set| set.as_str())
        ));
    }
    if let Some(policy) = &found.policy {
        lines.push(
            "Its policy, for which plugins are to be chosen by the annotation `plugins`:"
                .to_owned(),
        );
        lines.extend(policy.lines().map(|line| format!("  {line}")));
    }
    lines
        .iter()
        .map(|line| format!("# {line}").trim_end().to_owned() + "\n")
        .collect()
}

fn object(
    found: &Found,
    document: Option<&str>,
    namespace: Option<&str>,
    names_instance: bool,
) -> Value {
    let settings = &found.api.settings;
    let mut metadata = json!({"name": name(&found.id)});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    // The platform lets few owners say it, and one instance needs no name.
    if names_instance {
        metadata["annotations"][format!("{PREFIX}instance")] = found.instance.clone().into();
    }
    if let Some((set, version)) = version(found) {
        metadata["annotations"][format!("{PREFIX}version-set")] = set.into();
        metadata["annotations"][format!("{PREFIX}version")] = version.into();
    }
    let mut spec = json!({
        "name": settings.display_name,
        "apiType": "openapi",
        "path": format!("/{}", settings.path),
        "implementation": UNKNOWN,
        "port": 80,
    });
    if !settings.description.is_empty() {
        spec["description"] = settings.description.clone().into();
    }
    if settings.subscription_required {
        let usual = operator_core::desired::SubscriptionKeyNames::default();
        let header = &settings.subscription_key_names.header;
        let location = if *header == usual.header {
            "header"
        } else {
            header
        };
        spec["apiKeyVerification"] = json!({"enabled": true, "location": location});
    }
    if let Some(document) = document {
        spec["specification"] = document.into();
    }
    json!({
        "apiVersion": "oda.tmforum.org/v1",
        "kind": "ExposedAPI",
        "metadata": metadata,
        "spec": spec,
    })
}

/// What the annotations `version-set` and `version` have to say, where the API
/// is one of several versions. The set is named after that of the service.
fn version(found: &Found) -> Option<(String, &str)> {
    let settings = &found.api.settings;
    let (set, version) = (
        settings.api_version_set.as_ref()?,
        settings.api_version.as_ref()?,
    );
    let says = found.version_set.as_ref()?;
    let name = name(set.as_str()).replace('.', "-");
    let of = |field: &str| says[field].as_str().unwrap_or_default();
    let set = match of("versioningScheme") {
        "Header" => format!("{{name: {name}, header: {}}}", of("versionHeaderName")),
        "Query" => format!("{{name: {name}, query: {}}}", of("versionQueryName")),
        _ => name,
    };
    Some((set, version))
}

/// An id as the name of an object: lower case, and what a name cannot hold as
/// `-`.
fn name(id: &str) -> String {
    let kept = id.chars().map(|c| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.') => c,
        _ => '-',
    });
    let kept: String = kept.take(253).collect();
    let kept = kept.trim_matches(['-', '.']);
    if kept.is_empty() {
        UNKNOWN.to_owned()
    } else {
        kept.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use operator_core::annotations;
    use operator_core::apim::ObservedApi;
    use operator_core::desired::{ApiSettings, SubscriptionKeyNames};
    use operator_core::exposed_api;
    use operator_core::names::VersionSetId;

    use super::*;
    use crate::manifest;

    fn found() -> Found {
        Found {
            instance: "default".to_owned(),
            id: "Echo_API".to_owned(),
            api: ObservedApi {
                etag: None,
                revision: "1".to_owned(),
                mark: None,
                other_marks: Vec::new(),
                settings: ApiSettings {
                    display_name: "Echo API".to_owned(),
                    description: String::new(),
                    path: "echo".to_owned(),
                    protocols: vec!["https".to_owned()],
                    subscription_required: true,
                    subscription_key_names: SubscriptionKeyNames {
                        header: "X-Key".to_owned(),
                        query: "key".to_owned(),
                    },
                    api_version: None,
                    api_version_set: None,
                    openid_provider: None,
                    oauth2: None,
                    about: operator_core::about::About::default(),
                },
                service_url: Some("https://echo.example.com/v1".to_owned()),
                provisioning: None,
            },
            document: Err(String::new()),
            version_set: None,
            policy: Some(
                "<policies>\n  <inbound>\n    <base />\n  </inbound>\n</policies>".to_owned(),
            ),
        }
    }

    #[test]
    fn an_api_is_written_out_with_what_its_owner_must_know() {
        let found = found();
        let object = object(
            &found,
            Some("openapi: 3.0.3\ninfo: {title: Echo, version: '1'}\npaths: {}\n"),
            Some("shop"),
            true,
        );
        let text = format!(
            "{}{}",
            remarks(&found),
            serde_saphyr::to_string(&object).unwrap()
        );
        insta::assert_snapshot!(text);
        let read = exposed_api::read(&manifest::meta(&object), &object["spec"]).unwrap();
        assert_eq!(read.subscription.names.header, "X-Key");
    }

    #[test]
    fn a_version_says_of_which_set_it_is_and_how_callers_name_it() {
        for (says, wanted) in [
            (json!({"versioningScheme": "Segment"}), "orders-set"),
            (
                json!({"versioningScheme": "Header", "versionHeaderName": "x-version"}),
                "{name: orders-set, header: x-version}",
            ),
            (
                json!({"versioningScheme": "Query", "versionQueryName": "v"}),
                "{name: orders-set, query: v}",
            ),
        ] {
            let mut found = found();
            found.api.settings.api_version_set = VersionSetId::parse("Orders.Set").ok();
            found.api.settings.api_version = Some("v2".to_owned());
            found.version_set = Some(says);
            let object = object(&found, None, None, false);
            let annotations = manifest::meta(&object).annotations;
            let (read, problems) = annotations::read(&annotations);
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!(annotations[&format!("{PREFIX}version-set")], wanted);
            assert_eq!(read.version.unwrap().as_str(), "v2");
            assert!(remarks(&found).contains("version `v2` of version set `Orders.Set`"));
        }
    }

    #[test]
    fn an_id_becomes_a_name_that_an_object_can_have() {
        for (id, wanted) in [
            ("echo-api", "echo-api"),
            ("shop.stock", "shop.stock"),
            ("Echo_API", "echo-api"),
            ("--a--", "a"),
            ("__", UNKNOWN),
        ] {
            assert_eq!(name(id), wanted);
        }
    }
}
