//! What a running server leaves in the file system for others to find it by: its Unix socket and its pid file.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A file that is removed when this is dropped or [`Mark::remove`]d.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
}

impl Mark {
    /// Removes the file.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Listens on a Unix socket at `path`, in place of one that an earlier server left there. `mode` 0 leaves its
/// permissions to the umask.
pub fn listen_unix(path: &Path, mode: u32, backlog: i32) -> io::Result<(UnixListener, Mark)> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        // Whatever else lies there is not ours to remove; binding will say so.
        _ => {}
    }
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    let mark = Mark { path: path.to_owned() };
    if mode != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), mark))
}

/// Writes this process's id to a file.
pub fn write_pid_file(path: &Path) -> io::Result<Mark> {
    fs::write(path, format!("{}\n", std::process::id()))?;
    Ok(Mark { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_is_found_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o.sock");
        let (first, mark) = listen_unix(&path, 0o700, 5).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        UnixStream::connect(&path).unwrap();
        // One that was left behind is replaced; a file is not.
        std::mem::forget(mark);
        drop(first);
        let (_second, mark) = listen_unix(&path, 0, 5).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(mark);
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert!(listen_unix(&path, 0, 5).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_pid_file_tells_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o.pid");
        let mark = write_pid_file(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(mark);
        assert!(!path.exists());
        assert!(write_pid_file(&folder.path().join("none/o.pid")).is_err());
    }
}
