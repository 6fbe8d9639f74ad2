//! No value of a config becomes code or a named value, whatever it holds and
//! however a template inserts it.

use plugin_template::TemplatePlugin;
use policy_sdk::testing::Call;
use proptest::prelude::*;
use serde_json::json;

/// Texts made of what has a meaning to Tera, XML, C# or API Management.
fn nasty() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "@(",
        "@{",
        "{{",
        "}}",
        ")",
        "{%",
        "%}",
        "{#",
        "#}",
        "<",
        ">",
        "&",
        "\"",
        "'",
        "</value>",
        "<evil/>",
        "]]>",
        "<!--",
        "-->",
        "&#64;",
        "&lt;",
        "&amp;#64;(",
        "\u{E000}",
        "\u{E001}",
        "\u{E002}0\u{E003}",
        "0",
        "secret",
        "F(",
        "$v",
        "\\",
        "\n",
        " ",
        "@",
        "(",
        "{",
        "\u{0}",
        "é",
        "expression(code='Evil()')",
    ]);
    prop_oneof![
        3 => prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

/// Ways to insert `values.a` and `values.b`.
const INSERTIONS: [&str; 20] = [
    "{{ values.a }}",
    "x{{ values.a }}y{{ values.b }}",
    "{{ values.a ~ values.b }}",
    "{{ values.a | upper }}",
    "{{ values.a | replace(from='E', to=values.b) }}",
    "{{ values.a | trim | truncate(length=3) }}",
    "{{ values.a | escape }}",
    "{{ values.a | escape_xml }}",
    "{{ values.a | split(pat='<') | join(sep=values.b) }}",
    "{% set x %}{{ values.a }}{% endset %}{{ x }}",
    "{% set x %}{{ values.a }}{% endset %}{{ x | replace(from='&lt;', to=values.b) }}",
    "{% set x %}{{ values.a }}{% endset %}{{ x | reverse }}{{ x[1:] }}",
    "{% set x %}{{ values.a }}{% endset %}{{ [x, values.b] | join(sep='') }}",
    "{% set x %}{{ expression(code='F()') }}{% endset %}{{ x[0:1] }}{{ values.a }}{{ x[-1:] }}",
    "{{ named_value(name='own') ~ values.a }}",
    "{{ values }}",
    "{% for c in values.a %}{{ c }}{% endfor %}",
    "{{ expression(code=values.a) }}",
    "{{ named_value(name=values.a) }}",
    "{{ statements(code='return ' ~ values.a) }}",
];

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn generate(template: &str, a: &str, b: &str) -> Result<String, String> {
    let call = Call::of::<TemplatePlugin>()
        .config(json!({"values": {"a": a, "b": b}}))
        .with(|context| context.template = Some(template.to_owned()));
    match call.generate() {
        Ok(policy) => Ok(policy_sdk::testing::print(&policy)),
        Err(diagnostics) => Err(diagnostics[0].message.clone()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_value_is_inserted_as_it_is_or_refused(a in nasty()) {
        let template = "<inbound><a b=\"{{ values.a }}\"><c>{{ values.a }}</c></a></inbound>";
        match generate(template, &a, "") {
            Ok(text) => {
                let a = escaped(&a);
                prop_assert_eq!(text, format!("inbound:\n  <a b=\"{a}\">\n    <c>{a}</c>\n  </a>\n"));
            }
            Err(_) => prop_assert!(
                ["@(", "@{", "{{"].iter().any(|special| a.contains(special))
                    || a.contains(['\u{E000}', '\u{E001}', '\u{E002}', '\u{E003}']),
                "{:?} was refused", a
            ),
        }
    }

    #[test]
    fn no_way_of_inserting_makes_code_of_a_value(
        insertion in prop::sample::select(INSERTIONS.to_vec()), a in nasty(), b in nasty(),
    ) {
        let template = format!("<inbound><a>{insertion}</a></inbound>");
        if let Ok(text) = generate(&template, &a, &b) {
            // What the templates themselves hold; also where a value adds
            // nothing to it.
            let own = ["@(F())", "@{return }", "{{own}}"]
                .iter()
                .fold(text.clone(), |text, own| text.replace(own, ""));
            for special in ["@(", "@{", "{{"] {
                prop_assert!(!own.contains(special), "{} of {:?} and {:?}: {}", template, a, b, text);
            }
        }
    }

    #[test]
    fn a_value_in_code_is_a_string_there(a in nasty()) {
        let template = "<inbound><a b=\"{{ expression(code='F($v)', v=values.a) }}\" /></inbound>";
        if let Ok(text) = generate(template, &a, "") {
            let string = policy_sdk::csharp::string(&a);
            prop_assert_eq!(text, format!("inbound:\n  <a b=\"@(F({string}))\" />\n"));
        }
    }
}
