//! The spec block `OASValidation`.

use policy_sdk::{Diagnostic, Dialect, SpecReading, SpecRequest, lenient};

/// Reads the block.
///
/// TM Forum's has `requestEnabled` and `responseEnabled` (both false unless
/// they are set) and three fields about parameters, which are another
/// plugin's. The original dialect has no such block; one that is there asks
/// for the check of requests unless it says otherwise.
pub(crate) fn read(request: &SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
    let block = request.object()?;
    let original = request.dialect == Dialect::Original;
    let requests = lenient::boolean(&block, "requestEnabled")?;
    let responses = lenient::boolean(&block, "responseEnabled")?.unwrap_or(false);
    let requests = requests.unwrap_or(original && !responses);
    if !requests && !responses {
        return Ok(SpecReading::enabled(Some(false)));
    }
    Ok(SpecReading::enabled(Some(true))
        .set("request", Some(requests))
        .set("response", Some(responses)))
}
