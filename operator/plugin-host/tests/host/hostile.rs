//! Plugins that break off, hang, take too much or answer nonsense.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use operator_plugin_host::{
    CallError, Capabilities, HostConfig, Limits, LoadError, Plugin, PluginHost, PluginLimits,
    PluginSource,
};
use serde_json::json;

use super::guest::{DATA_AT, Guest, READING, descriptor, raw, tower, words};
use super::{context, load, load_error};

/// Long enough for an instance to start on a busy machine, short enough to
/// wait for.
const SHORT: Duration = Duration::from_millis(300);

fn guest(guest: &Guest) -> Plugin {
    load(&guest.component())
        .expect("loads")
        .with_limits(time(SHORT))
}

fn time(time: Duration) -> PluginLimits {
    PluginLimits {
        time: Some(time),
        ..PluginLimits::default()
    }
}

fn generate_error(plugin: &Plugin) -> CallError {
    plugin
        .generate(&context(), &json!({}))
        .expect_err("must fail")
}

#[test]
fn a_plugin_that_behaves_is_heard() {
    let plugin = load(&Guest::default().component()).expect("loads");
    let policy = plugin.generate(&context(), &json!({})).expect("works");
    assert!(policy.fragments.is_empty() && policy.warnings.is_empty());
    let reading = plugin
        .read_spec(&json!({"dialect": "canonical", "block": {}}))
        .expect("works");
    assert_eq!(
        json!({"enabled": reading.enabled, "config": reading.config}),
        serde_json::from_str::<serde_json::Value>(READING).expect("JSON")
    );
}

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let error = generate_error(&guest(&Guest::generating("(loop (br 0)) unreachable")));
    assert_eq!(
        error,
        CallError::Timeout {
            limit: SHORT,
            last_log: None
        }
    );
    assert_eq!(error.reason(), "PluginTimeout");
}

/// A host that has no patience.
fn short_host() -> PluginHost {
    PluginHost::new(HostConfig {
        limits: Limits {
            timeout: SHORT,
            max_timeout: SHORT,
            ..Limits::default()
        },
        max_concurrency: 2,
        ..HostConfig::default()
    })
    .expect("a host")
}

#[test]
fn a_time_limit_is_capped_by_the_hosts() {
    let plugin = short_host()
        .load(
            &Guest::generating("(loop (br 0)) unreachable").component(),
            PluginSource::Registry("r".into()),
        )
        .expect("loads")
        .with_limits(time(Duration::from_hours(24)));
    let CallError::Timeout { limit, .. } = generate_error(&plugin) else {
        panic!("no timeout");
    };
    assert_eq!(limit, SHORT);
}

#[test]
fn growing_memory_ends_at_the_limit() {
    let error = generate_error(&guest(&Guest::generating(
        "(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable",
    )));
    assert_eq!(error, CallError::OutOfMemory { limit: 64 << 20 });
}

#[test]
fn a_crash_carries_the_last_line_that_was_logged() {
    let message = "panicked at src/lib.rs:17:22:\nboom";
    let error = generate_error(&guest(&Guest {
        data: message.as_bytes().to_vec(),
        ..Guest::generating(format!(
            "(call $log (i32.const 3) (i32.const {DATA_AT}) (i32.const {})) unreachable",
            message.len()
        ))
    }));
    let CallError::Trap { message, last_log } = error else {
        panic!("no crash: {error}");
    };
    assert!(message.contains("unreachable"), "{message}");
    assert_eq!(
        last_log.as_deref(),
        Some("panicked at src/lib.rs:17:22: boom")
    );
}

#[test]
fn after_a_crash_the_next_call_starts_afresh() {
    // Counts its calls in a global; the second one in one instance crashes.
    let plugin = guest(&Guest {
        extra: "(global $calls (mut i32) (i32.const 0))",
        ..Guest::generating(
            "(if (global.get $calls) (then unreachable)) (global.set $calls (i32.const 1)) i32.const 64",
        )
    });
    for _ in 0..3 {
        plugin
            .generate(&context(), &json!({}))
            .expect("a fresh instance");
    }
}

#[test]
fn deep_recursion_is_a_crash_of_the_plugin_alone() {
    let error = generate_error(&guest(&Guest {
        extra: "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))",
        ..Guest::generating("(call $deep (i32.const 0))")
    }));
    assert_eq!(error.reason(), "PluginTrap", "{error}");
}

