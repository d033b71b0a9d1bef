//! The user that a submission runs as.

use anyhow::{Context as _, ensure};
use nix::unistd::{self, Gid, Uid, User};

/// The user that a submission runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// A user and a group other than the grader's. No other process may run as this user.
    Other(Uid, Gid),
    /// The grader's own user: the limits apply to the submission, but it can read and write all
    /// that the grader can.
    Same,
}

impl RunAs {
    /// Returns the user that a submission runs as: the user with the name or number `name` or, if
    /// `name` is `None`, the grader's own. `trusted` says that the submission is the grader's own
    /// work.
    ///
    /// # Errors
    ///
    /// Fails if root names no other user for a submission that is not trusted, because the limit on
    /// processes does not bind root. Also fails if the user does not exist or cannot be used.
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
                // A number without an entry in the system's list of users (passwd(5)) is taken both
                // as user ID and as group ID.
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
