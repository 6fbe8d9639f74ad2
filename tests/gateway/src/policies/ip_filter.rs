//! `ip-filter`: <https://learn.microsoft.com/azure/api-management/ip-filter-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, PolicyValue, Reader, Value, keyword};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;
use std::net::IpAddr;

keyword!(
    /// What the listed addresses may do.
    Action {
        Allow = "allow",
        Forbid = "forbid",
    }
);

struct IpFilter {
    action: Value<Action>,
    addresses: Vec<Value<Address>>,
    ranges: Vec<(Value<Address>, Value<Address>)>,
}

/// One IP address; an IPv4 address in IPv6 is the IPv4 address.
#[derive(Clone)]
struct Address(IpAddr);

impl PolicyValue for Address {
    const EXPECTED: &'static str = "an IP address";

    fn from_text(text: &str) -> Option<Self> {
        let address: IpAddr = text.trim().parse().ok()?;
        Some(Self(address.to_canonical()))
    }
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    let action = reader
        .value("action")?
        .unwrap_or(Value::Literal(Action::Allow));
    let addresses = reader.texts("address")?;
    let mut ranges = Vec::new();
    for child in element.elements().filter(|c| c.name == "address-range") {
        let part = reader.part(child);
        let (from, to): (Value<Address>, _) = (part.required("from")?, part.required("to")?);
        if let (Some(Address(from)), Some(Address(to))) = (from.literal(), to.literal())
            && (from.is_ipv4() != to.is_ipv4() || from > to)
        {
            return part.fail(format!("'{from}' to '{to}' is no range of IP addresses."));
        }
        ranges.push((from, to));
    }
    Ok(Box::new(IpFilter {
        action,
        addresses,
        ranges,
    }))
}

#[async_trait]
impl Policy for IpFilter {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let caller = exchange.caller;
        let mut listed = false;
        for address in &self.addresses {
            listed |= exchange.get(address).await?.0 == caller;
        }
        for (from, to) in &self.ranges {
            let (from, to) = (exchange.get(from).await?.0, exchange.get(to).await?.0);
            // Addresses of the two families are not between each other.
            listed |= from.is_ipv4() == caller.is_ipv4()
                && to.is_ipv4() == caller.is_ipv4()
                && (from..=to).contains(&caller);
        }
        match (exchange.get(&self.action).await?, listed) {
            (Action::Allow, true) | (Action::Forbid, false) => Ok(Flow::Continue),
            (Action::Allow, false) => Err(refused(
                "CallerIpNotAllowed",
                format!("Caller IP address {caller} is not allowed. Access denied."),
            )),
            (Action::Forbid, true) => Err(refused(
                "CallerIpBlocked",
                format!("Caller IP address is blocked. Access denied. {caller}"),
            )),
        }
    }
}

/// That callers are told only `Forbidden` is inferred from answers that were
/// seen.
fn refused(reason: &'static str, message: String) -> PolicyError {
    PolicyError::told(403, reason, message).telling("Forbidden")
}
