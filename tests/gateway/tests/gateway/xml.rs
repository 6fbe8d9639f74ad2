//! Bodies in XML and SOAP held against XML schemas.

use crate::stage::{Backend, Stage, inbound, reply};
use apim_gateway::configuration::Service;

const CONTENT: &str = "<validate-content unspecified-content-type-action=\"prevent\" max-size=\"200000\" size-exceeded-action=\"prevent\" errors-variable-name=\"errors\">\
    <content type=\"application/xml\" validate-as=\"xml\" schema-id=\"orders\" action=\"prevent\" />\
    <content type=\"text/xml\" validate-as=\"soap\" schema-id=\"orders\" action=\"prevent\" />\
    <content type=\"application/soap+xml\" validate-as=\"soap\" schema-id=\"orders\" action=\"prevent\" /></validate-content>";

const ORDERS: &str = r###"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:orders" xmlns:o="urn:orders" targetNamespace="urn:orders" elementFormDefault="qualified">
  <xs:element name="order" type="Order">
    <xs:key name="lines"><xs:selector xpath="o:line"/><xs:field xpath="@no"/></xs:key>
  </xs:element>
  <xs:element name="cancel"><xs:complexType><xs:attribute name="id" type="xs:unsignedInt" use="required"/></xs:complexType></xs:element>
  <xs:complexType name="Order">
    <xs:sequence>
      <xs:element name="line" type="Line" maxOccurs="3"/>
      <xs:element name="note" type="Note" minOccurs="0" nillable="true"/>
      <xs:any namespace="##other" processContents="lax" minOccurs="0"/>
    </xs:sequence>
    <xs:attribute name="day" type="xs:date"/>
  </xs:complexType>
  <xs:complexType name="Line">
    <xs:simpleContent><xs:extension base="Amount"><xs:attribute name="no" type="xs:int" use="required"/></xs:extension></xs:simpleContent>
  </xs:complexType>
  <xs:complexType name="Rush"><xs:complexContent><xs:extension base="Order"><xs:attribute name="fee" type="xs:decimal" use="required"/></xs:extension></xs:complexContent></xs:complexType>
  <xs:simpleType name="Amount"><xs:restriction base="xs:decimal"><xs:fractionDigits value="2"/><xs:minExclusive value="0"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="Note"><xs:restriction base="xs:string"><xs:maxLength value="8"/><xs:pattern value="[a-z-[aeiou]]+|none"/></xs:restriction></xs:simpleType>
</xs:schema>"###;

fn known(service: &mut Service) {
    service.schemas.insert("Orders".to_owned(), ORDERS.into());
}

async fn stage() -> Stage {
    Stage::with(Backend::ok().await, &inbound(CONTENT), known).await
}

/// An order with what stands in it and in its first tag.
fn order(attributes: &str, content: &str) -> String {
    format!(
        "<order xmlns=\"urn:orders\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"{attributes}>{content}</order>"
    )
}

const LINE: &str = "<line no=\"1\">1.50</line>";

#[tokio::test]
async fn a_body_in_xml_passes_as_the_schema_says_and_reaches_the_backend_as_it_was_sent() {
    let stage = stage().await;
    for good in [
        order("", LINE),
        order(
            " day=\"2024-02-29\"",
            "<line no=\"1\">1.50</line><line no=\"2\">2</line>",
        ),
        order("", &format!("{LINE}<note>bcd</note>")),
        order("", &format!("{LINE}<note>none</note>")),
        order("", &format!("{LINE}<note xsi:nil=\"true\"/>")),
        order("", &format!("{LINE}<x:y xmlns:x=\"urn:x\"><x:z/>any</x:y>")),
        order(" xsi:type=\"Rush\" fee=\"3\"", LINE),
        "<o:cancel xmlns:o=\"urn:orders\" id=\"7\"/>".to_owned(),
        format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- x -->{}",
            order("", LINE)
        ),
    ] {
        assert_eq!(
            stage
                .post("Application/XML; charset=utf-8", &good)
                .await
                .status,
            200,
            "{good}"
        );
        assert_eq!(stage.backend.last().body, good);
    }
}

