//! `apim-operator api describe`.

use std::io::Write;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::args::ClusterArgs;
use super::place::Place;
use super::seen::{SeenApi, Told};
use super::table::{BAD, BUSY, Cell, HEAD, PLAIN, age, plain, table};
use crate::Done;

/// Events that are shown.
const EVENTS: usize = 6;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
struct Happened {
    last: Option<Timestamp>,
    is_warning: bool,
    reason: String,
    note: String,
}

pub(super) async fn describe(at: &ClusterArgs, name: &str) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    let object = place.get(name).await?;
    let uid = object.uid().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
    let mine = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    // Who may not see events sees the rest.
    let events = match events.list(&mine).await {
        Ok(list) => Ok(happened(&list.items)),
        Err(error) => Err(place.refused(error).to_string()),
    };
    let mut out = anstream::stdout().lock();
    print(&mut out, &SeenApi::of(&object), &events, Timestamp::now())?;
    Ok(Done::Fine)
}

/// The last of them, in the order in which they happened.
fn happened(events: &[Event]) -> Vec<Happened> {
    let mut events: Vec<Happened> = events
        .iter()
        .map(|event| Happened {
            last: event
                .series
                .as_ref()
                .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
                .or(event.last_timestamp.as_ref().map(|time| time.0))
                .or(event.event_time.as_ref().map(|time| time.0)),
            is_warning: event.type_.as_deref() == Some("Warning"),
            reason: event.reason.clone().unwrap_or_default(),
            note: event.message.clone().unwrap_or_default(),
        })
        .collect();
    events.sort_by_key(|event| event.last);
    events.split_off(events.len().saturating_sub(EVENTS))
}

fn print(
    out: &mut impl Write,
    api: &SeenApi,
    events: &Result<Vec<Happened>, String>,
    now: Timestamp,
) -> std::io::Result<()> {
    let style = api.style();
    let state = api.state();
    writeln!(
        out,
        "{HEAD}{}{HEAD:#} in namespace {}: {style}{state}{style:#}",
        api.name, api.namespace
    )?;
    if api.told == Told::Earlier {
        writeln!(
            out,
            "{BUSY}The operator has not looked at the last change yet; what follows is from before it.{BUSY:#}"
        )?;
    }
    writeln!(out)?;
    for (name, value) in fields(api) {
        writeln!(out, "{HEAD}{name:<15}{HEAD:#} {value}")?;
    }
    if !api.warnings.is_empty() {
        writeln!(out, "\n{HEAD}Warnings{HEAD:#}")?;
        for warning in &api.warnings {
            writeln!(out, "  {BUSY}{warning}{BUSY:#}")?;
        }
    }
    writeln!(out, "\n{HEAD}Conditions{HEAD:#}")?;
    let rows: Vec<Vec<Cell>> = api
        .conditions
        .iter()
        .map(|condition| {
            let bad = match (condition.name.as_str(), condition.status.as_str()) {
                ("Reconciling", "True") => BUSY,
                ("Stalled" | "Drifted", "True") => BAD,
                ("Stalled" | "Drifted" | "Reconciling", _) | (_, "True") => PLAIN,
                _ => BAD,
            };
            vec![
                plain(format!("  {}", condition.name)),
                (condition.status.clone(), bad),
                plain(&condition.reason),
                plain(age(condition.since(), now)),
                plain(&condition.message),
            ]
        })
        .collect();
    if rows.is_empty() {
        writeln!(out, "  {}", api.sentence())?;
    } else {
        table(
            out,
            &["  TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"],
            &rows,
        )?;
    }
    match events {
        Err(why) => writeln!(out, "\n{HEAD}Events{HEAD:#}\n  {why}"),
        Ok(events) if events.is_empty() => Ok(()),
        Ok(events) => {
            writeln!(out, "\n{HEAD}Last events{HEAD:#}")?;
            let rows: Vec<Vec<Cell>> = events
                .iter()
                .map(|event| {
                    let style = if event.is_warning { BAD } else { PLAIN };
                    vec![
                        plain(format!("  {}", age(event.last, now))),
                        (event.reason.clone(), style),
                        plain(&event.note),
                    ]
                })
                .collect();
            table(out, &["  AGE", "REASON", "NOTE"], &rows)
        }
    }
}

