//! How often and how much.

use super::{Element, choice, list, statement};
use crate::{AllowsCode, Fixed, IntoValue};

statement! {
    /// Limits calls per subscription. Known before any request comes in, so
    /// nothing here takes an expression. Once per document.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = RateLimit::new(100_u32, 60_u32);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<rate-limit calls="100" renewal-period="60" />"#.to_owned() + "\n"
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = RateLimitByKey::new(100_u32, 60_u32, Expression::new("context.Request.IpAddress"))
    ///     .retry_after_header("x-wait");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<rate-limit-by-key calls="100" renewal-period="60" counter-key="@(context.Request.IpAddress)" retry-after-header-name="x-wait" />"#.to_owned() + "\n"
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = Quota::new(86_400_u32).calls(1_000_u32);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<quota renewal-period="86400" calls="1000" />"#.to_owned() + "\n"
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = QuotaByKey::new(Expression::new("context.Request.IpAddress"), 86_400_u32)
    ///     .bandwidth(40_000_u64);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<quota-by-key counter-key="@(context.Request.IpAddress)" renewal-period="86400" bandwidth="40000" />"#.to_owned() + "\n"
    /// );
    /// ```
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

choice! {
    /// Which cache is used.
    CachingType {
        /// The external one where there is one, else the built-in one.
        PreferExternal = "prefer-external",
        /// The built-in one.
        Internal = "internal",
        /// The external one.
        External = "external",
    }
}

impl IntoValue<Fixed<Self>> for CachingType {
    fn into_value(self) -> crate::Value {
        <Self as IntoValue<Self>>::into_value(self)
    }
}

choice! {
    /// Which caches between gateway and caller may keep an answer.
    DownstreamCaching {
        /// None.
        None = "none",
        /// The caller's own.
        Private = "private",
        /// All.
        Public = "public",
    }
}

impl AllowsCode for DownstreamCaching {}

statement! {
    /// Answers from the cache. Wants a [`CacheStore`] in `outbound`.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = CacheLookup::new(false, false)
    ///     .downstream_caching(DownstreamCaching::None)
    ///     .vary_by_header("Accept")
    ///     .vary_by_query(["page"]);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<cache-lookup vary-by-developer="false" vary-by-developer-groups="false" downstream-caching-type="none">
    ///   <vary-by-header>Accept</vary-by-header>
    ///   <vary-by-query-parameter>page</vary-by-query-parameter>
    /// </cache-lookup>
    /// "#
    /// );
    /// ```
    CacheLookup = "cache-lookup" in [Inbound]
    (vary_by_developer: bool => "vary-by-developer",
     vary_by_developer_groups: bool => "vary-by-developer-groups")
    {
        /// Which caches between gateway and caller may keep the answer; by
        /// default none.
        downstream_caching: DownstreamCaching => "downstream-caching-type",
        /// Whether those caches must ask again once the answer is stale.
        must_revalidate: bool => "must-revalidate",
        /// Which cache is used; by default an external one where there is one.
        caching_type: Fixed<CachingType> => "caching-type",
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = CacheStore::new(300_u32);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<cache-store duration="300" />"#.to_owned() + "\n"
    /// );
    /// ```
    CacheStore = "cache-store" in [Outbound]
    (duration: u32 => "duration")
    {
        /// Whether this response is put there.
        cache_response: bool => "cache-response",
    }
}
