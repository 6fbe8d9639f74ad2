//! `apim-operator api add`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use kube::api::{DynamicObject, Patch, PatchParams};
use operator_core::annotations::did_you_mean;
use operator_core::names::PREFIX;
use operator_core::{annotations, exposed_api, openapi};
use operator_plugin_host::builtin_plugins;
use serde_json::{Map, Value, json};

use super::args::{AddArgs, Awaited, ClusterArgs, ManifestFormat};
use super::place::Place;
use super::wait;
use crate::{Done, manifest};

/// Who applied it, as the API server remembers it.
const FIELD_MANAGER: &str = "apim-operator-api";

pub(super) async fn add(at: &ClusterArgs, args: &AddArgs) -> anyhow::Result<Done> {
    let document = args.from_file.as_deref().map(document).transpose()?;
    let object = object(args, at.namespace.as_deref(), document.as_deref())?;
    for note in unknown_plugins(args) {
        eprintln!("note: {note}");
    }
    if !args.apply {
        let mut out = std::io::stdout().lock();
        match args.output {
            ManifestFormat::Yaml => write!(out, "{}", serde_saphyr::to_string(&object)?)?,
            ManifestFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(&object)?)?,
        }
        return Ok(Done::Fine);
    }
    let place = Place::open(at).await?;
    let object: DynamicObject = serde_json::from_value(object)?;
    let params = PatchParams::apply(FIELD_MANAGER);
    let applied = place
        .objects()
        .patch(&args.name, &params, &Patch::Apply(&object))
        .await;
    if let Err(error) = applied {
        let conflict = matches!(&error, kube::Error::Api(status) if status.is_conflict());
        let error = place.refused(error);
        if conflict {
            bail!(
                "{error}; somebody else keeps {}: change it where it is kept, or print it without --apply and apply that",
                args.name
            );
        }
        return Err(error);
    }
    println!(
        "exposedapi.oda.tmforum.org/{} applied in namespace {}",
        args.name, place.namespace
    );
    if args.wait {
        wait::until(&place, &args.name, Awaited::Ready, args.timeout).await?;
    }
    Ok(Done::Fine)
}

/// Plugins that are not built in. The platform may have others, so they are
/// named and not refused.
fn unknown_plugins(args: &AddArgs) -> Vec<String> {
    let built_in: Vec<&str> = builtin_plugins().iter().map(|(name, _)| *name).collect();
    let listed = args
        .plugins
        .iter()
        .flat_map(|list| list.split(',').map(str::trim));
    let configured = args.plugin_config.iter().map(|(name, _)| name.as_str());
    let mut seen = BTreeSet::new();
    listed
        .chain(configured)
        .filter(|name| !name.is_empty() && !built_in.contains(name) && seen.insert(name.to_owned()))
        .map(|name| {
            let hint = did_you_mean(name, built_in.iter().copied());
            format!("`{name}` is no built-in plugin{hint}; it works where the platform has a PolicyPlugin of that name")
        })
        .collect()
}

/// The text of a document that API Management will take.
fn document(path: &Path) -> anyhow::Result<String> {
    let (name, text) = manifest::source(path)?;
    let read = openapi::read(&text).with_context(|| name.clone())?;
    read.to_import().with_context(|| name.clone())?;
    Ok(text)
}

