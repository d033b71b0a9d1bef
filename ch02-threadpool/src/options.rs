//! The options of a server that has more than the common ones.

use ch01_blocking::Options;
use clap::Args;

/// The common options, and the options of one server.
#[derive(Args, Clone, Debug)]
#[group(skip)] // its name would be that of the common options
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
