//! Limits of single plugins.

use operator_core::policy_plugin::spec::LimitsSpec;
use operator_plugin_host::{CallError, PluginLimits};
use serde_json::json;

use super::guest::{Guest, words};
use super::{context, load};

fn limits(memory: Option<&str>, time: Option<&str>, output: Option<&str>) -> PluginLimits {
    let text = |text: Option<&str>| text.map(str::to_owned);
    PluginLimits::parse(&LimitsSpec {
        memory: text(memory),
        time: text(time),
        output: text(output),
    })
    .expect("limits")
}

#[test]
fn each_limit_of_a_plugin_is_its_own() {
    let greedy = load(
        &Guest::generating("(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable")
            .component(),
    )
    .expect("loads");
    let small = greedy.clone().with_limits(limits(Some("3Mi"), None, None));
    let error = |plugin: &operator_plugin_host::Plugin| {
        plugin
            .generate(&context(), &json!({}))
            .expect_err("must fail")
    };
    assert_eq!(error(&small), CallError::OutOfMemory { limit: 3 << 20 });
    assert_eq!(
        error(&small).to_string(),
        "the plugin needs more than 3 MiB of memory"
    );
    // The other one has kept the host's, and more than the host's may be given.
    assert_eq!(error(&greedy), CallError::OutOfMemory { limit: 64 << 20 });
    let large = greedy.with_limits(limits(Some("128Mi"), None, None));
    assert_eq!(error(&large), CallError::OutOfMemory { limit: 128 << 20 });

    let slow = load(&Guest::generating("(loop (br 0)) unreachable").component())
        .expect("loads")
        .with_limits(limits(None, Some("20ms"), None));
    assert_eq!(
        error(&slow).to_string(),
        "the plugin took longer than 20 ms"
    );

    let wordy = load(
        &Guest {
            pages: 100,
            data: words(&[0, 0, 5000]),
            read_spec: "i32.const 8192",
            ..Guest::default()
        }
        .component(),
    )
    .expect("loads")
    .with_limits(limits(None, None, Some("4Ki")));
    assert_eq!(
        wordy
            .read_spec(&json!({"dialect": "canonical", "block": {}}))
            .expect_err("too large"),
        CallError::OutputTooLarge { limit: 4096 }
    );
}

#[test]
fn no_plugin_gets_more_than_the_host_gives() {
    let plugin = load(&Guest::default().component())
        .expect("loads")
        .with_limits(limits(Some("1Ti"), Some("24h"), Some("1Gi")));
    let limits = plugin.limits();
    assert_eq!(
        (limits.memory, limits.time.as_secs(), limits.output),
        (256 << 20, 10, 16 << 20)
    );
}
