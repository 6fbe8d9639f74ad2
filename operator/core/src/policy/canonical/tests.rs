use super::*;
use crate::policy::{Format, parse};

fn document(inbound: &str) -> PolicyDocument {
    let text =
        format!("<policies><inbound>{inbound}</inbound><backend><base /></backend></policies>");
    parse(&text, Format::RawXml).unwrap()
}

#[test]
fn what_the_service_changes_makes_no_difference() {
    for (left, right) in [
        // Order of attributes, and those that have their default value.
        (
            r#"<set-header name="a" exists-action="override"><value>1</value></set-header>"#,
            r#"<set-header name="a"><value>1</value></set-header>"#,
        ),
        (
            r#"<set-variable name="a" value="b" />"#,
            r#"<set-variable value="b" name="a" />"#,
        ),
        // A default of a policy inside another.
        (
            r#"<choose><when condition="true"><retry condition="true" count="1" interval="1" first-fast-retry="false" /></when></choose>"#,
            r#"<choose><when condition="true"><retry condition="true" count="1" interval="1" /></when></choose>"#,
        ),
        // Whitespace between tags, comments, spelling of entities.
        (
            "<choose>\r\n\t<when condition=\"true\">\r\n\t\t<base/></when>\r\n</choose>",
            "<choose><!-- x --><when condition='true'><base></base></when></choose>",
        ),
        (
            "<set-body>&#x22;a&#34;&lt;\r\n</set-body>",
            "<set-body>\"a&quot;&lt;\n</set-body>",
        ),
        // Sets.
        (
            "<cors><allowed-origins><origin>a</origin><origin>b</origin></allowed-origins><allowed-headers><header>x</header></allowed-headers></cors>",
            "<cors><allowed-headers><header> x </header></allowed-headers><allowed-origins><origin>\n b\n</origin><origin>a</origin></allowed-origins></cors>",
        ),
        (
            r#"<cache-lookup vary-by-developer="true" vary-by-developer-groups="true"><vary-by-header>A</vary-by-header><vary-by-header>B</vary-by-header></cache-lookup>"#,
            r#"<cache-lookup vary-by-developer="true" vary-by-developer-groups="true"><vary-by-header>B</vary-by-header><vary-by-header>A</vary-by-header></cache-lookup>"#,
        ),
        // Durations.
        (
            r#"<quota-by-key calls="1" counter-key="a" renewal-period="P30D" />"#,
            r#"<quota-by-key calls="1" counter-key="a" renewal-period="2592000" />"#,
        ),
        // Layout and comments of C#.
        (
            r#"<set-variable name="a" value="@(x  +  "a b")" />"#,
            "<set-variable name=\"a\" value=\"@(x/* plus */+\n\"a b\")\" />",
        ),
    ] {
        let (left, right) = (document(left), document(right));
        assert_eq!(diff(&left, &right), []);
        assert!(equal(&left, &right));
        assert_eq!(hash(&left), hash(&right));
    }
}

#[test]
fn encoded_and_raw_code_are_the_same() {
    let raw = r#"<policies><inbound><set-variable name="a" value="@(x["b"] < 1 && y)" /></inbound></policies>"#;
    let encoded = "<policies>\r\n\t<inbound>\r\n\t\t<set-variable name=\"a\" value=\"@(x[&quot;b&quot;] &lt; 1 &amp;&amp;&#xA; y)\" />\r\n\t</inbound>\r\n</policies>";
    assert!(equal(
        &parse(raw, Format::RawXml).unwrap(),
        &parse(encoded, Format::Xml).unwrap()
    ));
}

#[test]
fn what_matters_makes_a_difference_and_is_named() {
    let differences = |left: &str, right: &str| {
        let (left, right) = (document(left), document(right));
        assert!(!equal(&left, &right));
        assert_ne!(hash(&left), hash(&right));
        diff(&left, &right)
            .into_iter()
            .map(|d| (d.path, d.left, d.right))
            .collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        differences(
            r#"<base /><rate-limit-by-key calls="1" renewal-period="60" counter-key="a" />"#,
            r#"<base /><rate-limit-by-key calls="2" renewal-period="60" counter-key="a" />"#,
        ),
        [(
            "inbound/rate-limit-by-key/@calls".to_owned(),
            some("1"),
            some("2")
        )]
    );
    assert_eq!(
        differences(
            r#"<set-header name="a"><value>1</value></set-header><set-header name="b"><value>1</value></set-header>"#,
            r#"<set-header name="a"><value>1</value></set-header><base /><set-header name="b"><value>1 </value></set-header>"#,
        ),
        [
            ("inbound/base".to_owned(), None, some("<base>")),
            (
                "inbound/set-header[2]/value/text()".to_owned(),
                some("1"),
                some("1 ")
            ),
        ]
    );
    assert_eq!(
        differences(
            r#"<set-variable name="a" value="@(x)" />"#,
            r#"<set-variable name="a" value="@{return x;}" id="i" />"#,
        ),
        [
            ("inbound/set-variable/@id".to_owned(), None, some("i")),
            (
                "inbound/set-variable/@value".to_owned(),
                some("@(x)"),
                some("@{return x ;}")
            ),
        ]
    );
    assert_eq!(
        differences("<base />", "").len(),
        1,
        "an empty section inherits nothing"
    );
    // Order of policies matters.
    let a = r#"<set-variable name="a" value="1" />"#;
    let b = r#"<set-status code="200" />"#;
    assert_eq!(differences(&format!("{a}{b}"), &format!("{b}{a}")).len(), 2);
}

#[test]
fn durations_are_read_as_seconds() {
    for (text, seconds) in [
        ("P30D", Some(2_592_000)),
        ("PT5M", Some(300)),
        ("P1DT1H1M1S", Some(90_061)),
        ("P1W", Some(604_800)),
        ("P1M", None),
        ("P", None),
        ("P1", None),
        ("PT1M1H", None),
        ("300", None),
        ("P99999999999999999999D", None),
    ] {
        assert_eq!(duration_seconds(text), seconds, "{text}");
    }
}
