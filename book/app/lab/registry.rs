//! All experiments, in the order of the story.

use super::experiment::Experiment;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
use super::switch;
use super::{
    chaos, idle, memory, readiness, request, sizes, slow_client, spawn, waiting,
};
#[cfg(target_os = "linux")]
use super::{client, closing, compare, concurrency, herd, hold, syscalls};

/// What can be measured on this system.
pub static EXPERIMENTS: &[&Experiment] = &[
    &spawn::EXPERIMENT,
    &slow_client::EXPERIMENT,
    &idle::EXPERIMENT,
    &readiness::EXPERIMENT,
    &memory::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &concurrency::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &syscalls::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &herd::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &closing::EXPERIMENT,
    &chaos::EXPERIMENT,
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    &switch::EXPERIMENT,
    &waiting::EXPERIMENT,
    &sizes::EXPERIMENT,
    &request::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &hold::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &compare::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &client::EXPERIMENT,
];

/// The experiment of this name. (`stuck` is what `slow-client` was called once.)
pub fn find(name: &str) -> Option<&'static Experiment> {
    let name = if name == "stuck" { "slow-client" } else { name };
    EXPERIMENTS.iter().copied().find(|experiment| experiment.name == name)
}
