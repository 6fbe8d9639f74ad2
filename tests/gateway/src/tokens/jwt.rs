//! Whether a JSON Web Token is good. Signatures are the library's matter; what
//! the claims must say is decided here, on a time that is passed in.

use super::keys::{Serial, VerificationKey};
use apim_expressions::Jwt;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use moka::sync::Cache;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 64 * 1024;

/// The payload of a token.
pub(crate) type Claims = Map<String, Value>;

/// What a token must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Acceptable audiences; any if empty.
    pub(crate) audiences: Vec<String>,
    /// Acceptable issuers; any if empty.
    pub(crate) issuers: Vec<String>,
    /// Seconds by which clocks may differ.
    pub(crate) clock_skew: i64,
    pub(crate) require_expiration: bool,
    pub(crate) require_signature: bool,
    pub(crate) claims: Vec<RequiredClaim>,
}

/// A claim that a token must have.
#[derive(Debug, Clone)]
pub(crate) struct RequiredClaim {
    pub(crate) name: String,
    /// Acceptable values; any if empty.
    pub(crate) values: Vec<String>,
    /// All of the values must be there, or any one.
    pub(crate) all: bool,
    /// Splits a claim that holds several values in one text.
    pub(crate) separator: Option<String>,
}

/// Why a token is not accepted: `context.LastError.Reason` and `Message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

fn refuse<T>(reason: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        reason,
        message: message.into(),
    })
}

/// A token that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedToken(Arc<Parts>);

/// Bytes of tokens that are kept.
const KEPT: u64 = 16 * 1024 * 1024;

/// Tokens whose signatures were good, and the key that showed it. That never
/// changes; what can (time, the keys that are trusted now, what a policy asks
/// for) is looked at for every request. Tokens that nobody signed are not
/// kept, so nobody without a key can fill it.
pub(crate) struct TokenCache(Cache<String, (Arc<Parts>, Serial)>);

impl Default for TokenCache {
    fn default() -> Self {
        // The text, and about as much again for its claims as they are read.
        let weigh = |token: &String, _: &(Arc<Parts>, Serial)| {
            u32::try_from(token.len().saturating_mul(3)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(KEPT).weigher(weigh).build())
    }
}

impl TokenCache {
    /// Reads a token; nothing of it is to be believed yet.
    pub(crate) fn read<'t>(&'t self, text: &'t str) -> Result<ReadToken<'t>, Refusal> {
        let (parts, signed_by) = match self.0.get(text) {
            Some((parts, key)) => (parts, Some(key)),
            None => (Arc::new(parts(text)?), None),
        };
        Ok(ReadToken {
            text,
            parts,
            signed_by,
            cache: self,
        })
    }
}

/// A token that was read and not verified.
pub(crate) struct ReadToken<'t> {
    text: &'t str,
    parts: Arc<Parts>,
    /// The key that verified its signature before.
    signed_by: Option<Serial>,
    cache: &'t TokenCache,
}

impl ReadToken<'_> {
    /// The key id that it names.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.parts.key_id.as_deref()
    }
}

/// The parts of a token, not verified.
#[derive(Debug)]
struct Parts {
    algorithm: String,
    key_id: Option<String>,
    kind: String,
    claims: Claims,
    signed: bool,
}

fn parts(token: &str) -> Result<Parts, Refusal> {
    let malformed = || Refusal {
        reason: "JwtInvalid",
        message: "JWT is malformed.".to_owned(),
    };
    if token.len() > LONGEST {
        return refuse("JwtInvalid", format!("JWT is longer than {LONGEST} bytes."));
    }
    let mut sections = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (
        sections.next(),
        sections.next(),
        sections.next(),
        sections.next(),
    ) else {
        return Err(malformed());
    };
    let object = |section: &str| -> Result<Claims, Refusal> {
        let bytes = URL_SAFE_NO_PAD.decode(section).map_err(|_| malformed())?;
        serde_json::from_slice(&bytes).map_err(|_| malformed())
    };
    let header = object(header)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
    // What a recipient must understand and does not, it must not accept.
    if header.contains_key("crit") {
        return refuse(
            "JwtInvalid",
            "JWT has critical extensions that are not known.",
        );
    }
    Ok(Parts {
        algorithm: text("alg").ok_or_else(malformed)?,
        key_id: text("kid"),
        kind: text("typ").unwrap_or_default(),
        claims: object(payload)?,
        signed: !signature.is_empty(),
    })
}

