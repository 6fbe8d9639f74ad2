//! The spec block `quota`.

use policy_sdk::{Caller, Diagnostic, SpecReading, SpecRequest, lenient};

/// Reads the block.
///
/// TM Forum's has `identifier` and `limit`, both text, and neither a switch
/// nor a period; the original dialect has no such block. Components write the
/// block with empty fields where they want no quota, so only a limit switches
/// it on.
pub(crate) fn read(request: &SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
    let block = request.object()?;
    let limit = lenient::number(&block, "limit")?;
    let key = lenient::text(&block, "identifier")?.map(key);
    let enabled = match lenient::boolean(&block, "enabled")? {
        Some(enabled) => Some(enabled),
        None => limit.map(|_| true),
    };
    Ok(SpecReading::enabled(enabled)
        .set("calls", limit)
        .set("key", key))
}

/// Components write `IP` for the caller's address. A text that is no key is
/// the name of the counter itself: everybody counts together, which is
/// stricter than anything it may have been a misspelling of.
fn key(identifier: String) -> String {
    match Caller::parse(&identifier) {
        Ok(Caller::Ip) => "ip".to_owned(),
        Ok(_) => identifier,
        Err(_) => format!("const:{identifier}"),
    }
}
