//! Every form of expression that the built-in plugins write, with the value
//! that it must have.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use apim_expressions::{Body, Context, Expression, Jwt, Limits, MultiMap, Text, Value};
use base64::Engine as _;
use common::context;

fn evaluate(source: &str, context: &mut Context) -> Value {
    common::evaluate(source, context).unwrap_or_else(|error| panic!("{source}\n{error}"))
}

fn with_header(name: &str, value: &str) -> Context {
    let mut context = context();
    context.request.headers.set(name, vec![value.to_owned()]);
    context
}

#[test]
fn a_limit_counts_by_address_header_subscription_or_text() {
    assert_eq!(
        evaluate("@(context.Request.IpAddress)", &mut context()).to_string(),
        "203.0.113.7"
    );
    let quota = r#"@("quota:components/productcatalogmanagement:" + context.Request.IpAddress)"#;
    assert_eq!(
        evaluate(quota, &mut context()).to_string(),
        "quota:components/productcatalogmanagement:203.0.113.7"
    );
    let by_header = r#"@{ var text = context.Request.Headers.GetValueOrDefault("X-Client", ""); return text != "" ? "header:" + text : context.Request.IpAddress; }"#;
    assert_eq!(
        evaluate(by_header, &mut context()).to_string(),
        "203.0.113.7"
    );
    assert_eq!(
        evaluate(by_header, &mut with_header("x-client", "a")).to_string(),
        "header:a"
    );
    let by_subscription = r#"@("quota:p:" + (context.Subscription != null ? "subscription:" + context.Subscription.Id : context.Request.IpAddress))"#;
    assert_eq!(
        evaluate(by_subscription, &mut context()).to_string(),
        "quota:p:subscription:sub-1"
    );
    let mut anonymous = context();
    anonymous.subscription = None;
    assert_eq!(
        evaluate(by_subscription, &mut anonymous).to_string(),
        "quota:p:203.0.113.7"
    );
    let literal = r#"@("all \u0022\u0040\u00281\u0029\u0022 \u007B\u007Bsecret\u007D\u007D")"#;
    assert_eq!(
        evaluate(literal, &mut context()).to_string(),
        r#"all "@(1)" {{secret}}"#
    );
    let odd = r#"@(context.Request.Headers.GetValueOrDefault("X-\u0022\u0029\u003B Evil\u0028\u0022", "none"))"#;
    assert_eq!(evaluate(odd, &mut context()).to_string(), "none");
    assert_eq!(
        evaluate(odd, &mut with_header("X-\"); Evil(\"", "seen")).to_string(),
        "seen"
    );
}

#[test]
fn a_limit_counts_by_a_claim_of_the_token() {
    let by_claim = r#"@{ var text = context.Request.Headers.GetValueOrDefault("Authorization", "").Split(' ').Last().AsJwt()?.Claims.GetValueOrDefault("oid", "") ?? ""; return text != "" ? "jwt:" + text : context.Request.IpAddress; }"#;
    let part = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    let token = format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"RS256"}"#),
        part(r#"{"oid":"user","sub":"s"}"#)
    );
    assert_eq!(
        evaluate(
            by_claim,
            &mut with_header("Authorization", &format!("Bearer {token}"))
        )
        .to_string(),
        "jwt:user"
    );
    for other in [
        "",
        "Bearer",
        "Bearer a.b",
        "Bearer a.b.c",
        "Basic dXNlcjpwYXNz",
    ] {
        assert_eq!(
            evaluate(by_claim, &mut with_header("Authorization", other)).to_string(),
            "203.0.113.7",
            "{other}"
        );
    }
    let hostile = r#"@{ var text = context.Request.Headers.GetValueOrDefault("Authorization", "").Split(' ').Last().AsJwt()?.Claims.GetValueOrDefault("\u0022, \u0022\u0022\u0029 + Evil\u0028\u0029 + \u0028\u0022", "") ?? ""; return text != "" ? "jwt:" + text : context.Request.IpAddress; }"#;
    assert_eq!(evaluate(hostile, &mut context()).to_string(), "203.0.113.7");
}

