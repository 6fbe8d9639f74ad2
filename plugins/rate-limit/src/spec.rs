//! The spec block `rateLimit`.

use policy_sdk::lenient;
use policy_sdk::{Diagnostic, Dialect, SpecReading, SpecRequest};

/// Reads the block.
///
/// The canonical dialect has `enabled` (default false), `limit`, `interval`
/// (default `ps`) and `identifier`; the original one `limit` and `period`, and
/// is enabled by being there. Each is understood in the other as well, because
/// objects move between clusters.
pub(crate) fn read(request: &SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
    let block = request.object()?;
    let canonical = request.dialect == Dialect::Canonical;
    let enabled = lenient::boolean(&block, "enabled")?.unwrap_or(!canonical);

    let period = lenient::number(&block, "period")?;
    let interval = match lenient::text(&block, "interval")?.as_deref() {
        Some("ps") => Some(1),
        Some("pm") => Some(60),
        Some(other) => {
            return Err(Diagnostic::error(
                "/interval",
                format!("expected ps (per second) or pm (per minute), found \"{other}\""),
            )
            .into());
        }
        None => None,
    };
    if let (Some(period), Some(interval)) = (period, interval)
        && period != interval
    {
        return Err(Diagnostic::error(
            "/period",
            format!("period is {period} s, and interval says {interval} s: leave one of them out"),
        )
        .into());
    }
    let limit = lenient::number(&block, "limit")?;
    // A limit is per second or per minute by its dialect; without one there is
    // nothing that a default could be about.
    let per_dialect = limit.map(|_| if canonical { 1 } else { 60 });

    Ok(SpecReading::enabled(Some(enabled))
        .set("calls", limit)
        .set("renewalPeriod", period.or(interval).or(per_dialect))
        .set("key", lenient::text(&block, "identifier")?.map(key)))
}

/// Components write `IP` for the caller's address.
fn key(identifier: String) -> String {
    if identifier.eq_ignore_ascii_case("ip") {
        "ip".to_owned()
    } else {
        identifier
    }
}