/// Whether a token is good now (in seconds since 1970).
pub(crate) fn verify(
    token: ReadToken<'_>,
    keys: &[VerificationKey],
    rules: &Rules,
    now: i64,
) -> Result<VerifiedToken, Refusal> {
    check_signature(&token, keys, rules)?;
    let claims = &token.parts.claims;
    check_times(claims, rules, now)?;
    check_names(claims, rules)?;
    for claim in &rules.claims {
        check_claim(claims, claim)?;
    }
    Ok(VerifiedToken(token.parts))
}

fn check_signature(
    token: &ReadToken<'_>,
    keys: &[VerificationKey],
    rules: &Rules,
) -> Result<(), Refusal> {
    let parts = &token.parts;
    if parts.algorithm.eq_ignore_ascii_case("none") || !parts.signed {
        // Only a token that claims no signature may go without one.
        let honest = parts.algorithm.eq_ignore_ascii_case("none") && !parts.signed;
        return if honest && !rules.require_signature {
            Ok(())
        } else {
            refuse("TokenSignatureInvalid", "JWT is not signed.")
        };
    }
    let Ok(algorithm) = parts.algorithm.parse::<Algorithm>() else {
        return refuse(
            "TokenSignatureInvalid",
            "JWT is signed with an algorithm that is not supported.",
        );
    };
    let fits = |key: &&VerificationKey| {
        key.kind.allows(algorithm) && key.only.is_none_or(|only| only == algorithm)
    };
    // A key that the token names by id; keys without an id are tried for any.
    let named: Vec<&VerificationKey> = keys
        .iter()
        .filter(|key| match (&parts.key_id, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        })
        .collect();
    if named.is_empty() {
        return refuse(
            "TokenSignatureKeyNotFound",
            "JWT signature verification key not found.",
        );
    }
    let mut fitting = named.into_iter().filter(fits);
    if let Some(known) = token.signed_by
        && fitting.clone().any(|key| key.serial == known)
    {
        return Ok(());
    }
    let Some((message, signature)) = token.text.rsplit_once('.') else {
        return refuse("JwtInvalid", "JWT is malformed.");
    };
    let good = fitting.find(|key| {
        let message = message.as_bytes();
        jsonwebtoken::crypto::verify(signature, message, &key.key, algorithm).unwrap_or(false)
    });
    match good {
        Some(key) => {
            let kept = (Arc::clone(parts), key.serial);
            token.cache.0.insert(token.text.to_owned(), kept);
            Ok(())
        }
        None => refuse("TokenSignatureInvalid", "JWT signature validation failed."),
    }
}

/// Seconds of a time claim; a fraction is cut off.
fn time(claims: &Claims, name: &str) -> Result<Option<i64>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let seconds = number.as_i64().or_else(|| {
                let float = number.as_f64()?;
                // Beyond that no clock goes.
                #[expect(clippy::cast_possible_truncation, reason = "in range")]
                (float.abs() < 1e15).then_some(float as i64)
            });
            seconds.map(Some).ok_or_else(|| Refusal {
                reason: "JwtInvalid",
                message: format!("JWT claim '{name}' is no time."),
            })
        }
        Some(_) => refuse("JwtInvalid", format!("JWT claim '{name}' is no time.")),
    }
}

