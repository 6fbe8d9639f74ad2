//! `plugin run --serve`: a program that an author leaves running.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use operator_plugin_host::builtin_plugins;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::program::{exposed_api, program, run_in, with_tools};

/// Long enough for a busy machine; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_mins(2);

/// Waits for something, and says what there was instead.
#[track_caller]
fn until<T>(awaited: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(begun.elapsed() < PATIENCE, "{awaited}: {instead}"),
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// The folder of one author.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        desk.write("api.yaml", exposed_api("stock", "", ""));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        // Not seen half-written.
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    /// A built-in plugin, as a file that was built.
    fn plugin(&self, file: &str, name: &str) {
        let bytes = builtin_plugins().iter().find(|(known, _)| *known == name);
        self.write(file, bytes.unwrap().1);
    }

    fn serve(&self, arguments: &[&str]) -> Serving {
        let mut command = program();
        with_tools(&mut command);
        command.current_dir(self.0.path());
        Serving::start(command.args(["plugin", "run"]).args(arguments).args([
            "-f",
            "api.yaml",
            "--serve",
            "--listen",
            "127.0.0.1:0",
        ]))
    }
}

/// The program while it runs.
struct Serving {
    child: Child,
    lines: mpsc::Receiver<String>,
    told: Arc<Mutex<String>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where an API is served, and whom to trust there.
struct Served {
    url: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Serving {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let told = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let note = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut told = note.lock().unwrap();
                told.push_str(&line);
                told.push('\n');
            }
        });
        Self { child, lines, told }
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    #[track_caller]
    fn until_told(&self, text: &str) {
        until(text, || {
            let told = self.told();
            told.contains(text).then_some(()).ok_or(told)
        });
    }

    /// Waits until the API is served.
    #[track_caller]
    fn served(&self) -> Served {
        self.introduced().0
    }

    /// The same, with the call that it shows.
    #[track_caller]
    fn introduced(&self) -> (Served, String) {
        let line = |with: &str| loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(with) => return line,
                Ok(_) => {}
                Err(error) => panic!("{with}: {error}: {}", self.told()),
            }
        };
        let url = line("is served at ");
        let url = url.split(" at ").nth(1).unwrap().split(',').next().unwrap();
        let shown = line("--cacert ");
        let (_, call) = shown.split_once("curl --cacert ").unwrap();
        let (ca, call) = call.split_once(' ').unwrap();
        let ca = std::fs::read(ca).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .build()
            .unwrap();
        let served = Served {
            url: url.to_owned(),
            client,
            runtime: tokio::runtime::Runtime::new().unwrap(),
        };
        (served, call.to_owned())
    }

    /// The processes that it started.
    fn children(&self) -> Vec<u32> {
        let parent = self.child.id().to_string();
        let all = std::fs::read_dir("/proc").unwrap();
        all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|process| parent_of(*process).as_deref() == Some(&parent))
            .collect()
    }

    /// Ends it by a signal; its exit code, where it has one.
    fn end(&mut self, signal: Signal) -> Option<i32> {
        let process = Pid::from_child(&self.child);
        kill_process(process, signal).unwrap();
        until("its end", || {
            let ended = self.child.try_wait().unwrap();
            ended.map(|status| status.code()).ok_or(self.told())
        })
    }
}

/// The parent of a process that runs.
fn parent_of(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?);
    (state != "Z").then(|| parent.to_owned())
}

impl Served {
    fn get(&self, path: &str) -> (u16, reqwest::header::HeaderMap, String) {
        let call = self.client.get(format!("{}{path}", self.url));
        self.runtime.block_on(async {
            let answer = call.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            (status, headers, answer.text().await.unwrap())
        })
    }

