//! A context like that of a real request, and short ways to evaluate.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(dead_code, reason = "each test takes what it needs")]

use apim_expressions::{
    Api, Body, Context, Deployment, EvaluationError, Expression, Group, LastError, Limits,
    MultiMap, Operation, Product, Request, Response, Subscription, Url, User, Value,
};

/// A request with everything that documents look at.
pub(crate) fn context() -> Context {
    let original_url =
        Url::parse("https://gateway.example.com/catalog/v1/items/42?depth=2&tag=a&tag=b").unwrap();
    let url = Url::parse("https://backend.example.com/items/42?depth=2&tag=a&tag=b").unwrap();
    let now = "2026-03-04T05:06:07.123Z".parse().unwrap();
    Context {
        api: Some(Api {
            id: "catalog".to_owned(),
            is_current_revision: true,
            name: "Catalog".to_owned(),
            path: "/catalog".to_owned(),
            protocols: vec!["https".to_owned()],
            revision: "1".to_owned(),
            service_url: Url::parse("https://backend.example.com/base"),
            version: Some("v1".to_owned()),
            ..Api::default()
        }),
        deployment: Deployment {
            region: "West Europe".to_owned(),
            service_name: "local".to_owned(),
            ..Deployment::default()
        },
        elapsed: std::time::Duration::from_millis(1500),
        last_error: Some(LastError {
            source: "validate-jwt".to_owned(),
            reason: Some("TokenExpired".to_owned()),
            message: "JWT is expired.".to_owned(),
            scope: Some("api".to_owned()),
            section: Some("inbound".to_owned()),
            path: Some("choose[1]/when[1]".to_owned()),
            policy_id: Some("p".to_owned()),
        }),
        operation: Some(Operation {
            id: "get-item".to_owned(),
            method: "GET".to_owned(),
            name: "Get item".to_owned(),
            url_template: "/items/{id}".to_owned(),
        }),
        product: Some(Product {
            id: "starter".to_owned(),
            name: "Starter".to_owned(),
            groups: vec![Group {
                id: "developers".to_owned(),
                name: "Developers".to_owned(),
            }],
            ..Product::default()
        }),
        request: Request {
            body: Some(Body::new(
                r#"{"name":"x","list":[1,2,3],"nested":{"a":true}}"#,
            )),
            headers: MultiMap::from_iter([
                ("Authorization", "Basic dXNlcjpwYXNz"),
                ("X-Multi", "a"),
                ("X-Multi", "b"),
                ("Cookie", "other=1; session=abc; last=2"),
            ]),
            ip_address: "203.0.113.7".to_owned(),
            matched_parameters: [("id".to_owned(), "42".to_owned())].into_iter().collect(),
            method: "GET".to_owned(),
            original_url,
            url,
            certificate: None,
        },
        request_id: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
        response: Some(Response {
            body: Body::new(r#"{"ok":true}"#),
            headers: MultiMap::from_iter([
                ("Cache-Control", "public, max-age=120"),
                ("location", "https://backend.example.com/jobs/1"),
            ]),
            status_code: 200,
            status_reason: "OK".to_owned(),
        }),
        subscription: Some(Subscription {
            id: "sub-1".to_owned(),
            name: "First".to_owned(),
            key: "key".to_owned(),
            ..Subscription::default()
        }),
        user: Some(User {
            id: "user-1".to_owned(),
            email: "user@example.com".to_owned(),
            ..User::default()
        }),
        timestamp: now,
        now,
        seed: 7,
        ..Context::default()
    }
}

/// The value of an expression that must parse.
pub(crate) fn evaluate(source: &str, context: &mut Context) -> Result<Value, EvaluationError> {
    match Expression::parse(source) {
        Ok(expression) => expression.evaluate(context, &Limits::default()),
        Err(error) => panic!("{source}\n{error}"),
    }
}

/// The text of a value, evaluated in [`context`].
pub(crate) fn text(source: &str) -> String {
    match evaluate(source, &mut context()) {
        Ok(value) => value.to_string(),
        Err(error) => format!("{}: {}", error.exception, error.message),
    }
}
