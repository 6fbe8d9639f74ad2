//! No text of a config or of a spec changes what a request may do: it is
//! refused with its place, or does what a harmless text in its place does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use apim_gateway::configuration::Subscription;
use plugin_behaviour::{Answer, Api, Authority, Seen, Signer, Stage, built_in, template, token};
use serde_json::{Value, json};

/// Texts that mean something in one of the languages that a policy, a request
/// or a response is made of.
const HOSTILE: [&str; 12] = [
    "@(context.Api.Path)",
    "@{return \"evil\";}",
    "{{secret}}",
    "\" + context.Api.Path + \"",
    "\\\" + context.Api.Path + @\"",
    "\"); return true; //",
    "</value></set-header><return-response />",
    "\" /><return-response /><x y=\"",
    "a\r\nX-Evil: evil\r\n\r\nevil",
    "&quot;/&gt;&#64;(1)&#10;",
    "]]><!--",
    "/../../admin?evil=1#",
];

/// What the named value holds that no config names.
const SECRET: &str = "the-secret-of-somebody-else";

/// A config with one of its texts to be replaced.
#[derive(Clone)]
struct Place {
    plugin: &'static str,
    config: Value,
    /// The pointer to the text; of a key, to its value.
    pointer: String,
    /// Whether the key is replaced.
    key: bool,
    operation: bool,
    /// Where it is no annotation's.
    block: Option<&'static str>,
}

impl Place {
    fn with(&self, text: &str) -> Value {
        let mut config = self.config.clone();
        if self.key {
            let (parent, name) = self.pointer.rsplit_once('/').expect("a pointer");
            let name = name.replace("~1", "/").replace("~0", "~");
            let map = config.pointer_mut(parent).and_then(Value::as_object_mut);
            let map = map.expect("an object");
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, value)| (if key == name { text.to_owned() } else { key }, value))
                .collect();
        } else if let Some(place) = config.pointer_mut(&self.pointer) {
            *place = text.into();
        }
        config
    }

    fn api(&self, config: &Value) -> Api {
        let plugin = self.plugin;
        match (self.block, self.operation) {
            (Some(block), _) => Api::usual()
                .annotated("plugins", plugin)
                .spec(block, config.clone()),
            (None, true) => Api::chain(&[]).operation("getItem", plugin, config),
            (None, false) => Api::of(plugin, config),
        }
    }

    fn is_told(&self, problems: &[String]) -> bool {
        // A key that nobody knows, and a value that fits not where it stands,
        // are told at what holds them.
        let mut pointer = self.pointer.as_str();
        while !pointer.is_empty() {
            if problems.iter().any(|problem| problem.contains(pointer)) {
                return true;
            }
            pointer = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        // What a plugin read from an inner block is told by its own name.
        let field = self.pointer.rsplit('/').next().unwrap_or_default();
        if self.block.is_some() && problems.iter().any(|problem| problem.contains(field)) {
            return true;
        }
        let block = self.block.unwrap_or(self.plugin);
        self.pointer.matches('/').count() == 1
            && problems.iter().any(|problem| problem.contains(block))
    }
}

/// Pointers to all texts and keys.
fn places(value: &Value, at: &str, out: &mut Vec<(String, bool)>) {
    match value {
        Value::String(_) => out.push((at.to_owned(), false)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), out);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                out.push((at.clone(), true));
                places(field, &at, out);
            }
        }
        _ => {}
    }
}

fn table(plugin: &str, name: &str) -> Vec<(String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins")
        .join(plugin)
        .join("tests")
        .join(name);
    let Ok(text) = std::fs::read_to_string(path) else {
        return Vec::new();
    };
    let table: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("a table");
    table.into_iter().collect()
}

/// What plugins read from the spec.
fn blocks() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "rate-limit",
            "rateLimit",
            json!({"enabled": true, "limit": "50", "interval": "pm", "identifier": "IP"}),
        ),
        (
            "quota",
            "quota",
            json!({"enabled": true, "limit": "50", "identifier": "all of them"}),
        ),
        (
            "cors",
            "CORS",
            json!({
                "enabled": true, "allowOrigins": "https://a.example, https://b.example",
                "handlePreflightRequests": {"enabled": true, "allowHeaders": "x-a", "allowMethods": "GET"},
            }),
        ),
    ]
}

