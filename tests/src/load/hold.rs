//! Holding: everybody connects and asks once, says nothing for as long as the caller likes,
//! and asks once more on the same connection.

use std::io;

use super::crowd::Crowd;
use super::plan::{Errors, Phase, Plan};
use super::{AT_ONCE, OTHERS, STEP, descriptors, finish, open};

/// What came of holding connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// So many were answered at the start.
    pub opened: usize,
    /// So many of those were answered again at the end, on the same connection.
    pub kept: usize,
    /// What became of the others.
    pub errors: Errors,
}

/// Holds [`Plan::idle`] connections; of the rest of the plan, only whom to ask for what and how
/// long to bear without an answer matters. `progress` is told about ten times a second how many
/// have been answered, first for the first time and then for the second. Between the
/// two, `meanwhile` is called with the number of those that are held; what it waits for is its
/// own business. Nobody who is lost connects again.
///
/// # Errors
/// There are too few descriptors, this system lacks what a client needs, or `meanwhile` failed.
/// What happens to connections is counted.
pub fn hold(
    plan: &Plan,
    progress: &mut dyn FnMut(usize),
    meanwhile: impl FnOnce(usize) -> io::Result<()>,
) -> io::Result<Held> {
    let plan = Plan { connections: 0, ..plan.clone() };
    descriptors(plan.idle + OTHERS)?;
    let mut crowd = Crowd::new(&plan)?;
    crowd.tally.begin();
    open(&mut crowd, &plan, &mut |phase| {
        if let Phase::Opening { open } = phase {
            progress(*open);
        }
    })?;
    finish(&mut crowd)?;
    let opened = served(&crowd);
    progress(opened);
    meanwhile(opened)?;
    again(&mut crowd, progress)?;
    let kept = served(&crowd);
    progress(kept);
    Ok(Held { opened, kept, errors: crowd.tally.errors })
}

/// Everybody who is still there asks once more.
fn again(crowd: &mut Crowd<'_>, progress: &mut dyn FnMut(usize)) -> io::Result<()> {
    let mut told = crowd.now();
    for place in 0..crowd.connections.len() {
        crowd.again(place)?;
        while crowd.under_way() >= AT_ONCE {
            crowd.turn(crowd.now() + STEP)?;
        }
        if crowd.now() >= told + STEP {
            told = crowd.now();
            // Those behind still have their first answer.
            progress(crowd.connections[..place].iter().filter(|one| one.served).count());
        }
    }
    finish(crowd)
}

/// How many are there and have been answered.
fn served(crowd: &Crowd<'_>) -> usize {
    crowd.connections.iter().filter(|one| one.served && one.is_open()).count()
}
