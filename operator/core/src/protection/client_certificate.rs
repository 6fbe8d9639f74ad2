//! Whoever calls an Ingress must show a client certificate: annotations of
//! ingress-nginx
//! (<https://kubernetes.github.io/ingress-nginx/examples/auth/client-certs/>) and
//! of HAProxy Ingress, a TLSOption of Traefik
//! (<https://doc.traefik.io/traefik/https/tls/#client-authentication-mtls>).
//!
//! API Management shows the one that a policy names (`authentication-certificate`).

use serde_json::json;

use super::{Before, Protection};
use crate::desired::Exposure;
use crate::exposure::{ObjectFacts, ObjectKind};
use crate::instance::spec::IngressController;

static KIND: ObjectKind = ObjectKind {
    kind: "TLSOption",
    group: "traefik.io",
    version: "v1alpha1",
    plural: "tlsoptions",
    comes_with: Some("Traefik 3 with its CRDs"),
    role: Some("apim-operator-traefik"),
    reads: &[],
    instead: "leave `exposure.protection.clientCertificate` out of the instance",
    facts: |_| ObjectFacts::default(),
    paths: |_| Vec::new(),
};

const SETTING: &str = "protection.clientCertificate";

pub(super) static PROTECTION: Protection = Protection {
    kind: &KIND,
    before: Before::Exposure,
    protect: |guarded, _, exposure| {
        let settings = &guarded.instance.spec.exposure.protection.client_certificate;
        let Some(settings) = settings else {
            return Ok(None);
        };
        let Exposure::Ingress(ingress) = exposure else {
            return Err(guarded.cannot(
                SETTING,
                "nothing that the operator makes there asks for a certificate; let the Gateway ask, which is the \
                 platform's, or choose exposure `ingress`",
            ));
        };
        let controller = guarded.controller(SETTING)?;
        // They ask during the handshake, when a host is all that they know.
        let named = ingress.host.as_deref().is_some_and(|host| !host.is_empty());
        for (setting, is_there) in [("host", named), ("tlsSecret", ingress.tls_secret.is_some())] {
            if !is_there {
                return Err(guarded.wrong(
                    setting,
                    "is not set, and `exposure.protection.clientCertificate` needs TLS at a host of its own",
                ));
            }
        }
        let namespace = &guarded.api.key.namespace;
        let secret = match settings.ca_secret.split_once('/') {
            Some(_) => settings.ca_secret.clone(),
            None => format!("{namespace}/{}", settings.ca_secret),
        };
        let options = guarded.in_traefik();
        let annotations: &[(&str, &str)] = match controller {
            IngressController::IngressNginx => &[
                ("nginx.ingress.kubernetes.io/auth-tls-secret", &secret),
                ("nginx.ingress.kubernetes.io/auth-tls-verify-client", "on"),
            ],
            IngressController::HaproxyIngress => &[
                ("haproxy-ingress.github.io/auth-tls-secret", &secret),
                ("haproxy-ingress.github.io/auth-tls-verify-client", "on"),
                // Without the Secret nobody may call, rather than everybody.
                ("haproxy-ingress.github.io/auth-tls-strict", "true"),
            ],
            IngressController::Traefik => {
                if settings.ca_secret.contains('/') {
                    return Err(guarded.wrong(
                        "protection.clientCertificate.caSecret",
                        &format!(
                            "`{}` names a namespace, and Traefik reads a Secret beside its TLSOption only; write the name \
                             alone and put the Secret into the namespace of each API",
                            settings.ca_secret
                        ),
                    ));
                }
                &[
                    ("traefik.ingress.kubernetes.io/router.tls", "true"),
                    ("traefik.ingress.kubernetes.io/router.tls.options", &options),
                ]
            }
            IngressController::Haproxy => {
                return Err(guarded.cannot(
                    SETTING,
                    "this controller asks for certificates for all Ingresses or for none: set `client-ca` in its \
                     ConfigMap, or use `haproxy-ingress`, `ingress-nginx` or `traefik`",
                ));
            }
            IngressController::Contour => {
                return Err(guarded.cannot(
                    SETTING,
                    "Contour asks for certificates in its HTTPProxy only, not for an Ingress; use `haproxy-ingress`, \
                     `ingress-nginx` or `traefik`",
                ));
            }
        };
        for (name, value) in annotations {
            guarded.annotate(ingress, SETTING, name, (*value).to_owned())?;
        }
        let is_traefik = controller == IngressController::Traefik;
        Ok(is_traefik.then(|| {
            json!({"clientAuth": {
                "secretNames": [settings.ca_secret],
                "clientAuthType": "RequireAndVerifyClientCert",
            }})
        }))
    },
};
