//! How much memory there is and how much of it is in use.
//!
//! Figures come from `/proc` and from jemalloc. Where the process runs on another allocator, as test programs
//! do, jemalloc's figures would describe an allocator that nobody uses; the resident size stands in for them.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::sync::OnceLock;

use tikv_jemalloc_ctl::{background_thread, epoch, raw, stats, thread};
use tikv_jemalloc_sys::mallctl;

/// Enough for the files of `/proc` read here; what lies beyond is not looked at.
const PROC_FILE_BYTES: usize = 8192;
/// The allocation by which it is found out whether jemalloc serves this process.
const PROBE_BYTES: usize = 64 << 10;

/// What the allocator says, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatorFigures {
    /// True if these are jemalloc's; false if all are the resident size of the process.
    pub is_jemalloc: bool,
    /// Handed out to the program, rounded up to size classes. What is kept at hand for its threads does not count.
    pub allocated: u64,
    /// In pages that hold anything handed out.
    pub active: u64,
    /// In memory: active, dirty and the allocator's own.
    pub resident: u64,
    /// The allocator's own.
    pub metadata: u64,
    /// Mapped.
    pub mapped: u64,
    /// Given back to the system but still held as address space.
    pub retained: u64,
}

/// Hands the start of a small file of `/proc` to `look`, without an allocation, so that fork children may call it.
fn with_proc<T>(path: &str, look: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let mut file = File::open(path).ok()?;
    let mut buf = [0; PROC_FILE_BYTES];
    let mut filled = 0;
    loop {
        match file.read(buf.get_mut(filled..)?) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    look(buf.get(..filled)?)
}

/// The first number in `text`, which may have blanks before it.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..len)?).ok()?.parse().ok()
}

/// The value, in bytes, of a line `Label:   123 kB`.
fn labelled_kib(text: &[u8], label: &str) -> Option<u64> {
    let mut lines = text.split(|b| *b == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(label.as_bytes())?.strip_prefix(b":"))?;
    number(value)?.checked_mul(1024)
}

fn page_bytes() -> Option<u64> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    u64::try_from(size).ok()
}

/// Memory of this process that is in RAM, in bytes.
pub fn rss_bytes() -> Option<u64> {
    let pages = with_proc("/proc/self/statm", |text| number(text.split(|b| *b == b' ').nth(1)?))?;
    pages.checked_mul(page_bytes()?)
}

/// Of it what lies in huge pages that no file is behind, in bytes.
pub fn huge_page_bytes() -> Option<u64> {
    with_proc("/proc/self/smaps_rollup", |text| labelled_kib(text, "AnonHugePages"))
}

/// The most that [`rss_bytes`] ever was.
pub fn peak_rss_bytes() -> Option<u64> {
    with_proc("/proc/self/status", |text| labelled_kib(text, "VmHWM"))
}

/// Memory that this process has written to and shares with no other. In a fork child that is what copy-on-write
/// has cost. The kernel walks all page tables for it: about a millisecond for each few hundred megabytes.
pub fn private_dirty_bytes() -> Option<u64> {
    with_proc("/proc/self/smaps_rollup", |text| labelled_kib(text, "Private_Dirty"))
}

/// The machine's memory in bytes, without regard to limits.
pub fn total_system_bytes() -> Option<u64> {
    with_proc("/proc/meminfo", |text| labelled_kib(text, "MemTotal"))
}

/// The memory that the machine could still give without swapping, in bytes.
pub fn available_system_bytes() -> Option<u64> {
    with_proc("/proc/meminfo", |text| labelled_kib(text, "MemAvailable"))
}

/// The limit of this process's control group (v2), in bytes; `None` if there is none.
pub fn cgroup_limit_bytes() -> Option<u64> {
    let path = with_proc("/proc/self/cgroup", |text| {
        let mut lines = text.split(|b| *b == b'\n');
        let own = lines.find_map(|line| line.strip_prefix(b"0::"))?;
        Some(String::from_utf8_lossy(own).into_owned())
    })?;
    let file = format!("/sys/fs/cgroup{}/memory.max", path.trim_end_matches('/'));
    with_proc(&file, number)
}

/// True if this process allocates from jemalloc.
pub fn is_jemalloc() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let Ok(counter) = thread::allocatedp::read() else { return false };
        let before = counter.get();
        let probe = black_box(Vec::<u8>::with_capacity(black_box(PROBE_BYTES)));
        let grown = counter.get().saturating_sub(before);
        drop(probe);
        grown >= PROBE_BYTES as u64
    })
}

