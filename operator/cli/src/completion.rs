//! The names that the program goes by, and scripts that complete its command
//! line.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::Shell;

use crate::Done;
use crate::args::Cli;

/// What kubectl calls for `kubectl apim`:
/// <https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>.
const PLUGIN: &str = "kubectl-apim";

/// Reads the command line. Called as `kubectl-apim`, the program is its own
/// `api` subcommand. Wrong usage ends it, as does `--help`.
pub(crate) fn parse() -> Cli {
    let arguments = as_plugin(std::env::args_os().collect());
    let matches = Cli::command().get_matches_from(arguments);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn as_plugin(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let called = arguments.first().map(Path::new);
    let stem = called.and_then(Path::file_stem);
    if stem.is_some_and(|stem| stem == PLUGIN) {
        // Help and errors name what can be typed as it stands there.
        let own = ["apim-operator", "api"].map(OsString::from);
        arguments.splice(..1, own);
    }
    arguments
}

/// `clap_complete` writes a `-` of the program's own name as `__` where bash
/// remembers the subcommand, and as `__subcmd__` where it asks for it, so that
/// none below the first level is ever completed.
fn mended(script: &str) -> String {
    script.replace("apim__subcmd__operator", "apim__operator")
}

/// Prints the script for a shell.
pub(crate) fn print(shell: Shell) -> anyhow::Result<Done> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "apim-operator", &mut script);
    let script = String::from_utf8(script)?;
    std::io::stdout()
        .lock()
        .write_all(mended(&script).as_bytes())?;
    Ok(Done::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(line: &[&str]) -> Vec<String> {
        let arguments = line.iter().map(OsString::from).collect();
        let read = as_plugin(arguments).into_iter();
        read.map(|argument| argument.into_string().unwrap())
            .collect()
    }

    #[test]
    fn as_a_plugin_of_kubectl_the_program_is_its_api_subcommand() {
        assert_eq!(
            called(&["/usr/local/bin/kubectl-apim", "list", "-A"]),
            ["apim-operator", "api", "list", "-A"]
        );
        assert_eq!(
            called(&["apim-operator", "plan"]),
            ["apim-operator", "plan"]
        );
    }
}