#[test]
fn a_huge_answer_is_not_copied() {
    let plugin = guest(&Guest {
        pages: 100,
        data: words(&[0, 0, 5 << 20]),
        read_spec: "i32.const 8192",
        ..Guest::default()
    });
    let error = plugin
        .read_spec(&json!({"dialect": "canonical", "block": {}}))
        .expect_err("too large");
    assert_eq!(error, CallError::OutputTooLarge { limit: 4 << 20 });
}

#[test]
fn a_huge_request_is_not_sent() {
    let plugin = guest(&Guest::default());
    let error = plugin
        .generate(&context(), &json!({"text": "x".repeat(9 << 20)}))
        .expect_err("too large");
    assert_eq!(error.reason(), "PluginInputTooLarge");
}

#[test]
fn an_answer_that_points_nowhere_is_nonsense() {
    let error = generate_error(&guest(&Guest::generating("i32.const 0x7ffffff0")));
    assert_eq!(error.reason(), "PluginInvalidOutput", "{error}");
    // A list that begins in the plugin's memory, and ends far beyond it.
    let error = generate_error(&guest(&Guest {
        data: words(&[0, 64, 10_000, 0, 0, 0, 0, 0, 0]),
        ..Guest::generating(format!("i32.const {DATA_AT}"))
    }));
    assert_eq!(error.reason(), "PluginInvalidOutput", "{error}");
}

#[test]
fn a_tree_is_read_as_deep_as_the_limit_and_no_deeper() {
    let straight = |height| tower(height, move |i| (i + 1 < height).then_some(i + 1));
    let policy = guest(&straight(64))
        .generate(&context(), &json!({}))
        .expect("as deep as allowed");
    let mut depth = 0;
    let mut next = policy.fragments.first().and_then(|f| f.elements.first());
    while let Some(element) = next {
        depth += 1;
        next = element.elements().next();
    }
    assert_eq!(depth, 64);
    let error = generate_error(&guest(&straight(1000)));
    assert!(
        error.to_string().contains("nested deeper than 64"),
        "{error}"
    );
}

#[test]
fn a_tree_that_bites_its_tail_is_nonsense() {
    let error = generate_error(&guest(&tower(3, |i| Some((i + 1) % 3))));
    assert!(error.to_string().contains("contains itself"), "{error}");
}

#[test]
fn a_failure_without_a_reason_is_nonsense() {
    let error = generate_error(&guest(&Guest {
        data: words(&[1, 0, 0]),
        ..Guest::generating(format!("i32.const {DATA_AT}"))
    }));
    assert_eq!(
        error.to_string(),
        "the plugin's answer cannot be used: it failed without a diagnostic that says why"
    );
}

#[test]
fn a_plugin_that_crashes_while_it_describes_itself_does_not_load() {
    let error = load_error(
        &Guest {
            describe: "unreachable",
            ..Guest::default()
        }
        .component(),
    );
    assert!(
        matches!(&error, LoadError::Describe(CallError::Trap { .. })),
        "{error}"
    );
    assert_eq!(error.reason(), "DescribeFailed");
}

#[test]
fn a_plugin_that_hangs_while_it_starts_does_not_load() {
    let bytes = Guest {
        extra: "(func $forever (loop (br 0))) (start $forever)",
        ..Guest::default()
    }
    .component();
    let error = short_host()
        .load(&bytes, PluginSource::Registry("r".into()))
        .map(|_| ())
        .expect_err("must not load");
    assert!(
        matches!(&error, LoadError::Describe(CallError::Timeout { .. })),
        "{error}"
    );
}

#[test]
fn a_descriptor_that_makes_no_sense_does_not_load() {
    for text in ["", "nonsense", "{}", &descriptor("Bad Name")] {
        let error = load_error(
            &Guest {
                descriptor: text.to_owned(),
                ..Guest::default()
            }
            .component(),
        );
        assert_eq!(error.reason(), "InvalidDescriptor", "{error}");
    }
}