/// Every text of every config in the tables beside the plugins' own tests, and
/// of the spec blocks.
fn all() -> Vec<Place> {
    let mut all = Vec::new();
    let mut add = |plugin, config: Value, operation, block| {
        let mut found = Vec::new();
        places(&config, "", &mut found);
        // Which values there are is the template's to say.
        found.retain(|(pointer, key)| {
            !(*key && plugin == "template" && pointer.starts_with("/values/"))
        });
        all.extend(found.into_iter().map(|(pointer, key)| Place {
            plugin,
            config: config.clone(),
            pointer,
            key,
            operation,
            block,
        }));
    };
    for plugin in built_in() {
        for (file, operation) in [("good.json", false), ("operation.json", true)] {
            for (row, mut config) in table(plugin, file) {
                // The platform writes the template, the owner its values.
                if let Some(text) = config["inline"].as_str() {
                    // The same for each request, so that answers can be compared.
                    let text =
                        &text.replace("context.RequestId.ToString()", "context.Operation.Id");
                    let at = template(&format!("hostile-{}", row.replace(' ', "-")), text);
                    let fields = config.as_object_mut().expect("an object");
                    fields.insert("template".to_owned(), at);
                    fields.shift_remove("inline");
                }
                add(plugin, config, operation, None);
            }
        }
    }
    for (plugin, block, config) in blocks() {
        add(plugin, config, false, Some(block));
    }
    all
}

/// What a request may do: how it is answered and what the backend gets.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    backend: Vec<(String, String, BTreeMap<String, String>, String)>,
}

/// The text itself may stand where the config wants it to stand, and the name
/// of the API where that stands.
fn without(text: &str, api: &str, said: &str) -> String {
    let json = json!(said).to_string();
    let in_json = &json[1..json.len() - 1];
    let encoded: String = said
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    [in_json, said, said.trim(), &encoded]
        .iter()
        .fold(text.to_owned(), |text, form| text.replace(form, "(text)"))
        .replace(api, "(api)")
}

fn outcome(answer: &Answer, seen: &[Seen], api: &str, said: &str) -> Outcome {
    let without = |text: &str, said: &str| without(text, api, said);
    let cleaned = |headers: Vec<(String, String)>| {
        headers
            .into_iter()
            .map(|(name, value)| (without(&name, &said.to_lowercase()), without(&value, said)))
            .collect()
    };
    let answered = answer.headers.clone().into_iter().collect();
    Outcome {
        status: answer.status,
        headers: cleaned(answered),
        body: without(&answer.body, said),
        backend: seen
            .iter()
            .map(|seen| {
                let headers = seen.headers.keys().map(|name| {
                    let value = seen.header(name.as_str()).unwrap_or_default();
                    (name.to_string(), value)
                });
                let body = String::from_utf8_lossy(&seen.body).into_owned();
                (
                    seen.method.clone(),
                    without(&seen.url, said),
                    cleaned(headers.collect()),
                    body,
                )
            })
            .collect(),
    }
}

/// Asks everything that a caller may try, and how it ends.
async fn probe(stage: &Stage, api: &str, said: &str) -> Vec<Outcome> {
    let good = token(&json!({}));
    let path = format!("/{api}/items/7");
    let calls = [
        stage.call("GET", "").at(&path),
        stage
            .call("GET", "")
            .at(&format!("{path}?page=1&debug=1&evil=1"))
            .token(&good)
            .header("x-api-key", "s3cret")
            .header("ocp-apim-subscription-key", "key")
            .header("cookie", "session=x")
            .header("x-debug", "1"),
        stage
            .call("GET", "")
            .at(&path)
            .header("authorization", "Basic cGFydG5lcjpzM2NyZXQ="),
        stage
            .call("OPTIONS", "")
            .at(&path)
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "x-evil"),
        stage
            .call("GET", "")
            .at(&path)
            .header("origin", "https://evil.example"),
        stage
            .call("POST", "")
            .at(&format!("/{api}/items"))
            .header("content-type", "text/plain")
            .body("evil"),
    ];
    let mut outcomes = Vec::new();
    for call in calls {
        let before = stage.world.calls();
        let answer = call.send().await;
        let seen = stage.world.seen();
        outcomes.push(outcome(&answer, &seen[before..], api, said));
    }
    outcomes
}

