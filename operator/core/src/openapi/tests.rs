use super::*;

#[test]
fn an_operation_gets_its_id_from_its_operation_id() {
    let document = read(
        "openapi: 3.0.0\ninfo: {title: a}\npaths:\n  /a: {get: {operationId: Get_A, responses: {200: {description: x}}}}\n",
    )
    .unwrap();
    assert_eq!(
        document.operations(),
        [Operation {
            id: "get-a".into(),
            operation_id: Some("Get_A".into()),
            method: "GET".into(),
            url_template: "/a".into(),
        }]
    );
}
