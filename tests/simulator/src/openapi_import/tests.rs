//! Small documents that always run, and the large published ones where they
//! are at hand.

use std::path::Path;

use proptest::prelude::*;

use super::{ImportFormat, ImportProblem, ImportedApi, import, import_linked};

const NOT_VALID_3: &str = "Parsing error(s): The input OpenAPI file is not valid for the OpenAPI specification https://github.com/OAI/OpenAPI-Specification/blob/master/versions/3.0.1.md (schema https://github.com/OAI/OpenAPI-Specification/blob/master/schemas/v3.0/schema.yaml).";
const NOT_VALID_2: &str = "Parsing error(s): The input OpenAPI file is not valid for the OpenAPI specification https://github.com/OAI/OpenAPI-Specification/blob/master/versions/2.0.md (schema https://github.com/OAI/OpenAPI-Specification/blob/master/schemas/v2.0/schema.json).";

/// An OpenAPI 3.0.1 document in YAML with these paths.
fn with_paths(paths: &str) -> String {
    format!("openapi: 3.0.1\ninfo: {{title: Pets, version: '1'}}\npaths:\n{paths}")
}

fn yaml(document: &str) -> ImportedApi {
    import(ImportFormat::OpenApi, document).unwrap()
}

fn refused(format: ImportFormat, document: &str) -> Vec<(String, String)> {
    import(format, document)
        .unwrap_err()
        .into_iter()
        .map(|ImportProblem { target, message }| (target.unwrap_or_default(), message))
        .collect()
}

/// The messages about the document itself, all of which have one target.
fn parsing(format: ImportFormat, document: &str) -> Vec<String> {
    let problems = refused(format, document);
    assert!(
        problems
            .iter()
            .all(|(target, _)| target == "representation"),
        "{problems:?}"
    );
    problems.into_iter().map(|(_, message)| message).collect()
}

/// `(id, method, template)` of each operation.
fn routes(api: &ImportedApi) -> Vec<(&str, &str, &str)> {
    api.operations
        .iter()
        .map(|operation| {
            (
                operation.id.as_str(),
                operation.method.as_str(),
                operation.url_template.as_str(),
            )
        })
        .collect()
}

#[test]
fn an_operation_takes_its_name_from_its_normalised_operation_id() {
    let api = yaml(&with_paths(
        "  /pets:\n    get: {operationId: 'List  Pets_(all)', summary: All pets}\n    post: {operationId: createPet}\n",
    ));
    assert_eq!(
        routes(&api),
        [
            ("list-pets-all", "GET", "/pets"),
            ("createpet", "POST", "/pets")
        ]
    );
    let shown: Vec<&str> = api
        .operations
        .iter()
        .map(|operation| operation.display_name.as_str())
        .collect();
    assert_eq!(shown, ["All pets", "createPet"]);
}

#[test]
fn an_operation_without_an_id_is_named_by_method_and_path() {
    let api = yaml(&with_paths(
        "  /foo: {get: {}}\n  /pets/{petId}/Toys:\n    delete: {parameters: [{name: petId, in: path, required: true}]}\n",
    ));
    assert_eq!(
        routes(&api),
        [
            ("get-foo", "GET", "/foo"),
            ("delete-pets-petid-toys", "DELETE", "/pets/{petId}/Toys")
        ]
    );
    assert_eq!(api.operations[0].display_name, "/foo - GET");
}

#[test]
fn a_long_operation_id_is_cut_at_76_characters_and_loses_a_dash_left_at_the_cut() {
    let id = format!("{}-{}", "a".repeat(75), "b".repeat(20));
    let api = yaml(&with_paths(&format!(
        "  /a: {{get: {{operationId: {id}}}}}\n"
    )));
    assert_eq!(api.operations[0].id, "a".repeat(75));
    let api = yaml(&with_paths(&format!(
        "  /a: {{get: {{operationId: {}}}}}\n",
        "c".repeat(90)
    )));
    assert_eq!(api.operations[0].id, "c".repeat(76));
}

#[test]
fn equal_operation_ids_get_numbered_suffixes() {
    let api = yaml(&with_paths(
        "  /a: {get: {operationId: read}}\n  /b: {get: {operationId: Read}}\n  /c: {get: {operationId: 'read!'}}\n",
    ));
    assert_eq!(
        routes(&api),
        [
            ("read", "GET", "/a"),
            ("read-1", "GET", "/b"),
            ("read-2", "GET", "/c")
        ]
    );
}

