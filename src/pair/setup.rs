//! What must be right before anything is started: the arguments, the folder, the ports.

use super::PairArgs;
use super::record::Record;
use crate::server::config::{CommandLine, Config, DiskSource, FileError, Invocation};
use crate::sys::lock::{FolderLock, LockError};
use crate::sys::{Disk, DiskError, RealDisk};
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::TcpListener;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long the processes of a supervisor that was killed may take to end.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(20);
/// How often their ports are looked at.
const ORPHANS_LOOK_EVERY: Duration = Duration::from_millis(100);

/// Directives that the pair sets itself, or that two processes cannot share.
const RESERVED: &[&str] = &[
    "port",
    "dir",
    "replicaof",
    "slaveof",
    "recover-from-peers",
    "start-new-history",
    "pidfile",
    "logfile",
    "unixsocket",
];

/// What both processes get, ahead of the operator's directives: a later one counts.
const DEFAULTS: &[(&str, &str)] = &[
    ("--bind", "127.0.0.1"),
    // A replica that was down for a while then goes on from the log instead of a full sync.
    ("--repl-backlog-size", "64mb"),
    ("--appendfsync", "everysec"),
    // The primary holds the only copy of what the replica has not fsynced: better late than gone.
    ("--shutdown-timeout", "60"),
];

/// Why a pair was not started.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The folder could not be made or written.
    #[error("the folder {} cannot be used: {source}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What failed.
        source: DiskError,
    },
    /// Where this process is could not be told.
    #[error("the current folder or this program's file cannot be found: {0}")]
    Place(#[source] io::Error),
    /// Another pair is at work there.
    #[error("{0}; is another pair running there?")]
    Locked(#[source] LockError),
    /// Somebody listens there already.
    #[error("port {port} on 127.0.0.1 cannot be listened on: {source}; choose another with --port")]
    Port {
        /// The port.
        port: u16,
        /// The system's reason.
        source: io::Error,
    },
    /// A directive that would break the pair.
    #[error("--{0} cannot be given to a pair: it sets this itself, or the two processes cannot share it")]
    Reserved(String),
    /// Something that is no directive.
    #[error("after `--` directives are expected, as in --maxmemory 1gb, not {0:?}")]
    NoDirective(OsString),
    /// A directive that the server refuses.
    #[error("{0}")]
    Directive(#[source] FileError),
}

/// A pair that can be started.
#[derive(Debug)]
pub struct Plan {
    /// The pair's folder, absolute.
    pub dir: PathBuf,
    /// The program to run.
    pub program: PathBuf,
    /// The primary's port.
    pub primary_port: u16,
    /// The replica's port.
    pub replica_port: u16,
    /// The primary's arguments.
    pub primary_args: Vec<OsString>,
    /// The replica's arguments.
    pub replica_args: Vec<OsString>,
    /// The password of both; empty for none.
    pub password: Vec<u8>,
    /// Holds the folder while it lives.
    pub lock: FolderLock,
}

/// Checks everything that can be checked before a start, and takes the folder.
pub fn plan(args: &PairArgs) -> Result<Plan, SetupError> {
    let (primary_port, replica_port) = (args.port, args.port.saturating_add(1));
    let cwd = std::env::current_dir().map_err(SetupError::Place)?;
    let program = std::env::current_exe().map_err(SetupError::Place)?;
    let dir = std::path::absolute(&args.dir).map_err(SetupError::Place)?;
    check_directives(&args.directives)?;
    let extra = Extra { directives: &args.directives, password: None };
    let config = parse(&primary_args(&dir, primary_port, replica_port, &extra), &cwd)?;
    let password = config.requirepass.0.clone();
    let gives_password = config.masterauth.0.is_empty() && !password.is_empty();
    let extra = Extra { password: gives_password.then_some(password.as_slice()), ..extra };
    let primary_args = primary_args(&dir, primary_port, replica_port, &extra);
    let replica_args = replica_args(&dir, primary_port, replica_port, &extra);
    parse(&replica_args, &cwd)?;
    make_folders(&dir)?;
    let lock = FolderLock::acquire(&dir).map_err(SetupError::Locked)?;
    wait_for_ports(&dir, &[primary_port, replica_port])?;
    Ok(Plan { dir, program, primary_port, replica_port, primary_args, replica_args, password, lock })
}

fn check_directives(directives: &[OsString]) -> Result<(), SetupError> {
    if let Some(first) = directives.first().filter(|first| !first.as_bytes().starts_with(b"--")) {
        return Err(SetupError::NoDirective(first.clone()));
    }
    for word in directives {
        let Some(name) = word.as_bytes().strip_prefix(b"--") else { continue };
        // `--port 1` may also come as one argument.
        let name = name.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if RESERVED.contains(&name.as_str()) {
            return Err(SetupError::Reserved(name));
        }
    }
    Ok(())
}

/// What the operator adds.
struct Extra<'a> {
    directives: &'a [OsString],
    /// The password that the processes give each other, unless they were told one.
    password: Option<&'a [u8]>,
}

impl Extra<'_> {
    fn args(&self, port: u16, dir: PathBuf, own: &[(&str, String)]) -> Vec<OsString> {
        let mut args: Vec<OsString> =
            vec!["--port".into(), port.to_string().into(), "--dir".into(), dir.into()];
        for (name, value) in DEFAULTS {
            args.extend([OsString::from(name), OsString::from(value)]);
        }
        for (name, value) in own {
            args.push(OsString::from(name));
            args.extend(value.split(' ').map(OsString::from));
        }
        args.extend(self.directives.iter().cloned());
        if let Some(password) = self.password {
            args.extend(["--masterauth".into(), OsString::from_vec(password.to_vec())]);
        }
        args
    }
}