fn check_times(claims: &Claims, rules: &Rules, now: i64) -> Result<(), Refusal> {
    match time(claims, "exp")? {
        None if rules.require_expiration => {
            return refuse("JwtInvalid", "JWT has no expiration time.");
        }
        // A token is good until the second it names, exclusively (RFC 7519,
        // 4.1.4).
        Some(end) if end.saturating_add(rules.clock_skew) <= now => {
            return refuse("TokenExpired", "JWT is expired.");
        }
        _ => {}
    }
    match time(claims, "nbf")? {
        Some(start) if start.saturating_sub(rules.clock_skew) > now => {
            refuse("TokenNotYetValid", "JWT is not valid yet.")
        }
        _ => Ok(()),
    }
}

/// The values of a claim as text.
fn values(value: Option<&Value>) -> Vec<String> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().flat_map(|item| values(Some(item))).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(other) => vec![other.to_string()],
    }
}

fn check_names(claims: &Claims, rules: &Rules) -> Result<(), Refusal> {
    let audiences = values(claims.get("aud"));
    if !rules.audiences.is_empty()
        && !audiences
            .iter()
            .any(|audience| rules.audiences.contains(audience))
    {
        return refuse("TokenAudienceNotAllowed", "JWT audience is not allowed.");
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if !rules.issuers.is_empty()
        && !issuer.is_some_and(|issuer| rules.issuers.iter().any(|known| known == issuer))
    {
        return refuse("TokenIssuerNotAllowed", "JWT issuer is not allowed.");
    }
    Ok(())
}

fn check_claim(claims: &Claims, required: &RequiredClaim) -> Result<(), Refusal> {
    let name = &required.name;
    let mut found = values(claims.get(name));
    if let Some(separator) = required
        .separator
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        found = found
            .iter()
            .flat_map(|value| value.split(separator))
            .map(|value| value.trim().to_owned())
            .collect();
    }
    if found.is_empty() {
        return refuse(
            "TokenClaimNotFound",
            format!("JWT token is missing the following claims: {name}."),
        );
    }
    let has = |wanted: &String| found.contains(wanted);
    let fits = required.values.is_empty()
        || if required.all {
            required.values.iter().all(has)
        } else {
            required.values.iter().any(has)
        };
    if fits {
        Ok(())
    } else {
        refuse(
            "TokenClaimValueNotAllowed",
            format!("Claim {name} value is not allowed."),
        )
    }
}