#[test]
fn two_operations_that_match_the_same_requests_are_refused() {
    let document = with_paths(
        "  /v1/Pets/{id}:\n    post: {parameters: [{name: id, in: path}]}\n  /v1/pets/{petId}:\n    post: {parameters: [{name: petId, in: path}]}\n",
    );
    assert_eq!(
        refused(ImportFormat::OpenApi, &document),
        [(
            "urlTemplate".to_owned(),
            "Operation with the same method and URL template already exists: POST, /v1/pets/{petId}".to_owned()
        )]
    );
}

#[test]
fn path_parameters_are_declared_and_declared_ones_stand_in_the_path() {
    for document in [
        with_paths("  /pets/{petId}: {get: {operationId: getPet}}\n"),
        with_paths(
            "  /pets: {get: {operationId: getPet, parameters: [{name: petId, in: path}]}}\n",
        ),
    ] {
        assert_eq!(
            refused(ImportFormat::OpenApi, &document),
            [(
                String::new(),
                "All template parameters used in the UriTemplate must be defined in the Operation 'getPet', and vice-versa.".to_owned()
            )]
        );
    }
}

#[test]
fn required_query_parameters_join_the_url_template_and_others_stay_apart() {
    let api = yaml(&with_paths(
        "  /pets/{id}:\n    parameters:\n    - {name: id, in: path, required: true, schema: {type: integer}}\n    - {name: fields, in: query}\n    get:\n      parameters:\n      - {name: kind, in: query, required: true, schema: {type: string, enum: [cat, dog], default: cat}}\n      - {name: at, in: query, required: true, description: When}\n      - {name: X-Trace, in: header}\n      - {name: session, in: cookie, required: true}\n",
    ));
    let operation = &api.operations[0];
    assert_eq!(operation.url_template, "/pets/{id}?kind={kind}&at={at}");
    let parameters: Vec<_> = operation
        .template_parameters
        .iter()
        .map(|parameter| {
            (
                parameter.name.as_str(),
                parameter.type_name.as_str(),
                parameter.required,
            )
        })
        .collect();
    assert_eq!(
        parameters,
        [
            ("id", "integer", true),
            ("kind", "string", true),
            ("at", "string", true)
        ]
    );
    assert_eq!(operation.template_parameters[1].values, ["cat", "dog"]);
    assert_eq!(
        operation.template_parameters[1].default_value.as_deref(),
        Some("cat")
    );
    assert_eq!(
        operation.template_parameters[2].description.as_deref(),
        Some("When")
    );
    assert_eq!(operation.query_parameters.len(), 1);
    assert_eq!(operation.query_parameters[0].name, "fields");
    assert_eq!(operation.headers.len(), 1);
}

#[test]
fn a_name_in_both_path_and_required_query_is_refused_whatever_its_case() {
    let document = with_paths(
        "  /pets/{id}:\n    get: {operationId: getPet, parameters: [{name: id, in: path}, {name: ID, in: query, required: true}]}\n",
    );
    assert_eq!(
        refused(ImportFormat::OpenApi, &document),
        [(
            "urlTemplate".to_owned(),
            "Required parameters across both path and query must have unique names: 'ID' is there twice in the Operation 'getPet'.".to_owned()
        )]
    );
}

#[test]
fn referenced_parameters_and_bodies_are_followed_and_circles_are_left_out() {
    let api = yaml(
        "openapi: 3.0.3\ninfo: {title: Pets, version: '1'}\npaths:\n  /pets/{id}:\n    put:\n      parameters: [{$ref: '#/components/parameters/Id'}, {$ref: '#/components/parameters/Circle'}]\n      requestBody: {$ref: '#/components/requestBodies/Pet'}\n      responses: {200: {description: Fine, content: {application/json: {}}}, default: {description: Not}}\ncomponents:\n  parameters:\n    Id: {name: id, in: path, required: true}\n    Circle: {$ref: '#/components/parameters/Circle'}\n  requestBodies:\n    Pet: {content: {application/json: {}, text/xml: {}}}\n",
    );
    let operation = &api.operations[0];
    assert_eq!(operation.template_parameters.len(), 1);
    assert_eq!(
        operation.request_content_types,
        ["application/json", "text/xml"]
    );
    assert_eq!(operation.responses.len(), 1);
    assert_eq!(operation.responses[0].status_code, 200);
    assert_eq!(operation.responses[0].content_types, ["application/json"]);
}

