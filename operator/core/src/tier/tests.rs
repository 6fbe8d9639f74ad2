use super::*;

#[test]
fn an_sku_is_read_whatever_its_case_and_an_unknown_one_refuses_nothing() {
    assert_eq!(Tier::from_sku("consumption"), Tier::Consumption);
    assert_eq!(Tier::from_sku("StandardV2"), Tier::StandardV2);
    for tier in Tier::ALL {
        assert_eq!(Tier::from_sku(tier.sku()), tier);
    }
    let other = Tier::from_sku("Isolated");
    assert_eq!(other, Tier::Other);
    assert_eq!(other.lacks("rate-limit-by-key"), None);
    assert_eq!(other.check_operations(1_000_000), Ok(()));
    assert_eq!(other.max_document_bytes(), 262_144);
}

#[test]
fn each_tier_has_its_own_limits() {
    let table: Vec<String> = Tier::ALL
        .into_iter()
        .map(|tier| {
            let limits = tier.limits();
            let resources: Vec<String> = Resource::ALL
                .into_iter()
                .map(|resource| {
                    limits
                        .of(resource)
                        .map_or_else(|| "-".into(), |n| n.to_string())
                })
                .collect();
            let per_api = limits.operations_per_api;
            format!(
                "{:<11} {:>6} B {:>4} | {} | {:?}",
                tier.sku(),
                limits.policy_document,
                per_api.map_or_else(|| "-".into(), |n| n.to_string()),
                resources.join(" "),
                tier.gateway(),
            )
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    Consumption  16384 B    - | 3000 1500 5000 100 100 - - | Consumption
    Developer   262144 B    - | 3000 1500 5000 100 100 10000 5 | Classic
    Basic       262144 B    - | 10000 1500 5000 100 200 15000 - | Classic
    BasicV2     262144 B  100 | 10000 1500 5000 100 200 15000 - | V2
    Standard    262144 B    - | 50000 2500 10000 200 500 25000 - | Classic
    StandardV2  262144 B    - | 50000 2500 10000 200 500 25000 - | V2
    Premium     262144 B    - | 75000 15000 18000 400 2000 75000 100 | Classic
    PremiumV2   262144 B    - | 75000 15000 18000 400 2000 75000 - | V2
    ");
}

#[test]
fn what_a_tier_lacks_is_named_with_the_tier_and_the_way_out() {
    assert_eq!(
        Tier::Consumption.lacks("rate-limit-by-key").unwrap(),
        "'rate-limit-by-key' does not exist on the Consumption tier; use another policy or an \
         instance of another tier"
    );
    assert_eq!(
        Tier::StandardV2.lacks("publish-to-dapr").unwrap(),
        "'publish-to-dapr' does not exist on the StandardV2 tier; it needs a self-hosted gateway: \
         use an instance of tier Developer or Premium"
    );
    assert_eq!(Tier::Premium.lacks("publish-to-dapr"), None);
    assert_eq!(Tier::StandardV2.lacks("rate-limit-by-key"), None);
}

#[test]
fn a_limit_that_is_exceeded_names_itself_the_value_the_tier_and_the_way_out() {
    assert_eq!(Tier::BasicV2.check_operations(100), Ok(()));
    assert_eq!(Tier::Basic.check_operations(101), Ok(()));
    assert_eq!(
        Tier::BasicV2.check_operations(101).unwrap_err().to_string(),
        "101 exceed the limit `operations per API` of the BasicV2 tier, which is 100; split the \
         document into several ExposedAPIs, or use an instance of another tier"
    );
}

#[test]
fn a_count_is_near_its_limit_from_four_fifths_on() {
    let usage = |count| Usage::of(Tier::Developer, Resource::Operations, count).unwrap();
    assert!(!usage(2_399).is_near());
    assert!(usage(2_400).is_near());
    assert_eq!(
        usage(2_400).to_string(),
        "2400 of at most 3000 API operations"
    );
    assert_eq!(
        Usage::of(Tier::Consumption, Resource::Subscriptions, 1),
        None
    );
}

#[test]
fn only_an_internal_network_keeps_callers_out() {
    assert_eq!(Network::from_arm("internal"), Network::Internal);
    assert_eq!(Network::from_arm("External"), Network::External);
    assert_eq!(Network::from_arm(""), Network::None);
    assert_eq!(Network::External.note(), None);
    assert!(
        Network::Internal
            .note()
            .unwrap()
            .contains("inside its virtual network")
    );
}
