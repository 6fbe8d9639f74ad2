//! `apim-operator api list`.

use std::io::Write;

use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use super::args::{ClusterArgs, ListArgs, ListFormat};
use super::place::Place;
use super::seen::SeenApi;
use super::table::{Cell, age, plain, table};
use crate::Done;

pub(super) async fn list(at: &ClusterArgs, args: &ListArgs) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    let objects = if args.all_namespaces {
        place.all()
    } else {
        place.objects()
    };
    let params = ListParams {
        label_selector: args.selector.clone(),
        ..ListParams::default()
    };
    let list = objects.list(&params).await;
    let list = list.map_err(|error| place.refused(error))?;
    let mut out = anstream::stdout().lock();
    match args.output {
        ListFormat::Json | ListFormat::Yaml => {
            let list = whole(&place.kind.api_version, &list.items)?;
            if args.output == ListFormat::Json {
                writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
            } else {
                write!(out, "{}", serde_saphyr::to_string(&list)?)?;
            }
        }
        ListFormat::Name => {
            for api in list.items.iter().map(SeenApi::of) {
                writeln!(out, "exposedapi.oda.tmforum.org/{}", api.name)?;
            }
        }
        ListFormat::Table | ListFormat::Wide if list.items.is_empty() => {
            let place = if args.all_namespaces {
                "in any namespace".to_owned()
            } else {
                format!("in namespace {}", place.namespace)
            };
            eprintln!("no ExposedAPIs {place}");
        }
        ListFormat::Table | ListFormat::Wide => {
            let apis: Vec<SeenApi> = list.items.iter().map(SeenApi::of).collect();
            print(
                &mut out,
                &apis,
                args.all_namespaces,
                args.output == ListFormat::Wide,
                Timestamp::now(),
            )?;
        }
    }
    Ok(Done::Fine)
}

/// As kubectl prints several.
fn whole(version: &str, objects: &[DynamicObject]) -> serde_json::Result<Value> {
    let items = objects.iter().map(|object| {
        let mut object = serde_json::to_value(object)?;
        // Written by machines for machines; kubectl leaves it out, too.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        Ok(object)
    });
    let items = items.collect::<serde_json::Result<Vec<Value>>>()?;
    Ok(json!({"apiVersion": version, "kind": "ExposedAPIList", "items": items}))
}

fn print(
    out: &mut impl Write,
    apis: &[SeenApi],
    all_namespaces: bool,
    wide: bool,
    now: Timestamp,
) -> std::io::Result<()> {
    let mut head = vec!["NAME", "READY", "STATE", "PATH", "URL", "AGE"];
    if all_namespaces {
        head.insert(0, "NAMESPACE");
    }
    if wide {
        head.extend(["PLUGINS", "INSTANCE", "API ID", "OPERATIONS", "ADDRESS"]);
    }
    let rows: Vec<Vec<Cell>> = apis
        .iter()
        .map(|api| {
            let ready = if api.ready { "True" } else { "False" };
            let mut row = vec![
                plain(&api.name),
                (ready.to_owned(), api.style()),
                plain(api.state()),
                plain(shown(api.path.as_ref())),
                plain(shown(api.url.as_ref())),
                plain(age(api.created, now)),
            ];
            if all_namespaces {
                row.insert(0, plain(&api.namespace));
            }
            if wide {
                let plugins: Vec<&str> = api.plugins.iter().map(|p| p.name.as_str()).collect();
                let operations = api.apim.operations.map(|count| count.to_string());
                row.extend([
                    plain(if plugins.is_empty() {
                        "-".to_owned()
                    } else {
                        plugins.join(",")
                    }),
                    plain(shown(api.apim.instance.as_ref())),
                    plain(shown(api.apim.api_id.as_ref())),
                    plain(shown(operations.as_ref())),
                    plain(shown(api.address.as_ref())),
                ]);
            }
            row
        })
        .collect();
    table(out, &head, &rows)
}

fn shown(text: Option<&String>) -> String {
    text.map_or_else(|| "-".to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

    use super::super::seen::tests::{published, refused};
    use super::*;

    fn printed(all_namespaces: bool, wide: bool) -> String {
        let apis = [SeenApi::of(&published()), SeenApi::of(&refused())];
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut out = Vec::new();
        print(&mut out, &apis, all_namespaces, wide, now).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
    }

    #[test]
    fn a_list_says_of_each_api_how_it_fares() {
        insta::assert_snapshot!(printed(false, false));
    }

    #[test]
    fn a_wide_list_of_all_namespaces_says_more() {
        insta::assert_snapshot!(printed(true, true));
    }

    #[test]
    fn a_list_for_programs_holds_whole_objects_but_no_managed_fields() {
        let mut object = published();
        object.metadata.managed_fields = Some(vec![ManagedFieldsEntry::default()]);
        let list = whole("oda.tmforum.org/v1", &[object]).unwrap();
        assert_eq!(list["kind"], "ExposedAPIList");
        assert_eq!(list["items"][0]["metadata"]["name"], "stock");
        assert_eq!(list["items"][0]["metadata"].get("managedFields"), None);
        assert_eq!(list["items"][0]["spec"]["path"], "/stock");
    }
}