#[tokio::test]
async fn a_body_in_xml_that_the_schema_does_not_describe_is_refused() {
    let stage = stage().await;
    let type_of_none = "<x xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:o=\"urn:orders\" xsi:type=\"o:Rush\" fee=\"1\"><o:line no=\"1\">1</o:line></x>";
    for (bad, why) in [
        // Elements.
        (order("", ""), "content"),
        (order("", &LINE.repeat(4)), "line"),
        (order("", "<note>bcd</note>"), "note"),
        (order("", &format!("{LINE}<more/>")), "more"),
        (order("", &format!("<note>bcd</note>{LINE}")), "note"),
        (order("", &format!("{LINE}text")), "text"),
        // Attributes.
        (order(" more=\"1\"", LINE), "more"),
        (order("", "<line>1.50</line>"), "no"),
        (order(" day=\"2023-02-29\"", LINE), "2023-02-29"),
        // Values.
        (order("", "<line no=\"1\">1.505</line>"), "fractionDigits"),
        (order("", "<line no=\"1\">0</line>"), "0"),
        (order("", "<line no=\"1\"></line>"), ""),
        (order("", "<line no=\"x\">1</line>"), "x"),
        (
            order("", &format!("{LINE}<note>abc</note>")),
            "[a-z-[aeiou]]+|none",
        ),
        (
            order("", &format!("{LINE}<note>nonesuch</note>")),
            "[a-z-[aeiou]]+|none",
        ),
        (order("", &format!("{LINE}<note>bcdfghjkl</note>")), "8"),
        (
            order("", &format!("{LINE}<note xsi:nil=\"true\">b</note>")),
            "nil",
        ),
        // Keys.
        (order("", &LINE.repeat(2)), "lines"),
        // Types.
        (order(" xsi:type=\"Rush\"", LINE), "fee"),
        (order(" xsi:type=\"Line\" no=\"1\"", "1"), "Line"),
        (order(" xsi:type=\"Nothing\"", LINE), "Nothing"),
        // Roots that the schema has not.
        ("<order/>".to_owned(), "order"),
        (type_of_none.to_owned(), "not declared"),
        (
            "<line xmlns=\"urn:orders\" no=\"1\">1</line>".to_owned(),
            "line",
        ),
    ] {
        let (status, message) = stage.post("application/xml", &bad).await.error();
        assert_eq!(status, 400, "{bad}");
        let start = "Body of the request does not conform to the definition orders, which is associated with the content type application/xml. ";
        let problem = message.strip_prefix(start).expect(start);
        assert!(problem.contains(why), "{bad}: {problem}");
    }
    assert_eq!(stage.backend.calls(), 0);
}

#[tokio::test]
async fn a_body_that_is_no_plain_xml_is_refused_whatever_the_schema_says() {
    let stage = stage().await;
    let good = order("", LINE);
    let lines = |content: &str| order("", &format!("{LINE}<note>{content}</note>"));
    let deep = |levels: usize| {
        let inside = format!("{}{}", "<d>".repeat(levels), "</d>".repeat(levels));
        order("", &format!("{LINE}<e xmlns=\"urn:e\">{inside}</e>"))
    };
    let laughs = format!(
        "<!DOCTYPE order [<!ENTITY a \"{}\"><!ENTITY b \"{}\">]>{}",
        "a".repeat(100),
        "&a;".repeat(100),
        lines("&b;")
    );
    let attributes = |count: usize| {
        use std::fmt::Write as _;
        let mut text = String::new();
        for number in 0..count {
            let _ = write!(text, " a{number}=\"1\"");
        }
        order("", &format!("{LINE}<e xmlns=\"urn:e\"{text}/>"))
    };
    let long_name = "n".repeat(2000);
    for (bad, why) in [
        (laughs, "document type declaration"),
        (
            format!(
                "<!DOCTYPE order SYSTEM \"file:///etc/passwd\" [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}",
                lines("&x;")
            ),
            "document type declaration",
        ),
        (
            format!("<!DOCTYPE order>{good}"),
            "document type declaration",
        ),
        (lines("&nobody;"), ""),
        (lines("&#0;"), ""),
        (lines("&#x1F600"), ""),
        (deep(200), ""),
        (attributes(300), ""),
        (
            order("", &format!("{LINE}<{long_name} xmlns=\"urn:e\"/>")),
            "",
        ),
        (
            format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{good}"),
            "UTF-16",
        ),
        (
            format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{good}"),
            "UTF-7",
        ),
        (format!("<?xml version=\"1.1\"?>{good}"), "1.1"),
        (format!("{good}{good}"), ""),
        (format!("{good}x"), ""),
        (good[..good.len() - 1].to_owned(), ""),
        (good.replace("</line>", "</Line>"), ""),
        (good.replace(" no=\"1\"", " no=\"1\" no=\"2\""), ""),
        (good.replace(" no=\"1\"", " no=\"<\""), ""),
        (good.replace("<line", "<p:line"), ""),
        ("no xml".to_owned(), ""),
        ("{\"order\": 1}".to_owned(), ""),
        (" ".to_owned(), ""),
    ] {
        let (status, message) = stage.post("application/xml", &bad).await.error();
        assert_eq!(status, 400, "{bad}");
        assert!(message.contains(why), "{bad}: {message}");
        assert!(!message.contains("root:"), "{message}");
    }
    for charset in ["utf-16", "\"UTF-7\"", "iso-8859-1"] {
        let kind = format!("application/xml; Charset={charset}");
        let (status, message) = stage.post(&kind, &good).await.error();
        assert_eq!(status, 400, "{charset}");
        assert!(message.contains("is not read"), "{message}");
    }
    assert_eq!(stage.backend.calls(), 0);
    // What the limits leave passes.
    for good in [deep(100), attributes(200)] {
        assert_eq!(stage.post("application/xml", &good).await.status, 200);
    }
}