impl VerifiedToken {
    /// What expressions see of it.
    pub(crate) fn seen(&self) -> Jwt {
        let text = |name: &str| {
            let found = values(self.0.claims.get(name));
            found.into_iter().next().unwrap_or_default()
        };
        let moment = |name: &str| {
            let seconds = time(&self.0.claims, name).ok().flatten()?;
            jiff::Timestamp::from_second(seconds).ok()
        };
        Jwt {
            algorithm: self.0.algorithm.clone(),
            audiences: values(self.0.claims.get("aud")),
            claims: self
                .0
                .claims
                .iter()
                .map(|(name, value)| (name.clone(), values(Some(value))))
                .collect(),
            expiration_time: moment("exp"),
            id: text("jti"),
            issuer: text("iss"),
            issued_at: moment("iat"),
            not_before: moment("nbf"),
            subject: text("sub"),
            token_type: self.0.kind.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::keys::KeyKind;
    use jsonwebtoken::{DecodingKey, EncodingKey, Header};
    use proptest::prelude::*;
    use serde_json::json;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_700_000_000;

    fn keys() -> Vec<VerificationKey> {
        vec![VerificationKey {
            serial: Serial::next(),
            id: Some("k1".to_owned()),
            kind: KeyKind::Symmetric,
            key: Arc::new(DecodingKey::from_secret(SECRET)),
            only: None,
        }]
    }

    fn rules() -> Rules {
        Rules {
            require_expiration: true,
            require_signature: true,
            ..Rules::default()
        }
    }

    fn signed(kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
    }

    fn reason(token: &str, rules: &Rules) -> &'static str {
        match checked(token, rules) {
            Ok(_) => "accepted",
            Err(refusal) => refusal.reason,
        }
    }

    /// By a gateway that has never seen the token.
    fn checked(token: &str, rules: &Rules) -> Result<VerifiedToken, Refusal> {
        let cache = TokenCache::default();
        verify(cache.read(token)?, &keys(), rules, NOW)
    }

    #[test]
    fn a_token_that_was_good_once_is_measured_again_by_time_rules_and_todays_keys() {
        let cache = TokenCache::default();
        let token = signed(Some("k1"), &json!({"exp": NOW + 60, "aud": "a"}));
        let keys = keys();
        let check = |keys: &[VerificationKey], rules: &Rules, now: i64| {
            let read = cache.read(&token).expect("a token");
            let known = read.signed_by.is_some();
            let verified = verify(read, keys, rules, now);
            (
                known,
                verified.map_or_else(|refusal| refusal.reason, |_| "accepted"),
            )
        };
        assert_eq!(check(&keys, &rules(), NOW), (false, "accepted"));
        assert_eq!(check(&keys, &rules(), NOW), (true, "accepted"));
        assert_eq!(check(&keys, &rules(), NOW + 60), (true, "TokenExpired"));
        let other = Rules {
            audiences: vec!["b".to_owned()],
            ..rules()
        };
        assert_eq!(check(&keys, &other, NOW), (true, "TokenAudienceNotAllowed"));
        let stranger = VerificationKey {
            serial: Serial::next(),
            key: Arc::new(DecodingKey::from_secret(b"another secret, as long as that")),
            ..keys[0].clone()
        };
        assert_eq!(
            check(&[stranger], &rules(), NOW),
            (true, "TokenSignatureInvalid")
        );
        let revoked = VerificationKey {
            id: Some("k2".to_owned()),
            ..keys[0].clone()
        };
        assert_eq!(
            check(&[revoked], &rules(), NOW),
            (true, "TokenSignatureKeyNotFound")
        );
        let narrowed = VerificationKey {
            only: Some(Algorithm::HS512),
            ..keys[0].clone()
        };
        assert_eq!(
            check(&[narrowed], &rules(), NOW),
            (true, "TokenSignatureInvalid")
        );
        // Read anew after an hour: the same key, another serial number.
        let again = VerificationKey {
            serial: Serial::next(),
            ..keys[0].clone()
        };
        assert_eq!(check(&[again], &rules(), NOW), (true, "accepted"));
    }

    #[test]
    fn a_token_is_good_until_the_second_it_names() {
        let cases = [
            (json!({"exp": NOW + 1}), 0, "accepted"),
            (json!({"exp": NOW}), 0, "TokenExpired"),
            (json!({"exp": NOW - 1}), 0, "TokenExpired"),
            (json!({"exp": NOW - 1}), 2, "accepted"),
            (
                json!({"exp": NOW + 9, "nbf": NOW + 1}),
                0,
                "TokenNotYetValid",
            ),
            (json!({"exp": NOW + 9, "nbf": NOW + 1}), 1, "accepted"),
            (json!({"exp": "soon"}), 0, "JwtInvalid"),
            (json!({}), 0, "JwtInvalid"),
            (json!({"exp": i64::MAX}), i64::MAX, "accepted"),
        ];
        for (claims, clock_skew, expected) in cases {
            let rules = Rules {
                clock_skew,
                ..rules()
            };
            assert_eq!(reason(&signed(None, &claims), &rules), expected, "{claims}");
        }
    }

    #[test]
    fn tokens_of_the_wrong_kind_are_refused() {
        let claims = json!({"exp": NOW + 60});
        let good = signed(Some("k1"), &claims);
        assert_eq!(reason(&good, &rules()), "accepted");
        assert_eq!(
            reason(&signed(Some("k2"), &claims), &rules()),
            "TokenSignatureKeyNotFound"
        );
        let (signed_part, _) = good.rsplit_once('.').unwrap();
        let (header, payload) = signed_part.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let rsa = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let crit = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","crit":["b64"]}"#);
        let signature = &good[signed_part.len() + 1..];
        let cases = [
            (format!("{none}.{payload}."), "TokenSignatureInvalid"),
            (
                format!("{none}.{payload}.{signature}"),
                "TokenSignatureInvalid",
            ),
            (format!("{header}.{payload}."), "TokenSignatureInvalid"),
            (
                format!("{rsa}.{payload}.{signature}"),
                "TokenSignatureInvalid",
            ),
            (format!("{crit}.{payload}.{signature}"), "JwtInvalid"),
            (format!("{header}.{payload}"), "JwtInvalid"),
            (format!("{good}.{signature}"), "JwtInvalid"),
            ("a".repeat(LONGEST + 1), "JwtInvalid"),
            (String::new(), "JwtInvalid"),
        ];
        for (token, expected) in cases {
            assert_eq!(reason(&token, &rules()), expected, "{token:.40}");
        }
        // A token that says it is not signed may pass only where the policy
        // lets it.
        let unsigned = Rules {
            require_signature: false,
            ..rules()
        };
        assert_eq!(reason(&format!("{none}.{payload}."), &unsigned), "accepted");
        assert_eq!(
            reason(&format!("{header}.{payload}."), &unsigned),
            "TokenSignatureInvalid"
        );
    }

    #[test]
    fn claims_are_asked_for_all_or_any_and_split() {
        let token = signed(
            None,
            &json!({
                "exp": NOW + 60, "aud": ["a", "b"], "iss": "me", "scp": "read write", "level": 3,
            }),
        );
        let with = |claim: (&str, &[&str], bool, Option<&str>)| Rules {
            claims: vec![RequiredClaim {
                name: claim.0.to_owned(),
                values: claim.1.iter().map(|value| (*value).to_owned()).collect(),
                all: claim.2,
                separator: claim.3.map(str::to_owned),
            }],
            ..rules()
        };
        let cases = [
            (("scp", &["read"][..], true, Some(" ")), "accepted"),
            (("scp", &["read"], true, None), "TokenClaimValueNotAllowed"),
            (
                ("scp", &["read", "x"], true, Some(" ")),
                "TokenClaimValueNotAllowed",
            ),
            (("scp", &["read", "x"], false, Some(" ")), "accepted"),
            (("level", &["3"], true, None), "accepted"),
            (("gone", &[], true, None), "TokenClaimNotFound"),
        ];
        for (claim, expected) in cases {
            assert_eq!(reason(&token, &with(claim)), expected, "{claim:?}");
        }
        let audience = |audience: &str| Rules {
            audiences: vec![audience.to_owned()],
            ..rules()
        };
        assert_eq!(reason(&token, &audience("b")), "accepted");
        assert_eq!(reason(&token, &audience("c")), "TokenAudienceNotAllowed");
        let issuer = Rules {
            issuers: vec!["you".to_owned()],
            ..rules()
        };
        assert_eq!(reason(&token, &issuer), "TokenIssuerNotAllowed");
    }

    proptest! {
        #[test]
        fn no_token_that_nobody_signed_is_accepted(token in ".{0,200}") {
            prop_assert!(checked(&token, &rules()).is_err());
        }

        #[test]
        fn no_changed_token_is_accepted(at in 0_usize..400, byte in any::<u8>()) {
            let token = signed(Some("k1"), &json!({"exp": NOW + 60, "sub": "a"}));
            let mut bytes = token.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(changed) = String::from_utf8(bytes)
                && changed != token
            {
                prop_assert!(checked(&changed, &rules()).is_err());
            }
        }
    }
}