#[test]
fn bodies_of_get_head_and_options_are_dropped() {
    let body = "requestBody: {content: {application/json: {}}}";
    let api = yaml(&with_paths(&format!(
        "  /a: {{get: {{{body}}}, head: {{{body}}}, options: {{{body}}}, patch: {{{body}}}}}\n"
    )));
    let bodies: Vec<_> = api
        .operations
        .iter()
        .map(|operation| {
            (
                operation.method.as_str(),
                operation.request_content_types.len(),
            )
        })
        .collect();
    assert_eq!(
        bodies,
        [("GET", 0), ("HEAD", 0), ("OPTIONS", 0), ("PATCH", 1)]
    );
}

#[test]
fn the_first_https_server_becomes_the_service_url_and_else_the_first_http_one() {
    let with_servers = |servers: &str| {
        let document = format!(
            "openapi: 3.0.1\ninfo: {{title: a, version: '1'}}\nservers: {servers}\npaths: {{}}\n"
        );
        yaml(&document).service_url
    };
    assert_eq!(
        with_servers(
            "[{url: http://a.example}, {url: https://b.example/v1}, {url: https://c.example}]"
        )
        .as_deref(),
        Some("https://b.example/v1")
    );
    assert_eq!(
        with_servers("[{url: 'http://{host}/x', variables: {host: {default: d.example}}}]")
            .as_deref(),
        Some("http://d.example/x")
    );
    assert_eq!(with_servers("[{url: /relative}]"), None);
    assert_eq!(yaml(&with_paths("  /a: {get: {}}\n")).service_url, None);
}

#[test]
fn swagger_json_takes_scheme_host_and_base_path() {
    let document = r##"{"swagger": "2.0", "info": {"title": "Pets", "version": "1", "description": "All pets"},
        "host": "pets.example:8443", "basePath": "/v4/", "schemes": ["http", "https"], "consumes": ["application/json"],
        "paths": {"/pets/{id}": {"patch": {"operationId": "patchPet", "parameters": [
            {"name": "id", "in": "path", "required": true, "type": "string"},
            {"name": "pet", "in": "body", "schema": {"$ref": "#/definitions/Pet"}}],
            "responses": {"200": {"description": "ok"}}}}},
        "definitions": {"Pet": {"type": "object"}}}"##;
    let api = import(ImportFormat::SwaggerJson, document).unwrap();
    assert_eq!(api.display_name.as_deref(), Some("Pets"));
    assert_eq!(api.description.as_deref(), Some("All pets"));
    assert_eq!(
        api.service_url.as_deref(),
        Some("https://pets.example:8443/v4")
    );
    assert_eq!(routes(&api), [("patchpet", "PATCH", "/pets/{id}")]);
    assert_eq!(
        api.operations[0].request_content_types,
        ["application/json"]
    );
    assert_eq!(api.schemas, serde_json::json!({"Pet": {"type": "object"}}));
}

#[test]
fn swagger_yaml_is_refused_in_every_format() {
    let document = "swagger: '2.0'\ninfo: {title: Pets, version: '1'}\npaths: {}\n";
    assert_eq!(
        parsing(ImportFormat::OpenApi, document),
        [
            "Parsing error(s): OpenAPI specification version '2.0' is not supported.",
            NOT_VALID_3
        ]
    );
    assert_eq!(
        parsing(ImportFormat::SwaggerJson, document),
        [
            "Parsing error(s): (Lin: 0, Col: 0, Chr: 0) - (Lin: 0, Col: 0, Chr: 0): Expected value.",
            NOT_VALID_2
        ]
    );
}

#[test]
fn openapi_3_is_refused_as_swagger_and_yaml_as_json() {
    let document =
        r#"{"openapi": "3.0.1", "info": {"title": "Pets", "version": "1"}, "paths": {}}"#;
    assert!(import(ImportFormat::OpenApiJson, document).is_ok());
    assert!(import(ImportFormat::OpenApi, document).is_ok());
    assert_eq!(
        parsing(ImportFormat::SwaggerJson, document),
        [
            "Parsing error(s): OpenAPI specification version '3.0.1' is not supported.",
            NOT_VALID_2
        ]
    );
    assert_eq!(
        parsing(ImportFormat::OpenApiJson, &with_paths("  {}\n")).len(),
        2
    );
}

#[test]
fn a_syntax_error_names_line_column_and_character_from_zero() {
    assert_eq!(
        parsing(ImportFormat::OpenApi, "a: 1\nopenapi: b: c\n"),
        [
            "Parsing error(s): (Lin: 1, Col: 10, Chr: 15) - (Lin: 1, Col: 10, Chr: 15): Mapping values are not allowed in this context.",
            NOT_VALID_3
        ]
    );
    assert_eq!(
        parsing(ImportFormat::OpenApiJson, "{\n  \"openapi\": ,\n}"),
        [
            "Parsing error(s): (Lin: 1, Col: 13, Chr: 15) - (Lin: 1, Col: 13, Chr: 15): Expected value.",
            NOT_VALID_3
        ]
    );
}