/// A SOAP 1.1 envelope.
fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">{header}<s:Body>{body}</s:Body></s:Envelope>"
    )
}

#[tokio::test]
async fn of_a_soap_envelope_its_payload_is_held_against_the_schema() {
    let stage = stage().await;
    let good = order("", LINE);
    let newer = |text: &str| {
        text.replace(
            "http://schemas.xmlsoap.org/soap/envelope/",
            "http://www.w3.org/2003/05/soap-envelope",
        )
    };
    let header =
        "<s:Header><x:token xmlns:x=\"urn:x\" s:mustUnderstand=\"1\">t</x:token><more/></s:Header>";
    // Prefixes that the payload uses are those of the envelope.
    let outside =
        envelope("", "<o:cancel id=\"7\"/>").replace("xmlns:s", "xmlns:o=\"urn:orders\" xmlns:s");
    for good in [
        envelope("", &good),
        envelope(header, &good),
        outside,
        newer(&envelope(header, &good)),
    ] {
        for kind in [
            "text/xml; charset=utf-8",
            "application/soap+xml; action=\"urn:a\"",
        ] {
            assert_eq!(stage.post(kind, &good).await.status, 200, "{good}");
            assert_eq!(stage.backend.last().body, good);
        }
    }
    let calls = stage.backend.calls();
    let bad = order("", "<line no=\"1\">none</line>");
    for (bad, why) in [
        (envelope("", &bad), "none"),
        // In a header nothing is validated, so it has to be in the body.
        (
            envelope(&format!("<s:Header>{good}</s:Header>"), ""),
            "Body",
        ),
        (envelope("", ""), "Body"),
        (envelope("", "text"), ""),
        (envelope("", &good.repeat(2)), ""),
        (envelope("", &format!("{good}<evil/>")), "evil"),
        (envelope("", "<evil/>"), "not declared"),
        (envelope("", &envelope("", &good)), "not declared"),
        (
            envelope("", "<s:Fault><faultcode>x</faultcode></s:Fault>"),
            "not declared",
        ),
        (good.clone(), "not a SOAP envelope"),
        (envelope("", &good).replace("s:Body", "s:Corpus"), "Corpus"),
        (
            envelope("", &good).replace("</s:Envelope>", "<s:Body/></s:Envelope>"),
            "Body",
        ),
        (
            format!("<!DOCTYPE x>{}", envelope("", &good)),
            "document type declaration",
        ),
    ] {
        let (status, message) = stage.post("text/xml", &bad).await.error();
        assert_eq!(status, 400, "{bad}");
        assert!(message.contains(why), "{bad}: {message}");
    }
    assert_eq!(stage.backend.calls(), calls);
}

#[tokio::test]
async fn a_response_in_xml_that_is_wrong_is_not_handed_on() {
    let sections = format!("<outbound><base />{CONTENT}</outbound>");
    let answer = |body: String| {
        move |_: &crate::stage::Seen| {
            let mut answer = reply(200, &body);
            let kind = http::HeaderValue::from_static("application/xml");
            answer.headers_mut().insert("content-type", kind);
            answer
        }
    };
    let good = order("", LINE);
    let backend = Backend::start(answer(good.clone())).await;
    let stage = Stage::with(backend, &sections, known).await;
    assert_eq!(stage.item().await.whole(), (200, good.as_str()));
    let backend = Backend::start(answer(order("", "<secret/>"))).await;
    let stage = Stage::with(backend, &sections, known).await;
    assert_eq!(
        stage.item().await.error(),
        (
            502,
            "The request could not be processed due to an internal error. Contact the API owner."
                .to_owned()
        )
    );
}

