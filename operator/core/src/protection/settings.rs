//! Whether the settings make sense by themselves.

use std::net::IpAddr;

use serde_json::Value;
use url::Url;

use crate::annotations::nearest::shown;
use crate::exposed_api::is_dns_subdomain;
use crate::instance::spec::{ExposureSpec, Peer};
use crate::problem::Problem;

/// An address or a subnet, as a subnet; nothing where it is neither.
pub(super) fn network(text: &str) -> Option<String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => widest,
        Some(bits) => bits.parse().ok().filter(|bits: &u8| *bits <= widest)?,
    };
    Some(format!("{address}/{bits}"))
}

/// Every problem, at its field below `exposure`.
pub(crate) fn check(exposure: &ExposureSpec, problems: &mut Vec<Problem>) {
    let protection = &exposure.protection;
    let mut wrong = |field: &str, message: String| {
        problems.push(Problem::new(
            format!("exposure.protection.{field}"),
            message,
        ));
    };
    if let Some(policy) = &protection.network_policy {
        if policy.from.is_empty() {
            wrong(
                "networkPolicy.from",
                "is empty, so that nobody could connect; write who may, such as `[{namespace: ingress-nginx}]`"
                    .into(),
            );
        }
        for (i, peer) in policy.from.iter().enumerate() {
            if let Err((field, message)) = check_peer(peer) {
                wrong(&format!("networkPolicy.from[{i}]{field}"), message);
            }
        }
    }
    for (i, address) in protection
        .allow_list
        .iter()
        .flat_map(|list| &list.addresses)
        .enumerate()
    {
        if network(address).is_none() {
            wrong(
                &format!("allowList.addresses[{i}]"),
                format!(
                    "`{}` is neither an address nor a subnet such as `203.0.113.0/28`",
                    shown(address)
                ),
            );
        }
    }
    if let Some(certificate) = &protection.client_certificate {
        let names: Vec<&str> = certificate.ca_secret.split('/').collect();
        if names.len() > 2 || !names.iter().all(|name| is_dns_subdomain(name)) {
            wrong(
                "clientCertificate.caSecret",
                format!(
                    "`{}` is not the name of a Secret; write `<name>` or `<namespace>/<name>`",
                    shown(&certificate.ca_secret)
                ),
            );
        }
    }
    if let Some(mesh) = &protection.istio
        && !mesh.strict
        && mesh.principals.is_empty()
    {
        wrong(
            "istio",
            "protects nothing; set `strict: true`, or list `principals`".into(),
        );
    }
    if let Some(token) = &protection.token {
        if token.audiences.is_empty() || token.audiences.iter().any(String::is_empty) {
            wrong(
                "token.audiences",
                "names no audience, so that any token of the issuer would do; write what API Management asks a token for, \
                 such as `api://orders`"
                    .into(),
            );
        }
        for (i, one) in token.issuers.iter().enumerate() {
            let at = |field: &str| format!("token.issuers[{i}].{field}");
            if one.issuer.is_empty() || one.issuer.contains('*') {
                wrong(
                    &at("issuer"),
                    format!("`{}` is not an issuer", shown(&one.issuer)),
                );
            }
            if !Url::parse(&one.jwks_uri).is_ok_and(|url| url.scheme() == "https") {
                wrong(
                    &at("jwksUri"),
                    format!("`{}` is not an https URL", shown(&one.jwks_uri)),
                );
            }
        }
    }
}

pub(crate) fn check_peer(peer: &Peer) -> Result<(), (&'static str, String)> {
    match (&peer.namespace, &peer.subnet) {
        (Some(namespace), None) if is_dns_subdomain(namespace) => {}
        (Some(namespace), None) => {
            return Err((
                ".namespace",
                format!("`{}` is not the name of a namespace", shown(namespace)),
            ));
        }
        (None, Some(subnet)) if subnet.contains('/') && network(subnet).is_some() => {
            if !peer.pod_labels.is_empty() {
                return Err((
                    ".podLabels",
                    "a subnet has no labels; leave them out, or write `namespace` instead of `subnet`".into(),
                ));
            }
        }
        (None, Some(subnet)) => {
            return Err((
                ".subnet",
                format!(
                    "`{}` is not a subnet; write one such as `10.1.0.0/24`",
                    shown(subnet)
                ),
            ));
        }
        _ => {
            return Err((
                "",
                "write exactly one of `namespace` and `subnet`".to_owned(),
            ));
        }
    }
    let is_port = |port: &Value| match port {
        Value::Number(number) => number.as_u64().is_some_and(|n| (1..=65535).contains(&n)),
        Value::String(name) => (1..=15).contains(&name.len()),
        _ => false,
    };
    for port in peer.ports.iter().flatten() {
        if !is_port(port) {
            return Err((
                ".ports",
                format!("`{port}` is neither a port number nor the name of a port"),
            ));
        }
    }
    if peer.ports.as_ref().is_some_and(Vec::is_empty) {
        return Err((
            ".ports",
            "is empty; leave it out for the API's own port".into(),
        ));
    }
    Ok(())
}
