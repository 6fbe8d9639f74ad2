use insta::assert_json_snapshot;
use serde_json::json;

use super::build;
use crate::validate::test_support::{World, meta, spec};

#[test]
fn a_simple_object_is_built_whole() {
    let validated = World::default()
        .validate(&meta(&[]), &spec(&json!({})))
        .unwrap();
    assert_json_snapshot!(build(&validated));
}