#[test]
fn a_neighbour_works_while_a_plugin_hangs() {
    let neighbour = load(&Guest::default().component()).expect("loads");
    let hanging = load(
        &Guest {
            descriptor: descriptor("hanging"),
            ..Guest::generating("(loop (br 0)) unreachable")
        }
        .component(),
    )
    .expect("loads");
    // As many as it may have, and more that wait.
    let calls: Vec<_> = (0..10)
        .map(|_| {
            // Long enough to outlast the neighbour's call.
            let plugin = hanging.clone().with_limits(time(Duration::from_secs(3)));
            thread::spawn(move || plugin.generate(&context(), &json!({})))
        })
        .collect();
    while hanging.calls_in_flight() < 8 {
        thread::yield_now();
    }
    neighbour
        .generate(&context(), &json!({}))
        .expect("is not held up");
    assert!(hanging.calls_in_flight() > 0, "the hostile calls were over");
    for call in calls {
        let error = call.join().expect("no panic").expect_err("hangs");
        assert_eq!(error.reason(), "PluginTimeout");
    }
    assert_eq!(hanging.calls_in_flight(), 0);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_flood_of_log_lines_is_cut_and_the_call_goes_on() {
    let line = "one\x1b[2J\nline\u{202e}";
    let plugin = load(
        &Guest {
            data: line.as_bytes().to_vec(),
            descriptor: descriptor("chatty"),
            ..Guest::generating(format!(
                "(local $i i32)
                (loop
                    (call $log (i32.const 1) (i32.const {DATA_AT}) (i32.const {}))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if 0 (i32.lt_u (local.get $i) (i32.const 5000))))
                i32.const 64",
                line.len()
            ))
        }
        .component(),
    )
    .expect("loads");
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        plugin.generate(&context(), &json!({})).expect("goes on");
    });
    let log = sink.text();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 101, "100 lines, and one that says so");
    for line in lines.iter().take(100) {
        assert!(
            line.ends_with("one [2J line  plugin=\"chatty\""),
            "{line:?}"
        );
    }
    assert!(lines[100].contains("logs too much"), "{}", lines[100]);
}

#[test]
fn a_claim_of_a_gigabyte_costs_nothing() {
    const GIGABYTE: u32 = 1 << 30;
    // A text in `describe`.
    let error = load_error(
        &Guest {
            data: words(&[0, GIGABYTE]),
            describe: "i32.const 8192",
            ..Guest::default()
        }
        .component(),
    );
    let LoadError::Describe(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.reason(), "PluginInvalidOutput", "{error}");
    // A text in `read-spec`, of memory that is there.
    let plugin = guest(&Guest {
        pages: 1000,
        data: words(&[0, 0, 60 << 20]),
        read_spec: "i32.const 8192",
        ..Guest::default()
    });
    let error = plugin
        .read_spec(&json!({"dialect": "canonical", "block": {}}))
        .expect_err("too large");
    assert_eq!(error, CallError::OutputTooLarge { limit: 4 << 20 });
    // Lists of nodes, fragments, texts and diagnostics.
    for place in 0..4 {
        let mut list = [0, 0, 0, 0, 0, 0, 0, 0, 0];
        list[1 + 2 * place] = DATA_AT;
        list[2 + 2 * place] = GIGABYTE / 8;
        let error = generate_error(&guest(&Guest {
            data: words(&list),
            ..Guest::generating(format!("i32.const {DATA_AT}"))
        }));
        assert_eq!(error.reason(), "PluginInvalidOutput", "{place}: {error}");
    }
}

#[test]
fn a_fragment_for_a_section_that_the_descriptor_does_not_list_is_a_lie() {
    let mut lying = tower(1, |_| None);
    // The section of the only fragment: after the lists and the name.
    lying.data[40] = 3;
    let error = generate_error(&guest(&lying));
    assert_eq!(
        error.to_string(),
        "the plugin's answer cannot be used: it holds a fragment for `on-error`, which its descriptor does not list"
    );
}

#[test]
fn a_descriptor_that_says_a_thing_twice_is_refused() {
    let twice = descriptor("one").replace("\"version\"", "\"name\":\"two\",\"version\"");
    let error = load_error(
        &Guest {
            descriptor: twice,
            ..Guest::default()
        }
        .component(),
    );
    assert_eq!(error.reason(), "InvalidDescriptor");
    assert!(
        error.to_string().contains("duplicate field `name`"),
        "{error}"
    );
}