    #[track_caller]
    fn until_status(&self, status: u16) {
        until(&format!("status {status}"), || match self.get("/any") {
            (found, ..) if found == status => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn a_policy_is_served_follows_its_files_and_leaves_nothing_behind() {
    let desk = Desk::new();
    desk.plugin("policy.wasm", "headers");
    let config = "{plugin.headers: '{response: {set: {X-Team: stock}}}'}";
    let annotated = |text: &str| {
        exposed_api("stock", "", "").replace(
            "annotations: {}",
            &format!(
                "annotations: {}",
                text.replace("plugin.", "apim.oda.tmforum.org/plugin.")
            ),
        )
    };
    desk.write("api.yaml", annotated(config));
    let mut serving = desk.serve(&["policy.wasm"]);
    let served = serving.served();
    // The echo shows what the backend was sent.
    let (status, headers, body) = served.get("/any?page=1");
    assert_eq!(
        (status, &headers["x-team"]),
        (200, &"stock".parse().unwrap())
    );
    assert!(body.contains("\"query\": \"page=1\""), "{body}");

    // Another config, then another plugin in the file.
    desk.write("api.yaml", annotated(&config.replace("stock", "crew")));
    until("x-team: crew", || {
        let (_, headers, _) = served.get("/any");
        (headers["x-team"] == "crew")
            .then_some(())
            .ok_or(format!("{headers:?}"))
    });
    desk.plugin("policy.wasm", "jwt-entra");
    served.until_status(401);

    // What cannot be used is said, and what was served stays.
    desk.write("policy.wasm", "no plugin");
    serving.until_told("policy.wasm: it is not a WebAssembly component");
    assert_eq!(served.get("/any").0, 401);
    desk.write("api.yaml", annotated(config).replace("8080", "eighty"));
    desk.plugin("policy.wasm", "headers");
    serving.until_told("spec.port");
    assert_eq!(served.get("/any").0, 401);
    desk.write("api.yaml", annotated(config));
    served.until_status(200);

    let children = serving.children();
    assert_eq!(children.len(), 1, "the local Azure");
    assert_eq!(serving.end(Signal::TERM), Some(0), "{}", serving.told());
    until("no child", || {
        let left = children.iter().filter(|child| parent_of(**child).is_some());
        let left: Vec<_> = left.collect();
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    });
}

#[test]
fn the_call_that_it_shows_is_answered() {
    let desk = Desk::new();
    desk.plugin("policy.wasm", "rate-limit");
    let spec = r#"  apiKeyVerification: {enabled: true, location: X-Stock-Key}
  specification: |
    {"openapi": "3.0.1", "info": {"title": "Stock", "version": "1"}, "paths": {
      "/reservations": {"post": {"operationId": "reserve", "responses": {"201": {"description": "done"}}}},
      "/items/{id}": {"get": {"operationId": "item", "parameters": [
        {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "example": "a b"}}
      ], "responses": {"200": {"description": "one"}}}}}}
"#;
    desk.write("api.yaml", exposed_api("stock", "", spec));
    let serving = desk.serve(&["policy.wasm"]);
    let (served, call) = serving.introduced();
    let (header, url) = call.strip_prefix("-H '").unwrap().split_once("' ").unwrap();
    let (name, key) = header.split_once(": ").unwrap();
    assert_eq!(
        (name, url),
        (
            "X-Stock-Key",
            format!("{}/items/a%20b", served.url).as_str()
        )
    );
    let status = |key: &str| {
        let call = served.client.get(url).header(name, key);
        served
            .runtime
            .block_on(async { call.send().await.unwrap().status().as_u16() })
    };
    assert_eq!((status(key), status("another")), (200, 401));
}

#[test]
fn a_chain_of_the_object_is_not_replaced_in_silence() {
    let desk = Desk::new();
    desk.plugin("policy.wasm", "rate-limit");
    let own = "apim.oda.tmforum.org/plugins: 'jwt-entra, cors'";
    desk.write("api.yaml", exposed_api("stock", own, ""));
    let serving = desk.serve(&["policy.wasm"]);
    assert_eq!(serving.served().get("/any").0, 200);
    serving.until_told(
        "note: apim.oda.tmforum.org/plugins says `jwt-entra, cors`; the command line takes its place: `rate-limit`\n",
    );
}

#[test]
fn a_certificate_is_the_local_services_and_its_key_stays_there() {
    let desk = Desk::new();
    desk.plugin("policy.wasm", "backend-auth");
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["orders.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    desk.write("client.pem", format!("{key}{certificate}"));
    let config = ["policy.wasm", "--config", "{certificate: {id: orders}}"];
    let serving = desk.serve(&[&config[..], &["--certificate", "orders=client.pem"]].concat());
    let (status, _, body) = serving.served().get("/any");
    assert_eq!(status, 200, "{body}");
    assert!(!format!("{body}{}", serving.told()).contains(key.lines().nth(1).unwrap()));

    // Without its key it cannot be shown, and that is said.
    desk.write("client.pem", certificate);
    let serving = desk.serve(&[&config[..], &["--certificate", "orders=client.pem"]].concat());
    serving.until_told(
        "Certificate with id 'orders' cannot be shown to a backend: it has no private key.",
    );
}

#[test]
fn a_named_value_is_the_local_services_and_told_to_nobody() {
    let desk = Desk::new();
    desk.plugin("policy.wasm", "basic-auth");
    desk.write("password.txt", "s3cret-of-ann\n");
    let config = "{credentials: [{user: ann, password: {namedValue: ann-password}}]}";
    let serving = desk.serve(&[
        "policy.wasm",
        "--config",
        config,
        "--named-value",
        "ann-password=password.txt",
    ]);
    let served = serving.served();
    assert_eq!(served.get("/any").0, 401);
    let call = served.client.get(format!("{}/any", served.url));
    let call = call.basic_auth("ann", Some("s3cret-of-ann"));
    let answered = served.runtime.block_on(call.send()).unwrap();
    assert_eq!(answered.status(), 200);
    assert!(!serving.told().contains("s3cret-of-ann"));

    // A file that holds nothing is a mistake.
    desk.write("empty.txt", "\n");
    let serving = desk.serve(&["policy.wasm", "--named-value", "ann-password=empty.txt"]);
    serving.until_told("empty.txt: it is empty, and a named value is not");
}

#[test]
fn ctrl_c_ends_it_and_being_killed_leaves_nothing_behind_either() {
    for (signal, code) in [(Signal::INT, Some(0)), (Signal::KILL, None)] {
        let desk = Desk::new();
        desk.plugin("policy.wasm", "rate-limit");
        let mut serving = desk.serve(&["policy.wasm"]);
        let served = serving.served();
        assert_eq!(served.get("/any").0, 200);
        let children = serving.children();
        assert_eq!(children.len(), 1);
        assert_eq!(serving.end(signal), code);
        until("no child", || {
            let left = children.iter().find(|child| parent_of(**child).is_some());
            left.map_or(Ok(()), |child| Err(format!("{child} runs")))
        });
    }
}

#[test]
fn it_says_that_it_compiles_and_can_be_ended_meanwhile() {
    let desk = Desk::new();
    let mut serving = desk.serve(&["cors", "--cache-dir", "empty"]);
    serving.until_told("compiling the ");
    let children = serving.children();
    assert_eq!(serving.end(Signal::TERM), Some(0), "{}", serving.told());
    until("no child", || {
        let left = children.iter().find(|child| parent_of(**child).is_some());
        left.map_or(Ok(()), |child| Err(format!("{child} runs")))
    });
}

#[test]
fn a_plugins_source_is_built_and_served_again_when_it_changes() {
    let desk = Desk::new();
    run_in(desk.0.path(), &["plugin", "new", "crew"], &[]).fine();
    let serving = desk.serve(&["crew", "--config", "team: stock"]);
    let served = serving.served();
    assert_eq!(served.get("/any").1["x-team"], "stock");
    let source = std::fs::read_to_string(desk.path("crew/src/lib.rs")).unwrap();
    desk.write("crew/src/lib.rs", source.replace("X-Team", "X-Crew"));
    until("x-crew", || {
        let (_, headers, _) = served.get("/any");
        match headers.get("x-crew") {
            Some(found) if found == "stock" => Ok(()),
            _ => Err(serving.told()),
        }
    });
    // What does not build is said, and what was served stays.
    desk.write("crew/src/lib.rs", source.replace("X-Team", "X-\"Team"));
    serving.until_told("crew does not build; what is wrong stands above");
    serving.until_told("what was served before still is");
    assert_eq!(served.get("/any").1["x-crew"], "stock");
}

#[test]
fn bad_input_is_named_and_served_once_it_is_good() {
    let desk = Desk::new();
    desk.plugin("policy.wasm", "cors");
    desk.write(
        "api.yaml",
        exposed_api("stock", "", "").replace("8080", "eighty"),
    );
    let serving = desk.serve(&["policy.wasm"]);
    serving.until_told("spec.port");
    serving.until_told("nothing is served yet; waiting for a change of the files");
    // Left out, the plugin would run with its defaults.
    let misspelt = "apim.oda.tmforum.org/plugin.cros: '{}'";
    desk.write("api.yaml", exposed_api("stock", misspelt, ""));
    serving.until_told("`cros` is not in the chain `cors`; did you mean `cors`?");
    // One that is not tried is.
    let other = "apim.oda.tmforum.org/plugin.headers: '{}'";
    desk.write("api.yaml", exposed_api("stock", other, ""));
    serving.until_told("plugin.headers is left out: `headers` is not on the command line");
    desk.write("api.yaml", exposed_api("stock", "", ""));
    assert_eq!(serving.served().get("/any").0, 200);
}

#[test]
fn what_can_never_be_served_ends_at_once() {
    let desk = Desk::new();
    let refused = |plugin: &str, arguments: &[&str]| {
        let mut command = program();
        let output = command
            .current_dir(desk.0.path())
            .args(["plugin", "run", plugin])
            .args(["--serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        told
    };
    assert_eq!(
        refused("cors", &["-f", "-"]),
        "apim-operator: --serve reads the ExposedAPI again when it changes: name a file in the place of `-`\n"
    );
    let api = ["-f", "api.yaml"];
    assert_eq!(
        refused("rate-limt", &api),
        "apim-operator: there is no plugin `rate-limt`; did you mean `rate-limit`?\n"
    );
    assert_eq!(
        refused(
            "cors",
            &["-f", "api.yaml", "--certificate", "a=missing.pem"]
        ),
        "apim-operator: missing.pem: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_local_azure_that_is_not_there_is_said() {
    let desk = Desk::new();
    // The program alone: nothing beside it, on PATH, or to be built.
    let alone = desk.path("apim-operator");
    link_or_copy(Path::new(env!("CARGO_BIN_EXE_apim-operator")), &alone);
    let run = |simulator: Option<&str>| {
        let mut command = Command::new(&alone);
        command.env_clear().current_dir(desk.0.path());
        if let Some(simulator) = simulator {
            command.env("APIM_SIMULATOR", simulator);
        }
        let output = command
            .args(["plugin", "run", "cors", "-f", "api.yaml", "--serve"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = [None, Some("/no/such/program"), Some("/bin/true")].map(run);
    insta::assert_snapshot!("serve-without-azure", said.concat());
}

fn link_or_copy(from: &Path, to: &Path) {
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).unwrap();
    }
}
