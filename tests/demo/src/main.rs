//! The main job, shown to a person: three ExposedAPIs become published APIs,
//! change, break, are mended and go away.
//!
//! Everything real that can run here runs as a process of its own: etcd,
//! kube-apiserver, the operator. Azure is the local one, and a stand-in takes
//! the part of load balancer and kubelet; both are told as such. The demo shows
//! real commands with their real output and must never pretend a result.
#![forbid(unsafe_code)]

mod show;
mod world;

use std::process::ExitCode;

use show::Show;
use world::World;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        println!(
            "Shows the operator at work, with a real kube-apiserver and a local Azure.\n\n\
             KEEP=1  leave everything up at the end, and print how to reach it"
        );
        return ExitCode::SUCCESS;
    }
    // Dropping the demo ends its processes and removes its files, however it
    // ends.
    tokio::select! {
        outcome = demo() => match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("\ndemo: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\ndemo: stopped; nothing is left behind");
            ExitCode::from(130)
        }
    }
}

async fn demo() -> anyhow::Result<()> {
    let keep = std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty() && keep != "0");
    let world = World::start().await?;
    let mut show = Show::new(&world);
    publish(&mut show, &world).await?;
    call(&mut show).await?;
    change(&mut show, &world).await?;
    mistake(&mut show, &world).await?;
    if keep {
        return stay(&world).await;
    }
    delete(&mut show, &world).await?;
    show.note("Done. Every process of the demo ends now, and its files are removed.");
    Ok(())
}

async fn publish(show: &mut Show<'_>, world: &World) -> anyhow::Result<()> {
    show.title("Three APIs: TM Forum's dialect, the original operator's, and a chain of its own");
    show.run("kubectl apply -f services.yaml -f catalog.yaml -f legacy.yaml -f stock.yaml")
        .await?;
    world.until_ready(&["catalog", "legacy", "stock"]).await?;
    show.run("kubectl get exposedapi -n shop").await?;
    show.run("kubectl get exposedapi -n shop -o custom-columns=NAME:.metadata.name,PLUGINS:.status.pluginNames,'API ID:.status.apim.apiId'")
        .await?;
    show.note("Each has an Ingress (the address comes from the stand-in) …");
    show.run("kubectl get ingress -n shop").await?;
    show.note("… an API in API Management, with the operations of its OpenAPI document …");
    show.run("./apim apis/shop.catalog | grep -E '\"(displayName|path|serviceUrl|subscriptionRequired|apiRevisionDescription)\"'")
        .await?;
    show.run("./apim apis/shop.catalog/operations | grep -E '\"(method|urlTemplate)\"' | paste - - | tr -s ' '").await?;
    show.note("… and the policy document that its plugins made:");
    show.run("./policy shop.catalog").await?;
    show.note("`stock` chose its own plugins by annotation, and limits one operation further:");
    show.run("sed -n '/annotations:/,/^spec:/p' stock.yaml | grep -v '^spec:'")
        .await?;
    show.run("./policy shop.stock/operations/reservestock")
        .await
}

async fn call(show: &mut Show<'_>) -> anyhow::Result<()> {
    show.title("What callers meet: the local gateway executes the policies, in front of a backend that echoes");
    show.note(
        "Without a token, with one that is for somebody else, and with one that is for these APIs:",
    );
    show.run("./call /product-catalog/productOffering").await?;
    show.run(
        "./call /product-catalog/productOffering -H \"Authorization: Bearer $(./token operator)\"",
    )
    .await?;
    show.run(
        "./call /product-catalog/productOffering -H \"Authorization: Bearer $(./token callers)\"",
    )
    .await?;
    show.note("A reservation may be made twice a minute from each address:");
    show.run("for n in 1 2 3; do ./call /stock/reservations -X POST -H \"Ocp-Apim-Subscription-Key: $(cat key)\" | head -n 1; done")
        .await?;
    show.note("A browser asks before it calls from another site:");
    show.run("./call /stock/items/1 -X OPTIONS -H 'Origin: https://shop.example.com' -H 'Access-Control-Request-Method: GET'")
        .await?;
    show.run("./call /stock/items/1 -X OPTIONS -H 'Origin: https://evil.example' -H 'Access-Control-Request-Method: GET'")
        .await
}

async fn change(show: &mut Show<'_>, world: &World) -> anyhow::Result<()> {
    show.title("A rate limit changes");
    show.run("./policy shop.catalog > before.xml").await?;
    show.run("kubectl patch exposedapi catalog -n shop --type merge -p '{\"spec\":{\"rateLimit\":{\"limit\":\"25\"}}}'").await?;
    world.until_policy("shop.catalog", "calls=\"25\"").await?;
    show.run("./policy shop.catalog > after.xml; diff before.xml after.xml || true")
        .await?;
    show.note("One write to Azure; the OpenAPI document was not imported again:");
    show.run("./journal | tail -n 1").await
}

async fn mistake(show: &mut Show<'_>, world: &World) -> anyhow::Result<()> {
    show.title("A mistake, and how it is told");
    show.run("kubectl annotate exposedapi stock -n shop --overwrite apim.oda.tmforum.org/plugins='cors, rate-limt'").await?;
    world.until_reason("stock", "PluginNotFound").await?;
    show.run("kubectl get exposedapi stock -n shop -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].message}'").await?;
    show.run("kubectl get events -n shop --field-selector reason=PluginNotFound -o custom-columns=TYPE:.type,REASON:.reason,NOTE:.message | cut -c1-180")
        .await?;
    show.note("Nothing was un-protected by the typo: the published policy stays as it was.");
    show.run("kubectl annotate exposedapi stock -n shop --overwrite apim.oda.tmforum.org/plugins='cors, rate-limit'").await?;
    world.until_ready(&["stock"]).await?;
    show.run("kubectl get exposedapi stock -n shop").await
}

async fn delete(show: &mut Show<'_>, world: &World) -> anyhow::Result<()> {
    show.title("All of it goes away again");
    show.run("kubectl delete exposedapi --all -n shop").await?;
    world.until_empty().await?;
    show.run("kubectl get ingress -n shop").await?;
    show.run("./apim apis | grep -E '\"(count|name)\"'").await
}

async fn stay(world: &World) -> anyhow::Result<()> {
    println!(
        "\nEverything stays up until Ctrl-C. In another terminal:\n\n  cd {}",
        world.dir().display()
    );
    println!("  export KUBECONFIG={}", world.kubeconfig().display());
    println!("  export PATH={}:$PATH", world.tools().display());
    println!("  kubectl get exposedapi -A");
    println!("  ./apim apis            # curl with a token of the local Azure: see the file");
    println!("  ./policy shop.catalog");
    println!("  ./journal              # every write that Azure was asked for");
    println!("  tail -f operator.log\n");
    println!(
        "In a browser, which has to be told to trust the certificate: APIs, policies, and what they did to each request:\n"
    );
    println!("  {}\n", world.page());
    std::future::pending().await
}
