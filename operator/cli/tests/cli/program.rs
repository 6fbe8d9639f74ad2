//! Runs the program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

/// One cache of compiled plugins for all tests, filled once: compiling them
/// takes a second, and the tests run beside each other.
static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-plugins");
    let filled = command(&cache).args(["plugin", "list"]).output().unwrap();
    assert!(
        filled.status.success(),
        "{}",
        String::from_utf8_lossy(&filled.stderr)
    );
    cache
});

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The result of a run that went well.
    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The complaints of a run that found problems and has no result.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (1, ""), "{self:#?}");
        self.stderr
    }
}

/// The built-in plugins: the folders of `plugins/`.
pub(crate) fn built_in() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(workspace().join("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The workspace, which is the working folder of all runs.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The program without anything of this process's environment.
fn command(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apim-operator"));
    command
        .env_clear()
        .env("APIM_OPERATOR_CACHE_DIR", cache)
        .current_dir(workspace());
    command
}

/// The program, to be run otherwise than `run` does.
pub(crate) fn program() -> Command {
    command(&CACHE)
}

/// The help of a subcommand, without what this machine sets.
pub(crate) fn help(command: &[&str]) -> Ended {
    let mut program = program();
    program
        .env_remove("APIM_OPERATOR_CACHE_DIR")
        .args(command)
        .arg("--help")
        .stdin(Stdio::null());
    ended(program.output().unwrap())
}

/// Runs the program in a folder, with what cargo needs.
pub(crate) fn run_in(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut program = program();
    with_tools(&mut program);
    program
        .envs(environment.iter().copied())
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null());
    ended(program.output().unwrap())
}

/// With what cargo needs.
pub(crate) fn with_tools(program: &mut Command) {
    for variable in [
        "PATH",
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
    ] {
        if let Some(value) = std::env::var_os(variable) {
            program.env(variable, value);
        }
    }
    program
        // Everything that a new plugin needs was needed to build this program.
        .env("CARGO_NET_OFFLINE", "true")
        // One for all tests and runs: dependencies are compiled once.
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugins"),
        );
}

/// Runs the program.
pub(crate) fn run<A: AsRef<str>>(args: impl IntoIterator<Item = A>) -> Ended {
    run_with(args, "", &[])
}

/// Runs the program with something on stdin and in its environment.
pub(crate) fn run_with<A: AsRef<str>>(
    args: impl IntoIterator<Item = A>,
    stdin: &str,
    environment: &[(&str, &str)],
) -> Ended {
    let mut child = program()
        .args(args.into_iter().map(|arg| arg.as_ref().to_owned()))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_owned();
    // A program that does not read its input closes it: no fault of the test.
    let writer = std::thread::spawn(move || drop(pipe.write_all(stdin.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    ended(output)
}

fn ended(output: std::process::Output) -> Ended {
    Ended {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with files, by their names.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// What was said, without the folder's name.
    pub(crate) fn strip(&self, said: &str) -> String {
        said.replace(&format!("{}/", self.0.path().display()), "")
    }

    /// What `render` says of one of the files; it must not find it good.
    #[track_caller]
    pub(crate) fn refused(&self, name: &str) -> String {
        self.strip(
            &run([
                "render",
                "-o",
                "policy",
                "--instance",
                INSTANCE,
                "-f",
                &self.path(name),
            ])
            .refused(),
        )
    }
}

/// The instance of most tests.
pub(crate) const INSTANCE: &str = "deploy/examples/instance.yaml";

/// The manifest of an ExposedAPI, with what else its metadata and spec have.
pub(crate) fn exposed_api(name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: oda.tmforum.org/v1\nkind: ExposedAPI\nmetadata:\n  name: {name}\n  namespace: shop\n  \
         annotations: {{{annotations}}}\nspec:\n  apiType: openapi\n  path: /{name}\n  implementation: {name}\n  \
         port: 8080\n{spec}"
    )
}

/// What was said, with `N` for the sizes of files, which change with each
/// version of the compiler.
pub(crate) fn without_sizes(said: &str) -> String {
    let mut out = String::new();
    let mut rest = said;
    while let Some(at) = [" KiB", " MiB"]
        .iter()
        .filter_map(|unit| rest.find(unit))
        .min()
    {
        let (before, after) = rest.split_at(at);
        out.push_str(before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
        out.push('N');
        out.push_str(&after[..4]);
        rest = &after[4..];
    }
    out + rest
}
