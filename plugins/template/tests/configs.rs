//! What the plugin makes of templates.

use plugin_template::TemplatePlugin;
use policy_sdk::testing::Call;
use serde_json::{Value, json};

/// A call with a template of the platform's.
fn call(template: &str, values: &Value) -> Call {
    Call::of::<TemplatePlugin>()
        .config(json!({ "values": values }))
        .with(|context| context.template = Some(template.to_owned()))
}

fn table(cases: &[(&str, &str, Value)]) -> String {
    let text: Vec<_> = cases
        .iter()
        .map(|(name, template, values)| {
            let text = call(template, values).generate_text();
            format!("== {name}\n{text}")
        })
        .collect();
    text.concat()
}

#[test]
fn templates_become_policies() {
    let text = table(&[
        (
            "values in attributes and texts",
            "<outbound>\n  <set-header name=\"{{ values.name }}\" exists-action=\"override\">\n    \
             <value>\n      {{ values.text }}\n    </value>\n  </set-header>\n</outbound>",
            json!({"name": "x-team", "text": " <a> & \"b\" 'c'\n"}),
        ),
        (
            "what the API and the instance are",
            "<inbound><set-variable name=\"about\" value=\"{{ api.name }} {{ api.operations | length }} \
             {{ instance.sku }} {{ api.labels['oda.tmforum.org/componentName'] }}\" /></inbound>",
            json!({}),
        ),
        (
            "loops and conditions",
            "<policies>{% for name, text in values.headers %}{% if text %}<outbound>\
             <set-header name=\"{{ name }}\"><value>{{ text }}</value></set-header></outbound>{% endif %}\
             {% endfor %}</policies>",
            json!({"headers": {"x-b": "1", "x-a": "2", "x-c": ""}}),
        ),
        (
            "code, with values in it",
            "<inbound><set-variable name=\"a\" value=\"{{ expression(code='context.Request.Headers\
             .GetValueOrDefault($name, \"none\")', name=values.name) }}\" /><set-variable name=\"b\" value=\"\
             {{ statements(code='var n = $n; return n + $m + $flag + $nothing;', n=values.n, m=values.m, \
             flag=values.flag, nothing=values.nothing) }}\" /></inbound>",
            json!({"name": "X-\"); Evil(\"", "n": -3, "m": 1.5, "flag": true, "nothing": null}),
        ),
        (
            "named values",
            "<inbound><set-header name=\"authorization\"><value>Bearer {{ named_value(name=\"token\") }}\
             </value></set-header><set-variable name=\"k\" value=\"{{ expression(code='F($key)', \
             key=named_value(name='key')) }}\" /></inbound>",
            json!({}),
        ),
        (
            "an expression in a variable and on lines of its own",
            "{% set code = 'context.RequestId' %}<outbound>\n<set-header name=\"x-id\">\n<value>\n  \
             {{ expression(code=code) }}\n</value></set-header></outbound>",
            json!({}),
        ),
        (
            "all sections, comments and white space",
            "<!-- {{ values.a }} -->\n<policies>\n<inbound><!-- c --></inbound>\n<backend>\n\
             <forward-request timeout=\"{{ values.n }}\" />\n</backend>\n<outbound />\n<on-error><trace \
             source=\"a\"> {{ values.a }}{# no #} b </trace></on-error></policies>",
            json!({"a": "--> <evil />", "n": 12}),
        ),
        (
            "own text with entities",
            "<inbound><set-body>&lt;a b=&quot;&#65;&quot;&gt; &amp;amp;</set-body></inbound>",
            json!({}),
        ),
        (
            "nothing",
            "{% if values.on %}<inbound/>{% endif %}",
            json!({"on": false}),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_template_that_is_wrong_is_told_with_line_and_column() {
    let text = table(&[
        (
            "syntax",
            "<inbound>\n  {% if values.a %}\n</inbound>",
            json!({}),
        ),
        (
            "an unknown variable",
            "<inbound>\n  {{ valeus.a }}\n</inbound>",
            json!({}),
        ),
        (
            "an unknown field",
            "<inbound>\n{{ values.a }}</inbound>",
            json!({}),
        ),
        (
            "a named value of API Management",
            "<inbound>\n  <set-header name=\"k\"><value>{{my-secret}}</value></set-header>\n</inbound>",
            json!({}),
        ),
        (
            "an unknown filter",
            "<inbound>\n  {{ values.a | shout }}\n</inbound>",
            json!({"a": "b"}),
        ),
        ("an unknown function", "{{ now() }}", json!({})),
        ("an include", "{% include \"other\" %}", json!({})),
        ("a parent", "{% extends \"other\" %}", json!({})),
        ("safe", "\n\n  {{ values.a | safe }}", json!({"a": "<b/>"})),
        (
            "code from a value",
            "{{ expression(code=values.a) }}",
            json!({"a": "Evil()"}),
        ),
        (
            "code joined of a value",
            "{{ expression(code='A(' ~ values.a) }}",
            json!({"a": "Evil()"}),
        ),
        (
            "a named value's name from a value",
            "{{ named_value(name=values.a) }}",
            json!({"a": "secret"}),
        ),
        (
            "a value within a string of the code",
            "{{ expression(code='\"a $b\"', b=values.a) }}",
            json!({"a": "c"}),
        ),
        (
            "a value without a place",
            "{{ expression(code='A()', b=values.a) }}",
            json!({"a": "c"}),
        ),
        (
            "a list in code",
            "{{ expression(code='A($b)', b=values.a) }}",
            json!({"a": [1]}),
        ),
        (
            "code in its brackets",
            "{{ expression(code='@(A())') }}",
            json!({}),
        ),
        ("no code", "{{ expression() }}", json!({})),
        (
            "another argument",
            "{{ named_value(name='a', nmae='b') }}",
            json!({}),
        ),
        (
            "a message of the template's own",
            "<inbound>\n{{ throw(message='set values.team') }}</inbound>",
            json!({}),
        ),
        (
            "a character of ours",
            "<inbound>\u{E002}0\u{E003}</inbound>",
            json!({}),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_result_that_is_no_policy_is_shown_with_its_line() {
    let text = table(&[
        (
            "not well-formed",
            "<inbound>\n  <a>\n  </b>\n</inbound>",
            json!({}),
        ),
        ("not closed", "<inbound>\n  <a>", json!({})),
        (
            "an attribute without quotes",
            "<inbound>\n<a b={{ values.a }} />\n</inbound>",
            json!({"a": "c"}),
        ),
        (
            "an attribute twice",
            "<inbound>\n<a b=\"1\" b=\"2\" />\n</inbound>",
            json!({}),
        ),
        (
            "an unknown entity",
            "<inbound>\n<a>&nbsp;</a>\n</inbound>",
            json!({}),
        ),
        ("no section", "\n<set-header name=\"a\" />", json!({})),
        (
            "an unknown section",
            "<policies>\n<inbuond /></policies>",
            json!({}),
        ),
        ("text outside", "<inbound>\n  hello\n</inbound>", json!({})),
        ("a base", "<inbound>\n  <base />\n</inbound>", json!({})),
        (
            "a section with attributes",
            "<inbound a=\"1\" />",
            json!({}),
        ),
        (
            "CDATA",
            "<inbound>\n<a><![CDATA[ {{ values.a }} ]]></a></inbound>",
            json!({"a": "b"}),
        ),
        (
            "a document type",
            "<!DOCTYPE a [<!ENTITY b \"c\">]>\n<inbound />",
            json!({}),
        ),
        (
            "a declaration",
            "<?xml version=\"1.0\"?>\n<inbound />",
            json!({}),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn what_stands_in_a_wrong_place_of_the_result_is_shown_with_its_line() {
    let text = table(&[
        (
            "a bare named value",
            "<inbound>\n{% raw %}<a>{{secret}}</a>{% endraw %}\n</inbound>",
            json!({}),
        ),
        (
            "bare code",
            "<inbound>\n<a\n  b=\"@(1)\" />\n</inbound>",
            json!({}),
        ),
        (
            "bare statements",
            "<inbound>\n<a>@{ return 1; }</a>\n</inbound>",
            json!({}),
        ),
        (
            "bare code as an entity",
            "<inbound>\n<a>&#64;(1)</a>\n</inbound>",
            json!({}),
        ),
        (
            "code in a value",
            "<inbound>\n<a>{{ values.list[0] }}</a>\n</inbound>",
            json!({"list": ["@(Evil())"]}),
        ),
        (
            "a named value in a value",
            "<inbound><a>x {{ values.a }}</a></inbound>",
            json!({"a": "{{secret}}"}),
        ),
        (
            "code of two pieces",
            "<inbound><a>@{{ values.a }}</a><b>{% raw %}{{% endraw %}{{ values.b }}</b></inbound>",
            json!({"a": "(1)", "b": "{secret}}"}),
        ),
        (
            "an expression beside text",
            "<inbound>\n<a>x {{ expression(code='A()') }}</a>\n</inbound>",
            json!({}),
        ),
        (
            "an expression that is joined",
            "<inbound><a>{{ expression(code='A()') ~ 'x' }}</a></inbound>",
            json!({}),
        ),
        (
            "a value as a name",
            "<inbound>\n<{{ values.a }} />\n</inbound>",
            json!({"a": "set-body"}),
        ),
        (
            "a value as an attribute's name",
            "<inbound>\n<a {{ values.a }}=\"1\" />\n</inbound>",
            json!({"a": "b"}),
        ),
        (
            "a filter over inserted values",
            "<inbound>{% set x %}{{ values.a }}{% endset %}\n<a>{{ x | reverse }}</a></inbound>",
            json!({"a": "b"}),
        ),
        (
            "a character of ours in a value",
            "<inbound />",
            json!({"a": [{"b": "\u{E002}0\u{E003}"}]}),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn there_is_exactly_one_template() {
    let inline = "<outbound><set-status code=\"200\" /></outbound>";
    let named = json!({"configMap": {"name": "texts", "key": "a.xml"}});
    let mut text = String::new();
    for (name, config, template, document, granted) in [
        ("none", json!({}), None, None, true),
        ("inline", json!({"inline": inline}), None, None, true),
        (
            "inline, not granted",
            json!({"inline": inline}),
            None,
            None,
            false,
        ),
        (
            "named",
            json!({"template": named}),
            None,
            Some(inline),
            false,
        ),
        (
            "named, not passed on",
            json!({"template": named}),
            None,
            None,
            false,
        ),
        (
            "both",
            json!({"template": named, "inline": inline}),
            None,
            Some(inline),
            true,
        ),
        ("fixed", json!({}), Some(inline), None, false),
        (
            "fixed and inline",
            json!({"inline": "<a/>"}),
            Some(inline),
            None,
            true,
        ),
        (
            "fixed and named",
            json!({"template": named}),
            Some(inline),
            Some("<a/>"),
            true,
        ),
    ] {
        let call = Call::of::<TemplatePlugin>().config(config).with(|context| {
            context.template = template.map(str::to_owned);
            if let Some(document) = document {
                context
                    .documents
                    .insert("/template".to_owned(), document.to_owned());
            }
            if granted {
                context.capabilities.push("inline-templates".to_owned());
            }
        });
        text.extend(["== ", name, "\n", &call.generate_text()]);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_template_writes_for_the_operation_that_the_call_is_about() {
    let text = call(
        "<inbound><set-variable name=\"op\" value=\"{{ operation.method }} {{ operation.urlTemplate }}\" /></inbound>",
        &json!({}),
    )
    .for_operation("createCatalog")
    .generate_text();
    assert_eq!(
        text,
        "inbound of operation createCatalog:\n  <set-variable name=\"op\" value=\"POST /catalog\" />\n"
    );
}

#[test]
fn what_is_wrong_with_a_template_of_the_config_points_there() {
    let diagnostics = Call::of::<TemplatePlugin>()
        .config(json!({"inline": "<a/>"}))
        .with(|context| context.capabilities.push("inline-templates".to_owned()))
        .generate()
        .expect_err("no section");
    assert_eq!(diagnostics[0].pointer, "/inline");
}

#[test]
fn the_descriptor_names_what_the_platform_must_read_and_grant() {
    let descriptor = Call::of::<TemplatePlugin>().descriptor();
    assert_eq!(descriptor["documents"], json!(["/template"]));
    assert_eq!(descriptor["inlineTemplates"], json!(["/inline"]));
    assert_eq!(descriptor["phase"], json!("transformation"));
}
