//! What a call of a plugin may use, from the texts of a `PolicyPlugin`.

use std::time::Duration;

use super::duration::parse_duration;
use super::spec::LimitsSpec;
use crate::annotations::nearest::shown;
use crate::problem::Problem;

/// Less memory holds no plugin.
const LEAST_MEMORY: u64 = 1 << 20;
/// A shorter limit would end calls on a busy machine at random.
const LEAST_TIME: Duration = Duration::from_millis(10);
/// Less output holds no policy.
const LEAST_OUTPUT: u64 = 1 << 10;

/// What a call of a plugin may use. What is absent is the operator's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginLimits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Time.
    pub time: Option<Duration>,
    /// What it may return, in bytes.
    pub output: Option<u64>,
}

impl PluginLimits {
    /// Reads the limits of a `PolicyPlugin`. Problems name their field, as
    /// `spec.limits.memory`.
    pub fn parse(spec: &LimitsSpec) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let limits = Self {
            memory: read(
                "limits.memory",
                spec.memory.as_deref(),
                parse_quantity,
                LEAST_MEMORY,
                "1Mi",
                &mut problems,
            ),
            time: read(
                "limits.time",
                spec.time.as_deref(),
                parse_duration,
                LEAST_TIME,
                "10ms",
                &mut problems,
            ),
            output: read(
                "limits.output",
                spec.output.as_deref(),
                parse_quantity,
                LEAST_OUTPUT,
                "1Ki",
                &mut problems,
            ),
        };
        if problems.is_empty() {
            Ok(limits)
        } else {
            Err(problems)
        }
    }
}

fn read<T: PartialOrd + Copy>(
    field: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, String>,
    least: T,
    least_text: &str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let text = text?;
    match parse(text) {
        Ok(value) if value >= least => Some(value),
        Ok(_) => {
            problems.push(Problem::new(
                field,
                format!(
                    "`{}` is too little for any plugin; write at least `{least_text}`",
                    shown(text)
                ),
            ));
            None
        }
        Err(reason) => {
            problems.push(Problem::new(field, reason));
            None
        }
    }
}

/// A number of bytes, as Kubernetes writes quantities: `1048576`, `1Mi`,
/// `1.5Gi`, `500k`, `1e6`. A fraction of a byte counts as one.
pub fn parse_quantity(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| {
        format!(
            "`{}` is not a number of bytes; write a whole number or a quantity such as `256Ki`, `32Mi` or `1Gi`",
            shown(text)
        )
    })
}

fn bytes(text: &str) -> Option<u64> {
    const SUFFIXES: [(&str, u128); 12] = [
        ("", 1),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
    ];
    let (number, suffix) = decimal(text)?;
    let factor = match SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        Some((_, factor)) => *factor,
        // `1e6`; without a digit it is the suffix for 10^18.
        None => power(suffix.strip_prefix(['e', 'E'])?)?,
    };
    u64::try_from(number.times(factor)?).ok()
}

/// Ten to the power that the text names.
fn power(text: &str) -> Option<u128> {
    let exponent: u32 = text.strip_prefix('+').unwrap_or(text).parse().ok()?;
    10_u128.checked_pow(exponent)
}

/// A decimal number: the digits, and how many of them follow the point.
struct Decimal {
    digits: u128,
    scale: u32,
}

impl Decimal {
    /// The product, rounded up.
    fn times(&self, factor: u128) -> Option<u128> {
        let product = self.digits.checked_mul(factor)?;
        Some(product.div_ceil(10_u128.checked_pow(self.scale)?))
    }
}

/// The number that a text begins with, and what follows it.
fn decimal(text: &str) -> Option<(Decimal, &str)> {
    let length = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let (whole, rest) = text.split_at_checked(length(text))?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at_checked(length(rest))?,
        None => ("", rest),
    };
    if whole.is_empty() || (rest.starts_with('.')) || whole.len() + fraction.len() > 20 {
        return None;
    }
    Some((
        Decimal {
            digits: format!("{whole}{fraction}").parse().ok()?,
            scale: u32::try_from(fraction.len()).ok()?,
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("32Mi", 32 << 20),
            ("1.5Gi", 3 << 29),
            ("500k", 500_000),
            ("1e6", 1_000_000),
            ("2E+3", 2_000),
            ("1E", 1_000_000_000_000_000_000),
            ("0.0001Ki", 1),
        ] {
            assert_eq!(parse_quantity(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "Mi",
            "1mi",
            "1 Mi",
            "-1",
            "1.2.3",
            "1e",
            "1e99",
            "9999E",
            "1MiB",
            "٣Mi",
            "999999999999999999999",
        ] {
            let error = parse_quantity(text).expect_err(text);
            assert!(
                error.starts_with(&format!("`{text}` is not a number of bytes")),
                "{error}"
            );
        }
    }

    #[test]
    fn every_bad_limit_is_named_with_its_field_and_the_way_out() {
        let text = |text: &str| Some(text.to_owned());
        let spec = LimitsSpec {
            memory: text("lots"),
            time: text("1ms"),
            output: text("1"),
        };
        let problems: Vec<String> = PluginLimits::parse(&spec)
            .expect_err("all three are wrong")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            problems,
            [
                "limits.memory: `lots` is not a number of bytes; write a whole number or a quantity such as \
                 `256Ki`, `32Mi` or `1Gi`",
                "limits.time: `1ms` is too little for any plugin; write at least `10ms`",
                "limits.output: `1` is too little for any plugin; write at least `1Ki`",
            ]
        );
        let spec = LimitsSpec {
            memory: text("32Mi"),
            time: None,
            output: text("256Ki"),
        };
        assert_eq!(
            PluginLimits::parse(&spec),
            Ok(PluginLimits {
                memory: Some(32 << 20),
                time: None,
                output: Some(256 << 10),
            })
        );
    }
}
