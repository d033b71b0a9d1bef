//! The options of a server that takes more than those that every server takes.

use ch01_blocking::Options;
use clap::Args;

/// The common options, and a server's own.
#[derive(Args, Clone, Debug)]
#[group(skip)] // its name is the common options'
pub struct With<Own: Args> {
    /// What every server takes.
    #[command(flatten)]
    pub common: Options,
    /// What only this one takes.
    #[command(flatten)]
    pub own: Own,
}

impl<Own: Args> AsRef<Options> for With<Own> {
    fn as_ref(&self) -> &Options {
        &self.common
    }
}
