//! The nginx installed on this machine: writes a configuration and replaces itself with nginx.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};

use nix::sys::resource::{Resource, getrlimit};
use peers::{announce, choose_port, options};

const CONFIGURATION: &str = include_str!("nginx.conf");

fn main() -> io::Result<()> {
    let options = options();
    let program = find().ok_or_else(|| {
        io::Error::new(ErrorKind::NotFound, "nginx is not installed on this machine")
    })?;
    let directory = env::temp_dir().join(format!("peers-nginx-{}", process::id()));
    fs::create_dir_all(&directory)?;
    let address = choose_port(options.listen)?;
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let configuration = CONFIGURATION
        .replace("{directory}", &directory.display().to_string())
        .replace("{descriptors}", &descriptors.to_string())
        .replace("{address}", &address.to_string())
        .replace("{root}", &options.root.canonicalize()?.display().to_string());
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration)?;
    // The line is printed a moment before nginx listens, because exec replaces this program.
    announce(address)?;
    let error =
        Command::new(program).arg("-p").arg(&directory).arg("-c").arg(&file).exec();
    Err(error)
}

/// Finds nginx. Debian installs it in a directory that only root's PATH has.
fn find() -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join("nginx"))
        .find(|program| program.is_file())
}
