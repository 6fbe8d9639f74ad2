//! The spec block `OASValidation`.

use policy_sdk::{Diagnostic, Dialect, SpecReading, SpecRequest, lenient};

/// Reads the block.
///
/// TM Forum's has `requestEnabled` (false unless it is set) and three
/// `allowUnspecified…`, false by default too: what the document does not name
/// may not be there. The original dialect has no such block; one that is there
/// asks for the check unless it says otherwise. Of cookies, which API
/// Management does not check, only what the block says itself is kept.
pub(crate) fn read(request: &SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
    let block = request.object()?;
    let original = request.dialect == Dialect::Original;
    if !lenient::boolean(&block, "requestEnabled")?.unwrap_or(original) {
        return Ok(SpecReading::enabled(Some(false)));
    }
    let action = |key: &str| -> Result<Option<&'static str>, Diagnostic> {
        Ok(lenient::boolean(&block, key)?.map(|allow| if allow { "ignore" } else { "prevent" }))
    };
    Ok(SpecReading::enabled(Some(true))
        .set(
            "unspecifiedHeaders",
            Some(action("allowUnspecifiedHeaders")?.unwrap_or("prevent")),
        )
        .set(
            "unspecifiedQuery",
            Some(action("allowUnspecifiedQueryParams")?.unwrap_or("prevent")),
        )
        .set("cookies", action("allowUnspecifiedCookies")?))
}
