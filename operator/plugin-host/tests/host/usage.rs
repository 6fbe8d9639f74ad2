//! What calls use.

use std::time::Duration;

use operator_plugin_host::{HostConfig, PluginHost, PluginSource, Surface};
use serde_json::json;

use super::guest::Guest;
use super::{context, load};

/// Counts to 1000 and grows by a page, and answers with an empty policy.
const WORK: &str = "(local $i i32) (drop (memory.grow (i32.const 1))) \
    (loop (local.set $i (i32.add (local.get $i) (i32.const 1))) \
    (br_if 0 (i32.lt_u (local.get $i) (i32.const 1000)))) (i32.const 64)";

#[test]
fn a_metered_host_counts_what_a_call_executes_and_the_memory_it_had() {
    let host = PluginHost::new(HostConfig {
        metered: true,
        ..HostConfig::default()
    })
    .expect("a host");
    let measure = |guest: &Guest| {
        let plugin = host
            .load(&guest.component(), PluginSource::File("test.wasm".into()))
            .expect("loads");
        let once = || plugin.measure(&context(), &json!({})).expect("is called");
        let ((result, usage), (_, again)) = (once(), once());
        result.expect("works");
        assert_eq!(usage.fuel, again.fuel, "the same call uses the same");
        usage
    };
    let idle = measure(&Guest::default());
    let busy = measure(&Guest::generating(WORK));
    let more = busy.fuel.expect("metered") - idle.fuel.expect("metered");
    assert!((5_000..10_000).contains(&more), "{more}");
    assert_eq!(idle.memory_bytes, 2 << 16);
    assert_eq!(busy.memory_bytes, 3 << 16);
    assert!(busy.elapsed > Duration::ZERO);
}

#[test]
fn a_host_that_is_not_metered_says_nothing_of_fuel() {
    let plugin = load(&Guest::default().component()).expect("loads");
    let (result, usage) = plugin.measure(&context(), &json!({})).expect("is called");
    result.expect("works");
    assert_eq!((usage.fuel, usage.memory_bytes), (None, 2 << 16));
}

#[test]
fn the_surface_of_a_file_is_read_without_running_it() {
    let surface = Surface::of(&Guest::default().component()).expect("readable");
    assert!(surface.component);
    assert_eq!(surface.imports, ["oda:policy/log@1.0.0"]);
    assert_eq!(surface.exports, ["oda:policy/generator@1.0.0"]);
    assert_eq!(surface.interface(), Some("1.0.0"));
    let module = Surface::of(&Guest::default().module()).expect("readable");
    assert!(!module.component);
    assert_eq!(module.interface(), Some("1.0.0"));
}
