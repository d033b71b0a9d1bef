//! All experiments, in the order in which the book uses them.

#[cfg(target_os = "linux")]
pub(super) mod chaos;
#[cfg(target_os = "linux")]
pub(super) mod client;
#[cfg(target_os = "linux")]
pub(super) mod closing;
#[cfg(target_os = "linux")]
pub(super) mod compare;
#[cfg(target_os = "linux")]
pub(super) mod concurrency;
#[cfg(target_os = "linux")]
pub(super) mod herd;
#[cfg(target_os = "linux")]
pub(super) mod hold;
pub(super) mod idle;
#[cfg(target_os = "linux")]
pub(super) mod instructions;
pub(super) mod memory;
pub(super) mod readiness;
pub(super) mod request;
pub(super) mod sizes;
pub(super) mod slow_client;
pub(super) mod spawn;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) mod switch;
#[cfg(target_os = "linux")]
pub(super) mod syscalls;
#[cfg(target_os = "linux")]
pub(super) mod uring;
pub(super) mod waiting;

use super::experiment::Experiment;

/// The experiments that can run on the operating system for which this program is compiled.
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
    #[cfg(target_os = "linux")]
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
    &instructions::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &hold::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &compare::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &client::EXPERIMENT,
    #[cfg(target_os = "linux")]
    &uring::EXPERIMENT,
];

/// Returns the experiment called `name`, if there is one. (`stuck` is an old name of
/// `slow-client`.)
pub fn find(name: &str) -> Option<&'static Experiment> {
    let name = if name == "stuck" { "slow-client" } else { name };
    EXPERIMENTS.iter().copied().find(|experiment| experiment.name == name)
}
