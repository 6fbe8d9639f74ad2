//! Documents and expressions that were damaged: whatever they say, nobody gets
//! past the policy in front of them, nothing panics, and every request ends.
//!
//! `FUZZ_CASES` makes more of them; a failure names its seed.

use crate::certificates::{authority, issued};
use crate::stage::{LOOPBACK, operation};
use apim_gateway::configuration::{Api, Certificate, Service};
use apim_gateway::{
    Body, ClientError, ClientIdentity, Configuration, Gateway, HttpClient, ManualClock, Options,
    Scope, Trust, check_policy,
};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Answers everything that the gateway sends out, and counts what is for the
/// backend; nothing leaves the process.
#[derive(Default)]
struct Everywhere(AtomicUsize);

#[async_trait]
impl HttpClient for Everywhere {
    async fn send(
        &self,
        request: http::Request<Body>,
        _: Option<&ClientIdentity>,
    ) -> Result<http::Response<Body>, ClientError> {
        if request.uri().host() == Some("backend.example") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        if request.uri().host() == Some("nowhere.example") {
            return Err(ClientError::Connection("refused".to_owned()));
        }
        let body = Full::new(Bytes::from_static(b"{\"a\": [1, \"b\"]}"));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        Ok(http::Response::new(body))
    }
}

/// What stands in documents, whole: the seeds of what is damaged.
const POLICIES: &[&str] = &[
    r#"<set-header name="X-A" exists-action="append"><value>@(context.Request.Method + "b")</value></set-header>"#,
    r#"<set-header name="X-B" exists-action="override"><value>{{name}}</value><value>2</value></set-header>"#,
    r#"<set-query-parameter name="q" exists-action="override"><value>@(context.Request.OriginalUrl.Host)</value></set-query-parameter>"#,
    r#"<set-variable name="v" value="@(context.Request.Headers.GetValueOrDefault("X", "1").Split(',')[0])" />"#,
    r#"<set-body>@{ var body = context.Request.Body?.As<JObject>(true); return body == null ? "" : body.ToString(); }</set-body>"#,
    r#"<set-body template="liquid">{{body.a}}</set-body>"#,
    "<set-method>PATCH</set-method>",
    r#"<set-status code="418" reason="no" />"#,
    r#"<rewrite-uri template="/x/{id}?a={b}" copy-unmatched-params="false" />"#,
    r#"<set-backend-service base-url="https://nowhere.example/base" />"#,
    r#"<choose><when condition="@(context.Variables.ContainsKey("v"))"><set-status code="200" /></when><otherwise><set-method>PUT</set-method></otherwise></choose>"#,
    r#"<return-response response-variable-name="r"><set-status code="200" reason="ok" /><set-header name="X"><value>1</value></set-header><set-body>b</set-body></return-response>"#,
    r#"<rate-limit-by-key calls="2" renewal-period="60" counter-key="@(context.Request.IpAddress)" increment-condition="@(context.Response.StatusCode == 200)" remaining-calls-header-name="X-Left" />"#,
    r#"<quota-by-key calls="2" bandwidth="10" renewal-period="300" counter-key="k" first-period-start="2020-01-01T00:00:00Z" />"#,
    r#"<ip-filter action="allow"><address>127.0.0.1</address><address-range from="10.0.0.0" to="10.255.255.255" /></ip-filter>"#,
    r#"<cors allow-credentials="true" terminate-unmatched-request="false"><allowed-origins><origin>https://a.example</origin></allowed-origins><allowed-methods preflight-result-max-age="5"><method>*</method></allowed-methods><allowed-headers><header>*</header></allowed-headers></cors>"#,
    r#"<validate-jwt header-name="Authorization" require-scheme="Bearer" clock-skew="5" output-token-variable-name="jwt"><openid-config url="https://nowhere.example/x" /><issuer-signing-keys><key id="a">MDEyMzQ1Njc4OWFiY2RlZg==</key></issuer-signing-keys><audiences><audience>a</audience></audiences><required-claims><claim name="c" match="any" separator=","><value>v</value></claim></required-claims></validate-jwt>"#,
    r#"<validate-azure-ad-token tenant-id="t"><client-application-ids><application-id>a</application-id></client-application-ids></validate-azure-ad-token>"#,
    r#"<validate-parameters specified-parameter-action="prevent" unspecified-parameter-action="detect" errors-variable-name="e"><headers specified-parameter-action="ignore" unspecified-parameter-action="ignore"><parameter name="a" action="prevent" /></headers></validate-parameters>"#,
    r#"<validate-content unspecified-content-type-action="prevent" max-size="100" size-exceeded-action="detect" errors-variable-name="e"><content type="application/json" validate-as="json" action="prevent" /></validate-content>"#,
    r#"<cache-lookup vary-by-developer="false" vary-by-developer-groups="false"><vary-by-header>Accept</vary-by-header></cache-lookup>"#,
    r#"<cache-lookup-value key="@(context.RequestId.ToString())" default-value="d" variable-name="v" />"#,
    r#"<cache-store-value key="k" value="@("x".PadLeft(10))" duration="60" />"#,
    r#"<cache-remove-value key="k" />"#,
    r#"<send-request mode="new" response-variable-name="r" timeout="5" ignore-error="true"><set-url>https://other.example/@(1)</set-url><set-method>POST</set-method><set-body>@("a")</set-body></send-request>"#,
    r#"<retry condition="@(context.Response == null)" count="3" interval="1" delta="1" max-interval="5" first-fast-retry="true"><forward-request timeout="5" /></retry>"#,
    r#"<mock-response status-code="201" content-type="application/json" />"#,
    r#"<authentication-certificate certificate-id="partner" />"#,
    r#"<authentication-certificate thumbprint="@(context.Request.Headers.GetValueOrDefault("X", "1"))" />"#,
    r#"<authentication-basic username="u" password="@("p" + 1)" />"#,
    r#"<check-header name="X-C" failed-check-httpcode="401" failed-check-error-message="m" ignore-case="true"><value>1</value></check-header>"#,
    r#"<include-fragment fragment-id="part" />"#,
    r#"<trace source="s" severity="error"><message>@(context.LastError.Message)</message><metadata name="a" value="b" /></trace>"#,
    r#"<jsonp callback-parameter-name="cb" />"#,
    "<base />",
];

