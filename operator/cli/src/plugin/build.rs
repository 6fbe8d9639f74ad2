//! `plugin build`.

use std::fs;
use std::io::Write as _;

use super::args::BuildArgs;
use super::project::{Built, Project};
use super::{host_of, size};
use crate::Done;

/// Builds a plugin and says what was made.
pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<Done> {
    let project = Project::open(&args.dir)?;
    eprintln!("building {}", project.name);
    let built = project.build(&host_of(None, false)?)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", summary(&built)?)?;
    Ok(Done::Fine)
}

/// File, size, digest, and what is in it.
pub(crate) fn summary(built: &Built) -> anyhow::Result<String> {
    let descriptor = built.plugin.descriptor();
    let bytes = fs::metadata(&built.file)?.len();
    Ok(format!(
        "{}: {} {}, {}, {}",
        built.file.display(),
        descriptor.name,
        descriptor.version,
        size(bytes),
        built.plugin.digest()
    ))
}
