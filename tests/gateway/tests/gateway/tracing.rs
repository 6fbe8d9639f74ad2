//! Traces: who gets them, and what they show.

use crate::stage::{Stage, inbound};
use jiff::SignedDuration;

#[tokio::test]
async fn a_debug_token_traces_the_requests_of_its_api_for_its_time() {
    let stage = Stage::new(&format!(
        "{}<outbound><base /><trace source=\"test\" severity=\"information\"><message>done</message></trace></outbound>",
        inbound("<set-header name=\"X-Team\"><value>catalog</value></set-header><set-variable name=\"v\" value=\"1\" />")
    ))
    .await;
    let hour = SignedDuration::from_hours(9);
    let token = stage.gateway.debug_token("test", "shop", hour);
    let answer = stage
        .get_with(&[
            ("apim-debug-authorization", &token),
            ("authorization", "Bearer secret"),
        ])
        .await;
    let id = answer.header("apim-trace-id").expect("a trace").to_owned();
    assert_eq!(
        stage.backend.last().header("apim-debug-authorization"),
        None
    );
    let trace = stage.gateway.trace(&id).expect("the trace");
    let json = serde_json::to_value(&*trace).expect("JSON");
    assert_eq!(json["status"], 200);
    assert_eq!(json["api"], "shop");
    let entries = json["entries"].as_array().expect("entries");
    let names: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().expect("text");
            (text("scope"), text("section"), text("policy"))
        })
        .collect();
    assert_eq!(
        names,
        [
            ("api", "inbound", "set-header"),
            ("api", "inbound", "set-variable"),
            ("global", "backend", "forward-request"),
            ("api", "outbound", "trace"),
        ]
    );
    assert_eq!(
        entries[0]["changes"],
        serde_json::json!([{ "what": "request header X-Team", "from": null, "to": "catalog" }])
    );
    assert_eq!(entries[3]["messages"][0], "[information] test: done");
    let text = trace.to_string();
    assert!(text.contains("+ request header X-Team: catalog"), "{text}");
    assert!(
        !text.contains("secret") && !json.to_string().contains("secret"),
        "{text}"
    );

    let wrong = stage.gateway.debug_token("test", "other", hour);
    let answer = stage
        .get_with(&[("apim-debug-authorization", &wrong)])
        .await;
    assert!(answer.header("apim-debug-authorization-wrongapi").is_some());
    assert_eq!(answer.header("apim-trace-id"), None);
    let unknown = stage
        .get_with(&[
            ("apim-debug-authorization", "x"),
            ("ocp-apim-trace", "true"),
        ])
        .await;
    assert_eq!(unknown.header("apim-trace-id"), None);
    // No token lives longer than an hour.
    stage.advance(3600);
    let late = stage
        .get_with(&[("apim-debug-authorization", &token)])
        .await;
    assert!(late.header("apim-debug-authorization-expired").is_some());
    assert_eq!(stage.gateway.traces().len(), 1);
}
