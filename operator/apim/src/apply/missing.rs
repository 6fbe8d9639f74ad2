//! Naming what is missing where the answer names only its kind.

use crate::error::ArmError;

/// Adds the name of what is missing, as the document that was refused has it:
/// `Logger not found` says where in the document, not which.
pub(super) fn name_from_document(error: &mut ArmError, document: &str) {
    let Some(missing) = &error.missing else {
        return;
    };
    if missing.name.is_some() {
        return;
    }
    let names = match missing.kind {
        "logger" => {
            let from = place(error)
                .and_then(|place| offset(document, place))
                .unwrap_or_default();
            let rest = document.get(from..).unwrap_or_default();
            let found = all_between(rest, "logger-id=\"", "\"");
            // A place names one; without it, any of them is meant.
            let count = if from == 0 { found.len() } else { 1 };
            found.into_iter().take(count).collect()
        }
        "named value" => all_between(document, "{{", "}}"),
        _ => Vec::new(),
    };
    if let Some(missing) = &mut error.missing
        && !names.is_empty()
    {
        missing.name = Some(names.join("` or `"));
    }
}

/// Says which operation it is that does not exist yet.
pub(super) fn name_operation(error: &mut ArmError, operation: &str) {
    if let Some(missing) = &mut error.missing
        && missing.name.is_none()
        && matches!(
            missing.kind,
            "operation" | "an entity that the request names"
        )
    {
        missing.kind = "operation";
        missing.name = Some(operation.to_owned());
    }
}

/// The distinct texts between two others, in their order.
fn all_between(text: &str, open: &str, close: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in text.split(open).skip(1) {
        if let Some((name, _)) = part.split_once(close)
            && !names.iter().any(|known| known == name.trim())
        {
            names.push(name.trim().to_owned());
        }
    }
    names
}

/// Line and column, both from 1, where a message has them.
fn place(error: &ArmError) -> Option<(usize, usize)> {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let texts = std::iter::once(&error.message).chain(error.details.iter().map(|d| &d.message));
    texts.into_iter().find_map(|text| {
        let (_, rest) = text.split_once(" on line ")?;
        let (_, column) = rest.split_once("column ")?;
        Some((number(rest)?, number(column)?))
    })
}

fn offset(document: &str, (line, column): (usize, usize)) -> Option<usize> {
    let mut start = 0;
    for (index, text) in document.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let within: usize = text
                .chars()
                .take(column.saturating_sub(1))
                .map(char::len_utf8)
                .sum();
            // The column is the name's; the element begins before it.
            return Some(start + within);
        }
        start += text.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::{Cause, ErrorBody};

    const DOCUMENT: &str = "<policies>\n    <inbound>\n        <log-to-eventhub logger-id=\"first\" />\n        <log-to-eventhub logger-id=\"second\" />\n        <set-header name=\"{{ header }}\"><value>{{value}}{{value}}</value></set-header>\n    </inbound>\n</policies>";

    fn refused(message: &str) -> ArmError {
        let body = format!(
            r#"{{"error": {{"code": "ValidationError", "message": "One or more fields contain incorrect values:", "details": [{{"message": "{message}"}}]}}}}"#
        );
        let wait = Some(Duration::ZERO);
        let body = ErrorBody::read(body.as_bytes());
        ArmError::answered("PUT policy", Cause::Answer, Some(400), body, wait)
    }

    fn named(message: &str) -> String {
        let mut error = refused(message);
        name_from_document(&mut error, DOCUMENT);
        error.missing.as_ref().unwrap().to_string()
    }

    #[test]
    fn a_logger_is_named_by_the_place_where_it_is_missing() {
        let at = |line| {
            format!(
                "Error in element 'log-to-eventhub' on line {line}, column 10: Logger not found"
            )
        };
        assert_eq!(named(&at(3)), "logger `first`");
        assert_eq!(named(&at(4)), "logger `second`");
        assert_eq!(named("Logger not found"), "logger `first` or `second`");
    }

    #[test]
    fn named_values_that_an_answer_does_not_name_are_all_named() {
        assert_eq!(
            named("Properties specified are missing"),
            "named value `header` or `value`"
        );
        assert_eq!(
            named("Cannot find a property 'value'"),
            "named value `value`"
        );
    }

    #[test]
    fn an_operation_without_which_its_policy_cannot_be_is_named() {
        let mut error = refused("Entity with specified identifier not found");
        name_operation(&mut error, "get-order");
        assert_eq!(
            error.missing.as_ref().unwrap().to_string(),
            "operation `get-order`"
        );
        let mut other = refused("Backend with id 'x' could not be found.");
        name_operation(&mut other, "get-order");
        assert_eq!(other.missing.as_ref().unwrap().to_string(), "backend `x`");
    }
}
