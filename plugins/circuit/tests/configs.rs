//! What the plugin makes of configs.

use plugin_circuit::CircuitPlugin;
use policy_sdk::testing::table;

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<CircuitPlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    insta::assert_snapshot!(table::<CircuitPlugin>(include_str!("bad.json")));
}