/// What the allocator says now. Gathers the counters of all arenas and threads: some microseconds to a
/// millisecond, so call it some times a second, not for each command.
pub fn allocator_figures() -> AllocatorFigures {
    if is_jemalloc()
        && let Some(figures) = jemalloc_figures()
    {
        return figures;
    }
    let rss = rss_bytes().unwrap_or(0);
    AllocatorFigures {
        is_jemalloc: false,
        allocated: rss,
        active: rss,
        resident: rss,
        metadata: 0,
        mapped: rss,
        retained: 0,
    }
}

fn jemalloc_figures() -> Option<AllocatorFigures> {
    epoch::advance().ok()?;
    Some(AllocatorFigures {
        is_jemalloc: true,
        allocated: (stats::allocated::read().ok()? as u64).saturating_sub(kept_for_threads()),
        active: stats::active::read().ok()? as u64,
        resident: stats::resident::read().ok()? as u64,
        metadata: stats::metadata::read().ok()? as u64,
        mapped: stats::mapped::read().ok()? as u64,
        retained: stats::retained::read().ok()? as u64,
    })
}

/// What threads have freed, or not taken yet, and the allocator keeps at hand for them, which it counts as allocated: some
/// KiB of each size that a thread uses. As of the last look at its counters.
fn kept_for_threads() -> u64 {
    // 4096 stands for all arenas.
    const NAME: &[u8] = b"stats.arenas.4096.tcache_bytes\0";
    // SAFETY: the name ends in a zero, and this control gives a number of the size of a pointer.
    unsafe { raw::read::<usize>(NAME) }.unwrap_or(0) as u64
}

/// Bytes that this thread has taken from the allocator so far, less those that it has given back (which other threads
/// may have taken); it may well be negative. 0 if the allocator is not jemalloc. About a nanosecond.
#[inline]
pub fn thread_net_bytes() -> i64 {
    type Counters = (thread::ThreadLocal<u64>, thread::ThreadLocal<u64>);
    thread_local! {
        static COUNTERS: Option<Counters> =
            if is_jemalloc() { thread::allocatedp::read().ok().zip(thread::deallocatedp::read().ok()) } else { None };
    }
    COUNTERS.with(|counters| match counters {
        Some((taken, given)) => taken.get().wrapping_sub(given.get()) as i64,
        None => 0,
    })
}

/// Gives the allocator's unused pages back to the system at once. False if the allocator is not jemalloc.
pub fn purge() -> bool {
    if !is_jemalloc() {
        return false;
    }
    // 4096 stands for all arenas.
    let name = c"arena.4096.purge";
    // SAFETY: the name ends in a zero; this control takes and gives no value, which null pointers and a length
    // of zero say.
    let errno = unsafe {
        mallctl(name.as_ptr(), std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut(), 0)
    };
    errno == 0
}

/// Lets the allocator give unused pages back on threads of its own, or stops that. False if it cannot.
pub fn set_background_purge(on: bool) -> bool {
    is_jemalloc() && background_thread::write(on).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_figures_are_plausible() {
        let before = rss_bytes().unwrap();
        // Other tests of the process may give memory back meanwhile.
        let block = black_box(vec![1_u8; 256 << 20]);
        let after = rss_bytes().unwrap();
        assert!(after >= before + (32 << 20), "{before} {after}");
        assert!(private_dirty_bytes().unwrap() >= 64 << 20);
        assert!(peak_rss_bytes().unwrap() >= 64 << 20);
        drop(block);
        let total = total_system_bytes().unwrap();
        assert!(total > after && available_system_bytes().unwrap() <= total);
        assert!(cgroup_limit_bytes().is_none_or(|limit| limit > 0));
    }

    #[test]
    fn lines_and_numbers() {
        let text = b"VmPeak:\t  12 kB\nVmHWMx: 9 kB\nVmHWM:\t    1234 kB\n";
        assert_eq!(labelled_kib(text, "VmHWM"), Some(1234 * 1024));
        assert_eq!(labelled_kib(text, "VmRSS"), None);
        assert_eq!(labelled_kib(b"A: 99999999999999999999 kB", "A"), None);
        assert_eq!((number(b"max\n"), number(b" 7 8")), (None, Some(7)));
    }

    #[test]
    fn figures_work_on_any_allocator() {
        let figures = allocator_figures();
        assert!(figures.allocated > 0 && figures.resident > 0);
        assert_eq!(figures.is_jemalloc, is_jemalloc());
        assert_eq!(purge(), is_jemalloc());
    }
}
