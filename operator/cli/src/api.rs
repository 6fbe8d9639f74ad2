//! `apim-operator api`: what owners of APIs do from the command line.
//!
//! It works with what an owner may see: ExposedAPIs, their events, and the
//! gateway. Only `diff` and `export` read what the operator reads.

mod add;
pub(crate) mod args;
mod call;
mod delete;
mod describe;
mod diff;
mod export;
mod keys;
mod list;
mod place;
mod seen;
mod table;
mod token;
mod wait;

use self::args::{ApiArgs, ApiCommand};
use crate::{Done, cluster};

/// Carries out a subcommand.
pub(crate) fn dispatch(args: &ApiArgs) -> anyhow::Result<Done> {
    let at = &args.cluster;
    cluster::block_on(async {
        match &args.command {
            ApiCommand::Add(args) => add::add(at, args).await,
            ApiCommand::List(args) => list::list(at, args).await,
            ApiCommand::Describe(args) => describe::describe(at, &args.name).await,
            ApiCommand::Wait(args) => wait::wait(at, args).await,
            ApiCommand::Diff(args) => Box::pin(diff::diff(at, args)).await,
            ApiCommand::Keys(args) => keys::keys(at, args).await,
            ApiCommand::Token(args) => token::token(args).await,
            ApiCommand::Call(args) => call::call(at, args).await,
            ApiCommand::Export(args) => Box::pin(export::export(at, args)).await,
            ApiCommand::Delete(args) => delete::delete(at, args).await,
        }
    })
}
