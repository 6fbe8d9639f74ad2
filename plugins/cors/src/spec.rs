//! The spec block `CORS`.

use policy_sdk::lenient;
use policy_sdk::{Diagnostic, Dialect, SpecReading, SpecRequest};
use serde_json::{Map, Value};

/// Reads the block.
///
/// The canonical dialect has `enabled` (default false), `allowCredentials`,
/// `allowOrigins` and `handlePreflightRequests{enabled, allowHeaders,
/// allowMethods, maxAge}`, with lists as text; the original one has all
/// in one place, with lists as arrays, and is enabled by being there. Each is
/// understood in the other as well, because objects move between clusters.
/// What the block leaves out is left to the other layers of the config.
pub(crate) fn read(request: &SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
    let block = request.object()?;
    let enabled =
        lenient::boolean(&block, "enabled")?.unwrap_or(request.dialect == Dialect::Original);
    let preflight = lenient::object(&block, "handlePreflightRequests")?.unwrap_or_default();
    let handled = within(lenient::boolean(&preflight, "enabled"))?;
    if enabled && handled == Some(false) {
        return Err(Diagnostic::error(
            "/handlePreflightRequests/enabled",
            "API Management answers the preflight requests of an API with CORS: set it to true, or \
             CORS.enabled to false and let the implementation do all of it",
        )
        .into());
    }
    Ok(SpecReading::enabled(Some(enabled))
        .set("allowOrigins", lenient::list(&block, "allowOrigins")?)
        .set("allowMethods", list(&block, &preflight, "allowMethods")?)
        .set("allowHeaders", list(&block, &preflight, "allowHeaders")?)
        .set("exposeHeaders", lenient::list(&block, "exposeHeaders")?)
        .set(
            "maxAge",
            match within(lenient::number(&preflight, "maxAge"))? {
                Some(age) => Some(age),
                None => lenient::number(&block, "maxAge")?,
            },
        )
        .set(
            "allowCredentials",
            lenient::boolean(&block, "allowCredentials")?,
        ))
}

/// A list that stands in the inner block, or in the outer one.
fn list(
    block: &Map<String, Value>,
    preflight: &Map<String, Value>,
    key: &str,
) -> Result<Option<Vec<String>>, Diagnostic> {
    match within(lenient::list(preflight, key))? {
        Some(list) => Ok(Some(list)),
        None => lenient::list(block, key),
    }
}

/// An error in the inner block, seen from the outer one.
fn within<T>(result: Result<T, Diagnostic>) -> Result<T, Diagnostic> {
    result.map_err(|mut error| {
        error.pointer.insert_str(0, "/handlePreflightRequests");
        error
    })
}