fn fields(api: &SeenApi) -> Vec<(&'static str, String)> {
    let unless_empty = |text: String| (!text.is_empty()).then_some(text);
    let known = |text: &Option<String>| text.clone();
    let apim = &api.apim;
    let published = apim.instance.as_ref().map(|instance| {
        let id = apim.api_id.as_ref().map(|id| format!("API {id}"));
        let revision = apim.api_revision.as_ref();
        let revision = revision.map(|number| format!("revision {number}"));
        let operations = apim.operations.map(|count| match count {
            1 => "1 operation".to_owned(),
            count => format!("{count} operations"),
        });
        let parts = [
            Some(format!("instance {instance}")),
            id,
            revision,
            operations,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.join(", ")
    });
    let plugins: Vec<String> = api
        .plugins
        .iter()
        .map(|plugin| {
            format!("{} {}", plugin.name, plugin.version)
                .trim_end()
                .to_owned()
        })
        .collect();
    // Configs and lists take more than a line.
    let annotations: Vec<String> = api
        .annotations
        .iter()
        .map(
            |(name, value)| match value.trim().lines().collect::<Vec<_>>().as_slice() {
                [] => format!("{name}: \"\""),
                [one] => format!("{name}: {one}"),
                [_, ..] => format!("{name}: …"),
            },
        )
        .collect();
    let fields = [
        ("URL", known(&api.url)),
        ("Path", known(&api.path)),
        ("Service", known(&api.implementation)),
        ("Exposed at", known(&api.address)),
        ("API Management", published),
        ("Plugins", unless_empty(plugins.join(", "))),
        ("Annotations", unless_empty(annotations.join("; "))),
        (
            "Last error",
            apim.last_error.as_ref().map(|error| match error {
                serde_json::Value::String(text) => text.clone(),
                other => other["message"]
                    .as_str()
                    .map_or_else(|| other.to_string(), str::to_owned),
            }),
        ),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or_else(|| "-".to_owned())))
        .filter(|(name, value)| value != "-" || !matches!(*name, "Annotations" | "Last error"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::seen::tests::{published, refused};
    use super::*;

    fn printed(api: &SeenApi, events: &Result<Vec<Happened>, String>) -> String {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut out = Vec::new();
        print(&mut out, api, events, now).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
    }

    #[test]
    fn a_published_api_is_described_on_a_screen() {
        let events = Ok(vec![Happened {
            last: "2026-11-21T11:58:00Z".parse().ok(),
            is_warning: false,
            reason: "Synced".to_owned(),
            note: "imported 12 operations".to_owned(),
        }]);
        insta::assert_snapshot!(printed(&SeenApi::of(&published()), &events));
    }

    #[test]
    fn a_refused_api_is_described_with_what_is_wrong() {
        let mut changed = refused();
        changed.metadata.generation = Some(4);
        let denied = Err("events is forbidden".to_owned());
        insta::assert_snapshot!(printed(&SeenApi::of(&changed), &denied));
    }

    #[test]
    fn the_last_events_are_shown_in_their_order() {
        let event = |minute: u32| Event {
            reason: Some(format!("at {minute}")),
            event_time: serde_json::from_value(serde_json::json!(format!(
                "2026-11-21T10:{minute:02}:00.000000Z"
            )))
            .unwrap(),
            ..Event::default()
        };
        let events: Vec<Event> = [9, 3, 1, 7, 5, 2, 8].into_iter().map(event).collect();
        let shown: Vec<String> = happened(&events).into_iter().map(|e| e.reason).collect();
        assert_eq!(shown, ["at 2", "at 3", "at 5", "at 7", "at 8", "at 9"]);
    }
}