#[test]
fn a_config_schema_that_reaches_out_is_refused_before_anything_is_asked() {
    for (schema, part) in [
        (
            r#"{"$ref":"http://127.0.0.1:1/s.json"}"#,
            "leads out of the document",
        ),
        (
            r#"{"$ref":"file:///etc/passwd"}"#,
            "leads out of the document",
        ),
        (
            r#"{"$defs":{"a":{"$id":"http://x/"}}}"#,
            "only the whole document",
        ),
        ("[]", "must be a JSON Schema"),
    ] {
        let error = load_error(
            &Guest {
                descriptor: descriptor("test").replace(r#"{"type":"object"}"#, schema),
                ..Guest::default()
            }
            .component(),
        );
        assert_eq!(error.reason(), "InvalidDescriptor", "{schema}: {error}");
        assert!(error.to_string().contains(part), "{schema}: {error}");
    }
    // What only the compiled form shows.
    for schema in [
        r##"{"$ref":"#"}"##,
        r##"{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"items":{"$ref":"#/$defs/a"}}}}"##,
        r#"{"pattern":"(a+)+$(?=x)"}"#,
        r#"{"pattern":"(?:(?:a{1000}){1000}){1000}"}"#,
        r#"{"type":"nonsense"}"#,
    ] {
        let plugin = load(
            &Guest {
                descriptor: descriptor("test").replace(r#"{"type":"object"}"#, schema),
                ..Guest::default()
            }
            .component(),
        )
        .expect("the schema is looked at where it is compiled");
        let refused =
            operator_core::config::CompiledSchema::compile(&plugin.descriptor().config_schema);
        assert!(refused.is_err(), "{schema}");
    }
}

#[test]
fn policy_text_is_taken_from_those_it_is_granted_to() {
    let plugin = guest(&raw("<set-variable name=\"a\" value=\"@(1)\" />"));
    let error = generate_error(&plugin);
    assert_eq!(error.reason(), "PluginNotGranted");
    assert_eq!(
        error.to_string(),
        "the plugin returned policy XML as text, which the platform has not granted it; \
         `spec.capabilities.rawXml: true` of its PolicyPlugin grants it"
    );
    let granted = |plugin: Plugin| {
        plugin.with_capabilities(Capabilities {
            raw_xml: true,
            ..Capabilities::default()
        })
    };
    let policy = granted(plugin)
        .generate(&context(), &json!({}))
        .expect("granted");
    assert_eq!(policy.fragments[0].elements[0].name, "set-variable");
    for (text, part) in [
        (
            "<!-- a -- b -->",
            "line 1, column 5: a comment may not contain '--'",
        ),
        (
            "\n<!DOCTYPE x>",
            "line 2, column 1: a document type or entity may not be declared",
        ),
        (
            "<!DOCTYPE b [<!ENTITY a \"b\"><!ENTITY c \"&a;&a;&a;\">]><x>&c;</x>",
            "a document type or entity may not be declared",
        ),
        ("<x>&lol9;</x>", "line 1, column 4: '&' begins no entity"),
        ("<x", "the line is `<x`"),
        (&"<x>".repeat(100), "nested more than 64 deep"),
        (
            &"<x/>".repeat(100_000),
            "no policy document may have more than 262144",
        ),
    ] {
        let error = generate_error(&granted(guest(&raw(text))));
        assert_eq!(error.reason(), "PluginInvalidOutput", "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_capability_that_is_asked_for_and_not_granted_is_named_by_its_field() {
    let asking = descriptor("test").replace(
        "\"specBlock\"",
        r#""capabilities":["raw-xml","preflight-elements","later"],"specBlock""#,
    );
    let plugin = guest(&Guest {
        descriptor: asking,
        ..Guest::default()
    });
    assert_eq!(
        plugin.missing_capabilities(),
        [
            "spec.capabilities.rawXml",
            "spec.capabilities.preflightElements"
        ]
    );
    let plugin = plugin.with_capabilities(Capabilities {
        raw_xml: true,
        preflight_elements: vec!["set-header".to_owned()],
        ..Capabilities::default()
    });
    assert_eq!(plugin.missing_capabilities(), [""; 0]);
    assert!(plugin.capabilities().raw_xml);
}