#[test]
fn a_document_without_title_version_or_paths_is_refused() {
    assert_eq!(
        parsing(ImportFormat::OpenApi, "openapi: 3.0.1\ninfo: {}\n"),
        [
            "Parsing error(s): The field 'title' in 'info' object is REQUIRED. [#/info/title]",
            "Parsing error(s): The field 'version' in 'info' object is REQUIRED. [#/info/version]",
            "Parsing error(s): The field 'paths' in 'document' object is REQUIRED. [#/paths]",
            NOT_VALID_3
        ]
    );
}

#[test]
fn a_path_without_a_slash_is_refused() {
    assert_eq!(
        parsing(ImportFormat::OpenApi, &with_paths("  pets: {get: {}}\n")),
        [
            "Parsing error(s): The path item name 'pets' MUST begin with a slash. [#/paths/pets]",
            NOT_VALID_3
        ]
    );
}

#[test]
fn openapi_3_1_is_accepted_only_without_what_3_0_does_not_have() {
    let document = |extra: &str| {
        format!(
            "openapi: 3.1.0\ninfo: {{title: Pets, version: '1'}}\npaths: {{/a: {{get: {{responses: {{200: {{description: x, content: {{application/json: {{schema: {{{extra}}}, example: {{type: [a]}}}}}}}}}}}}}}}}\n"
        )
    };
    assert!(
        import(
            ImportFormat::OpenApi,
            &document("type: string, nullable: true")
        )
        .is_ok()
    );
    let at = "#/paths/~1a/get/responses/200/content/application~1json/schema";
    let cases = [
        (
            "type: [string, 'null']",
            format!(
                "The value of 'type' must be a string, not the array [\"string\",\"null\"]. Use 'nullable' for a type that may be null. [{at}/type]"
            ),
        ),
        (
            "type: object, properties: {age: {exclusiveMinimum: 0}}",
            format!(
                "The value of 'exclusiveMinimum' must be a boolean, not 0. [{at}/properties/age/exclusiveMinimum]"
            ),
        ),
        (
            "$schema: 'https://json-schema.org/draft/2020-12/schema'",
            format!("Property '$schema' is not a valid property. [{at}/$schema]"),
        ),
        (
            "oneOf: [{type: 'null'}]",
            format!("'null' is not a valid schema type. [{at}/oneOf/0/type]"),
        ),
    ];
    for (extra, message) in cases {
        assert_eq!(
            parsing(ImportFormat::OpenApi, &document(extra)),
            [
                format!("Parsing error(s): {message}"),
                NOT_VALID_3.to_owned()
            ]
        );
    }
}

#[test]
fn openapi_3_1_members_outside_schemas_are_refused_too() {
    let document = "openapi: 3.1.0\ninfo: {title: Pets, version: '1', summary: Short}\npaths: {}\nwebhooks: {}\ncomponents: {schemas: {A: {const: 1}}}\n";
    assert_eq!(
        parsing(ImportFormat::OpenApi, document),
        [
            "Parsing error(s): Property 'summary' is not a valid property. [#/info/summary]",
            "Parsing error(s): Property 'webhooks' is not a valid property. [#/webhooks]",
            "Parsing error(s): Property 'const' is not a valid property. [#/components/schemas/A/const]",
            NOT_VALID_3
        ]
    );
}

#[test]
fn an_unknown_version_is_refused() {
    let document = |version: &str| {
        format!("openapi: {version}\ninfo: {{title: a, version: '1'}}\npaths: {{}}\n")
    };
    assert_eq!(
        parsing(ImportFormat::OpenApi, &document("4.0.0"))[0],
        "Parsing error(s): OpenAPI specification version '4.0.0' is not supported."
    );
    assert_eq!(
        parsing(ImportFormat::OpenApi, &document("3.0"))[0],
        "Parsing error(s): OpenAPI specification version '3.0' is not supported."
    );
}

#[test]
fn an_inline_document_over_4_mib_is_refused_and_a_linked_one_is_not() {
    let mut document = with_paths("  /a: {get: {}}\n");
    document.push_str(&"# filler\n".repeat(super::INLINE_LIMIT / 9));
    assert_eq!(
        parsing(ImportFormat::OpenApi, &document),
        [format!(
            "Parsing error(s): The size of the document, {} bytes, exceeds the limit of 4194304 bytes for an inline import. Import it by link.",
            document.len()
        )]
    );
    assert_eq!(
        import_linked(ImportFormat::OpenApi, &document)
            .unwrap()
            .operations
            .len(),
        1
    );
}

