//! Command-line options of a server that has more than the common options.

use ch01_blocking::Options;
use clap::Args;

/// The command-line options common to all servers, and the options of one server.
#[derive(Args, Clone, Debug)]
#[group(skip)] // else clap names this group like that of `Options`
pub struct With<Own: Args> {
    /// The options that every server has.
    #[command(flatten)]
    pub common: Options,
    /// The options that only this server has.
    #[command(flatten)]
    pub own: Own,
}

impl<Own: Args> AsRef<Options> for With<Own> {
    fn as_ref(&self) -> &Options {
        &self.common
    }
}