#[test]
fn a_token_is_taken_from_a_cookie_or_a_variable() {
    let cookie = r#"@(context.Request.Headers.GetValueOrDefault("Cookie", "").Split(';').Select(cookie => cookie.Trim()).Where(cookie => cookie.StartsWith("session=")).Select(cookie => cookie.Substring(8)).FirstOrDefault() ?? "")"#;
    assert_eq!(evaluate(cookie, &mut context()).to_string(), "abc");
    assert_eq!(
        evaluate(cookie, &mut with_header("Cookie", "sessions=1")).to_string(),
        ""
    );
    let variable = r#"@(context.Variables.GetValueOrDefault<string>("tok\u0022en", ""))"#;
    assert_eq!(evaluate(variable, &mut context()).to_string(), "");
    let mut stored = context();
    stored.variables.insert("tok\"en".to_owned(), "t".into());
    assert_eq!(evaluate(variable, &mut stored).to_string(), "t");
    let bearer =
        r#"@("Bearer " + context.Variables.GetValueOrDefault<string>("backend-auth-token", ""))"#;
    let mut stored = context();
    stored
        .variables
        .insert("backend-auth-token".to_owned(), "t".into());
    assert_eq!(evaluate(bearer, &mut stored).to_string(), "Bearer t");
}

#[test]
fn a_retry_depends_on_the_status_and_the_method() {
    let condition = r#"@(context.Response != null && (context.Response.StatusCode == 429 || context.Response.StatusCode == 503) && (context.Request.Method == "GET" || context.Request.Method == "POST"))"#;
    for (status, method, expected) in [
        (Some(503), "GET", true),
        (Some(429), "POST", true),
        (Some(503), "PUT", false),
        (Some(500), "GET", false),
        (None, "GET", false),
    ] {
        let mut context = context();
        context.request.method = method.to_owned();
        match status {
            Some(status) => context.response.as_mut().unwrap().status_code = status,
            None => context.response = None,
        }
        assert_eq!(
            evaluate(condition, &mut context).as_bool(),
            Some(expected),
            "{status:?} {method}"
        );
    }
}

