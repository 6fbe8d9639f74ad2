//! Documents in, operations and imports out.

use std::collections::HashSet;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::desired::ImportFormat;

/// A document with these paths, in YAML.
fn yaml(paths: &str) -> String {
    format!("openapi: 3.0.3\ninfo: {{title: Pets, version: '1'}}\npaths:\n{paths}")
}

fn ids(document: &Document) -> Vec<(String, String)> {
    document
        .operations()
        .into_iter()
        .map(|operation| {
            (
                operation.id,
                format!("{} {}", operation.method, operation.url_template),
            )
        })
        .collect()
}

fn pair(id: &str, operation: &str) -> (String, String) {
    (id.to_owned(), operation.to_owned())
}

/// So many texts, one after the other.
fn joined(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect()
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

const OK: &str = "responses: {200: {description: fine}}";

#[test]
fn operations_are_named_as_the_import_names_them() {
    let long = "Long".repeat(30);
    let document = read(&yaml(&format!(
        "  /a: {{get: {{operationId: '__Get A//b__', {OK}}}, post: {{operationId: get-a-B, {OK}}}}}\n  \
           /b/{{id}}/c: {{parameters: [{{name: id, in: path, required: true}}], delete: {{{OK}}}}}\n  \
           /: {{head: {{operationId: '', {OK}}}}}\n  \
           /l: {{get: {{operationId: {long}, {OK}}}, put: {{operationId: {long}, {OK}}}}}\n"
    )))
    .unwrap();
    let long = "long".repeat(19);
    assert_eq!(
        ids(&document),
        [
            pair("get-a-b", "GET /a"),
            pair("get-a-b-1", "POST /a"),
            pair("delete-b-id-c", "DELETE /b/{id}/c"),
            pair("head", "HEAD /"),
            pair(&long, "GET /l"),
            pair(&format!("{long}-1"), "PUT /l"),
        ]
    );
    assert_eq!(document.operations()[3].operation_id, None);
}

#[test]
fn required_query_parameters_become_part_of_the_template() {
    let document = read(&yaml(&format!(
        "  /a: {{parameters: [{{name: p, in: query, required: true}}, {{name: q, in: query, required: true}}], \
         get: {{parameters: [{{name: q, in: query}}, {{$ref: '#/components/parameters/R'}}], {OK}}}}}\n\
         components: {{parameters: {{R: {{name: r, in: query, required: true}}}}}}\n"
    )))
    .unwrap();
    assert_eq!(
        ids(&document),
        [pair("get-a-p-p-r-r", "GET /a?p={p}&r={r}")]
    );
}

#[test]
fn an_import_repeats_the_text_of_a_document_it_can_read() {
    let swagger = r#"{"swagger": "2.0", "info": {"title": "a", "version": "1"}, "paths": {"/a": {"get": {"operationId": "x", "responses": {}}}}}"#;
    let json = swagger.replace(r#""swagger": "2.0""#, r#""openapi": "3.0.1""#);
    let text = yaml(&format!("  /a: {{get: {{operationId: x, {OK}}}}}\n"));
    for (text, format) in [
        (swagger, ImportFormat::SwaggerJson),
        (json.as_str(), ImportFormat::OpenApiJson),
        (text.as_str(), ImportFormat::OpenApiYaml),
    ] {
        let import = read(&format!("\u{feff}{text}"))
            .unwrap()
            .to_import()
            .unwrap();
        assert_eq!(import.format, format);
        assert_eq!(import.value, text);
        assert_eq!(import.hash, crate::names::ContentHash::of(text));
        assert_eq!(import.notes, Vec::<String>::new());
    }
}

#[test]
fn swagger_in_yaml_is_imported_as_json() {
    let import = read(
        "swagger: 2.0\ninfo: {title: a, version: 1.5}\npaths:\n  /a:\n    get: {operationId: x, responses: {200: {description: on}}}\n",
    )
    .unwrap()
    .to_import()
    .unwrap();
    assert_eq!(import.format, ImportFormat::SwaggerJson);
    assert_eq!(
        import.value,
        r#"{"swagger":"2.0","info":{"title":"a","version":"1.5"},"paths":{"/a":{"get":{"operationId":"x","responses":{"200":{"description":"on"}}}}}}"#
    );
    assert_eq!(
        import.notes,
        ["converted from YAML to JSON, the only form in which API Management imports Swagger 2.0"]
    );
}

#[test]
fn an_operation_without_an_id_of_its_own_is_imported_with_one() {
    let document = read(&yaml(&format!(
        "  /a: {{get: {{{OK}}}, put: {{operationId: same, {OK}}}, post: {{operationId: same, {OK}}}, patch: {{operationId: größe, {OK}}}}}\n"
    )))
    .unwrap();
    let import = document.to_import().unwrap();
    assert_eq!(import.format, ImportFormat::OpenApiJson);
    let sent: Value = serde_json::from_str(&import.value).unwrap();
    let sent_ids: Vec<&str> = ["get", "put", "post", "patch"]
        .iter()
        .map(|method| {
            sent["paths"]["/a"][*method]["operationId"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(sent_ids, ["get-a", "same", "same-1", "gr-e"]);
    assert_eq!(
        import.notes,
        [
            "3 operations without an operationId of their own in plain ASCII were given one, the first `get-a` (GET /a); give each its own to keep it when paths change"
        ]
    );
    // What is sent names the same operations, now by ids of their own.
    let again = read(&import.value).unwrap();
    assert_eq!(ids(&again), ids(&document));
    assert_eq!(again.to_import().unwrap().value, import.value);
}

#[test]
fn later_patches_of_3_0_and_merge_keys_are_sent_as_plain_3_0_3() {
    let text = yaml(&format!("  /a: {{get: {{operationId: x, {OK}}}}}\n"));
    let import = read(&text.replace("3.0.3", "3.0.4"))
        .unwrap()
        .to_import()
        .unwrap();
    assert_eq!(import.format, ImportFormat::OpenApiJson);
    assert!(
        import.value.starts_with(r#"{"openapi":"3.0.3","#),
        "{}",
        import.value
    );

    let merged = format!("{text}x-a: &a {{k: 1}}\nx-b: {{<<: *a, l: 2}}\n");
    let import = read(&merged).unwrap().to_import().unwrap();
    assert!(
        import
            .value
            .ends_with(r#""x-a":{"k":1},"x-b":{"l":2,"k":1}}"#),
        "{}",
        import.value
    );
}

#[test]
fn what_api_management_would_refuse_is_refused_with_its_place() {
    let table = [
        (
            "  /a/{id}: {get: {OK}}\n",
            "/paths/~1a~1{id}/get: the path's parameter `id` is not declared; add `{\"name\": \"id\", \"in\": \"path\", \"required\": true}` with its type to `parameters`",
        ),
        (
            "  /a/{id}/{id}: {get: {OK}}\n",
            "/paths/~1a~1{id}~1{id}: the parameter `id` stands twice in the path; rename one",
        ),
        (
            "  /a/{id: {get: {OK}}\n",
            "/paths/~1a~1{id: the braces of the path's parameters do not match; a parameter is written `{name}`",
        ),
        ("  a: {get: {OK}}\n", "/paths/a: a path begins with `/`"),
        (
            "  /a: {GET: {OK}}\n",
            "/paths/~1a/GET: write the method as `get`, in lower case; OpenAPI 3.0 knows no `GET`",
        ),
        (
            "  /a: {$ref: 'x.yaml'}\n",
            "/paths/~1a: API Management does not follow a `$ref` that stands for a whole path; write the path's operations here",
        ),
        ("  /a: 5\n", "/paths/~1a: is not an object of operations"),
        (
            "  /a: {get: {operationId: 5}}\n",
            "/paths/~1a/get/operationId: is not a text",
        ),
        (
            "  /a: {parameters: 5, get: {OK}}\n",
            "/paths/~1a/get/parameters: is not a list",
        ),
        (
            "  /a: {get: {parameters: [{$ref: '#/nowhere'}], OK}}\n",
            "/paths/~1a/get/parameters/0: is not a parameter, and no reference to one",
        ),
        (
            "  /a: {get: {parameters: [{name: id, in: path}], OK}}\n",
            "/paths/~1a/get: the parameter `id` is declared as a part of the path, which has no `{id}`; remove it or add it to the path",
        ),
        (
            "  /a/{id}: {get: {parameters: [{name: id, in: path}, {name: ID, in: query, required: true}], OK}}\n",
            "/paths/~1a~1{id}/get: the required query parameter `ID` has the name of another parameter in path or query; rename one, or make it optional",
        ),
        (
            "  /a: {}\n",
            "/paths: the document has no operations, and an API without operations answers nothing; add one, or leave `specification` out to have a catch-all generated",
        ),
        (
            "  /A/{x}: {parameters: [{name: x, in: path}], get: {OK}}\n  /a/{y}: {parameters: [{name: y, in: path}], get: {OK}}\n",
            "/paths/~1a~1{y}/get: has the same method and the same URL, but for case and the names of parameters, as /paths/~1A~1{x}/get; remove one",
        ),
    ];
    for (paths, expected) in table {
        assert_eq!(
            refusal(&yaml(&paths.replace("OK", OK))),
            format!("API Management would refuse the OpenAPI document: {expected}")
        );
    }
}

#[test]
fn a_document_without_title_or_version_is_refused_and_numbers_become_texts() {
    let text = yaml(&format!("  /a: {{get: {{operationId: x, {OK}}}}}\n"));
    assert_eq!(
        refusal(&text.replace("{title: Pets, version: '1'}", "{title: [a]}")),
        "API Management would refuse the OpenAPI document: /info/title: is not a text; /info/version: is missing; every document has it"
    );
    let import = read(&text.replace("'1'", "1.5"))
        .unwrap()
        .to_import()
        .unwrap();
    assert_eq!(import.format, ImportFormat::OpenApiJson);
    assert!(
        import.value.contains(r#""version":"1.5""#),
        "{}",
        import.value
    );
    assert_eq!(
        import.notes,
        [
            "imported with title and versions as texts, which the specification wants them to be; put them in quotes"
        ]
    );
}

#[test]
fn a_dash_left_at_the_cut_of_a_long_id_is_settled_by_naming_the_operation() {
    let id = format!("{}-{}", "a".repeat(75), "b".repeat(20));
    let document = read(&yaml(&format!(
        "  /a: {{get: {{operationId: {id}, {OK}}}}}\n"
    )))
    .unwrap();
    assert_eq!(ids(&document), [pair(&"a".repeat(75), "GET /a")]);
    let sent = read(&document.to_import().unwrap().value).unwrap();
    assert_eq!(sent.operations()[0].operation_id, Some("a".repeat(75)));
}

#[test]
fn a_parameter_in_another_document_is_noted_and_not_missed() {
    let document = read(&yaml(&format!(
        "  /a/{{id}}: {{get: {{operationId: x, parameters: [{{$ref: 'p.yaml#/id'}}], {OK}}}}}\n"
    )))
    .unwrap();
    assert_eq!(
        document.to_import().unwrap().notes,
        [
            "1 reference to another document, the first at /paths/~1a~1{id}/get/parameters/0: API Management does not follow it; bundle the documents into one"
        ]
    );
}

#[test]
fn a_text_that_is_no_document_is_refused_with_line_and_column() {
    let texts = [
        "",
        "  \n",
        "- 1",
        "info: {}",
        "openapi: 4.0.0",
        "swagger: '1.2'",
        "a: [",
        "{\"a\":\n  1,,}",
        "a: 1\nb: 1\na: 2\n",
        "{\"a\": 1,\n \"a\": 2}",
        "{\"a\": 1",
        "a: &a [*a]",
        "x: 1\n---\ny: 2\n",
        "openapi: .nan",
        "a:\n\tb: 1",
    ];
    let seen = joined(texts.len(), |index| {
        format!("{:?}\n    {}\n", texts[index], refusal(texts[index]))
    });
    insta::assert_snapshot!(seen);
}

#[test]
fn a_hostile_text_is_refused_before_it_costs_much() {
    let started = std::time::Instant::now();
    let long = "x".repeat(1_000_000);
    let wide = format!("a: &a {long}\nb: [{}]", "*a,".repeat(1000));
    let tower = joined(12, |level| match level {
        0 => format!("a0: &a0 [{}]\n", "x,".repeat(10)),
        _ => format!(
            "a{level}: &a{level} [{}]\n",
            format!("*a{},", level - 1).repeat(10)
        ),
    });
    let merged = format!(
        "a: &a {{{}}}\nb: [{}]\n",
        joined(1000, |i| format!("k{i}: 1,")),
        "{<<: *a},".repeat(9000)
    );
    let too_much = "the document holds more than 1500000 values or 33554432 bytes of text once its anchors are expanded";
    for text in [wide, tower, merged] {
        let message = refusal(&text);
        assert!(message.ends_with(too_much), "{message}");
    }
    let blocks = joined(2000, |i| format!("{}-\n", " ".repeat(i)));
    for text in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        format!("a:\n{blocks}"),
        format!("openapi: {}1{}", "[".repeat(70), "]".repeat(70)),
    ] {
        assert!(matches!(read(&text), Err(OpenApiError::Syntax { .. })));
    }
    let huge = "a".repeat(10 * 1024 * 1024 + 1);
    assert_eq!(
        read(&huge),
        Err(OpenApiError::TooLargeToRead {
            bytes: 10_485_761,
            limit: 10_485_760
        })
    );
    // Generous: a debug build on a busy machine. Without limits it is hours.
    assert!(started.elapsed() < std::time::Duration::from_mins(2));
}

#[test]
fn the_deepest_document_fits_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(1536 * 1024);
    let read = thread
        .spawn(|| {
            let depth = parse::MAX_DEPTH - 1;
            let flow = format!("x: {}{}", "[".repeat(depth), "]".repeat(depth));
            let block = joined(depth, |i| format!("\n{}a:", " ".repeat(i)));
            (read(&flow), read(&block))
        })
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(
        read,
        (Err(OpenApiError::NoVersion), Err(OpenApiError::NoVersion))
    );
}

#[test]
fn a_document_over_4_mib_is_sent_without_white_space_or_refused_with_the_way_out() {
    let filler = |count: usize| format!("x-filler: [{}]\n", "'0123456789',     ".repeat(count));
    let text = yaml(&format!("  /a: {{get: {{operationId: x, {OK}}}}}\n"));
    let roomy = format!("{text}{}", filler(250_000));
    assert!(roomy.len() > MAX_INLINE);
    let import = read(&roomy).unwrap().to_import().unwrap();
    assert_eq!(import.format, ImportFormat::OpenApiJson);
    assert_eq!(
        import.notes,
        ["sent without its white space, because it is too large otherwise"]
    );

    let dense = format!("{text}{}", filler(350_000));
    let error = read(&dense).unwrap().to_import().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the OpenAPI document has 4550156 bytes, and API Management imports at most 4194304 inline; let API Management fetch it by its URL (`specification.fetch: Link` in the ApimInstance), or split the API"
    );
}

#[test]
fn an_inline_object_is_read_like_its_text() {
    let value = json!({"openapi": "3.0.0", "info": {"title": " T ", "description": "", "version": "1"}, "paths": {"/a": {"options": {"operationId": "x"}}}});
    let document = read_value(&value).unwrap();
    assert_eq!(document, read(&value.to_string()).unwrap());
    assert_eq!(
        (document.title(), document.description()),
        (Some("T"), None)
    );
    assert_eq!(
        (document.version(), document.format()),
        (SpecVersion::OpenApi30, TextFormat::Json)
    );
    assert!(document.has_options_operations());

    let deep = (0..200).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    assert_eq!(
        read_value(&deep).unwrap_err().to_string(),
        "the OpenAPI document is not valid JSON: line 1, column 1: the document is nested deeper than 64 levels"
    );
}

#[test]
fn servers_are_read_from_both_generations() {
    let path = "info: {title: a, version: '1'}\npaths: {/a: {get: {operationId: x}}}\n";
    let servers = |head: &str| {
        let document = read(&format!("{head}\n{path}")).unwrap();
        (
            document.servers(),
            document.first_https_server().map(|url| url.to_string()),
        )
    };
    assert_eq!(
        servers("swagger: '2.0'\nschemes: [http, https]\nhost: a.example\nbasePath: /v1"),
        (
            vec!["http://a.example/v1".into(), "https://a.example/v1".into()],
            Some("https://a.example/v1".into())
        )
    );
    assert_eq!(
        servers("swagger: '2.0'\nhost: a.example"),
        (
            vec!["https://a.example".into()],
            Some("https://a.example/".into())
        )
    );
    assert_eq!(servers("swagger: '2.0'\nbasePath: /v1"), (vec![], None));
    assert_eq!(
        servers(
            "openapi: 3.0.0\nservers: [{url: /rel}, {url: 'https://u:p@a.example'}, {url: '{s}://{h}:{p}/x', variables: {s: {default: https}, h: {default: b.example}, p: {default: 8443}}}]"
        ),
        (
            vec![
                "/rel".into(),
                "https://u:p@a.example".into(),
                "https://b.example:8443/x".into()
            ],
            Some("https://b.example:8443/x".into())
        )
    );
}

#[test]
fn the_catch_all_has_every_method_but_options() {
    let document = catch_all("Stock \"quotes\"");
    assert_eq!(
        ids(&document),
        ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].map(|method| pair(
            &format!("any-{}", method.to_lowercase()),
            &format!("{method} /*")
        ))
    );
    assert!(!document.has_options_operations());
    assert_eq!(document.title(), Some("Stock \"quotes\""));
    let import = document.to_import().unwrap();
    assert_eq!(import.format, ImportFormat::OpenApiJson);
    // What is generated passes the operator's own checks.
    assert_eq!(read(&import.value).unwrap(), document);
}

fn shared(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/openapi")
        .join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("SKIPPED {name}: ../shared is not there");
    }
    text
}

#[test]
fn the_tm_forums_documents_are_read() {
    let expected = [
        (
            "TMF620-ProductCatalog-v4.0.0.swagger.json",
            ImportFormat::SwaggerJson,
            50,
            Some("https://serverroot/tmf-api/productCatalogManagement/v4/"),
            true,
        ),
        (
            "TMF620-ProductCatalog-implementation.swagger.yaml",
            ImportFormat::SwaggerJson,
            50,
            None,
            false,
        ),
        (
            "TMF672-RolesAndPermissions-v5.0.0.oas.yaml",
            ImportFormat::OpenApiYaml,
            11,
            None,
            true,
        ),
    ];
    for (name, format, operations, server, verbatim) in expected {
        let Some(text) = shared(name) else { return };
        let document = read(&text).unwrap();
        let import = document.to_import().unwrap();
        assert_eq!(document.operations().len(), operations, "{name}");
        assert_eq!(import.format, format, "{name}");
        assert_eq!(import.value == text, verbatim, "{name}");
        assert_eq!(
            document
                .first_https_server()
                .map(|url| url.to_string())
                .as_deref(),
            server,
            "{name}"
        );
        assert_eq!(import, read(&text).unwrap().to_import().unwrap(), "{name}");
        // Nothing of what an import uses differs between the two.
        assert_eq!(
            read(&import.value).unwrap().operations(),
            document.operations(),
            "{name}"
        );
        let summary: Vec<String> = document
            .operations()
            .iter()
            .map(|o| format!("{} = {} {}", o.id, o.method, o.url_template))
            .chain(import.notes)
            .collect();
        insta::assert_snapshot!(name, summary.join("\n"));
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
        let _ = read(&text).map(|document| document.to_import());
    }

    #[test]
    fn no_small_change_of_a_document_makes_the_reader_panic(
        at in 0usize..400, cut in 0usize..6, insert in "[{}\\[\\],:&*!|<>a-c0-9\"'\n $/~%-]{0,6}",
    ) {
        let mut text = String::from(
            "openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths:\n  /a/{id}:\n    parameters: [{$ref: '#/components/parameters/id'}]\n    get:\n      operationId: x\n      responses: {200: {description: d, content: {a/b: {schema: {type: [string, 'null'], const: 1}}}}}\ncomponents: {parameters: {id: {name: id, in: path, required: true, schema: {exclusiveMinimum: 1}}}}\n",
        );
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.replace_range(start..end, &insert);
        let _ = read(&text).map(|document| document.to_import());
    }

    #[test]
    fn ids_are_unique_and_at_most_80_characters(
        names in proptest::collection::vec(prop_oneof!["[a-b_ -]{0,3}", "(ab|c){36,45}-?", "\\PC{0,4}"], 1..40)
    ) {
        let paths: serde_json::Map<String, Value> = names
            .iter()
            .enumerate()
            .map(|(index, name)| (format!("/{index}"), json!({"get": {"operationId": name}})))
            .collect();
        let document = read_value(&json!({"openapi": "3.0.0", "info": {"title": "a", "version": "1"}, "paths": paths})).unwrap();
        let operations = document.operations();
        let unique: HashSet<&str> = operations.iter().map(|o| o.id.as_str()).collect();
        prop_assert_eq!(unique.len(), names.len());
        for operation in &operations {
            prop_assert!((1..=80).contains(&operation.id.len()), "{}", operation.id);
            prop_assert!(operation.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        }
        // The document that is sent has the same ids in it.
        let sent = read(&document.to_import().unwrap().value).unwrap();
        prop_assert_eq!(ids(&sent), ids(&document));
    }
}
