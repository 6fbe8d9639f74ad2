//! `rewrite-uri`: <https://learn.microsoft.com/azure/api-management/rewrite-uri-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::{parameter, parameter_name};
use async_trait::async_trait;
use policy_document::Element;

struct RewriteUri {
    template: Value<String>,
    /// "Default: true".
    copy_unmatched: Value<bool>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(RewriteUri {
        template: reader.required("template")?,
        copy_unmatched: reader
            .value("copy-unmatched-params")?
            .unwrap_or(Value::Literal(true)),
    }))
}

/// A value for a path's segment; `slashes` stay where a wildcard matched them.
fn encoded(value: &str, slashes: bool) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b','
                    | b';'
                    | b':'
                    | b'@'
                    | b'='
            )
            || slashes && byte == b'/';
        if plain {
            text.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The template with what the request's parameters are. A parameter that the
/// operation's template does not have becomes nothing (inferred; literal
/// templates with such parameters are refused when they are written).
fn filled(
    template: &str,
    value_of: impl Fn(&str) -> Option<String>,
    encode: impl Fn(&str, bool) -> String,
) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        text.push_str(&rest[..start]);
        let name = &rest[start + 1..start + length];
        let wildcard = name.starts_with('*');
        let value = value_of(name.trim_start_matches('*')).unwrap_or_default();
        text.push_str(&encode(&value, wildcard));
        rest = &rest[start + length + 1..];
    }
    text.push_str(rest);
    text
}

#[async_trait]
impl Policy for RewriteUri {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let template = exchange.get(&self.template).await?;
        let copy = exchange.get(&self.copy_unmatched).await?;
        let matched = exchange.context.request.matched_parameters.clone();
        let value_of = |name: &str| matched.get(name).cloned();
        let (path, query) = template.split_once('?').unwrap_or((&template, ""));
        let path = filled(path, value_of, |value, wildcard| {
            let text = encoded(value, wildcard);
            // A value must not climb out of the path it is put into.
            if wildcard {
                text.split('/')
                    .filter(|segment| !matches!(*segment, "." | ".."))
                    .collect::<Vec<_>>()
                    .join("/")
            } else if matches!(text.as_str(), "." | "..") {
                text.replace('.', "%2E")
            } else {
                text
            }
        });
        let path = path.trim();
        let path = if path.is_empty() || path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let mut pairs: Vec<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) if value.contains('{') => {
                    let value = filled(value, value_of, |value, _| value.to_owned());
                    parameter(name, &value)
                }
                _ => pair.to_owned(),
            })
            .collect();
        if copy {
            let template = exchange
                .operation()
                .map(|operation| operation.url_template.clone())
                .unwrap_or_default();
            let named: Vec<String> = template
                .split_once('?')
                .map_or("", |(_, query)| query)
                .split('&')
                .map(parameter_name)
                .collect();
            let known: Vec<String> = pairs.iter().map(|pair| parameter_name(pair)).collect();
            for pair in exchange.target.query.split('&') {
                let name = parameter_name(pair);
                let is = |other: &String| other.eq_ignore_ascii_case(&name);
                if !pair.is_empty() && !named.iter().any(is) && !known.iter().any(is) {
                    pairs.push(pair.to_owned());
                }
            }
        }
        exchange.target.path = path;
        exchange.target.query = pairs.join("&");
        Ok(Flow::Continue)
    }
}