/// The ExposedAPI, once everything that can be known without a cluster is right
/// about it.
fn object(
    args: &AddArgs,
    namespace: Option<&str>,
    document: Option<&str>,
) -> anyhow::Result<Value> {
    let mut notes = Map::new();
    let mut note = |name: &str, value: String| {
        let before = notes.insert(format!("{PREFIX}{name}"), value.into());
        match before {
            None => Ok(()),
            Some(_) => bail!("`{name}` is given twice"),
        }
    };
    if let Some(from) = &args.from {
        note("specification-from", serde_json::to_string(from)?)?;
    }
    if let Some(plugins) = &args.plugins {
        note("plugins", plugins.clone())?;
    }
    for (plugin, config) in &args.plugin_config {
        note(&format!("plugin.{plugin}"), config.clone())?;
    }
    if let Some(instance) = &args.instance {
        note("instance", instance.clone())?;
    }
    for (name, value) in &args.set {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        note(name, value.clone())?;
    }
    let mut metadata = Map::from_iter([("name".to_owned(), args.name.clone().into())]);
    if let Some(namespace) = namespace {
        metadata.insert("namespace".into(), namespace.into());
    }
    if !notes.is_empty() {
        metadata.insert("annotations".into(), notes.into());
    }
    let (service, port) = &args.service;
    let mut spec = json!({
        "name": args.name,
        "apiType": "openapi",
        "path": args.path,
        "implementation": service,
        "port": port,
    });
    if args.require_key {
        spec["apiKeyVerification"] = json!({"enabled": true, "location": "header"});
    }
    if let Some(url) = &args.from_url {
        spec["specification"] = json!({"url": url.as_str()});
    }
    if let Some(text) = document {
        spec["specification"] = text.into();
    }
    let object = json!({
        "apiVersion": "oda.tmforum.org/v1",
        "kind": "ExposedAPI",
        "metadata": metadata,
        "spec": spec,
    });
    let meta = manifest::meta(&object);
    let (_, mut problems) = annotations::read(&meta.annotations);
    if let Err(found) = exposed_api::read(&meta, &object["spec"]) {
        problems.extend(found);
    }
    if !problems.is_empty() {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("{}", problems.join("\n"));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::api::args::ApiCommand;
    use crate::args::{Cli, Command};

    const DOCUMENT: &str = "\
openapi: 3.0.3
info: {title: Stock, version: '1'}
paths:
  /items:
    get:
      operationId: listItems
      responses: {'200': {description: OK}}
";

    fn made(more: &[&str], document: Option<&str>) -> anyhow::Result<Value> {
        let line = [
            "apim-operator",
            "api",
            "add",
            "stock",
            "--service",
            "stock:8080",
            "--path",
            "/stock",
        ];
        let cli = Cli::try_parse_from(line.iter().chain(more))?;
        let Command::Api(api) = cli.command else {
            panic!("another command");
        };
        let ApiCommand::Add(args) = &api.command else {
            panic!("another subcommand");
        };
        object(args, api.cluster.namespace.as_deref(), document)
    }

    #[test]
    fn an_object_holds_what_was_asked_for_and_its_document_as_it_was_written() {
        let object = made(
            &[
                "-n",
                "shop",
                "--plugins",
                "cors,rate-limit",
                "--plugin-config",
                "rate-limit=calls: 20",
                "--set",
                "drift=Report",
                "--require-key",
            ],
            Some(DOCUMENT),
        )
        .unwrap();
        insta::assert_snapshot!(serde_saphyr::to_string(&object).unwrap());
        let again: Value =
            serde_saphyr::from_str(&serde_saphyr::to_string(&object).unwrap()).unwrap();
        assert_eq!(again["spec"]["specification"], DOCUMENT);
    }

    #[test]
    fn a_document_by_url_is_left_to_the_operator() {
        let object = made(&["--from-url", "https://example.com/openapi.json"], None).unwrap();
        assert_eq!(
            object["spec"]["specification"],
            json!({"url": "https://example.com/openapi.json"})
        );
        assert_eq!(object["metadata"], json!({"name": "stock"}));
    }

    #[test]
    fn a_document_in_the_cluster_is_named_by_its_place() {
        for (place, written) in [
            (
                "configmap/spec/openapi.yaml",
                r#"{"configMap":{"name":"spec","key":"openapi.yaml"}}"#,
            ),
            (
                "secret/spec/openapi.yaml",
                r#"{"secret":{"name":"spec","key":"openapi.yaml"}}"#,
            ),
            (
                "service/v3/api-docs",
                r#"{"service":{"path":"/v3/api-docs"}}"#,
            ),
            ("service", r#"{"service":{"path":"/openapi.json"}}"#),
        ] {
            let object = made(&["--from", place], None).unwrap();
            let annotations = &object["metadata"]["annotations"];
            assert_eq!(
                annotations["apim.oda.tmforum.org/specification-from"],
                written
            );
        }
        let both = made(
            &[
                "--from",
                "service",
                "--from-url",
                "https://example.com/o.json",
            ],
            None,
        );
        assert!(both.is_err());
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_written() {
        let refused = |more: &[&str]| made(more, None).unwrap_err().to_string();
        let misspelt = refused(&["--set", "drif=Report"]);
        assert!(misspelt.contains("drift"), "{misspelt}");
        let twice = refused(&["--plugins", "cors", "--set", "plugins=jwt-entra"]);
        assert_eq!(twice, "`plugins` is given twice");
        let odd = refused(&["--plugin-config", "rate-limit=[1"]);
        assert!(odd.contains("plugin.rate-limit"), "{odd}");
    }

    #[test]
    fn arguments_of_the_wrong_shape_are_wrong_usage() {
        for more in [
            &["--service", "stock"][..],
            &["--service", "stock:0"],
            &["--service", "stock:http"],
            &["--path", "no spaces allowed"],
            &["--plugin-config", "rate-limit"],
            &["--from", "configmap/spec"],
            &["--from", "secret"],
            &["--from", "file/x/y"],
            &["--from", "service", "--from-file", "x.yaml"],
            &["--wait"],
        ] {
            let line = ["apim-operator", "api", "add", "stock"];
            assert!(
                Cli::try_parse_from(line.iter().chain(more)).is_err(),
                "{more:?}"
            );
        }
    }
}