#[test]
fn a_password_is_compared_in_full() {
    let condition = |users: &str| {
        format!(
            "@{{ var sent = context.Request.Headers.GetValueOrDefault(\"Authorization\", \"\").AsBasic(); \
             var given = sent == null ? \"\" : sent.UserId + \":\" + sent.Password; var known = false; \
             foreach (var wanted in new string[] {{ {users} }}) {{ var difference = given.Length ^ wanted.Length; \
             for (var i = 0; i < wanted.Length; i++) {{ difference |= wanted[i] ^ (i < given.Length ? given[i] : '\\0'); }} \
             known |= difference == 0; }} return sent == null || !known; }}"
        )
    };
    let refused = |users: &str, header: &str| {
        evaluate(&condition(users), &mut with_header("Authorization", header))
            .as_bool()
            .unwrap()
    };
    let basic = |text: &str| {
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    let users = "\"partner\" + \":\" + @\"se\"\"cret\", \"o\\u0027neil \\u0022\\u0040\\u00281\\u0029\\u0022 \\u007B\\u007Bx\\u007D\\u007D\" + \":\" + @\"p\\2\"";
    assert!(!refused(users, &basic("partner:se\"cret")));
    assert!(!refused(users, &basic("o'neil \"@(1)\" {{x}}:p\\2")));
    for wrong in [
        basic("partner:se\"cre"),
        basic("partner:se\"cret1"),
        basic("Partner:se\"cret"),
        basic("partner"),
        basic(""),
        String::new(),
        "Bearer abc".to_owned(),
        "Basic %%%".to_owned(),
    ] {
        assert!(refused(users, &wrong), "{wrong}");
    }
}

#[test]
fn what_a_template_writes_is_evaluated() {
    assert_eq!(
        evaluate("@(context.RequestId)", &mut context()).to_string(),
        "11111111-2222-4333-8444-555555555555"
    );
    assert_eq!(
        evaluate(
            "@{var n = (-3); return n + 1.5 + true.ToString() + null;}",
            &mut context()
        )
        .to_string(),
        "-1.5True"
    );
    assert!(Expression::parse("@(F(\"k\"))").is_err());
}

#[test]
fn a_text_is_a_literal_or_an_expression() {
    for (text, expected) in [
        ("plain", "plain"),
        ("a @(b)", "a @(b)"),
        ("@@(1)", "@(1)"),
        ("@", "@"),
        ("", ""),
    ] {
        match Text::parse(text).unwrap() {
            Text::Literal(literal) => assert_eq!(literal, expected),
            Text::Expression(_) => panic!("{text} is no expression"),
        }
    }
    for text in ["@(1 + 1)", "  @(1 + 1)\n", "@{ return 2; }"] {
        match Text::parse(text).unwrap() {
            Text::Expression(expression) => {
                let value = expression
                    .evaluate(&mut context(), &Limits::default())
                    .unwrap();
                assert_eq!(value.as_i64(), Some(2));
            }
            Text::Literal(_) => panic!("{text} is an expression"),
        }
    }
    let error = Text::parse("@(1) and more").unwrap_err();
    assert_eq!((error.line, error.column), (1, 6));
}

#[test]
fn the_gateway_knows_which_bodies_are_read() {
    for (source, request, response) in [
        ("@(context.Request.Method)", false, false),
        (
            "@(context.Request.Body.As<string>(preserveContent: true))",
            true,
            false,
        ),
        ("@(context.Response?.Body.As<JObject>(true))", false, true),
        (
            "@(((IResponse)context.Variables[\"r\"]).Body.As<JObject>())",
            false,
            false,
        ),
        (
            "@{ var r = context.Response; return r.Body.As<string>(); }",
            false,
            true,
        ),
    ] {
        let expression = Expression::parse(source).unwrap();
        assert_eq!(
            (
                expression.reads_request_body(),
                expression.reads_response_body()
            ),
            (request, response),
            "{source}"
        );
    }
}

#[test]
fn a_body_is_read_once_unless_it_is_preserved() {
    let mut context = context();
    let kept = "@(context.Request.Body.As<JObject>(preserveContent: true)[\"name\"].ToString())";
    assert_eq!(evaluate(kept, &mut context).to_string(), "x");
    assert!(!context.request.body.as_ref().unwrap().is_consumed());
    let taken = "@(context.Request.Body.As<string>().Length)";
    assert_eq!(evaluate(taken, &mut context).as_i64(), Some(47));
    assert!(context.request.body.as_ref().unwrap().is_consumed());
    let error = common::evaluate(taken, &mut context).unwrap_err();
    assert_eq!(error.exception, "InvalidOperationException");
    context.request.body = None;
    let error = common::evaluate(taken, &mut context).unwrap_err();
    assert_eq!(
        (error.exception.as_str(), error.line, error.column),
        ("NullReferenceException", 1, 24)
    );
    context.request.body = Some(Body::new("again"));
    assert_eq!(evaluate(taken, &mut context).as_i64(), Some(5));
}

#[test]
fn values_of_the_gateway_have_their_types_in_expressions() {
    let mut context = context();
    context.variables.insert(
        "jwt".to_owned(),
        Jwt {
            subject: "s".to_owned(),
            claims: [("roles".to_owned(), vec!["a".to_owned(), "b".to_owned()])]
                .into_iter()
                .collect(),
            ..Jwt::default()
        }
        .into(),
    );
    context.variables.insert("n".to_owned(), 5.into());
    context.request.headers = MultiMap::from_iter([("A", "1"), ("a", "2")]);
    for (source, expected) in [
        ("@(((Jwt)context.Variables[\"jwt\"]).Subject)", "s"),
        (
            "@(((Jwt)context.Variables[\"jwt\"]).Claims[\"roles\"].Contains(\"b\"))",
            "True",
        ),
        (
            "@(((Jwt)context.Variables[\"jwt\"]).Claims.GetValueOrDefault(\"roles\", \"\"))",
            "a,b",
        ),
        ("@((int)context.Variables[\"n\"] + 1)", "6"),
        (
            "@(context.Variables.GetValueOrDefault<int>(\"none\", 3))",
            "3",
        ),
        ("@(context.Request.Headers[\"A\"].Length)", "2"),
        (
            "@(context.Request.Headers.GetValueOrDefault(\"a\", \"\"))",
            "1,2",
        ),
        ("@(context.Variables.ContainsKey(\"n\"))", "True"),
    ] {
        assert_eq!(
            evaluate(source, &mut context).to_string(),
            expected,
            "{source}"
        );
    }
    let error = common::evaluate("@((string)context.Variables[\"n\"])", &mut context).unwrap_err();
    assert_eq!(error.exception, "InvalidCastException");
    let error = common::evaluate("@(context.Variables[\"none\"])", &mut context).unwrap_err();
    assert_eq!(error.exception, "KeyNotFoundException");
}
