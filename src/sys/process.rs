//! What this process is and may do.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// Raises the limit of open files to at least `wanted`, or as near to it as the system allows, and returns the
/// limit that then holds. It is never lowered.
pub fn raise_open_files(wanted: u64) -> Result<u64, Errno> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    // Past the hard limit only the privileged get.
    if wanted > hard && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    let reachable = wanted.min(hard);
    if reachable > soft {
        setrlimit(Resource::RLIMIT_NOFILE, reachable, hard)?;
    }
    Ok(reachable.max(soft))
}

/// System, release and machine as one line, as `uname -srm` prints them.
pub fn os_text() -> String {
    match nix::sys::utsname::uname() {
        Ok(name) => format!(
            "{} {} {}",
            name.sysname().to_string_lossy(),
            name.release().to_string_lossy(),
            name.machine().to_string_lossy()
        ),
        Err(_) => std::env::consts::OS.to_owned(),
    }
}

/// Fills `bytes` with randomness of the system's that is good enough for secrets.
pub fn random_bytes(bytes: &mut [u8]) -> std::io::Result<()> {
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, bytes)
}

/// The width of a pointer in bits.
pub const ARCH_BITS: u32 = usize::BITS;

/// This process's id.
pub fn pid() -> u32 {
    std::process::id()
}

/// Time since the first call, on a clock that never goes back. `main` makes the first call.
pub fn uptime() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed()
}

/// The program's file, if the system tells.
pub fn executable_path() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// Stops the kernel from backing this process with huge pages, of which a write after a fork would copy 2 MiB
/// instead of 4 KiB. Call it at the start, before threads and data.
pub fn disable_huge_pages() -> Result<(), Errno> {
    nix::sys::prctl::set_thp_disable(true)
}

/// Has a write past the limit of file sizes (`ulimit -f`) fail, as one to a full disk does, instead of ending the process.
pub fn survive_file_size_limit() -> Result<(), Errno> {
    // SAFETY: to ignore is no handler function, so no code can run in a signal's context.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.map(drop)
}

/// True if the kernel may refuse a fork because it counts the whole memory twice
/// (`vm.overcommit_memory` is not 1); worth a warning where children save.
pub fn fork_may_lack_memory() -> bool {
    std::fs::read("/proc/sys/vm/overcommit_memory").is_ok_and(|text| text.trim_ascii() != b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_raised_and_never_lowered() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise_open_files(0).unwrap(), soft);
        let wanted = (soft + 16).min(hard);
        assert!(raise_open_files(wanted).unwrap() >= wanted);
        assert!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0 >= wanted);
    }

    #[test]
    fn the_process_knows_itself() {
        assert!(os_text().starts_with("Linux ") && os_text().split(' ').count() == 3, "{}", os_text());
        assert_eq!(pid(), nix::unistd::getpid().as_raw() as u32);
        assert!(executable_path().unwrap().exists());
        let first = uptime();
        std::thread::sleep(Duration::from_millis(2));
        assert!(uptime() >= first + Duration::from_millis(2));
    }
}
