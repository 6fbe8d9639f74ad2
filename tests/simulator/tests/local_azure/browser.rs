//! The page as a browser renders it: Chromium, driven over the `WebDriver`
//! protocol by its chromedriver. The same test makes the screenshot of the
//! README: `WRITE_SCREENSHOT=1 cargo test … a_browser`.

use crate::page::{azure, call, gold, publish, put_policy};
use crate::support::Azure;
use base64::Engine as _;
use futures::FutureExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use test_harness::{Browser, Process};

/// With this environment variable set to `1`, the screenshot is written.
const WRITE: &str = "WRITE_SCREENSHOT";
const SCREENSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/page.png");
const PATIENCE: Duration = Duration::from_mins(1);

/// A browser's window.
struct Window {
    client: reqwest::Client,
    /// The URL of the session.
    session: String,
}

impl Window {
    async fn open(browser: &Browser, folder: &Path) -> (Process, Self) {
        let mut driver = Process::spawn(
            "chromedriver",
            Command::new(&browser.driver).args(["--port=0", "--allowed-ips=127.0.0.1"]),
            folder.join("driver.log"),
        )
        .expect("chromedriver");
        let line = driver
            .wait_for_line("started successfully on port", PATIENCE)
            .await
            .expect("chromedriver is ready");
        let port = line.rsplit(' ').next().unwrap_or_default();
        let base = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "binary": browser.browser, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = client
            .post(format!("{base}/session"))
            .body(wanted.to_string())
            .send()
            .await
            .expect("an answer");
        let text = answer.text().await.expect("a text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let id = answer["value"]["sessionId"].as_str();
        let id = id.unwrap_or_else(|| panic!("no session: {answer}"));
        let session = format!("{base}/session/{id}");
        (driver, Self { client, session })
    }

    async fn ask(&self, command: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}/{command}", self.session));
        let sent = request.body(body.to_string()).send();
        let text = sent.await.expect("an answer").text().await.expect("a text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{command}: {answer}");
        answer["value"].clone()
    }

    async fn go(&self, url: &str) {
        self.ask("url", json!({ "url": url })).await;
    }

