//! This process's title: what `ps` and `/proc/PID/cmdline` show in place of the arguments.
//!
//! The kernel shows the memory that the arguments were handed over in. Where that no longer ends in a zero byte it shows
//! what stands from there to the first zero, up to the end of the environment, which lies right behind (proc(5), and
//! `get_mm_cmdline` in Linux's `fs/proc/base.c`). So the environment is moved to the heap, and a title may take the room of
//! both.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The memory of arguments and environment.
struct Room {
    start: usize,
    bytes: usize,
}

static ROOM: OnceLock<Mutex<Room>> = OnceLock::new();
static PROGRAM: OnceLock<OsString> = OnceLock::new();

/// Where the kernel says that arguments and environment lie: fields 48 to 51 of `/proc/self/stat`.
fn find_room(stat: &[u8]) -> Option<Room> {
    // The second field is the program's name in brackets, and may hold anything.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let places: Vec<usize> =
        text.split_ascii_whitespace().skip(45).take(4).map_while(|it| it.parse().ok()).collect();
    let [arg_start, arg_end, env_start, env_end] = places[..] else { return None };
    let end = if env_start == arg_end && env_end > env_start { env_end } else { arg_end };
    let bytes = end.checked_sub(arg_start)?;
    (arg_start > 0 && bytes > 1).then_some(Room { start: arg_start, bytes })
}

/// Takes the memory of arguments and environment for titles. Without this call, or where the kernel does not tell where it
/// lies, [`set`] does nothing.
///
/// # Safety
/// No other thread may run yet, and from now on nobody may read the process's arguments ([`std::env::args_os`]) or keep a
/// pointer into its environment.
pub unsafe fn claim() {
    let Some(room) = std::fs::read("/proc/self/stat").ok().and_then(|stat| find_room(&stat)) else { return };
    let _ = PROGRAM.set(std::env::args_os().next().unwrap_or_default());
    for (name, value) in std::env::vars_os() {
        if !name.is_empty() && !name.as_bytes().contains(&b'=') {
            // SAFETY: the caller promises that there is no other thread. The C library copies what it is given, also where
            // the value is the same.
            unsafe { std::env::set_var(name, value) };
        }
    }
    let _ = ROOM.set(Mutex::new(room));
}

/// What the program was called by.
pub fn program() -> &'static OsStr {
    PROGRAM.get().map_or(OsStr::new(env!("CARGO_PKG_NAME")), OsString::as_os_str)
}

/// Shows a title, or as much of it as there is room for.
pub fn set(title: &[u8]) {
    let Some(room) = ROOM.get() else { return };
    let room = room.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the kernel says that this memory, on the first thread's stack, is there and writable. The caller of `claim`
    // promised that nobody reads it any more, and the lock lets one writer in at a time.
    let memory = unsafe { std::slice::from_raw_parts_mut(room.start as *mut u8, room.bytes) };
    let shown = title.get(..room.bytes - 1).unwrap_or(title);
    memory.fill(0);
    for (to, from) in memory.iter_mut().zip(shown) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(places: &str) -> Vec<u8> {
        let before: String = (3..48).map(|field| format!("{field} ")).collect();
        format!("7 (a) b( c) {before}{places} 0\n").into_bytes()
    }

    #[test]
    fn the_room_is_found() {
        let found = |places: &str| find_room(&stat(places)).map(|room| (room.start, room.bytes));
        assert_eq!(found("1000 1100 1100 1400"), Some((1000, 400)));
        assert_eq!(found("1000 1100 1200 1400"), Some((1000, 100)), "a gap ends it");
        assert_eq!(found("1000 1100 0 0"), Some((1000, 100)));
        for wrong in ["0 0 0 0", "1000 900 900 800", "1000 1001 0 0", "x 1 2 3", "1 2 3"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
        assert!(find_room(b"no name").is_none());
        assert!(find_room(&std::fs::read("/proc/self/stat").unwrap()).is_some());
    }

    #[test]
    fn without_a_claim_nothing_is_written() {
        let before = std::fs::read("/proc/self/cmdline").unwrap();
        set(b"a title");
        assert_eq!(std::fs::read("/proc/self/cmdline").unwrap(), before);
    }
}
