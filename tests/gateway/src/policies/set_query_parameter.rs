//! `set-query-parameter`:
//! <https://learn.microsoft.com/azure/api-management/set-query-parameter-policy>.

use super::set_header::ExistsAction;
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::{parameter, parameter_name};
use async_trait::async_trait;
use policy_document::Element;

struct SetQueryParameter {
    name: Value<String>,
    exists: Value<ExistsAction>,
    values: Vec<Value<String>>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    Ok(Box::new(SetQueryParameter {
        name: reader.required("name")?,
        exists: reader
            .value("exists-action")?
            .unwrap_or(Value::Literal(ExistsAction::Override)),
        values: reader.texts("value")?,
    }))
}

#[async_trait]
impl Policy for SetQueryParameter {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let name = exchange.get(&self.name).await?;
        let exists = exchange.get(&self.exists).await?;
        let values = exchange.get_all(&self.values).await?;
        let query = std::mem::take(&mut exchange.target.query);
        let is_it = |pair: &&str| parameter_name(pair).eq_ignore_ascii_case(&name);
        let all: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let there = all.iter().any(is_it);
        let keep =
            matches!(exists, ExistsAction::Append) || matches!(exists, ExistsAction::Skip) && there;
        let add = match exists {
            ExistsAction::Delete => false,
            ExistsAction::Skip => !there,
            ExistsAction::Append | ExistsAction::Override => true,
        };
        // What is not touched stays as it was written.
        let mut pairs: Vec<String> = all
            .iter()
            .filter(|pair| keep || !is_it(pair))
            .map(|pair| (*pair).to_owned())
            .collect();
        if add {
            pairs.extend(values.iter().map(|value| parameter(&name, value.trim())));
        }
        exchange.target.query = pairs.join("&");
        Ok(Flow::Continue)
    }
}