/// What is put into documents where it does not belong.
const PIECES: &[&str] = &[
    "<base />",
    "</inbound><inbound>",
    "</inbound>",
    "<backend><forward-request /></backend>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "&lt;",
    "&#0;",
    "&amp;",
    "&x;",
    "\"",
    "'",
    ">",
    "<",
    "/>",
    "=",
    "@(",
    "@{",
    "@@",
    ")",
    "}",
    "{{",
    "}}",
    "{{name}}",
    "{{none}}",
    "-1",
    "0",
    "99999999999999999999",
    "1e400",
    "NaN",
    "true",
    "",
    " ",
    "\n",
    "\u{0}",
    "\u{202e}",
    "é",
    "%0d%0a",
    "\r\n",
    "context",
    ".Request",
    ".Response",
    ".Variables[\"v\"]",
    ".Body.As<JObject>()",
    ".Headers",
    ".ToString()",
    "?.",
    "??",
    " ? ",
    " : ",
    "new JObject()",
    "(string)",
    "(int)",
    "as string",
    "is int",
    "null",
    "while (true) { }",
    "foreach (var x in \"abc\") { }",
    "return 1;",
    "var a = 1;",
    "a => a",
    "+",
    "-",
    "*",
    "/ 0",
    "% 0",
    "<<",
    "&&",
    "||",
    "!",
    "~",
    "[0]",
    "[-1]",
    "\"\\u0000\"",
    "$\"{1}\"",
    ".Substring(5)",
    ".PadLeft(1000000000)",
    ".Replace(\"\", \"x\")",
    "Guid.NewGuid()",
    "DateTime.MaxValue.AddDays(1)",
    "int.MaxValue + 1",
    "Regex.Match(\"aaaaaaaaaaaaaaaaaaaaaaaa!\", \"(a+)+$\")",
    "Convert.FromBase64String(\"%\")",
];

fn pick<'a>(rng: &mut StdRng, all: &[&'a str]) -> &'a str {
    all[rng.random_range(0..all.len())]
}

