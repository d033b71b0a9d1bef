//! The user that a submission runs as.

use anyhow::{Context as _, ensure};
use nix::unistd::{self, Gid, Uid, User};

/// The user that a submission runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// A user other than the grader's, as which nothing else runs.
    Other(Uid, Gid),
    /// The grader's own user: the limits apply to the submission, but it can read and write all
    /// that the grader can.
    Same,
}

impl RunAs {
    /// Returns the user that a submission runs as: `name`, a name or a number, if one is given.
    /// `trusted` says that the submission is the grader's own work.
    ///
    /// # Errors
    ///
    /// Fails for root without another user, because the limit on processes does not bind root, and
    /// for a user that does not exist or cannot be used.
    pub fn find(name: Option<&str>, trusted: bool) -> anyhow::Result<Self> {
        let is_root = unistd::geteuid().is_root();
        let Some(name) = name else {
            ensure!(
                !is_root || trusted,
                "no limit on processes binds root, so root does not run a submission: make a user for it \
                 (`useradd --system grader`) and say `--user grader`, or `--trusted` if the server is your own"
            );
            return Ok(Self::Same);
        };
        let (uid, gid) = match name.parse() {
            Ok(number) => {
                // A number that no user has stands for a user and a group of its own.
                let (uid, gid) = (Uid::from_raw(number), Gid::from_raw(number));
                (uid, User::from_uid(uid)?.map_or(gid, |user| user.gid))
            }
            Err(_) => {
                let user = User::from_name(name)?;
                let user = user.with_context(|| {
                    format!(
                        "there is no user {name}: `useradd --system {name}` makes one"
                    )
                })?;
                (user.uid, user.gid)
            }
        };
        if uid == unistd::geteuid() && !is_root {
            return Ok(Self::Same);
        }
        ensure!(is_root, "only root can run a submission as another user ({name})");
        ensure!(
            !uid.is_root(),
            "`--user {name}` is root: a submission needs another user"
        );
        Ok(Self::Other(uid, gid))
    }
}
