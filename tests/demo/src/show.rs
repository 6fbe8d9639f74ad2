//! Printing commands and their output.

use std::io::Write as _;

use anyhow::{Context as _, bail};

use crate::world::World;

/// Prints what a person should see.
pub(crate) struct Show<'a> {
    world: &'a World,
    colour: bool,
}

impl<'a> Show<'a> {
    /// A show about a world.
    pub(crate) fn new(world: &'a World) -> Self {
        Self {
            world,
            colour: std::io::IsTerminal::is_terminal(&std::io::stdout()),
        }
    }

    /// A heading.
    pub(crate) fn title(&mut self, text: &str) {
        self.line("1", &format!("\n== {text}"));
    }

    /// A remark.
    pub(crate) fn note(&mut self, text: &str) {
        self.line("2", &format!("\n# {text}"));
    }

    /// Runs a command in the demo's folder and prints both it and its output.
    pub(crate) async fn run(&mut self, command: &str) -> anyhow::Result<()> {
        self.line("36", &format!("\n$ {command}"));
        let output = self
            .world
            .shell(command)
            .output()
            .await
            .with_context(|| command.to_owned())?;
        let mut out = std::io::stdout().lock();
        out.write_all(&output.stdout)?;
        if !output.stdout.is_empty() && !output.stdout.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
        out.write_all(&output.stderr)?;
        out.flush()?;
        if !output.status.success() {
            bail!("`{command}` ended with {}", output.status);
        }
        Ok(())
    }

    fn line(&mut self, style: &str, text: &str) {
        if self.colour {
            println!("\x1b[{style}m{text}\x1b[0m");
        } else {
            println!("{text}");
        }
    }
}