fn primary_args(dir: &Path, port: u16, replica_port: u16, extra: &Extra) -> Vec<OsString> {
    let own = [("--recover-from-peers", format!("127.0.0.1:{replica_port}"))];
    extra.args(port, dir.join("primary"), &own)
}

fn replica_args(dir: &Path, primary_port: u16, port: u16, extra: &Extra) -> Vec<OsString> {
    let own = [("--replicaof", format!("127.0.0.1 {primary_port}"))];
    extra.args(port, dir.join("replica"), &own)
}

/// Reads the arguments as the server will, so that a wrong one is told now.
fn parse(args: &[OsString], cwd: &Path) -> Result<Config, SetupError> {
    let source = DiskSource(&RealDisk);
    match CommandLine::parse(args.iter().cloned(), cwd, &source).map_err(SetupError::Directive)? {
        Invocation::Run(line) => Ok(line.config),
        Invocation::Version | Invocation::Help => Err(SetupError::NoDirective(OsStr::new("--help").into())),
    }
}

fn make_folders(dir: &Path) -> Result<(), SetupError> {
    for folder in [dir.join("primary"), dir.join("replica")] {
        let made = RealDisk.create_dir_all(&folder);
        made.map_err(|source| SetupError::Folder { dir: dir.to_owned(), source })?;
    }
    Ok(())
}

/// Makes sure that nobody listens on the ports. A supervisor that was killed leaves its record behind, and its two
/// processes, which are then on their way to an orderly end: those are waited for.
fn wait_for_ports(dir: &Path, ports: &[u16]) -> Result<(), SetupError> {
    let orphaned = Record::is_left_behind(dir);
    let began = Instant::now();
    let mut told = false;
    for &port in ports {
        while let Err(source) = TcpListener::bind(("127.0.0.1", port)) {
            if !orphaned || began.elapsed() > ORPHANS_PATIENCE {
                return Err(SetupError::Port { port, source });
            }
            if !told {
                eprintln!("outrigger pair: waiting for the processes of a supervisor that was killed to end");
                told = true;
            }
            std::thread::sleep(ORPHANS_LOOK_EVERY);
        }
    }
    Ok(())
}