/// A place in a text between two characters.
fn place(rng: &mut StdRng, text: &str) -> usize {
    let mut at = rng.random_range(0..=text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// One to three policies, with some damage.
fn policies(rng: &mut StdRng) -> String {
    let mut text: String = (0..rng.random_range(1..=3))
        .map(|_| pick(rng, POLICIES))
        .collect();
    for _ in 0..rng.random_range(0..4) {
        let (a, b) = (place(rng, &text), place(rng, &text));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
        let to = (to..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(from);
        match rng.random_range(0..4) {
            0 => text.insert_str(a, pick(rng, PIECES)),
            1 => text.replace_range(from..to, ""),
            2 => text.replace_range(from..to, pick(rng, PIECES)),
            _ => {
                let copy = text[from..to].to_owned();
                text.insert_str(b, &copy);
            }
        }
    }
    text
}

/// An expression made of pieces, which is one sometimes.
fn expression(rng: &mut StdRng) -> String {
    let pieces: String = (0..rng.random_range(1..8))
        .map(|_| pick(rng, PIECES))
        .collect();
    match rng.random_range(0..3) {
        0 => format!("@({pieces})"),
        1 => format!("@{{ {pieces} return \"x\"; }}"),
        _ => format!("@(context.Request.Method{pieces})"),
    }
}

fn partner() -> Certificate {
    static PARTNER: std::sync::OnceLock<Certificate> = std::sync::OnceLock::new();
    PARTNER
        .get_or_init(|| {
            let (pem, key) = issued(&authority("ours"), "partner");
            Certificate {
                pem,
                key: Some(key.into()),
                ..Certificate::default()
            }
        })
        .clone()
}

fn service(sections: &str) -> Service {
    let fragment = "<fragment><set-variable name=\"f\" value=\"1\" /></fragment>";
    Service {
        name: "fuzz".to_owned(),
        named_values: [("name".to_owned(), "value".to_owned())].into(),
        fragments: [("part".to_owned(), fragment.to_owned())].into(),
        certificates: [("partner".to_owned(), partner())].into(),
        apis: vec![Api {
            id: "shop".to_owned(),
            path: "shop".to_owned(),
            service_url: Some("http://backend.example".to_owned()),
            policy: Some(format!("<policies>{sections}</policies>")),
            operations: vec![operation("GET", "/items/{id}"), operation("POST", "/items")],
            ..Api::default()
        }],
        ..Service::default()
    }
}

/// A gateway that sends everything there, and whose clock stands still.
fn options(client: Arc<dyn HttpClient>) -> Options {
    Options {
        listen: LOOPBACK,
        client: Some(client),
        clock: Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH)),
        trust: Trust::default(),
        trace_all: true,
        expression_limits: apim_expressions::Limits {
            fuel: 50_000,
            memory: 1024 * 1024,
            ..apim_expressions::Limits::default()
        },
        ..Options::default()
    }
}

fn client() -> reqwest::Client {
    // Of the client; one that is there stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_mins(1))
        .build()
        .expect("a client")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_document_never_opens_an_api_and_every_request_ends() {
    let cases: u64 = std::env::var("FUZZ_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(400);
    let backend = Arc::new(Everywhere::default());
    let options = options(Arc::<Everywhere>::clone(&backend));
    let gateway = Gateway::start(&Configuration::default(), options)
        .await
        .expect("a gateway");
    let client = client();
    let (mut good, mut answered) = (0, 0);
    for seed in 0..cases {
        let mut rng = StdRng::seed_from_u64(seed);
        let inner = match rng.random_range(0..4) {
            0 => format!(
                "<set-header name=\"X\"><value>{}</value></set-header>",
                expression(&mut rng)
            ),
            1 => format!(
                "<set-variable name=\"v\" value='{}' />",
                expression(&mut rng)
            ),
            _ => policies(&mut rng),
        };
        let guard = "<check-header name=\"X-Key\" failed-check-httpcode=\"401\" failed-check-error-message=\"No.\" ignore-case=\"false\"><value>k</value></check-header>";
        let sections = format!("<inbound>{guard}{inner}</inbound><on-error>{inner}</on-error>");
        let service = service(&sections);
        let checked = check_policy(
            service.apis[0].policy.as_deref().expect("one"),
            Scope::Api,
            &service,
        );
        if checked.is_ok() {
            good += 1;
        } else if seed % 8 != 0 {
            // Refused when it is written; now and then it is served all the same.
            continue;
        }
        gateway.configure(&Configuration {
            services: vec![service],
        });
        let url = format!("http://{}/shop/items", gateway.address());
        let before = backend.0.load(Ordering::SeqCst);
        for (request, open) in [
            (
                client.get(format!("{url}/7?b=%0d%0aX-Injected:%201")),
                false,
            ),
            (
                client
                    .get(format!("{url}/7?a=1&b=2"))
                    .header("X-Key", "k")
                    .header("X", "1,2"),
                true,
            ),
            (
                client
                    .post(&url)
                    .header("X-Key", "k")
                    .header("content-type", "application/json")
                    .body("{\"a\": 1}"),
                true,
            ),
        ] {
            let answer = request.send().await;
            let answer =
                answer.unwrap_or_else(|error| panic!("seed {seed}: {error:?}: {sections}"));
            let status = answer.status().as_u16();
            assert!(
                answer.headers().get("x-injected").is_none(),
                "seed {seed}: {sections}"
            );
            let _ = answer.bytes().await;
            answered += 1;
            if !open {
                // In on-error a document may forward of its own.
                let outside = inner.contains("forward-request");
                let reached = backend.0.load(Ordering::SeqCst) != before;
                assert!(
                    outside || !reached,
                    "seed {seed}: the backend was reached: {sections}"
                );
                assert!(status >= 200, "seed {seed}");
            }
        }
    }
    // As many documents are good as are not, about, or the damage is too large.
    assert!(
        good * 10 > cases && answered > 0,
        "{good} of {cases} were good"
    );
    assert!(gateway.traces().len() <= 200);
}