    /// What a function's body returns, run in the page.
    async fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", json!({ "script": script, "args": [] }))
            .await
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.ask("goog/cdp/execute", body).await
    }

    async fn size(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    async fn colours(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn click(&self, selector: &str) {
        let found = self
            .ask(
                "element",
                json!({ "using": "css selector", "value": selector }),
            )
            .await;
        let id = found.as_object().and_then(|one| one.values().next());
        let id = id.and_then(Value::as_str).expect("an element");
        self.ask(&format!("element/{id}/click"), json!({})).await;
    }

    /// What the browser complained of: violations of the content security
    /// policy, files that are missing.
    async fn complaints(&self) -> Vec<String> {
        let log = self.ask("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        let message = |line: &Value| line["message"].as_str().unwrap_or_default().to_owned();
        lines.iter().map(message).collect()
    }

    async fn picture(&self) -> Vec<u8> {
        let shot = self
            .devtools("Page.captureScreenshot", json!({ "format": "png" }))
            .await;
        let data = shot["data"].as_str().expect("a picture");
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .expect("base64")
    }

    async fn close(self) {
        // Gone with the driver at the latest.
        let _ = self.client.delete(&self.session).send().await;
    }
}

/// Every text that can be seen and whose contrast with what is behind it is
/// below 4.5 to 1, as WCAG 2 computes it.
const PALE: &str = r"
const number = text => text.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b]
    .map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
const behind = element => {
    for (; element; element = element.parentElement) {
        const colour = number(getComputedStyle(element).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
};
const pale = [];
let seen = 0;
for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.getClientRects().length === 0) continue;
    seen += 1;
    const [a, b] = [light(number(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.push(element.textContent + ' ' + contrast);
}
return { seen, pale };";

/// How far the page is wider than its window.
const OVERHANG: &str =
    "return document.documentElement.scrollWidth - document.documentElement.clientWidth;";

const CATALOG: &str = r#"<policies><inbound>
    <cors allow-credentials="true"><allowed-origins><origin>https://shop.example.com</origin></allowed-origins>
    <allowed-headers><header>authorization</header></allowed-headers></cors>
    <base />
    <validate-azure-ad-token tenant-id="11111111-1111-4111-8111-111111111111"><audiences><audience>https://management.azure.com</audience></audiences></validate-azure-ad-token>
    <rate-limit-by-key calls="2" renewal-period="60" counter-key="@(context.Subscription?.Id ?? context.Request.IpAddress)" remaining-calls-header-name="X-Remaining" />
    <set-header name="X-Team" exists-action="override"><value>catalog</value></set-header>
    </inbound><backend><base /></backend><outbound><base />
    <set-header name="X-Powered-By" exists-action="delete" /></outbound></policies>"#;

/// Two APIs, and requests that are answered, refused and limited.
async fn world() -> Azure {
    let azure = azure().await;
    let filter = "<policies><inbound><ip-filter action=\"forbid\"><address>203.0.113.9</address></ip-filter></inbound>\
                  <backend><forward-request /></backend><outbound /><on-error /></policies>";
    azure
        .put(
            "policies/policy",
            json!({ "format": "rawxml", "value": filter }),
        )
        .await
        .expect(200);
    publish(
        &azure,
        "shop.catalog",
        "Product catalog",
        "catalog/v1",
        CATALOG,
    )
    .await;
    let stock = "<policies><inbound><base /><quota-by-key calls=\"1000\" renewal-period=\"86400\" counter-key=\"all\" /></inbound></policies>";
    publish(&azure, "shop.stock", "Stock", "stock/v1", stock).await;
    let own = "<policies><inbound><base /><rate-limit-by-key calls=\"2\" renewal-period=\"60\" counter-key=\"make\" /></inbound></policies>";
    put_policy(&azure, "apis/shop.stock/operations/make", own).await;
    let bearer = format!("Bearer {}", azure.token);
    let known = [("Authorization", bearer.as_str())];
    call(&azure, Method::POST, "stock/v1/items", &[])
        .await
        .expect(200);
    for (headers, status) in [(&[][..], 401), (&known, 200), (&known, 200), (&known, 429)] {
        call(&azure, Method::GET, "catalog/v1/items", headers)
            .await
            .expect(status);
    }
    // The one that is open on the page.
    azure.simulator.advance_clock(60_000);
    call(
        &azure,
        Method::GET,
        "catalog/v1/items/7?fields=name",
        &known,
    )
    .await
    .expect(200);
    azure
}

#[tokio::test]
async fn a_browser_shows_the_page_in_light_and_dark_wide_and_narrow() {
    let test = "a_browser_shows_the_page_in_light_and_dark_wide_and_narrow";
    let Some(browser) = test_harness::browser_for(test) else {
        return;
    };
    let azure = world().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, window) = Window::open(&browser, folder.path()).await;
    // The browser ends before a failure is told, or it would stay.
    let outcome = AssertUnwindSafe(look(&azure, &window)).catch_unwind().await;
    window.close().await;
    drop(driver);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn look(azure: &Azure, window: &Window) {
    let page = &azure.simulator.endpoints.page;
    window.size(1000, 980).await;
    window.colours("light").await;
    window.go(page).await;
    let title = window.run("return document.title;").await;
    assert_eq!(title, "Everything at a glance · local Azure");
    assert_eq!(
        window.run("return document.compatMode;").await,
        "CSS1Compat"
    );
    let picture = window.picture().await;
    // The head of a PNG, and its width and height.
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(picture[16..24], [0, 0, 0x03, 0xe8, 0, 0, 0x03, 0xd4]);
    if std::env::var(WRITE).as_deref() == Ok("1") {
        std::fs::write(SCREENSHOT, &picture).expect("the screenshot is written");
    }

    let own = "<policies><inbound><base /></inbound></policies>";
    publish(azure, "shop", "Orders", "orders/v1", own).await;
    gold(azure).await;
    // What is hostile is read, and nothing of it runs.
    let hostile = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>";
    azure
        .put(
            "apis/hostile",
            json!({ "displayName": hostile, "path": "hostile", "protocols": ["https"] }),
        )
        .await
        .expect(201);
    window.go(page).await;
    let shown = window
        .run("return [...document.querySelectorAll('#apis tbody th')].map(one => one.innerText);")
        .await;
    assert_eq!(
        shown,
        json!([hostile, "Orders", "Product catalog", "Stock"])
    );
    products_lead_to_their_apis(window).await;
    window.go(page).await;
    assert_eq!(
        window
            .run("return [typeof window.hacked, document.images.length, document.scripts.length];")
            .await,
        json!(["undefined", 0, 0])
    );
    // The time line is drawn: every bar in its track, the newest request open.
    let bars = window
        .run("return [...document.querySelectorAll('details[open] .timeline svg')].map(svg => {
            const [track, bar] = [...svg.children].map(one => one.getBoundingClientRect());
            return [track.width > 300 && track.height > 3, bar.width >= 1, bar.left >= track.left, bar.right <= track.right + 1];
        });")
        .await;
    let bars = bars.as_array().expect("bars");
    assert_eq!(bars.len(), 7, "{bars:?}");
    for bar in bars {
        assert_eq!(bar, &json!([true, true, true, true]));
    }

    // On every page, in both colour schemes, wide and narrow.
    let grounds = [
        everything_is_legible(window, "light").await,
        everything_is_legible(window, "dark").await,
    ];
    assert_eq!(grounds[0], "rgb(251, 251, 250)");
    assert_eq!(grounds[1], "rgb(21, 23, 26)");
    window.click("#apis tbody tr:nth-child(3) a").await;
    assert_eq!(
        window
            .run("return document.querySelector('h1').innerText;")
            .await,
        "Product catalog"
    );
    window.click(".chain details > summary").await;
    let source = window
        .run("return document.querySelector('.chain details[open] pre').innerText;")
        .await;
    let source = source.as_str().unwrap_or_default();
    assert!(
        source.starts_with("<cors allow-credentials=\"true\">"),
        "{source}"
    );
    everything_is_legible(window, "dark").await;
    everything_is_legible(window, "light").await;
    let trace = &azure.simulator.gateway().expect("a gateway").traces()[1];
    window
        .go(&format!("{page}/traces/{}", trace.trace_id))
        .await;
    assert!(
        window
            .run("return document.querySelector('.error').innerText;")
            .await
            .as_str()
            .is_some_and(|text| text.starts_with("Failed: Rate limit is exceeded")),
    );
    everything_is_legible(window, "dark").await;
    assert_eq!(window.complaints().await, Vec::<String>::new());
}

/// Markup in a name is text.
async fn products_lead_to_their_apis(window: &Window) {
    let access = window
        .run("return [...document.querySelectorAll('#access tbody tr')].map(row => [...row.children].map(one => one.innerText).join(' | '));")
        .await;
    assert_eq!(
        access,
        json!([
            "Draft <i> | not published | not needed | none | no",
            "Gold | published | needed | Orders | yes",
            "Built-in all-access subscription | every API | active",
            "Of Gold | the product Gold | active",
            "Of one API | the API Orders | not active",
        ])
    );
    window.click("#access a").await;
    assert_eq!(
        window
            .run("return [document.querySelector('h1').innerText, [...document.querySelectorAll('h3')].some(one => one.innerText === 'Through the product Gold')];")
            .await,
        json!(["Orders", true])
    );
    everything_is_legible(window, "dark").await;
    everything_is_legible(window, "light").await;
}

/// Checks contrast and width of the page that is open; answers the colour
/// behind everything.
async fn everything_is_legible(window: &Window, scheme: &str) -> String {
    window.colours(scheme).await;
    for width in [1000, 360] {
        window.size(width, 980).await;
        let found = window.run(PALE).await;
        assert_eq!(found["pale"], json!([]), "{scheme}, {width} wide");
        assert!(
            found["seen"].as_u64().is_some_and(|seen| seen > 20),
            "{found}"
        );
        assert_eq!(window.run(OVERHANG).await, 0, "{scheme}, {width} wide");
    }
    window.size(1000, 980).await;
    let ground = window
        .run("return getComputedStyle(document.body).backgroundColor;")
        .await;
    ground.as_str().unwrap_or_default().to_owned()
}
