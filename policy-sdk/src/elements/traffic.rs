//! How often and how much.

use super::{Element, list, statement};
use crate::{Fixed, IntoValue};

statement! {
    /// Limits calls per subscription. Known before any request comes in, so
    /// nothing here takes an expression. Once per document.
    RateLimit = "rate-limit" in [Inbound]
    (calls: Fixed<u32> => "calls", renewal_period: Fixed<u32> => "renewal-period")
    {
        /// The response header that holds the seconds to wait.
        retry_after_header: Fixed<str> => "retry-after-header-name",
        /// The variable that holds the seconds to wait.
        retry_after_variable: Fixed<str> => "retry-after-variable-name",
        /// The response header that holds the calls that are left.
        remaining_calls_header: Fixed<str> => "remaining-calls-header-name",
        /// The variable that holds the calls that are left.
        remaining_calls_variable: Fixed<str> => "remaining-calls-variable-name",
        /// The response header that holds `calls`.
        total_calls_header: Fixed<str> => "total-calls-header-name",
    }
}

statement! {
    /// Limits calls per value of a key.
    RateLimitByKey = "rate-limit-by-key" in [Inbound]
    (calls: u32 => "calls", renewal_period: u32 => "renewal-period", counter_key: str => "counter-key")
    {
        /// Counts a request only if this holds.
        increment_condition: bool => "increment-condition",
        /// What a request counts as.
        increment_count: u32 => "increment-count",
        /// The response header that holds the seconds to wait.
        retry_after_header: Fixed<str> => "retry-after-header-name",
        /// The variable that holds the seconds to wait.
        retry_after_variable: Fixed<str> => "retry-after-variable-name",
        /// The response header that holds the calls that are left.
        remaining_calls_header: Fixed<str> => "remaining-calls-header-name",
        /// The variable that holds the calls that are left.
        remaining_calls_variable: Fixed<str> => "remaining-calls-variable-name",
        /// The response header that holds `calls`.
        total_calls_header: Fixed<str> => "total-calls-header-name",
    }
}

statement! {
    /// Limits calls or bytes per subscription over a long period. Needs at
    /// least one of the two. Once per document.
    Quota = "quota" in [Inbound]
    (renewal_period: Fixed<u32> => "renewal-period")
    {
        /// Calls per period.
        calls: Fixed<u32> => "calls",
        /// Kilobytes per period.
        bandwidth: Fixed<u64> => "bandwidth",
    }
}

statement! {
    /// Limits calls or bytes per value of a key over a long period. Needs at
    /// least one of the two.
    QuotaByKey = "quota-by-key" in [Inbound]
    (counter_key: str => "counter-key", renewal_period: Fixed<u32> => "renewal-period")
    {
        /// Calls per period.
        calls: Fixed<u32> => "calls",
        /// Kilobytes per period.
        bandwidth: Fixed<u64> => "bandwidth",
        /// Counts a request only if this holds.
        increment_condition: bool => "increment-condition",
    }
}

statement! {
    /// Answers from the cache. Wants a [`CacheStore`] in `outbound`.
    CacheLookup = "cache-lookup" in [Inbound]
    (vary_by_developer: bool => "vary-by-developer",
     vary_by_developer_groups: bool => "vary-by-developer-groups")
    {
        /// Whether responses to requests with `Authorization` are cached.
        allow_private_response_caching: bool => "allow-private-response-caching",
    }
}

impl CacheLookup {
    /// Keeps an answer per value of a request header.
    pub fn vary_by_header(self, name: impl IntoValue<str>) -> Self {
        Self(self.0.child(Element::new("vary-by-header").put(name)))
    }

    /// Keeps an answer per value of query parameters.
    pub fn vary_by_query<V: IntoValue<str>>(self, names: impl IntoIterator<Item = V>) -> Self {
        let names = list("", "vary-by-query-parameter", names).children;
        let mut element = self.0;
        element.children.extend(names);
        Self(element)
    }
}

statement! {
    /// Puts the response into the cache, for `duration` seconds.
    CacheStore = "cache-store" in [Outbound]
    (duration: u32 => "duration")
    {
        /// Whether this response is put there.
        cache_response: bool => "cache-response",
    }
}