/// A gateway with everything that the tables name.
async fn stage() -> Stage {
    Stage::with(Api::chain(&[]), |service| {
        for name in [
            "partner-key",
            "Partner.Key_2",
            "partner-password",
            "user-1",
            "password-1",
            "password-2",
            "backend-token",
            "build",
            "backend-key",
            "token",
        ] {
            service
                .named_values
                .insert(name.to_owned(), "s3cret".to_owned());
        }
        let key = ("hmac-key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        service
            .named_values
            .insert(key.0.to_owned(), key.1.to_owned());
        service
            .named_values
            .insert("secret".to_owned(), SECRET.to_owned());
        service.subscriptions.push(Subscription {
            id: "one".to_owned(),
            primary_key: "key".to_owned(),
            ..Subscription::default()
        });
        let authority = Authority::of(Signer::known());
        for id in ["partner-ca", "partner-signing", "c"] {
            service
                .certificates
                .insert(id.to_owned(), (&authority).into());
        }
    })
    .await
}

#[tokio::test]
async fn a_hostile_text_is_refused_by_its_place_or_does_what_a_harmless_one_does() {
    let mut stage = stage().await;
    let (mut refused, mut served) = (0, 0);
    let (mut plugins, mut closed, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    // Each API has a name of its own: nothing is counted or kept for it yet.
    let mut names = (0..).map(|number| format!("api-{number}"));
    let mut fresh = || names.next().expect("without end");
    for place in all() {
        // The harmless text is as any word; where that is no good, what stands
        // there is.
        let word = place.api(&place.with("harmless"));
        let name = fresh();
        let (harmless, word) = if let Ok(desired) = word.named(&name).desired() {
            (desired, "harmless".to_owned())
        } else {
            let own = place.config.pointer(&place.pointer);
            let own = own.and_then(Value::as_str).unwrap_or_default();
            let api = place.api(&place.config).named(&name);
            (api.desired().expect("good"), own.to_owned())
        };
        let mut accepted = Vec::new();
        for text in HOSTILE {
            let name = fresh();
            match place.api(&place.with(text)).named(&name).desired() {
                Ok(desired) => accepted.push((text, name, desired)),
                Err(problems) => {
                    refused += 1;
                    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    assert!(
                        place.is_told(&told),
                        "{} {} {text:?}: {told:#?}",
                        place.plugin,
                        place.pointer
                    );
                }
            }
        }
        if accepted.is_empty() {
            continue;
        }
        plugins.insert(place.plugin);
        stage.serve(&[harmless]);
        assert_eq!(stage.problems(), [""; 0]);
        let expected = probe(&stage, &name, &word).await;
        for (text, name, desired) in accepted {
            served += 1;
            stage.serve(&[desired]);
            assert_eq!(
                stage.problems(),
                [""; 0],
                "{} {}",
                place.plugin,
                place.pointer
            );
            let found = probe(&stage, &name, text).await;
            for (found, expected) in found.iter().zip(&expected) {
                // A header that cannot be is an error, which lets nobody in.
                if found.status == 500 && found.backend.is_empty() {
                    closed.insert(format!("{} {}", place.plugin, place.pointer));
                } else if found != expected || format!("{found:?}").contains(SECRET) {
                    let (plugin, pointer) = (place.plugin, &place.pointer);
                    wrong.push(format!(
                        "{plugin} {pointer} {text:?}\n{found:?}\n{expected:?}"
                    ));
                }
            }
        }
    }
    let header = BTreeSet::from(["template /values/suffix".to_owned()]);
    assert_eq!(closed, header, "what is an error of the gateway's");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // Neither refused all along nor never.
    assert!(refused > 1000 && served > 100, "{refused} {served}");
    println!("{refused} refused, {served} served, of {plugins:?}");
}