#[tokio::test]
async fn schemas_are_found_by_id_and_include_each_other_and_nothing_else() {
    let one = |include: &str| {
        format!(
            "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">{include}<xs:element name=\"a\" type=\"A\"/></xs:schema>"
        )
    };
    let include = |location: &str| one(&format!("<xs:include schemaLocation=\"{location}\"/>"));
    let part = "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"><xs:simpleType name=\"A\"><xs:restriction base=\"xs:int\"/></xs:simpleType></xs:schema>";
    let dir = std::env::temp_dir().join(format!("schema-{}.xsd", std::process::id()));
    std::fs::write(&dir, part).expect("a file");
    let unresolved = (
        400,
        "The request could not be processed due to an internal error. Contact the API owner."
            .to_owned(),
    );
    for (schema, usable) in [
        (include("/schemas/Part"), true),
        (include("part"), true),
        (include("/schemas/other"), false),
        (include(&dir.display().to_string()), false),
        (include(&format!("file://{}", dir.display())), false),
        (include("http://127.0.0.1:1/schemas/part"), false),
        (one(""), false),
        ("<xs:schema/>".to_owned(), false),
        (String::new(), false),
    ] {
        let named = CONTENT.replace("schema-id=\"orders\"", "schema-id=\"main\"");
        let stage = Stage::with(Backend::ok().await, &inbound(&named), |service| {
            let all = &mut service.schemas;
            all.insert("main".to_owned(), schema.as_str().into());
            all.insert("part".to_owned(), part.into());
        })
        .await;
        let good = stage.post("application/xml", "<a>1</a>").await;
        if usable {
            assert_eq!(good.status, 200, "{schema}");
            assert_eq!(stage.post("application/xml", "<a>x</a>").await.status, 400);
        } else {
            assert_eq!(good.error(), unresolved, "{schema}");
        }
    }
    std::fs::remove_file(&dir).expect("the file");
    // No schema, and one of the other language.
    for id in ["nobody", "json"] {
        let named = CONTENT.replace("schema-id=\"orders\"", &format!("schema-id=\"{id}\""));
        let stage = Stage::with(Backend::ok().await, &inbound(&named), |service| {
            let json = serde_json::json!({"type": "object"});
            service.schemas.insert("json".to_owned(), json);
        })
        .await;
        let refused = stage.post("application/xml", "<a>1</a>").await;
        assert_eq!(refused.error(), unresolved, "{id}");
        assert_eq!(stage.backend.calls(), 0);
    }
}

#[tokio::test]
async fn without_a_name_the_schemas_of_the_api_are_meant() {
    let content = CONTENT.replace(" schema-id=\"orders\"", "");
    let types = "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" targetNamespace=\"urn:types\"><xs:simpleType name=\"Id\"><xs:restriction base=\"xs:int\"/></xs:simpleType></xs:schema>";
    // As a WSDL has them: imports by namespace alone.
    let messages = "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:t=\"urn:types\" targetNamespace=\"urn:m\"><xs:import namespace=\"urn:types\"/><xs:element name=\"get\" type=\"t:Id\"/></xs:schema>";
    let stage = Stage::with(Backend::ok().await, &inbound(&content), |service| {
        let all = &mut service.apis[0].schemas;
        all.insert("1".to_owned(), messages.into());
        all.insert("2".to_owned(), types.into());
        all.insert("3".to_owned(), serde_json::json!({"components": {}}));
    })
    .await;
    let get = |id: &str| envelope("", &format!("<m:get xmlns:m=\"urn:m\">{id}</m:get>"));
    assert_eq!(stage.post("text/xml", &get("1")).await.status, 200);
    assert_eq!(stage.post("text/xml", &get("x")).await.status, 400);
    // One that has none, as after the import of an OpenAPI document.
    let stage = Stage::with(Backend::ok().await, &inbound(&content), |_| {}).await;
    assert_eq!(stage.post("text/xml", &get("1")).await.status, 400);
    assert_eq!(stage.backend.calls(), 0);
}

#[tokio::test]
async fn what_was_found_stands_in_the_variable_as_it_is_documented() {
    let sections = format!(
        "{}<outbound><base /><set-body>@(((JArray)context.Variables[\"errors\"]).ToString())</set-body></outbound>",
        inbound(&CONTENT.replace("action=\"prevent\" />", "action=\"detect\" />"))
    );
    let stage = Stage::with(Backend::ok().await, &sections, known).await;
    let answer = stage
        .post("application/xml", &order("", "<line no=\"1\">0</line>"))
        .await;
    assert_eq!(answer.status, 200);
    let found: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let first = &found[0];
    assert_eq!(first["Name"], "application/xml", "{found}");
    assert_eq!(first["Type"], "RequestBody");
    assert_eq!(first["ValidationRule"], "IncorrectMessage");
    assert_eq!(first["Action"], "Detect");
}
