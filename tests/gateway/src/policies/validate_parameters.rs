//! `validate-parameters`:
//! <https://learn.microsoft.com/azure/api-management/validate-parameters-policy>.

use super::validation::{Action, Finding, conclude};
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::configuration::Parameter;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::parameters;
use async_trait::async_trait;
use policy_document::Element;

struct ValidateParameters {
    whole: Rules,
    headers: Option<Rules>,
    query: Option<Rules>,
    path: Option<Rules>,
    errors: Option<String>,
}

/// What happens to parameters of one place.
struct Rules {
    specified: Value<Action>,
    unspecified: Value<Action>,
    single: Vec<(String, Value<Action>)>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    let mut part = |name: &str| match reader.child(name) {
        Some(child) => Rules::read(&mut reader.part(child)).map(Some),
        None => Ok(None),
    };
    let (headers, query, path) = (part("headers")?, part("query")?, part("path")?);
    Ok(Box::new(ValidateParameters {
        whole: Rules::read(&mut reader)?,
        headers,
        query,
        path,
        errors: reader.text_of("errors-variable-name")?,
    }))
}

impl Rules {
    fn read(reader: &mut Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        let element = reader.element;
        let mut single = Vec::new();
        for child in element.elements().filter(|c| c.name == "parameter") {
            let part = reader.part(child);
            single.push((part.required_literal("name")?, part.required("action")?));
        }
        Ok(Self {
            specified: reader.required("specified-parameter-action")?,
            // `path` has none.
            unspecified: reader
                .value("unspecified-parameter-action")?
                .unwrap_or(Value::Literal(Action::Ignore)),
            single,
        })
    }

    /// What happens to a parameter of this name.
    async fn action(
        &self,
        exchange: &mut Exchange,
        name: &str,
        specified: bool,
    ) -> Result<Action, PolicyError> {
        let single = self
            .single
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        match single {
            Some((_, action)) => exchange.get(action).await,
            None if specified => exchange.get(&self.specified).await,
            None => exchange.get(&self.unspecified).await,
        }
    }

    async fn check(
        &self,
        exchange: &mut Exchange,
        kind: &'static str,
        specified: &[Parameter],
        sent: &[(String, String)],
        findings: &mut Vec<Finding>,
    ) -> Result<(), PolicyError> {
        for parameter in specified {
            let values: Vec<&str> = sent
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(&parameter.name))
                .map(|(_, value)| value.as_str())
                .collect();
            let problem = if values.is_empty() {
                parameter.required.then(|| {
                    let name = &parameter.name;
                    (
                        "Required",
                        format!("Required {kind} parameter '{name}' is missing."),
                    )
                })
            } else {
                values
                    .iter()
                    .find_map(|value| wrong(parameter, value))
                    .map(|why| {
                        let name = &parameter.name;
                        (
                            "IncorrectMessage",
                            format!("Value of the {kind} parameter '{name}' {why}."),
                        )
                    })
            };
            if let Some((rule, details)) = problem {
                let action = self.action(exchange, &parameter.name, true).await?;
                findings.push(Finding {
                    action,
                    name: parameter.name.clone(),
                    kind,
                    rule,
                    public: Some(details.clone()),
                    details,
                });
            }
        }
        for (name, _) in sent {
            let known = |parameter: &Parameter| parameter.name.eq_ignore_ascii_case(name);
            if !specified.iter().any(known) {
                let action = self.action(exchange, name, false).await?;
                let details = format!("Unspecified {kind} parameter '{name}' is not allowed.");
                findings.push(Finding {
                    action,
                    name: name.clone(),
                    kind,
                    rule: "Unspecified",
                    public: Some(details.clone()),
                    details,
                });
            }
        }
        Ok(())
    }
}

/// Why a value does not fit a parameter's type, if it does not.
fn wrong(parameter: &Parameter, value: &str) -> Option<String> {
    let json = match parameter.kind.to_ascii_lowercase().as_str() {
        "integer" => match value.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => return Some("is not an integer".to_owned()),
        },
        "number" => match value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
        {
            Some(number) => number.into(),
            None => return Some("is not a number".to_owned()),
        },
        "boolean" => match value {
            "true" => true.into(),
            "false" => false.into(),
            _ => return Some("is not true or false".to_owned()),
        },
        _ => serde_json::Value::from(value),
    };
    let allowed = parameter.schema.as_ref()?.get("enum")?.as_array()?;
    let same = |known: &serde_json::Value| {
        *known == json || known.as_str().is_some_and(|known| known == value)
    };
    (!allowed.iter().any(same)).then(|| "is not one of the allowed values".to_owned())
}

#[async_trait]
impl Policy for ValidateParameters {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let Some(operation) = exchange.operation().cloned() else {
            return Ok(Flow::Continue);
        };
        let mut findings = Vec::new();
        let headers: Vec<(String, String)> = exchange
            .context
            .request
            .headers
            .iter()
            .map(|(name, values)| (name.to_owned(), values.join(",")))
            .collect();
        self.headers
            .as_ref()
            .unwrap_or(&self.whole)
            .check(
                exchange,
                "header",
                &operation.header_parameters,
                &headers,
                &mut findings,
            )
            .await?;
        // Parameters that the template asks for in the query stand in it.
        let mut known = operation.query_parameters.clone();
        let in_query = operation
            .url_template
            .split_once('?')
            .map(|(_, query)| query);
        let (of_query, of_path): (Vec<Parameter>, Vec<Parameter>) =
            operation.template_parameters.into_iter().partition(|one| {
                in_query.is_some_and(|query| query.contains(&format!("{{{}}}", one.name)))
            });
        known.extend(of_query);
        let query = parameters(&exchange.target.query);
        self.query
            .as_ref()
            .unwrap_or(&self.whole)
            .check(exchange, "query", &known, &query, &mut findings)
            .await?;
        let path: Vec<(String, String)> = exchange
            .context
            .request
            .matched_parameters
            .iter()
            .filter(|(name, _)| of_path.iter().any(|one| one.name == **name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.path
            .as_ref()
            .unwrap_or(&self.whole)
            .check(exchange, "path", &of_path, &path, &mut findings)
            .await?;
        let variable = self.errors.as_deref();
        match conclude(exchange, &findings, variable) {
            Some(error) => Err(error),
            None => Ok(Flow::Continue),
        }
    }
}