#[test]
fn long_summaries_and_descriptions_are_cut_to_the_contract() {
    let api = yaml(&with_paths(&format!(
        "  /a: {{get: {{summary: {}, description: {}}}}}\n",
        "s".repeat(400),
        "d".repeat(2000)
    )));
    assert_eq!(api.operations[0].display_name, "s".repeat(300));
    assert_eq!(api.operations[0].description, Some("d".repeat(1000)));
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    let deep = format!(
        "openapi: 3.0.1\nx-a: {}{}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(parsing(ImportFormat::OpenApi, &deep).len(), 2);
    assert_eq!(
        parsing(ImportFormat::OpenApiJson, &"[".repeat(100_000)).len(),
        2
    );
}

#[test]
fn the_arm_format_strings_are_understood() {
    assert_eq!(
        ImportFormat::from_arm("openapi"),
        Some((ImportFormat::OpenApi, false))
    );
    assert_eq!(
        ImportFormat::from_arm("openapi+json-link"),
        Some((ImportFormat::OpenApiJson, true))
    );
    assert_eq!(
        ImportFormat::from_arm("swagger-link-json"),
        Some((ImportFormat::SwaggerJson, true))
    );
    assert_eq!(ImportFormat::from_arm("wsdl"), None);
}

/// A published document and its format, where the shared data folder is there.
fn published(caller: &str, name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/openapi")
        .join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("SKIPPED {caller}: ../shared is not there");
    }
    text
}

#[test]
fn tmf620_in_swagger_json_has_all_its_operations() {
    let caller = "tmf620_in_swagger_json_has_all_its_operations";
    let Some(text) = published(caller, "TMF620-ProductCatalog-v4.0.0.swagger.json") else {
        return;
    };
    let api = import(ImportFormat::SwaggerJson, &text).unwrap();
    assert_eq!(
        api.display_name.as_deref(),
        Some("Product Catalog Management")
    );
    assert_eq!(
        api.service_url.as_deref(),
        Some("https://serverRoot/tmf-api/productCatalogManagement/v4")
    );
    assert_eq!(api.operations.len(), 50);
    assert_eq!(routes(&api)[0], ("listcatalog", "GET", "/catalog"));
}

#[test]
fn tmf620_in_swagger_yaml_is_refused() {
    let caller = "tmf620_in_swagger_yaml_is_refused";
    let Some(text) = published(caller, "TMF620-ProductCatalog-implementation.swagger.yaml") else {
        return;
    };
    assert_eq!(
        parsing(ImportFormat::OpenApi, &text)[0],
        "Parsing error(s): OpenAPI specification version '2.0' is not supported."
    );
    let document: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let api = import(ImportFormat::SwaggerJson, &document.to_string()).unwrap();
    assert_eq!(api.operations.len(), 50);
}

#[test]
fn tmf672_in_openapi_yaml_has_all_its_operations() {
    let caller = "tmf672_in_openapi_yaml_has_all_its_operations";
    let Some(text) = published(caller, "TMF672-RolesAndPermissions-v5.0.0.oas.yaml") else {
        return;
    };
    let api = import(ImportFormat::OpenApi, &text).unwrap();
    assert_eq!(
        api.service_url.as_deref(),
        Some("http://localhost:8080/rolesAndPermissionsManagement/v5")
    );
    assert_eq!(api.operations.len(), 11);
    assert_eq!(routes(&api)[0], ("createhub", "POST", "/hub"));
}

proptest! {
    #[test]
    fn no_text_makes_the_import_panic(text in "[-{}\\[\\]:,&*!|>'\"%@`# \na-c0-9]{0,120}", path in "\\PC{0,20}") {
        for format in [ImportFormat::SwaggerJson, ImportFormat::OpenApi, ImportFormat::OpenApiJson] {
            let _ = import(format, &text);
            let document = serde_json::json!({
                "openapi": "3.0.1", "swagger": "2.0", "info": {"title": "a", "version": "1"},
                "paths": {(format!("/{path}")): {"get": {"operationId": text}}}
            });
            let _ = import(format, &document.to_string());
        }
    }

    #[test]
    fn an_operation_name_holds_small_letters_digits_and_single_inner_dashes(id in "\\PC{0,200}") {
        let name = super::resource_names::normalise(&id);
        prop_assert!(name.len() <= 76);
        prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        prop_assert!(!name.starts_with('-') && !name.ends_with('-') && !name.contains("--"));
    }
}
