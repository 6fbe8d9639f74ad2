//! `template`.

use plugin_behaviour::{Api, Stage, template};
use serde_json::{Value, json};

const TEMPLATE: &str = r#"
<inbound>
  <set-header name="x-team" exists-action="override"><value>{{ values.team }}</value></set-header>
  <set-header name="x-token" exists-action="override">
    <value>Bearer {{ named_value(name="backend-token") }}</value>
  </set-header>
  <set-header name="x-caller" exists-action="override">
    <value>{{ expression(code='context.Request.Headers.GetValueOrDefault($header, "none")', header=values.header) }}</value>
  </set-header>
</inbound>
<outbound>
  {% for name, text in values.answer %}
  <set-header name="{{ name }}" exists-action="override"><value>{{ text }}</value></set-header>
  {% endfor %}
</outbound>"#;

fn api(values: &Value) -> Api {
    let at = template("team", TEMPLATE);
    Api::of("template", &json!({"template": at, "values": values}))
}

async fn stage(values: Value) -> Stage {
    Stage::with(api(&values), |service| {
        let token = ("backend-token".to_owned(), "s3cret".to_owned());
        service.named_values.extend([token]);
    })
    .await
}

#[tokio::test]
async fn a_template_does_what_its_policies_say_with_the_owners_values() {
    let values = json!({"team": "a < b & \"c\"", "header": "X-Who", "answer": {"x-owner": "shop"}});
    let stage = stage(values).await;
    let answer = stage.item().header("x-who", "me").send().await;
    assert_eq!(answer.header("x-owner"), Some("shop"));
    let seen = stage.world.last();
    let header = |name| seen.header(name).unwrap_or_default();
    assert_eq!(header("x-team"), "a < b & \"c\"");
    assert_eq!(header("x-token"), "Bearer s3cret");
    assert_eq!(header("x-caller"), "me");
    stage.item().send().await;
    assert_eq!(
        stage.world.last().header("x-caller").as_deref(),
        Some("none")
    );
}

#[tokio::test]
async fn a_value_in_code_is_a_text_whatever_it_holds() {
    let hostile = "\", \"\") + context.Api.Path + (\"";
    let values = json!({"team": "t", "header": hostile, "answer": {}});
    let stage = stage(values).await;
    assert_eq!(stage.item().status().await, 200);
    // There is no header of that name.
    assert_eq!(
        stage.world.last().header("x-caller").as_deref(),
        Some("none")
    );
    for code in ["@(context.Api.Path)", "{{backend-token}}", "@{return 1;}"] {
        let refused = api(&json!({"team": code, "header": "h", "answer": {}})).refused();
        assert!(refused[0].contains("/values/team"), "{refused:?}");
    }
}
